#include "client/sqlite/answerable.h"

#include <stdlib.h>
#include <string.h>

#include "client/sqlite/answerable_int.h"

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
reach(struct walk *w, size_t pc, const struct word *regs)
{
	struct word *state = &w->states[pc * w->n_regs];

	if (!w->places[pc].is_reached) {
		w->places[pc].is_reached = true;
		memcpy(state, regs, w->n_regs * sizeof(*state));
		return;
	}
	for (size_t i = 0; i < w->n_regs; i++) {
		/* No longer the number in all cases, but it depends on it. */
		if (state[i].is_protocol != regs[i].is_protocol) {
			state[i].is_protocol = false;
			w->same_until = w->shape.protocol;
		}
		abstract_join(&state[i].value, &regs[i].value);
	}
}

/* From the first instruction on; all jumps go forward.  Is there a BY_UNDEFINED? */
static bool
walk_forward(struct walk *w)
{
	bool has_undefined = false;
	struct word regs[REGS_MAX];

	w->same_until = tuple_shape_last_alike(&w->shape);
	memset(w->places, 0, w->n * sizeof(w->places[0]));
	for (size_t i = 0; i < REGS_MAX; i++)
		regs[i] = (struct word){ .value = abstract_constant(0) };
	reach(w, 0, regs);
	for (size_t pc = 0; pc < w->n; pc++) {
		struct place *place = &w->places[pc];

		if (!place->is_reached)
			continue;
		memcpy(regs, &w->states[pc * w->n_regs], w->n_regs * sizeof(regs[0]));
		answerable_step(w, place, &w->insns[pc], regs);
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
	for (unsigned protocol = 0; protocol <= UINT8_MAX; protocol = w->same_until + 1U) {
		const struct place *doubt;

		tuple_shape_init(&w->shape, version, (uint8_t)protocol, icmp);
		w->same_until = (uint8_t)protocol;
		if (!tuple_is_protocol(version, (uint8_t)protocol))
			continue;
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
