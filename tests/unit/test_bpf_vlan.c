/* common/bpf_vlan: programs that answer as if a stripped tag were in place. */
#include "tests/unit/bpf_lab.h"

#include "common/bpf_link.h"

#define STMT(code, k)	{ code, 0, 0, k }

static const char *const ethernet_expressions[] = {
	"", "udp", "tcp", "arp", "ip6", "udp port 53", "port 53", "not udp", "vlan", "not vlan",
	"vlan 5", "vlan 100", "vlan and udp", "vlan 5 and udp port 53", "vlan and ip6",
	"vlan and arp", "vlan 100 and vlan 5", "vlan 100 and vlan 5 and udp", "vlan or udp",
	"udp or (vlan and udp)", "ether proto 0x8100", "ether proto 0x88a8", "not ether proto 0x8100",
	"ether broadcast", "ether multicast", "ether host 02:00:00:00:00:01", "ether[0] & 1 = 0",
	"greater 60", "less 60", "greater 68", "len = 46 or len = 50", "len - 4 = 42",
	"ether[10:4] & 0xffff = 0x8100", "ether[11:4] & 0xffffff = 0x810000", "ether[12:4] > 7",
	"ether[13:2] = 0x60", "ether[13:4] & 0xff = 8", "ether[14:2] & 0xfff = 5",
	"ether[14:2] >> 13 = 3", "ether[14] = 0x60 and ether[15] = 5", "ether[15:2] = 0x508",
	"ether[14:4] = 0x60050800", "ether[16:2] = 0x800", "ether[9:4] & 0xff = 0x81",
	"ether[ether[19] & 31] = 0x81", "ether[ether[16] + 4:4] = 0x81006005",
	"ether[ether[20] - 60 + ether[3]:2] > 4", "ether[(ether[14] & 15) + 8:4] > 1000",
	"ip[ip[0] & 0xf] * 2 - 3 > 5", "vlan and ip[2:2] = 32", "vlan and udp[8:4]=0x61626364",
	"vlan and tcp[tcpflags] & tcp-syn != 0", "vlan and portrange 50-60", "mpls",
	"ether[len - 4] = 0x61", "ether[(len & 1) + 11:4] != ether[(len & 3) + 9:4]",
	"1 << ether[5] >= 2", "ether[0:4] >> ether[5] = 0", "not 1 << udp[1] > 16",
	"vlan and 1 << ether[5] << ether[19] > ether[0]", "(len << ether[5]) >> ether[0] > len",
	"ether[20:2] != 0 and ether[10:4] & 0xffff != 7 and ether[22:2] > 3 and ether[24] != 9",
	"ether[0] + ether[13] + ether[14:4] * ether[ether[1]:2] & 3 != len & 3",
};

struct tagging { uint16_t outer, outer_tci, inner, inner_tci; };

/* Priority 3, which shows when a byte of the tag is left out. */
static const struct tagging taggings[] = {
	{ 0, 0, 0, 0 }, { 0x8100, 0x6005, 0, 0 }, { 0x8100, 0, 0, 0 },
	{ 0x88a8, 0x6064, 0x8100, 5 }, { 0x9100, 100, 0, 0 }, { 0x8100, 5, 0x8100, 5 },
};

/* The frame as a file has it, and as the kernel's filter sees it. */
static void
make_views(size_t i, const struct tagging *t, struct lab_frame *ret_file,
    struct lab_frame *ret_kernel, struct bpf_aux *ret_aux)
{
	struct lab_frame f = lab_ethernet(i);

	if (t->inner != 0)
		f = lab_tag(&f, t->inner, t->inner_tci);
	*ret_kernel = f;
	*ret_aux = (struct bpf_aux){ .net_offset = 14 };
	if (t->outer != 0) {
		ret_aux->has_vlan = true;
		ret_aux->vlan_tpid = t->outer;
		ret_aux->vlan_tci = t->outer_tci;
		f = lab_tag(&f, t->outer, t->outer_tci);
	}
	*ret_file = f;
}

static void
append_ok(struct bpf_prog *prog, const struct bpf_prog *part)
{
	assert_int_equal(bpf_link_append(prog, part->insns, part->n), E_OK);
	assert_int_equal(bpf_prog_check(prog->insns, prog->n, NULL), E_OK);
}

/* --- both forms --- */

static int
link_two(struct bpf_prog *prog)
{
	return bpf_link_vlan(prog, NULL);
}

static int (*const forms[])(struct bpf_prog *) = { link_two, bpf_link_vlan_short };

static void
rewrite(size_t form, const struct bpf_prog *prog, struct bpf_prog *ret)
{
	*ret = *prog;
	assert_int_equal(forms[form](ret), E_OK);
	assert_int_equal(bpf_prog_check(ret->insns, ret->n, NULL), E_OK);
}

