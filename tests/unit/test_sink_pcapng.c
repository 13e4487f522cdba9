/* client/sink_pcapng: the bytes are right, and other programs agree. */
#include "output.h"

#include <fcntl.h>

#include "client/sink.h"
#include "common/bytes.h"

static const struct sink_ops *const ops = &sink_pcapng_ops;

static const uint8_t frame[262168] = { 1, 2, 3, 4, 5 };

static const struct sink_interface eth0 = {
	.name = "eth0", .description = "", .os = "", .filter = "", .comment = "",
	.link_type = 1,
};

static struct packet_ref
packet_of(uint32_t captured, uint32_t original, uint8_t type)
{
	return (struct packet_ref){
		.meta = {
			.time = { INT64_C(1700000000) * NS_PER_S },
			.captured_len = captured, .original_len = original,
			.type = type,
		},
		.data = frame,
	};
}

/* Start a section named program and declare iface; returns where the rest begins. */
static size_t
start(struct output *o, struct sink **ret_sink, const char *program,
    const struct sink_interface *iface)
{
	struct err err;

	output_open(o);
	*ret_sink = ops->open(o->out, program, 262144, SINK_NEW_FILE, &err);
	assert_non_null(*ret_sink);
	assert_int_equal(ops->add_interface(*ret_sink, iface, &err), E_OK);
	return (size_t)outfile_submitted(o->out);
}

static void
finish(struct output *o, struct sink *sink)
{
	ops->free(sink);
	output_finish(o);
}

/* The block that begins at off must be well formed; returns its length. */
static uint32_t
block_len(const struct output *o, size_t off)
{
	uint32_t len;

	assert_true(off + 12 <= o->len);
	len = get_le32(o->bytes + off + 4);
	assert_int_equal(len % 4, 0);
	assert_true(len >= 12 && off + len <= o->len);
	assert_int_equal(get_le32(o->bytes + off + len - 4), len);
	return len;
}

/* The value of the nth such option in the list at off, which must end in order. */
static const uint8_t *
find_nth_option(const struct output *o, size_t off, size_t end, uint16_t code,
    unsigned nth, uint16_t *ret_len)
{
	const uint8_t *found = NULL;
	unsigned n = 0;

	while (off < end) {
		uint16_t c = get_le16(o->bytes + off);
		uint16_t len = get_le16(o->bytes + off + 2);

		if (c == 0) {
			assert_int_equal(len, 0);
			assert_int_equal(off + 4, end);
			return found;
		}
		if (c == code && n++ == nth) {
			found = o->bytes + off + 4;
			*ret_len = len;
		}
		off += 4 + ((size_t)len + 3) / 4 * 4;
	}
	fail_msg("options without an end");
	return NULL;
}

static const uint8_t *
find_option(const struct output *o, size_t off, size_t end, uint16_t code,
    uint16_t *ret_len)
{
	return find_nth_option(o, off, end, code, 0, ret_len);
}

static void
assert_comment(const struct output *o, size_t off, size_t end, unsigned nth,
    const char *want)
{
	enum { COMMENT = 1 };
	uint16_t len = 0;
	const uint8_t *value = find_nth_option(o, off, end, COMMENT, nth, &len);

	assert_non_null(value);
	assert_int_equal(len, strlen(want));
	assert_memory_equal(value, want, len);
}

static void
assert_text_option(const struct output *o, size_t off, size_t end,
    uint16_t code, const char *want)
{
	uint16_t len = 0;
	const uint8_t *value = find_option(o, off, end, code, &len);

	assert_non_null(value);
	assert_int_equal(len, strlen(want));
	assert_memory_equal(value, want, len);
}

static void
section_interface_and_packet_are_byte_exact(void **state)
{
	struct packet_ref packet = packet_of(5, 60, 0);
	struct output o;
	struct sink *sink;
	struct err err;

	(void)state;
	start(&o, &sink, "capclient 0.1", &eth0);
	packet.meta.type = 255;
	assert_int_equal(ops->packet(sink, &packet, NULL, &err), E_OK);
	finish(&o, sink);
	assert_hex(o.bytes, o.len,
	    "0a0d0d0a340000004d3c2b1a01000000ffffffffffffffff"
	    "04000d00636170636c69656e7420302e310000000000000034000000"
	    "010000002800000001000000000004000200040065746830"
	    "09000100090000000000000028000000"
	    "060000003400000000000000fe9c971700002a36050000003c000000"
	    "0102030405000000" "0200040000000000" "0000000034000000");
	output_remove(&o);
}

