/*
 * interfaces_int - the parts of interfaces: the exchange with the kernel, and
 * what its messages mean.
 */
#ifndef SERVER_INTERFACES_INT_H
#define SERVER_INTERFACES_INT_H

#include <stddef.h>
#include <stdint.h>

#include "server/interfaces.h"

struct interfaces {
	size_t		 n, room;
	struct interface_info *items;
};

/*
 * Called for each message of a dump, with what follows its netlink header.
 * A result other than E_OK ends the dump.
 */
typedef int (*interfaces_dump_fn)(void *arg, const uint8_t *p, size_t len);

/*
 * Have all objects of one kind told to fn: request is RTM_GETLINK or
 * RTM_GETADDR.  Codes of interfaces_read(), or fn's.
 */
int interfaces_dump(uint16_t request, interfaces_dump_fn fn, void *arg,
    struct err *err) MUST_CHECK;

/* interfaces_dump_fn for links and addresses; arg is struct interfaces. */
int interfaces_take_link(void *arg, const uint8_t *p, size_t len);
int interfaces_take_address(void *arg, const uint8_t *p, size_t len);

#endif /* SERVER_INTERFACES_INT_H */
