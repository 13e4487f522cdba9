/*
 * clock_watch - notice that the wall clock was set.
 *
 * The wall clock and the monotonic one run at the same rate, also while NTP
 * corrects it: when their difference changes, the wall clock was set (or the
 * machine slept).  Knows no timers: the caller looks as often as it likes.
 */
#ifndef COMMON_CLOCK_WATCH_H
#define COMMON_CLOCK_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"

enum { CLOCK_WATCH_STEP_MS = 100 };	/* less is not worth a line */

/* Zeroed at first, but for wall. */
struct clock_watch {
	struct wall_ns (*wall)(void);	/* who reads the wall clock; NULL: clock_wall() */
	int64_t	 offset;	/* wall - mono, as last reported */
	bool	 is_known;
};

/*
 * The clocks read this at one moment.  Returns by how many nanoseconds the
 * wall clock was set forward (back: negative) since the last report, 0 when by
 * less than CLOCK_WATCH_STEP_MS.  The first call only learns.
 */
int64_t clock_watch_compare(struct clock_watch *watch, struct mono_ns mono,
    struct wall_ns wall);

/* The same with the clocks' readings of now. */
int64_t clock_watch_look(struct clock_watch *watch);

#endif /* COMMON_CLOCK_WATCH_H */
