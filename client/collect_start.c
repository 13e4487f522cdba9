#include "client/collect_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/request.h"

/* --- asking --- */

/* Is more sent than is written, so that the agent's count is not -c's? */
static bool
counts_here(const struct collect *c)
{
	for (uint32_t i = 0; i < c->programs->n; i++)
		if (c->programs->filters[i].at_client)
			return true;
	/* Interfaces that come later may be of a type the file cannot hold. */
	for (uint32_t i = 0; i < c->opt->n_interfaces; i++)
		if (c->out_cfg.ops->one_link_type && !c->out_cfg.split_by_link_type &&
		    options_is_pattern(c->opt->interfaces[i].name))
			return true;
	return false;
}

/* At least the shortest that is one. */
static uint64_t
duration_left_ms(const struct collect *c)
{
	uint64_t gone = c->began.ns == 0 ? 0 :
	    (uint64_t)(mono_diff_ns(clock_mono(), c->began) / NS_PER_MS);

	return gone < c->opt->duration_ms ? c->opt->duration_ms - gone : 1;
}

static void
send_start(struct collect *c)
{
	struct msg_start start;
	struct err err;

	if (request_make(c->opt, c->programs, &start, &err) != E_OK) {
		collect_abort(c, &err);
		return;
	}
	/* What a capture before this one brought is had already. */
	start.max_packets = counts_here(c) || c->written >= c->opt->count ? 0 :
	    c->opt->count - c->written;
	if (c->opt->duration_ms > 0)
		start.max_duration_ms = duration_left_ms(c);
	sensor_start(c->sensor, &start);
	request_free(&start);
}

void
collect_on_hello(const struct msg_hello *hello, void *arg)
{
	struct collect *c = arg;
	char text[ADDRESS_HOST_LEN + 3 * PROTO_MAX_NAME];

	if (c->state >= COLLECT_FLUSHING)
		return;
	if (c->opt->verbose > 0) {
		snprintf(text, sizeof(text), "%s: connected: %s on '%s', %s",
		    sensor_name(c->sensor), hello->program, hello->host, hello->os);
		collect_report(c, text);
	}
	memcpy(c->os, hello->os, sizeof(c->os));
	c->instance = hello->instance;
	c->capture.is_asked = c->capture.has_token;
	if (c->capture.is_asked)
		collect_ask_resume(c);
	else
		send_start(c);
}

void
collect_on_need_programs(const struct msg_need_programs *need, void *arg)
{
	struct collect *c = arg;

	c->need = *need;
	collect_compile_missing(c);
}

void
collect_answer_need(struct collect *c)
{
	struct msg_need_programs need = c->need;
	struct err err;

	c->need.n = 0;
	/* Each answer has a program more, so that asking ends. */
	if (programs_need(c->programs, need.link_types, need.n, &err) != E_OK)
		collect_abort(c, &err);
	else
		send_start(c);
}

/* One line, however many interfaces. */
void
collect_warn_of_travel(struct collect *c, uint32_t iface)
{
	const struct collect_interface *i = &c->interfaces[iface];
	const char *why = programs_why_at_client(c->newest, i->filter);
	char text[ADDRESS_HOST_LEN + 240];

	if (c->said_travel || i->newest_place != FILTER_CLIENT)
		return;
	c->said_travel = true;
	snprintf(text, sizeof(text), "%s: the sensor's kernel cannot run this filter%s%s%s: "
	    "all packets travel and are filtered here", sensor_name(c->sensor),
	    why != NULL ? " (" : "", why != NULL ? why : "", why != NULL ? ")" : "");
	collect_report(c, text);
}

/* What the agent decided it has explained; what was decided here it has not. */
static void
warn_at_start(struct collect *c, const char *notes)
{
	for (uint32_t i = 0; i < c->ledger.n_interfaces; i++)
		if (notes[0] == '\0' ||
		    programs_why_at_client(c->newest, c->interfaces[i].filter) != NULL)
			collect_warn_of_travel(c, i);
		else if (c->interfaces[i].newest_place == FILTER_CLIENT)
			c->said_travel = true;
}

/* --- the output --- */

static int
check_link_types(struct collect *c, const struct msg_started *started,
    struct err *err)
{
	uint32_t *types = calloc(started->n_interfaces, sizeof(*types));
	int rc;

	if (types == NULL)
		return err_set(err, E_NOMEM, "capture: start: out of memory");
	for (uint32_t i = 0; i < started->n_interfaces; i++)
		types[i] = started->interfaces[i].link_type;
	rc = outputs_check(&c->out_cfg, types, started->n_interfaces, err);
	free(types);
	return rc;
}

/*
 * One for all interfaces, those that come later too: what a reader has to be
 * ready for.  As in tcpdump's files the largest unless less was asked for.
 */
static uint32_t
file_snaplen(const struct options *opt)
{
	uint32_t most = 0;

	for (uint32_t i = 0; i < opt->n_interfaces; i++)
		if (opt->interfaces[i].snaplen > most)
			most = opt->interfaces[i].snaplen;
	return most < PROTO_DEFAULT_SNAPLEN ? most : PROTO_MAX_SNAPLEN;
}

