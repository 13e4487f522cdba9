#include "client/sqlite/answerable.h"

#include <linux/filter.h>
#include <stdlib.h>
#include <string.h>

#include "client/sqlite/abstract.h"

/* A state is A, X and the words of M[] that the program uses. */
enum { REG_A, REG_X, REG_M, REGS_MAX = REG_M + BPF_MEMWORDS };

/* Where an instruction can lead, for some connection of the shape. */
enum {
	LEADS_TO_TRUE = 1,	/* pc + 1 + jt; of what is no jump: pc + 1 */
	LEADS_TO_FALSE = 2,
	LEADS_TO_END = 4,	/* a load outside the packet, a division by 0 */
	BY_UNDEFINED = 8,	/* which of them, something undefined decides */
};

/* Which answers are ahead. */
enum { ANSWER_NO = 1, ANSWER_YES = 2, ANSWER_BOTH = 3 };

struct place {
	uint8_t	 leads;
	uint8_t	 answers;
	bool	 is_reached;
	int32_t	 origin;	/* of what decides, with BY_UNDEFINED */
};

struct walk {
	const struct bpf_insn_raw *insns;
	size_t		 n;
	size_t		 n_regs;
	struct place	*places;	/* n */
	struct abstract	*states;	/* n of n_regs: before each instruction */
	struct tuple_shape shape;
};

/* --- one instruction --- */

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
static struct abstract
load_bytes(const struct walk *w, struct place *place, uint32_t offset, uint32_t size)
{
	const struct tuple_shape *shape = &w->shape;
	struct abstract ret = { .from = (int32_t)(offset + size - 1) };

	if ((uint64_t)offset + size > shape->len) {
		choose_by_undefined(place, LEADS_TO_END, (int32_t)offset);
		ret.undefined = UINT32_MAX;
		ret.from = (int32_t)offset;
		ret.is_moved = true;
		return ret;
	}
	ret.known = size == 4 ? 0 : UINT32_MAX << size * 8;
	for (uint32_t i = offset; i < offset + size; i++) {
		uint32_t at = (offset + size - 1 - i) * 8;

		ret.bits |= (uint32_t)shape->bits[i] << at;
		ret.known |= (uint32_t)shape->fixed[i] << at;
		ret.undefined |= (uint32_t)(uint8_t)~shape->defined[i] << at;
	}
	return ret;
}

static struct abstract
load_absolute(const struct walk *w, struct place *place, uint32_t offset, uint32_t size)
{
	/* libpcap's own interpreter ends the program; another one would know. */
	if (offset > INT32_MAX) {
		choose_by_undefined(place, LEADS_TO_END, ABSTRACT_METADATA);
		return abstract_undefined(ABSTRACT_METADATA);
	}
	return load_bytes(w, place, offset, size);
}

static struct abstract
load_indirect(const struct walk *w, struct place *place, const struct abstract *x,
    uint32_t k, uint32_t size)
{
	uint64_t offset = (uint64_t)x->bits + k;

	if (x->known == UINT32_MAX && offset <= INT32_MAX)
		return load_bytes(w, place, (uint32_t)offset, size);
	choose_by_undefined(place, LEADS_TO_END, ABSTRACT_ANYWHERE);
	return abstract_undefined(ABSTRACT_ANYWHERE);
}

/* 4 * (byte & 15): the length of the IPv4 header, which is always the same. */
static struct abstract
load_header_length(const struct walk *w, struct place *place, uint32_t offset)
{
	const struct abstract mask = abstract_constant(0xf), two = abstract_constant(2);
	struct abstract byte;

	if (offset == 0 && w->shape.version == 4)
		return abstract_constant((uint32_t)w->shape.ip_len);
	byte = load_absolute(w, place, offset, 1);
	byte = abstract_alu(BPF_AND, &byte, &mask);
	return abstract_alu(BPF_LSH, &byte, &two);
}

static struct abstract
load(const struct walk *w, struct place *place, const struct bpf_insn_raw *insn,
    const struct abstract *regs)
{
	switch (BPF_MODE(insn->code)) {
	case BPF_IMM:
		return abstract_constant(insn->k);
	case BPF_ABS:
		return load_absolute(w, place, insn->k, load_size(insn->code));
	case BPF_IND:
		return load_indirect(w, place, &regs[REG_X], insn->k, load_size(insn->code));
	case BPF_MSH:
		return load_header_length(w, place, insn->k);
	case BPF_MEM:
		return regs[REG_M + insn->k % BPF_MEMWORDS];
	default:
		return abstract_undefined(ABSTRACT_LENGTH);
	}
}

