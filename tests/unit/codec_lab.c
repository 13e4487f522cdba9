#include "codec_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/compiler.h"
#include "proto/frame.h"

static char addresses[2][64] = { "10.0.0.1/24", "fe80::1/64" };
static struct msg_interface interfaces[2] = {
	{
		.index = 2, .link_type = 1, .is_up = true, .is_running = true,
		.name = "eth0", .description = "uplink",
		.mac = { 2, 0, 0, 0, 0, 1 }, .has_mac = true,
		.n_addresses = 2, .addresses = addresses,
		.network_namespace = "netns:blue", .n_link_types = 3,
		.link_types = { 1, 276, 113 }, .driver = "e1000e",
		.speed_mbps = 10000, .time_stamp_types = 7,
	},
	{ .index = 1, .link_type = 1, .is_loopback = true, .name = "lo",
	  .why_not = "interface is down" },
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
	{ 1, 2, 3, 4, 5, 6, 7, 8 },
	{ UINT64_MAX, UINT64_MAX, 0, 1, UINT64_MAX, UINT64_MAX, UINT64_MAX,
	  UINT64_MAX },
};
static uint64_t gap_packets[3] = { 60, 0, 39 };
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
	{ .type = MSG_HELLO, .hello = { 1, "capclient 0.1.0", "h", "Linux",
		UINT64_MAX } },
	{ .type = MSG_HELLO, .hello = { UINT32_MAX, "", "", "", 0 } },
	{ .type = MSG_LIST_REQUEST },
	{ .type = MSG_START, .start = {
		.n_interfaces = 2, .interfaces = requests,
		.n_filters = 2, .filters = filters, .drop_newest = true,
		.ring_bytes = 1ull << 40, .log_bytes = 77,
		.max_packets = UINT64_MAX, .direction = START_OUT,
		.headers_only = true, .sample = 10,
		.sample_flows = PROTO_MAX_SAMPLE, .cooked = true,
		.kernel_only = true, .plan_only = true,
		.time_stamp_type = TIME_STAMP_ADAPTER_UNSYNCED,
		.linger_ms = 60000, .heartbeat_ms = PROTO_HEARTBEAT_MIN_MS,
		.max_duration_ms = UINT64_MAX } },
	{ .type = MSG_START, .start = {
		.n_interfaces = 1, .interfaces = requests + 1,
		.n_filters = 1, .filters = filters + 1 } },
	{ .type = MSG_ACK, .ack = { UINT64_MAX } },
	{ .type = MSG_STOP, .stop = { true } },
	{ .type = MSG_STOP },
	{ .type = MSG_RESUME, .resume = { UINT64_MAX, { { 1, 2, 3, [31] = 255 } },
		77, 5 } },
	{ .type = MSG_WATERMARK, .watermark = { UINT64_MAX, { -1 } } },
	{ .type = MSG_PING, .ping = { -5 } },
	{ .type = MSG_INTERFACE_LIST, .interface_list = { 2, interfaces } },
	{ .type = MSG_INTERFACE_LIST },
	{ .type = MSG_STARTED, .started = {
		.n_interfaces = 2, .interfaces = capture_interfaces,
		.snaplen = 96, .ring_bytes = 64 << 20, .log_bytes = 1 << 30,
		.notes = "ring: 2 MiB less", .start = { 1790000000123456789 },
		.capture_id = UINT64_MAX, .token = { { 9, [31] = 8 } },
		.has_token = true, .linger_ms = 60000,
		.heartbeat_ms = PROTO_HEARTBEAT_MAX_MS, .next_sequence = 12,
		.announcements = 3, .update_number = 2 } },
	{ .type = MSG_STARTED, .started = {
		.n_interfaces = 1, .interfaces = capture_interfaces, .snaplen = 1,
		.heartbeat_ms = PROTO_HEARTBEAT_MIN_MS, .next_sequence = 1 } },
	{ .type = MSG_GAP, .gap = { 3, 9, 100, 6400, { 17 }, { 12 },
		GAP_LOG_FULL, 3, gap_packets } },
	{ .type = MSG_GAP, .gap = { 3, 3, 0, 0, { 0 }, { 0 },
		GAP_INTERRUPTED, 0, NULL } },
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

const struct msg *
codec_lab_messages(size_t *ret_n)
{
	*ret_n = ARRAY_LEN(messages);
	return messages;
}

struct msg
codec_lab_sample(enum msg_type type)
{
	size_t i = 0;

	while (i < ARRAY_LEN(messages) && messages[i].type != type)
		i++;
	assert_true(i < ARRAY_LEN(messages));
	return messages[i];
}

uint8_t *
codec_lab_pack(const struct msg *msg, size_t *ret_len)
{
	uint8_t *frame, *payload, hdr[FRAME_HDR_MAX];
	size_t frame_len, hdr_len = 0;

	assert_int_equal(codec_pack(msg, &frame, &frame_len), E_OK);
	while (frame[hdr_len++] & 0x80)
		;
	*ret_len = frame_len - hdr_len;
	assert_int_equal(frame_put_header(hdr, (uint32_t)*ret_len), hdr_len);
	payload = malloc(*ret_len);
	assert_non_null(payload);
	memcpy(payload, frame + hdr_len, *ret_len);
	free(frame);
	return payload;
}

struct msg
codec_lab_pass(const struct msg *in)
{
	struct msg msg;
	size_t len;
	uint8_t *payload = codec_lab_pack(in, &len);

	assert_int_equal(codec_unpack(payload, len, &msg), E_OK);
	free(payload);
	return msg;
}

int
codec_lab_judge(const struct msg *in)
{
	struct msg msg = { .type = MSG_STOP };
	size_t len;
	uint8_t *payload = codec_lab_pack(in, &len);
	int code = codec_unpack(payload, len, &msg);

	if (code == E_OK)
		msg_free(&msg);
	else
		assert_int_equal(msg.type, MSG_STOP);	/* untouched */
	free(payload);
	return code;
}
