/*
 * server/ring_form, ring_judge and the ring's filters: what a packet looks
 * like in a file, and which packets of a ring are kept after a change.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include <cmocka.h>

#include "common/bytes.h"
#include "proto/batch.h"
#include "server/ring.h"
#include "server/ring_judge.h"

enum { BLOCK = 4096, BLOCKS = 4, MAC = 96, STEP = 256, LEN = 100 };

static _Alignas(4096) uint8_t memory[BLOCK * BLOCKS];
static uint8_t bytes[LEN];
static struct ring ring;
static struct batch_builder *builder;
static struct prologue_check check;

static const struct ring_filter none;

static struct tpacket3_hdr *
packet(unsigned block, unsigned number)
{
	return (void *)(memory + (size_t)block * BLOCK +
	    sizeof(struct tpacket_block_desc) + (size_t)number * STEP);
}

static uint8_t *
data_of(unsigned block, unsigned number)
{
	return (uint8_t *)packet(block, number) + MAC;
}

/* n packets; the first byte of each is its number. */
static void
make_block(unsigned number, uint64_t sequence, uint32_t n, uint32_t status)
{
	struct tpacket_block_desc *desc = (void *)(memory + (size_t)number * BLOCK);

	memset(desc, 0, BLOCK);
	desc->hdr.bh1.num_pkts = n;
	desc->hdr.bh1.seq_num = sequence;
	desc->hdr.bh1.offset_to_first_pkt = sizeof(*desc);
	for (uint32_t i = 0; i < n; i++) {
		struct sockaddr_ll sll = { .sll_family = AF_PACKET,
		    .sll_protocol = htons(ETH_P_IPV6), .sll_ifindex = 7,
		    .sll_hatype = ARPHRD_PPP, .sll_pkttype = PACKET_MULTICAST,
		    .sll_halen = 6, .sll_addr = { 1, 2, 3, 4, 5, 6 } };

		*packet(number, i) = (struct tpacket3_hdr){
			.tp_next_offset = i + 1 < n ? STEP : 0,
			.tp_snaplen = LEN, .tp_len = LEN, .tp_status = status,
			.tp_mac = MAC, .tp_net = MAC + 14,
			.hv1.tp_vlan_tci = 0x2005, .hv1.tp_vlan_tpid = ETH_P_8021AD,
		};
		memcpy((uint8_t *)packet(number, i) + sizeof(struct tpacket3_hdr),
		    &sll, sizeof(sll));
		memcpy(data_of(number, i), bytes, LEN);
		data_of(number, i)[0] = (uint8_t)i;
	}
	desc->hdr.bh1.block_status = TP_STATUS_USER;
}

static void
init(uint32_t link_type, bool is_cooked)
{
	const struct ring_link link = { .link_type = link_type, .snaplen = 262144,
	    .is_cooked = is_cooked };

	ring_init(&ring, memory, BLOCK, BLOCKS, &link);
}

static int
setup(void **state)
{
	(void)state;
	memset(memory, 0, sizeof(memory));
	for (int i = 0; i < LEN; i++)
		bytes[i] = (uint8_t)(i * 7 + 3);
	memset(&check, 0, sizeof(check));
	builder = batch_builder_new();
	assert_non_null(builder);
	init(1, false);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	batch_builder_free(builder);
	return 0;
}

/* A load of this size and place, and the packets pass where it is value. */
static void
pass_where(uint16_t size, uint32_t at, uint32_t value)
{
	const struct bpf_insn_raw insns[] = {
		{ .code = (uint16_t)(BPF_LD | BPF_ABS | size), .k = at },
		{ .code = BPF_JMP | BPF_JEQ | BPF_K, .jt = 0, .jf = 1, .k = value },
		{ .code = BPF_RET | BPF_K, .k = 262144 },
		{ .code = BPF_RET | BPF_K, .k = 0 },
	};

	memcpy(check.prog.insns, insns, sizeof(insns));
	check.prog.n = ARRAY_LEN(insns);
}

static uint32_t
walk_all(void)
{
	uint32_t before = batch_builder_count(builder);

	while (ring_walk(&ring, builder) == E_OK)
		;
	return batch_builder_count(builder) - before;
}

