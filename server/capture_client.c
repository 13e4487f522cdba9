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

	/* A client that has everything, and does not close, is no news. */
	capture_lose_conn(c, "end: the client did not take in time what was left");
}

/* The last message is queued: when it is gone, the client has to close. */
static void
begin_close(struct capture *c)
{
	c->state = CAPTURE_CLOSING;
	capture_watch_rings(c);
	loop_timer_stop(c->busy_timer);
	conn_set_low_water(c->conn, 0);
	/* An agent that ends has set it already, and waits no longer for that. */
	if (conn_queued(c->conn) == 0 && !c->is_agent_ending)
		loop_timer_set(c->end_timer, (int64_t)CLOSE_LIMIT_MS * NS_PER_MS);
}

void
capture_send(struct capture *c, const struct msg *msg)
{
	if (c->conn != NULL && stream_send(c->conn, msg) != E_OK)
		capture_lose_conn(c, NULL);
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
	if (c->conn != NULL && c->state != CAPTURE_DEAD)
		begin_close(c);
}

void
capture_pump(struct capture *c)
{
	/* What was announced stands before batches, and never behind. */
	if (!capture_tell_news(c))
		return;
	if (stream_pump(&c->stream) != E_OK) {
		capture_lose_conn(c, NULL);
		return;
	}
	if (c->state == CAPTURE_FLUSHING && !batch_log_has_next(c->log))
		send_ended(c);
}

/* Everything that was in the kernel is in the log now, or is written off. */
void
capture_flush(struct capture *c)
{
	c->state = CAPTURE_FLUSHING;
	loop_timer_stop(c->busy_timer);
	capture_watch_rings(c);
	if (c->conn == NULL)
		capture_rings_close(c);
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

/* Whatever is not with the client yet becomes a gap. */
static void
interrupt(struct capture *c)
{
	c->is_interrupted = true;
	capture_seal(c);
	batch_log_interrupt(c->log);
	capture_watch_rings(c);
	if (c->state == CAPTURE_DRAINING)
		capture_flush(c);
	else
		capture_pump(c);
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
	/* What is stamped from now on is not behind what was. */
	c->watermark.ns = INT64_MIN;
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
	capture_read_stats(c);
	capture_read_nic(c);
	capture_look_for_lost(c);
	look_at_clock(c);
	/* They count as many interfaces as the client knows. */
	if (c->state != CAPTURE_RUNNING || !capture_tell_news(c) ||
	    !stream_has_room(&c->stream))
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
	if (c->conn == NULL || c->state >= CAPTURE_CLOSING ||
	    stream_send(c->conn, &msg) != E_OK) {
		capture_die(c);
		return;
	}
	c->is_refused = true;
	begin_close(c);
	conn_finish(c->conn);
	/* Whether or not it reads what is queued. */
	if (!c->is_agent_ending)
		loop_timer_set(c->end_timer, (int64_t)CLOSE_LIMIT_MS * NS_PER_MS);
}

static void
answer_ping(struct capture *c, const struct msg_ping *ping)
{
	struct msg msg = { .type = MSG_PONG };

	msg.pong.client_time_ns = ping->client_time_ns;
	msg.pong.received_ns = msg.pong.sent_ns = clock_wall().ns;
	/* A client that does not read is alive for another reason. */
	if (stream_has_room(&c->stream))
		capture_send(c, &msg);
}

static void
take_ack(struct capture *c, uint64_t sequence)
{
	if (batch_log_ack(c->log, sequence) != E_OK) {
		capture_refuse(c, E_STATE, "Ack: more than was sent");
		return;
	}
	announcements_ack(c->announcements, batch_log_acked(c->log));
}

static void
handle(struct capture *c, struct msg *msg)
{
	switch (msg->type) {
	case MSG_ACK:
		take_ack(c, msg->ack.sequence);
		return;
	case MSG_STOP:
		capture_begin_end(c, E_OK, "");
		if (msg->stop.now && c->state < CAPTURE_CLOSING)
			interrupt(c);
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
		if (c->state == CAPTURE_DEAD || c->is_refused || c->conn == NULL)
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
		capture_lose_conn(c, conn_error(conn)->what);
		return;
	}
}
