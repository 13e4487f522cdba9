#include "client/sink.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "client/outfile.h"
#include "client/pcapng_block.h"
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

	/* dumpcap writes beyond its buffer when the first block is longer. */
	SHB_MAX = 2048,
	/* tshark and tcpdump read no longer packet, whatever the block. */
	PACKET_MAX = 262144,

	EPB_HEAD = 28,
};

struct sink {
	struct outfile	*out;
	bool		 is_pipe;
	/* In every interface block: tcpdump refuses files where they differ. */
	uint32_t	 snaplen;
	uint32_t	 n_interfaces;
	uint64_t	 n_cut;
	struct pcapng_block block;
};

/* Close the block and give it to the output. */
static int
write_block(struct sink *sink, struct err *err)
{
	size_t len = pcapng_block_end(&sink->block);
	uint8_t *p = outfile_reserve(sink->out, len);

	if (p == NULL)
		return err_set(err, E_NOMEM, "output: buffer: out of memory");
	memcpy(p, sink->block.bytes, len);
	return E_OK;
}

/* --- section and interfaces --- */

static int
write_section(struct sink *sink, const char *program, struct err *err)
{
	struct pcapng_block *b = &sink->block;

	pcapng_block_start(b, BLOCK_SHB, SHB_MAX);
	pcapng_block_u32(b, 0x1A2B3C4D);
	pcapng_block_u16(b, 1);
	pcapng_block_u16(b, 0);
	pcapng_block_u32(b, UINT32_MAX);	/* section length -1: unknown */
	pcapng_block_u32(b, UINT32_MAX);
	pcapng_block_text(b, SHB_USERAPPL, program, 0);
	return write_block(sink, err);
}

static struct sink *
sink_pcapng_open(struct outfile *out, const char *program, uint32_t snaplen,
    enum sink_start start, struct err *err)
{
	struct sink *sink = calloc(1, sizeof(*sink));

	if (sink == NULL) {
		err_set(err, E_NOMEM, "output: create: out of memory");
		return NULL;
	}
	sink->out = out;
	sink->snaplen = snaplen;
	sink->is_pipe = outfile_is_pipe(out);
	if (start == SINK_OLD_FILE || write_section(sink, program, err) == E_OK)
		return sink;
	free(sink);
	return NULL;
}

/* "10.0.0.1/24", "fe80::1/64"; what cannot be read is left out. */
static void
option_address(struct pcapng_block *b, const char *text)
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
		pcapng_block_bytes(b, IF_IPV4ADDR, value, 8);
	} else if (inet_pton(AF_INET6, addr, value) == 1 && prefix <= 128) {
		value[16] = (uint8_t)prefix;
		pcapng_block_bytes(b, IF_IPV6ADDR, value, 17);
	}
}

static int
check_link_type(const struct sink_interface *iface, struct err *err)
{
	if (iface->link_type <= UINT16_MAX)
		return E_OK;
	return err_set(err, E_OUTPUT, "interface '%s': link type %u does not exist in "
	    "pcapng", iface->name, iface->link_type);
}

static int
sink_pcapng_know_interface(struct sink *sink, const struct sink_interface *iface,
    struct err *err)
{
	int rc = check_link_type(iface, err);

	if (rc == E_OK)
		sink->n_interfaces++;
	return rc;
}

static int
sink_pcapng_add_interface(struct sink *sink, const struct sink_interface *iface,
    struct err *err)
{
	static const uint8_t tsresol = TSRESOL_NS;
	struct pcapng_block *b = &sink->block;
	int ret = check_link_type(iface, err);

	if (ret != E_OK)
		return ret;
	pcapng_block_start(b, BLOCK_IDB, PCAPNG_BLOCK_MAX);
	pcapng_block_u16(b, (uint16_t)iface->link_type);
	pcapng_block_u16(b, 0);
	pcapng_block_u32(b, sink->snaplen);
	pcapng_block_text(b, IF_NAME, iface->name, 0);
	pcapng_block_text(b, IF_DESCRIPTION, iface->description, 0);
	/* Before what may fill the block: times mean nothing without it. */
	pcapng_block_bytes(b, IF_TSRESOL, &tsresol, 1);
	for (uint32_t i = 0; i < iface->n_addresses; i++)
		option_address(b, iface->addresses[i]);
	if (iface->mac != NULL)
		pcapng_block_bytes(b, IF_MACADDR, iface->mac, 6);
	/* The leading zero says that text follows, not instructions. */
	pcapng_block_text(b, IF_FILTER, iface->filter, 1);
	pcapng_block_text(b, IF_OS, iface->os, 0);
	pcapng_block_text(b, OPT_COMMENT, iface->comment, 0);
	ret = write_block(sink, err);
	if (ret == E_OK)
		sink->n_interfaces++;
	return ret;
}

/* --- packets --- */

/* Direction in bits 0-1, reception in bits 2-4, what was offloaded in 9-11. */
static uint32_t
packet_flags(const struct packet_meta *meta)
{
	enum {
		IN = 1, OUT = 2,
		CSUM_NOT_READY = 1 << 9, CSUM_VALID = 1 << 10, SEGMENTATION = 1 << 11,
	};
	static const uint8_t flags[] = {
		IN | 1 << 2,		/* PACKET_HOST: unicast */
		IN | 3 << 2,		/* PACKET_BROADCAST */
		IN | 2 << 2,		/* PACKET_MULTICAST */
		IN | 4 << 2,		/* PACKET_OTHERHOST: promiscuous */
		OUT,			/* PACKET_OUTGOING */
	};

	uint32_t ret = meta->type < ARRAY_LEN(flags) ? flags[meta->type] : 0;

	if ((meta->offload & PACKET_CSUM_NOT_READY) != 0)
		ret |= CSUM_NOT_READY;
	if ((meta->offload & PACKET_CSUM_VALID) != 0)
		ret |= CSUM_VALID;
	if ((meta->offload & PACKET_GSO) != 0)
		ret |= SEGMENTATION;
	return ret;
}

