/*
 * reread_int - what capagent and its reading process say to each other; see
 * reread.h.
 */
#ifndef SERVER_REREAD_INT_H
#define SERVER_REREAD_INT_H

#include "server/reread.h"

enum { REREAD_FILES = 3 };	/* certificate, key, CA: in this order */

/*
 * One message: with a file, or alone and why not.  The first of all is alone
 * and says that the process is confined.
 */
struct reread_answer {
	int32_t		 code;
	int32_t		 sys;
	char		 text[PRIV_TEXT_LEN];
};

/* Memory of both.  The reading process only writes to it. */
struct reread_shared {
	struct policy	 policy;
	struct priv_mandatory mandatory;
};

/* Serve capagent at the other end of sock until it is gone; never returns. */
void reread_role(const struct reread_job *job, int sock, struct reread_shared *shared,
    pid_t parent) __attribute__((noreturn));

#endif /* SERVER_REREAD_INT_H */
