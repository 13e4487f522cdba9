/*
 * list - what a sensor's interfaces are and can do: -D, -L and -J.
 *
 * Text from the agent is escaped.  E_OUTPUT when out fails (flushed before
 * return).
 */
#ifndef CLIENT_LIST_H
#define CLIENT_LIST_H

#include <stdio.h>

#include "client/options.h"
#include "common/err.h"
#include "proto/codec.h"

/*
 * One line per interface: the kernel's number, name, state, link type,
 * addresses, description; then, as far as they are known, speed, driver, all
 * link types and time stamp types; and why it cannot be captured.  An
 * interface of another network namespace is named as -i takes it.  In the order
 * of namespaces, the agent's own first, and numbers.  E_NOMEM, too.
 */
int list_print(FILE *out, const struct msg_interface_list *list,
    struct err *err) MUST_CHECK;

/*
 * The link types, or the time stamp types, of each interface that an -i of the
 * options means, as tcpdump's -L and -J print them.  E_NOIFACE when an -i
 * means none.
 */
int list_print_link_types(FILE *out, const struct msg_interface_list *list,
    const struct options *options, struct err *err) MUST_CHECK;
int list_print_time_stamps(FILE *out, const struct msg_interface_list *list,
    const struct options *options, struct err *err) MUST_CHECK;

#endif /* CLIENT_LIST_H */
