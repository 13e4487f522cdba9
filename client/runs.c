#include "client/runs.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 256 };

int
runs_reserve(struct runs *runs)
{
	size_t capacity = runs->capacity > 0 ? 2 * runs->capacity : FIRST_CAPACITY;
	size_t tail = runs->capacity - runs->first;
	struct runs_item *items;

	if (runs->len < runs->capacity)
		return E_OK;
	items = malloc(capacity * sizeof(*items));
	if (items == NULL)
		return E_NOMEM;
	/* Full: from the first one to the ring's end, then what wrapped. */
	if (runs->len > 0) {
		memcpy(items, runs->items + runs->first, tail * sizeof(*items));
		memcpy(items + tail, runs->items, runs->first * sizeof(*items));
	}
	free(runs->items);
	*runs = (struct runs){ .items = items, .capacity = capacity, .len = runs->len };
	return E_OK;
}

void
runs_push(struct runs *runs, uint32_t number, uint64_t n)
{
	struct runs_item *last;

	if (n == 0)
		return;
	if (runs->len > 0) {
		last = &runs->items[(runs->first + runs->len - 1) % runs->capacity];
		if (last->number == number) {
			last->n += n;
			return;
		}
	}
	runs->items[(runs->first + runs->len) % runs->capacity] =
	    (struct runs_item){ .number = number, .n = n };
	runs->len++;
}

uint64_t
runs_take(struct runs *runs, uint64_t n, uint32_t *ret_number)
{
	struct runs_item *item;

	if (runs->len == 0 || n == 0)
		return 0;
	item = &runs->items[runs->first];
	if (n > item->n)
		n = item->n;
	*ret_number = item->number;
	item->n -= n;
	if (item->n == 0) {
		runs->first = (runs->first + 1) % runs->capacity;
		runs->len--;
	}
	return n;
}

void
runs_fini(struct runs *runs)
{
	free(runs->items);
	*runs = (struct runs){ .items = NULL };
}
