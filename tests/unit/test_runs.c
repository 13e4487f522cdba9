/* client/runs: a queue that forgets nothing, whatever is pushed and taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/runs.h"
#include "mutate.h"

static void
push(struct runs *r, uint32_t number, uint64_t n)
{
	assert_int_equal(runs_reserve(r), E_OK);
	runs_push(r, number, n);
}

static void
runs_join_and_split(void **state)
{
	struct runs r = { 0 };
	uint32_t number = 77;

	(void)state;
	assert_int_equal(runs_take(&r, 1, &number), 0);
	assert_int_equal(number, 77);
	push(&r, 1, 2);
	push(&r, 1, 3);
	push(&r, 2, 0);
	push(&r, 1, 1);
	push(&r, 2, 4);
	assert_int_equal(r.len, 2);
	assert_int_equal(runs_take(&r, 0, &number), 0);
	assert_int_equal(runs_take(&r, 4, &number), 4);
	assert_int_equal(number, 1);
	assert_int_equal(runs_take(&r, 100, &number), 2);
	assert_int_equal(number, 1);
	assert_int_equal(runs_take(&r, 100, &number), 4);
	assert_int_equal(number, 2);
	assert_int_equal(runs_take(&r, 100, &number), 0);
	runs_fini(&r);
}

/* Each number is pushed once more than it is taken, in the same order. */
static void
a_ring_that_wraps_and_grows_keeps_the_order(void **state)
{
	struct runs r = { 0 };
	uint64_t seed = 1;
	uint32_t pushed = 0, taken = 0;

	(void)state;
	while (taken < 20000) {
		uint64_t n = mutate_next_random(&seed) % 100;

		for (uint64_t i = 0; i < n; i++)
			push(&r, pushed++, 1);
		n = mutate_next_random(&seed) % 100;
		for (uint64_t i = 0; i < n && taken < pushed; i++) {
			uint32_t number;

			assert_int_equal(runs_take(&r, 5, &number), 1);
			assert_int_equal(number, taken++);
		}
	}
	assert_int_equal(r.len, pushed - taken);
	runs_fini(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_join_and_split),
		cmocka_unit_test(a_ring_that_wraps_and_grows_keeps_the_order),
	};

	return cmocka_run_group_tests_name("client/runs", tests, NULL, NULL);
}