static void
recheck_until(uint64_t block)
{
	ring_set_filters(&ring, &(struct ring_filter){ .check = &check,
	    .drop_uncertain = true, .until_block = block }, &none);
}

static void
an_sll_header_is_as_libpcaps(void **state)
{
	static const uint8_t want[16] = { 0, 2, 2, 0, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0,
	    0x86, 0xdd };
	struct ring_front front;

	(void)state;
	make_block(0, 1, 1, 0);
	ring_front_make(ring_layout_of(113, true), packet(0, 0),
	    (const void *)(packet(0, 0) + 1), data_of(0, 0), &front);
	assert_int_equal(front.len, 16);
	assert_int_equal(front.skip, 0);
	assert_int_equal(front.extra, 16);
	assert_memory_equal(front.bytes, want, sizeof(want));
}

static void
what_the_adapter_left_to_do_is_told(void **state)
{
	static const struct { uint32_t status; uint8_t want; } cases[] = {
		{ 0, 0 }, { TP_STATUS_CSUMNOTREADY, PACKET_CSUM_NOT_READY },
		{ TP_STATUS_CSUM_VALID, PACKET_CSUM_VALID },
		{ 0x100, PACKET_GSO },
		{ 0x188, PACKET_GSO | PACKET_CSUM_VALID | PACKET_CSUM_NOT_READY },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct batch_reader reader;
		struct packet_ref p;
		struct batch *batch;
		size_t hdr_len = 0;

		init(1, false);
		make_block(0, 1, 1, cases[i].status);
		assert_int_equal(walk_all(), 1);
		batch = batch_builder_seal(builder, 1);
		while (batch->frame[hdr_len++] & 0x80)
			;
		assert_int_equal(batch_reader_init(&reader, batch->frame + hdr_len,
		    batch->frame_len - hdr_len, 1), E_OK);
		assert_int_equal(batch_reader_next(&reader, &p), 1);
		assert_int_equal(p.meta.offload, cases[i].want);
		batch_unref(batch);
	}
}

static void
a_filter_holds_up_to_its_block(void **state)
{
	(void)state;
	pass_where(BPF_B, 0, 3);
	for (unsigned i = 0; i < 3; i++)
		make_block(i, i + 1, 5, 0);
	/* And one block longer, for what stood between filter and ring. */
	recheck_until(1);
	assert_int_equal(walk_all(), 1 + 1 + 5);
	assert_int_equal(ring.rejected, 8);
	assert_int_equal(ring.uncertain, 0);
	assert_int_equal(ring.packets, 7);
}

static void
the_open_block_is_found(void **state)
{
	(void)state;
	assert_int_equal(ring_open_block(&ring), 1);
	make_block(0, 1, 5, 0);
	make_block(1, 2, 5, 0);
	assert_int_equal(ring_open_block(&ring), 3);
	assert_int_equal(walk_all(), 10);
	assert_int_equal(ring_open_block(&ring), 3);
	for (unsigned i = 2; i < 6; i++)
		make_block(i % BLOCKS, i + 1, 5, 0);
	/* Full: what comes from now on is in a later one. */
	assert_int_equal(ring_open_block(&ring), 6);
	assert_int_equal(walk_all(), 20);
	assert_int_equal(ring_open_block(&ring), 7);
}

static void
a_block_half_walked_is_judged_from_there_on(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 4096 - 2; i++)
		assert_non_null(batch_builder_add(builder, &(struct packet_meta){
		    .captured_len = 1, .original_len = 1 }));
	make_block(0, 1, 5, 0);
	assert_int_equal(ring_walk(&ring, builder), E_TOOBIG);
	assert_int_equal(ring_open_block(&ring), 2);
	pass_where(BPF_B, 0, 4);
	recheck_until(1);
	batch_unref(batch_builder_seal(builder, 1));
	assert_int_equal(walk_all(), 1);
	assert_int_equal(ring.rejected, 2);
}

