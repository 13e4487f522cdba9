/* client/filter: libpcap's programs and messages, and what the text speaks of. */
#include "tests/unit/bpf_lab.h"

#include <stdlib.h>

#include "client/filter.h"
#include "proto/limits.h"

static void
expressions_compile_to_what_libpcap_makes_of_them(void **state)
{
	static const struct { uint32_t link_type; int dlt; const char *text; } rows[] = {
		{ 1, LAB_ETHERNET, "" }, { 1, LAB_ETHERNET, "vlan 5 and udp port 53" },
		{ 101, LAB_RAW, "udp" }, { 276, LAB_COOKED, "ifindex 3 and tcp" },
	};
	struct bpf_prog want;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct bpf_insn_raw *insns;
		struct filter_code *code;
		uint32_t n;

		lab_compile(rows[i].dlt, rows[i].text, &want);
		assert_int_equal(filter_compile(rows[i].text, rows[i].link_type, &code, NULL),
		    E_OK);
		insns = filter_code_insns(code, &n);
		assert_int_equal(n, want.n);
		assert_memory_equal(insns, want.insns, want.n * sizeof(want.insns[0]));
		assert_null(filter_code_why_not(code));
		filter_code_unref(filter_code_ref(code));
		filter_code_unref(code);
	}
}

static void
refusals_carry_the_message_of_libpcap(void **state)
{
	static const struct { uint32_t link_type; const char *text, *message; } rows[] = {
		{ 1, "foo bar baz", "syntax error" },
		{ 1, "port 70000", "illegal port number 70000 > 65535" },
		{ 1, "net 10.0.0.0/33", "mask length must be <= 32" },
		{ 1, "tcp[0:3]=1", "data size must be 1, 2, or 4" },
		{ 1, "ip host 10.0.0.1 and ip6", "expression rejects all packets" },
		{ 1, "port nosuchsvc", "unknown port 'nosuchsvc'" },
		{ 1, "(tcp", "syntax error" },
		{ 1, "ip broadcast", "netmask not known" },
		{ 1, "ether[0xfffffffc:4] = 1", "ancillary" },
		{ 1, "outbound and ip protochain 6", "not in one expression" },
		{ 101, "vlan", "no VLAN support for Raw IP" },
		{ 101, "arp", "expression rejects all packets" },
		{ 276, "ether host 1:2:3:4:5:6", "ether host" },
		{ 9999, "tcp", "unknown data link type" },
	};
	struct filter_code *code = NULL;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(filter_compile(rows[i].text, rows[i].link_type, &code, &err),
		    E_FILTER);
		if (strstr(err.what, rows[i].message) == NULL)
			fail_msg("'%s' not in: %s", rows[i].message, err.what);
	}
	assert_null(code);
	assert_int_equal(filter_compile("port 70000", 1, &code, &err), E_FILTER);
	assert_string_equal(err.what, "filter 'port 70000': compile for EN10MB (Ethernet): "
	    "illegal port number 70000 > 65535");
}

static void
a_long_expression_leaves_room_for_the_cause(void **state)
{
	static char text[PROTO_MAX_FILTER_TEXT + 2];
	struct filter_code *code;
	struct err err;

	(void)state;
	memset(text, '(', sizeof(text) - 1);
	assert_int_equal(filter_compile(text, 1, &code, &err), E_TOOBIG);
	assert_non_null(strstr(err.what, "more than 65536 bytes"));
	text[300] = '\0';
	assert_int_equal(filter_compile(text, 1, &code, &err), E_FILTER);
	assert_non_null(strstr(err.what, "(((...': compile for EN10MB (Ethernet): "));
	assert_non_null(strstr(err.what, "syntax error"));
}

static void
expressions_about_tags_are_recognised(void **state)
{
	static const char *const yes[] = {
		"vlan", "vlan 5", "not vlan", "!vlan", "(vlan)", "udp or(vlan and udp)",
		"udp&&vlan", "ether proto 0x8100", "ether proto 33024", "ether  proto\t0X88A8",
		"link proto 0x9100", "not ether proto 0x88a8", "ether proto (0x800 or 0x8100)",
		"ether proto 0x800 or 0x8100", "ether proto \\ip or not 0x8100", "ether[12:2] = 0x800",
		"ether [ 14 ] = 5", "ether[11:2] = 1", "ether[9:4] = 1", "link[20] = 1",
		"ether[0xc:2] = 1", "ether[udp[0]] = 1", "ether[6+6] = 1", "ether[len - 1] = 1",
		"ether[10-0]=1", "ether[-1 + 13] = 1", "ether[0] = 2 and ether[13] = 3",
		"udp and ether[ 12 : 2 ] = 0x800", "ether[8:4+0]=1", "ip and vlan", "ether[014]=1",
	};
	static const char *const no[] = {
		"", "udp", "host vlan-gw", "host gw.vlan", "host \\vlan", "ether proto 0x800",
		"ether proto \\arp", "ether host 81:00:81:00:81:00", "port 33024", "udp port 0x8100",
		"ether proto 0x800 and port 33024", "ether[0] & 1 = 0", "ether[11] = 1",
		"ether[10:2] = 1", "ether[8:4] = 0x8100", "link[6:4] = 33024", "ip[12:4] = 0x0a000001",
		"ether[-4048:1] = 1", "ether[0xfffff02c:2] & 0xfff = 5", "ether broadcast",
		"ip proto 0x81", "proto 33024",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(yes); i++)
		if (!filter_mentions_tags(yes[i]))
			fail_msg("'%s' not recognised", yes[i]);
	for (size_t i = 0; i < ARRAY_LEN(no); i++)
		if (filter_mentions_tags(no[i]))
			fail_msg("'%s' taken for one", no[i]);
}

