/*
 * captures - the captures that run, as the first thread sees them.
 *
 * Keeps the handles that capagent gave out and what each filter was linked
 * from, so that filters can be changed, interfaces that come can join, and
 * everything is closed in capagent too, however a capture ends.  Runs in
 * capagent-net's first thread.
 */
#ifndef SERVER_CAPTURES_H
#define SERVER_CAPTURES_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "proto/codec.h"
#include "server/capture.h"
#include "server/link_watch.h"
#include "server/net.h"
#include "server/prologue.h"
#include "server/resume_key.h"

enum {
	CAPTURES_LOG_DEFAULT = 64 << 20,	/* a second at 500 Mbit/s */
	CAPTURES_RING_DEFAULT = 64 << 20, /* of a capture, over all its interfaces */
};

struct captures;
struct survey;

/* One socket of a capture, as its filter is linked. */
struct captures_socket {
	struct capture_socket socket;	/* descriptor and ring */
	uint32_t	 handle;	/* capagent's */
	uint32_t	 max_packet, mtu; /* as in struct priv_interface */
	uint64_t	 rx_lost;	/* the same, when capagent last told */
	uint32_t	 open_snaplen;	/* with which it was opened: no filter keeps more */
	uint32_t	 own_generation; /* net's, when its filter was linked */
	uint32_t	 n_insns;	/* of the program that was sent to capagent */
	uint32_t	 request;	/* of the Start: which wants it */
	uint32_t	 netns;		/* capagent's handle of the namespace; 0: own */
	char		 network_namespace[PROTO_MAX_NAME + 1];	/* "netns:blue"; "" own */
	struct msg_capture_interface info;	/* its addresses are owned */
	struct prologue_config prologue;	/* with what it is linked */
	enum filter_place place;
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
 * The capture that this identity may resume with what resume shows.  NULL and
 * E_GONE: err says for the log why not.  Good until the loop's next turn.
 */
struct capture *captures_find(const struct captures *set,
    const struct msg_resume *resume, const char *identity, struct err *err);

/*
 * Start a capture that serves start and that key resumes.  Takes cfg's connection and reader,
 * start's contents and sockets[0..n) with their handles, on failure too (the
 * handles are then closed), and out of survey the handles of the namespaces
 * that start names.  cfg's owner, sockets and n_filters are filled in here.
 */
int captures_start(struct captures *set, struct capture_config *cfg,
    const struct resume_key *key, const struct msg_start *start,
    struct captures_socket *sockets, uint32_t n, struct survey *survey,
    struct err *err) MUST_CHECK;

/* Link anew every filter that was linked for an older net->own. */
void captures_relink(struct captures *set);

/* An interface of the agent's own namespace changed: a link_watch_fn. */
void captures_link_changed(const struct link_change *change, void *set);

/* End all of them; done(arg) is called when none is left, perhaps at once. */
void captures_end(struct captures *set, loop_fn done, void *arg);

#endif /* SERVER_CAPTURES_H */
