/*
 * log - one line on stderr for every event that its owner must know.
 *
 * A line reads "PROGRAM[PID] LEVEL TOKEN: text".  Bytes that a terminal
 * could interpret are escaped here, so callers pass strings from outside as
 * they are.  A line that repeats is held back and counted ("... suppressed
 * N").  Thread-safe.  Only owners log: main, callbacks that end a session,
 * the privileged loop; everything below returns struct err.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "common/compiler.h"
#include "common/err.h"

enum log_level { LOG_LEVEL_ERR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

enum log_token {
	LOG_MAIN, LOG_PRIV, LOG_POLICY, LOG_LISTEN, LOG_SESSION, LOG_CAPTURE,
	LOG_RING, LOG_SANDBOX, LOG_SENSOR,
};
enum { LOG_N_TOKENS = LOG_SENSOR + 1 };

/* program is borrowed for the life of the process ("capagent"). */
void log_init(const char *program);

/*
 * Parse "LEVEL" or "LEVEL:token,token" (levels err, warn, info, debug; the
 * level then holds for the named tokens, info for the others) and apply it.
 * E_USAGE with the word that was not understood.
 */
int log_set(const char *spec, struct err *err) MUST_CHECK;

bool log_is_on(enum log_level level, enum log_token token);

/*
 * Text put in front of every line of this thread, for example
 * "session 7 alice@10.0.0.9:4711"; copied.  NULL or "" for none.
 */
void log_set_context(const char *text);

void log_line(enum log_level level, enum log_token token, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

#define log_err(token, ...)	log_line(LOG_LEVEL_ERR, token, __VA_ARGS__)
#define log_warn(token, ...)	log_line(LOG_LEVEL_WARN, token, __VA_ARGS__)
#define log_info(token, ...)	log_line(LOG_LEVEL_INFO, token, __VA_ARGS__)
#define log_debug(token, ...)	do {					\
	if (log_is_on(LOG_LEVEL_DEBUG, token))				\
		log_line(LOG_LEVEL_DEBUG, token, __VA_ARGS__);		\
} while (0)

/*
 * Copy src to dst (of size bytes, always terminated) with everything that is
 * not printable ASCII or valid UTF-8 text as \xHH.  For text from outside
 * that goes to a terminal by another way than log_line().
 */
void log_escape(char *dst, size_t size, const char *src);

#endif /* COMMON_LOG_H */
