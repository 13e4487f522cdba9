/*
 * resume_record - the file PATH.resume beside an output: how far the output is
 * complete, and what its client needs to go on from there.
 *
 * Two slots with checksums, written in turn: whatever kills the client, one of
 * them is whole.  The lock on the file says that a client writes the output.
 * What the payload means is the caller's business; what the file holds is
 * believed as little as anything that strangers may write.  In capclient;
 * resume_record_write() and resume_record_renew() in the writer's thread.
 */
#ifndef CLIENT_RESUME_RECORD_H
#define CLIENT_RESUME_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/resume_slot.h"
#include "common/err.h"

struct resume_record;

enum resume_record_mode {
	RESUME_RECORD_NEW,	/* made, or taken over: what it held is forgotten */
	RESUME_RECORD_OLD,	/* must be there */
};

struct resume_record_state {
	uint64_t	 offset;	/* of the output, where it goes on */
	const uint8_t	*payload;	/* until the next call about the record */
	size_t		 len;
};

/*
 * Open and lock the record of an output.
 *
 * E_STATE   a running client holds it: "'x.pcapng': resume: another capclient
 *           writes it (its record 'x.pcapng.resume' is locked)"
 * E_GONE    RESUME_RECORD_OLD and there is none
 * E_OUTPUT  what is there is no record of ours (a link, another user's, other
 *           content: left as it is), or cannot be opened
 * E_NOSPACE, E_NOMEM
 */
int resume_record_open(const char *output_path, enum resume_record_mode mode,
    struct resume_record **ret_record, struct err *err) MUST_CHECK;

/* The newest whole slot, written or found.  E_GONE when there is none. */
int resume_record_read(const struct resume_record *record,
    struct resume_record_state *ret_state, struct err *err) MUST_CHECK;

/*
 * Was the client that made it killed before it said anything?  Then its output is
 * one that it was about to make anew.
 */
bool resume_record_is_fresh(const struct resume_record *record);

/*
 * Is this open file the output that the newest slot is about, and can it go on
 * at its offset?  E_GONE without a slot; E_OUTPUT "'x.pcapng': resume: ..." for
 * another file, one that is too short or has other bytes before the offset.
 */
int resume_record_check_output(const struct resume_record *record, int output_fd,
    struct err *err) MUST_CHECK;

/*
 * Write the next slot: the output output_fd, whose identity goes with it, is
 * complete up to offset.  syncs: it returns when the disk has it.  At most
 * RESUME_SLOT_PAYLOAD_MAX bytes of payload (E_TOOBIG).  After a failure the
 * slot before still holds, and the call can be repeated.  A record whose file
 * was removed is made anew.  E_OUTPUT, E_NOSPACE, E_NOMEM.
 */
int resume_record_write(struct resume_record *record, int output_fd, uint64_t offset,
    const uint8_t *payload, size_t len, bool syncs, struct err *err) MUST_CHECK;

/* Write the newest slot again, for an output that is another file now. */
int resume_record_renew(struct resume_record *record, int output_fd, bool syncs,
    struct err *err) MUST_CHECK;

/* Close it and let it go, so that nothing can be resumed.  NULL is allowed. */
void resume_record_remove(struct resume_record *record);

/* Close it; the file stays.  NULL is allowed. */
void resume_record_close(struct resume_record *record);

#endif /* CLIENT_RESUME_RECORD_H */
