#include "server/ring_form.h"

#include <string.h>

#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include "common/bytes.h"
#include "common/link_type.h"
#include "proto/limits.h"

#ifndef ETH_P_CANXL
#define ETH_P_CANXL 0x000E
#endif

enum {
	MAC_ADDRESSES_LEN = 12,		/* the tag's place is behind them */
	VLAN_TAG_LEN = 4,
	SLL_LEN = 16,
	SLL2_LEN = 20,
	CAN_ID_LEN = 4,
};

_Static_assert((int)SLL2_LEN <= (int)PROTO_MAX_LINK_EXTRA, "a limit");
_Static_assert((int)VLAN_TAG_LEN <= (int)PROTO_MAX_LINK_EXTRA, "a limit");
_Static_assert((int)SLL2_LEN + (int)CAN_ID_LEN <= (int)RING_FRONT_MAX, "room");

enum ring_layout
ring_layout_of(uint32_t link_type, bool is_cooked)
{
	/* IrDA, LAPD and netlink have SLL's header and a number of their own. */
	if (is_cooked)
		return link_type == LINK_SLL2 ? RING_SLL2 : RING_SLL;
	if (link_type_is_ethernet(link_type))
		return RING_ETHERNET;
	return link_type == LINK_CAN ? RING_CAN : RING_PLAIN;
}

static void
put_tag(const struct tpacket3_hdr *h, const uint8_t *src, struct ring_front *ret)
{
	uint16_t tpid = ETH_P_8021Q;

	if ((h->tp_status & TP_STATUS_VLAN_VALID) == 0)
		return;
	ret->extra = VLAN_TAG_LEN;
	if (h->tp_snaplen < MAC_ADDRESSES_LEN)
		return;
	if (h->tp_status & TP_STATUS_VLAN_TPID_VALID)
		tpid = h->hv1.tp_vlan_tpid;
	memcpy(ret->bytes, src, MAC_ADDRESSES_LEN);
	put_be16(ret->bytes + MAC_ADDRESSES_LEN, tpid);
	put_be16(ret->bytes + MAC_ADDRESSES_LEN + 2, (uint16_t)h->hv1.tp_vlan_tci);
	ret->len = MAC_ADDRESSES_LEN + VLAN_TAG_LEN;
	ret->skip = MAC_ADDRESSES_LEN;
}

static void
put_sll(const struct sockaddr_ll *sll, struct ring_front *ret)
{
	uint8_t *dst = ret->bytes;

	put_be16(dst, sll->sll_pkttype);
	put_be16(dst + 2, sll->sll_hatype);
	put_be16(dst + 4, sll->sll_halen);
	memcpy(dst + 6, sll->sll_addr, 8);
	memcpy(dst + 14, &sll->sll_protocol, 2);	/* in network order already */
	ret->len = ret->extra = SLL_LEN;
}

static void
put_sll2(const struct sockaddr_ll *sll, struct ring_front *ret)
{
	uint8_t *dst = ret->bytes;

	memcpy(dst, &sll->sll_protocol, 2);
	put_be16(dst + 2, 0);
	put_be32(dst + 4, (uint32_t)sll->sll_ifindex);
	put_be16(dst + 8, sll->sll_hatype);
	dst[10] = sll->sll_pkttype;
	dst[11] = sll->sll_halen;
	memcpy(dst + 12, sll->sll_addr, 8);
	ret->len = ret->extra = SLL2_LEN;
}

static bool
is_can_protocol(const struct sockaddr_ll *sll)
{
	const uint8_t *p = (const uint8_t *)&sll->sll_protocol;

	return get_be16(p) == ETH_P_CAN || get_be16(p) == ETH_P_CANFD ||
	    get_be16(p) == ETH_P_CANXL;
}

/* The kernel has a CAN identifier in host order, a file in network order. */
static void
put_can_id(const struct tpacket3_hdr *h, const uint8_t *src, struct ring_front *ret)
{
	uint32_t id;

	if (h->tp_snaplen < CAN_ID_LEN)
		return;
	memcpy(&id, src, CAN_ID_LEN);
	put_be32(ret->bytes + ret->len, id);
	ret->len += CAN_ID_LEN;
	ret->skip = CAN_ID_LEN;
}

void
ring_front_make(enum ring_layout layout, const struct tpacket3_hdr *h,
    const struct sockaddr_ll *sll, const uint8_t *src, struct ring_front *ret)
{
	ret->len = ret->skip = ret->extra = 0;
	switch (layout) {
	case RING_PLAIN:
		return;
	case RING_ETHERNET:
		put_tag(h, src, ret);
		return;
	case RING_SLL:
		put_sll(sll, ret);
		break;
	case RING_SLL2:
		put_sll2(sll, ret);
		break;
	case RING_CAN:
		put_can_id(h, src, ret);
		return;
	}
	if (is_can_protocol(sll))
		put_can_id(h, src, ret);
}
