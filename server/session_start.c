/*
 * session_start - from a client's Start to a running capture.
 *
 * Check it (session_check.c), have the sensor's interfaces listed, plan the
 * sockets (session_plan.c), have them opened one after the other, each with a
 * filter linked for it, then hand the connection over to the capture's
 * thread.  A Start whose filter lacks a program is answered with what is
 * missing, one that only asks for the plan with that (plan.c); the session
 * then serves on.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "server/own_addresses.h"
#include "server/session_int.h"
#include "server/stream.h"
#include "server/wanted.h"

enum { ROUNDS_MAX = 3 };	/* a client that never sends what is missing */

static void open_next(struct session *s);

/* Release what belongs to sockets that the capture does not take. */
static void
drop_sockets(struct session *s)
{
	for (uint32_t i = 0; i < s->n_sockets; i++) {
		if (i < s->n_opened)
			open_one_close(s->net, &s->sockets[i]);
		free(s->sockets[i].info.addresses);
	}
	free(s->sockets);
	s->sockets = NULL;
	s->n_sockets = s->n_opened = 0;
}

void
session_start_abandon(struct session *s)
{
	open_one_cancel(s->opening);
	s->opening = NULL;
	plan_free(s->plan);
	s->plan = NULL;
	drop_sockets(s);
	survey_free(s->survey);
	s->survey = NULL;
	s->need.n = 0;
	s->notes[0] = '\0';
	s->n_notes = 0;
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

/* --- it runs --- */

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
	uint64_t ring = start->ring_bytes == 0 ? CAPTURES_RING_DEFAULT :
	    start->ring_bytes;
	uint64_t log = start->log_bytes == 0 ? CAPTURES_LOG_DEFAULT :
	    start->log_bytes;
	uint64_t got = opened_ring_bytes(s);

	/* Blocks are large: a little less is rounding. */
	if (got < ring - ring / 8)
		session_note(s, "kernel ring of %llu KiB lowered to %llu KiB: all that "
		    "the agent's ring-memory or the kernel has left",
		    (unsigned long long)ring / 1024,
		    (unsigned long long)got / 1024);
	if (s->log_bytes < log)
		session_note(s, "buffer of %llu KiB lowered to %zu KiB: all that the "
		    "agent's log-memory has left", (unsigned long long)log / 1024,
		    s->log_bytes / 1024);
}

/* *started has an array to free; the texts in it are the sockets'. */
static int
send_started(const struct session *s, const struct resume_key *key,
    struct msg_started *started)
{
	struct msg msg = { .type = MSG_STARTED };

	started->interfaces = calloc(s->n_opened, sizeof(*started->interfaces));
	if (started->interfaces == NULL)
		return E_NOMEM;
	started->n_interfaces = s->n_opened;
	for (uint32_t i = 0; i < s->n_opened; i++) {
		started->interfaces[i] = s->sockets[i].info;
		if (s->sockets[i].info.snaplen > started->snaplen)
			started->snaplen = s->sockets[i].info.snaplen;
	}
	started->log_bytes = s->log_bytes;
	started->start = clock_wall();
	started->ring_bytes = opened_ring_bytes(s);
	memcpy(started->notes, s->notes, sizeof(started->notes));
	started->capture_id = key->capture_id;
	started->token = key->token;
	started->has_token = key->has_token;
	started->linger_ms = s->start.start.linger_ms;
	started->heartbeat_ms = s->start.start.heartbeat_ms;
	started->next_sequence = 1;
	msg.started = *started;
	return stream_send(s->conn, &msg);
}

/* One line that says who captures what: also the audit record. */
static void
log_started(const struct session *s)
{
	const struct msg_start *start = &s->start.start;

	for (uint32_t i = 0; i < s->n_opened; i++) {
		const struct captures_socket *sock = &s->sockets[i];
		const struct msg_interface_request *asked =
		    &start->interfaces[sock->request];

		log_info(LOG_SESSION, "%s: captures on '%s%s%s', filter '%s', "
		    "snapshot length %u%s", s->name, sock->network_namespace,
		    sock->network_namespace[0] == '\0' ? "" : "/", sock->info.name,
		    start->filters[asked->filter].text, asked->snaplen,
		    sock->info.is_promiscuous ? ", promiscuous" : "");
	}
}

/* Who rejects packets on arrival counts them there, too. */
static uint64_t
max_packets(const struct session *s)
{
	for (uint32_t i = 0; i < s->n_opened; i++)
		if (s->sockets[i].place == FILTER_CLIENT)
			return 0;
	return s->start.start.max_packets;
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
		.max_packets = max_packets(s),
		.max_duration_ms = s->start.start.max_duration_ms,
		.number = s->number,
		.name = s->name,
	};
	struct captures_socket *sockets = s->sockets;
	struct msg_started started = { 0 };
	struct resume_key key;
	uint32_t n = s->n_opened;
	struct err err;
	int rc;

	/* Others may have started meanwhile. */
	rc = session_check_budget(s, &err);
	if (rc == E_OK)
		rc = resume_key_make(&key, s->start.start.linger_ms > 0, s->identity,
		    &err);
	if (rc == E_OK) {
		cfg.log_bytes = s->log_bytes;
		note_sizes(s);
		rc = send_started(s, &key, &started);
		err_set(&err, rc, "capture: start: %s", err_text(rc));
	}
	if (rc != E_OK) {
		free(started.interfaces);
		refuse(s, &err);
		return;
	}
	cfg.started = &started;
	log_started(s);
	conn_detach(s->conn);
	s->conn = NULL;
	s->reader = NULL;
	s->sockets = NULL;
	s->n_sockets = s->n_opened = 0;
	s->has_start = false;
	if (captures_start(s->net->captures, &cfg, &key, &s->start.start, sockets, n,
	    s->survey, &err) != E_OK)
		log_err(LOG_SESSION, "%s: %s", s->name, err.what);
	free(started.interfaces);
	session_free(s);
}

