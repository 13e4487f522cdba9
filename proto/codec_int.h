/*
 * codec_int - what the two halves of codec share: memory with a limit.
 */
#ifndef PROTO_CODEC_INT_H
#define PROTO_CODEC_INT_H

#include <stdbool.h>
#include <stddef.h>

struct arena_chunk;

/*
 * Memory for one message, released all at once.  It remembers the exact size
 * of each piece.  Starts as { .limit = n }.
 */
struct arena {
	size_t		 limit;
	size_t		 used;
	bool		 is_exceeded;	/* somebody wanted more than limit */
	bool		 is_out_of_memory;
	struct arena_chunk *chunks;	/* newest first */
};

/* NULL when the limit is reached or memory is out. */
void *arena_alloc(struct arena *arena, size_t size);

/* The size that p was asked for with. */
size_t arena_size_of(const void *p);

/* Count memory that lives elsewhere; false when the limit is reached. */
bool arena_charge(struct arena *arena, size_t size);

void arena_release(struct arena *arena);

#endif /* PROTO_CODEC_INT_H */
