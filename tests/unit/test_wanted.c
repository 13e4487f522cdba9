/* server/wanted: which interface belongs to which request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/wanted.h"

enum { REQUESTS_MAX = 4 };

struct fixture {
	struct msg_start start;
	struct msg_interface_request requests[REQUESTS_MAX];
};

/* A Start for these names, up to the first NULL. */
static struct msg_start *
start_of(struct fixture *f, const char *const names[static REQUESTS_MAX])
{
	memset(f, 0, sizeof(*f));
	f->start.interfaces = f->requests;
	while (f->start.n_interfaces < REQUESTS_MAX &&
	    names[f->start.n_interfaces] != NULL) {
		struct msg_interface_request *r =
		    &f->requests[f->start.n_interfaces];

		snprintf(r->name, sizeof(r->name), "%s",
		    names[f->start.n_interfaces++]);
	}
	return &f->start;
}

#define START(f, ...)	\
	start_of(f, (const char *const [REQUESTS_MAX]){ __VA_ARGS__ })

static int
request_of(const struct msg_start *start, const char *netns, const char *name,
    uint32_t index)
{
	struct priv_interface iface = { .index = index };

	snprintf(iface.name, sizeof(iface.name), "%s", name);
	return wanted_request(start, netns, &iface);
}

static void
an_interface_belongs_to_the_first_request_that_names_it(void **state)
{
	struct fixture f;
	const struct msg_start *start = START(&f, "eth0", "veth*", "any");

	(void)state;
	assert_int_equal(request_of(start, "", "eth0", 2), 0);
	assert_int_equal(request_of(start, "", "veth1", 3), 1);
	assert_int_equal(request_of(start, "", "eth01", 4), 2);
	assert_int_equal(request_of(START(&f, "eth0"), "", "eth01", 4), -1);
}

static void
the_most_exact_request_has_an_interface(void **state)
{
	struct fixture f;
	const struct msg_start *start = START(&f, "any", "eth*", "eth0", "7");

	(void)state;
	assert_int_equal(request_of(start, "", "eth0", 2), 2);
	assert_int_equal(request_of(start, "", "eth1", 3), 1);
	assert_int_equal(request_of(start, "", "eth7", 7), 3);
	assert_int_equal(request_of(start, "", "lo", 1), 0);
}

static void
a_number_is_an_index_or_a_name(void **state)
{
	struct fixture f;
	const struct msg_start *start = START(&f, "7");

	(void)state;
	assert_int_equal(request_of(start, "", "eth0", 7), 0);
	assert_int_equal(request_of(start, "", "7", 9), 0);
	assert_int_equal(request_of(start, "", "eth7", 8), -1);
	assert_int_equal(request_of(START(&f, "07"), "", "eth0", 7), -1);
	assert_int_equal(request_of(START(&f, "99999999999"), "", "eth0", 7), -1);
}

static void
namespaces_are_kept_apart(void **state)
{
	struct fixture f;
	const struct msg_start *start = START(&f, "netns:blue/eth0", "pid:7/any",
	    "netns:red/v?th*", "eth1");

	(void)state;
	assert_int_equal(request_of(start, "netns:blue", "eth0", 2), 0);
	assert_int_equal(request_of(start, "", "eth0", 2), -1);
	assert_int_equal(request_of(start, "netns:blu", "eth0", 2), -1);
	assert_int_equal(request_of(start, "netns:blue2", "eth0", 2), -1);
	assert_int_equal(request_of(start, "pid:7", "x", 2), 1);
	assert_int_equal(request_of(start, "pid:77", "x", 2), -1);
	assert_int_equal(request_of(start, "netns:red", "veth9", 2), 2);
	assert_int_equal(request_of(start, "", "eth1", 2), 3);
	assert_int_equal(request_of(start, "netns:red", "eth1", 2), -1);
}

