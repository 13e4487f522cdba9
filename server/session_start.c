/*
 * session_start - from a client's Start to a running capture.
 *
 * Plan it (session_plan.c), have the interfaces opened one after the other,
 * each with a filter linked for it, then hand the connection over to the
 * capture's thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/bpf_link.h"
#include "common/clock.h"
#include "common/log.h"
#include "server/own_addresses.h"
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
		session_plan_note(s, "kernel ring of %llu KiB lowered to %llu KiB: all that "
		    "the agent's ring-memory or the kernel has left",
		    (unsigned long long)ring / 1024,
		    (unsigned long long)got / 1024);
	if (s->log_bytes < log)
		session_plan_note(s, "buffer of %llu KiB lowered to %zu KiB: all that the "
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
	for (uint32_t i = 0; i < s->n_opened; i++)
		if (s->opened[i].snaplen > started->snaplen)
			started->snaplen = s->opened[i].snaplen;
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
		    "length %u%s", s->name, s->opened[i].name,
		    start->filters[start->interfaces[i].filter].text,
		    s->opened[i].snaplen, s->opened[i].is_promiscuous ?
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
	rc = session_plan_budget(s, &err);
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
	sock->socket.ifindex = got->ifindex;
	info = interfaces_find_index(s->interfaces, got->ifindex);
	if (info == NULL || interfaces_to_capture(info, &s->opened[i]) != E_OK) {
		s->opened[i].index = got->ifindex;
		snprintf(s->opened[i].name, sizeof(s->opened[i].name), "%s",
		    got->name);
	}
	s->opened[i].link_type = got->link_type;
	s->opened[i].is_promiscuous = got->is_promiscuous;
	s->opened[i].request = i;
	s->opened[i].snaplen = sock->prologue.snaplen;
	s->n_opened++;
	if (s->n_opened < s->start.start.n_interfaces) {
		open_next(s);
		return;
	}
	if (own_addresses_refresh(s->net))
		captures_relink(s->net->captures);
	hand_over(s);
}

static void
open_next(struct session *s)
{
	const struct msg_start *start = &s->start.start;
	const struct msg_interface_request *request =
	    &start->interfaces[s->n_opened];
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
		.snaplen = request->snaplen,
		.flags = (request->no_promiscuous ? 0u : PRIV_OPEN_PROMISCUOUS) |
		    (sock->socket.link.is_loopback ||
		    start->direction == START_IN ? PRIV_OPEN_INBOUND : 0u),
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
	if (err.code != E_OK || session_plan(s, permitted, n, &err) != E_OK) {
		refuse(s, &err);
		return;
	}
	/* Before the first filter is linked. */
	if (own_addresses_refresh(s->net))
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
	if (session_plan_check(s, &err) != E_OK) {
		refuse(s, &err);
		return;
	}
	s->request = priv_call_list(s->net->call, permitted_known, s);
	if (s->request == NULL) {
		err_set(&err, E_NOMEM, "capture: start: out of memory");
		refuse(s, &err);
	}
}
