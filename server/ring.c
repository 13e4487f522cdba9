#include "server/ring.h"

#include <string.h>

#include <linux/if_packet.h>

#include "proto/batch.h"
#include "proto/limits.h"
#include "server/ring_judge.h"

enum {
	/* The kernel aligns headers to this (V3_ALIGNMENT). */
	HEADER_ALIGNMENT = 8,

	/* sockaddr_ll follows the header; bytes start behind it. */
	SLL_OFFSET = sizeof(struct tpacket3_hdr),
	PACKET_MIN = SLL_OFFSET + sizeof(struct sockaddr_ll),
};

_Static_assert(sizeof(struct tpacket3_hdr) % TPACKET_ALIGNMENT == 0,
    "TPACKET_ALIGN() changes nothing");

/* Newer than the headers of Debian 12. */
#ifndef TP_STATUS_GSO_TCP
#define TP_STATUS_GSO_TCP (1 << 8)
#endif

void
ring_init(struct ring *r, void *mem, uint32_t block_size, uint32_t block_nr,
    const struct ring_link *link)
{
	*r = (struct ring){
		.mem = mem,
		.block_size = block_size,
		.block_nr = block_nr,
		.link = *link,
		.layout = ring_layout_of(link->link_type, link->is_cooked),
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

/*
 * By stamps a turn of the ring, and no longer: a clock that was set back must
 * not make it last.  By blocks one more, for what stood between filter and ring.
 */
static uint64_t
recheck_end(const struct ring *r)
{
	return r->recheck.until_block +
	    (r->recheck.until_time.ns != 0 ? r->block_nr : 1);
}

/* Which filter the packets of the block that is walked must pass. */
static void
choose_filter(struct ring *r)
{
	if (r->recheck.check != NULL && r->sequence > recheck_end(r))
		r->recheck.check = NULL;
	r->filter = NULL;
	if (r->recheck.check != NULL)
		r->filter = &r->recheck;
	else if (r->standing.check != NULL)
		r->filter = &r->standing;
}

void
ring_set_filters(struct ring *r, const struct ring_filter *recheck,
    const struct ring_filter *standing)
{
	r->recheck = *recheck;
	r->standing = *standing;
	choose_filter(r);
}

uint64_t
ring_open_block(const struct ring *r)
{
	uint64_t sequence = r->is_inside ? r->sequence : r->sequence + 1;
	uint32_t number = r->block;

	/*
	 * Counted from the last one walked: the kernel may be about to write
	 * the open block's own number.
	 */
	for (uint32_t i = 0; i < r->block_nr; i++) {
		const struct tpacket_block_desc *desc = (const void *)
		    (r->mem + (size_t)number * r->block_size);

		if ((__atomic_load_n(&desc->hdr.bh1.block_status,
		    __ATOMIC_ACQUIRE) & TP_STATUS_USER) == 0)
			return sequence + i;
		number = number + 1 == r->block_nr ? 0 : number + 1;
	}
	/* Full: the kernel will open one for what comes from now on. */
	return sequence + r->block_nr - 1;
}

static int
block_enter(struct ring *r, uint32_t status)
{
	const struct tpacket_hdr_v1 *h = block_header(r);

	r->is_losing = (status & TP_STATUS_LOSING) != 0;
	r->sequence = h->seq_num;
	choose_filter(r);
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

/*
 * Write the first want bytes of the packet's form in a file: the front may be
 * longer than snaplen leaves of it.
 */
static void
copy_formed(uint8_t *dst, uint32_t want, const struct ring_front *front,
    const uint8_t *src)
{
	if (want <= front->len) {
		memcpy(dst, front->bytes, want);
		return;
	}
	memcpy(dst, front->bytes, front->len);
	memcpy(dst + front->len, src + front->skip, want - front->len);
}

static uint8_t
offload_of(const struct tpacket3_hdr *h)
{
	const uint32_t any = TP_STATUS_CSUMNOTREADY | TP_STATUS_CSUM_VALID |
	    TP_STATUS_GSO_TCP;
	uint8_t offload = 0;

	if ((h->tp_status & any) == 0)
		return 0;
	if (h->tp_status & TP_STATUS_CSUMNOTREADY)
		offload |= PACKET_CSUM_NOT_READY;
	if (h->tp_status & TP_STATUS_CSUM_VALID)
		offload |= PACKET_CSUM_VALID;
	if (h->tp_status & TP_STATUS_GSO_TCP)
		offload |= PACKET_GSO;
	return offload;
}

static int64_t
stamp_of(const struct tpacket3_hdr *h)
{
	return (int64_t)h->tp_sec * NS_PER_S + h->tp_nsec;
}

/* Most packets need nothing made: they are what this is about. */
static bool
is_plain(const struct ring *r, const struct tpacket3_hdr *h)
{
	return r->layout == RING_PLAIN || (r->layout == RING_ETHERNET &&
	    (h->tp_status & TP_STATUS_VLAN_VALID) == 0);
}

/* Append one packet, whose bounds are checked.  E_TOOBIG: builder is full. */
static int
deliver(struct ring *r, const struct tpacket3_hdr *h,
    const struct sockaddr_ll *sll, uint32_t keep, struct batch_builder *builder)
{
	const uint8_t *src = (const uint8_t *)h + h->tp_mac;
	uint64_t captured = h->tp_snaplen, original = h->tp_len;
	const struct ring_front *front = NULL;
	struct packet_meta meta;
	uint8_t *dst;

	if (!is_plain(r, h)) {
		ring_front_make(r->layout, h, sll, src, &r->front);
		front = &r->front;
		captured += front->len - front->skip;
		original += front->extra;
	}
	if (original > UINT32_MAX)
		original = UINT32_MAX;
	if (captured > r->link.snaplen)
		captured = r->link.snaplen;
	if (captured > keep)
		captured = keep;
	meta = (struct packet_meta){
		.time.ns = stamp_of(h),
		.captured_len = (uint32_t)captured,
		.original_len = (uint32_t)(original > captured ? original :
		    captured),
		.iface = r->link.iface,
		.type = sll->sll_pkttype <= PACKET_OUTGOING ?
		    sll->sll_pkttype : PACKET_HOST,
		.offload = offload_of(h),
	};
	dst = batch_builder_add(builder, &meta);
	if (dst == NULL)
		return E_TOOBIG;

	if (front != NULL)
		copy_formed(dst, meta.captured_len, front, src);
	else
		memcpy(dst, src, meta.captured_len);
	r->packets++;
	r->bytes += meta.captured_len;
	return E_OK;
}

static const struct ring_filter *
filter_for(const struct ring *r, const struct tpacket3_hdr *h)
{
	if (r->filter == &r->recheck && r->recheck.until_time.ns != 0 &&
	    stamp_of(h) >= r->recheck.until_time.ns)
		return &r->standing;
	return r->filter;
}

/* In the one block more nearly all have passed the new filter already. */
static bool
is_past_until(const struct ring *r, const struct ring_filter *filter)
{
	return filter->until_time.ns == 0 && r->sequence > filter->until_block;
}

/*
 * How much of the packet the filter in force keeps; 0: nothing, and it is
 * counted.
 */
static uint32_t
judge(struct ring *r, const struct ring_packet *p)
{
	const struct ring_filter *filter = filter_for(r, p->h);
	uint32_t keep = UINT32_MAX;

	if (filter->check == NULL)
		return keep;
	if (filter->only_tagged && (p->h->tp_status & TP_STATUS_VLAN_VALID) == 0)
		return keep;
	switch (ring_judge(filter->check, p, &keep)) {
	case RING_PASSED:
		return keep;
	case RING_REJECTED:
		r->rejected++;
		return 0;
	case RING_UNCERTAIN:
		break;
	}
	if (!filter->drop_uncertain || is_past_until(r, filter))
		return keep;
	r->uncertain++;
	return 0;
}

static int
walk_packet(struct ring *r, struct batch_builder *builder)
{
	uint8_t *at = block_start(r) + r->offset;
	const struct tpacket3_hdr *h = (const void *)at;
	const struct sockaddr_ll *sll = (const void *)(at + SLL_OFFSET);
	uint32_t keep = UINT32_MAX;
	int code = E_OK;

	if (h->tp_mac < PACKET_MIN ||
	    (uint64_t)h->tp_mac + h->tp_snaplen > r->block_size - r->offset)
		return E_BADMSG;
	if (r->link.is_loopback && sll->sll_pkttype == PACKET_OUTGOING) {
		r->skipped++;
		return block_advance(r, h);
	}
	if (r->filter != NULL)
		keep = judge(r, &(struct ring_packet){ .h = h, .sll = sll,
		    .data = at + h->tp_mac, .room = h->tp_mac - (uint32_t)PACKET_MIN,
		    .layout = r->layout });
	if (keep > 0)
		code = deliver(r, h, sll, keep, builder);
	return code == E_OK ? block_advance(r, h) : code;
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
