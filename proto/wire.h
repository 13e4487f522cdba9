/*
 * wire - protobuf's varints and tags, for the two modules that write or read
 * them by hand: batches, and the outermost envelope.
 */
#ifndef PROTO_WIRE_H
#define PROTO_WIRE_H

#include <stddef.h>
#include <stdint.h>

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

enum { WIRE_VARINT_MAX = 10 };		/* of 64 bits */

#define WIRE_TAG(field, type)	((uint32_t)(field) << 3 | (uint32_t)(type))

static inline uint64_t
wire_zigzag(int64_t v)
{
	return (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0);
}

static inline int64_t
wire_unzigzag(uint64_t v)
{
	return (int64_t)(v >> 1 ^ (0 - (v & 1)));
}

/* Write v at p; returns one past its end. */
static inline uint8_t *
wire_put(uint8_t *p, uint64_t v)
{
	while (v >= 0x80) {
		*p++ = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	*p++ = (uint8_t)v;
	return p;
}

/* Read a varint that is known to be whole; returns one past its end. */
static inline const uint8_t *
wire_get_trusted(const uint8_t *p, uint64_t *ret_v)
{
	uint64_t v = *p & 0x7f;

	for (unsigned shift = 7; *p++ & 0x80; shift += 7)
		v |= (uint64_t)(*p & 0x7f) << shift;
	*ret_v = v;
	return p;
}

/*
 * Read a varint from p[0..end - p).  NULL when it is cut off or does not fit
 * 64 bits; *ret_v is untouched then.
 */
static inline const uint8_t *
wire_get(const uint8_t *p, const uint8_t *end, uint64_t *ret_v)
{
	uint64_t v = 0;

	for (unsigned shift = 0; p < end && shift < 70; shift += 7) {
		uint8_t byte = *p++;

		if (shift == 63 && byte > 1)
			return NULL;
		v |= (uint64_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) == 0) {
			*ret_v = v;
			return p;
		}
	}
	return NULL;
}

#endif /* PROTO_WIRE_H */
