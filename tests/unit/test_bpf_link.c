/* common/bpf_link: the whole answers as its parts, and as over a file. */
#include "tests/unit/bpf_lab.h"

#include "common/bpf_link.h"

#define ANC(x)	((uint32_t)SKF_AD_OFF + (x))
#define STMT(code, k)	{ code, 0, 0, k }

static void
append_ok(struct bpf_prog *prog, const struct bpf_prog *part)
{
	assert_int_equal(bpf_link_append(prog, part->insns, part->n), E_OK);
	assert_int_equal(bpf_prog_check(prog->insns, prog->n, NULL), E_OK);
}

/* --- arithmetic --- */

/* 1 shifted to the left by the first byte, plus that byte. */
static const struct bpf_insn_raw shift_by_byte[] = {
	STMT(BPF_LD | BPF_B | BPF_ABS, 0), STMT(BPF_MISC | BPF_TAX, 0), STMT(BPF_LD | BPF_IMM, 1),
	STMT(BPF_ALU | BPF_LSH | BPF_X, 0), STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
	STMT(BPF_RET | BPF_A, 0),
};

static void
a_shift_by_32_and_more_leaves_nothing(void **state)
{
	const struct lab_frame short_one = { .len = 1, .data = { 31 } };
	const struct lab_frame long_one = { .len = 1, .data = { 33 } };
	const struct bpf_aux aux = { .net_offset = 0 };
	struct bpf_prog prog = { .n = ARRAY_LEN(shift_by_byte) };

	(void)state;
	memcpy(prog.insns, shift_by_byte, sizeof(shift_by_byte));
	assert_int_equal(lab_run(&prog, &long_one, &aux), 2 + 33);
	assert_int_equal(bpf_link_offline(&prog), E_OK);
	assert_int_equal(bpf_prog_check(prog.insns, prog.n, NULL), E_OK);
	assert_int_equal(lab_run(&prog, &short_one, &aux), (1U << 31) + 31);
	assert_int_equal(lab_run(&prog, &long_one, &aux), 0 + 33);
}

static void
a_shift_that_is_always_short_stays_as_it_is(void **state)
{
	struct bpf_prog prog, rewritten;

	(void)state;
	lab_compile(LAB_ETHERNET, "1 << (ether[0] & 31) > 4", &prog);
	rewritten = prog;
	assert_int_equal(bpf_link_offline(&rewritten), E_OK);
	assert_memory_equal(&rewritten, &prog, sizeof(prog));
}

/* 3 + 0xfffffffe is 1: to the kernel an offset like any other. */
static void
a_load_whose_offset_wraps_or_is_negative_rejects(void **state)
{
	static const struct { uint32_t x, k, want; } rows[] = {
		{ 1, 3, 7 }, { UINT32_MAX - 1, 3, 0 }, { 3, UINT32_MAX - 1, 0 },
		{ 0, UINT32_MAX, 0 }, { UINT32_MAX, 0, 0 },
	};
	const struct lab_frame frame = { .len = 8, .data = { 1, 2, 4, 5, 6, 8, 9, 9 } };
	const struct bpf_aux aux = { .net_offset = 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct bpf_prog prog = { .n = 5, .insns = {
			STMT(BPF_LD | BPF_IMM, rows[i].x), STMT(BPF_MISC | BPF_TAX, 0),
			STMT(BPF_LD | BPF_B | BPF_IND, rows[i].k),
			STMT(BPF_ALU | BPF_ADD | BPF_K, 1), STMT(BPF_RET | BPF_A, 0) } };

		assert_int_equal(lab_offline(&prog, &frame, frame.len), rows[i].want);
		assert_int_equal(bpf_link_offline(&prog), E_OK);
		assert_int_equal(bpf_prog_check(prog.insns, prog.n, NULL), E_OK);
		assert_int_equal(lab_run(&prog, &frame, &aux), rows[i].want);
	}
}

