#include "common/link_type.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <linux/if_arp.h>

#ifndef ARPHRD_NETLINK
#define ARPHRD_NETLINK 824
#endif
#ifndef ARPHRD_VSOCKMON
#define ARPHRD_VSOCKMON 826
#endif
#ifndef ARPHRD_CAN
#define ARPHRD_CAN 280
#endif

enum {
	/* Numbers that libpcap knows and linux/if_arp.h does not. */
	ARPHRD_IP_OVER_FC = 18,		/* RFC 4338 */
	ARPHRD_LAPD = 8445,

	LINK_EN3MB = 2, LINK_PRONET = 4, LINK_CHAOS = 5, LINK_IEEE802 = 6, LINK_FDDI = 10,
	LINK_C_HDLC = 104, LINK_IEEE802_11 = 105, LINK_FRELAY = 107, LINK_LTALK = 114,
	LINK_PRISM = 119, LINK_IP_OVER_FC = 122, LINK_RADIOTAP = 127, LINK_ARCNET_LINUX = 129,
	LINK_IRDA = 144, LINK_LAPD = 177, LINK_AX25_KISS = 202,
	LINK_FC_2 = 224, LINK_FC_2_DELIMS = 225, LINK_802_15_4_NOFCS = 230,
	LINK_NETLINK = 253, LINK_VSOCK = 271,

	SLL_HEADER = 16,
	SLL2_HEADER = 20,
};

static const struct {
	uint32_t	 value;
	const char	*name;
	const char	*description;
} names[] = {
	{ 0, "NULL", "BSD loopback" },
	{ LINK_ETHERNET, "EN10MB", "Ethernet" },
	{ LINK_EN3MB, "EN3MB", "experimental Ethernet" },
	{ LINK_PRONET, "PRONET", "Proteon ProNET token ring" },
	{ LINK_CHAOS, "CHAOS", "Chaosnet" },
	{ LINK_IEEE802, "IEEE802", "Token ring" },
	{ 9, "PPP", "PPP" },
	{ LINK_FDDI, "FDDI", "FDDI" },
	{ LINK_RAW_IP, "RAW", "Raw IP" },
	{ LINK_C_HDLC, "C_HDLC", "Cisco HDLC" },
	{ LINK_IEEE802_11, "IEEE802_11", "802.11" },
	{ LINK_FRELAY, "FRELAY", "Frame Relay" },
	{ LINK_SLL, "LINUX_SLL", "Linux cooked v1" },
	{ LINK_LTALK, "LTALK", "Localtalk" },
	{ LINK_PRISM, "PRISM_HEADER", "802.11 plus Prism header" },
	{ LINK_IP_OVER_FC, "IP_OVER_FC", "RFC 2625 IP-over-Fibre Channel" },
	{ LINK_RADIOTAP, "IEEE802_11_RADIO", "802.11 plus radiotap header" },
	{ LINK_ARCNET_LINUX, "ARCNET_LINUX", "Linux ARCNET" },
	{ LINK_DOCSIS, "DOCSIS", "DOCSIS" },
	{ LINK_IRDA, "LINUX_IRDA", "Linux IrDA" },
	{ LINK_LAPD, "LINUX_LAPD", "Linux vISDN LAPD" },
	{ LINK_AX25_KISS, "AX25_KISS", "AX.25 with KISS header" },
	{ LINK_FC_2, "FC_2", "Fibre Channel FC-2" },
	{ LINK_FC_2_DELIMS, "FC_2_WITH_FRAME_DELIMS",
	    "Fibre Channel FC-2 with frame delimiters" },
	{ LINK_CAN, "CAN_SOCKETCAN", "CAN-bus with SocketCAN headers" },
	{ 228, "IPV4", "Raw IPv4" },
	{ 229, "IPV6", "Raw IPv6" },
	{ LINK_802_15_4_NOFCS, "IEEE802_15_4_NOFCS", "IEEE 802.15.4 without FCS" },
	{ LINK_NETLINK, "NETLINK", "Linux netlink" },
	{ LINK_VSOCK, "VSOCK", "Linux vsock" },
	{ LINK_SLL2, "LINUX_SLL2", "Linux cooked v2" },
};

