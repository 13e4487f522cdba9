/* client/address: every form of a sensor's address, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/address.h"

static void
every_form_is_understood(void **state)
{
	static const struct {
		const char	*text, *host, *shown;
		uint16_t	 port;
		bool		 is_ipv6, has_port;
	} cases[] = {
		{ "sensor1", "sensor1", "sensor1:9443", 9443, false, false },
		{ "sensor1:80", "sensor1", "sensor1:80", 80, false, true },
		{ "a-b.c_d.example", "a-b.c_d.example", "a-b.c_d.example:9443", 9443, false, false },
		{ "10.0.0.7", "10.0.0.7", "10.0.0.7:9443", 9443, false, false },
		{ "10.0.0.7:65535", "10.0.0.7", "10.0.0.7:65535", 65535, false, true },
		{ "[::1]", "::1", "[::1]:9443", 9443, true, false },
		{ "[2001:db8::7]:1", "2001:db8::7", "[2001:db8::7]:1", 1, true, true },
		{ "::1", "::1", "[::1]:9443", 9443, true, false },
		{ "fe80::1%eth0", "fe80::1%eth0", "[fe80::1%eth0]:9443", 9443, true, false },
		{ "[fe80::1%eth0]:5", "fe80::1%eth0", "[fe80::1%eth0]:5", 5, true, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct address a;
		struct err err;
		char shown[300];

		assert_int_equal(address_parse(cases[i].text, &a, &err), E_OK);
		assert_string_equal(a.host, cases[i].host);
		assert_int_equal(a.port, cases[i].port);
		assert_int_equal(a.is_ipv6, cases[i].is_ipv6);
		assert_int_equal(a.has_port, cases[i].has_port);
		address_format(&a, shown, sizeof(shown));
		assert_string_equal(shown, cases[i].shown);
	}
}

static void
what_is_no_address_is_refused_by_name(void **state)
{
	static const char *const texts[] = {
		"", ":9443", "host:", "host:0", "host:65536", "host:99999999999",
		"host:+80", "host: 80", "host:80x", "host:-1", "a:b:c", "[::1",
		"[::1]x", "[::1]:", "[host]:80", "[10.0.0.1]:80", "ho st", "-i",
		"(udp", "a/b", "user@host", "::1%", "1:2:3:4:5:6:7:8:9", ".",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct address a = { .port = 7 };
		struct err err;

		assert_int_equal(address_parse(texts[i], &a, &err), E_USAGE);
		assert_int_equal(a.port, 7);
		assert_int_equal(strncmp(err.what, "sensor '", 8), 0);
		assert_int_equal(strncmp(err.what + 8, texts[i], strlen(texts[i])), 0);
	}
}

static void
urls_and_logins_are_answered_with_what_to_write(void **state)
{
	static const char *const texts[] = {
		"https://sensor1", "https://sensor1:9443", "sensor1/", "root@sensor1",
		"tcp://[::1]:9443",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct address a;
		struct err err;

		assert_int_equal(address_parse(texts[i], &a, &err), E_USAGE);
		assert_non_null(strstr(err.what, "write the host alone"));
	}
}

static void
a_name_longer_than_dns_allows_is_refused(void **state)
{
	char text[300];
	struct address a;
	struct err err;

	(void)state;
	memset(text, 'a', sizeof(text));
	text[253] = '\0';
	assert_int_equal(address_parse(text, &a, &err), E_OK);
	text[253] = 'a';
	for (size_t len = 254; len < sizeof(text); len++) {
		text[len] = '\0';
		assert_int_equal(address_parse(text, &a, &err), E_USAGE);
		text[len] = 'a';
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_is_understood),
		cmocka_unit_test(what_is_no_address_is_refused_by_name),
		cmocka_unit_test(urls_and_logins_are_answered_with_what_to_write),
		cmocka_unit_test(a_name_longer_than_dns_allows_is_refused),
	};

	return cmocka_run_group_tests_name("client/address", tests, NULL, NULL);
}
