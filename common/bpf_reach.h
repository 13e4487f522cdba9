/*
 * bpf_reach - which instructions of a program can run when it is known what a
 * halfword of the packet may be.
 *
 * A copy of a program for packets with a VLAN tag need not hold what happens
 * to those without: most of what libpcap makes of "udp port 53".
 */
#ifndef COMMON_BPF_REACH_H
#define COMMON_BPF_REACH_H

#include <stddef.h>
#include <stdint.h>

#include "common/bpf.h"

/* The halfword at offset is one of values[0..n); n 0: nothing is known. */
struct bpf_known {
	uint32_t	 offset;
	const uint16_t	*values;
	size_t		 n;
};

/* Of an instruction: it can run; it is a jump and its test never fails, or always does. */
enum { BPF_REACHED = 1, BPF_ALWAYS_TRUE = 2, BPF_ALWAYS_FALSE = 4 };

/* The bits of each instruction of a checked program. */
void bpf_reach(const struct bpf_insn_raw *insns, size_t n, const struct bpf_known *known,
    uint8_t ret_bits[static BPF_PROG_MAX]);

#endif /* COMMON_BPF_REACH_H */
