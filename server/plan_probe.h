/*
 * plan_probe - is there traffic on an interface that a filter judges otherwise
 * than it would over a file?
 *
 * A filter that does not speak of VLAN tags ignores the tag of received
 * packets.  A packet socket whose program accepts just those packets for which
 * that makes a difference counts them; none leaves the kernel.  Runs in
 * capagent-net's first thread.
 */
#ifndef SERVER_PLAN_PROBE_H
#define SERVER_PLAN_PROBE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/bpf.h"
#include "common/err.h"
#include "proto/codec.h"
#include "server/captures.h"
#include "server/net.h"

struct plan_probe;

enum { PLAN_PROBE_MS = 500 };

/*
 * The program that accepts a packet with a stripped tag if the filter of n
 * instructions, compiled for Ethernet, judges it differently with the tag in
 * place.  E_TOOBIG, E_FILTER: it has no such form.
 */
int plan_probe_program(const struct bpf_insn_raw *filter, size_t n,
    struct bpf_prog *ret_prog) MUST_CHECK;

/* err->code says whether it could be opened. */
typedef void (*plan_probe_fn)(const struct err *err, bool is_tagged, void *arg);

/*
 * Look for up to PLAN_PROBE_MS at the interface of s, an Ethernet one, whose
 * filter is the n instructions.  NULL: err says why.
 */
struct plan_probe *plan_probe_start(struct net *net, const struct msg_start *start,
    const struct captures_socket *s, uint32_t capture_number,
    const struct bpf_insn_raw *filter, size_t n, plan_probe_fn fn, void *arg,
    struct err *err);

/* At any time, from the callback too.  NULL is allowed. */
void plan_probe_free(struct plan_probe *probe);

#endif /* SERVER_PLAN_PROBE_H */
