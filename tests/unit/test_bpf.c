/* common/bpf: the same answer as the kernel and libpcap, and the same refusals. */
#include "tests/unit/bpf_lab.h"

#include <stdlib.h>

#include "common/err.h"

#define ANC(x)	((uint32_t)SKF_AD_OFF + (x))
#define NET(x)	((uint32_t)SKF_NET_OFF + (x))
#define STMT(code, k)	{ code, 0, 0, k }

static const char *const ethernet_expressions[] = {
	"", "udp", "tcp", "ip", "ip6", "arp", "ether proto 0x86dd", "ether broadcast",
	"ether multicast", "udp port 53", "port 53", "dst port 53", "portrange 50-60",
	"src port 5353", "udp[8:4]=0x61626364", "host 10.0.0.2", "src net 10.0.0.0/24",
	"tcp[tcpflags] & tcp-syn != 0", "tcp port 80", "ip[6:2] & 0x1fff != 0",
	"icmp[icmptype]=icmp-echo", "ip proto 17", "vlan", "vlan 5", "vlan and udp",
	"vlan 100 and vlan 5 and udp", "udp or (vlan and udp)", "not udp", "vlan or udp",
	"ether host 02:00:00:00:00:01", "less 60", "greater 60", "len <= 46", "mpls",
	"ip[ip[0] & 0xf] * 2 - 3 > 5", "udp[ip[3] / 4] | 7 = 7", "ether[0] % 3 = 2",
	"icmp6", "ether[12:2] = 0x800 and ether[14] ^ 0x40 = 5",
};

static const char *const raw_expressions[] = {
	"udp", "tcp", "ip", "ip6", "udp port 53", "host 10.0.0.2", "less 33", "icmp",
	"portrange 50-60", "ip[8] < 65", "tcp[13] = 2", "greater 46", "not udp",
};

static const char *const cooked_expressions[] = {
	"udp", "inbound", "outbound", "ifindex 3", "ifindex 7", "ifindex 3 and udp port 53",
	"ether proto 0x800", "link[10]=4", "greater 53", "arp", "ip6", "host 10.0.0.1",
};

/* At every captured length, so that each load is also tried out of range. */
static void
assert_as_libpcap(int dlt, const char *text, const struct lab_frame *f)
{
	struct bpf_prog prog;
	struct err err;

	lab_compile(dlt, text, &prog);
	if (bpf_prog_check(prog.insns, prog.n, &err) != E_OK)
		fail_msg("'%s': %s", text, err.what);
	for (uint32_t caplen = 0; caplen <= f->len; caplen++) {
		uint32_t want = lab_offline(&prog, f, caplen);
		uint32_t got = bpf_prog_run(prog.insns, prog.n, f->data, caplen, f->len, NULL);

		if (want != got)
			fail_msg("'%s' on %s, %u of %u bytes: %u, libpcap %u", text, f->name,
			    caplen, f->len, got, want);
	}
}

static void
ethernet_programs_answer_as_libpcap_does(void **state)
{
	(void)state;
	for (size_t e = 0; e < ARRAY_LEN(ethernet_expressions); e++) {
		for (size_t i = 0; i < LAB_N_ETHERNET; i++) {
			struct lab_frame f = lab_ethernet(i), tagged = lab_tag(&f, 0x8100, 5);
			struct lab_frame twice = lab_tag(&tagged, 0x88a8, 100);

			assert_as_libpcap(LAB_ETHERNET, ethernet_expressions[e], &f);
			assert_as_libpcap(LAB_ETHERNET, ethernet_expressions[e], &tagged);
			assert_as_libpcap(LAB_ETHERNET, ethernet_expressions[e], &twice);
		}
	}
}

static void
raw_and_cooked_programs_answer_as_libpcap_does(void **state)
{
	(void)state;
	for (size_t i = 0; i < LAB_N_ETHERNET; i++) {
		struct lab_frame f = lab_ethernet(i), raw = lab_strip(&f, 14);
		struct lab_frame in = lab_cook(&f, 3, 0), out = lab_cook(&f, 7, 4);

		for (size_t e = 0; e < ARRAY_LEN(raw_expressions); e++)
			assert_as_libpcap(LAB_RAW, raw_expressions[e], &raw);
		for (size_t e = 0; e < ARRAY_LEN(cooked_expressions); e++) {
			assert_as_libpcap(LAB_COOKED, cooked_expressions[e], &in);
			assert_as_libpcap(LAB_COOKED, cooked_expressions[e], &out);
		}
	}
}

