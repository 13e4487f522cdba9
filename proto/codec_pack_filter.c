#include "proto/codec_pack_int.h"

#include <string.h>

static int
fill_instructions(struct arena *arena, const struct bpf_insn_raw *in, size_t n,
    Capture__Instruction ***ret_list)
{
	Capture__Instruction *items = NULL;

	*ret_list = pack_alloc_items(arena, n, sizeof(*items), &items);
	if (items == NULL)
		return n == 0 ? E_OK : E_NOMEM;
	for (size_t i = 0; i < n; i++) {
		capture__instruction__init(&items[i]);
		items[i].code = in[i].code;
		items[i].jt = in[i].jt;
		items[i].jf = in[i].jf;
		items[i].k = in[i].k;
	}
	return E_OK;
}

static int
fill_programs(struct arena *arena, const struct msg_filter *in,
    Capture__Filter *out)
{
	Capture__Program *items = NULL;
	size_t n = in->n_programs;

	out->n_programs = n;
	out->programs = pack_alloc_items(arena, n, sizeof(*items), &items);
	if (items == NULL)
		return n == 0 ? E_OK : E_NOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct msg_program *program = &in->programs[i];

		capture__program__init(&items[i]);
		items[i].link_type = program->link_type;
		items[i].n_instructions = program->n_insns;
		if (fill_instructions(arena, program->insns, program->n_insns,
		    &items[i].instructions) != E_OK)
			return E_NOMEM;
	}
	return E_OK;
}

static int
fill_filter(struct arena *arena, const struct msg_filter *in,
    Capture__Filter *out)
{
	size_t len = strnlen(in->text, PROTO_MAX_FILTER_TEXT);

	capture__filter__init(out);
	out->exact_vlan = in->exact_vlan;
	out->at_client = in->at_client;
	out->text = arena_alloc(arena, len + 1);
	if (out->text == NULL)
		return E_NOMEM;
	memcpy(out->text, in->text, len);
	out->text[len] = '\0';
	return fill_programs(arena, in, out);
}

static int
fill_filters(struct arena *arena, const struct msg_filter *in, size_t n,
    Capture__Filter ***ret_list)
{
	Capture__Filter *items = NULL;

	*ret_list = pack_alloc_items(arena, n, sizeof(*items), &items);
	if (items == NULL)
		return n == 0 ? E_OK : E_NOMEM;
	for (size_t i = 0; i < n; i++)
		if (fill_filter(arena, &in[i], &items[i]) != E_OK)
			return E_NOMEM;
	return E_OK;
}

static int
fill_requests(struct arena *arena, const struct msg_start *in,
    Capture__Start *out)
{
	Capture__InterfaceRequest *items = NULL;
	size_t n = in->n_interfaces;

	out->n_interfaces = n;
	out->interfaces = pack_alloc_items(arena, n, sizeof(*items), &items);
	if (items == NULL)
		return n == 0 ? E_OK : E_NOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct msg_interface_request *request = &in->interfaces[i];

		capture__interface_request__init(&items[i]);
		items[i].name = pack_borrow(request->name);
		items[i].snaplen = request->snaplen;
		items[i].no_promiscuous = request->no_promiscuous;
		items[i].filter = request->filter;
		items[i].link_type = request->link_type;
	}
	return E_OK;
}

int
pack_start(struct arena *arena, const struct msg_start *in, Capture__Start *out)
{
	out->ring_bytes = in->ring_bytes;
	out->log_bytes = in->log_bytes;
	out->drop_newest = in->drop_newest;
	out->max_packets = in->max_packets;
	out->direction = in->direction;
	out->headers_only = in->headers_only;
	out->sample = in->sample;
	out->sample_flows = in->sample_flows;
	out->cooked = in->cooked;
	out->kernel_only = in->kernel_only;
	out->plan_only = in->plan_only;
	out->time_stamp_type = in->time_stamp_type;
	out->linger_ms = in->linger_ms;
	out->heartbeat_ms = in->heartbeat_ms;
	out->max_duration_ms = in->max_duration_ms;
	out->n_filters = in->n_filters;
	if (fill_filters(arena, in->filters, in->n_filters, &out->filters) !=
	    E_OK)
		return E_NOMEM;
	return fill_requests(arena, in, out);
}

int
pack_update_filter(struct arena *arena, const struct msg_update_filter *in,
    Capture__UpdateFilter *out)
{
	out->number = in->number;
	out->n_filters = in->n_filters;
	return fill_filters(arena, in->filters, in->n_filters, &out->filters);
}

int
pack_filter_changed(struct arena *arena, const struct msg_filter_changed *in,
    Capture__FilterChanged *out)
{
	size_t n = in->n_places;

	out->number = in->number;
	out->sequence = in->sequence;
	out->time_ns = in->time.ns;
	out->code = in->code;
	out->text = pack_borrow(in->text);
	out->n_places = n;
	if (n == 0)
		return E_OK;
	out->places = arena_alloc(arena, n * sizeof(*out->places));
	if (out->places == NULL)
		return E_NOMEM;
	for (size_t i = 0; i < n; i++)
		out->places[i] = in->places[i];
	return E_OK;
}

static int
fill_parts(struct arena *arena, const struct msg_plan_interface *in,
    Capture__PlanInterface *out)
{
	Capture__PlanPart *items = NULL;
	size_t n = in->n_parts;

	out->n_parts = n;
	out->parts = pack_alloc_items(arena, n, sizeof(*items), &items);
	if (items == NULL)
		return n == 0 ? E_OK : E_NOMEM;
	for (size_t i = 0; i < n; i++) {
		capture__plan_part__init(&items[i]);
		items[i].first = in->parts[i].first;
		items[i].kind = in->parts[i].kind;
	}
	return E_OK;
}

static int
fill_plan_interface(struct arena *arena, const struct msg_plan_interface *in,
    Capture__PlanInterface *out)
{
	capture__plan_interface__init(out);
	out->exact_vlan = in->exact_vlan;
	out->ring_bytes = in->ring_bytes;
	out->block_bytes = in->block_bytes;
	out->retire_ms = in->retire_ms;
	out->interface = arena_alloc(arena, sizeof(*out->interface));
	if (out->interface == NULL || pack_capture_interface(arena,
	    &in->interface, out->interface) != E_OK)
		return E_NOMEM;
	out->n_instructions = in->n_insns;
	if (fill_instructions(arena, in->insns, in->n_insns,
	    &out->instructions) != E_OK || fill_parts(arena, in, out) != E_OK)
		return E_NOMEM;
	if (in->n_warnings == 0)
		return E_OK;
	out->n_warnings = in->n_warnings;
	out->warnings = pack_borrow_strings(arena, in->warnings[0],
	    sizeof(in->warnings[0]), in->n_warnings);
	return out->warnings != NULL ? E_OK : E_NOMEM;
}

int
pack_plan(struct arena *arena, const struct msg_plan *in, Capture__Plan *out)
{
	Capture__PlanInterface *items = NULL;
	size_t n = in->n_interfaces;

	out->log_bytes = in->log_bytes;
	out->notes = pack_borrow(in->notes);
	out->n_interfaces = n;
	out->interfaces = pack_alloc_items(arena, n, sizeof(*items), &items);
	if (items == NULL)
		return n == 0 ? E_OK : E_NOMEM;
	for (size_t i = 0; i < n; i++)
		if (fill_plan_interface(arena, &in->interfaces[i], &items[i]) !=
		    E_OK)
			return E_NOMEM;
	return E_OK;
}
