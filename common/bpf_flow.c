#include "common/bpf_flow.h"

#include <linux/filter.h>
#include <stdbool.h>
#include <string.h>

/* --- who reads A and X --- */

static uint8_t
regs_read_by_load(const struct bpf_insn_raw *insn)
{
	if (BPF_MODE(insn->code) == BPF_IND)
		return BPF_LIVE_X;
	if (BPF_MODE(insn->code) != BPF_ABS)
		return 0;
	switch (insn->k - (uint32_t)SKF_AD_OFF) {
	case SKF_AD_NLATTR:
	case SKF_AD_NLATTR_NEST:
	case SKF_AD_ALU_XOR_X:
		return BPF_LIVE_A | BPF_LIVE_X;
	default:
		return 0;
	}
}

static uint8_t
regs_read(const struct bpf_insn_raw *insn)
{
	uint8_t source = BPF_SRC(insn->code) == BPF_X ? BPF_LIVE_X : 0;

	switch (BPF_CLASS(insn->code)) {
	case BPF_LD:
	case BPF_LDX:
		return regs_read_by_load(insn);
	case BPF_ST:
		return BPF_LIVE_A;
	case BPF_STX:
		return BPF_LIVE_X;
	case BPF_ALU:
		return BPF_LIVE_A | source;
	case BPF_JMP:
		return BPF_OP(insn->code) == BPF_JA ? 0 : BPF_LIVE_A | source;
	case BPF_RET:
		return BPF_RVAL(insn->code) == BPF_A ? BPF_LIVE_A : 0;
	default:
		return BPF_MISCOP(insn->code) == BPF_TAX ? BPF_LIVE_A : BPF_LIVE_X;
	}
}

static uint8_t
regs_written(const struct bpf_insn_raw *insn)
{
	switch (BPF_CLASS(insn->code)) {
	case BPF_LD:
	case BPF_ALU:
		return BPF_LIVE_A;
	case BPF_LDX:
		return BPF_LIVE_X;
	case BPF_MISC:
		return BPF_MISCOP(insn->code) == BPF_TAX ? BPF_LIVE_X : BPF_LIVE_A;
	default:
		return 0;
	}
}

uint16_t
bpf_flow_live_after(const struct bpf_insn_raw *insns, size_t pc,
    const uint16_t live[static BPF_PROG_MAX])
{
	const struct bpf_insn_raw *insn = &insns[pc];

	if (BPF_CLASS(insn->code) == BPF_RET)
		return 0;
	if (BPF_CLASS(insn->code) != BPF_JMP)
		return live[pc + 1];
	if (BPF_OP(insn->code) == BPF_JA)
		return live[pc + 1 + insn->k];
	return live[pc + 1 + insn->jt] | live[pc + 1 + insn->jf];
}

void
bpf_flow_live(const struct bpf_insn_raw *insns, size_t n,
    uint16_t ret_live[static BPF_PROG_MAX])
{
	for (size_t pc = n; pc-- > 0;) {
		unsigned after = bpf_flow_live_after(insns, pc, ret_live);

		ret_live[pc] = (uint16_t)((after & ~(unsigned)regs_written(&insns[pc])) |
		    regs_read(&insns[pc]));
	}
}

/* --- how large X can be --- */

struct bounds {
	uint32_t a[BPF_PROG_MAX];
	uint32_t m[BPF_MEMWORDS];	/* of all stores so far, on any path */
};

