#include "server/prologue.h"

#include <linux/filter.h>
#include <linux/if_packet.h>

#include "common/bpf_headers.h"
#include "common/bpf_link.h"
#include "common/bpf_sample.h"
#include "server/prologue_own.h"

enum { LINK_ETHERNET = 1, LINK_COOKED = 276 };

/* Reject packets of type PACKET_OUTGOING, or all others. */
static int
append_direction(struct bpf_prog *prog, enum prologue_direction direction)
{
	bool is_out = direction == PROLOGUE_OUT;
	const struct bpf_insn_raw part[] = {
		{ .code = BPF_LD | BPF_W | BPF_ABS, .k = (uint32_t)SKF_AD_OFF + SKF_AD_PKTTYPE },
		{ .code = BPF_JMP | BPF_JEQ | BPF_K, .jt = !is_out, .jf = is_out,
		  .k = PACKET_OUTGOING },
		{ .code = BPF_RET | BPF_K, .k = UINT32_MAX },
		{ .code = BPF_RET | BPF_K, .k = 0 },
	};

	if (direction == PROLOGUE_INOUT)
		return E_OK;
	return bpf_link_append(prog, part, ARRAY_LEN(part));
}

/* The client's program, in the form that this socket's packets need. */
static int
make_filter(const struct prologue_config *cfg, struct bpf_prog *ret_filter, struct err *err)
{
	int code;

	if (cfg->n_filter == 0) {
		bpf_link_return(ret_filter, UINT32_MAX);
		return E_OK;
	}
	code = bpf_prog_check(cfg->filter, cfg->n_filter, err);
	if (code != E_OK)
		return code;
	ret_filter->n = 0;
	code = bpf_link_append(ret_filter, cfg->filter, cfg->n_filter);
	if (code == E_OK && cfg->link_type == LINK_COOKED) {
		code = bpf_link_cooked(ret_filter);
		if (code == E_FILTER)
			return err_set(err, code, "filter: reads a part of the link-layer header "
			    "that a cooked interface does not have");
	} else if (code == E_OK && cfg->exact_vlan) {
		code = cfg->link_type == LINK_ETHERNET ? bpf_link_vlan(ret_filter) :
		    bpf_link_offline(ret_filter);
		if (code == E_FILTER)
			return err_set(err, code, "filter: cannot be made exact: no free "
			    "scratch memory");
	}
	if (code != E_OK)
		return err_set(err, code, "filter: %zu instructions: translated for this "
		    "interface more than %d", cfg->n_filter, BPF_PROG_MAX);
	return E_OK;
}

/* What of the packets that match, and of each of them, is kept. */
static int
append_reduction(const struct prologue_config *cfg, struct bpf_prog *prog)
{
	struct bpf_prog part;
	int code = E_OK;

	if (cfg->sample > 1) {
		bpf_sample_packets(cfg->sample, &part);
		code = bpf_link_append(prog, part.insns, part.n);
	}
	if (code == E_OK && cfg->sample_flows > 1) {
		code = bpf_sample_flows(cfg->link_type, cfg->sample_flows, &part);
		if (code == E_OK)
			code = bpf_link_append(prog, part.insns, part.n);
	}
	if (code == E_OK && cfg->headers_only) {
		code = bpf_headers_program(cfg->link_type, cfg->snaplen, &part);
		if (code == E_OK)
			code = bpf_link_append(prog, part.insns, part.n);
	}
	return code;
}

static int
append_all(const struct prologue_config *cfg, const struct bpf_prog *filter,
    struct bpf_prog *ret_prog)
{
	int code = E_OK;

	ret_prog->n = 0;
	if (cfg->own != NULL)
		code = prologue_own_append(ret_prog, cfg->link_type, cfg->mark, cfg->own);
	/* A loopback interface shows each packet on its way out and again coming in. */
	if (code == E_OK && cfg->is_loopback)
		code = append_direction(ret_prog, PROLOGUE_IN);
	if (code == E_OK)
		code = append_direction(ret_prog, cfg->direction);
	if (code == E_OK)
		code = bpf_link_append(ret_prog, filter->insns, filter->n);
	if (code == E_OK)
		code = append_reduction(cfg, ret_prog);
	if (code == E_OK)
		code = bpf_link_cap(ret_prog, cfg->snaplen);
	return code;
}

int
prologue_build(const struct prologue_config *cfg, struct bpf_prog *ret_prog, struct err *err)
{
	struct bpf_prog filter, prog;
	int code;

	code = make_filter(cfg, &filter, err);
	if (code != E_OK)
		return code;
	code = append_all(cfg, &filter, &prog);
	if (code == E_FILTER)
		return err_set(err, code, "%s: not possible here: what is behind the link-layer "
		    "header is not known for link type %u",
		    cfg->sample_flows > 1 ? "sampling of flows" : "headers only", cfg->link_type);
	if (code != E_OK)
		return err_set(err, code, "filter: %u instructions: joined with the exclusion of "
		    "the agent's own traffic (%u endpoints) more than %d", filter.n,
		    cfg->own != NULL ? cfg->own->n : 0, BPF_PROG_MAX);
	*ret_prog = prog;
	return E_OK;
}