/* --- opening --- */

/* Take the socket that could not be opened out of the list; the rest moves up. */
static void
leave_out(struct session *s)
{
	struct captures_socket *sock = &s->sockets[s->n_opened];

	free(sock->info.addresses);
	s->n_sockets--;
	memmove(sock, sock + 1, (s->n_sockets - s->n_opened) * sizeof(*sock));
	for (uint32_t i = s->n_opened; i < s->n_sockets; i++)
		s->sockets[i].socket.link.iface = i;
}

/*
 * Interfaces come and go while they are opened one after the other: one that a
 * pattern found is no loss, and is captured when it is there again.
 */
static bool
can_do_without(const struct session *s, int code)
{
	const struct captures_socket *sock = &s->sockets[s->n_opened];

	return (code == E_NOIFACE || code == E_IFDOWN) && s->n_sockets > 1 &&
	    wanted_is_pattern(&s->start.start.interfaces[sock->request]);
}

static void
opened(const struct err *err, struct captures_socket *sock, void *arg)
{
	struct session *s = arg;

	(void)sock;
	s->opening = NULL;
	if (err->code == E_OK)
		s->n_opened++;
	else if (can_do_without(s, err->code))
		leave_out(s);
	else {
		refuse(s, err);
		return;
	}
	if (err->what[0] != '\0')
		session_note_interface(s, err->what);
	session_set_state(s, SESSION_STARTING);		/* time for the next one */
	if (s->n_opened < s->n_sockets) {
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
	struct captures_socket *sock = &s->sockets[s->n_opened];
	struct err err;

	s->opening = open_one_start(s->net, &(struct open_one_config){
		.s = sock,
		.start = &s->start.start,
		.capture_number = s->number,
		.ring_bytes = s->ring_bytes,
		.netns = sock->netns,
		.ifindex = sock->info.index,
	}, opened, s, &err);
	if (s->opening == NULL)
		refuse(s, &err);
}

/* --- what else a Start can come to --- */

/* It was answered: the client may say what it wants once more. */
static void
start_over(struct session *s)
{
	session_start_abandon(s);
	session_resume(s);
}

static void
send_need(struct session *s)
{
	struct msg msg = { .type = MSG_NEED_PROGRAMS, .need_programs = s->need };
	struct err err;

	if (s->n_rounds++ == ROUNDS_MAX) {
		err_set(&err, E_FILTER, "filter: still not compiled for link type %u, "
		    "which the agent asked for", s->need.link_types[0]);
		refuse(s, &err);
		return;
	}
	session_send(s, &msg);
	start_over(s);
}

/* A plan has each interface's program, and is one message. */
static void
refuse_plan(struct session *s, int code)
{
	struct err err;

	if (code == E_TOOBIG)
		err_set(&err, E_LIMIT, "plan: the programs of %u interfaces are more than "
		    "a message of %d KiB holds: ask for the plan of fewer interfaces at a "
		    "time", s->n_sockets, PROTO_MAX_MESSAGE / 1024);
	else
		err_set(&err, code, "plan: send: %s", err_text(code));
	refuse(s, &err);
}

static void
planned(const struct err *err, const struct msg_plan *plan, void *arg)
{
	struct msg msg = { .type = MSG_PLAN };
	struct session *s = arg;
	int rc;

	if (err->code != E_OK) {
		refuse(s, err);
		return;
	}
	msg.plan = *plan;
	msg.plan.log_bytes = s->log_bytes;
	memcpy(msg.plan.notes, s->notes, sizeof(msg.plan.notes));
	rc = stream_send(s->conn, &msg);
	if (rc == E_OK)
		start_over(s);
	else
		refuse_plan(s, rc);
}

static void
begin_plan(struct session *s)
{
	struct err err;

	s->plan = plan_start(s->net, &(struct plan_config){
		.start = &s->start.start,
		.sockets = s->sockets,
		.n_sockets = s->n_sockets,
		.ring_bytes = s->ring_bytes,
		.capture_number = s->number,
	}, planned, s, &err);
	if (s->plan == NULL)
		refuse(s, &err);
}

static void
surveyed(const struct err *why, void *arg)
{
	struct session *s = arg;
	struct err err = *why;

	if (err.code != E_OK || session_plan(s, &err) != E_OK) {
		refuse(s, &err);
		return;
	}
	if (s->need.n > 0) {
		send_need(s);
		return;
	}
	/* Before the first filter is linked. */
	if (own_addresses_refresh(s->net))
		captures_relink(s->net->captures);
	if (s->start.start.plan_only)
		begin_plan(s);
	else
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
	conn_pause(s->conn);
	if (session_check(s, &err) == E_OK)
		s->survey = survey_start(s->net, &s->start.start, surveyed, s, &err);
	if (s->survey == NULL)
		refuse(s, &err);
}
