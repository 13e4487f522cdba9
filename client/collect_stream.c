#include "client/collect_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/gap.h"

enum {
	/* A reader that is gone must not keep the sensor busy. */
	CLOSED_LIMIT_NS = NS_PER_S / 2,
	/* For the sensor's last counters, when nothing can be written. */
	FAILED_LIMIT_NS = 2 * NS_PER_S,
	SETTLE_NS = 300 * NS_PER_MS,
};

/* Nothing more can be written; what still comes is counted. */
void
collect_output_failed(struct collect *c, const struct err *err)
{
	bool was_flushing = c->state == COLLECT_FLUSHING;

	if (c->output_dead)
		return;
	c->output_dead = true;
	collect_fail(c, err);
	collect_set_status(c, EXIT_OUTPUT);
	if (was_flushing) {
		collect_finish(c);
		return;
	}
	collect_update_flow(c);
	collect_stop(c);
	loop_timer_set(c->limit_timer, FAILED_LIMIT_NS);
}

static int
write_packet(struct collect *c, const struct packet_ref *packet, struct err *err)
{
	int rc = outputs_packet(c->out, packet, err);

	if (rc != E_OK)
		return rc;
	ledger_wrote(&c->ledger, packet->meta.iface);
	c->written++;
	c->written_bytes += packet->meta.captured_len;
	return E_OK;
}

void
collect_update_flow(struct collect *c)
{
	bool is_full = outputs_is_full(c->out) && !c->reader_gone && !c->output_dead;

	if (is_full || c->is_compiling)
		sensor_pause(c->sensor);
	else
		sensor_resume(c->sensor);
}

/* What the sensor's kernel could not: judge the packet, and cut it. */
static bool
passes_here(struct collect *c, struct packet_ref *packet)
{
	const struct collect_interface *i = &c->interfaces[packet->meta.iface];

	if (i->place != FILTER_CLIENT)
		return true;
	if (!programs_match(c->programs, i->filter, i->link_type, i->index, packet))
		return false;
	packet->meta.captured_len = arrival_keep(i->arrival, packet);
	return true;
}

bool
collect_has_enough(const struct collect *c)
{
	const struct options *opt = c->opt;

	return (opt->count > 0 && c->written >= opt->count) ||
	    (opt->filesize_bytes > 0 && outputs_size(c->out) >= opt->filesize_bytes);
}

static void
take_packet(struct collect *c, struct packet_ref *packet)
{
	struct ledger *l = &c->ledger;
	struct err err;

	/* From here on the interface is the output's. */
	packet->meta.iface = c->map[packet->meta.iface];
	if (!passes_here(c, packet)) {
		ledger_filtered(l, packet->meta.iface);
	} else if (c->reader_gone || collect_has_enough(c)) {
		ledger_beyond(l, packet->meta.iface);
	} else if (c->output_dead) {
		ledger_lost_output(l, packet->meta.iface);
	} else if (!outputs_holds(c->out, packet->meta.iface)) {
		ledger_not_held(l, packet->meta.iface);
	} else if (write_packet(c, packet, &err) != E_OK) {
		ledger_lost_output(l, packet->meta.iface);
		collect_output_failed(c, &err);
	}
}

/*
 * What is stamped a moment before the newest packet may still be in another
 * ring of the agent's.
 */
static void
move_through(struct collect *c, struct wall_ns newest)
{
	/* That clock is not the one that watermarks and captures begin by. */
	if (c->opt->time_stamp_type == TIME_STAMP_ADAPTER_UNSYNCED)
		return;
	/* So written that no time of a hostile agent overflows. */
	if (newest.ns > c->through.ns && newest.ns - c->through.ns > SETTLE_NS)
		c->through.ns = newest.ns - SETTLE_NS;
}

