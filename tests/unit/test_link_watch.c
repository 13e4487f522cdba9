/* server/link_watch, link_stats: the kernel's messages about interfaces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <net/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <cmocka.h>

#include "common/compiler.h"
#include "server/link_stats.h"
#include "server/link_watch.h"

/* A link message behind its header, attribute by attribute. */
struct message {
	uint8_t	 bytes[1024];
	size_t	 len;
};

static struct message
begin(uint8_t family, int index, unsigned flags)
{
	const struct ifinfomsg info = { .ifi_family = family, .ifi_index = index,
	    .ifi_flags = flags };
	struct message m = { .len = sizeof(info) };

	memcpy(m.bytes, &info, sizeof(info));
	return m;
}

static void
add(struct message *m, uint16_t type, const void *data, size_t len)
{
	const struct rtattr attr = { .rta_type = type,
	    .rta_len = (uint16_t)(sizeof(attr) + len) };

	memcpy(m->bytes + m->len, &attr, sizeof(attr));
	memcpy(m->bytes + m->len + sizeof(attr), data, len);
	m->len += RTA_ALIGN(sizeof(attr) + len);
}

static struct message
full(unsigned flags)
{
	struct message m = begin(AF_UNSPEC, 7, flags);
	const uint32_t mtu = 1400;

	add(&m, IFLA_IFNAME, "eth0", 5);
	add(&m, IFLA_MTU, &mtu, sizeof(mtu));
	return m;
}

static void
an_interface_that_is_there_is_described(void **state)
{
	struct message m = full(IFF_UP | IFF_RUNNING);
	struct link_change c;

	(void)state;
	assert_true(link_watch_parse(RTM_NEWLINK, m.bytes, m.len, &c));
	assert_int_equal(c.ifindex, 7);
	assert_true(c.is_up);
	assert_false(c.is_gone);
	assert_int_equal(c.mtu, 1400);
	assert_string_equal(c.name, "eth0");
	m = full(IFF_RUNNING);
	assert_true(link_watch_parse(RTM_NEWLINK, m.bytes, m.len, &c));
	assert_false(c.is_up);
}

static void
one_that_went_may_have_been_moved(void **state)
{
	struct message m = full(IFF_UP);
	const int32_t nsid = 3;
	struct link_change c;

	(void)state;
	assert_true(link_watch_parse(RTM_DELLINK, m.bytes, m.len, &c));
	assert_true(c.is_gone);
	assert_false(c.is_up);
	assert_false(c.is_moved);
	add(&m, IFLA_NEW_NETNSID, &nsid, sizeof(nsid));
	assert_true(link_watch_parse(RTM_DELLINK, m.bytes, m.len, &c));
	assert_true(c.is_moved);
}

static void
what_is_of_no_interest_is_passed_over(void **state)
{
	struct message bridge = begin(AF_BRIDGE, 7, IFF_UP);
	struct message nameless = begin(AF_UNSPEC, 7, IFF_UP);
	struct message numberless = begin(AF_UNSPEC, 0, IFF_UP);
	struct message m = full(IFF_UP);
	struct link_change c;

	(void)state;
	add(&bridge, IFLA_IFNAME, "eth0", 5);
	add(&numberless, IFLA_IFNAME, "eth0", 5);
	assert_false(link_watch_parse(RTM_DELLINK, bridge.bytes, bridge.len, &c));
	assert_false(link_watch_parse(RTM_NEWLINK, nameless.bytes, nameless.len, &c));
	assert_false(link_watch_parse(RTM_NEWLINK, numberless.bytes, numberless.len, &c));
	assert_false(link_watch_parse(RTM_NEWADDR, m.bytes, m.len, &c));
}

static void
names_that_are_too_long_are_none(void **state)
{
	static const char name[] = "seventeen-letters";
	struct message m = begin(AF_UNSPEC, 7, IFF_UP);
	struct link_change c;

	(void)state;
	add(&m, IFLA_IFNAME, name, sizeof(name));
	assert_false(link_watch_parse(RTM_NEWLINK, m.bytes, m.len, &c));
}

static void
messages_that_are_cut_do_no_harm(void **state)
{
	struct message m = full(IFF_UP);
	struct link_change c;
	uint64_t dropped;

	(void)state;
	for (size_t len = 0; len < m.len; len++) {
		(void)link_watch_parse(RTM_NEWLINK, m.bytes, len, &c);
		(void)link_stats_parse(m.bytes, len, &dropped);
	}
}

static void
drops_of_the_adapter_are_summed(void **state)
{
	const struct rtnl_link_stats64 counters = { .rx_dropped = 1000,
	    .rx_missed_errors = 30, .rx_fifo_errors = 4 };
	struct message m = full(IFF_UP);
	uint64_t dropped = 99;

	(void)state;
	assert_false(link_stats_parse(m.bytes, m.len, &dropped));
	assert_int_equal(dropped, 99);
	add(&m, IFLA_STATS64, &counters, sizeof(counters));
	assert_true(link_stats_parse(m.bytes, m.len, &dropped));
	assert_int_equal(dropped, 34);
}

static void
the_kernel_knows_loopback_and_no_others(void **state)
{
	struct link_stats *stats = link_stats_open();
	uint64_t dropped = 99;

	(void)state;
	assert_non_null(stats);
	assert_int_equal(link_stats_dropped(stats, 1, &dropped), E_OK);
	assert_int_equal(dropped, 0);
	assert_int_equal(link_stats_dropped(stats, INT32_MAX, &dropped), E_NOIFACE);
	assert_int_equal(link_stats_dropped(stats, 1, &dropped), E_OK);
	link_stats_close(stats);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_interface_that_is_there_is_described),
		cmocka_unit_test(one_that_went_may_have_been_moved),
		cmocka_unit_test(what_is_of_no_interest_is_passed_over),
		cmocka_unit_test(names_that_are_too_long_are_none),
		cmocka_unit_test(messages_that_are_cut_do_no_harm),
		cmocka_unit_test(drops_of_the_adapter_are_summed),
		cmocka_unit_test(the_kernel_knows_loopback_and_no_others),
	};

	return cmocka_run_group_tests_name("server/link_watch", tests, NULL, NULL);
}
