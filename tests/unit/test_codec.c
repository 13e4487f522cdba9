/*
 * proto/codec: every message comes back as it went; what is out of range,
 * damaged or greedy is refused with a code.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mutate.h"
#include "proto/codec.h"
#include "proto/frame.h"
#include "proto/wire.h"

/* --- one rich message of every type --- */

static char addresses[2][64] = { "10.0.0.1/24", "fe80::1/64" };
static char many_addresses[PROTO_MAX_ADDRESSES][64];
static struct msg_interface interfaces[3] = {
	{
		.index = 2, .link_type = 1, .is_up = true, .is_running = true,
		.name = "eth0", .description = "uplink",
		.mac = { 2, 0, 0, 0, 0, 1 }, .has_mac = true,
		.n_addresses = 2, .addresses = addresses,
	},
	{ .index = 1, .link_type = 1, .is_loopback = true, .name = "lo",
	  .why_not = "interface is down" },
	{ .index = UINT32_MAX, .link_type = 65535, .name = "x",
	  .n_addresses = PROTO_MAX_ADDRESSES, .addresses = many_addresses },
};
static struct bpf_insn_raw insns[3] = {
	{ 0x28, 0, 0, 12 }, { 0x15, 0, 1, 0x800 }, { 0xffff, 255, 255, UINT32_MAX },
};
static struct msg_program programs[2] = {
	{ .link_type = 1, .n_insns = 3, .insns = insns },
	{ .link_type = 276, .n_insns = 1, .insns = insns },
};
static char filter_text[] = "udp port 53", no_text[] = "";
static struct msg_filter filters[2] = {
	{ .text = filter_text, .exact_vlan = true, .n_programs = 2,
	  .programs = programs },
	{ .text = no_text, .at_client = true },
};
static struct msg_interface_request requests[2] = {
	{ .name = "eth0", .snaplen = 261120, .no_promiscuous = true, .filter = 1 },
	{ .name = "netns:blue/wlan*", .snaplen = 1, .link_type = 276 },
};
static struct msg_capture_interface capture_interfaces[2] = {
	{
		.name = "eth0", .description = "uplink", .index = 2,
		.link_type = 1, .mac = { 2, 0, 0, 0, 0, 1 }, .has_mac = true,
		.is_promiscuous = true, .n_addresses = 2, .addresses = addresses,
		.snaplen = 96,
	},
	{
		.name = "tun0", .index = 9, .link_type = 101, .request = 1,
		.snaplen = PROTO_MAX_SNAPLEN, .filter_place = FILTER_CLIENT,
		.network_namespace = "netns:blue",
		.time_stamp_type = TIME_STAMP_ADAPTER_UNSYNCED,
	},
};
static struct msg_interface_stats stats[2] = {
	{ 1, 2, 3, 4, 5, 6, 7 },
	{ UINT64_MAX, UINT64_MAX, 0, 1, UINT64_MAX, UINT64_MAX, UINT64_MAX },
};
static char warnings[2][PROTO_MAX_TEXT + 1] = { "eth0: slow", "eth0: old" };
static struct msg_plan_interface plan_interfaces[2] = {
	{
		.interface = { .name = "eth0", .index = 2, .link_type = 1,
			.snaplen = 96, .n_addresses = 2,
			.addresses = addresses },
		.n_insns = 3, .insns = insns,
		.n_parts = 3, .parts = { { 0, PLAN_MANDATORY },
			{ 1, PLAN_FILTER }, { 1, PLAN_CAP } },
		.exact_vlan = true, .ring_bytes = 1ull << 33,
		.block_bytes = 1 << 20, .retire_ms = 64,
		.n_warnings = 2, .warnings = warnings,
	},
	{ .interface = { .name = "x", .snaplen = 1 }, .n_insns = 1,
	  .insns = insns },
};
static enum filter_place places[3] = { FILTER_AGENT, FILTER_KERNEL, FILTER_CLIENT };

