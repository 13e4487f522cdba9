/*
 * proto/codec, field by field: each arrives as it was sent, and each bound is
 * the last value that does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec_lab.h"

/* --- every field arrives --- */

static void
assert_requests(const struct msg_start *s)
{
	const struct msg_interface_request *r = s->interfaces;

	assert_int_equal(s->n_interfaces, 2);
	assert_string_equal(r[0].name, "eth0");
	assert_int_equal(r[0].snaplen, 261120);
	assert_true(r[0].no_promiscuous);
	assert_int_equal(r[0].filter, 1);
	assert_int_equal(r[0].link_type, 0);
	assert_string_equal(r[1].name, "netns:blue/wlan*");
	assert_int_equal(r[1].snaplen, 1);
	assert_false(r[1].no_promiscuous);
	assert_int_equal(r[1].filter, 0);
	assert_int_equal(r[1].link_type, 276);
}

static void
assert_filters(const struct msg_filter *f, uint32_t n)
{
	assert_int_equal(n, 2);
	assert_string_equal(f[0].text, "udp port 53");
	assert_true(f[0].exact_vlan && !f[0].at_client);
	assert_int_equal(f[0].n_programs, 2);
	assert_int_equal(f[0].programs[0].link_type, 1);
	assert_int_equal(f[0].programs[0].n_insns, 3);
	assert_int_equal(f[0].programs[0].insns[1].jf, 1);
	assert_int_equal(f[0].programs[0].insns[2].code, 0xffff);
	assert_int_equal(f[0].programs[0].insns[2].jt, 255);
	assert_int_equal(f[0].programs[0].insns[2].k, UINT32_MAX);
	assert_int_equal(f[0].programs[1].link_type, 276);
	assert_int_equal(f[0].programs[1].n_insns, 1);
	assert_string_equal(f[1].text, "");
	assert_true(!f[1].exact_vlan && f[1].at_client);
	assert_int_equal(f[1].n_programs, 0);
}

static void
a_start_has_every_field(void **state)
{
	struct msg in = codec_lab_sample(MSG_START), msg = codec_lab_pass(&in);
	const struct msg_start *s = &msg.start;

	(void)state;
	assert_requests(s);
	assert_filters(s->filters, s->n_filters);
	assert_true(s->drop_newest && s->headers_only);
	assert_true(s->cooked && s->kernel_only && s->plan_only);
	assert_int_equal(s->ring_bytes, 1ull << 40);
	assert_int_equal(s->log_bytes, 77);
	assert_true(s->max_packets == UINT64_MAX);
	assert_int_equal(s->direction, START_OUT);
	assert_int_equal(s->sample, 10);
	assert_int_equal(s->sample_flows, PROTO_MAX_SAMPLE);
	assert_int_equal(s->time_stamp_type, TIME_STAMP_ADAPTER_UNSYNCED);
	assert_int_equal(s->linger_ms, 60000);
	assert_int_equal(s->heartbeat_ms, PROTO_HEARTBEAT_MIN_MS);
	assert_true(s->max_duration_ms == UINT64_MAX);
	msg_free(&msg);
}

static void
what_resumes_a_capture_arrives(void **state)
{
	static const uint8_t token[PROTO_TOKEN_LEN] = { 1, 2, 3, [31] = 255 };
	struct msg in = codec_lab_sample(MSG_RESUME), msg = codec_lab_pass(&in);

	(void)state;
	assert_true(msg.resume.capture_id == UINT64_MAX);
	assert_memory_equal(msg.resume.token.bytes, token, sizeof(token));
	assert_int_equal(msg.resume.next_sequence, 77);
	assert_int_equal(msg.resume.announcements, 5);
	in.resume.next_sequence = 0;
	assert_int_equal(codec_lab_judge(&in), E_BADMSG);

	in = codec_lab_sample(MSG_WATERMARK);
	msg = codec_lab_pass(&in);
	assert_true(msg.watermark.sequence == UINT64_MAX);
	assert_true(msg.watermark.time.ns == -1);

	in = codec_lab_sample(MSG_STOP);
	msg = codec_lab_pass(&in);
	assert_true(msg.stop.now);
}

