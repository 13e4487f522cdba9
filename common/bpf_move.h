/*
 * bpf_move - run a program on packets whose header bytes are elsewhere.
 *
 * A program reads a packet as a file has it.  The kernel's filter sees the
 * packet without some of its first bytes, but knows what they hold.  Loads
 * are rewritten so that the program gives the answer that it would give on
 * the packet of the file.  Used for the stripped VLAN tag and for cooked
 * sockets; the parts of bpf_link that know which bytes those are call this.
 */
#ifndef COMMON_BPF_MOVE_H
#define COMMON_BPF_MOVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bpf.h"
#include "common/bpf_asm.h"
#include "common/bpf_reach.h"
#include "common/err.h"

/* Where one byte of the header comes from. */
struct bpf_source {
	enum { BPF_SOURCE_NONE, BPF_SOURCE_ZERO, BPF_SOURCE_ANCILLARY } kind;
	uint32_t	 k;		/* SKF_AD_OFF + x, an ancillary load */
	uint8_t		 shift;		/* of the byte in its value: 0, 8, 16, 24 */
};

/*
 * Bytes before first are where the file has them, bytes from end on are
 * end - first nearer to the start, those between have a source each.  The
 * packet is end - first shorter.
 */
struct bpf_move {
	uint32_t	 first, end;
	const struct bpf_source *sources;
	struct bpf_known known;		/* of the packet of the file */
};

/*
 * Append to a the rewritten copy of a checked program, entered at its first
 * instruction with A and X as the program expects them at its start.
 * *ret_is_changed says whether any instruction is not as before.  Those that
 * cannot run, by move->known, are left out; bpf_prog_check() may refuse the
 * result for that, since it takes what follows a return for its continuation.
 *
 * Loads at negative offsets (ancillary, network header) stay as they are.
 *
 * E_FILTER  it reads a byte that has no source, or a rewritten load needs a
 *           scratch word where all sixteen are in use
 */
int bpf_move_append(struct bpf_asm *a, const struct bpf_insn_raw *insns, size_t n,
    const struct bpf_move *move, bool *ret_is_changed) MUST_CHECK;

/*
 * Append one copy for both kinds of packets, those of the file's form and
 * those that have lost their header bytes: loads that move choose at run time.
 * Entered with the flag, 0 or 1, in A, and X 0.  Longer to run than a copy for
 * each, and shorter.
 *
 * E_FILTER  as above, or no scratch word is free in the whole program
 */
int bpf_move_append_shared(struct bpf_asm *a, const struct bpf_insn_raw *insns, size_t n,
    const struct bpf_move *move) MUST_CHECK;

#endif /* COMMON_BPF_MOVE_H */
