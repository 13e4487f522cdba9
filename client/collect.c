#include "client/collect_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	OUTPUT_LIMIT_MS = 5000,		/* for close() after everything is written */
	INTERRUPTED_LIMIT_MS = 500,	/* the same, for somebody who waits */
	STUCK_S = 10,			/* an output that takes nothing, after the end */
	OFTEN_LINES = 10,		/* a second; more than that nobody reads */
};

void
collect_finish(struct collect *c)
{
	c->state = COLLECT_DONE;
	loop_stop(c->loop);
}

void
collect_set_status(struct collect *c, enum exit_status status)
{
	if (c->status == EXIT_COMPLETE)
		c->status = status;
}

void
collect_report(struct collect *c, const char *text)
{
	ui_text_clear(&c->ui);
	ui_text_message(&c->ui, text);
}

bool
collect_may_report(struct collect *c)
{
	if (c->n_often == OFTEN_LINES) {
		c->n_hidden++;
		return false;
	}
	c->n_often++;
	return true;
}

void
collect_report_hidden(struct collect *c)
{
	char text[ADDRESS_HOST_LEN + 120];

	c->n_often = 0;
	if (c->n_hidden == 0)
		return;
	snprintf(text, sizeof(text), "%s: %u more lines about events and interfaces, not shown",
	    sensor_name(c->sensor), c->n_hidden);
	collect_report(c, text);
	c->n_hidden = 0;
}

void
collect_fail(struct collect *c, const struct err *err)
{
	collect_report(c, err->what);
	collect_set_status(c, exit_status_of(err->code));
}

static uint64_t
lost_elsewhere(const struct collect *c, uint32_t iface)
{
	const struct ledger *l = &c->ledger;
	const struct msg_interface_stats *a = &l->agent[iface];
	uint64_t lost = a->dropped_agent + a->dropped_filter_change;

	/* Gaps count for the capture as a whole; one interface has them all. */
	if (l->n_interfaces == 1)
		lost += l->gap_packets + l->lost_output;
	return lost;
}

static void
append_count(char *dst, size_t size, uint64_t n, const char *what)
{
	size_t len = strlen(dst);

	if (n > 0)
		snprintf(dst + len, size - len, "%s%s: %" PRIu64,
		    len > 0 ? ", " : "", what, n);
}

