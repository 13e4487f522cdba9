/*
 * clock - monotonic and wall time as distinct types.
 *
 * The only caller of clock_gettime().
 */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdint.h>

struct mono_ns { int64_t ns; };		/* CLOCK_MONOTONIC */
struct wall_ns { int64_t ns; };		/* since the epoch, UTC */

enum { NS_PER_US = 1000, NS_PER_MS = 1000000, NS_PER_S = 1000000000 };

struct mono_ns clock_mono(void);
struct wall_ns clock_wall(void);

/* later - earlier in nanoseconds. */
static inline int64_t
mono_diff_ns(struct mono_ns later, struct mono_ns earlier)
{
	return later.ns - earlier.ns;
}

#endif /* COMMON_CLOCK_H */
