/*
 * server/plan_probe: the program accepts exactly the tagged packets that a
 * filter judges otherwise with the tag in place, by libpcap's word.
 */
#include "bpf_lab.h"

#include "common/err.h"
#include "server/plan_probe.h"

static const char *const filters[] = {
	"udp", "not udp", "udp port 53", "arp", "ip host 10.0.0.1", "ip6", "tcp[13] & 2 != 0",
	"greater 50", "less 46", "ether multicast", "ether src 02:00:00:00:00:01", "ip or arp",
	"vlan 5 and udp", "ether proto 0x8100", "ip[2:2] > 40", "icmp or (udp and not port 53)",
};

/* A register that is still set, or scratch words, must not reach the next copy. */
static void
the_difference_is_found_and_nothing_else(void **state)
{
	static struct bpf_prog filter, probe;
	unsigned n_different = 0, n_same = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
		lab_compile(LAB_ETHERNET, filters[i], &filter);
		assert_int_equal(plan_probe_program(filter.insns, filter.n, &probe), E_OK);
		assert_int_equal(bpf_prog_check(probe.insns, probe.n, NULL), E_OK);
		for (size_t k = 0; k < LAB_N_ETHERNET; k++) {
			struct lab_frame f = lab_ethernet(k), tagged = lab_tag(&f, 0x8100, 5);
			const struct bpf_aux aux = { .has_vlan = true, .vlan_tci = 5,
			    .vlan_tpid = 0x8100 }, none = { .has_vlan = false };
			bool is_different = (lab_offline(&filter, &f, f.len) != 0) !=
			    (lab_offline(&filter, &tagged, tagged.len) != 0);

			if ((lab_run(&probe, &f, &aux) != 0) != is_different)
				fail_msg("%s, %s", filters[i], f.name);
			assert_int_equal(lab_run(&probe, &f, &none), 0);
			n_different += is_different;
			n_same += !is_different;
		}
	}
	assert_true(n_different >= 20 && n_same >= 20);
}

static void
returns_of_what_a_program_computes_count_too(void **state)
{
	/* Keeps as many bytes as the type field says: 0 for a type of 0. */
	static const struct bpf_insn_raw computed[] = {
		{ .code = BPF_LD | BPF_H | BPF_ABS, .k = 16 },
		{ .code = BPF_ALU | BPF_AND | BPF_K, .k = 0xff00 },
		{ .code = BPF_RET | BPF_A },
	};
	const struct bpf_aux aux = { .has_vlan = true, .vlan_tci = 5, .vlan_tpid = 0x8100 };
	static struct bpf_prog probe;
	struct lab_frame f = lab_ethernet(0);

	(void)state;
	assert_int_equal(plan_probe_program(computed, ARRAY_LEN(computed), &probe), E_OK);
	/* At 16 is the IPv4 length, 0x0020; with the tag in place the type, 0x0800. */
	assert_int_not_equal(lab_run(&probe, &f, &aux), 0);
	f.data[16] = 1;
	assert_int_equal(lab_run(&probe, &f, &aux), 0);
}

static void
a_filter_that_does_not_fit_three_times_is_refused(void **state)
{
	static struct bpf_insn_raw insns[BPF_PROG_MAX];
	static struct bpf_prog probe = { .n = 77 };

	(void)state;
	for (size_t i = 0; i + 1 < BPF_PROG_MAX; i++)
		insns[i] = (struct bpf_insn_raw){ .code = BPF_LD | BPF_H | BPF_ABS, .k = 16 };
	insns[BPF_PROG_MAX - 1] = (struct bpf_insn_raw){ .code = BPF_RET | BPF_A };
	assert_int_equal(plan_probe_program(insns, BPF_PROG_MAX, &probe), E_TOOBIG);
	assert_int_equal(probe.n, 77);
	assert_int_equal(plan_probe_program(insns + BPF_PROG_MAX - 700, 700, &probe), E_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_difference_is_found_and_nothing_else),
		cmocka_unit_test(returns_of_what_a_program_computes_count_too),
		cmocka_unit_test(a_filter_that_does_not_fit_three_times_is_refused),
	};

	return cmocka_run_group_tests_name("server/plan_probe", tests, NULL, NULL);
}
