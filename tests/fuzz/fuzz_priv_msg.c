/* Any message at the boundary passes the check or is refused. */
#include <string.h>

#include "server/priv_msg.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static union priv_msg msg;
	struct err err;

	if (size < 1 || size - 1 > sizeof(msg))
		return 0;
	memset(&msg, 0, sizeof(msg));
	memcpy(&msg, data + 1, size - 1);
	/* A fuzzer cannot guess this one. */
	msg.hdr.build_id = priv_build_id();
	if (priv_msg_check(&msg, size - 1, (data[0] & 1) != 0, &err) == E_OK &&
	    priv_msg_size(msg.hdr.type) != size - 1)
		__builtin_trap();
	return 0;
}