static int
open_output(struct collect *c, const struct msg_started *started, struct err *err)
{
	int rc = check_link_types(c, started, err);

	if (rc == E_OK)
		rc = collect_make_record(c, err);
	if (rc != E_OK)
		return rc;
	c->out_cfg.snaplen = file_snaplen(c->opt);
	c->out_cfg.fsync = c->opt->fsync;
	c->out_cfg.on_full = c->opt->stop_on_full ? OUTFILE_STOP : OUTFILE_WAIT;
	c->out = outputs_new(&c->out_cfg, err);
	c->out_cfg.record = NULL;	/* it is the output's */
	if (c->out == NULL)
		return err->code;
	rc = collect_declare_known(c, err);
	if (rc == E_OK)
		collect_repeat_remarks(c);
	return rc;
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

/* --- what was captured before --- */

/* An agent that is the same process had it, and let it go. */
static enum ledger_hole_reason
hole_reason(const struct collect *c)
{
	if (!c->link.is_lost)
		return LEDGER_HOLE_NOT_RUNNING;
	return c->capture.instance != 0 && c->capture.instance == c->instance ?
	    LEDGER_HOLE_LINGER_OVER : LEDGER_HOLE_AGENT_RESTARTED;
}

/* The agent's counters and numbers begin anew; what is between is a hole. */
static void
begin_anew(struct collect *c, const struct msg_started *started)
{
	ledger_end_epoch(&c->ledger);
	collect_add_hole(c, started->start, hole_reason(c));
	c->newest_sequence = 0;
	c->through = started->start;
	c->watermarked.ns = 0;
	c->kernel_drops = 0;
	c->capture.announcements = c->capture.happened = 0;
}

static void
remember(struct collect *c, const struct msg_started *started)
{
	c->capture.id = started->capture_id;
	c->capture.token = started->token;
	c->capture.has_token = started->has_token;
	c->capture.instance = c->instance;
	/* A run before us may have changed its filter: the numbers go on. */
	if (c->asked == NULL)
		c->change_number = started->update_number;
	if (c->start.ns == 0)
		c->start = started->start;
	if (c->through.ns < started->start.ns)
		c->through = started->start;
}

static void
report_resumed(struct collect *c)
{
	char text[ERR_WHAT_LEN];

	snprintf(text, sizeof(text), "'%.150s': resumed behind its packet %" PRIu64 "%s",
	    c->opt->output, c->written,
	    c->capture.is_asked ? "" : ": the capture begins anew");
	collect_report(c, text);
}

/* --- Started --- */

static int
take_interfaces(struct collect *c, const struct msg_started *started, struct err *err)
{
	/* Of a capture that was not asked to go on nothing is known. */
	bool is_anew = !c->capture.is_asked && c->ledger.n_interfaces > 0;
	int rc = E_OK;

	if (c->out == NULL)
		rc = open_output(c, started, err);
	if (rc != E_OK)
		return rc;
	if (is_anew)
		begin_anew(c, started);
	rc = collect_map_interfaces(c, started, is_anew, err);
	if (rc != E_OK)
		return rc;
	remember(c, started);
	if (c->capture.is_asked)
		collect_tell_missing(c, started);
	if (c->link.is_lost)
		collect_link_found(c, started, is_anew);
	return E_OK;
}

/* From here on the output is there, and packets are on their way. */
static void
begin_running(struct collect *c)
{
	c->state = COLLECT_RUNNING;
	c->is_open = true;
	c->began = clock_mono();
	if (c->out_cfg.is_resumed)
		report_resumed(c);
	loop_timer_set(c->progress_timer, COLLECT_PROGRESS_NS);
	if (c->opt->duration_ms > 0)
		loop_timer_set(c->duration_timer,
		    (int64_t)c->opt->duration_ms * NS_PER_MS);
	if (c->opt->stats_interval_ms > 0)
		loop_timer_set(c->stats_timer,
		    (int64_t)c->opt->stats_interval_ms * NS_PER_MS);
	/* What is gone on with may be as large as it was to be. */
	if (c->stop_asked || collect_has_enough(c))
		collect_stop(c);
}

void
collect_on_started(const struct msg_started *started, void *arg)
{
	struct collect *c = arg;
	struct err err;

	if (c->state >= COLLECT_FLUSHING)
		return;
	if (take_interfaces(c, started, &err) != E_OK) {
		collect_abort(c, &err);
		return;
	}
	if (started->notes[0] != '\0' && !c->capture.is_asked)
		collect_report(c, started->notes);
	warn_at_start(c, started->notes);
	if (c->opt->verbose > 0)
		report_sizes(c, started);
	/* Wireshark opens its window when it has the interfaces. */
	outputs_flush(c->out);
	if (c->state == COLLECT_CONNECTING) {
		collect_report_listening(c, started);
		begin_running(c);
	}
	/* A run after us is to find whose capture this is. */
	if (c->keeps_record)
		collect_mark(c);
	if (c->wants_change)
		collect_change_filter(c);
	collect_compile_missing(c);
	collect_update_flow(c);
}

void
collect_on_duration(void *arg)
{
	collect_stop(arg);
}
