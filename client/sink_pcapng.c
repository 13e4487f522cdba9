#include "client/sink.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "client/outfile.h"
#include "common/bytes.h"

enum {
	BLOCK_SHB = 0x0A0D0D0A, BLOCK_IDB = 1, BLOCK_ISB = 5, BLOCK_EPB = 6,

	OPT_COMMENT = 1,
	SHB_USERAPPL = 4,
	IF_NAME = 2, IF_DESCRIPTION = 3, IF_IPV4ADDR = 4, IF_IPV6ADDR = 5,
	IF_MACADDR = 6, IF_TSRESOL = 9, IF_FILTER = 11, IF_OS = 12,
	EPB_FLAGS = 2, EPB_DROPCOUNT = 4,
	ISB_STARTTIME = 2, ISB_ENDTIME = 3, ISB_IFRECV = 4, ISB_IFDROP = 5,
	ISB_FILTERACCEPT = 6, ISB_OSDROP = 7, ISB_USRDELIV = 8,

	TSRESOL_NS = 9,			/* 10^-9 s */
	OPTION_MAX = 65535,
	OPTIONS_END = 4,		/* opt_endofopt */
	TRAILER = 4,			/* the length again */

	/* dumpcap writes beyond its buffer when the first block is longer. */
	SHB_MAX = 2048,
	/* dumpcap ends the capture at a longer block of any other type. */
	BLOCK_MAX = 262144,
	/* tshark and tcpdump read no longer packet, whatever the block. */
	PACKET_MAX = 262144,
	/*
	 * The same in every interface block, whatever the capture's: tcpdump
	 * refuses a file whose interfaces differ in it.
	 */
	SNAPLEN = 262144,

	EPB_HEAD = 28,
};

/* A block without packet data, put together before its length is known. */
struct block {
	size_t	 len;
	size_t	 max;			/* of the whole block */
	bool	 has_options;
	uint8_t	 bytes[BLOCK_MAX];
};

struct sink {
	struct outfile	*out;
	bool		 is_pipe;
	uint32_t	 n_interfaces;
	uint64_t	 n_cut;
	struct block	 block;
};

static size_t
pad4(size_t len)
{
	return (len + 3) & ~(size_t)3;
}

/* --- blocks in general --- */

static void
block_start(struct block *b, uint32_t type, size_t max)
{
	put_le32(b->bytes, type);
	b->len = 8;
	b->max = max;
	b->has_options = false;
}

static void
block_u16(struct block *b, uint16_t v)
{
	put_le16(b->bytes + b->len, v);
	b->len += 2;
}

static void
block_u32(struct block *b, uint32_t v)
{
	put_le32(b->bytes + b->len, v);
	b->len += 4;
}

/* The time as two halves, the high one first: not a little-endian u64. */
static void
put_time(uint8_t *p, struct wall_ns time)
{
	put_le32(p, (uint32_t)((uint64_t)time.ns >> 32));
	put_le32(p + 4, (uint32_t)time.ns);
}

/* How long a value of a further option may be; 0 when none fits. */
static size_t
option_room(const struct block *b)
{
	size_t used = b->len + 4 + OPTIONS_END + TRAILER;
	size_t room = used < b->max ? (b->max - used) & ~(size_t)3 : 0;

	return room < OPTION_MAX ? room : OPTION_MAX;
}

/* Where the value of len bytes goes; padding is already zero. */
static uint8_t *
block_option(struct block *b, uint16_t code, size_t len)
{
	uint8_t *value;

	block_u16(b, code);
	block_u16(b, (uint16_t)len);
	value = b->bytes + b->len;
	memset(value, 0, pad4(len));
	b->len += pad4(len);
	b->has_options = true;
	return value;
}

static void
option_bytes(struct block *b, uint16_t code, const void *value, size_t len)
{
	if (len <= option_room(b))
		memcpy(block_option(b, code, len), value, len);
}

static void
option_u64(struct block *b, uint16_t code, uint64_t v)
{
	if (option_room(b) >= 8)
		put_le64(block_option(b, code, 8), v);
}

/* The longest beginning of text of at most max bytes that splits no character. */
static size_t
text_fit(const char *text, size_t max)
{
	size_t len = strnlen(text, max + 1);

	if (len <= max)
		return len;
	len = max;
	while (len > 0 && ((uint8_t)text[len] & 0xC0) == 0x80)
		len--;
	return len;
}

/* Nothing for an empty text; n_zero bytes of zero stand in front of it. */
static void
option_text(struct block *b, uint16_t code, const char *text, size_t n_zero)
{
	size_t room = option_room(b);
	size_t len;

	if (text == NULL || text[0] == '\0' || room <= n_zero)
		return;
	len = text_fit(text, room - n_zero);
	memcpy(block_option(b, code, n_zero + len) + n_zero, text, len);
}

