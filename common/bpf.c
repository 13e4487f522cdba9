#include "common/bpf.h"

#include <linux/filter.h>

/* What is written down about one position while the check walks forward. */
struct check {
	const struct bpf_insn_raw *insns;
	size_t		 n;
	/* Slots of M[] written on every path that jumps here. */
	uint16_t	 masks[BPF_PROG_MAX];
};

static bool
is_known_code(uint16_t code)
{
	switch (code) {
	case BPF_LD | BPF_W | BPF_ABS:
	case BPF_LD | BPF_H | BPF_ABS:
	case BPF_LD | BPF_B | BPF_ABS:
	case BPF_LD | BPF_W | BPF_IND:
	case BPF_LD | BPF_H | BPF_IND:
	case BPF_LD | BPF_B | BPF_IND:
	case BPF_LD | BPF_W | BPF_LEN:
	case BPF_LD | BPF_IMM:
	case BPF_LD | BPF_MEM:
	case BPF_LDX | BPF_W | BPF_LEN:
	case BPF_LDX | BPF_B | BPF_MSH:
	case BPF_LDX | BPF_IMM:
	case BPF_LDX | BPF_MEM:
	case BPF_ST:
	case BPF_STX:
	case BPF_ALU | BPF_ADD | BPF_K:
	case BPF_ALU | BPF_ADD | BPF_X:
	case BPF_ALU | BPF_SUB | BPF_K:
	case BPF_ALU | BPF_SUB | BPF_X:
	case BPF_ALU | BPF_MUL | BPF_K:
	case BPF_ALU | BPF_MUL | BPF_X:
	case BPF_ALU | BPF_DIV | BPF_K:
	case BPF_ALU | BPF_DIV | BPF_X:
	case BPF_ALU | BPF_MOD | BPF_K:
	case BPF_ALU | BPF_MOD | BPF_X:
	case BPF_ALU | BPF_AND | BPF_K:
	case BPF_ALU | BPF_AND | BPF_X:
	case BPF_ALU | BPF_OR | BPF_K:
	case BPF_ALU | BPF_OR | BPF_X:
	case BPF_ALU | BPF_XOR | BPF_K:
	case BPF_ALU | BPF_XOR | BPF_X:
	case BPF_ALU | BPF_LSH | BPF_K:
	case BPF_ALU | BPF_LSH | BPF_X:
	case BPF_ALU | BPF_RSH | BPF_K:
	case BPF_ALU | BPF_RSH | BPF_X:
	case BPF_ALU | BPF_NEG:
	case BPF_JMP | BPF_JA:
	case BPF_JMP | BPF_JEQ | BPF_K:
	case BPF_JMP | BPF_JEQ | BPF_X:
	case BPF_JMP | BPF_JGE | BPF_K:
	case BPF_JMP | BPF_JGE | BPF_X:
	case BPF_JMP | BPF_JGT | BPF_K:
	case BPF_JMP | BPF_JGT | BPF_X:
	case BPF_JMP | BPF_JSET | BPF_K:
	case BPF_JMP | BPF_JSET | BPF_X:
	case BPF_RET | BPF_K:
	case BPF_RET | BPF_A:
	case BPF_MISC | BPF_TAX:
	case BPF_MISC | BPF_TXA:
		return true;
	default:
		return false;
	}
}

/* Ancillary loads are the multiples of four from SKF_AD_OFF on. */
static bool
is_known_ancillary(uint32_t k)
{
	uint32_t at = k - (uint32_t)SKF_AD_OFF;

	return at <= SKF_AD_VLAN_TPID && at % 4 == 0;
}

