/*
 * batch_log - a bounded, ordered store of sealed batches, read by one reader.
 *
 * Between the capture, which appends, and the reader, which sees every batch
 * once, in order, or a gap in the very place of batches it will never get.
 * Both stay until the reader has acknowledged them, or the policy needs their
 * room; until then the reader can go back.  No sockets, no threads, no clock;
 * codes only.  All operations but batch_log_seek() and batch_log_interrupt()
 * are O(1) in the number of batches.  Runs in capagent-net.
 */
#ifndef SERVER_BATCH_LOG_H
#define SERVER_BATCH_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/err.h"
#include "proto/batch.h"
#include "proto/codec.h"

struct batch_log;

/* What gives way when a batch does not fit. */
enum batch_log_policy {
	BATCH_LOG_DROP_OLDEST,	/* batches are evicted, acknowledged or not */
	BATCH_LOG_DROP_NEWEST,	/* the batch is refused */
};

/*
 * max_bytes bounds what batch_log_bytes() says, but for two gaps; with
 * BATCH_LOG_DROP_NEWEST an eighth is kept free for gaps.  NULL when out of
 * memory.
 */
struct batch_log *batch_log_new(size_t max_bytes, enum batch_log_policy policy);

/* Every batch was given back.  NULL is allowed. */
void batch_log_free(struct batch_log *log);

/*
 * Append batch (takes the caller's reference, on failure too), sealed at now.
 * Sequences start anywhere and go up by one, refused batches included.
 *
 * E_LIMIT  refused by the policy, or larger than the whole log: it has
 *          become (part of) a gap behind the newest batch
 * E_NOMEM  the same, for want of memory
 * E_BUG    not the next sequence; nothing changed
 */
int batch_log_append(struct batch_log *log, struct batch *batch, struct mono_ns now);

/* Why what is lost from now on is lost; at first GAP_LOG_FULL. */
void batch_log_set_reason(struct batch_log *log, enum gap_reason reason);

/*
 * The memory of all batches, those included that the reader has not given
 * back, and of gaps.
 */
size_t batch_log_bytes(const struct batch_log *log);

/* What the reader gets: a batch, or, when batch is NULL, a gap. */
struct log_item {
	struct batch	*batch;		/* to be given back: batch_log_return() */
	struct msg_gap	 gap;		/* what it owns is the log's, until its next change */
};

/*
 * Take the next item.  Batches may be evicted while they are being sent.  A
 * gap covers all adjacent batches lost for one reason that are known at this
 * moment; its bounds then stay as they are.
 *
 * E_AGAIN  nothing yet
 * E_NOMEM  what comes next was lost together with its numbers; for good
 */
int batch_log_next(struct batch_log *log, struct log_item *ret_item) MUST_CHECK;

/* Would batch_log_next() find something? */
bool batch_log_has_next(const struct batch_log *log);

/* Since when that waits; false when nothing does. */
bool batch_log_waits_since(const struct batch_log *log, struct mono_ns *ret_sealed);

/* The reader's reference of an item's batch: its memory may come free now. */
void batch_log_return(struct batch_log *log, struct batch *batch);

/*
 * The reader has everything up to sequence in safety.  Less than before is
 * no news and no error.
 *
 * E_STATE  more than was given out: the peer's fault
 */
int batch_log_ack(struct batch_log *log, uint64_t sequence) MUST_CHECK;

/*
 * Go back to sequence, which is what comes next then: the beginning of an
 * item that was given, or the end of what was.  Items come as they came
 * before; a batch that was evicted since comes as a gap, and is lost only now.
 *
 * E_GONE   acknowledged, not given yet, inside an item, or given so long ago
 *          that nothing is known of it any more; nothing changed
 */
int batch_log_seek(struct batch_log *log, uint64_t sequence) MUST_CHECK;

/* Lose all batches that were not given: GAP_INTERRUPTED. */
void batch_log_interrupt(struct batch_log *log);

/* The last sequence given; 0 before the first batch. */
uint64_t batch_log_given(const struct batch_log *log);

/* The last sequence acknowledged. */
uint64_t batch_log_acked(const struct batch_log *log);

/*
 * What the reader does not get: the sums of all gaps, those to come included.
 * An interface without a batch has 0.
 */
uint64_t batch_log_lost_packets(const struct batch_log *log);
uint64_t batch_log_lost_bytes(const struct batch_log *log);
uint64_t batch_log_lost_of(const struct batch_log *log, uint32_t iface);

#endif /* SERVER_BATCH_LOG_H */
