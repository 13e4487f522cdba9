/*
 * proto/batch: what is built can be read, by us and by any protobuf library;
 * what is damaged is refused; limits hold.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "capture.pb-c.h"

#include "mutate.h"
#include "proto/batch.h"
#include "proto/frame.h"
#include "proto/limits.h"
#include "proto/wire.h"

enum { N_INTERFACES = 300, PACKET_MAX = PROTO_MAX_SNAPLEN + PROTO_MAX_LINK_EXTRA };

static uint8_t
pattern(uint32_t packet, uint32_t byte)
{
	return (uint8_t)(packet * 31 + byte * 7);
}

/* Add the packet and fill its bytes; 0 when it does not fit. */
static int
add(struct batch_builder *b, struct packet_meta meta, uint32_t number)
{
	uint8_t *p = batch_builder_add(b, &meta);

	if (p == NULL)
		return 0;
	for (uint32_t i = 0; i < meta.captured_len; i++)
		p[i] = pattern(number, i);
	return 1;
}

/* The payload inside the frame of a batch. */
static const uint8_t *
payload_of(const struct batch *batch, size_t *ret_len)
{
	uint8_t hdr[FRAME_HDR_MAX];
	size_t hdr_len = 0;

	while (batch->frame[hdr_len++] & 0x80)
		;
	*ret_len = batch->frame_len - hdr_len;
	assert_int_equal(frame_put_header(hdr, (uint32_t)*ret_len), hdr_len);
	assert_memory_equal(hdr, batch->frame, hdr_len);
	return batch->frame + hdr_len;
}

static void
assert_meta_equal(const struct packet_meta *a, const struct packet_meta *b)
{
	assert_int_equal(a->time.ns, b->time.ns);
	assert_int_equal(a->captured_len, b->captured_len);
	assert_int_equal(a->original_len, b->original_len);
	assert_int_equal(a->iface, b->iface);
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->offload, b->offload);
}

static void
assert_reads_back(const struct batch *batch, const struct packet_meta *metas,
    uint32_t n)
{
	struct batch_reader r;
	struct packet_ref packet;
	size_t len;
	const uint8_t *payload = payload_of(batch, &len);

	assert_true(batch_is_batch(payload, len));
	assert_int_equal(batch_reader_init(&r, payload, len, N_INTERFACES), E_OK);
	assert_int_equal(r.sequence, batch->sequence);
	assert_int_equal(r.n_packets, n);
	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(batch_reader_next(&r, &packet), 1);
		assert_meta_equal(&packet.meta, &metas[i]);
		for (uint32_t k = 0; k < metas[i].captured_len; k++)
			assert_int_equal(packet.data[k], pattern(i, k));
	}
	assert_int_equal(batch_reader_next(&r, &packet), 0);
	assert_int_equal(batch_reader_next(&r, &packet), 0);
}

static uint32_t
alike_or(size_t n, const uint32_t *column, uint32_t i)
{
	return n == 0 ? 0 : n == 1 ? column[0] : column[i];
}

/* The same, as protobuf-c sees it. */
static void
assert_protobuf_reads(const struct batch *batch, const struct packet_meta *metas,
    uint32_t n)
{
	size_t len, at = 0;
	const uint8_t *payload = payload_of(batch, &len);
	Capture__Envelope *e = capture__envelope__unpack(NULL, len, payload);
	Capture__Batch *b;
	int64_t time;

	assert_non_null(e);
	assert_int_equal(e->body_case, CAPTURE__ENVELOPE__BODY_BATCH);
	assert_int_equal(e->base.n_unknown_fields, 0);
	b = e->batch;
	assert_int_equal(b->base.n_unknown_fields, 0);
	assert_int_equal(b->sequence, batch->sequence);
	assert_int_equal(b->packets, n);
	assert_int_equal(b->n_time_delta_ns, n);
	assert_int_equal(b->n_captured_len, n);
	time = b->base_time_ns;
	for (uint32_t i = 0; i < n; i++) {
		time = (int64_t)((uint64_t)time + (uint64_t)b->time_delta_ns[i]);
		assert_int_equal(time, metas[i].time.ns);
		assert_int_equal(b->captured_len[i], metas[i].captured_len);
		assert_int_equal(b->n_missing_len == 0 ? 0 : b->missing_len[i],
		    metas[i].original_len - metas[i].captured_len);
		assert_int_equal(alike_or(b->n_interface, b->interface, i),
		    metas[i].iface);
		assert_int_equal(alike_or(b->n_type, b->type, i),
		    metas[i].type | metas[i].offload << 3);
		for (uint32_t k = 0; k < metas[i].captured_len; k++)
			assert_int_equal(b->data.data[at++], pattern(i, k));
	}
	assert_int_equal(b->data.len, at);
	capture__envelope__free_unpacked(e, NULL);
}

