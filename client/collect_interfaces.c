/*
 * collect_interfaces - which interface of the agent's capture is which of the
 * output's, and how it is told about.
 */
#include "client/collect_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	NAME_LEN = ADDRESS_HOST_LEN + 2 * PROTO_MAX_NAME + 3,
	/* Of all captures of an output together: an agent can name new ones for ever. */
	ROWS_MAX = 4 * PROTO_MAX_INTERFACES,
};

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
format_name(const struct collect *c, const char *network_namespace, const char *name,
    char dst[static NAME_LEN])
{
	bool is_own = network_namespace[0] == '\0';

	snprintf(dst, NAME_LEN, "%s:%s%s%s", c->opt->sensor.host, network_namespace,
	    is_own ? "" : "/", name);
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

	format_name(c, iface->network_namespace, iface->name, name);
	describe(c, iface, filter, comment, sizeof(comment));
	rc = outputs_add_interface(c->out, &si, &hint, err);
	if (rc == E_OK && hint != NULL)
		collect_report(c, hint);
	return rc;
}

static void
report_listening(struct collect *c, const struct msg_capture_interface *iface,
    uint32_t snaplen)
{
	char name[2 * PROTO_MAX_NAME + 2];

	snprintf(name, sizeof(name), "%s%s%s", iface->network_namespace,
	    iface->network_namespace[0] == '\0' ? "" : "/", iface->name);
	ui_text_listening(&c->ui, c->opt->sensor.host, name, iface->link_type,
	    snaplen);
}

