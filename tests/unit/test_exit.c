/* client/exit: what scripts depend on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/exit.h"
#include "common/err.h"

static void
numbers_never_change(void **state)
{
	static const struct { enum exit_status status; int number; } table[] = {
		{ EXIT_COMPLETE, 0 }, { EXIT_FAILED, 1 }, { EXIT_USAGE, 2 },
		{ EXIT_UNREACHABLE, 3 }, { EXIT_REFUSED, 4 }, { EXIT_INTERFACE, 5 },
		{ EXIT_FILTER, 6 }, { EXIT_OUTPUT, 7 }, { EXIT_INCOMPLETE, 8 },
		{ EXIT_CONNECTION, 9 }, { EXIT_LEDGER, 10 }, { EXIT_HOLE, 11 },
		{ EXIT_INTERRUPTED, 130 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		assert_int_equal((int)table[i].status, table[i].number);
}

static void
what_ends_the_connection_has_its_status(void **state)
{
	(void)state;
	assert_int_equal(exit_status_of(E_PEERGONE), EXIT_CONNECTION);
	assert_int_equal(exit_status_of(E_GONE), EXIT_CONNECTION);
	assert_int_equal(exit_status_of(E_BUG), EXIT_FAILED);
	assert_int_equal(exit_status_of(-12345), EXIT_FAILED);
}

/* From what says least to what says most; each beats all before it. */
static void
what_says_more_wins_whichever_was_first(void **state)
{
	static const enum exit_status order[] = {
		EXIT_COMPLETE, EXIT_INCOMPLETE, EXIT_HOLE, EXIT_CONNECTION,
		EXIT_INTERRUPTED, EXIT_LEDGER,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		for (size_t k = 0; k <= i; k++) {
			assert_int_equal(exit_status_join(order[i], order[k]), order[i]);
			assert_int_equal(exit_status_join(order[k], order[i]), order[i]);
		}
}

static void
of_two_failures_the_first_counts(void **state)
{
	static const enum exit_status failures[] = {
		EXIT_FAILED, EXIT_USAGE, EXIT_UNREACHABLE, EXIT_REFUSED, EXIT_INTERFACE,
		EXIT_FILTER, EXIT_OUTPUT, EXIT_CONNECTION,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(failures); i++)
		for (size_t k = 0; k < ARRAY_LEN(failures); k++)
			assert_int_equal(exit_status_join(failures[i], failures[k]),
			    failures[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_never_change),
		cmocka_unit_test(what_ends_the_connection_has_its_status),
		cmocka_unit_test(what_says_more_wins_whichever_was_first),
		cmocka_unit_test(of_two_failures_the_first_counts),
	};

	return cmocka_run_group_tests_name("client/exit", tests, NULL, NULL);
}
