/* server/own_traffic: a bounded set that never forgets an endpoint. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "common/compiler.h"
#include "server/own_traffic.h"

static struct sockaddr_storage
make(const char *text, uint16_t port)
{
	struct sockaddr_storage ss = { .ss_family = AF_UNSPEC };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	if (inet_pton(AF_INET, text, &in.sin_addr) == 1) {
		memcpy(&ss, &in, sizeof(in));
	} else {
		assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
		memcpy(&ss, &in6, sizeof(in6));
	}
	return ss;
}

static bool
add(struct own_traffic *own, const char *text, uint16_t port)
{
	struct sockaddr_storage ss = make(text, port);

	return own_traffic_add(own, (const struct sockaddr *)&ss);
}

static bool
has(const struct own_traffic *own, const char *text, uint16_t port)
{
	struct sockaddr_storage ss = make(text, port);

	return own_traffic_has(own, (const struct sockaddr *)&ss);
}

static void
an_endpoint_is_new_once(void **state)
{
	struct own_traffic own;

	(void)state;
	own_traffic_init(&own);
	assert_false(has(&own, "10.0.0.1", 9443));
	assert_true(add(&own, "10.0.0.1", 9443));
	assert_false(add(&own, "10.0.0.1", 9443));
	assert_true(add(&own, "10.0.0.1", 9444));
	assert_true(add(&own, "10.0.0.2", 9443));
	assert_true(add(&own, "2001:db8::1", 9443));
	assert_false(add(&own, "2001:db8::1", 9443));
	assert_int_equal(own.n, 4);
	assert_true(has(&own, "2001:db8::1", 9443));
	assert_false(has(&own, "2001:db8::1", 9444));
	assert_false(has(&own, "10.0.0.2", 9444));
}

static void
a_mapped_address_is_the_ipv4_address(void **state)
{
	struct own_traffic own;

	(void)state;
	own_traffic_init(&own);
	assert_true(add(&own, "::ffff:10.0.0.1", 9443));
	assert_int_equal(own.endpoints[0].family, AF_INET);
	assert_false(add(&own, "10.0.0.1", 9443));
	assert_true(has(&own, "10.0.0.1", 9443));
}

static void
an_unspecified_address_stands_for_all(void **state)
{
	static const char *const any[] = { "0.0.0.0", "::", "::ffff:0.0.0.0" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct own_traffic own;

		own_traffic_init(&own);
		assert_true(add(&own, "10.0.0.1", 9443));
		assert_true(add(&own, "10.0.0.1", 22));
		assert_true(add(&own, any[i], 9443));
		assert_int_equal(own.n, 2);
		assert_true(has(&own, "10.0.0.9", 9443));
		assert_true(has(&own, "2001:db8::9", 9443));
		assert_false(has(&own, "10.0.0.9", 22));
		assert_false(add(&own, "10.0.0.7", 9443));
	}
}

static void
other_address_families_are_ignored(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct own_traffic own;

	(void)state;
	own_traffic_init(&own);
	assert_false(own_traffic_add(&own, (const struct sockaddr *)&un));
	assert_int_equal(own.n, 0);
}

static void
without_room_the_busiest_port_is_kept_without_addresses(void **state)
{
	struct own_traffic own;
	char text[32];

	(void)state;
	own_traffic_init(&own);
	assert_true(add(&own, "10.1.0.1", 22));
	assert_true(add(&own, "10.1.0.2", 22));
	for (unsigned i = 2; i < OWN_TRAFFIC_MAX; i++) {
		snprintf(text, sizeof(text), "10.0.0.%u", i);
		assert_true(add(&own, text, 9443));
	}
	assert_int_equal(own.n, OWN_TRAFFIC_MAX);
	assert_false(has(&own, "10.9.9.9", 9443));

	assert_true(add(&own, "10.1.0.3", 22));
	assert_int_equal(own.n, 4);
	assert_true(has(&own, "10.0.0.2", 9443));
	assert_true(has(&own, "10.9.9.9", 9443));
	assert_true(has(&own, "10.1.0.1", 22));
	assert_true(has(&own, "10.1.0.3", 22));
	assert_false(has(&own, "10.9.9.9", 22));
}

static void
a_full_set_of_one_port_takes_its_next_address(void **state)
{
	struct own_traffic own;
	char text[32];

	(void)state;
	own_traffic_init(&own);
	for (unsigned i = 0; i <= OWN_TRAFFIC_MAX; i++) {
		snprintf(text, sizeof(text), "2001:db8::%x", i + 1);
		assert_true(add(&own, text, 9443));
	}
	assert_int_equal(own.n, 1);
	assert_true(has(&own, "2001:db8::1", 9443));
	assert_true(has(&own, text, 9443));
}

static void
with_as_many_ports_as_there_is_room_another_is_not_taken(void **state)
{
	struct own_traffic own;

	(void)state;
	own_traffic_init(&own);
	for (uint16_t i = 0; i < OWN_TRAFFIC_MAX; i++)
		assert_true(add(&own, "10.0.0.1", (uint16_t)(9000 + i)));
	assert_false(add(&own, "10.0.0.1", 8999));
	assert_int_equal(own.n, OWN_TRAFFIC_MAX);
	assert_true(add(&own, "0.0.0.0", 9001));
	assert_true(has(&own, "10.0.0.1", 9000));
	assert_true(has(&own, "10.9.9.9", 9001));
}

static void
elsewhere_loopback_is_somebody_elses_and_a_link_local_one_unless_it_was_used(void **state)
{
	static const char *const routable[] = { "10.0.0.1", "2001:db8::1", "fec0::1",
	    "169.253.0.1", "128.0.0.1" };
	static const char *const local[] = { "127.0.0.1", "127.9.0.1", "::1",
	    "::ffff:127.0.0.2" };
	struct own_traffic own, learned, got;

	(void)state;
	own_traffic_init(&own);
	own_traffic_init(&learned);
	for (size_t i = 0; i < ARRAY_LEN(routable); i++)
		assert_true(add(&own, routable[i], 9443));
	for (size_t i = 0; i < ARRAY_LEN(local); i++) {
		assert_true(add(&own, local[i], 9443));
		(void)add(&learned, local[i], 9443);
	}
	assert_true(add(&own, "fe80::1", 9443));
	assert_true(add(&own, "169.254.0.1", 9443));
	own_traffic_elsewhere(&own, &learned, &got);
	assert_int_equal(got.n, ARRAY_LEN(routable));
	for (size_t i = 0; i < ARRAY_LEN(routable); i++)
		assert_true(has(&got, routable[i], 9443));

	assert_true(add(&learned, "fe80::1", 9443));
	own_traffic_elsewhere(&own, &learned, &got);
	assert_int_equal(got.n, ARRAY_LEN(routable) + 1);
	assert_true(has(&got, "fe80::1", 9443));

	own_traffic_init(&own);
	assert_true(add(&own, "0.0.0.0", 9443));
	own_traffic_elsewhere(&own, &learned, &got);
	assert_true(has(&got, "10.9.9.9", 9443));
}

static void
sets_are_equal_when_their_endpoints_are(void **state)
{
	struct own_traffic own, other;

	(void)state;
	own_traffic_init(&own);
	own_traffic_init(&other);
	assert_true(own_traffic_is_equal(&own, &other));
	assert_true(add(&own, "10.0.0.1", 9443));
	assert_false(own_traffic_is_equal(&own, &other));
	assert_true(add(&other, "10.0.0.1", 9444));
	assert_false(own_traffic_is_equal(&own, &other));
	own_traffic_init(&other);
	assert_true(own_traffic_add_endpoint(&other, &own.endpoints[0]));
	assert_false(own_traffic_add_endpoint(&other, &own.endpoints[0]));
	assert_true(own_traffic_is_equal(&own, &other));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_endpoint_is_new_once),
		cmocka_unit_test(a_mapped_address_is_the_ipv4_address),
		cmocka_unit_test(an_unspecified_address_stands_for_all),
		cmocka_unit_test(other_address_families_are_ignored),
		cmocka_unit_test(without_room_the_busiest_port_is_kept_without_addresses),
		cmocka_unit_test(a_full_set_of_one_port_takes_its_next_address),
		cmocka_unit_test(with_as_many_ports_as_there_is_room_another_is_not_taken),
		cmocka_unit_test(
		    elsewhere_loopback_is_somebody_elses_and_a_link_local_one_unless_it_was_used),
		cmocka_unit_test(sets_are_equal_when_their_endpoints_are),
	};

	return cmocka_run_group_tests_name("server/own_traffic", tests, NULL, NULL);
}
