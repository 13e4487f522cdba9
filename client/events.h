/*
 * events - what the agent announced, until its place in the stream has come.
 *
 * Announcements overtake batches; each names the batch that it stands before.
 * Here they wait for it.  Pure; knows nothing of what they do.
 */
#ifndef CLIENT_EVENTS_H
#define CLIENT_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/compiler.h"
#include "common/err.h"

enum { EVENTS_MAX = 1024 };	/* waiting at once: a hostile agent's limit */

struct events_item {
	struct events_item *next;
	uint64_t	 sequence;	/* of the first batch behind it */
	void		*payload;	/* the owner's, or NULL */
	char		 text[];	/* "" for none */
};

struct events {
	struct events_item *first, **last;
	uint32_t	 n;
};

void events_init(struct events *events);

/*
 * Let text and payload (owned by the queue from now on, on E_OK) wait for
 * their place; items come out in the order in which they went in.  E_NOMEM;
 * E_TOOBIG when EVENTS_MAX wait and there is no payload.
 */
int events_push(struct events *events, uint64_t sequence, const char *text,
    void *payload) MUST_CHECK;

/*
 * The next item whose place has come when batch next_sequence is the next to
 * be handled, or NULL.  The caller frees it.
 */
struct events_item *events_take(struct events *events, uint64_t next_sequence);

#endif /* CLIENT_EVENTS_H */
