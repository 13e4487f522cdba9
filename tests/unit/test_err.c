/* common/err: codes have names, texts keep their bounds. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/err.h"

static void
every_code_has_its_own_name_and_text(void **state)
{
	(void)state;
	for (int code = E_OK; code >= E_GONE; code--) {
		assert_true(err_is_code(code));
		assert_string_not_equal(err_name(code), "E_UNKNOWN");
		assert_string_not_equal(err_text(code), "unknown error");
		for (int other = E_OK; other > code; other--)
			assert_string_not_equal(err_name(code), err_name(other));
	}
	assert_string_equal(err_name(E_DENIED), "E_DENIED");
}

static void
numbers_that_are_no_codes_are_said_to_be_none(void **state)
{
	static const int no_codes[] = { 1, E_GONE - 1, INT32_MAX, INT32_MIN };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(no_codes); i++) {
		assert_false(err_is_code(no_codes[i]));
		assert_string_equal(err_name(no_codes[i]), "E_UNKNOWN");
		assert_string_equal(err_text(no_codes[i]), "unknown error");
	}
}

static void
setting_returns_the_code_and_forgets_an_old_errno(void **state)
{
	struct err err = { .sys = EIO };

	(void)state;
	assert_int_equal(err_set(&err, E_LIMIT, "ring: %d", 7), E_LIMIT);
	assert_int_equal(err.code, E_LIMIT);
	assert_int_equal(err.sys, 0);
	assert_string_equal(err.what, "ring: 7");
	assert_int_equal(err_set(NULL, E_LIMIT, "unheard"), E_LIMIT);
}

static void
assert_code_of_errno(int sys, int want)
{
	struct err err;

	errno = sys;
	assert_int_equal(err_sys(&err, "file"), want);
	assert_int_equal(err.code, want);
	assert_int_equal(err.sys, sys);
	errno = sys;
	assert_int_equal(err_sys(NULL, "file"), want);
}

static void
a_failed_system_call_keeps_errno_and_names_it(void **state)
{
	struct err err;

	(void)state;
	assert_code_of_errno(EPERM, E_SYS);
	assert_code_of_errno(ENOMEM, E_NOMEM);
	assert_code_of_errno(ENOSPC, E_NOSPACE);
	assert_code_of_errno(EDQUOT, E_NOSPACE);
	errno = EACCES;
	err_sys(&err, "'%s': open", "x.pcap");
	assert_string_equal(err.what, "'x.pcap': open: Permission denied");
}

static void
wrapping_puts_text_in_front_and_keeps_the_rest(void **state)
{
	struct err err;

	(void)state;
	errno = EACCES;
	err_sys(&err, "bind");
	assert_int_equal(err_wrap(&err, "interface '%s'", "eth0"), E_SYS);
	assert_string_equal(err.what,
	    "interface 'eth0': bind: Permission denied");
	assert_int_equal(err.sys, EACCES);
}

static void
texts_longer_than_the_object_are_cut_and_terminated(void **state)
{
	char text[2 * ERR_WHAT_LEN];
	struct err err;

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	err_set(&err, E_BUG, "%s", text);
	assert_int_equal(strlen(err.what), ERR_WHAT_LEN - 1);
	errno = EIO;
	err_sys(&err, "%s", text);
	assert_int_equal(strlen(err.what), ERR_WHAT_LEN - 1);
	err_wrap(&err, "%s", text);
	assert_int_equal(strlen(err.what), ERR_WHAT_LEN - 1);
	err_set(&err, E_BUG, "%.*s", ERR_WHAT_LEN - 3, text);
	err_wrap(&err, "b");
	assert_memory_equal(err.what, "b: aaa", 6);
	assert_int_equal(strlen(err.what), ERR_WHAT_LEN - 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_has_its_own_name_and_text),
		cmocka_unit_test(numbers_that_are_no_codes_are_said_to_be_none),
		cmocka_unit_test(setting_returns_the_code_and_forgets_an_old_errno),
		cmocka_unit_test(a_failed_system_call_keeps_errno_and_names_it),
		cmocka_unit_test(wrapping_puts_text_in_front_and_keeps_the_rest),
		cmocka_unit_test(texts_longer_than_the_object_are_cut_and_terminated),
	};

	return cmocka_run_group_tests_name("common/err", tests, NULL, NULL);
}
