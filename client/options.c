#include "client/options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "client/filter.h"
#include "client/options_int.h"
#include "proto/limits.h"

enum {				/* options without a letter */
	OPT_FILTER_FILE = 256, OPT_SERVER_NAME, OPT_CERT, OPT_KEY, OPT_CA,
	OPT_LOG, OPT_VERSION, OPT_PRECISION, OPT_HABIT,
	OPT_EXACT_FILTER, OPT_HEADERS_ONLY, OPT_SAMPLE, OPT_SAMPLE_FLOWS,
};

enum {
	ONCE = 1,		/* the second would silently replace the first */
	CAPTURES = 2,		/* means nothing with -D */
};

static const struct {
	int		 option;
	const char	*text;
	unsigned	 flags;
	const char	*needs;		/* NULL: the value is parsed */
} rules[] = {
	{ 'i', "-i", CAPTURES, "an interface name" },
	{ 'f', "-f", ONCE | CAPTURES, "a filter" },
	{ OPT_FILTER_FILE, "--filter-file", ONCE | CAPTURES, "a file's name" },
	{ 'w', "-w", ONCE | CAPTURES, "a file's name, or - for stdout" },
	{ 'F', "-F", ONCE | CAPTURES, NULL },
	{ 'c', "-c", ONCE | CAPTURES, NULL },
	{ 's', "-s", ONCE | CAPTURES, NULL },
	{ 'p', "-p", CAPTURES, NULL },
	{ 'B', "-B", ONCE | CAPTURES, NULL },
	{ 'Q', "-Q", ONCE | CAPTURES, NULL },
	{ OPT_EXACT_FILTER, "--exact-filter", CAPTURES, NULL },
	{ OPT_HEADERS_ONLY, "--headers-only", CAPTURES, NULL },
	{ OPT_SAMPLE, "--sample", ONCE | CAPTURES, NULL },
	{ OPT_SAMPLE_FLOWS, "--sample-flows", ONCE | CAPTURES, NULL },
	{ OPT_SERVER_NAME, "--server-name", ONCE, "a name" },
	{ OPT_CERT, "--cert", ONCE, "a file's name" },
	{ OPT_KEY, "--key", ONCE, "a file's name" },
	{ OPT_CA, "--ca", ONCE, "a file's name" },
	{ OPT_LOG, "--log", ONCE, "a level" },
};

/* '-': words are returned where they stand; ':': a missing value is told. */
static const char letters[] = "-:i:f:w:F:c:s:pqDB:Q:vh" "nUelStKO#";

static const struct option longs[] = {
	{ "interface", required_argument, NULL, 'i' },
	{ "direction", required_argument, NULL, 'Q' },
	{ "exact-filter", no_argument, NULL, OPT_EXACT_FILTER },
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
	{ "buffer-size", required_argument, NULL, 'B' },
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

/* The command line taken apart, before it is judged as a whole. */
struct parse {
	struct options	 options;
	bool		 seen[ARRAY_LEN(rules)];
	bool		 has_option;
	bool		 has_format;
	const char	**before;	/* words before the first option */
	size_t		 n_before;
	const char	**later;
	size_t		 n_later;
	const char	*filter;
	const char	*filter_file;
};

static void
add_word(struct parse *p, const char *word)
{
	if (p->has_option)
		p->later[p->n_later++] = word;
	else
		p->before[p->n_before++] = word;
}

static int
add_interface(struct parse *p, const char *name, struct err *err)
{
	struct options *o = &p->options;
	int code = options_value_interface(name, err);

	if (code != E_OK)
		return code;
	for (uint32_t i = 0; i < o->n_interfaces; i++)
		if (strcmp(o->interfaces[i], name) == 0)
			return err_set(err, E_USAGE,
			    "-i '%s': named twice: once is enough", name);
	if (o->n_interfaces == PROTO_MAX_INTERFACES)
		return err_set(err, E_USAGE, "-i '%s': more than %d interfaces",
		    name, PROTO_MAX_INTERFACES);
	o->interfaces[o->n_interfaces++] = name;
	return E_OK;
}

/*
 * Note that option was given; refuse the second where only one has meaning,
 * and an option in the place of its value.
 */
static int
mark_seen(struct parse *p, int option, const char *value, struct err *err)
{
	p->has_option = true;
	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		if (rules[i].option != option)
			continue;
		if (p->seen[i] && (rules[i].flags & ONCE) != 0)
			return err_set(err, E_USAGE,
			    "%s: given twice: give it once", rules[i].text);
		if (rules[i].needs != NULL && value[0] == '-' && value[1] != '\0')
			return err_set(err, E_USAGE, "%s: needs %s, not '%.60s'",
			    rules[i].text, rules[i].needs, value);
		p->seen[i] = true;
	}
	return E_OK;
}

