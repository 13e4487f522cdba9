#include "client/sensor.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/conn.h"
#include "common/log.h"
#include "proto/frame.h"

enum {
	CONNECT_S = 10,		/* for each address, handshake and hello too */
	ANSWER_S = 40,		/* more than the agent gives its own opener */
	PING_S = 2,
	SILENCE_S = 15,		/* several pings without an answer: dead */
	MESSAGES_PER_TURN = 64,
};

enum sensor_state {
	SENSOR_CONNECTING,	/* TCP and TLS */
	SENSOR_GREETING,	/* our hello is sent */
	SENSOR_READY,
	SENSOR_LISTING,
	SENSOR_STARTING,
	SENSOR_STREAMING,
	SENSOR_DONE,
};

struct sensor {
	struct loop	*loop;
	struct tls	*tls;
	const struct sensor_events *events;
	void		*arg;
	char		 name[ADDRESS_HOST_LEN + 80];
	char		 server_name[ADDRESS_HOST_LEN];
	struct addrinfo	*addresses, *next;	/* all, and the next to try */
	struct conn	*conn;
	struct frame_reader *reader;
	struct loop_timer *timer;		/* the current step's limit */
	struct loop_timer *ping_timer;
	struct loop_timer *again;		/* the rest of a long turn */
	struct loop_timer *start;
	enum sensor_state state;
	struct mono_ns	 heard;			/* when something last came */
	struct mono_ns	 pinged;		/* when the ping timer last ran */
	uint64_t	 next_sequence;
	uint32_t	 n_interfaces;
	bool		 is_paused;
	bool		 is_freed, in_turn;
	struct err	 last_err;		/* of the address tried last */
};

static void on_conn(struct conn *conn, enum conn_event event, void *arg);
static void try_next(struct sensor *s);

static void
destroy(struct sensor *s)
{
	if (s->addresses != NULL)
		freeaddrinfo(s->addresses);
	frame_reader_free(s->reader);
	free(s);
}

void
sensor_free(struct sensor *s)
{
	if (s == NULL)
		return;
	conn_free(s->conn);
	s->conn = NULL;
	loop_timer_free(s->timer);
	loop_timer_free(s->ping_timer);
	loop_timer_free(s->again);
	loop_timer_free(s->start);
	s->timer = s->ping_timer = s->again = s->start = NULL;
	s->state = SENSOR_DONE;
	/* A message of this sensor is being handled: its reader is in use. */
	if (s->in_turn)
		s->is_freed = true;
	else
		destroy(s);
}

const char *
sensor_name(const struct sensor *s)
{
	return s->name;
}

static void
set_state(struct sensor *s, enum sensor_state state, int64_t limit_s)
{
	s->state = state;
	if (limit_s > 0)
		loop_timer_set(s->timer, limit_s * NS_PER_S);
	else
		loop_timer_stop(s->timer);
}

static void
done(struct sensor *s)
{
	set_state(s, SENSOR_DONE, 0);
	loop_timer_stop(s->ping_timer);
	/* What still comes is read by nobody and would wake the loop for ever. */
	if (s->conn != NULL)
		conn_pause(s->conn);
}

static void
fail(struct sensor *s, const struct err *err)
{
	struct err copy = *err;

	if (s->state == SENSOR_DONE)
		return;
	done(s);
	s->events->failed(&copy, s->arg);
}

static void
fail_with(struct sensor *s, int code, const char *what)
{
	struct err err;

	err_set(&err, code, "%s: %s", s->name, what);
	fail(s, &err);
}

static int
send_msg(struct sensor *s, const struct msg *msg)
{
	uint8_t *frame;
	size_t len;
	int rc = codec_pack(msg, &frame, &len);

	if (rc == E_OK) {
		rc = conn_send(s->conn, frame, len);
		free(frame);
	}
	return rc;
}

/* A broken connection is reported by its own event. */
static void
send_or_fail(struct sensor *s, const struct msg *msg)
{
	int rc = send_msg(s, msg);

	if (rc == E_NOMEM || rc == E_TOOBIG)
		fail_with(s, rc, err_text(rc));
}

/* --- what the agent says --- */

static void
take_hello(struct sensor *s, const struct msg_hello *hello)
{
	if (hello->version != PROTO_VERSION) {
		fail_with(s, E_VERSION, "the agent speaks another version of the "
		    "protocol");
		return;
	}
	set_state(s, SENSOR_READY, 0);
	loop_timer_set(s->ping_timer, (int64_t)PING_S * NS_PER_S);
	s->events->hello(hello, s->arg);
}

