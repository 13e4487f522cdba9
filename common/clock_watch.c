#include "common/clock_watch.h"

#include <stddef.h>

enum {
	READ_MAX_NS = 10 * NS_PER_MS,	/* between two readings: else again */
	ATTEMPTS = 8,
};

int64_t
clock_watch_compare(struct clock_watch *watch, struct mono_ns mono,
    struct wall_ns wall)
{
	int64_t offset = wall.ns - mono.ns;
	int64_t step = offset - watch->offset;

	if (!watch->is_known) {
		watch->is_known = true;
		watch->offset = offset;
		return 0;
	}
	if (step < (int64_t)CLOCK_WATCH_STEP_MS * NS_PER_MS &&
	    step > -(int64_t)CLOCK_WATCH_STEP_MS * NS_PER_MS)
		return 0;
	watch->offset = offset;
	return step;
}

int64_t
clock_watch_look(struct clock_watch *watch)
{
	for (int i = 0; i < ATTEMPTS; i++) {
		struct mono_ns before = clock_mono();
		struct wall_ns wall = watch->wall != NULL ? watch->wall() :
		    clock_wall();
		struct mono_ns after = clock_mono();

		/* A thread that waited for the CPU in between saw no step. */
		if (mono_diff_ns(after, before) <= READ_MAX_NS)
			return clock_watch_compare(watch, before, wall);
	}
	return 0;
}
