/*
 * bpf_layers - parts of a program that find a packet's headers.
 *
 * Written once for all that asks "where does this layer begin": the number of
 * tags and extension headers that can be passed is fixed, since a classic
 * program has no loops.  No load reads beyond the packet, which would reject
 * it: the length is tested first.
 *
 * The last two scratch words, 14 and 15, are theirs.
 */
#ifndef COMMON_BPF_LAYERS_H
#define COMMON_BPF_LAYERS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bpf_asm.h"

enum {
	/* In line; where the kernel has stripped the outer one, besides that. */
	BPF_LAYERS_MAX_TAGS = 3,
	/* One more than the order that RFC 8200 recommends has without AH. */
	BPF_LAYERS_MAX_EXTENSIONS = 6,
};

/*
 * Labels to go on at, and what the registers hold there.  X is an offset in
 * the packet as the socket shows it.
 */
struct bpf_layers {
	uint16_t cut;		/* the packet ends before its headers do */
	uint16_t other;		/* X: where the link header ends; neither of these: */
	uint16_t arp;		/* X: where it begins, perhaps the packet's end */
	uint16_t ipv4, ipv6;	/* X: where it begins; its fixed part is there */
	uint16_t transport;	/* A: protocol, X: behind the IP headers, perhaps beyond the end */
	uint16_t fragment;	/* the same, of a fragment but the first */
	bool	 first_is_fragment;	/* "fragment" takes the first too */
};

/* Are the headers of packets with this LINKTYPE_ known here: 1, 101, 276? */
bool bpf_layers_has(uint32_t link_type);

/*
 * Append what finds the network header, for a link type that is known, and
 * goes on at cut, other, arp, ipv4 or ipv6.  For 276 the packet is that of a
 * cooked socket: without the header that a file has in front of it.
 *
 * What claims to be IP but has another version, or less than an IPv4 header's
 * length, is other.
 */
void bpf_layers_network(struct bpf_asm *a, uint32_t link_type,
    const struct bpf_layers *to);

/* Append what goes on from ipv4, with X as it was there. */
void bpf_layers_ipv4(struct bpf_asm *a, const struct bpf_layers *to);

/*
 * The same for ipv6, by hop-by-hop, routing, destination and fragment headers.
 * A protocol that is one of these (0, 43, 60, 44): there were too many.
 * A fragment's protocol is always 44: what follows its fragment header is
 * told reliably only in the first one.
 */
void bpf_layers_ipv6(struct bpf_asm *a, const struct bpf_layers *to);

/* Append: go to cut unless the packet has size bytes from X on.  Loses A. */
void bpf_layers_need(struct bpf_asm *a, uint32_t size, uint16_t cut);

#endif /* COMMON_BPF_LAYERS_H */
