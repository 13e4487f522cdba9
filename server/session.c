#include "server/session.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "server/session_int.h"
#include "server/stream.h"

enum {
	HANDSHAKE_S = 10,	/* a half-open connection holds a slot no longer */
	REQUEST_S = 30,		/* hello sent: say what you want */
	CAPAGENT_S = 30,	/* opening a capture, large rings included */
	CLOSE_S = 5,		/* to take the last message */

	READS_PER_TURN = 16,	/* then other clients get their turn */
	UNREAD_MAX = 4 << 20,	/* answers that the client leaves lying */
};

typedef void (*session_op)(struct session *s, struct msg *msg);

static void op_hello(struct session *s, struct msg *msg);
static void op_ping(struct session *s, struct msg *msg);
static void read_messages(struct session *s);

#define IN(state)	(1u << (state))

/* The protocol before a capture: everything not listed is refused. */
static const struct {
	enum msg_type	 type;
	unsigned	 states;
	session_op	 op;
} ops[] = {
	{ MSG_HELLO,		IN(SESSION_GREETING),	op_hello },
	{ MSG_LIST_REQUEST,	IN(SESSION_READY),	session_list },
	{ MSG_START,		IN(SESSION_READY),	session_start },
	{ MSG_RESUME,		IN(SESSION_READY),	session_resume_capture },
	{ MSG_PING,		IN(SESSION_READY),	op_ping },
};

static bool
wants_messages(const struct session *s)
{
	return s->state == SESSION_GREETING || s->state == SESSION_READY;
}

static int64_t
seconds_of(enum session_state state)
{
	switch (state) {
	case SESSION_HANDSHAKE:
	case SESSION_GREETING:
		return HANDSHAKE_S;
	case SESSION_READY:
		return REQUEST_S;
	case SESSION_LISTING:
	case SESSION_STARTING:
	case SESSION_RESUMING:
		return CAPAGENT_S;
	case SESSION_CLOSING:
		return CLOSE_S;
	}
	return CLOSE_S;
}

void
session_set_state(struct session *s, enum session_state state)
{
	s->state = state;
	/* From accept to hello is one stretch. */
	if (state != SESSION_GREETING)
		loop_timer_set(s->timer, seconds_of(state) * NS_PER_S);
}

void
session_free(struct session *s)
{
	session_start_abandon(s);
	*s->prev = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	s->net->n_sessions--;
	loop_timer_free(s->timer);
	loop_timer_free(s->hand_over);
	frame_reader_free(s->reader);
	conn_free(s->conn);
	free(s);
}

void
session_refuse(struct session *s, const struct err *err)
{
	struct msg msg = { .type = MSG_ERROR };

	if (err->code != E_GONE)	/* that is said by who knows why */
		log_warn(LOG_SESSION, "%s: refused: %s", s->name, err->what);
	msg.error.code = err->code;
	snprintf(msg.error.text, sizeof(msg.error.text), "%s", err->what);
	session_set_state(s, SESSION_CLOSING);
	/* When even that cannot be sent, the timer ends the session. */
	if (stream_send(s->conn, &msg) == E_OK)
		conn_finish(s->conn);
}

static void
timed_out(void *arg)
{
	struct session *s = arg;

	if (s->state != SESSION_CLOSING)
		log_warn(LOG_SESSION, "%s: closed: nothing came for %lld s",
		    s->name, (long long)seconds_of(s->state));
	session_free(s);
}

void
session_send(struct session *s, const struct msg *msg)
{
	struct err err;
	int rc = stream_send(s->conn, msg);

	if (rc != E_OK) {
		err_set(&err, rc, "send: %s", err_text(rc));
		session_refuse(s, &err);
	}
}

