/* common/bpf_run: libpcap's arithmetic, and what a cut packet leaves open. */
#include "tests/unit/bpf_lab.h"

#include <stdlib.h>

enum { ROUNDS = 20000 };

/* On a heap buffer of the exact length, so that ASan sees a load beyond it. */
static uint32_t
judge(const struct bpf_prog *prog, const struct lab_frame *f, uint32_t caplen, bool is_offline,
    const struct bpf_aux *aux, bool *ret_is_cut)
{
	uint8_t *data = malloc(caplen + 1);
	struct bpf_view view = { .data = data, .caplen = caplen, .len = f->len,
	    .aux = aux, .is_offline = is_offline };
	uint32_t answer;

	assert_non_null(data);
	memcpy(data, f->data, caplen);
	answer = bpf_prog_judge(prog->insns, prog->n, &view, ret_is_cut);
	free(data);
	return answer;
}

static struct lab_frame
random_frame(uint64_t *seed)
{
	struct lab_frame f = { .len = 1 + lab_random(seed) % 60 };

	for (uint32_t i = 0; i < f.len; i++)
		f.data[i] = (uint8_t)(lab_random(seed) >> lab_random(seed) % 8);
	return f;
}

/* One that bpf_prog_check() accepts; it may be nonsense otherwise. */
static void
valid_program(uint64_t *seed, struct bpf_prog *ret_prog)
{
	do
		lab_random_program(seed, 40, ret_prog);
	while (bpf_prog_check(ret_prog->insns, ret_prog->n, NULL) != E_OK);
}

static void
over_a_file_programs_answer_as_libpcap_does(void **state)
{
	static struct bpf_prog prog;
	uint64_t seed = 0x6c62272e07bb0142U;
	unsigned n_alive = 0, n_other = 0;
	bool is_cut;

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct lab_frame f = random_frame(&seed);
		uint32_t caplen = round % 2 == 0 ? f.len : lab_random(&seed) % (f.len + 1);
		uint32_t want;

		valid_program(&seed, &prog);
		want = lab_offline(&prog, &f, caplen);
		if (judge(&prog, &f, caplen, true, NULL, &is_cut) != want)
			fail_msg("round %u: libpcap says %u", round, want);
		n_alive += want != 0;
		n_other += judge(&prog, &f, caplen, false, NULL, &is_cut) != want;
	}
	/* The two arithmetics do differ. */
	assert_true(n_alive > ROUNDS / 10 && n_other > ROUNDS / 200);
}

static void
an_answer_that_is_not_cut_is_the_one_for_the_whole_packet(void **state)
{
	static struct bpf_prog prog;
	uint64_t seed = 0xaf63bd4c8601b7dfU;
	unsigned n_cut = 0, n_certain = 0;

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct lab_frame f = random_frame(&seed);
		uint32_t caplen = lab_random(&seed) % (f.len + 1), whole, got;
		bool is_offline = round % 2 == 0, is_cut;

		valid_program(&seed, &prog);
		whole = judge(&prog, &f, f.len, is_offline, NULL, &is_cut);
		assert_false(is_cut);
		got = judge(&prog, &f, caplen, is_offline, NULL, &is_cut);
		if (got != (is_cut ? 0 : whole))
			fail_msg("round %u: %u, whole %u", round, got, whole);
		n_cut += is_cut;
		n_certain += !is_cut && caplen < f.len;
	}
	assert_true(n_cut > ROUNDS / 20 && n_certain > ROUNDS / 20);
}

/* Bytes that no packet of this length has are not missing. */
static void
a_load_behind_the_packet_is_not_cut(void **state)
{
	const struct lab_frame f = { .len = 20 };
	static const struct { uint16_t size; uint32_t at; bool want; } rows[] = {
		{ BPF_B, 9, false }, { BPF_B, 10, true }, { BPF_B, 19, true }, { BPF_B, 20, false },
		{ BPF_W, 7, true }, { BPF_W, 16, true }, { BPF_W, 17, false }, { BPF_H, 19, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct bpf_prog prog = { .n = 2, .insns = {
			{ .code = (uint16_t)(BPF_LD | rows[i].size | BPF_ABS), .k = rows[i].at },
			{ .code = BPF_RET | BPF_K, .k = 5 } } };
		bool is_cut;

		judge(&prog, &f, 10, true, NULL, &is_cut);
		assert_int_equal(is_cut, rows[i].want);
	}
}

/* What a ring tells besides the bytes is known in either arithmetic. */
static void
over_a_file_the_metadata_still_answers(void **state)
{
	const struct bpf_aux aux = { .packet_type = 4, .ifindex = 7 };
	struct lab_frame f = lab_ethernet(0);
	struct bpf_prog prog;
	bool is_cut;

	(void)state;
	lab_compile(LAB_ETHERNET, "outbound and udp", &prog);
	assert_int_equal(judge(&prog, &f, f.len, true, &aux, &is_cut), 262144);
	assert_int_equal(judge(&prog, &f, f.len, true, NULL, &is_cut), 0);
	lab_compile(LAB_ETHERNET, "inbound and udp", &prog);
	assert_int_equal(judge(&prog, &f, f.len, true, &aux, &is_cut), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(over_a_file_programs_answer_as_libpcap_does),
		cmocka_unit_test(an_answer_that_is_not_cut_is_the_one_for_the_whole_packet),
		cmocka_unit_test(a_load_behind_the_packet_is_not_cut),
		cmocka_unit_test(over_a_file_the_metadata_still_answers),
	};

	return cmocka_run_group_tests_name("common/bpf_run", tests, NULL, NULL);
}
