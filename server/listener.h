/*
 * listener - accept connections on one listening socket.
 *
 * The socket came bound, marked and listening from capagent.  Here its
 * addresses become part of the own traffic that captures leave out, and each
 * accepted connection becomes a session, within bounds per peer and in all.
 * Runs in capagent-net's first thread.
 */
#ifndef SERVER_LISTENER_H
#define SERVER_LISTENER_H

#include "common/err.h"
#include "server/net.h"

struct listener;

/* Watch fd (taken, on failure too).  address is for messages. */
struct listener *listener_new(struct net *net, int fd, const char *address,
    struct err *err);
void listener_free(struct listener *listener);

/*
 * Bring net->own up to date with the host's addresses.  Returns true when
 * something was added; filters that are attached must then be linked anew.
 */
bool listener_refresh_own(struct net *net);

#endif /* SERVER_LISTENER_H */
