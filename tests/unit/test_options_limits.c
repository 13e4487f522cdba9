/* client/options_limits: times, sizes and ends, with their units. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "client/options_int.h"

static void
times_have_units(void **state)
{
	static const struct { const char *text; uint64_t ms; } good[] = {
		{ "0", 0 }, { "3", 3000 }, { "3s", 3000 }, { "500ms", 500 },
		{ "2m", 120000 }, { "2min", 120000 }, { "1h", 3600000 },
		{ "1.5", 1500 }, { "0.25s", 250 }, { "1.5m", 90000 },
		{ "0.001", 1 }, { "1.9999", 1999 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		uint64_t ms = 77;

		assert_int_equal(options_value_time("--linger", good[i].text, 0,
		    3600000, &ms, NULL), E_OK);
		if (ms != good[i].ms)
			fail_msg("%s: %llu ms", good[i].text, (unsigned long long)ms);
	}
}

static void
what_is_no_time_is_refused_by_name(void **state)
{
	static const char *const bad[] = {
		"", "s", "-1", "+1", " 1", "1 ", "1d", "1.s", ".5", "1e3", "1,5",
		"3601", "18446744073709551615", "99999999999999999999",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		uint64_t ms = 77;
		struct err err;

		assert_int_equal(options_value_time("--linger", bad[i], 0, 3600000, &ms,
		    &err), E_USAGE);
		assert_int_equal(ms, 77);
		assert_non_null(strstr(err.what, "--linger '"));
		assert_non_null(strstr(err.what, "3600 s is needed"));
	}
}

static void
times_have_bounds(void **state)
{
	uint64_t ms;

	(void)state;
	assert_int_equal(options_value_time("-x", "1", 1000, 2000, &ms, NULL), E_OK);
	assert_int_equal(options_value_time("-x", "2", 1000, 2000, &ms, NULL), E_OK);
	assert_int_equal(options_value_time("-x", "999ms", 1000, 2000, &ms, NULL),
	    E_USAGE);
	assert_int_equal(options_value_time("-x", "2001ms", 1000, 2000, &ms, NULL),
	    E_USAGE);
}

static void
a_log_size_is_in_bytes(void **state)
{
	static const struct { const char *text; uint64_t bytes; } good[] = {
		{ "2097152", 2 << 20 }, { "2M", 2 << 20 }, { "2MiB", 2 << 20 },
		{ "1g", 1 << 30 }, { "4096k", 4 << 20 },
	};
	static const char *const bad[] = { "0", "", "M", "2MB", "-1", "1T", "2097151", "1M",
		"2000000G" };
	uint64_t bytes;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(options_value_log_size(good[i].text, &bytes, NULL),
		    E_OK);
		assert_true(bytes == good[i].bytes);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(options_value_log_size(bad[i], &bytes, NULL), E_USAGE);
}

static void
ends_add_up(void **state)
{
	struct options o = { .count = 0 };

	(void)state;
	assert_int_equal(options_value_autostop("duration:1.5", &o, NULL), E_OK);
	assert_int_equal(options_value_autostop("filesize:7", &o, NULL), E_OK);
	assert_int_equal(options_value_autostop("packets:9", &o, NULL), E_OK);
	assert_int_equal(o.duration_ms, 1500);
	assert_int_equal(o.filesize_bytes, 7000);	/* dumpcap's kB */
	assert_int_equal(o.count, 9);
	assert_int_equal(options_value_autostop("filesize:7K", &o, NULL), E_OK);
	assert_int_equal(o.filesize_bytes, 7168);
	assert_int_equal(options_value_autostop("filesize:2GiB", &o, NULL), E_OK);
	assert_true(o.filesize_bytes == UINT64_C(2) << 30);
}

static void
ends_that_are_none_are_refused(void **state)
{
	static const char *const bad[] = {
		"", "packets", "packets:", "packets:0", "packets:x", "packets:-1",
		"duration:", "duration:0", "duration:x", "filesize:0", "filesize:",
		"filesize:4294967296", "files:3", "interval:3", "duration:400000000",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct options o = { .count = 0 };
		struct err err;

		assert_int_equal(options_value_autostop(bad[i], &o, &err), E_USAGE);
		assert_int_equal(strncmp(err.what, "-a ", 3), 0);
	}
}

static void
a_count_is_given_once(void **state)
{
	struct options o = { .count = 5 };
	struct err err;

	(void)state;
	assert_int_equal(options_value_autostop("packets:9", &o, &err), E_USAGE);
	assert_non_null(strstr(err.what, "-c"));
	assert_int_equal(o.count, 5);
}

static void
policies_are_words(void **state)
{
	bool is_yes;

	(void)state;
	assert_int_equal(options_value_overflow("drop-newest", &is_yes, NULL), E_OK);
	assert_true(is_yes);
	assert_int_equal(options_value_overflow("drop-oldest", &is_yes, NULL), E_OK);
	assert_false(is_yes);
	assert_int_equal(options_value_overflow("oldest", &is_yes, NULL), E_USAGE);
	assert_int_equal(options_value_on_full("stop", &is_yes, NULL), E_OK);
	assert_true(is_yes);
	assert_int_equal(options_value_on_full("wait", &is_yes, NULL), E_OK);
	assert_false(is_yes);
	assert_int_equal(options_value_on_full("", &is_yes, NULL), E_USAGE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_have_units),
		cmocka_unit_test(what_is_no_time_is_refused_by_name),
		cmocka_unit_test(times_have_bounds),
		cmocka_unit_test(a_log_size_is_in_bytes),
		cmocka_unit_test(ends_add_up),
		cmocka_unit_test(ends_that_are_none_are_refused),
		cmocka_unit_test(a_count_is_given_once),
		cmocka_unit_test(policies_are_words),
	};

	return cmocka_run_group_tests_name("client/options_limits", tests, NULL, NULL);
}
