#include "client/collect_int.h"

#include <stdio.h>
#include <string.h>

#include "client/gap.h"

enum {
	/* A reader that is gone must not keep the sensor busy. */
	CLOSED_LIMIT_NS = NS_PER_S / 2,
	/* For the sensor's last counters, when nothing can be written. */
	FAILED_LIMIT_NS = 2 * NS_PER_S,
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
	c->ledger.written[packet->meta.iface]++;
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

static void
take_packet(struct collect *c, struct packet_ref *packet)
{
	struct err err;

	if (!passes_here(c, packet)) {
		c->ledger.filtered[packet->meta.iface]++;
	} else if (c->reader_gone ||
	    (c->opt->count > 0 && c->written == c->opt->count)) {
		c->ledger.beyond_count++;
	} else if (c->output_dead) {
		c->ledger.lost_output++;
	} else if (!outputs_holds(c->out, packet->meta.iface)) {
		c->ledger.not_held++;
	} else if (write_packet(c, packet, &err) != E_OK) {
		c->ledger.lost_output++;
		collect_output_failed(c, &err);
	}
}

static void
set_mark(struct collect *c, uint64_t sequence)
{
	c->mark_sequence = outputs_mark(c->out, NULL, 0) == E_OK ? sequence : 0;
}

/* Acknowledge what is written; one mark under way is enough. */
static void
acknowledge(struct collect *c)
{
	if (c->mark_sequence == 0 || !outputs_has_reached_mark(c->out))
		return;
	sensor_ack(c->sensor, c->mark_sequence);
	if (!outputs_is_flushed(c->out)) {
		set_mark(c, c->newest_sequence);
		return;
	}
	if (c->newest_sequence > c->mark_sequence)
		sensor_ack(c->sensor, c->newest_sequence);
	c->mark_sequence = 0;
}

static void
on_batch(struct batch_reader *batch, void *arg)
{
	struct collect *c = arg;
	struct packet_ref packet;

	if (c->state >= COLLECT_FLUSHING)
		return;
	collect_reach(c, batch->sequence);
	while (batch_reader_next(batch, &packet))
		take_packet(c, &packet);
	if (c->output_dead || c->reader_gone)
		return;
	outputs_flush(c->out);
	c->newest_sequence = batch->sequence;
	if (c->mark_sequence == 0)
		set_mark(c, batch->sequence);
	/* When nothing of it is written, no news of the output will come. */
	acknowledge(c);
	if (c->opt->count > 0 && c->written == c->opt->count)
		collect_stop(c);
	if (c->state <= COLLECT_STOPPING)
		collect_update_flow(c);
}

/* Gaps come by the hundred when a reader is slow: one line a second tells. */
void
collect_report_gaps(struct collect *c)
{
	char text[GAP_TEXT_LEN];

	if (c->unreported.packets == 0)
		return;
	gap_format(&c->unreported, text);
	collect_report(c, text);
	c->unreported.packets = 0;
}

static void
on_gap(const struct msg_gap *gap, void *arg)
{
	struct collect *c = arg;

	if (c->state >= COLLECT_FLUSHING)
		return;
	collect_reach(c, gap->first_sequence);
	c->ledger.gap_packets += gap->packets;
	gap_join(&c->unreported, gap, c->unreported.packets == 0);
	outputs_gap(c->out, gap);
	c->newest_sequence = gap->last_sequence;
	collect_reach(c, gap->last_sequence + 1);
}

void
collect_on_outputs(enum outfile_event event, const struct err *err, void *arg)
{
	struct collect *c = arg;

	if (c->state == COLLECT_DONE)
		return;
	switch (event) {
	case OUTFILE_EV_WRITTEN:
		if (c->state == COLLECT_FLUSHING) {
			if (outputs_is_flushed(c->out))
				collect_finish(c);
			return;
		}
		acknowledge(c);
		collect_update_flow(c);
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
	case OUTFILE_EV_STALLED:
		collect_report(c, err->what);
		return;
	case OUTFILE_EV_RECOVERED:
		return;
	}
}

static void
on_stats(const struct msg_stats *stats, void *arg)
{
	struct collect *c = arg;

	/* An output that could not be opened leaves nothing to count for. */
	if (c->state < COLLECT_FLUSHING)
		ledger_set_agent(&c->ledger, stats, false);
}

static void
on_ended(const struct msg_ended *ended, void *arg)
{
	struct collect *c = arg;
	char text[PROTO_MAX_TEXT + 64];

	if (c->state >= COLLECT_FLUSHING)
		return;
	ledger_set_agent(&c->ledger, &ended->stats, true);
	if (ended->code != E_OK || (ended->text[0] != '\0' && !c->stop_asked)) {
		snprintf(text, sizeof(text), "%s: the agent ended the capture: %s",
		    sensor_name(c->sensor), ended->text[0] != '\0' ?
		    ended->text : err_text(ended->code));
		collect_report(c, text);
		collect_set_status(c, EXIT_CONNECTION);
	}
	collect_flush(c);
}

static void
on_failed(const struct err *err, void *arg)
{
	struct collect *c = arg;
	char text[ERR_WHAT_LEN + 80];
	bool had_started = c->state != COLLECT_CONNECTING;

	if (c->state == COLLECT_DONE)
		return;
	snprintf(text, sizeof(text), "%s%s", err->what, had_started ?
	    ": what was captured after that is missing, and not counted" : "");
	collect_report(c, text);
	collect_set_status(c, had_started ? EXIT_CONNECTION : exit_status_of(err->code));
	if (had_started)
		collect_flush(c);
	else
		collect_finish(c);
}

const struct sensor_events collect_sensor_events = {
	.hello = collect_on_hello,
	.need_programs = collect_on_need_programs,
	.started = collect_on_started,
	.interface_added = collect_on_interface_added,
	.batch = on_batch,
	.gap = on_gap,
	.stats = on_stats,
	.event = collect_on_event,
	.filter_changed = collect_on_filter_changed,
	.ended = on_ended,
	.failed = on_failed,
};
