/* A batch that passes the check can be walked, within its bytes. */
#include <stdlib.h>

#include "proto/batch.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct batch_reader r;
	struct packet_ref packet;
	uint64_t sum = 0;
	uint32_t n = 0;

	if (batch_reader_init(&r, data, size, 2) != E_OK)
		return 0;
	while (batch_reader_next(&r, &packet)) {
		if (packet.data < data ||
		    packet.data + packet.meta.captured_len > data + size ||
		    packet.meta.original_len < packet.meta.captured_len ||
		    packet.meta.iface >= 2 || packet.meta.type > 4 ||
		    packet.meta.offload > 7)
			abort();
		for (uint32_t i = 0; i < packet.meta.captured_len; i++)
			sum += packet.data[i];
		n++;
	}
	if (n != r.n_packets)
		abort();
	return (int)(sum & 0);
}
