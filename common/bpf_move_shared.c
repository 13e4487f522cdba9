#include <linux/filter.h>
#include <string.h>

#include "common/bpf_flow.h"
#include "common/bpf_move_int.h"

/*
 * The scratch word holds what is added to the offset of a load from behind the
 * header: 0, or minus the gap.
 */
struct shared {
	struct bpf_rewrite w;
	uint32_t	 word;
	bool		 has_gap[BPF_PROG_MAX];	/* X is that word when the instruction runs */
};

static bool
reads_x_behind(const struct shared *s, size_t pc)
{
	return (bpf_flow_live_after(s->w.insns, pc, s->w.live) & BPF_LIVE_X) != 0;
}

/* Can it load at X + k instead, with the gap in X? */
static bool
is_flat(const struct shared *s, size_t pc)
{
	const struct bpf_insn_raw *insn = &s->w.insns[pc];

	return BPF_CLASS(insn->code) == BPF_LD && BPF_MODE(insn->code) == BPF_ABS &&
	    insn->k >= s->w.move->end && bpf_rewrite_changes(&s->w, pc) && !reads_x_behind(s, pc);
}

/* Does X hold the gap behind instruction pc as it will be emitted? */
static bool
has_gap_behind(const struct shared *s, size_t pc)
{
	const struct bpf_insn_raw *insn = &s->w.insns[pc];

	if (is_flat(s, pc))
		return true;
	if (BPF_CLASS(insn->code) == BPF_LDX || insn->code == (BPF_MISC | BPF_TAX) ||
	    bpf_rewrite_changes(&s->w, pc))
		return false;
	return s->has_gap[pc];
}

/* All jumps go forward: one pass knows all paths. */
static void
find_gaps(struct shared *s, size_t n)
{
	memset(s->has_gap, true, n * sizeof(s->has_gap[0]));
	s->has_gap[0] = (s->w.live[0] & BPF_LIVE_X) == 0;
	for (size_t pc = 0; pc < n; pc++) {
		const struct bpf_insn_raw *insn = &s->w.insns[pc];
		bool has_gap = has_gap_behind(s, pc);

		if (BPF_CLASS(insn->code) == BPF_RET)
			continue;
		if (BPF_CLASS(insn->code) != BPF_JMP) {
			s->has_gap[pc + 1] &= has_gap;
		} else if (BPF_OP(insn->code) == BPF_JA) {
			s->has_gap[pc + 1 + insn->k] &= has_gap;
		} else {
			s->has_gap[pc + 1 + insn->jt] &= has_gap;
			s->has_gap[pc + 1 + insn->jf] &= has_gap;
		}
	}
}

/* A is 0 or 1: the flag.  Leaves the registers as the program expects them. */
static void
emit_start(const struct shared *s)
{
	struct bpf_asm *a = s->w.a;

	bpf_asm_insn(a, BPF_ALU | BPF_MUL | BPF_K, 0 - bpf_move_gap(s->w.move));
	bpf_asm_insn(a, BPF_ST, s->word);
	if (s->has_gap[0])
		bpf_asm_insn(a, BPF_MISC | BPF_TAX, 0);
	if ((s->w.live[0] & BPF_LIVE_A) != 0)
		bpf_asm_insn(a, BPF_LD | BPF_IMM, 0);
}

/*
 * Both forms of a load, and which one it is by the word.  A load to A is about
 * to write A; a load to X, which reads neither, leaves X to keep A meanwhile.
 */
static int
emit_choice(struct shared *s, size_t pc, uint16_t base)
{
	struct bpf_asm *a = s->w.a;
	bool keeps_a = BPF_CLASS(s->w.insns[pc].code) == BPF_LDX &&
	    (bpf_flow_live_after(s->w.insns, pc, s->w.live) & BPF_LIVE_A) != 0;
	uint16_t plain = bpf_asm_labels(a, 2), end = (uint16_t)(plain + 1);

	if (keeps_a)
		bpf_asm_insn(a, BPF_MISC | BPF_TAX, 0);
	bpf_asm_insn(a, BPF_LD | BPF_MEM, s->word);
	bpf_asm_if(a, BPF_JMP | BPF_JEQ | BPF_K, 0, plain);
	if (keeps_a)
		bpf_asm_insn(a, BPF_MISC | BPF_TXA, 0);
	if (bpf_rewrite_insn(&s->w, pc, base) != E_OK)
		return E_FILTER;
	bpf_asm_jump(a, end);
	bpf_asm_bind(a, plain);
	if (keeps_a)
		bpf_asm_insn(a, BPF_MISC | BPF_TXA, 0);
	bpf_asm_copy(a, s->w.insns, pc, base);
	bpf_asm_bind(a, end);
	return E_OK;
}

static int
emit_insn(struct shared *s, size_t pc, uint16_t base)
{
	const struct bpf_insn_raw *insn = &s->w.insns[pc];

	if (!bpf_rewrite_changes(&s->w, pc)) {
		bpf_asm_copy(s->w.a, s->w.insns, pc, base);
		return E_OK;
	}
	if (!is_flat(s, pc))
		return emit_choice(s, pc, base);
	if (!s->has_gap[pc])
		bpf_asm_insn(s->w.a, BPF_LDX | BPF_MEM, s->word);
	bpf_asm_insn(s->w.a, (uint16_t)(BPF_LD | BPF_SIZE(insn->code) | BPF_IND), insn->k);
	return E_OK;
}

int
bpf_move_append_shared(struct bpf_asm *a, const struct bpf_insn_raw *insns, size_t n,
    const struct bpf_move *move)
{
	int word = bpf_flow_lowest_word(bpf_flow_unused_words(insns, n));
	struct shared s = { .word = (uint32_t)word };
	uint16_t base = bpf_asm_labels(a, n);

	if (word < 0)
		return E_FILTER;
	bpf_rewrite_init(&s.w, a, insns, n, move);
	for (size_t pc = 0; pc < n; pc++)
		s.w.free_words[pc] = (uint16_t)(s.w.free_words[pc] & ~(1U << word));
	find_gaps(&s, n);
	emit_start(&s);
	for (size_t pc = 0; pc < n; pc++) {
		bpf_asm_bind(a, (uint16_t)(base + pc));
		if (emit_insn(&s, pc, base) != E_OK)
			return E_FILTER;
	}
	return E_OK;
}
