/*
 * loop - an event loop for one thread: descriptors, timers, signals.
 *
 * The only module that includes libevent's core.  Every object belongs to
 * one loop and is used in that loop's thread only; mailbox.h is the one way
 * in from another thread.  Callbacks run from loop_run().
 */
#ifndef COMMON_LOOP_H
#define COMMON_LOOP_H

#include <stdint.h>

#include "common/err.h"

struct loop;
struct loop_io;
struct loop_timer;
struct loop_signal;

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

typedef void (*loop_fn)(void *arg);
typedef void (*loop_io_fn)(unsigned events, void *arg);

struct loop *loop_new(struct err *err);

/* All objects of the loop must have been freed before.  NULL is allowed. */
void loop_free(struct loop *loop);

/* Run callbacks until loop_stop(); E_OK, or E_SYS when the backend fails. */
int loop_run(struct loop *loop, struct err *err) MUST_CHECK;

/* Let loop_run() return after the callback that is running. */
void loop_stop(struct loop *loop);

/*
 * Watch fd (borrowed, level-triggered).  Nothing is watched until
 * loop_io_set().  NULL when out of memory.
 */
struct loop_io *loop_io_new(struct loop *loop, int fd, loop_io_fn fn, void *arg);
void loop_io_free(struct loop_io *io);

/* Watch for exactly these events (LOOP_READ | LOOP_WRITE; 0 for none). */
int loop_io_set(struct loop_io *io, unsigned events);

/* A one-shot timer, not running until set.  NULL when out of memory. */
struct loop_timer *loop_timer_new(struct loop *loop, loop_fn fn, void *arg);
void loop_timer_free(struct loop_timer *timer);
void loop_timer_set(struct loop_timer *timer, int64_t delay_ns);
void loop_timer_stop(struct loop_timer *timer);

/* Call fn for each signal signo, from the loop, until freed. */
struct loop_signal *loop_signal_new(struct loop *loop, int signo, loop_fn fn,
    void *arg);
void loop_signal_free(struct loop_signal *signal);

#endif /* COMMON_LOOP_H */
