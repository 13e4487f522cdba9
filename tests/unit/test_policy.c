/* server/policy: the configuration file means what it says, or is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/policy.h"
#include "server/policy_parse.h"

/* Write text to a file of its own and load it. */
static int
load_mode(const char *text, size_t len, mode_t mode, struct policy *p, struct err *err)
{
	char path[] = "/tmp/test_policy.XXXXXX";
	int fd = mkstemp(path), ret;

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	policy_init(p);
	ret = policy_load(p, path, err);
	unlink(path);
	return ret;
}

static int
load(const char *text, struct policy *p, struct err *err)
{
	return load_mode(text, strlen(text), 0644, p, err);
}

static void
assert_loads(const char *text, struct policy *p)
{
	struct err err = { .what = "" };

	if (load(text, p, &err) != E_OK)
		fail_msg("%s", err.what);
	assert_true(p->has_file);
}

/* Refused at that line (0: as a whole), for a cause that holds this word. */
static void
assert_refused(const char *text, unsigned line, const char *word)
{
	struct policy p;
	struct err err;
	char place[32];

	assert_int_equal(load(text, &p, &err), E_CONFIG);
	snprintf(place, sizeof(place), ":%u: ", line);
	if (line > 0 && strstr(err.what, place) == NULL)
		fail_msg("not at line %u: %s", line, err.what);
	if (strstr(err.what, word) == NULL)
		fail_msg("no '%s' in: %s", word, err.what);
	assert_non_null(strstr(err.what, "/tmp/test_policy."));
	assert_false(p.has_file);
}

static void
without_a_file_everything_is_permitted(void **state)
{
	struct policy p;

	(void)state;
	policy_init(&p);
	assert_false(p.has_file);
	assert_true(policy_permits(&p, "eth0"));
	assert_true(policy_permits(&p, "lo"));
	assert_true(p.promiscuous);
	assert_int_equal(p.max_snaplen, 262144);
	assert_int_equal(p.ring_memory, 512 << 20);
	assert_int_equal(p.log_memory, 1 << 30);
	assert_int_equal(p.max_interfaces, 256);
	assert_int_equal(p.max_linger_s, 60);
	assert_int_not_equal(p.mark, 0);
	assert_string_equal(p.mandatory_filter, "");
}

static void
every_key_is_understood(void **state)
{
	struct policy p;

	(void)state;
	assert_loads("# a comment\n"
	    "; another\n"
	    "\n"
	    "[capagent]\n"
	    "listen = 10.0.0.1\n"
	    "listen = [::1]:9999\n"
	    "cert = /a/cert\nkey = /a/key\nca = /a/ca\n"
	    "user = somebody\n"
	    "interfaces = eth*, br0\n"
	    "promiscuous = no\n"
	    "max-snaplen = 128\n"
	    "mandatory-filter = not port 22\n"
	    "ring-memory = 64MiB\nlog-memory = 3 GiB\n"
	    "max-captures = 3\nmax-interfaces = 4\nmax-linger = 5m\n"
	    "namespaces = none\nmark = 0x10\n", &p);
	assert_int_equal(p.n_listen, 2);
	assert_string_equal(p.cert, "/a/cert");
	assert_string_equal(p.key, "/a/key");
	assert_string_equal(p.ca, "/a/ca");
	assert_string_equal(p.user, "somebody");
	assert_false(p.promiscuous);
	assert_int_equal(p.max_snaplen, 128);
	assert_string_equal(p.mandatory_filter, "not port 22");
	assert_int_equal(p.ring_memory, 64 << 20);
	assert_true(p.log_memory == (uint64_t)3 << 30);
	assert_int_equal(p.max_captures, 3);
	assert_int_equal(p.max_interfaces, 4);
	assert_int_equal(p.max_linger_s, 300);
	assert_int_equal(p.mark, 16);
}

static void
keys_before_any_section_count(void **state)
{
	struct policy p;

	(void)state;
	assert_loads("interfaces = lo\n", &p);
	assert_true(policy_permits(&p, "lo"));
	assert_false(policy_permits(&p, "eth0"));
}

static void
an_empty_file_restricts_nothing(void **state)
{
	struct policy p;

	(void)state;
	assert_loads("", &p);
	assert_true(policy_permits(&p, "eth0"));
}

