/*
 * bpf_flow - what the registers of a checked program hold, found by reading
 * it: who reads A and X, how large X can be, which scratch words are free.
 *
 * All jumps go forward, so that one pass is exact about paths.
 */
#ifndef COMMON_BPF_FLOW_H
#define COMMON_BPF_FLOW_H

#include <stddef.h>
#include <stdint.h>

#include "common/bpf.h"

enum { BPF_LIVE_A = 1, BPF_LIVE_X = 2 };

/*
 * For each instruction: which of A and X it or one that follows on some path
 * reads before it is written.
 */
void bpf_flow_live(const struct bpf_insn_raw *insns, size_t n,
    uint16_t ret_live[static BPF_PROG_MAX]);

/* live, as from bpf_flow_live(), behind instruction pc. */
uint16_t bpf_flow_live_after(const struct bpf_insn_raw *insns, size_t pc,
    const uint16_t live[static BPF_PROG_MAX]);

/* For each instruction: a bound that X does not exceed when it runs. */
void bpf_flow_max_x(const struct bpf_insn_raw *insns, size_t n,
    uint32_t ret_max[static BPF_PROG_MAX]);

/*
 * For each instruction: a bit for each word of M[] that it neither reads nor
 * leaves to be read, so that what stands in its place may use the word.
 */
void bpf_flow_free_words(const struct bpf_insn_raw *insns, size_t n,
    uint16_t ret_free[static BPF_PROG_MAX]);

/* The words of M[] that no instruction mentions. */
uint16_t bpf_flow_unused_words(const struct bpf_insn_raw *insns, size_t n);

/* The lowest word of such a set, or -1. */
int bpf_flow_lowest_word(uint16_t words);

#endif /* COMMON_BPF_FLOW_H */
