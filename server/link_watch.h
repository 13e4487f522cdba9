/*
 * link_watch - hear from the kernel what becomes of the network interfaces.
 *
 * rtnetlink of the agent's own network namespace.  Says what happened, one
 * interface at a time; what it means for captures is captures'.  Runs in
 * capagent-net's first thread.
 */
#ifndef SERVER_LINK_WATCH_H
#define SERVER_LINK_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/loop.h"

/* What an interface is now, or that there is none of this number any more. */
struct link_change {
	uint32_t	 ifindex;
	bool		 is_gone;
	bool		 is_moved;	/* gone: to another network namespace */
	bool		 is_up;		/* administratively */
	uint32_t	 mtu;
	char		 name[16];
};

/* change is NULL when messages were lost: anything may have happened. */
typedef void (*link_watch_fn)(const struct link_change *change, void *arg);

struct link_watch;

/* Before the sandbox, which allows no bind.  NULL: E_SYS, E_NOMEM. */
struct link_watch *link_watch_new(struct loop *loop, link_watch_fn fn, void *arg,
    struct err *err);
void link_watch_free(struct link_watch *watch);		/* NULL is allowed */

/*
 * Take a link message apart: its type (RTM_NEWLINK, RTM_DELLINK) and what
 * follows its header.  False for one that is of no interest: other types,
 * what bridges say of their ports, what is malformed.
 */
bool link_watch_parse(uint16_t type, const uint8_t *p, size_t len,
    struct link_change *ret_change);

#endif /* SERVER_LINK_WATCH_H */
