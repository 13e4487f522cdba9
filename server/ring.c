#include <string.h>

#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include "common/bytes.h"
#include "proto/batch.h"
#include "proto/limits.h"
#include "server/ring.h"

enum {
	LINKTYPE_ETHERNET = 1,

	MAC_ADDRESSES_LEN = 12,		/* the tag's place is behind them */
	VLAN_TAG_LEN = 4,
	SLL2_LEN = 20,
	CAN_ID_LEN = 4,

	/* The kernel aligns headers to this (V3_ALIGNMENT). */
	HEADER_ALIGNMENT = 8,

	/* sockaddr_ll follows the header; bytes start behind it. */
	SLL_OFFSET = sizeof(struct tpacket3_hdr),
	PACKET_MIN = SLL_OFFSET + sizeof(struct sockaddr_ll),
};

_Static_assert(sizeof(struct tpacket3_hdr) % TPACKET_ALIGNMENT == 0,
    "TPACKET_ALIGN() changes nothing");
_Static_assert((int)SLL2_LEN <= (int)PROTO_MAX_LINK_EXTRA, "a limit");
_Static_assert((int)VLAN_TAG_LEN <= (int)PROTO_MAX_LINK_EXTRA, "a limit");

/* How a packet's bytes become those of a file. */
enum layout { LAYOUT_PLAIN, LAYOUT_ETHERNET, LAYOUT_COOKED };

static enum layout
layout_of(const struct ring_link *link)
{
	if (link->is_cooked)
		return LAYOUT_COOKED;
	if (link->link_type == LINKTYPE_ETHERNET)
		return LAYOUT_ETHERNET;
	return LAYOUT_PLAIN;
}

void
ring_init(struct ring *r, void *mem, uint32_t block_size, uint32_t block_nr,
    const struct ring_link *link)
{
	*r = (struct ring){
		.mem = mem,
		.block_size = block_size,
		.block_nr = block_nr,
		.link = *link,
		.layout = layout_of(link),
	};
	if (r->link.snaplen > PROTO_MAX_SNAPLEN)
		r->link.snaplen = PROTO_MAX_SNAPLEN;
}

static uint8_t *
block_start(const struct ring *r)
{
	return r->mem + (size_t)r->block * r->block_size;
}

static struct tpacket_hdr_v1 *
block_header(const struct ring *r)
{
	struct tpacket_block_desc *desc = (void *)block_start(r);

	return &desc->hdr.bh1;
}

/* Acquire: what the kernel wrote into the block is seen after its status. */
static uint32_t
block_status(const struct ring *r)
{
	return __atomic_load_n(&block_header(r)->block_status, __ATOMIC_ACQUIRE);
}

/* Release: all that we read was read before the kernel writes again. */
static void
block_give_back(struct ring *r)
{
	__atomic_store_n(&block_header(r)->block_status, TP_STATUS_KERNEL,
	    __ATOMIC_RELEASE);
	r->block = r->block + 1 == r->block_nr ? 0 : r->block + 1;
	r->is_inside = false;
}

bool
ring_is_ready(const struct ring *r)
{
	return r->is_inside || (block_status(r) & TP_STATUS_USER) != 0;
}

static bool
is_packet_offset(const struct ring *r, uint64_t offset)
{
	return offset % HEADER_ALIGNMENT == 0 &&
	    offset >= sizeof(struct tpacket_block_desc) &&
	    offset + PACKET_MIN <= r->block_size;
}

static int
block_enter(struct ring *r, uint32_t status)
{
	const struct tpacket_hdr_v1 *h = block_header(r);

	r->is_losing = (status & TP_STATUS_LOSING) != 0;
	r->left = h->num_pkts;
	r->offset = h->offset_to_first_pkt;
	r->is_inside = true;
	if (r->left > 0 && !is_packet_offset(r, r->offset))
		return E_BADMSG;
	return E_OK;
}

/* Go to the packet behind the one at h; the last one points nowhere. */
static int
block_advance(struct ring *r, const struct tpacket3_hdr *h)
{
	uint64_t offset = (uint64_t)r->offset + h->tp_next_offset;

	if (--r->left == 0)
		return E_OK;
	if (h->tp_next_offset < PACKET_MIN || !is_packet_offset(r, offset))
		return E_BADMSG;
	r->offset = (uint32_t)offset;
	return E_OK;
}

/* Count what a broken block takes with it: no more than it could hold. */
static void
block_abandon(struct ring *r)
{
	uint32_t most = r->block_size / PACKET_MIN;

	r->bad_blocks++;
	r->bad_packets += r->left < most ? r->left : most;
	block_give_back(r);
}

static void
put_vlan_tag(uint8_t *dst, const struct tpacket3_hdr *h)
{
	uint16_t tpid = ETH_P_8021Q;

	if (h->tp_status & TP_STATUS_VLAN_TPID_VALID)
		tpid = h->hv1.tp_vlan_tpid;
	put_be16(dst, tpid);
	put_be16(dst + 2, (uint16_t)h->hv1.tp_vlan_tci);
}

static void
put_sll2(uint8_t *dst, const struct sockaddr_ll *sll)
{
	memcpy(dst, &sll->sll_protocol, 2);	/* in network order already */
	put_be16(dst + 2, 0);
	put_be32(dst + 4, (uint32_t)sll->sll_ifindex);
	put_be16(dst + 8, sll->sll_hatype);
	dst[10] = sll->sll_pkttype;
	dst[11] = sll->sll_halen;
	memcpy(dst + 12, sll->sll_addr, 8);
}

