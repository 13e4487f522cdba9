/* client/capfile_read: every format and order, any chunks, nothing hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <linux/if_packet.h>

#include "client/capfile_read.h"
#include "common/bytes.h"

enum { FILE_MAX = 1 << 20, SHB = 0x0A0D0D0A, IDB = 1, PB = 2, SPB = 3, NRB = 4, EPB = 6 };

/* A file in the making, in one byte order. */
struct made {
	bool	 is_big;
	size_t	 len, block;		/* block: where the open one begins */
	uint8_t	 bytes[FILE_MAX];
};

static struct made file;

static void
put32(uint32_t v)
{
	(file.is_big ? put_be32 : put_le32)(file.bytes + file.len, v);
	file.len += 4;
}

static void
put16(uint16_t v)
{
	(file.is_big ? put_be16 : put_le16)(file.bytes + file.len, v);
	file.len += 2;
}

/* len bytes of this value, padded to 4 for pcapng. */
static void
put_data(uint8_t value, size_t len, bool is_padded)
{
	memset(file.bytes + file.len, value, len);
	file.len += len;
	while (is_padded && (file.len - file.block) % 4 != 0)
		file.bytes[file.len++] = 0;
}

static void
begin(uint32_t type)
{
	file.block = file.len;
	put32(type);
	put32(0);
}

static void
end(void)
{
	uint32_t total = (uint32_t)(file.len - file.block) + 4;

	(file.is_big ? put_be32 : put_le32)(file.bytes + file.block + 4, total);
	put32(total);
}

static void
put_section(void)
{
	begin(SHB);
	put32(0x1A2B3C4D);
	put16(1);
	put16(0);
	put32(UINT32_MAX);
	put32(UINT32_MAX);
	end();
}

static void
put_interface(uint16_t link_type, uint32_t snaplen)
{
	begin(IDB);
	put16(link_type);
	put16(0);
	put32(snaplen);
	end();
}

static void
put_packet(uint32_t number, size_t len, uint32_t flags)
{
	begin(EPB);
	put32(number);
	put32(1);
	put32(2);
	put32((uint32_t)len);
	put32((uint32_t)len + 1);
	put_data(0xAB, len, true);
	put16(1);			/* a comment comes first */
	put16(3);
	put_data('c', 3, true);
	put16(2);
	put16(4);
	put32(flags);
	end();
}

static void
put_pcap(uint32_t magic, uint32_t link_type)
{
	put32(magic);
	put16(2);
	put16(4);
	put32(0);
	put32(0);
	put32(65535);
	put32(link_type);
}

static void
put_pcap_packet(size_t len)
{
	put32(1);
	put32(2);
	put32((uint32_t)len);
	put32((uint32_t)len + 1);
	put_data(0xAB, len, false);
}

static void
start(bool is_big)
{
	file.len = file.block = 0;
	file.is_big = is_big;
}

/* What the records of a file come to. */
struct sums {
	int	 code;			/* E_OK, or what ended it */
	size_t	 records, packets, len;
	struct capfile_record last;	/* packet; its pointers are gone */
	struct err err;
};

static struct sums
read_in(size_t chunk)
{
	struct capfile_reader *r = capfile_reader_new();
	struct capfile_record record;
	struct sums s = { .code = E_AGAIN };
	size_t at = 0, room;

	while (s.code == E_AGAIN && at < file.len) {
		uint8_t *p = capfile_reader_space(r, &room);
		size_t n = chunk < room ? chunk : room;

		n = n < file.len - at ? n : file.len - at;
		memcpy(p, file.bytes + at, n);
		capfile_reader_commit(r, n);
		at += n;
		while ((s.code = capfile_reader_next(r, &record, &s.err)) == E_OK) {
			assert_memory_equal(record.bytes, file.bytes + s.len, record.len);
			s.records++;
			s.len += record.len;
			if (!record.is_packet)
				continue;
			s.packets++;
			s.last = record;
			for (uint32_t i = 0; i < record.captured_len; i++)
				assert_int_equal(record.data[i], 0xAB);
		}
	}
	if (s.code == E_AGAIN || file.len == 0)
		s.code = capfile_reader_end(r, &s.err);
	capfile_reader_free(r);
	return s;
}

static void
assert_refused(const char *what)
{
	struct sums s = read_in(FILE_MAX);

	assert_int_equal(s.code, E_BADMSG);
	if (strstr(s.err.what, what) == NULL)
		fail_msg("'%s' not in: %s", what, s.err.what);
}

/* --- */

