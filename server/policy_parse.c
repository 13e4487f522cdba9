#include "server/policy_parse.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/priv_msg.h"

struct unit { const char *name; uint64_t factor; };

static const struct unit byte_units[] = {
	{ "", 1 }, { "KiB", 1 << 10 }, { "MiB", 1 << 20 }, { "GiB", 1 << 30 },
};
static const struct unit time_units[] = {
	{ "", 1 }, { "s", 1 }, { "m", 60 }, { "h", 3600 },
};

int
policy_parse_bool(const char *text, bool *ret_value, struct err *err)
{
	if (strcmp(text, "yes") == 0)
		*ret_value = true;
	else if (strcmp(text, "no") == 0)
		*ret_value = false;
	else
		return err_set(err, E_CONFIG, "'%s': neither yes nor no", text);
	return E_OK;
}

/* A number at the start of text; no sign, no leading space. */
static bool
parse_digits(const char *text, int base, uint64_t *ret_value, const char **ret_rest)
{
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	*ret_value = strtoull(text, &end, base);
	*ret_rest = end;
	return errno == 0;
}

int
policy_parse_number(const char *text, uint32_t min, uint32_t max,
    uint32_t *ret_value, struct err *err)
{
	int base = strncmp(text, "0x", 2) == 0 ? 16 : 10;
	const char *rest;
	uint64_t value;

	if (!parse_digits(text, base, &value, &rest) || rest[0] != '\0')
		return err_set(err, E_CONFIG, "'%s': not a number", text);
	if (value < min || value > max)
		return err_set(err, E_CONFIG, "'%s': must be from %u to %u", text, min, max);
	*ret_value = (uint32_t)value;
	return E_OK;
}

static bool
parse_with_unit(const char *text, const struct unit *units, size_t n,
    uint64_t *ret_value)
{
	const char *rest;
	uint64_t value;

	if (!parse_digits(text, 10, &value, &rest))
		return false;
	while (*rest == ' ')
		rest++;
	for (size_t i = 0; i < n; i++)
		if (strcmp(rest, units[i].name) == 0)
			return !__builtin_mul_overflow(value, units[i].factor, ret_value);
	return false;
}

int
policy_parse_bytes(const char *text, uint64_t min, uint64_t max,
    uint64_t *ret_value, struct err *err)
{
	uint64_t value;

	if (!parse_with_unit(text, byte_units, ARRAY_LEN(byte_units), &value))
		return err_set(err, E_CONFIG,
		    "'%s': not a size: write bytes, or a number with KiB, MiB or GiB", text);
	if (value < min || value > max)
		return err_set(err, E_CONFIG, "'%s': must be from %llu to %llu bytes", text,
		    (unsigned long long)min, (unsigned long long)max);
	*ret_value = value;
	return E_OK;
}

int
policy_parse_seconds(const char *text, uint32_t max, uint32_t *ret_value,
    struct err *err)
{
	uint64_t value;

	if (!parse_with_unit(text, time_units, ARRAY_LEN(time_units), &value))
		return err_set(err, E_CONFIG,
		    "'%s': not a time: write seconds, or a number with s, m or h", text);
	if (value > max)
		return err_set(err, E_CONFIG, "'%s': must be at most %u seconds", text, max);
	*ret_value = (uint32_t)value;
	return E_OK;
}

/* --- patterns --- */

static const char separators[] = ", \t";

/*
 * Names may hold more than this, which '?' stands for: what a slip of the pen
 * leaves in a value ('=', quotes, a backslash) must not become a pattern that
 * matches nothing or too much.
 */
static const char pattern_chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "0123456789._-+@*?[]!^" ", \t";

int
policy_parse_patterns(const char *text, struct err *err)
{
	size_t good = strspn(text, pattern_chars);

	if (text[good] != '\0')
		return err_set(err, E_CONFIG, "'%.40s': begins with a character that no pattern "
		    "has: letters, digits and ._-+@ with *?[]!^, separated by commas or blanks",
		    text + good);
	if (text[strspn(text, separators)] == '\0')
		return err_set(err, E_CONFIG, "no pattern: '*' permits all");
	return E_OK;
}

bool
policy_fits(const char *patterns, const char *name)
{
	char pattern[256];

	for (const char *at = patterns; *at != '\0';) {
		size_t len;

		at += strspn(at, separators);
		len = strcspn(at, separators);
		if (len > 0 && len < sizeof(pattern)) {
			memcpy(pattern, at, len);
			pattern[len] = '\0';
			if (fnmatch(pattern, name, 0) == 0)
				return true;
		}
		at += len;
	}
	return false;
}

static bool
is_word(const char *text, size_t len, const char *word)
{
	return strlen(word) == len && memcmp(text, word, len) == 0;
}

static void
append_word(char *dst, size_t size, const char *text, size_t len)
{
	size_t at = strlen(dst);

	snprintf(dst + at, size - at, "%s%.*s", at > 0 ? " " : "", (int)len, text);
}

int
policy_parse_namespaces(const char *text, uint32_t *ret_namespaces, char *names,
    size_t size, struct err *err)
{
	uint32_t namespaces = 0;
	unsigned n_words = 0;
	bool is_alone = false;	/* "none" or "all": nothing beside it */

	if (policy_parse_patterns(text, err) != E_OK)
		return E_CONFIG;
	if (strlen(text) >= size)
		return err_set(err, E_CONFIG, "longer than %zu characters", size - 1);
	names[0] = '\0';
	for (const char *at = text + strspn(text, separators); *at != '\0'; n_words++) {
		size_t len = strcspn(at, separators);

		if (is_word(at, len, "none")) {
			is_alone = true;
		} else if (is_word(at, len, "all")) {
			is_alone = true;
			namespaces = PRIV_NAMESPACES_NAMED | PRIV_NAMESPACES_PID;
			append_word(names, size, "*", 1);
		} else if (is_word(at, len, "pid")) {
			namespaces |= PRIV_NAMESPACES_PID;
		} else {
			namespaces |= PRIV_NAMESPACES_NAMED;
			append_word(names, size, at, len);
		}
		at += len;
		at += strspn(at, separators);
	}
	if (is_alone && n_words > 1)
		return err_set(err, E_CONFIG, "'%.60s': none and all stand alone", text);
	*ret_namespaces = namespaces;
	return E_OK;
}
