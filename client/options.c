#include "client/options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "client/filter.h"
#include "client/options_int.h"

enum { OPTIONS_DUMP_MAX = 3 };	/* -ddd, as tcpdump */

enum { LINGER_DEFAULT_MS = 60 * 1000 };

enum {
	ONCE = 1,		/* the second would silently replace the first */
	CAPTURES = 2,		/* means nothing with -D, -L and -J */
	PER_INTERFACE = 4,	/* once for each -i, and once before the first */
};

static const struct {
	int		 option;
	const char	*text;
	unsigned	 flags;
	const char	*needs;		/* NULL: the value is parsed */
} rules[] = {
	{ 'i', "-i", CAPTURES, "an interface name" },
	{ 'f', "-f", ONCE | CAPTURES | PER_INTERFACE, "a filter" },
	{ OPT_FILTER_FILE, "--filter-file", ONCE | CAPTURES, "a file's name" },
	{ 'w', "-w", ONCE | CAPTURES, "a file's name, or - for stdout" },
	{ 'F', "-F", ONCE | CAPTURES, NULL },
	{ 'c', "-c", ONCE | CAPTURES, NULL },
	{ 's', "-s", ONCE | CAPTURES | PER_INTERFACE, NULL },
	{ 'p', "-p", CAPTURES, NULL },
	{ 'y', "-y", ONCE | CAPTURES | PER_INTERFACE, NULL },
	{ 'j', "-j", ONCE | CAPTURES, NULL },
	{ 'B', "-B", ONCE | CAPTURES, NULL },
	{ 'a', "-a", CAPTURES, NULL },
	{ OPT_LOG_SIZE, "--log-size", ONCE | CAPTURES, NULL },
	{ OPT_OVERFLOW, "--on-overflow", ONCE | CAPTURES, NULL },
	{ OPT_LINGER, "--linger", ONCE | CAPTURES, NULL },
	{ OPT_HEARTBEAT, "--heartbeat", ONCE | CAPTURES, NULL },
	{ OPT_RECONNECT, "--reconnect", ONCE | CAPTURES, NULL },
	{ OPT_RESUME, "--resume", CAPTURES, NULL },
	{ OPT_FSYNC, "--fsync", CAPTURES, NULL },
	{ OPT_ON_FULL, "--on-full", ONCE | CAPTURES, NULL },
	{ OPT_JSON, "--json", CAPTURES, NULL },
	{ OPT_STATS_INTERVAL, "--stats-interval", ONCE | CAPTURES, NULL },
	{ 'Q', "-Q", ONCE | CAPTURES, NULL },
	{ OPT_EXACT_FILTER, "--exact-filter", CAPTURES, NULL },
	{ OPT_KERNEL_ONLY, "--kernel-only", CAPTURES, NULL },
	{ OPT_COOKED, "--cooked", CAPTURES, NULL },
	{ OPT_SPLIT, "--split-by-linktype", CAPTURES, NULL },
	{ OPT_HEADERS_ONLY, "--headers-only", CAPTURES, NULL },
	{ OPT_SAMPLE, "--sample", ONCE | CAPTURES, NULL },
	{ OPT_SAMPLE_FLOWS, "--sample-flows", ONCE | CAPTURES, NULL },
	{ OPT_SERVER_NAME, "--server-name", ONCE, "a name" },
	{ OPT_CERT, "--cert", ONCE, "a file's name" },
	{ OPT_KEY, "--key", ONCE, "a file's name" },
	{ OPT_CA, "--ca", ONCE, "a file's name" },
	{ OPT_LOG, "--log", ONCE, "a level" },
};
_Static_assert(ARRAY_LEN(rules) <= OPTIONS_RULES_MAX, "more rules than marks");

/* '-': words are returned where they stand; ':': a missing value is told. */
static const char letters[] = "-:a:i:f:w:F:c:s:py:j:qdDLJB:Q:vh" "nUelStKO#";

