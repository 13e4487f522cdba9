/* server/mandatory: what the compiler prints is read to the letter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pcap/pcap.h>

#include "mutate.h"
#include "server/mandatory.h"

static const char not_port_22[] =
    "4\n"
    "40 0 0 12\n"
    "21 0 1 2048\n"
    "6 0 0 262144\n"
    "6 0 0 0\n";

static struct bpf_prog prog;

static void
a_program_is_read_as_printed(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(mandatory_parse(not_port_22, &prog, &err), E_OK);
	assert_int_equal(prog.n, 4);
	assert_int_equal(prog.insns[1].code, 21);
	assert_int_equal(prog.insns[1].jf, 1);
	assert_int_equal(prog.insns[2].k, 262144);
}

static void
everything_else_is_refused(void **state)
{
	static const char *const texts[] = {
		"", "\n", "x\n", "1", "0\n", "1\n", "1\n6 0 0\n", "1\n6 0 0 1", "1\n6 0 0 1 \n",
		"1\n6 0 0 1\n6 0 0 1\n", "2\n6 0 0 1\n", "1\n65536 0 0 1\n", "1\n6 256 0 1\n",
		"1\n6 0 0 4294967296\n", "1\n-6 0 0 1\n", "1\n 6 0 0 1\n", "1\n6  0 0 1\n",
		"4097\n", "99999999999999999999\n", "1\n6 0 0 1\nwarning: x\n", "+1\n6 0 0 1\n",
		"1\n0 0 0 1\n",			/* no return: the checker's business */
		"1\n5 0 0 5\n",
	};
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (mandatory_parse(texts[i], &prog, &err) != E_FILTER)
			fail_msg("accepted: %s", texts[i]);
}

static void
parse_damaged(const uint8_t *p, size_t len, void *arg)
{
	char *text = malloc(len + 1);
	struct err err;
	int ret;

	(void)arg;
	assert_non_null(text);
	memcpy(text, p, len);
	text[len] = '\0';
	ret = mandatory_parse(text, &prog, &err);
	assert_true(ret == E_OK || ret == E_FILTER);
	free(text);
}

static void
damaged_output_gets_a_code(void **state)
{
	(void)state;
	mutate_flip_bits((const uint8_t *)not_port_22, strlen(not_port_22), 100, parse_damaged,
	    NULL);
	mutate_truncate((const uint8_t *)not_port_22, strlen(not_port_22), parse_damaged, NULL);
	mutate_random((const uint8_t *)not_port_22, strlen(not_port_22), 500, 1, parse_damaged,
	    NULL);
}

static void
without_a_filter_everything_passes_on_every_link_type(void **state)
{
	static struct priv_mandatory mandatory;
	static const struct drop_user user;
	const uint32_t *all;
	struct err err;
	size_t n;

	(void)state;
	assert_int_equal(mandatory_compile("", -1, &user, &mandatory, &err), E_OK);
	for (size_t i = 0; i < ARRAY_LEN(mandatory.parts); i++) {
		assert_true(mandatory.parts[i].is_usable);
		assert_int_equal(mandatory.parts[i].prog.n, 0);
	}
	assert_ptr_equal(priv_mandatory_get(&mandatory, LINK_SLL2), &mandatory.parts[2]);
	assert_null(priv_mandatory_get(&mandatory, 7));
	all = link_type_all(&n);
	assert_int_equal(n, ARRAY_LEN(mandatory.parts));
	for (size_t i = 0; i < n; i++)
		assert_int_equal(priv_mandatory_get(&mandatory, all[i])->link_type, all[i]);
	/* Bytes are judged as what they are, not as what a client calls them. */
	assert_int_equal(priv_mandatory_for(&mandatory, 143, LINK_ETHERNET)->link_type,
	    LINK_ETHERNET);
	assert_int_equal(priv_mandatory_for(&mandatory, LINK_SLL, LINK_ETHERNET)->link_type,
	    LINK_SLL);
}

/* A rule as capagent would run it on Ethernet. */
static void
compile(const char *text, struct priv_mandatory_part *part)
{
	pcap_t *pcap = pcap_open_dead(DLT_EN10MB, 262144);
	struct bpf_program program;
	struct err err;

	assert_non_null(pcap);
	assert_int_equal(pcap_compile(pcap, &program, text, 1, PCAP_NETMASK_UNKNOWN), 0);
	part->link_type = LINK_ETHERNET;
	part->prog.n = program.bf_len;
	memcpy(part->prog.insns, program.bf_insns, program.bf_len * sizeof(program.bf_insns[0]));
	pcap_freecode(&program);
	pcap_close(pcap);
	if (mandatory_fit(part, text, &err) != E_OK)
		fail_msg("%s", err.what);
}

/* Does a UDP packet to port pass, whose tag the kernel has taken out? */
static bool
passes(const struct priv_mandatory_part *part, uint8_t port, bool has_tag)
{
	const struct bpf_aux aux = {
		.protocol = 0x0800, .has_vlan = has_tag, .vlan_tci = 5, .vlan_tpid = 0x8100,
		.net_offset = 14,
	};
	const uint8_t frame[60] = {
		[12] = 0x08, [14] = 0x45, [17] = 46, [23] = 17, [26] = 10, [30] = 10,
		[37] = port, [39] = 26,
	};

	return bpf_prog_run(part->prog.insns, part->prog.n, frame, sizeof(frame), sizeof(frame),
	    &aux) != 0;
}

static void
a_rule_without_tags_holds_in_both_readings(void **state)
{
	static struct priv_mandatory_part part;

	(void)state;
	compile("not port 22", &part);
	assert_false(passes(&part, 22, false));
	assert_false(passes(&part, 22, true));
	assert_true(passes(&part, 53, false));
	assert_true(passes(&part, 53, true));
	compile("udp port 53", &part);
	assert_true(passes(&part, 53, false));
	assert_false(passes(&part, 53, true));
	assert_false(passes(&part, 22, false));
}

static void
a_rule_that_speaks_of_tags_means_what_it_says(void **state)
{
	static struct priv_mandatory_part part;

	(void)state;
	compile("udp port 53 or (vlan 5 and udp port 53)", &part);
	assert_true(passes(&part, 53, false));
	assert_true(passes(&part, 53, true));
	assert_false(passes(&part, 22, false));
	assert_false(passes(&part, 22, true));
	compile("vlan 6", &part);
	assert_false(passes(&part, 53, true));
	assert_false(passes(&part, 53, false));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_program_is_read_as_printed),
		cmocka_unit_test(everything_else_is_refused),
		cmocka_unit_test(damaged_output_gets_a_code),
		cmocka_unit_test(without_a_filter_everything_passes_on_every_link_type),
		cmocka_unit_test(a_rule_without_tags_holds_in_both_readings),
		cmocka_unit_test(a_rule_that_speaks_of_tags_means_what_it_says),
	};

	return cmocka_run_group_tests_name("server/mandatory", tests, NULL, NULL);
}
