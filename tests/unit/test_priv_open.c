/* server/priv_open: ring geometry and the linked filter, without a kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <linux/filter.h>

#include <cmocka.h>

#include "common/bpf_link.h"
#include "server/priv_list.h"
#include "server/priv_open.h"

static struct ring_geometry
geometry(uint64_t bytes, uint32_t snaplen)
{
	struct ring_geometry g;

	assert_int_equal(ring_geometry_make(bytes, snaplen, 0, &g), E_OK);
	return g;
}

static void
the_default_ring_has_128_blocks_for_the_largest_packets(void **state)
{
	struct ring_geometry g = geometry(64 << 20, 262144);

	(void)state;
	assert_int_equal(g.block_size, 512 << 10);
	assert_int_equal(g.block_nr, 128);
	assert_int_equal(g.retire_ms, 2);
}

static void
blocks_are_no_larger_than_the_interface_can_need(void **state)
{
	struct ring_geometry g;

	(void)state;
	assert_int_equal(ring_geometry_make(64 << 20, 262144, 65536, &g), E_OK);
	assert_int_equal(g.block_size, 128 << 10);
	assert_int_equal(ring_geometry_make(64 << 20, 262144, 200000, &g), E_OK);
	assert_int_equal(g.block_size, 256 << 10);
	assert_int_equal(ring_geometry_make(64 << 20, 96, 200000, &g), E_OK);
	assert_int_equal(g.block_size, 128 << 10);
}

static void
every_ring_keeps_its_promises(void **state)
{
	static const uint64_t sizes[] = {
		PRIV_MIN_RING, PRIV_MIN_RING + 1, 3000000, 4 << 20, 16 << 20, 64 << 20,
		(uint64_t)1 << 30, PRIV_MAX_RING,
	};
	static const uint32_t snaplens[] = { 1, 64, 1500, 65535, 126976, 126977, 262144 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		for (size_t k = 0; k < ARRAY_LEN(snaplens); k++) {
			struct ring_geometry g = geometry(sizes[i], snaplens[k]);

			assert_true(g.block_size >= 128 << 10);
			assert_int_equal(g.block_size & (g.block_size - 1), 0);
			assert_true(g.block_size >= snaplens[k] + 4096);
			assert_true(ring_geometry_bytes(&g) <= sizes[i]);
			assert_true(ring_geometry_bytes(&g) + g.block_size > sizes[i]);
			assert_in_range(g.retire_ms, 2, 64);
			assert_true(g.block_nr * g.retire_ms >= 250);
		}
	}
}

static void
a_ring_below_the_minimum_is_refused(void **state)
{
	struct ring_geometry g = { .block_nr = 7 };

	(void)state;
	assert_int_equal(ring_geometry_make(PRIV_MIN_RING - 1, 1, 0, &g), E_LIMIT);
	assert_int_equal(g.block_nr, 7);
}

static void
shrinking_ends_at_the_minimum_with_the_pause_kept(void **state)
{
	struct ring_geometry g = geometry(64 << 20, 262144);
	uint64_t before = ring_geometry_bytes(&g);
	unsigned steps = 0;

	(void)state;
	while (ring_geometry_shrink(&g)) {
		assert_true(ring_geometry_bytes(&g) < before);
		assert_true(ring_geometry_bytes(&g) >= PRIV_MIN_RING);
		assert_true(g.block_nr * g.retire_ms >= 250);
		before = ring_geometry_bytes(&g);
		steps++;
	}
	assert_int_equal(before, PRIV_MIN_RING);
	assert_in_range(steps, 10, 100);
}

/* --- the filter --- */

static struct priv_program child;
static struct bpf_prog mandatory, linked;

static uint32_t
run(const uint8_t *data, uint32_t len)
{
	static const struct bpf_aux aux;

	return bpf_prog_run(linked.insns, linked.n, data, len, len, &aux);
}

static void
set_child(const struct bpf_insn_raw *insns, uint32_t n)
{
	memset(&child, 0, sizeof(child));
	child.n_insns = n;
	memcpy(child.insns, insns, n * sizeof(insns[0]));
}

static const struct bpf_insn_raw accept_all[] = {
	{ BPF_RET | BPF_K, 0, 0, UINT32_MAX },
};
/* Frames whose first byte is 7. */
static const struct bpf_insn_raw first_is_7[] = {
	{ BPF_LD | BPF_B | BPF_ABS, 0, 0, 0 },
	{ BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 7 },
	{ BPF_RET | BPF_K, 0, 0, 262144 },
	{ BPF_RET | BPF_K, 0, 0, 0 },
};

