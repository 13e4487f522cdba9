/*
 * abstract - what is known of a 32-bit word of a filter's machine, bit by bit.
 *
 * A bit is known (its value is the same for all connections looked at),
 * undefined (the connection does not say), or neither: the connection says,
 * each its own.  What is computed from an undefined bit is undefined, except
 * where the other operand alone decides.  Pure functions.
 */
#ifndef CLIENT_SQLITE_ABSTRACT_H
#define CLIENT_SQLITE_ABSTRACT_H

#include <stdbool.h>
#include <stdint.h>

/* Where undefined bits come from, when it is no byte of the packet. */
enum {
	ABSTRACT_LENGTH = -1,		/* the packet's length */
	ABSTRACT_METADATA = -2,		/* what only a capture knows */
	ABSTRACT_ANYWHERE = -3,		/* a byte at an undefined offset */
};

struct abstract {
	uint32_t bits;		/* values of the known ones, others 0 */
	uint32_t known;
	uint32_t undefined;	/* none of the known ones */
	/*
	 * The offset in the packet of the byte that the lowest bits come from, or
	 * one of the above.  With is_moved the bits are no longer where they were:
	 * then of the first undefined byte.
	 */
	int32_t	 from;
	bool	 is_moved;
};

/* What is known of a test. */
enum abstract_truth {
	ABSTRACT_FALSE,
	ABSTRACT_TRUE,
	ABSTRACT_EITHER,		/* as the connection says */
	ABSTRACT_UNDEFINED,
};

struct abstract abstract_constant(uint32_t value);
struct abstract abstract_undefined(int32_t from);

/* The result of an ALU instruction's operation, BPF_ADD to BPF_NEG, in libpcap's arithmetic. */
struct abstract abstract_alu(uint16_t op, const struct abstract *a, const struct abstract *b);

/* A jump's test, BPF_JEQ, BPF_JGT, BPF_JGE or BPF_JSET. */
enum abstract_truth abstract_test(uint16_t op, const struct abstract *a,
    const struct abstract *b);

/* *into becomes what is known when it is either of the two. */
void abstract_join(struct abstract *into, const struct abstract *other);

/* The offset of the byte that undefined bits of mask come from, or one of the above. */
int32_t abstract_origin(const struct abstract *a, uint32_t mask);

#endif /* CLIENT_SQLITE_ABSTRACT_H */