static void
on_batch(struct batch_reader *batch, void *arg)
{
	struct collect *c = arg;
	struct packet_ref packet = { .meta = { .time = c->through } };

	if (c->state >= COLLECT_FLUSHING)
		return;
	collect_reach(c, batch->sequence);
	while (batch_reader_next(batch, &packet))
		take_packet(c, &packet);
	move_through(c, packet.meta.time);
	c->newest_sequence = batch->sequence;
	if (c->output_dead || c->reader_gone)
		return;
	outputs_flush(c->out);
	collect_mark(c);
	if (collect_has_enough(c))
		collect_stop(c);
	if (c->state <= COLLECT_STOPPING)
		collect_update_flow(c);
}

/* All that has come is in order; what comes next is stamped later. */
static void
on_watermark(const struct msg_watermark *watermark, void *arg)
{
	struct collect *c = arg;

	if (c->state >= COLLECT_FLUSHING)
		return;
	if (watermark->time.ns > c->through.ns)
		c->through = watermark->time;
	if (c->watermarked.ns == 0 || watermark->time.ns > c->watermark.ns) {
		c->watermark = watermark->time;
		c->watermarked = clock_mono();
	}
	if (!c->output_dead && !c->reader_gone)
		collect_mark_quiet(c);
}

/* Gaps come by the hundred when a reader is slow: one line a second tells. */
void
collect_report_gaps(struct collect *c)
{
	char text[GAP_TEXT_LEN];

	if (c->unreported.packets == 0)
		return;
	gap_format_report(&c->unreported, text);
	collect_report(c, text);
	c->unreported.packets = 0;
}

/* The gap by the output's interfaces; nothing by interface without memory. */
static void
tell_outputs(struct collect *c, const struct msg_gap *gap)
{
	struct msg_gap ours = *gap;

	ours.n_interfaces = c->ledger.n_interfaces;
	ours.by_interface = calloc(c->ledger.n_interfaces, sizeof(*ours.by_interface));
	if (ours.by_interface == NULL)
		ours.n_interfaces = 0;
	for (uint32_t i = 0; ours.n_interfaces > 0 && i < gap->n_interfaces &&
	    i < c->n_map; i++)
		ours.by_interface[c->map[i]] += gap->by_interface[i];
	outputs_gap(c->out, &ours);
	free(ours.by_interface);
}

static void
on_gap(const struct msg_gap *gap, void *arg)
{
	struct collect *c = arg;

	if (c->state >= COLLECT_FLUSHING)
		return;
	collect_reach(c, gap->first_sequence);
	ledger_gap(&c->ledger, gap, c->map, c->n_map);
	if (c->unreported.packets > 0 && !gap_joins(&c->unreported, gap))
		collect_report_gaps(c);
	gap_join(&c->unreported, gap, c->unreported.packets == 0);
	tell_outputs(c, gap);
	c->newest_sequence = gap->last_sequence;
	collect_reach(c, gap->last_sequence + 1);
}

void
collect_output_moved(struct collect *c)
{
	collect_take_marks(c);
	if (c->state == COLLECT_FLUSHING)
		collect_go_on_flushing(c);
	else
		collect_update_flow(c);
}

void
collect_on_outputs(enum outfile_event event, const struct err *err, void *arg)
{
	struct collect *c = arg;

	if (c->state == COLLECT_DONE)
		return;
	switch (event) {
	case OUTFILE_EV_WRITTEN:
		collect_output_moved(c);
		return;
	case OUTFILE_EV_STALLED:
		collect_report(c, err->what);
		return;
	case OUTFILE_EV_RECOVERED:
		collect_report(c, "output: it is written again");
		collect_output_moved(c);
		return;
	case OUTFILE_EV_CLOSED:
		c->reader_gone = true;
		if (c->state == COLLECT_FLUSHING) {
			collect_finish(c);
			return;
		}
		collect_update_flow(c);
		collect_stop(c);
		loop_timer_set(c->limit_timer, CLOSED_LIMIT_NS);
		return;
	case OUTFILE_EV_ERROR:
		collect_output_failed(c, err);
		return;
	}
}

