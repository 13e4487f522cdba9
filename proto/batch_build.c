#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "proto/batch.h"
#include "proto/batch_int.h"
#include "proto/frame.h"
#include "proto/limits.h"
#include "proto/wire.h"

enum {
	/* The most that one packet adds to the columns: 10 + 3 + 5 + 2 + 1. */
	PACKET_COLUMNS_MAX = 21,

	/*
	 * What the columns of one batch may grow to: 8 bytes for each of the
	 * most packets, twice what live traffic needs.  Fewer packets fit
	 * when their times or lengths jump about.
	 */
	COLUMNS_MAX = 8 * PROTO_BATCH_PACKETS,

	/*
	 * In front of the columns: frame header, envelope and all of Batch
	 * that is not a packet's, each number at its longest.
	 */
	FIXED_MAX = 128,

	HEADROOM = FIXED_MAX + COLUMNS_MAX,

	/* A larger packet than PROTO_BATCH_DATA makes a batch of its own. */
	PACKET_MAX = PROTO_MAX_SNAPLEN + PROTO_MAX_LINK_EXTRA,
	DATA_MAX = PACKET_MAX > PROTO_BATCH_DATA ? PACKET_MAX : PROTO_BATCH_DATA,

	BUFFER_LEN = HEADROOM + DATA_MAX,
};

_Static_assert((int)BUFFER_LEN < (int)PROTO_MAX_MESSAGE, "a batch is a message");
_Static_assert(PROTO_MAX_INTERFACES <= 1 << 14, "two bytes in the column");
_Static_assert(PACKET_MAX < 1 << 21, "three bytes in the column");

/* A batch and its buffer in one allocation. */
struct batch_mem {
	struct batch	 batch;
	uint8_t		 buf[];
};

/* Encoded while packets come, copied in front of the data at the end. */
struct column {
	uint8_t		*end;
	uint8_t		*start;
};

struct batch_builder {
	struct batch_mem *mem;
	uint32_t	 n_packets;
	size_t		 data_len;
	size_t		 columns_len;
	int64_t		 base, previous, first, last;
	uint32_t	 iface_value, type_value, iface_diff, type_diff;
	uint32_t	 missing_any;
	struct column	 delta, captured, missing, iface, type;
	uint8_t		 columns[];
};

static void
reset(struct batch_builder *b)
{
	b->n_packets = 0;
	b->data_len = 0;
	b->columns_len = 0;
	b->iface_diff = b->type_diff = b->missing_any = 0;
	b->delta.end = b->delta.start;
	b->captured.end = b->captured.start;
	b->missing.end = b->missing.start;
	b->iface.end = b->iface.start;
	b->type.end = b->type.start;
}

/* A batch that must go in one piece is filled before it is known how far. */
static struct batch_mem *
buffer_new(void)
{
	return malloc(sizeof(struct batch_mem) + BUFFER_LEN);
}

struct batch_builder *
batch_builder_new(void)
{
	enum { N = PROTO_BATCH_PACKETS };
	struct batch_builder *b;
	uint8_t *p;

	b = malloc(sizeof(*b) + (size_t)PACKET_COLUMNS_MAX * N);
	if (b == NULL)
		return NULL;
	memset(b, 0, sizeof(*b));
	b->mem = buffer_new();
	if (b->mem == NULL) {
		free(b);
		return NULL;
	}
	p = b->columns;
	b->delta.start = p;
	b->captured.start = p += WIRE_VARINT_MAX * N;
	b->missing.start = p += 3 * N;
	b->iface.start = p += 5 * N;
	b->type.start = p += 2 * N;
	reset(b);
	return b;
}

void
batch_builder_free(struct batch_builder *b)
{
	if (b == NULL)
		return;
	free(b->mem);
	free(b);
}

static inline void
column_add(struct batch_builder *b, struct column *column, uint64_t value)
{
	uint8_t *end = wire_put(column->end, value);

	b->columns_len += (size_t)(end - column->end);
	column->end = end;
}

uint8_t *
batch_builder_add(struct batch_builder *b, const struct packet_meta *meta)
{
	uint32_t missing = meta->original_len - meta->captured_len;
	uint32_t type = meta->type | (uint32_t)meta->offload << BATCH_TYPE_BITS;
	int64_t time = meta->time.ns;
	uint8_t *data;

	if (b->n_packets == 0) {
		if (meta->captured_len > PACKET_MAX)
			return NULL;
		b->base = b->previous = b->first = b->last = time;
		b->iface_value = meta->iface;
		b->type_value = type;
	} else if (b->n_packets == PROTO_BATCH_PACKETS ||
	    b->data_len + meta->captured_len > PROTO_BATCH_DATA ||
	    b->columns_len + PACKET_COLUMNS_MAX > COLUMNS_MAX) {
		return NULL;
	}

	column_add(b, &b->delta, wire_zigzag(
	    (int64_t)((uint64_t)time - (uint64_t)b->previous)));
	column_add(b, &b->captured, meta->captured_len);
	column_add(b, &b->missing, missing);
	column_add(b, &b->iface, meta->iface);
	column_add(b, &b->type, type);

	b->previous = time;
	b->first = time < b->first ? time : b->first;
	b->last = time > b->last ? time : b->last;
	b->missing_any |= missing;
	b->iface_diff |= meta->iface ^ b->iface_value;
	b->type_diff |= type ^ b->type_value;

	data = b->mem->buf + HEADROOM + b->data_len;
	b->data_len += meta->captured_len;
	b->n_packets++;
	return data;
}

