/*
 * supervise - capagent's loop: serve the child, and end together with it.
 *
 * Runs in capagent after its start.  The child is ended by message, because
 * after the drop it cannot be signalled any more.
 */
#ifndef SERVER_SUPERVISE_H
#define SERVER_SUPERVISE_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/err.h"
#include "server/net_spawn.h"
#include "server/priv_serve.h"
#include "server/reload.h"

/*
 * Block SIGHUP, first of all: one that comes during the start waits for
 * supervise_run().
 */
void supervise_hold_hangup(void);

/*
 * Block SIGTERM, SIGINT, SIGHUP (whatever nohup wished: here it asks for a
 * reload) and SIGCHLD; they arrive at *ret_fd from now on.  Before the child
 * is started, so that none is missed.
 */
int supervise_open_signals(int *ret_fd, struct err *err) MUST_CHECK;

/*
 * Serve until SIGTERM or SIGINT and then until the child has ended, for at
 * most five seconds; or until something goes wrong.  SIGHUP asks for a reload
 * (NULL: is ignored).  Closes child->fd.
 *
 * E_OK        ended as asked
 * E_PEERGONE  the child ended by itself
 * E_BADMSG    the child broke the rules of the boundary
 * E_TIMEOUT   the child did not end in time
 */
int supervise_run(struct priv_serve *serve, struct net_child *child, int signal_fd,
    struct reload *reload, struct err *err) MUST_CHECK;

/*
 * End a child that serves nobody: by message, and wait for it as above.
 * Logs nothing.
 */
int supervise_end(struct priv_serve *serve, struct net_child *child, int signal_fd,
    struct err *err) MUST_CHECK;

#endif /* SERVER_SUPERVISE_H */
