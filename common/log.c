#include "common/log.h"

#include <ctype.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"

enum {
	LINE_MAX_LEN = 1024,		/* one write(): lines of processes do not mix */
	CONTEXT_LEN = 160,
	BURST_LINES = 20,		/* of equal lines, within ... */
	BURST_SECONDS = 5,
};

static const char *const level_names[] = { "error", "warning", "info", "debug" };
static const char *const level_words[] = { "err", "warn", "info", "debug" };

static const char *const token_names[] = {
	"main", "priv", "policy", "listen", "session", "capture", "ring",
	"sandbox", "sensor",
};

static const char *program = "capture";
static enum log_level levels[LOG_N_TOKENS] = {
	LOG_LEVEL_INFO, LOG_LEVEL_INFO, LOG_LEVEL_INFO, LOG_LEVEL_INFO,
	LOG_LEVEL_INFO, LOG_LEVEL_INFO, LOG_LEVEL_INFO, LOG_LEVEL_INFO,
	LOG_LEVEL_INFO,
};
static _Thread_local char context[CONTEXT_LEN];

/* The last kind of line seen, to hold back floods of one kind of line. */
static struct {
	pthread_mutex_t	 lock;
	const char	*fmt;
	enum log_level	 level;
	enum log_token	 token;
	int64_t		 since_ns;
	unsigned	 count, suppressed;
} flood = { .lock = PTHREAD_MUTEX_INITIALIZER };

void
log_init(const char *name)
{
	program = name;
}

static int
parse_level(const char *word, size_t len, enum log_level *ret_level)
{
	for (size_t i = 0; i < ARRAY_LEN(level_words); i++)
		if (strlen(level_words[i]) == len &&
		    strncmp(level_words[i], word, len) == 0) {
			*ret_level = (enum log_level)i;
			return E_OK;
		}
	return E_USAGE;
}

static int
parse_token(const char *word, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(token_names); i++)
		if (strlen(token_names[i]) == len &&
		    strncmp(token_names[i], word, len) == 0)
			return (int)i;
	return -1;
}

int
log_set(const char *spec, struct err *err)
{
	enum log_level chosen[LOG_N_TOKENS], level;
	const char *p = strchrnul(spec, ':');

	if (parse_level(spec, (size_t)(p - spec), &level) != E_OK)
		return err_set(err, E_USAGE, "log level '%s': not one of "
		    "err, warn, info, debug", spec);
	for (size_t i = 0; i < LOG_N_TOKENS; i++)
		chosen[i] = *p == '\0' ? level : LOG_LEVEL_INFO;
	while (*p != '\0') {
		const char *word = p + 1;
		int token;

		p = strchrnul(word, ',');
		token = parse_token(word, (size_t)(p - word));
		if (token < 0)
			return err_set(err, E_USAGE, "log token '%.*s': not known",
			    (int)(p - word), word);
		chosen[token] = level;
	}
	memcpy(levels, chosen, sizeof(levels));
	return E_OK;
}

bool
log_is_on(enum log_level level, enum log_token token)
{
	return level <= levels[token];
}

void
log_set_context(const char *text)
{
	log_escape(context, sizeof(context), text == NULL ? "" : text);
}

/* Length of the valid UTF-8 sequence of two or more bytes at s, or 0. */
static size_t
utf8_sequence_len(const unsigned char *s)
{
	size_t len;

	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		len = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		len = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		len = 4;
	else
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* C1 controls (0x80-0x9f), overlong forms and surrogates. */
	if ((s[0] == 0xc2 && s[1] < 0xa0) || (s[0] == 0xe0 && s[1] < 0xa0) ||
	    (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
	    (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	/* Marks that reorder or hide text: U+200B-200F, U+2028-202E, U+2060-206F. */
	if (s[0] == 0xe2 && ((s[1] == 0x80 && ((s[2] >= 0x8b && s[2] <= 0x8f) ||
	    (s[2] >= 0xa8 && s[2] <= 0xae))) ||
	    (s[1] == 0x81 && s[2] >= 0xa0 && s[2] <= 0xaf)))
		return 0;
	/* The same beyond that block: U+061C and U+FEFF. */
	if ((s[0] == 0xd8 && s[1] == 0x9c) ||
	    (s[0] == 0xef && s[1] == 0xbb && s[2] == 0xbf))
		return 0;
	return len;
}

void
log_escape(char *dst, size_t size, const char *src)
{
	const unsigned char *s = (const unsigned char *)src;
	size_t used = 0;

	if (size == 0)
		return;
	while (*s != '\0') {
		size_t len = *s < 0x80 && isprint(*s) ? 1 : utf8_sequence_len(s);

		if (len > 0) {
			if (used + len >= size)
				break;
			memcpy(dst + used, s, len);
			used += len;
			s += len;
		} else {
			if (used + 4 >= size)
				break;
			snprintf(dst + used, 5, "\\x%02x", *s);
			used += 4;
			s++;
		}
	}
	dst[used] = '\0';
}

/*
 * Is this line of a kind that came too often just now?  A format's address
 * tells the kind, with level and token because linkers join equal literals.
 * *ret_suppressed is how many were held back before a line that may pass.
 */
static bool
is_flood(enum log_level level, enum log_token token, const char *fmt,
    unsigned *ret_suppressed)
{
	int64_t now = clock_mono().ns;
	bool hold = false;

	*ret_suppressed = 0;
	pthread_mutex_lock(&flood.lock);
	if (flood.fmt != fmt || flood.level != level || flood.token != token ||
	    now - flood.since_ns > (int64_t)BURST_SECONDS * NS_PER_S) {
		*ret_suppressed = flood.suppressed;
		flood.fmt = fmt;
		flood.level = level;
		flood.token = token;
		flood.since_ns = now;
		flood.count = flood.suppressed = 0;
	}
	if (++flood.count > BURST_LINES) {
		flood.suppressed++;
		hold = true;
	}
	pthread_mutex_unlock(&flood.lock);
	return hold;
}

static void
write_line(enum log_level level, enum log_token token, const char *text)
{
	char line[LINE_MAX_LEN], escaped[LINE_MAX_LEN - 128];
	int len;

	log_escape(escaped, sizeof(escaped), text);
	len = snprintf(line, sizeof(line), "%s[%d] %s %s: %s%s%s\n", program,
	    (int)getpid(), level_names[level], token_names[token],
	    context, context[0] == '\0' ? "" : ": ", escaped);
	if (len >= (int)sizeof(line)) {
		len = (int)sizeof(line) - 1;
		line[len - 1] = '\n';
	}
	/* Nothing can be said about a log that cannot be written. */
	if (write(STDERR_FILENO, line, (size_t)len) < 0)
		return;
}

void
log_line(enum log_level level, enum log_token token, const char *fmt, ...)
{
	char text[LINE_MAX_LEN];
	unsigned suppressed;
	va_list ap;

	if (!log_is_on(level, token))
		return;
	if (level <= LOG_LEVEL_WARN) {
		if (is_flood(level, token, fmt, &suppressed))
			return;
		if (suppressed > 0) {
			snprintf(text, sizeof(text),
			    "suppressed %u more lines of the kind before", suppressed);
			write_line(LOG_LEVEL_INFO, token, text);
		}
	}
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	write_line(level, token, text);
}
