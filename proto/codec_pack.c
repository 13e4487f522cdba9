#include "proto/codec_pack_int.h"

#include <stdlib.h>
#include <string.h>

#include "proto/frame.h"

char *
pack_borrow(const char *s)
{
	union { const char *in; char *out; } u = { .in = s };

	return u.out;
}

uint32_t *
pack_borrow_numbers(const uint32_t *numbers)
{
	union { const uint32_t *in; uint32_t *out; } u = { .in = numbers };

	return u.out;
}

ProtobufCBinaryData
pack_borrow_mac(const uint8_t mac[6], bool has_mac)
{
	union { const uint8_t *in; uint8_t *out; } u = { .in = mac };

	return (ProtobufCBinaryData){ .len = has_mac ? 6 : 0, .data = u.out };
}

void *
pack_alloc_items(struct arena *arena, size_t n, size_t size, void *ret_items)
{
	uint8_t **pointers, *items;

	if (n == 0)
		return NULL;
	pointers = arena_alloc(arena, n * sizeof(*pointers));
	items = arena_alloc(arena, n * size);
	if (pointers == NULL || items == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++)
		pointers[i] = items + i * size;
	memcpy(ret_items, &items, sizeof(items));
	return pointers;
}

char **
pack_borrow_strings(struct arena *arena, const char *first, size_t stride, size_t n)
{
	char **pointers = arena_alloc(arena, n * sizeof(*pointers));

	for (size_t i = 0; pointers != NULL && i < n; i++)
		pointers[i] = pack_borrow(first + i * stride);
	return pointers;
}

static void
fill_gap(const struct msg_gap *in, Capture__Gap *out)
{
	out->first_sequence = in->first_sequence;
	out->last_sequence = in->last_sequence;
	out->packets = in->packets;
	out->bytes = in->bytes;
	out->first_time_ns = in->first.ns;
	out->last_time_ns = in->last.ns;
	out->reason = in->reason;
	out->n_interface_packets = in->n_interfaces;
	out->interface_packets = in->by_interface;
}

ProtobufCBinaryData
pack_borrow_token(const struct capture_token *token)
{
	union { const uint8_t *in; uint8_t *out; } u = { .in = token->bytes };

	return (ProtobufCBinaryData){ .len = sizeof(token->bytes), .data = u.out };
}

static void
fill_resume(const struct msg_resume *in, Capture__Resume *out)
{
	out->capture_id = in->capture_id;
	out->token = pack_borrow_token(&in->token);
	out->next_sequence = in->next_sequence;
	out->announcements = in->announcements;
}

static void
fill_event(const struct msg_event *in, Capture__Event *out)
{
	out->sequence = in->sequence;
	out->time_ns = in->time.ns;
	out->kind = in->kind;
	out->interface = in->iface;
	out->text = pack_borrow(in->text);
}

/* Write the frame of a filled envelope. */
static int
pack_envelope(const Capture__Envelope *envelope, uint8_t **ret_frame,
    size_t *ret_len)
{
	uint8_t hdr[FRAME_HDR_MAX], *frame;
	size_t len, hdr_len;

	len = capture__envelope__get_packed_size(envelope);
	if (len > PROTO_MAX_MESSAGE)
		return E_TOOBIG;
	hdr_len = frame_put_header(hdr, (uint32_t)len);
	frame = malloc(hdr_len + len);
	if (frame == NULL)
		return E_NOMEM;
	memcpy(frame, hdr, hdr_len);
	capture__envelope__pack(envelope, frame + hdr_len);
	*ret_frame = frame;
	*ret_len = hdr_len + len;
	return E_OK;
}

/* Every body of an envelope; one is used. */
struct bodies {
	Capture__Error error;
	Capture__Hello hello;
	Capture__ListRequest list_request;
	Capture__Start start;
	Capture__Ack ack;
	Capture__Stop stop;
	Capture__Ping ping;
	Capture__UpdateFilter update_filter;
	Capture__Resume resume;
	Capture__InterfaceList interface_list;
	Capture__Started started;
	Capture__Gap gap;
	Capture__Stats stats;
	Capture__Ended ended;
	Capture__Pong pong;
	Capture__Event event;
	Capture__NeedPrograms need_programs;
	Capture__Plan plan;
	Capture__FilterChanged filter_changed;
	Capture__InterfaceAdded interface_added;
	Capture__Watermark watermark;
};

