#include "client/options_int.h"

#include <string.h>

#include "client/filter.h"
#include "proto/limits.h"

static int
pick_sensor(struct options_parse *p, struct err *err)
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

/* -D, -L and -J: of what belongs to a capture only -i has a meaning, to some. */
static int
check_list(const struct options_parse *p, const char *except, struct err *err)
{
	const char *lists = except == NULL ? "interfaces" : "what an interface can";
	const char *seen = options_seen_of_capture(p, except);

	if (seen != NULL)
		return err_set(err, E_USAGE, "%s: lists %s and ends: leave out %s",
		    p->action, lists, seen);
	if (p->n_later > 0)
		return err_set(err, E_USAGE, "%s: lists %s and ends: leave out '%.60s'",
		    p->action, lists, p->later[0]);
	return E_OK;
}

static int
check_output(struct options_parse *p, bool stdout_is_terminal, struct err *err)
{
	struct options *o = &p->options;
	bool is_stdout;

	if (o->output == NULL || o->output[0] == '\0')
		return err_set(err, E_USAGE, "no output: use -w FILE (.pcapng or "
		    ".pcap), or -w - | wireshark -k -i -");
	is_stdout = strcmp(o->output, "-") == 0;
	if (is_stdout && stdout_is_terminal)
		return err_set(err, E_USAGE, "-w -: stdout is a terminal: use -w FILE "
		    "(.pcapng or .pcap), or -w - | wireshark -k -i -");
	if (is_stdout && o->split_by_linktype)
		return err_set(err, E_USAGE, "--split-by-linktype: makes several "
		    "files, and stdout is one: use -w FILE");
	if (o->resume && is_stdout)
		return err_set(err, E_USAGE, "--resume: stdout cannot be gone on with: "
		    "use -w FILE");
	if (o->resume && o->split_by_linktype)
		return err_set(err, E_USAGE, "--resume: together with "
		    "--split-by-linktype: only one file can be gone on with");
	/* The progress line would stand in what the pipe's reader prints. */
	if (is_stdout)
		o->quiet = true;
	if (!p->has_format)
		o->format = options_format_of(o->output);
	return E_OK;
}

/* The filter of each -i without one: -f before the first -i, a file, or words. */
static int
pick_filter(struct options_parse *p, struct err *err)
{
	struct options *o = &p->options;
	const char *own = p->own[0].filter;
	const char *word = p->unquoted != NULL ? p->unquoted :
	    p->n_later > 0 ? p->later[0] : NULL;
	bool is_used = options_uses_default_filter(p);

	if (o->filter_file != NULL && !is_used)
		return err_set(err, E_USAGE,
		    "-f: together with --filter-file: give the filter once");
	if (word != NULL && (p->unquoted != NULL || !is_used))
		return err_set(err, E_USAGE, "-f: together with filter words "
		    "('%.60s'): give the filter once, in quotes", word);
	if (word != NULL && o->filter_file != NULL)
		return err_set(err, E_USAGE, "--filter-file: together with filter "
		    "words ('%.60s'): give the filter once", word);
	if (o->filter_file != NULL)
		return filter_read_file(o->filter_file, &o->filter, err);
	if (own != NULL)
		return filter_join(&own, 1, &o->filter, err);
	return filter_join(p->later, p->n_later, &o->filter, err);
}

static int
judge_capture(struct options_parse *p, bool stdout_is_terminal, struct err *err)
{
	int code = E_OK;

	if (p->options.action == OPTIONS_CAPTURE)
		code = check_output(p, stdout_is_terminal, err);
	if (code == E_OK)
		code = pick_filter(p, err);
	if (code == E_OK)
		code = options_judge_interfaces(p, err);
	return code;
}

int
options_judge(struct options_parse *p, bool stdout_is_terminal, struct err *err)
{
	struct options *o = &p->options;
	int code;

	if (o->action == OPTIONS_HELP || o->action == OPTIONS_VERSION)
		return E_OK;
	code = pick_sensor(p, err);
	if (code != E_OK)
		return code;
	if (o->action == OPTIONS_LIST)
		return check_list(p, NULL, err);
	if (o->n_interfaces == 0)
		return err_set(err, E_USAGE, "no interface: name one with -i IFACE "
		    "(capclient -D %.60s lists them)", o->sensor_text);
	if (o->action == OPTIONS_LIST_LINK_TYPES || o->action == OPTIONS_LIST_TIME_STAMPS)
		return check_list(p, "-i", err);
	return judge_capture(p, stdout_is_terminal, err);
}
