/*
 * backoff - how long to wait before the next try.  Pure.
 *
 * Each wait is longer than the one before, up to a bound, and a random part
 * of it is left out, so that a hundred clients of one agent do not all come
 * back at the same moment.
 */
#ifndef CLIENT_BACKOFF_H
#define CLIENT_BACKOFF_H

#include <stdint.h>

struct backoff { unsigned tries; };

/* Nanoseconds until the next try; random is any number. */
int64_t backoff_next(struct backoff *backoff, uint32_t random);

/* It worked: begin anew. */
void backoff_reset(struct backoff *backoff);

#endif /* CLIENT_BACKOFF_H */
