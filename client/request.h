/*
 * request - what the user asked for, as the Start that asks the agent.
 */
#ifndef CLIENT_REQUEST_H
#define CLIENT_REQUEST_H

#include "client/options.h"
#include "client/programs.h"
#include "common/err.h"
#include "proto/codec.h"

/*
 * Fill *ret_start; its filters are the programs' own.  Release with
 * request_free(), before programs change.
 *
 * E_FILTER  the programs are longer than a message can be
 * E_NOMEM
 */
int request_make(const struct options *options, const struct programs *programs,
    struct msg_start *ret_start, struct err *err) MUST_CHECK;
void request_free(struct msg_start *start);

/* Does the update fit into a message?  E_FILTER, E_NOMEM. */
int request_check_update(const struct msg_update_filter *update,
    struct err *err) MUST_CHECK;

#endif /* CLIENT_REQUEST_H */
