/* client/capfilter_options: what is meant, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "client/capfilter_options.h"

enum { MAX_ARGS = 16 };

/* Parse words divided by '|'. */
static int
parse_on(bool is_terminal, const char *line, struct capfilter_options *o, struct err *err)
{
	static char copy[512];		/* options borrow from it */
	char *argv[MAX_ARGS + 1] = { NULL };
	char *next = copy;
	int argc = 0;

	snprintf(copy, sizeof(copy), "capfilter%s%s", *line != '\0' ? "|" : "", line);
	while (next != NULL && argc < MAX_ARGS)
		argv[argc++] = strsep(&next, "|");
	return capfilter_options_parse(argc, argv, is_terminal, o, err);
}

static struct capfilter_options
parse(const char *line)
{
	struct capfilter_options o;
	struct err err;

	if (parse_on(false, line, &o, &err) != E_OK)
		fail_msg("%s", err.what);
	return o;
}

static void
words_are_one_expression_wherever_they_stand(void **state)
{
	struct capfilter_options o = parse("tcp|-r|in|port|-w|out|80|-v");

	(void)state;
	assert_int_equal(o.action, CAPFILTER_FILES);
	assert_string_equal(o.filter, "tcp port 80");
	assert_string_equal(o.input, "in");
	assert_string_equal(o.output, "out");
	assert_true(o.is_verbose);
	capfilter_options_free(&o);
	o = parse("-r|-|-w|-|");
	assert_string_equal(o.filter, "");
	assert_null(o.input);
	assert_null(o.output);
	capfilter_options_free(&o);
}

static void
a_packet_is_hexadecimal_digits(void **state)
{
	static const char *const lines[] = {
		"--match|tcp|45005bFf", "--match|tcp|45 00 5b ff", "tcp|45:00:5B:fF|--match",
		"--match|-y|EN10MB|tcp|\t4500 5bff\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		struct capfilter_options o = parse(lines[i]);

		assert_int_equal(o.action, CAPFILTER_MATCH);
		assert_string_equal(o.filter, "tcp");
		assert_int_equal(o.link_type, 1);
		assert_int_equal(o.packet_len, 4);
		assert_memory_equal(o.packet, "\x45\x00\x5b\xff", 4);
		capfilter_options_free(&o);
	}
}

static void
link_types_are_names_or_numbers(void **state)
{
	struct capfilter_options o = parse("--explain|--linktype|raw|tcp");

	(void)state;
	assert_int_equal(o.action, CAPFILTER_EXPLAIN);
	assert_int_equal(o.link_type, 101);
	capfilter_options_free(&o);
	o = parse("--explain|-y|12|tcp");
	assert_int_equal(o.link_type, 12);
	capfilter_options_free(&o);
}

static void
refusals_say_what_to_do(void **state)
{
	static const struct { const char *line, *what; } rows[] = {
		{ "", "filter: missing" },
		{ "-r|in|-w|out", "filter: missing" },
		{ "--match", "--match: packet: missing" },
		{ "--match|tcp", "filter: missing" },
		{ "--match|tcp|4", "byte 1: not two hexadecimal digits" },
		{ "--match|tcp|45 0", "byte 2: not two hexadecimal digits" },
		{ "--match|tcp|45 0 0", "byte 2: not two hexadecimal digits" },
		{ "--match|tcp|0x45", "byte 1: not two hexadecimal digits" },
		{ "--match|--explain|tcp", "--explain: not with --match" },
		{ "--match|-r|in|tcp|00", "--match: not with -r or -w" },
		{ "--explain|-w|out|tcp", "--explain: not with -r or -w" },
		{ "-y|RAW|tcp", "-y: only with --match and --explain" },
		{ "--explain|-y|NOSUCH|tcp", "-y 'NOSUCH': not a link type" },
		{ "--filter-file|f|tcp", "filter: given twice" },
		{ "--filter-file|/nonexistent", "open: No such file" },
		{ "-r", "-r: needs a value" },
		{ "--nosuch", "--nosuch: no such option" },
		{ "-i|eth0|tcp", "-i: no such option" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct capfilter_options o;
		struct err err;

		assert_int_equal(parse_on(false, rows[i].line, &o, &err), E_USAGE);
		if (strstr(err.what, rows[i].what) == NULL)
			fail_msg("'%s' not in: %s", rows[i].what, err.what);
	}
}

static void
packets_do_not_go_to_a_terminal(void **state)
{
	struct capfilter_options o;
	struct err err;

	(void)state;
	assert_int_equal(parse_on(true, "tcp", &o, &err), E_USAGE);
	assert_string_equal(err.what, "stdout: is a terminal: write to a file with -w");
	assert_int_equal(parse_on(true, "-w|out|tcp", &o, &err), E_OK);
	capfilter_options_free(&o);
	assert_int_equal(parse_on(true, "--explain|tcp", &o, &err), E_OK);
	capfilter_options_free(&o);
}

static void
help_and_version_need_nothing_else(void **state)
{
	struct capfilter_options o = parse("-h");

	(void)state;
	assert_int_equal(o.action, CAPFILTER_HELP);
	capfilter_options_free(&o);
	o = parse("--version");
	assert_int_equal(o.action, CAPFILTER_VERSION);
	capfilter_options_free(&o);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_one_expression_wherever_they_stand),
		cmocka_unit_test(a_packet_is_hexadecimal_digits),
		cmocka_unit_test(link_types_are_names_or_numbers),
		cmocka_unit_test(refusals_say_what_to_do),
		cmocka_unit_test(packets_do_not_go_to_a_terminal),
		cmocka_unit_test(help_and_version_need_nothing_else),
	};

	return cmocka_run_group_tests_name("client/capfilter_options", tests, NULL, NULL);
}
