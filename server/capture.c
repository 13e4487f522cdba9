#include "server/capture.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "proto/batch.h"
#include "proto/codec.h"
#include "server/ring_map.h"
#include "server/stream.h"

enum {
	/*
	 * While packets flow, the rings are looked at this often instead of at
	 * each block the kernel closes: fewer wakes, larger batches.
	 */
	BUSY_NS = 10 * NS_PER_MS,
	BLOCKS_PER_TURN = 64,		/* then the connection gets its turn */
	STATS_NS = 2 * NS_PER_S,	/* kernel counters are 32 bits wide */
	DRAIN_STEP_NS = 1 * NS_PER_MS,
	DRAIN_EXTRA_MS = 250,		/* beyond two retire times, on slow timers */
	END_LIMIT_MS = 4000,		/* when the agent ends: to take what is left */
	CLOSE_LIMIT_MS = 5000,		/* for a client that has everything to close */
	MESSAGES_PER_TURN = 64,
	NAME_LEN = 160,
};

enum capture_state {
	CAPTURE_RUNNING,
	CAPTURE_QUIESCING,	/* asked the owner to close the tap */
	CAPTURE_DRAINING,	/* the kernel still holds packets */
	CAPTURE_FLUSHING,	/* the log goes out, then Ended */
	CAPTURE_CLOSING,	/* Ended is sent: the client closes */
	CAPTURE_DEAD,
};

struct capture_ring {
	struct capture	*capture;
	int		 fd;
	struct ring	 ring;
	void		*mem;
	uint32_t	 block_size, block_nr, retire_ms;
	struct ring_stats stats;
	struct loop_io	*io;
	char		 name[16];
};

/* Why and what, from other threads. */
struct capture_order {
	struct mail	 mail;
	enum { ORDER_END, ORDER_QUIESCED } type;
	int		 code;
};

struct capture {
	struct mailbox	*owner;
	void		*owner_arg;
	struct capture_mail quiesce_mail, done_mail;
	struct capture_order quiesced_order, end_order;
	atomic_flag	 end_ordered;

	pthread_t	 thread;
	struct loop	*loop;
	struct mailbox	*orders;
	struct conn	*conn;
	struct frame_reader *reader;
	struct stream	 stream;
	struct batch_log *log;
	struct batch_builder *builder;
	struct capture_ring *rings;
	uint32_t	 n_rings;

	struct loop_timer *busy_timer, *stats_timer, *end_timer;
	enum capture_state state;
	bool		 is_busy;
	struct mono_ns	 drain_until;
	uint64_t	 next_sequence;
	uint64_t	 batched, max_packets;
	int		 end_code;	/* why the capture ends */
	char		 end_text[PROTO_MAX_TEXT + 1];
	char		 name[NAME_LEN];
};

static void read_rings(struct capture *c);
static void begin_end(struct capture *c, int code, const char *text);
static void begin_close(struct capture *c);

/* --- counters --- */

static void
read_stats(struct capture *c)
{
	for (uint32_t i = 0; i < c->n_rings; i++)
		(void)ring_read_stats(c->rings[i].fd, &c->rings[i].stats, NULL);
}

/* Received by the filter, less what the ring had no room for. */
static bool
has_everything(const struct capture *c)
{
	for (uint32_t i = 0; i < c->n_rings; i++) {
		const struct capture_ring *r = &c->rings[i];

		if (r->stats.received - r->stats.dropped !=
		    r->ring.packets + r->ring.skipped + r->ring.bad_packets)
			return false;
	}
	return true;
}

static int
fill_stats(const struct capture *c, struct msg_stats *stats)
{
	stats->interfaces = calloc(c->n_rings, sizeof(*stats->interfaces));
	if (stats->interfaces == NULL)
		return E_NOMEM;
	stats->n_interfaces = c->n_rings;
	for (uint32_t i = 0; i < c->n_rings; i++) {
		const struct capture_ring *r = &c->rings[i];
		uint64_t kept = r->ring.packets + r->ring.skipped;
		uint64_t got = r->stats.received - r->stats.dropped;

		/*
		 * Loopback's second copies are no packets.  What the counters
		 * of a running capture are ahead of the ring is still in it;
		 * at the end it is lost.
		 */
		stats->interfaces[i] = (struct msg_interface_stats){
			.received = r->stats.received - r->ring.skipped,
			.dropped_kernel = r->stats.dropped,
			.batched = r->ring.packets,
			.dropped_agent = c->state >= CAPTURE_FLUSHING &&
			    got > kept ? got - kept : 0,
		};
	}
	stats->lost_packets = batch_log_lost_packets(c->stream.cursor);
	stats->lost_bytes = batch_log_lost_bytes(c->stream.cursor);
	return E_OK;
}

