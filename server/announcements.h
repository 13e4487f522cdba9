/*
 * announcements - what a capture said besides packets, for a Resume.
 *
 * Events and FilterChanged, numbered from 0 in the order in which they were
 * made, as the frames they are sent as.  Bounded: the oldest fall out.  No
 * sockets, no threads.  Runs in a capture's thread.
 */
#ifndef SERVER_ANNOUNCEMENTS_H
#define SERVER_ANNOUNCEMENTS_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "proto/codec.h"

struct announcements;

struct announcement {
	uint64_t	 sequence;	/* before this batch */
	const uint8_t	*frame;		/* until it falls out */
	size_t		 len;
};

/* Called for each that falls out, while it is still there. */
typedef void (*announcements_fn)(const struct announcement *gone, void *arg);

/* NULL when out of memory. */
struct announcements *announcements_new(announcements_fn fn, void *arg);
void announcements_free(struct announcements *all);		/* NULL is allowed */

/*
 * Take a copy of msg, an Event or FilterChanged, as the next.
 *
 * E_NOMEM, E_TOOBIG  it has its number, but it and all before it are gone
 */
int announcements_add(struct announcements *all, const struct msg *msg);

/* How many there were, and how many of those are gone: the first ones. */
uint64_t announcements_count(const struct announcements *all);
uint64_t announcements_gone(const struct announcements *all);

/* Number n of those that are kept: announcements_gone() <= n < _count(). */
struct announcement announcements_get(const struct announcements *all, uint64_t n);

/* The batches up to acked are safe: what stands in front of them goes. */
void announcements_ack(struct announcements *all, uint64_t acked);

#endif /* SERVER_ANNOUNCEMENTS_H */