/* A captured TCP segment, cut at 40 bytes, whose header says 91. */
static void
the_cut_loopback_segment_matches_as_documented(void **state)
{
	static const struct { const char *text; bool matches; } rows[] = {
		{ "src port 445 and src net 127.0.0.0/8", true }, { "port 445", true },
		{ "dst port 45182", true }, { "tcp[13]=0x18", true }, { "ip[2:2]=91", true },
		{ "greater 91", true }, { "less 91", true }, { "not port 9443", true },
		{ "tcp[tcpflags] & tcp-push != 0", true }, { "ether proto 0x800", true },
		{ "dst port 445", false }, { "udp", false }, { "ip6", false },
		{ "tcp[20]=0", false }, { "tcp[28]=0", false },
	};
	struct lab_frame f = { .name = "segment" };
	struct bpf_prog prog;

	(void)state;
	f.len = lab_from_hex("4500005b7e1f40004006be7b7f0000017f00000101bdb07ee52351d3e567cecf"
	    "80180182fe4f0000", f.data);
	assert_int_equal(f.len, 40);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		lab_compile(LAB_RAW, rows[i].text, &prog);
		assert_int_equal(bpf_prog_run(prog.insns, prog.n, f.data, 40, 91, NULL),
		    rows[i].matches ? 262144 : 0);
	}
}

static void
ancillary_loads_answer_from_the_metadata(void **state)
{
	static const struct bpf_aux aux = {
		.protocol = 0x800, .packet_type = 4, .ifindex = 70000, .has_vlan = true,
		.vlan_tci = 0x6005, .vlan_tpid = 0x88a8, .mark = 0xfeedbeef, .queue = 3,
		.rxhash = 0x12345678, .random = 99, .hatype = 772, .net_offset = 4,
	};
	static const struct { uint32_t k, want; } rows[] = {
		{ ANC(SKF_AD_PROTOCOL), 0x800 }, { ANC(SKF_AD_PKTTYPE), 4 },
		{ ANC(SKF_AD_IFINDEX), 70000 }, { ANC(SKF_AD_MARK), 0xfeedbeef },
		{ ANC(SKF_AD_QUEUE), 3 }, { ANC(SKF_AD_HATYPE), 772 },
		{ ANC(SKF_AD_RXHASH), 0x12345678 }, { ANC(SKF_AD_RANDOM), 99 },
		{ ANC(SKF_AD_VLAN_TAG), 0x6005 }, { ANC(SKF_AD_VLAN_TAG_PRESENT), 1 },
		{ ANC(SKF_AD_VLAN_TPID), 0x88a8 },
		{ NET(0), 0x55 }, { NET(3), 0x88 }, { NET(4), 0 },	/* 0: out of range */
		{ (uint32_t)SKF_LL_OFF, 0x11 }, { (uint32_t)SKF_LL_OFF + 7, 0x88 },
		{ (uint32_t)SKF_LL_OFF - 1, 0 }, { 0x7fffffff, 0 },
	};
	static const uint8_t data[] = { 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct bpf_insn_raw insns[] = {
			STMT(BPF_LD | BPF_B | BPF_ABS, rows[i].k), STMT(BPF_RET | BPF_A, 0),
		};

		assert_int_equal(bpf_prog_run(insns, 2, data, sizeof(data), 100, &aux),
		    rows[i].want);
	}
}

/* --- refusals --- */

struct refusal {
	const char	*what;
	size_t		 n;
	struct bpf_insn_raw insns[4];
};

