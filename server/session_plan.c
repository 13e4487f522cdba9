/*
 * session_plan - what a Start asks for, checked against policy and what the
 * sensor has: which interfaces, with which filter, in how much memory.
 */
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/session_int.h"

/* Something the client asked for and gets less of: goes into Started. */
void
session_plan_note(struct session *s, const char *fmt, ...)
{
	size_t len = strlen(s->notes);
	va_list ap;

	if (len > 0 && len + 2 < sizeof(s->notes)) {
		memcpy(s->notes + len, "; ", 3);
		len += 2;
	}
	va_start(ap, fmt);
	vsnprintf(s->notes + len, sizeof(s->notes) - len, fmt, ap);
	va_end(ap);
}

int
session_plan_budget(struct session *s, struct err *err)
{
	uint64_t asked = s->start.start.log_bytes;

	s->log_bytes = captures_log_budget(s->net->captures, asked);
	if (s->log_bytes == 0)
		return err_set(err, E_LIMIT, "capture: start: log-memory of the "
		    "agent is used up by other captures");
	return E_OK;
}

static int
check_names(const struct msg_start *start, struct err *err)
{
	for (uint32_t i = 0; i < start->n_interfaces; i++)
		for (uint32_t k = 0; k < i; k++)
			if (strcmp(start->interfaces[i].name,
			    start->interfaces[k].name) == 0)
				return err_set(err, E_BADMSG, "interface '%s': "
				    "start: named twice",
				    start->interfaces[i].name);
	return E_OK;
}

/* What policy takes away, besides what capagent enforces by itself. */
static void
apply_policy(struct session *s)
{
	struct msg_start *start = &s->start.start;
	const struct priv_setup_config *cfg = &s->net->setup.config;

	uint32_t largest = 0;
	bool is_tamed = false;

	for (uint32_t i = 0; i < start->n_interfaces; i++) {
		struct msg_interface_request *r = &start->interfaces[i];

		if (r->snaplen > cfg->max_snaplen) {
			largest = r->snaplen > largest ? r->snaplen : largest;
			r->snaplen = cfg->max_snaplen;
		}
		if (!cfg->promiscuous && !r->no_promiscuous) {
			is_tamed = true;
			r->no_promiscuous = true;
		}
	}
	if (largest > 0)
		session_plan_note(s, "snapshot length %u lowered to the agent's maximum of "
		    "%u bytes", largest, cfg->max_snaplen);
	if (is_tamed)
		session_plan_note(s, "the agent's configuration allows no promiscuous mode");
	if (cfg->has_mandatory)
		session_plan_note(s, "the agent adds its own mandatory filter");
}

static int
check_filter(const struct msg_filter *filter, struct err *err)
{
	for (uint32_t i = 0; i < filter->n_programs; i++)
		if (bpf_prog_check(filter->programs[i].insns,
		    filter->programs[i].n_insns, err) != E_OK)
			return err_wrap(err, "filter: refused");
	return E_OK;
}

int
session_plan_check(struct session *s, struct err *err)
{
	struct msg_start *start = &s->start.start;
	const struct priv_setup_config *cfg = &s->net->setup.config;

	if (s->net->is_ending)
		return err_set(err, E_STATE, "capture: start: the agent is ending");
	if (start->n_interfaces == 0)
		return err_set(err, E_BADMSG, "capture: start: names no interface");
	if (start->n_interfaces > cfg->max_interfaces)
		return err_set(err, E_LIMIT, "capture: start: %u interfaces: "
		    "max-interfaces is %u", start->n_interfaces,
		    cfg->max_interfaces);
	if (check_names(start, err) != E_OK)
		return E_BADMSG;
	for (uint32_t i = 0; i < start->n_filters; i++)
		if (check_filter(&start->filters[i], err) != E_OK)
			return err->code;
	apply_policy(s);
	return session_plan_budget(s, err);
}

/* A number as -D prints it, or 0: names come first. */
static uint32_t
parse_index(const char *name)
{
	char *end;
	unsigned long value;

	if (name[0] < '1' || name[0] > '9')
		return 0;
	value = strtoul(name, &end, 10);
	return *end == '\0' && value <= INT32_MAX ? (uint32_t)value : 0;
}

static const struct priv_interface *
find_permitted(const struct priv_interface *permitted, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(permitted[i].name, name) == 0)
			return &permitted[i];
	for (size_t i = 0; i < n; i++)
		if (permitted[i].index == parse_index(name))
			return &permitted[i];
	return NULL;
}

