/*
 * policy_parse - the values of configuration keys: numbers with units, and
 * patterns of names.
 *
 * Pure functions on text.  Runs in capagent.
 */
#ifndef SERVER_POLICY_PARSE_H
#define SERVER_POLICY_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

/*
 * Each returns E_OK or E_CONFIG with the cause ("'12x': not a number"), and
 * leaves its output untouched then.
 */

/* "yes" or "no". */
int policy_parse_bool(const char *text, bool *ret_value, struct err *err) MUST_CHECK;

/* Decimal, or hexadecimal after 0x; min and max included. */
int policy_parse_number(const char *text, uint32_t min, uint32_t max,
    uint32_t *ret_value, struct err *err) MUST_CHECK;

/* Bytes, or a number with KiB, MiB or GiB. */
int policy_parse_bytes(const char *text, uint64_t min, uint64_t max,
    uint64_t *ret_value, struct err *err) MUST_CHECK;

/* Seconds, or a number with s, m or h; at most max seconds. */
int policy_parse_seconds(const char *text, uint32_t max, uint32_t *ret_value,
    struct err *err) MUST_CHECK;

/*
 * Patterns of names, at least one, separated by commas or blanks.
 */
int policy_parse_patterns(const char *text, struct err *err) MUST_CHECK;

/* Does one of patterns, as policy_parse_patterns() accepts them, fit name? */
bool policy_fits(const char *patterns, const char *name);

/*
 * "none", "all", or names, patterns of names and "pid" in any order.  The
 * patterns go to names (of size bytes), what is permitted to *ret_namespaces
 * (enum priv_namespaces).
 */
int policy_parse_namespaces(const char *text, uint32_t *ret_namespaces, char *names,
    size_t size, struct err *err) MUST_CHECK;

#endif /* SERVER_POLICY_PARSE_H */
