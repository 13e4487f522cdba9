/*
 * priv_netns - other network namespaces, as far as the configuration permits.
 *
 * Runs in capagent.  Named ones are what "ip netns" lists: files in
 * /run/netns; the others are known by a process in them.  Sockets are made
 * inside, and capagent is back before anything else happens: it never works
 * there.  A failure to get back ends the process.
 */
#ifndef SERVER_PRIV_NETNS_H
#define SERVER_PRIV_NETNS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "common/err.h"
#include "server/policy.h"
#include "server/priv_msg.h"

/* A namespace the child has a handle for. */
struct priv_netns_place {
	struct priv_netns_place *next;
	uint32_t	 handle;
	int		 home_fd;	/* borrowed: the agent's own namespace */
	int		 fd;		/* the namespace's file, or a pidfd */
	int		 list_fd;	/* rtnetlink inside */
	uint64_t	 cookie;	/* the kernel's number for it; 0: not known */
	bool		 is_pid;
	struct stat	 file;		/* of a named one, when it was opened */
	char		 name[PRIV_NETNS_NAME_LEN + 8];	/* "netns:blue", "pid:77" */
};

struct priv_netns_set;

/*
 * list_fd (rtnetlink in the agent's own namespace) and policy are borrowed.
 * Needs files: before priv_netns_confine() and the sandbox.
 */
struct priv_netns_set *priv_netns_new(const struct policy *policy, int list_fd,
    struct err *err);

/* NULL is allowed. */
void priv_netns_free(struct priv_netns_set *set);

/*
 * Where named namespaces are permitted, opening files must stay possible:
 * make /run the root of all that can be opened.  Needs CAP_SYS_CHROOT.
 */
int priv_netns_confine(struct priv_netns_set *set, struct err *err) MUST_CHECK;

/*
 * Permitted names with numbers from start on, in order of number, at most
 * PRIV_LIST_COUNT; *ret_next is where to go on, 0 at the end.
 */
int priv_netns_names(struct priv_netns_set *set, uint32_t start,
    struct priv_netns_name ret_names[static PRIV_LIST_COUNT], uint32_t *ret_n,
    uint32_t *ret_next, struct err *err) MUST_CHECK;

/*
 * A handle for the namespace of a name's number, or of a process; 0 for the
 * agent's own.  E_DENIED, E_NOIFACE (no such), E_LIMIT, E_SYS.
 */
int priv_netns_enter(struct priv_netns_set *set, enum priv_netns_kind kind,
    uint32_t number, uint32_t *ret_handle, struct err *err) MUST_CHECK;

/* NULL when there is none. */
const struct priv_netns_place *priv_netns_find(const struct priv_netns_set *set,
    uint32_t handle);

/* Close a handle; false when there is none. */
bool priv_netns_leave(struct priv_netns_set *set, uint32_t handle);

/*
 * Is it still there for others than us: has its name not been removed or
 * given to another, does its process live?  Our own descriptors would keep
 * it alive for ever.  E_NOIFACE.
 */
int priv_netns_check(const struct priv_netns_set *set,
    const struct priv_netns_place *place, struct err *err) MUST_CHECK;

/*
 * Does the configuration permit it, which a reload may have changed since the
 * handle was given?  E_DENIED.
 */
int priv_netns_check_policy(const struct priv_netns_set *set,
    const struct priv_netns_place *place, struct err *err) MUST_CHECK;

/*
 * socket() inside place, or here when it is NULL; -1 with errno.  ESTALE: the
 * process is in another namespace now.
 */
int priv_netns_socket(const struct priv_netns_place *place, int family, int type,
    int protocol);

#endif /* SERVER_PRIV_NETNS_H */
