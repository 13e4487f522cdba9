#include "server/ring_geometry.h"

#include "server/priv_msg.h"

enum {
	MIN_BLOCK = 128 << 10,	/* a system call or two per 128 KiB is nothing */
	HEADROOM = 4096,	/* ring headers and link header before the snaplen */
	MIN_PAUSE_MS = 250,	/* what a scheduler or a TLS write may hold a reader */
	MIN_RETIRE_MS = 2,	/* each expiry costs, also when idle */
	MAX_RETIRE_MS = 64,	/* the delay a person does not notice */
};

static uint32_t
retire_ms(uint32_t block_nr)
{
	uint32_t ms = (MIN_PAUSE_MS + block_nr - 1) / block_nr;

	if (ms < MIN_RETIRE_MS)
		return MIN_RETIRE_MS;
	return ms > MAX_RETIRE_MS ? MAX_RETIRE_MS : ms;
}

int
ring_geometry_make(uint64_t ring_bytes, uint32_t snaplen, uint32_t max_packet,
    struct ring_geometry *ret_geometry)
{
	uint32_t longest = max_packet != 0 && max_packet < snaplen ? max_packet : snaplen;
	uint32_t block = MIN_BLOCK;

	if (ring_bytes < PRIV_MIN_RING)
		return E_LIMIT;
	while (block < longest + HEADROOM)
		block *= 2;
	*ret_geometry = (struct ring_geometry){
		.block_size = block,
		.block_nr = (uint32_t)(ring_bytes / block),
		.retire_ms = retire_ms((uint32_t)(ring_bytes / block)),
	};
	return E_OK;
}

bool
ring_geometry_shrink(struct ring_geometry *geometry)
{
	uint32_t min_nr = PRIV_MIN_RING / geometry->block_size;
	uint32_t less = geometry->block_nr / 20;

	if (geometry->block_nr <= min_nr)
		return false;
	geometry->block_nr -= less > 0 ? less : 1;
	if (geometry->block_nr < min_nr)
		geometry->block_nr = min_nr;
	geometry->retire_ms = retire_ms(geometry->block_nr);
	return true;
}

uint64_t
ring_geometry_bytes(const struct ring_geometry *geometry)
{
	return (uint64_t)geometry->block_size * geometry->block_nr;
}
