/*
 * bpf_asm - write a classic BPF program with labels.
 *
 * Jumps name labels, which may be bound before or after; all jumps must go
 * forward.  bpf_asm_finish() computes the offsets, and puts unconditional
 * jumps in where a conditional one, which reaches 255 instructions, is too
 * short.  Nothing fails before that: running out of room is remembered.
 * About 130 KiB of plain data, made for a stack; bpf_asm_finish() needs
 * 70 KiB more.
 */
#ifndef COMMON_BPF_ASM_H
#define COMMON_BPF_ASM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bpf.h"
#include "common/err.h"

enum {
	/* Jumps that turn out to be needless count here, not in the program. */
	BPF_ASM_MAX_NODES = 2 * BPF_PROG_MAX,
	BPF_ASM_MAX_LABELS = 2 * BPF_ASM_MAX_NODES,
};

struct bpf_asm {
	uint32_t	 n_nodes, n_labels;
	bool		 is_full;
	struct bpf_asm_node {
		uint16_t code;
		uint16_t jt, jf;	/* labels */
		uint32_t k;
	}		 nodes[BPF_ASM_MAX_NODES];
	uint16_t	 at[BPF_ASM_MAX_LABELS];	/* label to node */
};

void bpf_asm_init(struct bpf_asm *a);

/* The first of count new labels with consecutive numbers. */
uint16_t bpf_asm_labels(struct bpf_asm *a, size_t count);

/* The next instruction is what label names. */
void bpf_asm_bind(struct bpf_asm *a, uint16_t label);

/* Append an instruction that is no jump. */
void bpf_asm_insn(struct bpf_asm *a, uint16_t code, uint32_t k);

/* Append a jump: always; both ways; only if true; only if false. */
void bpf_asm_jump(struct bpf_asm *a, uint16_t label);
void bpf_asm_branch(struct bpf_asm *a, uint16_t code, uint32_t k, uint16_t jt,
    uint16_t jf);
void bpf_asm_if(struct bpf_asm *a, uint16_t code, uint32_t k, uint16_t jt);
void bpf_asm_unless(struct bpf_asm *a, uint16_t code, uint32_t k, uint16_t jf);

/*
 * Append a copy of instruction pc of a checked program, whose instruction i
 * has the label base + i.  Does not bind base + pc.
 */
void bpf_asm_copy(struct bpf_asm *a, const struct bpf_insn_raw *insns, size_t pc,
    uint16_t base);

/*
 * Lay the program out.  *ret_prog is untouched on failure.
 *
 * E_TOOBIG  more than BPF_PROG_MAX instructions, or too many labels
 * E_BUG     a label that a jump names is not bound, or lies behind it
 */
int bpf_asm_finish(const struct bpf_asm *a, struct bpf_prog *ret_prog) MUST_CHECK;

/*
 * The same, and turn places[0..n), labels that are bound, into the numbers of
 * the instructions that they name.  Both are untouched on failure.
 */
int bpf_asm_finish_places(const struct bpf_asm *a, struct bpf_prog *ret_prog,
    uint32_t *places, size_t n) MUST_CHECK;

#endif /* COMMON_BPF_ASM_H */
