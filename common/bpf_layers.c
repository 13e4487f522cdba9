#include "common/bpf_layers.h"

#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>

#include "common/link_type.h"

enum {
	TAG_LEN = 4,
	IPV4_LEN = 20,
	IPV6_LEN = 40,
	EXTENSION_LEN = 8,		/* the least; a fragment header's */

	ETHER_TYPE_QINQ = 0x9100,	/* before it was 802.1ad's 0x88a8 */

	WORD_PROTOCOL = BPF_MEMWORDS - 2,
	WORD_OFFSET = BPF_MEMWORDS - 1,
};

#define LOAD(size, at)		BPF_LD | (size) | BPF_ABS, (at)
#define LOAD_X(size, at)	BPF_LD | (size) | BPF_IND, (at)
#define ANCILLARY(x)		BPF_LD | BPF_W | BPF_ABS, (uint32_t)SKF_AD_OFF + (x)
#define ALU(op, k)		BPF_ALU | (op) | BPF_K, (k)
#define IF(op, k)		BPF_JMP | (op) | BPF_K, (k)

bool
bpf_layers_has(uint32_t link_type)
{
	return link_type == LINK_ETHERNET || link_type == LINK_RAW_IP || link_type == LINK_SLL2;
}

/* X may lie beyond the end, where the subtraction would wrap. */
void
bpf_layers_need(struct bpf_asm *a, uint32_t size, uint16_t cut)
{
	bpf_asm_insn(a, BPF_LD | BPF_LEN, 0);
	bpf_asm_unless(a, BPF_JMP | BPF_JGE | BPF_X, 0, cut);
	bpf_asm_insn(a, BPF_ALU | BPF_SUB | BPF_X, 0);
	bpf_asm_unless(a, IF(BPF_JGE, size), cut);
}

/* --- the network header --- */

struct network {
	struct bpf_asm	*a;
	const struct bpf_layers *to;
	uint16_t	 is_ipv4, is_ipv6;	/* by type; not looked at yet */
};

/* A is an Ethernet type, X lies behind it; a tag's goes to tag. */
static void
emit_type(const struct network *n, uint16_t tag)
{
	bpf_asm_if(n->a, IF(BPF_JEQ, ETH_P_IP), n->is_ipv4);
	bpf_asm_if(n->a, IF(BPF_JEQ, ETH_P_IPV6), n->is_ipv6);
	bpf_asm_if(n->a, IF(BPF_JEQ, ETH_P_ARP), n->to->arp);
	bpf_asm_if(n->a, IF(BPF_JEQ, ETH_P_8021Q), tag);
	bpf_asm_if(n->a, IF(BPF_JEQ, ETH_P_8021AD), tag);
	bpf_asm_if(n->a, IF(BPF_JEQ, ETHER_TYPE_QINQ), tag);
	bpf_asm_jump(n->a, n->to->other);
}

/* An Ethernet type ends at offset; so do those of count tags behind it. */
static void
emit_types(const struct network *n, uint32_t offset, uint32_t count)
{
	uint16_t tags = bpf_asm_labels(n->a, count);

	for (uint32_t i = 0; i <= count; i++, offset += TAG_LEN) {
		if (i > 0)
			bpf_asm_bind(n->a, (uint16_t)(tags + i - 1));
		bpf_asm_insn(n->a, BPF_LD | BPF_LEN, 0);
		bpf_asm_unless(n->a, IF(BPF_JGE, offset), n->to->cut);
		bpf_asm_insn(n->a, BPF_LDX | BPF_IMM, offset);
		bpf_asm_insn(n->a, LOAD(BPF_H, offset - 2));
		emit_type(n, i < count ? (uint16_t)(tags + i) : n->to->other);
	}
}

/* The packet begins at an IP header; X is 0. */
static void
emit_version(const struct network *n)
{
	bpf_layers_need(n->a, 1, n->to->cut);
	bpf_asm_insn(n->a, LOAD(BPF_B, 0));
	bpf_asm_insn(n->a, ALU(BPF_RSH, 4));
	bpf_asm_if(n->a, IF(BPF_JEQ, 4), n->is_ipv4);
	bpf_asm_if(n->a, IF(BPF_JEQ, 6), n->is_ipv6);
	bpf_asm_jump(n->a, n->to->other);
}

