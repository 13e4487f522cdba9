#include "proto/codec_unpack_int.h"

#include <stdlib.h>
#include <string.h>

#include "proto/wire.h"

/*
 * What one message may make us allocate.  A message of PROTO_MAX_MESSAGE
 * bytes that is full of empty sub-messages takes protobuf-c some 77 times its
 * size; no message of use comes near.
 */
enum { DECODE_MEMORY_MAX = 16 << 20 };

static void *
pb_alloc(void *arena, size_t size)
{
	return arena_alloc(arena, size);
}

static void
pb_free(void *arena, void *p)
{
	(void)arena;
	(void)p;
}

void *
unpack_alloc_items(struct arena *arena, size_t n, size_t size)
{
	if (!arena_charge(arena, n * size))
		return NULL;
	return calloc(n, size);
}

int
unpack_alloc_failure(const struct arena *arena)
{
	return arena->is_exceeded ? E_BADMSG : E_NOMEM;
}

size_t
unpack_strlen(const char *s)
{
	return s == protobuf_c_empty_string ? 0 : arena_size_of(s) - 1;
}

int
unpack_string(const char *s, char *dst, size_t size, enum emptiness emptiness)
{
	size_t len = unpack_strlen(s);

	if (len >= size || strlen(s) != len ||
	    (len == 0 && emptiness == NOT_EMPTY))
		return E_BADMSG;
	memcpy(dst, s, len + 1);
	return E_OK;
}

static int
take_mac(const ProtobufCBinaryData *in, uint8_t mac[6], bool *ret_has_mac)
{
	if (in->len != 0 && in->len != 6)
		return E_BADMSG;
	if (in->len == 6)
		memcpy(mac, in->data, 6);
	*ret_has_mac = in->len == 6;
	return E_OK;
}

static int
take_addresses(struct arena *arena, char **in, size_t n,
    char (**ret_addresses)[64], uint32_t *ret_n)
{
	char (*addresses)[64];

	if (n > PROTO_MAX_ADDRESSES)
		return E_BADMSG;
	if (n == 0)
		return E_OK;
	addresses = unpack_alloc_items(arena, n, sizeof(*addresses));
	if (addresses == NULL)
		return unpack_alloc_failure(arena);
	*ret_addresses = addresses;
	*ret_n = (uint32_t)n;
	for (size_t i = 0; i < n; i++)
		if (UNPACK(in[i], addresses[i], NOT_EMPTY) != E_OK)
			return E_BADMSG;
	return E_OK;
}

/* A code of a later version still has its text; positive ones are none. */
static int
take_code(int32_t in, int *ret_code)
{
	if (in > 0)
		return E_BADMSG;
	*ret_code = err_is_code(in) ? in : E_BUG;
	return E_OK;
}

static int
take_error(const Capture__Error *in, struct msg_error *out)
{
	if (in->code == E_OK || take_code(in->code, &out->code) != E_OK)
		return E_BADMSG;
	return UNPACK(in->text, out->text, MAY_BE_EMPTY);
}

static int
take_hello(const Capture__Hello *in, struct msg_hello *out)
{
	out->version = in->version;
	if (in->version == 0 ||
	    UNPACK(in->program, out->program, MAY_BE_EMPTY) != E_OK ||
	    UNPACK(in->host, out->host, MAY_BE_EMPTY) != E_OK ||
	    UNPACK(in->os, out->os, MAY_BE_EMPTY) != E_OK)
		return E_BADMSG;
	return E_OK;
}

static int
take_interface(struct arena *arena, const Capture__Interface *in,
    struct msg_interface *out)
{
	if (in->index == 0 || in->link_type > UNPACK_LINK_TYPE_MAX)
		return E_BADMSG;
	out->index = in->index;
	out->link_type = in->link_type;
	out->is_up = in->up;
	out->is_running = in->running;
	out->is_loopback = in->loopback;
	if (UNPACK(in->name, out->name, NOT_EMPTY) != E_OK ||
	    UNPACK(in->description, out->description, MAY_BE_EMPTY) != E_OK ||
	    UNPACK(in->why_not, out->why_not, MAY_BE_EMPTY) != E_OK ||
	    take_mac(&in->mac, out->mac, &out->has_mac) != E_OK)
		return E_BADMSG;
	return take_addresses(arena, in->addresses, in->n_addresses,
	    &out->addresses, &out->n_addresses);
}

static int
take_interface_list(struct arena *arena, const Capture__InterfaceList *in,
    struct msg_interface_list *out)
{
	size_t n = in->n_interfaces;
	int code = E_OK;

