#include "server/prologue.h"

#include <linux/filter.h>
#include <linux/if_packet.h>
#include <string.h>

#include "common/bpf_headers.h"
#include "common/bpf_link.h"
#include "common/bpf_sample.h"
#include "common/link_type.h"
#include "proto/limits.h"
#include "server/prologue_own.h"

_Static_assert((int)PROLOGUE_PARTS_MAX == (int)BPF_MARKS_MAX, "a mark is a part");

/* A program that grows part by part, for one way to judge. */
struct joined {
	enum filter_place place;
	bool		 is_short;	/* one copy of the client's part for all packets */
	struct bpf_prog	 prog;
	struct bpf_marks marks;
};

static int
append(struct joined *j, const struct bpf_prog *part, enum plan_part kind)
{
	const struct bpf_marks marks = { .n = 1, .at = { { 0, (int)kind } } };

	return bpf_link_append_marked(&j->prog, &j->marks, part, &marks);
}

/* Cooked sockets show the same bytes, whatever header a file has in front. */
static uint32_t
layers_of(const struct prologue_config *cfg)
{
	return cfg->is_cooked ? LINK_SLL2 : cfg->link_type;
}

/* Reject packets of type PACKET_OUTGOING, or all others. */
static int
append_direction(struct joined *j, enum prologue_direction direction, enum plan_part kind)
{
	bool is_out = direction == PROLOGUE_OUT;
	const struct bpf_prog part = { .n = 4, .insns = {
		{ .code = BPF_LD | BPF_W | BPF_ABS, .k = (uint32_t)SKF_AD_OFF + SKF_AD_PKTTYPE },
		{ .code = BPF_JMP | BPF_JEQ | BPF_K, .jt = !is_out, .jf = is_out,
		  .k = PACKET_OUTGOING },
		{ .code = BPF_RET | BPF_K, .k = UINT32_MAX },
		{ .code = BPF_RET | BPF_K, .k = 0 },
	} };

	if (direction == PROLOGUE_INOUT)
		return E_OK;
	return append(j, &part, kind);
}

/*
 * Reject what goes out on the loopback interface, whose number is 1 in every
 * network namespace.
 */
static int
append_any_loopback(struct joined *j)
{
	const struct bpf_prog part = { .n = 6, .insns = {
		{ .code = BPF_LD | BPF_W | BPF_ABS, .k = (uint32_t)SKF_AD_OFF + SKF_AD_IFINDEX },
		{ .code = BPF_JMP | BPF_JEQ | BPF_K, .jt = 0, .jf = 2, .k = 1 },
		{ .code = BPF_LD | BPF_W | BPF_ABS, .k = (uint32_t)SKF_AD_OFF + SKF_AD_PKTTYPE },
		{ .code = BPF_JMP | BPF_JEQ | BPF_K, .jt = 1, .jf = 0, .k = PACKET_OUTGOING },
		{ .code = BPF_RET | BPF_K, .k = UINT32_MAX },
		{ .code = BPF_RET | BPF_K, .k = 0 },
	} };

	return append(j, &part, PLAN_LOOPBACK);
}

/* --- the client's part --- */

/* Are tagged packets judged by another program than the others? */
static bool
has_tagged_part(const struct prologue_config *cfg)
{
	return link_type_is_ethernet(cfg->link_type) && !cfg->is_cooked && cfg->exact_vlan &&
	    cfg->n_filter > 0;
}

static void
set_filter(const struct prologue_config *cfg, struct bpf_prog *ret_prog)
{
	ret_prog->n = (uint32_t)cfg->n_filter;
	memcpy(ret_prog->insns, cfg->filter, cfg->n_filter * sizeof(cfg->filter[0]));
}

/*
 * Does it ask for what the file has in another byte order?  A CAN identifier
 * is in the machine's order until ring_form has turned it.
 */
static bool
reads_can_id(const struct prologue_config *cfg)
{
	enum { CAN_ID_LEN = 4 };

	return cfg->link_type == LINK_CAN &&
	    bpf_prog_reads_below(cfg->filter, cfg->n_filter, CAN_ID_LEN);
}

