/*
 * listener - accept connections on one listening socket.
 *
 * The socket came bound, marked and listening from capagent.  Each accepted
 * connection becomes a session, within bounds per peer and in all.
 * Runs in capagent-net's first thread.
 */
#ifndef SERVER_LISTENER_H
#define SERVER_LISTENER_H

#include <sys/socket.h>

#include "common/err.h"
#include "server/net.h"

struct listener;

/* Watch fd (taken, on failure too).  address is for messages. */
struct listener *listener_new(struct net *net, int fd, const char *address,
    struct err *err);
void listener_free(struct listener *listener);

/* The address it is bound to. */
const struct sockaddr_storage *listener_local(const struct listener *listener);

#endif /* SERVER_LISTENER_H */
