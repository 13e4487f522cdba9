/* common/log: what reaches a terminal is harmless; floods are held back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/log.h"

/* stderr goes into a memory file while a test listens. */
static int file_fd, saved_stderr;
static char output[64 << 10];

static void
listen_to_stderr(void)
{
	fflush(stderr);
	file_fd = memfd_create("stderr", MFD_CLOEXEC);
	saved_stderr = dup(STDERR_FILENO);
	assert_true(file_fd >= 0 && saved_stderr >= 0);
	assert_int_equal(dup2(file_fd, STDERR_FILENO), STDERR_FILENO);
}

/* Everything written since, in output. */
static void
stop_listening(void)
{
	ssize_t n;

	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	n = pread(file_fd, output, sizeof(output) - 1, 0);
	close(file_fd);
	assert_true(n >= 0);
	output[n] = '\0';
}

static unsigned
count(const char *needle)
{
	unsigned n = 0;

	for (const char *p = output; (p = strstr(p, needle)) != NULL; p++)
		n++;
	return n;
}

static void
assert_escaped(const char *in, const char *want)
{
	char got[256];

	log_escape(got, sizeof(got), in);
	assert_string_equal(got, want);
}

static void
plain_and_international_text_passes(void **state)
{
	(void)state;
	assert_escaped("", "");
	assert_escaped("eth0: ok ~", "eth0: ok ~");
	assert_escaped("K\xc3\xb6ln", "K\xc3\xb6ln");
	assert_escaped("\xe6\x9d\xb1\xe4\xba\xac", "\xe6\x9d\xb1\xe4\xba\xac");
	assert_escaped("\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80");
	assert_escaped("\xc2\xa0", "\xc2\xa0");
	assert_escaped("\xf4\x8f\xbf\xbd", "\xf4\x8f\xbf\xbd");
}

static void
control_characters_are_shown_as_numbers(void **state)
{
	(void)state;
	assert_escaped("\x1b[2J", "\\x1b[2J");
	assert_escaped("a\nb\r\t\x7f", "a\\x0ab\\x0d\\x09\\x7f");
	assert_escaped("\x01", "\\x01");
	/* C1: CSI in two bytes of UTF-8, and as a bare byte. */
	assert_escaped("\xc2\x9b" "2J", "\\xc2\\x9b2J");
	assert_escaped("\x9b" "2J", "\\x9b2J");
	assert_escaped("\xc2\x80", "\\xc2\\x80");
}

static void
invalid_utf8_is_shown_byte_by_byte(void **state)
{
	(void)state;
	assert_escaped("\xff\xfe", "\\xff\\xfe");
	assert_escaped("\xc3", "\\xc3");			/* cut off */
	assert_escaped("\xc3(", "\\xc3(");
	assert_escaped("\xe6\x9d", "\\xe6\\x9d");
	assert_escaped("\xc0\xaf", "\\xc0\\xaf");		/* overlong */
	assert_escaped("\xe0\x80\xaf", "\\xe0\\x80\\xaf");
	assert_escaped("\xf0\x80\x80\xaf", "\\xf0\\x80\\x80\\xaf");
	assert_escaped("\xed\xa0\x80", "\\xed\\xa0\\x80");	/* surrogate */
	assert_escaped("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80");
	assert_escaped("\xf5\x80\x80\x80", "\\xf5\\x80\\x80\\x80");
}

static void
marks_that_reorder_or_hide_text_are_shown_as_numbers(void **state)
{
	(void)state;
	assert_escaped("\xe2\x80\xae", "\\xe2\\x80\\xae");	/* U+202E */
	assert_escaped("\xe2\x80\xaa", "\\xe2\\x80\\xaa");	/* U+202A */
	assert_escaped("\xe2\x81\xa6", "\\xe2\\x81\\xa6");	/* U+2066 */
	assert_escaped("\xe2\x81\xa9", "\\xe2\\x81\\xa9");	/* U+2069 */
	assert_escaped("\xe2\x80\x8b", "\\xe2\\x80\\x8b");	/* U+200B */
	assert_escaped("\xe2\x80\x8f", "\\xe2\\x80\\x8f");	/* U+200F */
	assert_escaped("\xe2\x80\xa8", "\\xe2\\x80\\xa8");	/* U+2028 */
	assert_escaped("\xd8\x9c", "\\xd8\\x9c");		/* U+061C */
	assert_escaped("\xef\xbb\xbf", "\\xef\\xbb\\xbf");	/* U+FEFF */
	/* U+2010, U+2030: neighbours that are text. */
	assert_escaped("\xe2\x80\x90\xe2\x80\xb0", "\xe2\x80\x90\xe2\x80\xb0");
}

static void
what_does_not_fit_is_cut_between_characters(void **state)
{
	char got[8];

	(void)state;
	for (size_t size = 1; size <= sizeof(got); size++) {
		memset(got, '#', sizeof(got));
		log_escape(got, size, "a\xc3\xb6\x1b" "b");
		assert_true(strlen(got) < size);
		assert_true(size < 2 || got[0] == 'a');
		assert_true(size < 2 || size > 3 || got[1] == '\0');
		assert_true(size < 4 || size > 7 || got[3] == '\0');
	}
	got[0] = '#';
	log_escape(got, 0, "a");
	assert_int_equal(got[0], '#');
}

static void
a_line_says_who_what_and_where(void **state)
{
	char want[128];

	(void)state;
	listen_to_stderr();
	log_info(LOG_RING, "block %d: %s", 3, "a\x1b\nb");
	stop_listening();
	snprintf(want, sizeof(want),
	    "prog[%d] info ring: block 3: a\\x1b\\x0ab\n", (int)getpid());
	assert_string_equal(output, want);
}

