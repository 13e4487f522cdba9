/*
 * session_resume - from a client's Resume to the capture that it means.
 *
 * Whatever is wrong, the client is told the same: who has no right to a
 * capture does not learn that there is one.  The log says which it was.
 */
#include <stdio.h>

#include "common/log.h"
#include "server/session_int.h"

/* The connection cannot change threads inside its own callback. */
static void
hand_over(void *arg)
{
	struct session *s = arg;
	struct capture *capture;
	struct err why, err;

	capture = s->net->is_ending ? NULL :
	    captures_find(s->net->captures, &s->resume, s->identity, &why);
	if (capture == NULL) {
		log_warn(LOG_SESSION, "%s: resume refused: %s", s->name,
		    s->net->is_ending ? "the agent is ending" : why.what);
		err_set(&err, E_GONE, CAPTURE_GONE_TEXT);
		session_refuse(s, &err);
		return;
	}
	conn_detach(s->conn);
	capture_resume(capture, s->conn, s->reader, &s->resume, s->name);
	s->conn = NULL;
	s->reader = NULL;
	session_free(s);
}

void
session_resume_capture(struct session *s, struct msg *msg)
{
	s->resume = msg->resume;
	session_set_state(s, SESSION_RESUMING);
	conn_pause(s->conn);
	if (s->hand_over == NULL)
		s->hand_over = loop_timer_new(s->net->loop, hand_over, s);
	if (s->hand_over == NULL) {
		struct err err;

		err_set(&err, E_NOMEM, "capture: resume: out of memory");
		session_refuse(s, &err);
		return;
	}
	loop_timer_set(s->hand_over, 0);
}
