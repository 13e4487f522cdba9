/* client/arrival: packets as the kernel would have shown and cut them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <linux/if_packet.h>

#include "client/arrival.h"
#include "common/link_type.h"

/* Ethernet, tag 5 of priority 3, IPv4, UDP, four bytes of payload. */
static const uint8_t tagged[] = {
	2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x81, 0, 0x60, 5, 8, 0,
	0x45, 0, 0, 0x20, 0, 1, 0, 0, 0x40, 0x11, 0x66, 0xca, 10, 0, 0, 1, 10, 0, 0, 2,
	0x14, 0xe9, 0, 0x35, 0, 0xc, 0, 0, 'a', 'b', 'c', 'd',
};

enum { ETHERNET_LEN = 14, TAG_LEN = 4, HEADERS_LEN = sizeof(tagged) - 4 };

static struct packet_ref
packet_of(const uint8_t *data, uint32_t caplen, uint32_t len, uint8_t type)
{
	return (struct packet_ref){
		.meta = { .captured_len = caplen, .original_len = len, .type = type },
		.data = data,
	};
}

static uint32_t
untag(uint32_t link_type, const struct packet_ref *packet, struct bpf_aux *aux,
    struct bpf_view *view)
{
	static uint8_t buf[ARRIVAL_BUF_LEN];

	arrival_view(packet, 7, aux, view);
	return arrival_untag(link_type, buf, aux, view);
}

static void
the_outer_tag_of_a_received_frame_moves_aside(void **state)
{
	struct packet_ref packet = packet_of(tagged, sizeof(tagged), 200, PACKET_HOST);
	struct bpf_aux aux;
	struct bpf_view v;

	(void)state;
	assert_int_equal(untag(LINK_ETHERNET, &packet, &aux, &v), TAG_LEN);
	assert_true(aux.has_vlan);
	assert_int_equal(aux.vlan_tpid, 0x8100);
	assert_int_equal(aux.vlan_tci, 0x6005);
	assert_int_equal(aux.ifindex, 7);
	assert_int_equal(v.caplen, sizeof(tagged) - TAG_LEN);
	assert_int_equal(v.len, 200 - TAG_LEN);
	assert_memory_equal(v.data, tagged, 12);
	assert_memory_equal(v.data + 12, tagged + 16, sizeof(tagged) - 16);
}

/* The kernel takes tags off its frames alike, whatever they are called. */
static void
a_docsis_frame_is_an_ethernet_frame(void **state)
{
	struct packet_ref packet = packet_of(tagged, sizeof(tagged), 200, PACKET_HOST);
	struct bpf_aux aux;
	struct bpf_view v;

	(void)state;
	assert_int_equal(untag(LINK_DOCSIS, &packet, &aux, &v), TAG_LEN);
	assert_int_equal(aux.vlan_tci, 0x6005);
}

static void
what_the_kernel_leaves_in_place_stays(void **state)
{
	static const struct { uint32_t link_type; uint32_t at, caplen; uint8_t type; } rows[] = {
		{ LINK_ETHERNET, 0, sizeof(tagged), PACKET_OUTGOING },
		{ LINK_ETHERNET, 0, 15, PACKET_HOST },		/* cut inside the tag */
		{ LINK_RAW_IP, 0, sizeof(tagged), PACKET_HOST },
		{ LINK_ETHERNET, 4, 40, PACKET_HOST },		/* another type there */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct packet_ref packet = packet_of(tagged + rows[i].at, rows[i].caplen,
		    rows[i].caplen, rows[i].type);
		struct bpf_aux aux;
		struct bpf_view v;

		assert_int_equal(untag(rows[i].link_type, &packet, &aux, &v), 0);
		assert_false(aux.has_vlan);
		assert_ptr_equal(v.data, packet.data);
		assert_int_equal(v.caplen, rows[i].caplen);
	}
}

