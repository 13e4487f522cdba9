/*
 * session_start - from a client's Start to a running capture.
 *
 * Look the interfaces up among those that capagent permits, link a filter
 * for each, have them opened one after the other, then hand the connection
 * over to the capture's thread.
 */
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/bpf_link.h"
#include "common/clock.h"
#include "common/log.h"
#include "server/listener.h"
#include "server/session_int.h"
#include "server/stream.h"

enum {
	RING_DEFAULT = 64 << 20,	/* of a capture, over all its interfaces */
};

static void open_next(struct session *s);

void
session_start_abandon(struct session *s)
{
	for (uint32_t i = 0; s->sockets != NULL && i < s->n_opened; i++) {
		struct captures_socket *sock = &s->sockets[i];

		close(sock->socket.fd);
		(void)priv_call_close(s->net->call, sock->handle, NULL, NULL);
	}
	for (uint32_t i = 0; s->sockets != NULL &&
	    i < s->start.start.n_interfaces; i++)
		free(s->sockets[i].program);
	for (uint32_t i = 0; s->opened != NULL && i < s->n_opened; i++)
		free(s->opened[i].addresses);
	free(s->sockets);
	free(s->opened);
	interfaces_free(s->interfaces);
	s->sockets = NULL;
	s->opened = NULL;
	s->interfaces = NULL;
	s->n_opened = 0;
	if (s->has_start)
		msg_free(&s->start);
	s->has_start = false;
}

static void
refuse(struct session *s, const struct err *err)
{
	session_start_abandon(s);
	session_refuse(s, err);
}

/* Something the client asked for and gets less of: goes into Started. */
static void PRINTF_LIKE(2, 3)
add_note(struct session *s, const char *fmt, ...)
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

static int
check_budget(struct session *s, struct err *err)
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
			if (strcmp(start->interfaces[i], start->interfaces[k]) == 0)
				return err_set(err, E_BADMSG, "interface '%s': "
				    "start: named twice", start->interfaces[i]);
	return E_OK;
}

/* What policy takes away, besides what capagent enforces by itself. */
static void
apply_policy(struct session *s)
{
	struct msg_start *start = &s->start.start;
	const struct priv_setup_config *cfg = &s->net->setup.config;

	if (start->snaplen > cfg->max_snaplen) {
		add_note(s, "snapshot length %u lowered to the agent's maximum of "
		    "%u bytes", start->snaplen, cfg->max_snaplen);
		start->snaplen = cfg->max_snaplen;
	}
	if (!cfg->promiscuous && !start->no_promiscuous) {
		add_note(s, "the agent's configuration allows no promiscuous mode");
		start->no_promiscuous = true;
	}
}

static int
check_start(struct session *s, struct err *err)
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
	for (uint32_t i = 0; i < start->n_programs; i++)
		if (bpf_prog_check(start->programs[i].insns,
		    start->programs[i].n_insns, err) != E_OK)
			return err_wrap(err, "filter: refused");
	apply_policy(s);
	return check_budget(s, err);
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
find_program(const struct msg_start *start, uint32_t link_type)
{
	for (uint32_t i = 0; i < start->n_programs; i++)
		if (start->programs[i].link_type == link_type)
			return &start->programs[i];
	return NULL;
}

