#include "common/bpf_asm.h"

#include <linux/filter.h>
#include <string.h>

enum { UNBOUND = UINT16_MAX, FARTHEST = UINT8_MAX };

void
bpf_asm_init(struct bpf_asm *a)
{
	a->n_nodes = a->n_labels = 0;
	a->is_full = false;
}

uint16_t
bpf_asm_labels(struct bpf_asm *a, size_t count)
{
	uint16_t first = (uint16_t)a->n_labels;

	if (count > BPF_ASM_MAX_LABELS - a->n_labels) {
		a->is_full = true;
		return 0;
	}
	memset(a->at + first, 0xff, count * sizeof(a->at[0]));
	a->n_labels += (uint32_t)count;
	return first;
}

void
bpf_asm_bind(struct bpf_asm *a, uint16_t label)
{
	if (!a->is_full)
		a->at[label] = (uint16_t)a->n_nodes;
}

static void
add(struct bpf_asm *a, uint16_t code, uint32_t k, uint16_t jt, uint16_t jf)
{
	if (a->n_nodes == BPF_ASM_MAX_NODES)
		a->is_full = true;
	if (a->is_full)
		return;
	a->nodes[a->n_nodes++] = (struct bpf_asm_node){ code, jt, jf, k };
}

void
bpf_asm_insn(struct bpf_asm *a, uint16_t code, uint32_t k)
{
	add(a, code, k, 0, 0);
}

void
bpf_asm_jump(struct bpf_asm *a, uint16_t label)
{
	add(a, BPF_JMP | BPF_JA, 0, label, label);
}

void
bpf_asm_branch(struct bpf_asm *a, uint16_t code, uint32_t k, uint16_t jt, uint16_t jf)
{
	add(a, code, k, jt, jf);
}

void
bpf_asm_if(struct bpf_asm *a, uint16_t code, uint32_t k, uint16_t jt)
{
	uint16_t next = bpf_asm_labels(a, 1);

	add(a, code, k, jt, next);
	bpf_asm_bind(a, next);
}

void
bpf_asm_unless(struct bpf_asm *a, uint16_t code, uint32_t k, uint16_t jf)
{
	uint16_t next = bpf_asm_labels(a, 1);

	add(a, code, k, next, jf);
	bpf_asm_bind(a, next);
}

void
bpf_asm_copy(struct bpf_asm *a, const struct bpf_insn_raw *insns, size_t pc, uint16_t base)
{
	const struct bpf_insn_raw *insn = &insns[pc];
	size_t next = base + pc + 1;

	if (insn->code == (BPF_JMP | BPF_JA))
		bpf_asm_jump(a, (uint16_t)(next + insn->k));
	else if (BPF_CLASS(insn->code) == BPF_JMP)
		bpf_asm_branch(a, insn->code, insn->k, (uint16_t)(next + insn->jt),
		    (uint16_t)(next + insn->jf));
	else
		bpf_asm_insn(a, insn->code, insn->k);
}

/*
 * The layout goes from the end to the start: since jumps go forward, every
 * distance is final when the jump is placed.  Positions are counted from the
 * end: the last instruction has rank 1.
 */
struct layout {
	const struct bpf_asm *a;
	uint32_t	 placed;
	bool		 is_full;
	uint16_t	 rank[BPF_ASM_MAX_NODES];	/* of each node */
	uint16_t	 jump[BPF_ASM_MAX_NODES];	/* nearest jump to that node, or 0 */
	struct bpf_insn_raw out[BPF_PROG_MAX];		/* filled from the end */
};

static void
place(struct layout *l, const struct bpf_insn_raw *insn)
{
	if (l->placed == BPF_PROG_MAX) {
		l->is_full = true;
		return;
	}
	l->placed++;
	l->out[BPF_PROG_MAX - l->placed] = *insn;
}

static bool
is_jump(const struct bpf_asm_node *node)
{
	return BPF_CLASS(node->code) == BPF_JMP;
}

/*
 * The node that a jump from node `from` to label ends at, unconditional
 * jumps followed; UNBOUND for a label that is none or not ahead.
 */
