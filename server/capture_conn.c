/*
 * capture_conn - a capture's connection: lost, waited for, resumed.
 *
 * While there is none the rings are read as ever, and the log keeps what it
 * has room for.
 */
#include "server/capture_int.h"

#include <stdlib.h>

#include "common/log.h"

void
capture_begin_conn(struct capture *c)
{
	stream_set_conn(&c->stream, c->conn);
	conn_set_liveness(c->conn, c->started.heartbeat_ms, CONN_KEEP_STALLED);
	batch_log_set_reason(c->log, GAP_LOG_FULL);
	loop_timer_stop(c->linger_timer);
	c->attached = c->heard = c->checked = clock_mono();
	capture_begin_ticks(c);
	conn_resume(c->conn);
}

static void
drop_conn(struct capture *c)
{
	stream_set_conn(&c->stream, NULL);
	conn_break(c->conn);
	c->conn = NULL;
	frame_reader_free(c->reader);
	c->reader = NULL;
	loop_timer_stop(c->tick_timer);
	/* Ended may not have come. */
	if (c->state == CAPTURE_CLOSING) {
		loop_timer_stop(c->end_timer);
		c->state = CAPTURE_FLUSHING;
	}
}

static void
begin_linger(struct capture *c)
{
	if (c->state == CAPTURE_FLUSHING)
		capture_rings_close(c);
	batch_log_set_reason(c->log, GAP_DISCONNECTED);
	loop_timer_set(c->linger_timer, (int64_t)c->started.linger_ms * NS_PER_MS);
}

void
capture_lose_conn(struct capture *c, const char *why)
{
	if (c->state == CAPTURE_DEAD || c->conn == NULL)
		return;
	/* It closed in order, and sending found out first. */
	if (conn_error(c->conn)->code == E_EOF) {
		capture_die(c);
		return;
	}
	if (why == NULL)
		why = conn_error(c->conn)->code != E_OK ?
		    conn_error(c->conn)->what : "send: out of memory";
	if (c->started.linger_ms == 0 || c->is_refused || c->is_agent_ending) {
		if (c->state < CAPTURE_CLOSING)
			log_warn(LOG_CAPTURE, "%s: connection dropped", why);
		capture_die(c);
		return;
	}
	log_warn(LOG_CAPTURE, "%s: waiting %u.%03u s for the client to come back", why,
	    c->started.linger_ms / 1000, c->started.linger_ms % 1000);
	drop_conn(c);
	begin_linger(c);
}

void
capture_on_linger_timer(void *arg)
{
	struct capture *c = arg;

	log_warn(LOG_CAPTURE, "the client did not come back in time");
	capture_die(c);
}

/* --- a Resume that is refused --- */

static int
send_gone(struct conn *conn)
{
	struct msg msg = { .type = MSG_ERROR,
	    .error = { .code = E_GONE, .text = CAPTURE_GONE_TEXT } };

	return stream_send(conn, &msg);
}

void
capture_turn_away(struct conn *conn, struct frame_reader *reader)
{
	(void)send_gone(conn);
	conn_free(conn);
	frame_reader_free(reader);
}

static void
on_leaving(struct conn *conn, enum conn_event event, void *arg)
{
	struct capture *c = arg;
	uint8_t waste[4096];

	switch (event) {
	case CONN_EV_SECURED:
	case CONN_EV_LOW_WATER:
		return;
	case CONN_EV_DATA:
		(void)conn_read(conn, waste, sizeof(waste));
		return;
	case CONN_EV_CLOSED:
	case CONN_EV_SENT:
	case CONN_EV_ERROR:
		c->leaving = NULL;
		conn_free(conn);
		return;
	}
}

/* One at a time: who asks for nothing again and again gets little of it. */
static void
refuse(struct capture *c, struct capture_order *order, const char *why)
{
	struct err err;

	log_warn(LOG_CAPTURE, "%s: resume refused: %s", order->text, why);
	conn_free(c->leaving);
	c->leaving = order->conn;
	frame_reader_free(order->reader);
	if (conn_attach(order->conn, c->loop, on_leaving, c, &err) == E_OK &&
	    send_gone(order->conn) == E_OK) {
		conn_finish(order->conn);
		return;
	}
	conn_free(order->conn);
	c->leaving = NULL;
}

/* --- and one that is not --- */

/* Move to the place that resume asks for; why not, or NULL. */
static const char *
go_back(struct capture *c, const struct msg_resume *resume, uint8_t **ret_started,
    size_t *ret_len)
{
	if (c->state == CAPTURE_DEAD || c->is_refused || c->is_agent_ending)
		return "it is ending";
	if (c->started.linger_ms == 0)
		return "it does not linger";
	if (resume->announcements > announcements_count(c->announcements))
		return "more announcements than there were";
	if (capture_pack_started(c, resume, ret_started, ret_len) != E_OK)
		return "its interfaces cannot be told: out of memory, or too many";
	if (batch_log_seek(c->log, resume->next_sequence) != E_OK) {
		free(*ret_started);
		return "not a batch that it has, or that comes next";
	}
	return NULL;
}

static void
take_conn(struct capture *c, struct capture_order *order)
{
	uint64_t gone = announcements_gone(c->announcements);
	struct err err;

	if (c->conn != NULL)
		drop_conn(c);
	if (conn_attach(order->conn, c->loop, capture_on_conn, c, &err) != E_OK) {
		log_err(LOG_CAPTURE, "%s: resume: %s", order->text, err.what);
		capture_turn_away(order->conn, order->reader);
		begin_linger(c);
		return;
	}
	c->conn = order->conn;
	c->reader = order->reader;
	c->n_told = c->started.n_interfaces;
	c->n_announced = order->resume.announcements > gone ?
	    order->resume.announcements : gone;
	capture_begin_conn(c);
}

void
capture_obey_resume(struct capture *c, struct capture_order *order)
{
	const char *why;
	uint8_t *frame;
	size_t len;
	int rc;

	why = go_back(c, &order->resume, &frame, &len);
	if (why != NULL) {
		refuse(c, order, why);
		return;
	}
	log_info(LOG_CAPTURE, "resumed by %s%s, from batch %llu on", order->text,
	    c->conn != NULL ? " in the place of the connection there was" : "",
	    (unsigned long long)order->resume.next_sequence);
	take_conn(c, order);
	if (c->conn == NULL) {
		free(frame);
		return;
	}
	rc = conn_send(c->conn, frame, len);
	free(frame);
	if (rc != E_OK) {
		capture_lose_conn(c, NULL);
		return;
	}
	/* What came behind Resume is in the reader already. */
	capture_pump(c);
	if (c->conn != NULL)
		capture_read_messages(c);
}
