#include "client/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JSON_FIRST_BYTES = 4096 };

void
json_init(struct json *j)
{
	*j = (struct json){ .text = NULL };
}

void
json_fini(struct json *j)
{
	free(j->text);
	json_init(j);
}

/* --- bytes --- */

static bool
make_room(struct json *j, size_t len)
{
	size_t cap = j->cap > 0 ? j->cap : JSON_FIRST_BYTES;
	char *more;

	if (j->has_failed)
		return false;
	if (j->cap - j->len >= len)
		return true;
	while (cap - j->len < len)
		cap *= 2;
	more = realloc(j->text, cap);
	if (more == NULL) {
		j->has_failed = true;
		return false;
	}
	j->text = more;
	j->cap = cap;
	return true;
}

static void
put(struct json *j, const char *bytes, size_t len)
{
	if (!make_room(j, len))
		return;
	memcpy(j->text + j->len, bytes, len);
	j->len += len;
}

static void
put_text(struct json *j, const char *text)
{
	put(j, text, strlen(text));
}

/* --- strings --- */

/*
 * Length of the valid UTF-8 sequence at s, or 0; NUL ends it.  Its number goes
 * to *ret_code.
 */
static size_t
decode(const unsigned char *s, uint32_t *ret_code)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t code = s[0];
	size_t len = 1;

	if (s[0] >= 0xf0 && s[0] <= 0xf4) {
		len = 4;
		code &= 0x07;
	} else if (s[0] >= 0xe0) {
		len = 3;
		code &= 0x0f;
	} else if (s[0] >= 0xc0) {
		len = 2;
		code &= 0x1f;
	}
	if (s[0] > 0xf4 || (s[0] >= 0x80 && s[0] < 0xc0))
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3f);
	}
	/* Overlong forms, surrogates, beyond Unicode. */
	if (code < least[len] || (code >= 0xd800 && code <= 0xdfff) || code > 0x10ffff)
		return 0;
	*ret_code = code;
	return len;
}

/* Controls, and what some readers take for the end of a line. */
static bool
must_escape(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 ||
	    code == 0x2029;
}

static void
put_string(struct json *j, const char *value)
{
	const unsigned char *s = (const unsigned char *)value;
	char escape[16];

	put(j, "\"", 1);
	while (*s != '\0') {
		uint32_t code = 0;
		size_t len = decode(s, &code);

		if (len == 0) {
			put_text(j, "\xef\xbf\xbd");
			len = 1;
		} else if (code == '"' || code == '\\') {
			snprintf(escape, sizeof(escape), "\\%c", (int)code);
			put_text(j, escape);
		} else if (must_escape(code)) {
			snprintf(escape, sizeof(escape), "\\u%04x", code);
			put_text(j, escape);
		} else {
			put(j, (const char *)s, len);
		}
		s += len;
	}
	put(j, "\"", 1);
}

/* --- values --- */

/* What stands before a value. */
static void
begin(struct json *j, const char *key)
{
	if (j->wants_comma)
		put(j, ",", 1);
	j->wants_comma = true;
	if (key == NULL)
		return;
	put_string(j, key);
	put(j, ":", 1);
}

static void
open_group(struct json *j, const char *key, const char *mark)
{
	begin(j, key);
	put(j, mark, 1);
	j->wants_comma = false;
}

static void
close_group(struct json *j, const char *mark)
{
	put(j, mark, 1);
	j->wants_comma = true;
}

void
json_open_object(struct json *j, const char *key)
{
	open_group(j, key, "{");
}

void
json_close_object(struct json *j)
{
	close_group(j, "}");
}

void
json_open_array(struct json *j, const char *key)
{
	open_group(j, key, "[");
}

void
json_close_array(struct json *j)
{
	close_group(j, "]");
}

void
json_string(struct json *j, const char *key, const char *value)
{
	begin(j, key);
	put_string(j, value);
}

void
json_u64(struct json *j, const char *key, uint64_t value)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%" PRIu64, value);
	begin(j, key);
	put_text(j, digits);
}

void
json_bool(struct json *j, const char *key, bool value)
{
	begin(j, key);
	put_text(j, value ? "true" : "false");
}

void
json_null(struct json *j, const char *key)
{
	begin(j, key);
	put_text(j, "null");
}

const char *
json_line(struct json *j, size_t *ret_len)
{
	put(j, "\n", 1);
	if (j->has_failed)
		return NULL;
	*ret_len = j->len;
	return j->text;
}
