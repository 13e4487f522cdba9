/*
 * gap - lost packets in words; pure.
 */
#ifndef CLIENT_GAP_H
#define CLIENT_GAP_H

#include <stdbool.h>
#include <stddef.h>

#include "common/clock.h"
#include "proto/codec.h"

enum { GAP_TEXT_LEN = 128 };

/* "3 packets missing: agent buffer full, 12:00:01.2 to 12:00:01.4" */
void gap_format(const struct msg_gap *gap, char dst[static GAP_TEXT_LEN]);

/* "12:00:01.2", local time. */
void gap_format_clock(struct wall_ns time, char *dst, size_t size);

/* Make gap part of sum, which holds none yet if is_first. */
void gap_join(struct msg_gap *sum, const struct msg_gap *gap, bool is_first);

#endif /* CLIENT_GAP_H */
