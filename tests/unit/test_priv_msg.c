/* server/priv_msg: only exactly what the other side can have meant passes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mutate.h"
#include "server/priv_msg.h"

static const struct { enum priv_msg_type type; bool has_fd; } all[] = {
	{ PRIV_SETUP_CONFIG, false }, { PRIV_SETUP_LISTENER, true },
	{ PRIV_SETUP_CERT, true }, { PRIV_SETUP_KEY, true }, { PRIV_SETUP_CA, true },
	{ PRIV_SETUP_DONE, false }, { PRIV_READY, false }, { PRIV_FAILED, false },
	{ PRIV_LIST, false }, { PRIV_OPEN, false }, { PRIV_FILTER, false },
	{ PRIV_CLOSE, false }, { PRIV_LIST_REPLY, false }, { PRIV_OPEN_REPLY, true },
	{ PRIV_FILTER_REPLY, false }, { PRIV_CLOSE_REPLY, false }, { PRIV_END, false },
	{ PRIV_NETNS_LIST, false }, { PRIV_NETNS_LIST_REPLY, false }, { PRIV_NETNS, false },
	{ PRIV_NETNS_REPLY, false }, { PRIV_NETNS_CLOSE, false },
	{ PRIV_NETNS_CLOSE_REPLY, false }, { PRIV_RELOADED, false }, { PRIV_RELOAD, false },
};

static union priv_msg msg;

/* The smallest valid message of each type. */
static void
make(enum priv_msg_type type)
{
	memset(&msg, 0, sizeof(msg));
	priv_msg_init(&msg, type, 1);
	if (type == PRIV_SETUP_CONFIG)
		msg.config.max_snaplen = 1;
	if (type == PRIV_OPEN) {
		msg.open.ring_bytes = PRIV_MIN_RING;
		msg.open.ifindex = 1;
		msg.open.link_type = LINK_ETHERNET;
		msg.open.snaplen = 1;
		msg.open.lanes = 1;
		msg.open.program.n_insns = 1;
	}
	if (type == PRIV_FILTER) {
		msg.filter.handle = 1;
		msg.filter.program.n_insns = 1;
	}
	if (type == PRIV_CLOSE)
		msg.close.handle = 1;
	if (type == PRIV_NETNS) {
		msg.netns.kind = PRIV_NETNS_PID;
		msg.netns.number = 1;
	}
	if (type == PRIV_NETNS_CLOSE)
		msg.netns_close.handle = 1;
}

static int
check(bool has_fd)
{
	return priv_msg_check(&msg, priv_msg_size(msg.hdr.type), has_fd, NULL);
}

static void
every_message_passes_as_it_must_be(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		make(all[i].type);
		assert_int_equal(check(all[i].has_fd), E_OK);
		assert_string_not_equal(priv_msg_name(all[i].type), "unknown");
	}
}

static void
a_descriptor_where_none_belongs_is_refused_and_the_reverse(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		make(all[i].type);
		assert_int_equal(check(!all[i].has_fd), E_BADMSG);
	}
	make(PRIV_OPEN_REPLY);
	msg.open_reply.code = E_DENIED;
	assert_int_equal(check(false), E_OK);
	assert_int_equal(check(true), E_BADMSG);
}

static void
another_build_is_refused_and_named(void **state)
{
	struct err err;

	(void)state;
	make(PRIV_LIST);
	msg.hdr.build_id ^= 1;
	assert_int_equal(priv_msg_check(&msg, priv_msg_size(PRIV_LIST), false, &err), E_BADMSG);
	assert_non_null(strstr(err.what, "another build"));
}

static void
unknown_types_are_refused(void **state)
{
	(void)state;
	for (uint32_t type = 0; type < 300; type++) {
		make(PRIV_LIST);
		msg.hdr.type = type;
		if (priv_msg_size(type) == 0)
			assert_int_equal(priv_msg_check(&msg, sizeof(msg.list), false, NULL),
			    E_BADMSG);
	}
}

