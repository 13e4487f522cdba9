/*
 * policy_int - what the files of policy share: the keys.
 */
#ifndef SERVER_POLICY_INT_H
#define SERVER_POLICY_INT_H

#include "server/policy.h"

struct policy_key {
	const char	*name;
	enum { POLICY_KEY_ONCE, POLICY_KEY_REPEATS } repeats;	/* in one file */
	int		(*set)(struct policy *p, const char *value, struct err *err);
};

/* The key of this name and its number, below 32; NULL when there is none. */
const struct policy_key *policy_key_find(const char *name, unsigned *ret_number);

#endif /* SERVER_POLICY_INT_H */
