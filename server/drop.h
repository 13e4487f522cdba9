/*
 * drop - give up privilege for good.
 *
 * Used by capagent only: in its fork before it becomes capagent-net, and in
 * itself once that runs.  Every step is verified by reading back; a step
 * that fails must end the process.
 */
#ifndef SERVER_DROP_H
#define SERVER_DROP_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/err.h"

/* Who the network process becomes. */
struct drop_user {
	char	 name[64];
	uid_t	 uid;
	gid_t	 gid;
	bool	 is_default;	/* "capagent" did not exist: this is "nobody" */
	bool	 keeps_uid;	/* no CAP_SETUID: uid and groups stay as they are */
};

/*
 * Look up name, or with "" the user capagent, else nobody.
 * E_CONFIG  no such user, or it is root
 */
int drop_find_user(const char *name, struct drop_user *ret_user, struct err *err)
    MUST_CHECK;

/* Capabilities that capagent keeps beside CAP_NET_RAW where it is configured. */
enum drop_keep {
	DROP_KEEP_NET_ADMIN = 1,	/* adapters' time stamps */
	DROP_KEEP_SYS_ADMIN = 2,	/* entering network namespaces */
	DROP_KEEP_SYS_PTRACE = 4,	/* those of any process */
};

/*
 * The name of a capability among CAP_NET_RAW and those of keep (enum
 * drop_keep) that is not in the effective set; NULL when all are.
 */
const char *drop_missing(unsigned keep);

/*
 * In a fork that is about to exec: groups, gid and uid of user, no capability
 * in any set, no_new_privs, death together with the parent (whose pid is
 * parent), no core files.
 */
int drop_to_user(const struct drop_user *user, pid_t parent, struct err *err)
    MUST_CHECK;

/*
 * In the fork that reads files again: of what there is only the rights to
 * read files and to start a process as another user, no_new_privs, death
 * together with the parent, no core files, undumpable.
 */
int drop_to_reread(pid_t parent, struct err *err) MUST_CHECK;

/* In capagent: keep CAP_NET_RAW and those of keep alone, no_new_privs. */
int drop_to_net_raw(unsigned keep, struct err *err) MUST_CHECK;

#endif /* SERVER_DROP_H */