static void
assert_field_refused(const char *field)
{
	struct err err;

	assert_int_equal(priv_msg_check(&msg, priv_msg_size(msg.hdr.type), false, &err),
	    E_BADMSG);
	if (strstr(err.what, field) == NULL)
		fail_msg("no '%s' in: %s", field, err.what);
}

/* One field of an OPEN set to a value out of range. */
#define OPEN_REFUSES(field, value) do {					\
	make(PRIV_OPEN);						\
	msg.open.field = (value);					\
	assert_field_refused("OPEN");					\
} while (0)

static void
an_open_with_a_number_out_of_range_is_refused(void **state)
{
	(void)state;
	OPEN_REFUSES(ifindex, 0);
	OPEN_REFUSES(ifindex, (uint32_t)INT32_MAX + 1);
	OPEN_REFUSES(link_type, 0);
	OPEN_REFUSES(link_type, 7);
	OPEN_REFUSES(link_type, LINK_SLL);	/* without COOKED */
	OPEN_REFUSES(snaplen, 0);
	OPEN_REFUSES(snaplen, PRIV_MAX_SNAPLEN + 1);
	OPEN_REFUSES(ring_bytes, PRIV_MIN_RING - 1);
	OPEN_REFUSES(ring_bytes, PRIV_MAX_RING + 1);
	OPEN_REFUSES(flags, PRIV_OPEN_COOKED);	/* with Ethernet */
	OPEN_REFUSES(flags, 16);
	OPEN_REFUSES(reserved, 1);
	OPEN_REFUSES(lanes, 0);
	OPEN_REFUSES(lanes, PRIV_MAX_LANES + 1);
	OPEN_REFUSES(program.n_insns, 0);
	OPEN_REFUSES(program.n_insns, BPF_PROG_MAX + 1);
	OPEN_REFUSES(program.reserved, 1);
}

static void
a_cooked_socket_may_be_for_all_interfaces(void **state)
{
	static const uint32_t types[] = { LINK_SLL2, LINK_SLL, 253, 144, 177 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		make(PRIV_OPEN);
		msg.open.ifindex = 0;
		msg.open.link_type = types[i];
		msg.open.flags = PRIV_OPEN_COOKED | PRIV_OPEN_INBOUND;
		assert_int_equal(check(false), E_OK);
	}
}

static void
other_requests_with_a_number_out_of_range_are_refused(void **state)
{
	(void)state;
	make(PRIV_CLOSE);
	msg.close.handle = 0;
	assert_field_refused("handle");
	make(PRIV_FILTER);
	msg.filter.handle = 0;
	assert_field_refused("handle");
	make(PRIV_FILTER);
	msg.filter.program.n_insns = UINT32_MAX;
	assert_field_refused("n_insns");
	make(PRIV_NETNS_LIST);
	msg.netns_list.reserved = 1;
	assert_field_refused("reserved");
	make(PRIV_NETNS_CLOSE);
	msg.netns_close.handle = 0;
	assert_field_refused("handle");
	make(PRIV_NETNS_CLOSE);
	msg.netns_close.reserved = 1;
	assert_field_refused("reserved");
	make(PRIV_NETNS);
	msg.netns.kind = 0;
	assert_field_refused("kind");
	make(PRIV_NETNS);
	msg.netns.kind = 3;
	assert_field_refused("kind");
	make(PRIV_NETNS);
	msg.netns.number = 0;
	assert_field_refused("number");
	make(PRIV_NETNS);
	msg.netns.number = (uint32_t)INT32_MAX + 1;
	assert_field_refused("number");
	make(PRIV_NETNS_LIST_REPLY);
	msg.netns_list_reply.n = PRIV_LIST_COUNT + 1;
	assert_field_refused("n");
	make(PRIV_OPEN_REPLY);
	msg.open_reply.code = E_DENIED;
	msg.open_reply.time_stamp_type = PRIV_TIME_HOST | PRIV_TIME_ADAPTER;
	assert_field_refused("time_stamp_type");
	msg.open_reply.time_stamp_type = 8;
	assert_field_refused("time_stamp_type");
	make(PRIV_NETNS_REPLY);
	msg.netns_reply.code = 1;
	assert_field_refused("code");
	make(PRIV_LIST_REPLY);
	msg.list_reply.n = PRIV_LIST_COUNT + 1;
	assert_field_refused("n");
	make(PRIV_SETUP_CONFIG);
	msg.config.sandbox = 3;
	assert_field_refused("sandbox");
	make(PRIV_SETUP_CONFIG);
	msg.config.has_mandatory = 2;
	assert_field_refused("flag");
	make(PRIV_SETUP_CONFIG);
	msg.config.hardware_timestamps = 2;
	assert_field_refused("flag");
	make(PRIV_SETUP_CONFIG);
	msg.config.namespaces = 4;
	assert_field_refused("namespaces");
	make(PRIV_SETUP_CONFIG);
	msg.config.reserved = 1;
	assert_field_refused("reserved");
	make(PRIV_FAILED);
	msg.result.code = 1;
	assert_field_refused("code");
}

