/*
 * session - one client before its capture: handshake, hello, what it wants.
 *
 * A connection either asks (ListRequest) or starts a capture, which takes
 * the connection over; the session then ends.  Runs in capagent-net's first
 * thread.
 */
#ifndef SERVER_SESSION_H
#define SERVER_SESSION_H

#include <sys/socket.h>

#include "server/net.h"

enum {
	SESSION_MAX = 256,		/* before their capture, all together */
	SESSION_MAX_PER_PEER = 64,	/* from one address */
};

/*
 * Take an accepted socket.  peer is its address.  Never fails to the caller:
 * what cannot be served is closed and logged.
 */
void session_accept(struct net *net, int fd, const struct sockaddr_storage *peer);

/* Tell every session that has no capture that the agent is ending, and close it. */
void session_close_all(struct net *net);

#endif /* SERVER_SESSION_H */