static struct abstract
operand(const struct bpf_insn_raw *insn, const struct abstract *regs)
{
	return BPF_SRC(insn->code) == BPF_X ? regs[REG_X] : abstract_constant(insn->k);
}

static void
calculate(struct place *place, const struct bpf_insn_raw *insn, struct abstract *regs)
{
	uint16_t op = BPF_OP(insn->code);
	struct abstract by = operand(insn, regs);

	if (op == BPF_DIV || op == BPF_MOD) {
		const struct abstract zero = abstract_constant(0);
		enum abstract_truth is_zero = abstract_test(BPF_JEQ, &by, &zero);

		if (is_zero == ABSTRACT_UNDEFINED)
			choose_by_undefined(place, LEADS_TO_END, abstract_origin(&by, UINT32_MAX));
		else if (is_zero != ABSTRACT_FALSE)
			place->leads |= LEADS_TO_END;
	}
	regs[REG_A] = abstract_alu(op, &regs[REG_A], &by);
}

static void
jump(struct place *place, const struct bpf_insn_raw *insn, const struct abstract *regs)
{
	struct abstract by = operand(insn, regs);
	uint16_t op = BPF_OP(insn->code);
	uint32_t asked = op == BPF_JSET ? by.bits | ~by.known : UINT32_MAX;

	switch (abstract_test(op, &regs[REG_A], &by)) {
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
		    regs[REG_A].undefined != 0 ? abstract_origin(&regs[REG_A], asked) :
		    abstract_origin(&by, UINT32_MAX));
		break;
	}
}

static void
end(struct place *place, const struct bpf_insn_raw *insn, const struct abstract *a)
{
	const struct abstract zero = abstract_constant(0);
	enum abstract_truth is_no = insn->k == 0 ? ABSTRACT_TRUE : ABSTRACT_FALSE;

	if (BPF_RVAL(insn->code) == BPF_A)
		is_no = abstract_test(BPF_JEQ, a, &zero);
	place->leads = 0;
	place->answers = is_no == ABSTRACT_TRUE ? ANSWER_NO :
	    is_no == ABSTRACT_FALSE ? ANSWER_YES : ANSWER_BOTH;
	if (is_no == ABSTRACT_UNDEFINED)
		choose_by_undefined(place, 0, abstract_origin(a, UINT32_MAX));
}

/* Change regs to what they are behind the instruction and find where it leads. */
static void
step(const struct walk *w, struct place *place, const struct bpf_insn_raw *insn,
    struct abstract *regs)
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
		calculate(place, insn, regs);
		break;
	case BPF_JMP:
		if (BPF_OP(insn->code) != BPF_JA)
			jump(place, insn, regs);
		break;
	case BPF_RET:
		end(place, insn, &regs[REG_A]);
		break;
	default:
		if (BPF_MISCOP(insn->code) == BPF_TAX)
			regs[REG_X] = regs[REG_A];
		else
			regs[REG_A] = regs[REG_X];
		break;
	}
}

/* --- all paths --- */

static size_t
target(const struct walk *w, size_t pc, uint8_t lead)
{
	const struct bpf_insn_raw *insn = &w->insns[pc];

	if (BPF_CLASS(insn->code) != BPF_JMP)
		return pc + 1;
	if (BPF_OP(insn->code) == BPF_JA)
		return pc + 1 + insn->k;
	return pc + 1 + (lead == LEADS_TO_TRUE ? insn->jt : insn->jf);
}

static void
reach(struct walk *w, size_t pc, const struct abstract *regs)
{
	struct abstract *state = &w->states[pc * w->n_regs];

	if (!w->places[pc].is_reached) {
		w->places[pc].is_reached = true;
		memcpy(state, regs, w->n_regs * sizeof(*state));
		return;
	}
	for (size_t i = 0; i < w->n_regs; i++)
		abstract_join(&state[i], &regs[i]);
}

