/*
 * ring_map - the few system calls around a capture socket's ring.
 *
 * The socket was opened, set up and bound by capagent; here it is mapped and
 * asked for its counters and what became of it.  Runs in capagent-net, under
 * its seccomp filter: mmap, munmap, getsockopt and getsockname only.
 */
#ifndef SERVER_RING_MAP_H
#define SERVER_RING_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

/* Map the whole ring of fd, for reading and for handing blocks back. */
int ring_map(int fd, uint32_t block_size, uint32_t block_nr, void **ret_mem,
    struct err *err) MUST_CHECK;

/* NULL is allowed. */
void ring_unmap(void *mem, uint32_t block_size, uint32_t block_nr);

/*
 * Sums since the socket was opened, of packets that passed its filter.  The
 * kernel's own counters are 32 bits wide and start again at every reading:
 * one reader per socket, every few seconds.
 */
struct ring_stats {
	uint64_t received;	/* dropped ones included */
	uint64_t dropped;	/* no room in the ring */
	uint64_t freezes;	/* how often the ring became full */
};

/* Add what fd's counters say to stats; unchanged when that fails. */
int ring_read_stats(int fd, struct ring_stats *stats, struct err *err);

/*
 * The error that waits on fd as an errno value (ENETDOWN: the interface went
 * down or away), 0 for none.  Reading clears it; unread, poll() returns at
 * once for ever.
 */
int ring_socket_error(int fd);

/*
 * Was the interface that fd is bound to deleted, or moved to another network
 * namespace?  It gets nothing any more, whatever has the number now.
 */
bool ring_socket_is_lost(int fd);

#endif /* SERVER_RING_MAP_H */
