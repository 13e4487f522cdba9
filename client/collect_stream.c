#include "client/collect_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/request.h"

enum {
	/* A reader that is gone must not keep the sensor busy. */
	CLOSED_LIMIT_NS = NS_PER_S / 2,
	/* For the sensor's last counters, when nothing can be written. */
	FAILED_LIMIT_NS = 2 * NS_PER_S,
};

static void
format_clock(struct wall_ns t, char *dst, size_t size)
{
	time_t sec = (time_t)(t.ns / NS_PER_S);
	struct tm tm;
	char hms[16];

	localtime_r(&sec, &tm);
	strftime(hms, sizeof(hms), "%H:%M:%S", &tm);
	snprintf(dst, size, "%s.%01d", hms,
	    (int)(t.ns % NS_PER_S / (NS_PER_S / 10)));
}

static void
format_gap(const struct msg_gap *gap, char *dst, size_t size)
{
	char first[24], last[24];

	format_clock(gap->first, first, sizeof(first));
	format_clock(gap->last, last, sizeof(last));
	snprintf(dst, size, "%llu packets missing: agent buffer full, %s to "
	    "%s", (unsigned long long)gap->packets, first, last);
}

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
	sensor_resume(c->sensor);
	collect_stop(c);
	loop_timer_set(c->limit_timer, FAILED_LIMIT_NS);
}

/* The first packet behind a gap carries the note of it. */
static int
write_behind_gap(struct collect *c, const struct packet_ref *packet,
    struct err *err)
{
	char comment[128];

	format_gap(&c->gap, comment, sizeof(comment));
	c->has_gap = false;
	return c->ops->packet(c->sink, packet,
	    c->ledger.n_interfaces == 1 ? c->gap.packets : 0, comment, err);
}

static int
write_packet(struct collect *c, const struct packet_ref *packet, struct err *err)
{
	int rc = c->has_gap ? write_behind_gap(c, packet, err) :
	    c->ops->packet(c->sink, packet, 0, "", err);

	if (rc != E_OK)
		return rc;
	c->ledger.written[packet->meta.iface]++;
	c->written++;
	c->written_bytes += packet->meta.captured_len;
	return E_OK;
}

static void
update_flow(struct collect *c)
{
	if (outfile_is_full(c->out) && !c->reader_gone && !c->output_dead)
		sensor_pause(c->sensor);
	else
		sensor_resume(c->sensor);
}

static void
on_batch(struct batch_reader *batch, void *arg)
{
	struct collect *c = arg;
	struct packet_ref packet;
	struct err err;

	while (batch_reader_next(batch, &packet)) {
		if (c->reader_gone ||
		    (c->opt->count > 0 && c->written == c->opt->count)) {
			c->ledger.beyond_count++;
			continue;
		}
		if (c->output_dead) {
			c->ledger.lost_output++;
			continue;
		}
		if (write_packet(c, &packet, &err) != E_OK) {
			c->ledger.lost_output++;
			collect_output_failed(c, &err);
		}
	}
	if (c->output_dead || c->reader_gone)
		return;
	outfile_flush(c->out);
	c->newest_sequence = batch->sequence;
	if (c->mark_sequence == 0) {
		c->mark_sequence = batch->sequence;
		c->mark_offset = outfile_submitted(c->out);
	}
	if (c->opt->count > 0 && c->written == c->opt->count)
		collect_stop(c);
	if (c->state <= COLLECT_STOPPING)
		update_flow(c);
}

/* Gaps come by the hundred when a reader is slow: one line a second tells. */
void
collect_report_gaps(struct collect *c)
{
	char text[128];

	if (c->unreported.packets == 0)
		return;
	format_gap(&c->unreported, text, sizeof(text));
	collect_report(c, text);
	c->unreported.packets = 0;
}

static void
join_gap(struct msg_gap *sum, const struct msg_gap *gap, bool is_first)
{
	if (is_first) {
		*sum = *gap;
		return;
	}
	sum->packets += gap->packets;
	sum->last = gap->last;
}

static void
on_gap(const struct msg_gap *gap, void *arg)
{
	struct collect *c = arg;

	c->ledger.gap_packets += gap->packets;
	join_gap(&c->unreported, gap, c->unreported.packets == 0);
	join_gap(&c->gap, gap, !c->has_gap);
	c->has_gap = true;
	c->newest_sequence = gap->last_sequence;
}

/* Acknowledge what is written; one mark under way is enough. */
static void
acknowledge(struct collect *c)
{
	if (c->mark_sequence == 0 || outfile_written(c->out) < c->mark_offset)
		return;
	sensor_ack(c->sensor, c->mark_sequence);
	if (collect_is_flushed(c) && c->newest_sequence > c->mark_sequence)
		sensor_ack(c->sensor, c->newest_sequence);
	if (collect_is_flushed(c)) {
		c->mark_sequence = 0;
		return;
	}
	c->mark_sequence = c->newest_sequence;
	c->mark_offset = outfile_submitted(c->out);
}

static void
on_outfile(struct outfile *out, enum outfile_event event, void *arg)
{
	struct collect *c = arg;

	if (c->state == COLLECT_DONE)
		return;
	switch (event) {
	case OUTFILE_EV_WRITTEN:
		if (c->state == COLLECT_FLUSHING) {
			if (collect_is_flushed(c))
				collect_finish(c);
			return;
		}
		acknowledge(c);
		update_flow(c);
		return;
	case OUTFILE_EV_CLOSED:
		c->reader_gone = true;
		if (c->state == COLLECT_FLUSHING) {
			collect_finish(c);
			return;
		}
		update_flow(c);
		collect_stop(c);
		loop_timer_set(c->limit_timer, CLOSED_LIMIT_NS);
		return;
	case OUTFILE_EV_ERROR:
		collect_output_failed(c, outfile_error(out));
		return;
	}
}