static void
what_a_started_capture_may_be_resumed_with_arrives(void **state)
{
	struct msg in = codec_lab_sample(MSG_STARTED), msg = codec_lab_pass(&in);
	const struct msg_started *s = &msg.started;

	(void)state;
	assert_true(s->capture_id == UINT64_MAX && s->has_token);
	assert_memory_equal(s->token.bytes, in.started.token.bytes, PROTO_TOKEN_LEN);
	assert_int_equal(s->linger_ms, 60000);
	assert_int_equal(s->heartbeat_ms, PROTO_HEARTBEAT_MAX_MS);
	assert_int_equal(s->next_sequence, 12);
	assert_int_equal(s->announcements, 3);
	assert_int_equal(s->update_number, 2);
	msg_free(&msg);

	/* What an agent does not say has its default. */
	in.started.has_token = false;
	in.started.heartbeat_ms = 0;
	in.started.next_sequence = 0;
	msg = codec_lab_pass(&in);
	assert_false(s->has_token);
	assert_int_equal(s->heartbeat_ms, PROTO_HEARTBEAT_MS);
	assert_int_equal(s->next_sequence, 1);
	msg_free(&msg);
}

static void
heartbeats_have_bounds(void **state)
{
	static const uint32_t bad[] = { 1, PROTO_HEARTBEAT_MIN_MS - 1,
		PROTO_HEARTBEAT_MAX_MS + 1, UINT32_MAX };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct msg start = codec_lab_sample(MSG_START);
		struct msg started = codec_lab_sample(MSG_STARTED);

		start.start.heartbeat_ms = bad[i];
		started.started.heartbeat_ms = bad[i];
		assert_int_equal(codec_lab_judge(&start), E_BADMSG);
		assert_int_equal(codec_lab_judge(&started), E_BADMSG);
	}
}

static void
a_gap_counts_no_more_for_interfaces_than_in_all(void **state)
{
	static uint64_t packets[3] = { UINT64_MAX, 0, 2 };
	struct msg in = codec_lab_sample(MSG_GAP), msg = codec_lab_pass(&in);

	(void)state;
	assert_int_equal(msg.gap.n_interfaces, 3);
	assert_int_equal(msg.gap.by_interface[0], 60);
	assert_int_equal(msg.gap.by_interface[1], 0);
	assert_int_equal(msg.gap.by_interface[2], 39);
	msg_free(&msg);
	in.gap.packets = 99;
	assert_int_equal(codec_lab_judge(&in), E_OK);
	in.gap.packets = 98;
	assert_int_equal(codec_lab_judge(&in), E_BADMSG);
	/* The sum does not wrap. */
	in.gap.packets = UINT64_MAX;
	in.gap.by_interface = packets;
	assert_int_equal(codec_lab_judge(&in), E_BADMSG);
	in.gap.reason = (enum gap_reason)(GAP_DISCONNECTED + 1);
	in.gap.n_interfaces = 0;
	assert_int_equal(codec_lab_judge(&in), E_BADMSG);
}

/* Each flag of a Start alone, so that none stands for another. */
static void
flags_are_not_mixed_up(void **state)
{
	struct msg in = codec_lab_sample(MSG_START), msg;

	(void)state;
	for (int i = 0; i < 5; i++) {
		struct msg_start *s = &in.start;

		s->drop_newest = i == 0;
		s->headers_only = i == 1;
		s->cooked = i == 2;
		s->kernel_only = i == 3;
		s->plan_only = i == 4;
		msg = codec_lab_pass(&in);
		s = &msg.start;
		assert_int_equal(s->drop_newest, i == 0);
		assert_int_equal(s->headers_only, i == 1);
		assert_int_equal(s->cooked, i == 2);
		assert_int_equal(s->kernel_only, i == 3);
		assert_int_equal(s->plan_only, i == 4);
		msg_free(&msg);
	}
}