/* The client's program with all its packets in the kernel. */
static int
fit_to_kernel(const struct prologue_config *cfg, struct bpf_prog *prog, uint32_t *ret_tagged_at)
{
	int code;

	if (has_tagged_part(cfg))
		return bpf_link_vlan(prog, ret_tagged_at);
	if (reads_can_id(cfg))
		return E_FILTER;
	code = cfg->exact_vlan ? bpf_link_offline(prog) : E_OK;
	if (code == E_OK && cfg->is_cooked)
		code = bpf_link_cooked(prog, cfg->link_type);
	return code;
}

/* Without the tagged ones, for which its answer is the whole packet. */
static int
fit_to_untagged(struct bpf_prog *prog)
{
	int code = bpf_link_offline(prog);

	return code == E_OK ? bpf_link_untagged(prog, UINT32_MAX) : code;
}

static int
append_filter(struct joined *j, const struct prologue_config *cfg)
{
	struct bpf_marks marks = { .n = 1, .at = { { 0, PLAN_FILTER } } };
	struct bpf_prog filter;
	uint32_t tagged_at = 0;
	int code;

	if (j->place == FILTER_CLIENT || cfg->n_filter == 0)
		return E_OK;
	set_filter(cfg, &filter);
	if (j->place == FILTER_AGENT)
		code = fit_to_untagged(&filter);
	else if (j->is_short)
		code = bpf_link_vlan_short(&filter);
	else
		code = fit_to_kernel(cfg, &filter, &tagged_at);
	if (code != E_OK)
		return code;
	if (tagged_at != 0)
		marks.at[marks.n++] = (struct bpf_mark){ tagged_at, PLAN_FILTER_TAGGED };
	return bpf_link_append_marked(&j->prog, &j->marks, &filter, &marks);
}

static void
set_check(const struct prologue_config *cfg, enum filter_place place, struct prologue *p)
{
	p->check.prog.n = p->check.cut.n = 0;
	p->check.on_file_bytes = p->check.is_offline = false;
	if (place == FILTER_CLIENT)
		return;
	/* Where the file's bytes are the kernel's it makes no difference. */
	p->check.on_file_bytes = cfg->exact_vlan || cfg->is_cooked;
	p->check.is_offline = cfg->exact_vlan;
	if (cfg->n_filter > 0)
		set_filter(cfg, &p->check.prog);
}

/* --- all parts --- */

static int
append_samples(struct joined *j, const struct prologue_config *cfg)
{
	struct bpf_prog part;
	int code = E_OK;

	if (cfg->sample > 1) {
		bpf_sample_packets(cfg->sample, &part);
		code = append(j, &part, PLAN_SAMPLE);
	}
	if (code == E_OK && cfg->sample_flows > 1) {
		code = bpf_sample_flows(layers_of(cfg), cfg->sample_flows, &part);
		if (code == E_OK)
			code = append(j, &part, PLAN_SAMPLE_FLOWS);
	}
	return code;
}

/* How much of each packet is kept; headers is empty for the snaplen. */
static int
append_keep(struct joined *j, const struct prologue_config *cfg, const struct bpf_prog *headers)
{
	struct bpf_prog keep;
	bool is_headers = headers->n > 0 && j->place != FILTER_CLIENT;
	int code = E_OK;

	if (j->place == FILTER_KERNEL && !is_headers && j->prog.n > 0)
		return bpf_link_cap_marked(&j->prog, &j->marks, cfg->snaplen);
	if (is_headers)
		keep = *headers;
	else
		bpf_link_return(&keep, j->place == FILTER_CLIENT ? UINT32_MAX : cfg->snaplen);
	if (j->place == FILTER_AGENT)
		code = bpf_link_untagged(&keep, UINT32_MAX);
	if (code == E_OK)
		code = append(j, &keep, is_headers ? PLAN_HEADERS : PLAN_CAP);
	return code;
}

static int
append_all(struct joined *j, const struct prologue_config *cfg, const struct bpf_prog *headers)
{
	struct bpf_prog own = { .n = 0 };
	int code = E_OK;

	j->prog.n = j->marks.n = 0;
	if (cfg->own != NULL)
		code = prologue_own_append(&own, layers_of(cfg), cfg->mark, cfg->own);
	if (code == E_OK && own.n > 0)
		code = append(j, &own, PLAN_OWN_TRAFFIC);
	/* A loopback interface shows each packet on its way out and again coming in. */
	if (code == E_OK && cfg->is_loopback)
		code = append_direction(j, PROLOGUE_IN, PLAN_LOOPBACK);
	if (code == E_OK && cfg->is_any)
		code = append_any_loopback(j);
	if (code == E_OK)
		code = append_direction(j, cfg->direction, PLAN_DIRECTION);
	if (code == E_OK)
		code = append_filter(j, cfg);
	if (code == E_OK)
		code = append_samples(j, cfg);
	if (code == E_OK)
		code = append_keep(j, cfg, headers);
	return code;
}

