/* client/json: valid, on one line, whatever the strings hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/json.h"

static void
assert_line(struct json *j, const char *want)
{
	size_t len = 0;
	const char *got = json_line(j, &len);

	assert_non_null(got);
	assert_int_equal(len, strlen(want) + 1);
	assert_memory_equal(got, want, len - 1);
	assert_int_equal(got[len - 1], '\n');
	json_fini(j);
}

static void
every_kind_of_value_has_its_form(void **state)
{
	struct json j;

	(void)state;
	json_init(&j);
	json_open_object(&j, NULL);
	json_string(&j, "s", "text");
	json_u64(&j, "least", 0);
	json_u64(&j, "most", UINT64_MAX);
	json_bool(&j, "yes", true);
	json_bool(&j, "no", false);
	json_null(&j, "none");
	json_close_object(&j);
	assert_line(&j, "{\"s\":\"text\",\"least\":0,\"most\":18446744073709551615,"
	    "\"yes\":true,\"no\":false,\"none\":null}");
}

static void
commas_stand_between_and_nowhere_else(void **state)
{
	struct json j;

	(void)state;
	json_init(&j);
	json_open_object(&j, NULL);
	json_open_array(&j, "a");
	json_close_array(&j);
	json_open_array(&j, "b");
	json_u64(&j, NULL, 1);
	json_u64(&j, NULL, 2);
	json_open_object(&j, NULL);
	json_close_object(&j);
	json_open_object(&j, NULL);
	json_null(&j, "x");
	json_close_object(&j);
	json_close_array(&j);
	json_u64(&j, "c", 3);
	json_close_object(&j);
	assert_line(&j, "{\"a\":[],\"b\":[1,2,{},{\"x\":null}],\"c\":3}");
}

#define BAD	"\xef\xbf\xbd"

static void
strings_are_escaped(void **state)
{
	static const struct { const char *in, *out; } cases[] = {
		{ "", "" },
		{ "a\"b\\c/d", "a\\\"b\\\\c/d" },
		{ "\n\r\t\b\f\x01\x1f", "\\u000a\\u000d\\u0009\\u0008\\u000c\\u0001\\u001f" },
		{ "\x7f", "\\u007f" },
		/* C1 controls; line separators, an end of line for some readers. */
		{ "\xc2\x80\xc2\x9f\xc2\xa0", "\\u0080\\u009f\xc2\xa0" },
		{ "\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa", "\\u2028\\u2029\xe2\x80\xaa" },
		{ "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
		{ "\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf" },
		/* Not UTF-8: alone, cut off, overlong, surrogates, too high. */
		{ "\x80" "a\xbf", BAD "a" BAD },
		{ "\xc3", BAD }, { "\xe2\x82", BAD BAD }, { "\xf0\x9f\x98", BAD BAD BAD },
		{ "\xc3\"", BAD "\\\"" }, { "\xe2\x82\"", BAD BAD "\\\"" },
		{ "\xc0\x80", BAD BAD }, { "\xc1\xbf", BAD BAD },
		{ "\xe0\x80\xaf", BAD BAD BAD }, { "\xf0\x80\x80\xaf", BAD BAD BAD BAD },
		{ "\xed\xa0\x80", BAD BAD BAD }, { "\xed\xbf\xbf", BAD BAD BAD },
		{ "\xed\x9f\xbf", "\xed\x9f\xbf" },
		{ "\xf4\x90\x80\x80", BAD BAD BAD BAD },
		{ "\xf5\x80\x80\x80", BAD BAD BAD BAD }, { "\xff\xfe", BAD BAD },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char want[256] = "{\"";
		struct json j;

		strcat(want, cases[i].out);
		strcat(want, "\":\"");
		strcat(want, cases[i].out);
		strcat(want, "\"}");
		json_init(&j);
		json_open_object(&j, NULL);
		json_string(&j, cases[i].in, cases[i].in);
		json_close_object(&j);
		assert_line(&j, want);
	}
}

static void
a_line_grows_as_far_as_it_must(void **state)
{
	enum { N = 100000 };
	struct json j;
	const char *got;
	size_t len = 0;

	(void)state;
	json_init(&j);
	json_open_array(&j, NULL);
	for (int i = 0; i < N; i++)
		json_string(&j, NULL, "0123456789");
	json_close_array(&j);
	got = json_line(&j, &len);
	assert_non_null(got);
	assert_int_equal(len, 2 + N * 12 + (N - 1) + 1);
	assert_memory_equal(got + len - 15, ",\"0123456789\"]\n", 15);
	json_fini(&j);
	json_fini(&j);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_value_has_its_form),
		cmocka_unit_test(commas_stand_between_and_nowhere_else),
		cmocka_unit_test(strings_are_escaped),
		cmocka_unit_test(a_line_grows_as_far_as_it_must),
	};

	return cmocka_run_group_tests_name("client/json", tests, NULL, NULL);
}
