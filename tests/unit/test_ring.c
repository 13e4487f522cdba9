/*
 * server/ring: packets come out of a block as a file would hold them, a walk
 * can stop anywhere, and a block that no kernel writes does no harm.
 */
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include <cmocka.h>

#include "common/bytes.h"
#include "mutate.h"
#include "proto/batch.h"
#include "proto/frame.h"
#include "proto/limits.h"
#include "server/ring.h"
#include "server/ring_map.h"

enum { BLOCK_SIZE = 4096, BLOCK_NR = 4 };

/* --- a ring as the kernel would fill it --- */

static _Alignas(4096) uint8_t memory[BLOCK_SIZE * BLOCK_NR];

struct made_packet {
	uint32_t sec, nsec, snaplen, len, status;
	uint16_t tci, tpid, mac;
	uint8_t	 type;
	uint16_t protocol;		/* host order */
	const uint8_t *data;
};

static struct tpacket_hdr_v1 *
block(unsigned number)
{
	struct tpacket_block_desc *desc =
	    (void *)(memory + (size_t)number * BLOCK_SIZE);

	return &desc->hdr.bh1;
}

static struct tpacket3_hdr *
packet_at(unsigned number, uint32_t offset)
{
	return (void *)(memory + (size_t)number * BLOCK_SIZE + offset);
}

/* Write packets into block number and close it; the last points nowhere. */
static void
make_block(unsigned number, const struct made_packet *packets, uint32_t n)
{
	struct tpacket_hdr_v1 *b = block(number);
	uint32_t offset = sizeof(struct tpacket_block_desc), next;

	memset(memory + (size_t)number * BLOCK_SIZE, 0xee, BLOCK_SIZE);
	b->num_pkts = n;
	b->offset_to_first_pkt = offset;
	for (uint32_t i = 0; i < n; i++) {
		const struct made_packet *p = &packets[i];
		struct tpacket3_hdr *h = packet_at(number, offset);
		struct sockaddr_ll sll = {
			.sll_family = AF_PACKET,
			.sll_protocol = htons(p->protocol),
			.sll_ifindex = 7,
			.sll_hatype = ARPHRD_PPP,
			.sll_pkttype = p->type,
			.sll_halen = 6,
			.sll_addr = { 1, 2, 3, 4, 5, 6, 0, 0 },
		};
		uint16_t mac = p->mac != 0 ? p->mac : 82;

		next = (mac + p->snaplen + 7u) & ~7u;
		assert_true(offset + next <= BLOCK_SIZE);
		*h = (struct tpacket3_hdr){
			.tp_next_offset = i + 1 < n ? next : 0,
			.tp_sec = p->sec, .tp_nsec = p->nsec,
			.tp_snaplen = p->snaplen,
			.tp_len = p->len != 0 ? p->len : p->snaplen,
			.tp_status = p->status, .tp_mac = mac, .tp_net = 96,
			.hv1.tp_vlan_tci = p->tci, .hv1.tp_vlan_tpid = p->tpid,
		};
		memcpy((uint8_t *)h + sizeof(*h), &sll, sizeof(sll));
		memcpy((uint8_t *)h + mac, p->data, p->snaplen);
		offset += next;
	}
	b->block_status = TP_STATUS_USER;
}

static const struct ring_link ethernet = {
	.link_type = 1, .iface = 2, .snaplen = 262144,
};

static struct batch_builder *builder;
static struct ring ring;
static uint8_t frame_bytes[1500];

static int
setup(void **state)
{
	(void)state;
	memset(memory, 0, sizeof(memory));
	for (size_t i = 0; i < sizeof(frame_bytes); i++)
		frame_bytes[i] = (uint8_t)(i * 13 + 1);
	builder = batch_builder_new();
	ring_init(&ring, memory, BLOCK_SIZE, BLOCK_NR, &ethernet);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	batch_builder_free(builder);
	return 0;
}

