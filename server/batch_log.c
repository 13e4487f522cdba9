#include <stdlib.h>
#include <string.h>

#include "server/batch_log.h"

/*
 * A batch that is held, and the gap behind it: batches refused since.  A
 * refusal so needs no memory.
 */
struct node {
	struct node	*next;
	struct batch	*batch;
	struct msg_gap	 gap;		/* none while its reason is 0 */
};

/*
 * What a cursor gets next is its own gap, then node.  A cursor without a node
 * has read all batches: what is refused then is added to its own gap.
 */
struct log_cursor {
	struct log_cursor *next;
	struct batch_log *log;
	struct node	*node;		/* next to read, NULL behind the newest */
	struct msg_gap	 gap;		/* in front of node */
	uint64_t	 given, acked;
	uint64_t	 lost_packets, lost_bytes;
};

struct batch_log {
	size_t		 max_bytes;
	enum batch_log_policy policy;
	size_t		 bytes;
	uint64_t	 last_sequence;	/* 0 before the first batch */
	struct node	*oldest, *newest;
	struct log_cursor *cursors;
};

struct batch_log *
batch_log_new(size_t max_bytes, enum batch_log_policy policy)
{
	struct batch_log *log = calloc(1, sizeof(*log));

	if (log == NULL)
		return NULL;
	log->max_bytes = max_bytes;
	log->policy = policy;
	return log;
}

/* Take the oldest batch out; nobody may point to it. */
static void
remove_oldest(struct batch_log *log)
{
	struct node *node = log->oldest;

	log->oldest = node->next;
	if (log->oldest == NULL)
		log->newest = NULL;
	log->bytes -= node->batch->mem_bytes;
	batch_unref(node->batch);
	free(node);
}

void
batch_log_free(struct batch_log *log)
{
	struct log_cursor *cursor;

	if (log == NULL)
		return;
	while ((cursor = log->cursors) != NULL) {
		log->cursors = cursor->next;
		free(cursor);
	}
	while (log->oldest != NULL)
		remove_oldest(log);
	free(log);
}

/* Widen gap (or begin it) by what follows it. */
static void
gap_join(struct msg_gap *gap, const struct msg_gap *more)
{
	if (more->reason == 0)
		return;
	if (gap->reason == 0) {
		*gap = *more;
		return;
	}
	gap->last_sequence = more->last_sequence;
	gap->packets += more->packets;
	gap->bytes += more->bytes;
	if (more->first.ns < gap->first.ns)
		gap->first = more->first;
	if (more->last.ns > gap->last.ns)
		gap->last = more->last;
}

static struct msg_gap
gap_of_batch(const struct batch *batch)
{
	return (struct msg_gap){
		.first_sequence = batch->sequence,
		.last_sequence = batch->sequence,
		.packets = batch->n_packets,
		.bytes = batch->data_bytes,
		.first = batch->first,
		.last = batch->last,
		.reason = GAP_LOG_FULL,
	};
}

static void
count_lost(struct log_cursor *cursor, const struct msg_gap *gap)
{
	cursor->lost_packets += gap->packets;
	cursor->lost_bytes += gap->bytes;
}

/* Evict the oldest batch: a gap for those who have not read it. */
static void
evict_oldest(struct batch_log *log)
{
	struct node *node = log->oldest;
	struct msg_gap gap = gap_of_batch(node->batch);

	for (struct log_cursor *c = log->cursors; c != NULL; c = c->next) {
		if (c->node != node)
			continue;
		count_lost(c, &gap);
		gap_join(&c->gap, &gap);
		gap_join(&c->gap, &node->gap);
		c->node = node->next;
	}
	remove_oldest(log);
}

/* Turn batch into a gap behind the newest. */
static void
refuse(struct batch_log *log, struct batch *batch)
{
	struct msg_gap gap = gap_of_batch(batch);

	for (struct log_cursor *c = log->cursors; c != NULL; c = c->next) {
		count_lost(c, &gap);
		if (c->node == NULL)
			gap_join(&c->gap, &gap);
	}
	if (log->newest != NULL)
		gap_join(&log->newest->gap, &gap);
	batch_unref(batch);
}

