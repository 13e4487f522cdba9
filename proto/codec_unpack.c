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

int
unpack_code(int32_t in, int *ret_code)
{
	if (in > 0)
		return E_BADMSG;
	*ret_code = err_is_code(in) ? in : E_BUG;
	return E_OK;
}

static int
take_error(const Capture__Error *in, struct msg_error *out)
{
	if (in->code == E_OK || unpack_code(in->code, &out->code) != E_OK)
		return E_BADMSG;
	return UNPACK(in->text, out->text, MAY_BE_EMPTY);
}

static int
take_hello(const Capture__Hello *in, struct msg_hello *out)
{
	out->version = in->version;
	out->instance = in->instance;
	if (in->version == 0 ||
	    UNPACK(in->program, out->program, MAY_BE_EMPTY) != E_OK ||
	    UNPACK(in->host, out->host, MAY_BE_EMPTY) != E_OK ||
	    UNPACK(in->os, out->os, MAY_BE_EMPTY) != E_OK)
		return E_BADMSG;
	return E_OK;
}

static int
take_gap_counts(struct arena *arena, const Capture__Gap *in, struct msg_gap *out)
{
	size_t n = in->n_interface_packets;
	uint64_t left = in->packets;

	if (n > PROTO_MAX_INTERFACES)
		return E_BADMSG;
	if (n == 0)
		return E_OK;
	out->by_interface = unpack_alloc_items(arena, n, sizeof(*out->by_interface));
	if (out->by_interface == NULL)
		return unpack_alloc_failure(arena);
	out->n_interfaces = (uint32_t)n;
	for (size_t i = 0; i < n; i++) {
		if (in->interface_packets[i] > left)
			return E_BADMSG;
		left -= in->interface_packets[i];
		out->by_interface[i] = in->interface_packets[i];
	}
	return E_OK;
}

static int
take_gap(struct arena *arena, const Capture__Gap *in, struct msg_gap *out)
{
	if (in->first_sequence == 0 ||
	    in->last_sequence < in->first_sequence ||
	    in->reason < GAP_LOG_FULL || in->reason > GAP_DISCONNECTED)
		return E_BADMSG;
	*out = (struct msg_gap){
		.first_sequence = in->first_sequence,
		.last_sequence = in->last_sequence,
		.packets = in->packets,
		.bytes = in->bytes,
		.first = { in->first_time_ns },
		.last = { in->last_time_ns },
		.reason = (enum gap_reason)in->reason,
	};
	return take_gap_counts(arena, in, out);
}

int
unpack_token(const ProtobufCBinaryData *in, struct capture_token *out)
{
	if (in->len != sizeof(out->bytes))
		return E_BADMSG;
	memcpy(out->bytes, in->data, sizeof(out->bytes));
	return E_OK;
}

bool
unpack_is_heartbeat(uint32_t ms)
{
	return ms >= PROTO_HEARTBEAT_MIN_MS && ms <= PROTO_HEARTBEAT_MAX_MS;
}

static int
take_resume(const Capture__Resume *in, struct msg_resume *out)
{
	if (in->next_sequence == 0)
		return E_BADMSG;
	out->capture_id = in->capture_id;
	out->next_sequence = in->next_sequence;
	out->announcements = in->announcements;
	return unpack_token(&in->token, &out->token);
}

static int
take_event(const Capture__Event *in, struct msg_event *out)
{
	bool is_known = in->kind >= CAPTURE_EVENT_DOWN &&
	    in->kind <= CAPTURE_EVENT_OTHER;

	if (in->sequence == 0 || (in->interface >= PROTO_MAX_INTERFACES &&
	    in->interface != CAPTURE_EVENT_WHOLE))
		return E_BADMSG;
	out->sequence = in->sequence;
	out->time.ns = in->time_ns;
	out->kind = is_known ? (enum capture_event)in->kind : CAPTURE_EVENT_OTHER;
	out->iface = in->interface;
	return UNPACK(in->text, out->text, NOT_EMPTY);
}

static int
take_need_programs(const Capture__NeedPrograms *in,
    struct msg_need_programs *out)
{
	size_t n = in->n_link_types;

	if (n == 0 || n > PROTO_MAX_PROGRAMS)
		return E_BADMSG;
	for (size_t i = 0; i < n; i++) {
		if (in->link_types[i] > UNPACK_LINK_TYPE_MAX)
			return E_BADMSG;
		for (size_t k = 0; k < i; k++)
			if (in->link_types[k] == in->link_types[i])
				return E_BADMSG;
		out->link_types[i] = in->link_types[i];
	}
	out->n = (uint32_t)n;
	return E_OK;
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
take_plain(const void *in, struct msg *out)
{
	switch (out->type) {
	case MSG_ERROR:
		return take_error(in, &out->error);
	case MSG_HELLO:
		return take_hello(in, &out->hello);
	case MSG_RESUME:
		return take_resume(in, &out->resume);
	case MSG_EVENT:
		return take_event(in, &out->event);
	case MSG_NEED_PROGRAMS:
		return take_need_programs(in, &out->need_programs);
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
	case MSG_STOP:
		out->stop.now = ((const Capture__Stop *)in)->now;
		return E_OK;
	case MSG_WATERMARK:
		out->watermark.sequence = ((const Capture__Watermark *)in)->sequence;
		out->watermark.time.ns = ((const Capture__Watermark *)in)->time_ns;
		return E_OK;
	case MSG_LIST_REQUEST:
		return E_OK;
	default:
		return E_STATE;
	}
}

/* The same, with those that own memory. */
static int
take(struct arena *arena, const ProtobufCMessage *body, struct msg *out)
{
	const void *in = body;

	switch (out->type) {
	case MSG_START:
		return unpack_start(arena, in, &out->start);
	case MSG_UPDATE_FILTER:
		return unpack_update_filter(arena, in, &out->update_filter);
	case MSG_INTERFACE_LIST:
		return unpack_interface_list(arena, in, &out->interface_list);
	case MSG_STARTED:
		return unpack_started(arena, in, &out->started);
	case MSG_STATS:
		return unpack_stats(arena, in, &out->stats);
	case MSG_ENDED:
		return unpack_ended(arena, in, &out->ended);
	case MSG_PLAN:
		return unpack_plan(arena, in, &out->plan);
	case MSG_FILTER_CHANGED:
		return unpack_filter_changed(arena, in, &out->filter_changed);
	case MSG_INTERFACE_ADDED:
		return unpack_interface_added(arena, in, &out->interface_added);
	case MSG_GAP:
		return take_gap(arena, in, &out->gap);
	default:
		return take_plain(in, out);
	}
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
	case MSG_EVENT:		return &capture__event__descriptor;
	case MSG_UPDATE_FILTER:	return &capture__update_filter__descriptor;
	case MSG_NEED_PROGRAMS:	return &capture__need_programs__descriptor;
	case MSG_PLAN:		return &capture__plan__descriptor;
	case MSG_FILTER_CHANGED: return &capture__filter_changed__descriptor;
	case MSG_INTERFACE_ADDED: return &capture__interface_added__descriptor;
	case MSG_RESUME:	return &capture__resume__descriptor;
	case MSG_WATERMARK:	return &capture__watermark__descriptor;
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
