/*
 * options_int - single options: their values, and those that are not ours.
 *
 * For the options_* files only.  Each fails with E_USAGE and a text that
 * begins with the option's name.
 */
#ifndef CLIENT_OPTIONS_INT_H
#define CLIENT_OPTIONS_INT_H

#include <stddef.h>
#include <stdint.h>

#include "client/options.h"

/* -i: a name or the kernel's number, one interface. */
int options_value_interface(const char *text, struct err *err) MUST_CHECK;

/* -c: 1 or more. */
int options_value_count(const char *text, uint64_t *ret_count, struct err *err)
    MUST_CHECK;

/* -s: 1..PROTO_MAX_SNAPLEN; 0 is the largest. */
int options_value_snaplen(const char *text, uint32_t *ret_snaplen,
    struct err *err) MUST_CHECK;

/* -B: KiB, or with a suffix K, M, G, KiB, MiB, GiB; to bytes. */
int options_value_size(const char *text, uint64_t *ret_bytes, struct err *err)
    MUST_CHECK;

/* -Q: in, out or inout. */
int options_value_direction(const char *text,
    enum options_direction *ret_direction, struct err *err) MUST_CHECK;

/* --sample and --sample-flows (name): "1/N", N 1 or more. */
int options_value_sample(const char *name, const char *text, uint32_t *ret_n,
    struct err *err) MUST_CHECK;

/* -F. */
int options_value_format(const char *text, enum options_format *ret_format,
    struct err *err) MUST_CHECK;

/* --time-stamp-precision: ours. */
int options_value_precision(const char *text, struct err *err) MUST_CHECK;

/*
 * Say why getopt_long() answered '?' or ':', and for tcpdump's options what
 * to do instead.  word is the argument before optind, letters what getopt
 * was given.  Reads optopt.  Always E_USAGE.
 */
int options_refuse(int result, const char *word, const char *letters,
    struct err *err) MUST_CHECK;

/* The format that the end of a file's name asks for. */
enum options_format options_format_of(const char *path);

/* n words joined by blanks; the caller frees the result. */
int options_filter_join(const char *const words[], size_t n, char **ret_text,
    struct err *err) MUST_CHECK;

#endif /* CLIENT_OPTIONS_INT_H */
