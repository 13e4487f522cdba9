#include "client/gap.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

void
gap_format_clock(struct wall_ns t, char *dst, size_t size)
{
	time_t sec = (time_t)(t.ns / NS_PER_S);
	struct tm tm;
	char hms[16];

	localtime_r(&sec, &tm);
	strftime(hms, sizeof(hms), "%H:%M:%S", &tm);
	snprintf(dst, size, "%s.%01d", hms,
	    (int)(t.ns % NS_PER_S / (NS_PER_S / 10)));
}

void
gap_format(const struct msg_gap *gap, char dst[static GAP_TEXT_LEN])
{
	char first[24], last[24];

	gap_format_clock(gap->first, first, sizeof(first));
	gap_format_clock(gap->last, last, sizeof(last));
	snprintf(dst, GAP_TEXT_LEN, "%" PRIu64 " packets missing: agent buffer "
	    "full, %s to %s", gap->packets, first, last);
}

void
gap_join(struct msg_gap *sum, const struct msg_gap *gap, bool is_first)
{
	if (is_first) {
		*sum = *gap;
		return;
	}
	sum->packets += gap->packets;
	sum->last = gap->last;
}