static void
assert_round_trip(const struct packet_meta *metas, uint32_t n, uint64_t sequence)
{
	struct batch_builder *b = batch_builder_new();
	struct batch *batch;
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < n; i++) {
		assert_true(add(b, metas[i], i));
		bytes += metas[i].captured_len;
	}
	assert_int_equal(batch_builder_count(b), n);
	batch = batch_builder_seal(b, sequence);
	assert_non_null(batch);
	assert_int_equal(batch->n_packets, n);
	assert_int_equal(batch->data_bytes, bytes);
	assert_true(batch->mem_bytes >= batch->frame_len);
	assert_true(batch->frame_len <= PROTO_MAX_MESSAGE);
	assert_int_equal(batch_builder_count(b), 0);
	batch_builder_free(b);			/* the batch lives on */
	assert_reads_back(batch, metas, n);
	assert_protobuf_reads(batch, metas, n);
	batch_unref(batch);
}

static const int64_t now = 1790000000123456789;

static void
one_packet_survives(void **state)
{
	static const struct packet_meta metas[] = {
		{ { 1790000000123456789 }, 60, 60, 0, 0, 0 },
		{ { 0 }, 0, 0, 0, 0, 0 },
		{ { -1 }, 0, UINT32_MAX, 0, 0, 0 },
		{ { INT64_MAX }, 1, 1, N_INTERFACES - 1, 4, 7 },
		{ { INT64_MIN }, PACKET_MAX, PACKET_MAX + 7, 2, 1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(metas) / sizeof(metas[0]); i++)
		assert_round_trip(&metas[i], 1, i + 1);
	assert_round_trip(metas, 1, UINT64_MAX);
}

static void
columns_appear_only_where_packets_differ(void **state)
{
	struct packet_meta metas[5];
	size_t alike, differ;
	struct batch_builder *b = batch_builder_new();
	struct batch *batch;

	(void)state;
	for (uint32_t i = 0; i < 5; i++)
		metas[i] = (struct packet_meta){ { now + i }, 10, 10, 0, 0, 0 };
	assert_round_trip(metas, 5, 1);
	for (uint32_t i = 0; i < 5; i++)
		assert_true(add(b, metas[i], i));
	batch = batch_builder_seal(b, 1);
	alike = batch->frame_len;
	batch_unref(batch);

	metas[3].original_len = 1000;
	metas[4].iface = 299;
	metas[1].type = 4;
	assert_round_trip(metas, 5, 1);
	for (uint32_t i = 0; i < 5; i++)
		assert_true(add(b, metas[i], i));
	batch = batch_builder_seal(b, 1);
	differ = batch->frame_len;
	batch_unref(batch);
	assert_int_equal(differ - alike, (2 + 6) + (2 + 6) + (2 + 5));

	for (uint32_t i = 0; i < 5; i++) {
		metas[i].iface = 7;
		metas[i].type = 3;
		metas[i].offload = PACKET_CSUM_VALID | PACKET_GSO;
	}
	assert_round_trip(metas, 5, 1);
	batch_builder_free(b);
}

static void
random_packets_survive(void **state)
{
	static struct packet_meta metas[PROTO_BATCH_PACKETS];
	uint64_t seed = 42;
	uint32_t n;

	(void)state;
	for (unsigned round = 0; round < 20; round++) {
		n = (uint32_t)(mutate_next_random(&seed) % 400 + 1);
		for (uint32_t i = 0; i < n; i++) {
			uint64_t x = mutate_next_random(&seed);

			metas[i] = (struct packet_meta){
				.time.ns = now + (int64_t)(x % 1000000) - 500000,
				.captured_len = (uint32_t)(x >> 20) % 600,
				.iface = (uint32_t)(x >> 40) % N_INTERFACES,
				.type = (uint8_t)((x >> 50) % 5),
				.offload = (uint8_t)((x >> 53) % 8),
			};
			metas[i].original_len = metas[i].captured_len +
			    (x >> 60 == 0 ? 100000 : 0);
		}
		assert_round_trip(metas, n, round + 1);
	}
}

static void
a_batch_knows_its_first_and_last_time(void **state)
{
	struct batch_builder *b = batch_builder_new();
	struct batch *batch;

	(void)state;
	add(b, (struct packet_meta){ { 50 }, 1, 1, 0, 0, 0 }, 0);
	add(b, (struct packet_meta){ { 20 }, 1, 1, 0, 0, 0 }, 1);
	add(b, (struct packet_meta){ { 90 }, 1, 1, 0, 0, 0 }, 2);
	add(b, (struct packet_meta){ { 60 }, 1, 1, 0, 0, 0 }, 3);
	batch = batch_builder_seal(b, 1);
	assert_int_equal(batch->first.ns, 20);
	assert_int_equal(batch->last.ns, 90);
	batch_unref(batch);
	batch_builder_free(b);
}

/* Fill b with packets like meta, the time going on by step; how many fit. */
static uint32_t
fill(struct batch_builder *b, struct packet_meta meta, int64_t step)
{
	uint32_t n = 0;

	while (add(b, meta, n)) {
		meta.time.ns = (int64_t)((uint64_t)meta.time.ns + (uint64_t)step);
		n++;
	}
	return n;
}

static void
a_full_builder_says_so_and_is_used_again(void **state)
{
	struct batch_builder *b = batch_builder_new();
	struct packet_meta small = { { now }, 60, 60, 0, 0, 0 };
	struct packet_meta large = { { now }, 1514, 1514, 0, 0, 0 };
	struct packet_meta huge = { { now }, PACKET_MAX, PACKET_MAX, 0, 0, 0 };
	struct packet_meta too_large = { { now }, PACKET_MAX + 1, PACKET_MAX + 1, 0, 0, 0 };
	struct packet_meta jumpy = { { now }, 1, UINT32_MAX, N_INTERFACES - 1, 4, 0 };

	(void)state;
	assert_int_equal(fill(b, small, 1000), PROTO_BATCH_PACKETS);
	batch_unref(batch_builder_seal(b, 1));
	assert_int_equal(fill(b, large, 1000), PROTO_BATCH_DATA / 1514);
	batch_unref(batch_builder_seal(b, 2));
	assert_false(add(b, too_large, 0));
	assert_int_equal(fill(b, huge, 1000), 1);
	assert_false(add(b, small, 1));		/* not even a small one */
	batch_unref(batch_builder_seal(b, 3));
	assert_true(add(b, small, 0));
	assert_false(add(b, huge, 1));
	batch_unref(batch_builder_seal(b, 4));

	/* Columns at their longest: fewer packets, and still whole. */
	assert_in_range(fill(b, jumpy, INT64_MIN), 1000, PROTO_BATCH_PACKETS - 1);
	batch_unref(batch_builder_seal(b, 5));
	batch_builder_free(b);
}

static void
full_batches_survive(void **state)
{
	static struct packet_meta metas[PROTO_BATCH_PACKETS];
	struct batch_builder *b = batch_builder_new();
	struct batch *batch;
	uint32_t n;

	(void)state;
	for (uint32_t i = 0; i < PROTO_BATCH_PACKETS; i++)
		metas[i] = (struct packet_meta){ { now + i * 1000 }, 64, 64, 0, 0, 0 };
	assert_round_trip(metas, PROTO_BATCH_PACKETS, 7);

	for (uint32_t i = 0; i < PROTO_BATCH_PACKETS; i++)
		metas[i] = (struct packet_meta){
			.time.ns = i % 2 == 0 ? 0 : INT64_MIN,
			.captured_len = 1,
			.original_len = UINT32_MAX,
			.iface = i % 2 * (N_INTERFACES - 1),
			.type = (uint8_t)(i % 5),
			.offload = (uint8_t)(i % 8),
		};
	for (n = 0; add(b, metas[n], n); n++)
		;
	batch = batch_builder_seal(b, 1);
	assert_reads_back(batch, metas, n);
	assert_protobuf_reads(batch, metas, n);
	batch_unref(batch);
	batch_builder_free(b);
}

static void
a_small_batch_takes_little_memory(void **state)
{
	struct batch_builder *b = batch_builder_new();
	struct packet_meta meta = { { now }, 100, 100, 0, 0, 0 };
	struct batch *batch;

	(void)state;
	assert_true(add(b, meta, 0));
	batch = batch_builder_seal(b, 1);
	assert_true(batch->mem_bytes < 400);
	batch_unref(batch);

	fill(b, (struct packet_meta){ { now }, 1514, 1514, 0, 0, 0 }, 1);
	batch = batch_builder_seal(b, 2);
	assert_true(batch->mem_bytes >= PROTO_BATCH_DATA);
	assert_true(batch->mem_bytes < PROTO_BATCH_DATA * 5 / 4);
	batch_unref(batch);
	batch_builder_free(b);
}

static void
a_reference_keeps_a_batch_alive(void **state)
{
	static const struct packet_meta meta = { { 1790000000123456789 }, 9, 9, 1, 2, 0 };
	struct batch_builder *b = batch_builder_new();
	struct batch *batch;

	(void)state;
	assert_true(add(b, meta, 0));
	batch = batch_builder_seal(b, 1);
	assert_ptr_equal(batch_ref(batch), batch);
	batch_unref(batch);
	assert_reads_back(batch, &meta, 1);
	batch_unref(batch);
	batch_unref(NULL);
	batch_builder_free(b);
	batch_builder_free(NULL);
}

/* --- messages made by hand --- */

/* A Batch in any shape, then wrapped in an envelope. */
struct maker {
	uint8_t	 buf[256];
	size_t	 len;
};

static void
put_bytes(struct maker *m, unsigned field, const uint8_t *p, size_t len)
{
	uint8_t *at = m->buf + m->len;

	at = wire_put(at, WIRE_TAG(field, WIRE_BYTES));
	at = wire_put(at, len);
	memcpy(at, p, len);
	m->len = (size_t)(at + len - m->buf);
}

static void
put_number(struct maker *m, unsigned field, uint64_t value)
{
	uint8_t *at = m->buf + m->len;

	at = wire_put(at, WIRE_TAG(field, WIRE_VARINT));
	at = wire_put(at, value);
	m->len = (size_t)(at - m->buf);
}

/* What a batch of two packets of 3 and 2 bytes is made of. */
enum part {
	PART_SEQUENCE, PART_PACKETS, PART_DELTA, PART_CAPTURED, PART_DATA,
	PART_NONE,
};

static void
put_part(struct maker *m, enum part part)
{
	switch (part) {
	case PART_SEQUENCE:
		put_number(m, 1, 5);
		break;
	case PART_PACKETS:
		put_number(m, 2, 2);
		break;
	case PART_DELTA:
		put_bytes(m, 4, (const uint8_t *)"\x00\x0a", 2);
		break;
	case PART_CAPTURED:
		put_bytes(m, 5, (const uint8_t *)"\x03\x02", 2);
		break;
	case PART_DATA:
		put_bytes(m, 15, (const uint8_t *)"abcde", 5);
		break;
	case PART_NONE:
		break;
	}
}

static int
read_made(const struct maker *m, struct batch_reader *r)
{
	struct maker whole = { .len = 0 };
	uint8_t *copy;
	int code;

	put_bytes(&whole, 18, m->buf, m->len);
	copy = malloc(whole.len);
	memcpy(copy, whole.buf, whole.len);
	code = batch_reader_init(r, copy, whole.len, 3);
	free(copy);
	return code;
}

/* All parts but one, then what extra says. */
static void
put_parts_without(struct maker *m, enum part without)
{
	m->len = 0;
	for (enum part part = PART_SEQUENCE; part < PART_NONE; part++)
		if (part != without)
			put_part(m, part);
}

static void
fields_may_come_in_any_order_with_unknown_ones(void **state)
{
	struct batch_reader r;
	struct maker m = { .len = 0 };

	(void)state;
	put_number(&m, 77, 12345);
	for (int part = PART_DATA; part >= (int)PART_SEQUENCE; part--)
		put_part(&m, (enum part)part);
	put_bytes(&m, 16, (const uint8_t *)"later", 5);
	memcpy(m.buf + m.len, "\x9d\x01" "1234" "\xa1\x01" "12345678", 16);
	m.len += 16;				/* fixed32 19, fixed64 20 */
	assert_int_equal(read_made(&m, &r), E_OK);
	assert_int_equal(r.sequence, 5);
	assert_int_equal(r.n_packets, 2);
}

static void
every_needed_field_is_missed(void **state)
{
	struct batch_reader r;
	struct maker m;

	(void)state;
	put_parts_without(&m, PART_NONE);
	assert_int_equal(read_made(&m, &r), E_OK);
	for (enum part part = PART_SEQUENCE; part < PART_NONE; part++) {
		put_parts_without(&m, part);
		assert_int_equal(read_made(&m, &r), E_BADMSG);
		put_parts_without(&m, PART_NONE);	/* and twice is too often */
		put_part(&m, part);
		assert_int_equal(read_made(&m, &r), E_BADMSG);
	}
}

static void
assert_extra_refused(unsigned field, const char *bytes, size_t len)
{
	struct batch_reader r;
	struct maker m;

	put_parts_without(&m, PART_NONE);
	put_bytes(&m, field, (const uint8_t *)bytes, len);
	assert_int_equal(read_made(&m, &r), E_BADMSG);
}

static void
columns_that_contradict_are_refused(void **state)
{
	static const struct {
		enum part	 instead_of;
		unsigned	 field;
		const char	*bytes;
		size_t		 len;
	} cases[] = {
		{ PART_DELTA, 4, "\x00", 1 },		/* too few */
		{ PART_DELTA, 4, "\x00\x00\x00", 3 },	/* too many */
		{ PART_DELTA, 4, "\x00\x80", 2 },	/* cut off */
		{ PART_DELTA, 4, "\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11 },
		{ PART_CAPTURED, 5, "\x03", 1 },
		{ PART_CAPTURED, 5, "\x03\x03", 2 },	/* more than data */
		{ PART_CAPTURED, 5, "\x03\x01", 2 },	/* less than data */
		{ PART_CAPTURED, 5, "\x05\x00\x00", 3 },
		{ PART_CAPTURED, 5, "\xff\xff\xff\xff\x0f\x06", 6 },	/* sum wraps */
		{ PART_DATA, 15, "abcd", 4 },
		{ PART_DATA, 15, "abcdef", 6 },
	};
	struct batch_reader r;
	struct maker m;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put_parts_without(&m, cases[i].instead_of);
		put_bytes(&m, cases[i].field, (const uint8_t *)cases[i].bytes,
		    cases[i].len);
		assert_int_equal(read_made(&m, &r), E_BADMSG);
	}
	assert_extra_refused(6, "\x01", 1);			/* missing: one of two */
	assert_extra_refused(6, "\xff\xff\xff\xff\x0f\x00", 6);	/* original wraps */
	assert_extra_refused(6, "\x80\x80\x80\x80\x10\x00", 6);	/* 33 bits */
	assert_extra_refused(7, "\x03", 1);			/* no such interface */
	assert_extra_refused(7, "\x00\x03", 2);
	assert_extra_refused(7, "\x00\x00\x00", 3);
	assert_extra_refused(8, "\x05", 1);			/* no such type */
	assert_extra_refused(8, "\x04\x05", 2);
	assert_extra_refused(8, "\x3d", 1);			/* nor with bits above it */
	assert_extra_refused(8, "\x3f\x04", 2);
	assert_extra_refused(8, "\x40", 1);			/* no such bit */
	assert_extra_refused(8, "\x04\x44", 2);
}

static void
counts_out_of_range_are_refused(void **state)
{
	static const uint64_t bad[] = { 0, 1, 3, PROTO_BATCH_PACKETS + 1,
	    UINT32_MAX, (1ull << 32) + 2, UINT64_MAX };
	struct batch_reader r;
	struct maker m;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put_parts_without(&m, PART_PACKETS);
		put_number(&m, 2, bad[i]);
		assert_int_equal(read_made(&m, &r), E_BADMSG);
	}
	put_parts_without(&m, PART_SEQUENCE);
	put_number(&m, 1, 0);
	assert_int_equal(read_made(&m, &r), E_BADMSG);
}

