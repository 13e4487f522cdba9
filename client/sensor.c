#include "client/sensor_int.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/conn.h"

enum {
	ANSWER_S = 40,		/* more than the agent gives its own opener */
	SILENCE_S = 15,		/* several pings without an answer: dead */
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
	loop_timer_free(s->ping_timer);
	loop_timer_free(s->again);
	loop_timer_free(s->start);
	s->timer = s->ping_timer = s->again = s->start = NULL;
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
sensor_set_state(struct sensor *s, enum sensor_state state, int64_t limit_s)
{
	s->state = state;
	if (limit_s > 0)
		loop_timer_set(s->timer, limit_s * NS_PER_S);
	else
		loop_timer_stop(s->timer);
}

void
sensor_finish(struct sensor *s)
{
	sensor_set_state(s, SENSOR_DONE, 0);
	loop_timer_stop(s->ping_timer);
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

static void
on_ping_timer(void *arg)
{
	struct sensor *s = arg;
	struct msg msg = { .type = MSG_PING };
	struct mono_ns now = clock_mono();
	bool was_asleep = mono_diff_ns(now, s->pinged) >
	    2 * (int64_t)SENSOR_PING_S * NS_PER_S;

	s->pinged = now;
	loop_timer_set(s->ping_timer, (int64_t)SENSOR_PING_S * NS_PER_S);
	/*
	 * It is us who do not listen (the output is full, or this process was
	 * suspended), or who do not ask for an answer.
	 */
	if (s->is_paused || was_asleep || s->state != SENSOR_STREAMING)
		s->heard = now;
	if (mono_diff_ns(now, s->heard) > (int64_t)SILENCE_S * NS_PER_S) {
		sensor_fail_with(s, E_PEERGONE, "connection lost: the agent fell silent");
		return;
	}
	if (s->state != SENSOR_STREAMING)
		return;
	msg.ping.client_time_ns = clock_wall().ns;
	sensor_send_or_fail(s, &msg);
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
	s->timer = loop_timer_new(loop, sensor_timed_out, s);
	s->ping_timer = loop_timer_new(loop, on_ping_timer, s);
	s->again = loop_timer_new(loop, sensor_read_messages, s);
	s->start = loop_timer_new(loop, sensor_start_connecting, s);
	if (s->timer == NULL || s->ping_timer == NULL || s->again == NULL ||
	    s->start == NULL) {
		err_set(err, E_NOMEM, "sensor: create: out of memory");
		sensor_free(s);
		return NULL;
	}
	if (sensor_resolve(s, cfg->address, err) != E_OK) {
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

	sensor_set_state(s, SENSOR_LISTING, ANSWER_S);
	sensor_send_or_fail(s, &msg);
}

void
sensor_start(struct sensor *s, const struct msg_start *start)
{
	struct msg msg = { .type = MSG_START };

	msg.start = *start;
	sensor_set_state(s, start->plan_only ? SENSOR_PLANNING : SENSOR_STARTING,
	    ANSWER_S);
	sensor_send_or_fail(s, &msg);
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

void
sensor_stop(struct sensor *s)
{
	struct msg msg = { .type = MSG_STOP };

	if (s->state == SENSOR_STREAMING)
		sensor_send_or_fail(s, &msg);
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