static const struct msg_program *
find_program(const struct msg_filter *filter, uint32_t link_type)
{
	for (uint32_t i = 0; i < filter->n_programs; i++)
		if (filter->programs[i].link_type == link_type)
			return &filter->programs[i];
	return NULL;
}

static int
set_program(const struct msg_filter *filter, struct captures_socket *sock,
    const struct priv_interface *iface, struct err *err)
{
	const struct msg_program *program;

	if (filter->n_programs == 0)
		return E_OK;
	program = find_program(filter, iface->link_type);
	if (program == NULL)
		return err_set(err, E_FILTER, "interface '%s': start: the filter "
		    "was not compiled for its link type %u", iface->name,
		    iface->link_type);
	sock->program = malloc(sizeof(*sock->program));
	if (sock->program == NULL)
		return err_set(err, E_NOMEM, "filter: out of memory");
	sock->program->n = program->n_insns;
	memcpy(sock->program->insns, program->insns,
	    program->n_insns * sizeof(program->insns[0]));
	return E_OK;
}

static enum prologue_direction
direction_of(enum start_direction direction)
{
	switch (direction) {
	case START_INOUT:
		return PROLOGUE_INOUT;
	case START_IN:
		return PROLOGUE_IN;
	case START_OUT:
		return PROLOGUE_OUT;
	}
	return PROLOGUE_INOUT;
}

/* Fill what is known of interface number i before it is opened. */
static int
plan_socket(struct session *s, uint32_t i, const struct priv_interface *iface,
    struct err *err)
{
	const struct msg_start *start = &s->start.start;
	const struct msg_interface_request *request = &start->interfaces[i];
	const struct msg_filter *filter = &start->filters[request->filter];
	struct captures_socket *sock = &s->sockets[i];

	if ((iface->flags & IFF_UP) == 0)
		return err_set(err, E_IFDOWN, "interface '%s': start: it is down",
		    iface->name);
	sock->socket.fd = -1;
	sock->socket.link = (struct ring_link){
		.link_type = iface->link_type,
		.iface = i,
		.snaplen = request->snaplen,
		.is_cooked = iface->link_type == LINK_SLL2,
		.is_loopback = (iface->flags & IFF_LOOPBACK) != 0,
	};
	snprintf(sock->socket.name, sizeof(sock->socket.name), "%s", iface->name);
	sock->prologue = (struct prologue_config){
		.link_type = iface->link_type,
		.is_cooked = link_type_made_header(iface->link_type) > 0,
		.is_loopback = (iface->flags & IFF_LOOPBACK) != 0,
		.exact_vlan = filter->exact_vlan,
		.direction = direction_of(start->direction),
		.headers_only = start->headers_only,
		.sample = start->sample,
		.sample_flows = start->sample_flows,
		.snaplen = request->snaplen,
	};
	s->opened[i].index = iface->index;
	return set_program(filter, sock, iface, err);
}

static int
missing(const struct session *s, const char *name, struct err *err)
{
	if (interfaces_find_name(s->interfaces, name) != NULL ||
	    interfaces_find_index(s->interfaces, parse_index(name)) != NULL)
		return err_set(err, E_DENIED, "interface '%s': start: not permitted "
		    "by the agent's configuration", name);
	return err_set(err, E_NOIFACE, "interface '%s': start: the sensor has none "
	    "of that name: see -D", name);
}

/* Is this interface one of the first n already? */
static bool
is_planned(const struct session *s, uint32_t n, uint32_t ifindex)
{
	for (uint32_t i = 0; i < n; i++)
		if (s->opened[i].index == ifindex)
			return true;
	return false;
}

int
session_plan(struct session *s, const struct priv_interface *permitted, size_t n,
    struct err *err)
{
	const struct msg_start *start = &s->start.start;
	int rc;

	rc = interfaces_read(&s->interfaces, err);
	if (rc != E_OK)
		return rc;
	s->sockets = calloc(start->n_interfaces, sizeof(*s->sockets));
	s->opened = calloc(start->n_interfaces, sizeof(*s->opened));
	if (s->sockets == NULL || s->opened == NULL)
		return err_set(err, E_NOMEM, "capture: start: out of memory");
	for (uint32_t i = 0; i < start->n_interfaces; i++) {
		const char *name = start->interfaces[i].name;
		const struct priv_interface *iface =
		    find_permitted(permitted, n, name);

		if (iface != NULL && is_planned(s, i, iface->index))
			return err_set(err, E_USAGE, "interface '%s': start: named "
			    "twice, as a name and a number", name);
		rc = iface == NULL ? missing(s, name, err) :
		    plan_socket(s, i, iface, err);
		if (rc != E_OK)
			return rc;
	}
	return E_OK;
}
