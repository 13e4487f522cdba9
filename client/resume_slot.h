/*
 * resume_slot - one state of a resume record as bytes, with a checksum.
 *
 * Pure: no file, no clock.  The bytes may come from anybody; nothing of them is
 * believed before the checksum holds, and no length without a bound.
 */
#ifndef CLIENT_RESUME_SLOT_H
#define CLIENT_RESUME_SLOT_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

enum {
	RESUME_SLOT_TAIL_MAX = 64,
	RESUME_SLOT_HEAD = 32 + 4 * 8 + 2 * 4 + RESUME_SLOT_TAIL_MAX,
	/* The announcements that an agent keeps, twice over, and the rest. */
	RESUME_SLOT_PAYLOAD_MAX = 512 << 10,
	RESUME_SLOT_MAX = RESUME_SLOT_HEAD + RESUME_SLOT_PAYLOAD_MAX,
};

struct resume_slot {
	uint64_t	 generation;	/* higher is newer; never UINT64_MAX */
	uint64_t	 offset;	/* where the output goes on */
	uint64_t	 dev, ino;	/* of the output */
	uint32_t	 tail_len;	/* 0: the output could not be read */
	uint8_t		 tail[RESUME_SLOT_TAIL_MAX];	/* what stands before offset */
	uint32_t	 payload_len;
	const uint8_t	*payload;
};

/*
 * Write RESUME_SLOT_HEAD + payload_len bytes to dst.  E_TOOBIG for a payload
 * or tail beyond the limits, E_NOMEM.
 */
int resume_slot_pack(const struct resume_slot *slot, uint8_t *dst) MUST_CHECK;

/*
 * The slot that bytes begin with; its payload points into them.  E_BADMSG for
 * everything that resume_slot_pack() did not write, E_NOMEM.
 */
int resume_slot_parse(const uint8_t *bytes, size_t len, struct resume_slot *ret_slot)
    MUST_CHECK;

#endif /* CLIENT_RESUME_SLOT_H */