/* What has been delivered since, in a batch that stays until the next call. */
static struct batch *sealed;
static struct batch_reader reader;

static void
seal(void)
{
	size_t hdr_len = 0;

	batch_unref(sealed);
	sealed = batch_builder_seal(builder, 1);
	while (sealed->frame[hdr_len++] & 0x80)
		;
	assert_int_equal(batch_reader_init(&reader, sealed->frame + hdr_len,
	    sealed->frame_len - hdr_len, 16), E_OK);
}

static void
unseal(void)
{
	batch_unref(sealed);
	sealed = NULL;
}

static struct packet_ref
next_packet(void)
{
	struct packet_ref packet;

	assert_int_equal(batch_reader_next(&reader, &packet), 1);
	return packet;
}

/* Walk one block that holds this packet alone and return it. */
static struct packet_ref
deliver(const struct made_packet *made, const struct ring_link *link)
{
	ring_init(&ring, memory, BLOCK_SIZE, BLOCK_NR, link);
	make_block(0, made, 1);
	assert_int_equal(ring_walk(&ring, builder), E_OK);
	assert_int_equal(batch_builder_count(builder), 1);
	seal();
	return next_packet();
}

static void
a_packet_comes_out_as_it_is(void **state)
{
	struct made_packet made = { .sec = 1790000000, .nsec = 123456789,
	    .snaplen = 60, .len = 1414, .type = PACKET_OTHERHOST,
	    .data = frame_bytes };
	struct packet_ref p = deliver(&made, &ethernet);

	(void)state;
	assert_int_equal(p.meta.time.ns, 1790000000123456789);
	assert_int_equal(p.meta.captured_len, 60);
	assert_int_equal(p.meta.original_len, 1414);
	assert_int_equal(p.meta.iface, 2);
	assert_int_equal(p.meta.type, PACKET_OTHERHOST);
	assert_memory_equal(p.data, frame_bytes, 60);
	assert_int_equal(ring.packets, 1);
	assert_int_equal(ring.bytes, 60);
	unseal();
}

static void
times_beyond_2038_do_not_overflow(void **state)
{
	struct made_packet made = { .sec = UINT32_MAX, .nsec = 999999999,
	    .snaplen = 20, .data = frame_bytes };

	(void)state;
	assert_int_equal(deliver(&made, &ethernet).meta.time.ns,
	    4294967295999999999);
	unseal();
}

static void
assert_tagged(const struct made_packet *made, uint16_t tpid, uint16_t tci)
{
	struct packet_ref p = deliver(made, &ethernet);
	uint8_t tag[4];

	put_be16(tag, tpid);
	put_be16(tag + 2, tci);
	assert_int_equal(p.meta.captured_len, made->snaplen + 4);
	assert_int_equal(p.meta.original_len, made->len + 4);
	assert_memory_equal(p.data, frame_bytes, 12);
	assert_memory_equal(p.data + 12, tag, 4);
	assert_memory_equal(p.data + 16, frame_bytes + 12, made->snaplen - 12);
	unseal();
}

static void
a_stripped_tag_is_put_back(void **state)
{
	struct made_packet made = { .snaplen = 100, .len = 200,
	    .data = frame_bytes };

	(void)state;
	made.status = TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID;
	made.tpid = ETH_P_8021Q;
	made.tci = 0x6005;			/* priority and DEI stay */
	assert_tagged(&made, ETH_P_8021Q, 0x6005);
	made.tpid = ETH_P_8021AD;
	assert_tagged(&made, ETH_P_8021AD, 0x6005);
	made.tci = 0;				/* a priority tag is a tag */
	assert_tagged(&made, ETH_P_8021AD, 0);
	made.status = TP_STATUS_VLAN_VALID;	/* old kernels do not say which */
	made.tpid = 0;
	made.tci = 0xffff;
	assert_tagged(&made, ETH_P_8021Q, 0xffff);
	made.snaplen = 12;
	assert_tagged(&made, ETH_P_8021Q, 0xffff);
}

