/*
 * resume_key - what a client must show to resume a capture.
 *
 * Pure but for the kernel's random numbers.  Runs in capagent-net.
 */
#ifndef SERVER_RESUME_KEY_H
#define SERVER_RESUME_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "proto/codec.h"

enum { RESUME_IDENTITY_MAX = 64 };

struct resume_key {
	uint64_t	 capture_id;	/* never 0 */
	struct capture_token token;
	bool		 has_token;	/* else nobody resumes it */
	char		 identity[RESUME_IDENTITY_MAX];	/* of the certificate */
};

/* A new one; with a token only when wanted.  E_SYS. */
int resume_key_make(struct resume_key *ret_key, bool wants_token,
    const char *identity, struct err *err) MUST_CHECK;

/*
 * Why may this identity not resume with this token?  NULL when it may.  How
 * much of the token is right does not show in the time it takes.
 */
const char *resume_key_refuse(const struct resume_key *key,
    const struct capture_token *token, const char *identity);

#endif /* SERVER_RESUME_KEY_H */
