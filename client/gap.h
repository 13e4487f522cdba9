/*
 * gap - lost packets in words; pure.
 */
#ifndef CLIENT_GAP_H
#define CLIENT_GAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/clock.h"
#include "proto/codec.h"

enum { GAP_TEXT_LEN = 128, GAP_COUNT_LEN = 32, GAP_TIME_LEN = 32 };

/*
 * For the packet behind it in a file: "1,204 packets missing here: agent
 * buffer full, 12:00:01.2 to 12:00:03.9".
 */
void gap_format(const struct msg_gap *gap, char dst[static GAP_TEXT_LEN]);

/* The same without "here", for where it was not. */
void gap_format_report(const struct msg_gap *gap, char dst[static GAP_TEXT_LEN]);

/* "agent buffer full" */
const char *gap_reason_text(enum gap_reason reason);

/* "1,204" */
void gap_format_count(uint64_t n, char dst[static GAP_COUNT_LEN]);

/* "12:00:01.2", local time. */
void gap_format_clock(struct wall_ns time, char *dst, size_t size);

/* The same; with the date in front, "2026-01-31 ", if now has another one. */
void gap_format_time(struct wall_ns time, struct wall_ns now,
    char dst[static GAP_TIME_LEN]);

/* Can gap become part of sum?  Only of one with the same reason. */
bool gap_joins(const struct msg_gap *sum, const struct msg_gap *gap);

/*
 * Make gap part of sum, which holds none yet if is_first; else gap_joins().
 * A sum has no counts by interface: it owns no memory, and gap keeps its own.
 */
void gap_join(struct msg_gap *sum, const struct msg_gap *gap, bool is_first);

#endif /* CLIENT_GAP_H */
