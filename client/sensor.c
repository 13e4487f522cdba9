#include "client/sensor_int.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/conn.h"

enum {
	ANSWER_MS = 40 * 1000,	/* more than the agent gives its own opener */
	CONNECT_MS = 10 * 1000,	/* for each address, handshake and hello too */
	/* The same while a capture waits: the next try may find the way. */
	RECONNECT_MS = 4 * 1000,
};

void
sensor_destroy(struct sensor *s)
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
	loop_timer_free(s->tick_timer);
	loop_timer_free(s->again);
	loop_timer_free(s->start);
	s->timer = s->tick_timer = s->again = s->start = NULL;
	s->state = SENSOR_DONE;
	/* A message of this sensor is being handled: its reader is in use. */
	if (s->in_turn)
		s->is_freed = true;
	else
		sensor_destroy(s);
}

const char *
sensor_name(const struct sensor *s)
{
	return s->name;
}

void
sensor_set_state(struct sensor *s, enum sensor_state state, int64_t limit_ms)
{
	s->state = state;
	if (limit_ms > 0)
		loop_timer_set(s->timer, limit_ms * NS_PER_MS);
	else
		loop_timer_stop(s->timer);
}

void
sensor_finish(struct sensor *s)
{
	sensor_set_state(s, SENSOR_DONE, 0);
	loop_timer_stop(s->tick_timer);
	/* What still comes is read by nobody and would wake the loop for ever. */
	if (s->conn != NULL)
		conn_pause(s->conn);
}

void
sensor_fail(struct sensor *s, const struct err *err)
{
	struct err copy = *err;

	if (s->state == SENSOR_DONE)
		return;
	sensor_finish(s);
	s->events->failed(&copy, s->arg);
}

