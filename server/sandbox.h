/*
 * sandbox - seccomp filters of the two processes: allow-lists with argument
 * checks.
 *
 * Applied once, to all threads of the process, when its start is over.  A
 * short list of an attacker's calls kills; whatever else is not allowed
 * answers an error, so that an update of libc does not end captures.
 */
#ifndef SERVER_SANDBOX_H
#define SERVER_SANDBOX_H

#include "common/err.h"

enum sandbox_mode {
	SANDBOX_ENFORCE = 0,
	SANDBOX_LOG = 1,	/* everything is allowed, what would not be is in the kernel's log */
	SANDBOX_OFF = 2,
};

/* "enforce", "log", "off". */
const char *sandbox_mode_name(enum sandbox_mode mode);

/* E_USAGE for another word; ret_mode is then untouched. */
int sandbox_mode_parse(const char *word, enum sandbox_mode *ret_mode,
    struct err *err) MUST_CHECK;

/* enforce, but off in builds with sanitizers, which need more calls. */
enum sandbox_mode sandbox_mode_default(void);

/*
 * Confine capagent-net for good.  Every thread that runs and every later one
 * is bound.  Libraries that open files on first use must have been used.
 */
int sandbox_net_apply(enum sandbox_mode mode, struct err *err) MUST_CHECK;

/*
 * Confine the compile role: no network, no other program.  A list of
 * refusals, because libpcap reads files that the system chooses.  Nothing is
 * done in builds with sanitizers, which need more calls.
 */
int sandbox_compile_apply(struct err *err) MUST_CHECK;

/*
 * Confine the process that reads capagent's files again, and the compile
 * roles it starts: a list of refusals, because both open files and start
 * programs.
 */
int sandbox_reread_apply(enum sandbox_mode mode, struct err *err) MUST_CHECK;

/* What capagent needs beyond capture sockets, where it is configured. */
enum sandbox_extra {
	SANDBOX_NETNS_NAMED = 1,	/* setns, rtnetlink, opening files to read */
	SANDBOX_NETNS_PID = 2,		/* setns, rtnetlink, pidfd_open */
	SANDBOX_TIME_STAMPS = 4,	/* SIOCSHWTSTAMP */
};

/*
 * Confine capagent after its start; extra is a set of enum sandbox_extra.  It
 * has one thread.
 */
int sandbox_priv_apply(enum sandbox_mode mode, unsigned extra, struct err *err)
    MUST_CHECK;

#endif /* SERVER_SANDBOX_H */
