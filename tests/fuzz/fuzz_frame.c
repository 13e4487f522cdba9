/* Any byte stream, in any chunks, gives frames within bounds or an error. */
#include <stdlib.h>
#include <string.h>

#include "proto/frame.h"
#include "tests/fuzz/fuzz.h"

enum { MAX_PAYLOAD = 512 };

static size_t
feed(struct frame_reader *r, const uint8_t *data, size_t len, size_t chunk)
{
	size_t room;
	uint8_t *space = frame_reader_space(r, &room);

	if (chunk > len)
		chunk = len;
	if (chunk > room)
		chunk = room;
	memcpy(space, data, chunk);
	frame_reader_commit(r, chunk);
	return chunk;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame_reader *r = frame_reader_new(MAX_PAYLOAD);
	const uint8_t *payload;
	uint32_t len;
	size_t at = 0, chunk = size > 0 ? (size_t)data[0] % 7 + 1 : 1;
	int rc = E_AGAIN;

	if (r == NULL)
		return 0;
	while (at < size) {
		at += feed(r, data + at, size - at, chunk);
		while ((rc = frame_reader_next(r, &payload, &len)) == E_OK)
			if (len == 0 || len > MAX_PAYLOAD)
				abort();
		if (rc != E_AGAIN)
			break;
	}
	frame_reader_free(r);
	return 0;
}
