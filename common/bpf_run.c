#include <linux/filter.h>

#include "common/bpf.h"
#include "common/bytes.h"

#define NEGATIVE	0x80000000U	/* offsets from here on are not in the data */

struct machine {
	uint32_t	 a, x;
	uint32_t	 m[BPF_MEMWORDS];
	bool		 is_cut;
};

static const struct bpf_aux nothing;

static const struct bpf_aux *
aux_of(const struct bpf_view *p)
{
	return p->aux != NULL ? p->aux : &nothing;
}

/* Where the kernel finds what has a negative offset; -1: nowhere. */
static int64_t
place_negative(const struct bpf_view *p, int32_t offset)
{
	int64_t at;

	if (p->is_offline && p->aux == NULL)
		return -1;
	if (offset >= SKF_NET_OFF)
		at = (int64_t)aux_of(p)->net_offset + offset - SKF_NET_OFF;
	else
		at = (int64_t)offset - SKF_LL_OFF;
	return at < 0 ? -1 : at;
}

/* False for a load outside the packet: it ends the program with 0. */
static bool
load(const struct bpf_view *p, struct machine *r, uint32_t offset, uint16_t code,
    uint32_t *ret_value)
{
	int64_t size = BPF_SIZE(code) == BPF_W ? 4 : BPF_SIZE(code) == BPF_H ? 2 : 1;
	int64_t at = offset < NEGATIVE ? offset : place_negative(p, (int32_t)offset);

	if (at < 0)
		return false;
	if (at + size > (int64_t)p->caplen) {
		r->is_cut = at + size <= (int64_t)p->len;
		return false;
	}
	switch (size) {
	case 4:
		*ret_value = get_be32(p->data + at);
		break;
	case 2:
		*ret_value = get_be16(p->data + at);
		break;
	default:
		*ret_value = p->data[at];
		break;
	}
	return true;
}

static bool
load_indirect(const struct bpf_view *p, struct machine *r, const struct bpf_insn_raw *insn)
{
	if (p->is_offline && (uint64_t)r->x + insn->k >= NEGATIVE)
		return false;
	return load(p, r, r->x + insn->k, insn->code, &r->a);
}

/*
 * The CPU, the payload's offset and netlink attributes are not known outside
 * the kernel: 0.
 */
static uint32_t
load_ancillary(const struct bpf_aux *aux, const struct machine *r, uint32_t k)
{
	switch (k - (uint32_t)SKF_AD_OFF) {
	case SKF_AD_PROTOCOL:
		return aux->protocol;
	case SKF_AD_PKTTYPE:
		return aux->packet_type;
	case SKF_AD_IFINDEX:
		return aux->ifindex;
	case SKF_AD_MARK:
		return aux->mark;
	case SKF_AD_QUEUE:
		return aux->queue;
	case SKF_AD_HATYPE:
		return aux->hatype;
	case SKF_AD_RXHASH:
		return aux->rxhash;
	case SKF_AD_ALU_XOR_X:
		return r->a ^ r->x;
	case SKF_AD_VLAN_TAG:
		return aux->vlan_tci;
	case SKF_AD_VLAN_TAG_PRESENT:
		return aux->has_vlan;
	case SKF_AD_RANDOM:
		return aux->random;
	case SKF_AD_VLAN_TPID:
		return aux->vlan_tpid;
	default:
		return 0;
	}
}

/* BPF_LD and BPF_LDX; false when the program ends here. */
static bool
run_load(const struct bpf_view *p, struct machine *r, const struct bpf_insn_raw *insn)
{
	bool is_x = BPF_CLASS(insn->code) == BPF_LDX;
	uint32_t *to = is_x ? &r->x : &r->a;

	switch (BPF_MODE(insn->code)) {
	case BPF_IMM:
		*to = insn->k;
		return true;
	case BPF_MEM:
		*to = r->m[insn->k % BPF_MEMWORDS];
		return true;
	case BPF_LEN:
		*to = p->len;
		return true;
	case BPF_ABS:
		if (insn->k >= (uint32_t)SKF_AD_OFF) {
			r->a = load_ancillary(aux_of(p), r, insn->k);
			return p->aux != NULL || !p->is_offline;
		}
		return load(p, r, insn->k, insn->code, &r->a);
	case BPF_IND:
		return load_indirect(p, r, insn);
	case BPF_MSH:
		if (!load(p, r, insn->k, insn->code, &r->x))
			return false;
		r->x = 4 * (r->x & 0xf);
		return true;
	default:
		return false;
	}
}

