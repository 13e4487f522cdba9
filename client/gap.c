#include "client/gap.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* --- times and numbers --- */

/*
 * The second it is in, and nanoseconds of that; times of a hostile agent may be
 * before the epoch.
 */
static time_t
second_of(struct wall_ns t, int64_t *ret_ns)
{
	int64_t sec = t.ns / NS_PER_S, ns = t.ns % NS_PER_S;

	if (ns < 0) {
		ns += NS_PER_S;
		sec--;
	}
	*ret_ns = ns;
	return (time_t)sec;
}

void
gap_format_clock(struct wall_ns t, char *dst, size_t size)
{
	int64_t ns;
	time_t sec = second_of(t, &ns);
	struct tm tm;
	char hms[16];

	localtime_r(&sec, &tm);
	strftime(hms, sizeof(hms), "%H:%M:%S", &tm);
	snprintf(dst, size, "%s.%01d", hms,
	    (int)(ns / (NS_PER_S / 10)));
}

void
gap_format_time(struct wall_ns t, struct wall_ns now, char dst[static GAP_TIME_LEN])
{
	int64_t ns;
	time_t sec = second_of(t, &ns), now_sec = second_of(now, &ns);
	struct tm tm, now_tm;
	size_t len = 0;

	localtime_r(&sec, &tm);
	localtime_r(&now_sec, &now_tm);
	if (tm.tm_year != now_tm.tm_year || tm.tm_yday != now_tm.tm_yday)
		len = strftime(dst, GAP_TIME_LEN, "%Y-%m-%d ", &tm);
	gap_format_clock(t, dst + len, GAP_TIME_LEN - len);
}

void
gap_format_count(uint64_t n, char dst[static GAP_COUNT_LEN])
{
	char digits[24];
	size_t len = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, n);
	char *p = dst;

	for (size_t i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			*p++ = ',';
		*p++ = digits[i];
	}
	*p = '\0';
}

/* --- gaps --- */

const char *
gap_reason_text(enum gap_reason reason)
{
	switch (reason) {
	case GAP_LOG_FULL:
		return "agent buffer full";
	case GAP_INTERRUPTED:
		return "second Ctrl-C";
	case GAP_DISCONNECTED:
		return "agent buffer full while disconnected";
	}
	return "unknown";
}

static void
format(const struct msg_gap *gap, const char *where, char dst[static GAP_TEXT_LEN])
{
	char count[GAP_COUNT_LEN], first[24], last[24];

	gap_format_count(gap->packets, count);
	gap_format_clock(gap->first, first, sizeof(first));
	gap_format_clock(gap->last, last, sizeof(last));
	snprintf(dst, GAP_TEXT_LEN, "%s packet%s missing%s: %s, %s to %s", count,
	    gap->packets == 1 ? "" : "s", where, gap_reason_text(gap->reason), first, last);
}

void
gap_format(const struct msg_gap *gap, char dst[static GAP_TEXT_LEN])
{
	format(gap, " here", dst);
}

void
gap_format_report(const struct msg_gap *gap, char dst[static GAP_TEXT_LEN])
{
	format(gap, "", dst);
}

bool
gap_joins(const struct msg_gap *sum, const struct msg_gap *gap)
{
	return sum->reason == gap->reason;
}

static uint64_t
add_up(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

void
gap_join(struct msg_gap *sum, const struct msg_gap *gap, bool is_first)
{
	if (is_first) {
		*sum = *gap;
		sum->by_interface = NULL;
		sum->n_interfaces = 0;
		return;
	}
	sum->packets = add_up(sum->packets, gap->packets);
	sum->bytes = add_up(sum->bytes, gap->bytes);
	if (gap->first_sequence < sum->first_sequence)
		sum->first_sequence = gap->first_sequence;
	if (gap->last_sequence > sum->last_sequence)
		sum->last_sequence = gap->last_sequence;
	if (gap->first.ns < sum->first.ns)
		sum->first = gap->first;
	if (gap->last.ns > sum->last.ns)
		sum->last = gap->last;
}