static void
no_return_of_the_child_keeps_more_than_the_snaplen(void **state)
{
	static const struct bpf_insn_raw by_length[] = {
		{ BPF_LD | BPF_W | BPF_LEN, 0, 0, 0 },
		{ BPF_RET | BPF_A, 0, 0, 0 },
	};
	static const uint8_t data[200] = { 7 };
	struct err err;

	(void)state;
	mandatory.n = 0;
	set_child(accept_all, ARRAY_LEN(accept_all));
	assert_int_equal(priv_open_link(&mandatory, &child, 96, &linked, &err), E_OK);
	assert_int_equal(run(data, sizeof(data)), 96);
	set_child(by_length, ARRAY_LEN(by_length));
	assert_int_equal(priv_open_link(&mandatory, &child, 96, &linked, &err), E_OK);
	assert_int_equal(run(data, sizeof(data)), 96);
	assert_int_equal(run(data, 50), 50);
}

static void
the_child_cannot_get_past_the_mandatory_filter(void **state)
{
	static const uint8_t seven[60] = { 7 }, eight[60] = { 8 };
	struct err err;

	(void)state;
	mandatory.n = ARRAY_LEN(first_is_7);
	memcpy(mandatory.insns, first_is_7, sizeof(first_is_7));
	set_child(accept_all, ARRAY_LEN(accept_all));
	assert_int_equal(priv_open_link(&mandatory, &child, 262144, &linked, &err), E_OK);
	assert_int_equal(run(seven, 60), 262144);
	assert_int_equal(run(eight, 60), 0);
	assert_int_equal(mandatory.n, ARRAY_LEN(first_is_7));
}

static void
what_the_checker_refuses_is_an_ordinary_error(void **state)
{
	static const struct bpf_insn_raw bad[][1] = {
		{ { BPF_LD | BPF_IMM, 0, 0, 0 } },		/* no return */
		{ { BPF_JMP | BPF_JA, 0, 0, UINT32_MAX } },	/* jump out */
		{ { 0xffff, 0, 0, 0 } },
	};
	struct err err;

	(void)state;
	mandatory.n = 0;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		set_child(bad[i], 1);
		assert_int_equal(priv_open_link(&mandatory, &child, 96, &linked, &err),
		    E_FILTER);
	}
}

static void
a_program_that_does_not_fit_together_is_refused(void **state)
{
	struct err err;

	(void)state;
	mandatory.n = ARRAY_LEN(first_is_7);
	memcpy(mandatory.insns, first_is_7, sizeof(first_is_7));
	memset(&child, 0, sizeof(child));
	child.n_insns = BPF_PROG_MAX;
	for (size_t i = 0; i < BPF_PROG_MAX; i++)
		child.insns[i] = (struct bpf_insn_raw){ BPF_LD | BPF_IMM, 0, 0, 0 };
	child.insns[BPF_PROG_MAX - 1] = accept_all[0];
	assert_int_equal(priv_open_link(&mandatory, &child, 96, &linked, &err), E_FILTER);
	assert_non_null(strstr(err.what, "longer"));
}

static bool
permit_lo(const char *name, void *arg)
{
	(void)arg;
	return strcmp(name, "lo") == 0;
}

static void
the_loopback_interface_is_listed_and_found(void **state)
{
	struct priv_interface list[PRIV_LIST_COUNT], lo;
	uint32_t n = 0, next = 7;
	struct err err;
	int fd;

	(void)state;
	assert_int_equal(priv_list_open(&fd, &err), E_OK);
	assert_int_equal(priv_list_page(fd, 0, permit_lo, NULL, list, &n, &next, &err), E_OK);
	assert_int_equal(n, 1);
	assert_int_equal(next, 0);
	assert_string_equal(list[0].name, "lo");
	assert_int_equal(list[0].link_type, LINK_ETHERNET);
	assert_int_equal(priv_list_get(fd, list[0].index, &lo, &err), E_OK);
	assert_string_equal(lo.name, "lo");
	assert_int_equal(priv_list_page(fd, list[0].index + 1, permit_lo, NULL, list, &n,
	    &next, &err), E_OK);
	assert_int_equal(n, 0);
	assert_int_equal(priv_list_get(fd, INT32_MAX, &lo, &err), E_NOIFACE);
	/* The failed question has left nothing behind that a later one reads. */
	assert_int_equal(priv_list_get(fd, lo.index, &lo, &err), E_OK);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_default_ring_has_128_blocks_for_the_largest_packets),
		cmocka_unit_test(blocks_are_no_larger_than_the_interface_can_need),
		cmocka_unit_test(every_ring_keeps_its_promises),
		cmocka_unit_test(a_ring_below_the_minimum_is_refused),
		cmocka_unit_test(shrinking_ends_at_the_minimum_with_the_pause_kept),
		cmocka_unit_test(no_return_of_the_child_keeps_more_than_the_snaplen),
		cmocka_unit_test(the_child_cannot_get_past_the_mandatory_filter),
		cmocka_unit_test(what_the_checker_refuses_is_an_ordinary_error),
		cmocka_unit_test(a_program_that_does_not_fit_together_is_refused),
		cmocka_unit_test(the_loopback_interface_is_listed_and_found),
	};

	return cmocka_run_group_tests_name("server/priv_open", tests, NULL, NULL);
}