static void
a_tag_behind_the_cut_counts_and_other_links_have_none(void **state)
{
	struct made_packet made = { .snaplen = 11, .len = 60, .tci = 5,
	    .status = TP_STATUS_VLAN_VALID, .data = frame_bytes };
	struct ring_link raw_ip = { .link_type = 101, .snaplen = 65535 };
	struct packet_ref p = deliver(&made, &ethernet);

	(void)state;
	assert_int_equal(p.meta.captured_len, 11);
	assert_int_equal(p.meta.original_len, 64);
	made.snaplen = 60;
	p = deliver(&made, &raw_ip);
	assert_int_equal(p.meta.captured_len, 60);
	assert_int_equal(p.meta.original_len, 60);
	assert_memory_equal(p.data, frame_bytes, 60);
	unseal();
}

static void
snaplen_cuts_what_was_made(void **state)
{
	struct made_packet made = { .snaplen = 60, .len = 60, .tci = 0x0102,
	    .tpid = 0x8100, .status = TP_STATUS_VLAN_VALID, .data = frame_bytes };
	struct ring_link link = ethernet;
	uint8_t want[64];

	(void)state;
	memcpy(want, frame_bytes, 12);
	memcpy(want + 12, "\x81\x00\x01\x02", 4);
	memcpy(want + 16, frame_bytes + 12, 48);
	for (uint32_t snaplen = 1; snaplen <= 70; snaplen++) {
		uint32_t captured = snaplen < 64 ? snaplen : 64;
		struct packet_ref p;

		link.snaplen = snaplen;
		p = deliver(&made, &link);
		assert_int_equal(p.meta.captured_len, captured);
		assert_int_equal(p.meta.original_len, 64);
		assert_memory_equal(p.data, want, captured);
	}
	unseal();
}

static void
a_cooked_packet_gets_an_sll2_header(void **state)
{
	static const uint8_t header[20] = { 0x08, 0x00, 0, 0, 0, 0, 0, 7, 0x02,
	    0x00, 4, 6, 1, 2, 3, 4, 5, 6, 0, 0 };
	struct made_packet made = { .snaplen = 40, .len = 99, .mac = 96,
	    .type = PACKET_OUTGOING, .protocol = ETH_P_IP, .data = frame_bytes };
	struct ring_link cooked = { .link_type = 276, .iface = 1,
	    .snaplen = 262144, .is_cooked = true };

	(void)state;
	for (uint32_t snaplen = 1; snaplen <= 61; snaplen++) {
		uint32_t captured = snaplen < 60 ? snaplen : 60;
		struct packet_ref p;

		cooked.snaplen = snaplen;
		p = deliver(&made, &cooked);
		assert_int_equal(p.meta.captured_len, captured);
		assert_int_equal(p.meta.original_len, 119);
		assert_memory_equal(p.data, header, captured < 20 ? captured : 20);
		if (captured > 20)
			assert_memory_equal(p.data + 20, frame_bytes, captured - 20);
	}
	unseal();
}

/* netlink and IrDA have SLL's header under link types of their own. */
static void
another_cooked_packet_gets_an_sll_header(void **state)
{
	static const uint32_t link_types[] = { 113, 144, 177, 253 };
	static const uint8_t header[16] = { 0, 4, 0x02, 0x00, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0,
	    0x08, 0x00 };
	struct made_packet made = { .snaplen = 40, .len = 99, .mac = 96,
	    .type = PACKET_OUTGOING, .protocol = ETH_P_IP, .data = frame_bytes };
	struct ring_link cooked = { .snaplen = 262144, .is_cooked = true };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(link_types); i++) {
		struct packet_ref p;

		cooked.link_type = link_types[i];
		p = deliver(&made, &cooked);
		assert_int_equal(p.meta.captured_len, 56);
		assert_int_equal(p.meta.original_len, 115);
		assert_memory_equal(p.data, header, sizeof(header));
		assert_memory_equal(p.data + 16, frame_bytes, 40);
	}
	unseal();
}