/*
 * The kernel knows the type.  When that is a tag's, a packet that came in has
 * the tag's value in front; one that goes out begins at its network header.
 */
static void
emit_cooked(const struct network *n)
{
	uint16_t tag = bpf_asm_labels(n->a, 2), outgoing = (uint16_t)(tag + 1);

	bpf_asm_insn(n->a, ANCILLARY(SKF_AD_PROTOCOL));
	emit_type(n, tag);
	bpf_asm_bind(n->a, tag);
	bpf_asm_insn(n->a, ANCILLARY(SKF_AD_PKTTYPE));
	bpf_asm_if(n->a, IF(BPF_JEQ, PACKET_OUTGOING), outgoing);
	emit_types(n, TAG_LEN, BPF_LAYERS_MAX_TAGS - 1);
	bpf_asm_bind(n->a, outgoing);
	emit_version(n);
}

static void
emit_check(const struct network *n)
{
	bpf_asm_bind(n->a, n->is_ipv4);
	bpf_layers_need(n->a, IPV4_LEN, n->to->cut);
	bpf_asm_insn(n->a, LOAD_X(BPF_B, 0));
	bpf_asm_unless(n->a, IF(BPF_JGE, 0x40 + IPV4_LEN / 4), n->to->other);
	bpf_asm_branch(n->a, IF(BPF_JGT, 0x4f), n->to->other, n->to->ipv4);
	bpf_asm_bind(n->a, n->is_ipv6);
	bpf_layers_need(n->a, IPV6_LEN, n->to->cut);
	bpf_asm_insn(n->a, LOAD_X(BPF_B, 0));
	bpf_asm_insn(n->a, ALU(BPF_RSH, 4));
	bpf_asm_branch(n->a, IF(BPF_JEQ, 6), n->to->ipv6, n->to->other);
}

void
bpf_layers_network(struct bpf_asm *a, uint32_t link_type, const struct bpf_layers *to)
{
	struct network n = { .a = a, .to = to };

	n.is_ipv4 = bpf_asm_labels(a, 2);
	n.is_ipv6 = (uint16_t)(n.is_ipv4 + 1);
	bpf_asm_insn(a, BPF_LDX | BPF_IMM, 0);
	if (link_type == LINK_ETHERNET)
		emit_types(&n, ETH_HLEN, BPF_LAYERS_MAX_TAGS);
	else if (link_type == LINK_SLL2)
		emit_cooked(&n);
	else
		emit_version(&n);
	emit_check(&n);
}

/* --- the transport header --- */

void
bpf_layers_ipv4(struct bpf_asm *a, const struct bpf_layers *to)
{
	enum { OFFSET = 0x1fff, MORE = 0x2000 };
	uint16_t fragment = bpf_asm_labels(a, 1);

	bpf_asm_insn(a, LOAD_X(BPF_B, 9));
	bpf_asm_insn(a, BPF_ST, WORD_PROTOCOL);
	bpf_asm_insn(a, LOAD_X(BPF_B, 0));
	bpf_asm_insn(a, ALU(BPF_AND, 0xf));
	bpf_asm_insn(a, ALU(BPF_LSH, 2));
	bpf_asm_insn(a, BPF_ALU | BPF_ADD | BPF_X, 0);
	bpf_asm_insn(a, BPF_ST, WORD_OFFSET);
	bpf_asm_insn(a, LOAD_X(BPF_H, 6));
	bpf_asm_insn(a, BPF_LDX | BPF_MEM, WORD_OFFSET);
	bpf_asm_if(a, IF(BPF_JSET, to->first_is_fragment ? OFFSET | MORE : OFFSET), fragment);
	bpf_asm_insn(a, BPF_LD | BPF_MEM, WORD_PROTOCOL);
	bpf_asm_jump(a, to->transport);
	bpf_asm_bind(a, fragment);
	bpf_asm_insn(a, BPF_LD | BPF_MEM, WORD_PROTOCOL);
	bpf_asm_jump(a, to->fragment);
}

