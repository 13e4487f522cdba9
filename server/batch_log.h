/*
 * batch_log - a bounded, ordered store of sealed batches, read by cursors.
 *
 * Between the capture, which appends, and the readers, each of which sees
 * every batch once, in order, or a gap in the very place of batches it will
 * never get.  A batch stays until every cursor has acknowledged it, or until
 * the policy needs its room.  No sockets, no time, no threads; codes only.
 * All operations are O(1) in the number of batches, O(n) in cursors, of
 * which there are few.  Runs in capagent-net.
 */
#ifndef SERVER_BATCH_LOG_H
#define SERVER_BATCH_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "proto/batch.h"
#include "proto/codec.h"

struct batch_log;
struct log_cursor;

/* What gives way when a batch does not fit. */
enum batch_log_policy {
	BATCH_LOG_DROP_OLDEST,	/* batches are evicted, acknowledged or not */
	BATCH_LOG_DROP_NEWEST,	/* the batch is refused */
};

/* max_bytes bounds the sum of mem_bytes held.  NULL when out of memory. */
struct batch_log *batch_log_new(size_t max_bytes, enum batch_log_policy policy);

/* Release the log, its batches and all cursors.  NULL is allowed. */
void batch_log_free(struct batch_log *log);

/*
 * Append batch (takes the caller's reference, on failure too).  Sequences
 * start anywhere and go up by one, refused batches included.
 *
 * E_LIMIT  refused by the policy, or larger than the whole log: it has
 *          become (part of) a gap behind the newest batch
 * E_NOMEM  the same, for want of memory
 * E_BUG    not the next sequence; nothing changed
 */
int batch_log_append(struct batch_log *log, struct batch *batch);

/* Sum of mem_bytes held; never more than max_bytes. */
size_t batch_log_bytes(const struct batch_log *log);

/*
 * A new reader that starts at the oldest batch held, with nothing
 * acknowledged.  NULL when out of memory.
 */
struct log_cursor *batch_log_open_cursor(struct batch_log *log);

/*
 * Batches that only this cursor held back are released; without any cursor
 * the log keeps what its bound allows.  NULL is allowed.
 */
void batch_log_close_cursor(struct log_cursor *cursor);

/* What a reader gets: a batch, or, when batch is NULL, a gap. */
struct log_item {
	struct batch	*batch;
	struct msg_gap	 gap;
};

/*
 * Take the next item.  A batch comes with a reference that the caller owns:
 * it may be evicted from the log while it is being sent.  A gap covers all
 * adjacent lost batches known at this moment, and is given once.
 *
 * E_AGAIN  nothing yet
 */
int batch_log_next(struct log_cursor *cursor, struct log_item *ret_item)
    MUST_CHECK;

/* Would batch_log_next() find something? */
bool batch_log_has_next(const struct log_cursor *cursor);

/*
 * This reader has everything up to sequence in safety.  Less than before is
 * no news and no error.
 *
 * E_STATE  more than was given out: the peer's fault
 */
int batch_log_ack(struct log_cursor *cursor, uint64_t sequence) MUST_CHECK;

/* What this reader will not get: the sums of its gaps, given out or not. */
uint64_t batch_log_lost_packets(const struct log_cursor *cursor);
uint64_t batch_log_lost_bytes(const struct log_cursor *cursor);

#endif /* SERVER_BATCH_LOG_H */
