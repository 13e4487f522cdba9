/*
 * batch_gap - what is missing: a batch, or several, as numbers.
 *
 * A gap owns its packets by interface.  No sockets, no time, no threads.
 * Runs in capagent-net.
 */
#ifndef SERVER_BATCH_GAP_H
#define SERVER_BATCH_GAP_H

#include "proto/batch.h"
#include "proto/codec.h"

/*
 * The gap in the place of batch.  Without memory its packets belong to no
 * interface; the sums are right all the same.
 */
void batch_gap_of(const struct batch *batch, enum gap_reason reason,
    struct msg_gap *ret_gap);

/*
 * Widen gap by what follows it; takes what more owns.  Needs no memory.  The
 * reason stays gap's.
 */
void batch_gap_join(struct msg_gap *gap, struct msg_gap *more);

/* Release what gap owns: its packets belong to no interface then. */
void batch_gap_fini(struct msg_gap *gap);

#endif /* SERVER_BATCH_GAP_H */
