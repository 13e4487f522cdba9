/*
 * policy_change - what a reload changes, and what it cannot.
 *
 * Runs in capagent.  Plain comparison of two policies; nothing takes effect
 * here.
 */
#ifndef SERVER_POLICY_CHANGE_H
#define SERVER_POLICY_CHANGE_H

#include "server/policy.h"

enum { POLICY_CHANGE_LEN = 256 };	/* all names together are shorter */

/* Names of keys, separated by ", "; "" for none. */
struct policy_change {
	char		 changed[POLICY_CHANGE_LEN];
	char		 needs_restart[POLICY_CHANGE_LEN];
};

/*
 * Compare next with now, which holds.  What only a start can change (sockets,
 * the user, capabilities that first, the policy of the start, did not ask
 * for) is put back in next to what holds.
 *
 * E_CONFIG  next has no configuration file where now has one: a file that is
 *           gone must not lift its restrictions
 */
int policy_change_judge(const struct policy *first, const struct policy *now,
    struct policy *next, struct policy_change *ret_change, struct err *err) MUST_CHECK;

#endif /* SERVER_POLICY_CHANGE_H */
