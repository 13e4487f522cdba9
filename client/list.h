/*
 * list - the table of a sensor's interfaces that -D prints.
 *
 * Text from the agent is escaped.
 */
#ifndef CLIENT_LIST_H
#define CLIENT_LIST_H

#include <stdio.h>

#include "common/err.h"
#include "proto/codec.h"

/*
 * One line per interface: the kernel's number, name, state, link type, addresses,
 * description, and why it cannot be captured.  E_OUTPUT when out fails
 * (flushed before return).
 */
int list_print(FILE *out, const struct msg_interface_list *list,
    struct err *err) MUST_CHECK;

#endif /* CLIENT_LIST_H */