/* --- the stripped tag --- */

static void
assert_rewritten_answers_as_over_a_file(const char *text, const struct bpf_prog *prog,
    const struct bpf_prog *rewritten)
{
	struct lab_frame file, kernel;
	struct bpf_aux aux;

	for (size_t i = 0; i < LAB_N_ETHERNET; i++) {
		for (size_t t = 0; t < ARRAY_LEN(taggings); t++) {
			make_views(i, &taggings[t], &file, &kernel, &aux);
			if (lab_offline(prog, &file, file.len) != lab_run(rewritten, &kernel, &aux))
				fail_msg("'%s' on %s, tagging %zu: not %u", text, file.name, t,
				    lab_offline(prog, &file, file.len));
		}
	}
}

static void
a_rewritten_program_answers_as_if_the_tag_were_in_place(void **state)
{
	(void)state;
	for (size_t e = 0; e < 2 * ARRAY_LEN(ethernet_expressions); e++) {
		const char *text = ethernet_expressions[e / 2];
		struct bpf_prog prog, rewritten;

		lab_compile(LAB_ETHERNET, text, &prog);
		rewrite(e % 2, &prog, &rewritten);
		assert_rewritten_answers_as_over_a_file(text, &prog, &rewritten);
	}
}

/* Otherwise the test above would pass without a rewrite. */
static void
without_the_rewrite_tagged_frames_get_other_answers(void **state)
{
	unsigned n_wrong = 0;

	(void)state;
	for (size_t e = 0; e < ARRAY_LEN(ethernet_expressions); e++) {
		struct lab_frame file, kernel;
		struct bpf_prog prog;
		struct bpf_aux aux;
		bool is_wrong = false;

		lab_compile(LAB_ETHERNET, ethernet_expressions[e], &prog);
		for (size_t i = 0; i < LAB_N_ETHERNET; i++) {
			make_views(i, &taggings[1], &file, &kernel, &aux);
			is_wrong |= lab_offline(&prog, &file, file.len) !=
			    lab_run(&prog, &kernel, &aux);
		}
		n_wrong += is_wrong;
	}
	assert_true(n_wrong > 30);
}

static void
a_program_that_reads_addresses_only_stays_as_it_is(void **state)
{
	struct bpf_prog prog, rewritten;

	(void)state;
	lab_compile(LAB_ETHERNET, "ether host 02:00:00:00:00:01", &prog);
	rewritten = prog;
	assert_int_equal(bpf_link_vlan(&rewritten, NULL), E_OK);
	assert_int_equal(rewritten.n, prog.n);
	assert_memory_equal(rewritten.insns, prog.insns, prog.n * sizeof(prog.insns[0]));
}

static void
a_rewrite_without_a_free_scratch_word_is_refused(void **state)
{
	/* A word across the tag's start needs X as a second register. */
	static const struct bpf_insn_raw body[] = {
		STMT(BPF_LDX | BPF_IMM, 9), STMT(BPF_LD | BPF_W | BPF_ABS, 10),
		STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
	};
	struct bpf_prog prog = lab_crowd(body, ARRAY_LEN(body), 0), before = prog;

	(void)state;
	for (size_t form = 0; form < ARRAY_LEN(forms); form++) {
		assert_int_equal(forms[form](&prog), E_FILTER);
		assert_memory_equal(&prog, &before, sizeof(prog));
	}

	/* With one word that nobody reads any more it is exact. */
	before = lab_crowd(body, ARRAY_LEN(body), 1);
	rewrite(0, &before, &prog);
	assert_rewritten_answers_as_over_a_file("word at 10", &before, &prog);
}

/* --- what cannot happen to a packet with a tag --- */

static void
what_tagged_packets_never_run_is_left_out(void **state)
{
	struct bpf_prog prog, rewritten;

	(void)state;
	lab_compile(LAB_ETHERNET, "udp port 53 or tcp portrange 80-90 or src host 10.0.0.1", &prog);
	rewrite(0, &prog, &rewritten);
	assert_true(rewritten.n < prog.n + 8);
	lab_compile(LAB_ETHERNET, "vlan and udp port 53", &prog);
	rewrite(0, &prog, &rewritten);
	assert_true(rewritten.n > 2 * prog.n - 8);
}

/* What is compared is the Ethernet type on one path only. */
static void
what_may_be_another_value_is_compared(void **state)
{
	const struct bpf_prog prog = { .n = 8, .insns = {
		STMT(BPF_LD | BPF_B | BPF_ABS, 0),
		{ BPF_JMP | BPF_JEQ | BPF_K, 0, 2, 2 },
		STMT(BPF_LD | BPF_IMM, 0x800),
		STMT(BPF_JMP | BPF_JA, 1),
		STMT(BPF_LD | BPF_H | BPF_ABS, 12),
		{ BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0x800 },
		STMT(BPF_RET | BPF_K, 3),
		STMT(BPF_RET | BPF_K, 4),
	} };
	struct bpf_prog rewritten;

	(void)state;
	rewrite(0, &prog, &rewritten);
	assert_rewritten_answers_as_over_a_file("crafted", &prog, &rewritten);
}