/* Bytes of the packet that fit beside options of this size. */
static uint32_t
captured_fit(struct sink *sink, uint32_t len, size_t options)
{
	size_t max = PACKET_MAX;

	if (sink->is_pipe)
		max = PCAPNG_BLOCK_MAX - EPB_HEAD - PCAPNG_TRAILER - options;
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

static size_t
comment_len(const char *comment)
{
	return pcapng_text_fit(comment, PCAPNG_OPTION_MAX);
}

/* What the options of a packet take. */
static size_t
packet_options_len(const struct sink_remarks *r)
{
	size_t len = 4 + 4 + PCAPNG_OPTIONS_END;

	if (r == NULL)
		return len;
	if (r->dropped > 0)
		len += 4 + 8;
	for (uint32_t i = 0; i < r->n_comments; i++)
		len += 4 + pcapng_pad4(comment_len(r->comments[i]));
	return len;
}

static uint8_t *
put_comment(uint8_t *p, const char *comment)
{
	size_t len = comment_len(comment);

	p = put_option_head(p, OPT_COMMENT, (uint16_t)len);
	memset(p, 0, pcapng_pad4(len));
	memcpy(p, comment, len);
	return p + pcapng_pad4(len);
}

/* All options of a packet; returns the byte after them. */
static uint8_t *
put_packet_options(uint8_t *p, uint32_t flags, const struct sink_remarks *r)
{
	p = put_option_head(p, EPB_FLAGS, 4);
	put_le32(p, flags);
	p += 4;
	if (r != NULL && r->dropped > 0) {
		p = put_option_head(p, EPB_DROPCOUNT, 8);
		put_le64(p, r->dropped);
		p += 8;
	}
	for (uint32_t i = 0; r != NULL && i < r->n_comments; i++)
		p = put_comment(p, r->comments[i]);
	return put_option_head(p, 0, 0);
}

static int
sink_pcapng_packet(struct sink *sink, const struct packet_ref *packet,
    const struct sink_remarks *remarks, struct err *err)
{
	size_t options = packet_options_len(remarks);
	uint32_t captured;
	size_t total;
	uint8_t *p;

	if (packet->meta.iface >= sink->n_interfaces)
		return err_set(err, E_BUG, "output: packet of interface %u of %u",
		    packet->meta.iface, sink->n_interfaces);
	captured = captured_fit(sink, packet->meta.captured_len, options);
	total = EPB_HEAD + pcapng_pad4(captured) + options + PCAPNG_TRAILER;
	p = outfile_reserve(sink->out, total);
	if (p == NULL)
		return err_set(err, E_NOMEM, "output: buffer: out of memory");
	put_le32(p, BLOCK_EPB);
	put_le32(p + 4, (uint32_t)total);
	put_le32(p + 8, packet->meta.iface);
	pcapng_put_time(p + 12, packet->meta.time);
	put_le32(p + 20, captured);
	put_le32(p + 24, packet->meta.original_len);
	p += EPB_HEAD;
	if (captured > 0)
		memcpy(p, packet->data, captured);
	memset(p + captured, 0, pcapng_pad4(captured) - captured);
	p = put_packet_options(p + pcapng_pad4(captured),
	    packet_flags(&packet->meta), remarks);
	put_le32(p, (uint32_t)total);
	return E_OK;
}

/* --- the end --- */

static void
option_time(struct pcapng_block *b, uint16_t code, struct wall_ns time)
{
	pcapng_put_time(pcapng_block_option(b, code, 8), time);
}

static int
sink_pcapng_stats(struct sink *sink, uint32_t iface,
    const struct sink_stats *stats, const struct sink_remarks *remarks,
    struct err *err)
{
	struct pcapng_block *b = &sink->block;

	if (iface >= sink->n_interfaces)
		return err_set(err, E_BUG, "output: counters of interface %u of %u",
		    iface, sink->n_interfaces);
	pcapng_block_start(b, BLOCK_ISB, PCAPNG_BLOCK_MAX);
	pcapng_block_u32(b, iface);
	pcapng_put_time(b->bytes + b->len, stats->end);
	b->len += 8;
	option_time(b, ISB_STARTTIME, stats->start);
	option_time(b, ISB_ENDTIME, stats->end);
	pcapng_block_u64(b, ISB_IFRECV, stats->received);
	/* Wireshark shows this one alone as "dropped": every loss is in it. */
	pcapng_block_u64(b, ISB_IFDROP, stats->dropped_kernel +
	    stats->dropped_interface + stats->lost_elsewhere);
	/* A filter of the client's comes behind what the kernel passed. */
	pcapng_block_u64(b, ISB_FILTERACCEPT, stats->received > stats->filtered ?
	    stats->received - stats->filtered : 0);
	pcapng_block_u64(b, ISB_OSDROP, stats->dropped_kernel);
	pcapng_block_u64(b, ISB_USRDELIV, stats->written);
	for (uint32_t i = 0; remarks != NULL && i < remarks->n_comments; i++)
		pcapng_block_text(b, OPT_COMMENT, remarks->comments[i], 0);
	return write_block(sink, err);
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
	.magic = { 0x0A, 0x0D, 0x0D, 0x0A },
	.open = sink_pcapng_open,
	.add_interface = sink_pcapng_add_interface,
	.know_interface = sink_pcapng_know_interface,
	.packet = sink_pcapng_packet,
	.stats = sink_pcapng_stats,
	.cut = sink_pcapng_cut,
	.free = sink_pcapng_free,
};