/* A fragment header is at X: judge it, or pass it and go to next as emit_extension(). */
static void
emit_fragment_header(struct bpf_asm *a, const struct bpf_layers *to, uint16_t next)
{
	enum { OFFSET = 0xfff8, MORE = 1 };
	uint16_t fragment = bpf_asm_labels(a, 1);

	bpf_asm_insn(a, LOAD_X(BPF_H, 2));
	bpf_asm_if(a, IF(BPF_JSET, to->first_is_fragment ? OFFSET | MORE : OFFSET), fragment);
	bpf_asm_insn(a, BPF_LD | BPF_IMM, EXTENSION_LEN);
	bpf_asm_jump(a, next);
	bpf_asm_bind(a, fragment);
	bpf_asm_insn(a, BPF_MISC | BPF_TXA, 0);
	bpf_asm_insn(a, ALU(BPF_ADD, EXTENSION_LEN));
	bpf_asm_insn(a, BPF_MISC | BPF_TAX, 0);
	bpf_asm_insn(a, BPF_LD | BPF_IMM, IPPROTO_FRAGMENT);
	bpf_asm_jump(a, to->fragment);
}

/* A is the protocol of what begins at X: pass it if it is an extension header. */
static void
emit_extension(struct bpf_asm *a, const struct bpf_layers *to)
{
	uint16_t extension = bpf_asm_labels(a, 3);
	uint16_t options = (uint16_t)(extension + 1), next = (uint16_t)(extension + 2);

	bpf_asm_if(a, IF(BPF_JEQ, IPPROTO_HOPOPTS), extension);
	bpf_asm_if(a, IF(BPF_JEQ, IPPROTO_ROUTING), extension);
	bpf_asm_if(a, IF(BPF_JEQ, IPPROTO_DSTOPTS), extension);
	bpf_asm_unless(a, IF(BPF_JEQ, IPPROTO_FRAGMENT), to->transport);
	bpf_asm_bind(a, extension);
	bpf_asm_insn(a, BPF_ST, WORD_PROTOCOL);
	bpf_layers_need(a, EXTENSION_LEN, to->cut);
	bpf_asm_insn(a, BPF_LD | BPF_MEM, WORD_PROTOCOL);
	bpf_asm_unless(a, IF(BPF_JEQ, IPPROTO_FRAGMENT), options);
	emit_fragment_header(a, to, next);
	bpf_asm_bind(a, options);
	bpf_asm_insn(a, LOAD_X(BPF_B, 1));
	bpf_asm_insn(a, ALU(BPF_ADD, 1));
	bpf_asm_insn(a, ALU(BPF_LSH, 3));
	bpf_asm_bind(a, next);
	bpf_asm_insn(a, BPF_ALU | BPF_ADD | BPF_X, 0);
	bpf_asm_insn(a, BPF_ST, WORD_OFFSET);
	bpf_asm_insn(a, LOAD_X(BPF_B, 0));
	bpf_asm_insn(a, BPF_LDX | BPF_MEM, WORD_OFFSET);
}

void
bpf_layers_ipv6(struct bpf_asm *a, const struct bpf_layers *to)
{
	bpf_asm_insn(a, LOAD_X(BPF_B, 6));
	bpf_asm_insn(a, BPF_ST, WORD_PROTOCOL);
	bpf_asm_insn(a, BPF_MISC | BPF_TXA, 0);
	bpf_asm_insn(a, ALU(BPF_ADD, IPV6_LEN));
	bpf_asm_insn(a, BPF_MISC | BPF_TAX, 0);
	bpf_asm_insn(a, BPF_LD | BPF_MEM, WORD_PROTOCOL);
	for (unsigned i = 0; i < BPF_LAYERS_MAX_EXTENSIONS; i++)
		emit_extension(a, to);
	bpf_asm_jump(a, to->transport);
}
