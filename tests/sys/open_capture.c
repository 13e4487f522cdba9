/*
 * server/priv_open on a real kernel, in a network namespace of its own: what
 * a capture socket sees, and what its holder can no longer do with it.
 * Needs root.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <net/if.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include <cmocka.h>

#include "common/bpf_link.h"
#include "common/clock.h"
#include "server/priv_list.h"
#include "server/priv_open.h"

static int list_fd;
static struct bpf_prog everything;

static void
run(const char *command)
{
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

static struct priv_interface
find(const char *name)
{
	struct priv_interface interface;
	struct err err;

	if (priv_list_get(list_fd, if_nametoindex(name), &interface, &err) != E_OK)
		fail_msg("%s", err.what);
	return interface;
}

static struct priv_open_done
open_on(const struct priv_interface *interface, const struct bpf_prog *filter,
    bool is_inbound, bool is_cooked)
{
	struct priv_open_wish wish = {
		.interface = interface, .filter = filter, .ring_bytes = PRIV_MIN_RING,
		.snaplen = 1500, .is_inbound = is_inbound, .is_cooked = is_cooked,
		.is_promiscuous = true,
	};
	struct priv_open_done done;
	struct err err;

	if (priv_open_socket(&wish, &done, &err) != E_OK)
		fail_msg("%s", err.what);
	return done;
}

/* A frame whose payload begins with byte, out of an interface. */
static void
send_frame(const char *name, uint8_t byte)
{
	struct sockaddr_ll addr = {
		.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(name),
		.sll_halen = 6, .sll_addr = { 2, 0, 0, 0, 0, 9 },
	};
	uint8_t frame[60] = { 2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8, 0x88, 0xb5, byte };
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	assert_int_not_equal(fd, -1);
	assert_int_equal(sendto(fd, frame, sizeof(frame), 0, (struct sockaddr *)&addr,
	    sizeof(addr)), sizeof(frame));
	close(fd);
}

static unsigned
seen(int fd)
{
	struct tpacket_stats_v3 stats = { 0 };
	socklen_t len = sizeof(stats);

	assert_int_equal(getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len), 0);
	return stats.tp_packets;
}

/* Wait until want packets were seen, for at most two seconds. */
static void
assert_seen(int fd, unsigned want)
{
	struct mono_ns start = clock_mono();
	unsigned n = 0;

	do {
		n += seen(fd);
	} while (n < want && mono_diff_ns(clock_mono(), start) < 2 * (int64_t)NS_PER_S);
	assert_int_equal(n, want);
}

/* The last frame of a test is one that every filter here lets through. */
enum { LAST = 99 };

/* Frames whose payload does not begin with 7. */
static const struct bpf_insn_raw no_7[] = {
	{ BPF_LD | BPF_B | BPF_ABS, 0, 0, 14 },
	{ BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 7 },
	{ BPF_RET | BPF_K, 0, 0, 262144 },
	{ BPF_RET | BPF_K, 0, 0, 0 },
};

static void
the_filter_stands_from_the_first_packet_and_changes_at_once(void **state)
{
	struct priv_interface veth = find("veth0");
	struct bpf_prog filter = { .n = ARRAY_LEN(no_7) };
	struct priv_open_done done;
	struct err err;

	(void)state;
	memcpy(filter.insns, no_7, sizeof(no_7));
	done = open_on(&veth, &filter, false, false);
	send_frame("veth1", 7);
	send_frame("veth1", 8);
	send_frame("veth1", LAST);
	assert_seen(done.fd, 2);
	assert_int_equal(priv_open_filter(done.fd, &everything, &err), E_OK);
	send_frame("veth1", 7);
	send_frame("veth1", LAST);
	assert_seen(done.fd, 2);
	close(done.fd);
}

static void
outgoing_packets_are_seen_unless_only_inbound_is_asked(void **state)
{
	struct priv_interface veth = find("veth0");
	struct priv_open_done both = open_on(&veth, &everything, false, false);
	struct priv_open_done inbound = open_on(&veth, &everything, true, false);

	(void)state;
	send_frame("veth0", 1);
	send_frame("veth1", LAST);
	assert_seen(both.fd, 2);
	assert_seen(inbound.fd, 1);
	close(both.fd);
	close(inbound.fd);
}