	if (n > PROTO_MAX_INTERFACES)
		return E_BADMSG;
	if (n == 0)
		return E_OK;
	out->interfaces = unpack_alloc_items(arena, n, sizeof(*out->interfaces));
	if (out->interfaces == NULL)
		return unpack_alloc_failure(arena);
	out->n = (uint32_t)n;
	for (size_t i = 0; i < n && code == E_OK; i++)
		code = take_interface(arena, in->interfaces[i],
		    &out->interfaces[i]);
	return code;
}

static int
take_capture_interface(struct arena *arena, const Capture__CaptureInterface *in,
    struct msg_capture_interface *out)
{
	if (in->link_type > UNPACK_LINK_TYPE_MAX ||
	    UNPACK(in->name, out->name, NOT_EMPTY) != E_OK ||
	    UNPACK(in->description, out->description, MAY_BE_EMPTY) != E_OK ||
	    take_mac(&in->mac, out->mac, &out->has_mac) != E_OK)
		return E_BADMSG;
	out->index = in->index;
	out->link_type = in->link_type;
	out->is_promiscuous = in->promiscuous;
	return take_addresses(arena, in->addresses, in->n_addresses,
	    &out->addresses, &out->n_addresses);
}

static int
take_started(struct arena *arena, const Capture__Started *in,
    struct msg_started *out)
{
	size_t n = in->n_interfaces;
	int code = E_OK;

	if (n == 0 || n > PROTO_MAX_INTERFACES || in->snaplen == 0 ||
	    in->snaplen > PROTO_MAX_SNAPLEN ||
	    UNPACK(in->notes, out->notes, MAY_BE_EMPTY) != E_OK)
		return E_BADMSG;
	out->snaplen = in->snaplen;
	out->ring_bytes = in->ring_bytes;
	out->log_bytes = in->log_bytes;
	out->start.ns = in->start_time_ns;
	out->interfaces = unpack_alloc_items(arena, n, sizeof(*out->interfaces));
	if (out->interfaces == NULL)
		return unpack_alloc_failure(arena);
	out->n_interfaces = (uint32_t)n;
	for (size_t i = 0; i < n && code == E_OK; i++)
		code = take_capture_interface(arena, in->interfaces[i],
		    &out->interfaces[i]);
	return code;
}

static int
take_gap(const Capture__Gap *in, struct msg_gap *out)
{
	if (in->first_sequence == 0 ||
	    in->last_sequence < in->first_sequence ||
	    in->reason != GAP_LOG_FULL)
		return E_BADMSG;
	*out = (struct msg_gap){
		.first_sequence = in->first_sequence,
		.last_sequence = in->last_sequence,
		.packets = in->packets,
		.bytes = in->bytes,
		.first = { in->first_time_ns },
		.last = { in->last_time_ns },
		.reason = GAP_LOG_FULL,
	};
	return E_OK;
}

static int
take_stats(struct arena *arena, const Capture__Stats *in, struct msg_stats *out)
{
	size_t n = in->n_interfaces;

	out->lost_packets = in->lost_packets;
	out->lost_bytes = in->lost_bytes;
	if (n > PROTO_MAX_INTERFACES)
		return E_BADMSG;
	if (n == 0)
		return E_OK;
	out->interfaces = unpack_alloc_items(arena, n, sizeof(*out->interfaces));
	if (out->interfaces == NULL)
		return unpack_alloc_failure(arena);
	out->n_interfaces = (uint32_t)n;
	for (size_t i = 0; i < n; i++)
		out->interfaces[i] = (struct msg_interface_stats){
			.received = in->interfaces[i]->received,
			.dropped_kernel = in->interfaces[i]->dropped_kernel,
			.dropped_interface = in->interfaces[i]->dropped_interface,
			.batched = in->interfaces[i]->batched,
			.dropped_agent = in->interfaces[i]->dropped_agent,
		};
	return E_OK;
}

static int
take_ended(struct arena *arena, const Capture__Ended *in, struct msg_ended *out)
{
	if (take_code(in->code, &out->code) != E_OK ||
	    UNPACK(in->text, out->text, MAY_BE_EMPTY) != E_OK)
		return E_BADMSG;
	out->last_sequence = in->last_sequence;
	if (in->stats == NULL)
		return E_OK;
	return take_stats(arena, in->stats, &out->stats);
}

static void
take_pong(const Capture__Pong *in, struct msg_pong *out)
{
	out->client_time_ns = in->client_time_ns;
	out->received_ns = in->received_ns;
	out->sent_ns = in->sent_ns;
}