static void
patterns_match_whole_names(void **state)
{
	static const struct { const char *patterns, *name; bool permits; } cases[] = {
		{ "eth0", "eth0", true }, { "eth0", "eth01", false }, { "eth0", "beth0", false },
		{ "eth*", "eth01", true }, { "eth?", "eth01", false }, { "eth[0-3]", "eth2", true },
		{ "lo, eth1", "eth1", true }, { "lo\teth1", "eth1", true }, { "lo,eth1", "lo", true }, { "lo eth1", "eth1", true },
		{ "lo, eth1", "eth0", false }, { "*.100", "eth0.100", true }, { "*", "", true },
		{ "eth0", "ETH0", false },
	};
	struct policy p;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		policy_init(&p);
		assert_int_equal(policy_set(&p, "interfaces", cases[i].patterns, NULL), E_OK);
		assert_int_equal(policy_permits(&p, cases[i].name), cases[i].permits);
	}
}

static void
interfaces_given_several_times_add_up(void **state)
{
	struct policy p;

	(void)state;
	assert_loads("interfaces = lo\nmark = 1\ninterfaces = eth0,eth1\n", &p);
	assert_true(policy_permits(&p, "lo"));
	assert_true(policy_permits(&p, "eth0"));
	assert_true(policy_permits(&p, "eth1"));
	assert_false(policy_permits(&p, "eth2"));
	/* What the default permits is gone with the first line, not with the second. */
	assert_loads("interfaces = *\ninterfaces = lo\n", &p);
	assert_true(policy_permits(&p, "eth2"));
}

static void
more_interfaces_than_fit_are_refused(void **state)
{
	char text[8192] = "";

	(void)state;
	for (int i = 0; i < 8; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
		    "interfaces = %0150d\n", i);
	assert_refused(text, 7, "longer than");
}

/* A whole block from a manual, with its indentation, swallowed the second key. */
static void
an_indented_line_is_refused(void **state)
{
	(void)state;
	assert_refused("interfaces = lo\n    mandatory-filter = not port 22\n", 2, "blank");
	assert_refused("    interfaces = lo\n    max-snaplen = 128\n", 1, "blank");
	assert_refused("mandatory-filter = not port 22\n\tand not port 23\n", 2, "blank");
	assert_refused("promiscuous = yes\n  no\n", 2, "blank");
	assert_refused("promiscuous = yes\n\f[capagent]\n", 2, "blank");
}

static void
indented_comments_and_blank_lines_are_harmless(void **state)
{
	struct policy p;

	(void)state;
	assert_loads("  \t\n  # one\r\ninterfaces = lo\r\n  \n\t; two\n[capagent] ; three\n"
	    "max-snaplen = 9 ; four\n  ", &p);
	assert_false(policy_permits(&p, "eth0"));
	assert_int_equal(p.max_snaplen, 9);
}

static void
a_pattern_that_matches_no_name_is_refused(void **state)
{
	static const char *const values[] = {
		"lo mandatory-filter = not port 22", "\"eth0\"", "eth0:1", "eth0/eth1", "eth\\*",
		"(eth0)", "eth0\xc2\xa0" "eth1", "eth0\001",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		struct policy p;

		policy_init(&p);
		assert_int_equal(policy_set(&p, "interfaces", values[i], NULL), E_CONFIG);
		assert_string_equal(p.interfaces, "*");
	}
	assert_refused("interfaces = lo, a=b\n", 1, "'=b'");
}

static void
nothing_hides_behind_a_value_or_a_section(void **state)
{
	(void)state;
	assert_refused("max-snaplen = 128 # short\n", 1, "lines of their own");
	assert_refused("user = # nobody\n", 1, "lines of their own");
	assert_refused("[capagent] interfaces = lo\n", 1, "line of its own");
}

static void
the_line_of_the_mandatory_filter_is_kept(void **state)
{
	struct policy p;

	(void)state;
	assert_loads("\n# two\nmandatory-filter = not port 22\nmark = 1\n", &p);
	assert_int_equal(p.mandatory_line, 3);
}