static void
a_long_shift_without_a_free_scratch_word_is_refused(void **state)
{
	struct bpf_prog prog = lab_crowd(shift_by_byte, ARRAY_LEN(shift_by_byte) - 1, 0);
	struct bpf_prog before = prog;

	(void)state;
	assert_int_equal(bpf_link_offline(&prog), E_FILTER);
	assert_memory_equal(&prog, &before, sizeof(prog));
	before = prog = lab_crowd(shift_by_byte, ARRAY_LEN(shift_by_byte) - 1, 1);
	assert_int_equal(bpf_link_offline(&prog), E_OK);
	for (size_t i = 0; i < LAB_N_ETHERNET; i++) {
		struct lab_frame f = lab_ethernet(i);

		assert_int_equal(lab_run(&prog, &f, NULL), lab_offline(&before, &f, f.len));
	}
}

/* --- joining --- */

static void
joined_parts_answer_as_the_parts_do(void **state)
{
	static const char *const texts[] = { "udp", "not port 53", "ip or arp", "vlan and udp",
	    "greater 50", "ip[ip[0] & 0xf] * 2 - 3 > 5", "ether[10:4] > 4", "host 10.0.0.1" };

	(void)state;
	for (size_t e = 0; e < ARRAY_LEN(texts) * ARRAY_LEN(texts); e++) {
		struct bpf_prog first, second, third, joined = { .n = 0 };

		lab_compile(LAB_ETHERNET, texts[e / ARRAY_LEN(texts)], &first);
		lab_compile(LAB_ETHERNET, texts[e % ARRAY_LEN(texts)], &second);
		lab_compile(LAB_ETHERNET, "not icmp", &third);
		assert_int_equal(bpf_link_vlan(&second, NULL), E_OK);
		assert_int_equal(bpf_link_cap(&third, 77), E_OK);
		append_ok(&joined, &first);
		append_ok(&joined, &second);
		append_ok(&joined, &third);
		for (size_t i = 0; i < LAB_N_ETHERNET; i++) {
			const struct bpf_aux aux = { .has_vlan = true, .vlan_tpid = 0x8100 };
			struct lab_frame f = lab_ethernet(i);
			bool is_wanted = lab_run(&first, &f, &aux) != 0 &&
			    lab_run(&second, &f, &aux) != 0;

			assert_int_equal(lab_run(&joined, &f, &aux),
			    is_wanted ? lab_run(&third, &f, &aux) : 0);
		}
	}
}

static void
a_part_starts_with_empty_registers(void **state)
{
	static const struct bpf_insn_raw dirt[] = {
		STMT(BPF_LD | BPF_IMM, 5), STMT(BPF_LDX | BPF_IMM, 6), STMT(BPF_RET, 1),
	};
	static const struct bpf_insn_raw reads_a[] = {
		STMT(BPF_ALU | BPF_ADD | BPF_K, 3), STMT(BPF_RET | BPF_A, 0),
	};
	static const struct bpf_insn_raw reads_x[] = {
		STMT(BPF_MISC | BPF_TXA, 0), STMT(BPF_ALU | BPF_OR | BPF_K, 8),
		STMT(BPF_RET | BPF_A, 0),
	};
	static const struct bpf_insn_raw reads_x_on_one_path[] = {
		STMT(BPF_LD | BPF_LEN, 0), { BPF_JMP | BPF_JGT | BPF_K, 0, 1, 90 },
		STMT(BPF_LDX | BPF_IMM, 1), STMT(BPF_LD | BPF_B | BPF_IND, 0),
		STMT(BPF_RET | BPF_A, 0),
	};
	static const uint8_t data[100] = { 40, 41, 42 };
	struct bpf_prog prog = { .n = 0 };

	(void)state;
	assert_int_equal(bpf_link_append(&prog, dirt, 3), E_OK);
	assert_int_equal(bpf_link_append(&prog, reads_a, 2), E_OK);
	assert_int_equal(bpf_prog_run(prog.insns, prog.n, data, 100, 100, NULL), 3);

	prog.n = 0;
	assert_int_equal(bpf_link_append(&prog, dirt, 3), E_OK);
	assert_int_equal(bpf_link_append(&prog, reads_x, 3), E_OK);
	assert_int_equal(bpf_prog_run(prog.insns, prog.n, data, 100, 100, NULL), 8);

	prog.n = 0;
	assert_int_equal(bpf_link_append(&prog, dirt, 3), E_OK);
	assert_int_equal(bpf_link_append(&prog, reads_x_on_one_path, 5), E_OK);
	assert_int_equal(bpf_prog_run(prog.insns, prog.n, data, 50, 50, NULL), 40);
	assert_int_equal(bpf_prog_run(prog.insns, prog.n, data, 100, 100, NULL), 41);
}

