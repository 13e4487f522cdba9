/*
 * link_stats - what an interface's driver says it could not receive.
 *
 * rtnetlink, in the caller's network namespace, one blocking exchange with
 * the kernel for each interface.  Runs in capagent-net under its seccomp
 * filter.
 */
#ifndef SERVER_LINK_STATS_H
#define SERVER_LINK_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct link_stats;

struct link_stats *link_stats_open(void);	/* NULL: no memory, no socket */
void link_stats_close(struct link_stats *stats);

/*
 * Packets dropped by the adapter since its driver was loaded: no room in its
 * own memory or in the host's (rx_missed_errors, rx_fifo_errors).
 * E_NOIFACE, E_SYS, E_BADMSG.
 */
int link_stats_dropped(struct link_stats *stats, uint32_t ifindex,
    uint64_t *ret_dropped) MUST_CHECK;

/* The same from the kernel's answer, behind its header; for tests. */
bool link_stats_parse(const uint8_t *p, size_t len, uint64_t *ret_dropped);

#endif /* SERVER_LINK_STATS_H */
