/*
 * priv_serve - capagent's side of the boundary: receive, check, permit, do,
 * reply.
 *
 * Failure policy: a request that a sound child cannot have made (size,
 * build, type, range, handle, number of descriptors) ends both processes.
 * What policy, the filter checker or the kernel refuses is an ordinary
 * reply.  States only move forward.
 */
#ifndef SERVER_PRIV_SERVE_H
#define SERVER_PRIV_SERVE_H

#include <stdbool.h>

#include "common/err.h"
#include "server/policy.h"
#include "server/priv_list.h"
#include "server/priv_mandatory.h"
#include "server/priv_open.h"

/* How the child answered a reload: NULL when the new setup is in force there. */
typedef void (*priv_serve_reloaded_fn)(const struct err *why_not, void *arg);

/* What touches the kernel, so that everything else can be tested without. */
struct priv_serve_ops {
	int (*page)(int fd, uint32_t start_index,
	    bool (*permits)(const char *name, void *arg), void *arg,
	    struct priv_interface ret_interfaces[static PRIV_LIST_COUNT],
	    uint32_t *ret_n, uint32_t *ret_next, struct err *err);
	int (*get)(int fd, uint32_t ifindex, struct priv_interface *ret_interface,
	    struct err *err);
	int (*open)(const struct priv_open_wish *wish, struct priv_open_done *ret_done,
	    struct err *err);
	int (*filter)(int fd, const struct bpf_prog *filter, struct err *err);
};

extern const struct priv_serve_ops priv_serve_kernel;

struct priv_netns_set;

struct priv_serve_config {
	int		 boundary_fd;		/* borrowed, non-blocking */
	int		 list_fd;		/* borrowed, from priv_list_open() */
	struct priv_netns_set *netns;		/* borrowed */
	const struct policy *policy;		/* borrowed; a reload may change it */
	struct priv_mandatory *mandatory;	/* borrowed; sockets take references */
	const struct priv_serve_ops *ops;
};

struct priv_serve;

/* NULL when out of memory. */
struct priv_serve *priv_serve_new(const struct priv_serve_config *config);

/* Closes every capture socket.  NULL is allowed. */
void priv_serve_free(struct priv_serve *serve);

/*
 * What to poll the boundary for.  *ret_wait_ms is -1, or how long to leave
 * it alone first, because requests come faster than is permitted.
 */
short priv_serve_events(struct priv_serve *serve, int *ret_wait_ms);

/*
 * Serve at most one request.
 *
 * E_OK      served, or nothing there
 * E_EOF     the child has closed the boundary
 * E_BADMSG  a malformed request: stop both processes
 * E_SYS
 */
int priv_serve_turn(struct priv_serve *serve, struct err *err) MUST_CHECK;

/* Can something be sent without waiting?  If not, priv_serve_events() says POLLOUT. */
bool priv_serve_has_room(struct priv_serve *serve);

/*
 * A reload was sent: permit the child one answer to it, which calls fn from
 * priv_serve_turn().  At any other time such an answer is malformed.
 */
void priv_serve_await_reload(struct priv_serve *serve, priv_serve_reloaded_fn fn, void *arg);

/* For captures that are opened from now on; borrowed. */
void priv_serve_set_mandatory(struct priv_serve *serve, struct priv_mandatory *mandatory);

/* Ask the child to finish; from now on nothing is opened. */
int priv_serve_send_end(struct priv_serve *serve, struct err *err) MUST_CHECK;

#endif /* SERVER_PRIV_SERVE_H */
