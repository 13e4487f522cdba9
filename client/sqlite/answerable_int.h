/*
 * answerable_int - one instruction of the walk over a program's paths; for
 * answerable*.c.
 */
#ifndef CLIENT_SQLITE_ANSWERABLE_INT_H
#define CLIENT_SQLITE_ANSWERABLE_INT_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/sqlite/abstract.h"
#include "client/sqlite/tuple.h"
#include "common/bpf.h"

/* A word of the machine.  is_protocol: it is the byte of the protocol's number. */
struct word {
	struct abstract	 value;
	bool		 is_protocol;
};

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
	struct word	*states;	/* n of n_regs: before each instruction */
	struct tuple_shape shape;
	/*
	 * With the protocols from the shape's to this one the walk is the same:
	 * tests that compare the number have the same outcome.  Most programs
	 * compare it with three others: a dozen walks instead of 256.
	 */
	uint8_t		 same_until;
};

/* Change regs to what they are behind the instruction and find where it leads. */
void answerable_step(struct walk *w, struct place *place, const struct bpf_insn_raw *insn,
    struct word *regs);

#endif /* CLIENT_SQLITE_ANSWERABLE_INT_H */
