/* common/loop: timers, descriptors and signals, in order. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/loop.h"

enum { FAR_S = 20 };		/* longer than any test: the test has failed */

struct world {
	struct loop	*loop;
	struct loop_timer *guard;
	char		 said[64];	/* letters in the order of the calls */
	int		 pipe[2];
	struct loop_io	*io;
};

static void
say(struct world *w, char letter)
{
	size_t len = strlen(w->said);

	assert_true(len + 1 < sizeof(w->said));
	w->said[len] = letter;
	w->said[len + 1] = '\0';
}

static void
too_late(void *arg)
{
	struct world *w = arg;

	say(w, '!');
	loop_stop(w->loop);
}

static int
make_world(void **state)
{
	static struct world world;
	struct world *w = &world;
	struct err err;

	memset(w, 0, sizeof(*w));
	w->loop = loop_new(&err);
	assert_non_null(w->loop);
	w->guard = loop_timer_new(w->loop, too_late, w);
	assert_non_null(w->guard);
	loop_timer_set(w->guard, (int64_t)FAR_S * NS_PER_S);
	assert_int_equal(pipe(w->pipe), 0);
	*state = w;
	return 0;
}

static int
end_world(void **state)
{
	struct world *w = *state;

	loop_io_free(w->io);
	loop_timer_free(w->guard);
	loop_free(w->loop);
	loop_free(NULL);
	close(w->pipe[0]);
	close(w->pipe[1]);
	return 0;
}

static void
run(struct world *w)
{
	struct err err;

	assert_int_equal(loop_run(w->loop, &err), E_OK);
	assert_null(strchr(w->said, '!'));
}

static void say_a(void *arg) { say(arg, 'a'); }
static void say_b(void *arg) { say(arg, 'b'); }

static void
say_stop(void *arg)
{
	struct world *w = arg;

	say(w, '.');
	loop_stop(w->loop);
}

static void
timers_come_in_the_order_of_their_times(void **state)
{
	struct world *w = *state;
	struct mono_ns before = clock_mono();
	struct loop_timer *t[3] = {
		loop_timer_new(w->loop, say_a, w),
		loop_timer_new(w->loop, say_b, w),
		loop_timer_new(w->loop, say_stop, w),
	};

	loop_timer_set(t[2], 60 * (int64_t)NS_PER_MS);
	loop_timer_set(t[1], 30 * (int64_t)NS_PER_MS);
	loop_timer_set(t[0], 0);
	run(w);
	assert_string_equal(w->said, "ab.");
	/* The kernel's coarse clock, which libevent reads, may be 10 ms behind. */
	assert_true(mono_diff_ns(clock_mono(), before) >= 50 * (int64_t)NS_PER_MS);
	for (int i = 0; i < 3; i++)
		loop_timer_free(t[i]);
}

static void
a_stopped_timer_is_silent_and_a_set_one_starts_anew(void **state)
{
	struct world *w = *state;
	struct loop_timer *a = loop_timer_new(w->loop, say_a, w);
	struct loop_timer *b = loop_timer_new(w->loop, say_b, w);
	struct loop_timer *stop = loop_timer_new(w->loop, say_stop, w);

	loop_timer_set(a, 0);
	loop_timer_stop(a);
	loop_timer_stop(a);
	loop_timer_set(b, (int64_t)FAR_S * NS_PER_S);
	loop_timer_set(b, 0);
	loop_timer_set(stop, 30 * (int64_t)NS_PER_MS);
	run(w);
	assert_string_equal(w->said, "b.");
	loop_timer_free(a);
	loop_timer_free(b);
	loop_timer_free(stop);
	loop_timer_free(NULL);
}

static struct loop_timer *self_freed;

static void
free_own_timer(void *arg)
{
	loop_timer_free(self_freed);
	say_stop(arg);
}

static void
a_timer_may_free_itself(void **state)
{
	struct world *w = *state;

	self_freed = loop_timer_new(w->loop, free_own_timer, w);
	loop_timer_set(self_freed, 0);
	run(w);
	assert_string_equal(w->said, ".");
}

static void
read_a_byte(unsigned events, void *arg)
{
	struct world *w = arg;
	char byte;

	if (events & LOOP_WRITE) {
		say(w, 'w');
		loop_io_set(w->io, 0);
		loop_stop(w->loop);
		return;
	}
	assert_int_equal(read(w->pipe[0], &byte, 1), 1);
	say(w, byte);
	if (byte == 'y')
		loop_stop(w->loop);
}

static void
a_descriptor_is_reported_while_it_is_ready(void **state)
{
	struct world *w = *state;

	w->io = loop_io_new(w->loop, w->pipe[0], read_a_byte, w);
	assert_int_equal(write(w->pipe[1], "xxy", 3), 3);
	assert_int_equal(loop_io_set(w->io, LOOP_READ), E_OK);
	run(w);			/* level-triggered: one byte a turn */
	assert_string_equal(w->said, "xxy");
}

static void
nothing_is_reported_that_is_not_watched(void **state)
{
	struct world *w = *state;
	struct loop_timer *stop = loop_timer_new(w->loop, say_stop, w);

	w->io = loop_io_new(w->loop, w->pipe[0], read_a_byte, w);
	assert_int_equal(write(w->pipe[1], "x", 1), 1);
	loop_timer_set(stop, 20 * (int64_t)NS_PER_MS);
	run(w);
	assert_int_equal(loop_io_set(w->io, LOOP_READ), E_OK);
	assert_int_equal(loop_io_set(w->io, 0), E_OK);
	loop_timer_set(stop, 20 * (int64_t)NS_PER_MS);
	run(w);
	assert_string_equal(w->said, "..");
	loop_timer_free(stop);
}

static void
writing_is_watched_as_well_and_can_be_switched_to(void **state)
{
	struct world *w = *state;

	w->io = loop_io_new(w->loop, w->pipe[1], read_a_byte, w);
	assert_int_equal(loop_io_set(w->io, LOOP_READ), E_OK);
	assert_int_equal(loop_io_set(w->io, LOOP_WRITE), E_OK);
	run(w);
	assert_string_equal(w->said, "w");
}

static void
a_signal_is_a_call_from_the_loop(void **state)
{
	struct world *w = *state;
	struct loop_signal *s = loop_signal_new(w->loop, SIGUSR1, say_stop, w);

	assert_non_null(s);
	for (int i = 0; i < 2; i++) {
		raise(SIGUSR1);
		run(w);
	}
	assert_string_equal(w->said, "..");
	loop_signal_free(s);
	loop_signal_free(NULL);
}

int
main(void)
{
#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, make_world, end_world)
	const struct CMUnitTest tests[] = {
		IN_WORLD(timers_come_in_the_order_of_their_times),
		IN_WORLD(a_stopped_timer_is_silent_and_a_set_one_starts_anew),
		IN_WORLD(a_timer_may_free_itself),
		IN_WORLD(a_descriptor_is_reported_while_it_is_ready),
		IN_WORLD(nothing_is_reported_that_is_not_watched),
		IN_WORLD(writing_is_watched_as_well_and_can_be_switched_to),
		IN_WORLD(a_signal_is_a_call_from_the_loop),
	};

	return cmocka_run_group_tests_name("common/loop", tests, NULL, NULL);
}
