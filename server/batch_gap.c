#include "server/batch_gap.h"

#include <stdlib.h>

#include "proto/limits.h"

/* The frame's payload stands behind a varint of its length. */
static int
read_batch(const struct batch *batch, struct batch_reader *ret_reader)
{
	size_t at = 0;

	while (at < batch->frame_len && (batch->frame[at] & 0x80) != 0)
		at++;
	at++;
	if (at >= batch->frame_len)
		return E_BUG;
	return batch_reader_init(ret_reader, batch->frame + at,
	    batch->frame_len - at, PROTO_MAX_INTERFACES);
}

static uint32_t
count_interfaces(struct batch_reader r)
{
	struct packet_ref packet;
	uint32_t n = 0;

	while (batch_reader_next(&r, &packet))
		if (packet.meta.iface >= n)
			n = packet.meta.iface + 1;
	return n;
}

void
batch_gap_of(const struct batch *batch, enum gap_reason reason,
    struct msg_gap *ret_gap)
{
	struct batch_reader r;
	struct packet_ref packet;

	*ret_gap = (struct msg_gap){
		.first_sequence = batch->sequence,
		.last_sequence = batch->sequence,
		.packets = batch->n_packets,
		.bytes = batch->data_bytes,
		.first = batch->first,
		.last = batch->last,
		.reason = reason,
	};
	if (read_batch(batch, &r) != E_OK)
		return;
	ret_gap->n_interfaces = count_interfaces(r);
	ret_gap->by_interface = calloc(ret_gap->n_interfaces,
	    sizeof(*ret_gap->by_interface));
	if (ret_gap->by_interface == NULL) {
		ret_gap->n_interfaces = 0;
		return;
	}
	while (batch_reader_next(&r, &packet))
		ret_gap->by_interface[packet.meta.iface]++;
}

/* The longer array has room for both. */
static void
join_interfaces(struct msg_gap *gap, struct msg_gap *more)
{
	struct msg_gap shorter = *more;

	if (gap->n_interfaces < more->n_interfaces) {
		shorter = *gap;
		gap->by_interface = more->by_interface;
		gap->n_interfaces = more->n_interfaces;
	}
	for (uint32_t i = 0; i < shorter.n_interfaces; i++)
		gap->by_interface[i] += shorter.by_interface[i];
	free(shorter.by_interface);
	more->by_interface = NULL;
	more->n_interfaces = 0;
}

void
batch_gap_join(struct msg_gap *gap, struct msg_gap *more)
{
	gap->last_sequence = more->last_sequence;
	gap->packets += more->packets;
	gap->bytes += more->bytes;
	if (more->first.ns < gap->first.ns)
		gap->first = more->first;
	if (more->last.ns > gap->last.ns)
		gap->last = more->last;
	join_interfaces(gap, more);
}

void
batch_gap_fini(struct msg_gap *gap)
{
	free(gap->by_interface);
	gap->by_interface = NULL;
	gap->n_interfaces = 0;
}
