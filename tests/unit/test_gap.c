/* client/gap: lost packets in words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "client/gap.h"

/* 2026-01-31 12:00:00 UTC. */
#define NOON	INT64_C(1769860800000000000)

static struct wall_ns
at_ms(int64_t ms)
{
	return (struct wall_ns){ NOON + ms * NS_PER_MS };
}

static int
set_zone(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	return 0;
}

static void
counts_have_commas_between_thousands(void **state)
{
	static const struct { uint64_t n; const char *want; } cases[] = {
		{ 0, "0" }, { 7, "7" }, { 999, "999" }, { 1000, "1,000" },
		{ 1204, "1,204" }, { 99999, "99,999" }, { 100000, "100,000" },
		{ 1234567, "1,234,567" }, { UINT64_MAX, "18,446,744,073,709,551,615" },
	};
	char got[GAP_COUNT_LEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		gap_format_count(cases[i].n, got);
		assert_string_equal(got, cases[i].want);
	}
}

static void
a_gap_says_how_many_why_and_when(void **state)
{
	static const struct {
		uint64_t packets;
		enum gap_reason reason;
		const char *in_file, *said;
	} cases[] = {
		{ 1204, GAP_LOG_FULL,
		    "1,204 packets missing here: agent buffer full, 12:00:01.2 to 12:00:03.9",
		    "1,204 packets missing: agent buffer full, 12:00:01.2 to 12:00:03.9" },
		{ 1, GAP_DISCONNECTED,
		    "1 packet missing here: agent buffer full while disconnected, "
		    "12:00:01.2 to 12:00:03.9",
		    "1 packet missing: agent buffer full while disconnected, "
		    "12:00:01.2 to 12:00:03.9" },
		{ UINT64_MAX, GAP_INTERRUPTED,
		    "18,446,744,073,709,551,615 packets missing here: second Ctrl-C, "
		    "12:00:01.2 to 12:00:03.9",
		    "18,446,744,073,709,551,615 packets missing: second Ctrl-C, "
		    "12:00:01.2 to 12:00:03.9" },
	};
	char got[GAP_TEXT_LEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct msg_gap gap = {
			.packets = cases[i].packets, .reason = cases[i].reason,
			.first = at_ms(1299), .last = at_ms(3950),
		};

		gap_format(&gap, got);
		assert_string_equal(got, cases[i].in_file);
		gap_format_report(&gap, got);
		assert_string_equal(got, cases[i].said);
	}
}

static void
the_longest_text_has_room(void **state)
{
	const struct msg_gap gap = {
		.packets = UINT64_MAX, .reason = GAP_DISCONNECTED,
		.first = { INT64_MIN }, .last = { INT64_MAX },
	};
	char got[GAP_TEXT_LEN];

	(void)state;
	gap_format(&gap, got);
	assert_string_equal(got, "18,446,744,073,709,551,615 packets missing here: agent "
	    "buffer full while disconnected, 00:12:43.1 to 23:47:16.8");
}

static void
a_date_stands_where_it_is_not_todays(void **state)
{
	static const struct { int64_t ns; const char *want; } cases[] = {
		{ NOON, "12:00:00.0" },
		{ NOON + INT64_C(43199999) * NS_PER_MS, "23:59:59.9" },
		{ NOON + INT64_C(43200000) * NS_PER_MS, "2026-02-01 00:00:00.0" },
		{ NOON - INT64_C(43200001) * NS_PER_MS, "2026-01-30 23:59:59.9" },
		{ NOON - INT64_C(365) * 86400 * NS_PER_S, "2025-01-31 12:00:00.0" },
		{ -1, "1969-12-31 23:59:59.9" },
		{ 0, "1970-01-01 00:00:00.0" },
		{ INT64_MAX, "2262-04-11 23:47:16.8" },
	};
	char got[GAP_TIME_LEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		gap_format_time((struct wall_ns){ cases[i].ns }, at_ms(0), got);
		assert_string_equal(got, cases[i].want);
	}
}

static void
gaps_of_one_reason_join(void **state)
{
	uint64_t by[] = { 3, 4 };
	const struct msg_gap first = {
		.packets = 7, .bytes = 700, .first_sequence = 5, .last_sequence = 6,
		.first = at_ms(100), .last = at_ms(900), .reason = GAP_DISCONNECTED,
		.n_interfaces = 2, .by_interface = by,
	};
	struct msg_gap sum = { .packets = 99 }, gap = first;

	(void)state;
	gap_join(&sum, &first, true);
	assert_int_equal(sum.packets, 7);
	assert_null(sum.by_interface);
	assert_int_equal(sum.n_interfaces, 0);
	/* Packets of several interfaces: times overlap. */
	gap.first_sequence = 7;
	gap.last_sequence = 9;
	gap.first = at_ms(50);
	gap.last = at_ms(800);
	assert_true(gap_joins(&sum, &gap));
	gap_join(&sum, &gap, false);
	assert_int_equal(sum.packets, 14);
	assert_int_equal(sum.bytes, 1400);
	assert_int_equal(sum.first_sequence, 5);
	assert_int_equal(sum.last_sequence, 9);
	assert_int_equal(sum.first.ns, at_ms(50).ns);
	assert_int_equal(sum.last.ns, at_ms(900).ns);
	assert_null(sum.by_interface);
	gap.packets = UINT64_MAX;
	gap_join(&sum, &gap, false);
	assert_true(sum.packets == UINT64_MAX);
	gap.reason = GAP_LOG_FULL;
	assert_false(gap_joins(&sum, &gap));
	gap.reason = GAP_INTERRUPTED;
	assert_false(gap_joins(&sum, &gap));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_have_commas_between_thousands),
		cmocka_unit_test(a_gap_says_how_many_why_and_when),
		cmocka_unit_test(the_longest_text_has_room),
		cmocka_unit_test(a_date_stands_where_it_is_not_todays),
		cmocka_unit_test(gaps_of_one_reason_join),
	};

	return cmocka_run_group_tests_name("client/gap", tests, set_zone, NULL);
}
