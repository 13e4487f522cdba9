/*
 * prologue_own - the part that rejects the agent's own traffic.
 *
 * What carries the mark, and TCP to or from an own endpoint.  On link types
 * other than 1, 101 and 276 the mark only.  Pure.
 */
#ifndef SERVER_PROLOGUE_OWN_H
#define SERVER_PROLOGUE_OWN_H

#include <stdint.h>

#include "common/bpf.h"
#include "common/err.h"
#include "server/own_traffic.h"

/*
 * Append it to prog, which may be empty and stays so if there is nothing to
 * reject: mark 0 and no endpoint.  E_TOOBIG, prog then as it was.
 */
int prologue_own_append(struct bpf_prog *prog, uint32_t link_type, uint32_t mark,
    const struct own_traffic *own) MUST_CHECK;

#endif /* SERVER_PROLOGUE_OWN_H */
