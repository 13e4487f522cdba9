#include "proto/codec_unpack_int.h"

/* n instructions of a program, 1..PROTO_MAX_FILTER_INSNS. */
static int
take_instructions(struct arena *arena, Capture__Instruction *const *in, size_t n,
    struct bpf_insn_raw **ret_insns, uint32_t *ret_n)
{
	struct bpf_insn_raw *insns;

	if (n == 0 || n > PROTO_MAX_FILTER_INSNS)
		return E_BADMSG;
	insns = unpack_alloc_items(arena, n, sizeof(*insns));
	if (insns == NULL)
		return unpack_alloc_failure(arena);
	*ret_insns = insns;
	*ret_n = (uint32_t)n;
	for (size_t i = 0; i < n; i++) {
		if (in[i]->code > UINT16_MAX || in[i]->jt > UINT8_MAX ||
		    in[i]->jf > UINT8_MAX)
			return E_BADMSG;
		insns[i] = (struct bpf_insn_raw){
			.code = (uint16_t)in[i]->code,
			.jt = (uint8_t)in[i]->jt,
			.jf = (uint8_t)in[i]->jf,
			.k = in[i]->k,
		};
	}
	return E_OK;
}

static int
take_programs(struct arena *arena, const Capture__Filter *in,
    struct msg_filter *out)
{
	size_t n = in->n_programs;
	int code = E_OK;

	if (n > PROTO_MAX_PROGRAMS)
		return E_BADMSG;
	if (n == 0)
		return E_OK;
	out->programs = unpack_alloc_items(arena, n, sizeof(*out->programs));
	if (out->programs == NULL)
		return unpack_alloc_failure(arena);
	out->n_programs = (uint32_t)n;
	for (size_t i = 0; i < n && code == E_OK; i++) {
		const Capture__Program *program = in->programs[i];

		for (size_t k = 0; k < i; k++)
			if (program->link_type == in->programs[k]->link_type)
				return E_BADMSG;
		if (program->link_type > UNPACK_LINK_TYPE_MAX)
			return E_BADMSG;
		out->programs[i].link_type = program->link_type;
		code = take_instructions(arena, program->instructions,
		    program->n_instructions, &out->programs[i].insns,
		    &out->programs[i].n_insns);
	}
	return code;
}

static int
take_filter(struct arena *arena, const Capture__Filter *in,
    struct msg_filter *out)
{
	size_t len = unpack_strlen(in->text);

	if (len > PROTO_MAX_FILTER_TEXT)
		return E_BADMSG;
	out->exact_vlan = in->exact_vlan;
	out->at_client = in->at_client;
	out->text = unpack_alloc_items(arena, len + 1, 1);
	if (out->text == NULL)
		return unpack_alloc_failure(arena);
	if (unpack_string(in->text, out->text, len + 1, MAY_BE_EMPTY) != E_OK)
		return E_BADMSG;
	return take_programs(arena, in, out);
}

static int
take_filters(struct arena *arena, Capture__Filter *const *in, size_t n,
    struct msg_filter **ret_filters, uint32_t *ret_n)
{
	struct msg_filter *filters;
	int code = E_OK;

	if (n == 0 || n > PROTO_MAX_FILTERS)
		return E_BADMSG;
	filters = unpack_alloc_items(arena, n, sizeof(*filters));
	if (filters == NULL)
		return unpack_alloc_failure(arena);
	*ret_filters = filters;
	*ret_n = (uint32_t)n;
	for (size_t i = 0; i < n && code == E_OK; i++)
		code = take_filter(arena, in[i], &filters[i]);
	return code;
}

static int
take_request(const Capture__InterfaceRequest *in, uint32_t n_filters,
    struct msg_interface_request *out)
{
	if (in->snaplen == 0 || in->snaplen > PROTO_MAX_SNAPLEN ||
	    in->filter >= n_filters || in->link_type > UNPACK_LINK_TYPE_MAX)
		return E_BADMSG;
	out->snaplen = in->snaplen;
	out->no_promiscuous = in->no_promiscuous;
	out->filter = in->filter;
	out->link_type = in->link_type;
	return UNPACK(in->name, out->name, NOT_EMPTY);
}

static int
take_requests(struct arena *arena, const Capture__Start *in,
    struct msg_start *out)
{
	size_t n = in->n_interfaces;

	if (n == 0 || n > PROTO_MAX_INTERFACES)
		return E_BADMSG;
	out->interfaces = unpack_alloc_items(arena, n, sizeof(*out->interfaces));
	if (out->interfaces == NULL)
		return unpack_alloc_failure(arena);
	out->n_interfaces = (uint32_t)n;
	for (size_t i = 0; i < n; i++)
		if (take_request(in->interfaces[i], out->n_filters,
		    &out->interfaces[i]) != E_OK)
			return E_BADMSG;
	return E_OK;
}

