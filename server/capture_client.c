#include "server/capture_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"

enum {
	CLOSE_LIMIT_MS = 5000,		/* for a client that has everything to close */
	READS_PER_TURN = 16,		/* then the rings get their turn */
};

void
capture_die(struct capture *c)
{
	if (c->state == CAPTURE_DEAD)
		return;
	c->state = CAPTURE_DEAD;
	loop_stop(c->loop);
}

void
capture_end_is_late(void *arg)
{
	struct capture *c = arg;

	log_warn(LOG_CAPTURE, "end: the client did not %s in time: "
	    "connection dropped", c->state < CAPTURE_CLOSING ?
	    "take what was left" : "close");
	capture_die(c);
}

/* The last message is queued: when it is gone, the client has to close. */
static void
begin_close(struct capture *c)
{
	c->state = CAPTURE_CLOSING;
	capture_watch_rings(c);
	loop_timer_stop(c->busy_timer);
	conn_set_low_water(c->conn, 0);
	if (conn_queued(c->conn) == 0)
		loop_timer_set(c->end_timer, (int64_t)CLOSE_LIMIT_MS * NS_PER_MS);
}

void
capture_send(struct capture *c, const struct msg *msg)
{
	if (stream_send(c->conn, msg) != E_OK)
		capture_die(c);
}

static void
send_ended(struct capture *c)
{
	struct msg msg = { .type = MSG_ENDED };

	capture_read_stats(c);
	capture_read_nic(c);
	msg.ended.code = c->end_code;
	snprintf(msg.ended.text, sizeof(msg.ended.text), "%s", c->end_text);
	msg.ended.last_sequence = c->next_sequence - 1;
	if (capture_fill_stats(c, &msg.ended.stats) != E_OK) {
		capture_die(c);
		return;
	}
	capture_send(c, &msg);
	msg_free(&msg);
	if (c->state != CAPTURE_DEAD)
		begin_close(c);
}

void
capture_pump(struct capture *c)
{
	int rc;

	if (c->state >= CAPTURE_CLOSING)
		return;
	rc = stream_pump(&c->stream);
	if (rc != E_OK) {
		capture_die(c);
		return;
	}
	if (c->state == CAPTURE_FLUSHING && !batch_log_has_next(c->stream.cursor))
		send_ended(c);
}

/* Everything that was in the kernel is in the log now, or is written off. */
void
capture_flush(struct capture *c)
{
	c->state = CAPTURE_FLUSHING;
	loop_timer_stop(c->busy_timer);
	capture_pump(c);
}

/* Close the tap; then comes the drain.  The first reason counts. */
void
capture_begin_end(struct capture *c, int code, const char *text)
{
	if (c->state != CAPTURE_RUNNING)
		return;
	c->end_code = code;
	snprintf(c->end_text, sizeof(c->end_text), "%s", text);
	c->state = CAPTURE_QUIESCING;
	mailbox_post(c->owner, &c->quiesce_mail.mail);
}

/* A client that says nothing for so long, not even a ping, is dead. */
static bool
is_silent(struct capture *c)
{
	struct mono_ns now = clock_mono();

	/* It may be this process that slept. */
	if (mono_diff_ns(now, c->checked) > 2 * (int64_t)CAPTURE_STATS_NS)
		c->heard = now;
	c->checked = now;
	return mono_diff_ns(now, c->heard) >
	    (int64_t)CAPTURE_SILENCE_S * NS_PER_S;
}

/* Times in the file jump when the sensor's clock is set. */
static void
look_at_clock(struct capture *c)
{
	int64_t step = clock_watch_look(&c->clock_watch);
	long long ms = (llabs(step) + NS_PER_MS / 2) / NS_PER_MS;
	char text[PROTO_MAX_TEXT + 1];

	if (step == 0 || c->state != CAPTURE_RUNNING)
		return;
	snprintf(text, sizeof(text), "the sensor's clock was set %s by %lld.%03lld s",
	    step > 0 ? "forward" : "back", ms / 1000, ms % 1000);
	capture_interface_tell(c, CAPTURE_EVENT_CLOCK, CAPTURE_EVENT_WHOLE, text);
}

