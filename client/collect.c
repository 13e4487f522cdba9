#include "client/collect_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/resume_record.h"

enum {
	STUCK_S = 10,			/* an output that takes nothing, after the end */
	OFTEN_LINES = 10,		/* a second; more than that nobody reads */
	LAST_MARK_NS = 200 * NS_PER_MS,	/* for a mark under way, to somebody who waits */
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
	c->status = exit_status_join(c->status, status);
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

/* The record's last word stands before the statistics, which it leaves out. */
void
collect_go_on_flushing(struct collect *c)
{
	if (c->wants_last && !c->is_marking) {
		c->wants_last = false;
		collect_mark_last(c);
		collect_write_stats(c);
		outputs_flush(c->out);
	}
	if (!c->wants_last && outputs_is_flushed(c->out))
		collect_finish(c);
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
	c->wants_last = true;
	outputs_flush(c->out);
	collect_go_on_flushing(c);
}

void
collect_abort(struct collect *c, const struct err *err)
{
	collect_fail(c, err);
	if (c->state == COLLECT_CONNECTING) {
		collect_finish(c);
		return;
	}
	if (c->state < COLLECT_FLUSHING)
		collect_add_hole(c, collect_sensor_time(c), LEDGER_HOLE_INTERRUPTED);
	collect_flush(c);
}

void
collect_end_now(struct collect *c)
{
	if (c->state < COLLECT_FLUSHING && !c->reader_gone && !c->output_dead) {
		collect_add_hole(c, collect_sensor_time(c), LEDGER_HOLE_INTERRUPTED);
		collect_reach(c, UINT64_MAX);
		c->wants_last = true;
		/* The next run would cut away what stands behind the mark under way. */
		if (c->keeps_record && c->is_marking) {
			c->state = COLLECT_FLUSHING;
			outputs_flush(c->out);
			loop_timer_set(c->limit_timer, LAST_MARK_NS);
			return;
		}
	}
	if (c->wants_last) {
		collect_mark_last(c);
		collect_write_stats(c);
	}
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
		if (c->link.is_lost)
			collect_bound_link(c);
		else
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

	if (c->is_hurried || c->state == COLLECT_FLUSHING) {
		collect_end_now(c);
		return;
	}
	if (c->output_dead) {
		collect_report(c, "what the sensor still held is missing, and not "
		    "counted");
		collect_add_hole(c, collect_sensor_time(c), LEDGER_HOLE_INTERRUPTED);
	}
	collect_finish(c);
}

static int
make_timers(struct collect *c, struct err *err)
{
	const struct { struct loop_timer **timer; loop_fn fn; } timers[] = {
		{ &c->progress_timer, on_progress },
		{ &c->limit_timer, limit_reached },
		{ &c->duration_timer, collect_on_duration },
		{ &c->mark_timer, collect_on_mark_timer },
		{ &c->stats_timer, collect_on_stats_timer },
		{ &c->link.timer, collect_on_link_timer },
		{ &c->link.stop_timer, collect_on_link_stop },
		{ &c->link.lookup_timer, collect_on_lookup_timer },
	};

	for (size_t i = 0; i < ARRAY_LEN(timers); i++) {
		*timers[i].timer = loop_timer_new(c->loop, timers[i].fn, c);
		if (*timers[i].timer == NULL)
			return err_set(err, E_NOMEM, "capture: create: out of memory");
	}
	return E_OK;
}

static int
prepare(struct collect *c, struct tls *tls, struct err *err)
{
	struct sensor_config cfg = {
		.address = &c->opt->sensor,
		.server_name = c->opt->server_name,
		.tls = tls,
		.heartbeat_ms = (uint32_t)c->opt->heartbeat_ms,
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
	if (make_timers(c, err) != E_OK)
		return err->code;
	if (ledger_init(&c->ledger) != E_OK)
		return err_set(err, E_NOMEM, "capture: create: out of memory");
	if (collect_open_record(c, err) != E_OK)
		return err->code;
	if (c->state == COLLECT_DONE)
		return E_OK;
	/* Looks the name up, which may take a while: signals still end us. */
	c->sensor = sensor_new(c->loop, &cfg, err);
	return c->sensor == NULL ? err->code : collect_watch_signals(c, err);
}

static void
release(struct collect *c)
{
	for (size_t i = 0; i < COLLECT_N_SIGNALS; i++)
		loop_signal_free(c->signals[i]);
	sensor_free(c->sensor);
	loop_timer_free(c->progress_timer);
	loop_timer_free(c->limit_timer);
	loop_timer_free(c->duration_timer);
	loop_timer_free(c->mark_timer);
	loop_timer_free(c->stats_timer);
	loop_timer_free(c->link.timer);
	loop_timer_free(c->link.stop_timer);
	loop_timer_free(c->link.lookup_timer);
	collect_forget_addresses(c);
	resume_record_close(c->out_cfg.record);
	outputs_free(c->out);
	background_free(c->background);
	loop_free(c->loop);
	collect_forget_changes(c);
	for (uint32_t i = 0; i < c->ledger.n_interfaces; i++)
		arrival_free(c->interfaces[i].arrival);
	free(c->interfaces);
	free(c->map);
	free(c->kept_state);
	resume_state_fini(&c->resumed);
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
	c.link.seed = (unsigned)clock_mono().ns;
	if (prepare(&c, tls, &err) != E_OK ||
	    (c.state != COLLECT_DONE && loop_run(c.loop, &err) != E_OK))
		collect_fail(&c, &err);
	collect_settle(&c);
	release(&c);
	return c.status;
}
