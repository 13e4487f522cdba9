/*
 * bpf - classic BPF programs as data: check, print, run in user space.
 *
 * Linux's dialect: the kernel's ancillary loads (SKF_AD_OFF + x, x in
 * linux/filter.h) and SKF_NET_OFF / SKF_LL_OFF are known.  Runs in every
 * process, on instructions from a peer; never calls libpcap, whose
 * validator lets aborts and endless loops through.
 */
#ifndef COMMON_BPF_H
#define COMMON_BPF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

/* The layout of struct sock_filter and struct bpf_insn. */
struct bpf_insn_raw {
	uint16_t code;
	uint8_t	 jt, jf;
	uint32_t k;
};

enum { BPF_PROG_MAX = 4096 };	/* the kernel's BPF_MAXINSNS */

/* A program in a fixed buffer: no allocation while linking. */
struct bpf_prog {
	uint32_t	 n;
	struct bpf_insn_raw insns[BPF_PROG_MAX];
};

/*
 * Accept only what the kernel runs as meant: known opcodes, forward jumps in
 * range, scratch memory written before read on every path, no division by a
 * constant zero, known ancillary offsets, every path ends in a return, 1 to
 * BPF_PROG_MAX instructions.  E_OK or E_FILTER with the instruction's number
 * and what is wrong.
 */
int bpf_prog_check(const struct bpf_insn_raw *insns, size_t n, struct err *err)
    MUST_CHECK;

/* Can a checked program read one of the packet's first end bytes? */
bool bpf_prog_reads_below(const struct bpf_insn_raw *insns, size_t n, uint32_t end);

/* What the kernel knows of a packet besides its bytes. */
struct bpf_aux {
	uint16_t protocol;		/* host order, as SKF_AD_PROTOCOL */
	uint8_t	 packet_type;		/* PACKET_HOST.. */
	uint32_t ifindex;
	bool	 has_vlan;
	uint16_t vlan_tci, vlan_tpid;
	uint32_t mark, queue, rxhash, random;
	uint16_t hatype;
	uint32_t net_offset;		/* of the network header in data */
};

/*
 * Run a checked program on a packet: data[0..caplen) of a packet of len
 * bytes, beginning with the link-layer header if the socket shows one.
 * Returns the kernel's answer: 0, or how many bytes to keep.  With aux NULL,
 * and for what only the kernel knows (CPU, payload offset, netlink
 * attributes), ancillary loads give 0.
 */
uint32_t bpf_prog_run(const struct bpf_insn_raw *insns, size_t n,
    const uint8_t *data, uint32_t caplen, uint32_t len,
    const struct bpf_aux *aux);

/* A packet as a program sees it. */
struct bpf_view {
	const uint8_t	*data;		/* caplen bytes of a packet of len */
	uint32_t	 caplen, len;
	const struct bpf_aux *aux;	/* or NULL, as for bpf_prog_run() */
	/*
	 * libpcap's arithmetic, as over a file, instead of the kernel's: a shift
	 * by 32 and more leaves nothing, and an indirect load whose offset is
	 * negative or wraps ends the program with 0.  With aux NULL so does every
	 * load that libpcap's interpreter does not know: what is not in the bytes.
	 */
	bool		 is_offline;
};

/*
 * bpf_prog_run() in either arithmetic.  *ret_is_cut: it read bytes that the
 * packet has but that were not captured, so that the answer, then 0, is not
 * the one for the packet.
 */
uint32_t bpf_prog_judge(const struct bpf_insn_raw *insns, size_t n,
    const struct bpf_view *view, bool *ret_is_cut);

/*
 * One instruction as "tcpdump -d" prints it, "(005) jeq  #0x800  jt 6  jf 9",
 * into dst.
 */
void bpf_insn_format(const struct bpf_insn_raw *insn, size_t number, char *dst,
    size_t size);

#endif /* COMMON_BPF_H */