int
unpack_start(struct arena *arena, const Capture__Start *in, struct msg_start *out)
{
	int code;

	if (in->direction > START_OUT || in->sample > PROTO_MAX_SAMPLE ||
	    in->sample_flows > PROTO_MAX_SAMPLE ||
	    in->time_stamp_type > TIME_STAMP_ADAPTER_UNSYNCED ||
	    (in->heartbeat_ms != 0 && !unpack_is_heartbeat(in->heartbeat_ms)))
		return E_BADMSG;
	out->direction = (enum start_direction)in->direction;
	out->time_stamp_type = (enum time_stamp_type)in->time_stamp_type;
	out->sample = in->sample;
	out->sample_flows = in->sample_flows;
	out->headers_only = in->headers_only;
	out->cooked = in->cooked;
	out->kernel_only = in->kernel_only;
	out->plan_only = in->plan_only;
	out->drop_newest = in->drop_newest;
	out->ring_bytes = in->ring_bytes;
	out->log_bytes = in->log_bytes;
	out->max_packets = in->max_packets;
	out->linger_ms = in->linger_ms;
	out->heartbeat_ms = in->heartbeat_ms;
	out->max_duration_ms = in->max_duration_ms;
	code = take_filters(arena, in->filters, in->n_filters, &out->filters,
	    &out->n_filters);
	return code == E_OK ? take_requests(arena, in, out) : code;
}

int
unpack_update_filter(struct arena *arena, const Capture__UpdateFilter *in,
    struct msg_update_filter *out)
{
	if (in->number == 0)
		return E_BADMSG;
	out->number = in->number;
	return take_filters(arena, in->filters, in->n_filters, &out->filters,
	    &out->n_filters);
}

int
unpack_filter_changed(struct arena *arena, const Capture__FilterChanged *in,
    struct msg_filter_changed *out)
{
	size_t n = in->n_places;

	if (in->number == 0 || n > PROTO_MAX_INTERFACES ||
	    unpack_code(in->code, &out->code) != E_OK ||
	    (in->sequence == 0 && in->code == E_OK) ||
	    UNPACK(in->text, out->text, MAY_BE_EMPTY) != E_OK)
		return E_BADMSG;
	out->number = in->number;
	out->sequence = in->sequence;
	out->time.ns = in->time_ns;
	if (n == 0)
		return E_OK;
	out->places = unpack_alloc_items(arena, n, sizeof(*out->places));
	if (out->places == NULL)
		return unpack_alloc_failure(arena);
	out->n_places = (uint32_t)n;
	for (size_t i = 0; i < n; i++) {
		if (in->places[i] > FILTER_CLIENT)
			return E_BADMSG;
		out->places[i] = (enum filter_place)in->places[i];
	}
	return E_OK;
}

/* Each part has an instruction of the program, in the program's order. */
static int
take_parts(const Capture__PlanInterface *in, struct msg_plan_interface *out)
{
	uint32_t previous = 0;

	if (in->n_parts > PROTO_MAX_PLAN_PARTS)
		return E_BADMSG;
	for (size_t i = 0; i < in->n_parts; i++) {
		const Capture__PlanPart *part = in->parts[i];

		if (part->first < previous || part->first >= out->n_insns ||
		    part->kind < PLAN_MANDATORY || part->kind > PLAN_CAP)
			return E_BADMSG;
		out->parts[i].first = previous = part->first;
		out->parts[i].kind = (enum plan_part)part->kind;
	}
	out->n_parts = (uint32_t)in->n_parts;
	return E_OK;
}

static int
take_warnings(struct arena *arena, const Capture__PlanInterface *in,
    struct msg_plan_interface *out)
{
	size_t n = in->n_warnings;

	if (n > PROTO_MAX_WARNINGS)
		return E_BADMSG;
	if (n == 0)
		return E_OK;
	out->warnings = unpack_alloc_items(arena, n, sizeof(*out->warnings));
	if (out->warnings == NULL)
		return unpack_alloc_failure(arena);
	out->n_warnings = (uint32_t)n;
	for (size_t i = 0; i < n; i++)
		if (UNPACK(in->warnings[i], out->warnings[i], NOT_EMPTY) != E_OK)
			return E_BADMSG;
	return E_OK;
}

static int
take_plan_interface(struct arena *arena, const Capture__PlanInterface *in,
    struct msg_plan_interface *out)
{
	int code;

	if (in->interface == NULL)
		return E_BADMSG;
	out->exact_vlan = in->exact_vlan;
	out->ring_bytes = in->ring_bytes;
	out->block_bytes = in->block_bytes;
	out->retire_ms = in->retire_ms;
	code = unpack_capture_interface(arena, in->interface, &out->interface);
	if (code == E_OK)
		code = take_instructions(arena, in->instructions,
		    in->n_instructions, &out->insns, &out->n_insns);
	if (code == E_OK)
		code = take_parts(in, out);
	return code == E_OK ? take_warnings(arena, in, out) : code;
}

int
unpack_plan(struct arena *arena, const Capture__Plan *in, struct msg_plan *out)
{
	size_t n = in->n_interfaces;
	int code = E_OK;

	if (n == 0 || n > PROTO_MAX_INTERFACES ||
	    UNPACK(in->notes, out->notes, MAY_BE_EMPTY) != E_OK)
		return E_BADMSG;
	out->log_bytes = in->log_bytes;
	out->interfaces = unpack_alloc_items(arena, n, sizeof(*out->interfaces));
	if (out->interfaces == NULL)
		return unpack_alloc_failure(arena);
	out->n_interfaces = (uint32_t)n;
	for (size_t i = 0; i < n && code == E_OK; i++)
		code = take_plan_interface(arena, in->interfaces[i],
		    &out->interfaces[i]);
	return code;
}
