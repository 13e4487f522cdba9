/*
 * plan - what a Start would do, told without capturing.
 *
 * Links every program as for a capture, and for a short time counts in the
 * kernel whether there is tagged traffic that a filter judges otherwise than
 * over a file: see plan_probe.h.  Runs in capagent-net's first thread.
 */
#ifndef SERVER_PLAN_H
#define SERVER_PLAN_H

#include <stdint.h>

#include "common/err.h"
#include "proto/codec.h"
#include "server/captures.h"
#include "server/net.h"

struct plan;

/* Borrowed until the callback or plan_free(). */
struct plan_config {
	const struct msg_start *start;
	struct captures_socket *sockets;	/* from wanted_socket() */
	uint32_t	 n_sockets;
	uint64_t	 ring_bytes;		/* of each */
	uint32_t	 capture_number;
};

/*
 * plan is NULL unless err->code is E_OK; it is plan's, valid during the call.
 * Its notes and log_bytes are left to the caller.
 */
typedef void (*plan_fn)(const struct err *err, const struct msg_plan *plan, void *arg);

/* NULL: err says why. */
struct plan *plan_start(struct net *net, const struct plan_config *cfg, plan_fn fn,
    void *arg, struct err *err);

/* At any time, from the callback too.  NULL is allowed. */
void plan_free(struct plan *plan);

#endif /* SERVER_PLAN_H */