uint32_t
batch_builder_count(const struct batch_builder *b)
{
	return b->n_packets;
}

static uint8_t *
put_column(uint8_t *p, uint32_t field, const struct column *column)
{
	size_t len = (size_t)(column->end - column->start);

	p = wire_put(p, WIRE_TAG(field, WIRE_BYTES));
	p = wire_put(p, len);
	memcpy(p, column->start, len);
	return p + len;
}

/* A column in which all packets are alike has one entry, or none for 0. */
static uint8_t *
put_alike(uint8_t *p, uint32_t field, uint32_t value)
{
	struct column column;
	uint8_t entry[WIRE_VARINT_MAX];

	if (value == 0)
		return p;
	column.start = entry;
	column.end = wire_put(entry, value);
	return put_column(p, field, &column);
}

/* All of Batch but the bytes themselves. */
static uint8_t *
put_head(uint8_t *p, const struct batch_builder *b, uint64_t sequence)
{
	p = wire_put(p, WIRE_TAG(BATCH_FIELD_SEQUENCE, WIRE_VARINT));
	p = wire_put(p, sequence);
	p = wire_put(p, WIRE_TAG(BATCH_FIELD_PACKETS, WIRE_VARINT));
	p = wire_put(p, b->n_packets);
	p = wire_put(p, WIRE_TAG(BATCH_FIELD_BASE_TIME, WIRE_FIXED64));
	put_le64(p, (uint64_t)b->base);
	p += 8;
	p = put_column(p, BATCH_FIELD_TIME_DELTA, &b->delta);
	p = put_column(p, BATCH_FIELD_CAPTURED, &b->captured);
	if (b->missing_any != 0)
		p = put_column(p, BATCH_FIELD_MISSING, &b->missing);
	if (b->iface_diff != 0)
		p = put_column(p, BATCH_FIELD_INTERFACE, &b->iface);
	else
		p = put_alike(p, BATCH_FIELD_INTERFACE, b->iface_value);
	if (b->type_diff != 0)
		p = put_column(p, BATCH_FIELD_TYPE, &b->type);
	else
		p = put_alike(p, BATCH_FIELD_TYPE, b->type_value);
	p = wire_put(p, WIRE_TAG(BATCH_FIELD_DATA, WIRE_BYTES));
	return wire_put(p, b->data_len);
}

/*
 * Encode everything that stands in front of the data, so that it ends where
 * the data begins; returns where it starts.  The head is made where the
 * headroom begins and then moved up: its length is not known before.
 */
static uint8_t *
encode_front(struct batch_builder *b, uint64_t sequence)
{
	uint8_t *room = b->mem->buf, *data = room + HEADROOM;
	uint8_t front[FRAME_HDR_MAX + 2 * WIRE_VARINT_MAX];
	uint8_t body[WIRE_VARINT_MAX * 2], *p;
	size_t head_len, body_hdr_len, hdr_len;
	uint64_t body_len;

	head_len = (size_t)(put_head(room, b, sequence) - room);
	body_len = head_len + b->data_len;
	p = wire_put(body, WIRE_TAG(ENVELOPE_FIELD_BATCH, WIRE_BYTES));
	p = wire_put(p, body_len);
	body_hdr_len = (size_t)(p - body);
	hdr_len = frame_put_header(front, (uint32_t)(body_hdr_len + body_len));
	memcpy(front + hdr_len, body, body_hdr_len);
	hdr_len += body_hdr_len;

	p = data - head_len;
	memmove(p, room, head_len);
	p -= hdr_len;
	memcpy(p, front, hdr_len);
	return p;
}

struct batch *
batch_builder_seal(struct batch_builder *b, uint64_t sequence)
{
	struct batch_mem *sealed, *fresh;
	uint8_t *frame = encode_front(b, sequence);
	size_t frame_len = (size_t)(b->mem->buf + HEADROOM - frame) + b->data_len;
	size_t mem_bytes;

	if (frame_len < BUFFER_LEN / 2) {
		mem_bytes = sizeof(*sealed) + frame_len;
		sealed = malloc(mem_bytes);
		if (sealed == NULL)
			return NULL;
		frame = memcpy(sealed->buf, frame, frame_len);
	} else {
		mem_bytes = sizeof(*sealed) + BUFFER_LEN;
		fresh = buffer_new();
		if (fresh == NULL)
			return NULL;
		sealed = b->mem;
		b->mem = fresh;
	}
	sealed->batch = (struct batch){
		.refs = 1,
		.sequence = sequence,
		.n_packets = b->n_packets,
		.data_bytes = b->data_len,
		.first = { b->first },
		.last = { b->last },
		.frame_len = frame_len,
		.frame = frame,
		.mem_bytes = mem_bytes,
	};
	reset(b);
	return &sealed->batch;
}

struct batch *
batch_ref(struct batch *batch)
{
	batch->refs++;
	return batch;
}

void
batch_unref(struct batch *batch)
{
	if (batch != NULL && --batch->refs == 0)
		free(batch);		/* the first member of its batch_mem */
}
