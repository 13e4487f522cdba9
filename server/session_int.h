/*
 * session_int - what the files of session share.
 */
#ifndef SERVER_SESSION_INT_H
#define SERVER_SESSION_INT_H

#include "common/conn.h"
#include "proto/codec.h"
#include "proto/frame.h"
#include "server/captures.h"
#include "server/interfaces.h"
#include "server/net.h"
#include "server/open_one.h"
#include "server/plan.h"
#include "server/session.h"
#include "server/survey.h"

enum session_state {
	SESSION_HANDSHAKE,	/* TLS */
	SESSION_GREETING,	/* the client's Hello is due */
	SESSION_READY,		/* hellos exchanged: what does it want? */
	SESSION_LISTING,	/* ListRequest: capagent is asked */
	SESSION_STARTING,	/* Start: interfaces are looked up and opened */
	SESSION_RESUMING,	/* Resume: its capture is looked up */
	SESSION_CLOSING,	/* the last message goes out */
};

struct session {
	struct session	*next, **prev;
	struct net	*net;
	struct conn	*conn;
	struct frame_reader *reader;	/* from the end of the handshake on */
	enum session_state state;
	struct loop_timer *timer;	/* for the client's next step */
	struct survey	*survey;	/* of a list or a Start under way */
	unsigned	 number;
	unsigned	 n_rounds;	/* Starts answered with NeedPrograms */
	struct sockaddr_storage peer;
	char		 peer_text[64];	/* "10.0.0.9:4711" */
	char		 identity[RESUME_IDENTITY_MAX];	/* certificate's common name; "": none */
	char		 name[160];	/* "session 7 alice@10.0.0.9:4711" */

	/* Resume */
	struct msg_resume resume;
	struct loop_timer *hand_over;

	/* Start */
	struct msg	 start;		/* valid while has_start */
	bool		 has_start;
	struct captures_socket *sockets;	/* those before n_opened are open */
	uint32_t	 n_sockets, n_opened;
	struct open_one	*opening;
	struct plan	*plan;
	struct msg_need_programs need;	/* link types that programs are missing for */
	uint64_t	 ring_bytes;	/* of each interface */
	size_t		 log_bytes;
	char		 notes[PROTO_MAX_TEXT + 1];
	unsigned	 n_notes;	/* of single interfaces */
};

void session_set_state(struct session *s, enum session_state state);

/* Send the reason, log it, and close once it is sent.  s stays until then. */
void session_refuse(struct session *s, const struct err *err);

/* Send it; s is refused when that fails. */
void session_send(struct session *s, const struct msg *msg);

/* An answer is sent: go on with what the client said meanwhile. */
void session_resume(struct session *s);

/* Close at once and free s. */
void session_free(struct session *s);

/* Handle a ListRequest: see session_list.c. */
void session_list(struct session *s, struct msg *msg);

/* Handle a Start (taken out of msg): see session_start.c. */
void session_start(struct session *s, struct msg *msg);

/* Handle a Resume: see session_resume.c. */
void session_resume_capture(struct session *s, struct msg *msg);

/* Release what session_start() built; handles are closed in capagent. */
void session_start_abandon(struct session *s);

/* --- session_check.c --- */

/* Put a sentence into Started: something is less than was asked for. */
void session_note(struct session *s, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The same of one interface of many: only the first few are told. */
void session_note_interface(struct session *s, const char *text);

/* Bytes of log-memory for this capture into s->log_bytes.  E_LIMIT. */
int session_check_budget(struct session *s, struct err *err);

/* Is the Start one that can be served at all?  Applies policy to it. */
int session_check(struct session *s, struct err *err);

/* --- session_plan.c --- */

/*
 * Fill s->sockets for the interfaces asked for, out of the survey; or s->need,
 * and then there are no sockets.
 */
int session_plan(struct session *s, struct err *err);

#endif /* SERVER_SESSION_INT_H */
