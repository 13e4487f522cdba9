/*
 * collect_end - the sums: into the output's statistics, onto stderr, and the
 * exit status that they lead to.
 */
#include "client/collect_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/ledger_text.h"
#include "client/ui_json.h"

enum {
	OUTPUT_LIMIT_MS = 5000,		/* for close() after everything is written */
	INTERRUPTED_LIMIT_MS = 500,	/* the same, for somebody who waits */
};

static void
append_count(char *dst, size_t size, uint64_t n, const char *what)
{
	size_t len = strlen(dst);

	if (n > 0)
		snprintf(dst + len, size - len, "%s%s: %" PRIu64,
		    len > 0 ? ", " : "", what, n);
}

static int
write_stats_of(struct collect *c, uint32_t row, struct err *err)
{
	struct sink_stats stats = { .start = c->start, .end = clock_wall() };
	struct ui_summary sums;
	char comment[200] = "";

	ledger_row_stats(&c->ledger, row, &stats);
	ledger_row_summary(&c->ledger, row, &sums);
	/* What the format has no counter for. */
	append_count(comment, sizeof(comment), sums.freezes, "kernel ring freezes");
	append_count(comment, sizeof(comment), c->n_changes, "filter changes");
	append_count(comment, sizeof(comment), sums.lost_change,
	    "packets lost at filter changes");
	append_count(comment, sizeof(comment), sums.filtered,
	    "packets filtered by client");
	return outputs_stats(c->out, row, &stats, comment, err);
}

void
collect_write_stats(struct collect *c)
{
	struct err err;

	for (uint32_t i = 0; i < c->ledger.n_interfaces; i++)
		if (write_stats_of(c, i, &err) != E_OK) {
			collect_fail(c, &err);
			return;
		}
}

/* Since the newest watermark; without one 0. */
static int64_t
since_watermark_ns(const struct collect *c)
{
	return c->watermarked.ns == 0 ? 0 : mono_diff_ns(clock_mono(), c->watermarked);
}

struct wall_ns
collect_sensor_time(const struct collect *c)
{
	struct wall_ns ours = clock_wall(), theirs = c->watermark;
	int64_t apart;

	/* A watermark lags, but for less than a second. */
	if (c->watermarked.ns == 0 || __builtin_add_overflow(theirs.ns,
	    since_watermark_ns(c) + NS_PER_S, &theirs.ns) ||
	    __builtin_sub_overflow(theirs.ns, ours.ns, &apart))
		return ours;
	return apart >= 0 && apart <= NS_PER_S ? ours : theirs;
}

/* What began at from ends before that: how long it was is known all the same. */
static struct wall_ns
begin_before(const struct collect *c, struct wall_ns to)
{
	int64_t ns = since_watermark_ns(c) + NS_PER_S;

	if (c->watermarked.ns != 0 && to.ns > INT64_MIN + ns)
		to.ns -= ns;
	return to;
}

void
collect_add_hole(struct collect *c, struct wall_ns to, enum ledger_hole_reason reason)
{
	struct ledger_hole hole = { .from = c->through, .to = to, .reason = reason,
	    .n = 1 };
	char text[LEDGER_TEXT_LEN];

	/* The sensor's clock was set. */
	if (hole.to.ns < hole.from.ns)
		hole.from = begin_before(c, to);
	ledger_hole(&c->ledger, hole.from, hole.to, reason);
	ledger_text_hole(&hole, clock_wall(), text);
	/* One at the end stands in the closing lines, which come now. */
	if (reason != LEDGER_HOLE_CONNECTION_LOST && reason != LEDGER_HOLE_INTERRUPTED)
		collect_report(c, text);
	if (c->out != NULL)
		outputs_hole(c->out, text);
}

/* What was given to the output and is not in it is not captured. */
static void
take_back_unwritten(struct collect *c)
{
	uint64_t *by_row = calloc(c->ledger.n_interfaces + 1, sizeof(*by_row));

	if (by_row == NULL)
		return;
	outputs_unwritten(c->out, by_row, c->ledger.n_interfaces);
	ledger_take_back(&c->ledger, by_row, c->ledger.n_interfaces,
	    c->reader_gone ? LEDGER_UNWANTED : LEDGER_LOST);
	free(by_row);
}

void
collect_count_cut(struct collect *c)
{
	c->ledger.rest.cut = c->cut_before + outputs_cut(c->out);
}

static void
stop_output(struct collect *c)
{
	struct err err;

	if (c->out == NULL)
		return;
	collect_count_cut(c);
	if (outputs_stop(c->out, c->status == EXIT_INTERRUPTED || c->output_dead ?
	    INTERRUPTED_LIMIT_MS : OUTPUT_LIMIT_MS, &err) != E_OK &&
	    !c->reader_gone && c->status == EXIT_COMPLETE) {
		collect_report(c, err.what);
		collect_set_status(c, EXIT_OUTPUT);
	}
	if (c->is_open)
		take_back_unwritten(c);
}

/* An output that is complete is not to be gone on with, unless that is wanted. */
static void
drop_record(struct collect *c)
{
	if (c->keeps_record && !c->opt->resume && c->status != EXIT_CONNECTION &&
	    c->status != EXIT_OUTPUT)
		outputs_forget(c->out);
}

static bool
is_incomplete(const struct ui_summary *s)
{
	return ui_summary_lost(s) > 0;
}

static void
judge(struct collect *c, const struct ui_summary *summary)
{
	struct err err;

	if (ledger_is_settled(&c->ledger) && ledger_check(&c->ledger, &err) != E_OK) {
		collect_report(c, err.what);
		collect_set_status(c, EXIT_LEDGER);
	} else if (c->ledger.n_holes > 0) {
		collect_set_status(c, EXIT_HOLE);
	} else if (is_incomplete(summary)) {
		collect_set_status(c, EXIT_INCOMPLETE);
	}
}

static void
print_json(struct collect *c, enum ui_json_event event)
{
	struct ui_json_about about = {
		.event = event,
		.time = clock_wall(),
		.sensor = c->opt->sensor_text,
		.output = c->opt->output,
		.state = event == UI_JSON_ENDED ? "ended" :
		    c->link.is_lost ? "reconnecting" : "running",
		.exit_status = c->status,
	};
	struct err err;

	ui_text_clear(&c->ui);
	if (ui_json_ledger(STDERR_FILENO, &c->ledger, &about, &err) != E_OK)
		collect_report(c, err.what);
}

void
collect_on_stats_timer(void *arg)
{
	struct collect *c = arg;
	struct ui_summary s;

	loop_timer_set(c->stats_timer, (int64_t)c->opt->stats_interval_ms * NS_PER_MS);
	if (!c->is_open)
		return;
	if (c->opt->json) {
		print_json(c, UI_JSON_STATS);
	} else {
		ledger_summary(&c->ledger, &s);
		collect_report_counts(c, &s);
	}
}

void
collect_settle(struct collect *c)
{
	struct ui_summary summary;

	stop_output(c);
	/* An output that could not be opened has said so in its line. */
	if (!c->is_open)
		return;
	collect_report_gaps(c);
	collect_report_hidden(c);
	/* The agent had no last word. */
	if (!ledger_is_settled(&c->ledger))
		ledger_end_epoch(&c->ledger);
	ledger_summary(&c->ledger, &summary);
	judge(c, &summary);
	if (c->opt->json)
		print_json(c, UI_JSON_ENDED);
	else
		ledger_text_closing(&c->ledger, &c->ui, c->opt->verbose > 0);
	drop_record(c);
}