/* libpcap's scanner as the judge: a plain word is a name after "type". */
static bool
is_name_for_libpcap(const char *word)
{
	pcap_t *p = pcap_open_dead(105, 262144);
	struct bpf_program code;
	char text[80];
	bool is_name;

	snprintf(text, sizeof(text), "type %s", word);
	assert_int_not_equal(pcap_compile(p, &code, text, 1, PCAP_NETMASK_UNKNOWN), 0);
	is_name = strstr(pcap_geterr(p), "unknown 802.11 type name") != NULL;
	pcap_close(p);
	return is_name;
}

static void
keywords_are_those_of_libpcap(void **state)
{
	static const char *const keywords[] = { "host", "net", "port", "tcp", "udp", "ip",
	    "ip6", "arp", "icmp", "vlan", "not", "and", "or", "gateway", "src", "dst", "ether",
	    "less", "greater", "broadcast", "inbound", "mpls", "geneve", "on", "is-is", "len",
	    "l1", "subrulenum", "hsls", "portrange", "protochain", "action", "radio" };
	static const char *const names[] = { "sensor1", "gw", "hosts", "Host", "tcpdump",
	    "vlan5", "vlan-gw", "ports", "ether0", "eth0", "localhost", "l3", "as", "mgt" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(keywords); i++) {
		assert_true(filter_is_keyword(keywords[i]));
		assert_false(is_name_for_libpcap(keywords[i]));
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_false(filter_is_keyword(names[i]));
	for (size_t i = 0; i + 1 < ARRAY_LEN(names); i++)	/* the last is a type's name */
		assert_true(is_name_for_libpcap(names[i]));
	assert_true(filter_is_keyword("tcp-syn"));
	assert_false(filter_is_keyword(""));
	assert_false(filter_is_keyword("gateway:9443"));
}

/* --- files --- */

static int
read_bytes(const char *bytes, size_t len, char **ret_text, struct err *err)
{
	char path[] = "/tmp/test_filter.XXXXXX";
	int code, fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	close(fd);
	code = filter_read_file(path, ret_text, err);
	unlink(path);
	return code;
}

static void
a_file_is_read_as_tcpdump_reads_it(void **state)
{
	static const struct { const char *bytes, *text; } rows[] = {
		{ "udp port 53\n", "udp port 53" },
		{ "udp\nport\r\n53\n", "udp port 53" },
		{ "# dns\nudp # or tcp\nport 53 # all", "udp port 53" },
		{ " \n\n ", "" }, { "", "" }, { "#", "" }, { "x", "x" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *text = NULL;

		assert_int_equal(read_bytes(rows[i].bytes, strlen(rows[i].bytes), &text, NULL),
		    E_OK);
		assert_string_equal(text, rows[i].text);
		free(text);
	}
}

static void
a_file_that_is_no_filter_is_refused_with_its_name(void **state)
{
	static char large[PROTO_MAX_FILTER_TEXT + 1];
	char *text = NULL;
	struct err err;

	(void)state;
	assert_int_equal(filter_read_file("/nonexistent/filter", &text, &err), E_USAGE);
	assert_string_equal(err.what,
	    "filter file '/nonexistent/filter': open: No such file or directory");
	assert_int_equal(filter_read_file("/", &text, &err), E_USAGE);
	assert_non_null(strstr(err.what, "read: Is a directory"));
	assert_int_equal(read_bytes("udp\0x", 5, &text, &err), E_USAGE);
	assert_non_null(strstr(err.what, "holds a NUL"));
	memset(large, ' ', sizeof(large));
	assert_int_equal(read_bytes(large, sizeof(large), &text, &err), E_USAGE);
	assert_non_null(strstr(err.what, "more than 65536 bytes"));
	assert_null(text);
	assert_int_equal(read_bytes(large, sizeof(large) - 1, &text, &err), E_OK);
	assert_string_equal(text, "");
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(expressions_compile_to_what_libpcap_makes_of_them),
		cmocka_unit_test(refusals_carry_the_message_of_libpcap),
		cmocka_unit_test(a_long_expression_leaves_room_for_the_cause),
		cmocka_unit_test(expressions_about_tags_are_recognised),
		cmocka_unit_test(keywords_are_those_of_libpcap),
		cmocka_unit_test(a_file_is_read_as_tcpdump_reads_it),
		cmocka_unit_test(a_file_that_is_no_filter_is_refused_with_its_name),
	};

	return cmocka_run_group_tests_name("client/filter", tests, NULL, NULL);
}
