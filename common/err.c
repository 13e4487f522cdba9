#include "common/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
	int		 code;
	const char	*name;
	const char	*text;
} table[] = {
	{ E_OK, "E_OK", "no error" },
	{ E_AGAIN, "E_AGAIN", "try again" },
	{ E_EOF, "E_EOF", "end of stream" },
	{ E_NOMEM, "E_NOMEM", "out of memory" },
	{ E_SYS, "E_SYS", "system call failed" },
	{ E_BADMSG, "E_BADMSG", "malformed message" },
	{ E_TOOBIG, "E_TOOBIG", "larger than the limit" },
	{ E_STATE, "E_STATE", "not allowed now" },
	{ E_VERSION, "E_VERSION", "no common protocol version" },
	{ E_DENIED, "E_DENIED", "not permitted" },
	{ E_NOIFACE, "E_NOIFACE", "no such interface" },
	{ E_FILTER, "E_FILTER", "filter not accepted" },
	{ E_LIMIT, "E_LIMIT", "limit reached" },
	{ E_TLS, "E_TLS", "TLS failed" },
	{ E_PEERGONE, "E_PEERGONE", "connection lost" },
	{ E_TIMEOUT, "E_TIMEOUT", "timed out" },
	{ E_NOSPACE, "E_NOSPACE", "no space left" },
	{ E_CONFIG, "E_CONFIG", "configuration error" },
	{ E_BUG, "E_BUG", "internal error" },
	{ E_IFDOWN, "E_IFDOWN", "interface is down" },
	{ E_UNREACHABLE, "E_UNREACHABLE", "unreachable" },
	{ E_OUTPUT, "E_OUTPUT", "output failed" },
	{ E_USAGE, "E_USAGE", "usage error" },
	{ E_GONE, "E_GONE", "no such capture" },
};

int
err_set(struct err *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (err == NULL)
		return code;
	err->code = code;
	err->sys = 0;
	va_start(ap, fmt);
	vsnprintf(err->what, sizeof(err->what), fmt, ap);
	va_end(ap);
	return code;
}

static int
code_of_errno(int sys)
{
	switch (sys) {
	case ENOMEM:
		return E_NOMEM;
	case ENOSPC:
	case EDQUOT:
		return E_NOSPACE;
	default:
		return E_SYS;
	}
}

int
err_sys(struct err *err, const char *fmt, ...)
{
	int sys = errno, code = code_of_errno(sys);
	size_t len;
	va_list ap;

	if (err == NULL)
		return code;
	err->code = code;
	err->sys = sys;
	va_start(ap, fmt);
	vsnprintf(err->what, sizeof(err->what), fmt, ap);
	va_end(ap);
	len = strlen(err->what);
	snprintf(err->what + len, sizeof(err->what) - len, ": %s",
	    strerror(sys));
	return code;
}

int
err_wrap(struct err *err, const char *fmt, ...)
{
	char old[ERR_WHAT_LEN];
	size_t len;
	va_list ap;

	if (err == NULL)
		return E_BUG;
	memcpy(old, err->what, sizeof(old));
	va_start(ap, fmt);
	vsnprintf(err->what, sizeof(err->what), fmt, ap);
	va_end(ap);
	len = strlen(err->what);
	snprintf(err->what + len, sizeof(err->what) - len, ": %s", old);
	return err->code;
}

const char *
err_name(int code)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (table[i].code == code)
			return table[i].name;
	return "E_UNKNOWN";
}

const char *
err_text(int code)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (table[i].code == code)
			return table[i].text;
	return "unknown error";
}

bool
err_is_code(int code)
{
	return code <= E_OK && code >= E_GONE;
}