static const struct option longs[] = {
	{ "interface", required_argument, NULL, 'i' },
	{ "direction", required_argument, NULL, 'Q' },
	{ "exact-filter", no_argument, NULL, OPT_EXACT_FILTER },
	{ "kernel-only", no_argument, NULL, OPT_KERNEL_ONLY },
	{ "headers-only", no_argument, NULL, OPT_HEADERS_ONLY },
	{ "sample", required_argument, NULL, OPT_SAMPLE },
	{ "sample-flows", required_argument, NULL, OPT_SAMPLE_FLOWS },
	{ "filter", required_argument, NULL, 'f' },
	{ "filter-file", required_argument, NULL, OPT_FILTER_FILE },
	{ "write", required_argument, NULL, 'w' },
	{ "format", required_argument, NULL, 'F' },
	{ "count", required_argument, NULL, 'c' },
	{ "snapshot-length", required_argument, NULL, 's' },
	{ "no-promiscuous-mode", no_argument, NULL, 'p' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "list-interfaces", no_argument, NULL, 'D' },
	{ "list-data-link-types", no_argument, NULL, 'L' },
	{ "list-time-stamp-types", no_argument, NULL, 'J' },
	{ "linktype", required_argument, NULL, 'y' },
	{ "time-stamp-type", required_argument, NULL, 'j' },
	{ "cooked", no_argument, NULL, OPT_COOKED },
	{ "plan", no_argument, NULL, OPT_PLAN },
	{ "split-by-linktype", no_argument, NULL, OPT_SPLIT },
	{ "buffer-size", required_argument, NULL, 'B' },
	{ "autostop", required_argument, NULL, 'a' },
	{ "log-size", required_argument, NULL, OPT_LOG_SIZE },
	{ "on-overflow", required_argument, NULL, OPT_OVERFLOW },
	{ "linger", required_argument, NULL, OPT_LINGER },
	{ "heartbeat", required_argument, NULL, OPT_HEARTBEAT },
	{ "reconnect", required_argument, NULL, OPT_RECONNECT },
	{ "resume", no_argument, NULL, OPT_RESUME },
	{ "fsync", no_argument, NULL, OPT_FSYNC },
	{ "on-full", required_argument, NULL, OPT_ON_FULL },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "stats-interval", required_argument, NULL, OPT_STATS_INTERVAL },
	{ "server-name", required_argument, NULL, OPT_SERVER_NAME },
	{ "cert", required_argument, NULL, OPT_CERT },
	{ "key", required_argument, NULL, OPT_KEY },
	{ "ca", required_argument, NULL, OPT_CA },
	{ "log", required_argument, NULL, OPT_LOG },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, OPT_VERSION },
	/* tcpdump's habits */
	{ "absolute-tcp-sequence-numbers", no_argument, NULL, OPT_HABIT },
	{ "dont-verify-checksums", no_argument, NULL, OPT_HABIT },
	{ "immediate-mode", no_argument, NULL, OPT_HABIT },
	{ "nano", no_argument, NULL, OPT_HABIT },
	{ "no-optimize", no_argument, NULL, OPT_HABIT },
	{ "number", no_argument, NULL, OPT_HABIT },
	{ "packet-buffered", no_argument, NULL, OPT_HABIT },
	{ "time-stamp-precision", required_argument, NULL, OPT_PRECISION },
	{ NULL, 0, NULL, 0 },
};

static void
add_word(struct options_parse *p, const char *word)
{
	bool is_sensor = p->n_before + p->n_later == 0;

	if (p->is_behind_filter && !is_sensor && p->unquoted == NULL)
		p->unquoted = word;
	if (p->has_option)
		p->later[p->n_later++] = word;
	else
		p->before[p->n_before++] = word;
}

/*
 * Note that option was given; refuse the second where only one has meaning,
 * and an option in the place of its value.
 */