static void
take_started(struct sensor *s, const struct msg_started *started)
{
	if (started->n_interfaces == 0) {
		fail_with(s, E_BADMSG, "the agent started a capture without an "
		    "interface");
		return;
	}
	s->n_interfaces = started->n_interfaces;
	set_state(s, SENSOR_STREAMING, 0);
	s->events->started(started, s->arg);
}

static void
take_gap(struct sensor *s, const struct msg_gap *gap)
{
	if (gap->first_sequence != s->next_sequence ||
	    gap->last_sequence < gap->first_sequence ||
	    gap->last_sequence == UINT64_MAX) {
		fail_with(s, E_BADMSG, "the agent reported a gap out of sequence");
		return;
	}
	s->next_sequence = gap->last_sequence + 1;
	s->events->gap(gap, s->arg);
}

static void
take_ended(struct sensor *s, const struct msg_ended *ended)
{
	if (ended->last_sequence != s->next_sequence - 1 ||
	    ended->stats.n_interfaces != s->n_interfaces) {
		fail_with(s, E_BADMSG, "the agent's last count does not agree with "
		    "what it sent");
		return;
	}
	done(s);
	s->events->ended(ended, s->arg);
}

static void
take_error(struct sensor *s, const struct msg_error *error)
{
	struct err err;

	err_set(&err, error->code == E_OK ? E_BADMSG : error->code,
	    "%s: refused: %.160s", s->name,
	    error->text[0] == '\0' ? err_text(error->code) : error->text);
	fail(s, &err);
}

/* The messages of an agent and the states in which it may send them. */
static bool
is_allowed(enum sensor_state state, enum msg_type type)
{
	switch (type) {
	case MSG_ERROR:
		return true;
	case MSG_HELLO:
		return state == SENSOR_GREETING;
	case MSG_INTERFACE_LIST:
		return state == SENSOR_LISTING;
	case MSG_STARTED:
		return state == SENSOR_STARTING;
	case MSG_PONG:
		return state >= SENSOR_READY;
	case MSG_PACKET_BATCH:
	case MSG_GAP:
	case MSG_STATS:
	case MSG_ENDED:
	case MSG_NOTE:
		return state == SENSOR_STREAMING;
	case MSG_LIST_REQUEST:
	case MSG_START:
	case MSG_ACK:
	case MSG_STOP:
	case MSG_PING:
		return false;
	}
	return false;
}

static void
take_msg(struct sensor *s, const struct msg *msg)
{
	if (!is_allowed(s->state, msg->type)) {
		fail_with(s, E_STATE, "the agent sent a message that is not "
		    "allowed now");
		return;
	}
	switch (msg->type) {
	case MSG_ERROR:
		take_error(s, &msg->error);
		return;
	case MSG_HELLO:
		take_hello(s, &msg->hello);
		return;
	case MSG_INTERFACE_LIST:
		done(s);
		s->events->list(&msg->interface_list, s->arg);
		return;
	case MSG_STARTED:
		take_started(s, &msg->started);
		return;
	case MSG_GAP:
		take_gap(s, &msg->gap);
		return;
	case MSG_STATS:
		if (msg->stats.n_interfaces != s->n_interfaces)
			fail_with(s, E_BADMSG, "the agent counts for other "
			    "interfaces than it captures on");
		else
			s->events->stats(&msg->stats, s->arg);
		return;
	case MSG_ENDED:
		take_ended(s, &msg->ended);
		return;
	case MSG_NOTE:
		s->events->note(msg->note.text, s->arg);
		return;
	default:
		return;		/* Pong: that it came is all we need */
	}
}

static void
take_batch(struct sensor *s, const uint8_t *payload, uint32_t len)
{
	struct batch_reader batch;

	if (s->state != SENSOR_STREAMING) {
		fail_with(s, E_STATE, "the agent sent packets before the capture");
		return;
	}
	if (batch_reader_init(&batch, payload, len, s->n_interfaces) != E_OK) {
		fail_with(s, E_BADMSG, "the agent sent a malformed batch");
		return;
	}
	if (batch.sequence != s->next_sequence) {
		fail_with(s, E_BADMSG, "the agent sent a batch out of sequence");
		return;
	}
	s->next_sequence++;
	s->events->batch(&batch, s->arg);
}

/* One frame: E_OK, E_AGAIN, or a final code. */
static int
take_frame(struct sensor *s)
{
	const uint8_t *payload;
	struct msg msg;
	uint32_t len;
	int rc = frame_reader_next(s->reader, &payload, &len);

	if (rc == E_AGAIN)
		return rc;
	if (rc == E_OK && batch_is_batch(payload, len)) {
		take_batch(s, payload, len);
		return E_OK;
	}
	if (rc == E_OK)
		rc = codec_unpack(payload, len, &msg);
	if (rc != E_OK) {
		fail_with(s, rc, "the agent sent a malformed message");
		return rc;
	}
	take_msg(s, &msg);
	msg_free(&msg);
	return E_OK;
}

