/*
 * session_int - what session.c and session_start.c share.
 */
#ifndef SERVER_SESSION_INT_H
#define SERVER_SESSION_INT_H

#include "common/conn.h"
#include "proto/codec.h"
#include "proto/frame.h"
#include "server/captures.h"
#include "server/interfaces.h"
#include "server/net.h"
#include "server/priv_call.h"
#include "server/session.h"

enum session_state {
	SESSION_HANDSHAKE,	/* TLS */
	SESSION_GREETING,	/* the client's Hello is due */
	SESSION_READY,		/* hellos exchanged: what does it want? */
	SESSION_LISTING,	/* ListRequest: capagent is asked */
	SESSION_STARTING,	/* Start: interfaces are looked up and opened */
	SESSION_CLOSING,	/* the last message goes out */
};

struct session {
	struct session	*next, **prev;
	struct net	*net;
	struct conn	*conn;
	struct frame_reader *reader;	/* from the end of the handshake on */
	enum session_state state;
	struct loop_timer *timer;	/* for the client's next step */
	struct priv_call_request *request;	/* to capagent, one at a time */
	unsigned	 number;
	struct sockaddr_storage peer;
	char		 peer_text[64];	/* "10.0.0.9:4711" */
	char		 identity[64];	/* certificate's common name */
	char		 name[160];	/* "session 7 alice@10.0.0.9:4711" */

	/* Start */
	struct msg	 start;		/* valid while has_start */
	bool		 has_start;
	struct interfaces *interfaces;
	struct captures_socket *sockets;
	struct msg_capture_interface *opened;	/* Started's list */
	uint32_t	 n_opened;
	uint32_t	 capture_number;
	size_t		 log_bytes;
	char		 notes[PROTO_MAX_TEXT + 1];
};

void session_set_state(struct session *s, enum session_state state);

/* Send the reason, log it, and close once it is sent.  s stays until then. */
void session_refuse(struct session *s, const struct err *err);

/* Close at once and free s. */
void session_free(struct session *s);

/* Handle a Start (taken out of msg): see session_start.c. */
void session_start(struct session *s, struct msg *msg);

/* Release what session_start() built; handles are closed in capagent. */
void session_start_abandon(struct session *s);

/* --- session_plan.c --- */

/* Put a sentence into Started: something is less than was asked for. */
void session_plan_note(struct session *s, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Bytes of log-memory for this capture into s->log_bytes.  E_LIMIT. */
int session_plan_budget(struct session *s, struct err *err);

/* Is the Start one that can be served at all?  Applies policy to it. */
int session_plan_check(struct session *s, struct err *err);

/* Fill s->sockets and s->opened for the interfaces asked for. */
int session_plan(struct session *s, const struct priv_interface *permitted,
    size_t n, struct err *err);

#endif /* SERVER_SESSION_INT_H */
