#include <linux/if_packet.h>

#include "client/capfile_read_int.h"
#include "client/pcapng_block.h"

enum {
	BLOCK_IDB = 1, BLOCK_PB = 2, BLOCK_SPB = 3, BLOCK_EPB = 6,

	ORDER_MAGIC = 0x1A2B3C4D,
	FLAGS = 2,			/* option of a packet, in both kinds of blocks */

	BLOCK_HEAD = 8,
	BLOCK_MIN = BLOCK_HEAD + PCAPNG_TRAILER,
	SHB_MIN = 28, IDB_MIN = 20, SPB_MIN = 16,
	PACKET_AT = 28,			/* of PB and EPB: where the bytes begin */
};

/* --- the direction --- */

/* The first option of this code and 4 bytes; what cannot be read is none. */
static bool
find_option_u32(const struct capfile_reader *r, const uint8_t *p, size_t len, uint16_t code,
    uint32_t *ret_value)
{
	while (len >= 4) {
		uint16_t found = capfile_u16(r, p), size = capfile_u16(r, p + 2);
		size_t step = 4 + pcapng_pad4(size);

		if (found == 0 || step > len)
			return false;
		if (found == code && size == 4) {
			*ret_value = capfile_u32(r, p + 4);
			return true;
		}
		p += step;
		len -= step;
	}
	return false;
}

/* Direction in bits 0 and 1, reception in bits 2 to 4. */
static void
put_type(struct capfile_record *record, uint32_t flags)
{
	static const uint8_t received[] = {
		PACKET_HOST, PACKET_HOST, PACKET_MULTICAST, PACKET_BROADCAST,
		PACKET_OTHERHOST, PACKET_HOST, PACKET_HOST, PACKET_HOST,
	};
	uint32_t direction = flags & 3;

	record->has_type = direction == 1 || direction == 2;
	record->type = direction == 2 ? PACKET_OUTGOING : received[flags >> 2 & 7];
}

/* --- blocks; each is whole, and at least as long as all are --- */

static int
section(struct capfile_reader *r, const struct capfile_record *record, struct err *err)
{
	uint16_t minor;

	if (record->len < SHB_MIN)
		return capfile_damaged(r, "shorter than a section header", err);
	minor = capfile_u16(r, record->bytes + 14);
	if (capfile_u16(r, record->bytes + 12) != 1 || (minor != 0 && minor != 2))
		return capfile_damaged(r, "not version 1.0 of pcapng", err);
	r->n_interfaces = 0;
	return E_OK;
}

static int
interface(struct capfile_reader *r, struct capfile_record *record, struct err *err)
{
	if (record->len < IDB_MIN)
		return capfile_damaged(r, "shorter than an interface block", err);
	record->has_link_type = true;
	record->link_type = capfile_u16(r, record->bytes + 8);
	return capfile_add_interface(r, record->link_type,
	    capfile_u32(r, record->bytes + 12), err);
}

/* number is the packet's interface, room what the block has behind at. */
static int
packet(struct capfile_reader *r, struct capfile_record *record, uint32_t number,
    size_t at, struct err *err)
{
	if (number >= r->n_interfaces)
		return capfile_damaged(r, "packet of an interface that is not declared", err);
	if (record->captured_len > record->len - at - PCAPNG_TRAILER)
		return capfile_damaged(r, "packet longer than its block", err);
	record->is_packet = true;
	record->data = record->bytes + at;
	record->has_link_type = true;
	record->link_type = r->interfaces[number].link_type;
	return E_OK;
}

/* An enhanced packet block, or an old packet block, which differs in one field. */
static int
full_packet(struct capfile_reader *r, struct capfile_record *record, bool is_old,
    struct err *err)
{
	const uint8_t *p = record->bytes;
	uint32_t number, flags;
	size_t options;
	int code;

	if (record->len < PACKET_AT + PCAPNG_TRAILER)
		return capfile_damaged(r, "shorter than a packet block", err);
	number = is_old ? capfile_u16(r, p + 8) : capfile_u32(r, p + 8);
	record->captured_len = capfile_u32(r, p + 20);
	record->original_len = capfile_u32(r, p + 24);
	code = packet(r, record, number, PACKET_AT, err);
	if (code != E_OK)
		return code;
	options = PACKET_AT + pcapng_pad4(record->captured_len);
	if (find_option_u32(r, p + options, record->len - PCAPNG_TRAILER - options, FLAGS, &flags))
		put_type(record, flags);
	return E_OK;
}

static int
simple_packet(struct capfile_reader *r, struct capfile_record *record, struct err *err)
{
	uint32_t snaplen = r->n_interfaces > 0 ? r->interfaces[0].snaplen : 0;

	if (record->len < SPB_MIN)
		return capfile_damaged(r, "shorter than a packet block", err);
	record->original_len = capfile_u32(r, record->bytes + 8);
	record->captured_len = record->original_len;
	if (snaplen > 0 && record->captured_len > snaplen)
		record->captured_len = snaplen;
	return packet(r, record, 0, SPB_MIN - PCAPNG_TRAILER, err);
}

static int
content(struct capfile_reader *r, uint32_t type, struct capfile_record *record, struct err *err)
{
	switch (type) {
	case CAPFILE_BLOCK_SHB:
		return section(r, record, err);
	case BLOCK_IDB:
		return interface(r, record, err);
	case BLOCK_PB:
		return full_packet(r, record, true, err);
	case BLOCK_SPB:
		return simple_packet(r, record, err);
	case BLOCK_EPB:
		return full_packet(r, record, false, err);
	default:
		return E_OK;
	}
}

/* A section header says in which order all that follows is. */
static bool
find_order(struct capfile_reader *r, const uint8_t *p)
{
	if (get_be32(p) != CAPFILE_BLOCK_SHB)
		return true;
	r->is_big = get_be32(p + BLOCK_HEAD) == ORDER_MAGIC;
	return r->is_big || get_le32(p + BLOCK_HEAD) == ORDER_MAGIC;
}

int
capfile_next_block(struct capfile_reader *r, const uint8_t *p, size_t avail,
    struct capfile_record *ret_record, struct err *err)
{
	uint32_t total;

	if (avail < BLOCK_MIN)
		return E_AGAIN;
	if (!find_order(r, p))
		return capfile_damaged(r, "section header without a byte order", err);
	total = capfile_u32(r, p + 4);
	if (total < BLOCK_MIN || total % 4 != 0 || total > CAPFILE_RECORD_MAX)
		return capfile_damaged(r, "a length that no block has: the file is damaged", err);
	if (avail < total)
		return E_AGAIN;
	if (capfile_u32(r, p + total - PCAPNG_TRAILER) != total)
		return capfile_damaged(r, "its two lengths differ: the file is damaged", err);
	*ret_record = (struct capfile_record){ .bytes = p, .len = total };
	return content(r, capfile_u32(r, p), ret_record, err);
}