/* Point the envelope at its body, initialised. */
#define USE(name)	capture__##name##__init(envelope->name = &b->name)

/* Bodies without a field, or with few that need no memory. */
static int
fill_plain(const struct msg *msg, struct bodies *b, Capture__Envelope *envelope)
{
	switch (msg->type) {
	case MSG_ERROR:
		USE(error);
		b->error.code = msg->error.code;
		b->error.text = pack_borrow(msg->error.text);
		return E_OK;
	case MSG_HELLO:
		USE(hello);
		b->hello.version = msg->hello.version;
		b->hello.program = pack_borrow(msg->hello.program);
		b->hello.host = pack_borrow(msg->hello.host);
		b->hello.os = pack_borrow(msg->hello.os);
		b->hello.instance = msg->hello.instance;
		return E_OK;
	case MSG_LIST_REQUEST:
		USE(list_request);
		return E_OK;
	case MSG_ACK:
		USE(ack);
		b->ack.sequence = msg->ack.sequence;
		return E_OK;
	case MSG_STOP:
		USE(stop);
		b->stop.now = msg->stop.now;
		return E_OK;
	case MSG_RESUME:
		USE(resume);
		fill_resume(&msg->resume, &b->resume);
		return E_OK;
	case MSG_WATERMARK:
		USE(watermark);
		b->watermark.sequence = msg->watermark.sequence;
		b->watermark.time_ns = msg->watermark.time.ns;
		return E_OK;
	case MSG_PING:
		USE(ping);
		b->ping.client_time_ns = msg->ping.client_time_ns;
		return E_OK;
	case MSG_PONG:
		USE(pong);
		b->pong.client_time_ns = msg->pong.client_time_ns;
		b->pong.received_ns = msg->pong.received_ns;
		b->pong.sent_ns = msg->pong.sent_ns;
		return E_OK;
	case MSG_EVENT:
		USE(event);
		fill_event(&msg->event, &b->event);
		return E_OK;
	case MSG_NEED_PROGRAMS:
		USE(need_programs);
		b->need_programs.n_link_types = msg->need_programs.n;
		b->need_programs.link_types =
		    pack_borrow_numbers(msg->need_programs.link_types);
		return E_OK;
	case MSG_GAP:
		USE(gap);
		fill_gap(&msg->gap, &b->gap);
		return E_OK;
	default:
		return E_BUG;		/* a Batch, or none at all */
	}
}

static int
fill(struct arena *arena, const struct msg *msg, struct bodies *b,
    Capture__Envelope *envelope)
{
	switch (msg->type) {
	case MSG_START:
		USE(start);
		return pack_start(arena, &msg->start, &b->start);
	case MSG_UPDATE_FILTER:
		USE(update_filter);
		return pack_update_filter(arena, &msg->update_filter,
		    &b->update_filter);
	case MSG_INTERFACE_LIST:
		USE(interface_list);
		return pack_interface_list(arena, &msg->interface_list,
		    &b->interface_list);
	case MSG_STARTED:
		USE(started);
		return pack_started(arena, &msg->started, &b->started);
	case MSG_STATS:
		USE(stats);
		return pack_stats(arena, &msg->stats, &b->stats);
	case MSG_ENDED:
		USE(ended);
		return pack_ended(arena, &msg->ended, &b->ended);
	case MSG_PLAN:
		USE(plan);
		return pack_plan(arena, &msg->plan, &b->plan);
	case MSG_FILTER_CHANGED:
		USE(filter_changed);
		return pack_filter_changed(arena, &msg->filter_changed,
		    &b->filter_changed);
	case MSG_INTERFACE_ADDED:
		USE(interface_added);
		return pack_interface_added(arena, &msg->interface_added,
		    &b->interface_added);
	default:
		return fill_plain(msg, b, envelope);
	}
}

int
codec_pack(const struct msg *msg, uint8_t **ret_frame, size_t *ret_len)
{
	Capture__Envelope envelope = CAPTURE__ENVELOPE__INIT;
	struct arena arena = { .limit = SIZE_MAX };
	struct bodies bodies;
	int code;

	envelope.body_case = (Capture__Envelope__BodyCase)msg->type;
	code = fill(&arena, msg, &bodies, &envelope);
	if (code == E_OK)
		code = pack_envelope(&envelope, ret_frame, ret_len);
	arena_release(&arena);
	return code;
}
