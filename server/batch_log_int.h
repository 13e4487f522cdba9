/*
 * batch_log_int - what the files of a log share; see batch_log.h.
 *
 * batch_log.c is what the capture and the reader do, batch_log_node.c keeps
 * the list of batches and gaps, and the sums.
 */
#ifndef SERVER_BATCH_LOG_INT_H
#define SERVER_BATCH_LOG_INT_H

#include "server/batch_log.h"

/*
 * A batch, or a gap.  Their sequences follow each other without a hole, up to
 * the newest.
 */
struct log_node {
	struct log_node	*next, *prev;
	struct batch	*batch;		/* NULL: a gap */
	struct msg_gap	 gap;
	struct mono_ns	 sealed;
	bool		 is_given;	/* stands before the reader's place */
	bool		 was_given;	/* the reader knows its bounds: they stay */
	bool		 is_lost;	/* in the sums; of a gap */
};

struct batch_log {
	size_t		 max_bytes;
	enum batch_log_policy policy;
	enum gap_reason	 reason;
	size_t		 bytes, gap_bytes;
	uint64_t	 last_sequence;	/* 0 before the first batch */
	uint64_t	 given, acked;
	struct log_node	*first, *last;
	struct log_node	*oldest;	/* the first that is a batch */
	struct log_node	*next;		/* to be given */
	struct log_node	*spare;		/* for a gap when there is no memory */
	bool		 is_broken;	/* not even that was there */
	uint64_t	 lost_packets, lost_bytes;
	uint64_t	*lost_of;
	uint32_t	 n_lost_of;
};

/* What a node takes besides its batch. */
size_t log_node_bytes(const struct log_node *node);

uint64_t log_node_first(const struct log_node *node);
uint64_t log_node_last(const struct log_node *node);

/* Behind the newest.  A batch's memory is the caller's to count. */
void log_node_push(struct batch_log *log, struct log_node *node);

/* Take node out and free it. */
void log_node_remove(struct batch_log *log, struct log_node *node);

/* Its memory counts until nobody sends it any more. */
void log_drop_batch(struct batch_log *log, struct batch *batch);

/* A gap counts as lost from now on, if it did not. */
void log_node_count(struct batch_log *log, struct log_node *node);

/* A batch becomes a gap.  Returns the node that it is part of then. */
struct log_node *log_node_lose(struct batch_log *log, struct log_node *node,
    enum gap_reason reason);

/* Join node with the one before it, when both are gaps that may be one. */
struct log_node *log_node_join_prev(struct batch_log *log, struct log_node *node);

/* What gaps may take of the log's bytes. */
size_t log_gaps_most(const struct batch_log *log);

/* Keep the memory of gaps bounded. */
void log_limit_gaps(struct batch_log *log);

#endif /* SERVER_BATCH_LOG_INT_H */
