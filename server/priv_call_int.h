/*
 * priv_call_int - what the files of the boundary's proxy share; see
 * priv_call.h.
 *
 * priv_call.c has the requests, their list and the end of the boundary,
 * priv_call_reply.c brings each answer to the one who asked,
 * priv_call_reload.c receives a new setup and answers it.
 */
#ifndef SERVER_PRIV_CALL_INT_H
#define SERVER_PRIV_CALL_INT_H

#include "server/priv_call.h"

union request_fn {
	priv_call_list_fn list;
	priv_call_open_fn open;
	priv_call_names_fn names;
	priv_call_netns_fn netns;
	priv_call_done_fn done;
};

struct priv_call_request {
	struct priv_call_request *next;
	uint32_t	 id;
	bool		 is_sent;
	bool		 is_cancelled;
	union request_fn fn;
	void		*arg;
	uint8_t		*items;		/* LIST, NETNS_LIST: pages so far */
	size_t		 n_items;
	union priv_msg	*msg;		/* only priv_msg_size() bytes of it exist */
};

struct priv_call {
	struct loop	*loop;
	int		 fd;
	struct loop_io	*io;
	struct loop_timer *kick;	/* reports what a request function found */
	struct priv_call_events events;
	void		*arg;
	uint32_t	 last_id;
	bool		 is_gone;
	bool		 was_told;	/* events.gone was called */
	struct err	 why;		/* of is_gone */
	struct priv_call_request *first;	/* in the order of asking */
	struct priv_setup *reload;	/* arriving; NULL: none */
	bool		 must_answer;	/* a reload, with answer */
	struct priv_result answer;	/* code E_OK: RELOADED */
	union priv_msg	 reply;
};

/* --- priv_call.c --- */

/* Take a request out of the list; then it is the caller's to drop. */
void priv_call_unlink(struct priv_call *call, struct priv_call_request *r);
void priv_call_drop(struct priv_call_request *r);

/* Tell the asker that nothing will come of it, and forget it. */
void priv_call_fail(struct priv_call *call, struct priv_call_request *r,
    const struct err *err);

/* Send what is not sent yet, as far as the boundary takes it. */
void priv_call_send(struct priv_call *call);

/* The boundary is lost: the loop tells everybody.  The first reason counts. */
void priv_call_set_gone(struct priv_call *call, const struct err *why);

/* Hand a request over to priv_call_send(), which it ends with. */
struct priv_call_request *priv_call_submit(struct priv_call *call,
    struct priv_call_request *r);

/* A request with its header filled; NULL when out of memory. */
struct priv_call_request *priv_call_request_new(struct priv_call *call,
    enum priv_msg_type type, union request_fn fn, void *arg);

/* --- priv_call_reload.c --- */

/*
 * Take RELOAD or a message of the setup behind it, and *fd by making it -1.
 * E_BADMSG when it is out of order.
 */
int priv_call_take_reload(struct priv_call *call, int *fd, struct err *err) MUST_CHECK;

/* Send an answer that is due.  E_AGAIN and the other codes of fdpass_send(). */
int priv_call_send_answer(struct priv_call *call, struct err *err) MUST_CHECK;

/* Forget a setup that is arriving. */
void priv_call_drop_reload(struct priv_call *call);

/* --- priv_call_reply.c --- */

/* One message; E_AGAIN when there is none.  Every other code is final. */
int priv_call_take_message(struct priv_call *call, struct err *err) MUST_CHECK;

#endif /* SERVER_PRIV_CALL_INT_H */
