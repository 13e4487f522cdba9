/*
 * net_spawn - start capagent-net without privilege and hand it what it needs.
 *
 * Runs in capagent, starting before it drops its own privilege.  Everything
 * that comes later but reloads goes through priv_serve.
 */
#ifndef SERVER_NET_SPAWN_H
#define SERVER_NET_SPAWN_H

#include <sys/types.h>

#include "common/err.h"
#include "server/drop.h"
#include "server/policy.h"
#include "server/priv_msg.h"
#include "server/sandbox.h"

/*
 * Find capagent-net beside this executable, else in the libexec folder it is
 * installed in, and open it, so that it can be started below folders its user cannot enter.
 */
int net_spawn_find(int *ret_fd, struct err *err) MUST_CHECK;

struct net_child {
	pid_t		 pid;
	int		 fd;		/* our end of the boundary, non-blocking */
};

/*
 * Start the network process as user.  What goes wrong between fork and exec
 * is reported by net_spawn_wait_ready().
 */
int net_spawn_start(int program_fd, const struct drop_user *user,
    struct net_child *ret_child, struct err *err) MUST_CHECK;

/*
 * Start the same program in its compile role: stdin is in_fd, stdout and
 * stderr out_fd.
 */
int net_spawn_compile(int program_fd, const struct drop_user *user,
    const char *link_type, int in_fd, int out_fd, pid_t *ret_pid, struct err *err)
    MUST_CHECK;

struct net_listener {
	int		 fd;
	char		 address[PRIV_ADDRESS_LEN];
};

struct net_setup {
	const struct policy *policy;
	const char	*log_spec;		/* "" for the default */
	enum sandbox_mode sandbox;
	unsigned	 n_listeners;
	const struct net_listener *listeners;
	int		 cert_fd, key_fd, ca_fd;
};

/* Send everything; the descriptors stay the caller's. */
int net_spawn_send_setup(const struct net_child *child, const struct net_setup *setup,
    struct err *err) MUST_CHECK;

/* The same for a reload: RELOAD and everything but listeners. */
int net_spawn_send_reload(const struct net_child *child, const struct net_setup *setup,
    struct err *err) MUST_CHECK;

/*
 * Wait for READY.  The child's own FAILED comes back as it was said; a child
 * that ended without a word as E_PEERGONE.  E_TIMEOUT.
 */
int net_spawn_wait_ready(const struct net_child *child, struct err *err) MUST_CHECK;

#endif /* SERVER_NET_SPAWN_H */