static void
can_ids_are_put_into_network_order(void **state)
{
	struct ring_link cooked = { .link_type = 276, .snaplen = 262144,
	    .is_cooked = true };
	struct ring_link can = { .link_type = 227, .snaplen = 262144 };
	uint8_t bytes[16] = { 0 };
	uint32_t id = 0x12345678;
	struct made_packet made = { .snaplen = 16, .len = 16,
	    .protocol = ETH_P_CAN, .data = bytes };

	(void)state;
	memcpy(bytes, &id, sizeof(id));
	assert_memory_equal(deliver(&made, &cooked).data + 20,
	    "\x12\x34\x56\x78\0", 5);
	made.protocol = ETH_P_IP;
	assert_memory_equal(deliver(&made, &cooked).data + 20, bytes, 5);
	/* A CAN device has nothing else. */
	assert_memory_equal(deliver(&made, &can).data, "\x12\x34\x56\x78\0", 5);
	unseal();
}

static void
outgoing_copies_on_loopback_are_skipped(void **state)
{
	struct ring_link lo = ethernet;
	const struct made_packet made[] = {
		{ .snaplen = 20, .type = PACKET_OUTGOING, .data = frame_bytes },
		{ .snaplen = 21, .type = PACKET_HOST, .data = frame_bytes },
		{ .snaplen = 22, .type = PACKET_OUTGOING, .data = frame_bytes },
	};

	(void)state;
	lo.is_loopback = true;
	ring_init(&ring, memory, BLOCK_SIZE, BLOCK_NR, &lo);
	make_block(0, made, 3);
	assert_int_equal(ring_walk(&ring, builder), E_OK);
	assert_int_equal(batch_builder_count(builder), 1);
	assert_int_equal(ring.packets, 1);
	assert_int_equal(ring.skipped, 2);

	ring_init(&ring, memory, BLOCK_SIZE, BLOCK_NR, &ethernet);
	make_block(0, made, 3);
	assert_int_equal(ring_walk(&ring, builder), E_OK);
	assert_int_equal(batch_builder_count(builder), 4);
}

static void
packet_types_stay_in_range(void **state)
{
	struct made_packet made = { .snaplen = 20, .type = PACKET_KERNEL,
	    .data = frame_bytes };

	(void)state;
	assert_int_equal(deliver(&made, &ethernet).meta.type, PACKET_HOST);
	unseal();
}

static void
lengths_beyond_32_bits_are_held(void **state)
{
	struct ring_link cooked = { .link_type = 276, .snaplen = 262144,
	    .is_cooked = true };
	struct made_packet made = { .snaplen = 10, .len = UINT32_MAX,
	    .data = frame_bytes };

	(void)state;
	assert_int_equal(deliver(&made, &cooked).meta.original_len, UINT32_MAX);
	made.len = 3;				/* less than what was captured */
	assert_int_equal(deliver(&made, &ethernet).meta.original_len, 10);
	unseal();
}

/* Four packets that are told apart by their length. */
static const struct made_packet four[] = {
	{ .snaplen = 20, .data = frame_bytes },
	{ .snaplen = 21, .data = frame_bytes },
	{ .snaplen = 22, .data = frame_bytes },
	{ .snaplen = 23, .data = frame_bytes },
};

static void
blocks_are_walked_in_order_and_given_back(void **state)
{
	(void)state;
	assert_false(ring_is_ready(&ring));
	assert_int_equal(ring_walk(&ring, builder), E_AGAIN);
	make_block(1, four, 4);			/* not its turn yet */
	assert_false(ring_is_ready(&ring));
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < BLOCK_NR; i++) {
			make_block(i, four + i, 4 - i);
			assert_true(ring_is_ready(&ring));
			assert_int_equal(ring_walk(&ring, builder), E_OK);
			assert_int_equal(block(i)->block_status, TP_STATUS_KERNEL);
			if (round == 0 && i == 0)
				block(1)->block_status = TP_STATUS_KERNEL;
			assert_int_equal(ring_walk(&ring, builder), E_AGAIN);
		}
	}
	assert_int_equal(batch_builder_count(builder), 3 * 10);
	assert_int_equal(ring.packets, 30);
}

