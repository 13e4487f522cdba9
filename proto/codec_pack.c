#include <stdlib.h>
#include <string.h>

#include "capture.pb-c.h"

#include "proto/codec.h"
#include "proto/codec_int.h"
#include "proto/frame.h"

/* protobuf-c's structs are not const, though packing only reads them. */
static char *
borrow(const char *s)
{
	union { const char *in; char *out; } u = { .in = s };

	return u.out;
}

static ProtobufCBinaryData
borrow_mac(const uint8_t mac[6], bool has_mac)
{
	union { const uint8_t *in; uint8_t *out; } u = { .in = mac };

	return (ProtobufCBinaryData){ .len = has_mac ? 6 : 0, .data = u.out };
}

/*
 * n pointers to n zeroed items of size bytes each, as protobuf-c keeps
 * repeated messages.  *ret_items is the first item; NULL also for n == 0.
 */
static void *
alloc_items(struct arena *arena, size_t n, size_t size, void *ret_items)
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

/* Pointers to n strings that lie stride bytes apart. */
static char **
borrow_strings(struct arena *arena, const char *first, size_t stride, size_t n)
{
	char **pointers = arena_alloc(arena, n * sizeof(*pointers));

	for (size_t i = 0; pointers != NULL && i < n; i++)
		pointers[i] = borrow(first + i * stride);
	return pointers;
}

static int
fill_interface(struct arena *arena, const struct msg_interface *in,
    Capture__Interface *out)
{
	capture__interface__init(out);
	out->index = in->index;
	out->name = borrow(in->name);
	out->link_type = in->link_type;
	out->up = in->is_up;
	out->running = in->is_running;
	out->loopback = in->is_loopback;
	out->description = borrow(in->description);
	out->why_not = borrow(in->why_not);
	out->mac = borrow_mac(in->mac, in->has_mac);
	if (in->n_addresses == 0)
		return E_OK;
	out->addresses = borrow_strings(arena, in->addresses[0],
	    sizeof(in->addresses[0]), in->n_addresses);
	out->n_addresses = in->n_addresses;
	return out->addresses != NULL ? E_OK : E_NOMEM;
}

static int
fill_interface_list(struct arena *arena, const struct msg_interface_list *in,
    Capture__InterfaceList *out)
{
	Capture__Interface *items = NULL;

	out->n_interfaces = in->n;
	out->interfaces = alloc_items(arena, in->n, sizeof(*items), &items);
	if (items == NULL)
		return in->n == 0 ? E_OK : E_NOMEM;
	for (size_t i = 0; i < in->n; i++)
		if (fill_interface(arena, &in->interfaces[i], &items[i]) != E_OK)
			return E_NOMEM;
	return E_OK;
}

static int
fill_capture_interface(struct arena *arena,
    const struct msg_capture_interface *in, Capture__CaptureInterface *out)
{
	capture__capture_interface__init(out);
	out->name = borrow(in->name);
	out->index = in->index;
	out->link_type = in->link_type;
	out->description = borrow(in->description);
	out->mac = borrow_mac(in->mac, in->has_mac);
	out->promiscuous = in->is_promiscuous;
	if (in->n_addresses == 0)
		return E_OK;
	out->addresses = borrow_strings(arena, in->addresses[0],
	    sizeof(in->addresses[0]), in->n_addresses);
	out->n_addresses = in->n_addresses;
	return out->addresses != NULL ? E_OK : E_NOMEM;
}

static int
fill_started(struct arena *arena, const struct msg_started *in,
    Capture__Started *out)
{
	Capture__CaptureInterface *items = NULL;
	size_t n = in->n_interfaces;

	out->snaplen = in->snaplen;
	out->ring_bytes = in->ring_bytes;
	out->log_bytes = in->log_bytes;
	out->notes = borrow(in->notes);
	out->start_time_ns = in->start.ns;
	out->n_interfaces = n;
	out->interfaces = alloc_items(arena, n, sizeof(*items), &items);
	if (items == NULL)
		return n == 0 ? E_OK : E_NOMEM;
	for (size_t i = 0; i < n; i++)
		if (fill_capture_interface(arena, &in->interfaces[i],
		    &items[i]) != E_OK)
			return E_NOMEM;
	return E_OK;
}

