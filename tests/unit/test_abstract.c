/*
 * client/sqlite/abstract: what is said of a word holds for all words it can
 * be, by trying pairs that differ in undefined bits only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/filter.h>

#include <cmocka.h>

#include "client/sqlite/abstract.h"
#include "common/compiler.h"

enum { ROUNDS = 200000 };

static uint32_t
next_random(void)
{
	static uint64_t seed = 20261122;

	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
	return (uint32_t)(seed >> 32);
}

/* Something known, something undefined, as often all of one kind. */
static struct abstract
random_abstract(void)
{
	struct abstract a = { .known = next_random(), .undefined = next_random() };

	if (next_random() % 4 == 0)
		a.known = UINT32_MAX;
	if (next_random() % 4 == 0)
		a.known |= 0xffffff00;
	if (next_random() % 3 == 0)
		a.undefined = 0;
	a.undefined &= ~a.known;
	a.bits = next_random() & a.known;
	if (next_random() % 3 == 0)
		a.bits &= 0x1f;
	return a;
}

/* Two words that it can be, of one connection. */
static void
two_of(const struct abstract *a, uint32_t ret[static 2])
{
	uint32_t own = next_random() & ~a->known & ~a->undefined;

	for (int i = 0; i < 2; i++)
		ret[i] = a->bits | own | (next_random() & a->undefined);
}

static uint32_t
run_alu(uint16_t op, uint32_t a, uint32_t b)
{
	switch (op) {
	case BPF_ADD: return a + b;
	case BPF_SUB: return a - b;
	case BPF_MUL: return a * b;
	case BPF_DIV: return b == 0 ? 0 : a / b;
	case BPF_MOD: return b == 0 ? 0 : a % b;
	case BPF_AND: return a & b;
	case BPF_OR: return a | b;
	case BPF_XOR: return a ^ b;
	case BPF_LSH: return b < 32 ? a << b : 0;
	case BPF_RSH: return b < 32 ? a >> b : 0;
	default: return -a;
	}
}

static bool
holds_for(uint16_t op, uint32_t a, uint32_t b)
{
	return op == BPF_JEQ ? a == b : op == BPF_JGT ? a > b : op == BPF_JGE ? a >= b :
	    (a & b) != 0;
}

static void
assert_holds(const struct abstract *a, const uint32_t words[static 2])
{
	assert_int_equal(a->known & a->undefined, 0);
	assert_int_equal(a->bits & ~a->known, 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(words[i] & a->known, a->bits);
	assert_int_equal((words[0] ^ words[1]) & ~a->undefined, 0);
}

static void
operations_and_tests_hold_for_all_words(void **state)
{
	static const uint16_t alu[] = { BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_MOD, BPF_AND,
	    BPF_OR, BPF_XOR, BPF_LSH, BPF_RSH, BPF_NEG };
	static const uint16_t tests[] = { BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET };
	unsigned seen[4] = { 0 };

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct abstract a = random_abstract(), b = random_abstract(), c;
		uint16_t op = alu[next_random() % ARRAY_LEN(alu)];
		uint16_t test = tests[next_random() % ARRAY_LEN(tests)];
		enum abstract_truth truth = abstract_test(test, &a, &b);
		uint32_t x[2], y[2], z[2];

		two_of(&a, x);
		two_of(&b, y);
		for (int i = 0; i < 2; i++)
			z[i] = run_alu(op, x[i], y[i]);
		c = abstract_alu(op, &a, &b);
		assert_holds(&c, z);

		seen[truth]++;
		for (int i = 0; i < 2; i++)
			if (truth == ABSTRACT_TRUE || truth == ABSTRACT_FALSE)
				assert_int_equal(holds_for(test, x[i], y[i]), truth == ABSTRACT_TRUE);
		if (truth != ABSTRACT_UNDEFINED)
			assert_int_equal(holds_for(test, x[0], y[0]), holds_for(test, x[1], y[1]));

		c = a;
		abstract_join(&c, &b);
		assert_holds(&c, x);
		assert_holds(&c, y);
	}
	for (size_t i = 0; i < ARRAY_LEN(seen); i++)
		assert_true(seen[i] > ROUNDS / 100);
}

static void
what_is_known_is_used(void **state)
{
	struct abstract undefined = abstract_undefined(13), low = abstract_constant(0xf),
	    zero = abstract_constant(0), big = abstract_constant(256), c;

	(void)state;
	c = abstract_alu(BPF_AND, &undefined, &zero);
	assert_int_equal(abstract_test(BPF_JEQ, &c, &zero), ABSTRACT_TRUE);
	c = abstract_alu(BPF_AND, &undefined, &low);
	assert_int_equal(c.undefined, 0xf);
	assert_int_equal(abstract_test(BPF_JGE, &c, &big), ABSTRACT_FALSE);
	assert_int_equal(abstract_test(BPF_JGE, &undefined, &zero), ABSTRACT_TRUE);
	assert_int_equal(abstract_test(BPF_JEQ, &undefined, &zero), ABSTRACT_UNDEFINED);
}

static void
the_byte_that_is_asked_for_is_told(void **state)
{
	const struct abstract mask = abstract_constant(0x1200), eight = abstract_constant(8);
	struct abstract a = abstract_undefined(13), b;

	(void)state;
	assert_int_equal(abstract_origin(&a, 0xff), 13);
	assert_int_equal(abstract_origin(&a, 0xff00), 12);
	b = abstract_alu(BPF_AND, &a, &mask);
	assert_int_equal(abstract_origin(&b, UINT32_MAX), 12);
	b = abstract_alu(BPF_RSH, &b, &eight);
	assert_int_equal(abstract_origin(&b, UINT32_MAX), 12);
	a = abstract_undefined(ABSTRACT_LENGTH);
	assert_int_equal(abstract_origin(&a, UINT32_MAX), ABSTRACT_LENGTH);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(operations_and_tests_hold_for_all_words),
		cmocka_unit_test(what_is_known_is_used),
		cmocka_unit_test(the_byte_that_is_asked_for_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