static void
an_empty_block_is_given_back(void **state)
{
	(void)state;
	make_block(0, NULL, 0);
	block(0)->offset_to_first_pkt = 0;
	assert_int_equal(ring_walk(&ring, builder), E_OK);
	assert_int_equal(block(0)->block_status, TP_STATUS_KERNEL);
	assert_int_equal(batch_builder_count(builder), 0);
}

static void
the_kernels_losing_flag_is_seen(void **state)
{
	(void)state;
	make_block(0, four, 1);
	block(0)->block_status |= TP_STATUS_LOSING | TP_STATUS_BLK_TMO;
	assert_int_equal(ring_walk(&ring, builder), E_OK);
	assert_true(ring.is_losing);
	make_block(1, four, 1);
	assert_int_equal(ring_walk(&ring, builder), E_OK);
	assert_false(ring.is_losing);
}

static void
a_full_batch_stops_the_walk_at_the_packet(void **state)
{
	const struct packet_meta one = { .captured_len = 1, .original_len = 1 };

	(void)state;
	for (uint32_t room = 0; room < 4; room++) {
		ring_init(&ring, memory, BLOCK_SIZE, BLOCK_NR, &ethernet);
		make_block(0, four, 4);
		while (batch_builder_count(builder) < PROTO_BATCH_PACKETS - room)
			*batch_builder_add(builder, &one) = 0;
		assert_int_equal(ring_walk(&ring, builder), E_TOOBIG);
		assert_int_equal(ring_walk(&ring, builder), E_TOOBIG);
		assert_int_equal(block(0)->block_status, TP_STATUS_USER);
		assert_true(ring_is_ready(&ring));
		assert_int_equal(ring.packets, room);
		seal();

		assert_int_equal(ring_walk(&ring, builder), E_OK);
		assert_int_equal(block(0)->block_status, TP_STATUS_KERNEL);
		assert_int_equal(ring.packets, 4);
		seal();
		for (uint32_t i = room; i < 4; i++)
			assert_int_equal(next_packet().meta.captured_len, 20 + i);
	}
	unseal();
}

/* --- blocks that no kernel writes --- */

static void
assert_bad(uint64_t delivered, uint64_t lost)
{
	assert_int_equal(ring_walk(&ring, builder), E_BADMSG);
	assert_int_equal(ring.packets, delivered);
	assert_int_equal(ring.bad_blocks, 1);
	assert_int_equal(ring.bad_packets, lost);
	assert_int_equal(block(0)->block_status, TP_STATUS_KERNEL);

	/* And it goes on. */
	make_block(1, four, 4);
	assert_int_equal(ring_walk(&ring, builder), E_OK);
	assert_int_equal(ring.packets, delivered + 4);
	ring_init(&ring, memory, BLOCK_SIZE, BLOCK_NR, &ethernet);
	make_block(0, four, 4);
}

static struct tpacket3_hdr *
second_packet(void)
{
	struct tpacket3_hdr *first =
	    packet_at(0, block(0)->offset_to_first_pkt);

	return packet_at(0, block(0)->offset_to_first_pkt +
	    first->tp_next_offset);
}

static void
hostile_offsets_are_refused(void **state)
{
	static const uint32_t first[] = { 0, 40, 52, BLOCK_SIZE - 64, BLOCK_SIZE,
	    0x80000000, 0xfffffff8 };
	static const uint32_t next[] = { 0, 8, 64, 76, BLOCK_SIZE - 64,
	    BLOCK_SIZE, 0xfffffff8, 0xffffffff - 47 };

	(void)state;
	make_block(0, four, 4);
	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
		block(0)->offset_to_first_pkt = first[i];
		assert_bad(0, 4);
	}
	for (size_t i = 0; i < sizeof(next) / sizeof(next[0]); i++) {
		second_packet()->tp_next_offset = next[i];
		assert_bad(2, 2);
	}
}