static void
every_pcap_is_read_in_any_chunks(void **state)
{
	static const uint32_t magics[] = { 0xA1B2C3D4, 0xA1B23C4D };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		start(i % 2 == 1);
		put_pcap(magics[i / 2], 0xF0000000 | 101);
		put_pcap_packet(40);
		put_pcap_packet(0);
		put_pcap_packet(61);
		for (size_t chunk = 1; chunk < file.len + 1; chunk++) {
			struct sums s = read_in(chunk);

			assert_int_equal(s.code, E_OK);
			assert_int_equal(s.records, 4);
			assert_int_equal(s.packets, 3);
			assert_int_equal(s.len, file.len);
			assert_int_equal(s.last.link_type, 101);
			assert_int_equal(s.last.captured_len, 61);
			assert_int_equal(s.last.original_len, 62);
			assert_false(s.last.has_type);
		}
	}
}

static void
every_pcapng_is_read_in_any_chunks(void **state)
{
	(void)state;
	for (int is_big = 0; is_big < 2; is_big++) {
		start(is_big);
		put_section();
		put_interface(1, 0);
		put_packet(0, 60, 1);
		put_interface(101, 0);
		begin(NRB);
		put32(0);
		end();
		put_packet(1, 41, 2);
		for (size_t chunk = 1; chunk < file.len + 1; chunk++) {
			struct sums s = read_in(chunk);

			assert_int_equal(s.code, E_OK);
			assert_int_equal(s.records, 6);
			assert_int_equal(s.packets, 2);
			assert_int_equal(s.last.link_type, 101);
			assert_int_equal(s.last.captured_len, 41);
			assert_int_equal(s.last.original_len, 42);
			assert_true(s.last.has_type);
			assert_int_equal(s.last.type, PACKET_OUTGOING);
		}
	}
}

static void
a_section_begins_anew_also_in_the_other_order(void **state)
{
	struct sums s;

	(void)state;
	start(false);
	put_section();
	put_interface(1, 0);
	put_packet(0, 60, 1);
	file.is_big = true;
	put_section();
	put_interface(113, 0);
	put_packet(0, 33, 1);
	s = read_in(7);
	assert_int_equal(s.code, E_OK);
	assert_int_equal(s.packets, 2);
	assert_int_equal(s.last.link_type, 113);
	put_section();
	put_packet(0, 33, 1);
	assert_refused("block 8 at byte 316: packet of an interface that is not declared");
}

