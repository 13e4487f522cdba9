#include "common/clock.h"

#include <time.h>

static int64_t
read_ns(clockid_t id)
{
	struct timespec ts;

	/* Cannot fail for these two clocks on Linux. */
	(void)clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

struct mono_ns
clock_mono(void)
{
	return (struct mono_ns){ read_ns(CLOCK_MONOTONIC) };
}

struct wall_ns
clock_wall(void)
{
	return (struct wall_ns){ read_ns(CLOCK_REALTIME) };
}
