#include "server/ring_judge.h"

#include <string.h>

#include <linux/if_packet.h>

#include "common/bpf.h"
#include "common/bytes.h"

static enum ring_verdict
judge(const struct prologue_check *check, const struct bpf_view *view)
{
	bool is_cut = false;
	uint32_t answer = bpf_prog_judge(check->prog.insns, check->prog.n, view,
	    &is_cut);

	if (is_cut)
		return RING_UNCERTAIN;
	return answer != 0 ? RING_PASSED : RING_REJECTED;
}

/* What the kernel's own loads would have given. */
static struct bpf_aux
aux_of(const struct ring_packet *p)
{
	const struct tpacket3_hdr *h = p->h;
	const uint8_t *protocol = (const uint8_t *)&p->sll->sll_protocol;

	return (struct bpf_aux){
		.protocol = get_be16(protocol),
		.packet_type = p->sll->sll_pkttype,
		.ifindex = (uint32_t)p->sll->sll_ifindex,
		.has_vlan = (h->tp_status & TP_STATUS_VLAN_VALID) != 0,
		.vlan_tci = (uint16_t)h->hv1.tp_vlan_tci,
		.vlan_tpid = h->hv1.tp_vlan_tpid,
		.rxhash = h->hv1.tp_rxhash,
		.hatype = p->sll->sll_hatype,
		.net_offset = h->tp_net >= h->tp_mac ?
		    (uint32_t)(h->tp_net - h->tp_mac) : 0,
	};
}

static uint32_t
add_len(uint32_t len, uint32_t extra)
{
	return len > UINT32_MAX - extra ? UINT32_MAX : len + extra;
}

/*
 * The file's form is made in the ring, in the room before the packet that
 * capagent reserves, and unmade: a walk may come by this packet again.
 */
static enum ring_verdict
judge_file_form(const struct prologue_check *check, const struct ring_packet *p,
    const struct bpf_aux *aux)
{
	uint8_t saved[RING_FRONT_MAX];
	struct ring_front front;
	enum ring_verdict verdict;
	uint32_t more;

	ring_front_make(p->layout, p->h, p->sll, p->data, &front);
	more = front.len - front.skip;
	if (more > p->room)
		return RING_UNCERTAIN;
	memcpy(saved, p->data, front.skip);
	memcpy(p->data - more, front.bytes, front.len);
	verdict = judge(check, &(struct bpf_view){
		.data = p->data - more,
		.caplen = p->h->tp_snaplen + more,
		.len = add_len(p->h->tp_len, front.extra),
		.aux = aux,
		.is_offline = check->is_offline,
	});
	memcpy(p->data, saved, front.skip);
	return verdict;
}

/* A tagged packet comes whole from the kernel when it is judged here. */
static uint32_t
keep_of(const struct prologue_check *check, const struct ring_packet *p,
    const struct bpf_view *view)
{
	struct ring_front front;
	bool is_cut = false;
	uint32_t keep;

	if (check->cut.n == 0 || !view->aux->has_vlan)
		return UINT32_MAX;
	keep = bpf_prog_judge(check->cut.insns, check->cut.n, view, &is_cut);
	if (is_cut || keep == 0)
		return UINT32_MAX;
	ring_front_make(p->layout, p->h, p->sll, p->data, &front);
	return add_len(keep, front.len - front.skip);
}

enum ring_verdict
ring_judge(const struct prologue_check *check, const struct ring_packet *p,
    uint32_t *ret_keep)
{
	struct bpf_aux aux;
	struct bpf_view view;
	enum ring_verdict verdict = RING_PASSED;

	aux = aux_of(p);
	view = (struct bpf_view){ .data = p->data, .caplen = p->h->tp_snaplen,
	    .len = p->h->tp_len, .aux = &aux };
	if (check->prog.n > 0 && check->on_file_bytes) {
		verdict = judge_file_form(check, p, &aux);
	} else if (check->prog.n > 0) {
		view.is_offline = check->is_offline;
		verdict = judge(check, &view);
		view.is_offline = false;
	}
	if (verdict != RING_REJECTED)
		*ret_keep = keep_of(check, p, &view);
	return verdict;
}