static void
what_is_not_understood_names_file_and_line(void **state)
{
	char long_line[400] = "\nmandatory-filter = ";

	(void)state;
	assert_refused("\nnonsense = 1\n", 2, "unknown key 'nonsense'");
	assert_refused("[other]\ninterfaces = lo\n", 2, "unknown section 'other'");
	assert_refused("interfaces\n", 1, "key = value");
	assert_refused("interfaces = lo\n[capagent\n", 2, "key = value");
	assert_refused("mandatory-filter = ip\nmandatory-filter = ip6\n", 2, "given twice");
	assert_refused("interfaces = ,\n", 1, "no pattern");
	assert_refused("user =\n", 1, "no value");
	assert_refused("listen = nowhere\n", 1, "nowhere");
	assert_refused("listen = 10.0.0.1:99999\n", 1, "port");
	assert_refused("promiscuous = maybe\n", 1, "'maybe'");
	assert_refused("max-snaplen = 0\n", 1, "max-snaplen");
	assert_refused("max-snaplen = 262145\n", 1, "max-snaplen");
	assert_refused("max-snaplen = 12x\n", 1, "not a number");
	assert_refused("max-captures = -1\n", 1, "not a number");
	assert_refused("max-captures = 0\n", 1, "max-captures");
	assert_refused("max-interfaces = 4097\n", 1, "max-interfaces");
	assert_refused("ring-memory = 1MiB\n", 1, "ring-memory");
	assert_refused("ring-memory = 64MB\n", 1, "MiB");
	assert_refused("log-memory = 99999999999999999999\n", 1, "log-memory");
	assert_refused("log-memory = 18446744073709551615GiB\n", 1, "log-memory");
	assert_refused("max-linger = 10d\n", 1, "max-linger");
	assert_refused("max-linger = 1000h\n", 1, "at most");
	assert_refused("namespaces = all, blue\n", 1, "stand alone");
	assert_refused("namespaces = blue none\n", 1, "stand alone");
	assert_refused("namespaces = ,\n", 1, "no pattern");
	assert_refused("namespaces = a/b\n", 1, "namespaces");
	assert_refused("hardware-timestamps = maybe\n", 1, "hardware-timestamps");
	assert_refused("mark = 0\n", 1, "mark");
	assert_refused("mark = 4294967296\n", 1, "mark");
	memset(long_line + strlen(long_line), 'x', 300);
	assert_refused(long_line, 2, "longer than");
}

static void
the_first_wrong_line_is_the_one_that_is_named(void **state)
{
	(void)state;
	assert_refused("mark = 1\nnonsense = 1\nmore nonsense\nmark = 0\n", 2, "nonsense");
	assert_refused("mark = 1\nnonsense\nworse = 1\n", 2, "key = value");
}

static void
a_cut_line_cannot_hide_a_restriction(void **state)
{
	char text[300];

	(void)state;
	/* inih's buffer would end before the last word and make it a key. */
	snprintf(text, sizeof(text), "mandatory-filter = %0190d interfaces = *\n", 0);
	assert_refused(text, 1, "longer than");
}

static void
a_nul_byte_is_refused(void **state)
{
	static const char text[] = "interfaces = lo\0, eth0\nmark = 1\n";
	struct policy p;
	struct err err;

	(void)state;
	assert_int_equal(load_mode(text, sizeof(text) - 1, 0644, &p, &err), E_CONFIG);
}

static void
too_many_addresses_are_refused(void **state)
{
	struct policy p;
	struct err err;

	(void)state;
	policy_init(&p);
	for (int i = 0; i < PRIV_MAX_LISTENERS; i++)
		assert_int_equal(policy_set(&p, "listen", "127.0.0.1:0", &err), E_OK);
	assert_int_equal(policy_set(&p, "listen", "127.0.0.1:0", &err), E_CONFIG);
	assert_int_equal(p.n_listen, PRIV_MAX_LISTENERS);
}

static void
a_file_that_others_can_write_is_refused(void **state)
{
	struct policy p;
	struct err err;

	(void)state;
	assert_int_equal(load_mode("mark = 1\n", 9, 0664, &p, &err), E_CONFIG);
	assert_non_null(strstr(err.what, "0664"));
	assert_int_equal(load_mode("mark = 1\n", 9, 0646, &p, &err), E_CONFIG);
	assert_int_equal(load_mode("mark = 1\n", 9, 0600, &p, &err), E_OK);
}