/* --- the end --- */

static void
watch_rings(struct capture *c, unsigned events)
{
	for (uint32_t i = 0; i < c->n_rings; i++)
		(void)loop_io_set(c->rings[i].io, events);
}

static void
die(struct capture *c)
{
	if (c->state == CAPTURE_DEAD)
		return;
	c->state = CAPTURE_DEAD;
	loop_stop(c->loop);
}

static void
send_or_die(struct capture *c, const struct msg *msg)
{
	if (stream_send(c->conn, msg) != E_OK)
		die(c);
}

static void
send_ended(struct capture *c)
{
	struct msg msg = { .type = MSG_ENDED };

	read_stats(c);
	msg.ended.code = c->end_code;
	snprintf(msg.ended.text, sizeof(msg.ended.text), "%s", c->end_text);
	msg.ended.last_sequence = c->next_sequence - 1;
	if (fill_stats(c, &msg.ended.stats) != E_OK) {
		die(c);
		return;
	}
	send_or_die(c, &msg);
	msg_free(&msg);
	if (c->state != CAPTURE_DEAD)
		begin_close(c);
}

static void
pump(struct capture *c)
{
	int rc;

	if (c->state >= CAPTURE_CLOSING)
		return;
	rc = stream_pump(&c->stream);
	if (rc != E_OK) {
		die(c);
		return;
	}
	if (c->state == CAPTURE_FLUSHING && !batch_log_has_next(c->stream.cursor))
		send_ended(c);
}

/* Everything that was in the kernel is in the log now, or is written off. */
static void
begin_flush(struct capture *c)
{
	c->state = CAPTURE_FLUSHING;
	loop_timer_stop(c->busy_timer);
	pump(c);
}

static void
end_is_late(void *arg)
{
	struct capture *c = arg;

	log_warn(LOG_CAPTURE, "%s: end: the client did not %s in time: "
	    "connection dropped", c->name, c->state < CAPTURE_CLOSING ?
	    "take what was left" : "close");
	die(c);
}

/* The last message is queued: when it is gone, the client has to close. */
static void
begin_close(struct capture *c)
{
	c->state = CAPTURE_CLOSING;
	watch_rings(c, 0);
	loop_timer_stop(c->busy_timer);
	conn_set_low_water(c->conn, 0);
	if (conn_queued(c->conn) == 0)
		loop_timer_set(c->end_timer, (int64_t)CLOSE_LIMIT_MS * NS_PER_MS);
}

/* Close the tap; then comes the drain.  The first reason counts. */
static void
begin_end(struct capture *c, int code, const char *text)
{
	if (c->state != CAPTURE_RUNNING)
		return;
	c->end_code = code;
	snprintf(c->end_text, sizeof(c->end_text), "%s", text);
	c->state = CAPTURE_QUIESCING;
	mailbox_post(c->owner, &c->quiesce_mail.mail);
}

static void
begin_drain(struct capture *c)
{
	uint32_t retire_ms = 0;

	if (c->state != CAPTURE_QUIESCING)
		return;
	for (uint32_t i = 0; i < c->n_rings; i++)
		if (c->rings[i].retire_ms > retire_ms)
			retire_ms = c->rings[i].retire_ms;
	c->state = CAPTURE_DRAINING;
	c->drain_until = clock_mono();
	c->drain_until.ns += (2 * (int64_t)retire_ms + DRAIN_EXTRA_MS) * NS_PER_MS;
	read_rings(c);
}

/* --- from the rings into the log --- */

static void
seal(struct capture *c)
{
	uint32_t n = batch_builder_count(c->builder);
	struct batch *batch;

	if (n == 0)
		return;
	batch = batch_builder_seal(c->builder, c->next_sequence);
	if (batch == NULL) {
		/* The builder is full and cannot be emptied otherwise. */
		begin_end(c, E_NOMEM, "capture: seal a batch: out of memory");
		return;
	}
	c->next_sequence++;
	c->batched += n;
	/* A refusal has become a gap in the log: nothing is lost in silence. */
	(void)batch_log_append(c->log, batch);
}