static int
take_option(struct parse *p, int option, const char *value, struct err *err)
{
	struct options *o = &p->options;

	switch (option) {
	case 'i':
		return add_interface(p, value, err);
	case 'f':
		p->filter = value;
		return E_OK;
	case OPT_FILTER_FILE:
		p->filter_file = value;
		return E_OK;
	case 'w':
		o->output = value;
		return E_OK;
	case 'F':
		p->has_format = true;
		return options_value_format(value, &o->format, err);
	case 'c':
		return options_value_count(value, &o->count, err);
	case 's':
		return options_value_snaplen(value, &o->snaplen, err);
	case 'B':
		return options_value_size(value, &o->buffer_bytes, err);
	case 'p':
		o->no_promiscuous = true;
		return E_OK;
	case 'q':
		o->quiet = true;
		return E_OK;
	case 'D':
		o->action = OPTIONS_LIST;
		return E_OK;
	case 'v':
		o->verbose++;
		return E_OK;
	case 'Q':
		return options_value_direction(value, &o->direction, err);
	case OPT_EXACT_FILTER:
		o->exact_filter = true;
		return E_OK;
	case OPT_HEADERS_ONLY:
		o->headers_only = true;
		return E_OK;
	case OPT_SAMPLE:
		return options_value_sample("--sample", value, &o->sample, err);
	case OPT_SAMPLE_FLOWS:
		return options_value_sample("--sample-flows", value,
		    &o->sample_flows, err);
	case OPT_SERVER_NAME:
		o->server_name = value;
		return E_OK;
	case OPT_CERT:
		o->cert = value;
		return E_OK;
	case OPT_KEY:
		o->key = value;
		return E_OK;
	case OPT_CA:
		o->ca = value;
		return E_OK;
	case OPT_LOG:
		o->log_spec = value;
		return E_OK;
	case OPT_PRECISION:
		return options_value_precision(value, err);
	case 'e': case 'K': case 'l': case 'n': case 'O': case 'S':
	case 't': case 'U': case '#': case OPT_HABIT:
		return E_OK;	/* about text that we do not print, or done anyway */
	}
	return err_set(err, E_BUG, "option %d: not handled", option);
}

