/*
 * link_type - what a capture on a device of a given kind delivers.
 *
 * The map from the kernel's ARPHRD_ types to LINKTYPE_ values is libpcap's
 * (pcap-linux.c), so that our files have the type of tcpdump's, with one
 * difference: where libpcap captures cooked, the default here is SLL2 and
 * SLL a choice.  Used by both programs and on both sides of the privilege
 * boundary; pure functions on constant tables.
 */
#ifndef COMMON_LINK_TYPE_H
#define COMMON_LINK_TYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"

enum {
	LINK_ETHERNET = 1,
	LINK_RAW_IP = 101,
	LINK_SLL = 113,
	LINK_DOCSIS = 143,
	LINK_CAN = 227,
	LINK_SLL2 = 276,

	LINK_CHOICES_MAX = 8,
	LINK_TYPE_TEXT_LEN = 64,
};

/*
 * One way to capture on a device.  Cooked: the socket is a SOCK_DGRAM one,
 * packets begin behind the device's own header, and the reader makes a
 * header of link_type_made_header() bytes in front.
 */
struct link_choice {
	uint32_t	 link_type;	/* LINKTYPE_ value */
	bool		 is_cooked;
};

/*
 * The ways to capture on a device of this ARPHRD_ type and name, the default
 * first; returns how many.  Every device ends with SLL2 and SLL.  The name
 * counts for the few drivers that announce Ethernet and have none.
 */
size_t link_type_choices(uint16_t arphrd, const char *name,
    struct link_choice ret[static LINK_CHOICES_MAX]);

/*
 * The choice of this link type on such a device into *ret; false when it has
 * none.
 */
bool link_type_choose(uint16_t arphrd, const char *name, uint32_t link_type,
    struct link_choice *ret) MUST_CHECK;

/* Every link type that any device has among its choices. */
const uint32_t *link_type_all(size_t *ret_n);

/*
 * Bytes of the header that is made for packets of this type: 20 for SLL2, 16
 * for SLL and the types that have SLL's (IrDA, LAPD, netlink), else 0.
 */
size_t link_type_made_header(uint32_t link_type);

/*
 * Are these frames of an Ethernet device?  DOCSIS is the name for them where
 * a cable modem's head end puts its own frames on the wire.
 */
bool link_type_is_ethernet(uint32_t link_type);

/* "EN10MB" into dst, or the number. */
void link_type_name(uint32_t link_type, char *dst, size_t size);

/* "EN10MB (Ethernet)" into dst, or the number. */
void link_type_text(uint32_t link_type, char *dst, size_t size);

/*
 * The link type of a name as link_type_name() prints it, in any case, or of
 * a number; false for anything else.
 */
bool link_type_from_name(const char *name, uint32_t *ret) MUST_CHECK;

#endif /* COMMON_LINK_TYPE_H */
