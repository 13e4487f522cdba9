/* proto/frame: framing survives any chunking, and refuses what it must. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mutate.h"
#include "proto/frame.h"

enum { MAX_PAYLOAD = 300 };

/* Give all of p to r, at most step bytes at a time, and collect payloads. */
struct collected {
	unsigned n;
	size_t	 len[16];
	uint8_t	 bytes[4096];
	size_t	 used;
	int	 end;			/* what the reader said last */
};

static void
take_all(struct frame_reader *r, struct collected *c)
{
	const uint8_t *payload;
	uint32_t len;

	while ((c->end = frame_reader_next(r, &payload, &len)) == E_OK) {
		assert_true(c->n < 16);
		c->len[c->n++] = len;
		memcpy(c->bytes + c->used, payload, len);
		c->used += len;
	}
}

static void
give(struct frame_reader *r, const uint8_t *p, size_t len, struct collected *c)
{
	size_t room;
	uint8_t *space;

	while (len > 0 && c->end == E_AGAIN) {
		space = frame_reader_space(r, &room);
		assert_true(room > 0);
		room = room < len ? room : len;
		memcpy(space, p, room);
		frame_reader_commit(r, room);
		p += room;
		len -= room;
		take_all(r, c);
	}
}

/* Three frames of 2, 300 (a header of two bytes) and 1 bytes. */
static size_t
make_stream(uint8_t *p)
{
	static const uint32_t lens[] = { 2, MAX_PAYLOAD, 1 };
	uint8_t *start = p, hdr[FRAME_HDR_MAX];
	size_t hdr_len;

	for (size_t i = 0; i < 3; i++) {
		hdr_len = frame_put_header(hdr, lens[i]);
		memcpy(p, hdr, hdr_len);
		p += hdr_len;
		for (uint32_t k = 0; k < lens[i]; k++)
			*p++ = (uint8_t)(i * 50 + k);
	}
	return (size_t)(p - start);
}

static void
assert_stream(const struct collected *c)
{
	assert_int_equal(c->end, E_AGAIN);
	assert_int_equal(c->n, 3);
	assert_int_equal(c->len[0], 2);
	assert_int_equal(c->len[1], MAX_PAYLOAD);
	assert_int_equal(c->len[2], 1);
	assert_int_equal(c->bytes[0], 0);
	for (size_t k = 0; k < MAX_PAYLOAD; k++)
		assert_int_equal(c->bytes[2 + k], (uint8_t)(50 + k));
	assert_int_equal(c->bytes[2 + MAX_PAYLOAD], 100);
}

static void
frames_survive_every_pair_of_cuts(void **state)
{
	uint8_t stream[512];
	size_t len = make_stream(stream);
	struct collected c;

	(void)state;
	for (size_t i = 0; i <= len; i += i < 12 || i > len - 12 ? 1 : 7) {
		for (size_t k = i; k <= len; k++) {
			struct frame_reader *r = frame_reader_new(MAX_PAYLOAD);

			c = (struct collected){ .end = E_AGAIN };
			give(r, stream, i, &c);
			give(r, stream + i, k - i, &c);
			give(r, stream + k, len - k, &c);
			frame_reader_free(r);
			assert_stream(&c);
		}
	}
}

static void
the_buffer_is_used_over_and_over(void **state)
{
	struct frame_reader *r = frame_reader_new(MAX_PAYLOAD);
	uint8_t stream[512];
	size_t len = make_stream(stream);
	struct collected c;

	(void)state;
	for (size_t step = 1; step < 120; step++) {
		c = (struct collected){ .end = E_AGAIN };
		for (size_t at = 0; at < len; at += step)
			give(r, stream + at, step < len - at ? step : len - at, &c);
		assert_stream(&c);
	}
	frame_reader_free(r);
}

