/*
 * bpf_move_int - one instruction of a program that is moved; for bpf_move and
 * bpf_move_shared.
 */
#ifndef COMMON_BPF_MOVE_INT_H
#define COMMON_BPF_MOVE_INT_H

#include "common/bpf_move.h"

#define NEGATIVE	0x80000000U	/* offsets from here on are not in the data */

/* A program as it is being rewritten. */
struct bpf_rewrite {
	struct bpf_asm	*a;
	const struct bpf_move *move;
	const struct bpf_insn_raw *insns;
	int		 slot;			/* of the instruction at hand: free word, or -1 */
	uint16_t	 live_after;		/* of the instruction at hand */
	uint16_t	 live[BPF_PROG_MAX];
	uint16_t	 free_words[BPF_PROG_MAX];
	uint32_t	 max_x[BPF_PROG_MAX];
};

void bpf_rewrite_init(struct bpf_rewrite *w, struct bpf_asm *a,
    const struct bpf_insn_raw *insns, size_t n, const struct bpf_move *move);

/* Is instruction pc another one on a packet that has lost its header bytes? */
bool bpf_rewrite_changes(const struct bpf_rewrite *w, size_t pc);

/* Append what instruction pc is there; base is the label of instruction 0. */
int bpf_rewrite_insn(struct bpf_rewrite *w, size_t pc, uint16_t base) MUST_CHECK;

static inline uint32_t
bpf_move_gap(const struct bpf_move *move)
{
	return move->end - move->first;
}

#endif /* COMMON_BPF_MOVE_INT_H */
