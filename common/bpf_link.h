/*
 * bpf_link - one kernel program out of small parts.
 *
 * Pure functions on instruction arrays.  A part is itself a whole program:
 * what it returns 0 for is rejected, everything else goes on to the next
 * part; the last part's return value is the answer (bytes to keep).
 * capagent-net joins own traffic, direction, the client's program and the
 * snaplen; capagent puts its mandatory filter in front and a cap on every
 * return.
 */
#ifndef COMMON_BPF_LINK_H
#define COMMON_BPF_LINK_H

#include "common/bpf.h"
#include "common/err.h"

/*
 * Which instructions of a program came from where: at[i].first begins what is
 * of that kind, up to the next one's first.  The kinds are the caller's.
 */
enum { BPF_MARKS_MAX = 12 };

struct bpf_marks {
	uint32_t	 n;
	struct bpf_mark {
		uint32_t first;
		int	 kind;
	}		 at[BPF_MARKS_MAX];
};

/*
 * Append part behind prog (which may be empty), so that a packet that prog
 * accepts is then judged by part, with A, X as at a program's start (0).
 * Both must have passed bpf_prog_check().  E_TOOBIG when the result does not
 * fit BPF_PROG_MAX; prog is then left as it was.
 */
int bpf_link_append(struct bpf_prog *prog, const struct bpf_insn_raw *part,
    size_t n) MUST_CHECK;

/*
 * The same with marks: those of prog move along, those of the part are
 * appended to them.  Both are untouched on failure; E_TOOBIG, too, for more
 * than BPF_MARKS_MAX.
 */
int bpf_link_append_marked(struct bpf_prog *prog, struct bpf_marks *marks,
    const struct bpf_prog *part, const struct bpf_marks *part_marks) MUST_CHECK;

/* Make every return at most max: RET K lowered, RET A compared.  E_TOOBIG. */
int bpf_link_cap(struct bpf_prog *prog, uint32_t max) MUST_CHECK;
int bpf_link_cap_marked(struct bpf_prog *prog, struct bpf_marks *marks, uint32_t max)
    MUST_CHECK;

/*
 * Rewrite a program so that it answers as libpcap's interpreter does where
 * the kernel's arithmetic is another: a shift by X of 32 and more leaves
 * nothing (the kernel shifts by the low five bits of X), and an indirect load
 * whose offset is negative or wraps around ends the program with 0 (the
 * kernel loads from where the sum points).  *prog is untouched on failure.
 *
 * E_TOOBIG   does not fit
 * E_FILTER   all sixteen scratch words are in use where one is needed
 */
int bpf_link_offline(struct bpf_prog *prog) MUST_CHECK;

/*
 * Rewrite a program compiled for the bytes of a file (Ethernet, tag in
 * place) so that it gives the same answer where the kernel has stripped the
 * outer tag: design.md 5.  A packet without a stripped tag runs the program
 * as it came, apart from what bpf_link_offline() changes.
 *
 * Two copies, one for packets with a stripped tag, *ret_tagged_at its first
 * instruction; 0 when nothing depends on the tag and one is enough.
 * ret_tagged_at may be NULL.  *prog is untouched on failure.
 *
 * E_TOOBIG   does not fit
 * E_FILTER   has a load that cannot be rewritten exactly
 */
int bpf_link_vlan(struct bpf_prog *prog, uint32_t *ret_tagged_at) MUST_CHECK;

/*
 * The same answers from one copy, whose loads choose at run time: for programs
 * of which two do not fit.  It runs longer.  E_FILTER, too, when no scratch
 * word is free in the whole program.
 */
int bpf_link_vlan_short(struct bpf_prog *prog) MUST_CHECK;

/*
 * Make a program the answer for packets without a stripped tag; of those with
 * one the answer is `tagged`.  E_TOOBIG.
 */
int bpf_link_untagged(struct bpf_prog *prog, uint32_t tagged) MUST_CHECK;

/*
 * Translate a program compiled for a link type whose header is made
 * (link_type_made_header()) so that it runs on a SOCK_DGRAM packet socket,
 * whose data begins at the network header.  The kernel's arithmetic remains:
 * bpf_link_offline() comes first where libpcap's is wanted.
 *
 * E_TOOBIG   does not fit
 * E_FILTER   it reads parts of the header the kernel cannot give
 */
int bpf_link_cooked(struct bpf_prog *prog, uint32_t link_type) MUST_CHECK;

/* A program that returns k for every packet. */
void bpf_link_return(struct bpf_prog *prog, uint32_t k);

#endif /* COMMON_BPF_LINK_H */