static const struct refusal refusals[] = {
	{ "instruction 0: unknown operation", 2, { STMT(0xffff, 0), STMT(BPF_RET, 1) } },
	{ "instruction 0: unknown operation", 2,	/* RET X */
	    { STMT(BPF_RET | BPF_X, 0), STMT(BPF_RET, 1) } },
	{ "instruction 0: unknown operation", 2,	/* a halfword of the length */
	    { STMT(BPF_LD | BPF_H | BPF_LEN, 0), STMT(BPF_RET, 1) } },
	{ "instruction 0: division by zero", 2,
	    { STMT(BPF_ALU | BPF_DIV | BPF_K, 0), STMT(BPF_RET, 1) } },
	{ "instruction 0: division by zero", 2,
	    { STMT(BPF_ALU | BPF_MOD | BPF_K, 0), STMT(BPF_RET, 1) } },
	{ "instruction 0: shift by more than 31", 2,
	    { STMT(BPF_ALU | BPF_LSH | BPF_K, 32), STMT(BPF_RET, 1) } },
	{ "instruction 1: no such scratch word", 3,
	    { STMT(BPF_ST, 15), STMT(BPF_STX, 16), STMT(BPF_RET, 1) } },
	{ "instruction 0: scratch word read before it is written", 2,
	    { STMT(BPF_LD | BPF_MEM, 0), STMT(BPF_RET, 1) } },
	{ "instruction 2: scratch word read before it is written", 4,	/* on one path */
	    { { BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0 }, STMT(BPF_ST, 3),
	    STMT(BPF_LDX | BPF_MEM, 3), STMT(BPF_RET, 1) } },
	{ "instruction 0: unknown ancillary load", 2,
	    { STMT(BPF_LD | BPF_W | BPF_ABS, ANC(64)), STMT(BPF_RET, 1) } },
	{ "instruction 0: unknown ancillary load", 2,
	    { STMT(BPF_LD | BPF_W | BPF_ABS, ANC(1)), STMT(BPF_RET, 1) } },
	{ "instruction 0: jump out of the program", 2,
	    { STMT(BPF_JMP | BPF_JA, 1), STMT(BPF_RET, 1) } },
	{ "instruction 0: jump out of the program", 2,		/* backward */
	    { STMT(BPF_JMP | BPF_JA, UINT32_MAX), STMT(BPF_RET, 1) } },
	{ "instruction 1: jump out of the program", 3,
	    { STMT(BPF_LD | BPF_IMM, 1), { BPF_JMP | BPF_JGT | BPF_X, 0, 1, 7 },
	    STMT(BPF_RET, 1) } },
	{ "instruction 1: the last instruction is no return", 2,
	    { STMT(BPF_RET, 1), STMT(BPF_LD | BPF_IMM, 1) } },
};

static void
what_the_kernel_refuses_is_refused_with_the_place(void **state)
{
	struct lab_kernel k = lab_kernel_open();
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		const struct refusal *r = &refusals[i];

		assert_int_equal(bpf_prog_check(r->insns, r->n, &err), E_FILTER);
		assert_non_null(strstr(err.what, r->what));
		assert_false(lab_kernel_attach(&k, r->insns, r->n));
	}
	lab_kernel_close(&k);
}

static void
empty_and_too_long_programs_are_refused(void **state)
{
	static struct bpf_insn_raw insns[BPF_PROG_MAX + 1];
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(insns); i++)
		insns[i].code = BPF_RET;
	assert_int_equal(bpf_prog_check(insns, 0, &err), E_FILTER);
	assert_int_equal(bpf_prog_check(insns, BPF_PROG_MAX, &err), E_OK);
	assert_int_equal(bpf_prog_check(insns, BPF_PROG_MAX + 1, &err), E_FILTER);
	assert_string_equal(err.what, "filter: 4097 instructions: more than 4096");
}

/* --- random programs --- */

/* Often valid, often nearly so. */
static void
make_random_insn(uint64_t *seed, size_t left, struct bpf_insn_raw *ret)
{
	static const uint32_t ks[] = { 0, 1, 3, 15, 16, 31, 32, UINT32_MAX, ANC(0), ANC(4),
	    ANC(48), ANC(63), NET(0), (uint32_t)SKF_LL_OFF, 0x7fffffff, 0x80000000 };
	uint32_t r = lab_random(seed);

	ret->code = lab_codes[r % ARRAY_LEN(lab_codes)];
	ret->k = (r >> 8) % 4 == 0 ? ks[(r >> 10) % ARRAY_LEN(ks)] : (r >> 10) % 16;
	if (BPF_CLASS(ret->code) == BPF_JMP)
		ret->k = lab_random(seed) % (uint32_t)left;
	ret->jt = (uint8_t)((r >> 16) % left);
	ret->jf = (uint8_t)((r >> 24) % left);
	if ((r >> 4) % 64 == 0)		/* flip a bit of the code */
		ret->code ^= (uint16_t)(1U << lab_random(seed) % 16);
}

