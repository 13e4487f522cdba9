/* client/plan: programs as tcpdump prints them, and where their parts came from. */
#include "tests/unit/bpf_lab.h"

#include <stdlib.h>

#include "client/plan.h"

static struct bpf_insn_raw insns[] = {
	{ 0x28, 0, 0, 12 }, { 0x15, 0, 1, 0x800 }, { 0x6, 0, 0, 96 }, { 0x6, 0, 0, 0 },
};

static char warnings[][PROTO_MAX_TEXT + 1] = { "tagged traffic\n is present" };

static struct msg_plan_interface
plan_of(const char *name, uint32_t link_type)
{
	struct msg_plan_interface p = {
		.interface = {
			.link_type = link_type, .snaplen = 96, .is_promiscuous = true,
			.index = 2,
		},
		.n_insns = ARRAY_LEN(insns), .insns = insns,
		.n_parts = 2, .parts = { { 0, PLAN_OWN_TRAFFIC }, { 2, PLAN_FILTER } },
		.ring_bytes = 64 << 20, .block_bytes = 256 << 10, .retire_ms = 2,
	};

	snprintf(p.interface.name, sizeof(p.interface.name), "%s", name);
	return p;
}

/* Print the plan of n interfaces as the options ask. */
static char *
print(struct msg_plan_interface *interfaces, uint32_t n, const char *filter,
    unsigned level, bool is_exact)
{
	struct options_interface iface = { .name = "any", .filter_text = filter };
	struct options o = {
		.interfaces = &iface, .n_interfaces = 1, .dump = level,
		.exact_filter = is_exact, .sensor = { .host = "s1" },
	};
	struct msg_plan plan = { .n_interfaces = n, .interfaces = interfaces,
	    .log_bytes = 32 << 20 };
	struct programs programs;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	struct err err;

	assert_non_null(f);
	assert_int_equal(programs_init(&programs, &o, &err), E_OK);
	assert_int_equal(plan_print(f, &plan, &o, &programs, &err), E_OK);
	programs_fini(&programs);
	fclose(f);
	return text;
}

static void
assert_has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("'%s' not in:\n%s", part, text);
}

static void
one_program_is_printed_as_tcpdump_does(void **state)
{
	static const char *const want[] = {
		"(000) ldh      [12]\n(001) jeq      #0x800           jt 2\tjf 3\n"
		"(002) ret      #96\n(003) ret      #0\n",
		"{ 0x28, 0, 0, 0x0000000c },\n{ 0x15, 0, 1, 0x00000800 },\n"
		"{ 0x6, 0, 0, 0x00000060 },\n{ 0x6, 0, 0, 0x00000000 },\n",
		"4\n40 0 0 12\n21 0 1 2048\n6 0 0 96\n6 0 0 0\n",
	};

	(void)state;
	for (unsigned level = 1; level <= 3; level++) {
		struct msg_plan_interface p = plan_of("eth0", 1);
		char *got = print(&p, 1, "", level, false);

		assert_string_equal(got, want[level - 1]);
		free(got);
	}
}

static void
several_programs_are_named(void **state)
{
	struct msg_plan_interface p[] = { plan_of("eth0", 1), plan_of("tun0\n", 101) };
	char *got = print(p, 2, "", 3, false);

	(void)state;
	assert_string_equal(got, "# eth0: EN10MB (Ethernet)\n"
	    "4\n40 0 0 12\n21 0 1 2048\n6 0 0 96\n6 0 0 0\n"
	    "# tun0\\x0a: RAW (Raw IP)\n"
	    "4\n40 0 0 12\n21 0 1 2048\n6 0 0 96\n6 0 0 0\n");
	free(got);
	got = print(p, 2, "", 2, false);
	assert_has(got, "// eth0: EN10MB (Ethernet)\n{ 0x28,");
	free(got);
}

static void
a_plan_tells_what_was_decided_and_why(void **state)
{
	struct msg_plan_interface p = plan_of("eth0", 1);
	char *got;

	(void)state;
	strcpy(p.interface.network_namespace, "netns:blue");
	p.warnings = warnings;
	p.n_warnings = 1;
	got = print(&p, 1, "udp port 53", 0, false);
	assert_string_equal(got,
	    "s1:netns:blue/eth0\n"
	    "  link type         EN10MB (Ethernet)\n"
	    "  snapshot length   96 bytes\n"
	    "  promiscuous       yes\n"
	    "  time stamps       the sensor's clock\n"
	    "  kernel ring       64 MiB: 256 blocks of 256 KiB, each handed over after 2 ms "
	    "at the latest\n"
	    "  VLAN tags         kept, but passed over by the filter on received packets, as "
	    "tcpdump does, because it does not speak of tags (--exact-filter: as in a file)\n"
	    "  filter            udp port 53\n"
	    "  filter runs       in the kernel\n"
	    "  kernel program    4 instructions\n"
	    "    own traffic of the agent:\n"
	    "      (000) ldh      [12]\n"
	    "      (001) jeq      #0x800           jt 2\tjf 3\n"
	    "    filter:\n"
	    "      (002) ret      #96\n"
	    "      (003) ret      #0\n"
	    "  warning           tagged traffic\\x0a is present\n"
	    "\n"
	    "agent\n"
	    "  buffer            32 MiB\n");
	free(got);
}

static void
the_rule_for_tags_is_given_with_its_reason(void **state)
{
	static const struct {
		uint32_t link_type; const char *filter; bool is_exact, is_forced;
		const char *want;
	} rows[] = {
		{ 1, "vlan 5", true, false, "as in a file, because the filter speaks of tags" },
		{ 1, "udp", true, true, "as in a file, because of --exact-filter" },
		{ 1, "", false, false, "VLAN tags         kept\n" },
		{ 276, "udp", false, false, "lost: cooked packets carry none" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct msg_plan_interface p = plan_of("eth0", rows[i].link_type);
		char *got;

		p.exact_vlan = rows[i].is_exact;
		got = print(&p, 1, rows[i].filter, 0, rows[i].is_forced);
		assert_has(got, rows[i].want);
		free(got);
	}
}

static void
the_place_of_the_filter_is_given_with_its_reason(void **state)
{
	struct msg_plan_interface p = plan_of("eth0", 1);
	char *got;

	(void)state;
	p.interface.filter_place = FILTER_AGENT;
	got = print(&p, 1, "udp", 0, false);
	assert_has(got, "in the kernel; for tagged packets in the agent");
	free(got);
	p.interface.filter_place = FILTER_CLIENT;
	got = print(&p, 1, "ip6 protochain 17", 0, false);
	assert_has(got, "here, on arrival: all packets travel, because 'protochain' needs");
	free(got);
	/* The agent's decision, which its warning explains. */
	got = print(&p, 1, "udp", 0, false);
	assert_has(got, "  filter runs       here, on arrival\n");
	free(got);
	/* A request that there never was. */
	p.interface.request = 9;
	got = print(&p, 1, "udp", 0, false);
	assert_has(got, "  filter            none: everything\n");
	free(got);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_program_is_printed_as_tcpdump_does),
		cmocka_unit_test(several_programs_are_named),
		cmocka_unit_test(a_plan_tells_what_was_decided_and_why),
		cmocka_unit_test(the_rule_for_tags_is_given_with_its_reason),
		cmocka_unit_test(the_place_of_the_filter_is_given_with_its_reason),
	};

	return cmocka_run_group_tests_name("client/plan", tests, NULL, NULL);
}