static int
mark_seen(struct options_parse *p, int option, const char *value, struct err *err)
{
	p->has_option = true;
	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		bool *seen = (rules[i].flags & PER_INTERFACE) != 0 ?
		    &p->seen_here[i] : &p->seen[i];

		if (rules[i].option != option)
			continue;
		if (*seen && (rules[i].flags & ONCE) != 0)
			return err_set(err, E_USAGE,
			    "%s: given twice: give it once", rules[i].text);
		if (rules[i].needs != NULL && value[0] == '-' && value[1] != '\0')
			return err_set(err, E_USAGE, "%s: needs %s, not '%.60s'",
			    rules[i].text, rules[i].needs, value);
		*seen = p->seen[i] = true;
	}
	return E_OK;
}

/* What belongs to one -i, or in front of the first one to all of them. */
static int
take_own(struct options_own *own, int option, const char *value, struct err *err)
{
	switch (option) {
	case 'f':
		own->filter = value;
		return E_OK;
	case 's':
		return options_value_snaplen(value, &own->snaplen, err);
	case 'p':
		own->no_promiscuous = true;
		return E_OK;
	default:
		return options_value_link_type(value, &own->link_type, err);
	}
}

/* What is done instead of a capture: one thing only. */
static int
take_action(struct options_parse *p, enum options_action action, const char *text,
    struct err *err)
{
	if (p->action != NULL && p->options.action != action)
		return err_set(err, E_USAGE, "%s: together with %s: give one of them",
		    text, p->action);
	p->options.action = action;
	p->action = text;
	return E_OK;
}

static int
take_plan(struct options_parse *p, bool is_dump, struct err *err)
{
	struct options *o = &p->options;

	if (o->action == OPTIONS_PLAN && (o->dump > 0) != is_dump)
		return err_set(err, E_USAGE, "-d: together with --plan: -d prints the "
		    "program alone, --plan has it, too: give one of them");
	if (is_dump && o->dump < OPTIONS_DUMP_MAX)
		o->dump++;
	return take_action(p, OPTIONS_PLAN, is_dump ? "-d" : "--plan", err);
}

/* Values that are kept as they are; false: not one of these. */
static bool
take_text(struct options *o, int option, const char *value)
{
	switch (option) {
	case OPT_FILTER_FILE:
		o->filter_file = value;
		return true;
	case 'w':
		o->output = value;
		return true;
	case OPT_SERVER_NAME:
		o->server_name = value;
		return true;
	case OPT_CERT:
		o->cert = value;
		return true;
	case OPT_KEY:
		o->key = value;
		return true;
	case OPT_CA:
		o->ca = value;
		return true;
	case OPT_LOG:
		o->log_spec = value;
		return true;
	}
	return false;
}

/* Options without a value; false: not one of these. */
static bool
take_flag(struct options *o, int option)
{
	switch (option) {
	case 'q':
		o->quiet = true;
		return true;
	case 'v':
		o->verbose++;
		return true;
	case OPT_EXACT_FILTER:
		o->exact_filter = true;
		return true;
	case OPT_KERNEL_ONLY:
		o->kernel_only = true;
		return true;
	case OPT_HEADERS_ONLY:
		o->headers_only = true;
		return true;
	case OPT_COOKED:
		o->cooked = true;
		return true;
	case OPT_SPLIT:
		o->split_by_linktype = true;
		return true;
	case OPT_RESUME:
		o->resume = true;
		return true;
	case OPT_FSYNC:
		o->fsync = true;
		return true;
	case OPT_JSON:
		o->json = true;
		return true;
	case 'e': case 'K': case 'l': case 'n': case 'O': case 'S':
	case 't': case 'U': case '#': case OPT_HABIT:
		return true;	/* about text that we do not print, or done anyway */
	}
	return false;
}

