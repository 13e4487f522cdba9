/*
 * own_addresses - keep net->own up to date: where this agent is talked to.
 *
 * The addresses of listening sockets, every address of the host for those
 * that listen on all (followed by rtnetlink as they come and go), and what
 * connections teach: other addresses they came in by, and those that this
 * host redirects to us.  Runs in capagent-net's first thread.
 */
#ifndef SERVER_OWN_ADDRESSES_H
#define SERVER_OWN_ADDRESSES_H

#include <stdbool.h>

#include "common/err.h"
#include "server/net.h"

/*
 * Follow the host's addresses from now on: filters are linked anew at each
 * change.  Before the sandbox, which allows no bind.  E_SYS, E_NOMEM.
 */
int own_addresses_open(struct net *net, struct err *err) MUST_CHECK;
void own_addresses_close(struct net *net);

/* Work out net->own; true when it has changed (own_generation went up). */
bool own_addresses_refresh(struct net *net);

/*
 * A connection was accepted on fd.  When it came in by an endpoint that is
 * not in net->own, that is added and every filter linked anew.
 */
void own_addresses_learn(struct net *net, int fd);

#endif /* SERVER_OWN_ADDRESSES_H */
