#include "client/capfile_read.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/capfile_read_int.h"

enum {
	FIRST_SIZE = 256 << 10,

	PCAP_HEAD = 24,
	PCAP_RECORD_HEAD = 16,
	MAGIC_LEN = 4,
};

struct capfile_reader *
capfile_reader_new(void)
{
	struct capfile_reader *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->cap = FIRST_SIZE;
	r->buf = malloc(r->cap);
	if (r->buf == NULL) {
		free(r);
		return NULL;
	}
	return r;
}

void
capfile_reader_free(struct capfile_reader *r)
{
	if (r == NULL)
		return;
	free(r->interfaces);
	free(r->buf);
	free(r);
}

/* --- the buffer --- */

uint8_t *
capfile_reader_space(struct capfile_reader *r, size_t *ret_room)
{
	if (r->start > 0) {
		memmove(r->buf, r->buf + r->start, r->end - r->start);
		r->end -= r->start;
		r->start = 0;
	}
	/* Full with one record, which is at most CAPFILE_RECORD_MAX long. */
	if (r->end == r->cap) {
		uint8_t *buf = realloc(r->buf, 2 * r->cap);

		if (buf == NULL)
			return NULL;
		r->buf = buf;
		r->cap *= 2;
	}
	*ret_room = r->cap - r->end;
	return r->buf + r->end;
}

void
capfile_reader_commit(struct capfile_reader *r, size_t len)
{
	r->end += len;
}

/* --- both formats --- */

int
capfile_damaged(struct capfile_reader *r, const char *cause, struct err *err)
{
	const char *unit = r->format == CAPFILE_PCAPNG ? "block" : "packet";
	/* The head of a pcap is no packet. */
	uint64_t number = r->format == CAPFILE_PCAPNG ? r->n_records + 1 : r->n_records;

	if (r->n_records == 0)
		err_set(&r->why, E_BADMSG, "head: %s", cause);
	else
		err_set(&r->why, E_BADMSG, "%s %" PRIu64 " at byte %" PRIu64 ": %s", unit,
		    number, r->taken, cause);
	if (err != NULL)
		*err = r->why;
	return E_BADMSG;
}

int
capfile_add_interface(struct capfile_reader *r, uint32_t link_type, uint32_t snaplen,
    struct err *err)
{
	if (r->n_interfaces == CAPFILE_INTERFACES_MAX)
		return capfile_damaged(r, "more than 1048576 interfaces", err);
	if (r->n_interfaces == r->max_interfaces) {
		uint32_t max = r->max_interfaces > 0 ? 2 * r->max_interfaces : 8;
		struct capfile_interface *more = realloc(r->interfaces, max * sizeof(*more));

		if (more == NULL)
			return err_set(err, E_NOMEM, "interfaces: out of memory");
		r->interfaces = more;
		r->max_interfaces = max;
	}
	r->interfaces[r->n_interfaces++] = (struct capfile_interface){
		.link_type = link_type, .snaplen = snaplen,
	};
	return E_OK;
}

/* What it is instead, for those that people have. */
static int
refuse_magic(struct capfile_reader *r, const uint8_t *p, struct err *err)
{
	uint32_t magic = get_be32(p);
	const char *cause = "neither pcap nor pcapng";

	if (magic >> 16 == 0x1F8B)
		cause = "compressed: give it the output of zcat";
	else if (magic == 0x28B52FFD)
		cause = "compressed: give it the output of zstdcat";
	else if (magic == 0xA1B2CD34 || magic == 0x34CDB2A1)
		cause = "modified pcap (of patched libpcap 0.4): convert it with editcap";
	return capfile_damaged(r, cause, err);
}

static int
find_format(struct capfile_reader *r, const uint8_t *p, struct err *err)
{
	uint32_t magic = get_be32(p);

	if (magic == CAPFILE_BLOCK_SHB) {
		r->format = CAPFILE_PCAPNG;
	} else if (magic == 0xA1B2C3D4 || magic == 0xA1B23C4D) {
		r->format = CAPFILE_PCAP;
		r->is_big = true;
	} else if (magic == 0xD4C3B2A1 || magic == 0x4D3CB2A1) {
		r->format = CAPFILE_PCAP;
	} else {
		return refuse_magic(r, p, err);
	}
	return E_OK;
}

/* --- pcap --- */

static int
pcap_head(struct capfile_reader *r, const uint8_t *p, size_t avail,
    struct capfile_record *record, struct err *err)
{
	uint32_t link_type;

	if (avail < PCAP_HEAD)
		return E_AGAIN;
	if (capfile_u16(r, p + 4) != 2 || capfile_u16(r, p + 6) != 4)
		return capfile_damaged(r, "not version 2.4 of pcap: convert it with editcap", err);
	/* The upper half says how long the FCS is. */
	link_type = capfile_u32(r, p + 20) & 0xFFFF;
	*record = (struct capfile_record){
		.bytes = p, .len = PCAP_HEAD, .has_link_type = true, .link_type = link_type,
	};
	return capfile_add_interface(r, link_type, 0, err);
}

static int
pcap_packet(struct capfile_reader *r, const uint8_t *p, size_t avail,
    struct capfile_record *record, struct err *err)
{
	uint32_t captured;

	if (avail < PCAP_RECORD_HEAD)
		return E_AGAIN;
	captured = capfile_u32(r, p + 8);
	if (captured > CAPFILE_RECORD_MAX - PCAP_RECORD_HEAD)
		return capfile_damaged(r, "longer than any packet: the file is damaged", err);
	if (avail - PCAP_RECORD_HEAD < captured)
		return E_AGAIN;
	*record = (struct capfile_record){
		.bytes = p, .len = PCAP_RECORD_HEAD + captured, .is_packet = true,
		.has_link_type = true, .link_type = r->interfaces[0].link_type,
		.data = p + PCAP_RECORD_HEAD, .captured_len = captured,
		.original_len = capfile_u32(r, p + 12),
	};
	return E_OK;
}

/* --- records --- */

int
capfile_reader_next(struct capfile_reader *r, struct capfile_record *ret_record,
    struct err *err)
{
	const uint8_t *p = r->buf + r->start;
	size_t avail = r->end - r->start;
	struct capfile_record record;
	int code = E_OK;

	if (r->why.code != E_OK) {
		if (err != NULL)
			*err = r->why;
		return r->why.code;
	}
	if (r->format == CAPFILE_UNKNOWN) {
		if (avail < MAGIC_LEN)
			return E_AGAIN;
		code = find_format(r, p, err);
	}
	if (code != E_OK)
		return code;
	if (r->format == CAPFILE_PCAPNG)
		code = capfile_next_block(r, p, avail, &record, err);
	else if (r->n_records == 0)
		code = pcap_head(r, p, avail, &record, err);
	else
		code = pcap_packet(r, p, avail, &record, err);
	if (code != E_OK)
		return code;
	r->start += record.len;
	r->taken += record.len;
	r->n_records++;
	*ret_record = record;
	return E_OK;
}

int
capfile_reader_end(struct capfile_reader *r, struct err *err)
{
	if (r->n_records == 0 && r->end == 0)
		return capfile_damaged(r, "the input is empty", err);
	if (r->n_records == 0 || r->start < r->end)
		return capfile_damaged(r, "the input ends in the middle", err);
	return E_OK;
}

bool
capfile_reader_tells_types(const struct capfile_reader *r)
{
	return r->format == CAPFILE_PCAPNG;
}
