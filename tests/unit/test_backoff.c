/* client/backoff: waits grow, stay in their bounds, and are not all alike. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/backoff.h"
#include "common/clock.h"
#include "common/compiler.h"

enum { LONGEST_MS = 3000 };

static void
waits_double_up_to_a_bound(void **state)
{
	static const int64_t ms[] = { 200, 400, 800, 1600, LONGEST_MS, LONGEST_MS,
		LONGEST_MS };
	struct backoff least = { 0 }, most = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ms); i++) {
		assert_int_equal(backoff_next(&least, 0), ms[i] / 2 * NS_PER_MS);
		/* The modulus is one more than what it may add. */
		assert_in_range(backoff_next(&most, UINT32_MAX), ms[i] / 2 * NS_PER_MS,
		    ms[i] * NS_PER_MS);
	}
}

static void
a_thousand_tries_wait_no_longer(void **state)
{
	struct backoff b = { 0 };

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_in_range(backoff_next(&b, (uint32_t)i * 2654435761u), 1,
		    (int64_t)LONGEST_MS * NS_PER_MS);
	backoff_reset(&b);
	assert_int_equal(backoff_next(&b, 0), 100 * NS_PER_MS);
}

static void
two_clients_do_not_come_together(void **state)
{
	struct backoff a = { 0 }, b = { 0 };

	(void)state;
	assert_int_not_equal(backoff_next(&a, 1), backoff_next(&b, 2000000));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waits_double_up_to_a_bound),
		cmocka_unit_test(a_thousand_tries_wait_no_longer),
		cmocka_unit_test(two_clients_do_not_come_together),
	};

	return cmocka_run_group_tests_name("client/backoff", tests, NULL, NULL);
}