static const struct msg messages[] = {
	{ .type = MSG_ERROR, .error = { E_DENIED, "interface 'eth0': denied" } },
	{ .type = MSG_HELLO, .hello = { 1, "capclient 0.1.0", "h", "Linux" } },
	{ .type = MSG_HELLO, .hello = { UINT32_MAX, "", "", "" } },
	{ .type = MSG_LIST_REQUEST },
	{ .type = MSG_START, .start = {
		.n_interfaces = 2, .interfaces = requests,
		.n_filters = 2, .filters = filters, .drop_newest = true,
		.ring_bytes = 1ull << 40, .log_bytes = 77,
		.max_packets = UINT64_MAX, .direction = START_OUT,
		.headers_only = true, .sample = 10,
		.sample_flows = PROTO_MAX_SAMPLE, .cooked = true,
		.kernel_only = true, .plan_only = true,
		.time_stamp_type = TIME_STAMP_ADAPTER_UNSYNCED } },
	{ .type = MSG_START, .start = {
		.n_interfaces = 1, .interfaces = requests + 1,
		.n_filters = 1, .filters = filters + 1 } },
	{ .type = MSG_ACK, .ack = { UINT64_MAX } },
	{ .type = MSG_STOP },
	{ .type = MSG_PING, .ping = { -5 } },
	{ .type = MSG_INTERFACE_LIST, .interface_list = { 3, interfaces } },
	{ .type = MSG_INTERFACE_LIST },
	{ .type = MSG_STARTED, .started = {
		.n_interfaces = 2, .interfaces = capture_interfaces,
		.snaplen = 96, .ring_bytes = 64 << 20, .log_bytes = 1 << 30,
		.notes = "ring: 2 MiB less", .start = { 1790000000123456789 } } },
	{ .type = MSG_GAP, .gap = { 3, 9, 100, 6400, { 17 }, { 12 },
		GAP_LOG_FULL } },
	{ .type = MSG_STATS, .stats = { 2, stats, 10, 20 } },
	{ .type = MSG_ENDED, .ended = { E_IFDOWN, "interface 'eth0': down",
		{ 2, stats, 10, 20 }, 42 } },
	{ .type = MSG_ENDED },
	{ .type = MSG_PONG, .pong = { 1, INT64_MIN, INT64_MAX } },
	{ .type = MSG_EVENT, .event = { 7, { 1790000000123456789 },
		CAPTURE_EVENT_GONE, 1, "interface 'eth0' is gone" } },
	{ .type = MSG_EVENT, .event = { UINT64_MAX, { -1 },
		CAPTURE_EVENT_OTHER, CAPTURE_EVENT_WHOLE, "x" } },
	{ .type = MSG_UPDATE_FILTER, .update_filter = { 1, 2, filters } },
	{ .type = MSG_NEED_PROGRAMS, .need_programs = { 2, { 113, 276 } } },
	{ .type = MSG_PLAN, .plan = { 2, plan_interfaces, 64 << 20,
		"ring: less" } },
	{ .type = MSG_FILTER_CHANGED, .filter_changed = { 1, 9, { 17 }, E_OK,
		"", 3, places } },
	{ .type = MSG_FILTER_CHANGED, .filter_changed = { 2, 0, { 18 },
		E_FILTER, "filter: too long", 0, NULL } },
	{ .type = MSG_INTERFACE_ADDED, .interface_added = { {
		.name = "veth7", .index = 12, .link_type = 1, .snaplen = 96,
		.n_addresses = 2, .addresses = addresses }, 4 } },
};

static int
setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < PROTO_MAX_ADDRESSES; i++)
		memset(many_addresses[i], 'a', 63);
	return 0;
}

/* The payload of msg's frame on the heap, of its exact size. */
static uint8_t *
pack(const struct msg *msg, size_t *ret_len)
{
	uint8_t *frame, *payload, hdr[FRAME_HDR_MAX];
	size_t frame_len, hdr_len = 0;

	assert_int_equal(codec_pack(msg, &frame, &frame_len), E_OK);
	while (frame[hdr_len++] & 0x80)
		;
	*ret_len = frame_len - hdr_len;
	assert_int_equal(frame_put_header(hdr, (uint32_t)*ret_len), hdr_len);
	payload = malloc(*ret_len);
	memcpy(payload, frame + hdr_len, *ret_len);
	free(frame);
	return payload;
}

