/* client/filter_names: which expressions hold the name of a host or net. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <net/ethernet.h>
#include <netinet/ether.h>
#include <pcap/pcap.h>

#include "client/filter.h"
#include "common/compiler.h"

/* --- what libpcap asks the C library for comes by here; no name is known --- */

static unsigned n_asked;

static bool
is_address(const char *text)
{
	struct in6_addr buf;

	return inet_pton(AF_INET, text, &buf) == 1 || inet_pton(AF_INET6, text, &buf) == 1;
}

int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
    struct addrinfo **ret)
{
	int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

	/* What may only be a number is looked up nowhere. */
	bool is_number = hints != NULL && (hints->ai_flags & AI_NUMERICHOST) != 0;

	if (node != NULL && !is_number && !is_address(node)) {
		n_asked++;
		return EAI_NONAME;
	}
	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	return real(node, service, hints, ret);
}

int
getnetbyname_r(const char *name, struct netent *net, char *buf, size_t len,
    struct netent **ret, int *error)
{
	(void)name;
	(void)net;
	(void)buf;
	(void)len;
	*ret = NULL;
	*error = HOST_NOT_FOUND;
	n_asked++;
	return 0;
}

int
ether_hostton(const char *name, struct ether_addr *ret)
{
	(void)name;
	(void)ret;
	n_asked++;
	return -1;
}

/* Does libpcap look for a host or net in text? */
static bool
does_ask(const char *text)
{
	static const int links[] = { DLT_EN10MB, DLT_RAW, DLT_IEEE802_11, DLT_PFLOG };

	n_asked = 0;
	for (size_t i = 0; i < ARRAY_LEN(links); i++) {
		pcap_t *p = pcap_open_dead(links[i], 65535);
		struct bpf_program program;

		assert_non_null(p);
		if (pcap_compile(p, &program, text, 1, PCAP_NETMASK_UNKNOWN) == 0)
			pcap_freecode(&program);
		pcap_close(p);
	}
	return n_asked > 0;
}

static bool
has_name(const char *text)
{
	const char *name;
	size_t len;

	return filter_find_host_name(text, &name, &len);
}

/* --- tests --- */