static void
op_hello(struct session *s, struct msg *msg)
{
	struct msg reply = { .type = MSG_HELLO };
	struct utsname uts;
	struct err err;

	if (msg->hello.version != PROTO_VERSION) {
		err_set(&err, E_VERSION, "protocol version %u: this agent speaks "
		    "%u only", msg->hello.version, PROTO_VERSION);
		session_refuse(s, &err);
		return;
	}
	reply.hello.version = PROTO_VERSION;
	reply.hello.instance = s->net->instance;
	snprintf(reply.hello.program, sizeof(reply.hello.program),
	    "capagent " CAP_VERSION);
	if (uname(&uts) == 0) {
		snprintf(reply.hello.host, sizeof(reply.hello.host), "%s",
		    uts.nodename);
		snprintf(reply.hello.os, sizeof(reply.hello.os), "%s %s",
		    uts.sysname, uts.release);
	}
	session_set_state(s, SESSION_READY);
	session_send(s, &reply);
}

static void
op_ping(struct session *s, struct msg *msg)
{
	struct msg reply = { .type = MSG_PONG };

	reply.pong.client_time_ns = msg->ping.client_time_ns;
	reply.pong.received_ns = reply.pong.sent_ns = clock_wall().ns;
	session_send(s, &reply);
}

static void
dispatch(struct session *s, struct msg *msg)
{
	struct err err;

	if (conn_queued(s->conn) > UNREAD_MAX) {
		err_set(&err, E_LIMIT, "%s: earlier answers are not read",
		    msg_type_name(msg->type));
		session_refuse(s, &err);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		if (ops[i].type == msg->type &&
		    (ops[i].states & IN((unsigned)s->state)) != 0) {
			ops[i].op(s, msg);
			return;
		}
	err_set(&err, E_STATE, "%s: not allowed now", msg_type_name(msg->type));
	session_refuse(s, &err);
}

/* One frame: E_OK, E_AGAIN, or the code it was refused with. */
static int
take_message(struct session *s)
{
	const uint8_t *payload;
	struct msg msg;
	struct err err;
	uint32_t len;
	int rc = frame_reader_next(s->reader, &payload, &len);

	if (rc == E_AGAIN)
		return rc;
	if (rc == E_OK)
		rc = codec_unpack(payload, len, &msg);
	if (rc != E_OK) {
		err_set(&err, rc, "message: %s", err_text(rc));
		session_refuse(s, &err);
		return rc;
	}
	dispatch(s, &msg);
	msg_free(&msg);
	return E_OK;
}

/*
 * A client that asks for a capture has its bytes read on by the capture, so
 * nothing is taken from the reader while capagent works for it.
 */
static void
read_messages(struct session *s)
{
	size_t room;
	uint8_t *space;
	int64_t n;

	for (int reads = 0; wants_messages(s); ) {
		int rc = take_message(s);

		if (rc == E_OK)
			continue;
		if (rc != E_AGAIN || reads++ == READS_PER_TURN)
			return;
		space = frame_reader_space(s->reader, &room);
		n = conn_read(s->conn, space, room);
		if (n < 0)
			return;
		frame_reader_commit(s->reader, (size_t)n);
	}
}

void
session_resume(struct session *s)
{
	if (s->state == SESSION_CLOSING)
		return;
	session_set_state(s, SESSION_READY);
	/* In the reader, and then in the socket. */
	read_messages(s);
	if (wants_messages(s))
		conn_resume(s->conn);
}

static void
secured(struct session *s)
{
	if (conn_peer_name(s->conn, s->identity, sizeof(s->identity)) != E_OK)
		s->identity[0] = '\0';
	snprintf(s->name, sizeof(s->name), "session %u %s@%s", s->number,
	    s->identity[0] != '\0' ? s->identity : "?", s->peer_text);
	s->reader = frame_reader_new(PROTO_MAX_MESSAGE);
	if (s->reader == NULL) {
		log_err(LOG_SESSION, "%s: closed: out of memory", s->name);
		session_free(s);
		return;
	}
	session_set_state(s, SESSION_GREETING);
}

static void
on_conn(struct conn *conn, enum conn_event event, void *arg)
{
	struct session *s = arg;

	switch (event) {
	case CONN_EV_SECURED:
		secured(s);
		return;
	case CONN_EV_DATA:
		read_messages(s);
		return;
	case CONN_EV_LOW_WATER:
		return;
	case CONN_EV_ERROR:
		log_warn(LOG_SESSION, "%s: %s", s->name, conn_error(conn)->what);
		session_free(s);
		return;
	case CONN_EV_CLOSED:
		log_debug(LOG_SESSION, "%s: closed by the client", s->name);
		session_free(s);
		return;
	case CONN_EV_SENT:
		session_free(s);
		return;
	}
}

static void
format_peer(struct session *s)
{
	char host[INET6_ADDRSTRLEN] = "?";

	if (s->peer.ss_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)&s->peer;

		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		snprintf(s->peer_text, sizeof(s->peer_text), "%s:%u", host,
		    ntohs(in->sin_port));
	} else {
		const struct sockaddr_in6 *in6 = (const void *)&s->peer;

		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		snprintf(s->peer_text, sizeof(s->peer_text), "[%s]:%u", host,
		    ntohs(in6->sin6_port));
	}
	snprintf(s->name, sizeof(s->name), "session %u %s", s->number,
	    s->peer_text);
}