/* What is wrong with the instruction at pc taken alone, or NULL. */
static const char *
find_fault(const struct check *c, size_t pc)
{
	const struct bpf_insn_raw *insn = &c->insns[pc];

	if (!is_known_code(insn->code))
		return "unknown operation";
	switch (insn->code) {
	case BPF_ALU | BPF_DIV | BPF_K:
	case BPF_ALU | BPF_MOD | BPF_K:
		return insn->k == 0 ? "division by zero" : NULL;
	case BPF_ALU | BPF_LSH | BPF_K:
	case BPF_ALU | BPF_RSH | BPF_K:
		return insn->k >= 32 ? "shift by more than 31" : NULL;
	case BPF_LD | BPF_MEM:
	case BPF_LDX | BPF_MEM:
	case BPF_ST:
	case BPF_STX:
		return insn->k >= BPF_MEMWORDS ? "no such scratch word" : NULL;
	case BPF_LD | BPF_W | BPF_ABS:
	case BPF_LD | BPF_H | BPF_ABS:
	case BPF_LD | BPF_B | BPF_ABS:
		if (insn->k >= (uint32_t)SKF_AD_OFF && !is_known_ancillary(insn->k))
			return "unknown ancillary load";
		return NULL;
	case BPF_JMP | BPF_JA:
		return insn->k >= c->n - pc - 1 ? "jump out of the program" : NULL;
	default:
		break;
	}
	if (BPF_CLASS(insn->code) == BPF_JMP &&
	    (pc + insn->jt + 1 >= c->n || pc + insn->jf + 1 >= c->n))
		return "jump out of the program";
	return NULL;
}

/*
 * Scratch words must be written before they are read.  Like the kernel this
 * walks in the order of the instructions and lets a return's state flow on
 * to the next instruction, which refuses some odd programs that are
 * harmless: what it refuses must be refused here too, with a reason.
 */
static const char *
find_memory_fault(struct check *c, size_t *ret_pc)
{
	uint16_t valid = 0;

	for (size_t pc = 0; pc < c->n; pc++)
		c->masks[pc] = UINT16_MAX;
	for (size_t pc = 0; pc < c->n; pc++) {
		const struct bpf_insn_raw *insn = &c->insns[pc];

		valid &= c->masks[pc];
		switch (BPF_CLASS(insn->code)) {
		case BPF_ST:
		case BPF_STX:
			valid = (uint16_t)(valid | 1U << insn->k);
			break;
		case BPF_LD:
		case BPF_LDX:
			if (BPF_MODE(insn->code) == BPF_MEM && (valid & 1U << insn->k) == 0) {
				*ret_pc = pc;
				return "scratch word read before it is written";
			}
			break;
		case BPF_JMP:
			if (insn->code == (BPF_JMP | BPF_JA)) {
				c->masks[pc + 1 + insn->k] &= valid;
			} else {
				c->masks[pc + 1 + insn->jt] &= valid;
				c->masks[pc + 1 + insn->jf] &= valid;
			}
			valid = UINT16_MAX;
			break;
		default:
			break;
		}
	}
	return NULL;
}

int
bpf_prog_check(const struct bpf_insn_raw *insns, size_t n, struct err *err)
{
	struct check c;
	const char *fault;
	size_t pc;

	if (n == 0)
		return err_set(err, E_FILTER, "filter: no instructions");
	if (n > BPF_PROG_MAX)
		return err_set(err, E_FILTER, "filter: %zu instructions: more than %d", n,
		    BPF_PROG_MAX);
	c.insns = insns;
	c.n = n;
	for (pc = 0; pc < n; pc++) {
		fault = find_fault(&c, pc);
		if (fault != NULL)
			goto out_fault;
	}
	/*
	 * All jumps go forward inside the program, so a return at its end means
	 * that every path ends in one.
	 */
	pc = n - 1;
	if (BPF_CLASS(insns[pc].code) != BPF_RET) {
		fault = "the last instruction is no return";
		goto out_fault;
	}
	fault = find_memory_fault(&c, &pc);
	if (fault != NULL)
		goto out_fault;
	return E_OK;
out_fault:
	return err_set(err, E_FILTER, "filter: instruction %zu: %s", pc, fault);
}

bool
bpf_prog_reads_below(const struct bpf_insn_raw *insns, size_t n, uint32_t end)
{
	for (size_t i = 0; i < n; i++) {
		unsigned mode = BPF_MODE(insns[i].code);

		if (BPF_CLASS(insns[i].code) != BPF_LD && BPF_CLASS(insns[i].code) != BPF_LDX)
			continue;
		/* Where an indirect load goes is known when it runs. */
		if (mode == BPF_IND ||
		    ((mode == BPF_ABS || mode == BPF_MSH) && insns[i].k < end))
			return true;
	}
	return false;
}
