/*
 * ring_geometry - how a ring's memory is divided into blocks.
 *
 * Pure arithmetic, used on both sides of the boundary: capagent makes rings
 * by it, capagent-net tells in a plan what they would be.
 */
#ifndef SERVER_RING_GEOMETRY_H
#define SERVER_RING_GEOMETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/compiler.h"
#include "common/err.h"

struct ring_geometry {
	uint32_t	 block_size;	/* power of two, holds the largest packet */
	uint32_t	 block_nr;
	uint32_t	 retire_ms;	/* a block with packets is handed over by then */
};

/*
 * Divide ring_bytes into blocks for packets of up to snaplen bytes, or fewer
 * when the interface makes none of more than max_packet (0: not known): many
 * small blocks, and at least 250 ms until a reader that pauses loses packets
 * at a low rate.
 *
 * E_LIMIT  ring_bytes is less than PRIV_MIN_RING
 */
int ring_geometry_make(uint64_t ring_bytes, uint32_t snaplen, uint32_t max_packet,
    struct ring_geometry *ret_geometry) MUST_CHECK;

/* Take 5 % off, at least a block; false at the minimum. */
bool ring_geometry_shrink(struct ring_geometry *geometry);

uint64_t ring_geometry_bytes(const struct ring_geometry *geometry);

#endif /* SERVER_RING_GEOMETRY_H */