static size_t
make_random_program(uint64_t *seed, struct bpf_insn_raw insns[static 16])
{
	size_t n = 1 + lab_random(seed) % 15;

	for (size_t i = 0; i < n; i++)
		make_random_insn(seed, n - i, &insns[i]);
	if (lab_random(seed) % 16 != 0)
		insns[n - 1] = (struct bpf_insn_raw){ .code = BPF_RET, .k = lab_random(seed) };
	return n;
}

/*
 * A heap buffer of the exact length, so that ASan sees a load beyond it.
 * Attaching runs everything the kernel's two checks look at, and both must
 * agree with ours; the programs are too small for the kernel's other limits
 * (its memory for options, the reach of jumps of translated programs).
 */
static void
random_programs_are_judged_as_the_kernel_judges_them(void **state)
{
	struct lab_kernel k = lab_kernel_open();
	uint64_t seed = 0x2545f4914f6cdd1dU;
	unsigned n_valid = 0, n_rounds = 20000;
	uint8_t *data = malloc(40);

	(void)state;
	for (int i = 0; i < 40; i++)
		data[i] = (uint8_t)(i * 7);
	for (unsigned round = 0; round < n_rounds; round++) {
		struct bpf_insn_raw insns[16];
		size_t n = make_random_program(&seed, insns);
		bool is_valid = bpf_prog_check(insns, n, NULL) == E_OK;

		if (is_valid != lab_kernel_attach(&k, insns, n))
			fail_msg("round %u: we say %d", round, is_valid);
		if (is_valid)
			bpf_prog_run(insns, n, data, 40, 44, NULL);
		n_valid += is_valid;
	}
	assert_in_range(n_valid, n_rounds / 20, n_rounds - n_rounds / 20);
	free(data);
	lab_kernel_close(&k);
}

static void
libpcap_programs_with_flipped_bits_are_judged_as_the_kernel_judges_them(void **state)
{
	struct lab_kernel k = lab_kernel_open();
	uint64_t seed = 88172645463325252U;
	struct bpf_prog prog, bent;
	struct lab_frame f = lab_ethernet(1);

	(void)state;
	lab_compile(LAB_ETHERNET, "tcp port 443 or (vlan 5 and ip[ip[0] & 15] > 3)", &prog);
	for (unsigned round = 0; round < 5000; round++) {
		uint32_t r = lab_random(&seed);
		bool is_valid;

		bent = prog;
		((uint8_t *)bent.insns)[r / 8 % (prog.n * sizeof(prog.insns[0]))] ^=
		    (uint8_t)(1U << r % 8);
		is_valid = bpf_prog_check(bent.insns, bent.n, NULL) == E_OK;
		if (is_valid != lab_kernel_attach(&k, bent.insns, bent.n))
			fail_msg("round %u: we say %d", round, is_valid);
		if (is_valid)
			lab_run(&bent, &f, NULL);
	}
	lab_kernel_close(&k);
}

/* --- the kernel's verdicts --- */

static void
the_kernel_and_we_keep_the_same_bytes(void **state)
{
	struct lab_kernel k = lab_kernel_open();
	struct bpf_prog prog;

	(void)state;
	for (size_t e = 0; e < ARRAY_LEN(ethernet_expressions); e++) {
		lab_compile(LAB_ETHERNET, ethernet_expressions[e], &prog);
		assert_true(lab_kernel_attach(&k, prog.insns, prog.n));
		for (size_t i = 0; i < LAB_N_ETHERNET; i++) {
			struct lab_frame f = lab_ethernet(i);
			uint32_t keep = lab_run(&prog, &f, NULL);

			assert_int_equal(lab_kernel_run(&k, f.data, f.len),
			    keep < f.len ? keep : f.len);
		}
	}
	lab_kernel_close(&k);
}

/*
 * Straight-line arithmetic on packet bytes.  The kernel's answer is seen as
 * a length, so the program returns some bits of A, plus one.
 */