static void
flags_tell_who_a_packet_was_for(void **state)
{
	static const struct { uint32_t flags; bool has_type; uint8_t type; } rows[] = {
		{ 0, false, 0 }, { 1, true, PACKET_HOST }, { 1 | 1 << 2, true, PACKET_HOST },
		{ 1 | 2 << 2, true, PACKET_MULTICAST }, { 1 | 3 << 2, true, PACKET_BROADCAST },
		{ 1 | 4 << 2, true, PACKET_OTHERHOST }, { 2, true, PACKET_OUTGOING },
		{ 2 | 3 << 2, true, PACKET_OUTGOING }, { 3, false, 0 }, { 3 << 2, false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct sums s;

		start(i % 2 == 1);
		put_section();
		put_interface(1, 0);
		put_packet(0, 3, rows[i].flags | 0xFF000000);
		s = read_in(FILE_MAX);
		assert_int_equal(s.last.has_type, rows[i].has_type);
		if (rows[i].has_type)
			assert_int_equal(s.last.type, rows[i].type);
	}
}

static void
simple_and_old_packet_blocks_are_packets(void **state)
{
	struct sums s;

	(void)state;
	start(true);
	put_section();
	put_interface(101, 20);
	begin(SPB);
	put32(100);
	put_data(0xAB, 20, true);
	end();
	s = read_in(5);
	assert_int_equal(s.code, E_OK);
	assert_int_equal(s.last.captured_len, 20);
	assert_int_equal(s.last.original_len, 100);
	begin(PB);
	put16(0);
	put16(77);
	put32(1);
	put32(2);
	put32(6);
	put32(7);
	put_data(0xAB, 6, true);
	put16(2);
	put16(4);
	put32(1);
	end();
	s = read_in(5);
	assert_int_equal(s.code, E_OK);
	assert_int_equal(s.packets, 2);
	assert_int_equal(s.last.captured_len, 6);
	assert_int_equal(s.last.original_len, 7);
	assert_true(s.last.has_type);
}

static void
a_packet_longer_than_the_buffer_is_whole(void **state)
{
	struct sums s;

	(void)state;
	start(false);
	put_section();
	put_interface(1, 0);
	put_packet(0, 900000, 1);
	put_packet(0, 10, 1);
	s = read_in(100000);
	assert_int_equal(s.code, E_OK);
	assert_int_equal(s.packets, 2);
	assert_int_equal(s.len, file.len);
}

/* --- refusals --- */

static void
what_is_no_capture_file_is_named(void **state)
{
	(void)state;
	start(true);
	assert_refused("head: the input is empty");
	put16(0x1F8B);
	assert_refused("head: the input ends in the middle");
	put32(0);
	assert_refused("head: compressed: give it the output of zcat");
	start(true);
	put32(0x28B52FFD);
	assert_refused("zstdcat");
	start(false);
	put32(0xA1B2CD34);
	assert_refused("editcap");
	start(false);
	put32(0x12345678);
	assert_refused("neither pcap nor pcapng");
	start(false);
	put_pcap(0xA1B2C3D4, 1);
	file.bytes[6] = 3;
	assert_refused("not version 2.4");
	start(false);
	put_section();
	file.bytes[14] = 1;
	assert_refused("not version 1.0");
	start(false);
	put_section();
	file.bytes[8] = 0;
	assert_refused("without a byte order");
}

static void
an_end_in_the_middle_is_damage(void **state)
{
	(void)state;
	start(false);
	put_pcap(0xA1B2C3D4, 1);
	put_pcap_packet(40);
	put_pcap_packet(40);
	for (file.len = 24 + 56 + 1; file.len < 24 + 2 * 56; file.len++)
		assert_refused("packet 2 at byte 80: the input ends in the middle");
	start(false);
	put_section();
	put_interface(1, 0);
	for (file.len = 28 + 1; file.len < 28 + 20; file.len++)
		assert_refused("block 2 at byte 28: the input ends in the middle");
}

static void
lengths_that_lie_are_refused(void **state)
{
	static const struct { size_t at; uint32_t value; const char *what; } rows[] = {
		{ 48 + 4, 8, "a length that no block has" },
		{ 48 + 4, 0, "a length that no block has" },
		{ 48 + 4, 102, "a length that no block has" },
		{ 48 + 4, 0x7FFFFFFC, "a length that no block has" },
		{ 48 + 4, 28, "its two lengths differ" },
		{ 48 + 8, 1, "interface that is not declared" },
		{ 48 + 8, UINT32_MAX, "interface that is not declared" },
		{ 48 + 20, 61 + 16, "packet longer than its block" },
		{ 48 + 20, UINT32_MAX, "packet longer than its block" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		start(false);
		put_section();
		put_interface(1, 0);
		put_packet(0, 60, 1);
		put_le32(file.bytes + rows[i].at, rows[i].value);
		assert_refused(rows[i].what);
	}
	start(false);
	put_pcap(0xA1B2C3D4, 1);
	put_pcap_packet(40);
	put_le32(file.bytes + 24 + 8, UINT32_MAX);
	assert_refused("packet 1 at byte 24: longer than any packet");
}

static void
blocks_too_short_for_what_they_are_are_refused(void **state)
{
	static const uint32_t types[] = { SHB, IDB, PB, SPB, EPB };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		start(false);
		put_section();
		put_interface(1, 0);
		begin(types[i]);
		if (types[i] == SHB)
			put32(0x1A2B3C4D);
		end();
		assert_refused("block 3 at byte 48: shorter than a");
	}
}

static void
options_that_cannot_be_read_are_none(void **state)
{
	struct sums s;

	(void)state;
	start(false);
	put_section();
	put_interface(1, 0);
	put_packet(0, 60, 1);
	put_le16(file.bytes + 48 + 28 + 60 + 2, 4000);
	s = read_in(FILE_MAX);
	assert_int_equal(s.code, E_OK);
	assert_false(s.last.has_type);
}

static void
an_error_is_final(void **state)
{
	struct capfile_reader *r = capfile_reader_new();
	struct capfile_record record;
	struct err err;
	size_t room;

	(void)state;
	memset(capfile_reader_space(r, &room), 1, 100);
	capfile_reader_commit(r, 100);
	for (int i = 0; i < 3; i++) {
		err.what[0] = '\0';
		assert_int_equal(capfile_reader_next(r, &record, &err), E_BADMSG);
		assert_string_equal(err.what, "head: neither pcap nor pcapng");
	}
	capfile_reader_free(r);
	capfile_reader_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_pcap_is_read_in_any_chunks),
		cmocka_unit_test(every_pcapng_is_read_in_any_chunks),
		cmocka_unit_test(a_section_begins_anew_also_in_the_other_order),
		cmocka_unit_test(flags_tell_who_a_packet_was_for),
		cmocka_unit_test(simple_and_old_packet_blocks_are_packets),
		cmocka_unit_test(a_packet_longer_than_the_buffer_is_whole),
		cmocka_unit_test(what_is_no_capture_file_is_named),
		cmocka_unit_test(an_end_in_the_middle_is_damage),
		cmocka_unit_test(lengths_that_lie_are_refused),
		cmocka_unit_test(blocks_too_short_for_what_they_are_are_refused),
		cmocka_unit_test(options_that_cannot_be_read_are_none),
		cmocka_unit_test(an_error_is_final),
	};

	return cmocka_run_group_tests_name("client/capfile_read", tests, NULL, NULL);
}
