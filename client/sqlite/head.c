#include "client/sqlite/head.h"

#include <linux/filter.h>

#include "client/sqlite/tuple.h"

/* What all packets of the shape have in common. */
struct walk {
	struct tuple_shape shape;
	uint8_t		 packet[TUPLE_PACKET_MAX];
};

static uint32_t
load_size(uint16_t code)
{
	return BPF_SIZE(code) == BPF_W ? 4 : BPF_SIZE(code) == BPF_H ? 2 : 1;
}

/* False for a load of what the packets differ in or do not have. */
static bool
load(const struct walk *w, const struct bpf_insn_raw *insn, uint32_t *ret)
{
	uint32_t size = load_size(insn->code), word = 0;

	if ((uint64_t)insn->k + size > w->shape.len)
		return false;
	for (uint32_t at = insn->k; at < insn->k + size; at++) {
		if ((w->shape.defined[at] & ~w->shape.fixed[at]) != 0)
			return false;
		word = word << 8 | w->packet[at];
	}
	*ret = word;
	return true;
}

/* How far a jump with a constant goes. */
static uint32_t
jump(const struct bpf_insn_raw *insn, uint32_t a)
{
	bool is_true;

	switch (BPF_OP(insn->code)) {
	case BPF_JA:
		return 1 + insn->k;
	case BPF_JEQ:
		is_true = a == insn->k;
		break;
	case BPF_JGT:
		is_true = a > insn->k;
		break;
	case BPF_JGE:
		is_true = a >= insn->k;
		break;
	default:
		is_true = (a & insn->k) != 0;
		break;
	}
	return 1U + (is_true ? insn->jt : insn->jf);
}

/*
 * Run the program as long as no connection could run it otherwise.  It can be
 * taken up where A is about to be loaded and nothing else has been written.
 */
static struct head
run(const struct walk *w, const struct bpf_insn_raw *insns)
{
	struct head head = { .end = HEAD_GOES_ON };
	uint32_t a = 0;

	for (uint32_t pc = 0;;) {
		const struct bpf_insn_raw *insn = &insns[pc];

		if (BPF_CLASS(insn->code) == BPF_LD && BPF_MODE(insn->code) == BPF_ABS) {
			head.start = pc++;
			if (!load(w, insn, &a))
				return head;
		} else if (insn->code == (BPF_ALU | BPF_AND | BPF_K)) {
			a &= insn->k;
			pc++;
		} else if (BPF_CLASS(insn->code) == BPF_JMP && BPF_SRC(insn->code) == BPF_K) {
			pc += jump(insn, a);
		} else if (insn->code == (BPF_RET | BPF_K)) {
			head.end = insn->k == 0 ? HEAD_NO : HEAD_YES;
			return head;
		} else {
			/* The header's length into X, a load by it into A. */
			if (insn->code == (BPF_LDX | BPF_B | BPF_MSH) &&
			    BPF_CLASS(insns[pc + 1].code) == BPF_LD &&
			    BPF_MODE(insns[pc + 1].code) == BPF_IND)
				head.start = pc;
			return head;
		}
	}
}

struct head
head_find(const struct bpf_insn_raw *insns, uint8_t version, uint8_t protocol)
{
	const struct tuple any = { .version = version, .protocol = protocol };
	struct walk w;

	/* ICMP's type and code are in packets, also where nobody asks for them. */
	tuple_shape_init(&w.shape, version, protocol, TUPLE_ICMP_IS_TYPE_AND_CODE);
	tuple_write(&any, w.packet);
	return run(&w, insns);
}
