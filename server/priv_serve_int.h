/*
 * priv_serve_int - what the files of capagent's side of the boundary share;
 * see priv_serve.h.
 *
 * priv_serve.c receives, checks and dispatches, serve_open.c has the requests
 * about capture sockets, serve_netns.c those about interfaces and network
 * namespaces.
 */
#ifndef SERVER_PRIV_SERVE_INT_H
#define SERVER_PRIV_SERVE_INT_H

#include "common/clock.h"
#include "server/priv_netns.h"
#include "server/priv_serve.h"
#include "server/serve_sockets.h"

enum serve_state { SERVE_RUNNING = 1, SERVE_ENDING = 2 };

struct priv_serve {
	struct priv_serve_config cfg;
	enum serve_state state;
	struct serve_sockets sockets;
	double		 tokens;
	struct mono_ns	 refilled;
	bool		 waits_for_room;	/* the child does not take its replies */
	priv_serve_reloaded_fn reloaded;	/* NULL: no reload is under way */
	void		*reloaded_arg;
	union priv_msg	 request, reply;
	struct bpf_prog	 linked;
};

/* --- priv_serve.c --- */

/* A zeroed reply of this type to the request. */
void priv_serve_start_reply(struct priv_serve *serve, enum priv_msg_type type);

/* Send it; fd stays ours.  E_EOF when the child is gone, E_SYS. */
int priv_serve_send_reply(struct priv_serve *serve, int fd, struct err *err) MUST_CHECK;

/* A struct priv_result; why is NULL when it went well. */
int priv_serve_send_result(struct priv_serve *serve, enum priv_msg_type type,
    const struct err *why, struct err *err) MUST_CHECK;

/* E_BADMSG: a sound child knows its handles. */
int priv_serve_unknown(const struct priv_serve *serve, uint32_t handle, struct err *err);

/*
 * Serve the request that is in serve->request.  An error ends both processes;
 * refusals are replies.
 */

/* --- serve_open.c --- */

int priv_serve_open(struct priv_serve *serve, struct err *err) MUST_CHECK;
int priv_serve_filter(struct priv_serve *serve, struct err *err) MUST_CHECK;
int priv_serve_close(struct priv_serve *serve, struct err *err) MUST_CHECK;

/* --- serve_netns.c --- */

int priv_serve_list(struct priv_serve *serve, struct err *err) MUST_CHECK;
int priv_serve_netns_list(struct priv_serve *serve, struct err *err) MUST_CHECK;
int priv_serve_netns(struct priv_serve *serve, struct err *err) MUST_CHECK;
int priv_serve_netns_close(struct priv_serve *serve, struct err *err) MUST_CHECK;

#endif /* SERVER_PRIV_SERVE_INT_H */