static uint16_t
find_target(const struct layout *l, uint32_t from, uint16_t label)
{
	const struct bpf_asm *a = l->a;

	for (;;) {
		uint16_t node = a->at[label];

		if (node <= from || node >= a->n_nodes)
			return UNBOUND;
		if (a->nodes[node].code != (BPF_JMP | BPF_JA))
			return node;
		from = node;
		label = a->nodes[node].jt;
	}
}

/* Unconditional jump to target from the place in front of all placed. */
static void
place_jump(struct layout *l, uint16_t target)
{
	place(l, &(struct bpf_insn_raw){
	    .code = BPF_JMP | BPF_JA, .k = l->placed - l->rank[target] });
	l->jump[target] = (uint16_t)l->placed;
}

/* Can a conditional jump placed now reach target?  By way of a jump, too. */
static bool
reach(const struct layout *l, uint16_t target, uint8_t *ret_offset)
{
	uint32_t direct = l->placed - l->rank[target];
	uint32_t by_jump = l->placed - l->jump[target];

	if (direct <= FARTHEST)
		*ret_offset = (uint8_t)direct;
	else if (l->jump[target] != 0 && by_jump <= FARTHEST)
		*ret_offset = (uint8_t)by_jump;
	else
		return false;
	return true;
}

static void
place_branch(struct layout *l, const struct bpf_asm_node *node, uint16_t true_node,
    uint16_t false_node)
{
	struct bpf_insn_raw insn = { .code = node->code, .k = node->k };

	/* A jump put in moves the other target away: hence again. */
	for (;;) {
		if (!reach(l, false_node, &insn.jf))
			place_jump(l, false_node);
		else if (!reach(l, true_node, &insn.jt))
			place_jump(l, true_node);
		else
			break;
		if (l->is_full)
			return;
	}
	place(l, &insn);
}

/*
 * Is the unconditional jump at node without effect?  Nothing jumps to it,
 * since find_target() follows it; so when the instruction before does not
 * fall into it, it is never run.  Behind a return it stays: the kernel's check
 * of scratch memory lets the state at a return flow on, and needs the jump.
 */
static bool
is_idle(const struct layout *l, uint32_t node, uint16_t target)
{
	return l->rank[target] == l->placed || (node > 0 && is_jump(&l->a->nodes[node - 1]));
}

static int
place_node(struct layout *l, uint32_t i)
{
	const struct bpf_asm_node *node = &l->a->nodes[i];
	uint16_t true_node, false_node;

	if (!is_jump(node)) {
		place(l, &(struct bpf_insn_raw){ .code = node->code, .k = node->k });
		return E_OK;
	}
	true_node = find_target(l, i, node->jt);
	false_node = find_target(l, i, node->jf);
	if (true_node == UNBOUND || false_node == UNBOUND)
		return E_BUG;
	if (node->code != (BPF_JMP | BPF_JA))
		place_branch(l, node, true_node, false_node);
	else if (!is_idle(l, i, true_node))
		place_jump(l, true_node);
	return E_OK;
}

int
bpf_asm_finish_places(const struct bpf_asm *a, struct bpf_prog *ret_prog, uint32_t *places,
    size_t n)
{
	struct layout l;

	if (a->is_full)
		return E_TOOBIG;
	l.a = a;
	l.placed = 0;
	l.is_full = false;
	memset(l.jump, 0, sizeof(l.jump));
	for (uint32_t i = a->n_nodes; i-- > 0;) {
		int code = place_node(&l, i);

		if (code != E_OK)
			return code;
		if (l.is_full)
			return E_TOOBIG;
		l.rank[i] = (uint16_t)l.placed;
	}
	ret_prog->n = l.placed;
	memcpy(ret_prog->insns, l.out + BPF_PROG_MAX - l.placed,
	    l.placed * sizeof(l.out[0]));
	for (size_t i = 0; i < n; i++)
		places[i] = l.placed - l.rank[a->at[places[i]]];
	return E_OK;
}

int
bpf_asm_finish(const struct bpf_asm *a, struct bpf_prog *ret_prog)
{
	return bpf_asm_finish_places(a, ret_prog, NULL, 0);
}
