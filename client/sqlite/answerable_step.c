#include "client/sqlite/answerable_int.h"

/* --- the protocol's number --- */

static struct word
plain(struct abstract value)
{
	return (struct word){ .value = value };
}

/* The word is used otherwise than in a test with a constant. */
static struct abstract
use(struct walk *w, const struct word *word)
{
	if (word->is_protocol)
		w->same_until = w->shape.protocol;
	return word->value;
}

static void
limit(struct walk *w, uint32_t until)
{
	if (until < w->same_until)
		w->same_until = (uint8_t)until;
}

/* The protocol's number is compared with k: up to which one is the outcome the same? */
static void
limit_by_test(struct walk *w, uint16_t op, uint32_t k)
{
	uint32_t protocol = w->shape.protocol;

	if (op == BPF_JGT && protocol <= k)
		limit(w, k);
	else if ((op == BPF_JGE || op == BPF_JEQ) && protocol < k)
		limit(w, k - 1);
	else if (op == BPF_JSET || (op == BPF_JEQ && protocol == k))
		limit(w, protocol);
}

/* --- loads --- */

static void
choose_by_undefined(struct place *place, uint8_t leads, int32_t origin)
{
	place->leads |= leads | BY_UNDEFINED;
	place->origin = origin;
}

static uint32_t
load_size(uint16_t code)
{
	return BPF_SIZE(code) == BPF_W ? 4 : BPF_SIZE(code) == BPF_H ? 2 : 1;
}

/* The packet's bytes [offset, offset + size), of which not all need be there. */
static struct word
load_bytes(struct walk *w, struct place *place, uint32_t offset, uint32_t size)
{
	const struct tuple_shape *shape = &w->shape;
	struct word ret = { .value.from = (int32_t)(offset + size - 1) };
	struct abstract *value = &ret.value;

	if ((uint64_t)offset + size > shape->len) {
		choose_by_undefined(place, LEADS_TO_END, (int32_t)offset);
		*value = abstract_undefined((int32_t)offset);
		value->is_moved = true;
		return ret;
	}
	value->known = size == 4 ? 0 : UINT32_MAX << size * 8;
	for (uint32_t i = offset; i < offset + size; i++) {
		uint32_t at = (offset + size - 1 - i) * 8;

		value->bits |= (uint32_t)shape->bits[i] << at;
		value->known |= (uint32_t)shape->fixed[i] << at;
		value->undefined |= (uint32_t)(uint8_t)~shape->defined[i] << at;
		ret.is_protocol |= i == shape->protocol_at;
	}
	if (size > 1 && ret.is_protocol) {
		(void)use(w, &ret);
		ret.is_protocol = false;
	}
	return ret;
}

static struct word
load_absolute(struct walk *w, struct place *place, uint32_t offset, uint32_t size)
{
	/* libpcap's own interpreter ends the program; another one would know. */
	if (offset > INT32_MAX) {
		choose_by_undefined(place, LEADS_TO_END, ABSTRACT_METADATA);
		return plain(abstract_undefined(ABSTRACT_METADATA));
	}
	return load_bytes(w, place, offset, size);
}

static struct word
load_indirect(struct walk *w, struct place *place, const struct abstract *x, uint32_t k,
    uint32_t size)
{
	uint64_t offset = (uint64_t)x->bits + k;

	if (x->known == UINT32_MAX && offset <= INT32_MAX)
		return load_bytes(w, place, (uint32_t)offset, size);
	choose_by_undefined(place, LEADS_TO_END, ABSTRACT_ANYWHERE);
	return plain(abstract_undefined(ABSTRACT_ANYWHERE));
}

/* 4 * (byte & 15): the length of the IPv4 header, which is always the same. */
static struct word
load_header_length(struct walk *w, struct place *place, uint32_t offset)
{
	const struct abstract mask = abstract_constant(0xf), two = abstract_constant(2);
	struct abstract byte;
	struct word word;

	if (offset == 0 && w->shape.version == 4)
		return plain(abstract_constant((uint32_t)w->shape.ip_len));
	word = load_absolute(w, place, offset, 1);
	byte = use(w, &word);
	byte = abstract_alu(BPF_AND, &byte, &mask);
	return plain(abstract_alu(BPF_LSH, &byte, &two));
}

static struct word
load(struct walk *w, struct place *place, const struct bpf_insn_raw *insn,
    const struct word *regs)
{
	struct abstract x;

	switch (BPF_MODE(insn->code)) {
	case BPF_IMM:
		return plain(abstract_constant(insn->k));
	case BPF_ABS:
		return load_absolute(w, place, insn->k, load_size(insn->code));
	case BPF_IND:
		x = use(w, &regs[REG_X]);
		return load_indirect(w, place, &x, insn->k, load_size(insn->code));
	case BPF_MSH:
		return load_header_length(w, place, insn->k);
	case BPF_MEM:
		return regs[REG_M + insn->k % BPF_MEMWORDS];
	default:
		return plain(abstract_undefined(ABSTRACT_LENGTH));
	}
}

