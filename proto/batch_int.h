/*
 * batch_int - field numbers of capture.proto that the hand-written halves of
 * batch share.
 */
#ifndef PROTO_BATCH_INT_H
#define PROTO_BATCH_INT_H

enum {
	ENVELOPE_FIELD_BATCH = 18,

	BATCH_FIELD_SEQUENCE = 1,
	BATCH_FIELD_PACKETS = 2,
	BATCH_FIELD_BASE_TIME = 3,
	BATCH_FIELD_TIME_DELTA = 4,
	BATCH_FIELD_CAPTURED = 5,
	BATCH_FIELD_MISSING = 6,
	BATCH_FIELD_INTERFACE = 7,
	BATCH_FIELD_TYPE = 8,
	BATCH_FIELD_DATA = 15,

	/* The type column: the packet's type, above it its offload bits. */
	BATCH_TYPE_BITS = 3,
	BATCH_TYPE_MAX = 4,
	BATCH_OFFLOAD_MAX = 7,
};

#endif /* PROTO_BATCH_INT_H */
