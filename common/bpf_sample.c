#include "common/bpf_sample.h"

#include <linux/filter.h>
#include <netinet/in.h>

#include "common/bpf_asm.h"
#include "common/bpf_layers.h"
#include "common/bpf_link.h"

/* Scratch words. */
enum {
	WORD_NETWORK,			/* offset of the IP header */
	WORD_SOURCE, WORD_DESTINATION,	/* hash of address, then of port too */
	WORD_PROTOCOL,
	WORD_SOURCE_PORT,
};

/* Of "lowbias32" (Wellons) and of MurmurHash3's last step. */
#define MIX_FACTOR		0x7feb352dU
#define FINAL_FACTOR_1		0x85ebca6bU
#define FINAL_FACTOR_2		0xc2b2ae35U

#define LOAD_X(size, at)	BPF_LD | (size) | BPF_IND, (at)
#define ALU(op, k)		BPF_ALU | (op) | BPF_K, (k)
#define IF(op, k)		BPF_JMP | (op) | BPF_K, (k)

/* What numbers of 0..2^32-1 are kept: those below this. */
static uint32_t
threshold(uint32_t one_in)
{
	return (uint32_t)((1ULL << 32) / one_in);
}

/* A is the number. */
static void
emit_verdict(struct bpf_asm *a, uint32_t one_in, uint16_t accept)
{
	bpf_asm_unless(a, IF(BPF_JGE, threshold(one_in)), accept);
	bpf_asm_insn(a, BPF_RET | BPF_K, 0);
	bpf_asm_bind(a, accept);
	bpf_asm_insn(a, BPF_RET | BPF_K, UINT32_MAX);
}

void
bpf_sample_packets(uint32_t one_in, struct bpf_prog *ret_prog)
{
	if (one_in <= 1) {
		bpf_link_return(ret_prog, UINT32_MAX);
		return;
	}
	ret_prog->n = 4;
	ret_prog->insns[0] = (struct bpf_insn_raw){ .code = BPF_LD | BPF_W | BPF_ABS,
	    .k = (uint32_t)SKF_AD_OFF + SKF_AD_RANDOM };
	ret_prog->insns[1] = (struct bpf_insn_raw){ .code = BPF_JMP | BPF_JGE | BPF_K,
	    .jf = 1, .k = threshold(one_in) };
	ret_prog->insns[2] = (struct bpf_insn_raw){ .code = BPF_RET | BPF_K, .k = 0 };
	ret_prog->insns[3] = (struct bpf_insn_raw){ .code = BPF_RET | BPF_K, .k = UINT32_MAX };
}

/* A ^= A >> bits.  Loses X. */
static void
emit_fold(struct bpf_asm *a, uint32_t bits)
{
	bpf_asm_insn(a, BPF_MISC | BPF_TAX, 0);
	bpf_asm_insn(a, ALU(BPF_RSH, bits));
	bpf_asm_insn(a, BPF_ALU | BPF_XOR | BPF_X, 0);
}

/*
 * A, which is a part of an endpoint, joins the hash in word; the first one
 * begins it.  Loses X.
 */
static void
emit_mix(struct bpf_asm *a, uint32_t word, bool is_first)
{
	if (!is_first) {
		bpf_asm_insn(a, BPF_LDX | BPF_MEM, word);
		bpf_asm_insn(a, BPF_ALU | BPF_XOR | BPF_X, 0);
	}
	emit_fold(a, 16);
	bpf_asm_insn(a, ALU(BPF_MUL, MIX_FACTOR));
	emit_fold(a, 15);
	bpf_asm_insn(a, BPF_ST, word);
}

/* X is the IP header, and remains. */
static void
emit_address(struct bpf_asm *a, uint32_t offset, uint32_t len, uint32_t word)
{
	for (uint32_t i = 0; i < len; i += 4) {
		bpf_asm_insn(a, LOAD_X(BPF_W, offset + i));
		emit_mix(a, word, i == 0);
		bpf_asm_insn(a, BPF_LDX | BPF_MEM, WORD_NETWORK);
	}
}

