#include "proto/codec_unpack_int.h"

static int
take_program(struct arena *arena, const Capture__Program *in,
    struct msg_program *out)
{
	size_t n = in->n_instructions;

	if (n == 0 || n > PROTO_MAX_FILTER_INSNS ||
	    in->link_type > UNPACK_LINK_TYPE_MAX)
		return E_BADMSG;
	out->insns = unpack_alloc_items(arena, n, sizeof(*out->insns));
	if (out->insns == NULL)
		return unpack_alloc_failure(arena);
	out->link_type = in->link_type;
	out->n_insns = (uint32_t)n;
	for (size_t i = 0; i < n; i++) {
		const Capture__Instruction *insn = in->instructions[i];

		if (insn->code > UINT16_MAX || insn->jt > UINT8_MAX ||
		    insn->jf > UINT8_MAX)
			return E_BADMSG;
		out->insns[i] = (struct bpf_insn_raw){
			.code = (uint16_t)insn->code,
			.jt = (uint8_t)insn->jt,
			.jf = (uint8_t)insn->jf,
			.k = insn->k,
		};
	}
	return E_OK;
}

static int
take_programs(struct arena *arena, const Capture__Start *in,
    struct msg_start *out)
{
	size_t n = in->n_programs;
	int code;

	if (n > PROTO_MAX_PROGRAMS)
		return E_BADMSG;
	if (n == 0)
		return E_OK;
	out->programs = unpack_alloc_items(arena, n, sizeof(*out->programs));
	if (out->programs == NULL)
		return unpack_alloc_failure(arena);
	out->n_programs = (uint32_t)n;
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < i; j++)
			if (in->programs[i]->link_type ==
			    in->programs[j]->link_type)
				return E_BADMSG;
		code = take_program(arena, in->programs[i], &out->programs[i]);
		if (code != E_OK)
			return code;
	}
	return E_OK;
}

static int
take_start_interfaces(struct arena *arena, const Capture__Start *in,
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
		if (UNPACK(in->interfaces[i], out->interfaces[i], NOT_EMPTY) !=
		    E_OK)
			return E_BADMSG;
	return E_OK;
}

int
unpack_start(struct arena *arena, const Capture__Start *in, struct msg_start *out)
{
	size_t len = unpack_strlen(in->filter_text);
	int code;

	if (in->snaplen == 0 || in->snaplen > PROTO_MAX_SNAPLEN ||
	    len > PROTO_MAX_FILTER_TEXT || in->direction > START_OUT ||
	    in->sample > PROTO_MAX_SAMPLE || in->sample_flows > PROTO_MAX_SAMPLE)
		return E_BADMSG;
	out->direction = (enum start_direction)in->direction;
	out->headers_only = in->headers_only;
	out->sample = in->sample;
	out->sample_flows = in->sample_flows;
	out->snaplen = in->snaplen;
	out->no_promiscuous = in->no_promiscuous;
	out->exact_vlan = in->exact_vlan;
	out->drop_newest = in->drop_newest;
	out->ring_bytes = in->ring_bytes;
	out->log_bytes = in->log_bytes;
	out->max_packets = in->max_packets;
	out->filter_text = unpack_alloc_items(arena, len + 1, 1);
	if (out->filter_text == NULL)
		return unpack_alloc_failure(arena);
	code = unpack_string(in->filter_text, out->filter_text, len + 1,
	    MAY_BE_EMPTY);
	if (code == E_OK)
		code = take_start_interfaces(arena, in, out);
	if (code == E_OK)
		code = take_programs(arena, in, out);
	return code;
}