static void
on_loopback_each_packet_is_seen_once(void **state)
{
	struct priv_interface lo = find("lo");
	struct priv_open_done done = open_on(&lo, &everything, true, false);

	(void)state;
	send_frame("lo", 1);
	send_frame("lo", LAST);
	assert_seen(done.fd, 2);
	close(done.fd);
}

static void
a_cooked_capture_begins_at_the_network_header(void **state)
{
	static const struct bpf_insn_raw first_is_5[] = {
		{ BPF_LD | BPF_B | BPF_ABS, 0, 0, 0 },
		{ BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 5 },
		{ BPF_RET | BPF_K, 0, 0, 262144 },
		{ BPF_RET | BPF_K, 0, 0, 0 },
	};
	struct priv_interface veth = find("veth0");
	struct bpf_prog filter = { .n = ARRAY_LEN(first_is_5) };
	struct priv_open_done done;

	(void)state;
	memcpy(filter.insns, first_is_5, sizeof(first_is_5));
	done = open_on(&veth, &filter, true, true);
	send_frame("veth1", 4);
	send_frame("veth1", 5);
	assert_seen(done.fd, 1);
	close(done.fd);
}

static void
the_ring_can_be_mapped_and_hands_over_its_blocks(void **state)
{
	struct priv_interface veth = find("veth0");
	struct priv_open_done done = open_on(&veth, &everything, true, false);
	struct pollfd pfd = { .fd = done.fd, .events = POLLIN };
	size_t size = (size_t)ring_geometry_bytes(&done.ring);
	struct tpacket_block_desc *block;

	(void)state;
	block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, done.fd, 0);
	assert_ptr_not_equal(block, MAP_FAILED);
	send_frame("veth1", LAST);
	assert_int_equal(poll(&pfd, 1, 2000), 1);
	assert_int_equal(block->hdr.bh1.block_status & TP_STATUS_USER, TP_STATUS_USER);
	assert_int_equal(block->hdr.bh1.num_pkts, 1);
	munmap(block, size);
	close(done.fd);
}

static void
the_socket_cannot_be_bound_to_another_interface(void **state)
{
	struct priv_interface veth = find("veth0");
	struct priv_open_done done = open_on(&veth, &everything, false, false);
	struct sockaddr_ll other = {
		.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex("lo"),
	};

	(void)state;
	assert_int_equal(bind(done.fd, (struct sockaddr *)&other, sizeof(other)), -1);
	assert_int_equal(errno, EINVAL);
	close(done.fd);
}

static unsigned
promiscuity(const char *name)
{
	char command[128], line[512];
	unsigned value = 1000;
	FILE *pipe;

	snprintf(command, sizeof(command), "ip -d link show %s", name);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	while (fgets(line, sizeof(line), pipe) != NULL) {
		const char *at = strstr(line, "promiscuity ");

		if (at != NULL)
			value = (unsigned)strtoul(at + strlen("promiscuity "), NULL, 10);
	}
	pclose(pipe);
	return value;
}

static void
promiscuous_mode_ends_with_the_last_descriptor(void **state)
{
	struct priv_interface veth = find("veth0");
	struct priv_open_done done = open_on(&veth, &everything, false, false);
	int copy = dup(done.fd);

	(void)state;
	assert_true(done.is_promiscuous);
	assert_int_equal(promiscuity("veth0"), 1);
	close(done.fd);
	assert_int_equal(promiscuity("veth0"), 1);
	close(copy);
	assert_int_equal(promiscuity("veth0"), 0);
}

static void
an_interface_that_is_down_or_gone_is_named_as_such(void **state)
{
	struct priv_interface down = find("down0"), stale = down, gone = find("veth0");
	struct priv_open_wish wish = {
		.interface = &down, .filter = &everything, .ring_bytes = PRIV_MIN_RING,
		.snaplen = 1500,
	};
	struct priv_open_done done = { .fd = -7 };
	struct err err;

	(void)state;
	assert_int_equal(priv_open_socket(&wish, &done, &err), E_IFDOWN);
	assert_non_null(strstr(err.what, "'down0'"));
	/* It went down after it was looked at: the bind tells. */
	stale.flags |= IFF_UP;
	wish.interface = &stale;
	assert_int_equal(priv_open_socket(&wish, &done, &err), E_IFDOWN);
	gone.index = 4711;
	wish.interface = &gone;
	assert_int_equal(priv_open_socket(&wish, &done, &err), E_NOIFACE);
	assert_int_equal(done.fd, -7);
}