static void
text_without_an_end_is_refused(void **state)
{
	(void)state;
	make(PRIV_FAILED);
	memset(msg.result.text, 'x', sizeof(msg.result.text));
	assert_field_refused("text");
	make(PRIV_SETUP_CONFIG);
	memset(msg.config.log_spec, 'x', sizeof(msg.config.log_spec));
	assert_field_refused("log_spec");
	make(PRIV_LIST_REPLY);
	msg.list_reply.n = 1;
	memset(msg.list_reply.interfaces[0].name, 'x', PRIV_NAME_LEN);
	assert_field_refused("name");
	make(PRIV_LIST_REPLY);
	msg.list_reply.n = 1;
	memset(msg.list_reply.interfaces[0].driver, 'x', PRIV_DRIVER_LEN);
	assert_field_refused("driver");
	make(PRIV_NETNS_LIST_REPLY);
	msg.netns_list_reply.n = 1;
	memset(msg.netns_list_reply.names[0].name, 'x', PRIV_NETNS_NAME_LEN);
	assert_field_refused("name");
}

static void
check_damaged(const uint8_t *p, size_t len, void *arg)
{
	size_t *n = arg;
	struct err err = { .code = E_OK };
	int ret;

	/* A union that is cut short: only the bytes that are there may be read. */
	ret = priv_msg_check((const void *)p, len, false, &err);
	assert_true(ret == E_OK || ret == E_BADMSG);
	if (ret != E_OK)
		assert_true(strlen(err.what) > 0);
	(*n)++;
}

static void
check_truncated(const uint8_t *p, size_t len, void *arg)
{
	size_t *n = arg;

	assert_int_equal(priv_msg_check((const void *)p, len, false, NULL), E_BADMSG);
	(*n)++;
}

static void
every_damage_is_judged_and_every_truncation_refused(void **state)
{
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		size_t size = priv_msg_size(all[i].type);

		make(all[i].type);
		mutate_flip_bits((const uint8_t *)&msg, size, 128, check_damaged, &n);
		mutate_set_bytes((const uint8_t *)&msg, size, 128, check_damaged, &n);
		mutate_random((const uint8_t *)&msg, size, 200, all[i].type, check_damaged, &n);
		if (size <= sizeof(struct priv_list_reply))
			mutate_truncate((const uint8_t *)&msg, size, check_truncated, &n);
	}
	assert_true(n > 10000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_passes_as_it_must_be),
		cmocka_unit_test(a_descriptor_where_none_belongs_is_refused_and_the_reverse),
		cmocka_unit_test(another_build_is_refused_and_named),
		cmocka_unit_test(unknown_types_are_refused),
		cmocka_unit_test(an_open_with_a_number_out_of_range_is_refused),
		cmocka_unit_test(a_cooked_socket_may_be_for_all_interfaces),
		cmocka_unit_test(other_requests_with_a_number_out_of_range_are_refused),
		cmocka_unit_test(text_without_an_end_is_refused),
		cmocka_unit_test(every_damage_is_judged_and_every_truncation_refused),
	};

	return cmocka_run_group_tests_name("server/priv_msg", tests, NULL, NULL);
}