static int
set_program(struct session *s, struct captures_socket *sock,
    const struct priv_interface *iface, struct err *err)
{
	const struct msg_start *start = &s->start.start;
	const struct msg_program *program;

	if (start->n_programs == 0)
		return E_OK;
	program = find_program(start, iface->link_type);
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

/* Fill what is known of interface number i before it is opened. */
static int
plan_socket(struct session *s, uint32_t i, const struct priv_interface *iface,
    struct err *err)
{
	const struct msg_start *start = &s->start.start;
	struct captures_socket *sock = &s->sockets[i];

	if ((iface->flags & IFF_UP) == 0)
		return err_set(err, E_IFDOWN, "interface '%s': start: it is down",
		    iface->name);
	sock->socket.fd = -1;
	sock->socket.link = (struct ring_link){
		.link_type = iface->link_type,
		.iface = i,
		.snaplen = start->snaplen,
		.is_cooked = iface->link_type == PRIV_LINK_COOKED,
		.is_loopback = (iface->flags & IFF_LOOPBACK) != 0,
	};
	snprintf(sock->socket.name, sizeof(sock->socket.name), "%s", iface->name);
	sock->prologue = (struct prologue_config){
		.link_type = iface->link_type,
		.is_loopback = (iface->flags & IFF_LOOPBACK) != 0,
		.exact_vlan = start->exact_vlan,
		.snaplen = start->snaplen,
	};
	s->opened[i].index = iface->index;
	return set_program(s, sock, iface, err);
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

static int
plan(struct session *s, const struct priv_interface *permitted, size_t n,
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
		const char *name = start->interfaces[i];
		const struct priv_interface *iface =
		    find_permitted(permitted, n, name);

		rc = iface == NULL ? missing(s, name, err) :
		    plan_socket(s, i, iface, err);
		if (rc != E_OK)
			return rc;
	}
	return E_OK;
}

static uint64_t
opened_ring_bytes(const struct session *s)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < s->n_opened; i++)
		bytes += (uint64_t)s->sockets[i].socket.block_size *
		    s->sockets[i].socket.block_nr;
	return bytes;
}

/* Memory is shared among captures: who gets less is told. */
static void
note_sizes(struct session *s)
{
	const struct msg_start *start = &s->start.start;
	uint64_t ring = start->ring_bytes == 0 ? RING_DEFAULT : start->ring_bytes;
	uint64_t log = start->log_bytes == 0 ? CAPTURES_LOG_DEFAULT :
	    start->log_bytes;
	uint64_t got = opened_ring_bytes(s);

	/* Blocks are large: a little less is rounding. */
	if (got < ring - ring / 8)
		add_note(s, "kernel ring of %llu KiB lowered to %llu KiB: all that "
		    "the agent's ring-memory or the kernel has left",
		    (unsigned long long)ring / 1024,
		    (unsigned long long)got / 1024);
	if (s->log_bytes < log)
		add_note(s, "buffer of %llu KiB lowered to %zu KiB: all that the "
		    "agent's log-memory has left", (unsigned long long)log / 1024,
		    s->log_bytes / 1024);
}

static int
make_started(const struct session *s, struct msg *msg)
{
	struct msg_started *started = &msg->started;

	*msg = (struct msg){ .type = MSG_STARTED };
	started->interfaces = s->opened;
	started->n_interfaces = s->n_opened;
	started->snaplen = s->start.start.snaplen;
	started->log_bytes = s->log_bytes;
	started->start = clock_wall();
	started->ring_bytes = opened_ring_bytes(s);
	memcpy(started->notes, s->notes, sizeof(started->notes));
	return stream_send(s->conn, msg);
}

/* One line that says who captures what: also the audit record. */
static void
log_started(const struct session *s)
{
	const struct msg_start *start = &s->start.start;

	for (uint32_t i = 0; i < s->n_opened; i++)
		log_info(LOG_SESSION, "%s: captures on '%s', filter '%s', snapshot "
		    "length %u%s", s->name, s->opened[i].name, start->filter_text,
		    start->snaplen, s->opened[i].is_promiscuous ?
		    ", promiscuous" : "");
}

/* All sockets are open: the connection goes to the capture's thread. */
static void
hand_over(struct session *s)
{
	struct capture_config cfg = {
		.conn = s->conn,
		.reader = s->reader,
		.policy = s->start.start.drop_newest ? BATCH_LOG_DROP_NEWEST :
		    BATCH_LOG_DROP_OLDEST,
		.max_packets = s->start.start.max_packets,
		.name = s->name,
	};
	struct captures_socket *sockets = s->sockets;
	uint32_t n = s->n_opened;
	struct msg msg;
	struct err err;
	int rc;

	/* Others may have started meanwhile. */
	rc = check_budget(s, &err);
	if (rc == E_OK) {
		cfg.log_bytes = s->log_bytes;
		note_sizes(s);
		rc = make_started(s, &msg);
		err_set(&err, rc, "capture: start: %s", err_text(rc));
	}
	if (rc != E_OK) {
		refuse(s, &err);
		return;
	}
	log_started(s);
	conn_detach(s->conn);
	s->conn = NULL;
	s->reader = NULL;
	s->sockets = NULL;
	if (captures_start(s->net->captures, &cfg, sockets, n, &err) != E_OK)
		log_err(LOG_SESSION, "%s: %s", s->name, err.what);
	session_free(s);
}