/* One ring, a bounded number of blocks; true when it may hold more. */
static bool
read_ring(struct capture *c, struct capture_ring *r)
{
	for (int blocks = 0; blocks < BLOCKS_PER_TURN; ) {
		switch (ring_walk(&r->ring, c->builder)) {
		case E_AGAIN:
			return false;
		case E_TOOBIG:
			seal(c);
			pump(c);
			if (batch_builder_count(c->builder) > 0)
				return false;
			break;
		case E_BADMSG:
			log_warn(LOG_RING, "%s: interface '%s': read ring: "
			    "corrupt block skipped", c->name, r->name);
			blocks++;
			break;
		default:
			blocks++;
			break;
		}
	}
	return true;
}

/* Packets flow: let the timer wake us; they stopped: let the kernel. */
static void
set_busy(struct capture *c, bool is_busy)
{
	if (is_busy != c->is_busy) {
		c->is_busy = is_busy;
		watch_rings(c, is_busy ? 0 : LOOP_READ);
	}
}

static void
continue_drain(struct capture *c)
{
	read_stats(c);
	if (has_everything(c) ||
	    mono_diff_ns(clock_mono(), c->drain_until) >= 0)
		begin_flush(c);
	else
		loop_timer_set(c->busy_timer, DRAIN_STEP_NS);
}

static void
read_rings(struct capture *c)
{
	uint64_t before = c->batched;
	bool has_more = false;

	if (c->state > CAPTURE_DRAINING)
		return;
	for (uint32_t i = 0; i < c->n_rings; i++)
		has_more |= read_ring(c, &c->rings[i]);
	seal(c);
	pump(c);
	if (c->state > CAPTURE_DRAINING)
		return;
	if (c->max_packets > 0 && c->batched >= c->max_packets)
		begin_end(c, E_OK, "");
	if (has_more) {
		set_busy(c, true);
		loop_timer_set(c->busy_timer, 0);
	} else if (c->state == CAPTURE_DRAINING) {
		set_busy(c, true);
		continue_drain(c);
	} else if (c->batched != before) {
		set_busy(c, true);
		loop_timer_set(c->busy_timer, BUSY_NS);
	} else {
		set_busy(c, false);
	}
}

static void
on_busy_timer(void *arg)
{
	read_rings(arg);
}

static void
on_ring(unsigned events, void *arg)
{
	struct capture_ring *r = arg;
	int sys;

	(void)events;
	if (!ring_is_ready(&r->ring)) {
		/* An error that is not fetched would wake us for ever. */
		sys = ring_socket_error(r->fd);
		if (sys != 0)
			log_info(LOG_CAPTURE, "%s: interface '%s': %s",
			    r->capture->name, r->name, strerror(sys));
	}
	read_rings(r->capture);
}

static void
on_stats_timer(void *arg)
{
	struct capture *c = arg;
	struct msg msg = { .type = MSG_STATS };

	loop_timer_set(c->stats_timer, STATS_NS);
	read_stats(c);
	if (c->state != CAPTURE_RUNNING || conn_queued(c->conn) > 0)
		return;
	if (fill_stats(c, &msg.stats) == E_OK) {
		send_or_die(c, &msg);
		msg_free(&msg);
	}
}

/* --- from the client --- */

/* What the client did wrong ends the capture, in words it can read. */
static void
refuse(struct capture *c, int code, const char *text)
{
	struct msg msg = { .type = MSG_ERROR };

	log_warn(LOG_CAPTURE, "%s: refused: %s", c->name, text);
	msg.error.code = code;
	snprintf(msg.error.text, sizeof(msg.error.text), "%s", text);
	if (c->state >= CAPTURE_CLOSING || stream_send(c->conn, &msg) != E_OK) {
		die(c);
		return;
	}
	begin_close(c);
	conn_finish(c->conn);
}

static void
answer_ping(struct capture *c, const struct msg_ping *ping)
{
	struct msg msg = { .type = MSG_PONG };

	msg.pong.client_time_ns = ping->client_time_ns;
	msg.pong.received_ns = msg.pong.sent_ns = clock_wall().ns;
	send_or_die(c, &msg);
}

static void
handle(struct capture *c, const struct msg *msg)
{
	switch (msg->type) {
	case MSG_ACK:
		if (batch_log_ack(c->stream.cursor, msg->ack.sequence) != E_OK)
			refuse(c, E_STATE, "Ack: more than was sent");
		return;
	case MSG_STOP:
		begin_end(c, E_OK, "");
		return;
	case MSG_PING:
		answer_ping(c, &msg->ping);
		return;
	default:
		refuse(c, E_STATE, "message not allowed during a capture");
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
			refuse(c, rc, "malformed message");
			return rc;
		}
		handle(c, &msg);
		msg_free(&msg);
		if (c->state == CAPTURE_DEAD)
			return E_STATE;
	}
}