/* Sort the arguments.  --help wins over whatever stands behind it. */
static int
walk(struct parse *p, int argc, char *const argv[], struct err *err)
{
	bool wants_version = false;
	int option, code = E_OK;

	optind = 0;		/* glibc: start anew */
	opterr = 0;
	while ((option = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		if (option == 1) {
			add_word(p, optarg);
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
	}
	p->has_option = true;	/* words behind "--" are later words */
	for (; optind < argc; optind++)
		add_word(p, argv[optind]);
	if (wants_version)
		p->options.action = OPTIONS_VERSION;
	return E_OK;
}

/* --- judging the whole --- */

static int
pick_sensor(struct parse *p, struct err *err)
{
	struct options *o = &p->options;

	if (p->n_before > 1 && filter_is_keyword(p->before[1]))
		return err_set(err, E_USAGE, "'%.60s': a word before the first "
		    "option is a sensor: put the filter behind an option",
		    p->before[1]);
	if (p->n_before > 1)
		return err_set(err, E_USAGE, "sensor '%.60s': a second sensor is not "
		    "possible yet: name one (the filter goes behind an option)",
		    p->before[1]);
	if (p->n_before == 1) {
		o->sensor_text = p->before[0];
	} else if (p->n_later > 0) {
		o->sensor_text = p->later[0];
		p->later++;
		p->n_later--;
	} else {
		return err_set(err, E_USAGE, "no sensor: name one: capclient "
		    "SENSOR[:PORT] -i IFACE -w FILE [FILTER]: see capclient --help");
	}
	if (filter_is_keyword(o->sensor_text))
		return err_set(err, E_USAGE, "sensor '%.40s': a word of the filter "
		    "language: name the sensor before the filter (a host of that "
		    "name is written '%.40s:%d')", o->sensor_text, o->sensor_text,
		    PROTO_PORT);
	return address_parse(o->sensor_text, &o->sensor, err);
}

static int
check_list(struct parse *p, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (p->seen[i] && (rules[i].flags & CAPTURES) != 0)
			return err_set(err, E_USAGE, "-D: lists interfaces and ends: "
			    "leave out %s", rules[i].text);
	if (p->n_later > 0)
		return err_set(err, E_USAGE, "-D: lists interfaces and ends: "
		    "leave out '%.60s'", p->later[0]);
	return E_OK;
}

static int
check_output(struct parse *p, bool stdout_is_terminal, struct err *err)
{
	struct options *o = &p->options;

	if (o->output == NULL || o->output[0] == '\0')
		return err_set(err, E_USAGE, "no output: use -w FILE (.pcapng or "
		    ".pcap), or -w - | wireshark -k -i -");
	if (strcmp(o->output, "-") == 0 && stdout_is_terminal)
		return err_set(err, E_USAGE, "-w -: stdout is a terminal: use -w FILE "
		    "(.pcapng or .pcap), or -w - | wireshark -k -i -");
	/* The progress line would stand in what the pipe's reader prints. */
	if (strcmp(o->output, "-") == 0)
		o->quiet = true;
	if (!p->has_format)
		o->format = options_format_of(o->output);
	return E_OK;
}

static int
pick_filter(struct parse *p, struct err *err)
{
	struct options *o = &p->options;

	if (p->filter != NULL && p->filter_file != NULL)
		return err_set(err, E_USAGE,
		    "-f: together with --filter-file: give the filter once");
	if ((p->filter != NULL || p->filter_file != NULL) && p->n_later > 0)
		return err_set(err, E_USAGE, "%s: together with filter words "
		    "('%.60s'): give the filter once",
		    p->filter != NULL ? "-f" : "--filter-file", p->later[0]);
	if (p->filter_file != NULL)
		return filter_read_file(p->filter_file, &o->filter, err);
	if (p->filter != NULL)
		return options_filter_join(&p->filter, 1, &o->filter, err);
	return options_filter_join(p->later, p->n_later, &o->filter, err);
}

static int
judge(struct parse *p, bool stdout_is_terminal, struct err *err)
{
	struct options *o = &p->options;
	int code;

	if (o->action == OPTIONS_HELP || o->action == OPTIONS_VERSION)
		return E_OK;
	code = pick_sensor(p, err);
	if (code != E_OK)
		return code;
	if (o->action == OPTIONS_LIST)
		return check_list(p, err);
	if (o->n_interfaces == 0)
		return err_set(err, E_USAGE, "no interface: name one with -i IFACE "
		    "(capclient -D %.60s lists them)", o->sensor_text);
	code = check_output(p, stdout_is_terminal, err);
	if (code != E_OK)
		return code;
	return pick_filter(p, err);
}

int
options_parse(int argc, char *const argv[], bool stdout_is_terminal,
    struct options *ret_options, struct err *err)
{
	struct parse p = { .options.snaplen = PROTO_DEFAULT_SNAPLEN };
	/* An argument is a word, or at most one interface. */
	size_t n = (size_t)argc + 1;
	const char **words = calloc(2 * n, sizeof(*words));
	int code;

	p.options.interfaces = calloc(n, sizeof(*p.options.interfaces));
	if (words == NULL || p.options.interfaces == NULL) {
		code = err_set(err, E_NOMEM, "command line: out of memory");
		goto out;
	}
	p.before = words;
	p.later = words + n;
	code = walk(&p, argc, argv, err);
	if (code == E_OK)
		code = judge(&p, stdout_is_terminal, err);
	if (code == E_OK && p.options.filter == NULL)
		code = options_filter_join(NULL, 0, &p.options.filter, err);
out:
	free(words);
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
