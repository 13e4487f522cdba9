/*
 * server/priv_open on a real kernel: the order of its system calls, and what
 * it does when one of them fails.  The calls are recorded by the linker's
 * --wrap and then made, unless the test has one fail.  Needs root.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
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
#include "server/priv_list.h"
#include "server/priv_open.h"

enum {
	MAX_CALLS = 256,
	/* Beside SOL_SOCKET's and SOL_PACKET's options, which are small. */
	CALL_SOCKET = 1000, CALL_BIND, CALL_PENDING,
};

static struct call {
	int	 level, what;
	uint8_t	 value[32];	/* its beginning */
} calls[MAX_CALLS];
static size_t n_calls;

/* The next fail_times calls of this option fail with fail_errno. */
static int fail_level, fail_what, fail_errno;
static unsigned fail_times;

static int list_fd;
static struct bpf_prog everything;

int __real_socket(int domain, int type, int protocol);
int __real_bind(int fd, const struct sockaddr *addr, socklen_t len);
int __real_setsockopt(int fd, int level, int what, const void *value, socklen_t len);
int __real_getsockopt(int fd, int level, int what, void *value, socklen_t *len);
int __wrap_socket(int domain, int type, int protocol);
int __wrap_bind(int fd, const struct sockaddr *addr, socklen_t len);
int __wrap_setsockopt(int fd, int level, int what, const void *value, socklen_t len);
int __wrap_getsockopt(int fd, int level, int what, void *value, socklen_t *len);

static void
record(int level, int what, const void *value, size_t len)
{
	struct call *c = &calls[n_calls];

	assert_true(n_calls < MAX_CALLS);
	*c = (struct call){ .level = level, .what = what };
	memcpy(c->value, value, len < sizeof(c->value) ? len : sizeof(c->value));
	n_calls++;
}

int
__wrap_socket(int domain, int type, int protocol)
{
	if (domain == AF_PACKET)
		record(CALL_SOCKET, CALL_SOCKET, &protocol, sizeof(protocol));
	return __real_socket(domain, type, protocol);
}

int
__wrap_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	if (addr->sa_family == AF_PACKET)
		record(CALL_BIND, CALL_BIND, addr, len);
	return __real_bind(fd, addr, len);
}

int
__wrap_setsockopt(int fd, int level, int what, const void *value, socklen_t len)
{
	const struct sock_fprog *prog = value;

	/* Of a program: its first instruction, where the rejecting one is known by. */
	if (level == SOL_SOCKET && what == SO_ATTACH_FILTER)
		record(level, what, prog->filter, sizeof(*prog->filter));
	else
		record(level, what, value, len);
	if (fail_times > 0 && level == fail_level && what == fail_what) {
		fail_times--;
		errno = fail_errno;
		return -1;
	}
	return __real_setsockopt(fd, level, what, value, len);
}

int
__wrap_getsockopt(int fd, int level, int what, void *value, socklen_t *len)
{
	if (level == SOL_SOCKET && what == SO_ERROR)
		record(CALL_PENDING, CALL_PENDING, "", 1);
	return __real_getsockopt(fd, level, what, value, len);
}

/* Position of the nth (from 0) call; fails where there is none. */
static size_t
position(int level, int what, unsigned nth)
{
	for (size_t i = 0; i < n_calls; i++)
		if (calls[i].level == level && calls[i].what == what && nth-- == 0)
			return i;
	fail_msg("no call %d of level %d", what, level);
	return 0;
}

static size_t
count(int level, int what)
{
	size_t n = 0;

	for (size_t i = 0; i < n_calls; i++)
		n += calls[i].level == level && calls[i].what == what;
	return n;
}

static uint32_t
value_of(size_t at)
{
	uint32_t value;

	memcpy(&value, calls[at].value, sizeof(value));
	return value;
}

static int
open_veth(uint64_t ring_bytes, bool is_cooked, struct priv_open_done *ret_done, struct err *err)
{
	struct priv_interface interface;
	struct priv_open_wish wish = {
		.interface = &interface, .filter = &everything, .ring_bytes = ring_bytes,
		.snaplen = 1500, .is_cooked = is_cooked, .is_promiscuous = true,
	};

	assert_int_equal(priv_list_get(list_fd, if_nametoindex("veth0"), &interface, err), E_OK);
	n_calls = 0;
	return priv_open_socket(&wish, ret_done, err);
}

static void
fail_next(int level, int what, unsigned times, int number)
{
	fail_level = level;
	fail_what = what;
	fail_times = times;
	fail_errno = number;
}

