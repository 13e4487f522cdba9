/* common/clock_watch: a clock that was set is noticed once, drift is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock_watch.h"

#define MS(n)	((int64_t)(n) * NS_PER_MS)

static const int64_t epoch = 1790000000LL * NS_PER_S;

static int64_t
compare(struct clock_watch *w, int64_t mono_ms, int64_t offset_ms)
{
	return clock_watch_compare(w, (struct mono_ns){ MS(mono_ms) },
	    (struct wall_ns){ epoch + MS(mono_ms) + MS(offset_ms) });
}

static void
clocks_that_run_together_are_no_news(void **state)
{
	struct clock_watch w = { 0 };

	(void)state;
	for (int64_t t = 0; t < 100000; t += 2000)
		assert_int_equal(compare(&w, t, 0), 0);
}

static void
a_step_is_reported_once_with_its_size(void **state)
{
	struct clock_watch w = { 0 };

	(void)state;
	assert_int_equal(compare(&w, 1000, 0), 0);
	assert_int_equal(compare(&w, 3000, 1500), MS(1500));
	assert_int_equal(compare(&w, 5000, 1500), 0);
	assert_int_equal(compare(&w, 7000, -86400000), MS(-86401500));
	assert_int_equal(compare(&w, 9000, -86400000), 0);
}

static void
the_limit_is_a_step(void **state)
{
	struct clock_watch w = { 0 };

	(void)state;
	assert_int_equal(compare(&w, 0, 0), 0);
	assert_int_equal(compare(&w, 2000, 99), 0);
	assert_int_equal(compare(&w, 4000, 100), MS(100));
	assert_int_equal(compare(&w, 6000, 1), 0);
	assert_int_equal(compare(&w, 8000, 0), MS(-100));
}

static void
small_steps_add_up(void **state)
{
	struct clock_watch w = { 0 };

	(void)state;
	assert_int_equal(compare(&w, 0, 0), 0);
	assert_int_equal(compare(&w, 2000, 40), 0);
	assert_int_equal(compare(&w, 4000, 80), 0);
	assert_int_equal(compare(&w, 6000, 120), MS(120));
}

static void
this_machines_clocks_run_together(void **state)
{
	struct clock_watch w = { 0 };

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(clock_watch_look(&w), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clocks_that_run_together_are_no_news),
		cmocka_unit_test(a_step_is_reported_once_with_its_size),
		cmocka_unit_test(the_limit_is_a_step),
		cmocka_unit_test(small_steps_add_up),
		cmocka_unit_test(this_machines_clocks_run_together),
	};

	return cmocka_run_group_tests_name("common/clock_watch", tests, NULL, NULL);
}