static void
a_list_has_every_field(void **state)
{
	struct msg in = codec_lab_sample(MSG_INTERFACE_LIST);
	struct msg msg = codec_lab_pass(&in);
	const struct msg_interface *i = msg.interface_list.interfaces;

	(void)state;
	assert_int_equal(msg.interface_list.n, 2);
	assert_int_equal(i->index, 2);
	assert_string_equal(i->name, "eth0");
	assert_string_equal(i->description, "uplink");
	assert_true(i->is_up && i->is_running && !i->is_loopback && i->has_mac);
	assert_memory_equal(i->mac, "\x02\0\0\0\0\x01", 6);
	assert_int_equal(i->n_addresses, 2);
	assert_string_equal(i->addresses[1], "fe80::1/64");
	assert_string_equal(i->network_namespace, "netns:blue");
	assert_int_equal(i->n_link_types, 3);
	assert_int_equal(i->link_types[0], 1);
	assert_int_equal(i->link_types[2], 113);
	assert_string_equal(i->driver, "e1000e");
	assert_int_equal(i->speed_mbps, 10000);
	assert_int_equal(i->time_stamp_types, 7);
	assert_string_equal(i[1].why_not, "interface is down");
	assert_false(i[1].has_mac);
	assert_true(i[1].is_loopback && !i[1].is_up);
	assert_string_equal(i[1].network_namespace, "");
	assert_int_equal(i[1].n_link_types, 0);
	msg_free(&msg);
}

static void
started_has_every_field(void **state)
{
	struct msg in = codec_lab_sample(MSG_STARTED), msg = codec_lab_pass(&in);
	const struct msg_capture_interface *i = msg.started.interfaces;

	(void)state;
	assert_int_equal(msg.started.n_interfaces, 2);
	assert_int_equal(msg.started.snaplen, 96);
	assert_string_equal(msg.started.notes, "ring: 2 MiB less");
	assert_true(i[0].is_promiscuous && i[0].has_mac);
	assert_int_equal(i[0].snaplen, 96);
	assert_int_equal(i[0].filter_place, FILTER_KERNEL);
	assert_int_equal(i[0].time_stamp_type, TIME_STAMP_HOST);
	assert_string_equal(i[0].network_namespace, "");
	assert_int_equal(i[0].request, 0);
	assert_string_equal(i[1].name, "tun0");
	assert_int_equal(i[1].link_type, 101);
	assert_int_equal(i[1].snaplen, PROTO_MAX_SNAPLEN);
	assert_int_equal(i[1].filter_place, FILTER_CLIENT);
	assert_int_equal(i[1].time_stamp_type, TIME_STAMP_ADAPTER_UNSYNCED);
	assert_string_equal(i[1].network_namespace, "netns:blue");
	assert_int_equal(i[1].request, 1);
	msg_free(&msg);
}

static void
counters_are_not_mixed_up(void **state)
{
	struct msg in = codec_lab_sample(MSG_ENDED), msg = codec_lab_pass(&in);
	const struct msg_interface_stats *s = msg.ended.stats.interfaces;

	(void)state;
	assert_int_equal(msg.ended.code, E_IFDOWN);
	assert_string_equal(msg.ended.text, "interface 'eth0': down");
	assert_int_equal(msg.ended.last_sequence, 42);
	assert_int_equal(msg.ended.stats.n_interfaces, 2);
	assert_int_equal(msg.ended.stats.lost_packets, 10);
	assert_int_equal(msg.ended.stats.lost_bytes, 20);
	assert_int_equal(s->received, 1);
	assert_int_equal(s->dropped_kernel, 2);
	assert_int_equal(s->dropped_interface, 3);
	assert_int_equal(s->batched, 4);
	assert_int_equal(s->dropped_agent, 5);
	assert_int_equal(s->dropped_filter_change, 6);
	assert_int_equal(s->freezes, 7);
	msg_free(&msg);
}