/* --- calculations, jumps and returns --- */

static struct abstract
operand(struct walk *w, const struct bpf_insn_raw *insn, const struct word *regs)
{
	return BPF_SRC(insn->code) == BPF_X ? use(w, &regs[REG_X]) :
	    abstract_constant(insn->k);
}

static void
calculate(struct walk *w, struct place *place, const struct bpf_insn_raw *insn,
    struct word *regs)
{
	uint16_t op = BPF_OP(insn->code);
	struct abstract a = use(w, &regs[REG_A]), by = operand(w, insn, regs);

	if (op == BPF_DIV || op == BPF_MOD) {
		const struct abstract zero = abstract_constant(0);
		enum abstract_truth is_zero = abstract_test(BPF_JEQ, &by, &zero);

		if (is_zero == ABSTRACT_UNDEFINED)
			choose_by_undefined(place, LEADS_TO_END, abstract_origin(&by, UINT32_MAX));
		else if (is_zero != ABSTRACT_FALSE)
			place->leads |= LEADS_TO_END;
	}
	regs[REG_A] = plain(abstract_alu(op, &a, &by));
}

static void
jump(struct walk *w, struct place *place, const struct bpf_insn_raw *insn,
    const struct word *regs)
{
	struct abstract by = operand(w, insn, regs);
	const struct abstract *a = &regs[REG_A].value;
	uint16_t op = BPF_OP(insn->code);
	uint32_t asked = op == BPF_JSET ? by.bits | ~by.known : UINT32_MAX;

	if (regs[REG_A].is_protocol && BPF_SRC(insn->code) == BPF_K)
		limit_by_test(w, op, insn->k);
	else
		(void)use(w, &regs[REG_A]);
	switch (abstract_test(op, a, &by)) {
	case ABSTRACT_FALSE:
		place->leads = LEADS_TO_FALSE;
		break;
	case ABSTRACT_TRUE:
		place->leads = LEADS_TO_TRUE;
		break;
	case ABSTRACT_EITHER:
		place->leads = LEADS_TO_TRUE | LEADS_TO_FALSE;
		break;
	case ABSTRACT_UNDEFINED:
		choose_by_undefined(place, LEADS_TO_TRUE | LEADS_TO_FALSE,
		    a->undefined != 0 ? abstract_origin(a, asked) :
		    abstract_origin(&by, UINT32_MAX));
		break;
	}
}

static void
end(struct walk *w, struct place *place, const struct bpf_insn_raw *insn,
    const struct word *regs)
{
	const struct abstract zero = abstract_constant(0);
	struct abstract answer = abstract_constant(insn->k);
	enum abstract_truth is_no;

	if (BPF_RVAL(insn->code) == BPF_A)
		answer = use(w, &regs[REG_A]);
	is_no = abstract_test(BPF_JEQ, &answer, &zero);
	place->leads = 0;
	place->answers = is_no == ABSTRACT_TRUE ? ANSWER_NO :
	    is_no == ABSTRACT_FALSE ? ANSWER_YES : ANSWER_BOTH;
	if (is_no == ABSTRACT_UNDEFINED)
		choose_by_undefined(place, 0, abstract_origin(&answer, UINT32_MAX));
}

void
answerable_step(struct walk *w, struct place *place, const struct bpf_insn_raw *insn,
    struct word *regs)
{
	place->leads = LEADS_TO_TRUE;
	switch (BPF_CLASS(insn->code)) {
	case BPF_LD:
		regs[REG_A] = load(w, place, insn, regs);
		break;
	case BPF_LDX:
		regs[REG_X] = load(w, place, insn, regs);
		break;
	case BPF_ST:
		regs[REG_M + insn->k % BPF_MEMWORDS] = regs[REG_A];
		break;
	case BPF_STX:
		regs[REG_M + insn->k % BPF_MEMWORDS] = regs[REG_X];
		break;
	case BPF_ALU:
		calculate(w, place, insn, regs);
		break;
	case BPF_JMP:
		if (BPF_OP(insn->code) != BPF_JA)
			jump(w, place, insn, regs);
		break;
	case BPF_RET:
		end(w, place, insn, regs);
		break;
	default:
		if (BPF_MISCOP(insn->code) == BPF_TAX)
			regs[REG_X] = regs[REG_A];
		else
			regs[REG_A] = regs[REG_X];
		break;
	}
}