static void
what_is_no_file_is_refused(void **state)
{
	char fifo[] = "/tmp/test_policy.XXXXXX";
	struct policy p;
	struct err err;

	(void)state;
	policy_init(&p);
	assert_int_equal(policy_load(&p, "/tmp", &err), E_CONFIG);
	assert_int_equal(policy_load(&p, "/nonexistent/file", &err), E_CONFIG);
	assert_non_null(strstr(err.what, "/nonexistent/file"));
	assert_false(policy_file_exists("/nonexistent/file"));
	assert_true(policy_file_exists("/tmp"));
	assert_non_null(mkdtemp(fifo));
	assert_int_equal(rmdir(fifo), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(policy_load(&p, fifo, &err), E_CONFIG);
	unlink(fifo);
}

static void
values_are_untouched_when_refused(void **state)
{
	uint32_t number = 7;
	uint64_t bytes = 8;
	bool flag = true;

	(void)state;
	assert_int_equal(policy_parse_number("", 0, 9, &number, NULL), E_CONFIG);
	assert_int_equal(policy_parse_number("0x", 0, 9, &number, NULL), E_CONFIG);
	assert_int_equal(policy_parse_number(" 1", 0, 9, &number, NULL), E_CONFIG);
	assert_int_equal(policy_parse_number("+1", 0, 9, &number, NULL), E_CONFIG);
	assert_int_equal(policy_parse_number("99999999999999999999", 0, 9, &number, NULL),
	    E_CONFIG);
	assert_int_equal(policy_parse_bytes("1TiB", 0, 9, &bytes, NULL), E_CONFIG);
	assert_int_equal(policy_parse_bytes("KiB", 0, 9, &bytes, NULL), E_CONFIG);
	assert_int_equal(policy_parse_seconds("s", 9, &number, NULL), E_CONFIG);
	assert_int_equal(policy_parse_bool("Yes", &flag, NULL), E_CONFIG);
	assert_int_equal(number, 7);
	assert_int_equal(bytes, 8);
	assert_true(flag);
	assert_int_equal(policy_parse_number("0xFf", 0, 255, &number, NULL), E_OK);
	assert_int_equal(number, 255);
}

static void
assert_namespaces(const char *value, uint32_t want, const char *name, bool permits)
{
	struct policy p;
	struct err err;

	policy_init(&p);
	if (policy_set(&p, "namespaces", value, &err) != E_OK)
		fail_msg("%s", err.what);
	assert_int_equal(p.namespaces, want);
	assert_int_equal(policy_permits_netns(&p, name), permits);
}

static void
namespaces_are_none_all_names_or_processes(void **state)
{
	const uint32_t both = PRIV_NAMESPACES_NAMED | PRIV_NAMESPACES_PID;
	struct policy p;

	(void)state;
	policy_init(&p);
	assert_int_equal(p.namespaces, 0);
	assert_false(policy_permits_netns(&p, "blue"));
	assert_namespaces("none", 0, "blue", false);
	assert_namespaces("none", 0, "none", false);
	assert_namespaces("all", both, "blue", true);
	assert_namespaces("pid", PRIV_NAMESPACES_PID, "pid", false);
	assert_namespaces("blue, green", PRIV_NAMESPACES_NAMED, "green", true);
	assert_namespaces("blue, green", PRIV_NAMESPACES_NAMED, "gree", false);
	assert_namespaces("blue*,pid", both, "blue7", true);
	assert_namespaces("pid blue", both, "pid", false);
	assert_namespaces("[p]id", PRIV_NAMESPACES_NAMED, "pid", true);
	assert_namespaces("allow", PRIV_NAMESPACES_NAMED, "allow", true);
}

static void
all_interfaces_are_permitted_by_a_star_only(void **state)
{
	static const struct { const char *interfaces; bool all; } cases[] = {
		{ "*", true }, { "eth*", false }, { "eth0 *", true }, { "?*", false },
		{ "[!x]*", false }, { "eth0,*,lo", true },
	};
	struct policy p;
	struct err err;

	(void)state;
	policy_init(&p);
	assert_true(policy_permits_all(&p));
	assert_false(p.hardware_timestamps);
	assert_int_equal(policy_set(&p, "hardware-timestamps", "yes", &err), E_OK);
	assert_true(p.hardware_timestamps);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		policy_init(&p);
		assert_int_equal(policy_set(&p, "interfaces", cases[i].interfaces, &err), E_OK);
		assert_int_equal(policy_permits_all(&p), cases[i].all);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_file_everything_is_permitted),
		cmocka_unit_test(every_key_is_understood),
		cmocka_unit_test(keys_before_any_section_count),
		cmocka_unit_test(an_empty_file_restricts_nothing),
		cmocka_unit_test(patterns_match_whole_names),
		cmocka_unit_test(interfaces_given_several_times_add_up),
		cmocka_unit_test(more_interfaces_than_fit_are_refused),
		cmocka_unit_test(an_indented_line_is_refused),
		cmocka_unit_test(indented_comments_and_blank_lines_are_harmless),
		cmocka_unit_test(a_pattern_that_matches_no_name_is_refused),
		cmocka_unit_test(nothing_hides_behind_a_value_or_a_section),
		cmocka_unit_test(the_line_of_the_mandatory_filter_is_kept),
		cmocka_unit_test(what_is_not_understood_names_file_and_line),
		cmocka_unit_test(the_first_wrong_line_is_the_one_that_is_named),
		cmocka_unit_test(a_cut_line_cannot_hide_a_restriction),
		cmocka_unit_test(a_nul_byte_is_refused),
		cmocka_unit_test(too_many_addresses_are_refused),
		cmocka_unit_test(a_file_that_others_can_write_is_refused),
		cmocka_unit_test(what_is_no_file_is_refused),
		cmocka_unit_test(values_are_untouched_when_refused),
		cmocka_unit_test(namespaces_are_none_all_names_or_processes),
		cmocka_unit_test(all_interfaces_are_permitted_by_a_star_only),
	};

	return cmocka_run_group_tests_name("server/policy", tests, NULL, NULL);
}
