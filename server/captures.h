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
#include "server/capture.h"
#include "server/net.h"
#include "server/prologue.h"

enum { CAPTURES_LOG_DEFAULT = 64 << 20 };	/* a second at 500 Mbit/s */

struct captures;

/* One socket of a capture, as its filter is linked. */
struct captures_socket {
	struct capture_socket socket;	/* descriptor and ring */
	uint32_t	 handle;	/* capagent's */
	uint32_t	 own_generation; /* net's, when its filter was linked */
	struct bpf_prog	*program;	/* client's part, owned; NULL for none */
	struct prologue_config prologue;	/* with what it is linked */
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
 * Start a capture.  Takes cfg's connection and reader and sockets[0..n) with
 * their handles and programs, on failure too (the handles are then closed).
 * cfg's owner and sockets are filled in here.
 */
int captures_start(struct captures *set, struct capture_config *cfg,
    struct captures_socket *sockets, uint32_t n, struct err *err) MUST_CHECK;

/* Link anew every filter that was linked for an older net->own. */
void captures_relink(struct captures *set);

/* End all of them; done(arg) is called when none is left, perhaps at once. */
void captures_end(struct captures *set, loop_fn done, void *arg);

/* The program for one socket: own traffic, the client's part, snaplen. */
int captures_link(const struct net *net, struct captures_socket *s,
    struct bpf_prog *ret_prog, struct err *err) MUST_CHECK;

#endif /* SERVER_CAPTURES_H */