static uint32_t
bound_of(uint64_t value)
{
	return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static uint32_t
larger(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* All ones up to the highest bit of a and b. */
static uint32_t
fill_bits(uint32_t a, uint32_t b)
{
	uint32_t v = a | b;

	for (unsigned shift = 1; shift < 32; shift *= 2)
		v |= v >> shift;
	return v;
}

static uint32_t
bound_alu(const struct bpf_insn_raw *insn, uint32_t a, uint32_t max_x)
{
	bool is_x = BPF_SRC(insn->code) == BPF_X;
	uint32_t b = is_x ? max_x : insn->k;

	switch (BPF_OP(insn->code)) {
	case BPF_ADD:
		return bound_of((uint64_t)a + b);
	case BPF_MUL:
		return bound_of((uint64_t)a * b);
	case BPF_AND:
		return a < b ? a : b;
	case BPF_OR:
	case BPF_XOR:
		return fill_bits(a, b);
	case BPF_DIV:
		return is_x ? a : a / b;
	case BPF_MOD:
		return is_x || a < b ? a : b - 1;
	case BPF_LSH:
		return is_x ? UINT32_MAX : bound_of((uint64_t)a << b);
	case BPF_RSH:
		return is_x ? a : a >> b;
	default:			/* BPF_SUB and BPF_NEG may wrap */
		return UINT32_MAX;
	}
}

static uint32_t
bound_load(const struct bounds *s, const struct bpf_insn_raw *insn)
{
	switch (BPF_MODE(insn->code)) {
	case BPF_IMM:
		return insn->k;
	case BPF_MEM:
		return s->m[insn->k];
	case BPF_MSH:
		return 4 * 0xf;
	case BPF_ABS:
		/* An ancillary load gives the whole value whatever its width. */
		if (insn->k >= (uint32_t)SKF_AD_OFF)
			return UINT32_MAX;
		break;
	case BPF_IND:
		break;
	default:
		return UINT32_MAX;
	}
	return BPF_SIZE(insn->code) == BPF_B ? UINT8_MAX :
	    BPF_SIZE(insn->code) == BPF_H ? UINT16_MAX : UINT32_MAX;
}

static void
flow_to(struct bounds *s, uint32_t max_x[static BPF_PROG_MAX], size_t pc, uint32_t a,
    uint32_t x)
{
	s->a[pc] = larger(s->a[pc], a);
	max_x[pc] = larger(max_x[pc], x);
}

static void
step(struct bounds *s, uint32_t max_x[static BPF_PROG_MAX],
    const struct bpf_insn_raw *insns, size_t pc)
{
	const struct bpf_insn_raw *insn = &insns[pc];
	uint32_t a = s->a[pc], x = max_x[pc];

	switch (BPF_CLASS(insn->code)) {
	case BPF_LD:
		a = bound_load(s, insn);
		break;
	case BPF_LDX:
		x = bound_load(s, insn);
		break;
	case BPF_ST:
		s->m[insn->k] = larger(s->m[insn->k], a);
		break;
	case BPF_STX:
		s->m[insn->k] = larger(s->m[insn->k], x);
		break;
	case BPF_ALU:
		a = bound_alu(insn, a, x);
		break;
	case BPF_MISC:
		if (BPF_MISCOP(insn->code) == BPF_TAX)
			x = a;
		else
			a = x;
		break;
	case BPF_JMP:
		if (BPF_OP(insn->code) == BPF_JA) {
			flow_to(s, max_x, pc + 1 + insn->k, a, x);
		} else {
			flow_to(s, max_x, pc + 1 + insn->jt, a, x);
			flow_to(s, max_x, pc + 1 + insn->jf, a, x);
		}
		return;
	default:			/* BPF_RET */
		return;
	}
	flow_to(s, max_x, pc + 1, a, x);
}

void
bpf_flow_max_x(const struct bpf_insn_raw *insns, size_t n,
    uint32_t ret_max[static BPF_PROG_MAX])
{
	struct bounds s;

	memset(&s, 0, sizeof(s));
	memset(ret_max, 0, n * sizeof(ret_max[0]));
	for (size_t pc = 0; pc < n; pc++)
		step(&s, ret_max, insns, pc);
}

/* --- which scratch words are free --- */

static bool
reads_word(const struct bpf_insn_raw *insn)
{
	return (BPF_CLASS(insn->code) == BPF_LD || BPF_CLASS(insn->code) == BPF_LDX) &&
	    BPF_MODE(insn->code) == BPF_MEM;
}

static bool
writes_word(const struct bpf_insn_raw *insn)
{
	return BPF_CLASS(insn->code) == BPF_ST || BPF_CLASS(insn->code) == BPF_STX;
}

static unsigned
word_of(const struct bpf_insn_raw *insn)
{
	return reads_word(insn) || writes_word(insn) ? 1U << insn->k : 0;
}

void
bpf_flow_free_words(const struct bpf_insn_raw *insns, size_t n,
    uint16_t ret_free[static BPF_PROG_MAX])
{
	uint16_t live[BPF_PROG_MAX];

	for (size_t pc = n; pc-- > 0;) {
		unsigned after = bpf_flow_live_after(insns, pc, live);
		unsigned own = word_of(&insns[pc]);

		ret_free[pc] = (uint16_t)~(after | own);
		live[pc] = (uint16_t)(reads_word(&insns[pc]) ? after | own : after & ~own);
	}
}

uint16_t
bpf_flow_unused_words(const struct bpf_insn_raw *insns, size_t n)
{
	unsigned used = 0;

	for (size_t pc = 0; pc < n; pc++)
		used |= word_of(&insns[pc]);
	return (uint16_t)~used;
}

int
bpf_flow_lowest_word(uint16_t words)
{
	for (int word = 0; word < BPF_MEMWORDS; word++)
		if ((words & 1U << word) != 0)
			return word;
	return -1;
}