/* --- places --- */

/* Why the last place that was allowed does not do. */
static int
refuse(const struct prologue_config *cfg, int code, struct err *err)
{
	if (code == E_FILTER && cfg->is_cooked)
		return err_set(err, code, "filter: reads a part of the link-layer header that a "
		    "cooked interface does not have, or has no free scratch memory");
	if (code == E_FILTER && cfg->link_type == LINK_CAN)
		return err_set(err, code, "filter: reads the CAN identifier, which the kernel has "
		    "in another byte order than a file");
	if (code == E_FILTER)
		return err_set(err, code, "filter: cannot be made exact: no free scratch memory");
	return err_set(err, E_FILTER, "filter: %zu instructions: as this interface needs them, joined "
	    "with the exclusion of the agent's own traffic (%u endpoints), more than %d",
	    cfg->n_filter, cfg->own != NULL ? cfg->own->n : 0, BPF_PROG_MAX);
}

static int
check_config(const struct prologue_config *cfg, struct bpf_prog *ret_headers, struct err *err)
{
	struct bpf_prog flows;
	int code = E_OK;

	if (cfg->n_filter > 0)
		code = bpf_prog_check(cfg->filter, cfg->n_filter, err);
	if (code != E_OK)
		return code;
	ret_headers->n = 0;
	if (cfg->headers_only)
		code = bpf_headers_program(layers_of(cfg), cfg->snaplen, ret_headers);
	if (code == E_OK && cfg->sample_flows > 1)
		code = bpf_sample_flows(layers_of(cfg), cfg->sample_flows, &flows);
	if (code != E_OK)
		return err_set(err, code, "%s: not possible here: what is behind the link-layer "
		    "header is not known for link type %u",
		    cfg->sample_flows > 1 ? "sampling of flows" : "headers only", cfg->link_type);
	return E_OK;
}

static void
fill(const struct prologue_config *cfg, const struct joined *j, const struct bpf_prog *headers,
    struct prologue *ret)
{
	enum filter_place place = j->place;

	ret->prog = j->prog;
	ret->place = place;
	ret->open_snaplen = place == FILTER_KERNEL ? cfg->snaplen : PROTO_MAX_SNAPLEN;
	ret->ring_snaplen = place == FILTER_CLIENT ? PROTO_MAX_SNAPLEN : cfg->snaplen;
	set_check(cfg, place, ret);
	if (place != FILTER_CLIENT)
		ret->check.cut = *headers;
	ret->n_parts = j->marks.n;
	for (uint32_t i = 0; i < j->marks.n; i++)
		ret->parts[i] = (struct prologue_part){ j->marks.at[i].first,
		    (enum plan_part)j->marks.at[i].kind };
}

/*
 * In the kernel two copies of the client's part are faster than one that
 * chooses, which is the way for what is too long for two.
 */
static int
build_in(const struct prologue_config *cfg, enum filter_place place,
    const struct bpf_prog *headers, struct joined *ret)
{
	bool has_two = place == FILTER_KERNEL && has_tagged_part(cfg);
	int code;

	ret->place = place;
	ret->is_short = has_two && cfg->one_copy;
	code = append_all(ret, cfg, headers);
	if (code != E_TOOBIG || !has_two || ret->is_short)
		return code;
	ret->is_short = true;
	return append_all(ret, cfg, headers) == E_OK ? E_OK : E_TOOBIG;
}

int
prologue_build(const struct prologue_config *cfg, struct prologue *ret, struct err *err)
{
	struct bpf_prog headers;
	struct joined j;
	int code = check_config(cfg, &headers, err);

	if (code != E_OK)
		return code;
	code = E_TOOBIG;
	for (int at = (int)cfg->from; at <= (int)cfg->to; at++) {
		enum filter_place place = (enum filter_place)at;

		if (place == FILTER_AGENT && !has_tagged_part(cfg))
			continue;
		code = build_in(cfg, place, &headers, &j);
		if (code == E_OK) {
			fill(cfg, &j, &headers, ret);
			return E_OK;
		}
	}
	return refuse(cfg, code, err);
}
