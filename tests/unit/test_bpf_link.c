/* common/bpf_link: the whole answers as its parts, and as over a file. */
#include "tests/unit/bpf_lab.h"

#include <stdlib.h>

#include "common/bpf_link.h"

#define ANC(x)	((uint32_t)SKF_AD_OFF + (x))
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
	for (size_t e = 0; e < ARRAY_LEN(ethernet_expressions); e++) {
		struct bpf_prog prog, rewritten;

		lab_compile(LAB_ETHERNET, ethernet_expressions[e], &prog);
		rewritten = prog;
		assert_int_equal(bpf_link_vlan(&rewritten, NULL), E_OK);
		assert_int_equal(bpf_prog_check(rewritten.insns, rewritten.n, NULL), E_OK);
		assert_rewritten_answers_as_over_a_file(ethernet_expressions[e], &prog,
		    &rewritten);
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

/* All sixteen scratch words are written before body, and from word first on read behind it. */
static struct bpf_prog
crowd(const struct bpf_insn_raw *body, size_t n, uint32_t first)
{
	struct bpf_prog prog = { .n = 0 };

	for (uint32_t i = 0; i < BPF_MEMWORDS; i++)
		prog.insns[prog.n++] = (struct bpf_insn_raw)STMT(BPF_ST, i);
	memcpy(&prog.insns[prog.n], body, n * sizeof(body[0]));
	prog.n += (uint32_t)n;
	for (uint32_t i = first; i < BPF_MEMWORDS; i++) {
		prog.insns[prog.n++] = (struct bpf_insn_raw)STMT(BPF_LDX | BPF_MEM, i);
		prog.insns[prog.n++] = (struct bpf_insn_raw)STMT(BPF_ALU | BPF_ADD | BPF_X, 0);
	}
	prog.insns[prog.n++] = (struct bpf_insn_raw)STMT(BPF_RET | BPF_A, 0);
	assert_int_equal(bpf_prog_check(prog.insns, prog.n, NULL), E_OK);
	return prog;
}

static void
a_rewrite_without_a_free_scratch_word_is_refused(void **state)
{
	/* A word across the tag's start needs X as a second register. */
	static const struct bpf_insn_raw body[] = {
		STMT(BPF_LDX | BPF_IMM, 9), STMT(BPF_LD | BPF_W | BPF_ABS, 10),
		STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
	};
	struct bpf_prog prog = crowd(body, ARRAY_LEN(body), 0), before = prog;

	(void)state;
	assert_int_equal(bpf_link_vlan(&prog, NULL), E_FILTER);
	assert_memory_equal(&prog, &before, sizeof(prog));

	/* With one word that nobody reads any more it is exact. */
	before = prog = crowd(body, ARRAY_LEN(body), 1);
	assert_int_equal(bpf_link_vlan(&prog, NULL), E_OK);
	assert_int_equal(bpf_prog_check(prog.insns, prog.n, NULL), E_OK);
	assert_rewritten_answers_as_over_a_file("word at 10", &before, &prog);
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
	struct bpf_prog prog = crowd(shift_by_byte, ARRAY_LEN(shift_by_byte) - 1, 0);
	struct bpf_prog before = prog;

	(void)state;
	assert_int_equal(bpf_link_offline(&prog), E_FILTER);
	assert_memory_equal(&prog, &before, sizeof(prog));
	before = prog = crowd(shift_by_byte, ARRAY_LEN(shift_by_byte) - 1, 1);
	assert_int_equal(bpf_link_offline(&prog), E_OK);
	assert_rewritten_answers_as_over_a_file("shift", &before, &prog);
}

/* --- random programs --- */

static void
random_programs_are_rewritten_exactly(void **state)
{
	uint64_t seed = 0x853c49e6748fea9bU;
	unsigned n_tried = 0, n_alive = 0;

	(void)state;
	for (unsigned round = 0; round < 6000; round++) {
		struct bpf_prog prog, rewritten;
		struct lab_frame file, kernel;
		struct bpf_aux aux;

		lab_random_program(&seed, 28, &prog);
		if (bpf_prog_check(prog.insns, prog.n, NULL) != E_OK)
			continue;
		rewritten = prog;
		assert_int_equal(bpf_link_vlan(&rewritten, NULL), E_OK);
		assert_int_equal(bpf_prog_check(rewritten.insns, rewritten.n, NULL), E_OK);
		n_tried++;
		for (size_t i = 0; i < LAB_N_ETHERNET; i++) {
			uint32_t want;

			make_views(i, &taggings[round % ARRAY_LEN(taggings)], &file, &kernel, &aux);
			want = lab_offline(&prog, &file, file.len);
			n_alive += want != 0;
			if (lab_run(&rewritten, &kernel, &aux) != want)
				fail_msg("round %u, frame %zu: not %u", round, i, want);
		}
	}
	assert_true(n_tried > 1000);
	assert_true(n_alive > n_tried);
}

/* --- cooked sockets --- */

static const char *const cooked_expressions[] = {
	"", "udp", "tcp", "arp", "ip6", "inbound", "outbound", "ifindex 3", "ifindex 70000",
	"ifindex 3 and udp port 53", "ether proto 0x800", "link[10]=4", "greater 53", "less 66",
	"len = 52", "host 10.0.0.1", "portrange 50-60", "icmp", "link[0:2] = 0x86dd",
	"link[0] = 8 and link[1] = 6", "link[1:2] = 0", "link[2:2] = 0", "link[3:4] = 3 << 8",
	"link[4:4] = 70000", "link[6:2] = 3", "link[8:2] = 1", "link[7:2] = 0x300",
	"link[9:2] = 0x104", "link[18:4] = 3", "ip[ip[0] & 0xf] * 2 - 3 > 5",
	"link[ip[9] & 7] = 3", "tcp[tcpflags] & tcp-syn != 0",
};

static void
assert_cooked_answers_as_over_a_file(const char *text, const struct bpf_prog *prog,
    const struct bpf_prog *rewritten)
{
	static const struct { uint32_t ifindex; uint8_t type; } rows[] = { { 3, 0 }, { 70000, 4 } };

	for (size_t i = 0; i < LAB_N_ETHERNET; i++) {
		for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
			struct lab_frame f = lab_ethernet(i), ip = lab_strip(&f, 14);
			struct lab_frame file = lab_cook(&f, rows[r].ifindex, rows[r].type);
			const struct bpf_aux aux = { .packet_type = rows[r].type, .hatype = 1,
			    .protocol = (uint16_t)(f.data[12] << 8 | f.data[13]),
			    .ifindex = rows[r].ifindex };

			if (lab_offline(prog, &file, file.len) != lab_run(rewritten, &ip, &aux))
				fail_msg("'%s' on %s, row %zu: not %u", text, f.name, r,
				    lab_offline(prog, &file, file.len));
		}
	}
}

