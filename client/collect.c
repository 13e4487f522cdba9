#include "client/collect.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/ledger.h"
#include "client/link_type.h"
#include "client/outfile.h"
#include "client/sensor.h"
#include "client/sink.h"
#include "client/ui_text.h"
#include "common/clock.h"
#include "common/loop.h"

enum {
	PROGRESS_NS = NS_PER_S,
	/* A reader that is gone must not keep the sensor busy. */
	CLOSED_LIMIT_NS = NS_PER_S / 2,
	OUTPUT_LIMIT_MS = 5000,		/* for close() after everything is written */
};

enum collect_state {
	COLLECT_CONNECTING,
	COLLECT_RUNNING,
	COLLECT_STOPPING,	/* the agent drains */
	COLLECT_FLUSHING,	/* all has come; the output takes the rest */
	COLLECT_DONE,
};

enum { N_SIGNALS = 5 };

struct collect {
	const struct options *opt;
	const struct programs *programs;
	struct loop	*loop;
	struct sensor	*sensor;
	struct outfile	*out;
	const struct sink_ops *ops;
	struct sink	*sink;
	struct loop_timer *progress_timer, *limit_timer;
	struct loop_signal *signals[N_SIGNALS];
	struct ui_text	 ui;
	enum collect_state state;
	enum exit_status status;	/* the first thing that went wrong */
	struct ledger	 ledger;
	bool		 has_ledger;
	bool		 reader_gone;	/* the pipe was closed: the user's end */
	bool		 stop_asked;	/* by the user, a count or the reader */
	char		 os[PROTO_MAX_NAME + 1];
	struct wall_ns	 start, last;
	uint64_t	 written, written_bytes;
	struct msg_gap	 gap;		/* to be noted at the next packet */
	bool		 has_gap;
	struct msg_gap	 unreported;	/* gaps since the last line about them */
	/* Acknowledge mark_sequence when the output has reached mark_offset. */
	uint64_t	 mark_sequence, mark_offset, newest_sequence;
};

/* --- the end --- */

static void
finish(struct collect *c)
{
	c->state = COLLECT_DONE;
	loop_stop(c->loop);
}

static void
set_status(struct collect *c, enum exit_status status)
{
	if (c->status == EXIT_COMPLETE)
		c->status = status;
}

static void
report(struct collect *c, const char *text)
{
	ui_text_clear(&c->ui);
	ui_text_message(&c->ui, text);
}

static void
fail(struct collect *c, const struct err *err)
{
	report(c, err->what);
	set_status(c, exit_status_of(err->code));
}

static uint64_t
lost_elsewhere(const struct collect *c, uint32_t iface)
{
	const struct ledger *l = &c->ledger;
	uint64_t lost = l->agent[iface].dropped_agent;

	/* Gaps count for the capture as a whole; one interface has them all. */
	if (l->n_interfaces == 1)
		lost += l->gap_packets + l->lost_output;
	return lost;
}

static void
write_stats(struct collect *c)
{
	struct err err;

	for (uint32_t i = 0; i < c->ledger.n_interfaces; i++) {
		const struct msg_interface_stats *a = &c->ledger.agent[i];
		struct sink_stats stats = {
			.received = a->received,
			.dropped_kernel = a->dropped_kernel,
			.dropped_interface = a->dropped_interface,
			.lost_elsewhere = lost_elsewhere(c, i),
			.written = c->ledger.written[i],
			.start = c->start,
			.end = clock_wall(),
		};

		if (c->ops->stats(c->sink, i, &stats, &err) != E_OK) {
			fail(c, &err);
			return;
		}
	}
}

static bool
is_flushed(const struct collect *c)
{
	return outfile_written(c->out) == outfile_submitted(c->out);
}

/* Nothing more will come: last blocks, then wait for the writer. */
static void
flush(struct collect *c)
{
	if (c->state >= COLLECT_FLUSHING)
		return;
	if (c->sink == NULL || c->reader_gone) {
		finish(c);
		return;
	}
	c->state = COLLECT_FLUSHING;
	write_stats(c);
	outfile_flush(c->out);
	if (is_flushed(c))
		finish(c);
}

static void
stop(struct collect *c)
{
	c->stop_asked = true;
	if (c->state == COLLECT_RUNNING) {
		c->state = COLLECT_STOPPING;
		sensor_stop(c->sensor);
	} else if (c->state == COLLECT_CONNECTING) {
		finish(c);
	}
}

static void
limit_reached(void *arg)
{
	finish(arg);
}

/* --- packets --- */

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

static void
output_failed(struct collect *c, const struct err *err)
{
	if (c->state >= COLLECT_FLUSHING) {
		fail(c, err);
		finish(c);
		return;
	}
	fail(c, err);
	set_status(c, EXIT_OUTPUT);
	finish(c);
}

