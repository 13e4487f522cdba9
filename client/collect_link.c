/*
 * collect_link - a capture whose connection was lost: find the agent again,
 * go on with what it kept, or begin anew and say what is missing.
 */
#include "client/collect_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	/* The end was asked for: the agent is looked for no longer than this. */
	STOP_LIMIT_MS = 3000,
	/* A connection that holds for less is as good as none. */
	HOLDS_MS = 5000,
};

/* --- the next try --- */

void
collect_on_link_timer(void *arg)
{
	struct collect *c = arg;

	if (!c->link.is_lost || c->state >= COLLECT_FLUSHING)
		return;
	if (c->stop_asked && mono_diff_ns(clock_mono(), c->link.stop_until) >= 0)
		collect_lost_for_good(c);
	else
		collect_reconnect(c);
}

static void
try_later(struct collect *c, int64_t delay_ns)
{
	loop_timer_set(c->link.timer, delay_ns);
}

/* --- lost --- */

/* Can another try end otherwise? */
static bool
may_retry(const struct collect *c, const struct err *err)
{
	if (c->opt->reconnect_ms == 0 || !c->is_open || c->output_dead ||
	    c->reader_gone)
		return false;
	switch ((enum err_code)err->code) {
	case E_PEERGONE:
	case E_EOF:
	case E_UNREACHABLE:
	case E_TIMEOUT:
	case E_TLS:
	case E_GONE:
		return true;
	case E_LIMIT:
	case E_NOIFACE:
	case E_IFDOWN:
	case E_NOMEM:
		/* Of an agent that has just started, or still keeps our old one. */
		return sensor_was_refused(c->sensor);
	default:
		return false;
	}
}

static bool
is_out_of_time(const struct collect *c)
{
	int64_t gone_ms = mono_diff_ns(clock_mono(), c->link.lost) / NS_PER_MS;

	return c->opt->reconnect_ms != OPTIONS_FOREVER &&
	    gone_ms >= (int64_t)c->opt->reconnect_ms;
}

/* The first cause is told, and each that is another one. */
static void
report_lost(struct collect *c, const char *what, bool is_first)
{
	char text[ERR_WHAT_LEN + 80];

	if (!is_first && strcmp(what, c->link.cause) == 0)
		return;
	snprintf(c->link.cause, sizeof(c->link.cause), "%s", what);
	snprintf(text, sizeof(text), "%s%s", what, is_first ? ": trying again" : "");
	collect_report(c, text);
}

bool
collect_link_lost(struct collect *c, const struct err *err)
{
	bool is_first = !c->link.is_lost;
	uint32_t random = (uint32_t)rand_r(&c->link.seed);

	if (!may_retry(c, err))
		return false;
	if (is_first) {
		c->link.is_lost = true;
		c->link.lost = clock_mono();
		c->capture.announcements = sensor_announcements(c->sensor);
		if (mono_diff_ns(c->link.lost, c->link.found) >=
		    (int64_t)HOLDS_MS * NS_PER_MS)
			backoff_reset(&c->link.backoff);
	}
	/* What ends with its connection is over. */
	if (is_first && !c->capture.has_token)
		collect_forget_capture(c);
	/* What it needs to begin is told anew. */
	c->need.n = 0;
	if (err->code == E_GONE && c->capture.is_asked && !is_first) {
		/* It is no failure: the agent is there, the capture is not. */
		collect_forget_capture(c);
		try_later(c, 0);
		return true;
	}
	if (is_out_of_time(c))
		return false;
	report_lost(c, err->what, is_first);
	if (c->stop_asked)
		collect_bound_link(c);
	try_later(c, backoff_next(&c->link.backoff, random));
	return true;
}

void
collect_bound_link(struct collect *c)
{
	if (c->link.stop_until.ns != 0)
		return;
	c->link.stop_until = clock_mono();
	c->link.stop_until.ns += (int64_t)STOP_LIMIT_MS * NS_PER_MS;
	loop_timer_set(c->link.stop_timer, (int64_t)STOP_LIMIT_MS * NS_PER_MS);
}

void
collect_on_link_stop(void *arg)
{
	struct collect *c = arg;

	if (c->link.is_lost && c->state < COLLECT_FLUSHING)
		collect_lost_for_good(c);
}

void
collect_lost_for_good(struct collect *c)
{
	char text[2 * ERR_WHAT_LEN];

	snprintf(text, sizeof(text), "given up: %s: what was captured since is missing%s",
	    c->link.cause, c->keeps_record && c->capture.has_token ? ", unless a run with "
	    "--resume comes in time" : "");
	collect_report(c, text);
	/* It may be about to answer; another run is to find the capture. */
	sensor_let_go(c->sensor);
	collect_keep_capture(c);
	collect_add_hole(c, collect_sensor_time(c), LEDGER_HOLE_CONNECTION_LOST);
	collect_set_status(c, EXIT_CONNECTION);
	collect_flush(c);
}

/* --- found again --- */

void
collect_forget_capture(struct collect *c)
{
	/* What waits for batches that will not come happens now. */
	collect_reach(c, UINT64_MAX);
	if (c->asked != NULL)
		c->wants_change = true;
	collect_drop_asked(c);
	c->capture.has_token = c->capture.is_asked = false;
	c->change_number = 0;
	c->capture.number++;
	c->mark_sequence = 0;
}

void
collect_ask_resume(struct collect *c)
{
	struct msg_resume resume = {
		.capture_id = c->capture.id,
		.token = c->capture.token,
		.next_sequence = c->newest_sequence + 1,
		.announcements = c->capture.announcements,
	};

	sensor_resume_capture(c->sensor, &resume, c->n_map);
}

static void
report_found(struct collect *c, bool is_anew)
{
	double gone = (double)mono_diff_ns(clock_mono(), c->link.lost) / NS_PER_S;
	char text[ADDRESS_HOST_LEN + 120];

	snprintf(text, sizeof(text), "%s: connected again after %.1f s: the capture %s",
	    sensor_name(c->sensor), gone, is_anew ? "begins anew" : "is resumed");
	collect_report(c, text);
}

/* The agent kept no more than it has room for. */
void
collect_tell_missing(struct collect *c, const struct msg_started *started)
{
	char text[120];

	if (started->announcements <= c->capture.announcements)
		return;
	snprintf(text, sizeof(text), "%llu messages about events are missing here: the "
	    "agent had no room for them", (unsigned long long)(started->announcements -
	    c->capture.announcements));
	collect_report(c, text);
	outputs_note(c->out, text);
}

void
collect_link_found(struct collect *c, const struct msg_started *started, bool is_anew)
{
	report_found(c, is_anew);
	c->link.is_lost = false;
	c->link.found = clock_mono();
	c->link.stop_until.ns = 0;
	loop_timer_stop(c->link.stop_timer);
	loop_timer_stop(c->link.timer);
	/* What was said while nobody heard it. */
	if (c->stop_asked)
		sensor_stop(c->sensor);
	else if (c->asked != NULL && started->update_number < c->change_number)
		collect_ask_again(c);
}
