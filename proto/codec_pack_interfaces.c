#include "proto/codec_pack_int.h"

static int
fill_addresses(struct arena *arena, char (*in)[64], uint32_t n, char ***ret_addresses,
    size_t *ret_n)
{
	if (n == 0)
		return E_OK;
	*ret_addresses = pack_borrow_strings(arena, in[0], sizeof(in[0]), n);
	*ret_n = n;
	return *ret_addresses != NULL ? E_OK : E_NOMEM;
}

static int
fill_interface(struct arena *arena, const struct msg_interface *in,
    Capture__Interface *out)
{
	capture__interface__init(out);
	out->index = in->index;
	out->name = pack_borrow(in->name);
	out->link_type = in->link_type;
	out->up = in->is_up;
	out->running = in->is_running;
	out->loopback = in->is_loopback;
	out->description = pack_borrow(in->description);
	out->why_not = pack_borrow(in->why_not);
	out->mac = pack_borrow_mac(in->mac, in->has_mac);
	out->network_namespace = pack_borrow(in->network_namespace);
	out->n_link_types = in->n_link_types;
	out->link_types = pack_borrow_numbers(in->link_types);
	out->driver = pack_borrow(in->driver);
	out->speed_mbps = in->speed_mbps;
	out->time_stamp_types = in->time_stamp_types;
	return fill_addresses(arena, in->addresses, in->n_addresses,
	    &out->addresses, &out->n_addresses);
}

int
pack_interface_list(struct arena *arena, const struct msg_interface_list *in,
    Capture__InterfaceList *out)
{
	Capture__Interface *items = NULL;

	out->n_interfaces = in->n;
	out->interfaces = pack_alloc_items(arena, in->n, sizeof(*items), &items);
	if (items == NULL)
		return in->n == 0 ? E_OK : E_NOMEM;
	for (size_t i = 0; i < in->n; i++)
		if (fill_interface(arena, &in->interfaces[i], &items[i]) != E_OK)
			return E_NOMEM;
	return E_OK;
}

int
pack_capture_interface(struct arena *arena,
    const struct msg_capture_interface *in, Capture__CaptureInterface *out)
{
	capture__capture_interface__init(out);
	out->name = pack_borrow(in->name);
	out->index = in->index;
	out->link_type = in->link_type;
	out->description = pack_borrow(in->description);
	out->mac = pack_borrow_mac(in->mac, in->has_mac);
	out->promiscuous = in->is_promiscuous;
	out->request = in->request;
	out->snaplen = in->snaplen;
	out->filter_place = in->filter_place;
	out->network_namespace = pack_borrow(in->network_namespace);
	out->time_stamp_type = in->time_stamp_type;
	return fill_addresses(arena, in->addresses, in->n_addresses,
	    &out->addresses, &out->n_addresses);
}

int
pack_started(struct arena *arena, const struct msg_started *in,
    Capture__Started *out)
{
	Capture__CaptureInterface *items = NULL;
	size_t n = in->n_interfaces;

	out->snaplen = in->snaplen;
	out->ring_bytes = in->ring_bytes;
	out->log_bytes = in->log_bytes;
	out->notes = pack_borrow(in->notes);
	out->start_time_ns = in->start.ns;
	out->capture_id = in->capture_id;
	if (in->has_token)
		out->token = pack_borrow_token(&in->token);
	out->linger_ms = in->linger_ms;
	out->heartbeat_ms = in->heartbeat_ms;
	out->next_sequence = in->next_sequence;
	out->announcements = in->announcements;
	out->update_number = in->update_number;
	out->n_interfaces = n;
	out->interfaces = pack_alloc_items(arena, n, sizeof(*items), &items);
	if (items == NULL)
		return n == 0 ? E_OK : E_NOMEM;
	for (size_t i = 0; i < n; i++)
		if (pack_capture_interface(arena, &in->interfaces[i],
		    &items[i]) != E_OK)
			return E_NOMEM;
	return E_OK;
}

int
pack_interface_added(struct arena *arena, const struct msg_interface_added *in,
    Capture__InterfaceAdded *out)
{
	out->sequence = in->sequence;
	out->interface = arena_alloc(arena, sizeof(*out->interface));
	if (out->interface == NULL)
		return E_NOMEM;
	return pack_capture_interface(arena, &in->interface, out->interface);
}

int
pack_stats(struct arena *arena, const struct msg_stats *in, Capture__Stats *out)
{
	Capture__InterfaceStats *items = NULL;
	size_t n = in->n_interfaces;

	out->lost_packets = in->lost_packets;
	out->lost_bytes = in->lost_bytes;
	out->n_interfaces = n;
	out->interfaces = pack_alloc_items(arena, n, sizeof(*items), &items);
	if (items == NULL)
		return n == 0 ? E_OK : E_NOMEM;
	for (size_t i = 0; i < n; i++) {
		capture__interface_stats__init(&items[i]);
		items[i].received = in->interfaces[i].received;
		items[i].dropped_kernel = in->interfaces[i].dropped_kernel;
		items[i].dropped_interface = in->interfaces[i].dropped_interface;
		items[i].batched = in->interfaces[i].batched;
		items[i].dropped_agent = in->interfaces[i].dropped_agent;
		items[i].dropped_filter_change =
		    in->interfaces[i].dropped_filter_change;
		items[i].freezes = in->interfaces[i].freezes;
		items[i].lost_packets = in->interfaces[i].lost_packets;
	}
	return E_OK;
}

int
pack_ended(struct arena *arena, const struct msg_ended *in, Capture__Ended *out)
{
	out->code = in->code;
	out->text = pack_borrow(in->text);
	out->last_sequence = in->last_sequence;
	out->stats = arena_alloc(arena, sizeof(*out->stats));
	if (out->stats == NULL)
		return E_NOMEM;
	capture__stats__init(out->stats);
	return pack_stats(arena, &in->stats, out->stats);
}