static int
write_packet(struct collect *c, const struct packet_ref *packet, struct err *err)
{
	char comment[128] = "";
	uint64_t dropped = 0;
	int rc;

	if (c->has_gap) {
		format_gap(&c->gap, comment, sizeof(comment));
		if (c->ledger.n_interfaces == 1)
			dropped = c->gap.packets;
		c->has_gap = false;
	}
	rc = c->ops->packet(c->sink, packet, dropped, comment, err);
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
	if (outfile_is_full(c->out) && !c->reader_gone)
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
		if (write_packet(c, &packet, &err) != E_OK) {
			c->ledger.lost_output++;
			output_failed(c, &err);
			return;
		}
	}
	outfile_flush(c->out);
	c->newest_sequence = batch->sequence;
	if (c->mark_sequence == 0) {
		c->mark_sequence = batch->sequence;
		c->mark_offset = outfile_submitted(c->out);
	}
	if (c->opt->count > 0 && c->written == c->opt->count)
		stop(c);
	if (c->state <= COLLECT_STOPPING)
		update_flow(c);
}

/* Gaps come by the hundred when a reader is slow: one line a second tells. */
static void
report_gaps(struct collect *c)
{
	char text[128];

	if (c->unreported.packets == 0)
		return;
	format_gap(&c->unreported, text, sizeof(text));
	report(c, text);
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
	if (is_flushed(c) && c->newest_sequence > c->mark_sequence)
		sensor_ack(c->sensor, c->newest_sequence);
	if (is_flushed(c)) {
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
			if (is_flushed(c))
				finish(c);
			return;
		}
		acknowledge(c);
		update_flow(c);
		return;
	case OUTFILE_EV_CLOSED:
		c->reader_gone = true;
		if (c->state == COLLECT_FLUSHING) {
			finish(c);
			return;
		}
		update_flow(c);
		stop(c);
		loop_timer_set(c->limit_timer, CLOSED_LIMIT_NS);
		return;
	case OUTFILE_EV_ERROR:
		output_failed(c, outfile_error(out));
		return;
	}
}

/* --- the sensor's other events --- */

static void
on_hello(const struct msg_hello *hello, void *arg)
{
	struct collect *c = arg;
	const struct options *opt = c->opt;
	struct msg_start start = {
		.n_interfaces = opt->n_interfaces,
		.snaplen = opt->snaplen,
		.no_promiscuous = opt->no_promiscuous,
		.exact_vlan = c->programs->exact_vlan,
		.filter_text = opt->filter,
		.ring_bytes = opt->buffer_bytes,
		.max_packets = opt->count,
		.n_programs = c->programs->n,
	};
	struct msg_program programs[PROGRAMS_MAX];
	char (*names)[PROTO_MAX_NAME + 1];
	struct err err;

	memcpy(programs, c->programs->list, sizeof(programs));
	start.programs = programs;
	memcpy(c->os, hello->os, sizeof(c->os));
	names = calloc(opt->n_interfaces, sizeof(*names));
	if (names == NULL) {
		err_set(&err, E_NOMEM, "capture: start: out of memory");
		fail(c, &err);
		finish(c);
		return;
	}
	for (uint32_t i = 0; i < opt->n_interfaces; i++)
		snprintf(names[i], sizeof(names[i]), "%s", opt->interfaces[i]);
	start.interfaces = names;
	sensor_start(c->sensor, &start);
	free(names);
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
		.filter = c->opt->filter,
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
		fail(c, &err);
		set_status(c, EXIT_OUTPUT);
		finish(c);
		return;
	}
	if (started->notes[0] != '\0')
		report(c, started->notes);
	for (uint32_t i = 0; i < started->n_interfaces; i++)
		ui_text_listening(&c->ui, c->opt->sensor.host,
		    started->interfaces[i].name,
		    started->interfaces[i].link_type, started->snaplen);
	c->state = COLLECT_RUNNING;
	loop_timer_set(c->progress_timer, PROGRESS_NS);
	if (c->stop_asked)
		stop(c);
}

static void
on_stats(const struct msg_stats *stats, void *arg)
{
	struct collect *c = arg;

	ledger_set_agent(&c->ledger, stats, false);
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
		report(c, text);
		set_status(c, EXIT_CONNECTION);
	}
	flush(c);
}

static void
on_failed(const struct err *err, void *arg)
{
	struct collect *c = arg;
	bool had_started = c->state != COLLECT_CONNECTING;

	if (c->state == COLLECT_DONE)
		return;
	/* libpcap's own words say more than that a program is missing. */
	if (err->code == E_FILTER && c->programs->missing.code != E_OK)
		report(c, c->programs->missing.what);
	report(c, err->what);
	set_status(c, had_started ? EXIT_CONNECTION : exit_status_of(err->code));
	if (had_started)
		flush(c);
	else
		finish(c);
}

