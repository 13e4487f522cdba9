#include <linux/filter.h>

#include "common/bpf_asm.h"
#include "common/bpf_flow.h"
#include "common/bpf_link.h"
#include "common/bpf_move.h"

#define ANCILLARY(x)	((uint32_t)SKF_AD_OFF + (x))
#define BYTE(x, bits)	{ BPF_SOURCE_ANCILLARY, ANCILLARY(x), bits }

enum { ETHER_TYPE_AT = 12, TAG_END = 16 };

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

int
bpf_link_vlan(struct bpf_prog *prog)
{
	static const struct bpf_source sources[TAG_END - ETHER_TYPE_AT] = {
		BYTE(SKF_AD_VLAN_TPID, 8), BYTE(SKF_AD_VLAN_TPID, 0),
		BYTE(SKF_AD_VLAN_TAG, 8), BYTE(SKF_AD_VLAN_TAG, 0),
	};
	static const struct bpf_move move = { ETHER_TYPE_AT, TAG_END, sources };
	struct bpf_asm a;
	uint8_t live[BPF_PROG_MAX];
	uint16_t tagged;
	bool is_changed;
	int code = bpf_link_offline(prog);

	if (code != E_OK)
		return code;
	/*
	 * The kernel knows the tag by a flag of its own: a priority tag's value
	 * may be 0.  The test leaves A at 0 for the copy that runs without a tag.
	 */
	bpf_asm_init(&a);
	tagged = bpf_asm_labels(&a, 1);
	bpf_asm_insn(&a, BPF_LD | BPF_B | BPF_ABS, ANCILLARY(SKF_AD_VLAN_TAG_PRESENT));
	bpf_asm_unless(&a, BPF_JMP | BPF_JEQ | BPF_K, 0, tagged);
	append_copy(&a, prog);
	bpf_asm_bind(&a, tagged);
	bpf_flow_live(prog->insns, prog->n, live);
	if ((live[0] & BPF_LIVE_A) != 0)
		bpf_asm_insn(&a, BPF_LD | BPF_IMM, 0);
	code = bpf_move_append(&a, prog->insns, prog->n, &move, &is_changed);
	if (code != E_OK)
		return code;
	return is_changed ? bpf_asm_finish(&a, prog) : E_OK;
}

int
bpf_link_cooked(struct bpf_prog *prog)
{
	enum { SLL2_LEN = 20 };
	/* Addresses and their length, from 11 on, the kernel does not tell. */
	static const struct bpf_source sources[SLL2_LEN] = {
		BYTE(SKF_AD_PROTOCOL, 8), BYTE(SKF_AD_PROTOCOL, 0),
		{ .kind = BPF_SOURCE_ZERO }, { .kind = BPF_SOURCE_ZERO },
		BYTE(SKF_AD_IFINDEX, 24), BYTE(SKF_AD_IFINDEX, 16),
		BYTE(SKF_AD_IFINDEX, 8), BYTE(SKF_AD_IFINDEX, 0),
		BYTE(SKF_AD_HATYPE, 8), BYTE(SKF_AD_HATYPE, 0),
		BYTE(SKF_AD_PKTTYPE, 0),
	};
	static const struct bpf_move move = { 0, SLL2_LEN, sources };
	struct bpf_asm a;
	bool is_changed;
	int code;

	bpf_asm_init(&a);
	code = bpf_move_append(&a, prog->insns, prog->n, &move, &is_changed);
	if (code != E_OK)
		return code;
	return bpf_asm_finish(&a, prog);
}