static void
names_are_found(void **state)
{
	static const struct { const char *text, *name; } rows[] = {
		{ "host evil", "evil" }, { "evil", "evil" }, { "src www.example.org", "www.example.org" },
		{ "net evil", "evil" }, { "net evil/8", "evil" }, { "ether host evil", "evil" },
		{ "ether src evil", "evil" }, { "gateway evil", "evil" }, { "host \\evil", "\\evil" },
		{ "\\tcp", "\\tcp" }, { "host evil-", "evil" }, { "tcp and not evil", "evil" },
		{ "host 10.0.0.1 or evil", "evil" }, { "host 10.0.0.1.evil", "10.0.0.1.evil" },
		{ "host dead", "dead" }, { "host dead:beef", "dead" }, { "host fe80::1-x", "fe80" },
		{ "host dead::beef.x", "dead" }, { "host 1.2.3.4.5", "1.2.3.4.5" },
		{ "host 0x7g", "0x7g" }, { "host HOST", "HOST" }, { "ip6 host evil", "evil" },
		{ "port 80 or host evil", "evil" }, { "port 80 or (tcp) or evil", "evil" },
		{ "(port 80) or evil", "evil" }, { "port 80 or tcp or evil", "evil" },
		{ "port 80 or (host evil)", "evil" }, { "port 80 or 5 = 5 or evil", "evil" },
		{ "port 80 & evil", "evil" }, { "port 80 or src evil", "evil" },
		{ "wlan addr1 evil", "evil" }, { "type mgt or evil", "evil" },
		{ "type mgt evil", "evil" }, { "tcp[evil]", "evil" }, { "len-1", "len-1" },
		{ "host 10.0.0.1%evil", "evil" }, { "host fe80::1%eth0", "eth0" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *name;
		size_t len;

		if (!filter_find_host_name(rows[i].text, &name, &len))
			fail_msg("'%s': nothing found", rows[i].text);
		if (len != strlen(rows[i].name) || memcmp(name, rows[i].name, len) != 0)
			fail_msg("'%s': found '%.*s'", rows[i].text, (int)len, name);
	}
}

static void
the_language_numbers_and_addresses_are_none(void **state)
{
	static const char *const rows[] = {
		"", "tcp", "host 10.0.0.1", "10.0.0.1", "net 10", "net 10.1", "net 10.1.2.0/24",
		"net 10.0.0.0 mask 255.0.0.0", "host fe80::1", "net 2001:db8::/32", "host ::",
		"host ::1", "host 1:2:3:4:5:6:7:8", "host ::ffff:10.0.0.1", "ip6 host DEAD::beef",
		"ether host 1:2:3:a:b:c", "ether host 01-02-03-0a-0b-0c", "ether host 0102.030a.0b0c",
		"ether host 0102030a0b0c", "port 80", "port http", "port http or https",
		"port http or not https", "port (http or https)", "port (http||domain)",
		"tcp port http && udp port domain", "src port domain", "src or dst port http",
		"portrange 1-1024", "portrange ftp-http", "portrange 1-2 or 3-4", "ip proto \\tcp",
		"proto \\tcp or \\udp", "ip6 protochain \\udp", "ether proto \\arp", "ip proto 6 or 17",
		"type mgt subtype beacon", "wlan dir tods", "llc u", "on eth0 and action pass",
		"tcp[tcpflags] & (tcp-syn|tcp-ack) != 0", "ip[2:2]-((ip[0]&0xf)<<2) >= 0X10",
		"icmp6[icmp6type] = icmp6-echo", "!(host 10.0.0.1)", "not\ttcp\nor udp", "is-is",
		"tcp[0:2] - tcp[2:2] = 1", "len - 1 > 60", "vlan 5 and mpls 3", "udp and port\r80",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *name;
		size_t len;

		if (filter_find_host_name(rows[i], &name, &len))
			fail_msg("'%s': found '%.*s'", rows[i], (int)len, name);
		assert_false(does_ask(rows[i]));
	}
}

/* Sequences of tokens, most of them no expressions: what libpcap asks for was found. */
static void
libpcap_asks_for_nothing_that_was_not_found(void **state)
{
	static const char *const tokens[] = {
		"evil", "\\evil", "\\tcp", "dead", "dead:beef", "fe80::1", "::", ":", "10.0.0.1", "10",
		"0x10", "1:2:3:a:b:c", "deadbeef0001", "http", "1-2", "port", "portrange", "proto",
		"protochain", "host", "net", "mask", "gateway", "src", "dst", "or", "and", "not", "||",
		"&&", "!", "(", ")", "[", "]", "=", "&", "|", "-", "/", ".", "_", "tcp", "ip", "ip6",
		"ether", "wlan", "type", "subtype", "dir", "llc", "on", "action", "reason", "rset",
		"addr1", "len", "vlan", "mgt", "$", "aa", "iso", "link", "icmp", "ra", "less", "byte",
	};
	unsigned seed = 7, n_names = 0, n_rounds = 300000;
	char text[256];

	(void)state;
	assert_true(does_ask("host evil") && does_ask("net evil") && does_ask("ether host evil"));
	for (unsigned round = 0; round < n_rounds; round++) {
		unsigned n = 1 + (unsigned)rand_r(&seed) % 7;
		size_t len = 0;

		for (unsigned i = 0; i < n; i++)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s",
			    rand_r(&seed) % 4 == 0 ? "" : " ",
			    tokens[(size_t)rand_r(&seed) % ARRAY_LEN(tokens)]);
		if (has_name(text))
			n_names++;
		else if (does_ask(text))
			fail_msg("'%s': looked up, but not found", text);
	}
	assert_in_range(n_names, n_rounds / 10, n_rounds - n_rounds / 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_found),
		cmocka_unit_test(the_language_numbers_and_addresses_are_none),
		cmocka_unit_test(libpcap_asks_for_nothing_that_was_not_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
