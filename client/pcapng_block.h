/*
 * pcapng_block - one pcapng block with options, put together in a buffer.
 *
 * Knows the framing of blocks and options, not what they mean.  Options that
 * do not fit are left out, texts are cut.
 */
#ifndef CLIENT_PCAPNG_BLOCK_H
#define CLIENT_PCAPNG_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/clock.h"

enum {
	/* dumpcap ends a capture at a longer block. */
	PCAPNG_BLOCK_MAX = 262144,
	PCAPNG_OPTION_MAX = 65535,
	PCAPNG_OPTIONS_END = 4,		/* opt_endofopt */
	PCAPNG_TRAILER = 4,		/* the length again */
};

struct pcapng_block {
	size_t	 len;
	size_t	 max;			/* of the whole block */
	bool	 has_options;
	uint8_t	 bytes[PCAPNG_BLOCK_MAX];
};

/* Begin a block of at most max bytes; then fields, then options, then end. */
void pcapng_block_start(struct pcapng_block *b, uint32_t type, size_t max);

/* Fields of the fixed part. */
void pcapng_block_u16(struct pcapng_block *b, uint16_t v);
void pcapng_block_u32(struct pcapng_block *b, uint32_t v);

/* Add an option of len bytes, zero, for the caller to fill; it must fit. */
uint8_t *pcapng_block_option(struct pcapng_block *b, uint16_t code, size_t len);

void pcapng_block_bytes(struct pcapng_block *b, uint16_t code,
    const void *value, size_t len);
void pcapng_block_u64(struct pcapng_block *b, uint16_t code, uint64_t v);

/* Nothing for NULL or ""; n_zero bytes of zero stand in front of text. */
void pcapng_block_text(struct pcapng_block *b, uint16_t code, const char *text,
    size_t n_zero);

/* Close the block; returns its length. */
size_t pcapng_block_end(struct pcapng_block *b);

/* len rounded up to what the format pads to. */
static inline size_t
pcapng_pad4(size_t len)
{
	return (len + 3) & ~(size_t)3;
}

/* A time as two halves, the high one first: not a little-endian u64. */
void pcapng_put_time(uint8_t *p, struct wall_ns time);

/* Length of text, cut to at most max between two characters. */
size_t pcapng_text_fit(const char *text, size_t max);

#endif /* CLIENT_PCAPNG_BLOCK_H */
