/*
 * ring_form - what a ring's packet looks like in a file.
 *
 * The kernel takes the outer VLAN tag out, cooked sockets show no link-layer
 * header, and CAN identifiers come in host order.  A file has all of that in
 * its place: other bytes stand in front, in the place of the packet's first
 * few.  Pure.  Runs in capagent-net.
 */
#ifndef SERVER_RING_FORM_H
#define SERVER_RING_FORM_H

#include <stdbool.h>
#include <stdint.h>

struct sockaddr_ll;
struct tpacket3_hdr;

enum ring_layout {
	RING_PLAIN,		/* as it is */
	RING_ETHERNET,		/* a tag may be missing */
	RING_SLL,		/* Linux cooked header, version 1 */
	RING_SLL2,
	RING_CAN,
};

enum { RING_FRONT_MAX = 24 };

/* bytes[0..len) stand in the place of the packet's first skip bytes. */
struct ring_front {
	uint8_t		 bytes[RING_FRONT_MAX];
	uint32_t	 len, skip;
	uint32_t	 extra;		/* the whole packet is longer by this, also
					   where a cut leaves no place for it */
};

enum ring_layout ring_layout_of(uint32_t link_type, bool is_cooked);

/* src[0..h->tp_snaplen) is what the kernel captured. */
void ring_front_make(enum ring_layout layout, const struct tpacket3_hdr *h,
    const struct sockaddr_ll *sll, const uint8_t *src, struct ring_front *ret);

#endif /* SERVER_RING_FORM_H */
