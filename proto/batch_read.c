#include <stdbool.h>
#include <string.h>

#include "common/bytes.h"
#include "proto/batch.h"
#include "proto/batch_int.h"
#include "proto/limits.h"
#include "proto/wire.h"

enum {
	PACKET_MAX = PROTO_MAX_SNAPLEN + PROTO_MAX_LINK_EXTRA,
	TYPE_MASK = (1 << BATCH_TYPE_BITS) - 1,
	TYPE_COLUMN_MAX = BATCH_OFFLOAD_MAX << BATCH_TYPE_BITS | TYPE_MASK,
	FIELD_MAX = BATCH_FIELD_DATA,
};

int
batch_is_batch(const uint8_t *payload, size_t len)
{
	uint64_t tag;

	return wire_get(payload, payload + len, &tag) != NULL &&
	    tag == WIRE_TAG(ENVELOPE_FIELD_BATCH, WIRE_BYTES);
}

/* One field as it came. */
struct field {
	uint64_t	 number;
	unsigned	 wire_type;
	uint64_t	 value;		/* of a varint or fixed number */
	const uint8_t	*p, *end;	/* of bytes */
};

/* Take a field from p[0..end - p); returns one past it, or NULL. */
static const uint8_t *
take_field(const uint8_t *p, const uint8_t *end, struct field *f)
{
	uint64_t tag, len;
	size_t fixed;

	p = wire_get(p, end, &tag);
	if (p == NULL || tag > UINT32_MAX || tag >> 3 == 0)
		return NULL;
	*f = (struct field){ .number = tag >> 3, .wire_type = tag & 7 };
	switch (f->wire_type) {
	case WIRE_VARINT:
		return wire_get(p, end, &f->value);
	case WIRE_FIXED64:
	case WIRE_FIXED32:
		fixed = f->wire_type == WIRE_FIXED64 ? 8 : 4;
		if ((size_t)(end - p) < fixed)
			return NULL;
		f->value = fixed == 8 ? get_le64(p) : get_le32(p);
		return p + fixed;
	case WIRE_BYTES:
		p = wire_get(p, end, &len);
		if (p == NULL || len > (size_t)(end - p))
			return NULL;
		f->p = p;
		f->end = p + len;
		return f->end;
	default:			/* groups: long out of use */
		return NULL;
	}
}

/* The fields of Batch as they lie on the wire, not yet judged. */
struct fields {
	bool		 seen[FIELD_MAX + 1];
	uint64_t	 sequence, packets;
	int64_t		 base_time;
	struct batch_column columns[FIELD_MAX + 1];	/* p, end only */
};

static int
expected_wire_type(uint64_t number)
{
	switch (number) {
	case BATCH_FIELD_SEQUENCE:
	case BATCH_FIELD_PACKETS:
		return WIRE_VARINT;
	case BATCH_FIELD_BASE_TIME:
		return WIRE_FIXED64;
	case BATCH_FIELD_TIME_DELTA:
	case BATCH_FIELD_CAPTURED:
	case BATCH_FIELD_MISSING:
	case BATCH_FIELD_INTERFACE:
	case BATCH_FIELD_TYPE:
	case BATCH_FIELD_DATA:
		return WIRE_BYTES;
	default:
		return -1;
	}
}

static int
keep_field(struct fields *fs, const struct field *f)
{
	int want = expected_wire_type(f->number);

	if (want == -1)
		return E_OK;			/* of a later version */
	if (f->wire_type != (unsigned)want || fs->seen[f->number])
		return E_BADMSG;
	fs->seen[f->number] = true;
	fs->columns[f->number].p = f->p;
	fs->columns[f->number].end = f->end;
	if (f->number == BATCH_FIELD_SEQUENCE)
		fs->sequence = f->value;
	else if (f->number == BATCH_FIELD_PACKETS)
		fs->packets = f->value;
	else if (f->number == BATCH_FIELD_BASE_TIME)
		fs->base_time = (int64_t)f->value;
	return E_OK;
}

static int
split(struct fields *fs, const uint8_t *payload, size_t len)
{
	const uint8_t *p, *end = payload + len;
	struct field f;

	/* The envelope holds the batch and nothing else. */
	p = take_field(payload, end, &f);
	if (p != end || p == NULL || f.number != ENVELOPE_FIELD_BATCH ||
	    f.wire_type != WIRE_BYTES)
		return E_BADMSG;
	p = f.p;
	end = f.end;
	while (p != end) {
		p = take_field(p, end, &f);
		if (p == NULL || keep_field(fs, &f) != E_OK)
			return E_BADMSG;
	}
	return E_OK;
}

/* Are these want whole varints, each at most max? */
static int
check_column(struct batch_column *c, uint32_t want, uint64_t max)
{
	const uint8_t *p = c->p;
	uint64_t value;
	uint32_t n = 0;

	for (; p != c->end; n++) {
		p = wire_get(p, c->end, &value);
		if (p == NULL || value > max)
			return E_BADMSG;
	}
	c->n = n;
	return n == want ? E_OK : E_BADMSG;
}

