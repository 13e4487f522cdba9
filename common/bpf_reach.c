#include "common/bpf_reach.h"

#include <linux/filter.h>
#include <stdbool.h>
#include <string.h>

/* Of an instruction, besides the public bits: A is the halfword on every path to it. */
enum { HAS_VALUE = 8 };

static bool
is_true(const struct bpf_insn_raw *insn, uint32_t a)
{
	switch (BPF_OP(insn->code)) {
	case BPF_JEQ:
		return a == insn->k;
	case BPF_JGT:
		return a > insn->k;
	case BPF_JGE:
		return a >= insn->k;
	default:			/* BPF_JSET */
		return (a & insn->k) != 0;
	}
}

/* What is known of the test of a jump that compares A, which is the halfword. */
static uint8_t
decide(const struct bpf_insn_raw *insn, const struct bpf_known *known)
{
	size_t n_true = 0;

	if (BPF_OP(insn->code) == BPF_JA || BPF_SRC(insn->code) == BPF_X)
		return 0;
	for (size_t i = 0; i < known->n; i++)
		n_true += is_true(insn, known->values[i]);
	return n_true == known->n ? BPF_ALWAYS_TRUE : n_true == 0 ? BPF_ALWAYS_FALSE : 0;
}

static bool
has_value_behind(const struct bpf_insn_raw *insn, const struct bpf_known *known, bool has_value)
{
	switch (BPF_CLASS(insn->code)) {
	case BPF_LD:
		return insn->code == (BPF_LD | BPF_H | BPF_ABS) && insn->k == known->offset;
	case BPF_ALU:
		return false;
	case BPF_MISC:
		return BPF_MISCOP(insn->code) == BPF_TAX && has_value;
	default:
		return has_value;
	}
}

static void
flow_to(uint8_t bits[static BPF_PROG_MAX], size_t pc, bool has_value)
{
	unsigned before = bits[pc];
	bool still = has_value && ((before & BPF_REACHED) == 0 || (before & HAS_VALUE) != 0);

	bits[pc] = BPF_REACHED | (still ? HAS_VALUE : 0);
}

void
bpf_reach(const struct bpf_insn_raw *insns, size_t n, const struct bpf_known *known,
    uint8_t ret_bits[static BPF_PROG_MAX])
{
	memset(ret_bits, 0, n);
	ret_bits[0] = BPF_REACHED;
	for (size_t pc = 0; pc < n; pc++) {
		const struct bpf_insn_raw *insn = &insns[pc];
		bool had_value = (ret_bits[pc] & HAS_VALUE) != 0;
		bool has_value = has_value_behind(insn, known, had_value);

		if ((ret_bits[pc] & BPF_REACHED) == 0 || BPF_CLASS(insn->code) == BPF_RET)
			continue;
		if (BPF_CLASS(insn->code) != BPF_JMP) {
			flow_to(ret_bits, pc + 1, has_value);
			continue;
		}
		if (BPF_OP(insn->code) == BPF_JA) {
			flow_to(ret_bits, pc + 1 + insn->k, has_value);
			continue;
		}
		if (had_value && known->n > 0)
			ret_bits[pc] = (uint8_t)(ret_bits[pc] | decide(insn, known));
		if ((ret_bits[pc] & BPF_ALWAYS_FALSE) == 0)
			flow_to(ret_bits, pc + 1 + insn->jt, has_value);
		if ((ret_bits[pc] & BPF_ALWAYS_TRUE) == 0)
			flow_to(ret_bits, pc + 1 + insn->jf, has_value);
	}
}
