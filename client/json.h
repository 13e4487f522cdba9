/*
 * json - one JSON value as compact text, whatever its strings hold.
 *
 * Writes into memory that grows; running out of it is noticed once, at the
 * end.  Commas come by themselves.  Only JSON's own rules are kept here, not
 * who may stand where: the caller opens and closes in order.
 */
#ifndef CLIENT_JSON_H
#define CLIENT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"

struct json {
	char		*text;
	size_t		 len, cap;
	bool		 wants_comma;
	bool		 has_failed;
};

/* Release with json_fini(). */
void json_init(struct json *j);
void json_fini(struct json *j);

/*
 * A value; key is its name in an object, NULL in an array or at the top.
 * Strings end at their NUL.  Control characters are escaped; each byte that is
 * not of valid UTF-8 becomes U+FFFD.  The text holds no line break.
 */
void json_open_object(struct json *j, const char *key);
void json_close_object(struct json *j);
void json_open_array(struct json *j, const char *key);
void json_close_array(struct json *j);
void json_string(struct json *j, const char *key, const char *value);
void json_u64(struct json *j, const char *key, uint64_t value);
void json_bool(struct json *j, const char *key, bool value);
void json_null(struct json *j, const char *key);

/*
 * The text so far and a line break behind it; not terminated.  It belongs to j
 * until the next call.  NULL: out of memory.
 */
const char *json_line(struct json *j, size_t *ret_len) MUST_CHECK;

#endif /* CLIENT_JSON_H */