static int
fill_program(struct arena *arena, const struct msg_program *in,
    Capture__Program *out)
{
	Capture__Instruction *items = NULL;

	capture__program__init(out);
	out->link_type = in->link_type;
	out->n_instructions = in->n_insns;
	out->instructions = alloc_items(arena, in->n_insns, sizeof(*items),
	    &items);
	if (items == NULL)
		return in->n_insns == 0 ? E_OK : E_NOMEM;
	for (size_t i = 0; i < in->n_insns; i++) {
		capture__instruction__init(&items[i]);
		items[i].code = in->insns[i].code;
		items[i].jt = in->insns[i].jt;
		items[i].jf = in->insns[i].jf;
		items[i].k = in->insns[i].k;
	}
	return E_OK;
}

static int
fill_programs(struct arena *arena, const struct msg_start *in,
    Capture__Start *out)
{
	Capture__Program *items = NULL;
	size_t n = in->n_programs;

	out->n_programs = n;
	out->programs = alloc_items(arena, n, sizeof(*items), &items);
	if (items == NULL)
		return n == 0 ? E_OK : E_NOMEM;
	for (size_t i = 0; i < n; i++)
		if (fill_program(arena, &in->programs[i], &items[i]) != E_OK)
			return E_NOMEM;
	return E_OK;
}

static int
fill_start(struct arena *arena, const struct msg_start *in, Capture__Start *out)
{
	size_t len = in->filter_text == NULL ? 0 :
	    strnlen(in->filter_text, PROTO_MAX_FILTER_TEXT);

	out->snaplen = in->snaplen;
	out->no_promiscuous = in->no_promiscuous;
	out->exact_vlan = in->exact_vlan;
	out->drop_newest = in->drop_newest;
	out->ring_bytes = in->ring_bytes;
	out->log_bytes = in->log_bytes;
	out->max_packets = in->max_packets;
	out->direction = (uint32_t)in->direction;
	out->headers_only = in->headers_only;
	out->sample = in->sample;
	out->sample_flows = in->sample_flows;
	out->filter_text = arena_alloc(arena, len + 1);
	if (out->filter_text == NULL)
		return E_NOMEM;
	if (len > 0)
		memcpy(out->filter_text, in->filter_text, len);
	out->filter_text[len] = '\0';
	if (in->n_interfaces > 0) {
		out->interfaces = borrow_strings(arena, in->interfaces[0],
		    sizeof(in->interfaces[0]), in->n_interfaces);
		if (out->interfaces == NULL)
			return E_NOMEM;
	}
	out->n_interfaces = in->n_interfaces;
	return fill_programs(arena, in, out);
}

static int
fill_stats(struct arena *arena, const struct msg_stats *in, Capture__Stats *out)
{
	Capture__InterfaceStats *items = NULL;
	size_t n = in->n_interfaces;

	out->lost_packets = in->lost_packets;
	out->lost_bytes = in->lost_bytes;
	out->n_interfaces = n;
	out->interfaces = alloc_items(arena, n, sizeof(*items), &items);
	if (items == NULL)
		return n == 0 ? E_OK : E_NOMEM;
	for (size_t i = 0; i < n; i++) {
		capture__interface_stats__init(&items[i]);
		items[i].received = in->interfaces[i].received;
		items[i].dropped_kernel = in->interfaces[i].dropped_kernel;
		items[i].dropped_interface = in->interfaces[i].dropped_interface;
		items[i].batched = in->interfaces[i].batched;
		items[i].dropped_agent = in->interfaces[i].dropped_agent;
	}
	return E_OK;
}

