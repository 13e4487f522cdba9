/* client/capfile_judge: libpcap's answers, directions, and what is refused. */
#include "tests/unit/bpf_lab.h"

#include <linux/if_packet.h>

#include "client/capfile_judge.h"

static const uint8_t *
frame_of(const char *name, uint32_t *ret_len)
{
	static uint8_t bytes[LAB_FRAME_MAX];

	for (size_t i = 0; i < LAB_N_ETHERNET; i++) {
		if (strcmp(lab_ethernet_hex[i].name, name) == 0) {
			*ret_len = lab_from_hex(lab_ethernet_hex[i].hex, bytes);
			return bytes;
		}
	}
	fail_msg("no frame '%s'", name);
	return NULL;
}

static struct capfile_record
packet_of(const char *name, uint32_t link_type)
{
	struct capfile_record p = { .is_packet = true, .has_link_type = true,
	    .link_type = link_type };
	uint32_t skip = link_type == 101 ? 14 : 0;

	p.data = frame_of(name, &p.captured_len) + skip;
	p.captured_len -= skip;
	p.original_len = p.captured_len;
	return p;
}

static int
judge_one(const char *text, const struct capfile_record *packet, bool tells_types,
    bool *ret_match, struct err *err)
{
	struct capfile_judge *judge = capfile_judge_new(text);
	int code = capfile_judge_packet(judge, packet, tells_types, ret_match, err);

	capfile_judge_free(judge);
	return code;
}

static void
assert_match(const char *text, const struct capfile_record *packet, bool want)
{
	struct err err;
	bool is_match;

	if (judge_one(text, packet, true, &is_match, &err) != E_OK)
		fail_msg("%s", err.what);
	assert_int_equal(is_match, want);
}

static void
assert_refused(const char *text, const struct capfile_record *packet, bool tells_types,
    const char *what)
{
	struct err err;
	bool is_match;

	assert_int_equal(judge_one(text, packet, tells_types, &is_match, &err), E_FILTER);
	if (strstr(err.what, what) == NULL)
		fail_msg("'%s' not in: %s", what, err.what);
}

static void
each_packet_is_judged_as_its_link_type_asks(void **state)
{
	struct capfile_judge *judge = capfile_judge_new("udp port 53");
	const uint32_t link_types[] = { 1, 101, 1, 101 };
	struct err err;
	bool is_match;

	(void)state;
	assert_false(capfile_judge_is_prepared(judge));
	for (size_t i = 0; i < ARRAY_LEN(link_types); i++) {
		struct capfile_record udp = packet_of("udp", link_types[i]), tcp;

		assert_int_equal(capfile_judge_packet(judge, &udp, true, &is_match, &err), E_OK);
		assert_true(is_match);
		tcp = packet_of("tcp", link_types[i]);
		assert_int_equal(capfile_judge_packet(judge, &tcp, true, &is_match, &err), E_OK);
		assert_false(is_match);
	}
	assert_true(capfile_judge_is_prepared(judge));
	capfile_judge_free(judge);
}

static void
lengths_are_those_of_the_file(void **state)
{
	struct capfile_record p = packet_of("tcp", 1);

	(void)state;
	p.original_len = 1000;
	assert_match("greater 1000", &p, true);
	p.captured_len = 30;		/* the ports are cut off */
	assert_match("tcp port 443", &p, false);
	assert_match("tcp", &p, true);
	/* As libpcap over a file, unlike the kernel: nothing is left. */
	assert_match("1 << (ether[5] + 30) = 0", &p, true);
}

static void
the_direction_is_what_the_block_tells(void **state)
{
	struct capfile_record p = packet_of("udp", 1);

	(void)state;
	p.has_type = true;
	p.type = PACKET_OUTGOING;
	assert_match("outbound and udp", &p, true);
	assert_match("inbound", &p, false);
	p.type = PACKET_BROADCAST;
	assert_match("outbound and udp", &p, false);
	assert_match("inbound", &p, true);
	/* libpcap's arithmetic here, too. */
	assert_match("inbound and 1 << (ether[5] + 30) = 0", &p, true);
}

static void
a_direction_that_is_not_told_is_an_error_only_where_it_counts(void **state)
{
	struct capfile_record p = packet_of("udp", 1);

	(void)state;
	assert_match("inbound and tcp", &p, false);
	assert_match("udp or outbound", &p, true);
	assert_refused("inbound", &p, true, "filter 'inbound': asks for the direction, which "
	    "this packet does not tell");
	assert_refused("udp and outbound", &p, true, "this packet does not tell");
	assert_refused("inbound and tcp", &p, false, "only packets of pcapng tell");
}

static void
what_no_file_has_is_refused(void **state)
{
	struct capfile_record p = packet_of("udp", 1);

	(void)state;
	p.has_type = true;
	assert_refused("ifindex 3", &p, true, "what only the kernel knows");
	assert_refused("udp or ifindex 3", &p, true, "what only the kernel knows");
	assert_refused("foo bar baz", &p, true, "syntax error");
	p.link_type = 9999;
	assert_refused("udp", &p, true, "unknown data link type");
}

static void
loops_and_long_programs_are_judged_too(void **state)
{
	struct capfile_record p = packet_of("udp6", 1);

	(void)state;
	assert_match("ip6 protochain 17", &p, true);
	assert_match("ip6 protochain 6", &p, false);
}

static void
a_file_cannot_make_us_compile_for_ever(void **state)
{
	struct capfile_judge *judge = capfile_judge_new("");
	struct capfile_record p = packet_of("udp", 1);
	int n = 0, code = E_OK;
	struct err err;
	bool is_match;

	(void)state;
	for (uint32_t i = 0; i < 2000 && code == E_OK; i++) {
		p.link_type = i;
		code = capfile_judge_packet(judge, &p, true, &is_match, &err);
		n += code == E_OK;
	}
	assert_int_equal(code, E_FILTER);
	assert_in_range(n, 1, 256);
	capfile_judge_free(judge);
	capfile_judge_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_packet_is_judged_as_its_link_type_asks),
		cmocka_unit_test(lengths_are_those_of_the_file),
		cmocka_unit_test(the_direction_is_what_the_block_tells),
		cmocka_unit_test(a_direction_that_is_not_told_is_an_error_only_where_it_counts),
		cmocka_unit_test(what_no_file_has_is_refused),
		cmocka_unit_test(loops_and_long_programs_are_judged_too),
		cmocka_unit_test(a_file_cannot_make_us_compile_for_ever),
	};

	return cmocka_run_group_tests_name("client/capfile_judge", tests, NULL, NULL);
}
