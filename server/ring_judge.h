/*
 * ring_judge - run a filter on a packet that is in the ring already.
 *
 * For what the kernel let through by another filter: packets from before a
 * change of filter, and tagged ones where the kernel's program cannot judge
 * tags.  Pure but for the packet's bytes, which are rearranged for a moment.
 * Runs in capagent-net.
 */
#ifndef SERVER_RING_JUDGE_H
#define SERVER_RING_JUDGE_H

#include <stdint.h>

#include "server/prologue.h"
#include "server/ring_form.h"

enum ring_verdict {
	RING_PASSED,
	RING_REJECTED,
	RING_UNCERTAIN,		/* it depends on bytes that were not captured */
};

/* A packet of a ring whose bounds are checked. */
struct ring_packet {
	const struct tpacket3_hdr *h;
	const struct sockaddr_ll *sll;
	uint8_t		*data;		/* what was captured; writable */
	uint32_t	 room;		/* bytes before it that are free */
	enum ring_layout layout;
};

/* Of one that passed, *ret_keep is how much of its form in a file to keep. */
enum ring_verdict ring_judge(const struct prologue_check *check,
    const struct ring_packet *p, uint32_t *ret_keep);

#endif /* SERVER_RING_JUDGE_H */
