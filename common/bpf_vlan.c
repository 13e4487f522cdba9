#include <linux/filter.h>

#include "common/bpf_asm.h"
#include "common/bpf_flow.h"
#include "common/bpf_link.h"
#include "common/bpf_move.h"

#define ANCILLARY(x)	((uint32_t)SKF_AD_OFF + (x))
#define BYTE(x, bits)	{ BPF_SOURCE_ANCILLARY, ANCILLARY(x), bits }

enum { ETHER_TYPE_AT = 12, TAG_END = 16 };

static const struct bpf_source tag_sources[TAG_END - ETHER_TYPE_AT] = {
	BYTE(SKF_AD_VLAN_TPID, 8), BYTE(SKF_AD_VLAN_TPID, 0),
	BYTE(SKF_AD_VLAN_TAG, 8), BYTE(SKF_AD_VLAN_TAG, 0),
};
/* What the kernel strips, and what adapters might. */
static const uint16_t tag_types[] = { 0x8100, 0x88a8, 0x9100, 0x9200, 0x9300 };
static const struct bpf_move tag_move = { .first = ETHER_TYPE_AT, .end = TAG_END,
	.sources = tag_sources,
	.known = { ETHER_TYPE_AT, tag_types, ARRAY_LEN(tag_types) } };
static const struct bpf_move tag_move_whole = { .first = ETHER_TYPE_AT, .end = TAG_END,
	.sources = tag_sources };

/* Append the program as it came. */
static void
append_copy(struct bpf_asm *a, const struct bpf_prog *prog)
{
	uint16_t base = bpf_asm_labels(a, prog->n);

	for (size_t pc = 0; pc < prog->n; pc++) {
		bpf_asm_bind(a, (uint16_t)(base + pc));
		bpf_asm_copy(a, prog->insns, pc, base);
	}
}

/*
 * The kernel knows the tag by a flag of its own: a priority tag's value may
 * be 0.  Without a tag the test leaves A at 0, as a program begins.
 */
static void
emit_test(struct bpf_asm *a, uint16_t tagged)
{
	bpf_asm_insn(a, BPF_LD | BPF_B | BPF_ABS, ANCILLARY(SKF_AD_VLAN_TAG_PRESENT));
	bpf_asm_unless(a, BPF_JMP | BPF_JEQ | BPF_K, 0, tagged);
}

static void
emit_empty_a(struct bpf_asm *a, const struct bpf_prog *prog)
{
	uint16_t live[BPF_PROG_MAX];

	bpf_flow_live(prog->insns, prog->n, live);
	if ((live[0] & BPF_LIVE_A) != 0)
		bpf_asm_insn(a, BPF_LD | BPF_IMM, 0);
}

/* A copy for packets with a stripped tag, one for the others. */
static int
link_two(struct bpf_prog *prog, const struct bpf_move *move, uint32_t *ret_tagged_at)
{
	struct bpf_asm a;
	uint32_t tagged_at;
	uint16_t tagged;
	bool is_changed;
	int code;

	bpf_asm_init(&a);
	tagged = bpf_asm_labels(&a, 1);
	emit_test(&a, tagged);
	append_copy(&a, prog);
	bpf_asm_bind(&a, tagged);
	emit_empty_a(&a, prog);
	code = bpf_move_append(&a, prog->insns, prog->n, move, &is_changed);
	if (code != E_OK)
		return code;
	*ret_tagged_at = 0;
	if (!is_changed)
		return E_OK;
	tagged_at = tagged;
	code = bpf_asm_finish_places(&a, prog, &tagged_at, 1);
	if (code == E_OK)
		*ret_tagged_at = tagged_at;
	return code;
}

int
bpf_link_vlan_short(struct bpf_prog *prog)
{
	struct bpf_prog exact = *prog;
	struct bpf_asm a;
	int code = bpf_link_offline(&exact);

	if (code != E_OK)
		return code;
	bpf_asm_init(&a);
	bpf_asm_insn(&a, BPF_LD | BPF_B | BPF_ABS, ANCILLARY(SKF_AD_VLAN_TAG_PRESENT));
	code = bpf_move_append_shared(&a, exact.insns, exact.n, &tag_move);
	return code == E_OK ? bpf_asm_finish(&a, prog) : code;
}

int
bpf_link_vlan(struct bpf_prog *prog, uint32_t *ret_tagged_at)
{
	struct bpf_prog exact = *prog, linked;
	uint32_t tagged_at = 0;
	int code = bpf_link_offline(&exact);

	if (code != E_OK)
		return code;
	linked = exact;
	code = link_two(&linked, &tag_move, &tagged_at);
	if (code == E_OK && bpf_prog_check(linked.insns, linked.n, NULL) != E_OK) {
		linked = exact;
		code = link_two(&linked, &tag_move_whole, &tagged_at);
	}
	if (code != E_OK)
		return code;
	*prog = linked;
	if (ret_tagged_at != NULL)
		*ret_tagged_at = tagged_at;
	return E_OK;
}

int
bpf_link_untagged(struct bpf_prog *prog, uint32_t tagged_answer)
{
	struct bpf_asm a;
	uint16_t tagged;

	bpf_asm_init(&a);
	tagged = bpf_asm_labels(&a, 1);
	emit_test(&a, tagged);
	append_copy(&a, prog);
	bpf_asm_bind(&a, tagged);
	bpf_asm_insn(&a, BPF_RET | BPF_K, tagged_answer);
	return bpf_asm_finish(&a, prog);
}