/* The kernel takes the low five bits of the count. */
static uint32_t
shift(uint16_t code, uint32_t a, uint32_t count, bool is_offline)
{
	if (is_offline && count >= 32)
		return 0;
	return BPF_OP(code) == BPF_LSH ? a << (count & 31) : a >> (count & 31);
}

/* BPF_ALU; false when the program ends here. */
static bool
run_alu(struct machine *r, const struct bpf_insn_raw *insn, bool is_offline)
{
	uint32_t b = BPF_SRC(insn->code) == BPF_X ? r->x : insn->k;

	switch (BPF_OP(insn->code)) {
	case BPF_ADD:
		r->a += b;
		return true;
	case BPF_SUB:
		r->a -= b;
		return true;
	case BPF_MUL:
		r->a *= b;
		return true;
	case BPF_DIV:
		if (b == 0)
			return false;
		r->a /= b;
		return true;
	case BPF_MOD:
		if (b == 0)
			return false;
		r->a %= b;
		return true;
	case BPF_AND:
		r->a &= b;
		return true;
	case BPF_OR:
		r->a |= b;
		return true;
	case BPF_XOR:
		r->a ^= b;
		return true;
	case BPF_LSH:
	case BPF_RSH:
		r->a = shift(insn->code, r->a, b, is_offline);
		return true;
	case BPF_NEG:
		r->a = 0 - r->a;
		return true;
	default:
		return false;
	}
}

/* How many instructions to skip. */
static size_t
run_jump(const struct machine *r, const struct bpf_insn_raw *insn)
{
	uint32_t b = BPF_SRC(insn->code) == BPF_X ? r->x : insn->k;
	bool is_true;

	switch (BPF_OP(insn->code)) {
	case BPF_JEQ:
		is_true = r->a == b;
		break;
	case BPF_JGT:
		is_true = r->a > b;
		break;
	case BPF_JGE:
		is_true = r->a >= b;
		break;
	case BPF_JSET:
		is_true = (r->a & b) != 0;
		break;
	default:			/* BPF_JA */
		return insn->k;
	}
	return is_true ? insn->jt : insn->jf;
}

/* Run to the end; the answer. */
static uint32_t
run(const struct bpf_insn_raw *insns, size_t n, const struct bpf_view *p, struct machine *r)
{
	for (size_t pc = 0; pc < n; pc++) {
		const struct bpf_insn_raw *insn = &insns[pc];

		switch (BPF_CLASS(insn->code)) {
		case BPF_LD:
		case BPF_LDX:
			if (!run_load(p, r, insn))
				return 0;
			break;
		case BPF_ST:
			r->m[insn->k % BPF_MEMWORDS] = r->a;
			break;
		case BPF_STX:
			r->m[insn->k % BPF_MEMWORDS] = r->x;
			break;
		case BPF_ALU:
			if (!run_alu(r, insn, p->is_offline))
				return 0;
			break;
		case BPF_JMP:
			pc += run_jump(r, insn);
			break;
		case BPF_RET:
			return BPF_RVAL(insn->code) == BPF_A ? r->a : insn->k;
		case BPF_MISC:
			if (BPF_MISCOP(insn->code) == BPF_TAX)
				r->x = r->a;
			else
				r->a = r->x;
			break;
		default:
			return 0;
		}
	}
	return 0;
}

uint32_t
bpf_prog_judge(const struct bpf_insn_raw *insns, size_t n, const struct bpf_view *view,
    bool *ret_is_cut)
{
	struct machine r = { .a = 0 };
	uint32_t answer = run(insns, n, view, &r);

	*ret_is_cut = r.is_cut;
	return answer;
}

uint32_t
bpf_prog_run(const struct bpf_insn_raw *insns, size_t n, const uint8_t *data,
    uint32_t caplen, uint32_t len, const struct bpf_aux *aux)
{
	const struct bpf_view view = { .data = data, .caplen = caplen, .len = len, .aux = aux };
	struct machine r = { .a = 0 };

	return run(insns, n, &view, &r);
}