static void
every_message_comes_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		struct msg msg;
		size_t len, again_len;
		uint8_t *payload = pack(&messages[i], &len), *again;

		assert_int_equal(codec_unpack(payload, len, &msg), E_OK);
		assert_int_equal(msg.type, messages[i].type);
		again = pack(&msg, &again_len);
		assert_int_equal(again_len, len);
		assert_memory_equal(again, payload, len);
		msg_free(&msg);
		free(payload);
		free(again);
	}
}

static struct msg
through_the_wire(const struct msg *in)
{
	struct msg msg;
	size_t len;
	uint8_t *payload = pack(in, &len);

	assert_int_equal(codec_unpack(payload, len, &msg), E_OK);
	free(payload);
	return msg;
}

static void
a_start_has_every_field(void **state)
{
	struct msg msg = through_the_wire(&messages[4]);
	const struct msg_start *s = &msg.start;

	(void)state;
	assert_int_equal(s->n_interfaces, 2);
	assert_string_equal(s->interfaces[0].name, "eth0");
	assert_int_equal(s->interfaces[0].snaplen, 261120);
	assert_true(s->interfaces[0].no_promiscuous);
	assert_int_equal(s->interfaces[0].filter, 1);
	assert_int_equal(s->interfaces[0].link_type, 0);
	assert_string_equal(s->interfaces[1].name, "netns:blue/wlan*");
	assert_int_equal(s->interfaces[1].snaplen, 1);
	assert_false(s->interfaces[1].no_promiscuous);
	assert_int_equal(s->interfaces[1].filter, 0);
	assert_int_equal(s->interfaces[1].link_type, 276);
	assert_true(s->drop_newest && s->cooked && s->kernel_only && s->plan_only);
	assert_int_equal(s->time_stamp_type, TIME_STAMP_ADAPTER_UNSYNCED);
	assert_int_equal(s->n_filters, 2);
	assert_string_equal(s->filters[0].text, "udp port 53");
	assert_true(s->filters[0].exact_vlan && !s->filters[0].at_client);
	assert_int_equal(s->filters[0].n_programs, 2);
	assert_int_equal(s->filters[0].programs[0].link_type, 1);
	assert_int_equal(s->filters[0].programs[0].n_insns, 3);
	assert_memory_equal(s->filters[0].programs[0].insns, insns, sizeof(insns));
	assert_int_equal(s->filters[0].programs[1].link_type, 276);
	assert_int_equal(s->filters[0].programs[1].n_insns, 1);
	assert_string_equal(s->filters[1].text, "");
	assert_true(!s->filters[1].exact_vlan && s->filters[1].at_client);
	assert_int_equal(s->filters[1].n_programs, 0);
	assert_int_equal(s->ring_bytes, 1ull << 40);
	assert_int_equal(s->log_bytes, 77);
	assert_true(s->max_packets == UINT64_MAX);
	assert_int_equal(s->direction, START_OUT);
	assert_true(s->headers_only);
	assert_int_equal(s->sample, 10);
	assert_int_equal(s->sample_flows, PROTO_MAX_SAMPLE);
	msg_free(&msg);
}

static void
lists_have_every_field(void **state)
{
	struct msg msg = through_the_wire(&messages[9]);
	const struct msg_interface *i = msg.interface_list.interfaces;

	(void)state;
	assert_int_equal(msg.interface_list.n, 3);
	assert_int_equal(i->index, 2);
	assert_string_equal(i->name, "eth0");
	assert_string_equal(i->description, "uplink");
	assert_true(i->is_up && i->is_running && !i->is_loopback && i->has_mac);
	assert_memory_equal(i->mac, "\x02\0\0\0\0\x01", 6);
	assert_int_equal(i->n_addresses, 2);
	assert_string_equal(i->addresses[1], "fe80::1/64");
	assert_string_equal(i[1].why_not, "interface is down");
	assert_false(i[1].has_mac);
	assert_true(i[1].is_loopback && !i[1].is_up);
	msg_free(&msg);

	msg = through_the_wire(&messages[14]);
	assert_int_equal(msg.ended.code, E_IFDOWN);
	assert_string_equal(msg.ended.text, "interface 'eth0': down");
	assert_int_equal(msg.ended.last_sequence, 42);
	assert_int_equal(msg.ended.stats.n_interfaces, 2);
	assert_memory_equal(msg.ended.stats.interfaces, stats, sizeof(stats));
	assert_int_equal(msg.ended.stats.lost_bytes, 20);
	msg_free(&msg);
}

