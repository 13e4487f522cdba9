#include "client/pcapng_block.h"

#include <string.h>

#include "common/bytes.h"

void
pcapng_block_start(struct pcapng_block *b, uint32_t type, size_t max)
{
	put_le32(b->bytes, type);
	b->len = 8;
	b->max = max;
	b->has_options = false;
}

void
pcapng_block_u16(struct pcapng_block *b, uint16_t v)
{
	put_le16(b->bytes + b->len, v);
	b->len += 2;
}

void
pcapng_block_u32(struct pcapng_block *b, uint32_t v)
{
	put_le32(b->bytes + b->len, v);
	b->len += 4;
}

void
pcapng_put_time(uint8_t *p, struct wall_ns time)
{
	put_le32(p, (uint32_t)((uint64_t)time.ns >> 32));
	put_le32(p + 4, (uint32_t)time.ns);
}

/* How long a value of a further option may be; 0 when none fits. */
static size_t
option_room(const struct pcapng_block *b)
{
	size_t used = b->len + 4 + PCAPNG_OPTIONS_END + PCAPNG_TRAILER;
	size_t room = used < b->max ? (b->max - used) & ~(size_t)3 : 0;

	return room < PCAPNG_OPTION_MAX ? room : PCAPNG_OPTION_MAX;
}

uint8_t *
pcapng_block_option(struct pcapng_block *b, uint16_t code, size_t len)
{
	uint8_t *value;

	pcapng_block_u16(b, code);
	pcapng_block_u16(b, (uint16_t)len);
	value = b->bytes + b->len;
	memset(value, 0, pcapng_pad4(len));
	b->len += pcapng_pad4(len);
	b->has_options = true;
	return value;
}

void
pcapng_block_bytes(struct pcapng_block *b, uint16_t code,
    const void *value, size_t len)
{
	if (len <= option_room(b))
		memcpy(pcapng_block_option(b, code, len), value, len);
}

void
pcapng_block_u64(struct pcapng_block *b, uint16_t code, uint64_t v)
{
	if (option_room(b) >= 8)
		put_le64(pcapng_block_option(b, code, 8), v);
}

size_t
pcapng_text_fit(const char *text, size_t max)
{
	size_t len = strnlen(text, max + 1);

	if (len <= max)
		return len;
	len = max;
	while (len > 0 && ((uint8_t)text[len] & 0xC0) == 0x80)
		len--;
	return len;
}

void
pcapng_block_text(struct pcapng_block *b, uint16_t code, const char *text,
    size_t n_zero)
{
	size_t room = option_room(b);
	size_t len;

	if (text == NULL || text[0] == '\0' || room <= n_zero)
		return;
	len = pcapng_text_fit(text, room - n_zero);
	memcpy(pcapng_block_option(b, code, n_zero + len) + n_zero, text, len);
}

size_t
pcapng_block_end(struct pcapng_block *b)
{
	if (b->has_options)
		pcapng_block_u32(b, 0);
	put_le32(b->bytes + 4, (uint32_t)(b->len + PCAPNG_TRAILER));
	pcapng_block_u32(b, (uint32_t)(b->len + PCAPNG_TRAILER));
	return b->len;
}
