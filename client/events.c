#include "client/events.h"

#include <stdlib.h>
#include <string.h>

void
events_init(struct events *events)
{
	events->first = NULL;
	events->last = &events->first;
	events->n = 0;
}

int
events_push(struct events *events, uint64_t sequence, const char *text,
    void *payload)
{
	size_t size = strlen(text) + 1;
	struct events_item *item;

	if (payload == NULL && events->n >= EVENTS_MAX)
		return E_TOOBIG;
	item = malloc(sizeof(*item) + size);
	if (item == NULL)
		return E_NOMEM;
	item->next = NULL;
	item->sequence = sequence;
	item->payload = payload;
	memcpy(item->text, text, size);
	*events->last = item;
	events->last = &item->next;
	events->n++;
	return E_OK;
}

struct events_item *
events_take(struct events *events, uint64_t next_sequence)
{
	struct events_item *item = events->first;

	if (item == NULL || item->sequence > next_sequence)
		return NULL;
	events->first = item->next;
	if (events->first == NULL)
		events->last = &events->first;
	events->n--;
	return item;
}