static void
the_largest_list_fits_the_memory_bound(void **state)
{
	static struct msg_interface many[PROTO_MAX_INTERFACES];
	struct msg in = { .type = MSG_INTERFACE_LIST,
	    .interface_list = { PROTO_MAX_INTERFACES, many } };
	struct msg msg;

	(void)state;
	for (size_t i = 0; i < PROTO_MAX_INTERFACES; i++) {
		many[i] = interfaces[0];
		many[i].index = (uint32_t)i + 1;
	}
	msg = through_the_wire(&in);
	assert_int_equal(msg.interface_list.n, PROTO_MAX_INTERFACES);
	msg_free(&msg);
}

static void
what_cannot_be_sent_is_refused(void **state)
{
	static struct msg_interface many[PROTO_MAX_INTERFACES];
	struct msg in = { .type = MSG_INTERFACE_LIST,
	    .interface_list = { PROTO_MAX_INTERFACES, many } };
	struct msg batch = { .type = MSG_PACKET_BATCH };
	uint8_t *frame = NULL;
	size_t len = 1;

	(void)state;
	for (size_t i = 0; i < PROTO_MAX_INTERFACES; i++)
		many[i] = interfaces[2];
	assert_int_equal(codec_pack(&in, &frame, &len), E_TOOBIG);
	assert_int_equal(codec_pack(&batch, &frame, &len), E_BUG);
	assert_null(frame);
	assert_int_equal(len, 1);
}

static void
a_filter_text_too_long_is_cut(void **state)
{
	char *text = malloc(PROTO_MAX_FILTER_TEXT + 10);
	struct msg_filter filter = { .text = text };
	struct msg in = messages[5], msg;

	(void)state;
	memset(text, 'x', PROTO_MAX_FILTER_TEXT + 9);
	text[PROTO_MAX_FILTER_TEXT + 9] = '\0';
	in.start.filters = &filter;
	msg = through_the_wire(&in);
	assert_int_equal(strlen(msg.start.filters[0].text), PROTO_MAX_FILTER_TEXT);
	msg_free(&msg);
	free(text);
}

/* --- messages that are valid but for one field --- */

static int
code_of(const struct msg *in)
{
	struct msg msg = { .type = MSG_STOP };
	size_t len;
	uint8_t *payload = pack(in, &len);
	int code = codec_unpack(payload, len, &msg);

	if (code == E_OK)
		msg_free(&msg);
	else
		assert_int_equal(msg.type, MSG_STOP);	/* untouched */
	free(payload);
	return code;
}

#define ASSERT_REFUSED(member, base, field, value) do {		\
	struct msg m_ = (base);						\
	m_.member.field = (value);					\
	assert_int_equal(code_of(&m_), E_BADMSG);			\
} while (0)