static void
packet_types_become_direction_and_reception(void **state)
{
	static const uint32_t want[] = { 5, 13, 9, 17, 2 };
	struct output o;
	struct sink *sink;
	struct err err;
	size_t off;

	(void)state;
	off = start(&o, &sink, "x", &eth0);
	for (uint8_t type = 0; type < ARRAY_LEN(want); type++) {
		struct packet_ref packet = packet_of(5, 5, type);

		assert_int_equal(ops->packet(sink, &packet, NULL, &err), E_OK);
	}
	finish(&o, sink);
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		uint32_t len = block_len(&o, off);

		assert_int_equal(get_le32(o.bytes + off + 40), want[i]);
		off += len;
	}
	assert_int_equal(off, o.len);
	output_remove(&o);
}

static void
what_the_adapter_does_is_in_the_flags(void **state)
{
	static const struct { uint8_t offload; uint32_t want; } cases[] = {
		{ 0, 2 }, { PACKET_CSUM_NOT_READY, 2 | 1 << 9 },
		{ PACKET_CSUM_VALID, 2 | 1 << 10 }, { PACKET_GSO, 2 | 1 << 11 },
		{ PACKET_GSO | PACKET_CSUM_NOT_READY, 2 | 1 << 9 | 1 << 11 },
	};
	struct output o;
	struct sink *sink;
	struct err err;
	char text[1024], want[256] = "";
	size_t off;

	(void)state;
	off = start(&o, &sink, "x", &eth0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct packet_ref packet = packet_of(60, 60, 4);

		packet.meta.offload = cases[i].offload;
		assert_int_equal(ops->packet(sink, &packet, NULL, &err), E_OK);
		snprintf(want + strlen(want), sizeof(want) - strlen(want),
		    "0x%08x\n", cases[i].want);
	}
	finish(&o, sink);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(get_le32(o.bytes + off + 28 + 60 + 4), cases[i].want);
		off += block_len(&o, off);
	}
	/* Bits that are younger than the readers do not disturb them. */
	output_read_with(&o, "tshark", "-T fields -e frame.packet_flags", text,
	    sizeof(text));
	assert_string_equal(text, want);
	output_read_with(&o, "tcpdump", "-tt", text, sizeof(text));
	assert_non_null(strstr(text, "1700000000.000000 "));
	output_remove(&o);
}

static void
losses_and_comments_stand_beside_the_packet(void **state)
{
	const struct sink_remarks remarks = {
		.dropped = 7, .n_comments = 3,
		.comments = { "gap", "interface 'eth0' is down", "four" },
	};
	struct packet_ref packet = packet_of(6, 6, 4);
	struct output o;
	struct sink *sink;
	struct err err;
	size_t off, end;
	uint16_t len = 0;
	const uint8_t *value;

	(void)state;
	off = start(&o, &sink, "x", &eth0);
	assert_int_equal(ops->packet(sink, &packet, &remarks, &err), E_OK);
	finish(&o, sink);
	end = off + block_len(&o, off) - 4;
	assert_int_equal(end + 4, o.len);
	value = find_option(&o, off + 36, end, 4, &len);
	assert_non_null(value);
	assert_int_equal(len, 8);
	assert_int_equal(get_le64(value), 7);
	for (unsigned i = 0; i < remarks.n_comments; i++)
		assert_comment(&o, off + 36, end, i, remarks.comments[i]);
	output_remove(&o);
}

static void
remarks_stand_beside_the_counters_too(void **state)
{
	const struct sink_stats stats = { .received = 10, .filtered = 4, .written = 6 };
	const struct sink_remarks remarks = {
		.n_comments = 2, .comments = { "interface down", "2 filter changes" },
	};
	struct output o;
	struct sink *sink;
	struct err err;
	size_t off, end;
	uint16_t len = 0;
	const uint8_t *value;

	(void)state;
	off = start(&o, &sink, "x", &eth0);
	assert_int_equal(ops->stats(sink, 0, &stats, &remarks, &err), E_OK);
	finish(&o, sink);
	end = off + block_len(&o, off) - 4;
	for (unsigned i = 0; i < remarks.n_comments; i++)
		assert_comment(&o, off + 20, end, i, remarks.comments[i]);
	/* What the client rejected has passed the kernel, but not the filter. */
	value = find_option(&o, off + 20, end, 4, &len);
	assert_int_equal(get_le64(value), 10);
	value = find_option(&o, off + 20, end, 6, &len);
	assert_int_equal(get_le64(value), 6);
	output_remove(&o);
}