static void
a_plan_has_every_field(void **state)
{
	struct msg in = codec_lab_sample(MSG_PLAN), msg = codec_lab_pass(&in);
	const struct msg_plan_interface *i = msg.plan.interfaces;

	(void)state;
	assert_int_equal(msg.plan.n_interfaces, 2);
	assert_int_equal(msg.plan.log_bytes, 64 << 20);
	assert_string_equal(msg.plan.notes, "ring: less");
	assert_string_equal(i->interface.name, "eth0");
	assert_int_equal(i->interface.n_addresses, 2);
	assert_int_equal(i->n_insns, 3);
	assert_int_equal(i->insns[2].k, UINT32_MAX);
	assert_int_equal(i->n_parts, 3);
	assert_int_equal(i->parts[0].first, 0);
	assert_int_equal(i->parts[0].kind, PLAN_MANDATORY);
	assert_int_equal(i->parts[2].first, 1);
	assert_int_equal(i->parts[2].kind, PLAN_CAP);
	assert_true(i->exact_vlan);
	assert_int_equal(i->ring_bytes, 1ull << 33);
	assert_int_equal(i->block_bytes, 1 << 20);
	assert_int_equal(i->retire_ms, 64);
	assert_int_equal(i->n_warnings, 2);
	assert_string_equal(i->warnings[1], "eth0: old");
	assert_false(i[1].exact_vlan);
	assert_int_equal(i[1].n_parts, 0);
	assert_int_equal(i[1].n_warnings, 0);
	msg_free(&msg);
}

static void
a_filter_change_has_every_field(void **state)
{
	struct msg in = codec_lab_sample(MSG_UPDATE_FILTER);
	struct msg msg = codec_lab_pass(&in);

	(void)state;
	assert_int_equal(msg.update_filter.number, 1);
	assert_filters(msg.update_filter.filters, msg.update_filter.n_filters);
	msg_free(&msg);

	in = codec_lab_sample(MSG_FILTER_CHANGED);
	msg = codec_lab_pass(&in);
	assert_int_equal(msg.filter_changed.number, 1);
	assert_int_equal(msg.filter_changed.sequence, 9);
	assert_int_equal(msg.filter_changed.time.ns, 17);
	assert_int_equal(msg.filter_changed.code, E_OK);
	assert_int_equal(msg.filter_changed.n_places, 3);
	assert_int_equal(msg.filter_changed.places[0], FILTER_AGENT);
	assert_int_equal(msg.filter_changed.places[1], FILTER_KERNEL);
	assert_int_equal(msg.filter_changed.places[2], FILTER_CLIENT);
	msg_free(&msg);

	in.filter_changed.code = E_FILTER;
	strcpy(in.filter_changed.text, "filter: too long");
	msg = codec_lab_pass(&in);
	assert_int_equal(msg.filter_changed.code, E_FILTER);
	assert_string_equal(msg.filter_changed.text, "filter: too long");
	msg_free(&msg);
}

static void
what_happens_on_the_way_has_every_field(void **state)
{
	struct msg in = codec_lab_sample(MSG_EVENT), msg = codec_lab_pass(&in);

	(void)state;
	assert_int_equal(msg.event.sequence, 7);
	assert_int_equal(msg.event.time.ns, 1790000000123456789);
	assert_int_equal(msg.event.kind, CAPTURE_EVENT_GONE);
	assert_int_equal(msg.event.iface, 1);
	assert_string_equal(msg.event.text, "interface 'eth0' is gone");

	in = codec_lab_sample(MSG_INTERFACE_ADDED);
	msg = codec_lab_pass(&in);
	assert_int_equal(msg.interface_added.sequence, 4);
	assert_string_equal(msg.interface_added.interface.name, "veth7");
	assert_int_equal(msg.interface_added.interface.index, 12);
	assert_int_equal(msg.interface_added.interface.n_addresses, 2);
	msg_free(&msg);

	in = codec_lab_sample(MSG_NEED_PROGRAMS);
	msg = codec_lab_pass(&in);
	assert_int_equal(msg.need_programs.n, 2);
	assert_int_equal(msg.need_programs.link_types[0], 113);
	assert_int_equal(msg.need_programs.link_types[1], 276);
}

