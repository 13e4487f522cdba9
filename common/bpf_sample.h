/*
 * bpf_sample - keep one in N: of the packets, or of the flows.
 *
 * Programs that say yes (UINT32_MAX) or no.  N of 0 or 1 keeps everything.
 * What is kept is a share of 2^32 / N, rounded down, of 2^32 equally likely
 * numbers: by less than N parts in 2^32 too little (at one in a million,
 * 0.02 %).  Pure; made in capagent-net, run in the kernel.
 */
#ifndef COMMON_BPF_SAMPLE_H
#define COMMON_BPF_SAMPLE_H

#include "common/bpf.h"
#include "common/compiler.h"

/* One in N packets, each by a throw of its own (SKF_AD_RANDOM). */
void bpf_sample_packets(uint32_t one_in, struct bpf_prog *ret_prog);

/*
 * One in N flows: all packets of a flow, both directions, or none.
 *
 * A flow is what has the same two addresses, the same protocol and, for TCP,
 * UDP and SCTP, the same two ports, each port with its address.  The number
 * is computed from these, the same on every sensor and in every capture, with
 * or without VLAN tags, so that several sensors keep the same flows, and what
 * 1/N keeps is part of what 1/M keeps for a smaller M.
 *
 * Fragments, the first of a datagram included, have no port that all of them
 * carry: their flow is the two addresses and the protocol (of IPv6, instead
 * of the protocol, that they are fragments).  All fragments between two hosts
 * are kept or none are, whatever happens to the unfragmented packets of the
 * same ports.
 *
 * What belongs to no flow is kept: what is not IP, and what ends before its
 * ports do.  Where bpf_headers would stop at too many extension headers, the
 * addresses count alone.
 *
 * Not SKF_AD_RXHASH: it is 0 unless the adapter or the stack computed it.  On
 * a veth (Linux 6.18) it is 0 for frames of packet sockets, UDP and ICMP, and
 * for TCP each direction has that of its sender's socket.
 *
 * E_FILTER  the headers behind this LINKTYPE_ are not known (see bpf_headers)
 */
int bpf_sample_flows(uint32_t link_type, uint32_t one_in,
    struct bpf_prog *ret_prog) MUST_CHECK;

#endif /* COMMON_BPF_SAMPLE_H */