static int
write_stats_of(struct collect *c, uint32_t iface, struct err *err)
{
	const struct msg_interface_stats *a = &c->ledger.agent[iface];
	struct sink_stats stats = {
		.received = a->received,
		.dropped_kernel = a->dropped_kernel,
		.dropped_interface = a->dropped_interface,
		.lost_elsewhere = lost_elsewhere(c, iface),
		.filtered = c->ledger.filtered[iface],
		.written = c->ledger.written[iface],
		.start = c->start,
		.end = clock_wall(),
	};
	char comment[200] = "";

	/* What the format has no counter for. */
	append_count(comment, sizeof(comment), a->freezes, "kernel ring freezes");
	append_count(comment, sizeof(comment), c->n_changes, "filter changes");
	append_count(comment, sizeof(comment), a->dropped_filter_change,
	    "packets lost at filter changes");
	append_count(comment, sizeof(comment), stats.filtered,
	    "packets filtered by client");
	return outputs_stats(c->out, iface, &stats, comment, err);
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

/* Nothing more will come: last blocks, then wait for the writer. */
void
collect_flush(struct collect *c)
{
	if (c->state >= COLLECT_FLUSHING)
		return;
	if (!c->is_open || c->reader_gone || c->output_dead) {
		collect_finish(c);
		return;
	}
	c->state = COLLECT_FLUSHING;
	collect_reach(c, UINT64_MAX);
	collect_write_stats(c);
	outputs_flush(c->out);
	if (outputs_is_flushed(c->out))
		collect_finish(c);
}

void
collect_stop(struct collect *c)
{
	if (!c->stop_asked)
		c->moved = clock_mono();
	c->stop_asked = true;
	if (c->state == COLLECT_RUNNING) {
		c->state = COLLECT_STOPPING;
		sensor_stop(c->sensor);
	} else if (c->state == COLLECT_CONNECTING) {
		collect_finish(c);
	}
}

/* The end was asked for, but whoever reads the output does not. */
static bool
is_stuck(struct collect *c)
{
	uint64_t written = outputs_written(c->out);
	struct mono_ns now = clock_mono();

	if (!c->stop_asked || written != c->seen_written) {
		c->seen_written = written;
		c->moved = now;
	}
	return !outputs_is_flushed(c->out) &&
	    mono_diff_ns(now, c->moved) > (int64_t)STUCK_S * NS_PER_S;
}

static void
give_up(struct collect *c)
{
	struct err err;

	err_set(&err, E_OUTPUT, "output: it took nothing for %d s after the end: "
	    "given up", STUCK_S);
	collect_output_failed(c, &err);
}

static void
on_progress(void *arg)
{
	struct collect *c = arg;
	struct ui_progress p = { .packets = c->written, .bytes = c->written_bytes };
	struct ui_summary s;

	collect_report_gaps(c);
	collect_report_hidden(c);
	if (is_stuck(c)) {
		give_up(c);
		return;
	}
	ledger_summary(&c->ledger, &s);
	p.lost = ui_summary_lost(&s);
	ui_text_progress(&c->ui, &p);
	loop_timer_set(c->progress_timer, COLLECT_PROGRESS_NS);
}

static void
limit_reached(void *arg)
{
	struct collect *c = arg;

	if (c->output_dead)
		collect_report(c, "what the sensor still held is missing, and not "
		    "counted");
	collect_finish(c);
}

static int
prepare(struct collect *c, struct tls *tls, struct err *err)
{
	struct sensor_config cfg = {
		.address = &c->opt->sensor,
		.server_name = c->opt->server_name,
		.tls = tls,
		.events = &collect_sensor_events,
		.arg = c,
	};

	c->loop = loop_new(err);
	if (c->loop == NULL)
		return err->code;
	c->out_cfg.loop = c->loop;
	c->background = background_new(c->loop, c, err);
	if (c->background == NULL)
		return err->code;
	c->progress_timer = loop_timer_new(c->loop, on_progress, c);
	c->limit_timer = loop_timer_new(c->loop, limit_reached, c);
	if (c->progress_timer == NULL || c->limit_timer == NULL)
		return err_set(err, E_NOMEM, "capture: create: out of memory");
	/* Looks the name up, which may take a while: signals still end us. */
	c->sensor = sensor_new(c->loop, &cfg, err);
	return c->sensor == NULL ? err->code : collect_watch_signals(c, err);
}

/* What was given to the output and is not in it is not captured. */
static void
take_back_unwritten(struct collect *c)
{
	uint64_t packets;

	if (!c->is_open)
		return;
	packets = outputs_packets_written(c->out);
	if (packets < c->written)
		ledger_take_back(&c->ledger, c->written - packets,
		    c->reader_gone ? LEDGER_UNWANTED : LEDGER_LOST);
}

static void
close_output(struct collect *c)
{
	struct err err;

	if (c->out == NULL)
		return;
	c->ledger.cut = outputs_cut(c->out);
	if (outputs_stop(c->out, c->status == EXIT_INTERRUPTED || c->output_dead ?
	    INTERRUPTED_LIMIT_MS : OUTPUT_LIMIT_MS, &err) != E_OK &&
	    !c->reader_gone && c->status == EXIT_COMPLETE)
		collect_fail(c, &err);
	take_back_unwritten(c);
}

static void
settle(struct collect *c)
{
	struct ui_summary summary;
	struct err err;

	collect_report_gaps(c);
	collect_report_hidden(c);
	ledger_summary(&c->ledger, &summary);
	if (c->opt->verbose == 0)
		summary.freezes = 0;
	ui_text_clear(&c->ui);
	ui_text_summary(&c->ui, &summary);
	if (c->ledger.is_final && ledger_check(&c->ledger, &err) != E_OK) {
		collect_report(c, err.what);
		c->status = EXIT_LEDGER;
	} else if (ui_summary_lost(&summary) > 0) {
		collect_set_status(c, EXIT_INCOMPLETE);
	}
}

static void
release(struct collect *c)
{
	for (size_t i = 0; i < COLLECT_N_SIGNALS; i++)
		loop_signal_free(c->signals[i]);
	sensor_free(c->sensor);
	loop_timer_free(c->progress_timer);
	loop_timer_free(c->limit_timer);
	outputs_free(c->out);
	background_free(c->background);
	loop_free(c->loop);
	collect_forget_changes(c);
	for (uint32_t i = 0; i < c->ledger.n_interfaces; i++)
		arrival_free(c->interfaces[i].arrival);
	free(c->interfaces);
	if (c->has_ledger)
		ledger_fini(&c->ledger);
}

enum exit_status
collect_run(const struct options *options, struct programs *programs,
    struct tls *tls)
{
	struct collect c = {
		.opt = options,
		.programs = programs,
		.newest = programs,
		.out_cfg = {
			.path = options->output,
			.ops = options->format == OPTIONS_PCAP ? &sink_pcap_ops :
			    &sink_pcapng_ops,
			.split_by_link_type = options->split_by_linktype,
			.program = "capclient " CAP_VERSION,
			.on_full = OUTFILE_STOP,
			.fn = collect_on_outputs,
			.arg = &c,
		},
	};
	struct err err;

	ui_text_init(&c.ui, stderr, options->quiet);
	events_init(&c.events);
	if (prepare(&c, tls, &err) != E_OK || loop_run(c.loop, &err) != E_OK)
		collect_fail(&c, &err);
	close_output(&c);
	/* An output that could not be opened has said so in its line. */
	if (c.is_open)
		settle(&c);
	release(&c);
	return c.status;
}
