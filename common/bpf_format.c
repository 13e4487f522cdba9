#include <linux/filter.h>
#include <stdio.h>

#include "common/bpf.h"

enum { OPERAND_LEN = 32 };

static const char *
size_suffix(uint16_t code)
{
	return BPF_SIZE(code) == BPF_H ? "h" : BPF_SIZE(code) == BPF_B ? "b" : "";
}

static void
format_absolute(uint32_t k, char dst[static OPERAND_LEN])
{
	static const char *const names[] = {
		"proto", "type", "ifidx", "nla", "nlan", "mark", "queue", "hatype",
		"rxhash", "cpu", "xor_x", "vlan_tci", "vlanp", "poff", "random",
		"vlan_tpid",
	};
	uint32_t at = k - (uint32_t)SKF_AD_OFF;

	if (k >= (uint32_t)SKF_AD_OFF && at % 4 == 0 && at / 4 < ARRAY_LEN(names))
		snprintf(dst, OPERAND_LEN, "[%s]", names[at / 4]);
	else
		snprintf(dst, OPERAND_LEN, "[%d]", (int)k);
}

static void
format_load_operand(const struct bpf_insn_raw *insn, char dst[static OPERAND_LEN])
{
	switch (BPF_MODE(insn->code)) {
	case BPF_ABS:
		format_absolute(insn->k, dst);
		break;
	case BPF_IND:
		snprintf(dst, OPERAND_LEN, "[x + %d]", (int)insn->k);
		break;
	case BPF_LEN:
		snprintf(dst, OPERAND_LEN, "#pktlen");
		break;
	case BPF_MEM:
		snprintf(dst, OPERAND_LEN, "M[%d]", (int)insn->k);
		break;
	case BPF_MSH:
		snprintf(dst, OPERAND_LEN, "4*([%d]&0xf)", (int)insn->k);
		break;
	default:
		snprintf(dst, OPERAND_LEN, "#0x%x", insn->k);
		break;
	}
}

static const char *
alu_name(uint16_t code)
{
	static const char *const names[] = {
		"add", "sub", "mul", "div", "or", "and", "lsh", "rsh", "neg", "mod", "xor",
	};
	unsigned at = BPF_OP((unsigned)code) >> 4;

	return at < ARRAY_LEN(names) ? names[at] : "unimp";
}

static void
format_alu_operand(const struct bpf_insn_raw *insn, char dst[static OPERAND_LEN])
{
	switch (BPF_OP(insn->code)) {
	case BPF_NEG:
		dst[0] = '\0';
		break;
	case BPF_AND:
	case BPF_OR:
	case BPF_XOR:
		if (BPF_SRC(insn->code) == BPF_K) {
			snprintf(dst, OPERAND_LEN, "#0x%x", insn->k);
			break;
		}
		snprintf(dst, OPERAND_LEN, "x");
		break;
	default:
		if (BPF_SRC(insn->code) == BPF_K)
			snprintf(dst, OPERAND_LEN, "#%d", (int)insn->k);
		else
			snprintf(dst, OPERAND_LEN, "x");
		break;
	}
}

static const char *
jump_name(uint16_t code)
{
	static const char *const names[] = { "ja", "jeq", "jgt", "jge", "jset" };
	unsigned at = BPF_OP((unsigned)code) >> 4;

	return at < ARRAY_LEN(names) ? names[at] : "unimp";
}

static void
format_jump(const struct bpf_insn_raw *insn, size_t number, char *dst, size_t size)
{
	char operand[OPERAND_LEN];

	if (BPF_OP(insn->code) == BPF_JA) {
		/* libpcap's loops jump back. */
		snprintf(dst, size, "(%03zu) %-8s %d", number, "ja",
		    (int)(uint32_t)(number + 1 + insn->k));
		return;
	}
	if (BPF_SRC(insn->code) == BPF_X)
		snprintf(operand, sizeof(operand), "x");
	else
		snprintf(operand, sizeof(operand), "#0x%x", insn->k);
	snprintf(dst, size, "(%03zu) %-8s %-16s jt %zu\tjf %zu", number,
	    jump_name(insn->code), operand, number + 1 + insn->jt, number + 1 + insn->jf);
}

void
bpf_insn_format(const struct bpf_insn_raw *insn, size_t number, char *dst, size_t size)
{
	char name[8], operand[OPERAND_LEN];
	uint16_t code = insn->code;

	operand[0] = '\0';
	switch (BPF_CLASS(code)) {
	case BPF_LD:
		snprintf(name, sizeof(name), "ld%s", size_suffix(code));
		format_load_operand(insn, operand);
		break;
	case BPF_LDX:
		snprintf(name, sizeof(name), "ldx%s", size_suffix(code));
		format_load_operand(insn, operand);
		break;
	case BPF_ST:
	case BPF_STX:
		snprintf(name, sizeof(name), BPF_CLASS(code) == BPF_ST ? "st" : "stx");
		snprintf(operand, sizeof(operand), "M[%d]", (int)insn->k);
		break;
	case BPF_ALU:
		snprintf(name, sizeof(name), "%s", alu_name(code));
		format_alu_operand(insn, operand);
		break;
	case BPF_JMP:
		format_jump(insn, number, dst, size);
		return;
	case BPF_RET:
		snprintf(name, sizeof(name), "ret");
		if (BPF_RVAL(code) == BPF_K)
			snprintf(operand, sizeof(operand), "#%d", (int)insn->k);
		break;
	default:
		snprintf(name, sizeof(name), BPF_MISCOP(code) == BPF_TAX ? "tax" : "txa");
		break;
	}
	snprintf(dst, size, "(%03zu) %-8s %s", number, name, operand);
}
