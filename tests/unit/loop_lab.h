/*
 * loop_lab - run a loop until something is true, and sockets on loopback.
 *
 * Fails the running test when it does not become true in time.
 */
#ifndef TESTS_UNIT_LOOP_LAB_H
#define TESTS_UNIT_LOOP_LAB_H

#include <netinet/in.h>
#include <stdbool.h>

#include "common/loop.h"

/* The condition is looked at every millisecond, for 20 s at most. */
void loop_lab_until(struct loop *loop, bool (*is_true)(void *arg), void *arg);

/* The common case: until *flag. */
void loop_lab_until_set(struct loop *loop, bool *flag);

/*
 * Run for about this long: to see that something does not happen, or that
 * nothing is called again and again.
 */
void loop_lab_run_ms(struct loop *loop, int ms);

/* A socket that listens on a free port of 127.0.0.1. */
int loop_lab_listen(struct sockaddr_in *ret_addr);

/* The next connection, non-blocking; waits for it. */
int loop_lab_accept(int listener);

#endif /* TESTS_UNIT_LOOP_LAB_H */