static void
assert_refused(const uint8_t *hdr, size_t len, int want)
{
	struct frame_reader *r = frame_reader_new(MAX_PAYLOAD);
	const uint8_t *payload = NULL;
	uint32_t payload_len = 77;
	size_t room;

	memcpy(frame_reader_space(r, &room), hdr, len);
	frame_reader_commit(r, len);
	assert_int_equal(frame_reader_next(r, &payload, &payload_len), want);
	assert_null(payload);			/* outputs untouched */
	assert_int_equal(payload_len, 77);

	/* The error is final, whatever comes. */
	memcpy(frame_reader_space(r, &room), "\1x", 2);
	frame_reader_commit(r, 2);
	assert_int_equal(frame_reader_next(r, &payload, &payload_len), want);
	frame_reader_free(r);
}

#define REFUSED(want, ...)						\
	assert_refused((const uint8_t[]){ __VA_ARGS__ },		\
	    sizeof((const uint8_t[]){ __VA_ARGS__ }), want)

static void
bad_lengths_are_refused_for_good(void **state)
{
	(void)state;
	REFUSED(E_BADMSG, 0);
	REFUSED(E_TOOBIG, 0xad, 0x02);			/* 301 */
	REFUSED(E_TOOBIG, 0xff, 0xff, 0xff, 0xff, 0x7f);
	REFUSED(E_BADMSG, 0x82, 0x00);			/* 2, too long */
	REFUSED(E_BADMSG, 0x80, 0x80, 0x80, 0x80, 0x80);
	REFUSED(E_BADMSG, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01);
	REFUSED(E_TOOBIG, 0x80, 0x80, 0x40);		/* 1 MiB */
}

static void
half_a_header_is_waited_for(void **state)
{
	struct frame_reader *r = frame_reader_new(MAX_PAYLOAD);
	const uint8_t *payload;
	uint32_t len;
	size_t room;

	(void)state;
	*frame_reader_space(r, &room) = 0x80;
	frame_reader_commit(r, 1);
	assert_int_equal(frame_reader_next(r, &payload, &len), E_AGAIN);
	frame_reader_free(r);
}

static void
headers_have_the_smallest_size(void **state)
{
	static const struct { uint32_t len; size_t want; } cases[] = {
		{ 1, 1 }, { 127, 1 }, { 128, 2 }, { 16383, 2 }, { 16384, 3 },
		{ (1 << 21) - 1, 3 }, { 1 << 21, 4 }, { UINT32_MAX, 5 },
	};
	uint8_t hdr[FRAME_HDR_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(frame_put_header(hdr, cases[i].len),
		    cases[i].want);
}

static void
read_damaged(const uint8_t *p, size_t len, void *arg)
{
	struct frame_reader *r = frame_reader_new(MAX_PAYLOAD);
	struct collected c = { .end = E_AGAIN };

	(void)arg;
	give(r, p, len, &c);
	assert_true(c.end == E_AGAIN || c.end == E_BADMSG || c.end == E_TOOBIG);
	assert_true(c.used < len || len == 0);
	frame_reader_free(r);
}

static void
a_damaged_stream_gives_a_code(void **state)
{
	static const uint8_t stream[] = { 2, 'h', 'i', 3, 'y', 'o', 'u', 1, '!' };

	(void)state;
	mutate_flip_bits(stream, sizeof(stream), sizeof(stream), read_damaged, NULL);
	mutate_truncate(stream, sizeof(stream), read_damaged, NULL);
	mutate_set_bytes(stream, sizeof(stream), sizeof(stream), read_damaged, NULL);
	mutate_random(stream, sizeof(stream), 2000, 1, read_damaged, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_survive_every_pair_of_cuts),
		cmocka_unit_test(the_buffer_is_used_over_and_over),
		cmocka_unit_test(bad_lengths_are_refused_for_good),
		cmocka_unit_test(half_a_header_is_waited_for),
		cmocka_unit_test(headers_have_the_smallest_size),
		cmocka_unit_test(a_damaged_stream_gives_a_code),
	};

	return cmocka_run_group_tests_name("proto/frame", tests, NULL, NULL);
}
