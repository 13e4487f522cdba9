#include "common/bpf_headers.h"

#include <linux/filter.h>
#include <netinet/in.h>

#include "common/bpf_asm.h"
#include "common/bpf_layers.h"

enum {
	ARP_LEN = 28,			/* Ethernet and IPv4 addresses */
	TCP_LEN = 20,
	UDP_LEN = 8,
	ICMP_LEN = 8,
	SCTP_LEN = 12,
};

#define ALU(op, k)		BPF_ALU | (op) | BPF_K, (k)
#define IF(op, k)		BPF_JMP | (op) | BPF_K, (k)

/* Keep up to X + size. */
static void
emit_keep(struct bpf_asm *a, uint16_t label, uint32_t size, uint16_t keep)
{
	bpf_asm_bind(a, label);
	bpf_asm_insn(a, BPF_MISC | BPF_TXA, 0);
	if (size != 0)
		bpf_asm_insn(a, ALU(BPF_ADD, size));
	bpf_asm_jump(a, keep);
}

/* X is a TCP header, which says where it ends. */
static void
emit_tcp(struct bpf_asm *a, uint16_t cut, uint16_t keep)
{
	enum { AT = 12 };
	uint16_t add = bpf_asm_labels(a, 1);

	bpf_layers_need(a, AT + 1, cut);
	bpf_asm_insn(a, BPF_LD | BPF_B | BPF_IND, AT);
	bpf_asm_insn(a, ALU(BPF_AND, 0xf0));
	bpf_asm_insn(a, ALU(BPF_RSH, 2));
	bpf_asm_if(a, IF(BPF_JGE, TCP_LEN), add);
	bpf_asm_insn(a, BPF_LD | BPF_IMM, TCP_LEN);
	bpf_asm_bind(a, add);
	bpf_asm_insn(a, BPF_ALU | BPF_ADD | BPF_X, 0);
	bpf_asm_jump(a, keep);
}

/* A is the protocol of what begins at X. */
static void
emit_transport(struct bpf_asm *a, const struct bpf_layers *to, uint16_t keep)
{
	uint16_t tcp = bpf_asm_labels(a, 3);
	uint16_t eight = (uint16_t)(tcp + 1), sctp = (uint16_t)(tcp + 2);

	_Static_assert((int)UDP_LEN == (int)ICMP_LEN, "one exit for both");
	bpf_asm_bind(a, to->transport);
	bpf_asm_if(a, IF(BPF_JEQ, IPPROTO_TCP), tcp);
	bpf_asm_if(a, IF(BPF_JEQ, IPPROTO_UDP), eight);
	bpf_asm_if(a, IF(BPF_JEQ, IPPROTO_ICMP), eight);
	bpf_asm_if(a, IF(BPF_JEQ, IPPROTO_ICMPV6), eight);
	bpf_asm_branch(a, IF(BPF_JEQ, IPPROTO_SCTP), sctp, to->fragment);
	bpf_asm_bind(a, tcp);
	emit_tcp(a, to->cut, keep);
	emit_keep(a, eight, UDP_LEN, keep);
	emit_keep(a, sctp, SCTP_LEN, keep);
	emit_keep(a, to->fragment, 0, keep);
}

/* keep: A bytes, which are 0 only where there is no link header. */
static void
emit_end(struct bpf_asm *a, const struct bpf_layers *to, uint16_t keep, uint32_t snaplen)
{
	uint16_t some = bpf_asm_labels(a, 1);

	bpf_asm_bind(a, keep);
	bpf_asm_if(a, IF(BPF_JGE, snaplen), to->cut);
	bpf_asm_unless(a, IF(BPF_JEQ, 0), some);
	bpf_asm_insn(a, BPF_RET | BPF_K, 1);
	bpf_asm_bind(a, some);
	bpf_asm_insn(a, BPF_RET | BPF_A, 0);
	bpf_asm_bind(a, to->cut);
	bpf_asm_insn(a, BPF_RET | BPF_K, snaplen);
}

int
bpf_headers_program(uint32_t link_type, uint32_t snaplen, struct bpf_prog *ret_prog)
{
	struct bpf_asm a;
	uint16_t first, keep;
	struct bpf_layers to;

	if (!bpf_layers_has(link_type))
		return E_FILTER;
	bpf_asm_init(&a);
	first = bpf_asm_labels(&a, 8);
	to = (struct bpf_layers){
		.cut = first,
		.other = (uint16_t)(first + 1),
		.arp = (uint16_t)(first + 2),
		.ipv4 = (uint16_t)(first + 3),
		.ipv6 = (uint16_t)(first + 4),
		.transport = (uint16_t)(first + 5),
		.fragment = (uint16_t)(first + 6),
	};
	keep = (uint16_t)(first + 7);
	bpf_layers_network(&a, link_type, &to);
	bpf_asm_bind(&a, to.ipv4);
	bpf_layers_ipv4(&a, &to);
	bpf_asm_bind(&a, to.ipv6);
	bpf_layers_ipv6(&a, &to);
	emit_transport(&a, &to, keep);
	emit_keep(&a, to.arp, ARP_LEN, keep);
	emit_keep(&a, to.other, 0, keep);
	emit_end(&a, &to, keep, snaplen);
	return bpf_asm_finish(&a, ret_prog);
}
