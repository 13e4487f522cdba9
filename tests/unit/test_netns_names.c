/* server/netns_names: a number never means another name, and room never runs out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/netns_names.h"

static struct netns_names names;

static int
set_up(void **state)
{
	(void)state;
	memset(&names, 0, sizeof(names));
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	netns_names_fini(&names);
	return 0;
}

/* The number of a name that was seen in this look; 0 for another. */
static uint32_t
number_of(const char *name)
{
	struct priv_netns_name page[PRIV_LIST_COUNT];
	uint32_t n, next = 0;

	do {
		netns_names_page(&names, next, page, &n, &next);
		for (uint32_t i = 0; i < n; i++)
			if (strcmp(page[i].name, name) == 0)
				return page[i].number;
	} while (next != 0);
	return 0;
}

static void
see_many(unsigned first, unsigned count)
{
	char name[16];

	for (unsigned i = first; i < first + count; i++) {
		snprintf(name, sizeof(name), "ns%u", i);
		netns_names_see(&names, name);
	}
}

static void
a_name_keeps_its_number_while_it_comes_and_goes(void **state)
{
	uint32_t blue;

	(void)state;
	netns_names_look(&names);
	netns_names_see(&names, "blue");
	netns_names_see(&names, "red");
	blue = number_of("blue");
	assert_int_not_equal(blue, 0);
	assert_int_not_equal(number_of("red"), blue);
	netns_names_look(&names);
	assert_int_equal(number_of("blue"), 0);
	assert_string_equal(netns_names_find(&names, blue), "blue");
	netns_names_see(&names, "red");
	netns_names_see(&names, "blue");
	assert_int_equal(number_of("blue"), blue);
	assert_null(netns_names_find(&names, 77));
}

static void
pages_have_every_name_once_in_order(void **state)
{
	struct priv_netns_name page[PRIV_LIST_COUNT];
	uint32_t n, next = 0, last = 0, count = 0;

	(void)state;
	netns_names_look(&names);
	see_many(0, 3 * PRIV_LIST_COUNT);
	netns_names_look(&names);
	see_many(5, 2 * PRIV_LIST_COUNT + 1);
	do {
		netns_names_page(&names, next, page, &n, &next);
		for (uint32_t i = 0; i < n; i++, count++) {
			assert_true(page[i].number > last);
			last = page[i].number;
		}
		assert_true(next == 0 || next > last);
	} while (next != 0);
	assert_int_equal(count, 2 * PRIV_LIST_COUNT + 1);
}

static void
the_longest_absent_makes_room_and_its_number_is_nobodys(void **state)
{
	uint32_t gone, kept;

	(void)state;
	netns_names_look(&names);
	see_many(0, NETNS_NAMES_MAX);
	gone = number_of("ns7");
	kept = number_of("ns8");
	/* All but two are still there, and one of them was away for longer. */
	netns_names_look(&names);
	see_many(0, 7);
	see_many(8, NETNS_NAMES_MAX - 8);
	netns_names_look(&names);
	see_many(0, 7);
	see_many(9, NETNS_NAMES_MAX - 9);
	netns_names_see(&names, "new");
	assert_int_not_equal(number_of("new"), 0);
	assert_null(netns_names_find(&names, gone));
	assert_string_equal(netns_names_find(&names, kept), "ns8");
	assert_int_equal(names.n, NETNS_NAMES_MAX);

	/* Back again: the same name, another number. */
	netns_names_see(&names, "ns7");
	assert_true(number_of("ns7") > number_of("new"));
	assert_null(netns_names_find(&names, kept));
}

static void
thousands_that_came_and_went_leave_room_for_more(void **state)
{
	char name[16];

	(void)state;
	for (unsigned i = 0; i < 3 * NETNS_NAMES_MAX; i++) {
		netns_names_look(&names);
		see_many(i, 1);
		snprintf(name, sizeof(name), "ns%u", i);
		assert_int_equal(number_of(name), i + 1);
	}
	assert_int_equal(names.n, NETNS_NAMES_MAX);
}

static void
more_at_a_time_than_there_is_room_for_are_left_out(void **state)
{
	(void)state;
	netns_names_look(&names);
	see_many(0, NETNS_NAMES_MAX);
	netns_names_see(&names, "one more");
	netns_names_see(&names, "and one");
	assert_int_equal(number_of("one more"), 0);
	assert_int_not_equal(number_of("ns0"), 0);
	assert_true(names.has_said_full);
}

#define IN_LAB(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		IN_LAB(a_name_keeps_its_number_while_it_comes_and_goes),
		IN_LAB(pages_have_every_name_once_in_order),
		IN_LAB(the_longest_absent_makes_room_and_its_number_is_nobodys),
		IN_LAB(thousands_that_came_and_went_leave_room_for_more),
		IN_LAB(more_at_a_time_than_there_is_room_for_are_left_out),
	};

	return cmocka_run_group_tests_name("server/netns_names", tests, NULL, NULL);
}