/*
 * The kernel counts what its buffer had no room for, and not where: it is told
 * within two seconds, and beside the packet that comes next.
 */
static void
tell_kernel_drops(struct collect *c, const struct msg_stats *stats)
{
	char text[160], count[GAP_COUNT_LEN];
	uint64_t sum = 0;

	for (uint32_t i = 0; i < stats->n_interfaces; i++)
		sum += stats->interfaces[i].dropped_kernel;
	if (sum <= c->kernel_drops)
		return;
	gap_format_count(sum - c->kernel_drops, count);
	c->kernel_drops = sum;
	snprintf(text, sizeof(text), "%s packets dropped by the sensor's kernel shortly "
	    "before: its buffer was full (-B makes it larger)", count);
	if (c->out != NULL)
		outputs_note(c->out, text);
	if (collect_may_report(c))
		collect_report(c, text);
}

static void
on_stats(const struct msg_stats *stats, void *arg)
{
	struct collect *c = arg;

	/* An output that could not be opened leaves nothing to count for. */
	if (c->state >= COLLECT_FLUSHING)
		return;
	ledger_set_agent(&c->ledger, stats, c->map, c->n_map, false);
	tell_kernel_drops(c, stats);
}

/* The agent is about to be restarted, perhaps; what it had has come. */
static bool
is_agents_end(const struct msg_ended *ended)
{
	return ended->code == E_EOF;
}

static void
on_ended(const struct msg_ended *ended, void *arg)
{
	struct collect *c = arg;
	struct err err;

	if (c->state >= COLLECT_FLUSHING)
		return;
	ledger_set_agent(&c->ledger, &ended->stats, c->map, c->n_map, true);
	if (ended->code == E_OK || (is_agents_end(ended) && c->stop_asked)) {
		collect_flush(c);
		return;
	}
	err_set(&err, ended->code, "%s: the agent ended the capture: %.160s",
	    sensor_name(c->sensor), ended->text[0] != '\0' ? ended->text :
	    err_text(ended->code));
	if (is_agents_end(ended)) {
		collect_forget_capture(c);
		if (collect_link_lost(c, &err))
			return;
	}
	collect_report(c, err.what);
	collect_set_status(c, EXIT_CONNECTION);
	collect_flush(c);
}

/* The run before us was of a capture that is gone: begin another one. */
static bool
is_begun_anew(struct collect *c, const struct err *err)
{
	if (c->state != COLLECT_CONNECTING || err->code != E_GONE ||
	    !c->capture.is_asked)
		return false;
	collect_forget_capture(c);
	sensor_reconnect(c->sensor, NULL);
	return true;
}

static void
on_failed(const struct err *err, void *arg)
{
	struct collect *c = arg;
	char text[ERR_WHAT_LEN + 80];

	if (c->state >= COLLECT_FLUSHING)
		return;
	if (is_begun_anew(c, err) || collect_link_lost(c, err))
		return;
	if (c->state == COLLECT_CONNECTING) {
		collect_fail(c, err);
		collect_finish(c);
		return;
	}
	snprintf(text, sizeof(text), "%s: what was captured after that is missing, and "
	    "not counted", err->what);
	collect_report(c, text);
	collect_set_status(c, EXIT_CONNECTION);
	collect_keep_capture(c);
	collect_add_hole(c, collect_sensor_time(c), LEDGER_HOLE_CONNECTION_LOST);
	collect_flush(c);
}

const struct sensor_events collect_sensor_events = {
	.hello = collect_on_hello,
	.need_programs = collect_on_need_programs,
	.started = collect_on_started,
	.interface_added = collect_on_interface_added,
	.batch = on_batch,
	.gap = on_gap,
	.stats = on_stats,
	.watermark = on_watermark,
	.event = collect_on_event,
	.filter_changed = collect_on_filter_changed,
	.ended = on_ended,
	.failed = on_failed,
};
