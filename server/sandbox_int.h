/*
 * sandbox_int - how the two allow-lists are written and loaded.
 *
 * For sandbox*.c only; the one header of ours that shows libseccomp.
 */
#ifndef SERVER_SANDBOX_INT_H
#define SERVER_SANDBOX_INT_H

#include <stddef.h>

#include <seccomp.h>

#include "common/err.h"
#include "server/sandbox.h"

/* An allowed call; with n > 0 only if every comparison holds. */
struct sandbox_rule {
	int		 call;
	unsigned	 n;
	struct scmp_arg_cmp args[3];
};

#define SANDBOX_ARG_EQ(i, v)	{ (i), SCMP_CMP_EQ, (scmp_datum_t)(v), 0 }
#define SANDBOX_ARG_MASKED(i, mask, v)					\
	{ (i), SCMP_CMP_MASKED_EQ, (scmp_datum_t)(mask), (scmp_datum_t)(v) }

#define ALLOW(name)		{ SCMP_SYS(name), 0, { { 0, SCMP_CMP_EQ, 0, 0 } } }
#define ALLOW1(name, a)		{ SCMP_SYS(name), 1, { a } }
#define ALLOW2(name, a, b)	{ SCMP_SYS(name), 2, { a, b } }

/*
 * Make opening of files answer EACCES, kill for an attacker's calls, allow
 * what the tables say, and refuse the rest with ENOSYS, also where a table
 * allows such a call with certain arguments only.  For all threads.
 */
int sandbox_load(enum sandbox_mode mode, const struct sandbox_rule *rules, size_t n,
    const struct sandbox_rule *more, size_t n_more, struct err *err) MUST_CHECK;

/* What every process of ours needs: memory, time, signals, threads' locks. */
extern const struct sandbox_rule sandbox_basic[];
extern const size_t sandbox_basic_len;

#endif /* SERVER_SANDBOX_INT_H */