static int
take_option(struct options_parse *p, int option, const char *value, struct err *err)
{
	struct options *o = &p->options;

	int code;

	if (take_text(o, option, value) || take_flag(o, option))
		return E_OK;
	code = options_take_limit(o, option, value, err);
	if (code != E_AGAIN)
		return code;
	switch (option) {
	case 'i':
		return options_add_interface(p, value, err);
	case 'f': case 's': case 'p': case 'y':
		return take_own(options_current(p), option, value, err);
	case 'D':
		return take_action(p, OPTIONS_LIST, "-D", err);
	case 'L':
		return take_action(p, OPTIONS_LIST_LINK_TYPES, "-L", err);
	case 'J':
		return take_action(p, OPTIONS_LIST_TIME_STAMPS, "-J", err);
	case 'd':
	case OPT_PLAN:
		return take_plan(p, option == 'd', err);
	case 'F':
		p->has_format = true;
		return options_value_format(value, &o->format, err);
	case 'c':
		if (o->count != 0)
			return err_set(err, E_USAGE, "-c: together with -a packets, "
			    "which is the same: give one of them");
		return options_value_count(value, &o->count, err);
	case 'B':
		return options_value_size(value, &o->buffer_bytes, err);
	case 'Q':
		return options_value_direction(value, &o->direction, err);
	case 'j':
		return options_value_time_stamp(value, &o->time_stamp_type, err);
	case OPT_SAMPLE:
		return options_value_sample("--sample", value, &o->sample, err);
	case OPT_SAMPLE_FLOWS:
		return options_value_sample("--sample-flows", value,
		    &o->sample_flows, err);
	case OPT_PRECISION:
		return options_value_precision(value, err);
	}
	return err_set(err, E_BUG, "option %d: not handled", option);
}

/* Sort the arguments.  --help wins over whatever stands behind it. */
static int
walk(struct options_parse *p, int argc, char *const argv[], struct err *err)
{
	bool wants_version = false;
	int option, code = E_OK;

	optind = 0;		/* glibc: start anew */
	opterr = 0;
	while ((option = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		if (option == 1) {
			add_word(p, optarg);
			p->is_behind_filter = false;
			continue;
		}
		if (option == 'h') {
			p->options.action = OPTIONS_HELP;
			return E_OK;
		}
		if (option == '?' || option == ':')
			return options_refuse(option, argv[optind - 1], letters, err);
		if (option == OPT_VERSION)
			wants_version = true;
		else if ((code = mark_seen(p, option, optarg, err)) != E_OK ||
		    (code = take_option(p, option, optarg, err)) != E_OK)
			return code;
		p->is_behind_filter = option == 'f';
	}
	p->has_option = true;	/* words behind "--" are later words */
	for (; optind < argc; optind++)
		add_word(p, argv[optind]);
	if (wants_version)
		p->options.action = OPTIONS_VERSION;
	return E_OK;
}

const char *
options_seen_of_capture(const struct options_parse *p, const char *except)
{
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (p->seen[i] && (rules[i].flags & CAPTURES) != 0 &&
		    (except == NULL || strcmp(rules[i].text, except) != 0))
			return rules[i].text;
	return NULL;
}

int
options_parse(int argc, char *const argv[], bool stdout_is_terminal,
    struct options *ret_options, struct err *err)
{
	/* An argument is a word, or at most one interface. */
	size_t n = (size_t)argc + 1;
	const char **words = calloc(2 * n, sizeof(*words));
	struct options_parse p = {
		.options.interfaces = calloc(n, sizeof(p.options.interfaces[0])),
		.options.linger_ms = LINGER_DEFAULT_MS,
		.options.heartbeat_ms = PROTO_HEARTBEAT_MS,
		.options.reconnect_ms = OPTIONS_FOREVER,
		.own = calloc(n, sizeof(p.own[0])),
		.before = words,
		.later = words == NULL ? NULL : words + n,
	};
	int code;

	if (words == NULL || p.options.interfaces == NULL || p.own == NULL) {
		code = err_set(err, E_NOMEM, "command line: out of memory");
		goto out;
	}
	code = walk(&p, argc, argv, err);
	if (code == E_OK)
		code = options_judge(&p, stdout_is_terminal, err);
	if (code == E_OK && p.options.filter == NULL)
		code = filter_join(NULL, 0, &p.options.filter, err);
out:
	free(words);
	free(p.own);
	if (code == E_OK)
		*ret_options = p.options;
	else
		options_free(&p.options);
	return code;
}

void
options_free(struct options *options)
{
	free(options->interfaces);
	free(options->filter);
	options->interfaces = NULL;
	options->filter = NULL;
}
