#include "client/sqlite/abstract.h"

#include <linux/filter.h>

struct abstract
abstract_constant(uint32_t value)
{
	return (struct abstract){ .bits = value, .known = UINT32_MAX };
}

struct abstract
abstract_undefined(int32_t from)
{
	return (struct abstract){ .undefined = UINT32_MAX, .from = from };
}

static bool
is_constant(const struct abstract *a)
{
	return a->known == UINT32_MAX;
}

int32_t
abstract_origin(const struct abstract *a, uint32_t mask)
{
	uint32_t asked = a->undefined & mask;

	if (a->from < 0 || a->is_moved || asked == 0)
		return a->from;
	return a->from - (31 - __builtin_clz(asked)) / 8;
}

/* The origin of what is computed of both. */
static void
inherit(struct abstract *to, const struct abstract *a, const struct abstract *b)
{
	const struct abstract *source = a->undefined != 0 ? a : b;

	to->from = source->from;
	to->is_moved = source->is_moved;
}

static void
move(struct abstract *to)
{
	to->from = abstract_origin(to, UINT32_MAX);
	to->is_moved = true;
}

/* --- operations --- */

static uint32_t
compute(uint16_t op, uint32_t a, uint32_t b)
{
	switch (op) {
	case BPF_ADD:
		return a + b;
	case BPF_SUB:
		return a - b;
	case BPF_MUL:
		return a * b;
	case BPF_DIV:
		return b == 0 ? 0 : a / b;
	case BPF_MOD:
		return b == 0 ? 0 : a % b;
	case BPF_NEG:
		return 0U - a;
	case BPF_LSH:
		return b < 32 ? a << b : 0;
	default:
		return b < 32 ? a >> b : 0;
	}
}

static struct abstract
bitwise(uint16_t op, const struct abstract *a, const struct abstract *b)
{
	uint32_t zeros, ones;
	struct abstract ret = { 0 };

	switch (op) {
	case BPF_AND:
		zeros = (a->known & ~a->bits) | (b->known & ~b->bits);
		ones = a->bits & b->bits;
		break;
	case BPF_OR:
		zeros = a->known & ~a->bits & b->known & ~b->bits;
		ones = a->bits | b->bits;
		break;
	default:
		ones = (a->bits ^ b->bits) & a->known & b->known;
		zeros = ~(a->bits ^ b->bits) & a->known & b->known;
		break;
	}
	ret.bits = ones;
	ret.known = zeros | ones;
	ret.undefined = (a->undefined | b->undefined) & ~ret.known;
	inherit(&ret, a, b);
	/* Of two words of the packet, one can be told. */
	if (!is_constant(a) && !is_constant(b))
		move(&ret);
	return ret;
}

static struct abstract
shift(uint16_t op, const struct abstract *a, uint32_t by)
{
	uint32_t filled = ~compute(op, UINT32_MAX, by);
	struct abstract ret = *a;

	if (ret.undefined != 0)
		move(&ret);
	ret.bits = compute(op, a->bits, by);
	ret.known = compute(op, a->known, by) | filled;
	ret.undefined = compute(op, a->undefined, by);
	return ret;
}

static struct abstract
arithmetic(uint16_t op, const struct abstract *a, const struct abstract *b)
{
	struct abstract ret = { 0 };

	if (is_constant(a) && (op == BPF_NEG || is_constant(b)))
		return abstract_constant(compute(op, a->bits, b->bits));
	inherit(&ret, a, b);
	if (a->undefined != 0 || (op != BPF_NEG && b->undefined != 0)) {
		ret.undefined = a->undefined != 0 ? a->undefined : b->undefined;
		move(&ret);
		ret.undefined = UINT32_MAX;
	}
	return ret;
}

struct abstract
abstract_alu(uint16_t op, const struct abstract *a, const struct abstract *b)
{
	if (op == BPF_AND || op == BPF_OR || op == BPF_XOR)
		return bitwise(op, a, b);
	if ((op == BPF_LSH || op == BPF_RSH) && is_constant(b))
		return shift(op, a, b->bits);
	return arithmetic(op, a, b);
}

/* --- tests --- */

static enum abstract_truth
open_question(const struct abstract *a, const struct abstract *b, uint32_t mask)
{
	return ((a->undefined | b->undefined) & mask) != 0 ? ABSTRACT_UNDEFINED :
	    ABSTRACT_EITHER;
}

static enum abstract_truth
test_equal(const struct abstract *a, const struct abstract *b)
{
	uint32_t known = a->known & b->known;

	if (((a->bits ^ b->bits) & known) != 0)
		return ABSTRACT_FALSE;
	return known == UINT32_MAX ? ABSTRACT_TRUE : open_question(a, b, UINT32_MAX);
}

static enum abstract_truth
test_bits(const struct abstract *a, const struct abstract *b)
{
	uint32_t can = (a->bits | ~a->known) & (b->bits | ~b->known);

	if ((a->bits & b->bits) != 0)
		return ABSTRACT_TRUE;
	return can == 0 ? ABSTRACT_FALSE : open_question(a, b, can);
}

/* Is a at least b + more? */
static enum abstract_truth
test_order(const struct abstract *a, const struct abstract *b, uint64_t more)
{
	uint64_t a_max = a->bits | ~a->known, b_max = b->bits | ~b->known;

	if (a->bits >= b_max + more)
		return ABSTRACT_TRUE;
	return a_max < b->bits + more ? ABSTRACT_FALSE : open_question(a, b, UINT32_MAX);
}

enum abstract_truth
abstract_test(uint16_t op, const struct abstract *a, const struct abstract *b)
{
	switch (op) {
	case BPF_JEQ:
		return test_equal(a, b);
	case BPF_JGT:
		return test_order(a, b, 1);
	case BPF_JGE:
		return test_order(a, b, 0);
	default:
		return test_bits(a, b);
	}
}

/* --- paths that meet --- */

void
abstract_join(struct abstract *into, const struct abstract *other)
{
	struct abstract ret = {
		.known = into->known & other->known & ~(into->bits ^ other->bits),
		.undefined = into->undefined | other->undefined,
	};

	ret.bits = into->bits & ret.known;
	inherit(&ret, into, other);
	ret.is_moved = into->is_moved || other->is_moved;
	*into = ret;
}