/* A kind of a later version still has its sentence. */
static void
events_of_unknown_kinds_are_others(void **state)
{
	struct msg in = codec_lab_sample(MSG_EVENT), msg;

	(void)state;
	for (unsigned kind = 0; kind < 12; kind++) {
		in.event.kind = (enum capture_event)kind;
		msg = codec_lab_pass(&in);
		assert_int_equal(msg.event.kind, kind >= CAPTURE_EVENT_DOWN &&
		    kind <= CAPTURE_EVENT_OTHER ? kind : CAPTURE_EVENT_OTHER);
		assert_string_equal(msg.event.text, in.event.text);
	}
}

/* --- messages that are right but for one field --- */

/* m is the message, its field gets the last good value and then a bad one. */
#define ASSERT_BOUND(m, field, good, bad) do {			\
	(field) = (good);						\
	assert_int_equal(codec_lab_judge(&(m)), E_OK);			\
	(field) = (bad);						\
	assert_int_equal(codec_lab_judge(&(m)), E_BADMSG);		\
	(field) = (good);						\
} while (0)

static void
bounds_of_a_start(void **state)
{
	static struct msg_interface_request many[PROTO_MAX_INTERFACES + 1];
	static char text[] = "";
	struct msg_filter filters[PROTO_MAX_FILTERS + 1];
	struct msg in = codec_lab_sample(MSG_START);
	struct msg_interface_request *r = &many[0];
	struct msg_start *s = &in.start;

	(void)state;
	for (size_t i = 0; i <= PROTO_MAX_INTERFACES; i++)
		many[i] = (struct msg_interface_request){ "x", 1, 0, 0, false };
	for (size_t i = 0; i <= PROTO_MAX_FILTERS; i++)
		filters[i] = (struct msg_filter){ .text = text };
	s->interfaces = many;
	s->filters = filters;
	s->n_filters = 1;
	ASSERT_BOUND(in, s->n_interfaces, PROTO_MAX_INTERFACES,
	    PROTO_MAX_INTERFACES + 1);
	ASSERT_BOUND(in, s->n_interfaces, 1, 0);
	ASSERT_BOUND(in, r->filter, 0, 1);
	ASSERT_BOUND(in, r->filter, 0, UINT32_MAX);
	ASSERT_BOUND(in, s->n_filters, 1, 0);
	ASSERT_BOUND(in, s->n_filters, PROTO_MAX_FILTERS, PROTO_MAX_FILTERS + 1);
	ASSERT_BOUND(in, r->filter, PROTO_MAX_FILTERS - 1, PROTO_MAX_FILTERS);
	ASSERT_BOUND(in, r->snaplen, 1, 0);
	ASSERT_BOUND(in, r->snaplen, PROTO_MAX_SNAPLEN, PROTO_MAX_SNAPLEN + 1);
	ASSERT_BOUND(in, r->link_type, UINT16_MAX, UINT16_MAX + 1);
	ASSERT_BOUND(in, r->name[0], 'x', '\0');
	ASSERT_BOUND(in, s->direction, START_OUT, (enum start_direction)3);
	ASSERT_BOUND(in, s->sample, PROTO_MAX_SAMPLE, PROTO_MAX_SAMPLE + 1);
	ASSERT_BOUND(in, s->sample_flows, PROTO_MAX_SAMPLE, PROTO_MAX_SAMPLE + 1);
	ASSERT_BOUND(in, s->time_stamp_type, TIME_STAMP_ADAPTER_UNSYNCED,
	    (enum time_stamp_type)3);
}

