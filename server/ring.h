/*
 * ring - walk the blocks of a TPACKET_V3 receive ring.
 *
 * Works on mapped memory and nothing else: no system call, so that a test
 * can hand it a buffer.  Turns every packet into what a file would hold (tag
 * back in its place, cooked header in front, cut at snaplen) and copies its
 * bytes once, into the open batch; where asked, judges it by a filter before.
 * Knows nothing of sockets, threads or time.  Runs in capagent-net.
 */
#ifndef SERVER_RING_H
#define SERVER_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/err.h"
#include "server/ring_form.h"

struct batch_builder;
struct prologue_check;

/* What the walk must know of the interface behind the ring. */
struct ring_link {
	uint32_t link_type;	/* LINKTYPE_ value of the packets made */
	uint32_t iface;		/* index in Started's interface list */
	uint32_t snaplen;	/* of the packet as delivered, 1.. */
	bool	 is_cooked;	/* SOCK_DGRAM: an SLL or SLL2 header is made */
	bool	 is_loopback;	/* outgoing copies are skipped */
};

/*
 * A filter that packets of the ring must pass besides the kernel's.  None
 * while check is NULL; it is borrowed.
 */
struct ring_filter {
	const struct prologue_check *check;
	bool	 only_tagged;	/* the kernel has judged the others */
	bool	 drop_uncertain; /* else they are delivered */
	uint64_t until_block;	/* of recheck: the last block in which all is judged */
	struct wall_ns until_time;	/* instead: packets stamped before; 0: none */
};

/* Storage is the caller's, contents are ring's; counters may be read. */
struct ring {
	uint64_t packets;	/* delivered */
	uint64_t bytes;		/* their captured bytes */
	uint64_t skipped;	/* outgoing copies on a loopback interface */
	uint64_t rejected;	/* by a filter here */
	uint64_t uncertain;	/* what a filter asks for was cut away: dropped */
	uint64_t bad_blocks;	/* blocks that were not walked to their end */
	uint64_t bad_packets;	/* lost in them, as far as they can be told */
	bool	 is_losing;	/* kernel's flag in the newest block: it dropped */

	uint8_t	*mem;
	uint32_t block_size, block_nr;
	struct ring_link link;
	enum ring_layout layout;
	struct ring_front front;	/* of the packet being delivered */
	struct ring_filter recheck, standing;
	const struct ring_filter *filter;	/* of the block being walked */
	uint64_t sequence;	/* of the block walked last; they begin at 1 */
	uint32_t block;		/* the next to walk, or the one being walked */
	uint32_t left;		/* packets of it still to walk */
	uint32_t offset;	/* of the next one in it */
	bool	 is_inside;
};

/* mem (block_size * block_nr bytes, writable) is borrowed, link copied. */
void ring_init(struct ring *r, void *mem, uint32_t block_size,
    uint32_t block_nr, const struct ring_link *link);

/*
 * Judge packets here from now on: up to recheck->until_block (or stamped
 * before recheck->until_time) by recheck, all others by standing.
 *
 * A packet is stamped before the kernel's filter sees it, and written to a
 * block after: one that was stopped in between comes late, but its stamp
 * tells, for a turn of the ring.  Blocks are for stamps of another clock;
 * there the block behind until_block is judged too, but what cannot be judged
 * in it is kept: most of it has passed the new filter.
 */
void ring_set_filters(struct ring *r, const struct ring_filter *recheck,
    const struct ring_filter *standing);

/* The number of the block that the kernel writes to (or wrote to last). */
uint64_t ring_open_block(const struct ring *r);

/* Is a block waiting, or half walked? */
bool ring_is_ready(const struct ring *r);

/*
 * Append the packets of the next closed block to builder, then give the block
 * back to the kernel.
 *
 * E_OK      one block (or the rest of one) was walked; there may be more
 * E_AGAIN   no closed block
 * E_TOOBIG  builder is full: seal it and call again, which goes on at the
 *           same packet.  The block is still ours.
 * E_BADMSG  the block is not one the kernel would write: what stood before
 *           the fault was delivered, the rest is counted, the block is given
 *           back and the next call goes on with the next block
 */
int ring_walk(struct ring *r, struct batch_builder *builder) MUST_CHECK;

#endif /* SERVER_RING_H */