static void
an_interface_may_come_between_packets(void **state)
{
	const struct sink_interface late = {
		.name = "eth1", .description = "", .os = "", .filter = "",
		.comment = "", .link_type = 1,
	};
	struct packet_ref packet = packet_of(60, 60, 0);
	struct output o;
	struct sink *sink;
	struct err err;
	char text[1024];

	(void)state;
	start(&o, &sink, "x", &eth0);
	assert_int_equal(ops->packet(sink, &packet, NULL, &err), E_OK);
	packet.meta.iface = 1;
	assert_int_equal(ops->packet(sink, &packet, NULL, &err), E_BUG);
	assert_int_equal(ops->add_interface(sink, &late, &err), E_OK);
	assert_int_equal(ops->packet(sink, &packet, NULL, &err), E_OK);
	finish(&o, sink);
	output_read_with(&o, "tshark", "-T fields -e frame.interface_name", text,
	    sizeof(text));
	assert_string_equal(text, "eth0\neth1\n");
	output_read_with(&o, "tcpdump", "-tt", text, sizeof(text));
	assert_non_null(strstr(text, "1700000000.000000 "));
	output_remove(&o);
}

static void
counters_are_byte_exact_and_every_loss_is_in_ifdrop(void **state)
{
	const struct sink_stats stats = {
		.received = 10, .dropped_kernel = 2, .dropped_interface = 3,
		.lost_elsewhere = 4, .written = 4,
		.start = { 0x0000000200000001 }, .end = { 0x17979cfe362a0000 },
	};
	struct output o;
	struct sink *sink;
	struct err err;
	size_t off;

	(void)state;
	off = start(&o, &sink, "x", &eth0);
	assert_int_equal(ops->stats(sink, 0, &stats, NULL, &err), E_OK);
	assert_int_equal(ops->stats(sink, 1, &stats, NULL, &err), E_BUG);
	finish(&o, sink);
	assert_hex(o.bytes + off, o.len - off,
	    "050000007000000000000000fe9c971700002a36"
	    "020008000200000001000000"
	    "03000800fe9c971700002a36"
	    "040008000a00000000000000"
	    "050008000900000000000000"
	    "060008000a00000000000000"
	    "070008000200000000000000"
	    "080008000400000000000000"
	    "0000000070000000");
	output_remove(&o);
}

static void
an_interface_carries_all_its_labels(void **state)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 9 };
	char addresses[][64] = { "10.0.0.7/24", "fe80::1/64", "nonsense/3", "1.2.3.4" };
	const struct sink_interface iface = {
		.name = "eth0", .description = "uplink", .os = "Linux 6.1",
		.filter = "udp", .comment = "rule: live", .link_type = 1,
		.mac = mac, .n_addresses = 4, .addresses = addresses,
	};
	static const uint8_t v4[8] = { 10, 0, 0, 7, 255, 255, 255, 0 };
	static const uint8_t v6[17] = { 0xfe, 0x80, [15] = 1, [16] = 64 };
	struct output o;
	struct sink *sink;
	size_t off, end;
	uint16_t len = 0;
	const uint8_t *value;

	(void)state;
	start(&o, &sink, "x", &iface);
	finish(&o, sink);
	off = block_len(&o, 0);
	end = off + block_len(&o, off) - 4;
	off += 16;
	assert_text_option(&o, off, end, 2, "eth0");
	assert_text_option(&o, off, end, 3, "uplink");
	assert_text_option(&o, off, end, 12, "Linux 6.1");
	assert_text_option(&o, off, end, 1, "rule: live");
	value = find_option(&o, off, end, 11, &len);
	assert_non_null(value);
	assert_hex(value, len, "00756470");
	value = find_option(&o, off, end, 6, &len);
	assert_non_null(value);
	assert_memory_equal(value, mac, 6);
	value = find_option(&o, off, end, 4, &len);
	assert_non_null(value);
	assert_int_equal(len, 8);
	assert_memory_equal(value, v4, 8);
	value = find_option(&o, off, end, 5, &len);
	assert_non_null(value);
	assert_int_equal(len, 17);
	assert_memory_equal(value, v6, 17);
	output_remove(&o);
}

