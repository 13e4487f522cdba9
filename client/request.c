#include "client/request.h"

#include <stdio.h>
#include <stdlib.h>

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
		.max_packets = options->count,
		.direction = (enum start_direction)options->direction,
		.sample = options->sample,
		.sample_flows = options->sample_flows,
		.time_stamp_type = options->time_stamp_type,
	};
	return E_OK;
}

void
request_free(struct msg_start *start)
{
	free(start->interfaces);
	start->interfaces = NULL;
}
