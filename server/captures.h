/*
 * captures - the captures that run, as the first thread sees them.
 *
 * Keeps the handles that capagent gave out and the parts each filter was
 * linked from, so that filters can be changed and everything is closed in
 * capagent too, however a capture ends.  Runs in capagent-net's first thread.
 */
#ifndef SERVER_CAPTURES_H
#define SERVER_CAPTURES_H

#include <stddef.h>
#include <stdint.h>

#include "common/bpf.h"
#include "common/err.h"
#include "proto/codec.h"
#include "server/capture.h"
#include "server/net.h"
#include "server/prologue.h"

enum { CAPTURES_LOG_DEFAULT = 64 << 20 };	/* a second at 500 Mbit/s */

struct captures;

/*
 * One socket of a capture, as its filter is linked.  The client's program is
 * found in the Start, by request and link type.
 */
struct captures_socket {
	struct capture_socket socket;	/* descriptor and ring */
	uint32_t	 handle;	/* capagent's */
	uint32_t	 own_generation; /* net's, when its filter was linked */
	uint32_t	 request;	/* index in the Start's interfaces */
	uint32_t	 netns;		/* capagent's handle; 0: own */
	char		 network_namespace[PROTO_MAX_NAME + 1];	/* "netns:blue" */
	struct msg_capture_interface info;	/* as told; owns its addresses */
	struct prologue_config prologue;	/* with what it is linked */
	enum filter_place place;	/* where packets meet the client's filter */
};

/* NULL when out of memory. */
struct captures *captures_new(struct net *net, struct err *err);

/* All captures must have ended.  NULL is allowed. */
void captures_free(struct captures *set);

unsigned captures_count(const struct captures *set);

/*
 * Bytes for a new capture's log: as asked (0: the default) while log-memory
 * lasts, less then, down to a minimum; 0 when not even that is left.
 */
size_t captures_log_budget(const struct captures *set, uint64_t asked);

/*
 * Start a capture.  Takes cfg's connection and reader, what start holds, and
 * sockets[0..n) with their handles, those of network namespaces included, on
 * failure too (the handles are then closed).  cfg's owner and sockets are
 * filled in here.
 */
int captures_start(struct captures *set, struct capture_config *cfg,
    const struct msg_start *start, struct captures_socket *sockets, uint32_t n,
    struct err *err) MUST_CHECK;

/* Link anew every filter that was linked for an older net->own. */
void captures_relink(struct captures *set);

/* End all of them; done(arg) is called when none is left, perhaps at once. */
void captures_end(struct captures *set, loop_fn done, void *arg);

#endif /* SERVER_CAPTURES_H */