void
sensor_fail_with(struct sensor *s, int code, const char *what)
{
	struct err err;

	err_set(&err, code, "%s: %s", s->name, what);
	sensor_fail(s, &err);
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

void
sensor_send_or_fail(struct sensor *s, const struct msg *msg)
{
	int rc = send_msg(s, msg);

	if (rc == E_NOMEM || rc == E_TOOBIG)
		sensor_fail_with(s, rc, err_text(rc));
}

static int64_t
tick_ns(const struct sensor *s)
{
	return (int64_t)s->heartbeat_ms * NS_PER_MS / SENSOR_TICKS;
}

static void
ping(struct sensor *s)
{
	struct msg msg = { .type = MSG_PING };

	msg.ping.client_time_ns = clock_wall().ns;
	sensor_send_or_fail(s, &msg);
}

/* A tick less than the heartbeat: the next look would come too late. */
static int64_t
most_ns(const struct sensor *s)
{
	return (SENSOR_TICKS - 1) * tick_ns(s);
}

/*
 * On a line of a kilobyte a second the record that comes takes longer than a
 * heartbeat, and longer still when a segment of it is lost.
 */
static bool
has_come_further(struct sensor *s)
{
	uint32_t segments = conn_data_segments(s->conn);
	bool has_more = segments != s->segments;

	s->segments = segments;
	return has_more;
}

/* While the output is full nothing is read; but the pings are answered. */
static bool
is_waiting(const struct sensor *s)
{
	return s->is_paused && conn_unanswered_ms(s->conn) < most_ns(s) / NS_PER_MS;
}

static void
on_tick(void *arg)
{
	struct sensor *s = arg;
	struct mono_ns now = clock_mono();
	bool was_asleep = mono_diff_ns(now, s->ticked) > 3 * tick_ns(s);
	char text[80];

	s->ticked = now;
	loop_timer_set(s->tick_timer, tick_ns(s));
	/*
	 * It is us who do not listen (the output is full, or this process was
	 * suspended), or who do not ask for an answer.
	 */
	if (was_asleep || s->state != SENSOR_STREAMING || is_waiting(s) ||
	    has_come_further(s))
		s->heard = now;
	if (mono_diff_ns(now, s->heard) >= most_ns(s)) {
		snprintf(text, sizeof(text), "connection lost: the agent fell silent "
		    "for %g s", s->heartbeat_ms / 1000.0);
		sensor_fail_with(s, E_PEERGONE, text);
		return;
	}
	if (s->state == SENSOR_STREAMING && ++s->n_ticks % SENSOR_TICKS_PER_PING == 0)
		ping(s);
}

void
sensor_start_ticking(struct sensor *s)
{
	s->heard = s->ticked = clock_mono();
	s->n_ticks = 0;
	loop_timer_set(s->tick_timer, tick_ns(s));
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
	s->heartbeat_ms = cfg->heartbeat_ms != 0 ? cfg->heartbeat_ms :
	    PROTO_HEARTBEAT_MS;
	s->connect_ms = CONNECT_MS;
	address_format(cfg->address, s->name, sizeof(s->name));
	snprintf(s->server_name, sizeof(s->server_name), "%s",
	    cfg->server_name != NULL ? cfg->server_name : cfg->address->host);
	s->timer = loop_timer_new(loop, sensor_timed_out, s);
	s->tick_timer = loop_timer_new(loop, on_tick, s);
	s->again = loop_timer_new(loop, sensor_read_messages, s);
	s->start = loop_timer_new(loop, sensor_start_connecting, s);
	if (s->timer == NULL || s->tick_timer == NULL || s->again == NULL ||
	    s->start == NULL) {
		err_set(err, E_NOMEM, "sensor: create: out of memory");
		sensor_free(s);
		return NULL;
	}
	if (sensor_lookup(cfg->address, &s->addresses, err) != E_OK) {
		sensor_free(s);
		return NULL;
	}
	s->next = s->addresses;
	/* Events come from the loop only: the owner has no sensor yet. */
	loop_timer_set(s->start, 0);
	return s;
}

void
sensor_ask_list(struct sensor *s)
{
	struct msg msg = { .type = MSG_LIST_REQUEST };

	sensor_set_state(s, SENSOR_LISTING, ANSWER_MS);
	sensor_send_or_fail(s, &msg);
}

void
sensor_start(struct sensor *s, const struct msg_start *start)
{
	struct msg msg = { .type = MSG_START };

	s->resumed_at = 0;
	/* What another capture was asked for has no answer any more. */
	s->asked_change = 0;
	msg.start = *start;
	sensor_set_state(s, start->plan_only ? SENSOR_PLANNING : SENSOR_STARTING,
	    ANSWER_MS);
	sensor_send_or_fail(s, &msg);
}

void
sensor_resume_capture(struct sensor *s, const struct msg_resume *resume,
    uint32_t n_interfaces)
{
	struct msg msg = { .type = MSG_RESUME };

	msg.resume = *resume;
	s->resumed_at = resume->next_sequence;
	s->resumed_id = resume->capture_id;
	s->n_interfaces = n_interfaces;
	s->announcements = resume->announcements;
	sensor_set_state(s, SENSOR_STARTING, ANSWER_MS);
	sensor_send_or_fail(s, &msg);
}

void
sensor_reconnect(struct sensor *s, struct addrinfo *addresses)
{
	if (addresses != NULL) {
		freeaddrinfo(s->addresses);
		s->addresses = addresses;
	}
	/* The agent, should it still be there, is to wait for us. */
	conn_break(s->conn);
	s->conn = NULL;
	s->next = s->addresses;
	s->connect_ms = RECONNECT_MS;
	s->is_refused = s->is_paused = false;
	s->state = SENSOR_CONNECTING;
	/* What a message of the old connection leads to is over first. */
	loop_timer_set(s->start, 0);
}

void
sensor_let_go(struct sensor *s)
{
	sensor_finish(s);
	loop_timer_stop(s->start);
	conn_break(s->conn);
	s->conn = NULL;
}

bool
sensor_was_refused(const struct sensor *s)
{
	return s->is_refused;
}

uint64_t
sensor_announcements(const struct sensor *s)
{
	return s->announcements;
}

void
sensor_update_filter(struct sensor *s, const struct msg_update_filter *update)
{
	struct msg msg = { .type = MSG_UPDATE_FILTER };

	if (s->state != SENSOR_STREAMING)
		return;
	msg.update_filter = *update;
	s->asked_change = update->number;
	sensor_send_or_fail(s, &msg);
}

void
sensor_ack(struct sensor *s, uint64_t sequence)
{
	struct msg msg = { .type = MSG_ACK };

	if (s->state != SENSOR_STREAMING)
		return;
	msg.ack.sequence = sequence;
	sensor_send_or_fail(s, &msg);
}

static void
send_stop(struct sensor *s, bool now)
{
	struct msg msg = { .type = MSG_STOP, .stop = { .now = now } };

	if (s->state == SENSOR_STREAMING)
		sensor_send_or_fail(s, &msg);
}

void
sensor_stop(struct sensor *s)
{
	send_stop(s, false);
}

void
sensor_stop_now(struct sensor *s)
{
	send_stop(s, true);
}

void
sensor_pause(struct sensor *s)
{
	/* What leads to a capture is heard, however full the output is. */
	if (s->state != SENSOR_STREAMING)
		return;
	s->is_paused = true;
	conn_pause(s->conn);
}

void
sensor_resume(struct sensor *s)
{
	if (!s->is_paused)
		return;
	s->is_paused = false;
	if (s->state != SENSOR_STREAMING)
		return;
	s->heard = clock_mono();
	conn_resume(s->conn);
	/* Frames already read are in no socket. */
	loop_timer_set(s->again, 0);
}
