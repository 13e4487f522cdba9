/*
 * Any payload decodes or gives a code; what decodes can be encoded again, and
 * that decodes too.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/codec.h"
#include "proto/frame.h"
#include "tests/fuzz/fuzz.h"

static void
decode_again(const uint8_t *frame, size_t len)
{
	struct frame_reader *reader = frame_reader_new(PROTO_MAX_MESSAGE);
	const uint8_t *payload;
	uint32_t payload_len;
	uint8_t *space;
	struct msg msg;
	size_t room;

	if (reader == NULL)
		return;
	space = frame_reader_space(reader, &room);
	if (len > room)
		abort();
	memcpy(space, frame, len);
	frame_reader_commit(reader, len);
	if (frame_reader_next(reader, &payload, &payload_len) != E_OK ||
	    codec_unpack(payload, payload_len, &msg) != E_OK)
		abort();
	msg_free(&msg);
	frame_reader_free(reader);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *frame;
	size_t len;
	struct msg msg;

	if (codec_unpack(data, size, &msg) != E_OK)
		return 0;
	if (codec_pack(&msg, &frame, &len) != E_OK)
		abort();
	msg_free(&msg);
	decode_again(frame, len);
	free(frame);
	return 0;
}