static void
the_context_stands_in_front_and_is_escaped_too(void **state)
{
	(void)state;
	listen_to_stderr();
	log_set_context("session 7 al\x1b[2Jice");
	log_info(LOG_MAIN, "one");
	log_set_context(NULL);
	log_info(LOG_MAIN, "two");
	stop_listening();
	assert_non_null(strstr(output, "main: session 7 al\\x1b[2Jice: one\n"));
	assert_non_null(strstr(output, "main: two\n"));
}

static void
a_line_of_any_length_is_one_line_with_its_end(void **state)
{
	char text[4096], context[400];

	(void)state;
	memset(text, '\x1b', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	memset(context, 'c', sizeof(context) - 1);
	context[sizeof(context) - 1] = '\0';
	listen_to_stderr();
	log_set_context(context);
	log_info(LOG_MAIN, "%s", text);
	log_set_context("");
	log_info(LOG_MAIN, "next");
	stop_listening();
	assert_int_equal(count("\n"), 2);
	assert_non_null(strstr(output, "\nprog["));
}

static void
levels_hold_for_the_tokens_that_are_named(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(log_set("debug:ring,session", &err), E_OK);
	assert_true(log_is_on(LOG_LEVEL_DEBUG, LOG_RING));
	assert_true(log_is_on(LOG_LEVEL_DEBUG, LOG_SESSION));
	assert_false(log_is_on(LOG_LEVEL_DEBUG, LOG_MAIN));
	assert_true(log_is_on(LOG_LEVEL_INFO, LOG_MAIN));
	assert_int_equal(log_set("err", &err), E_OK);
	assert_false(log_is_on(LOG_LEVEL_WARN, LOG_RING));
	assert_true(log_is_on(LOG_LEVEL_ERR, LOG_RING));
	assert_int_equal(log_set("warn:listen", &err), E_OK);
	assert_false(log_is_on(LOG_LEVEL_INFO, LOG_LISTEN));
	assert_true(log_is_on(LOG_LEVEL_WARN, LOG_LISTEN));
	listen_to_stderr();
	log_info(LOG_LISTEN, "unheard");
	log_debug(LOG_MAIN, "unheard");
	log_warn(LOG_LISTEN, "heard");
	stop_listening();
	assert_int_equal(count("\n"), 1);
	assert_int_equal(log_set("info", &err), E_OK);
}

static void
specs_that_are_not_understood_name_the_word_and_change_nothing(void **state)
{
	static const struct { const char *spec, *word; } bad[] = {
		{ "", "''" }, { "loud", "'loud'" }, { "deb", "'deb'" },
		{ "debug:", "''" }, { "debug:ring,rings", "'rings'" },
		{ "debug:ring,", "''" }, { "INFO", "'INFO'" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err err;

		assert_int_equal(log_set(bad[i].spec, &err), E_USAGE);
		assert_non_null(strstr(err.what, bad[i].word));
		assert_false(log_is_on(LOG_LEVEL_DEBUG, LOG_RING));
		assert_true(log_is_on(LOG_LEVEL_INFO, LOG_RING));
	}
}

enum { FLOOD = 500 };

static void
a_flood_of_one_kind_is_held_back_and_counted(void **state)
{
	char want[64];
	unsigned shown;

	(void)state;
	listen_to_stderr();
	for (int i = 0; i < FLOOD; i++)
		log_warn(LOG_SESSION, "bad peer %d", i);
	log_warn(LOG_SESSION, "another kind");
	stop_listening();
	shown = count("bad peer");
	assert_true(shown >= 5 && shown <= 50);
	snprintf(want, sizeof(want), "suppressed %u more", FLOOD - shown);
	assert_int_equal(count(want), 1);
	assert_int_equal(count("another kind"), 1);
	assert_true(strstr(output, want) < strstr(output, "another kind"));
}

static void
a_flood_of_warnings_hides_no_error_of_the_same_wording(void **state)
{
	(void)state;
	listen_to_stderr();
	for (int i = 0; i < FLOOD; i++)
		log_warn(LOG_SESSION, "%s: %s", "peer", "garbage");
	log_err(LOG_SESSION, "%s: %s", "capture", "failed");
	log_warn(LOG_POLICY, "%s: %s", "policy", "other module");
	stop_listening();
	assert_int_equal(count("capture: failed"), 1);
	assert_int_equal(count("other module"), 1);
}

static void
info_lines_are_never_held_back(void **state)
{
	(void)state;
	listen_to_stderr();
	for (int i = 0; i < 100; i++)
		log_info(LOG_SESSION, "captures");
	stop_listening();
	assert_int_equal(count("captures"), 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_and_international_text_passes),
		cmocka_unit_test(control_characters_are_shown_as_numbers),
		cmocka_unit_test(invalid_utf8_is_shown_byte_by_byte),
		cmocka_unit_test(marks_that_reorder_or_hide_text_are_shown_as_numbers),
		cmocka_unit_test(what_does_not_fit_is_cut_between_characters),
		cmocka_unit_test(a_line_says_who_what_and_where),
		cmocka_unit_test(the_context_stands_in_front_and_is_escaped_too),
		cmocka_unit_test(a_line_of_any_length_is_one_line_with_its_end),
		cmocka_unit_test(levels_hold_for_the_tokens_that_are_named),
		cmocka_unit_test(specs_that_are_not_understood_name_the_word_and_change_nothing),
		cmocka_unit_test(a_flood_of_one_kind_is_held_back_and_counted),
		cmocka_unit_test(a_flood_of_warnings_hides_no_error_of_the_same_wording),
		cmocka_unit_test(info_lines_are_never_held_back),
	};

	log_init("prog");
	return cmocka_run_group_tests_name("common/log", tests, NULL, NULL);
}