static void
bounds_of_a_filter(void **state)
{
	static struct bpf_insn_raw insns[PROTO_MAX_FILTER_INSNS + 1];
	static char text[] = "";
	struct msg_program programs[PROTO_MAX_PROGRAMS + 1];
	struct msg_filter filters[PROTO_MAX_FILTERS + 1];
	struct msg in = codec_lab_sample(MSG_UPDATE_FILTER);
	struct msg_filter *f = filters;

	(void)state;
	for (uint32_t i = 0; i <= PROTO_MAX_PROGRAMS; i++)
		programs[i] = (struct msg_program){ i, 1, insns };
	for (size_t i = 0; i <= PROTO_MAX_FILTERS; i++)
		filters[i] = (struct msg_filter){ .text = text };
	in.update_filter.filters = filters;
	f->programs = programs;
	f->n_programs = 1;
	ASSERT_BOUND(in, in.update_filter.number, 1, 0);
	ASSERT_BOUND(in, in.update_filter.n_filters, PROTO_MAX_FILTERS,
	    PROTO_MAX_FILTERS + 1);
	ASSERT_BOUND(in, in.update_filter.n_filters, 1, 0);
	ASSERT_BOUND(in, f->n_programs, PROTO_MAX_PROGRAMS, PROTO_MAX_PROGRAMS + 1);
	ASSERT_BOUND(in, programs[0].n_insns, PROTO_MAX_FILTER_INSNS,
	    PROTO_MAX_FILTER_INSNS + 1);
	ASSERT_BOUND(in, programs[0].n_insns, 1, 0);
	ASSERT_BOUND(in, programs[0].link_type, UINT16_MAX, UINT16_MAX + 1);
	ASSERT_BOUND(in, programs[15].link_type, 15, 14);	/* two for one */
}

static void
bounds_of_a_list(void **state)
{
	static struct msg_interface many[PROTO_MAX_INTERFACES + 1];
	static char addresses[PROTO_MAX_ADDRESSES + 1][64];
	struct msg in = codec_lab_sample(MSG_INTERFACE_LIST);
	struct msg_interface iface = in.interface_list.interfaces[0];

	(void)state;
	for (size_t i = 0; i <= PROTO_MAX_INTERFACES; i++)
		many[i] = (struct msg_interface){ .index = 1, .name = "x" };
	in.interface_list.interfaces = many;
	ASSERT_BOUND(in, in.interface_list.n, PROTO_MAX_INTERFACES,
	    PROTO_MAX_INTERFACES + 1);
	in.interface_list = (struct msg_interface_list){ 1, &iface };
	for (size_t i = 0; i <= PROTO_MAX_ADDRESSES; i++)
		memset(addresses[i], 'a', 63);
	iface.addresses = addresses;
	ASSERT_BOUND(in, iface.n_addresses, PROTO_MAX_ADDRESSES,
	    PROTO_MAX_ADDRESSES + 1);
	ASSERT_BOUND(in, addresses[2][0], 'a', '\0');
	ASSERT_BOUND(in, iface.index, 1, 0);
	ASSERT_BOUND(in, iface.link_type, UINT16_MAX, UINT16_MAX + 1);
	ASSERT_BOUND(in, iface.link_types[2], UINT16_MAX, UINT16_MAX + 1);
	ASSERT_BOUND(in, iface.time_stamp_types, 7, 8);
	ASSERT_BOUND(in, iface.name[0], 'x', '\0');
}

