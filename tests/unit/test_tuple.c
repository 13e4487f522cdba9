/* client/sqlite/tuple: what logs write about connections, and the packet that stands for one. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/sqlite/tuple.h"

static void
hosts_are_read_as_logs_write_them(void **state)
{
	static const struct { const char *src, *dst; uint8_t version, last_src, last_dst; } rows[] = {
		{ "10.0.0.1", "10.0.0.2", 4, 1, 2 },
		{ "2001:db8::1", "2001:DB8::2", 6, 1, 2 },
		{ "::ffff:10.0.0.1", "10.0.0.2", 4, 1, 2 },
		{ "10.0.0.1", "::ffff:a00:2", 4, 1, 2 },
		{ "fe80::1%eth0", "fe80::2%3", 6, 1, 2 },
		{ NULL, NULL, 4, 0, 0 }, { "", NULL, 4, 0, 0 },
		{ NULL, "10.0.0.2", 4, 0, 2 }, { "::1", "", 6, 1, 0 },
		{ "::", "::2", 6, 0, 2 },
		{ "10.0.0.1", "::1", 0, 0, 0 }, { "0.0.0.0", "::", 0, 0, 0 },
		{ "10.0.0", "10.0.0.1", 0, 0, 0 }, { "10.0.0.1", "10.0.0.256", 0, 0, 0 },
		{ "host.example", "10.0.0.1", 0, 0, 0 }, { " 10.0.0.1", "10.0.0.1", 0, 0, 0 },
		{ "10.0.0.1%eth0", "10.0.0.1", 0, 0, 0 }, { "-", "-", 0, 0, 0 },
		{ "1:2:3:4:5:6:7:8:9:a:b:c:d:e:f:0:1:2:3:4:5:6:7:8", "::1", 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct tuple t;
		size_t last;

		assert_int_equal(tuple_set_hosts(&t, rows[i].src, rows[i].dst), rows[i].version != 0);
		if (rows[i].version == 0)
			continue;
		last = rows[i].version == 4 ? 3 : 15;
		assert_int_equal(t.version, rows[i].version);
		assert_int_equal(t.src[last], rows[i].last_src);
		assert_int_equal(t.dst[last], rows[i].last_dst);
	}
}

/* Damaged addresses: what is one, and which, says inet_pton(). */
static void
ipv4_is_what_inet_pton_takes(void **state)
{
	static const char letters[] = "0123456789.x";
	uint32_t seed = 20261122, n_taken = 0;

	(void)state;
	for (int round = 0; round < 300000; round++) {
		char text[24] = "10.200.3.40";
		uint8_t want[4];
		struct tuple t;
		bool is_host;

		for (int i = 0; i < 1 + round % 4; i++) {
			seed = seed * 1664525 + 1013904223;
			text[(seed >> 8) % 16] = letters[(seed >> 16) % (sizeof(letters) - 1)];
			text[12 + (seed >> 28) % 4] = '\0';
		}
		if (text[0] == '\0')
			continue;
		is_host = inet_pton(AF_INET, text, want) == 1;
		if (tuple_set_hosts(&t, text, "1.2.3.4") != is_host)
			fail_msg("'%s'", text);
		if (is_host)
			assert_memory_equal(t.src, want, 4);
		n_taken += is_host;
	}
	assert_in_range(n_taken, 10000, 290000);
}

