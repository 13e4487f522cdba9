#include <stdlib.h>
#include <string.h>

#include "proto/frame.h"

struct frame_reader {
	uint32_t	 max_payload;
	int		 broken;	/* E_OK, or the final error */
	size_t		 cap;		/* two frames of the largest size */
	size_t		 start;		/* first unread byte */
	size_t		 end;		/* one past the last byte */
	uint8_t		 buf[];
};

struct frame_reader *
frame_reader_new(uint32_t max_payload)
{
	struct frame_reader *r;
	size_t cap = 2 * (FRAME_HDR_MAX + (size_t)max_payload);

	r = malloc(sizeof(*r) + cap);
	if (r == NULL)
		return NULL;
	*r = (struct frame_reader){ .max_payload = max_payload, .cap = cap };
	return r;
}

void
frame_reader_free(struct frame_reader *r)
{
	free(r);
}

uint8_t *
frame_reader_space(struct frame_reader *r, size_t *ret_len)
{
	/*
	 * What is left over is less than one frame, which is at most half of
	 * the buffer: after the move at least the other half is free.
	 */
	if (r->start == r->end) {
		r->start = r->end = 0;
	} else if (r->start >= r->cap / 2 || r->end == r->cap) {
		memmove(r->buf, r->buf + r->start, r->end - r->start);
		r->end -= r->start;
		r->start = 0;
	}
	*ret_len = r->cap - r->end;
	return r->buf + r->end;
}

void
frame_reader_commit(struct frame_reader *r, size_t len)
{
	r->end += len;
}

/* Length of the header at p[0..avail) and its value, E_AGAIN or E_BADMSG. */
static int
parse_header(const uint8_t *p, size_t avail, uint64_t *ret_value)
{
	uint64_t value = 0;

	for (size_t i = 0; i < avail && i < FRAME_HDR_MAX; i++) {
		value |= (uint64_t)(p[i] & 0x7f) << (7 * i);
		if (p[i] & 0x80)
			continue;
		if (p[i] == 0)		/* zero, or longer than it need be */
			return E_BADMSG;
		*ret_value = value;
		return (int)i + 1;
	}
	return avail < FRAME_HDR_MAX ? E_AGAIN : E_BADMSG;
}

int
frame_reader_next(struct frame_reader *r, const uint8_t **ret_payload,
    uint32_t *ret_len)
{
	size_t avail = r->end - r->start;
	uint64_t len = 0;
	int hdr_len;

	if (r->broken != E_OK)
		return r->broken;
	hdr_len = parse_header(r->buf + r->start, avail, &len);
	if (hdr_len == E_AGAIN)
		return E_AGAIN;
	if (hdr_len < 0)
		return r->broken = hdr_len;
	if (len > r->max_payload)
		return r->broken = E_TOOBIG;
	if (avail - (size_t)hdr_len < len)
		return E_AGAIN;

	*ret_payload = r->buf + r->start + hdr_len;
	*ret_len = (uint32_t)len;
	r->start += (size_t)hdr_len + (size_t)len;
	return E_OK;
}

size_t
frame_put_header(uint8_t dst[static FRAME_HDR_MAX], uint32_t len)
{
	size_t n = 0;

	for (; len >= 0x80; len >>= 7)
		dst[n++] = (uint8_t)(len | 0x80);
	dst[n++] = (uint8_t)len;
	return n;
}
