#include "client/collect_int.h"

#include <signal.h>
#include "client/ledger_text.h"

enum {
	/* timeout(1) signals its child and then the group it is in. */
	SAME_SIGNAL_NS = 300 * NS_PER_MS,
};

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
		collect_report(c, "interrupted again: what the sensor still held is "
		    "not in the output");
		c->status = EXIT_INTERRUPTED;
		if (c->state < COLLECT_FLUSHING && !c->reader_gone &&
		    !c->output_dead) {
			c->state = COLLECT_FLUSHING;
			collect_reach(c, UINT64_MAX);
			collect_write_stats(c);
		}
		collect_finish(c);
		return;
	}
	c->is_signalled = true;
	c->stop_time = clock_mono();
	collect_stop(c);
}

static void
on_stats_signal(void *arg)
{
	struct collect *c = arg;

	if (c->has_ledger)
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
