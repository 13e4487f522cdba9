#include "server/capture_int.h"

#include "common/log.h"

enum {
	/*
	 * While packets flow, the rings are looked at this often instead of at
	 * each block the kernel closes: fewer wakes, larger batches.
	 */
	BUSY_NS = 10 * NS_PER_MS,
	BLOCKS_PER_TURN = 64,		/* then the connection gets its turn */
	DRAIN_STEP_NS = 1 * NS_PER_MS,
	DRAIN_EXTRA_MS = 250,		/* beyond two retire times, on slow timers */
	LOST_MS = 300,			/* from down to deleted; rtnetlink knows more: it first */
};

/* Received by the filter, less what the ring had no room for. */
bool
capture_ring_has_everything(const struct capture_ring *r)
{
	const struct ring *ring = &r->ring;

	return r->state == CAPTURE_RING_CLOSED ||
	    r->stats.received - r->stats.dropped == ring->packets +
	    ring->skipped + ring->rejected + ring->uncertain + ring->bad_packets;
}

static bool
has_everything(const struct capture *c)
{
	for (uint32_t i = 0; i < c->n_rings; i++)
		if (!capture_ring_has_everything(c->rings[i]))
			return false;
	return true;
}

void
capture_seal(struct capture *c)
{
	uint32_t n = batch_builder_count(c->builder);
	struct batch *batch;

	if (n == 0)
		return;
	batch = batch_builder_seal(c->builder, c->next_sequence);
	if (batch == NULL) {
		/* The builder is full and cannot be emptied otherwise. */
		capture_begin_end(c, E_NOMEM, "capture: seal a batch: out of memory");
		return;
	}
	c->next_sequence++;
	c->batched += n;
	/* A refusal has become a gap in the log: nothing is lost in silence. */
	(void)batch_log_append(c->log, batch, clock_mono());
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
			capture_seal(c);
			capture_pump(c);
			if (batch_builder_count(c->builder) > 0)
				return false;
			break;
		case E_BADMSG:
			log_warn(LOG_RING, "interface '%s': read ring: "
			    "corrupt block skipped", r->name);
			blocks++;
			break;
		default:
			blocks++;
			break;
		}
	}
	return true;
}

unsigned
capture_ring_events(const struct capture *c)
{
	return c->is_busy || c->is_holding || c->is_interrupted ||
	    c->state >= CAPTURE_FLUSHING ? 0 : LOOP_READ;
}

void
capture_watch_rings(struct capture *c)
{
	unsigned events = capture_ring_events(c);

	for (uint32_t i = 0; i < c->n_rings; i++)
		if (c->rings[i]->state != CAPTURE_RING_CLOSED)
			(void)loop_io_set(c->rings[i]->io, events);
}

/* Packets flow: let the timer wake us; they stopped: let the kernel. */
static void
set_busy(struct capture *c, bool is_busy)
{
	if (is_busy != c->is_busy) {
		c->is_busy = is_busy;
		capture_watch_rings(c);
	}
}

static void
continue_drain(struct capture *c)
{
	capture_read_stats(c);
	if (has_everything(c) ||
	    mono_diff_ns(clock_mono(), c->drain_until) >= 0)
		capture_flush(c);
	else
		loop_timer_set(c->busy_timer, DRAIN_STEP_NS);
}

void
capture_read_rings(struct capture *c)
{
	uint64_t before = c->batched;
	struct wall_ns now = capture_wall(c);
	bool has_more = false;

	if (c->state > CAPTURE_DRAINING || c->is_holding || c->is_interrupted)
		return;
	for (uint32_t i = 0; i < c->n_rings; i++)
		if (c->rings[i]->state != CAPTURE_RING_CLOSED)
			has_more |= read_ring(c, c->rings[i]);
	capture_seal(c);
	if (!has_more)
		c->looked = now;
	capture_pump(c);
	if (c->state > CAPTURE_DRAINING)
		return;
	if (c->max_packets > 0 && c->batched >= c->max_packets)
		capture_begin_end(c, E_OK, "");
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

void
capture_on_busy_timer(void *arg)
{
	capture_read_rings(arg);
}

void
capture_on_ring(unsigned events, void *arg)
{
	struct capture_ring *r = arg;

	(void)events;
	/*
	 * An error that is not fetched would wake us for ever.  It says that the
	 * interface went down or away: the first thread is told which, unless it
	 * finds out by itself.
	 */
	if (!ring_is_ready(&r->ring) && ring_socket_error(r->fd) != 0)
		loop_timer_set(r->capture->lost_timer,
		    (int64_t)LOST_MS * NS_PER_MS);
	capture_read_rings(r->capture);
}

void
capture_begin_drain(struct capture *c)
{
	uint32_t retire_ms = 0;

	if (c->state != CAPTURE_QUIESCING)
		return;
	for (uint32_t i = 0; i < c->n_rings; i++)
		if (c->rings[i]->retire_ms > retire_ms)
			retire_ms = c->rings[i]->retire_ms;
	c->state = CAPTURE_DRAINING;
	c->is_holding = false;
	if (c->is_interrupted) {
		capture_flush(c);
		return;
	}
	c->drain_until = clock_mono();
	c->drain_until.ns += (2 * (int64_t)retire_ms + DRAIN_EXTRA_MS) * NS_PER_MS;
	capture_read_rings(c);
}
