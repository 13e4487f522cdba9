/*
 * runs - whose blocks wait for the writer, in the order they were submitted.
 *
 * A queue of (number, how many in a row): a packet more of the same interface
 * costs an addition.  Pure.
 */
#ifndef CLIENT_RUNS_H
#define CLIENT_RUNS_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct runs_item {
	uint32_t	 number;
	uint64_t	 n;
};

struct runs {
	struct runs_item *items;	/* a ring of capacity items */
	size_t		 capacity, first, len;
};

/* Room for one run more, so that the next runs_push() works.  E_NOMEM. */
int runs_reserve(struct runs *runs) MUST_CHECK;

/* n blocks of number more at the end; room for a run was reserved. */
void runs_push(struct runs *runs, uint32_t number, uint64_t n);

/*
 * Take up to n blocks that belong together from the beginning: returns how
 * many, *ret_number says whose.  0 when there is none.
 */
uint64_t runs_take(struct runs *runs, uint64_t n, uint32_t *ret_number);

void runs_fini(struct runs *runs);

#endif /* CLIENT_RUNS_H */
