/* server/listen_open: addresses in numbers only; sockets as they must be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "server/listen_open.h"

static void
every_form_of_an_address_is_understood(void **state)
{
	static const struct { const char *text, *shown; } cases[] = {
		{ "10.0.0.1", "10.0.0.1:9443" }, { "0.0.0.0:9443", "0.0.0.0:9443" },
		{ "127.0.0.1:0", "127.0.0.1:0" }, { "10.0.0.1:65535", "10.0.0.1:65535" },
		{ "[::]:9443", "[::]:9443" }, { "[::1]", "[::1]:9443" },
		{ "::1", "[::1]:9443" }, { "[2001:db8::7]:1", "[2001:db8::7]:1" },
		{ "[fe80::1%lo]:5", "[fe80::1%1]:5" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct listen_address a;
		struct err err;
		char shown[64];

		if (listen_address_parse(cases[i].text, &a, &err) != E_OK)
			fail_msg("%s", err.what);
		listen_address_format(&a, shown, sizeof(shown));
		assert_string_equal(shown, cases[i].shown);
	}
}

static void
what_is_no_address_is_refused(void **state)
{
	static const char *const texts[] = {
		"", ":9443", "10.0.0.1:", "10.0.0.1:65536", "10.0.0.1:x", "10.0.0.1:-1",
		"10.0.0.1: 1", "10.0.0", "[10.0.0.1]:80", "0x7f.1", "localhost", "localhost:9443", "[::1", "[::1]x",
		"[::1]:", "[]:9443", "eth0", "1:2:3:4:5:6:7:8:9", "10.0.0.1:000001",
		"0123456789012345678901234567890123456789012345678901234567890123456789",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct listen_address a = { .len = 7 };
		struct err err;

		if (listen_address_parse(texts[i], &a, &err) != E_USAGE)
			fail_msg("accepted: %s", texts[i]);
		assert_int_equal(a.len, 7);
	}
}

static void
a_bound_address_has_its_real_port_and_the_socket_cannot_leak(void **state)
{
	struct listen_address a;
	struct err err;
	int fd = -1, ret;

	(void)state;
	assert_int_equal(listen_address_parse("127.0.0.1:0", &a, &err), E_OK);
	ret = listen_open(&a, 7, &fd, &err);
	if (ret != E_OK) {
		/* SO_MARK needs a capability that a plain user has not. */
		assert_non_null(strstr(err.what, "SO_MARK"));
		assert_int_not_equal(geteuid(), 0);
		return;
	}
	assert_int_not_equal(ntohs(a.in.sin_port), 0);
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	close(fd);
}

static void
an_address_in_use_is_named_and_untouched(void **state)
{
	struct listen_address a, second;
	struct err err;
	int fd = -1, other = -1;

	(void)state;
	assert_int_equal(listen_address_parse("127.0.0.1:0", &a, &err), E_OK);
	if (listen_open(&a, 7, &fd, &err) != E_OK) {
		assert_int_not_equal(geteuid(), 0);
		return;
	}
	second = a;
	assert_int_equal(listen_open(&second, 7, &other, &err), E_SYS);
	assert_int_equal(other, -1);
	assert_memory_equal(&second, &a, sizeof(a));
	assert_non_null(strstr(err.what, "127.0.0.1:"));
	close(fd);
}

static void
an_address_of_another_host_is_found_and_a_port_in_use_is_not(void **state)
{
	struct listen_address a, port = { .len = 0 };
	struct err err;
	int fd;

	(void)state;
	/* For documentation: no host has it. */
	assert_int_equal(listen_address_parse("192.0.2.1:9443", &a, &err), E_OK);
	assert_int_equal(listen_check(&a, &err), E_SYS);
	assert_int_equal(err.sys, EADDRNOTAVAIL);
	assert_non_null(strstr(err.what, "192.0.2.1:9443"));
	assert_non_null(strstr(err.what, "not an address of this host"));

	assert_int_equal(listen_address_parse("127.0.0.1:0", &a, &err), E_OK);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, &a.sa, a.len), 0);
	assert_int_equal(listen(fd, 1), 0);
	port.len = sizeof(port.in6);
	assert_int_equal(getsockname(fd, &port.sa, &port.len), 0);
	assert_int_equal(listen_check(&port, &err), E_OK);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_of_an_address_is_understood),
		cmocka_unit_test(what_is_no_address_is_refused),
		cmocka_unit_test(a_bound_address_has_its_real_port_and_the_socket_cannot_leak),
		cmocka_unit_test(an_address_in_use_is_named_and_untouched),
		cmocka_unit_test(an_address_of_another_host_is_found_and_a_port_in_use_is_not),
	};

	return cmocka_run_group_tests_name("server/listen_open", tests, NULL, NULL);
}
