#include "server/batch_log_int.h"

#include <stdlib.h>

#include "server/batch_gap.h"

enum {
	/*
	 * Of the log's bytes, what gaps may take: numbers of what the reader had
	 * long ago and does not acknowledge.
	 */
	GAPS_SHARE = 8,
};

uint64_t
log_node_first(const struct log_node *node)
{
	return node->batch != NULL ? node->batch->sequence : node->gap.first_sequence;
}

uint64_t
log_node_last(const struct log_node *node)
{
	return node->batch != NULL ? node->batch->sequence : node->gap.last_sequence;
}

size_t
log_node_bytes(const struct log_node *node)
{
	return sizeof(*node) + node->gap.n_interfaces * sizeof(uint64_t);
}

void
log_node_push(struct batch_log *log, struct log_node *node)
{
	node->prev = log->last;
	if (log->last != NULL)
		log->last->next = node;
	else
		log->first = node;
	log->last = node;
	if (log->next == NULL)
		log->next = node;
	if (log->oldest == NULL && node->batch != NULL)
		log->oldest = node;
	log->bytes += log_node_bytes(node);
	if (node->batch == NULL)
		log->gap_bytes += log_node_bytes(node);
}

static void
move_oldest(struct batch_log *log)
{
	while (log->oldest != NULL && log->oldest->batch == NULL)
		log->oldest = log->oldest->next;
}

void
log_drop_batch(struct batch_log *log, struct batch *batch)
{
	if (batch->refs == 1)
		log->bytes -= batch->mem_bytes;
	batch_unref(batch);
}

void
log_node_remove(struct batch_log *log, struct log_node *node)
{
	*(node->prev != NULL ? &node->prev->next : &log->first) = node->next;
	*(node->next != NULL ? &node->next->prev : &log->last) = node->prev;
	if (log->next == node)
		log->next = node->next;
	if (log->oldest == node)
		log->oldest = node->next;
	move_oldest(log);
	log->bytes -= log_node_bytes(node);
	if (node->batch != NULL)
		log_drop_batch(log, node->batch);
	else
		log->gap_bytes -= log_node_bytes(node);
	batch_gap_fini(&node->gap);
	free(node);
}

/* --- losing --- */

static bool
make_lost_room(struct batch_log *log, uint32_t n)
{
	uint64_t *all;

	if (n <= log->n_lost_of)
		return true;
	all = reallocarray(log->lost_of, n, sizeof(*all));
	if (all == NULL)
		return false;
	for (uint32_t i = log->n_lost_of; i < n; i++)
		all[i] = 0;
	log->lost_of = all;
	log->n_lost_of = n;
	return true;
}

/* The sums and the gap agree, also without memory. */
void
log_node_count(struct batch_log *log, struct log_node *node)
{
	struct msg_gap *gap = &node->gap;

	if (node->is_lost)
		return;
	node->is_lost = true;
	log->lost_packets += gap->packets;
	log->lost_bytes += gap->bytes;
	if (!make_lost_room(log, gap->n_interfaces)) {
		log->bytes -= gap->n_interfaces * sizeof(uint64_t);
		log->gap_bytes -= gap->n_interfaces * sizeof(uint64_t);
		batch_gap_fini(gap);
	}
	for (uint32_t i = 0; i < gap->n_interfaces; i++)
		log->lost_of[i] += gap->by_interface[i];
}

static bool
can_join(const struct log_node *node, const struct log_node *after)
{
	return node != NULL && after != NULL && node->batch == NULL &&
	    after->batch == NULL && !node->was_given && !after->was_given &&
	    node->gap.reason == after->gap.reason;
}

/* Both are gaps. */
static void
join_next(struct batch_log *log, struct log_node *node)
{
	size_t before = log_node_bytes(node) + log_node_bytes(node->next);

	batch_gap_join(&node->gap, &node->next->gap);
	/* What the other owned is node's, or free. */
	log->bytes += log_node_bytes(node) + sizeof(*node) - before;
	log->gap_bytes += log_node_bytes(node) + sizeof(*node) - before;
	log_node_remove(log, node->next);
}

size_t
log_gaps_most(const struct batch_log *log)
{
	return log->max_bytes / GAPS_SHARE;
}

/*
 * Too many gaps.  Those of the past are forgotten: nobody can go back that
 * far.  Where batches stand in front, which the reader may want first, gaps
 * lose their bounds.
 */
void
log_limit_gaps(struct batch_log *log)
{
	size_t limit = log_gaps_most(log);

	while (log->gap_bytes > limit && log->first->batch == NULL &&
	    log->first->is_given)
		log_node_remove(log, log->first);
	if (log->gap_bytes <= limit)
		return;
	for (struct log_node *n = log->first; n != NULL; n = n->next)
		if (n->next != NULL && n->batch == NULL && n->next->batch == NULL &&
		    n->is_given == n->next->is_given && n->is_lost && n->next->is_lost)
			join_next(log, n);
}

struct log_node *
log_node_join_prev(struct batch_log *log, struct log_node *node)
{
	if (!can_join(node->prev, node))
		return node;
	node = node->prev;
	join_next(log, node);
	return node;
}

struct log_node *
log_node_lose(struct batch_log *log, struct log_node *node, enum gap_reason reason)
{
	struct batch *batch = node->batch;

	log->bytes -= log_node_bytes(node);
	batch_gap_of(batch, reason, &node->gap);
	node->batch = NULL;
	log_drop_batch(log, batch);
	log->bytes += log_node_bytes(node);
	log->gap_bytes += log_node_bytes(node);
	if (!node->is_given)
		log_node_count(log, node);
	move_oldest(log);
	if (can_join(node, node->next))
		join_next(log, node);
	return log_node_join_prev(log, node);
}