static const struct sensor_events sensor_events = {
	.hello = on_hello,
	.started = on_started,
	.batch = on_batch,
	.gap = on_gap,
	.stats = on_stats,
	.ended = on_ended,
	.failed = on_failed,
};

/* --- signals and progress --- */

static void
on_end_signal(void *arg)
{
	struct collect *c = arg;

	if (c->stop_asked) {
		c->status = EXIT_INTERRUPTED;
		finish(c);
		return;
	}
	stop(c);
}

static void
on_stats_signal(void *arg)
{
	struct collect *c = arg;
	struct ui_summary s;
	char text[160];

	if (!c->has_ledger)
		return;
	ledger_summary(&c->ledger, &s);
	snprintf(text, sizeof(text), "%llu packets captured, %llu packets received "
	    "by filter, %llu packets dropped by kernel",
	    (unsigned long long)s.captured, (unsigned long long)s.received,
	    (unsigned long long)s.dropped_kernel);
	report(c, text);
}

static void
on_flush_signal(void *arg)
{
	struct collect *c = arg;

	if (c->out != NULL)
		outfile_flush(c->out);
}

static void
on_progress(void *arg)
{
	struct collect *c = arg;
	struct ui_progress p = { .packets = c->written, .bytes = c->written_bytes };
	struct ui_summary s;

	report_gaps(c);
	ledger_summary(&c->ledger, &s);
	p.lost = ui_summary_lost(&s);
	ui_text_progress(&c->ui, &p);
	loop_timer_set(c->progress_timer, PROGRESS_NS);
}

static int
watch_signals(struct collect *c, struct err *err)
{
	static const struct { int signo; loop_fn fn; } table[N_SIGNALS] = {
		{ SIGINT, on_end_signal },
		{ SIGTERM, on_end_signal },
		{ SIGHUP, on_end_signal },
		{ SIGUSR1, on_stats_signal },
		{ SIGUSR2, on_flush_signal },
	};

	for (size_t i = 0; i < N_SIGNALS; i++) {
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

/* --- all of it --- */

static int
prepare(struct collect *c, struct tls *tls, struct err *err)
{
	struct sensor_config cfg = {
		.address = &c->opt->sensor,
		.server_name = c->opt->server_name,
		.tls = tls,
		.events = &sensor_events,
		.arg = c,
	};

	c->loop = loop_new(err);
	if (c->loop == NULL)
		return err->code;
	c->progress_timer = loop_timer_new(c->loop, on_progress, c);
	c->limit_timer = loop_timer_new(c->loop, limit_reached, c);
	if (c->progress_timer == NULL || c->limit_timer == NULL)
		return err_set(err, E_NOMEM, "capture: create: out of memory");
	if (watch_signals(c, err) != E_OK)
		return err->code;
	c->sensor = sensor_new(c->loop, &cfg, err);
	return c->sensor == NULL ? err->code : E_OK;
}

static void
close_output(struct collect *c)
{
	struct err err;

	if (c->sink != NULL) {
		c->ledger.cut = c->ops->cut(c->sink);
		c->ops->free(c->sink);
	}
	if (c->out != NULL && outfile_close(c->out,
	    c->status == EXIT_INTERRUPTED ? 0 : OUTPUT_LIMIT_MS, &err) != E_OK &&
	    !c->reader_gone && c->status == EXIT_COMPLETE)
		fail(c, &err);
}

static void
settle(struct collect *c)
{
	struct ui_summary summary;
	struct err err;

	report_gaps(c);
	ledger_summary(&c->ledger, &summary);
	ui_text_clear(&c->ui);
	ui_text_summary(&c->ui, &summary);
	if (c->ledger.is_final && ledger_check(&c->ledger, &err) != E_OK) {
		report(c, err.what);
		c->status = EXIT_LEDGER;
	} else if (ui_summary_lost(&summary) > 0) {
		set_status(c, EXIT_INCOMPLETE);
	}
}

static void
release(struct collect *c)
{
	for (size_t i = 0; i < N_SIGNALS; i++)
		loop_signal_free(c->signals[i]);
	sensor_free(c->sensor);
	loop_timer_free(c->progress_timer);
	loop_timer_free(c->limit_timer);
	loop_free(c->loop);
	if (c->has_ledger)
		ledger_fini(&c->ledger);
}

enum exit_status
collect_run(const struct options *options, const struct programs *programs,
    struct tls *tls)
{
	struct collect c = {
		.opt = options,
		.programs = programs,
		.ops = options->format == OPTIONS_PCAP ? &sink_pcap_ops :
		    &sink_pcapng_ops,
	};
	struct err err;

	ui_text_init(&c.ui, stderr, options->quiet);
	if (prepare(&c, tls, &err) != E_OK || loop_run(c.loop, &err) != E_OK)
		fail(&c, &err);
	close_output(&c);
	if (c.has_ledger)
		settle(&c);
	release(&c);
	return c.status;
}
