/*
 * bpf_headers - keep a packet's headers, and nothing of what they carry.
 *
 * A program's answer is how many bytes to keep; this one computes it.  Pure;
 * made in capagent-net, run in the kernel.
 */
#ifndef COMMON_BPF_HEADERS_H
#define COMMON_BPF_HEADERS_H

#include "common/bpf.h"
#include "common/compiler.h"

/*
 * A program that keeps every packet up to the end of the headers it knows, at
 * least 1 byte and at most snaplen (1..):
 *
 *   link     Ethernet through three 802.1Q, 802.1ad or 0x9100 tags in line
 *            (one that the kernel has stripped comes on top); raw IP; cooked
 *   IPv4     with options; of a fragment but the first no more than this
 *   IPv6     with up to six hop-by-hop, routing, destination options and
 *            fragment headers; of a fragment but the first up to its fragment
 *            header; with more, what was passed
 *   TCP      with options
 *   UDP      8 bytes
 *   ICMP     8 bytes, ICMPv6 too: nothing of the packet that an error quotes
 *   SCTP     12 bytes, the common header
 *   ARP      28 bytes
 *
 * Behind another protocol (ESP, AH, GRE, IP in IP, IGMP): the IP headers.
 * Another Ethernet type, or IP of another version than its type says or of
 * a header length below 20: the link header, and where there is none 1 byte,
 * since 0 would reject the packet.  A packet that ends inside its headers is
 * kept to its end.  Lengths that IP states are not looked at: 8 bytes behind
 * "UDP" are kept, whatever they are.  A TCP header length below 20 counts as
 * 20.
 *
 * Bytes are those that the socket shows: what is put back later, a stripped
 * tag or the header of a cooked packet, comes on top and leaves the end where
 * it should be.
 *
 * E_FILTER  the headers behind this LINKTYPE_ are not known (1, 101 and 276
 *           are; for 276 the program is for the cooked socket)
 */
int bpf_headers_program(uint32_t link_type, uint32_t snaplen,
    struct bpf_prog *ret_prog) MUST_CHECK;

#endif /* COMMON_BPF_HEADERS_H */