static void
a_computed_return_decides_and_is_capped(void **state)
{
	static const struct bpf_insn_raw first_byte[] = {
		STMT(BPF_LD | BPF_B | BPF_ABS, 0), STMT(BPF_RET | BPF_A, 0),
	};
	static const struct bpf_insn_raw second_byte[] = {
		STMT(BPF_LD | BPF_B | BPF_ABS, 1), STMT(BPF_RET | BPF_A, 0),
	};
	static const uint8_t rows[][3] = {	/* first, second, answer */
		{ 0, 5, 0 }, { 1, 0, 0 }, { 1, 5, 5 }, { 200, 99, 99 }, { 1, 100, 100 },
		{ 1, 101, 100 }, { 1, 255, 100 },
	};
	struct bpf_prog prog = { .n = 0 };

	(void)state;
	assert_int_equal(bpf_link_append(&prog, first_byte, 2), E_OK);
	assert_int_equal(bpf_link_append(&prog, second_byte, 2), E_OK);
	assert_int_equal(bpf_link_cap(&prog, 100), E_OK);
	assert_int_equal(bpf_prog_check(prog.insns, prog.n, NULL), E_OK);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(bpf_prog_run(prog.insns, prog.n, rows[i], 2, 2, NULL), rows[i][2]);
}

static void
a_cap_lowers_returns_and_never_raises_them(void **state)
{
	struct bpf_prog prog = { .n = 0 };

	(void)state;
	bpf_link_return(&prog, 262144);
	assert_int_equal(bpf_link_cap(&prog, 96), E_OK);
	assert_int_equal(prog.n, 1);
	assert_int_equal(prog.insns[0].k, 96);
	assert_int_equal(bpf_link_cap(&prog, 1000), E_OK);
	assert_int_equal(prog.insns[0].k, 96);
	bpf_link_return(&prog, 0);
	assert_int_equal(bpf_link_cap(&prog, 96), E_OK);
	assert_int_equal(prog.insns[0].k, 0);
}

/* --- reach --- */

/*
 * Compares the first byte with each value; every test jumps to a return of
 * its own at the other end, as far as a conditional jump can.
 */
static void
make_long_jumps(struct bpf_prog *prog, uint16_t ret_code)
{
	enum { N = 120 };

	prog->n = 0;
	prog->insns[prog->n++] = (struct bpf_insn_raw)STMT(BPF_LD | BPF_B | BPF_ABS, 0);
	for (uint32_t i = 0; i < N; i++)
		prog->insns[prog->n++] = (struct bpf_insn_raw){ BPF_JMP | BPF_JEQ | BPF_K,
		    (uint8_t)(N - 1 - i + 1 + i), 0, i };
	prog->insns[prog->n++] = (struct bpf_insn_raw)STMT(BPF_RET, 0);
	for (uint32_t i = 0; i < N; i++)
		prog->insns[prog->n++] = (struct bpf_insn_raw)STMT(ret_code, i % 3);
}