static void
numbers_out_of_range_are_refused(void **state)
{
	struct msg start = messages[5], started = messages[11];
	struct msg gap = messages[12], error = messages[0];

	(void)state;
	assert_int_equal(code_of(&start), E_OK);
	ASSERT_REFUSED(start, start, n_interfaces, 0);
	ASSERT_REFUSED(start, start, n_filters, 0);
	ASSERT_REFUSED(start, start, direction, (enum start_direction)3);
	ASSERT_REFUSED(start, start, sample, PROTO_MAX_SAMPLE + 1);
	ASSERT_REFUSED(start, start, sample_flows, PROTO_MAX_SAMPLE + 1);
	ASSERT_REFUSED(start, start, time_stamp_type, (enum time_stamp_type)3);
	ASSERT_REFUSED(started, started, n_interfaces, 0);
	ASSERT_REFUSED(started, started, snaplen, 0);
	ASSERT_REFUSED(gap, gap, first_sequence, 0);
	ASSERT_REFUSED(gap, gap, first_sequence, 10);
	ASSERT_REFUSED(gap, gap, reason, (enum gap_reason)0);
	ASSERT_REFUSED(gap, gap, reason, (enum gap_reason)2);
	ASSERT_REFUSED(error, error, code, E_OK);
	ASSERT_REFUSED(error, error, code, 1);
	ASSERT_REFUSED(hello, messages[1], version, 0);
	ASSERT_REFUSED(ended, messages[15], code, 5);
}

static void
programs_out_of_range_are_refused(void **state)
{
	static struct bpf_insn_raw many[PROTO_MAX_FILTER_INSNS + 1];
	struct msg_program program = { .link_type = 1, .n_insns = 1, .insns = many };
	struct msg_program twice[2] = { program, program };
	struct msg_filter filter = { .text = no_text, .n_programs = 1,
	    .programs = &program };
	struct msg in = messages[5];

	(void)state;
	in.start.filters = &filter;
	program.n_insns = PROTO_MAX_FILTER_INSNS;
	assert_int_equal(code_of(&in), E_OK);
	program.n_insns = PROTO_MAX_FILTER_INSNS + 1;
	assert_int_equal(code_of(&in), E_BADMSG);
	program.n_insns = 0;
	assert_int_equal(code_of(&in), E_BADMSG);
	program.n_insns = 1;
	program.link_type = 65536;
	assert_int_equal(code_of(&in), E_BADMSG);

	filter.programs = twice;		/* two for one link type */
	filter.n_programs = 2;
	assert_int_equal(code_of(&in), E_BADMSG);
	twice[1].link_type = 2;
	assert_int_equal(code_of(&in), E_OK);
}

static void
too_many_programs_are_refused(void **state)
{
	struct msg_program many[PROTO_MAX_PROGRAMS + 1];
	struct msg_filter filter = { .text = no_text, .programs = many };
	struct msg in = messages[5];

	(void)state;
	for (uint32_t i = 0; i <= PROTO_MAX_PROGRAMS; i++)
		many[i] = (struct msg_program){ i, 1, insns };
	in.start.filters = &filter;
	filter.n_programs = PROTO_MAX_PROGRAMS;
	assert_int_equal(code_of(&in), E_OK);
	filter.n_programs = PROTO_MAX_PROGRAMS + 1;
	assert_int_equal(code_of(&in), E_BADMSG);
}

static void
unknown_error_codes_keep_their_text(void **state)
{
	struct msg in = { .type = MSG_ERROR, .error = { -999, "of a later version" } };
	struct msg msg = through_the_wire(&in);

	(void)state;
	assert_int_equal(msg.error.code, E_BUG);
	assert_string_equal(msg.error.text, "of a later version");
	msg_free(&msg);
}

/* --- messages made by hand --- */

static int
unpack_bytes(const char *bytes, size_t len)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	struct msg msg;
	int code;

	memcpy(copy, bytes, len);
	code = codec_unpack(copy, len, &msg);
	if (code == E_OK)
		msg_free(&msg);
	free(copy);
	return code;
}

#define UNPACK(bytes)	unpack_bytes(bytes, sizeof(bytes) - 1)

