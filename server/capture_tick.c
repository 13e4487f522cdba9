/*
 * capture_tick - is the client there, what does it have, how late is it?
 *
 * One timer while there is a connection.
 */
#include "server/capture_int.h"

#include <stdio.h>


enum {
	/* A tick so late: this process, or its host, slept. */
	SLEPT_MS = 1000,
	/* Of that many rings counters are cheap to read four times a second. */
	COUNTED_RINGS_MAX = 64,
	/*
	 * A packet is stamped when the driver hands it over, and counted when
	 * the kernel has run the filter: what has other work in between takes
	 * milliseconds.
	 */
	COUNT_LAG_MS = 100,
	/* To a closed block: two retire times, on slow timers. */
	BLOCK_LAG_MS = 250,
	BEHIND_S = 10,			/* a stream so late is told so */
};

void
capture_begin_ticks(struct capture *c)
{
	c->behind_ns = (int64_t)BEHIND_S * NS_PER_S;
	loop_timer_set(c->tick_timer, (int64_t)PROTO_WATERMARK_MS * NS_PER_MS);
}

static bool
is_over(const struct capture *c)
{
	return c->conn == NULL || c->state == CAPTURE_DEAD;
}

/* A client that says nothing for the heartbeat, not even a ping, is dead. */
static bool
is_silent(struct capture *c)
{
	/* The next look would come too late. */
	const int64_t most = (int64_t)(c->started.heartbeat_ms - PROTO_WATERMARK_MS) *
	    NS_PER_MS;
	struct mono_ns now = clock_mono();

	if (mono_diff_ns(now, c->checked) >
	    (int64_t)(PROTO_WATERMARK_MS + SLEPT_MS) * NS_PER_MS)
		c->heard = now;
	c->checked = now;
	if (mono_diff_ns(now, c->heard) <= most)
		return false;
	/* Its last word may wait in the socket. */
	capture_read_messages(c);
	if (is_over(c))
		return false;
	/*
	 * On a line whose queue takes half a minute its TCP sends nothing new
	 * until an answer has come.
	 */
	return mono_diff_ns(now, c->heard) > most +
	    2 * conn_round_trip_ms(c->conn) * NS_PER_MS;
}

/* Is all that was counted until now in the log? */
static bool
has_all(struct capture *c)
{
	if (c->n_rings > COUNTED_RINGS_MAX)
		return false;
	capture_read_stats(c);
	for (uint32_t i = 0; i < c->n_rings; i++)
		if (!capture_ring_has_everything(c->rings[i]))
			return false;
	return true;
}

static uint32_t
longest_retire_ms(const struct capture *c)
{
	uint32_t ms = 0;

	for (uint32_t i = 0; i < c->n_rings; i++)
		if (c->rings[i]->retire_ms > ms)
			ms = c->rings[i]->retire_ms;
	return ms;
}

/* Stamps of adapters, which have another clock, are not in the promise. */
static void
send_watermark(struct capture *c)
{
	struct msg msg = { .type = MSG_WATERMARK };
	struct wall_ns now = capture_wall(c);

	capture_read_rings(c);
	if (is_over(c) || c->state > CAPTURE_DRAINING ||
	    batch_log_has_next(c->log) || !stream_has_room(&c->stream))
		return;
	if (has_all(c))
		now.ns -= (int64_t)COUNT_LAG_MS * NS_PER_MS;
	else
		now.ns = c->looked.ns - (2 * (int64_t)longest_retire_ms(c) +
		    BLOCK_LAG_MS) * NS_PER_MS;
	if (now.ns > c->watermark.ns)
		c->watermark = now;
	msg.watermark.sequence = batch_log_given(c->log);
	msg.watermark.time = c->watermark;
	capture_send(c, &msg);
}

/* A stream that falls behind is told so, then each time that it has doubled. */
static void
look_behind(struct capture *c)
{
	struct mono_ns since, now = clock_mono();
	char text[PROTO_MAX_TEXT + 1];
	int64_t age;

	if (!batch_log_waits_since(c->log, &since)) {
		c->behind_ns = (int64_t)BEHIND_S * NS_PER_S;
		return;
	}
	age = mono_diff_ns(now, since);
	/* What waited for a Resume needs a moment. */
	if (age < c->behind_ns || c->state != CAPTURE_RUNNING ||
	    mono_diff_ns(now, c->attached) < (int64_t)BEHIND_S * NS_PER_S)
		return;
	while (c->behind_ns <= age)
		c->behind_ns *= 2;
	snprintf(text, sizeof(text), "the stream is %lld s behind: client or network "
	    "take less than is captured, and what the buffer of %llu KiB has no room for "
	    "is lost", (long long)(age / NS_PER_S),
	    (unsigned long long)c->started.log_bytes / 1024);
	capture_interface_tell(c, CAPTURE_EVENT_OTHER, CAPTURE_EVENT_WHOLE, text);
}

void
capture_on_tick(void *arg)
{
	struct capture *c = arg;
	char why[64];

	loop_timer_set(c->tick_timer, (int64_t)PROTO_WATERMARK_MS * NS_PER_MS);
	if (is_silent(c)) {
		snprintf(why, sizeof(why), "the client fell silent for %u.%03u s",
		    c->started.heartbeat_ms / 1000, c->started.heartbeat_ms % 1000);
		capture_lose_conn(c, why);
		return;
	}
	if (is_over(c))
		return;
	send_watermark(c);
	if (!is_over(c))
		look_behind(c);
}
