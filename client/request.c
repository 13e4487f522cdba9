#include "client/request.h"

#include <stdio.h>
#include <stdlib.h>

/* Many long filters may be more than a message holds. */
static int
check_size(const struct msg *msg, struct err *err)
{
	uint8_t *frame;
	size_t len;
	int rc = codec_pack(msg, &frame, &len);

	if (rc == E_OK)
		free(frame);
	if (rc == E_TOOBIG)
		return err_set(err, E_FILTER, "filters: with their programs they are longer "
		    "than a message of %d bytes: use fewer or shorter ones",
		    PROTO_MAX_MESSAGE);
	return rc == E_OK ? E_OK : err_set(err, rc, "filters: pack: %s", err_text(rc));
}

static int
check_start(const struct msg_start *start, struct err *err)
{
	struct msg msg = { .type = MSG_START, .start = *start };

	return check_size(&msg, err);
}

int
request_check_update(const struct msg_update_filter *update, struct err *err)
{
	struct msg msg = { .type = MSG_UPDATE_FILTER, .update_filter = *update };

	return check_size(&msg, err);
}

int
request_make(const struct options *options, const struct programs *programs,
    struct msg_start *ret_start, struct err *err)
{
	struct msg_interface_request *requests;

	requests = calloc(options->n_interfaces, sizeof(*requests));
	if (requests == NULL)
		return err_set(err, E_NOMEM, "capture: start: out of memory");
	for (uint32_t i = 0; i < options->n_interfaces; i++) {
		const struct options_interface *o = &options->interfaces[i];

		snprintf(requests[i].name, sizeof(requests[i].name), "%s", o->name);
		requests[i].snaplen = o->snaplen;
		requests[i].filter = o->filter;
		requests[i].link_type = o->link_type;
		requests[i].no_promiscuous = o->no_promiscuous;
	}
	*ret_start = (struct msg_start){
		.n_interfaces = options->n_interfaces,
		.interfaces = requests,
		.n_filters = programs->n,
		.filters = programs->filters,
		.headers_only = options->headers_only,
		.cooked = options->cooked,
		.kernel_only = options->kernel_only,
		.plan_only = options->action == OPTIONS_PLAN,
		.ring_bytes = options->buffer_bytes,
		.log_bytes = options->log_bytes,
		.drop_newest = options->drop_newest,
		.linger_ms = (uint32_t)options->linger_ms,
		.heartbeat_ms = (uint32_t)options->heartbeat_ms,
		.max_duration_ms = options->duration_ms,
		.max_packets = options->count,
		.direction = (enum start_direction)options->direction,
		.sample = options->sample,
		.sample_flows = options->sample_flows,
		.time_stamp_type = options->time_stamp_type,
	};
	if (check_start(ret_start, err) != E_OK) {
		request_free(ret_start);
		return err->code;
	}
	return E_OK;
}

void
request_free(struct msg_start *start)
{
	free(start->interfaces);
	start->interfaces = NULL;
}