/* A text that goes on behind a NUL is not what stands before it. */
static void
texts_have_a_length(void **state)
{
	static const struct { struct tuple_text host, transport; bool is_host, is_transport; }
	    rows[] = {
		{ { "10.0.0.1", 8 }, { "tcp", 3 }, true, true },
		{ { "10.0.0.1\0x", 10 }, { "udp\0x", 5 }, false, false },
		{ { "::ffff:10.0.0.1", 15 }, { "UDP", 3 }, true, true },
		{ { "::ffff:10.0.0.1\0", 16 }, { "17\0", 3 }, false, false },
		{ { "10.0.0.1%\0", 10 }, { "sctp\0", 5 }, false, false },
		{ { "", 0 }, { "", 0 }, true, false }, { { NULL, 0 }, { NULL, 0 }, true, false },
		{ { "\0", 1 }, { "\0", 1 }, false, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct tuple_text other = { "10.0.0.2", 8 };
		struct tuple t;

		assert_int_equal(tuple_read_hosts(&t, rows[i].host, other), rows[i].is_host);
		assert_int_equal(tuple_read_hosts(&t, other, rows[i].host), rows[i].is_host);
		assert_int_equal(tuple_read_transport(&t, rows[i].transport), rows[i].is_transport);
	}
}

static void
transports_are_names_and_numbers(void **state)
{
	static const struct { uint8_t version; const char *text; int protocol; } rows[] = {
		{ 4, "tcp", 6 }, { 4, "TCP", 6 }, { 4, "tls", 6 }, { 6, "udp", 17 },
		{ 4, "dtls", 17 }, { 4, "sctp", 132 }, { 4, "icmp", 1 }, { 6, "icmp", 58 },
		{ 6, "icmp6", 58 }, { 6, "ICMPv6", 58 }, { 6, "ipv6-icmp", 58 }, { 4, "icmp6", -1 },
		{ 4, "58", 58 }, { 6, "1", 1 }, { 4, "0", 0 }, { 4, "255", 255 }, { 4, "006", 6 },
		{ 4, "256", -1 }, { 4, "-1", -1 }, { 4, "", -1 }, { 4, "6 ", -1 }, { 4, "0x6", -1 },
		{ 4, "0000006", -1 }, { 4, "unknown_transport", -1 }, { 4, "44", 44 },
		{ 6, "44", -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct tuple t = { .version = rows[i].version };

		assert_int_equal(tuple_set_transport(&t, rows[i].text), rows[i].protocol >= 0);
		if (rows[i].protocol >= 0)
			assert_int_equal(t.protocol, rows[i].protocol);
	}
}

static void
ports_count_where_the_protocol_has_them(void **state)
{
	static const struct { uint8_t protocol; enum tuple_icmp icmp; int64_t port; bool is_ok;
	    uint16_t want; } rows[] = {
		{ 6, TUPLE_ICMP_IS_UNKNOWN, 65535, true, 65535 },
		{ 6, TUPLE_ICMP_IS_UNKNOWN, 65536, false, 0 },
		{ 17, TUPLE_ICMP_IS_UNKNOWN, -1, false, 0 },
		{ 132, TUPLE_ICMP_IS_TYPE_AND_CODE, INT64_C(1) << 32, false, 0 },
		{ 1, TUPLE_ICMP_IS_TYPE_AND_CODE, 255, true, 255 },
		{ 58, TUPLE_ICMP_IS_TYPE_AND_CODE, 256, false, 0 },
		{ 1, TUPLE_ICMP_IS_UNKNOWN, 256, true, 0 },
		{ 47, TUPLE_ICMP_IS_TYPE_AND_CODE, -7, true, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct tuple t = { .version = 4, .protocol = rows[i].protocol };

		assert_int_equal(tuple_set_ports(&t, rows[i].port, 0, rows[i].icmp), rows[i].is_ok);
		assert_int_equal(tuple_set_ports(&t, 0, rows[i].port, rows[i].icmp), rows[i].is_ok);
		if (rows[i].is_ok)
			assert_int_equal(t.dport, rows[i].want);
	}
}

static void
a_packet_holds_what_the_connection_says(void **state)
{
	static const uint8_t want[40] = {
		[0] = 0x45, [9] = 6, [12] = 10, 0, 0, 1, 10, 0, 0, 2, 0x01, 0xbd, 0x0d, 0x05,
	};
	struct tuple t;
	uint8_t packet[TUPLE_PACKET_MAX];

	(void)state;
	assert_true(tuple_set_hosts(&t, "10.0.0.1", "10.0.0.2"));
	assert_true(tuple_set_transport(&t, "tcp"));
	assert_true(tuple_set_ports(&t, 445, 3333, TUPLE_ICMP_IS_UNKNOWN));
	assert_int_equal(tuple_write(&t, packet), sizeof(want));
	assert_memory_equal(packet, want, sizeof(want));

	assert_true(tuple_set_hosts(&t, "::1", "::2"));
	assert_true(tuple_set_transport(&t, "icmp"));
	assert_true(tuple_set_ports(&t, 128, 3, TUPLE_ICMP_IS_TYPE_AND_CODE));
	assert_int_equal(tuple_write(&t, packet), 44);
	assert_int_equal(packet[0], 0x60);
	assert_int_equal(packet[6], 58);
	assert_int_equal(packet[23], 1);
	assert_int_equal(packet[39], 2);
	assert_int_equal(packet[40], 128);
	assert_int_equal(packet[41], 3);
}

static void
the_type_of_the_answer_is_no_code(void **state)
{
	static const struct { const char *host, *transport; uint8_t type, other, code; } rows[] = {
		{ "10.0.0.1", "icmp", 8, 0, 0 }, { "10.0.0.1", "icmp", 0, 8, 0 },
		{ "10.0.0.1", "icmp", 9, 10, 0 }, { "10.0.0.1", "icmp", 14, 13, 0 },
		{ "10.0.0.1", "icmp", 15, 16, 0 }, { "10.0.0.1", "1", 18, 17, 0 },
		{ "fe80::1", "icmp", 128, 129, 0 }, { "fe80::1", "icmp", 131, 130, 0 },
		{ "fe80::1", "icmp", 134, 133, 0 }, { "fe80::1", "icmp6", 135, 136, 0 },
		{ "fe80::1", "icmp", 139, 140, 0 }, { "fe80::1", "58", 144, 145, 0 },
		{ "fe80::1", "icmp", 135, 0, 0 }, { "10.0.0.1", "icmp", 3, 1, 1 },
		{ "10.0.0.1", "icmp", 8, 9, 9 }, { "10.0.0.1", "icmp", 10, 11, 11 },
		{ "10.0.0.1", "icmp", 135, 136, 136 }, { "fe80::1", "icmp", 8, 10, 10 },
		{ "fe80::1", "icmp", 129, 130, 130 }, { "fe80::1", "icmp", 9, 10, 10 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct tuple t;

		assert_true(tuple_set_hosts(&t, rows[i].host, ""));
		assert_true(tuple_set_transport(&t, rows[i].transport));
		assert_true(tuple_set_ports(&t, rows[i].type, rows[i].other,
		    TUPLE_ICMP_IS_TYPE_AND_CODE));
		assert_int_equal(t.sport, rows[i].type);
		assert_int_equal(t.dport, rows[i].code);
	}
}

/* What a shape calls fixed is so in packets, what it calls undefined is 0 but for 0x05. */
static void
shapes_say_what_packets_hold(void **state)
{
	(void)state;
	for (unsigned at = 0; at < 2 * 256; at++) {
		struct tuple t = { .version = at % 2 ? 4 : 6, .protocol = (uint8_t)(at / 2),
		    .sport = 0xffff, .dport = 0xffff };
		struct tuple_shape shape;
		uint8_t packet[TUPLE_PACKET_MAX];

		memset(t.src, 0xff, sizeof(t.src));
		memset(t.dst, 0xff, sizeof(t.dst));
		tuple_shape_init(&shape, t.version, t.protocol, TUPLE_ICMP_IS_TYPE_AND_CODE);
		assert_int_equal(tuple_write(&t, packet), shape.len);
		for (size_t i = 0; i < shape.len; i++) {
			uint8_t own = (uint8_t)(shape.defined[i] & ~shape.fixed[i]);

			assert_int_equal(shape.fixed[i] & ~shape.defined[i], 0);
			assert_int_equal(packet[i] & shape.fixed[i], shape.bits[i]);
			assert_int_equal(packet[i] & own, own);
			if (i > 0)
				assert_int_equal(packet[i] & ~shape.defined[i], 0);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts_are_read_as_logs_write_them),
		cmocka_unit_test(ipv4_is_what_inet_pton_takes),
		cmocka_unit_test(texts_have_a_length),
		cmocka_unit_test(transports_are_names_and_numbers),
		cmocka_unit_test(ports_count_where_the_protocol_has_them),
		cmocka_unit_test(a_packet_holds_what_the_connection_says),
		cmocka_unit_test(the_type_of_the_answer_is_no_code),
		cmocka_unit_test(shapes_say_what_packets_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
