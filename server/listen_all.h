/*
 * listen_all - the addresses of the configuration, one by one.
 *
 * Runs in capagent at its start.
 */
#ifndef SERVER_LISTEN_ALL_H
#define SERVER_LISTEN_ALL_H

#include "common/err.h"
#include "server/net_spawn.h"
#include "server/policy.h"

/* Could they be listened on?  No port is tried.  E_UNREACHABLE. */
int listen_all_check(const struct policy *policy, struct err *err) MUST_CHECK;

/*
 * Listen on them; ret_listeners has room for PRIV_MAX_LISTENERS, *ret_n is 0
 * and counts what is open, on failure too.  E_UNREACHABLE.
 */
int listen_all_open(const struct policy *policy, struct net_listener *ret_listeners,
    unsigned *ret_n, struct err *err) MUST_CHECK;

#endif /* SERVER_LISTEN_ALL_H */
