#include "client/ledger_text.h"

#include <stdio.h>

#include "client/gap.h"

/* --- holes --- */

const char *
ledger_text_hole_reason(enum ledger_hole_reason reason)
{
	switch (reason) {
	case LEDGER_HOLE_AGENT_RESTARTED:
		return "the agent was restarted";
	case LEDGER_HOLE_LINGER_OVER:
		return "no connection for longer than the agent kept the capture";
	case LEDGER_HOLE_NOT_RUNNING:
		return "capclient was not running";
	case LEDGER_HOLE_INTERRUPTED:
		return "ended without what the sensor still held";
	case LEDGER_HOLE_CONNECTION_LOST:
		return "the connection was lost and given up";
	case LEDGER_HOLE_SEVERAL:
		return "several reasons";
	}
	return "unknown";
}

void
ledger_text_hole(const struct ledger_hole *hole, struct wall_ns now,
    char dst[static LEDGER_TEXT_LEN])
{
	char from[GAP_TIME_LEN], to[GAP_TIME_LEN], times[48] = "";

	gap_format_time(hole->from, now, from);
	gap_format_time(hole->to, now, to);
	if (hole->n > 1) {
		char count[GAP_COUNT_LEN];

		gap_format_count(hole->n, count);
		snprintf(times, sizeof(times), "%s times ", count);
	}
	/* At its own end a client does not know what the sensor did. */
	if (hole->reason == LEDGER_HOLE_INTERRUPTED ||
	    hole->reason == LEDGER_HOLE_CONNECTION_LOST)
		snprintf(dst, LEDGER_TEXT_LEN, "what was captured %sfrom %s to %s is missing: "
		    "%s", times, from, to, ledger_text_hole_reason(hole->reason));
	else
		snprintf(dst, LEDGER_TEXT_LEN, "nothing was captured %sfrom %s to %s: %s",
		    times, from, to, ledger_text_hole_reason(hole->reason));
}

/* --- interfaces --- */

static bool
has_packets(const struct ui_summary *s)
{
	return s->received > 0 || ui_summary_placed(s) > 0 || s->dropped_interface > 0;
}

/* Of all, or of those that had packets; then without what -v adds. */
static void
print_rows(const struct ledger *l, struct ui_text *ui, const char *prefix, bool all)
{
	struct ui_summary s;

	for (uint32_t i = 0; i < l->n_interfaces; i++) {
		ledger_row_summary(l, i, &s);
		if (!all)
			s.freezes = 0;
		if (all || has_packets(&s))
			ui_text_counts(ui, prefix, l->rows[i].name, &s);
	}
}

/* What no line of an interface has; false if there is none. */
static bool
format_rest(const struct ledger *l, char dst[static LEDGER_TEXT_LEN])
{
	struct ui_summary s;
	uint64_t lost;

	ledger_rest_summary(l, &s);
	lost = ui_summary_lost(&s);
	snprintf(dst, LEDGER_TEXT_LEN, "%llu packet%s missing, of which interface is not "
	    "known", (unsigned long long)lost, lost == 1 ? "" : "s");
	return lost > 0;
}

/* --- all of it --- */

void
ledger_text_closing(const struct ledger *l, struct ui_text *ui, bool is_verbose)
{
	char text[LEDGER_TEXT_LEN];
	struct wall_ns now = clock_wall();
	struct ui_summary s;

	ledger_summary(l, &s);
	if (!is_verbose)
		s.freezes = 0;
	ui_text_summary(ui, &s);
	if (l->n_interfaces > 1 && (is_verbose || ui_summary_lost(&s) > 0)) {
		print_rows(l, ui, "", is_verbose);
		if (format_rest(l, text))
			ui_text_line(ui, text);
	}
	for (uint32_t i = 0; i < l->n_holes; i++) {
		ledger_text_hole(&l->holes[i], now, text);
		ui_text_line(ui, text);
	}
}

void
ledger_text_status(const struct ledger *l, struct ui_text *ui)
{
	char text[LEDGER_TEXT_LEN];
	struct wall_ns now = clock_wall();
	struct ui_summary s;

	ledger_summary(l, &s);
	snprintf(text, sizeof(text), "%llu packets captured, %llu packets received by "
	    "filter, %llu packets dropped by kernel", (unsigned long long)s.captured,
	    (unsigned long long)s.received, (unsigned long long)s.dropped_kernel);
	ui_text_message(ui, text);
	print_rows(l, ui, "capclient: ", true);
	if (format_rest(l, text))
		ui_text_message(ui, text);
	for (uint32_t i = 0; i < l->n_holes; i++) {
		ledger_text_hole(&l->holes[i], now, text);
		ui_text_message(ui, text);
	}
}
