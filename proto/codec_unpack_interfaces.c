#include "proto/codec_unpack_int.h"

#include <string.h>

enum {
	TIME_STAMP_TYPES_ALL = 1 << TIME_STAMP_HOST | 1 << TIME_STAMP_ADAPTER |
	    1 << TIME_STAMP_ADAPTER_UNSYNCED,
};

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

static int
take_link_types(const Capture__Interface *in, struct msg_interface *out)
{
	if (in->n_link_types > PROTO_MAX_LINK_TYPES)
		return E_BADMSG;
	for (size_t i = 0; i < in->n_link_types; i++) {
		if (in->link_types[i] > UNPACK_LINK_TYPE_MAX)
			return E_BADMSG;
		out->link_types[i] = in->link_types[i];
	}
	out->n_link_types = (uint32_t)in->n_link_types;
	return E_OK;
}

static int
take_interface(struct arena *arena, const Capture__Interface *in,
    struct msg_interface *out)
{
	if (in->index == 0 || in->link_type > UNPACK_LINK_TYPE_MAX ||
	    in->time_stamp_types > TIME_STAMP_TYPES_ALL)
		return E_BADMSG;
	out->index = in->index;
	out->link_type = in->link_type;
	out->is_up = in->up;
	out->is_running = in->running;
	out->is_loopback = in->loopback;
	out->speed_mbps = in->speed_mbps;
	out->time_stamp_types = in->time_stamp_types;
	if (UNPACK(in->name, out->name, NOT_EMPTY) != E_OK ||
	    UNPACK(in->description, out->description, MAY_BE_EMPTY) != E_OK ||
	    UNPACK(in->why_not, out->why_not, MAY_BE_EMPTY) != E_OK ||
	    UNPACK(in->network_namespace, out->network_namespace,
	    MAY_BE_EMPTY) != E_OK ||
	    UNPACK(in->driver, out->driver, MAY_BE_EMPTY) != E_OK ||
	    take_link_types(in, out) != E_OK ||
	    take_mac(&in->mac, out->mac, &out->has_mac) != E_OK)
		return E_BADMSG;
	return take_addresses(arena, in->addresses, in->n_addresses,
	    &out->addresses, &out->n_addresses);
}

int
unpack_interface_list(struct arena *arena, const Capture__InterfaceList *in,
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

int
unpack_capture_interface(struct arena *arena, const Capture__CaptureInterface *in,
    struct msg_capture_interface *out)
{
	if (in->link_type > UNPACK_LINK_TYPE_MAX ||
	    in->request >= PROTO_MAX_INTERFACES ||
	    in->snaplen == 0 || in->snaplen > PROTO_MAX_SNAPLEN ||
	    in->filter_place > FILTER_CLIENT ||
	    in->time_stamp_type > TIME_STAMP_ADAPTER_UNSYNCED ||
	    UNPACK(in->name, out->name, NOT_EMPTY) != E_OK ||
	    UNPACK(in->description, out->description, MAY_BE_EMPTY) != E_OK ||
	    UNPACK(in->network_namespace, out->network_namespace,
	    MAY_BE_EMPTY) != E_OK ||
	    take_mac(&in->mac, out->mac, &out->has_mac) != E_OK)
		return E_BADMSG;
	out->index = in->index;
	out->link_type = in->link_type;
	out->is_promiscuous = in->promiscuous;
	out->request = in->request;
	out->snaplen = in->snaplen;
	out->filter_place = (enum filter_place)in->filter_place;
	out->time_stamp_type = (enum time_stamp_type)in->time_stamp_type;
	return take_addresses(arena, in->addresses, in->n_addresses,
	    &out->addresses, &out->n_addresses);
}

int
unpack_started(struct arena *arena, const Capture__Started *in,
    struct msg_started *out)
{
	size_t n = in->n_interfaces;
	int code = E_OK;

	if (n == 0 || n > PROTO_MAX_INTERFACES || in->snaplen == 0 ||
	    in->snaplen > PROTO_MAX_SNAPLEN ||
	    (in->heartbeat_ms != 0 && !unpack_is_heartbeat(in->heartbeat_ms)) ||
	    UNPACK(in->notes, out->notes, MAY_BE_EMPTY) != E_OK ||
	    (in->token.len != 0 && unpack_token(&in->token, &out->token) != E_OK))
		return E_BADMSG;
	out->has_token = in->token.len != 0;
	out->capture_id = in->capture_id;
	out->linger_ms = in->linger_ms;
	out->heartbeat_ms = in->heartbeat_ms != 0 ? in->heartbeat_ms :
	    PROTO_HEARTBEAT_MS;
	out->next_sequence = in->next_sequence != 0 ? in->next_sequence : 1;
	out->announcements = in->announcements;
	out->update_number = in->update_number;
	out->snaplen = in->snaplen;
	out->ring_bytes = in->ring_bytes;
	out->log_bytes = in->log_bytes;
	out->start.ns = in->start_time_ns;
	out->interfaces = unpack_alloc_items(arena, n, sizeof(*out->interfaces));
	if (out->interfaces == NULL)
		return unpack_alloc_failure(arena);
	out->n_interfaces = (uint32_t)n;
	for (size_t i = 0; i < n && code == E_OK; i++)
		code = unpack_capture_interface(arena, in->interfaces[i],
		    &out->interfaces[i]);
	return code;
}

int
unpack_interface_added(struct arena *arena, const Capture__InterfaceAdded *in,
    struct msg_interface_added *out)
{
	if (in->sequence == 0 || in->interface == NULL)
		return E_BADMSG;
	out->sequence = in->sequence;
	return unpack_capture_interface(arena, in->interface, &out->interface);
}

int
unpack_stats(struct arena *arena, const Capture__Stats *in, struct msg_stats *out)
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
			.dropped_filter_change =
			    in->interfaces[i]->dropped_filter_change,
			.freezes = in->interfaces[i]->freezes,
			.lost_packets = in->interfaces[i]->lost_packets,
		};
	return E_OK;
}

int
unpack_ended(struct arena *arena, const Capture__Ended *in, struct msg_ended *out)
{
	if (unpack_code(in->code, &out->code) != E_OK ||
	    UNPACK(in->text, out->text, MAY_BE_EMPTY) != E_OK)
		return E_BADMSG;
	out->last_sequence = in->last_sequence;
	if (in->stats == NULL)
		return E_OK;
	return unpack_stats(arena, in->stats, &out->stats);
}