/* The same for a column that may be absent (0) or have one entry for all. */
static int
check_alike_column(struct batch_column *c, uint32_t n_packets, uint64_t max,
    uint32_t *ret_value)
{
	uint64_t value;

	if (c->p == c->end) {
		c->n = 0;
		*ret_value = 0;
		return E_OK;
	}
	if (check_column(c, n_packets, max) == E_OK && n_packets > 1)
		return E_OK;
	if (check_column(c, 1, max) != E_OK)
		return E_BADMSG;
	wire_get_trusted(c->p, &value);
	*ret_value = (uint32_t)value;
	c->n = 0;
	return E_OK;
}

/* The column is in range as a whole; is the type inside? */
static int
check_types(const struct batch_reader *r)
{
	const uint8_t *p = r->type.p;
	uint64_t value;

	for (uint32_t i = 0; i < r->type.n; i++) {
		p = wire_get_trusted(p, &value);
		if ((value & TYPE_MASK) > BATCH_TYPE_MAX)
			return E_BADMSG;
	}
	return (r->type_value & TYPE_MASK) > BATCH_TYPE_MAX ? E_BADMSG : E_OK;
}

/* No original length may pass 32 bits; the captured lengths make up data. */
static int
check_lengths(const struct batch_reader *r)
{
	const uint8_t *cap = r->captured.p, *miss = r->missing.p;
	uint64_t captured, missing = 0, sum = 0;

	for (uint32_t i = 0; i < r->n_packets; i++) {
		cap = wire_get_trusted(cap, &captured);
		if (r->missing.n != 0)
			miss = wire_get_trusted(miss, &missing);
		if (captured + missing > UINT32_MAX)
			return E_BADMSG;
		sum += captured;
	}
	return sum == (size_t)(r->data_end - r->data) ? E_OK : E_BADMSG;
}

int
batch_reader_init(struct batch_reader *r, const uint8_t *payload, size_t len,
    uint32_t n_interfaces)
{
	struct batch_reader out;
	struct fields fs;
	uint32_t n;

	memset(&fs, 0, sizeof(fs));
	if (split(&fs, payload, len) != E_OK)
		return E_BADMSG;
	if (fs.sequence == 0 || fs.packets == 0 ||
	    fs.packets > PROTO_BATCH_PACKETS || n_interfaces == 0)
		return E_BADMSG;
	n = (uint32_t)fs.packets;
	if (!fs.seen[BATCH_FIELD_DATA]) {	/* all packets are empty */
		fs.columns[BATCH_FIELD_DATA].p = payload;
		fs.columns[BATCH_FIELD_DATA].end = payload;
	}

	out = (struct batch_reader){
		.sequence = fs.sequence,
		.n_packets = n,
		.time = fs.base_time,
		.data = fs.columns[BATCH_FIELD_DATA].p,
		.data_end = fs.columns[BATCH_FIELD_DATA].end,
		.time_delta = fs.columns[BATCH_FIELD_TIME_DELTA],
		.captured = fs.columns[BATCH_FIELD_CAPTURED],
		.missing = fs.columns[BATCH_FIELD_MISSING],
		.iface = fs.columns[BATCH_FIELD_INTERFACE],
		.type = fs.columns[BATCH_FIELD_TYPE],
	};
	if (check_column(&out.time_delta, n, UINT64_MAX) != E_OK ||
	    check_column(&out.captured, n, PACKET_MAX) != E_OK ||
	    check_alike_column(&out.iface, n, n_interfaces - 1,
	    &out.iface_value) != E_OK ||
	    check_alike_column(&out.type, n, TYPE_COLUMN_MAX,
	    &out.type_value) != E_OK)
		return E_BADMSG;
	if (out.missing.p != out.missing.end &&
	    check_column(&out.missing, n, UINT32_MAX) != E_OK)
		return E_BADMSG;
	if (check_types(&out) != E_OK || check_lengths(&out) != E_OK)
		return E_BADMSG;
	*r = out;
	return E_OK;
}

static inline uint64_t
column_next(struct batch_column *c)
{
	uint64_t value;

	c->p = wire_get_trusted(c->p, &value);
	return value;
}

int
batch_reader_next(struct batch_reader *r, struct packet_ref *ret_packet)
{
	struct packet_meta *meta = &ret_packet->meta;
	uint32_t type;
	uint64_t delta;

	if (r->next == r->n_packets)
		return 0;
	r->next++;

	/* Unsigned: a hostile sum of times may wrap. */
	delta = (uint64_t)wire_unzigzag(column_next(&r->time_delta));
	r->time = (int64_t)((uint64_t)r->time + delta);
	meta->time.ns = r->time;
	meta->captured_len = (uint32_t)column_next(&r->captured);
	meta->original_len = meta->captured_len;
	if (r->missing.n != 0)
		meta->original_len += (uint32_t)column_next(&r->missing);
	meta->iface = r->iface_value;
	if (r->iface.n != 0)
		meta->iface = (uint32_t)column_next(&r->iface);
	type = r->type_value;
	if (r->type.n != 0)
		type = (uint32_t)column_next(&r->type);
	meta->type = type & TYPE_MASK;
	meta->offload = (uint8_t)(type >> BATCH_TYPE_BITS);

	ret_packet->data = r->data;
	r->data += meta->captured_len;
	return 1;
}
