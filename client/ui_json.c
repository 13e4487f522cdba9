#include "client/ui_json.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "client/json.h"
#include "client/ledger_text.h"

/* "2026-01-31T12:00:01.234567890Z" */
static void
put_time(struct json *j, const char *key, struct wall_ns t)
{
	int64_t ns = t.ns % NS_PER_S;
	time_t sec = (time_t)(t.ns / NS_PER_S);
	struct tm tm;
	char date[40], text[64];

	/* Times of a hostile agent may be before the epoch. */
	if (ns < 0) {
		ns += NS_PER_S;
		sec--;
	}
	gmtime_r(&sec, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, sizeof(text), "%s.%09dZ", date, (int)ns);
	json_string(j, key, text);
}

/* --- counters, of an interface or in sum --- */

static void
put_counts(struct json *j, const struct ui_summary *s)
{
	json_u64(j, "seen", s->received);
	json_u64(j, "dropped_interface", s->dropped_interface);
	json_u64(j, "dropped_kernel", s->dropped_kernel);
	json_u64(j, "kernel_ring_freezes", s->freezes);
	json_open_object(j, "dropped_agent");
	json_u64(j, "buffer", s->lost_buffer);
	json_u64(j, "disconnected", s->lost_disconnected);
	json_u64(j, "filter_change", s->lost_change);
	json_u64(j, "interrupted", s->lost_interrupted);
	json_u64(j, "other", s->lost_agent);
	json_close_object(j);
	json_u64(j, "lost_connection", s->lost_connection);
	json_u64(j, "after_end", s->beyond_count);
	json_u64(j, "filtered_by_client", s->filtered);
	json_open_object(j, "lost_client");
	json_u64(j, "output", s->lost_output);
	json_u64(j, "queue", s->lost_queue);
	json_u64(j, "format", s->lost_format);
	json_close_object(j);
	json_u64(j, "written", s->captured);
}

static void
put_interfaces(struct json *j, const struct ledger *l)
{
	struct ui_summary s;

	json_open_array(j, "interfaces");
	for (uint32_t i = 0; i < l->n_interfaces; i++) {
		ledger_row_summary(l, i, &s);
		json_open_object(j, NULL);
		json_string(j, "name", l->rows[i].name);
		put_counts(j, &s);
		json_close_object(j);
	}
	json_close_array(j);
}

static void
put_total(struct json *j, const struct ledger *l, const struct ui_summary *sum)
{
	struct ui_summary rest;

	ledger_rest_summary(l, &rest);
	json_open_object(j, "total");
	put_counts(j, sum);
	json_u64(j, "unattributed", ui_summary_lost(&rest));
	json_u64(j, "shortened", sum->cut);
	json_close_object(j);
}

/* --- holes --- */

static const char *
hole_word(enum ledger_hole_reason reason)
{
	switch (reason) {
	case LEDGER_HOLE_AGENT_RESTARTED:
		return "agent_restarted";
	case LEDGER_HOLE_LINGER_OVER:
		return "linger_over";
	case LEDGER_HOLE_NOT_RUNNING:
		return "not_running";
	case LEDGER_HOLE_INTERRUPTED:
		return "interrupted";
	case LEDGER_HOLE_CONNECTION_LOST:
		return "connection_lost";
	case LEDGER_HOLE_SEVERAL:
		return "several";
	}
	return "unknown";
}

static void
put_holes(struct json *j, const struct ledger *l, struct wall_ns now)
{
	char text[LEDGER_TEXT_LEN];

	json_open_array(j, "holes");
	for (uint32_t i = 0; i < l->n_holes; i++) {
		const struct ledger_hole *hole = &l->holes[i];

		ledger_text_hole(hole, now, text);
		json_open_object(j, NULL);
		put_time(j, "from", hole->from);
		put_time(j, "to", hole->to);
		json_string(j, "reason", hole_word(hole->reason));
		json_string(j, "text", text);
		json_u64(j, "holes", hole->n);
		/* Nobody was there to count them. */
		json_null(j, "packets");
		json_close_object(j);
	}
	json_close_array(j);
}

/* --- the line --- */

static void
put_verdict(struct json *j, const struct ledger *l, const struct ui_summary *sum)
{
	bool is_settled = ledger_is_settled(l);
	bool is_balanced = is_settled && ledger_check(l, NULL) == E_OK;

	if (is_settled)
		json_bool(j, "balanced", is_balanced);
	else
		json_null(j, "balanced");
	json_bool(j, "complete", l->n_holes == 0 && ui_summary_lost(sum) == 0 &&
	    (is_balanced || !is_settled));
}

static void
put_line(struct json *j, const struct ledger *l, const struct ui_json_about *about)
{
	struct ui_summary sum;

	ledger_summary(l, &sum);
	json_open_object(j, NULL);
	json_string(j, "event", about->event == UI_JSON_ENDED ? "ended" : "stats");
	put_time(j, "time", about->time);
	json_string(j, "sensor", about->sensor);
	json_string(j, "output", about->output);
	json_string(j, "state", about->state);
	put_interfaces(j, l);
	put_total(j, l, &sum);
	put_holes(j, l, about->time);
	put_verdict(j, l, &sum);
	if (about->event == UI_JSON_ENDED)
		json_u64(j, "exit_status", (uint64_t)about->exit_status);
	json_close_object(j);
}

static int
write_all(int fd, const char *bytes, size_t len, struct err *err)
{
	struct pollfd poller = { .fd = fd, .events = POLLOUT };
	ssize_t n;

	while (len > 0) {
		n = write(fd, bytes, len);
		if (n >= 0) {
			bytes += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN) {
			/* Half a line is worse than to wait, as for other messages. */
			(void)poll(&poller, 1, -1);
		} else if (errno != EINTR) {
			return err_sys(err, "ledger: write");
		}
	}
	return E_OK;
}

int
ui_json_ledger(int fd, const struct ledger *l, const struct ui_json_about *about,
    struct err *err)
{
	const char *line;
	struct json j;
	size_t len = 0;
	int rc;

	json_init(&j);
	put_line(&j, l, about);
	line = json_line(&j, &len);
	rc = line == NULL ? err_set(err, E_NOMEM, "ledger: format: out of memory") :
	    write_all(fd, line, len, err);
	json_fini(&j);
	return rc;
}
