#include "client/capfilter_options.h"

#include <ctype.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "client/filter.h"
#include "common/link_type.h"
#include "proto/limits.h"

enum { OPT_MATCH = 256, OPT_EXPLAIN, OPT_FILTER_FILE, OPT_VERSION };

static const char letters[] = ":r:w:y:vh";

static const struct option longs[] = {
	{ "read", required_argument, NULL, 'r' },
	{ "write", required_argument, NULL, 'w' },
	{ "match", no_argument, NULL, OPT_MATCH },
	{ "explain", no_argument, NULL, OPT_EXPLAIN },
	{ "linktype", required_argument, NULL, 'y' },
	{ "filter-file", required_argument, NULL, OPT_FILTER_FILE },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

static const char help[] =
"usage: capfilter [-r FILE] [-w FILE] [-v] FILTER <IN >OUT\n"
"       capfilter --match [-y LINKTYPE] FILTER HEX\n"
"       capfilter --explain [-y LINKTYPE] FILTER\n"
"\n"
"Copies the packets of a capture file, pcap or pcapng, that match a\n"
"pcap-filter(7) expression; the output has the input's format.\n"
"\n"
"  capfilter 'tcp port 443' <all.pcapng >https.pcapng\n"
"  capfilter --match -y RAW 'src port 445' '45 00 00 5b ...'\n"
"\n"
"  -r, --read FILE         read FILE instead of stdin\n"
"  -w, --write FILE        write FILE instead of stdout\n"
"      --filter-file FILE  read the expression from FILE\n"
"      --match             say whether the packet of these bytes matches\n"
"      --explain           print the instructions of the expression\n"
"  -y, --linktype NAME     of --match and --explain: EN10MB (default), RAW ...\n"
"  -v, --verbose           say at the end how many packets there were\n"
"  -h, --help              this text\n"
"      --version           version\n"
"\n"
"Exit statuses: 0 done, or matched; 1 not matched; others: man capfilter\n";

struct parse {
	struct capfilter_options options;
	const char	*action;	/* the option that asked for options.action */
	const char	*filter_file;
	bool		 has_link_type;
};

void
capfilter_options_print_help(FILE *out)
{
	fputs(help, out);
}

void
capfilter_options_free(struct capfilter_options *o)
{
	free(o->filter);
	free(o->packet);
}

/* --- one option --- */

static int
set_action(struct parse *p, enum capfilter_action action, const char *name, struct err *err)
{
	if (p->action != NULL && strcmp(p->action, name) != 0)
		return err_set(err, E_USAGE, "%s: not with %s", name, p->action);
	p->action = name;
	p->options.action = action;
	return E_OK;
}

static int
set_link_type(struct parse *p, const char *text, struct err *err)
{
	p->has_link_type = true;
	if (!link_type_from_name(text, &p->options.link_type))
		return err_set(err, E_USAGE, "-y '%.60s': not a link type: EN10MB, RAW, "
		    "LINUX_SLL2 ... or its number", text);
	return E_OK;
}

/* "-" is what is used without the option. */
static const char *
path_of(const char *text)
{
	return strcmp(text, "-") == 0 ? NULL : text;
}

static int
take_option(struct parse *p, int option, struct err *err)
{
	switch (option) {
	case 'r':
		p->options.input = path_of(optarg);
		return E_OK;
	case 'w':
		p->options.output = path_of(optarg);
		return E_OK;
	case 'v':
		p->options.is_verbose = true;
		return E_OK;
	case 'y':
		return set_link_type(p, optarg, err);
	case OPT_FILTER_FILE:
		p->filter_file = optarg;
		return E_OK;
	case OPT_MATCH:
		return set_action(p, CAPFILTER_MATCH, "--match", err);
	default:
		return set_action(p, CAPFILTER_EXPLAIN, "--explain", err);
	}
}

static int
refuse(int result, const char *word, struct err *err)
{
	if (result == ':')
		return err_set(err, E_USAGE, "%.60s: needs a value: see capfilter --help", word);
	if (optopt != 0 && optopt < OPT_MATCH)
		return err_set(err, E_USAGE, "-%c: no such option: see capfilter --help", optopt);
	return err_set(err, E_USAGE, "%.60s: no such option: see capfilter --help", word);
}

/* --- the packet of --match --- */

static bool
is_separator(char c)
{
	return isspace((unsigned char)c) || c == ':';
}

static int
hex_value(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *found = c != '\0' ? strchr(digits, tolower((unsigned char)c)) : NULL;

	return found != NULL ? (int)(found - digits) : -1;
}

/* Pairs of digits, blanks and colons between them. */
static int
read_hex(const char *text, struct capfilter_options *o, struct err *err)
{
	uint8_t *bytes = malloc(strlen(text) / 2 + 1);
	uint32_t len = 0;

	if (bytes == NULL)
		return err_set(err, E_NOMEM, "--match: packet: out of memory");
	for (const char *p = text; *p != '\0'; p++) {
		int high, low;

		if (is_separator(*p))
			continue;
		high = hex_value(p[0]);
		low = hex_value(p[1]);
		if (high < 0 || low < 0 || len == PROTO_MAX_SNAPLEN) {
			free(bytes);
			return err_set(err, E_USAGE, "--match: packet: byte %u: %s", len + 1,
			    len == PROTO_MAX_SNAPLEN ? "more than 262144" :
			    "not two hexadecimal digits");
		}
		bytes[len++] = (uint8_t)(high << 4 | low);
		p++;
	}
	o->packet = bytes;
	o->packet_len = len;
	return E_OK;
}

/* --- the whole --- */

static int
check_together(const struct parse *p, bool stdout_is_terminal, struct err *err)
{
	const struct capfilter_options *o = &p->options;

	if (o->action != CAPFILTER_FILES && (o->input != NULL || o->output != NULL))
		return err_set(err, E_USAGE, "%s: not with -r or -w: it reads no file", p->action);
	if (o->action == CAPFILTER_FILES && p->has_link_type)
		return err_set(err, E_USAGE, "-y: only with --match and --explain: a file says "
		    "its own link types");
	if (o->action == CAPFILTER_FILES && o->output == NULL && stdout_is_terminal)
		return err_set(err, E_USAGE, "stdout: is a terminal: write to a file with -w");
	return E_OK;
}

static int
take_filter(struct parse *p, char *const words[], size_t n, struct err *err)
{
	if (p->filter_file != NULL && n > 0)
		return err_set(err, E_USAGE, "filter: given twice: by --filter-file and in words");
	if (p->filter_file != NULL)
		return filter_read_file(p->filter_file, &p->options.filter, err);
	if (n == 0)
		return err_set(err, E_USAGE, "filter: missing: see capfilter --help ('' is "
		    "every packet)");
	return filter_join((const char *const *)words, n, &p->options.filter, err);
}

static int
take_words(struct parse *p, char *const words[], size_t n, struct err *err)
{
	int code;

	if (p->options.action != CAPFILTER_MATCH)
		return take_filter(p, words, n, err);
	if (n == 0)
		return err_set(err, E_USAGE, "--match: packet: missing: its bytes in "
		    "hexadecimal digits behind the filter");
	code = take_filter(p, words, n - 1, err);
	return code == E_OK ? read_hex(words[n - 1], &p->options, err) : code;
}

static int
parse_all(struct parse *p, int argc, char *const argv[], bool stdout_is_terminal,
    struct err *err)
{
	int option, code = E_OK;

	optind = 0;		/* glibc: start anew */
	opterr = 0;
	while ((option = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		if (option == 'h' || option == OPT_VERSION) {
			p->options.action = option == 'h' ? CAPFILTER_HELP : CAPFILTER_VERSION;
			return E_OK;
		}
		if (option == '?' || option == ':')
			return refuse(option, argv[optind - 1], err);
		code = take_option(p, option, err);
		if (code != E_OK)
			return code;
	}
	code = check_together(p, stdout_is_terminal, err);
	return code == E_OK ?
	    take_words(p, argv + optind, (size_t)(argc - optind), err) : code;
}

int
capfilter_options_parse(int argc, char *const argv[], bool stdout_is_terminal,
    struct capfilter_options *ret_options, struct err *err)
{
	struct parse p = { .options = { .link_type = LINK_ETHERNET } };
	int code = parse_all(&p, argc, argv, stdout_is_terminal, err);

	if (code == E_OK)
		*ret_options = p.options;
	else
		capfilter_options_free(&p.options);
	return code;
}