static void
an_envelope_with_more_than_a_batch_is_refused(void **state)
{
	struct maker m, whole = { .len = 0 };
	struct batch_reader r;

	(void)state;
	put_parts_without(&m, PART_NONE);
	put_bytes(&whole, 18, m.buf, m.len);
	assert_int_equal(batch_reader_init(&r, whole.buf, whole.len, 3), E_OK);
	put_bytes(&whole, 6, (const uint8_t *)"", 0);
	assert_int_equal(batch_reader_init(&r, whole.buf, whole.len, 3), E_BADMSG);
	whole.len = 0;
	put_bytes(&whole, 19, m.buf, m.len);
	assert_false(batch_is_batch(whole.buf, whole.len));
	assert_int_equal(batch_reader_init(&r, whole.buf, whole.len, 3), E_BADMSG);
	assert_false(batch_is_batch(whole.buf, 0));
}

/* Read whatever came; every byte of a packet that is accepted is touched. */
static void
read_damaged(const uint8_t *p, size_t len, void *arg)
{
	struct batch_reader r;
	struct packet_ref packet;
	unsigned *accepted = arg;
	volatile uint8_t sink = 0;
	uint32_t n = 0;
	int code;

	(void)batch_is_batch(p, len);
	code = batch_reader_init(&r, p, len, 3);
	assert_true(code == E_OK || code == E_BADMSG);
	if (code != E_OK)
		return;
	++*accepted;
	while (batch_reader_next(&r, &packet)) {
		n++;
		for (uint32_t i = 0; i < packet.meta.captured_len; i++)
			sink ^= packet.data[i];
		assert_true(packet.meta.iface < 3);
		assert_true(packet.meta.type <= 4 && packet.meta.offload <= 7);
		assert_true(packet.meta.original_len >= packet.meta.captured_len);
	}
	(void)sink;
	assert_int_equal(n, r.n_packets);
}