static bool
is_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family == AF_INET)
		return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
		    ((const struct sockaddr_in *)b)->sin_addr.s_addr;
	return memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
	    &((const struct sockaddr_in6 *)b)->sin6_addr,
	    sizeof(struct in6_addr)) == 0;
}

static bool
is_over_limit(const struct net *net, const struct sockaddr_storage *peer)
{
	unsigned same = 0;

	if (net->n_sessions >= SESSION_MAX)
		return true;
	for (const struct session *s = net->sessions; s != NULL; s = s->next)
		if (is_same_host(&s->peer, peer))
			same++;
	return same >= SESSION_MAX_PER_PEER;
}

void
session_accept(struct net *net, int fd, const struct sockaddr_storage *peer)
{
	struct session *s;
	struct err err;

	if (net->is_ending || is_over_limit(net, peer)) {
		if (!net->is_ending)
			log_warn(LOG_SESSION, "connection refused: too many "
			    "clients that do not say what they want");
		close(fd);
		return;
	}
	s = calloc(1, sizeof(*s));
	if (s == NULL) {
		close(fd);
		log_err(LOG_SESSION, "connection refused: out of memory");
		return;
	}
	s->net = net;
	s->number = ++net->session_number;
	s->peer = *peer;
	format_peer(s);
	s->timer = loop_timer_new(net->loop, timed_out, s);
	s->conn = s->timer == NULL ? NULL :
	    conn_accept(net->loop, net->tls, fd, on_conn, s, &err);
	if (s->conn == NULL) {
		if (s->timer == NULL)
			close(fd);
		loop_timer_free(s->timer);
		free(s);
		log_err(LOG_SESSION, "connection refused: out of memory");
		return;
	}
	s->next = net->sessions;
	if (s->next != NULL)
		s->next->prev = &s->next;
	s->prev = &net->sessions;
	net->sessions = s;
	net->n_sessions++;
	session_set_state(s, SESSION_HANDSHAKE);
}

/* Best effort: who does not read now hears of it by the closed connection. */
static void
tell_end(struct session *s)
{
	struct msg msg = { .type = MSG_ERROR, .error = { .code = E_PEERGONE } };

	if (s->state == SESSION_HANDSHAKE || s->state == SESSION_CLOSING)
		return;
	snprintf(msg.error.text, sizeof(msg.error.text), "the agent is ending");
	(void)!stream_send(s->conn, &msg);
}

void
session_close_all(struct net *net)
{
	while (net->sessions != NULL) {
		tell_end(net->sessions);
		session_free(net->sessions);
	}
}