/* Until bind the socket has no protocol and receives nothing. */
static void
nothing_comes_in_before_everything_stands(void **state)
{
	struct priv_open_done done;
	struct err err;
	size_t bound, ring;

	(void)state;
	assert_int_equal(open_veth(PRIV_MIN_RING, false, &done, &err), E_OK);
	assert_int_equal(position(CALL_SOCKET, CALL_SOCKET, 0), 0);
	assert_int_equal(value_of(0), 0);
	bound = position(CALL_BIND, CALL_BIND, 0);
	ring = position(SOL_PACKET, PACKET_RX_RING, 0);
	assert_true(ring < bound);
	/* What cannot be changed once there is a ring. */
	assert_true(position(SOL_PACKET, PACKET_VERSION, 0) < ring);
	assert_true(position(SOL_PACKET, PACKET_RESERVE, 0) < ring);
	assert_true(value_of(position(SOL_PACKET, PACKET_RESERVE, 0)) >= 4);
	assert_true(position(SOL_SOCKET, SO_ATTACH_FILTER, 0) < bound);
	assert_true(position(SOL_SOCKET, SO_TIMESTAMPNS, 0) < bound);
	assert_true(position(SOL_PACKET, PACKET_ADD_MEMBERSHIP, 0) < bound);
	assert_int_equal(position(CALL_PENDING, CALL_PENDING, 0), bound + 1);
	close(done.fd);
}

/*
 * Between bind and the group the socket would see each packet, and joining
 * takes it off the interface for a moment: it rejects until that is over.
 */
static void
everything_is_rejected_until_the_group_is_joined(void **state)
{
	static const struct sock_filter reject = BPF_STMT(BPF_RET | BPF_K, 0);
	struct priv_open_done done;
	size_t bound, group;
	struct err err;

	(void)state;
	assert_int_equal(open_veth(PRIV_MIN_RING, false, &done, &err), E_OK);
	bound = position(CALL_BIND, CALL_BIND, 0);
	group = position(SOL_PACKET, PACKET_FANOUT, 0);
	assert_true(bound < group);
	assert_int_equal(count(SOL_SOCKET, SO_ATTACH_FILTER), 2);
	assert_memory_equal(calls[position(SOL_SOCKET, SO_ATTACH_FILTER, 0)].value, &reject,
	    sizeof(reject));
	assert_int_equal(position(SOL_SOCKET, SO_ATTACH_FILTER, 1), n_calls - 1);
	assert_true(group < n_calls - 1);
	close(done.fd);
}

/* The kernel chooses a number that nobody has: ours cannot meet another's. */
static void
the_number_of_a_group_is_the_kernels_choice(void **state)
{
	struct priv_open_done done[2];
	uint32_t numbers[2];
	struct err err;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		socklen_t len = sizeof(numbers[i]);
		size_t group;

		assert_int_equal(open_veth(PRIV_MIN_RING, false, &done[i], &err), E_OK);
		group = position(SOL_PACKET, PACKET_FANOUT, 0);
		assert_int_equal(value_of(group) & 0xffff, 0);
		assert_true((value_of(group) >> 16 & PACKET_FANOUT_FLAG_UNIQUEID) != 0);
		assert_int_equal(getsockopt(done[i].fd, SOL_PACKET, PACKET_FANOUT, &numbers[i],
		    &len), 0);
	}
	assert_int_not_equal(numbers[0] & 0xffff, numbers[1] & 0xffff);
	close(done[0].fd);
	close(done[1].fd);
}

static struct tpacket_req3
ring_request(unsigned nth)
{
	struct tpacket_req3 req;

	memcpy(&req, calls[position(SOL_PACKET, PACKET_RX_RING, nth)].value, sizeof(req));
	return req;
}

static void
a_ring_is_what_the_kernel_asks_for(void **state)
{
	static const uint64_t sizes[] = { PRIV_MIN_RING, PRIV_MIN_RING + 1, 3 << 20, 5000001,
	    16 << 20 };
	struct priv_open_done done;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct tpacket_req3 req;

		assert_int_equal(open_veth(sizes[i], false, &done, &err), E_OK);
		req = ring_request(0);
		assert_int_equal(req.tp_block_size % (unsigned)sysconf(_SC_PAGESIZE), 0);
		assert_int_equal(req.tp_frame_size % TPACKET_ALIGNMENT, 0);
		assert_int_equal(req.tp_block_size % req.tp_frame_size, 0);
		assert_int_equal(req.tp_frame_nr, req.tp_block_size / req.tp_frame_size *
		    req.tp_block_nr);
		assert_true((uint64_t)req.tp_block_size * req.tp_block_nr <= sizes[i]);
		close(done.fd);
	}
}