static void
read_messages(struct capture *c)
{
	size_t room;
	int64_t n;

	for (int turn = 0; turn < MESSAGES_PER_TURN; turn++) {
		uint8_t *space;

		if (take_messages(c) != E_AGAIN)
			return;
		space = frame_reader_space(c->reader, &room);
		n = conn_read(c->conn, space, room);
		if (n < 0)
			return;
		frame_reader_commit(c->reader, (size_t)n);
	}
}

static void
on_conn(struct conn *conn, enum conn_event event, void *arg)
{
	struct capture *c = arg;

	switch (event) {
	case CONN_EV_SECURED:
		return;
	case CONN_EV_DATA:
		read_messages(c);
		return;
	case CONN_EV_LOW_WATER:
		if (c->state >= CAPTURE_CLOSING)
			begin_close(c);
		else
			pump(c);
		return;
	case CONN_EV_CLOSED:
	case CONN_EV_SENT:
		die(c);
		return;
	case CONN_EV_ERROR:
		if (c->state < CAPTURE_CLOSING)
			log_warn(LOG_CAPTURE, "%s: %s", c->name,
			    conn_error(conn)->what);
		die(c);
		return;
	}
}

/* --- the thread --- */

static void
on_order(struct mail *mail, void *arg)
{
	struct capture_order *order = (struct capture_order *)(void *)mail;
	struct capture *c = arg;

	if (order->type == ORDER_QUIESCED) {
		begin_drain(c);
		return;
	}
	loop_timer_set(c->end_timer, (int64_t)END_LIMIT_MS * NS_PER_MS);
	begin_end(c, order->code, order->code == E_OK ?
	    "the agent is ending" : err_text(order->code));
}

static void
log_end(const struct capture *c)
{
	uint64_t received = 0, dropped = 0;

	for (uint32_t i = 0; i < c->n_rings; i++) {
		received += c->rings[i].stats.received - c->rings[i].ring.skipped;
		dropped += c->rings[i].stats.dropped;
	}
	log_info(LOG_CAPTURE, "%s: ended%s%s: %llu packets received by filter, "
	    "%llu dropped by kernel, %llu sent in batches, %llu lost in full "
	    "buffer", c->name, c->end_text[0] == '\0' ? "" : ": ", c->end_text,
	    (unsigned long long)received, (unsigned long long)dropped,
	    (unsigned long long)c->batched, (unsigned long long)
	    batch_log_lost_packets(c->stream.cursor));
}

static void
close_rings(struct capture *c)
{
	for (uint32_t i = 0; i < c->n_rings; i++) {
		struct capture_ring *r = &c->rings[i];

		loop_io_free(r->io);
		r->io = NULL;
		ring_unmap(r->mem, r->block_size, r->block_nr);
		if (r->fd >= 0)
			close(r->fd);
	}
	free(c->rings);
	c->rings = NULL;
}

/* Everything that belongs to the thread's loop; safe on half-built objects. */
static void
release(struct capture *c)
{
	close_rings(c);
	conn_free(c->conn);
	frame_reader_free(c->reader);
	if (c->stream.cursor != NULL)
		stream_fini(&c->stream);
	batch_log_free(c->log);
	batch_builder_free(c->builder);
	loop_timer_free(c->busy_timer);
	loop_timer_free(c->stats_timer);
	loop_timer_free(c->end_timer);
}

static void *
run(void *arg)
{
	struct capture *c = arg;
	struct err err;

	if (conn_attach(c->conn, c->loop, on_conn, c, &err) == E_OK) {
		conn_resume(c->conn);
		watch_rings(c, LOOP_READ);
		loop_timer_set(c->stats_timer, STATS_NS);
		/* Frames that came behind Start are in the reader already. */
		read_messages(c);
		read_rings(c);
		if (c->state != CAPTURE_DEAD && loop_run(c->loop, &err) != E_OK)
			log_err(LOG_CAPTURE, "%s: %s", c->name, err.what);
	}
	c->state = CAPTURE_DEAD;
	read_stats(c);
	log_end(c);
	release(c);
	mailbox_post(c->owner, &c->done_mail.mail);
	return NULL;
}

static int
map_ring(struct capture *c, struct capture_ring *r,
    const struct capture_socket *s, struct err *err)
{
	int rc = ring_map(s->fd, s->block_size, s->block_nr, &r->mem, err);

	if (rc != E_OK)
		return rc;
	ring_init(&r->ring, r->mem, s->block_size, s->block_nr, &s->link);
	r->io = loop_io_new(c->loop, s->fd, on_ring, r);
	if (r->io == NULL)
		return err_set(err, E_NOMEM, "interface '%s': watch: out of memory",
		    s->name);
	return E_OK;
}

