#include "client/collect_int.h"

#include <signal.h>
#include <stdio.h>

#include "client/ledger_text.h"

enum {
	/* timeout(1) signals its child and then the group it is in. */
	SAME_SIGNAL_NS = 300 * NS_PER_MS,
	/* For the agent to say how much is lost, to somebody who waits. */
	HURRIED_NS = 500 * NS_PER_MS,
};

/* What the sensor has is not waited for, but how much it is. */
static void
interrupt_again(struct collect *c)
{
	if (!c->is_hurried)
		collect_report(c, "interrupted again: what the sensor still held is "
		    "not in the output");
	collect_set_status(c, EXIT_INTERRUPTED);
	if (c->is_hurried || c->state != COLLECT_STOPPING || c->link.is_lost ||
	    c->reader_gone || c->output_dead) {
		collect_end_now(c);
		return;
	}
	c->is_hurried = true;
	sensor_stop_now(c->sensor);
	loop_timer_set(c->limit_timer, HURRIED_NS);
}

static void
on_end_signal(void *arg)
{
	struct collect *c = arg;

	if (c->state == COLLECT_CONNECTING) {
		collect_report(c, "interrupted before the capture began");
		collect_set_status(c, EXIT_INTERRUPTED);
		collect_finish(c);
		return;
	}
	if (c->is_signalled) {
		if (mono_diff_ns(clock_mono(), c->stop_time) < SAME_SIGNAL_NS)
			return;
		interrupt_again(c);
		return;
	}
	c->is_signalled = true;
	c->stop_time = clock_mono();
	collect_stop(c);
}

void
collect_report_counts(struct collect *c, const struct ui_summary *s)
{
	char text[160];

	snprintf(text, sizeof(text), "%llu packets captured, %llu packets received "
	    "by filter, %llu packets dropped by kernel",
	    (unsigned long long)s->captured, (unsigned long long)s->received,
	    (unsigned long long)s->dropped_kernel);
	collect_report(c, text);
}

static void
on_stats_signal(void *arg)
{
	struct collect *c = arg;

	if (c->is_open)
		ledger_text_status(&c->ledger, &c->ui);
}

static void
on_user_signal(void *arg)
{
	struct collect *c = arg;

	if (c->opt->filter_file != NULL)
		collect_change_filter(c);
	else if (c->out != NULL)
		outputs_flush(c->out);
}

int
collect_watch_signals(struct collect *c, struct err *err)
{
	static const struct { int signo; loop_fn fn; } table[COLLECT_N_SIGNALS] = {
		{ SIGINT, on_end_signal },
		{ SIGTERM, on_end_signal },
		{ SIGHUP, on_end_signal },
		{ SIGUSR1, on_stats_signal },
		{ SIGUSR2, on_user_signal },
	};

	for (size_t i = 0; i < COLLECT_N_SIGNALS; i++) {
		struct sigaction old;

		/* nohup's wish holds. */
		if (sigaction(table[i].signo, NULL, &old) == 0 &&
		    old.sa_handler == SIG_IGN && table[i].signo == SIGHUP)
			continue;
		c->signals[i] = loop_signal_new(c->loop, table[i].signo,
		    table[i].fn, c);
		if (c->signals[i] == NULL)
			return err_set(err, E_NOMEM, "signals: out of memory");
	}
	return E_OK;
}