static void
damaged_batches_are_refused_or_harmless(void **state)
{
	struct batch_builder *b = batch_builder_new();
	struct batch *batch;
	const uint8_t *payload;
	unsigned accepted = 0;
	size_t len;

	(void)state;
	for (uint32_t i = 0; i < 12; i++)
		add(b, (struct packet_meta){ { now + i * 777 }, i * 3,
		    i * 3 + i % 4 * 100, i % 3, (uint8_t)(i % 5),
		    (uint8_t)(i % 8) }, i);
	batch = batch_builder_seal(b, 300);
	payload = payload_of(batch, &len);

	mutate_truncate(payload, len, read_damaged, &accepted);
	assert_int_equal(accepted, 0);
	mutate_flip_bits(payload, len, len, read_damaged, &accepted);
	mutate_set_bytes(payload, len, len, read_damaged, &accepted);
	mutate_random(payload, len, 20000, 3, read_damaged, &accepted);
	assert_true(accepted > 0);		/* damage in packet bytes is not seen */
	batch_unref(batch);
	batch_builder_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_packet_survives),
		cmocka_unit_test(columns_appear_only_where_packets_differ),
		cmocka_unit_test(random_packets_survive),
		cmocka_unit_test(a_batch_knows_its_first_and_last_time),
		cmocka_unit_test(a_full_builder_says_so_and_is_used_again),
		cmocka_unit_test(full_batches_survive),
		cmocka_unit_test(a_small_batch_takes_little_memory),
		cmocka_unit_test(a_reference_keeps_a_batch_alive),
		cmocka_unit_test(fields_may_come_in_any_order_with_unknown_ones),
		cmocka_unit_test(every_needed_field_is_missed),
		cmocka_unit_test(columns_that_contradict_are_refused),
		cmocka_unit_test(counts_out_of_range_are_refused),
		cmocka_unit_test(an_envelope_with_more_than_a_batch_is_refused),
		cmocka_unit_test(damaged_batches_are_refused_or_harmless),
	};

	return cmocka_run_group_tests_name("proto/batch", tests, NULL, NULL);
}
