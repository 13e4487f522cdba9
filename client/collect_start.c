#include "client/collect_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/request.h"

enum { NAME_LEN = ADDRESS_HOST_LEN + 2 * PROTO_MAX_NAME + 3 };

static void
give_up(struct collect *c, const struct err *err)
{
	collect_fail(c, err);
	collect_finish(c);
}

/* --- asking --- */

/* Is more sent than is written, so that the agent's count is not -c's? */
static bool
counts_here(const struct collect *c)
{
	for (uint32_t i = 0; i < c->programs->n; i++)
		if (c->programs->filters[i].at_client)
			return true;
	/* Interfaces that come later may be of a type the file cannot hold. */
	for (uint32_t i = 0; i < c->opt->n_interfaces; i++)
		if (c->out_cfg.ops->one_link_type && !c->out_cfg.split_by_link_type &&
		    options_is_pattern(c->opt->interfaces[i].name))
			return true;
	return false;
}

static void
send_start(struct collect *c)
{
	struct msg_start start;
	struct err err;

	if (request_make(c->opt, c->programs, &start, &err) != E_OK) {
		give_up(c, &err);
		return;
	}
	if (counts_here(c))
		start.max_packets = 0;
	sensor_start(c->sensor, &start);
	request_free(&start);
}

void
collect_on_hello(const struct msg_hello *hello, void *arg)
{
	struct collect *c = arg;
	char text[ADDRESS_HOST_LEN + 3 * PROTO_MAX_NAME];

	if (c->opt->verbose > 0) {
		snprintf(text, sizeof(text), "%s: connected: %s on '%s', %s",
		    sensor_name(c->sensor), hello->program, hello->host, hello->os);
		collect_report(c, text);
	}
	memcpy(c->os, hello->os, sizeof(c->os));
	send_start(c);
}

void
collect_on_need_programs(const struct msg_need_programs *need, void *arg)
{
	struct collect *c = arg;

	c->need = *need;
	collect_compile_missing(c);
}

void
collect_answer_need(struct collect *c)
{
	struct msg_need_programs need = c->need;
	struct err err;

	c->need.n = 0;
	/* Each answer has a program more, so that asking ends. */
	if (programs_need(c->programs, need.link_types, need.n, &err) != E_OK)
		give_up(c, &err);
	else
		send_start(c);
}

/* --- interfaces --- */

static void
append(char *dst, size_t size, const char *text)
{
	size_t len = strlen(dst);

	snprintf(dst + len, size - len, "%s%s", len > 0 ? "; " : "", text);
}

/* What a reader of the file should know of how its packets were chosen. */
static void
describe(const struct collect *c, const struct msg_capture_interface *iface,
    const struct msg_filter *filter, char *dst, size_t size)
{
	static const char *const times[] = {
		[TIME_STAMP_ADAPTER] = "time stamps: adapter; the host's on "
		    "packets it did not stamp, such as outgoing ones",
		[TIME_STAMP_ADAPTER_UNSYNCED] = "time stamps: adapter_unsynced: the "
		    "adapter's own clock; the host's on packets it did not stamp, such "
		    "as outgoing ones",
	};

	dst[0] = '\0';
	if (c->opt->cooked && iface->index == 0)
		append(dst, size, "one cooked socket for all interfaces: not "
		    "promiscuous, no VLAN tags, no link-layer tests in the filter");
	if (filter->text[0] != '\0')
		append(dst, size, filter->exact_vlan ?
		    "filter: exact: VLAN tags count as in this file" :
		    "filter: as tcpdump live: it does not look at the VLAN tags of "
		    "received packets");
	if (iface->filter_place == FILTER_AGENT)
		append(dst, size, "packets with a VLAN tag filtered by the agent");
	if (iface->filter_place == FILTER_CLIENT)
		append(dst, size, "filtered on arrival by capclient");
	if (iface->time_stamp_type != TIME_STAMP_HOST)
		append(dst, size, times[iface->time_stamp_type]);
}

static void
format_name(const struct collect *c, const struct msg_capture_interface *iface,
    char dst[static NAME_LEN])
{
	bool is_own = iface->network_namespace[0] == '\0';

	snprintf(dst, NAME_LEN, "%s:%s%s%s", c->opt->sensor.host,
	    iface->network_namespace, is_own ? "" : "/", iface->name);
}

/* As the sensor has it: "eth0", "netns:blue/eth0". */
static void
format_own_name(const struct msg_capture_interface *iface, char *dst, size_t size)
{
	snprintf(dst, size, "%s%s%s", iface->network_namespace,
	    iface->network_namespace[0] == '\0' ? "" : "/", iface->name);
}