static void
opened(const struct err *err, const struct priv_opened *got, void *arg)
{
	struct session *s = arg;
	uint32_t i = s->n_opened;
	struct captures_socket *sock = &s->sockets[i];
	const struct interface_info *info;

	s->request = NULL;
	if (err->code != E_OK) {
		refuse(s, err);
		return;
	}
	sock->handle = got->handle;
	sock->socket.fd = got->fd;
	sock->socket.block_size = got->block_size;
	sock->socket.block_nr = got->block_nr;
	sock->socket.retire_ms = got->retire_ms;
	info = interfaces_find_index(s->interfaces, got->ifindex);
	if (info == NULL || interfaces_to_capture(info, &s->opened[i]) != E_OK) {
		s->opened[i].index = got->ifindex;
		snprintf(s->opened[i].name, sizeof(s->opened[i].name), "%s",
		    got->name);
	}
	s->opened[i].link_type = got->link_type;
	s->opened[i].is_promiscuous = got->is_promiscuous;
	s->n_opened++;
	if (s->n_opened < s->start.start.n_interfaces) {
		open_next(s);
		return;
	}
	if (listener_refresh_own(s->net))
		captures_relink(s->net->captures);
	hand_over(s);
}

static void
open_next(struct session *s)
{
	const struct msg_start *start = &s->start.start;
	struct captures_socket *sock = &s->sockets[s->n_opened];
	uint64_t ring_bytes = start->ring_bytes == 0 ? RING_DEFAULT :
	    start->ring_bytes;
	struct bpf_prog *prog = malloc(sizeof(*prog));
	struct err err;

	err_set(&err, E_NOMEM, "capture: start: out of memory");
	if (prog == NULL ||
	    captures_link(s->net, sock, prog, &err) != E_OK) {
		free(prog);
		refuse(s, &err);
		return;
	}
	s->request = priv_call_open(s->net->call, &(struct priv_open_request){
		.capture = s->capture_number,
		.ifindex = s->opened[s->n_opened].index,
		.link_type = sock->socket.link.link_type,
		.snaplen = start->snaplen,
		.flags = (start->no_promiscuous ? 0u : PRIV_OPEN_PROMISCUOUS) |
		    (sock->socket.link.is_loopback ? PRIV_OPEN_INBOUND : 0u),
		.ring_bytes = ring_bytes / start->n_interfaces,
		.insns = prog->insns,
		.n_insns = prog->n,
	}, opened, s);
	free(prog);
	if (s->request == NULL)
		refuse(s, &err);
}

static void
permitted_known(const struct err *why, const struct priv_interface *permitted,
    size_t n, void *arg)
{
	struct session *s = arg;
	struct err err = *why;

	s->request = NULL;
	if (err.code != E_OK || plan(s, permitted, n, &err) != E_OK) {
		refuse(s, &err);
		return;
	}
	/* Before the first filter is linked. */
	if (listener_refresh_own(s->net))
		captures_relink(s->net->captures);
	open_next(s);
}

void
session_start(struct session *s, struct msg *msg)
{
	struct err err;

	s->start = *msg;
	s->has_start = true;
	*msg = (struct msg){ .type = MSG_PING };	/* its memory is ours now */
	session_set_state(s, SESSION_STARTING);
	s->capture_number = s->number;
	conn_pause(s->conn);
	if (check_start(s, &err) != E_OK) {
		refuse(s, &err);
		return;
	}
	s->request = priv_call_list(s->net->call, permitted_known, s);
	if (s->request == NULL) {
		err_set(&err, E_NOMEM, "capture: start: out of memory");
		refuse(s, &err);
	}
}