void
collect_report_listening(struct collect *c, const struct msg_started *started)
{
	for (uint32_t i = 0; i < started->n_interfaces; i++)
		report_listening(c, &started->interfaces[i],
		    c->interfaces[c->map[i]].snaplen);
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

/* --- rows --- */

/* One row more, with nothing in it yet but its name. */
static int
add_row(struct collect *c, const char *network_namespace, const char *name,
    uint32_t *ret_row, struct err *err)
{
	uint32_t n = c->ledger.n_interfaces;
	struct collect_interface *more = n == ROWS_MAX ? NULL :
	    realloc(c->interfaces, (n + 1) * sizeof(*more));
	char full[NAME_LEN];

	if (n == ROWS_MAX)
		return err_set(err, E_TOOBIG, "capture: interface: more than %d in one "
		    "output: give another file", (int)ROWS_MAX);
	if (more == NULL)
		return err_set(err, E_NOMEM, "capture: interface: out of memory");
	c->interfaces = more;
	format_name(c, network_namespace, name, full);
	if (ledger_add_interface(&c->ledger, full) < 0)
		return err_set(err, E_NOMEM, "capture: interface: out of memory");
	more[n] = (struct collect_interface){ .capture = UINT32_MAX };
	snprintf(more[n].name, sizeof(more[n].name), "%s", name);
	snprintf(more[n].network_namespace, sizeof(more[n].network_namespace), "%s",
	    network_namespace);
	*ret_row = n;
	return E_OK;
}

/* What the agent says of the interface of this row in this capture. */
static int
fill_row(struct collect *c, uint32_t row, const struct msg_capture_interface *iface,
    struct err *err)
{
	const struct options *opt = c->opt;
	uint32_t request = iface->request < opt->n_interfaces ? iface->request : 0;
	struct collect_interface *i = &c->interfaces[row];

	i->capture = c->capture.number;
	i->index = iface->index;
	i->link_type = iface->link_type;
	i->snaplen = iface->snaplen > 0 ? iface->snaplen : PROTO_MAX_SNAPLEN;
	i->filter = opt->interfaces[request].filter;
	i->newest_place = iface->filter_place;
	return collect_set_place(c, row, iface->filter_place, err);
}

/* The row of an interface that the capture before this one had, too. */
static uint32_t
find_row(const struct collect *c, const struct msg_capture_interface *iface)
{
	for (uint32_t i = 0; i < c->ledger.n_interfaces; i++) {
		const struct collect_interface *row = &c->interfaces[i];

		if (row->capture != c->capture.number &&
		    row->link_type == iface->link_type &&
		    strcmp(row->name, iface->name) == 0 &&
		    strcmp(row->network_namespace, iface->network_namespace) == 0)
			return i;
	}
	return UINT32_MAX;
}

static int
new_row(struct collect *c, const struct msg_capture_interface *iface,
    uint32_t *ret_row, struct err *err)
{
	int rc = add_row(c, iface->network_namespace, iface->name, ret_row, err);

	if (rc == E_OK)
		rc = fill_row(c, *ret_row, iface, err);
	if (rc != E_OK || c->output_dead || c->reader_gone)
		return rc;
	return write_interface(c, iface, filter_of(c, c->interfaces[*ret_row].filter),
	    err);
}

/* The agent's next number. */
static int
append_to_map(struct collect *c, uint32_t row, struct err *err)
{
	uint32_t *map = realloc(c->map, (c->n_map + 1) * sizeof(*map));

	if (map == NULL)
		return err_set(err, E_NOMEM, "capture: interface: out of memory");
	c->map = map;
	map[c->n_map++] = row;
	return E_OK;
}

static int
map_next(struct collect *c, const struct msg_capture_interface *iface, bool is_anew,
    struct err *err)
{
	uint32_t row = is_anew ? find_row(c, iface) : UINT32_MAX;
	bool is_known = row != UINT32_MAX;
	int rc = is_known ? fill_row(c, row, iface, err) :
	    new_row(c, iface, &row, err);

	if (rc == E_OK)
		rc = append_to_map(c, row, err);
	if (rc == E_OK && !is_known && c->state != COLLECT_CONNECTING)
		report_listening(c, iface, c->interfaces[row].snaplen);
	return rc;
}

/* It goes on with the interfaces that we know, or it is another capture. */
static int
check_known(struct collect *c, uint32_t n, const struct msg_capture_interface *iface,
    struct err *err)
{
	struct collect_interface *row = &c->interfaces[c->map[n]];

	if (row->link_type != iface->link_type || strcmp(row->name, iface->name) != 0)
		return err_set(err, E_BADMSG, "%s: the agent resumed a capture of other "
		    "interfaces", sensor_name(c->sensor));
	/* A run before us knew where its packets are filtered. */
	return row->capture == c->capture.number ? E_OK :
	    fill_row(c, c->map[n], iface, err);
}

int
collect_map_interfaces(struct collect *c, const struct msg_started *started,
    bool is_anew, struct err *err)
{
	int rc = E_OK;

	if (is_anew)
		c->n_map = 0;
	for (uint32_t i = 0; i < started->n_interfaces && rc == E_OK; i++)
		rc = i < c->n_map ? check_known(c, i, &started->interfaces[i], err) :
		    map_next(c, &started->interfaces[i], is_anew, err);
	return rc;
}

int
collect_declare_known(struct collect *c, struct err *err)
{
	char name[NAME_LEN];
	const char *hint;
	int rc = E_OK;

	for (uint32_t i = 0; i < c->ledger.n_interfaces && rc == E_OK; i++) {
		struct sink_interface si = { .name = name, .description = "", .os = "",
		    .filter = "", .comment = "",
		    .link_type = c->interfaces[i].link_type };

		format_name(c, c->interfaces[i].network_namespace,
		    c->interfaces[i].name, name);
		rc = outputs_add_known_interface(c->out, &si, &hint, err);
	}
	return rc;
}

/* --- of the run before --- */

int
collect_restore_interfaces(struct collect *c, const struct resume_state *state,
    struct err *err)
{
	uint32_t row;
	int rc = E_OK;

	for (uint32_t i = 0; i < state->n_rows && rc == E_OK; i++) {
		const struct resume_row *r = &state->rows[i];

		rc = add_row(c, r->network_namespace, r->name, &row, err);
		if (rc != E_OK)
			break;
		c->interfaces[row].link_type = r->link_type;
		if (ledger_import(&c->ledger, row, &r->counters) != E_OK)
			rc = err_set(err, E_OUTPUT, "'%s': resume: its record cannot "
			    "be right", c->opt->output);
	}
	for (uint32_t i = 0; i < state->n_map && rc == E_OK; i++)
		rc = append_to_map(c, state->map[i], err);
	return rc;
}

/* --- InterfaceAdded --- */

void
collect_on_interface_added(const struct msg_interface_added *added, void *arg)
{
	const struct msg_capture_interface *iface = &added->interface;
	struct collect *c = arg;
	struct err err;
	uint32_t row;
	int rc;

	if (c->state >= COLLECT_FLUSHING)
		return;
	rc = new_row(c, iface, &row, &err);
	if (rc == E_OK)
		rc = append_to_map(c, row, &err);
	if (rc != E_OK && (err.code == E_OUTPUT || err.code == E_NOSPACE)) {
		collect_output_failed(c, &err);
		return;
	}
	if (rc != E_OK) {
		/* Its packets can be neither counted nor judged. */
		collect_abort(c, &err);
		return;
	}
	if (c->output_dead || c->reader_gone)
		return;
	outputs_flush(c->out);
	if (collect_may_report(c))
		report_listening(c, iface, c->interfaces[row].snaplen);
	collect_warn_of_travel(c, row);
	collect_compile_missing(c);
}