static void
bounds_of_a_captured_interface(void **state)
{
	static struct msg_capture_interface many[PROTO_MAX_INTERFACES + 1];
	struct msg in = codec_lab_sample(MSG_STARTED);
	struct msg_capture_interface *i = many;

	(void)state;
	for (size_t k = 0; k <= PROTO_MAX_INTERFACES; k++)
		many[k] = (struct msg_capture_interface){ .name = "x", .snaplen = 1 };
	in.started.interfaces = many;
	ASSERT_BOUND(in, in.started.n_interfaces, PROTO_MAX_INTERFACES,
	    PROTO_MAX_INTERFACES + 1);
	ASSERT_BOUND(in, in.started.n_interfaces, 1, 0);
	ASSERT_BOUND(in, in.started.snaplen, 1, 0);
	ASSERT_BOUND(in, in.started.snaplen, PROTO_MAX_SNAPLEN,
	    PROTO_MAX_SNAPLEN + 1);
	ASSERT_BOUND(in, i->snaplen, 1, 0);
	ASSERT_BOUND(in, i->snaplen, PROTO_MAX_SNAPLEN, PROTO_MAX_SNAPLEN + 1);
	ASSERT_BOUND(in, i->request, PROTO_MAX_INTERFACES - 1, PROTO_MAX_INTERFACES);
	ASSERT_BOUND(in, i->link_type, UINT16_MAX, UINT16_MAX + 1);
	ASSERT_BOUND(in, i->filter_place, FILTER_CLIENT, (enum filter_place)3);
	ASSERT_BOUND(in, i->time_stamp_type, TIME_STAMP_ADAPTER_UNSYNCED,
	    (enum time_stamp_type)3);
	ASSERT_BOUND(in, i->name[0], 'x', '\0');

	in = codec_lab_sample(MSG_INTERFACE_ADDED);
	ASSERT_BOUND(in, in.interface_added.sequence, 1, 0);
	ASSERT_BOUND(in, in.interface_added.interface.snaplen, 1, 0);
}

static void
bounds_of_a_plan(void **state)
{
	static struct msg_plan_interface many[PROTO_MAX_INTERFACES + 1];
	struct msg in = codec_lab_sample(MSG_PLAN);
	struct msg_plan_interface iface = in.plan.interfaces[0];
	char warnings[PROTO_MAX_WARNINGS + 1][PROTO_MAX_TEXT + 1];

	(void)state;
	for (size_t i = 0; i <= PROTO_MAX_INTERFACES; i++)
		many[i] = (struct msg_plan_interface){
			.interface = { .name = "x", .snaplen = 1 },
			.n_insns = 1, .insns = iface.insns };
	in.plan.interfaces = many;
	ASSERT_BOUND(in, in.plan.n_interfaces, PROTO_MAX_INTERFACES,
	    PROTO_MAX_INTERFACES + 1);
	in.plan.n_interfaces = 1;
	for (size_t i = 0; i <= PROTO_MAX_WARNINGS; i++)
		strcpy(warnings[i], "w");
	in.plan.interfaces = &iface;
	iface.warnings = warnings;
	ASSERT_BOUND(in, in.plan.n_interfaces, 1, 0);
	ASSERT_BOUND(in, iface.n_warnings, PROTO_MAX_WARNINGS,
	    PROTO_MAX_WARNINGS + 1);
	ASSERT_BOUND(in, warnings[0][0], 'w', '\0');
	ASSERT_BOUND(in, iface.parts[0].kind, PLAN_MANDATORY, (enum plan_part)0);
	ASSERT_BOUND(in, iface.parts[0].kind, PLAN_CAP, (enum plan_part)11);
	ASSERT_BOUND(in, iface.parts[2].first, 2, 3);	/* of 3 instructions */
	ASSERT_BOUND(in, iface.parts[1].first, 2, 0 - 1u);
	ASSERT_BOUND(in, iface.parts[2].first, 2, 1);	/* falls */
	ASSERT_BOUND(in, iface.n_insns, 3, 0);
	ASSERT_BOUND(in, iface.interface.snaplen, 1, 0);
}