static void
emit_addresses(struct bpf_asm *a, uint32_t offset, uint32_t len)
{
	bpf_asm_insn(a, BPF_STX, WORD_NETWORK);
	emit_address(a, offset, len, WORD_SOURCE);
	emit_address(a, offset + len, len, WORD_DESTINATION);
}

/* A is the protocol of what begins at X; on to finish, or cut. */
static void
emit_ports(struct bpf_asm *a, const struct bpf_layers *to, uint16_t finish)
{
	uint16_t has_ports = bpf_asm_labels(a, 1);

	bpf_asm_insn(a, BPF_ST, WORD_PROTOCOL);
	bpf_asm_if(a, IF(BPF_JEQ, IPPROTO_TCP), has_ports);
	bpf_asm_if(a, IF(BPF_JEQ, IPPROTO_UDP), has_ports);
	bpf_asm_unless(a, IF(BPF_JEQ, IPPROTO_SCTP), finish);
	bpf_asm_bind(a, has_ports);
	bpf_layers_need(a, 4, to->cut);
	bpf_asm_insn(a, LOAD_X(BPF_H, 0));
	bpf_asm_insn(a, BPF_ST, WORD_SOURCE_PORT);
	bpf_asm_insn(a, LOAD_X(BPF_H, 2));
	emit_mix(a, WORD_DESTINATION, false);
	bpf_asm_insn(a, BPF_LD | BPF_MEM, WORD_SOURCE_PORT);
	emit_mix(a, WORD_SOURCE, false);
	bpf_asm_jump(a, finish);
}

/* A sum, so that either side may be the source. */
static void
emit_sum(struct bpf_asm *a)
{
	bpf_asm_insn(a, BPF_LD | BPF_MEM, WORD_SOURCE);
	bpf_asm_insn(a, BPF_LDX | BPF_MEM, WORD_DESTINATION);
	bpf_asm_insn(a, BPF_ALU | BPF_ADD | BPF_X, 0);
	bpf_asm_insn(a, BPF_LDX | BPF_MEM, WORD_PROTOCOL);
	bpf_asm_insn(a, BPF_ALU | BPF_XOR | BPF_X, 0);
	emit_fold(a, 16);
	bpf_asm_insn(a, ALU(BPF_MUL, FINAL_FACTOR_1));
	emit_fold(a, 13);
	bpf_asm_insn(a, ALU(BPF_MUL, FINAL_FACTOR_2));
	emit_fold(a, 16);
}

int
bpf_sample_flows(uint32_t link_type, uint32_t one_in, struct bpf_prog *ret_prog)
{
	struct bpf_asm a;
	uint16_t first, finish;
	struct bpf_layers to;

	if (!bpf_layers_has(link_type))
		return E_FILTER;
	if (one_in <= 1) {
		bpf_link_return(ret_prog, UINT32_MAX);
		return E_OK;
	}
	bpf_asm_init(&a);
	first = bpf_asm_labels(&a, 6);
	to = (struct bpf_layers){
		.cut = first,
		.other = first,
		.arp = first,
		.ipv4 = (uint16_t)(first + 1),
		.ipv6 = (uint16_t)(first + 2),
		.transport = (uint16_t)(first + 3),
		.fragment = (uint16_t)(first + 4),
		.first_is_fragment = true,
	};
	finish = (uint16_t)(first + 5);
	bpf_layers_network(&a, link_type, &to);
	bpf_asm_bind(&a, to.ipv4);
	emit_addresses(&a, 12, 4);
	bpf_layers_ipv4(&a, &to);
	bpf_asm_bind(&a, to.ipv6);
	emit_addresses(&a, 8, 16);
	bpf_layers_ipv6(&a, &to);
	bpf_asm_bind(&a, to.transport);
	emit_ports(&a, &to, finish);
	bpf_asm_bind(&a, to.fragment);
	bpf_asm_insn(&a, BPF_ST, WORD_PROTOCOL);
	bpf_asm_bind(&a, finish);
	emit_sum(&a);
	emit_verdict(&a, one_in, to.cut);
	return bpf_asm_finish(&a, ret_prog);
}