static int
build(struct capture *c, const struct capture_config *cfg, struct err *err)
{
	int rc;

	c->loop = loop_new(err);
	if (c->loop == NULL)
		return E_NOMEM;
	c->orders = mailbox_new(c->loop, on_order, c, err);
	if (c->orders == NULL)
		return E_NOMEM;
	c->log = batch_log_new(cfg->log_bytes, cfg->policy);
	c->builder = batch_builder_new();
	c->busy_timer = loop_timer_new(c->loop, on_busy_timer, c);
	c->stats_timer = loop_timer_new(c->loop, on_stats_timer, c);
	c->end_timer = loop_timer_new(c->loop, end_is_late, c);
	if (c->log == NULL || c->builder == NULL || c->busy_timer == NULL ||
	    c->stats_timer == NULL || c->end_timer == NULL ||
	    stream_init(&c->stream, c->conn, c->log) != E_OK)
		return err_set(err, E_NOMEM, "capture: create: out of memory");
	for (uint32_t i = 0; i < c->n_rings; i++) {
		rc = map_ring(c, &c->rings[i], &cfg->sockets[i], err);
		if (rc != E_OK)
			return rc;
	}
	return E_OK;
}

/* Signals are the first thread's. */
static int
start_thread(struct capture *c, struct err *err)
{
	sigset_t all, old;
	int sys;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	sys = pthread_create(&c->thread, NULL, run, c);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (sys != 0)
		return err_set(err, E_LIMIT, "capture: start thread: %s",
		    strerror(sys));
	return E_OK;
}

static void
destroy(struct capture *c)
{
	mailbox_free(c->orders, NULL);
	loop_free(c->loop);
	free(c);
}

static struct capture *
create(const struct capture_config *cfg)
{
	struct capture *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->rings = calloc(cfg->n_sockets, sizeof(*c->rings));
	if (c->rings == NULL) {
		free(c);
		return NULL;
	}
	c->n_rings = cfg->n_sockets;
	c->owner = cfg->owner;
	c->owner_arg = cfg->owner_arg;
	c->conn = cfg->conn;
	c->reader = cfg->reader;
	c->max_packets = cfg->max_packets;
	c->next_sequence = 1;
	snprintf(c->name, sizeof(c->name), "%s", cfg->name);
	c->quiesce_mail = (struct capture_mail){ .type = CAPTURE_MAIL_QUIESCE,
	    .capture = c };
	c->done_mail = (struct capture_mail){ .type = CAPTURE_MAIL_DONE,
	    .capture = c };
	c->quiesced_order.type = ORDER_QUIESCED;
	c->end_order.type = ORDER_END;
	atomic_flag_clear(&c->end_ordered);
	for (uint32_t i = 0; i < c->n_rings; i++) {
		const struct capture_socket *s = &cfg->sockets[i];
		struct capture_ring *r = &c->rings[i];

		*r = (struct capture_ring){ .capture = c, .fd = s->fd,
		    .block_size = s->block_size, .block_nr = s->block_nr,
		    .retire_ms = s->retire_ms };
		memcpy(r->name, s->name, sizeof(r->name));
	}
	return c;
}

struct capture *
capture_start(const struct capture_config *cfg, struct err *err)
{
	struct capture *c = create(cfg);

	if (c == NULL) {
		conn_free(cfg->conn);
		frame_reader_free(cfg->reader);
		for (uint32_t i = 0; i < cfg->n_sockets; i++)
			close(cfg->sockets[i].fd);
		err_set(err, E_NOMEM, "capture: create: out of memory");
		return NULL;
	}
	if (build(c, cfg, err) != E_OK || start_thread(c, err) != E_OK) {
		release(c);
		destroy(c);
		return NULL;
	}
	return c;
}

void
capture_quiesced(struct capture *c)
{
	mailbox_post(c->orders, &c->quiesced_order.mail);
}

void
capture_end(struct capture *c, int code)
{
	if (atomic_flag_test_and_set(&c->end_ordered))
		return;
	c->end_order.code = code;
	mailbox_post(c->orders, &c->end_order.mail);
}

void *
capture_owner_arg(const struct capture *c)
{
	return c->owner_arg;
}

static void
drop_order(struct mail *mail)
{
	(void)mail;	/* embedded in the capture */
}

void
capture_join(struct capture *c)
{
	if (c == NULL)
		return;
	pthread_join(c->thread, NULL);
	mailbox_free(c->orders, drop_order);
	loop_free(c->loop);
	free(c);
}