/* Bounded, so that signals and the output get their turn. */
static void
take_turn(struct sensor *s)
{
	size_t room;
	uint8_t *space;
	int64_t n;

	for (int i = 0; i < MESSAGES_PER_TURN; i++) {
		int rc;

		if (s->state == SENSOR_DONE || s->is_paused)
			return;
		rc = take_frame(s);
		if (rc == E_OK)
			continue;
		if (rc != E_AGAIN || s->state == SENSOR_DONE)
			return;
		space = frame_reader_space(s->reader, &room);
		n = conn_read(s->conn, space, room);
		if (n < 0)
			return;
		s->heard = clock_mono();
		frame_reader_commit(s->reader, (size_t)n);
	}
	loop_timer_set(s->again, 0);
}

static void
read_messages(void *arg)
{
	struct sensor *s = arg;

	if (s->in_turn || s->conn == NULL || s->reader == NULL)
		return;
	s->in_turn = true;
	take_turn(s);
	s->in_turn = false;
	if (s->is_freed)
		destroy(s);
}

/* --- connecting --- */

static void
secured(struct sensor *s)
{
	struct msg msg = { .type = MSG_HELLO };

	s->reader = frame_reader_new(PROTO_MAX_MESSAGE);
	if (s->reader == NULL) {
		fail_with(s, E_NOMEM, "out of memory");
		return;
	}
	s->heard = clock_mono();
	s->state = SENSOR_GREETING;
	log_debug(LOG_SENSOR, "%s: TLS is up, the agent's certificate is good",
	    s->name);
	msg.hello.version = PROTO_VERSION;
	snprintf(msg.hello.program, sizeof(msg.hello.program),
	    "capclient " CAP_VERSION);
	send_or_fail(s, &msg);
}

static void
lost(struct sensor *s, const struct err *err)
{
	struct err copy;

	err_set(&copy, err->code, "%s: %.200s", s->name, err->what);
	/* Another address may do better, but not another handshake. */
	if (s->state == SENSOR_CONNECTING && err->code == E_UNREACHABLE) {
		s->last_err = copy;
		try_next(s);
		return;
	}
	if (copy.code == E_EOF)
		copy.code = E_PEERGONE;
	fail(s, &copy);
}

static void
on_conn(struct conn *conn, enum conn_event event, void *arg)
{
	struct sensor *s = arg;

	switch (event) {
	case CONN_EV_SECURED:
		secured(s);
		return;
	case CONN_EV_DATA:
		read_messages(s);
		return;
	case CONN_EV_LOW_WATER:
	case CONN_EV_SENT:
		return;
	case CONN_EV_CLOSED:
	case CONN_EV_ERROR:
		lost(s, conn_error(conn));
		return;
	}
}

static void
name_address(struct sensor *s, const struct addrinfo *ai)
{
	char host[64], *paren = strstr(s->name, " (");

	if (paren != NULL)
		*paren = '\0';
	if (getnameinfo(ai->ai_addr, ai->ai_addrlen, host, sizeof(host), NULL, 0,
	    NI_NUMERICHOST) == 0 && strstr(s->name, host) == NULL) {
		size_t len = strlen(s->name);

		snprintf(s->name + len, sizeof(s->name) - len, " (%s)", host);
	}
}

static void
try_next(struct sensor *s)
{
	while (s->next != NULL) {
		const struct addrinfo *ai = s->next;
		struct err err;

		s->next = ai->ai_next;
		conn_free(s->conn);
		name_address(s, ai);
		set_state(s, SENSOR_CONNECTING, CONNECT_S);
		log_debug(LOG_SENSOR, "%s: connecting", s->name);
		s->conn = conn_connect(s->loop, s->tls, ai->ai_addr,
		    ai->ai_addrlen, s->server_name, on_conn, s, &err);
		if (s->conn != NULL)
			return;
		err_set(&s->last_err, err.code, "%s: %.200s", s->name, err.what);
	}
	fail(s, &s->last_err);
}

static void
timed_out(void *arg)
{
	struct sensor *s = arg;

	if (s->state == SENSOR_CONNECTING) {
		err_set(&s->last_err, E_UNREACHABLE, "%s: connect: no answer in "
		    "%d s", s->name, CONNECT_S);
		try_next(s);
		return;
	}
	fail_with(s, E_TIMEOUT, s->state == SENSOR_GREETING ?
	    "no hello from the agent" : "no answer from the agent");
}

