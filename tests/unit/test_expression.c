/* client/sqlite/expression: compiled filters asked of packets and tuples, and the cache of them. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/sqlite/expression.h"
#include "common/link_type.h"

static struct expression *
make(const char *text, enum expression_form form, uint32_t link_type)
{
	struct expression *e;
	struct err err;

	if (expression_new(text, form, link_type, &e, &err) != E_OK)
		fail_msg("%s", err.what);
	return e;
}

static struct tuple
tuple_of(const char *src, const char *dst, const char *transport, int64_t sport, int64_t dport)
{
	struct tuple t;

	assert_true(tuple_set_hosts(&t, src, dst));
	assert_true(tuple_set_transport(&t, transport));
	assert_true(tuple_set_ports(&t, sport, dport, TUPLE_ICMP_IS_TYPE_AND_CODE));
	return t;
}

/* 40 of the packet's 91 bytes. */
static const uint8_t sample[40] = {
	0x45, 0x00, 0x00, 0x5b, 0x7e, 0x1f, 0x40, 0x00, 0x40, 0x06, 0xbe, 0x7b, 0x7f, 0x00, 0x00,
	0x01, 0x7f, 0x00, 0x00, 0x01, 0x01, 0xbd, 0xb0, 0x7e, 0xe5, 0x23, 0x51, 0xd3, 0xe5, 0x67,
	0xce, 0xcf, 0x80, 0x18, 0x01, 0x82, 0xfe, 0x4f, 0x00, 0x00,
};

static void
packets_are_matched(void **state)
{
	static const struct { const char *text; uint32_t len; bool want; } rows[] = {
		{ "src port 445 and src net 127.0.0.0/8", 40, true }, { "udp", 40, false },
		{ "greater 91", 40, false }, { "greater 91", 91, true }, { "", 40, true },
		{ "ip[50] = 0", 91, false }, { "inbound", 40, false },
		{ "ip protochain 6", 40, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct expression *e = make(rows[i].text, EXPRESSION_PACKET, LINK_RAW_IP);

		assert_int_equal(expression_match_packet(e, sample, sizeof(sample), rows[i].len),
		    rows[i].want);
		assert_int_equal(expression_link_type(e), LINK_RAW_IP);
		expression_unref(e);
	}
	expression_unref(NULL);
}

static void
tuples_are_matched(void **state)
{
	static const struct { const char *text; bool want4, want6, want_icmp; } rows[] = {
		{ "dst port 445 and src net 10.0.0.0/8", true, false, false },
		{ "src port 445", false, false, false }, { "port 53", false, true, false },
		{ "udp and src host 2001:db8::1", false, true, false },
		{ "icmp6[icmp6type] = icmp6-echo", false, false, true }, { "ip6", false, true, true },
		{ "not tcp", false, true, true }, { "", true, true, true },
	};
	const struct tuple tcp = tuple_of("10.0.0.1", "192.0.2.1", "tls", 3333, 445);
	const struct tuple udp = tuple_of("2001:db8::1", "2001:db8::2", "udp", 53, 9);
	const struct tuple icmp = tuple_of("fe80::1", "fe80::2", "icmp", 128, 0);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct expression *e = make(rows[i].text, EXPRESSION_TUPLE, LINK_RAW_IP);

		assert_int_equal(expression_match_tuple(e, &tcp), rows[i].want4);
		assert_int_equal(expression_match_tuple(e, &udp), rows[i].want6);
		assert_int_equal(expression_match_tuple(e, &icmp), rows[i].want_icmp);
		expression_unref(e);
	}
}

static void
refusals_say_why(void **state)
{
	static const struct { enum expression_form form; const char *text, *message; } rows[] = {
		{ EXPRESSION_TUPLE, "tcp[13] = 2", "filter 'tcp[13] = 2': cannot be answered from a "
		    "connection: it depends on the TCP flags (byte 33 of an IPv4 packet)" },
		{ EXPRESSION_TUPLE, "vlan 3", "cannot be answered from a connection: it needs a link" },
		{ EXPRESSION_TUPLE, "arp", "cannot be answered from a connection: it needs a link" },
		{ EXPRESSION_TUPLE, "ether host 1:2:3:4:5:6", "cannot be answered from a connection" },
		{ EXPRESSION_TUPLE, "ip protochain 6", "'protochain'" },
		{ EXPRESSION_TUPLE, "port 70000", "compile for RAW (Raw IP): illegal port number" },
		{ EXPRESSION_TUPLE, "ip and ip6", "expression rejects all packets" },
		{ EXPRESSION_TUPLE_NO_ICMP, "icmp[0] = 8", "the ICMP type" },
		{ EXPRESSION_PACKET, "vlan 3", "no VLAN support for Raw IP" },
	};
	struct expression *e = NULL;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(expression_new(rows[i].text, rows[i].form, LINK_RAW_IP, &e, &err),
		    E_FILTER);
		if (strstr(err.what, rows[i].message) == NULL)
			fail_msg("'%s': %s", rows[i].text, err.what);
		assert_null(e);
	}
}