void
capture_on_stats_timer(void *arg)
{
	struct capture *c = arg;
	struct msg msg = { .type = MSG_STATS };

	loop_timer_set(c->stats_timer, CAPTURE_STATS_NS);
	if (is_silent(c)) {
		log_warn(LOG_CAPTURE, "the client fell silent for %d s: "
		    "connection dropped", CAPTURE_SILENCE_S);
		capture_die(c);
		return;
	}
	capture_read_stats(c);
	capture_read_nic(c);
	capture_look_for_lost(c);
	look_at_clock(c);
	if (c->state != CAPTURE_RUNNING ||
	    conn_queued(c->conn) >= CAPTURE_UNREAD_MAX)
		return;
	if (capture_fill_stats(c, &msg.stats) == E_OK) {
		capture_send(c, &msg);
		msg_free(&msg);
	}
}

void
capture_refuse(struct capture *c, int code, const char *text)
{
	struct msg msg = { .type = MSG_ERROR };

	log_warn(LOG_CAPTURE, "refused: %s", text);
	msg.error.code = code;
	snprintf(msg.error.text, sizeof(msg.error.text), "%s", text);
	if (c->state >= CAPTURE_CLOSING || stream_send(c->conn, &msg) != E_OK) {
		capture_die(c);
		return;
	}
	c->is_refused = true;
	begin_close(c);
	conn_finish(c->conn);
	/* Whether or not it reads what is queued. */
	loop_timer_set(c->end_timer, (int64_t)CLOSE_LIMIT_MS * NS_PER_MS);
}

static void
answer_ping(struct capture *c, const struct msg_ping *ping)
{
	struct msg msg = { .type = MSG_PONG };

	msg.pong.client_time_ns = ping->client_time_ns;
	msg.pong.received_ns = msg.pong.sent_ns = clock_wall().ns;
	/* A client that does not read is alive for another reason. */
	if (conn_queued(c->conn) < CAPTURE_UNREAD_MAX)
		capture_send(c, &msg);
}

static void
handle(struct capture *c, struct msg *msg)
{
	switch (msg->type) {
	case MSG_ACK:
		if (batch_log_ack(c->stream.cursor, msg->ack.sequence) != E_OK)
			capture_refuse(c, E_STATE, "Ack: more than was sent");
		return;
	case MSG_STOP:
		capture_begin_end(c, E_OK, "");
		return;
	case MSG_PING:
		answer_ping(c, &msg->ping);
		return;
	case MSG_UPDATE_FILTER:
		capture_update(c, msg);
		return;
	default:
		capture_refuse(c, E_STATE, "message not allowed during a capture");
		return;
	}
}

/* Handle what the reader holds; E_AGAIN when it wants more bytes. */
static int
take_messages(struct capture *c)
{
	const uint8_t *payload;
	struct msg msg;
	uint32_t len;
	int rc;

	for (;;) {
		rc = frame_reader_next(c->reader, &payload, &len);
		if (rc == E_AGAIN)
			return E_AGAIN;
		if (rc == E_OK)
			rc = codec_unpack(payload, len, &msg);
		if (rc != E_OK) {
			capture_refuse(c, rc, "malformed message");
			return rc;
		}
		handle(c, &msg);
		msg_free(&msg);
		if (c->state == CAPTURE_DEAD || c->is_refused)
			return E_STATE;
	}
}

void
capture_read_messages(struct capture *c)
{
	size_t room;
	int64_t n;

	for (int reads = 0; take_messages(c) == E_AGAIN; reads++) {
		uint8_t *space;

		if (reads == READS_PER_TURN)
			return;
		space = frame_reader_space(c->reader, &room);
		n = conn_read(c->conn, space, room);
		if (n < 0)
			return;
		c->heard = clock_mono();
		frame_reader_commit(c->reader, (size_t)n);
	}
}

void
capture_on_conn(struct conn *conn, enum conn_event event, void *arg)
{
	struct capture *c = arg;

	switch (event) {
	case CONN_EV_SECURED:
		return;
	case CONN_EV_DATA:
		capture_read_messages(c);
		return;
	case CONN_EV_LOW_WATER:
		if (c->state >= CAPTURE_CLOSING)
			begin_close(c);
		else
			capture_pump(c);
		return;
	case CONN_EV_CLOSED:
	case CONN_EV_SENT:
		capture_die(c);
		return;
	case CONN_EV_ERROR:
		if (c->state < CAPTURE_CLOSING)
			log_warn(LOG_CAPTURE, "%s", conn_error(conn)->what);
		capture_die(c);
		return;
	}
}
