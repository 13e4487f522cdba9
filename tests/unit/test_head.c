/* client/sqlite/head: what a program does alike for all connections is left out, and only that. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/filter.h"
#include "client/sqlite/head.h"
#include "client/sqlite/tuple.h"
#include "common/link_type.h"

static struct filter_code *
compile(const char *text)
{
	struct filter_code *code;
	struct err err;

	if (filter_compile(text, LINK_RAW_IP, &code, &err) != E_OK)
		fail_msg("%s", err.what);
	return code;
}

static struct head
find(const char *text, uint8_t version, uint8_t protocol)
{
	struct filter_code *code = compile(text);
	uint32_t n;
	struct head head = head_find(filter_code_insns(code, &n), version, protocol);

	assert_true(head.start < n);
	filter_code_unref(code);
	return head;
}

static void
what_no_connection_changes_is_decided(void **state)
{
	static const struct { const char *text; uint8_t version, protocol; enum head_end end; }
	    rows[] = {
		{ "tcp", 4, IPPROTO_TCP, HEAD_YES }, { "tcp", 6, IPPROTO_TCP, HEAD_YES },
		{ "tcp", 4, IPPROTO_UDP, HEAD_NO }, { "not tcp", 6, IPPROTO_UDP, HEAD_YES },
		{ "", 4, IPPROTO_TCP, HEAD_YES }, { "ip6", 4, IPPROTO_TCP, HEAD_NO },
		{ "udp port 53", 4, IPPROTO_TCP, HEAD_NO },
		{ "tcp port 53", 4, IPPROTO_TCP, HEAD_GOES_ON },
		{ "host 10.1.2.3", 6, IPPROTO_TCP, HEAD_NO },
		{ "host 10.1.2.3", 4, IPPROTO_TCP, HEAD_GOES_ON },
		{ "icmp[0] = 8", 4, IPPROTO_ICMP, HEAD_GOES_ON },
		{ "ip[9] > 6", 4, IPPROTO_UDP, HEAD_YES }, { "ip[9] >= 18", 4, IPPROTO_UDP, HEAD_NO },
		{ "inbound", 4, IPPROTO_UDP, HEAD_GOES_ON },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (find(rows[i].text, rows[i].version, rows[i].protocol).end != rows[i].end)
			fail_msg("'%s', version %u", rows[i].text, rows[i].version);
}

/* The instructions, as bpf_explain() numbers them. */
static void
programs_start_where_connections_differ(void **state)
{
	(void)state;
	/* ldxb 4*([0]&0xf), and the load by it. */
	assert_int_equal(find("dst port 445 and src net 0.0.0.0/2", 4, IPPROTO_TCP).start, 12);
	assert_int_equal(find("host 10.1.2.3 or net 192.168.0.0/16", 4, IPPROTO_TCP).start, 3);
}

static void
fill(struct tuple *t, uint32_t *seed)
{
	static const uint16_t ports[] = { 53, 80, 445, 65535 };
	uint8_t *const hosts[] = { t->src, t->dst };

	for (size_t i = 0; i < 2; i++) {
		*seed = *seed * 1664525 + 1013904223;
		memset(hosts[i], (int)(*seed >> 30), 16);
		hosts[i][0] = *seed >> 29 & 1 ? 10 : 0x20;
		hosts[i][3] = (uint8_t)(*seed >> 16 & 3);
	}
	t->sport = ports[*seed >> 12 & 3];
	t->dport = ports[*seed >> 14 & 3];
}

/* Taken up where the head ends, a program says what it says from its beginning. */
static void
the_rest_answers_as_the_whole(void **state)
{
	static const char *const texts[] = {
		"dst port 445 and src net 0.0.0.0/2", "tcp", "host 10.1.1.3 or net 10.0.0.0/16",
		"(tcp port 80 or udp port 53) and not src net 10.0.0.0/8", "portrange 50-90",
		"src port 445 or ip6 net 2000::/4", "not port 80", "ip[12] = 10 or ip6[8] = 32",
		"ip[0] & 0xf0 = 0x40 and ip[16:4] > ip[12:4]", "ip[(ip[9]):2] != 0 and src port 53",
		"tcp[0:2] = tcp[2:2]", "ip[9] * 2 = 12 and dst port 80", "ip[9] + 6 = 12",
		"net 0.0.0.0/1 and (port 53 or port 80)", "icmp or udp", "proto 47 or port 445",
	};
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_GRE };
	uint32_t seed = 7, n, n_yes = 0;

	(void)state;
	for (size_t at = 0; at < ARRAY_LEN(texts) * 8; at++) {
		struct filter_code *code = compile(texts[at / 8]);
		struct tuple t = { .version = at % 2 ? 4 : 6, .protocol = protocols[at / 2 % 4] };
		struct head head = head_find(filter_code_insns(code, &n), t.version, t.protocol);

		for (int i = 0; i < 500; i++) {
			uint8_t packet[TUPLE_PACKET_MAX];
			struct bpf_view view = { .data = packet, .is_offline = true };
			bool want;

			fill(&t, &seed);
			view.len = view.caplen = (uint32_t)tuple_write(&t, packet);
			want = filter_code_match(code, &view);
			n_yes += want;
			if (want != (head.end == HEAD_GOES_ON ?
			    filter_code_match_from(code, head.start, &view) : head.end == HEAD_YES))
				fail_msg("'%s', version %u, protocol %u", texts[at / 8], t.version,
				    t.protocol);
		}
		filter_code_unref(code);
	}
	assert_in_range(n_yes, 5000, 59000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_no_connection_changes_is_decided),
		cmocka_unit_test(programs_start_where_connections_differ),
		cmocka_unit_test(the_rest_answers_as_the_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