/* From the first instruction on; all jumps go forward.  Is there a BY_UNDEFINED? */
static bool
walk_forward(struct walk *w)
{
	bool has_undefined = false;
	struct abstract regs[REGS_MAX];

	memset(w->places, 0, w->n * sizeof(w->places[0]));
	for (size_t i = 0; i < REGS_MAX; i++)
		regs[i] = abstract_constant(0);
	reach(w, 0, regs);
	for (size_t pc = 0; pc < w->n; pc++) {
		struct place *place = &w->places[pc];

		if (!place->is_reached)
			continue;
		memcpy(regs, &w->states[pc * w->n_regs], w->n_regs * sizeof(regs[0]));
		step(w, place, &w->insns[pc], regs);
		if (place->leads & LEADS_TO_TRUE)
			reach(w, target(w, pc, LEADS_TO_TRUE), regs);
		if (place->leads & LEADS_TO_FALSE)
			reach(w, target(w, pc, LEADS_TO_FALSE), regs);
		has_undefined |= (place->leads & BY_UNDEFINED) != 0;
	}
	return has_undefined;
}

/* Find the answers ahead of each place; returns the first that is in doubt, or NULL. */
static const struct place *
walk_backward(struct walk *w)
{
	const struct place *doubt = NULL;

	for (size_t pc = w->n; pc-- > 0;) {
		struct place *place = &w->places[pc];

		if (!place->is_reached)
			continue;
		if (place->leads & LEADS_TO_END)
			place->answers |= ANSWER_NO;
		if (place->leads & LEADS_TO_TRUE)
			place->answers |= w->places[target(w, pc, LEADS_TO_TRUE)].answers;
		if (place->leads & LEADS_TO_FALSE)
			place->answers |= w->places[target(w, pc, LEADS_TO_FALSE)].answers;
		if ((place->leads & BY_UNDEFINED) && place->answers == ANSWER_BOTH)
			doubt = place;
	}
	return doubt;
}

static int
refuse(const struct tuple_shape *shape, int32_t origin, struct err *err)
{
	switch (origin) {
	case ABSTRACT_LENGTH:
		return err_set(err, E_FILTER, "it depends on the packet's length");
	case ABSTRACT_METADATA:
		return err_set(err, E_FILTER, "it depends on the direction, the interface or "
		    "something else that only a capture knows");
	case ABSTRACT_ANYWHERE:
		return err_set(err, E_FILTER, "it depends on a byte whose place in the packet "
		    "the packet says");
	default:
		return err_set(err, E_FILTER, "it depends on %s (byte %d of an IPv%u packet)",
		    tuple_shape_field(shape, (size_t)origin), origin, shape->version);
	}
}

static int
check_version(struct walk *w, uint8_t version, enum tuple_icmp icmp, struct err *err)
{
	for (unsigned protocol = 0; protocol <= UINT8_MAX; protocol++) {
		const struct place *doubt;

		if (!tuple_is_protocol(version, (uint8_t)protocol))
			continue;
		tuple_shape_init(&w->shape, version, (uint8_t)protocol, icmp);
		if (!walk_forward(w))
			continue;
		doubt = walk_backward(w);
		if (doubt != NULL)
			return refuse(&w->shape, doubt->origin, err);
	}
	return E_OK;
}

/* --- a program --- */

static bool
has_loop(const struct bpf_insn_raw *insns, size_t n)
{
	for (size_t pc = 0; pc < n; pc++)
		if (insns[pc].code == (BPF_JMP | BPF_JA) && insns[pc].k >= n)
			return true;
	return false;
}

/* Most programs use no word of M[]: states are small then. */
static size_t
count_regs(const struct bpf_insn_raw *insns, size_t n)
{
	size_t words = 0;

	for (size_t pc = 0; pc < n; pc++) {
		uint16_t class = BPF_CLASS(insns[pc].code);

		if ((class == BPF_ST || class == BPF_STX) && insns[pc].k < BPF_MEMWORDS &&
		    insns[pc].k >= words)
			words = insns[pc].k + 1;
	}
	return REG_M + words;
}

int
answerable_check(const struct bpf_insn_raw *insns, size_t n, enum tuple_icmp icmp,
    struct err *err)
{
	struct walk w = { .insns = insns, .n = n, .n_regs = count_regs(insns, n) };
	int ret;

	if (has_loop(insns, n))
		return err_set(err, E_FILTER, "'protochain' is a loop over the packet's headers");
	w.places = malloc(n * sizeof(w.places[0]));
	w.states = malloc(n * w.n_regs * sizeof(w.states[0]));
	if (w.places == NULL || w.states == NULL) {
		ret = err_set(err, E_NOMEM, "out of memory");
		goto out;
	}
	ret = check_version(&w, 4, icmp, err);
	if (ret == E_OK)
		ret = check_version(&w, 6, icmp, err);
out:
	free(w.places);
	free(w.states);
	return ret;
}
