/* client/list: what -D, -L and -J print. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/list.h"

static char addresses[][64] = { "10.9.0.1/24", "fd00:9::1/64" };

static struct msg_interface ifaces[] = {
	{
		.index = 1, .link_type = 1, .is_up = true, .is_running = true,
		.is_loopback = true, .name = "lo", .n_link_types = 3,
		.link_types = { 1, 276, 113 }, .time_stamp_types = 1,
	},
	{
		.index = 2, .link_type = 1, .is_up = true, .is_running = true, .name = "eth0",
		.description = "uplink", .n_addresses = 2, .addresses = addresses,
		.n_link_types = 3, .link_types = { 1, 276, 113 }, .driver = "e1000e",
		.speed_mbps = 1000, .time_stamp_types = 7,
	},
	{
		.index = 2, .link_type = 101, .name = "tun0", .network_namespace = "netns:blue",
		.why_not = "not permitted",
	},
	{
		.index = 4294967295, .link_type = 65535, .name = "e\033[2Jvil",
		.driver = "a\nb", .why_not = "policy \a",
	},
};

static const struct msg_interface_list list = { ARRAY_LEN(ifaces), ifaces };

typedef int (*print_fn)(FILE *, const struct msg_interface_list *, const struct options *,
    struct err *);

/* What -L or -J prints for one -i; NULL when it is refused. */
static char *
print_for(print_fn print, const char *name, struct err *err)
{
	struct options_interface iface = { .name = name };
	struct options o = { .interfaces = &iface, .n_interfaces = 1, .sensor_text = "s1" };
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	int rc;

	assert_non_null(f);
	rc = print(f, &list, &o, err);
	fclose(f);
	if (rc == E_OK)
		return text;
	assert_int_equal(rc, err->code);
	free(text);
	return NULL;
}

static void
assert_printed(print_fn print, const char *name, const char *want)
{
	struct err err;
	char *got = print_for(print, name, &err);

	assert_non_null(got);
	assert_string_equal(got, want);
	free(got);
}

static void
interfaces_are_shown_in_order_with_all_that_is_known(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	struct err err;

	(void)state;
	assert_non_null(f);
	assert_int_equal(list_print(f, &list, &err), E_OK);
	fclose(f);
	assert_string_equal(text,
	    "1.lo [Up, Running, Loopback] EN10MB; link types EN10MB, LINUX_SLL2, LINUX_SLL; "
	    "time stamps host\n"
	    "2.eth0 [Up, Running] EN10MB 10.9.0.1/24 fd00:9::1/64 (uplink); "
	    "speed 1000 Mbit/s; driver e1000e; link types EN10MB, LINUX_SLL2, LINUX_SLL; "
	    "time stamps host, adapter, adapter_unsynced\n"
	    "4294967295.e\\x1b[2Jvil [Down] 65535; driver a\\x0ab "
	    "-- cannot be captured: policy \\x07\n"
	    "2.netns:blue/tun0 [Down] RAW -- cannot be captured: not permitted\n");
	free(text);
}

static void
link_types_and_time_stamps_are_those_of_tcpdump(void **state)
{
	(void)state;
	assert_printed(list_print_link_types, "eth0",
	    "Data link types for eth0 (use option -y to set):\n"
	    "  EN10MB (Ethernet)\n"
	    "  LINUX_SLL2 (Linux cooked v2)\n"
	    "  LINUX_SLL (Linux cooked v1)\n");
	assert_printed(list_print_time_stamps, "2",
	    "Time stamp types for eth0 (use option -j to set):\n"
	    "  host (Host)\n"
	    "  adapter (Adapter)\n"
	    "  adapter_unsynced (Adapter, not synced with system time)\n");
}

static uint32_t
count_blocks(const char *name)
{
	struct err err;
	char *text = print_for(list_print_link_types, name, &err);
	uint32_t n = 0;

	assert_non_null(text);
	for (const char *p = text; (p = strstr(p, "Data link")) != NULL; p++)
		n++;
	free(text);
	return n;
}

static void
an_i_means_what_it_means_for_a_capture(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(count_blocks("any"), 3);	/* of the agent's own namespace */
	assert_int_equal(count_blocks("e*"), 2);
	assert_int_equal(count_blocks("netns:blue/any"), 1);
	assert_int_equal(count_blocks("netns:blue/tun0"), 1);
	assert_int_equal(count_blocks("netns:blue/2"), 1);
	assert_null(print_for(list_print_link_types, "tun0", &err));
	assert_int_equal(err.code, E_NOIFACE);
	assert_non_null(strstr(err.what, "'tun0'"));
	assert_null(print_for(list_print_link_types, "netns:blue/eth0", &err));
	assert_null(print_for(list_print_time_stamps, "netns:bl/2", &err));
	assert_null(print_for(list_print_time_stamps, "netns:bluex2", &err));
}

static void
a_full_output_is_an_error(void **state)
{
	FILE *f = fopen("/dev/full", "w");
	struct err err;

	(void)state;
	assert_non_null(f);
	assert_int_equal(list_print(f, &list, &err), E_OUTPUT);
	assert_int_equal(err.code, E_OUTPUT);
	fclose(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(interfaces_are_shown_in_order_with_all_that_is_known),
		cmocka_unit_test(link_types_and_time_stamps_are_those_of_tcpdump),
		cmocka_unit_test(an_i_means_what_it_means_for_a_capture),
		cmocka_unit_test(a_full_output_is_an_error),
	};

	return cmocka_run_group_tests_name("client/list", tests, NULL, NULL);
}
