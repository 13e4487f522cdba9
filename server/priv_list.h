/*
 * priv_list - which interfaces this machine has, asked from the kernel.
 *
 * Runs in capagent.  One rtnetlink socket, opened before the sandbox, one
 * question at a time; the kernel answers at once.
 */
#ifndef SERVER_PRIV_LIST_H
#define SERVER_PRIV_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "server/priv_msg.h"

int priv_list_open(int *ret_fd, struct err *err) MUST_CHECK;

/* The same for a NETLINK_ROUTE socket of another namespace. */
int priv_list_prepare(int fd, struct err *err) MUST_CHECK;

/*
 * The interfaces with the smallest indexes from start_index on that permits
 * says yes to, in order, at most PRIV_LIST_COUNT, with what their drivers
 * say.  *ret_next is where to go on, 0 at the end.
 */
int priv_list_page(int fd, uint32_t start_index,
    bool (*permits)(const char *name, void *arg), void *arg,
    struct priv_interface ret_interfaces[static PRIV_LIST_COUNT], uint32_t *ret_n,
    uint32_t *ret_next, struct err *err) MUST_CHECK;

/* One interface, its driver not asked.  E_NOIFACE. */
int priv_list_get(int fd, uint32_t ifindex, struct priv_interface *ret_interface,
    struct err *err) MUST_CHECK;

#endif /* SERVER_PRIV_LIST_H */
