/*
 * proto/codec: every message comes back as it went; what is damaged or greedy
 * is refused with a code.  Field by field: test_codec_fields.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec_lab.h"
#include "mutate.h"
#include "proto/codec.h"
#include "proto/wire.h"

static void
every_message_comes_back(void **state)
{
	const struct msg *messages;
	size_t n;

	(void)state;
	messages = codec_lab_messages(&n);
	for (size_t i = 0; i < n; i++) {
		struct msg msg;
		size_t len, again_len;
		uint8_t *payload = codec_lab_pack(&messages[i], &len), *again;

		assert_int_equal(codec_unpack(payload, len, &msg), E_OK);
		assert_int_equal(msg.type, messages[i].type);
		again = codec_lab_pack(&msg, &again_len);
		assert_int_equal(again_len, len);
		assert_memory_equal(again, payload, len);
		msg_free(&msg);
		free(payload);
		free(again);
	}
}

static void
the_largest_list_fits_the_memory_bound(void **state)
{
	static struct msg_interface many[PROTO_MAX_INTERFACES];
	struct msg in = { .type = MSG_INTERFACE_LIST,
	    .interface_list = { PROTO_MAX_INTERFACES, many } };
	struct msg rich = codec_lab_sample(MSG_INTERFACE_LIST), msg;

	(void)state;
	for (size_t i = 0; i < PROTO_MAX_INTERFACES; i++) {
		many[i] = rich.interface_list.interfaces[0];
		many[i].index = (uint32_t)i + 1;
	}
	msg = codec_lab_pass(&in);
	assert_int_equal(msg.interface_list.n, PROTO_MAX_INTERFACES);
	msg_free(&msg);
}

static void
the_largest_start_fits_the_memory_bound(void **state)
{
	static struct msg_interface_request many[PROTO_MAX_INTERFACES];
	static struct bpf_insn_raw insns[PROTO_MAX_FILTER_INSNS];
	static char text[] = "tcp";
	struct msg_program programs[PROTO_MAX_PROGRAMS];
	struct msg_filter filters[PROTO_MAX_FILTERS];
	struct msg in = { .type = MSG_START, .start = {
	    .n_interfaces = PROTO_MAX_INTERFACES, .interfaces = many,
	    .n_filters = PROTO_MAX_FILTERS, .filters = filters } };
	struct msg msg;

	(void)state;
	for (uint32_t i = 0; i < PROTO_MAX_INTERFACES; i++)
		many[i] = (struct msg_interface_request){ "netns:blue/veth0123",
		    PROTO_MAX_SNAPLEN, i % PROTO_MAX_FILTERS, 276, true };
	for (uint32_t i = 0; i < PROTO_MAX_FILTER_INSNS; i++)
		insns[i] = (struct bpf_insn_raw){ 0x15, 1, 2, 0x800 };
	for (uint32_t i = 0; i < PROTO_MAX_PROGRAMS; i++)
		programs[i] = (struct msg_program){ i, PROTO_MAX_FILTER_INSNS, insns };
	for (uint32_t i = 0; i < PROTO_MAX_FILTERS; i++)
		filters[i] = (struct msg_filter){ .text = text, .programs = programs };
	filters[0].n_programs = PROTO_MAX_PROGRAMS;
	filters[1].n_programs = 4;		/* twenty full programs */
	msg = codec_lab_pass(&in);
	assert_int_equal(msg.start.n_filters, PROTO_MAX_FILTERS);
	assert_int_equal(msg.start.filters[0].n_programs, PROTO_MAX_PROGRAMS);
	assert_int_equal(msg.start.filters[1].n_programs, 4);
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
		memset(many[i].description, 'a', PROTO_MAX_NAME);
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
	struct msg in = codec_lab_sample(MSG_START), msg;

	(void)state;
	memset(text, 'x', PROTO_MAX_FILTER_TEXT + 9);
	text[PROTO_MAX_FILTER_TEXT + 9] = '\0';
	in.start.n_filters = in.start.n_interfaces = 1;
	in.start.interfaces++;
	in.start.filters = &filter;
	msg = codec_lab_pass(&in);
	assert_int_equal(strlen(msg.start.filters[0].text), PROTO_MAX_FILTER_TEXT);
	msg_free(&msg);
	free(text);
}

