#include <linux/filter.h>

#include "common/bpf_asm.h"
#include "common/bpf_link.h"
#include "common/bpf_move.h"
#include "common/link_type.h"

#define ANCILLARY(x)	((uint32_t)SKF_AD_OFF + (x))
#define BYTE(x, bits)	{ BPF_SOURCE_ANCILLARY, ANCILLARY(x), bits }
#define ZERO		{ .kind = BPF_SOURCE_ZERO }
#define UNKNOWN		{ .kind = BPF_SOURCE_NONE }

enum { SLL_LEN = 16, SLL2_LEN = 20 };

/* The address and its length the kernel does not tell. */
static const struct bpf_source sll_sources[SLL_LEN] = {
	ZERO, BYTE(SKF_AD_PKTTYPE, 0), BYTE(SKF_AD_HATYPE, 8), BYTE(SKF_AD_HATYPE, 0),
	UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN,
	UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN,
	BYTE(SKF_AD_PROTOCOL, 8), BYTE(SKF_AD_PROTOCOL, 0),
};
static const struct bpf_source sll2_sources[SLL2_LEN] = {
	BYTE(SKF_AD_PROTOCOL, 8), BYTE(SKF_AD_PROTOCOL, 0), ZERO, ZERO,
	BYTE(SKF_AD_IFINDEX, 24), BYTE(SKF_AD_IFINDEX, 16),
	BYTE(SKF_AD_IFINDEX, 8), BYTE(SKF_AD_IFINDEX, 0),
	BYTE(SKF_AD_HATYPE, 8), BYTE(SKF_AD_HATYPE, 0), BYTE(SKF_AD_PKTTYPE, 0),
	UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN,
};

int
bpf_link_cooked(struct bpf_prog *prog, uint32_t link_type)
{
	static const struct bpf_move sll = { .end = SLL_LEN, .sources = sll_sources };
	static const struct bpf_move sll2 = { .end = SLL2_LEN, .sources = sll2_sources };
	struct bpf_asm a;
	bool is_changed;
	int code;

	bpf_asm_init(&a);
	code = bpf_move_append(&a, prog->insns, prog->n,
	    link_type_made_header(link_type) == SLL_LEN ? &sll : &sll2, &is_changed);
	if (code != E_OK)
		return code;
	return bpf_asm_finish(&a, prog);
}
