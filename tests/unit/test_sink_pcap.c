/* client/sink_pcap: classic files with nanoseconds and one link type. */
#include "output.h"

#include "client/sink.h"
#include "common/bytes.h"

static const struct sink_ops *const ops = &sink_pcap_ops;

static const uint8_t frame[262168] = { 1, 2, 3, 4, 5 };

static struct packet_ref
packet_of(int64_t time_ns, uint32_t captured, uint32_t original)
{
	return (struct packet_ref){
		.meta = { .time = { time_ns }, .captured_len = captured,
		    .original_len = original },
		.data = frame,
	};
}

static struct sink *
start(struct output *o, uint32_t link_type)
{
	const struct sink_interface iface = { .name = "eth0", .link_type = link_type };
	struct sink *sink;
	struct err err;

	output_open(o);
	sink = ops->open(o->out, "capclient 0.1.0", 262144, SINK_NEW_FILE, &err);
	assert_non_null(sink);
	assert_int_equal(ops->add_interface(sink, &iface, &err), E_OK);
	return sink;
}

static void
header_and_records_are_byte_exact(void **state)
{
	const struct sink_remarks remarks = {
		.dropped = 3, .n_comments = 1, .comments = { "left out" },
	};
	struct packet_ref packet = packet_of(1700000000123456789, 5, 60);
	struct output o;
	struct sink *sink = start(&o, 276);
	struct err err;

	(void)state;
	assert_int_equal(ops->packet(sink, &packet, &remarks, &err), E_OK);
	packet.meta.captured_len = 0;
	packet.data = NULL;
	assert_int_equal(ops->packet(sink, &packet, NULL, &err), E_OK);
	ops->free(sink);
	output_finish(&o);
	assert_hex(o.bytes, o.len,
	    "4d3cb2a1020004000000000000000000" "0000040014010000"
	    "00f1536515cd5b07050000003c000000" "0102030405"
	    "00f1536515cd5b07000000003c000000");
	output_remove(&o);
}

static void
a_second_interface_needs_the_same_link_type(void **state)
{
	const struct sink_interface same = { .name = "eth1", .link_type = 1 };
	const struct sink_interface other = { .name = "any", .link_type = 276 };
	const struct sink_interface odd = { .name = "odd", .link_type = 65536 };
	struct output o;
	struct sink *sink = start(&o, 1);
	struct err err;

	(void)state;
	assert_int_equal(ops->add_interface(sink, &same, &err), E_OK);
	assert_int_equal(ops->add_interface(sink, &odd, &err), E_OUTPUT);
	assert_int_equal(ops->add_interface(sink, &other, &err), E_OUTPUT);
	assert_non_null(strstr(err.what, "'any'"));
	assert_non_null(strstr(err.what, "-w x.pcapng"));
	ops->free(sink);
	output_finish(&o);
	assert_int_equal(o.len, 24);
	output_remove(&o);
}

static void
longer_packets_than_readers_take_are_cut_and_counted(void **state)
{
	struct packet_ref packet = packet_of(0, 262168, 300000);
	struct output o;
	struct sink *sink = start(&o, 1);
	struct err err;

	(void)state;
	assert_int_equal(ops->packet(sink, &packet, NULL, &err), E_OK);
	assert_int_equal(ops->cut(sink), 1);
	ops->free(sink);
	output_finish(&o);
	assert_int_equal(o.len, 24 + 16 + 262144);
	assert_int_equal(get_le32(o.bytes + 32), 262144);
	assert_int_equal(get_le32(o.bytes + 36), 300000);
	output_remove(&o);
}

static void
a_packet_needs_an_interface_first(void **state)
{
	struct packet_ref packet = packet_of(0, 5, 5);
	struct output o;
	struct sink *sink;
	struct err err;

	(void)state;
	output_open(&o);
	sink = ops->open(o.out, "x", 262144, SINK_NEW_FILE, &err);
	assert_non_null(sink);
	assert_int_equal(ops->packet(sink, &packet, NULL, &err), E_BUG);
	ops->free(sink);
	output_finish(&o);
	assert_int_equal(o.len, 0);
	output_remove(&o);
}

static void
tshark_reads_nanoseconds(void **state)
{
	struct packet_ref packet = packet_of(1700000000123456789, 60, 1500);
	struct output o;
	struct sink *sink = start(&o, 1);
	struct err err;
	char text[256];

	(void)state;
	assert_int_equal(ops->packet(sink, &packet, NULL, &err), E_OK);
	ops->free(sink);
	output_finish(&o);
	output_read_with(&o, "tshark", "-T fields -e frame.time_epoch "
	    "-e frame.len -e frame.cap_len", text, sizeof(text));
	assert_string_equal(text, "1700000000.123456789\t1500\t60\n");
	output_remove(&o);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_and_records_are_byte_exact),
		cmocka_unit_test(a_second_interface_needs_the_same_link_type),
		cmocka_unit_test(longer_packets_than_readers_take_are_cut_and_counted),
		cmocka_unit_test(a_packet_needs_an_interface_first),
		cmocka_unit_test(tshark_reads_nanoseconds),
	};

	return cmocka_run_group_tests_name("client/sink_pcap", tests, NULL, NULL);
}
