/*
 * err - the project's one set of error codes and its error object.
 *
 * Used by every process.  Codes cross the wire and the privilege boundary as
 * numbers, so a number is never reused; see docs/PROTOCOL.md.
 */
#ifndef COMMON_ERR_H
#define COMMON_ERR_H

#include <stdbool.h>

#include "common/compiler.h"

enum err_code {
	E_OK = 0,
	E_AGAIN = -1,		/* nothing now; not an error */
	E_EOF = -2,		/* the peer closed in order */
	E_NOMEM = -3,
	E_SYS = -4,		/* a system call failed: see sys */
	E_BADMSG = -5,		/* the peer broke the format */
	E_TOOBIG = -6,		/* more than a documented limit */
	E_STATE = -7,		/* not allowed now */
	E_VERSION = -8,		/* protocol versions have nothing in common */
	E_DENIED = -9,		/* policy refuses */
	E_NOIFACE = -10,	/* no such interface */
	E_FILTER = -11,		/* filter not accepted */
	E_LIMIT = -12,		/* a resource budget is used up */
	E_TLS = -13,
	E_PEERGONE = -14,	/* connection lost */
	E_TIMEOUT = -15,
	E_NOSPACE = -16,	/* output: no space left */
	E_CONFIG = -17,		/* configuration or certificate files */
	E_BUG = -18,
	E_IFDOWN = -19,		/* interface exists but is down */
	E_UNREACHABLE = -20,	/* sensor: no name, no route, port closed */
	E_OUTPUT = -21,		/* output file cannot be written */
	E_USAGE = -22,		/* command line */
	E_GONE = -23,		/* what was to be resumed is not there */
};

enum { ERR_WHAT_LEN = 256 };

struct err {
	int	 code;			/* enum err_code */
	int	 sys;			/* errno at the point of failure, or 0 */
	char	 what[ERR_WHAT_LEN];	/* "interface 'eth0': bind: ..." */
};

/*
 * Fill err (which may be NULL) and return code, so that failing is one line:
 * return err_set(err, E_LIMIT, "...").  The text reads object: action: cause.
 */
int err_set(struct err *err, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/*
 * The same for a failed system call: appends ": " and errno's text, keeps
 * errno in sys.  The code is E_SYS, but E_NOMEM for ENOMEM and E_NOSPACE for
 * ENOSPC and EDQUOT.
 */
int err_sys(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Put text and ": " in front of what err says; returns err's code. */
int err_wrap(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* "E_DENIED"; "E_UNKNOWN" for a number that is no code. */
const char *err_name(int code);

/* A short English cause for code, for errors that carry no text. */
const char *err_text(int code);

/* Is code one of enum err_code?  For numbers that came from outside. */
bool err_is_code(int code);

#endif /* COMMON_ERR_H */