static void
envelopes_hold_one_known_body(void **state)
{
	(void)state;
	assert_int_equal(UNPACK("\x32\x00"), E_OK);		/* Stop */
	assert_int_equal(UNPACK("\x32\x03\x98\x06\x07"), E_OK);	/* unknown field */
	assert_int_equal(UNPACK("\x2a\x02\x08\x05"), E_OK);	/* Ack 5 */
	assert_int_equal(UNPACK(""), E_BADMSG);
	assert_int_equal(UNPACK("\x32"), E_BADMSG);
	assert_int_equal(UNPACK("\x32\x01"), E_BADMSG);
	assert_int_equal(UNPACK("\x32\x00\x32\x00"), E_BADMSG);
	assert_int_equal(UNPACK("\x32\x00\x00"), E_BADMSG);
	assert_int_equal(UNPACK("\x30\x00"), E_BADMSG);		/* not bytes */
	assert_int_equal(UNPACK("\x02\x00"), E_BADMSG);		/* field 0 */
	assert_int_equal(UNPACK("\x4a\x00"), E_STATE);		/* body 9 */
	assert_int_equal(UNPACK("\xe2\x01\x00"), E_STATE);	/* body 28 */
	assert_int_equal(UNPACK("\xba\x06\x00"), E_STATE);	/* body 103 */
	assert_int_equal(UNPACK("\x92\x01\x00"), E_STATE);	/* Batch */
	assert_int_equal(UNPACK("\x2a\x02\x08\x80"), E_BADMSG);	/* Ack, cut off */
}

static void
strings_with_a_nul_or_too_long_are_refused(void **state)
{
	char exact[] = "\x12\x07\x08\x01\x12\x03" "abc";
	uint8_t buf[600], *p;

	(void)state;
	assert_int_equal(unpack_bytes(exact, sizeof(exact) - 1), E_OK);
	exact[7] = '\0';
	assert_int_equal(unpack_bytes(exact, sizeof(exact) - 1), E_BADMSG);
	assert_int_equal(UNPACK("\x12\x05\x08\x01\x12\x01\x00"), E_BADMSG);
	assert_int_equal(UNPACK("\x12\x04\x08\x01\x12\x00"), E_OK);

	for (size_t n = PROTO_MAX_NAME; n <= PROTO_MAX_NAME + 1; n++) {
		p = wire_put(buf, 0x12);
		p = wire_put(p, 2 + 3 + n);
		memcpy(p, "\x08\x01\x12", 3);
		p = wire_put(p + 3, n);
		memset(p, 'a', n);
		p += n;
		assert_int_equal(unpack_bytes((char *)buf, (size_t)(p - buf)),
		    n == PROTO_MAX_NAME ? E_OK : E_BADMSG);
	}
}

static void
fields_of_a_wrong_size_are_refused(void **state)
{
	(void)state;
	/* InterfaceList with one Interface: index 1, name "a", then: */
	assert_int_equal(UNPACK("\x82\x01\x07\x0a\x05\x08\x01\x12\x01" "a"), E_OK);
	assert_int_equal(UNPACK("\x82\x01\x0e\x0a\x0c\x08\x01\x12\x01" "a"
	    "\x52\x05" "12345"), E_BADMSG);			/* mac of 5 bytes */
	assert_int_equal(UNPACK("\x82\x01\x09\x0a\x07\x08\x01\x12\x01" "a"
	    "\x3a\x00"), E_BADMSG);				/* empty address */
	assert_int_equal(UNPACK("\x82\x01\x04\x0a\x02\x08\x01"), E_BADMSG);
	assert_int_equal(UNPACK("\x82\x01\x05\x0a\x03\x12\x01" "a"), E_BADMSG);

	/* UpdateFilter 1, one filter, one program of one instruction with: */
	assert_int_equal(UNPACK("\x42\x0e\x08\x01\x12\x0a\x1a\x08\x12\x06"
	    "\x08\xff\xff\x03\x20\x01"), E_OK);
	assert_int_equal(UNPACK("\x42\x0e\x08\x01\x12\x0a\x1a\x08\x12\x06"
	    "\x08\x80\x80\x04\x20\x01"), E_BADMSG);		/* code of 17 bits */
	assert_int_equal(UNPACK("\x42\x0d\x08\x01\x12\x09\x1a\x07\x12\x05"
	    "\x10\x80\x02\x20\x01"), E_BADMSG);			/* jt of 9 bits */
	assert_int_equal(UNPACK("\x42\x0d\x08\x01\x12\x09\x1a\x07\x12\x05"
	    "\x18\x80\x02\x20\x01"), E_BADMSG);			/* jf of 9 bits */
}