static void
long_texts_are_cut_between_characters_and_times_keep_their_unit(void **state)
{
	enum { LONG = 70000 };
	char *text = malloc(LONG + 1);
	struct sink_interface iface = eth0;
	struct output o;
	struct sink *sink;
	size_t off, end;
	uint16_t len = 0;

	(void)state;
	assert_non_null(text);
	/* One byte, then characters of two: a cut at an even length splits one. */
	for (size_t i = 0; i < LONG; i++)
		text[i] = i == 0 ? 'a' : i % 2 == 1 ? '\xc3' : '\xa4';
	text[LONG] = '\0';
	iface.name = iface.description = iface.filter = iface.os =
	    iface.comment = text;
	start(&o, &sink, text, &iface);
	finish(&o, sink);
	off = block_len(&o, 0);
	assert_true(off <= 2048);
	end = off + block_len(&o, off);
	assert_int_equal(end, o.len);
	assert_true(end - off <= 262144);
	assert_non_null(find_option(&o, off + 16, end - 4, 9, &len));
	assert_non_null(find_option(&o, off + 16, end - 4, 2, &len));
	assert_int_equal(len, 65535);
	assert_non_null(find_option(&o, 24, off - 4, 4, &len));
	assert_int_equal(len % 2, 1);
	/* The operating system gets what is left, the last nothing. */
	assert_non_null(find_option(&o, off + 16, end - 4, 12, &len));
	assert_int_equal(len % 2, 1);
	assert_null(find_option(&o, off + 16, end - 4, 1, &len));
	free(text);
	output_remove(&o);
}

static void
a_file_takes_packets_up_to_what_readers_take(void **state)
{
	struct packet_ref fits = packet_of(262144, 262144, 0);
	struct packet_ref longer = packet_of(262168, 300000, 0);
	struct output o;
	struct sink *sink;
	struct err err;
	size_t off;

	(void)state;
	off = start(&o, &sink, "x", &eth0);
	assert_int_equal(ops->packet(sink, &fits, NULL, &err), E_OK);
	assert_int_equal(ops->cut(sink), 0);
	assert_int_equal(ops->packet(sink, &longer, NULL, &err), E_OK);
	assert_int_equal(ops->cut(sink), 1);
	finish(&o, sink);
	assert_int_equal(get_le32(o.bytes + off + 20), 262144);
	off += block_len(&o, off);
	assert_int_equal(get_le32(o.bytes + off + 20), 262144);
	assert_int_equal(get_le32(o.bytes + off + 24), 300000);
	output_remove(&o);
}

static void
on_a_pipe_a_packet_is_cut_to_what_wireshark_takes(void **state)
{
	struct packet_ref packet = packet_of(262144, 262144, 0);
	struct loop *loop;
	struct outfile *out;
	struct sink *sink;
	struct err err;
	char path[32];
	uint64_t before;
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	/* So that nobody needs to read while the test writes. */
	assert_true(fcntl(fds[1], F_SETPIPE_SZ, 1 << 20) >= 1 << 20);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[1]);
	loop = loop_new(&err);
	assert_non_null(loop);
	out = outfile_open(&(struct outfile_config){ .loop = loop, .path = path,
	    .fn = output_ignore }, &err);
	assert_non_null(out);
	assert_true(outfile_is_pipe(out));
	sink = ops->open(out, "x", 262144, SINK_NEW_FILE, &err);
	assert_non_null(sink);
	assert_int_equal(ops->add_interface(sink, &eth0, &err), E_OK);
	before = outfile_submitted(out);
	assert_int_equal(ops->packet(sink, &packet, NULL, &err), E_OK);
	assert_int_equal(outfile_submitted(out) - before, 262144);
	assert_int_equal(ops->cut(sink), 1);
	packet.meta.captured_len = 261120 + 24;
	assert_int_equal(ops->packet(sink, &packet, NULL, &err), E_OK);
	assert_int_equal(ops->cut(sink), 1);
	ops->free(sink);
	assert_int_equal(outfile_close(out, -1, &err), E_OK);
	loop_free(loop);
	close(fds[0]);
	close(fds[1]);
}

static void
a_packet_needs_its_interface_first(void **state)
{
	struct packet_ref packet = packet_of(5, 5, 0);
	struct sink_interface odd = eth0;
	struct output o;
	struct sink *sink;
	struct err err;
	size_t before;

	(void)state;
	before = start(&o, &sink, "x", &eth0);
	packet.meta.iface = 1;
	assert_int_equal(ops->packet(sink, &packet, NULL, &err), E_BUG);
	odd.link_type = 65536;
	assert_int_equal(ops->add_interface(sink, &odd, &err), E_OUTPUT);
	finish(&o, sink);
	assert_int_equal(o.len, before);
	output_remove(&o);
}

