#include "client/backoff.h"

#include "common/clock.h"

enum {
	FIRST_MS = 200,
	/* An agent that is back is found within three seconds. */
	LONGEST_MS = 3000,
};

int64_t
backoff_next(struct backoff *b, uint32_t random)
{
	int64_t ms = FIRST_MS;

	for (unsigned i = 0; i < b->tries && ms < LONGEST_MS; i++)
		ms *= 2;
	if (ms > LONGEST_MS)
		ms = LONGEST_MS;
	b->tries++;
	/* From half of it on. */
	return (ms / 2) * NS_PER_MS + (int64_t)random % (ms / 2 * NS_PER_MS + 1);
}

void
backoff_reset(struct backoff *b)
{
	b->tries = 0;
}