/*
 * What devices have before SLL2 and SLL; a type that is not here has nothing
 * but those.  PPP and ATM are not: what stands in front of their packets
 * depends on the driver.
 */
static const struct {
	uint16_t	 arphrd;
	uint16_t	 link_types[3];
} own_types[] = {
	{ ARPHRD_ETHER, { LINK_ETHERNET, LINK_DOCSIS } },
	{ ARPHRD_EETHER, { LINK_EN3MB } },
	{ ARPHRD_AX25, { LINK_AX25_KISS } },
	{ ARPHRD_PRONET, { LINK_PRONET } },
	{ ARPHRD_CHAOS, { LINK_CHAOS } },
	{ ARPHRD_IEEE802, { LINK_IEEE802 } },
	{ ARPHRD_ARCNET, { LINK_ARCNET_LINUX } },
	{ ARPHRD_DLCI, { LINK_RAW_IP } },
	{ ARPHRD_IP_OVER_FC, { LINK_IP_OVER_FC } },
	{ ARPHRD_METRICOM, { LINK_ETHERNET } },
	{ ARPHRD_SLIP, { LINK_RAW_IP } },
	{ ARPHRD_CSLIP, { LINK_RAW_IP } },
	{ ARPHRD_SLIP6, { LINK_RAW_IP } },
	{ ARPHRD_CSLIP6, { LINK_RAW_IP } },
	{ ARPHRD_ADAPT, { LINK_RAW_IP } },
	{ ARPHRD_CAN, { LINK_CAN } },
	{ ARPHRD_CISCO, { LINK_C_HDLC } },
	{ ARPHRD_RAWHDLC, { LINK_RAW_IP } },
	{ ARPHRD_TUNNEL, { LINK_RAW_IP } },
	{ ARPHRD_FRAD, { LINK_FRELAY } },
	{ ARPHRD_LOOPBACK, { LINK_ETHERNET } },
	{ ARPHRD_LOCALTLK, { LINK_LTALK } },
	{ ARPHRD_FDDI, { LINK_FDDI } },
	{ ARPHRD_SIT, { LINK_RAW_IP } },
	{ ARPHRD_IRDA, { LINK_IRDA } },
	{ ARPHRD_FCPP, { LINK_FC_2, LINK_FC_2_DELIMS, LINK_IP_OVER_FC } },
	{ ARPHRD_FCAL, { LINK_FC_2, LINK_FC_2_DELIMS, LINK_IP_OVER_FC } },
	{ ARPHRD_FCPL, { LINK_FC_2, LINK_FC_2_DELIMS, LINK_IP_OVER_FC } },
	{ ARPHRD_FCFABRIC, { LINK_FC_2, LINK_FC_2_DELIMS, LINK_IP_OVER_FC } },
	{ ARPHRD_IEEE802_TR, { LINK_IEEE802 } },
	{ ARPHRD_IEEE80211, { LINK_IEEE802_11 } },
	{ ARPHRD_IEEE80211_PRISM, { LINK_PRISM } },
	{ ARPHRD_IEEE80211_RADIOTAP, { LINK_RADIOTAP } },
	{ ARPHRD_IEEE802154, { LINK_802_15_4_NOFCS } },
	{ ARPHRD_NETLINK, { LINK_NETLINK } },
	{ ARPHRD_VSOCKMON, { LINK_VSOCK } },
	{ ARPHRD_LAPD, { LINK_LAPD } },
	{ ARPHRD_NONE, { LINK_RAW_IP } },
};