/*
 * Behind the return, the kernel takes the word as not written: only the jump
 * that no tagged packet reaches tells it better.
 */
static void
what_the_kernel_would_refuse_without_it_stays(void **state)
{
	const struct bpf_prog prog = { .n = 9, .insns = {
		STMT(BPF_LD | BPF_H | BPF_ABS, 12),
		{ BPF_JMP | BPF_JEQ | BPF_K, 0, 2, 0x8100 },
		STMT(BPF_ST, 0),
		{ BPF_JMP | BPF_JEQ | BPF_K, 1, 2, 0x800 },
		STMT(BPF_RET | BPF_K, 0),
		STMT(BPF_JMP | BPF_JA, 2),
		STMT(BPF_LD | BPF_MEM, 0),
		STMT(BPF_RET | BPF_A, 0),
		STMT(BPF_RET | BPF_K, 7),
	} };
	struct bpf_prog rewritten;

	(void)state;
	assert_int_equal(bpf_prog_check(prog.insns, prog.n, NULL), E_OK);
	rewrite(0, &prog, &rewritten);
	assert_rewritten_answers_as_over_a_file("crafted", &prog, &rewritten);
}

/* --- random programs --- */

static void
random_programs_are_rewritten_exactly(void **state)
{
	uint64_t seed = 0x853c49e6748fea9bU;
	unsigned n_tried = 0, n_alive = 0;

	(void)state;
	for (unsigned round = 0; round < 6000; round++) {
		struct bpf_prog prog, rewritten[ARRAY_LEN(forms)];
		struct lab_frame file, kernel;
		struct bpf_aux aux;

		lab_random_program(&seed, 28, &prog);
		if (bpf_prog_check(prog.insns, prog.n, NULL) != E_OK)
			continue;
		for (size_t form = 0; form < ARRAY_LEN(forms); form++)
			rewrite(form, &prog, &rewritten[form]);
		n_tried++;
		for (size_t i = 0; i < LAB_N_ETHERNET; i++) {
			uint32_t want;

			make_views(i, &taggings[round % ARRAY_LEN(taggings)], &file, &kernel, &aux);
			want = lab_offline(&prog, &file, file.len);
			n_alive += want != 0;
			for (size_t form = 0; form < ARRAY_LEN(forms); form++)
				if (lab_run(&rewritten[form], &kernel, &aux) != want)
					fail_msg("round %u, frame %zu, form %zu: not %u", round, i,
					    form, want);
		}
	}
	assert_true(n_tried > 1000);
	assert_true(n_alive > n_tried);
}

/* --- the kernel --- */

static void
the_kernel_takes_linked_programs_and_agrees(void **state)
{
	struct lab_kernel k = lab_kernel_open();

	(void)state;
	for (size_t e = 0; e < ARRAY_LEN(ethernet_expressions); e++) {
		struct bpf_prog part, fitted, prog = { .n = 0 };

		lab_compile(LAB_ETHERNET, ethernet_expressions[e], &part);
		append_ok(&prog, &part);
		for (size_t form = 0; form < ARRAY_LEN(forms); form++) {
			rewrite(form, &part, &fitted);
			append_ok(&prog, &fitted);
		}
		assert_int_equal(bpf_link_cap(&prog, 40), E_OK);
		if (!lab_kernel_attach(&k, prog.insns, prog.n))
			fail_msg("'%s': refused", ethernet_expressions[e]);
		for (size_t i = 0; i < LAB_N_ETHERNET; i++) {
			struct lab_frame f = lab_ethernet(i);

			assert_int_equal(lab_kernel_run(&k, f.data, f.len),
			    lab_run(&prog, &f, NULL));
		}
	}
	lab_kernel_close(&k);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rewritten_program_answers_as_if_the_tag_were_in_place),
		cmocka_unit_test(without_the_rewrite_tagged_frames_get_other_answers),
		cmocka_unit_test(a_program_that_reads_addresses_only_stays_as_it_is),
		cmocka_unit_test(a_rewrite_without_a_free_scratch_word_is_refused),
		cmocka_unit_test(what_tagged_packets_never_run_is_left_out),
		cmocka_unit_test(what_may_be_another_value_is_compared),
		cmocka_unit_test(what_the_kernel_would_refuse_without_it_stays),
		cmocka_unit_test(random_programs_are_rewritten_exactly),
		cmocka_unit_test(the_kernel_takes_linked_programs_and_agrees),
	};

	return cmocka_run_group_tests_name("common/bpf_vlan", tests, NULL, NULL);
}
