/*
 * batch - the hot message: packets as columns, their bytes last.
 *
 * Built in capagent-net, taken apart in capclient (on hostile input).  Hand
 * written against capture.proto's Envelope and Batch, because protobuf-c
 * would copy every byte; any protobuf library can read the result.  Knows
 * nothing of rings, sockets or files.
 */
#ifndef PROTO_BATCH_H
#define PROTO_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/err.h"

/* What the sensor's interface or kernel left to do, or has done. */
enum {
	PACKET_CSUM_NOT_READY = 1,	/* sent: the adapter fills it in */
	PACKET_CSUM_VALID = 2,		/* received: verified already */
	PACKET_GSO = 4,			/* several packets on the wire */
};

/* What is known of one packet besides its bytes. */
struct packet_meta {
	struct wall_ns	 time;
	uint32_t	 captured_len;	/* bytes present */
	uint32_t	 original_len;	/* bytes on the wire, >= captured_len */
	uint32_t	 iface;		/* counts Started's and added interfaces */
	uint8_t		 type;		/* PACKET_HOST .. PACKET_OUTGOING, 0..4 */
	uint8_t		 offload;	/* PACKET_CSUM_NOT_READY ..., together 0..7 */
};

/* --- building --- */

/* The one open batch of a capture; used over and over. */
struct batch_builder;

/*
 * A sealed batch: immutable, reference-counted (not atomically: it lives in
 * one thread), holds the complete frame as it goes on the wire.
 */
struct batch {
	unsigned	 refs;
	uint64_t	 sequence;
	uint32_t	 n_packets;
	uint64_t	 data_bytes;	/* sum of captured lengths */
	struct wall_ns	 first, last;	/* smallest and largest packet time */
	size_t		 frame_len;
	const uint8_t	*frame;		/* frame header, envelope, all */
	size_t		 mem_bytes;	/* what it costs in memory, all in */
};

/* NULL when out of memory. */
struct batch_builder *batch_builder_new(void);
void batch_builder_free(struct batch_builder *b);

/*
 * Add a packet: returns where its captured_len bytes must be written before
 * the next call, or NULL when it does not fit (PROTO_BATCH_DATA,
 * PROTO_BATCH_PACKETS): seal and try again.  An empty builder takes every
 * packet up to PROTO_MAX_SNAPLEN + PROTO_MAX_LINK_EXTRA bytes.
 */
uint8_t *batch_builder_add(struct batch_builder *b, const struct packet_meta *meta);

uint32_t batch_builder_count(const struct batch_builder *b);

/*
 * Close the open batch under this sequence number and empty the builder.  A
 * batch that fills little of its buffer moves into one of its own size, so
 * that what the log counts is what memory holds.  The caller owns one
 * reference.  NULL when out of memory (the builder is left as it was).
 */
struct batch *batch_builder_seal(struct batch_builder *b, uint64_t sequence);

struct batch *batch_ref(struct batch *batch);
void batch_unref(struct batch *batch);		/* NULL is allowed */

/* --- taking apart --- */

struct packet_ref {
	struct packet_meta meta;
	const uint8_t	*data;
};

/* A cursor over a received batch; plain data, owned by the caller. */
struct batch_reader {
	uint64_t	 sequence;
	uint32_t	 n_packets;
	uint32_t	 next;			/* packets taken so far */
	int64_t		 time;
	const uint8_t	*data, *data_end;
	struct batch_column { const uint8_t *p, *end; uint32_t n; }
			 time_delta, captured, missing, iface, type;
	uint32_t	 iface_value, type_value;
};

/*
 * Is the payload of this frame an Envelope that holds a Batch?  Looks at
 * the first tag only; everything else is codec_unpack()'s.
 */
int batch_is_batch(const uint8_t *payload, size_t len);

/*
 * Check the whole batch (every column's count, every length, the sum against
 * the data, interface < n_interfaces, type and offload) and set up r to walk it.
 * Afterwards batch_reader_next() cannot fail.  payload is borrowed and must
 * outlive r.  E_BADMSG.
 */
int batch_reader_init(struct batch_reader *r, const uint8_t *payload,
    size_t len, uint32_t n_interfaces) MUST_CHECK;

/* The next packet; 1, or 0 after the last. */
int batch_reader_next(struct batch_reader *r, struct packet_ref *ret_packet);

#endif /* PROTO_BATCH_H */