static const struct msg_filter *
filter_of(const struct collect *c, uint32_t filter)
{
	return &c->newest->filters[filter < c->newest->n ? filter : 0];
}

static int
write_interface(struct collect *c, const struct msg_capture_interface *iface,
    const struct msg_filter *filter, struct err *err)
{
	char name[NAME_LEN], comment[512];
	const char *hint = NULL;
	struct sink_interface si = {
		.name = name,
		.description = iface->description,
		.os = c->os,
		.filter = filter->text,
		.comment = comment,
		.link_type = iface->link_type,
		.mac = iface->has_mac ? iface->mac : NULL,
		.n_addresses = iface->n_addresses,
		.addresses = iface->addresses,
	};
	int rc;

	format_name(c, iface, name);
	describe(c, iface, filter, comment, sizeof(comment));
	rc = outputs_add_interface(c->out, &si, &hint, err);
	if (rc == E_OK && hint != NULL)
		collect_report(c, hint);
	return rc;
}

/* One line, however many interfaces. */
void
collect_warn_of_travel(struct collect *c, uint32_t iface)
{
	const struct collect_interface *i = &c->interfaces[iface];
	const char *why = programs_why_at_client(c->newest, i->filter);
	char text[ADDRESS_HOST_LEN + 240];

	if (c->said_travel || i->newest_place != FILTER_CLIENT)
		return;
	c->said_travel = true;
	snprintf(text, sizeof(text), "%s: the sensor's kernel cannot run this filter%s%s%s: "
	    "all packets travel and are filtered here", sensor_name(c->sensor),
	    why != NULL ? " (" : "", why != NULL ? why : "", why != NULL ? ")" : "");
	collect_report(c, text);
}

/* What the agent decided it has explained; what was decided here it has not. */
static void
warn_at_start(struct collect *c, const char *notes)
{
	for (uint32_t i = 0; i < c->ledger.n_interfaces; i++)
		if (notes[0] == '\0' ||
		    programs_why_at_client(c->newest, c->interfaces[i].filter) != NULL)
			collect_warn_of_travel(c, i);
		else if (c->interfaces[i].newest_place == FILTER_CLIENT)
			c->said_travel = true;
}

int
collect_set_place(struct collect *c, uint32_t iface, enum filter_place place,
    struct err *err)
{
	struct collect_interface *i = &c->interfaces[iface];

	i->place = place;
	if (place != FILTER_CLIENT || i->arrival != NULL)
		return E_OK;
	return arrival_new(i->link_type, i->snaplen, c->opt->headers_only, &i->arrival,
	    err);
}

/* A row for the next interface. */
static int
add_row(struct collect *c, const struct msg_capture_interface *iface,
    struct err *err)
{
	char name[2 * PROTO_MAX_NAME + 2];

	format_own_name(iface, name, sizeof(name));
	return ledger_add_interface(&c->ledger, name) < 0 ?
	    err_set(err, E_NOMEM, "capture: interface: out of memory") : E_OK;
}

/* The ledger has room for interface number n already. */
static int
note_interface(struct collect *c, uint32_t n,
    const struct msg_capture_interface *iface, struct err *err)
{
	const struct options *opt = c->opt;
	uint32_t request = iface->request < opt->n_interfaces ? iface->request : 0;

	c->interfaces[n] = (struct collect_interface){
		.index = iface->index,
		.link_type = iface->link_type,
		.snaplen = iface->snaplen > 0 ? iface->snaplen : PROTO_MAX_SNAPLEN,
		.filter = opt->interfaces[request].filter,
		.newest_place = iface->filter_place,
	};
	return collect_set_place(c, n, iface->filter_place, err);
}

/* --- Started --- */

static int
check_link_types(struct collect *c, const struct msg_started *started,
    struct err *err)
{
	uint32_t *types = calloc(started->n_interfaces, sizeof(*types));
	int rc;

	if (types == NULL)
		return err_set(err, E_NOMEM, "capture: start: out of memory");
	for (uint32_t i = 0; i < started->n_interfaces; i++)
		types[i] = started->interfaces[i].link_type;
	rc = outputs_check(&c->out_cfg, types, started->n_interfaces, err);
	free(types);
	return rc;
}

/*
 * One for all interfaces, those that come later too: what a reader has to be
 * ready for.  As in tcpdump's files the largest unless less was asked for.
 */
static uint32_t
file_snaplen(const struct options *opt)
{
	uint32_t most = 0;

	for (uint32_t i = 0; i < opt->n_interfaces; i++)
		if (opt->interfaces[i].snaplen > most)
			most = opt->interfaces[i].snaplen;
	return most < PROTO_DEFAULT_SNAPLEN ? most : PROTO_MAX_SNAPLEN;
}