static void
patterns_match_as_in_a_shell(void **state)
{
	static const struct { const char *pattern, *name; bool is_match; } t[] = {
		{ "*", "eth0", true }, { "e*0", "eth0", true },
		{ "e*1", "eth0", false }, { "*th*", "eth0", true },
		{ "**th**0**", "eth0", true }, { "?", "e", true },
		{ "?", "eth", false }, { "eth?", "eth0", true },
		{ "eth?", "eth", false }, { "eth[0-3]", "eth2", true },
		{ "eth[0-3]", "eth4", false }, { "eth[!0-3]", "eth4", true },
		{ "eth[^0-3]", "eth2", false }, { "[ew]*", "wlan0", true },
		{ "[ew]*", "tun0", false }, { "e[]t]h*", "eth0", true },
		{ "e[]t]h*", "e]h0", true }, { "[a-]x", "-x", true },
		{ "eth[", "eth[", true }, { "eth[0", "eth0", false },
		{ "*a*a*a*b", "aaaaaaaaaaaaaaa", false },
		{ "*[0-9][0-9]", "eth10", true }, { "*[0-9][0-9]", "eth1", false },
		{ "v*x*y", "vaxbxcy", true },
	};
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		if ((request_of(START(&f, t[i].pattern), "", t[i].name, 1) == 0) !=
		    t[i].is_match)
			fail_msg("%s, %s", t[i].pattern, t[i].name);
}

static void
a_pattern_full_of_stars_costs_little(void **state)
{
	struct fixture f;
	char pattern[PROTO_MAX_NAME + 1];

	(void)state;
	for (size_t i = 0; i + 1 < sizeof(pattern); i++)
		pattern[i] = i % 2 == 0 ? '*' : 'a';
	pattern[sizeof(pattern) - 1] = '\0';
	for (int i = 0; i < 100000; i++)
		assert_int_equal(request_of(START(&f, pattern), "",
		    "aaaaaaaaaaaaaaa", 1), -1);
}

static void
what_may_want_none_is_a_pattern(void **state)
{
	static const struct { const char *name; bool is_pattern; } t[] = {
		{ "any", true }, { "eth*", true }, { "eth[0-9]", true },
		{ "et?0", true }, { "netns:blue/any", true }, { "pid:7/e*", true },
		{ "eth0", false }, { "7", false }, { "anyway", false },
		{ "netns:blue/eth0", false }, { "netns:any", false },
		{ "netns:b*/eth0", false },
	};
	struct msg_interface_request r = { .snaplen = 1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		snprintf(r.name, sizeof(r.name), "%s", t[i].name);
		if (wanted_is_pattern(&r) != t[i].is_pattern)
			fail_msg("%s", t[i].name);
	}
}

static void
a_cooked_any_is_one_socket_and_follows_nothing(void **state)
{
	struct fixture f;
	struct msg_start *start = START(&f, "any", "eth0");
	struct wanted_name name;

	(void)state;
	assert_true(wanted_follows(start));
	start->cooked = true;
	wanted_name(start, 0, &name);
	assert_int_equal(name.kind, WANTED_COOKED);
	assert_int_equal(request_of(start, "", "lo", 1), -1);
	assert_int_equal(request_of(start, "", "eth0", 2), 1);
	start->n_interfaces = 1;
	assert_false(wanted_follows(start));
	assert_false(wanted_follows(START(&f, "7")));
	assert_true(wanted_follows(START(&f, "7", "eth0")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_interface_belongs_to_the_first_request_that_names_it),
		cmocka_unit_test(the_most_exact_request_has_an_interface),
		cmocka_unit_test(a_number_is_an_index_or_a_name),
		cmocka_unit_test(namespaces_are_kept_apart),
		cmocka_unit_test(patterns_match_as_in_a_shell),
		cmocka_unit_test(a_pattern_full_of_stars_costs_little),
		cmocka_unit_test(what_may_want_none_is_a_pattern),
		cmocka_unit_test(a_cooked_any_is_one_socket_and_follows_nothing),
	};

	return cmocka_run_group_tests_name("server/wanted", tests, NULL, NULL);
}