static size_t
make_arithmetic(uint64_t *seed, struct bpf_insn_raw insns[static 40])
{
	static const uint16_t ops[] = { BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_OR, BPF_AND,
	    BPF_LSH, BPF_RSH, BPF_NEG, BPF_MOD, BPF_XOR };
	size_t n = 0;

	insns[n++] = (struct bpf_insn_raw)STMT(BPF_LD | BPF_W | BPF_ABS, lab_random(seed) % 60);
	insns[n++] = (struct bpf_insn_raw)STMT(BPF_LDX | BPF_B | BPF_MSH, lab_random(seed) % 60);
	for (int i = 0; i < 10; i++) {
		uint16_t op = ops[lab_random(seed) % ARRAY_LEN(ops)];
		uint32_t k = lab_random(seed) >> lab_random(seed) % 32;
		bool uses_x = op != BPF_NEG && lab_random(seed) % 2 == 0;

		if (op == BPF_LSH || op == BPF_RSH)
			k %= 32;
		if ((op == BPF_DIV || op == BPF_MOD) && k == 0)
			k = 3;
		insns[n++] = (struct bpf_insn_raw)STMT(
		    (uint16_t)(BPF_ALU | op | (uses_x ? BPF_X : BPF_K)), k);
		if (lab_random(seed) % 4 == 0)
			insns[n++] = (struct bpf_insn_raw)STMT(BPF_MISC | BPF_TAX, 0);
		if (lab_random(seed) % 4 == 0)
			insns[n++] = (struct bpf_insn_raw)STMT(BPF_LD | BPF_B | BPF_IND,
			    lab_random(seed) % 8);
	}
	insns[n++] = (struct bpf_insn_raw)STMT(BPF_ALU | BPF_RSH | BPF_K, lab_random(seed) % 26);
	insns[n++] = (struct bpf_insn_raw)STMT(BPF_ALU | BPF_AND | BPF_K, 0x3f);
	insns[n++] = (struct bpf_insn_raw)STMT(BPF_ALU | BPF_ADD | BPF_K, 1);
	insns[n++] = (struct bpf_insn_raw)STMT(BPF_RET | BPF_A, 0);
	return n;
}

static void
random_arithmetic_ends_as_in_the_kernel(void **state)
{
	struct lab_kernel k = lab_kernel_open();
	uint64_t seed = 0x9e3779b97f4a7c15U;
	unsigned n_kept = 0, n_rounds = 4000;

	(void)state;
	for (unsigned round = 0; round < n_rounds; round++) {
		struct bpf_insn_raw insns[40];
		size_t n = make_arithmetic(&seed, insns);
		uint8_t data[64];
		uint32_t want;

		for (size_t i = 0; i < sizeof(data); i++)
			data[i] = (uint8_t)lab_random(&seed);
		assert_int_equal(bpf_prog_check(insns, n, NULL), E_OK);
		assert_true(lab_kernel_attach(&k, insns, n));
		want = lab_kernel_run(&k, data, sizeof(data));
		if (bpf_prog_run(insns, n, data, sizeof(data), sizeof(data), NULL) != want)
			fail_msg("round %u: not the kernel's answer %u", round, want);
		n_kept += want != 0;
	}
	assert_true(n_kept > n_rounds / 10);
	lab_kernel_close(&k);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ethernet_programs_answer_as_libpcap_does),
		cmocka_unit_test(raw_and_cooked_programs_answer_as_libpcap_does),
		cmocka_unit_test(the_cut_loopback_segment_matches_as_documented),
		cmocka_unit_test(ancillary_loads_answer_from_the_metadata),
		cmocka_unit_test(what_the_kernel_refuses_is_refused_with_the_place),
		cmocka_unit_test(empty_and_too_long_programs_are_refused),
		cmocka_unit_test(random_programs_are_judged_as_the_kernel_judges_them),
		cmocka_unit_test(
		    libpcap_programs_with_flipped_bits_are_judged_as_the_kernel_judges_them),
		cmocka_unit_test(the_kernel_and_we_keep_the_same_bytes),
		cmocka_unit_test(random_arithmetic_ends_as_in_the_kernel),
	};

	return cmocka_run_group_tests_name("common/bpf", tests, NULL, NULL);
}
