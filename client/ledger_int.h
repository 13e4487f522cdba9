/*
 * ledger_int - arithmetic of the ledger's files; see ledger.h.
 */
#ifndef CLIENT_LEDGER_INT_H
#define CLIENT_LEDGER_INT_H

#include "client/ledger.h"

/* *sum += n.  False: it would not fit, and *sum is UINT64_MAX. */
static inline bool
ledger_add(uint64_t *sum, uint64_t n)
{
	if (!__builtin_add_overflow(*sum, n, sum))
		return true;
	*sum = UINT64_MAX;
	return false;
}

/* The same of every counter that an agent tells. */
bool ledger_add_told(struct ledger_told *sum, const struct ledger_told *told);

/* What was dropped before it was batched.  False as above. */
bool ledger_told_dropped(const struct ledger_told *told, uint64_t *ret_dropped);

/* Everything of a row that came or is known to be lost on the way. */
bool ledger_came(const struct ledger_counts *n, uint64_t *ret_came);

/* Packets of gaps that no row has. */
bool ledger_rest_packets(const struct ledger_rest *rest, uint64_t *ret_packets);

#endif /* CLIENT_LEDGER_INT_H */