static void
the_file_has_the_tag_in_its_place(void **state)
{
	(void)state;
	check.on_file_bytes = true;
	pass_where(BPF_W, 12, 0x88a82005);
	make_block(0, 1, 3, TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID);
	make_block(1, 2, 3, 0);
	recheck_until(2);
	assert_int_equal(walk_all(), 3);
	assert_int_equal(ring.rejected, 3);
	/* The packet's own bytes are as they were. */
	assert_memory_equal(data_of(0, 1) + 1, bytes + 1, LEN - 1);
	assert_int_equal(data_of(0, 1)[0], 1);
}

static void
the_file_has_the_cooked_header_in_front(void **state)
{
	(void)state;
	check.on_file_bytes = true;
	init(276, true);
	pass_where(BPF_W, 4, 7);
	make_block(0, 1, 3, 0);
	recheck_until(1);
	assert_int_equal(walk_all(), 3);
	init(113, true);
	pass_where(BPF_H, 0, PACKET_MULTICAST);
	make_block(0, 1, 3, 0);
	recheck_until(1);
	assert_int_equal(walk_all(), 3);
}

static void
the_kernels_view_has_its_metadata(void **state)
{
	static const struct { uint32_t at, value; } cases[] = {
		{ SKF_AD_PROTOCOL, ETH_P_IPV6 }, { SKF_AD_PKTTYPE, PACKET_MULTICAST },
		{ SKF_AD_IFINDEX, 7 }, { SKF_AD_HATYPE, ARPHRD_PPP },
		{ SKF_AD_VLAN_TAG, 0x2005 }, { SKF_AD_VLAN_TAG_PRESENT, 1 },
		{ SKF_AD_VLAN_TPID, ETH_P_8021AD },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		init(1, false);
		pass_where(BPF_W, (uint32_t)SKF_AD_OFF + cases[i].at, cases[i].value);
		make_block(0, 1, 2, TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID);
		recheck_until(1);
		assert_int_equal(walk_all(), 2);
	}
	init(1, false);
	pass_where(BPF_B, (uint32_t)SKF_NET_OFF, bytes[14]);
	make_block(0, 1, 2, 0);
	recheck_until(1);
	assert_int_equal(walk_all(), 2);
}

static void
what_was_cut_away_leaves_no_answer(void **state)
{
	const struct ring_filter keeps = { .check = &check, .until_block = 9 };

	(void)state;
	pass_where(BPF_B, LEN + 20, 0);
	make_block(0, 1, 3, 0);
	packet(0, 1)->tp_len = LEN + 50;
	recheck_until(1);
	/* The two that are whole have no such byte: that is an answer. */
	assert_int_equal(walk_all(), 0);
	assert_int_equal(ring.rejected, 2);
	assert_int_equal(ring.uncertain, 1);
	init(1, false);
	make_block(0, 1, 3, 0);
	packet(0, 1)->tp_len = LEN + 50;
	ring_set_filters(&ring, &keeps, &none);
	assert_int_equal(walk_all(), 1);
	assert_int_equal(ring.uncertain, 0);
}

static void
the_last_block_judged_loses_nothing_for_want_of_an_answer(void **state)
{
	(void)state;
	pass_where(BPF_B, LEN + 20, 0);
	for (unsigned i = 0; i < 2; i++) {
		make_block(i, i + 1, 3, 0);
		packet(i, 1)->tp_len = LEN + 50;
	}
	recheck_until(1);
	assert_int_equal(walk_all(), 1);
	assert_int_equal(ring.uncertain, 1);
	assert_int_equal(ring.rejected, 4);
}

static void
a_tag_without_room_leaves_no_answer(void **state)
{
	(void)state;
	check.on_file_bytes = true;
	pass_where(BPF_B, 0, 0);
	make_block(0, 1, 1, TP_STATUS_VLAN_VALID);
	packet(0, 0)->tp_mac = sizeof(struct tpacket3_hdr) +
	    sizeof(struct sockaddr_ll);
	recheck_until(1);
	assert_int_equal(walk_all(), 0);
	assert_int_equal(ring.uncertain, 1);
}

