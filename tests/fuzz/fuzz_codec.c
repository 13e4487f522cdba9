/* Any payload decodes or gives a code; what decodes can be encoded again. */
#include <stdlib.h>

#include "proto/codec.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *frame;
	size_t len;
	struct msg msg;

	if (codec_unpack(data, size, &msg) != E_OK)
		return 0;
	if (codec_pack(&msg, &frame, &len) == E_OK)
		free(frame);
	msg_free(&msg);
	return 0;
}