static void
report_agent(struct collect *c, const struct msg_hello *hello)
{
	char text[ADDRESS_HOST_LEN + 3 * PROTO_MAX_NAME];

	snprintf(text, sizeof(text), "%s: connected: %s on '%s', %s",
	    sensor_name(c->sensor), hello->program, hello->host, hello->os);
	collect_report(c, text);
}

static void
report_sizes(struct collect *c, const struct msg_started *started)
{
	char text[ADDRESS_HOST_LEN + 128];

	snprintf(text, sizeof(text), "%s: kernel ring %llu KiB, agent buffer %llu "
	    "KiB", sensor_name(c->sensor),
	    (unsigned long long)started->ring_bytes / 1024,
	    (unsigned long long)started->log_bytes / 1024);
	collect_report(c, text);
}

static void
on_hello(const struct msg_hello *hello, void *arg)
{
	struct collect *c = arg;
	struct msg_start start;
	struct err err;

	if (c->opt->verbose > 0)
		report_agent(c, hello);
	memcpy(c->os, hello->os, sizeof(c->os));
	if (request_make(c->opt, c->programs, &start, &err) != E_OK) {
		collect_fail(c, &err);
		collect_finish(c);
		return;
	}
	sensor_start(c->sensor, &start);
	request_free(&start);
}

/* The usual link types have programs; more are not made yet. */
static void
on_need_programs(const struct msg_need_programs *need, void *arg)
{
	struct collect *c = arg;
	struct err err;

	(void)need;
	err_set(&err, E_FILTER, "%s: the filter fits no link type of these "
	    "interfaces", sensor_name(c->sensor));
	collect_fail(c, &err);
	collect_finish(c);
}

/* Nothing asks for these so far. */
static void
on_filter_changed(const struct msg_filter_changed *changed, void *arg)
{
	(void)changed;
	(void)arg;
}

static void
on_interface_added(const struct msg_interface_added *added, void *arg)
{
	struct collect *c = arg;
	struct err err;

	(void)added;
	err_set(&err, E_BADMSG, "%s: an interface that came later cannot be written",
	    sensor_name(c->sensor));
	collect_fail(c, &err);
	collect_flush(c);
}

static int
add_interface(struct collect *c, const struct msg_capture_interface *iface,
    struct err *err)
{
	char name[ADDRESS_HOST_LEN + PROTO_MAX_NAME + 2];
	struct sink_interface si = {
		.name = name,
		.description = iface->description,
		.os = c->os,
		.filter = c->opt->interfaces[iface->request].filter_text,
		.comment = "",
		.link_type = iface->link_type,
		.mac = iface->has_mac ? iface->mac : NULL,
		.n_addresses = iface->n_addresses,
		.addresses = iface->addresses,
	};

	snprintf(name, sizeof(name), "%s:%s", c->opt->sensor.host, iface->name);
	return c->ops->add_interface(c->sink, &si, err);
}

static int
open_output(struct collect *c, const struct msg_started *started, struct err *err)
{
	int rc;

	if (ledger_init(&c->ledger, started->n_interfaces) != E_OK)
		return err_set(err, E_NOMEM, "capture: start: out of memory");
	c->has_ledger = true;
	c->out = outfile_open(c->loop, c->opt->output, on_outfile, c, err);
	if (c->out == NULL)
		return err->code;
	c->sink = c->ops->open(c->out, "capclient " CAP_VERSION,
	    started->snaplen, err);
	if (c->sink == NULL)
		return err->code;
	for (uint32_t i = 0; i < started->n_interfaces; i++) {
		rc = add_interface(c, &started->interfaces[i], err);
		if (rc != E_OK)
			return rc;
	}
	c->head_blocks = outfile_blocks_submitted(c->out);
	/* Wireshark opens its window when it has the interfaces. */
	outfile_flush(c->out);
	return E_OK;
}

static void
on_started(const struct msg_started *started, void *arg)
{
	struct collect *c = arg;
	struct err err;

	c->start = started->start;
	if (open_output(c, started, &err) != E_OK) {
		collect_fail(c, &err);
		collect_set_status(c, EXIT_OUTPUT);
		collect_finish(c);
		return;
	}
	if (started->notes[0] != '\0')
		collect_report(c, started->notes);
	if (c->opt->verbose > 0)
		report_sizes(c, started);
	for (uint32_t i = 0; i < started->n_interfaces; i++)
		ui_text_listening(&c->ui, c->opt->sensor.host,
		    started->interfaces[i].name,
		    started->interfaces[i].link_type, started->snaplen);
	c->state = COLLECT_RUNNING;
	loop_timer_set(c->progress_timer, COLLECT_PROGRESS_NS);
	if (c->stop_asked)
		collect_stop(c);
}

static void
on_stats(const struct msg_stats *stats, void *arg)
{
	struct collect *c = arg;

	ledger_set_agent(&c->ledger, stats, false);
}

static void
on_event(const struct msg_event *event, void *arg)
{
	struct collect *c = arg;
	char line[ADDRESS_HOST_LEN + PROTO_MAX_TEXT + 64];

	snprintf(line, sizeof(line), "%s: %s", sensor_name(c->sensor), event->text);
	collect_report(c, line);
}

static void
on_ended(const struct msg_ended *ended, void *arg)
{
	struct collect *c = arg;
	char text[PROTO_MAX_TEXT + 64];

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
	.hello = on_hello,
	.need_programs = on_need_programs,
	.started = on_started,
	.filter_changed = on_filter_changed,
	.interface_added = on_interface_added,
	.batch = on_batch,
	.gap = on_gap,
	.stats = on_stats,
	.event = on_event,
	.ended = on_ended,
	.failed = on_failed,
};