/* Close the block and give it to the output. */
static int
block_end(struct sink *sink, struct err *err)
{
	struct block *b = &sink->block;
	uint8_t *p;

	if (b->has_options)
		block_u32(b, 0);
	put_le32(b->bytes + 4, (uint32_t)(b->len + TRAILER));
	block_u32(b, (uint32_t)(b->len + TRAILER));
	p = outfile_reserve(sink->out, b->len);
	if (p == NULL)
		return err_set(err, E_NOMEM, "output: buffer: out of memory");
	memcpy(p, b->bytes, b->len);
	return E_OK;
}

/* --- section and interfaces --- */

static struct sink *
sink_pcapng_open(struct outfile *out, const char *program, uint32_t snaplen,
    struct err *err)
{
	struct sink *sink = calloc(1, sizeof(*sink));

	(void)snaplen;
	if (sink == NULL) {
		err_set(err, E_NOMEM, "output: create: out of memory");
		return NULL;
	}
	sink->out = out;
	sink->is_pipe = outfile_is_pipe(out);
	block_start(&sink->block, BLOCK_SHB, SHB_MAX);
	block_u32(&sink->block, 0x1A2B3C4D);
	block_u16(&sink->block, 1);
	block_u16(&sink->block, 0);
	block_u32(&sink->block, UINT32_MAX);	/* section length -1: unknown */
	block_u32(&sink->block, UINT32_MAX);
	option_text(&sink->block, SHB_USERAPPL, program, 0);
	if (block_end(sink, err) == E_OK)
		return sink;
	free(sink);
	return NULL;
}

/* "10.0.0.1/24", "fe80::1/64"; what cannot be read is left out. */
static void
option_address(struct block *b, const char *text)
{
	char addr[64];
	const char *slash = strchr(text, '/');
	size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
	unsigned long prefix = slash != NULL ? strtoul(slash + 1, NULL, 10) : 128;
	uint8_t value[17];

	if (len >= sizeof(addr))
		return;
	memcpy(addr, text, len);
	addr[len] = '\0';
	if (inet_pton(AF_INET, addr, value) == 1) {
		uint64_t mask = prefix >= 32 ? UINT32_MAX :
		    ~((UINT64_C(1) << (32 - prefix)) - 1);

		put_be32(value + 4, (uint32_t)mask);
		option_bytes(b, IF_IPV4ADDR, value, 8);
	} else if (inet_pton(AF_INET6, addr, value) == 1 && prefix <= 128) {
		value[16] = (uint8_t)prefix;
		option_bytes(b, IF_IPV6ADDR, value, 17);
	}
}

static int
sink_pcapng_add_interface(struct sink *sink, const struct sink_interface *iface,
    struct err *err)
{
	static const uint8_t tsresol = TSRESOL_NS;
	struct block *b = &sink->block;
	int ret;

	if (iface->link_type > UINT16_MAX)
		return err_set(err, E_OUTPUT,
		    "interface '%s': link type %u does not exist in pcapng",
		    iface->name, iface->link_type);
	block_start(b, BLOCK_IDB, BLOCK_MAX);
	block_u16(b, (uint16_t)iface->link_type);
	block_u16(b, 0);
	block_u32(b, SNAPLEN);
	option_text(b, IF_NAME, iface->name, 0);
	option_text(b, IF_DESCRIPTION, iface->description, 0);
	/* Before what may fill the block: times mean nothing without it. */
	option_bytes(b, IF_TSRESOL, &tsresol, 1);
	for (uint32_t i = 0; i < iface->n_addresses; i++)
		option_address(b, iface->addresses[i]);
	if (iface->mac != NULL)
		option_bytes(b, IF_MACADDR, iface->mac, 6);
	/* The leading zero says that text follows, not instructions. */
	option_text(b, IF_FILTER, iface->filter, 1);
	option_text(b, IF_OS, iface->os, 0);
	option_text(b, OPT_COMMENT, iface->comment, 0);
	ret = block_end(sink, err);
	if (ret == E_OK)
		sink->n_interfaces++;
	return ret;
}

/* --- packets --- */

/* Direction in bits 0-1, reception in bits 2-4. */
static uint32_t
packet_flags(uint8_t type)
{
	enum { IN = 1, OUT = 2 };
	static const uint8_t flags[] = {
		IN | 1 << 2,		/* PACKET_HOST: unicast */
		IN | 3 << 2,		/* PACKET_BROADCAST */
		IN | 2 << 2,		/* PACKET_MULTICAST */
		IN | 4 << 2,		/* PACKET_OTHERHOST: promiscuous */
		OUT,			/* PACKET_OUTGOING */
	};

	return type < ARRAY_LEN(flags) ? flags[type] : 0;
}