static uint32_t
keep(uint32_t link_type, uint32_t snaplen, bool headers_only,
    const struct packet_ref *packet)
{
	struct arrival *a;
	struct err err;
	uint32_t n;

	assert_int_equal(arrival_new(link_type, snaplen, headers_only, &a, &err), E_OK);
	n = arrival_keep(a, packet);
	arrival_free(a);
	return n;
}

static void
the_snapshot_length_counts_bytes_of_the_file(void **state)
{
	struct packet_ref packet = packet_of(tagged, sizeof(tagged), 200, PACKET_HOST);

	(void)state;
	assert_int_equal(keep(LINK_ETHERNET, 262144, false, &packet), sizeof(tagged));
	assert_int_equal(keep(LINK_ETHERNET, 17, false, &packet), 17);
	assert_int_equal(keep(LINK_ETHERNET, 17, true, &packet), 17);
}

static void
headers_end_where_they_do_with_every_link_header(void **state)
{
	struct packet_ref packet = packet_of(tagged, sizeof(tagged), sizeof(tagged), 0);
	const uint32_t ip_at = ETHERNET_LEN + TAG_LEN, ip_len = sizeof(tagged) - ip_at;
	uint8_t cooked[20 + sizeof(tagged)] = { 0x08, 0x00 };
	uint8_t cooked1[16 + sizeof(tagged)] = { 0 };

	(void)state;
	assert_int_equal(keep(LINK_ETHERNET, 262144, true, &packet), HEADERS_LEN);
	packet = packet_of(tagged + ip_at, ip_len, ip_len, 0);
	assert_int_equal(keep(LINK_RAW_IP, 262144, true, &packet), 28);
	memcpy(cooked + 20, tagged + ip_at, ip_len);
	packet = packet_of(cooked, 20 + ip_len, 20 + ip_len, 0);
	assert_int_equal(keep(LINK_SLL2, 262144, true, &packet), 48);
	cooked1[14] = 0x08;
	memcpy(cooked1 + 16, tagged + ip_at, ip_len);
	packet = packet_of(cooked1, 16 + ip_len, 16 + ip_len, 0);
	assert_int_equal(keep(LINK_SLL, 262144, true, &packet), 44);
}

static void
a_packet_that_the_agent_cut_inside_its_headers_is_kept(void **state)
{
	(void)state;
	for (uint32_t len = 1; len <= sizeof(tagged); len++) {
		struct packet_ref packet = packet_of(tagged, len, sizeof(tagged), 0);
		uint32_t want = len < HEADERS_LEN ? len : HEADERS_LEN;
		uint32_t got = keep(LINK_ETHERNET, 262144, true, &packet);

		if (got != want)
			fail_msg("%u of %u bytes kept", got, len);
	}
}

static void
unknown_headers_are_refused(void **state)
{
	struct arrival *a = NULL;
	struct err err;

	(void)state;
	assert_int_equal(arrival_new(127, 96, true, &a, &err), E_FILTER);
	assert_non_null(strstr(err.what, "--headers-only"));
	assert_non_null(strstr(err.what, "IEEE802_11_RADIO"));
	assert_null(a);
	assert_int_equal(arrival_new(127, 96, false, &a, &err), E_OK);
	arrival_free(a);
	arrival_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_outer_tag_of_a_received_frame_moves_aside),
		cmocka_unit_test(a_docsis_frame_is_an_ethernet_frame),
		cmocka_unit_test(what_the_kernel_leaves_in_place_stays),
		cmocka_unit_test(the_snapshot_length_counts_bytes_of_the_file),
		cmocka_unit_test(headers_end_where_they_do_with_every_link_header),
		cmocka_unit_test(a_packet_that_the_agent_cut_inside_its_headers_is_kept),
		cmocka_unit_test(unknown_headers_are_refused),
	};

	return cmocka_run_group_tests_name("client/arrival", tests, NULL, NULL);
}