/* A message of len bytes: InterfaceList or Start full of one repeated field. */
static int
unpack_repeated(unsigned body, const char *field, size_t field_len, size_t len)
{
	uint8_t *payload = malloc(len + 16), *p;
	struct msg msg;
	int code;

	len -= len % field_len;
	p = wire_put(payload, WIRE_TAG(body, WIRE_BYTES));
	p = wire_put(p, len);
	for (size_t at = 0; at < len; at += field_len)
		memcpy(p + at, field, field_len);
	code = codec_unpack(payload, (size_t)(p - payload) + len, &msg);
	if (code == E_OK)
		msg_free(&msg);
	free(payload);
	return code;
}

static void
greedy_messages_are_refused(void **state)
{
	enum { MOST = PROTO_MAX_MESSAGE - 16 };

	(void)state;
	assert_int_equal(unpack_repeated(16, "\x0a\x00", 2, MOST), E_BADMSG);
	assert_int_equal(unpack_repeated(4, "\x12\x00", 2, MOST), E_BADMSG);
	assert_int_equal(unpack_repeated(4, "\x0a\x03\x0a\x01" "a", 5, MOST), E_BADMSG);
	assert_int_equal(unpack_repeated(20, "\x0a\x00", 2, MOST), E_BADMSG);
	assert_int_equal(unpack_repeated(20, "\x98\x06\x07", 3, MOST), E_BADMSG);
	assert_int_equal(unpack_repeated(20, "\x0a\x00", 2,
	    2 * PROTO_MAX_INTERFACES), E_OK);
	assert_int_equal(unpack_repeated(20, "\x0a\x00", 2,
	    2 * PROTO_MAX_INTERFACES + 2), E_BADMSG);
}

static void
unpack_damaged(const uint8_t *p, size_t len, void *arg)
{
	struct msg msg;
	uint8_t *frame;
	size_t frame_len;
	int code = codec_unpack(p, len, &msg);

	(void)arg;
	assert_true(code == E_OK || code == E_BADMSG || code == E_STATE);
	if (code != E_OK)
		return;
	/* What was accepted is in order: it can be sent again. */
	assert_int_equal(codec_pack(&msg, &frame, &frame_len), E_OK);
	free(frame);
	msg_free(&msg);
}

static void
damaged_messages_give_a_code(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		size_t len;
		uint8_t *payload = pack(&messages[i], &len);

		mutate_truncate(payload, len, unpack_damaged, NULL);
		mutate_flip_bits(payload, len, 600, unpack_damaged, NULL);
		mutate_set_bytes(payload, len, 600, unpack_damaged, NULL);
		mutate_random(payload, len, 500, i, unpack_damaged, NULL);
		free(payload);
	}
}

static void
every_type_has_a_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
		assert_string_not_equal(msg_type_name(messages[i].type), "unknown");
	assert_string_equal(msg_type_name(MSG_PACKET_BATCH), "Batch");
	assert_string_equal(msg_type_name((enum msg_type)99), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_comes_back),
		cmocka_unit_test(a_start_has_every_field),
		cmocka_unit_test(lists_have_every_field),
		cmocka_unit_test(the_largest_list_fits_the_memory_bound),
		cmocka_unit_test(what_cannot_be_sent_is_refused),
		cmocka_unit_test(a_filter_text_too_long_is_cut),
		cmocka_unit_test(numbers_out_of_range_are_refused),
		cmocka_unit_test(programs_out_of_range_are_refused),
		cmocka_unit_test(too_many_programs_are_refused),
		cmocka_unit_test(unknown_error_codes_keep_their_text),
		cmocka_unit_test(envelopes_hold_one_known_body),
		cmocka_unit_test(strings_with_a_nul_or_too_long_are_refused),
		cmocka_unit_test(fields_of_a_wrong_size_are_refused),
		cmocka_unit_test(greedy_messages_are_refused),
		cmocka_unit_test(damaged_messages_give_a_code),
		cmocka_unit_test(every_type_has_a_name),
	};

	return cmocka_run_group_tests_name("proto/codec", tests, setup, NULL);
}
