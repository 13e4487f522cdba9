/* server/ring_map: the kernel's counters are 32 bits wide, sums are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/if_packet.h>

#include <cmocka.h>

#include "server/ring_map.h"

/* What the kernel counted since it was last asked. */
static struct tpacket_stats_v3 counted;

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len);

int
__wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	assert_int_equal(fd, 77);
	assert_int_equal(level, SOL_PACKET);
	assert_int_equal(name, PACKET_STATISTICS);
	assert_true(*len >= sizeof(counted));
	memcpy(value, &counted, sizeof(counted));
	*len = sizeof(counted);
	return 0;
}

/* 24 hours at 20 million packets a second, asked every two seconds. */
static void
a_day_of_counters_is_summed_without_a_wrap(void **state)
{
	enum { TURNS = 24 * 3600 / 2 };
	struct ring_stats stats = { 0 };

	(void)state;
	counted = (struct tpacket_stats_v3){ .tp_packets = 40000000,
	    .tp_drops = 1000000, .tp_freeze_q_cnt = 100000 };
	for (int i = 0; i < TURNS; i++)
		assert_int_equal(ring_read_stats(77, &stats, NULL), E_OK);
	assert_int_equal(stats.received, UINT64_C(1728000000000));
	assert_int_equal(stats.dropped, UINT64_C(43200000000));
	assert_int_equal(stats.freezes, UINT64_C(4320000000));
}

static void
the_largest_numbers_of_the_kernel_are_added_whole(void **state)
{
	struct ring_stats stats = { 0 };

	(void)state;
	counted = (struct tpacket_stats_v3){ .tp_packets = UINT32_MAX,
	    .tp_drops = UINT32_MAX, .tp_freeze_q_cnt = UINT32_MAX };
	for (int i = 0; i < 3; i++)
		assert_int_equal(ring_read_stats(77, &stats, NULL), E_OK);
	assert_int_equal(stats.received, 3 * (uint64_t)UINT32_MAX);
	assert_int_equal(stats.dropped, 3 * (uint64_t)UINT32_MAX);
	assert_int_equal(stats.freezes, 3 * (uint64_t)UINT32_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_day_of_counters_is_summed_without_a_wrap),
		cmocka_unit_test(the_largest_numbers_of_the_kernel_are_added_whole),
	};

	return cmocka_run_group_tests_name("server/ring_map", tests, NULL, NULL);
}
