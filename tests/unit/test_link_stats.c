/* server/link_stats: what the adapter dropped, out of the kernel's answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <cmocka.h>

#include "mutate.h"
#include "server/link_stats.h"

struct answer {
	struct ifinfomsg link;
	struct rtattr	 name;
	char		 text[8];
	struct rtattr	 head;
	struct rtnl_link_stats64 stats;
};

static struct answer
make_answer(void)
{
	return (struct answer){
		.link = { .ifi_index = 7 },
		.name = { .rta_len = RTA_LENGTH(8), .rta_type = IFLA_IFNAME },
		.text = "eth0",
		.head = { .rta_len = RTA_LENGTH(sizeof(struct rtnl_link_stats64)),
		    .rta_type = IFLA_STATS64 },
		.stats = { .rx_packets = 1000, .rx_dropped = 100, .rx_missed_errors = 5,
		    .rx_fifo_errors = (uint64_t)1 << 40 },
	};
}

static void
no_room_on_the_adapter_and_behind_it_is_added_up(void **state)
{
	struct answer a = make_answer();
	uint64_t dropped = 0;

	(void)state;
	assert_true(link_stats_parse((const uint8_t *)&a, sizeof(a), &dropped));
	assert_true(dropped == ((uint64_t)1 << 40) + 5);
}

/* Fields were added at the end; what is not there is 0. */
static void
an_older_kernels_counters_are_shorter(void **state)
{
	struct answer a = make_answer();
	size_t len = offsetof(struct rtnl_link_stats64, rx_missed_errors);
	uint64_t dropped = 0;

	(void)state;
	a.head.rta_len = (unsigned short)RTA_LENGTH(len);
	assert_true(link_stats_parse((const uint8_t *)&a,
	    offsetof(struct answer, stats) + len, &dropped));
	assert_true(dropped == (uint64_t)1 << 40);
}

static void
an_answer_without_counters_has_none(void **state)
{
	struct answer a = make_answer();
	uint64_t dropped = 77;

	(void)state;
	a.head.rta_type = IFLA_STATS;
	assert_false(link_stats_parse((const uint8_t *)&a, sizeof(a), &dropped));
	assert_false(link_stats_parse((const uint8_t *)&a, sizeof(a.link), &dropped));
	assert_false(link_stats_parse((const uint8_t *)&a, 0, &dropped));
	assert_int_equal(dropped, 77);
}

static void
parse(const uint8_t *p, size_t len, void *arg)
{
	uint64_t dropped;

	(void)arg;
	(void)link_stats_parse(p, len, &dropped);
}

static void
damaged_answers_do_no_harm(void **state)
{
	struct answer a = make_answer();

	(void)state;
	mutate_truncate((const uint8_t *)&a, sizeof(a), parse, NULL);
	mutate_flip_bits((const uint8_t *)&a, sizeof(a), sizeof(a), parse, NULL);
	mutate_set_bytes((const uint8_t *)&a, sizeof(a), sizeof(a), parse, NULL);
}

static void
the_kernel_is_asked(void **state)
{
	struct link_stats *stats = link_stats_open();
	uint64_t dropped = 77;

	(void)state;
	assert_non_null(stats);
	assert_int_equal(link_stats_dropped(stats, 1, &dropped), E_OK);
	assert_int_equal(dropped, 0);		/* loopback has no adapter */
	assert_int_equal(link_stats_dropped(stats, 0x7fffffff, &dropped), E_NOIFACE);
	assert_int_equal(link_stats_dropped(stats, 1, &dropped), E_OK);
	link_stats_close(stats);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_room_on_the_adapter_and_behind_it_is_added_up),
		cmocka_unit_test(an_older_kernels_counters_are_shorter),
		cmocka_unit_test(an_answer_without_counters_has_none),
		cmocka_unit_test(damaged_answers_do_no_harm),
		cmocka_unit_test(the_kernel_is_asked),
	};

	return cmocka_run_group_tests_name("server/link_stats", tests, NULL, NULL);
}