static void
bounds_of_what_happens_on_the_way(void **state)
{
	static enum filter_place many[PROTO_MAX_INTERFACES + 1];
	struct msg in = codec_lab_sample(MSG_EVENT);

	(void)state;
	ASSERT_BOUND(in, in.event.sequence, 1, 0);
	ASSERT_BOUND(in, in.event.text[0], 'x', '\0');
	ASSERT_BOUND(in, in.event.iface, PROTO_MAX_INTERFACES - 1,
	    PROTO_MAX_INTERFACES);
	ASSERT_BOUND(in, in.event.iface, CAPTURE_EVENT_WHOLE,
	    CAPTURE_EVENT_WHOLE - 1);

	in = codec_lab_sample(MSG_FILTER_CHANGED);
	in.filter_changed.places = many;
	ASSERT_BOUND(in, in.filter_changed.number, 1, 0);
	ASSERT_BOUND(in, in.filter_changed.sequence, 1, 0);
	ASSERT_BOUND(in, in.filter_changed.code, E_FILTER, 1);
	ASSERT_BOUND(in, many[2], FILTER_CLIENT, (enum filter_place)3);
	ASSERT_BOUND(in, in.filter_changed.n_places, PROTO_MAX_INTERFACES,
	    PROTO_MAX_INTERFACES + 1);
	in.filter_changed.sequence = 0;		/* none when refused */
	ASSERT_BOUND(in, in.filter_changed.code, E_FILTER, E_OK);

	in = codec_lab_sample(MSG_NEED_PROGRAMS);
	ASSERT_BOUND(in, in.need_programs.link_types[0], UINT16_MAX, UINT16_MAX + 1);
	ASSERT_BOUND(in, in.need_programs.link_types[1], 1, UINT16_MAX); /* twice */
	ASSERT_BOUND(in, in.need_programs.n, 1, 0);
}

static void
bounds_of_the_rest(void **state)
{
	struct msg in = codec_lab_sample(MSG_GAP);

	(void)state;
	ASSERT_BOUND(in, in.gap.first_sequence, 9, 10);
	ASSERT_BOUND(in, in.gap.first_sequence, 1, 0);
	ASSERT_BOUND(in, in.gap.reason, GAP_LOG_FULL, (enum gap_reason)0);
	ASSERT_BOUND(in, in.gap.reason, GAP_LOG_FULL, (enum gap_reason)4);
	in = codec_lab_sample(MSG_ERROR);
	ASSERT_BOUND(in, in.error.code, E_DENIED, E_OK);
	ASSERT_BOUND(in, in.error.code, E_DENIED, 1);
	in = codec_lab_sample(MSG_HELLO);
	ASSERT_BOUND(in, in.hello.version, 1, 0);
	in = codec_lab_sample(MSG_ENDED);
	ASSERT_BOUND(in, in.ended.code, E_OK, 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_start_has_every_field),
		cmocka_unit_test(what_resumes_a_capture_arrives),
		cmocka_unit_test(what_a_started_capture_may_be_resumed_with_arrives),
		cmocka_unit_test(heartbeats_have_bounds),
		cmocka_unit_test(a_gap_counts_no_more_for_interfaces_than_in_all),
		cmocka_unit_test(flags_are_not_mixed_up),
		cmocka_unit_test(a_list_has_every_field),
		cmocka_unit_test(started_has_every_field),
		cmocka_unit_test(counters_are_not_mixed_up),
		cmocka_unit_test(a_plan_has_every_field),
		cmocka_unit_test(a_filter_change_has_every_field),
		cmocka_unit_test(what_happens_on_the_way_has_every_field),
		cmocka_unit_test(events_of_unknown_kinds_are_others),
		cmocka_unit_test(bounds_of_a_start),
		cmocka_unit_test(bounds_of_a_filter),
		cmocka_unit_test(bounds_of_a_list),
		cmocka_unit_test(bounds_of_a_captured_interface),
		cmocka_unit_test(bounds_of_a_plan),
		cmocka_unit_test(bounds_of_what_happens_on_the_way),
		cmocka_unit_test(bounds_of_the_rest),
	};

	return cmocka_run_group_tests_name("proto/codec, fields", tests, NULL, NULL);
}