static void
a_standing_filter_judges_tagged_packets_and_cuts_them(void **state)
{
	const struct ring_filter standing = { .check = &check, .only_tagged = true,
	    .until_block = UINT64_MAX };

	(void)state;
	pass_where(BPF_B, 0, 2);
	check.cut.insns[0] = (struct bpf_insn_raw){ .code = BPF_RET | BPF_K, .k = 40 };
	check.cut.n = 1;
	ring_set_filters(&ring, &none, &standing);
	make_block(0, 1, 5, 0);
	make_block(1, 2, 5, TP_STATUS_VLAN_VALID);
	make_block(2, 1000, 5, TP_STATUS_VLAN_VALID);
	assert_int_equal(walk_all(), 5 + 1 + 1);
	assert_int_equal(ring.rejected, 8);
	assert_int_equal(ring.bytes, 5 * LEN + 2 * (40 + 4));
}

static void
a_filter_holds_up_to_its_moment_wherever_packets_are(void **state)
{
	(void)state;
	pass_where(BPF_B, 0, 3);
	make_block(0, 1, 5, 0);
	make_block(1, 2, 5, 0);
	for (int i = 0; i < 2; i++)
		for (unsigned k = 0; k < 5; k++)
			packet((unsigned)i, k)->tp_sec = i == 0 ? 101 : 100;
	packet(0, 4)->tp_sec = 100;
	packet(0, 4)->tp_nsec = 999999999;
	ring_set_filters(&ring, &(struct ring_filter){ .check = &check,
	    .drop_uncertain = true, .until_block = 1,
	    .until_time.ns = 101LL * NS_PER_S }, &none);
	assert_int_equal(walk_all(), 4 + 1);
	assert_int_equal(ring.rejected, 1 + 4);
}

static void
a_clock_that_was_set_back_makes_no_filter_last(void **state)
{
	(void)state;
	pass_where(BPF_B, 0, 3);
	ring_set_filters(&ring, &(struct ring_filter){ .check = &check,
	    .drop_uncertain = true, .until_block = 1,
	    .until_time.ns = 101LL * NS_PER_S }, &none);
	for (unsigned i = 0; i < 6; i++) {
		make_block(i % BLOCKS, i + 1, 5, 0);
		assert_int_equal(walk_all(), i + 1 <= 1 + BLOCKS ? 1 : 5);
	}
}

static void
the_newest_filter_is_the_one_that_counts(void **state)
{
	struct prologue_check *other = calloc(1, sizeof(*other));

	(void)state;
	assert_non_null(other);
	pass_where(BPF_B, 0, 1);
	*other = check;
	recheck_until(2);
	other->prog.insns[1].k = 4;
	ring_set_filters(&ring, &(struct ring_filter){ .check = other,
	    .drop_uncertain = true, .until_block = 1 }, &none);
	make_block(0, 1, 5, 0);
	make_block(1, 2, 5, 0);
	make_block(2, 3, 5, 0);
	assert_int_equal(walk_all(), 1 + 1 + 5);
	free(other);
}

#define RING_TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		RING_TEST(an_sll_header_is_as_libpcaps),
		RING_TEST(what_the_adapter_left_to_do_is_told),
		RING_TEST(a_filter_holds_up_to_its_block),
		RING_TEST(the_open_block_is_found),
		RING_TEST(a_block_half_walked_is_judged_from_there_on),
		RING_TEST(the_file_has_the_tag_in_its_place),
		RING_TEST(the_file_has_the_cooked_header_in_front),
		RING_TEST(the_kernels_view_has_its_metadata),
		RING_TEST(what_was_cut_away_leaves_no_answer),
		RING_TEST(the_last_block_judged_loses_nothing_for_want_of_an_answer),
		RING_TEST(a_tag_without_room_leaves_no_answer),
		RING_TEST(a_standing_filter_judges_tagged_packets_and_cuts_them),
		RING_TEST(a_filter_holds_up_to_its_moment_wherever_packets_are),
		RING_TEST(a_clock_that_was_set_back_makes_no_filter_last),
		RING_TEST(the_newest_filter_is_the_one_that_counts),
	};

	return cmocka_run_group_tests_name("server/ring_judge", tests, NULL, NULL);
}
