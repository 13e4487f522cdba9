/*
 * options_int - what the options_* files share.
 *
 * options.c takes the command line apart, options_judge.c and
 * options_interface.c judge it as a whole, options_value.c reads the values of
 * single options and options_foreign.c says what to do instead of those that
 * are not ours.  Each fails with E_USAGE and a text that begins with the
 * option's name.
 */
#ifndef CLIENT_OPTIONS_INT_H
#define CLIENT_OPTIONS_INT_H

#include <stddef.h>
#include <stdint.h>

#include "client/options.h"

enum {				/* options without a letter */
	OPT_FILTER_FILE = 256, OPT_SERVER_NAME, OPT_CERT, OPT_KEY, OPT_CA,
	OPT_LOG, OPT_VERSION, OPT_PRECISION, OPT_HABIT,
	OPT_EXACT_FILTER, OPT_HEADERS_ONLY, OPT_SAMPLE, OPT_SAMPLE_FLOWS,
	OPT_KERNEL_ONLY, OPT_COOKED, OPT_PLAN, OPT_SPLIT,
	OPT_LOG_SIZE, OPT_OVERFLOW, OPT_LINGER, OPT_HEARTBEAT, OPT_RECONNECT,
	OPT_RESUME, OPT_FSYNC, OPT_ON_FULL, OPT_JSON, OPT_STATS_INTERVAL,
};

/* What was said for one interface; 0, false or NULL: nothing. */
struct options_own {
	const char	*filter;
	uint32_t	 snaplen;
	bool		 no_promiscuous;
	uint32_t	 link_type;
};

enum { OPTIONS_RULES_MAX = 48 };

/* The command line taken apart, before it is judged as a whole. */
struct options_parse {
	struct options	 options;
	bool		 seen[OPTIONS_RULES_MAX];	/* by number of the rule */
	bool		 seen_here[OPTIONS_RULES_MAX];	/* since the last -i */
	const char	*action;	/* the option that asked for options.action */
	bool		 has_option;
	bool		 has_format;
	const char	**before;	/* words before the first option */
	size_t		 n_before;
	const char	**later;
	size_t		 n_later;
	bool		 is_behind_filter;	/* the argument before was -f's value */
	const char	*unquoted;	/* a word that stood there */
	struct options_own *own;	/* [0]: defaults, [i + 1]: of interface i */
};

/* --- options_judge.c --- */

/* Check and complete everything; options.c has filled p. */
int options_judge(struct options_parse *p, bool stdout_is_terminal,
    struct err *err) MUST_CHECK;

/* --- options_interface.c --- */

/* One more -i; the options of one interface that follow are its own. */
int options_add_interface(struct options_parse *p, const char *name,
    struct err *err) MUST_CHECK;

/* -f, -s, -p and -y go to the last interface, or to the defaults. */
struct options_own *options_current(struct options_parse *p);

/* Is there an -i that has no -f of its own, nor a default one? */
bool options_uses_default_filter(const struct options_parse *p);

/* Check the names together, and give each interface what holds for it. */
int options_judge_interfaces(struct options_parse *p, struct err *err) MUST_CHECK;

/* --- options.c --- */

/*
 * The first option that was given and means nothing when no capture runs, or
 * NULL.  except is the text of one that does.
 */
const char *options_seen_of_capture(const struct options_parse *p,
    const char *except);

/* --- options_value.c --- */

/* -i: a name, the kernel's number, a pattern or any, in a namespace perhaps. */
int options_value_interface(const char *text, struct err *err) MUST_CHECK;

/* -c: 1 or more. */
int options_value_count(const char *text, uint64_t *ret_count, struct err *err)
    MUST_CHECK;

/* -s: 1..PROTO_MAX_SNAPLEN; 0 is the largest. */
int options_value_snaplen(const char *text, uint32_t *ret_snaplen,
    struct err *err) MUST_CHECK;

/*
 * A size in bytes, in units of 2^shift without a suffix K, M, G, KiB, MiB or
 * GiB.  False when it is none, 0, or over 1024 GiB.
 */
bool options_value_bytes(const char *text, unsigned shift, uint64_t *ret_bytes);

/* Digits only, from the start of text; *ret_rest is what follows them. */
bool options_value_u64(const char *text, const char **ret_rest, uint64_t *ret_value);

/* -B: KiB without a suffix, as in tcpdump. */
int options_value_size(const char *text, uint64_t *ret_bytes, struct err *err)
    MUST_CHECK;

/* -Q: in, out or inout. */
int options_value_direction(const char *text,
    enum options_direction *ret_direction, struct err *err) MUST_CHECK;

/* -y: "EN10MB", or a number. */
int options_value_link_type(const char *text, uint32_t *ret_link_type,
    struct err *err) MUST_CHECK;

/* -j: host, adapter or adapter_unsynced. */
int options_value_time_stamp(const char *text, enum time_stamp_type *ret_type,
    struct err *err) MUST_CHECK;

/* --sample and --sample-flows (name): "1/N", N 1 or more. */
int options_value_sample(const char *name, const char *text, uint32_t *ret_n,
    struct err *err) MUST_CHECK;

/* -F. */
int options_value_format(const char *text, enum options_format *ret_format,
    struct err *err) MUST_CHECK;

/* --time-stamp-precision: ours. */
int options_value_precision(const char *text, struct err *err) MUST_CHECK;

/* The format that the end of a file's name asks for. */
enum options_format options_format_of(const char *path);

/* --- options_limits.c --- */

/*
 * Options that bound the capture or say who waits for whom how long.  E_AGAIN:
 * this is none of them.
 */
int options_take_limit(struct options *options, int option, const char *value,
    struct err *err) MUST_CHECK;

/* --log-size: bytes without a suffix. */
int options_value_log_size(const char *text, uint64_t *ret_bytes, struct err *err)
    MUST_CHECK;

/* --on-overflow: drop-oldest or drop-newest. */
int options_value_overflow(const char *text, bool *ret_drop_newest,
    struct err *err) MUST_CHECK;

/* --on-full: wait or stop. */
int options_value_on_full(const char *text, bool *ret_stop, struct err *err) MUST_CHECK;

/*
 * A time of option name: seconds, or with ms, s, m (min) or h; fractions of
 * seconds too.  From min_ms to max_ms.
 */
int options_value_time(const char *name, const char *text, uint64_t min_ms,
    uint64_t max_ms, uint64_t *ret_ms, struct err *err) MUST_CHECK;

/* -a packets:N, duration:TIME, filesize:SIZE, into what holds already. */
int options_value_autostop(const char *text, struct options *options,
    struct err *err) MUST_CHECK;

/* --- options_foreign.c --- */

/*
 * Say why getopt_long() answered '?' or ':', and for tcpdump's options what
 * to do instead.  word is the argument before optind, letters what getopt
 * was given.  Reads optopt.  Always E_USAGE.
 */
int options_refuse(int result, const char *word, const char *letters,
    struct err *err) MUST_CHECK;

#endif /* CLIENT_OPTIONS_INT_H */