/* A filter of 4096 instructions, and the kernel's limit lowered in here. */
static void
a_filter_above_the_kernels_limit_is_told_apart(void **state)
{
	static struct bpf_prog large;
	struct priv_interface veth0 = find("veth0");
	struct priv_open_wish wish = {
		.interface = &veth0, .filter = &large, .ring_bytes = PRIV_MIN_RING,
		.snaplen = 1500,
	};
	struct priv_open_done done;
	struct err err;

	(void)state;
	for (large.n = 0; large.n < BPF_PROG_MAX - 1; large.n++)
		large.insns[large.n] = (struct bpf_insn_raw){ BPF_LD | BPF_IMM, 0, 0, 1 };
	large.insns[large.n++] = (struct bpf_insn_raw){ BPF_RET | BPF_K, 0, 0, 262144 };
	done = open_on(&veth0, &large, false, false);
	run("echo 20480 >/proc/sys/net/core/optmem_max");
	assert_int_equal(priv_open_filter(done.fd, &large, &err), E_FILTER);
	assert_int_equal(err.sys, ENOMEM);
	assert_non_null(strstr(err.what, "net.core.optmem_max allows, now 20480"));
	close(done.fd);
	done = open_on(&veth0, &everything, false, false);
	close(done.fd);
	assert_int_equal(priv_open_socket(&wish, &done, &err), E_FILTER);
	assert_int_equal(err.sys, ENOMEM);
	assert_non_null(strstr(err.what, "'veth0'"));
	run("echo 131072 >/proc/sys/net/core/optmem_max");
}

static void
one_cooked_socket_sees_all_interfaces(void **state)
{
	const struct priv_interface any = { .name = "any", .arphrd = UINT16_MAX };
	struct priv_open_done done = open_on(&any, &everything, false, true);

	(void)state;
	assert_false(done.is_promiscuous);
	/* On veth1 as sent, on veth0 as received; the same the other way. */
	send_frame("veth1", LAST);
	assert_seen(done.fd, 2);
	send_frame("veth0", LAST);
	assert_seen(done.fd, 2);
	close(done.fd);
}

static int
set_up(void **state)
{
	struct err err;

	(void)state;
	if (unshare(CLONE_NEWNET) == -1) {
		perror("unshare: needs root");
		return -1;
	}
	/* The limits of the namespace that is entered here, as in service. */
	priv_open_init();
	run("ip link set lo up");
	run("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1");
	run("ip link add veth0 type veth peer name veth1");
	run("ip link add down0 type veth peer name down1");
	run("ip link set veth0 up && ip link set veth1 up");
	bpf_link_return(&everything, 262144);
	return priv_list_open(&list_fd, &err) == E_OK ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_filter_stands_from_the_first_packet_and_changes_at_once),
		cmocka_unit_test(outgoing_packets_are_seen_unless_only_inbound_is_asked),
		cmocka_unit_test(on_loopback_each_packet_is_seen_once),
		cmocka_unit_test(a_cooked_capture_begins_at_the_network_header),
		cmocka_unit_test(the_ring_can_be_mapped_and_hands_over_its_blocks),
		cmocka_unit_test(the_socket_cannot_be_bound_to_another_interface),
		cmocka_unit_test(promiscuous_mode_ends_with_the_last_descriptor),
		cmocka_unit_test(an_interface_that_is_down_or_gone_is_named_as_such),
		cmocka_unit_test(a_filter_above_the_kernels_limit_is_told_apart),
		cmocka_unit_test(one_cooked_socket_sees_all_interfaces),
	};

	return cmocka_run_group_tests_name("server/priv_open, real", tests, set_up, NULL);
}