/* The kernel has a CAN identifier in host order, a file in network order. */
static void
can_id_to_network_order(uint8_t *p)
{
	uint32_t id;

	memcpy(&id, p, CAN_ID_LEN);
	put_be32(p, id);
}

static bool
is_can_protocol(const struct sockaddr_ll *sll)
{
	const uint8_t *p = (const uint8_t *)&sll->sll_protocol;

	return get_be16(p) == ETH_P_CAN || get_be16(p) == ETH_P_CANFD;
}

/*
 * Write the first want bytes of front[0..front_len) followed by src: the
 * header may be longer than snaplen leaves of the packet.
 */
static void
copy_behind(uint8_t *dst, uint32_t want, const uint8_t *front,
    uint32_t front_len, const uint8_t *src)
{
	if (want <= front_len) {
		memcpy(dst, front, want);
		return;
	}
	memcpy(dst, front, front_len);
	memcpy(dst + front_len, src, want - front_len);
}

static void
copy_tagged(uint8_t *dst, uint32_t want, const struct tpacket3_hdr *h,
    const uint8_t *src)
{
	uint8_t front[MAC_ADDRESSES_LEN + VLAN_TAG_LEN];

	memcpy(front, src, MAC_ADDRESSES_LEN);
	put_vlan_tag(front + MAC_ADDRESSES_LEN, h);
	copy_behind(dst, want, front, sizeof(front), src + MAC_ADDRESSES_LEN);
}

static void
copy_cooked(uint8_t *dst, uint32_t want, const struct sockaddr_ll *sll,
    const uint8_t *src)
{
	uint8_t front[SLL2_LEN];

	put_sll2(front, sll);
	copy_behind(dst, want, front, sizeof(front), src);
	if (want >= SLL2_LEN + CAN_ID_LEN && is_can_protocol(sll))
		can_id_to_network_order(dst + SLL2_LEN);
}

/* How many bytes the file's form of this packet has more than the ring's. */
static uint32_t
extra_len(const struct ring *r, const struct tpacket3_hdr *h)
{
	if (r->layout == LAYOUT_COOKED)
		return SLL2_LEN;
	if (r->layout == LAYOUT_ETHERNET &&
	    (h->tp_status & TP_STATUS_VLAN_VALID) != 0)
		return VLAN_TAG_LEN;
	return 0;
}

/* Of the bytes in the ring: a tag has no place in half an address. */
static uint64_t
captured_len(const struct ring *r, const struct tpacket3_hdr *h, uint32_t extra)
{
	if (r->layout == LAYOUT_ETHERNET && h->tp_snaplen < MAC_ADDRESSES_LEN)
		return h->tp_snaplen;
	return (uint64_t)h->tp_snaplen + extra;
}

/* Append one packet, whose bounds are checked.  E_TOOBIG: builder is full. */
static int
deliver(struct ring *r, const struct tpacket3_hdr *h,
    const struct sockaddr_ll *sll, struct batch_builder *builder)
{
	const uint8_t *src = (const uint8_t *)h + h->tp_mac;
	uint32_t extra = extra_len(r, h);
	uint64_t captured = captured_len(r, h, extra);
	uint64_t original = (uint64_t)h->tp_len + extra;
	struct packet_meta meta;
	uint8_t *dst;

	if (original > UINT32_MAX)
		original = UINT32_MAX;
	if (captured > r->link.snaplen)
		captured = r->link.snaplen;
	meta = (struct packet_meta){
		.time.ns = (int64_t)h->tp_sec * NS_PER_S + h->tp_nsec,
		.captured_len = (uint32_t)captured,
		.original_len = (uint32_t)(original > captured ? original :
		    captured),
		.iface = r->link.iface,
		.type = sll->sll_pkttype <= PACKET_OUTGOING ?
		    sll->sll_pkttype : PACKET_HOST,
	};
	dst = batch_builder_add(builder, &meta);
	if (dst == NULL)
		return E_TOOBIG;

	if (r->layout == LAYOUT_COOKED)
		copy_cooked(dst, meta.captured_len, sll, src);
	else if (extra != 0 && meta.captured_len > MAC_ADDRESSES_LEN)
		copy_tagged(dst, meta.captured_len, h, src);
	else
		memcpy(dst, src, meta.captured_len);
	r->packets++;
	r->bytes += meta.captured_len;
	return E_OK;
}

static int
walk_packet(struct ring *r, struct batch_builder *builder)
{
	const uint8_t *at = block_start(r) + r->offset;
	const struct tpacket3_hdr *h = (const void *)at;
	const struct sockaddr_ll *sll = (const void *)(at + SLL_OFFSET);
	int code;

	if (h->tp_mac < PACKET_MIN ||
	    (uint64_t)h->tp_mac + h->tp_snaplen > r->block_size - r->offset)
		return E_BADMSG;
	if (r->link.is_loopback && sll->sll_pkttype == PACKET_OUTGOING) {
		r->skipped++;
	} else {
		code = deliver(r, h, sll, builder);
		if (code != E_OK)
			return code;
	}
	return block_advance(r, h);
}

int
ring_walk(struct ring *r, struct batch_builder *builder)
{
	uint32_t status;
	int code = E_OK;

	if (!r->is_inside) {
		status = block_status(r);
		if ((status & TP_STATUS_USER) == 0)
			return E_AGAIN;
		code = block_enter(r, status);
	}
	while (code == E_OK && r->left > 0)
		code = walk_packet(r, builder);
	if (code == E_TOOBIG)
		return code;
	if (code == E_OK)
		block_give_back(r);
	else
		block_abandon(r);
	return code;
}