static void
a_program_is_listed_as_tcpdump_does(void **state)
{
	struct expression *e = make("ip", EXPRESSION_PACKET, LINK_ETHERNET);
	char *text;

	(void)state;
	assert_int_equal(expression_explain(e, &text), E_OK);
	assert_string_equal(text,
	    "(000) ldh      [12]\n"
	    "(001) jeq      #0x800           jt 2\tjf 3\n"
	    "(002) ret      #262144\n"
	    "(003) ret      #0");
	free(text);
	expression_unref(e);
}

static struct expression *
get(struct expression_cache *cache, const char *text, enum expression_form form)
{
	struct expression *e;

	assert_int_equal(expression_cache_get(cache, text, form, LINK_RAW_IP, &e, NULL), E_OK);
	return e;
}

static void
the_cache_keeps_what_was_used_last(void **state)
{
	struct expression *first, *other, *held[EXPRESSION_CACHE_SIZE];
	struct expression_cache *cache;
	char text[16];

	(void)state;
	assert_int_equal(expression_cache_new(&cache), E_OK);
	first = expression_ref(get(cache, "tcp", EXPRESSION_TUPLE));
	assert_ptr_equal(get(cache, "tcp", EXPRESSION_TUPLE), first);
	assert_ptr_not_equal(get(cache, "tcp", EXPRESSION_TUPLE_NO_ICMP), first);
	assert_ptr_equal(get(cache, "tcp", EXPRESSION_TUPLE), first);
	assert_int_equal(expression_cache_get(cache, "tcp[13]=2", EXPRESSION_TUPLE, LINK_RAW_IP,
	    &other, NULL), E_FILTER);
	for (int i = 0; i < EXPRESSION_CACHE_SIZE; i++) {
		snprintf(text, sizeof(text), "port %d", i);
		held[i] = expression_ref(get(cache, text, EXPRESSION_TUPLE));
		if (i < EXPRESSION_CACHE_SIZE - 1)
			assert_ptr_equal(get(cache, "tcp", EXPRESSION_TUPLE), first);
	}
	/* The places: "tcp" and all ports but the first. */
	assert_ptr_not_equal(get(cache, "port 0", EXPRESSION_TUPLE), held[0]);
	assert_ptr_equal(get(cache, "port 15", EXPRESSION_TUPLE), held[15]);
	assert_ptr_equal(get(cache, "tcp", EXPRESSION_TUPLE), first);
	for (int i = 0; i < EXPRESSION_CACHE_SIZE; i++)
		expression_unref(held[i]);
	expression_cache_free(cache);
	expression_unref(first);
	expression_cache_free(NULL);
}

/* Names, as the look-ups are what libpcap shares between its compilers. */
static void *
compile_often(void *arg)
{
	const struct tuple *t = arg;
	uintptr_t bad = 0;

	for (int i = 0; i < 200; i++) {
		struct expression *e;

		if (expression_new("(tcp dst port 80 or udp port domain) and ip proto \\tcp",
		    EXPRESSION_TUPLE, LINK_RAW_IP, &e, NULL) != E_OK)
			return (void *)UINTPTR_MAX;
		bad += !expression_match_tuple(e, t);
		expression_unref(e);
	}
	return (void *)bad;
}

static void
threads_compile_beside_each_other(void **state)
{
	struct tuple t = tuple_of("10.0.0.1", "10.0.0.2", "tcp", 1, 80);
	pthread_t threads[4];
	void *bad;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, compile_often, &t), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		assert_int_equal(pthread_join(threads[i], &bad), 0);
		assert_null(bad);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_are_matched),
		cmocka_unit_test(tuples_are_matched),
		cmocka_unit_test(refusals_say_why),
		cmocka_unit_test(a_program_is_listed_as_tcpdump_does),
		cmocka_unit_test(the_cache_keeps_what_was_used_last),
		cmocka_unit_test(threads_compile_beside_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