static void
unknown_error_codes_keep_their_text(void **state)
{
	struct msg in = { .type = MSG_ERROR, .error = { -999, "of a later version" } };
	struct msg msg = codec_lab_pass(&in);

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
	assert_int_equal(UNPACK("\x52\x00"), E_STATE);		/* body 10 */
	assert_int_equal(UNPACK("\xea\x01\x00"), E_STATE);	/* body 29 */
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

/* UpdateFilter 1 with one filter, its text n bytes long. */
static int
unpack_filter_text(size_t n)
{
	uint8_t *payload = malloc(n + 32), *p;
	int code;

	p = wire_put(payload, WIRE_TAG(8, WIRE_BYTES));
	p = wire_put(p, 2 + 4 + 4 + n);
	memcpy(p, "\x08\x01\x12", 3);
	p = wire_put(p + 3, 4 + n);
	*p++ = 0x0a;
	p = wire_put(p, n);
	memset(p, 'a', n);
	code = unpack_bytes((char *)payload, (size_t)(p - payload) + n);
	free(payload);
	return code;
}

static void
filter_texts_too_long_are_refused(void **state)
{
	(void)state;
	assert_int_equal(unpack_filter_text(PROTO_MAX_FILTER_TEXT), E_OK);
	assert_int_equal(unpack_filter_text(PROTO_MAX_FILTER_TEXT + 1), E_BADMSG);
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

/* A body whose field 1 is head, then n items (each shorter than 128 bytes). */
static int
unpack_items(unsigned body, const char *head, const char *item, size_t n)
{
	size_t head_len = strlen(head), item_len = strlen(item);
	size_t len = head_len + n * item_len;
	uint8_t payload[256], *p = payload;

	assert_true(len < 128);
	p = wire_put(p, WIRE_TAG(body, WIRE_BYTES));
	p = wire_put(p, 2 + len);
	*p++ = 0x0a;
	*p++ = (uint8_t)len;
	memcpy(p, head, head_len);
	p += head_len;
	for (size_t i = 0; i < n; i++, p += item_len)
		memcpy(p, item, item_len);
	return unpack_bytes((char *)payload, (size_t)(p - payload));
}

static void
more_than_an_array_holds_is_refused(void **state)
{
	/* Interface "a" of a plan, with one instruction; then its parts. */
	const char *plan = "\x0a\x05\x0a\x01" "a" "\x48\x01" "\x12\x02\x08\x06";
	const char *part = "\x1a\x02\x10\x0a";
	/* Interface "a" of a list; then a link type. */
	const char *iface = "\x08\x01\x12\x01" "a", *link_type = "\x60\x01";

	(void)state;
	assert_int_equal(unpack_items(25, plan, part, PROTO_MAX_PLAN_PARTS), E_OK);
	assert_int_equal(unpack_items(25, plan, part, PROTO_MAX_PLAN_PARTS + 1),
	    E_BADMSG);
	assert_int_equal(unpack_items(16, iface, link_type,
	    PROTO_MAX_LINK_TYPES), E_OK);
	assert_int_equal(unpack_items(16, iface, link_type,
	    PROTO_MAX_LINK_TYPES + 1), E_BADMSG);
	/* NeedPrograms, its link types packed. */
	assert_int_equal(unpack_items(24, "\x01\x02\x03\x04\x05\x06\x07\x08"
	    "\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10", "", 0), E_OK);
	assert_int_equal(unpack_items(24, "\x01\x02\x03\x04\x05\x06\x07\x08"
	    "\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11", "", 0), E_BADMSG);
}

static void
messages_without_their_interface_are_refused(void **state)
{
	(void)state;
	assert_int_equal(UNPACK("\xda\x01\x02\x10\x01"), E_BADMSG);
	assert_int_equal(UNPACK("\xda\x01\x09\x0a\x05\x0a\x01" "a" "\x48\x01"
	    "\x10\x01"), E_OK);
	assert_int_equal(UNPACK("\xca\x01\x06\x0a\x04\x12\x02\x08\x06"), E_BADMSG);
}

/* A message of len bytes, full of one repeated field. */
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
	assert_int_equal(unpack_repeated(8, "\x12\x00", 2, MOST), E_BADMSG);
	assert_int_equal(unpack_repeated(8, "\x12\x02\x1a\x00", 4, MOST), E_BADMSG);
	assert_int_equal(unpack_repeated(24, "\x08\x01", 2, MOST), E_BADMSG);
	assert_int_equal(unpack_repeated(24, "\x0a\x01\x01", 3, MOST), E_BADMSG);
	assert_int_equal(unpack_repeated(25, "\x0a\x00", 2, MOST), E_BADMSG);
	assert_int_equal(unpack_repeated(25, "\x0a\x02\x42\x00", 4, MOST), E_BADMSG);
	assert_int_equal(unpack_repeated(26, "\x30\x01", 2, MOST), E_BADMSG);
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
	const struct msg *messages;
	size_t n;

	(void)state;
	messages = codec_lab_messages(&n);
	for (size_t i = 0; i < n; i++) {
		size_t len;
		uint8_t *payload = codec_lab_pack(&messages[i], &len);

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
	const struct msg *messages;
	size_t n;

	(void)state;
	messages = codec_lab_messages(&n);
	for (size_t i = 0; i < n; i++)
		assert_string_not_equal(msg_type_name(messages[i].type), "unknown");
	assert_string_equal(msg_type_name(MSG_PACKET_BATCH), "Batch");
	assert_string_equal(msg_type_name((enum msg_type)99), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_comes_back),
		cmocka_unit_test(the_largest_list_fits_the_memory_bound),
		cmocka_unit_test(the_largest_start_fits_the_memory_bound),
		cmocka_unit_test(what_cannot_be_sent_is_refused),
		cmocka_unit_test(a_filter_text_too_long_is_cut),
		cmocka_unit_test(unknown_error_codes_keep_their_text),
		cmocka_unit_test(envelopes_hold_one_known_body),
		cmocka_unit_test(strings_with_a_nul_or_too_long_are_refused),
		cmocka_unit_test(filter_texts_too_long_are_refused),
		cmocka_unit_test(fields_of_a_wrong_size_are_refused),
		cmocka_unit_test(more_than_an_array_holds_is_refused),
		cmocka_unit_test(messages_without_their_interface_are_refused),
		cmocka_unit_test(greedy_messages_are_refused),
		cmocka_unit_test(damaged_messages_give_a_code),
		cmocka_unit_test(every_type_has_a_name),
	};

	return cmocka_run_group_tests_name("proto/codec", tests, NULL, NULL);
}