static void
on_ping_timer(void *arg)
{
	struct sensor *s = arg;
	struct msg msg = { .type = MSG_PING };
	struct mono_ns now = clock_mono();
	bool was_asleep = mono_diff_ns(now, s->pinged) >
	    2 * (int64_t)PING_S * NS_PER_S;

	s->pinged = now;
	loop_timer_set(s->ping_timer, (int64_t)PING_S * NS_PER_S);
	/*
	 * It is us who do not listen (the output is full, or this process was
	 * suspended), or who do not ask for an answer.
	 */
	if (s->is_paused || was_asleep || s->state != SENSOR_STREAMING)
		s->heard = now;
	if (mono_diff_ns(now, s->heard) > (int64_t)SILENCE_S * NS_PER_S) {
		fail_with(s, E_PEERGONE, "connection lost: the agent fell silent");
		return;
	}
	if (s->state != SENSOR_STREAMING)
		return;
	msg.ping.client_time_ns = clock_wall().ns;
	send_or_fail(s, &msg);
}

static void
start_connecting(void *arg)
{
	try_next(arg);
}

static int
resolve(struct sensor *s, const struct address *address, struct err *err)
{
	struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG,
	};
	char port[8];
	int rc;

	/* AI_ADDRCONFIG ignores loopback addresses, so literals go without. */
	snprintf(port, sizeof(port), "%u", address->port);
	rc = getaddrinfo(address->host, port, &hints, &s->addresses);
	if (rc == EAI_NONAME || rc == EAI_ADDRFAMILY) {
		hints.ai_flags = 0;
		rc = getaddrinfo(address->host, port, &hints, &s->addresses);
	}
	if (rc != 0)
		return err_set(err, E_UNREACHABLE, "sensor '%s': look up: %s",
		    address->host, rc == EAI_SYSTEM ? "system error" :
		    gai_strerror(rc));
	s->next = s->addresses;
	return E_OK;
}

struct sensor *
sensor_new(struct loop *loop, const struct sensor_config *cfg, struct err *err)
{
	struct sensor *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		err_set(err, E_NOMEM, "sensor: create: out of memory");
		return NULL;
	}
	s->loop = loop;
	s->tls = cfg->tls;
	s->events = cfg->events;
	s->arg = cfg->arg;
	s->next_sequence = 1;
	address_format(cfg->address, s->name, sizeof(s->name));
	snprintf(s->server_name, sizeof(s->server_name), "%s",
	    cfg->server_name != NULL ? cfg->server_name : cfg->address->host);
	s->timer = loop_timer_new(loop, timed_out, s);
	s->ping_timer = loop_timer_new(loop, on_ping_timer, s);
	s->again = loop_timer_new(loop, read_messages, s);
	s->start = loop_timer_new(loop, start_connecting, s);
	if (s->timer == NULL || s->ping_timer == NULL || s->again == NULL ||
	    s->start == NULL) {
		err_set(err, E_NOMEM, "sensor: create: out of memory");
		sensor_free(s);
		return NULL;
	}
	if (resolve(s, cfg->address, err) != E_OK) {
		sensor_free(s);
		return NULL;
	}
	/* Events come from the loop only: the owner has no sensor yet. */
	loop_timer_set(s->start, 0);
	return s;
}

void
sensor_ask_list(struct sensor *s)
{
	struct msg msg = { .type = MSG_LIST_REQUEST };

	set_state(s, SENSOR_LISTING, ANSWER_S);
	send_or_fail(s, &msg);
}

void
sensor_start(struct sensor *s, const struct msg_start *start)
{
	struct msg msg = { .type = MSG_START };

	msg.start = *start;
	set_state(s, SENSOR_STARTING, ANSWER_S);
	send_or_fail(s, &msg);
}

void
sensor_ack(struct sensor *s, uint64_t sequence)
{
	struct msg msg = { .type = MSG_ACK };

	if (s->state != SENSOR_STREAMING)
		return;
	msg.ack.sequence = sequence;
	send_or_fail(s, &msg);
}

void
sensor_stop(struct sensor *s)
{
	struct msg msg = { .type = MSG_STOP };

	if (s->state == SENSOR_STREAMING)
		send_or_fail(s, &msg);
}

void
sensor_pause(struct sensor *s)
{
	s->is_paused = true;
	if (s->conn != NULL)
		conn_pause(s->conn);
}

void
sensor_resume(struct sensor *s)
{
	if (!s->is_paused)
		return;
	s->is_paused = false;
	if (s->state == SENSOR_DONE)
		return;
	s->heard = clock_mono();
	conn_resume(s->conn);
	/* Frames already read are in no socket. */
	loop_timer_set(s->again, 0);
}