static int
open_output(struct collect *c, const struct msg_started *started, struct err *err)
{
	int rc = check_link_types(c, started, err);

	if (rc != E_OK)
		return rc;
	c->interfaces = calloc(started->n_interfaces, sizeof(*c->interfaces));
	if (c->interfaces == NULL ||
	    ledger_init(&c->ledger) != E_OK)
		return err_set(err, E_NOMEM, "capture: start: out of memory");
	c->has_ledger = true;
	c->out_cfg.snaplen = file_snaplen(c->opt);
	c->out = outputs_new(&c->out_cfg, err);
	if (c->out == NULL)
		return err->code;
	for (uint32_t i = 0; i < started->n_interfaces; i++) {
		const struct msg_capture_interface *iface = &started->interfaces[i];

		rc = add_row(c, iface, err);
		if (rc == E_OK)
			rc = note_interface(c, i, iface, err);
		if (rc == E_OK)
			rc = write_interface(c, iface,
			    filter_of(c, c->interfaces[i].filter), err);
		if (rc != E_OK)
			return rc;
	}
	c->is_open = true;
	/* Wireshark opens its window when it has the interfaces. */
	outputs_flush(c->out);
	return E_OK;
}

static void
report_sizes(struct collect *c, const struct msg_started *started)
{
	char text[ADDRESS_HOST_LEN + 128];

	snprintf(text, sizeof(text), "%s: kernel ring %llu KiB, agent buffer %llu "
	    "KiB", sensor_name(c->sensor),
	    (unsigned long long)started->ring_bytes / 1024,
	    (unsigned long long)started->log_bytes / 1024);
	collect_report(c, text);
}

static void
report_listening(struct collect *c, const struct msg_capture_interface *iface,
    uint32_t snaplen)
{
	char name[2 * PROTO_MAX_NAME + 2];

	format_own_name(iface, name, sizeof(name));
	ui_text_listening(&c->ui, c->opt->sensor.host, name, iface->link_type,
	    snaplen);
}

void
collect_on_started(const struct msg_started *started, void *arg)
{
	struct collect *c = arg;
	struct err err;

	c->start = started->start;
	if (open_output(c, started, &err) != E_OK) {
		collect_fail(c, &err);
		collect_set_status(c, EXIT_OUTPUT);
		collect_finish(c);
		return;
	}
	if (started->notes[0] != '\0')
		collect_report(c, started->notes);
	warn_at_start(c, started->notes);
	if (c->opt->verbose > 0)
		report_sizes(c, started);
	for (uint32_t i = 0; i < started->n_interfaces; i++)
		report_listening(c, &started->interfaces[i],
		    c->interfaces[i].snaplen);
	c->state = COLLECT_RUNNING;
	loop_timer_set(c->progress_timer, COLLECT_PROGRESS_NS);
	if (c->stop_asked)
		collect_stop(c);
	if (c->wants_change)
		collect_change_filter(c);
	collect_compile_missing(c);
}

/* --- InterfaceAdded --- */

static int
grow(struct collect *c, const struct msg_capture_interface *iface, struct err *err)
{
	uint32_t n = c->ledger.n_interfaces;
	struct collect_interface *more = realloc(c->interfaces,
	    (n + 1) * sizeof(*more));

	if (more != NULL)
		c->interfaces = more;
	if (more == NULL)
		return err_set(err, E_NOMEM, "capture: interface: out of memory");
	return add_row(c, iface, err);
}

void
collect_on_interface_added(const struct msg_interface_added *added, void *arg)
{
	const struct msg_capture_interface *iface = &added->interface;
	struct collect *c = arg;
	uint32_t n = c->ledger.n_interfaces;
	struct err err;

	if (c->state >= COLLECT_FLUSHING)
		return;
	if (grow(c, iface, &err) != E_OK || note_interface(c, n, iface, &err) != E_OK) {
		/* Its packets can be neither counted nor judged. */
		collect_fail(c, &err);
		collect_flush(c);
		return;
	}
	if (c->output_dead || c->reader_gone)
		return;
	if (write_interface(c, iface, filter_of(c, c->interfaces[n].filter),
	    &err) != E_OK) {
		collect_output_failed(c, &err);
		return;
	}
	outputs_flush(c->out);
	if (collect_may_report(c))
		report_listening(c, iface, c->interfaces[n].snaplen);
	collect_warn_of_travel(c, n);
	collect_compile_missing(c);
}