/* body is what protobuf-c made of the message named by out->type. */
static int
take(struct arena *arena, const ProtobufCMessage *body, struct msg *out)
{
	const void *in = body;

	switch (out->type) {
	case MSG_ERROR:
		return take_error(in, &out->error);
	case MSG_HELLO:
		return take_hello(in, &out->hello);
	case MSG_START:
		return unpack_start(arena, in, &out->start);
	case MSG_INTERFACE_LIST:
		return take_interface_list(arena, in, &out->interface_list);
	case MSG_STARTED:
		return take_started(arena, in, &out->started);
	case MSG_GAP:
		return take_gap(in, &out->gap);
	case MSG_STATS:
		return take_stats(arena, in, &out->stats);
	case MSG_ENDED:
		return take_ended(arena, in, &out->ended);
	case MSG_ACK:
		out->ack.sequence = ((const Capture__Ack *)in)->sequence;
		return E_OK;
	case MSG_PING:
		out->ping.client_time_ns =
		    ((const Capture__Ping *)in)->client_time_ns;
		return E_OK;
	case MSG_PONG:
		take_pong(in, &out->pong);
		return E_OK;
	case MSG_NOTE:
		return UNPACK(((const Capture__Note *)in)->text, out->note.text,
		    NOT_EMPTY);
	case MSG_LIST_REQUEST:
	case MSG_STOP:
		return E_OK;
	case MSG_PACKET_BATCH:
		break;
	}
	return E_STATE;
}

/* NULL for a type that is unknown, or not decoded here. */
static const ProtobufCMessageDescriptor *
descriptor_of(uint64_t type)
{
	switch (type) {
	case MSG_ERROR:		return &capture__error__descriptor;
	case MSG_HELLO:		return &capture__hello__descriptor;
	case MSG_LIST_REQUEST:	return &capture__list_request__descriptor;
	case MSG_START:		return &capture__start__descriptor;
	case MSG_ACK:		return &capture__ack__descriptor;
	case MSG_STOP:		return &capture__stop__descriptor;
	case MSG_PING:		return &capture__ping__descriptor;
	case MSG_INTERFACE_LIST: return &capture__interface_list__descriptor;
	case MSG_STARTED:	return &capture__started__descriptor;
	case MSG_GAP:		return &capture__gap__descriptor;
	case MSG_STATS:		return &capture__stats__descriptor;
	case MSG_ENDED:		return &capture__ended__descriptor;
	case MSG_PONG:		return &capture__pong__descriptor;
	case MSG_NOTE:		return &capture__note__descriptor;
	default:		return NULL;
	}
}

/* The envelope holds one body and nothing else. */
static int
open_envelope(const uint8_t *payload, size_t len, uint64_t *ret_type,
    const uint8_t **ret_body, size_t *ret_len)
{
	const uint8_t *p, *end = payload + len;
	uint64_t tag, body_len;

	p = wire_get(payload, end, &tag);
	if (p == NULL || (tag & 7) != WIRE_BYTES || tag > UINT32_MAX ||
	    tag >> 3 == 0)
		return E_BADMSG;
	p = wire_get(p, end, &body_len);
	if (p == NULL || body_len != (size_t)(end - p))
		return E_BADMSG;
	*ret_type = tag >> 3;
	*ret_body = p;
	*ret_len = (size_t)body_len;
	return E_OK;
}

int
codec_unpack(const uint8_t *payload, size_t len, struct msg *ret_msg)
{
	struct arena arena = { .limit = DECODE_MEMORY_MAX };
	ProtobufCAllocator allocator = { pb_alloc, pb_free, &arena };
	const ProtobufCMessageDescriptor *descriptor;
	ProtobufCMessage *body;
	const uint8_t *p;
	struct msg msg;
	uint64_t type;
	int code;

	code = open_envelope(payload, len, &type, &p, &len);
	if (code != E_OK)
		return code;
	descriptor = descriptor_of(type);
	if (descriptor == NULL)
		return E_STATE;

	memset(&msg, 0, sizeof(msg));
	msg.type = (enum msg_type)type;
	body = protobuf_c_message_unpack(descriptor, &allocator, len, p);
	if (body != NULL)
		code = take(&arena, body, &msg);
	else
		code = arena.is_out_of_memory ? E_NOMEM : E_BADMSG;
	arena_release(&arena);
	if (code == E_OK)
		*ret_msg = msg;
	else
		msg_free(&msg);
	return code;
}
