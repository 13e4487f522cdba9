#include "client/sink.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/link_type.h"
#include "client/outfile.h"
#include "common/bytes.h"

enum {
	FILE_HEAD = 24,
	RECORD_HEAD = 16,
	/* What tshark, tcpdump and dumpcap read at most. */
	PACKET_MAX = 262144,
};

#define MAGIC_NS UINT32_C(0xA1B23C4D)

struct sink {
	struct outfile	*out;
	bool		 has_header;
	uint32_t	 snaplen;
	uint32_t	 link_type;	/* of the file, with its header */
	uint64_t	 n_cut;
};

/* The file's header names the link type, so it waits for an interface. */
static struct sink *
sink_pcap_open(struct outfile *out, const char *program, uint32_t snaplen,
    enum sink_start start, struct err *err)
{
	struct sink *sink = calloc(1, sizeof(*sink));

	(void)program;
	(void)start;
	if (sink == NULL) {
		err_set(err, E_NOMEM, "output: create: out of memory");
		return NULL;
	}
	sink->out = out;
	sink->snaplen = snaplen;
	return sink;
}

static void
set_link_type(struct sink *sink, uint32_t link_type)
{
	sink->has_header = true;
	sink->link_type = link_type;
}

static int
write_header(struct sink *sink, uint32_t link_type, struct err *err)
{
	uint8_t *p = outfile_reserve(sink->out, FILE_HEAD);

	if (p == NULL)
		return err_set(err, E_NOMEM, "output: buffer: out of memory");
	put_le32(p, MAGIC_NS);
	put_le16(p + 4, 2);
	put_le16(p + 6, 4);
	put_le32(p + 8, 0);		/* time zone: UTC */
	put_le32(p + 12, 0);
	put_le32(p + 16, sink->snaplen);
	put_le32(p + 20, link_type);
	set_link_type(sink, link_type);
	return E_OK;
}

/* Has the file a place for it, as far as it has a link type already? */
static int
check_interface(const struct sink *sink, const struct sink_interface *iface,
    struct err *err)
{
	char mine[LINK_TYPE_TEXT_LEN], other[LINK_TYPE_TEXT_LEN];

	/* The upper bits of the field mean something else. */
	if (iface->link_type > UINT16_MAX)
		return err_set(err, E_OUTPUT,
		    "interface '%s': link type %u does not exist in pcap",
		    iface->name, iface->link_type);
	if (!sink->has_header || iface->link_type == sink->link_type)
		return E_OK;
	link_type_name(iface->link_type, mine, sizeof(mine));
	link_type_name(sink->link_type, other, sizeof(other));
	return err_set(err, E_OUTPUT, "interface '%s': link type %s beside %s: a "
	    "pcap file holds one only: use pcapng (-w x.pcapng)", iface->name,
	    mine, other);
}

static int
sink_pcap_add_interface(struct sink *sink, const struct sink_interface *iface,
    struct err *err)
{
	int rc = check_interface(sink, iface, err);

	return rc == E_OK && !sink->has_header ?
	    write_header(sink, iface->link_type, err) : rc;
}

static int
sink_pcap_know_interface(struct sink *sink, const struct sink_interface *iface,
    struct err *err)
{
	int rc = check_interface(sink, iface, err);

	if (rc == E_OK)
		set_link_type(sink, iface->link_type);
	return rc;
}

static int
sink_pcap_packet(struct sink *sink, const struct packet_ref *packet,
    const struct sink_remarks *remarks, struct err *err)
{
	uint32_t captured = packet->meta.captured_len;
	/* Nothing before the epoch can be written. */
	uint64_t ns = packet->meta.time.ns > 0 ? (uint64_t)packet->meta.time.ns : 0;
	uint8_t *p;

	(void)remarks;
	if (!sink->has_header)
		return err_set(err, E_BUG, "output: packet without an interface");
	if (captured > PACKET_MAX) {
		captured = PACKET_MAX;
		sink->n_cut++;
	}
	p = outfile_reserve(sink->out, RECORD_HEAD + (size_t)captured);
	if (p == NULL)
		return err_set(err, E_NOMEM, "output: buffer: out of memory");
	put_le32(p, (uint32_t)(ns / NS_PER_S));
	put_le32(p + 4, (uint32_t)(ns % NS_PER_S));
	put_le32(p + 8, captured);
	put_le32(p + 12, packet->meta.original_len);
	if (captured > 0)
		memcpy(p + RECORD_HEAD, packet->data, captured);
	return E_OK;
}

/* The format has no place for counters. */
static int
sink_pcap_stats(struct sink *sink, uint32_t iface,
    const struct sink_stats *stats, const struct sink_remarks *remarks,
    struct err *err)
{
	(void)sink;
	(void)iface;
	(void)stats;
	(void)remarks;
	(void)err;
	return E_OK;
}

static uint64_t
sink_pcap_cut(const struct sink *sink)
{
	return sink->n_cut;
}

static void
sink_pcap_free(struct sink *sink)
{
	free(sink);
}

const struct sink_ops sink_pcap_ops = {
	.name = "pcap",
	.one_link_type = true,
	.magic = { 0x4D, 0x3C, 0xB2, 0xA1 },
	.open = sink_pcap_open,
	.add_interface = sink_pcap_add_interface,
	.know_interface = sink_pcap_know_interface,
	.packet = sink_pcap_packet,
	.stats = sink_pcap_stats,
	.cut = sink_pcap_cut,
	.free = sink_pcap_free,
};