static int
fill_ended(struct arena *arena, const struct msg_ended *in, Capture__Ended *out)
{
	out->code = in->code;
	out->text = borrow(in->text);
	out->last_sequence = in->last_sequence;
	out->stats = arena_alloc(arena, sizeof(*out->stats));
	if (out->stats == NULL)
		return E_NOMEM;
	capture__stats__init(out->stats);
	return fill_stats(arena, &in->stats, out->stats);
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
	Capture__InterfaceList interface_list;
	Capture__Started started;
	Capture__Gap gap;
	Capture__Stats stats;
	Capture__Ended ended;
	Capture__Pong pong;
	Capture__Note note;
};

/* Bodies that are a few numbers or borrowed strings. */
static int
fill_plain(const struct msg *msg, struct bodies *b, Capture__Envelope *envelope)
{
	switch (msg->type) {
	case MSG_ERROR:
		capture__error__init(envelope->error = &b->error);
		b->error.code = msg->error.code;
		b->error.text = borrow(msg->error.text);
		return E_OK;
	case MSG_HELLO:
		capture__hello__init(envelope->hello = &b->hello);
		b->hello.version = msg->hello.version;
		b->hello.program = borrow(msg->hello.program);
		b->hello.host = borrow(msg->hello.host);
		b->hello.os = borrow(msg->hello.os);
		return E_OK;
	case MSG_LIST_REQUEST:
		capture__list_request__init(
		    envelope->list_request = &b->list_request);
		return E_OK;
	case MSG_ACK:
		capture__ack__init(envelope->ack = &b->ack);
		b->ack.sequence = msg->ack.sequence;
		return E_OK;
	case MSG_STOP:
		capture__stop__init(envelope->stop = &b->stop);
		return E_OK;
	case MSG_PING:
		capture__ping__init(envelope->ping = &b->ping);
		b->ping.client_time_ns = msg->ping.client_time_ns;
		return E_OK;
	case MSG_PONG:
		capture__pong__init(envelope->pong = &b->pong);
		b->pong.client_time_ns = msg->pong.client_time_ns;
		b->pong.received_ns = msg->pong.received_ns;
		b->pong.sent_ns = msg->pong.sent_ns;
		return E_OK;
	case MSG_NOTE:
		capture__note__init(envelope->note = &b->note);
		b->note.text = borrow(msg->note.text);
		return E_OK;
	case MSG_GAP:
		capture__gap__init(envelope->gap = &b->gap);
		fill_gap(&msg->gap, &b->gap);
		return E_OK;
	case MSG_START:
	case MSG_INTERFACE_LIST:
	case MSG_STARTED:
	case MSG_STATS:
	case MSG_ENDED:
	case MSG_PACKET_BATCH:
		break;
	}
	return E_BUG;
}

static int
fill(struct arena *arena, const struct msg *msg, struct bodies *b,
    Capture__Envelope *envelope)
{
	switch (msg->type) {
	case MSG_START:
		capture__start__init(envelope->start = &b->start);
		return fill_start(arena, &msg->start, &b->start);
	case MSG_INTERFACE_LIST:
		capture__interface_list__init(
		    envelope->interface_list = &b->interface_list);
		return fill_interface_list(arena, &msg->interface_list,
		    &b->interface_list);
	case MSG_STARTED:
		capture__started__init(envelope->started = &b->started);
		return fill_started(arena, &msg->started, &b->started);
	case MSG_STATS:
		capture__stats__init(envelope->stats = &b->stats);
		return fill_stats(arena, &msg->stats, &b->stats);
	case MSG_ENDED:
		capture__ended__init(envelope->ended = &b->ended);
		return fill_ended(arena, &msg->ended, &b->ended);
	case MSG_ERROR:
	case MSG_HELLO:
	case MSG_LIST_REQUEST:
	case MSG_ACK:
	case MSG_STOP:
	case MSG_PING:
	case MSG_GAP:
	case MSG_PONG:
	case MSG_NOTE:
	case MSG_PACKET_BATCH:
		break;
	}
	return fill_plain(msg, b, envelope);
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