static void
hostile_lengths_are_refused(void **state)
{
	static const struct { uint16_t mac; uint32_t snaplen; } cases[] = {
		{ 0, 10 }, { 67, 10 }, { 82, BLOCK_SIZE }, { 82, UINT32_MAX },
		{ 82, UINT32_MAX - 81 }, { 65535, 10 }, { 68, BLOCK_SIZE - 48 - 68 },
	};

	(void)state;
	make_block(0, four, 4);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		second_packet()->tp_mac = cases[i].mac;
		second_packet()->tp_snaplen = cases[i].snaplen;
		assert_bad(1, 3);
	}
}

static void
a_hostile_count_ends_at_the_last_packet(void **state)
{
	(void)state;
	make_block(0, four, 4);
	block(0)->num_pkts = UINT32_MAX;
	assert_bad(4, BLOCK_SIZE / 68);
}

static void
walk_damaged(const uint8_t *p, size_t len, void *arg)
{
	int code;

	(void)arg;
	memcpy(memory, p, len);
	block(0)->block_status = TP_STATUS_USER;
	ring_init(&ring, memory, BLOCK_SIZE, 1, &ethernet);
	while ((code = ring_walk(&ring, builder)) == E_TOOBIG)
		batch_unref(batch_builder_seal(builder, 1));
	assert_true(code == E_OK || code == E_BADMSG);
}

static void
damaged_blocks_do_no_harm(void **state)
{
	static const struct made_packet tagged[] = {
		{ .snaplen = 60, .data = frame_bytes,
		  .status = TP_STATUS_VLAN_VALID, .tci = 1 },
		{ .snaplen = 60, .data = frame_bytes },
	};
	uint8_t copy[BLOCK_SIZE];

	(void)state;
	make_block(0, tagged, 2);
	memcpy(copy, memory, BLOCK_SIZE);
	mutate_flip_bits(copy, BLOCK_SIZE, 400, walk_damaged, NULL);
	mutate_set_bytes(copy, BLOCK_SIZE, 400, walk_damaged, NULL);
}

/* --- a real ring --- */

enum { REAL_BLOCK_SIZE = 1 << 16, REAL_BLOCK_NR = 4 };

/* A ring on lo of a new network namespace; -1 where that is not allowed. */
static int
open_real_ring(void)
{
	struct tpacket_req3 req = { .tp_block_size = REAL_BLOCK_SIZE,
	    .tp_block_nr = REAL_BLOCK_NR, .tp_frame_size = 2048,
	    .tp_frame_nr = REAL_BLOCK_SIZE / 2048 * REAL_BLOCK_NR,
	    .tp_retire_blk_tov = 5 };
	struct sockaddr_ll addr = { .sll_family = AF_PACKET,
	    .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = 1 };
	struct ifreq up = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int version = TPACKET_V3, fd;

	if (unshare(CLONE_NEWNET) == -1 &&
	    unshare(CLONE_NEWUSER | CLONE_NEWNET) == -1)
		return -1;
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &up), 0);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version,
	    sizeof(version)), 0);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &req,
	    sizeof(req)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void
send_datagrams(unsigned n)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	/* To itself: nobody answers that the port is closed. */
	assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	for (unsigned i = 0; i < n; i++)
		sendto(fd, "ringring", 8, 0, (struct sockaddr *)&to, sizeof(to));
	close(fd);
}

