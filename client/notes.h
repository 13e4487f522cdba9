/*
 * notes - sentences that wait for the next packet of an output.
 *
 * Bounded: of too many the last ones are only counted.  Knows neither
 * formats nor where the sentences come from.
 */
#ifndef CLIENT_NOTES_H
#define CLIENT_NOTES_H

#include <stdint.h>

#include "client/sink.h"

enum { NOTES_MAX = 14 };

struct notes {
	uint32_t	 n;
	char		*texts[NOTES_MAX];
	uint64_t	 n_more;	/* that had no room */
	char		 more[48];	/* the sentence about them */
};

/* Keep a copy of text; what cannot be kept is counted. */
void notes_add(struct notes *notes, const char *text);

/* Put them behind the comments that r has; borrowed until notes_clear(). */
void notes_put(struct notes *notes, struct sink_remarks *r);

/* Forget them all: they are written, or the output ends. */
void notes_clear(struct notes *notes);

#endif /* CLIENT_NOTES_H */
