#include "server/policy_parse.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

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