static bool
has_room(const struct batch_log *log, size_t bytes)
{
	return bytes <= log->max_bytes - log->bytes;
}

int
batch_log_append(struct batch_log *log, struct batch *batch)
{
	struct node *node;

	if (log->last_sequence != 0 &&
	    batch->sequence != log->last_sequence + 1) {
		batch_unref(batch);
		return E_BUG;
	}
	log->last_sequence = batch->sequence;

	if (log->policy == BATCH_LOG_DROP_OLDEST &&
	    batch->mem_bytes <= log->max_bytes)
		while (!has_room(log, batch->mem_bytes))
			evict_oldest(log);
	if (!has_room(log, batch->mem_bytes)) {
		refuse(log, batch);
		return E_LIMIT;
	}
	node = calloc(1, sizeof(*node));
	if (node == NULL) {
		refuse(log, batch);
		return E_NOMEM;
	}
	node->batch = batch;
	if (log->newest != NULL)
		log->newest->next = node;
	else
		log->oldest = node;
	log->newest = node;
	log->bytes += batch->mem_bytes;
	for (struct log_cursor *c = log->cursors; c != NULL; c = c->next)
		if (c->node == NULL)
			c->node = node;
	return E_OK;
}

size_t
batch_log_bytes(const struct batch_log *log)
{
	return log->bytes;
}

struct log_cursor *
batch_log_open_cursor(struct batch_log *log)
{
	struct log_cursor *cursor = calloc(1, sizeof(*cursor));

	if (cursor == NULL)
		return NULL;
	cursor->log = log;
	cursor->node = log->oldest;
	cursor->given = log->last_sequence;
	if (log->oldest != NULL)
		cursor->given = log->oldest->batch->sequence - 1;
	cursor->acked = cursor->given;
	for (const struct node *n = log->oldest; n != NULL; n = n->next)
		count_lost(cursor, &n->gap);
	cursor->next = log->cursors;
	log->cursors = cursor;
	return cursor;
}

/* Release what every cursor has in safety.  No cursor: nobody asked. */
static void
release_acked(struct batch_log *log)
{
	uint64_t safe = UINT64_MAX;

	if (log->cursors == NULL)
		return;
	for (const struct log_cursor *c = log->cursors; c != NULL; c = c->next)
		if (c->acked < safe)
			safe = c->acked;
	while (log->oldest != NULL && log->oldest->batch->sequence <= safe)
		remove_oldest(log);
}

void
batch_log_close_cursor(struct log_cursor *cursor)
{
	struct log_cursor **link;

	if (cursor == NULL)
		return;
	link = &cursor->log->cursors;
	while (*link != cursor)
		link = &(*link)->next;
	*link = cursor->next;
	release_acked(cursor->log);
	free(cursor);
}

int
batch_log_next(struct log_cursor *cursor, struct log_item *ret_item)
{
	struct node *node = cursor->node;

	if (cursor->gap.reason != 0) {
		*ret_item = (struct log_item){ .gap = cursor->gap };
		cursor->given = cursor->gap.last_sequence;
		cursor->gap.reason = 0;
		return E_OK;
	}
	if (node == NULL)
		return E_AGAIN;
	*ret_item = (struct log_item){ .batch = batch_ref(node->batch) };
	cursor->given = node->batch->sequence;
	cursor->gap = node->gap;
	cursor->node = node->next;
	return E_OK;
}

bool
batch_log_has_next(const struct log_cursor *cursor)
{
	return cursor->gap.reason != 0 || cursor->node != NULL;
}

int
batch_log_ack(struct log_cursor *cursor, uint64_t sequence)
{
	if (sequence > cursor->given)
		return E_STATE;
	if (sequence > cursor->acked) {
		cursor->acked = sequence;
		release_acked(cursor->log);
	}
	return E_OK;
}

uint64_t
batch_log_lost_packets(const struct log_cursor *cursor)
{
	return cursor->lost_packets;
}

uint64_t
batch_log_lost_bytes(const struct log_cursor *cursor)
{
	return cursor->lost_bytes;
}
