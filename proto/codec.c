#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/codec.h"
#include "proto/codec_int.h"

enum {
	CHUNK_LEN = 16 << 10,	/* most messages need one */
	ALIGNMENT = 16,		/* the size in front of a piece keeps it */
};

struct arena_chunk {
	struct arena_chunk *next;
	size_t		 used, len;
	_Alignas(ALIGNMENT) uint8_t mem[];
};

bool
arena_charge(struct arena *arena, size_t size)
{
	if (size > arena->limit - arena->used) {
		arena->is_exceeded = true;
		return false;
	}
	arena->used += size;
	return true;
}

static struct arena_chunk *
add_chunk(struct arena *arena, size_t want)
{
	size_t len = want > CHUNK_LEN ? want : CHUNK_LEN;
	struct arena_chunk *chunk;

	chunk = malloc(sizeof(*chunk) + len);
	if (chunk == NULL) {
		arena->is_out_of_memory = true;
		return NULL;
	}
	chunk->used = 0;
	chunk->len = len;
	chunk->next = arena->chunks;
	arena->chunks = chunk;
	return chunk;
}

void *
arena_alloc(struct arena *arena, size_t size)
{
	struct arena_chunk *chunk = arena->chunks;
	size_t need;
	uint8_t *p;

	if (size > arena->limit || arena->limit - size < 2 * ALIGNMENT) {
		arena->is_exceeded = true;
		return NULL;
	}
	need = (size + 2 * ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	if (!arena_charge(arena, need))
		return NULL;
	if (chunk == NULL || chunk->len - chunk->used < need)
		chunk = add_chunk(arena, need);
	if (chunk == NULL)
		return NULL;
	p = chunk->mem + chunk->used;
	chunk->used += need;
	memcpy(p, &size, sizeof(size));
	return p + ALIGNMENT;
}

size_t
arena_size_of(const void *p)
{
	size_t size;

	memcpy(&size, (const uint8_t *)p - ALIGNMENT, sizeof(size));
	return size;
}

void
arena_release(struct arena *arena)
{
	struct arena_chunk *chunk;

	while ((chunk = arena->chunks) != NULL) {
		arena->chunks = chunk->next;
		free(chunk);
	}
}

static void
free_interface_list(struct msg_interface_list *list)
{
	if (list->interfaces == NULL)
		return;
	for (uint32_t i = 0; i < list->n; i++)
		free(list->interfaces[i].addresses);
	free(list->interfaces);
}

static void
free_filters(struct msg_filter *filters, uint32_t n)
{
	for (uint32_t i = 0; filters != NULL && i < n; i++) {
		struct msg_filter *f = &filters[i];

		for (uint32_t k = 0; f->programs != NULL && k < f->n_programs; k++)
			free(f->programs[k].insns);
		free(f->programs);
		free(f->text);
	}
	free(filters);
}

static void
free_start(struct msg_start *start)
{
	free_filters(start->filters, start->n_filters);
	free(start->interfaces);
}

static void
free_started(struct msg_started *started)
{
	if (started->interfaces == NULL)
		return;
	for (uint32_t i = 0; i < started->n_interfaces; i++)
		free(started->interfaces[i].addresses);
	free(started->interfaces);
}

static void
free_plan(struct msg_plan *plan)
{
	for (uint32_t i = 0; plan->interfaces != NULL && i < plan->n_interfaces;
	    i++) {
		free(plan->interfaces[i].interface.addresses);
		free(plan->interfaces[i].insns);
		free(plan->interfaces[i].warnings);
	}
	free(plan->interfaces);
}

void
msg_free(struct msg *msg)
{
	if (msg == NULL)
		return;
	switch (msg->type) {
	case MSG_INTERFACE_LIST:
		free_interface_list(&msg->interface_list);
		break;
	case MSG_START:
		free_start(&msg->start);
		break;
	case MSG_STARTED:
		free_started(&msg->started);
		break;
	case MSG_STATS:
		free(msg->stats.interfaces);
		break;
	case MSG_ENDED:
		free(msg->ended.stats.interfaces);
		break;
	case MSG_UPDATE_FILTER:
		free_filters(msg->update_filter.filters,
		    msg->update_filter.n_filters);
		break;
	case MSG_PLAN:
		free_plan(&msg->plan);
		break;
	case MSG_FILTER_CHANGED:
		free(msg->filter_changed.places);
		break;
	case MSG_INTERFACE_ADDED:
		free(msg->interface_added.interface.addresses);
		break;
	case MSG_GAP:
		free(msg->gap.by_interface);
		break;
	case MSG_ERROR:
	case MSG_HELLO:
	case MSG_LIST_REQUEST:
	case MSG_ACK:
	case MSG_STOP:
	case MSG_PING:
	case MSG_RESUME:
	case MSG_WATERMARK:
	case MSG_PACKET_BATCH:
	case MSG_PONG:
	case MSG_EVENT:
	case MSG_NEED_PROGRAMS:
		break;
	}
	memset(msg, 0, sizeof(*msg));
}

const char *
msg_type_name(enum msg_type type)
{
	switch (type) {
	case MSG_ERROR:			return "Error";
	case MSG_HELLO:			return "Hello";
	case MSG_LIST_REQUEST:		return "ListRequest";
	case MSG_START:			return "Start";
	case MSG_ACK:			return "Ack";
	case MSG_STOP:			return "Stop";
	case MSG_PING:			return "Ping";
	case MSG_INTERFACE_LIST:	return "InterfaceList";
	case MSG_STARTED:		return "Started";
	case MSG_PACKET_BATCH:		return "Batch";
	case MSG_GAP:			return "Gap";
	case MSG_STATS:			return "Stats";
	case MSG_ENDED:			return "Ended";
	case MSG_PONG:			return "Pong";
	case MSG_EVENT:			return "Event";
	case MSG_UPDATE_FILTER:		return "UpdateFilter";
	case MSG_NEED_PROGRAMS:		return "NeedPrograms";
	case MSG_PLAN:			return "Plan";
	case MSG_FILTER_CHANGED:	return "FilterChanged";
	case MSG_INTERFACE_ADDED:	return "InterfaceAdded";
	case MSG_RESUME:		return "Resume";
	case MSG_WATERMARK:		return "Watermark";
	}
	return "unknown";
}