/* In a child: its namespace ends with it.  Returns the number that failed. */
static int
run_real_ring(void)
{
	struct ring_link lo = { .link_type = 1, .snaplen = 262144,
	    .is_loopback = true };
	struct ring_stats stats = { 0 };
	struct pollfd pfd = { .events = POLLIN };
	struct ring real;
	void *mem;
	unsigned datagrams = 0;
	struct packet_ref p;

	pfd.fd = open_real_ring();
	if (pfd.fd == -1)
		return 77;
	assert_int_equal(ring_map(pfd.fd, REAL_BLOCK_SIZE, REAL_BLOCK_NR, &mem,
	    NULL), E_OK);
	ring_init(&real, mem, REAL_BLOCK_SIZE, REAL_BLOCK_NR, &lo);
	send_datagrams(50);
	while (real.packets < 50) {
		assert_int_equal(poll(&pfd, 1, 5000), 1);
		while (ring_walk(&real, builder) == E_OK)
			;
	}
	seal();
	while (batch_reader_next(&reader, &p) == 1) {
		assert_int_equal(p.meta.type, PACKET_HOST);
		assert_true(p.meta.time.ns > 1600000000000000000);
		if (p.meta.captured_len == 14 + 20 + 8 + 8)
			datagrams += memcmp(p.data + 42, "ringring", 8) == 0;
	}
	assert_int_equal(datagrams, 50);

	/* The kernel resets its counters at each reading; the sums go on. */
	assert_int_equal(ring_read_stats(pfd.fd, &stats, NULL), E_OK);
	assert_int_equal(stats.received, real.packets + real.skipped);
	assert_int_equal(ring_read_stats(pfd.fd, &stats, NULL), E_OK);
	assert_int_equal(stats.received, real.packets + real.skipped);
	assert_int_equal(stats.dropped, 0);
	assert_int_equal(ring_socket_error(pfd.fd), 0);
	ring_unmap(mem, REAL_BLOCK_SIZE, REAL_BLOCK_NR);
	ring_unmap(NULL, 0, 0);
	close(pfd.fd);
	unseal();
	return 0;
}

static void
a_real_ring_on_loopback_is_walked(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(run_real_ring());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77 && getenv("CAPTEST_MUST_RUN") == NULL)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void
errors_of_sockets_without_a_ring_have_a_cause(void **state)
{
	struct ring_stats stats = { 1, 2, 3 };
	struct err err;
	void *mem = NULL;

	(void)state;
	assert_int_equal(ring_map(-1, 4096, 1, &mem, &err), E_SYS);
	assert_null(mem);
	assert_int_equal(ring_read_stats(-1, &stats, &err), E_SYS);
	assert_int_equal(stats.received, 1);
	assert_int_not_equal(ring_socket_error(-1), 0);
}

#define RING_TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		RING_TEST(a_packet_comes_out_as_it_is),
		RING_TEST(times_beyond_2038_do_not_overflow),
		RING_TEST(a_stripped_tag_is_put_back),
		RING_TEST(a_tag_behind_the_cut_counts_and_other_links_have_none),
		RING_TEST(snaplen_cuts_what_was_made),
		RING_TEST(a_cooked_packet_gets_an_sll2_header),
		RING_TEST(another_cooked_packet_gets_an_sll_header),
		RING_TEST(can_ids_are_put_into_network_order),
		RING_TEST(outgoing_copies_on_loopback_are_skipped),
		RING_TEST(packet_types_stay_in_range),
		RING_TEST(lengths_beyond_32_bits_are_held),
		RING_TEST(blocks_are_walked_in_order_and_given_back),
		RING_TEST(an_empty_block_is_given_back),
		RING_TEST(the_kernels_losing_flag_is_seen),
		RING_TEST(a_full_batch_stops_the_walk_at_the_packet),
		RING_TEST(hostile_offsets_are_refused),
		RING_TEST(hostile_lengths_are_refused),
		RING_TEST(a_hostile_count_ends_at_the_last_packet),
		RING_TEST(damaged_blocks_do_no_harm),
		RING_TEST(a_real_ring_on_loopback_is_walked),
		RING_TEST(errors_of_sockets_without_a_ring_have_a_cause),
	};

	return cmocka_run_group_tests_name("server/ring", tests, NULL, NULL);
}
