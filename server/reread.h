/*
 * reread - the process of capagent that reads its files again.
 *
 * capagent gives up the rights to open files and to start programs.  This one
 * is forked before that and keeps both, and does nothing else: asked by one
 * byte, it reads the configuration, opens the certificates and compiles the
 * mandatory filter as a start does, and hands over what came of it.  It takes
 * no path, no name and no number from capagent, and ends with it.
 *
 * reread.c is capagent's end, reread_role.c the process itself.
 */
#ifndef SERVER_REREAD_H
#define SERVER_REREAD_H

#include <stdbool.h>

#include "common/err.h"
#include "server/agent_options.h"
#include "server/credentials.h"
#include "server/drop.h"
#include "server/policy.h"
#include "server/priv_mandatory.h"

struct reread;

/* As of the start; the process has a copy. */
struct reread_job {
	const struct agent_options *options;
	const struct drop_user *user;
	int		 program_fd;	/* of net_spawn_find() */
};

/*
 * Fork it.  Before listening sockets and the boundary are there; it closes
 * what else it inherits.
 */
int reread_start(const struct reread_job *job, struct reread **ret_reread, struct err *err)
    MUST_CHECK;

/* The process ends.  NULL is allowed. */
void reread_free(struct reread *reread);

/* True once, when it ended by itself: it is reaped.  To be asked after SIGCHLD. */
bool reread_has_ended(struct reread *reread);

/* To poll for reading. */
int reread_fd(const struct reread *reread);

/* Ask it, once; before the next time its answer must have been taken. */
int reread_ask(struct reread *reread, struct err *err) MUST_CHECK;

/* What a start would find now; policy and mandatory until the next reread_ask(). */
struct reread_found {
	const struct policy *policy;
	const struct priv_mandatory *mandatory;
	struct credentials credentials;	/* the caller's to close */
};

/*
 * Take its answer.
 *
 * E_AGAIN     not all of it is there
 * E_PEERGONE  the process has ended
 *
 * Any other code is why the files are of no use.
 */
int reread_take(struct reread *reread, struct reread_found *ret_found, struct err *err)
    MUST_CHECK;

#endif /* SERVER_REREAD_H */
