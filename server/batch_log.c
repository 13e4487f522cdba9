#include "server/batch_log.h"

#include <stdlib.h>

#include "server/batch_gap.h"
#include "server/batch_log_int.h"

struct batch_log *
batch_log_new(size_t max_bytes, enum batch_log_policy policy)
{
	struct batch_log *log = calloc(1, sizeof(*log));

	if (log == NULL)
		return NULL;
	log->max_bytes = max_bytes;
	log->policy = policy;
	log->reason = GAP_LOG_FULL;
	log->spare = calloc(1, sizeof(*log->spare));
	if (log->spare == NULL) {
		free(log);
		return NULL;
	}
	return log;
}

void
batch_log_free(struct batch_log *log)
{
	if (log == NULL)
		return;
	while (log->first != NULL)
		log_node_remove(log, log->first);
	free(log->spare);
	free(log->lost_of);
	free(log);
}

/* --- the capture's end --- */

/*
 * The oldest, unless it is being sent: then its memory comes free only with
 * that, and so does that of all behind it that were given.
 */
static struct log_node *
find_victim(const struct batch_log *log)
{
	struct log_node *node = log->oldest;

	if (node == NULL || node->batch->refs == 1)
		return node;
	for (node = log->next; node != NULL && node->batch == NULL; )
		node = node->next;
	return node != NULL && node->batch->refs == 1 ? node : NULL;
}

/* Turn batch into a gap behind the newest. */
static void
refuse(struct batch_log *log, struct batch *batch, struct mono_ns now)
{
	struct log_node *node = calloc(1, sizeof(*node));

	if (node == NULL) {
		node = log->spare;
		log->spare = NULL;
	}
	if (node == NULL) {
		log->is_broken = true;
		batch_unref(batch);
		return;
	}
	batch_gap_of(batch, log->reason, &node->gap);
	batch_unref(batch);
	node->sealed = now;
	log_node_push(log, node);
	log_node_count(log, node);
	(void)log_node_join_prev(log, node);
	log_limit_gaps(log);
}

/*
 * Refused batches need room for their gaps, too, while the others stay; evicted
 * ones have their own.
 */
static bool
has_room(const struct batch_log *log, size_t bytes)
{
	size_t used = log->bytes, most = log_gaps_most(log);

	if (log->policy == BATCH_LOG_DROP_NEWEST && log->gap_bytes < most)
		used += most - log->gap_bytes;
	return used <= log->max_bytes && bytes <= log->max_bytes - used;
}

static void
make_room(struct batch_log *log, size_t bytes)
{
	struct log_node *victim;

	if (log->policy != BATCH_LOG_DROP_OLDEST || bytes > log->max_bytes)
		return;
	while (!has_room(log, bytes) && (victim = find_victim(log)) != NULL) {
		log_node_lose(log, victim, log->reason);
		log_limit_gaps(log);
	}
}

static struct log_node *
node_of(struct batch *batch, struct mono_ns now)
{
	struct log_node *node = calloc(1, sizeof(*node));

	if (node != NULL)
		*node = (struct log_node){ .batch = batch, .sealed = now };
	return node;
}

int
batch_log_append(struct batch_log *log, struct batch *batch, struct mono_ns now)
{
	size_t bytes = batch->mem_bytes + sizeof(struct log_node);
	struct log_node *node;

	if (log->last_sequence == 0)
		log->given = log->acked = batch->sequence - 1;
	else if (batch->sequence != log->last_sequence + 1) {
		batch_unref(batch);
		return E_BUG;
	}
	log->last_sequence = batch->sequence;
	if (log->is_broken) {
		batch_unref(batch);
		return E_NOMEM;
	}
	if (log->spare == NULL)
		log->spare = calloc(1, sizeof(*log->spare));
	make_room(log, bytes);
	if (!has_room(log, bytes)) {
		refuse(log, batch, now);
		return E_LIMIT;
	}
	node = node_of(batch, now);
	if (node == NULL) {
		refuse(log, batch, now);
		return E_NOMEM;
	}
	log->bytes += batch->mem_bytes;
	log_node_push(log, node);
	return E_OK;
}

void
batch_log_set_reason(struct batch_log *log, enum gap_reason reason)
{
	log->reason = reason;
}

size_t
batch_log_bytes(const struct batch_log *log)
{
	return log->bytes;
}

void
batch_log_interrupt(struct batch_log *log)
{
	for (struct log_node *n = log->next; n != NULL; n = n->next)
		if (n->batch != NULL)
			n = log_node_lose(log, n, GAP_INTERRUPTED);
}

/* --- the reader's end --- */

int
batch_log_next(struct batch_log *log, struct log_item *ret_item)
{
	struct log_node *node = log->next;

	if (node == NULL)
		return log->is_broken ? E_NOMEM : E_AGAIN;
	*ret_item = (struct log_item){ .gap = node->gap };
	if (node->batch != NULL)
		ret_item->batch = batch_ref(node->batch);
	node->is_given = node->was_given = true;
	log->given = log_node_last(node);
	log->next = node->next;
	return E_OK;
}

bool
batch_log_has_next(const struct batch_log *log)
{
	return log->next != NULL || log->is_broken;
}

bool
batch_log_waits_since(const struct batch_log *log, struct mono_ns *ret_sealed)
{
	if (log->next == NULL)
		return false;
	*ret_sealed = log->next->sealed;
	return true;
}

void
batch_log_return(struct batch_log *log, struct batch *batch)
{
	log_drop_batch(log, batch);
}

int
batch_log_ack(struct batch_log *log, uint64_t sequence)
{
	if (sequence > log->given)
		return E_STATE;
	if (sequence <= log->acked)
		return E_OK;
	log->acked = sequence;
	while (log->first != NULL && log_node_last(log->first) <= sequence)
		log_node_remove(log, log->first);
	return E_OK;
}

int
batch_log_seek(struct batch_log *log, uint64_t sequence)
{
	struct log_node *node = log->first;

	if (log->is_broken || sequence <= log->acked || sequence > log->given + 1)
		return E_GONE;
	while (node != NULL && log_node_first(node) != sequence)
		node = node->next;
	if (node == NULL && sequence != log->last_sequence + 1)
		return E_GONE;
	log->next = node;
	log->given = sequence - 1;
	for (; node != NULL; node = node->next) {
		node->is_given = false;
		if (node->batch == NULL)
			log_node_count(log, node);
	}
	return E_OK;
}

uint64_t
batch_log_given(const struct batch_log *log)
{
	return log->given;
}

uint64_t
batch_log_acked(const struct batch_log *log)
{
	return log->acked;
}

uint64_t
batch_log_lost_packets(const struct batch_log *log)
{
	return log->lost_packets;
}

uint64_t
batch_log_lost_bytes(const struct batch_log *log)
{
	return log->lost_bytes;
}

uint64_t
batch_log_lost_of(const struct batch_log *log, uint32_t iface)
{
	return iface < log->n_lost_of ? log->lost_of[iface] : 0;
}