/* Bytes of the packet that fit beside options of this size. */
static uint32_t
captured_fit(struct sink *sink, uint32_t len, size_t options)
{
	size_t max = PACKET_MAX;

	if (sink->is_pipe)
		max = BLOCK_MAX - EPB_HEAD - TRAILER - options;
	if (len <= max)
		return len;
	sink->n_cut++;
	return (uint32_t)max;
}

static uint8_t *
put_option_head(uint8_t *p, uint16_t code, uint16_t len)
{
	put_le16(p, code);
	put_le16(p + 2, len);
	return p + 4;
}

/* All options of a packet; returns the byte after them. */
static uint8_t *
put_packet_options(uint8_t *p, uint32_t flags, uint64_t dropped,
    const char *comment, size_t comment_len)
{
	p = put_option_head(p, EPB_FLAGS, 4);
	put_le32(p, flags);
	p += 4;
	if (dropped > 0) {
		p = put_option_head(p, EPB_DROPCOUNT, 8);
		put_le64(p, dropped);
		p += 8;
	}
	if (comment_len > 0) {
		p = put_option_head(p, OPT_COMMENT, (uint16_t)comment_len);
		memset(p, 0, pad4(comment_len));
		memcpy(p, comment, comment_len);
		p += pad4(comment_len);
	}
	return put_option_head(p, 0, 0);
}

static int
sink_pcapng_packet(struct sink *sink, const struct packet_ref *packet,
    uint64_t dropped, const char *comment, struct err *err)
{
	size_t comment_len = comment != NULL ? text_fit(comment, OPTION_MAX) : 0;
	size_t options = 4 + 4 + (dropped > 0 ? 4u + 8u : 0u) +
	    (comment_len > 0 ? 4u + pad4(comment_len) : 0u) + OPTIONS_END;
	uint32_t captured;
	size_t total;
	uint8_t *p;

	if (packet->meta.iface >= sink->n_interfaces)
		return err_set(err, E_BUG, "output: packet of interface %u of %u",
		    packet->meta.iface, sink->n_interfaces);
	captured = captured_fit(sink, packet->meta.captured_len, options);
	total = EPB_HEAD + pad4(captured) + options + TRAILER;
	p = outfile_reserve(sink->out, total);
	if (p == NULL)
		return err_set(err, E_NOMEM, "output: buffer: out of memory");
	put_le32(p, BLOCK_EPB);
	put_le32(p + 4, (uint32_t)total);
	put_le32(p + 8, packet->meta.iface);
	put_time(p + 12, packet->meta.time);
	put_le32(p + 20, captured);
	put_le32(p + 24, packet->meta.original_len);
	p += EPB_HEAD;
	if (captured > 0)
		memcpy(p, packet->data, captured);
	memset(p + captured, 0, pad4(captured) - captured);
	p = put_packet_options(p + pad4(captured),
	    packet_flags(packet->meta.type), dropped, comment, comment_len);
	put_le32(p, (uint32_t)total);
	return E_OK;
}

/* --- the end --- */

static void
option_time(struct block *b, uint16_t code, struct wall_ns time)
{
	put_time(block_option(b, code, 8), time);
}

static int
sink_pcapng_stats(struct sink *sink, uint32_t iface,
    const struct sink_stats *stats, struct err *err)
{
	struct block *b = &sink->block;

	if (iface >= sink->n_interfaces)
		return err_set(err, E_BUG, "output: counters of interface %u of %u",
		    iface, sink->n_interfaces);
	block_start(b, BLOCK_ISB, BLOCK_MAX);
	block_u32(b, iface);
	put_time(b->bytes + b->len, stats->end);
	b->len += 8;
	option_time(b, ISB_STARTTIME, stats->start);
	option_time(b, ISB_ENDTIME, stats->end);
	option_u64(b, ISB_IFRECV, stats->received);
	/* Wireshark shows this one alone as "dropped": every loss is in it. */
	option_u64(b, ISB_IFDROP, stats->dropped_kernel +
	    stats->dropped_interface + stats->lost_elsewhere);
	option_u64(b, ISB_FILTERACCEPT, stats->received);
	option_u64(b, ISB_OSDROP, stats->dropped_kernel);
	option_u64(b, ISB_USRDELIV, stats->written);
	return block_end(sink, err);
}

static uint64_t
sink_pcapng_cut(const struct sink *sink)
{
	return sink->n_cut;
}

static void
sink_pcapng_free(struct sink *sink)
{
	free(sink);
}

const struct sink_ops sink_pcapng_ops = {
	.name = "pcapng",
	.open = sink_pcapng_open,
	.add_interface = sink_pcapng_add_interface,
	.packet = sink_pcapng_packet,
	.stats = sink_pcapng_stats,
	.cut = sink_pcapng_cut,
	.free = sink_pcapng_free,
};