static void
jumps_that_outgrow_their_reach_still_arrive(void **state)
{
	static const uint16_t returns[] = { BPF_RET | BPF_K, BPF_RET | BPF_A };
	struct lab_kernel k = lab_kernel_open();

	(void)state;
	for (size_t r = 0; r < ARRAY_LEN(returns); r++) {
		struct bpf_prog part, prog = { .n = 0 };

		make_long_jumps(&part, returns[r]);
		assert_int_equal(bpf_prog_check(part.insns, part.n, NULL), E_OK);
		for (int i = 0; i < 4; i++)
			append_ok(&prog, &part);
		assert_int_equal(bpf_link_cap(&prog, 2), E_OK);
		assert_int_equal(bpf_prog_check(prog.insns, prog.n, NULL), E_OK);
		assert_true(lab_kernel_attach(&k, prog.insns, prog.n));
		for (unsigned v = 0; v < 256; v++) {
			const uint8_t data[4] = { (uint8_t)v };
			uint32_t want = bpf_prog_run(part.insns, part.n, data, 4, 4, NULL);

			if (want > 2)
				want = 2;
			assert_int_equal(bpf_prog_run(prog.insns, prog.n, data, 4, 4, NULL), want);
			assert_int_equal(lab_kernel_run(&k, data, 4), want);
		}
	}
	lab_kernel_close(&k);
}

static void
a_filter_of_many_ports_joins_and_answers(void **state)
{
	static char text[4096];
	size_t len = 0;
	struct bpf_prog part, prog = { .n = 0 };

	(void)state;
	for (unsigned i = 0; i < 80; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%sport %u",
		    i == 0 ? "" : " or ", 1000 + 7 * i);
	len += (size_t)snprintf(text + len, sizeof(text) - len, " or port 53");
	lab_compile(LAB_ETHERNET, text, &part);
	assert_true(part.n > 256);
	append_ok(&prog, &part);
	assert_int_equal(bpf_link_vlan(&part, NULL), E_OK);
	append_ok(&prog, &part);
	append_ok(&prog, &part);
	for (size_t i = 0; i < LAB_N_ETHERNET; i++) {
		struct lab_frame f = lab_ethernet(i);

		assert_int_equal(lab_run(&prog, &f, NULL), lab_run(&part, &f, NULL));
	}
}

static void
what_does_not_fit_is_refused_and_leaves_the_program(void **state)
{
	static struct bpf_prog part, prog, before;

	(void)state;
	part.n = 3000;
	for (uint32_t i = 0; i < part.n; i++)
		part.insns[i] = (struct bpf_insn_raw)STMT(BPF_LD | BPF_H | BPF_ABS, 12);
	part.insns[part.n - 1] = (struct bpf_insn_raw)STMT(BPF_RET, 1);
	assert_int_equal(bpf_link_append(&prog, part.insns, part.n), E_OK);
	before = prog;
	assert_int_equal(bpf_link_append(&prog, part.insns, part.n), E_TOOBIG);
	assert_memory_equal(&prog, &before, sizeof(prog));
	assert_int_equal(bpf_link_vlan(&prog, NULL), E_TOOBIG);
	assert_memory_equal(&prog, &before, sizeof(prog));

	/* Just enough: the first part's return costs nothing. */
	assert_int_equal(bpf_link_append(&prog, part.insns + part.n - 1097, 1097), E_OK);
	assert_int_equal(prog.n, BPF_PROG_MAX);
	before = prog;
	assert_int_equal(bpf_link_append(&prog, part.insns + part.n - 2, 2), E_TOOBIG);
	assert_memory_equal(&prog, &before, sizeof(prog));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_shift_by_32_and_more_leaves_nothing),
		cmocka_unit_test(a_shift_that_is_always_short_stays_as_it_is),
		cmocka_unit_test(a_load_whose_offset_wraps_or_is_negative_rejects),
		cmocka_unit_test(a_long_shift_without_a_free_scratch_word_is_refused),
		cmocka_unit_test(joined_parts_answer_as_the_parts_do),
		cmocka_unit_test(a_part_starts_with_empty_registers),
		cmocka_unit_test(a_computed_return_decides_and_is_capped),
		cmocka_unit_test(a_cap_lowers_returns_and_never_raises_them),
		cmocka_unit_test(jumps_that_outgrow_their_reach_still_arrive),
		cmocka_unit_test(a_filter_of_many_ports_joins_and_answers),
		cmocka_unit_test(what_does_not_fit_is_refused_and_leaves_the_program),
	};

	return cmocka_run_group_tests_name("common/bpf_link", tests, NULL, NULL);
}