/* Every link type of own_types, and the two that all devices have. */
static const uint32_t all[] = {
	LINK_ETHERNET, LINK_RAW_IP, LINK_SLL2, LINK_SLL,
	LINK_EN3MB, LINK_PRONET, LINK_CHAOS, LINK_IEEE802, LINK_FDDI, LINK_C_HDLC,
	LINK_IEEE802_11, LINK_FRELAY, LINK_LTALK, LINK_PRISM, LINK_IP_OVER_FC, LINK_RADIOTAP,
	LINK_ARCNET_LINUX, LINK_DOCSIS, LINK_IRDA, LINK_LAPD, LINK_AX25_KISS, LINK_FC_2,
	LINK_FC_2_DELIMS, LINK_CAN, LINK_802_15_4_NOFCS, LINK_NETLINK, LINK_VSOCK,
};

size_t
link_type_made_header(uint32_t link_type)
{
	switch (link_type) {
	case LINK_SLL2:
		return SLL2_HEADER;
	case LINK_SLL:
	case LINK_IRDA:
	case LINK_LAPD:
	case LINK_NETLINK:
		return SLL_HEADER;
	default:
		return 0;
	}
}

bool
link_type_is_ethernet(uint32_t link_type)
{
	return link_type == LINK_ETHERNET || link_type == LINK_DOCSIS;
}

static bool
begins_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

static size_t
add_choice(struct link_choice *choices, size_t n, uint32_t link_type)
{
	choices[n] = (struct link_choice){
		.link_type = link_type,
		.is_cooked = link_type_made_header(link_type) > 0,
	};
	return n + 1;
}

static size_t
add_own(struct link_choice *choices, size_t n, uint16_t arphrd)
{
	for (size_t i = 0; i < ARRAY_LEN(own_types); i++) {
		if (own_types[i].arphrd != arphrd)
			continue;
		for (size_t k = 0; k < ARRAY_LEN(own_types[i].link_types); k++)
			if (own_types[i].link_types[k] != 0)
				n = add_choice(choices, n, own_types[i].link_types[k]);
	}
	return n;
}

size_t
link_type_choices(uint16_t arphrd, const char *name,
    struct link_choice ret[static LINK_CHOICES_MAX])
{
	size_t n = 0;

	/* Phones' modems: IP packets. */
	if (arphrd == ARPHRD_ETHER && begins_with(name, "cdma_rmnet"))
		n = add_choice(ret, n, LINK_RAW_IP);
	/* ISDN: whatever the driver likes. */
	else if (arphrd != ARPHRD_ETHER ||
	    (!begins_with(name, "isdn") && !begins_with(name, "isdY")))
		n = add_own(ret, n, arphrd);
	n = add_choice(ret, n, LINK_SLL2);
	return add_choice(ret, n, LINK_SLL);
}

bool
link_type_choose(uint16_t arphrd, const char *name, uint32_t link_type,
    struct link_choice *ret)
{
	struct link_choice choices[LINK_CHOICES_MAX];
	size_t n = link_type_choices(arphrd, name, choices);

	for (size_t i = 0; i < n; i++) {
		if (choices[i].link_type == link_type) {
			*ret = choices[i];
			return true;
		}
	}
	return false;
}

const uint32_t *
link_type_all(size_t *ret_n)
{
	*ret_n = ARRAY_LEN(all);
	return all;
}

void
link_type_name(uint32_t link_type, char *dst, size_t size)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (names[i].value == link_type) {
			snprintf(dst, size, "%s", names[i].name);
			return;
		}
	}
	snprintf(dst, size, "%u", link_type);
}

void
link_type_text(uint32_t link_type, char *dst, size_t size)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (names[i].value == link_type) {
			snprintf(dst, size, "%s (%s)", names[i].name,
			    names[i].description);
			return;
		}
	}
	snprintf(dst, size, "%u", link_type);
}

bool
link_type_from_name(const char *name, uint32_t *ret)
{
	unsigned long value;
	char *end;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcasecmp(names[i].name, name) == 0) {
			*ret = names[i].value;
			return true;
		}
	}
	if (name[0] < '0' || name[0] > '9')
		return false;
	errno = 0;
	value = strtoul(name, &end, 10);
	if (errno != 0 || *end != '\0' || value > UINT16_MAX)
		return false;
	*ret = (uint32_t)value;
	return true;
}