static void
a_cooked_program_answers_without_the_header(void **state)
{
	(void)state;
	for (size_t e = 0; e < ARRAY_LEN(cooked_expressions); e++) {
		struct bpf_prog prog, rewritten;
		int code;

		lab_compile(LAB_COOKED, cooked_expressions[e], &prog);
		rewritten = prog;
		code = bpf_link_cooked(&rewritten, 276);
		/* The one that reads the address's last bytes. */
		if (strcmp(cooked_expressions[e], "link[18:4] = 3") == 0) {
			assert_int_equal(code, E_FILTER);
			continue;
		}
		assert_int_equal(code, E_OK);
		assert_int_equal(bpf_prog_check(rewritten.insns, rewritten.n, NULL), E_OK);
		assert_cooked_answers_as_over_a_file(cooked_expressions[e], &prog, &rewritten);
	}
}

static void
the_address_in_a_cooked_header_cannot_be_read(void **state)
{
	static const char *const texts[] = { "link[11] = 6", "link[12:4] = 0x02000000",
	    "link[10:2] = 6", "link[8:4] = 0x10006", "link[ip[0]] = 2" };

	(void)state;
	for (size_t e = 0; e < ARRAY_LEN(texts); e++) {
		struct bpf_prog prog, before;

		lab_compile(LAB_COOKED, texts[e], &prog);
		before = prog;
		assert_int_equal(bpf_link_cooked(&prog, 276), E_FILTER);
		assert_memory_equal(&prog, &before, sizeof(prog));
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

/* --- the kernel --- */

static void
the_kernel_takes_linked_programs_and_agrees(void **state)
{
	struct lab_kernel k = lab_kernel_open();

	(void)state;
	for (size_t e = 0; e < ARRAY_LEN(ethernet_expressions); e++) {
		struct bpf_prog part, prog = { .n = 0 };

		lab_compile(LAB_ETHERNET, ethernet_expressions[e], &part);
		append_ok(&prog, &part);
		assert_int_equal(bpf_link_vlan(&part, NULL), E_OK);
		append_ok(&prog, &part);
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
		cmocka_unit_test(a_shift_by_32_and_more_leaves_nothing),
		cmocka_unit_test(a_shift_that_is_always_short_stays_as_it_is),
		cmocka_unit_test(a_load_whose_offset_wraps_or_is_negative_rejects),
		cmocka_unit_test(a_long_shift_without_a_free_scratch_word_is_refused),
		cmocka_unit_test(random_programs_are_rewritten_exactly),
		cmocka_unit_test(a_cooked_program_answers_without_the_header),
		cmocka_unit_test(the_address_in_a_cooked_header_cannot_be_read),
		cmocka_unit_test(joined_parts_answer_as_the_parts_do),
		cmocka_unit_test(a_part_starts_with_empty_registers),
		cmocka_unit_test(a_computed_return_decides_and_is_capped),
		cmocka_unit_test(a_cap_lowers_returns_and_never_raises_them),
		cmocka_unit_test(jumps_that_outgrow_their_reach_still_arrive),
		cmocka_unit_test(a_filter_of_many_ports_joins_and_answers),
		cmocka_unit_test(what_does_not_fit_is_refused_and_leaves_the_program),
		cmocka_unit_test(the_kernel_takes_linked_programs_and_agrees),
	};

	return cmocka_run_group_tests_name("common/bpf_link", tests, NULL, NULL);
}