/* One file with everything in it, for other programs to read. */
static void
write_sample(struct output *o)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 9 };
	char addresses[][64] = { "10.0.0.7/24", "fe80::1/64" };
	const struct sink_interface iface = {
		.name = "sensor1:eth0", .description = "uplink", .os = "Linux 6.1",
		.filter = "udp", .comment = "c", .link_type = 1, .mac = mac,
		.n_addresses = 2, .addresses = addresses,
	};
	const struct sink_stats stats = {
		.received = 12, .dropped_kernel = 7, .written = 2,
		.start = { INT64_C(1700000000) * NS_PER_S },
		.end = { INT64_C(1700000003) * NS_PER_S },
	};
	const struct sink_remarks remarks = {
		.dropped = 7, .n_comments = 2,
		.comments = { "lost here", "interface down" },
	};
	struct packet_ref packet = packet_of(60, 60, 0);
	struct sink *sink;
	struct err err;

	start(o, &sink, "capclient 0.1.0", &iface);
	assert_int_equal(ops->packet(sink, &packet, NULL, &err), E_OK);
	packet.meta.time.ns += 123456789;
	packet.meta.type = 4;
	packet.meta.original_len = 1500;
	assert_int_equal(ops->packet(sink, &packet, &remarks, &err), E_OK);
	assert_int_equal(ops->stats(sink, 0, &stats, &remarks, &err), E_OK);
	finish(o, sink);
}

static void
tshark_reads_back_every_label(void **state)
{
	struct output o;
	char text[4096];

	(void)state;
	write_sample(&o);
	output_read_with(&o, "tshark", "-T fields -e frame.time_epoch -e frame.len "
	    "-e frame.cap_len -e frame.interface_name -e frame.drop_count "
	    "-e frame.packet_flags_direction -e frame.comment", text, sizeof(text));
	assert_string_equal(text,
	    "1700000000.000000000\t60\t60\tsensor1:eth0\t\t0x00000001\t\n"
	    "1700000000.123456789\t1500\t60\tsensor1:eth0\t7\t0x00000002\t"
	    "lost here,interface down\n");
	output_remove(&o);
}

static void
tcpdump_reads_it(void **state)
{
	struct output o;
	char text[4096];

	(void)state;
	write_sample(&o);
	output_read_with(&o, "tcpdump", "-tt --nano -xx", text, sizeof(text));
	assert_non_null(strstr(text, "1700000000.000000000 "));
	assert_non_null(strstr(text, "1700000000.123456789 "));
	assert_non_null(strstr(text, "0x0000:  0102 0304 05"));
	output_remove(&o);
}

static void
capinfos_finds_the_interface_and_its_counters(void **state)
{
	struct output o;
	char text[4096];

	(void)state;
	write_sample(&o);
	output_read_with(&o, "capinfos", "-I -c -M", text, sizeof(text));
	assert_non_null(strstr(text, "Number of packets:   2"));
	assert_non_null(strstr(text, "Name = sensor1:eth0"));
	assert_non_null(strstr(text, "Time precision = nanoseconds (9)"));
	assert_non_null(strstr(text, "Number of stat entries = 1"));
	output_remove(&o);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(section_interface_and_packet_are_byte_exact),
		cmocka_unit_test(packet_types_become_direction_and_reception),
		cmocka_unit_test(what_the_adapter_does_is_in_the_flags),
		cmocka_unit_test(losses_and_comments_stand_beside_the_packet),
		cmocka_unit_test(remarks_stand_beside_the_counters_too),
		cmocka_unit_test(an_interface_may_come_between_packets),
		cmocka_unit_test(counters_are_byte_exact_and_every_loss_is_in_ifdrop),
		cmocka_unit_test(an_interface_carries_all_its_labels),
		cmocka_unit_test(long_texts_are_cut_between_characters_and_times_keep_their_unit),
		cmocka_unit_test(a_file_takes_packets_up_to_what_readers_take),
		cmocka_unit_test(on_a_pipe_a_packet_is_cut_to_what_wireshark_takes),
		cmocka_unit_test(a_packet_needs_its_interface_first),
		cmocka_unit_test(tshark_reads_back_every_label),
		cmocka_unit_test(tcpdump_reads_it),
		cmocka_unit_test(capinfos_finds_the_interface_and_its_counters),
	};

	return cmocka_run_group_tests_name("client/sink_pcapng", tests, NULL, NULL);
}