/* By a twentieth each time, and the size that is told is the size it got. */
static void
a_ring_too_large_for_the_memory_shrinks_a_little(void **state)
{
	enum { FAILURES = 5 };
	struct priv_open_done done;
	struct err err;
	size_t size;
	void *mem;

	(void)state;
	fail_next(SOL_PACKET, PACKET_RX_RING, FAILURES, ENOMEM);
	assert_int_equal(open_veth(32 << 20, false, &done, &err), E_OK);
	assert_int_equal(count(SOL_PACKET, PACKET_RX_RING), FAILURES + 1);
	for (unsigned i = 1; i <= FAILURES; i++) {
		struct tpacket_req3 before = ring_request(i - 1), now = ring_request(i);

		assert_true(now.tp_block_nr < before.tp_block_nr);
		assert_true(now.tp_block_nr >= before.tp_block_nr - before.tp_block_nr / 20 - 1);
		assert_int_equal(now.tp_block_size, before.tp_block_size);
	}
	assert_int_equal(done.ring.block_nr, ring_request(FAILURES).tp_block_nr);
	size = (size_t)ring_geometry_bytes(&done.ring);
	mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, done.fd, 0);
	assert_ptr_not_equal(mem, MAP_FAILED);
	munmap(mem, size);
	close(done.fd);
}

static void
without_memory_for_the_smallest_ring_it_says_so(void **state)
{
	struct priv_open_done done = { .fd = -7 };
	struct err err;

	(void)state;
	fail_next(SOL_PACKET, PACKET_RX_RING, UINT32_MAX, ENOMEM);
	assert_int_not_equal(open_veth(4 << 20, false, &done, &err), E_OK);
	fail_next(0, 0, 0, 0);
	assert_non_null(strstr(err.what, "'veth0'"));
	assert_non_null(strstr(err.what, "ring"));
	assert_int_equal(done.fd, -7);
}

/* A kernel that lacks a step is refused at that step, by name. */
static void
an_older_kernel_is_refused_politely(void **state)
{
	static const struct { int level, what; const char *step; } steps[] = {
		{ SOL_PACKET, PACKET_VERSION, "ring version 3" },
		{ SOL_PACKET, PACKET_RESERVE, "VLAN" },
		{ SOL_PACKET, PACKET_FANOUT, "fanout" },
	};
	struct priv_open_done done = { .fd = -7 };
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		fail_next(steps[i].level, steps[i].what, 1, EINVAL);
		assert_int_not_equal(open_veth(PRIV_MIN_RING, false, &done, &err), E_OK);
		assert_non_null(strstr(err.what, "'veth0'"));
		assert_non_null(strstr(err.what, steps[i].step));
		assert_int_equal(done.fd, -7);
	}
}

/* net.core.optmem_max: the sysctl is named, and nothing is left open. */
static void
a_filter_too_large_for_the_kernel_names_the_sysctl(void **state)
{
	struct priv_open_done done = { .fd = -7 };
	struct err err;

	(void)state;
	fail_next(SOL_SOCKET, SO_ATTACH_FILTER, 1, ENOMEM);
	assert_int_equal(open_veth(PRIV_MIN_RING, false, &done, &err), E_FILTER);
	assert_non_null(strstr(err.what, "net.core.optmem_max"));
	assert_int_equal(done.fd, -7);
}

/* A device that cannot be promiscuous is captured without. */
static void
without_promiscuous_mode_the_capture_goes_on_and_tells(void **state)
{
	struct priv_open_done done;
	struct err err;

	(void)state;
	fail_next(SOL_PACKET, PACKET_ADD_MEMBERSHIP, 1, EOPNOTSUPP);
	assert_int_equal(open_veth(PRIV_MIN_RING, false, &done, &err), E_OK);
	assert_false(done.is_promiscuous);
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
	if (system("ip link add veth0 type veth peer name veth1 && "
	    "ip link set veth0 up && ip link set veth1 up") != 0)
		return -1;
	bpf_link_return(&everything, 262144);
	return priv_list_open(&list_fd, &err) == E_OK ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_comes_in_before_everything_stands),
		cmocka_unit_test(everything_is_rejected_until_the_group_is_joined),
		cmocka_unit_test(the_number_of_a_group_is_the_kernels_choice),
		cmocka_unit_test(a_ring_is_what_the_kernel_asks_for),
		cmocka_unit_test(a_ring_too_large_for_the_memory_shrinks_a_little),
		cmocka_unit_test(without_memory_for_the_smallest_ring_it_says_so),
		cmocka_unit_test(an_older_kernel_is_refused_politely),
		cmocka_unit_test(a_filter_too_large_for_the_kernel_names_the_sysctl),
		cmocka_unit_test(without_promiscuous_mode_the_capture_goes_on_and_tells),
	};

	return cmocka_run_group_tests_name("server/priv_open, calls", tests, set_up, NULL);
}
