/* client/options, client/certs: what is meant, and what is refused with a hint. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/certs.h"
#include "client/exit.h"
#include "client/options.h"

enum { MAX_ARGS = 32 };

/* Parse a command line written with blanks; '^' stands for one in a word. */
static int
parse_on(bool is_terminal, const char *line, struct options *ret_options,
    struct err *err)
{
	static char copy[1024];		/* options borrow from it */
	char *argv[MAX_ARGS + 1] = { NULL };
	char *save = NULL;
	int argc = 0;

	snprintf(copy, sizeof(copy), "capclient %s", line);
	for (char *w = strtok_r(copy, " ", &save); w != NULL && argc < MAX_ARGS;
	    w = strtok_r(NULL, " ", &save)) {
		for (char *p = w; *p != '\0'; p++)
			if (*p == '^')
				*p = ' ';
		argv[argc++] = w;
	}
	return options_parse(argc, argv, is_terminal, ret_options, err);
}

static struct options
parse(const char *line)
{
	struct options o;
	struct err err = { .what = "" };
	int code = parse_on(false, line, &o, &err);

	if (code != E_OK)
		fail_msg("%s: %s", line, err.what);
	return o;
}

/* Refused as wrong usage, in one line that holds hint. */
static void
assert_refused(const char *line, const char *hint)
{
	struct options o = { .count = 77 };
	struct err err = { .what = "" };

	assert_int_equal(parse_on(false, line, &o, &err), E_USAGE);
	assert_int_equal(o.count, 77);
	assert_null(strchr(err.what, '\n'));
	assert_true(strlen(err.what) < sizeof(err.what) - 1);
	if (strstr(err.what, hint) == NULL)
		fail_msg("'%s' not in: %s", hint, err.what);
}

static void
assert_words(const char *line, const char *host, const char *filter)
{
	struct options o = parse(line);

	assert_int_equal(o.action, OPTIONS_CAPTURE);
	assert_string_equal(o.sensor.host, host);
	assert_int_equal(o.n_interfaces, 1);
	assert_string_equal(o.interfaces[0].name, "eth0");
	assert_string_equal(o.interfaces[0].filter_text, filter);
	assert_string_equal(o.output, "x.pcapng");
	options_free(&o);
}

static void
words_before_the_first_option_are_sensors_and_later_ones_the_filter(void **state)
{
	(void)state;
	assert_words("s1 -i eth0 -w x.pcapng", "s1", "");
	assert_words("s1 -i eth0 udp port 53 -w x.pcapng", "s1", "udp port 53");
	assert_words("s1 -i eth0 udp -w x.pcapng port 53", "s1", "udp port 53");
	assert_words("-i eth0 s1 udp port 53 -w x.pcapng", "s1", "udp port 53");
	assert_words("-i eth0 -w x.pcapng s1", "s1", "");
	assert_words("s1 -ieth0 -wx.pcapng -- udp -q", "s1", "udp -q");
	assert_words("-i eth0 -w x.pcapng -- s1 udp", "s1", "udp");
	assert_words("s1 --interface=eth0 --write x.pcapng -f udp^port^53", "s1", "udp port 53");
	assert_words("gateway:9443 -i eth0 -w x.pcapng", "gateway", "");
	assert_words("s1 -i eth0 -w x.pcapng -f udp -n -U", "s1", "udp");
}

static void
confusing_words_are_refused(void **state)
{
	(void)state;
	assert_refused("s1 s2 -i eth0 -w x", "second sensor");
	assert_refused("s1 udp -i eth0 -w x", "behind an option");
	assert_refused("gateway -i eth0 -w x", "'gateway:9443'");
	assert_refused("-i eth0 udp port 53 -w x", "name the sensor before the filter");
	assert_refused("-D host", "'host:9443'");
	assert_refused("s1 -i eth0 -f udp port 53 -w x", "-f: together with filter words");
	assert_refused("s1 -i eth0 --filter-file f port 53 -w x", "--filter-file: together");
	assert_refused("s1 -i eth0 -f udp --filter-file f -w x", "--filter-file");
	assert_refused("", "SENSOR");
	assert_refused("-i eth0 -w x", "no sensor");
	assert_refused("s1:99999 -i eth0 -w x", "port");
}

static void
an_interface_is_needed_and_each_only_once(void **state)
{
	struct options o = parse("s1 -i eth0 -i 3 -w x");

	(void)state;
	assert_int_equal(o.n_interfaces, 2);
	assert_string_equal(o.interfaces[1].name, "3");
	options_free(&o);
	assert_refused("s1 -w x", "capclient -D s1");
	assert_refused("s1 -i eth0 -i eth0 -w x", "twice");
	assert_refused("s1 -w x --interface=", "-i ''");
}

static void
an_interface_is_a_name_a_pattern_or_one_of_another_namespace(void **state)
{
	static const char *const taken[] = {
		"any", "eth*", "eth?", "veth[01]", "3", "netns:blue/eth0", "netns:blue/any",
		"netns:blue/*", "pid:1/eth0", "pid:4194304/3",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
		char line[64];
		struct options o;

		snprintf(line, sizeof(line), "s1 -w x -i %s", taken[i]);
		o = parse(line);
		assert_string_equal(o.interfaces[0].name, taken[i]);
		options_free(&o);
	}
	assert_refused("s1 -w x -i eth0,eth1", "repeat -i for each interface");
	assert_refused("s1 -w x -i netns:blue", "-i netns:blue/eth0");
	assert_refused("s1 -w x -i netns:/eth0", "netns:NAME/IFACE");
	assert_refused("s1 -w x -i netns:b*/eth0", "netns:NAME/IFACE");
	assert_refused("s1 -w x -i netns:blue/", "not the name");
	assert_refused("s1 -w x -i netns:blue/a/b", "not the name");
	assert_refused("s1 -w x -i blue/eth0", "not the name");
	assert_refused("s1 -w x -i pid:x/eth0", "pid:NUMBER/IFACE");
	assert_refused("s1 -w x -i pid:0/eth0", "pid:NUMBER/IFACE");
	assert_refused("s1 -w x -i pid:4194305/eth0", "pid:NUMBER/IFACE");
	assert_refused("s1 -w x -i pid:-1/eth0", "pid:NUMBER/IFACE");
}

static void
any_stands_alone_in_its_namespace(void **state)
{
	struct options o = parse("s1 -w x -i any -i netns:blue/any -i netns:red/eth0");

	(void)state;
	assert_int_equal(o.n_interfaces, 3);
	options_free(&o);
	assert_refused("s1 -w x -i any -i eth0", "any has every interface");
	assert_refused("s1 -w x -i eth* -i any", "any has every interface");
	assert_refused("s1 -w x -i netns:blue/any -i netns:blue/eth0", "any has every");
	o = parse("s1 -w x -i any --cooked -y linux_sll");
	assert_true(o.cooked);
	assert_int_equal(o.interfaces[0].link_type, 113);
	options_free(&o);
	assert_refused("s1 -w x -i eth0 --cooked", "only -i any");
	assert_refused("s1 -w x -i any -i netns:blue/eth0 --cooked", "netns:blue/eth0");
}

static void
assert_iface(const struct options_interface *got, const char *filter, uint32_t number,
    uint32_t snaplen, bool no_promiscuous, uint32_t link_type)
{
	assert_string_equal(got->filter_text, filter);
	assert_int_equal(got->filter, number);
	assert_int_equal(got->snaplen, snaplen);
	assert_int_equal(got->no_promiscuous, no_promiscuous);
	assert_int_equal(got->link_type, link_type);
}

static void
options_behind_an_interface_are_its_own_and_before_the_first_the_defaults(void **state)
{
	struct options o = parse("s1 -w x -s 100 -f udp -i a -s 200 -p -i b -f tcp "
	    "-i c -y LINUX_SLL2 -s 0 -i d -f tcp");

	(void)state;
	assert_int_equal(o.n_interfaces, 4);
	assert_iface(&o.interfaces[0], "udp", 0, 200, true, 0);
	assert_iface(&o.interfaces[1], "tcp", 1, 100, false, 0);
	assert_iface(&o.interfaces[2], "udp", 0, 262144, false, 276);
	assert_iface(&o.interfaces[3], "tcp", 1, 100, false, 0);
	options_free(&o);
	o = parse("s1 -p -y 1 -i a -i b -f tcp -w x arp");
	assert_iface(&o.interfaces[0], "arp", 0, 261120, true, 1);
	assert_iface(&o.interfaces[1], "tcp", 1, 261120, true, 1);
	options_free(&o);
	assert_refused("s1 -w x -i a -i b -f tcp or ip6", "words ('or')");
	assert_refused("s1 -f udp -i a -f tcp -w x arp", "-f: together with filter words");
	assert_refused("s1 -w x -s 1 -s 2 -i a", "-s: given twice");
	assert_refused("s1 -w x -i a -s 1 -s 2", "-s: given twice");
	assert_refused("s1 -w x -i a -f udp -f tcp", "-f: given twice");
	assert_refused("s1 -w x -i a -y 1 -y 1", "-y: given twice");
	assert_refused("s1 -w x -i a -y NOSUCH", "-y 'NOSUCH': not a link type");
	assert_refused("s1 -w x -i a -y 0", "-y '0': not a link type");
}
static void
an_option_is_not_taken_for_the_value_of_the_one_before(void **state)
{
	(void)state;
	assert_refused("s1 -i -w x", "-i: needs an interface name, not '-w'");
	assert_refused("s1 -w x --interface=-q", "-i: needs an interface name, not '-q'");
	assert_refused("s1 -i eth0 -w -q", "-w: needs a file's name");
	assert_refused("s1 -i eth0 -w x -f -q", "-f: needs a filter");
	assert_refused("s1 -i eth0 -w x --filter-file --quiet", "--filter-file: needs a file's name");
	assert_refused("s1 -i eth0 -w x --ca -q", "--ca: needs");
	assert_refused("s1 -i eth0 -w x -c -q", "-c '-q'");
}

static void
no_progress_line_stands_in_what_a_pipes_reader_prints(void **state)
{
	struct options o = parse("s1 -i eth0 -w -");

	(void)state;
	assert_true(o.quiet);
	options_free(&o);
	o = parse("s1 -i eth0 -w x");
	assert_false(o.quiet);
	options_free(&o);
}

static void
the_output_says_the_format(void **state)
{
	static const struct { const char *line; enum options_format format; } cases[] = {
		{ "s1 -i eth0 -w x.pcapng", OPTIONS_PCAPNG },
		{ "s1 -i eth0 -w x.pcap", OPTIONS_PCAP },
		{ "s1 -i eth0 -w x.PCAP", OPTIONS_PCAP },
		{ "s1 -i eth0 -w x.pcap.old", OPTIONS_PCAPNG },
		{ "s1 -i eth0 -w dir.pcap/x", OPTIONS_PCAPNG },
		{ "s1 -i eth0 -w -", OPTIONS_PCAPNG },
		{ "s1 -i eth0 -w - -F pcap", OPTIONS_PCAP },
		{ "s1 -i eth0 -F pcapng -w x.pcap", OPTIONS_PCAPNG },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct options o = parse(cases[i].line);

		assert_int_equal(o.format, cases[i].format);
		options_free(&o);
	}
	assert_refused("s1 -i eth0 -w x -F filter.txt", "--filter-file");
	assert_refused("s1 -i eth0", "-w FILE");
	assert_refused("s1 -i eth0", "-w - | wireshark -k -i -");
}

static void
packets_do_not_go_to_a_terminal(void **state)
{
	struct options o;
	struct err err;

	(void)state;
	assert_int_equal(parse_on(true, "s1 -i eth0 -w -", &o, &err), E_USAGE);
	assert_non_null(strstr(err.what, "wireshark -k -i -"));
	assert_int_equal(parse_on(true, "s1 -i eth0 -w x", &o, &err), E_OK);
	options_free(&o);
}

static void
numbers_are_checked(void **state)
{
	struct options o = parse("s1 -i eth0 -w x");

	(void)state;
	assert_int_equal(o.interfaces[0].snaplen, 261120);
	assert_int_equal(o.count, 0);
	assert_int_equal(o.buffer_bytes, 0);
	options_free(&o);
	o = parse("s1 -i eth0 -w x -s 0 -c 1 -B 4096");
	assert_int_equal(o.interfaces[0].snaplen, 262144);
	assert_int_equal(o.count, 1);
	assert_int_equal(o.buffer_bytes, 4096 * 1024);
	options_free(&o);
	o = parse("s1 -i eth0 -w x -s 262144 -c 18446744073709551615 -B 2M");
	assert_int_equal(o.interfaces[0].snaplen, 262144);
	assert_true(o.count == UINT64_MAX);
	assert_int_equal(o.buffer_bytes, 2 << 20);
	options_free(&o);
	o = parse("s1 -i eth0 -w x --snapshot-length 1 --buffer-size=1g");
	assert_int_equal(o.interfaces[0].snaplen, 1);
	assert_int_equal(o.buffer_bytes, 1 << 30);
	options_free(&o);

	o = parse("s1 -i eth0 -w x -B 3MiB");
	assert_int_equal(o.buffer_bytes, 3 << 20);
	options_free(&o);
	o = parse("s1 -i eth0 -w x -B 64kib");
	assert_int_equal(o.buffer_bytes, 64 << 10);
	options_free(&o);

	assert_refused("s1 -i eth0 -w x -s 262145", "-s '262145'");
	assert_refused("s1 -i eth0 -w x -s -1", "-s");
	assert_refused("s1 -i eth0 -w x -s 9x", "-s");
	assert_refused("s1 -i eth0 -w x -s 18446744073709551617", "-s");
	assert_refused("s1 -i eth0 -w x -c 0", "-c");
	assert_refused("s1 -i eth0 -w x -c +1", "-c");
	assert_refused("s1 -i eth0 -w x -c ^1", "-c");
	assert_refused("s1 -i eth0 -w x -c 18446744073709551616", "-c");
	assert_refused("s1 -i eth0 -w x -B 0", "-B");
	assert_refused("s1 -i eth0 -w x -B 1T", "-B");
	assert_refused("s1 -i eth0 -w x -B 1MB", "-B");
	assert_refused("s1 -i eth0 -w x -B 1TiB", "-B");
	assert_refused("s1 -i eth0 -w x -B 1iB", "-B");
	assert_refused("s1 -i eth0 -w x -B 1MiBx", "-B");
	assert_refused("s1 -i eth0 -w x -B 18014398509481985K", "-B");
}

static void
bad_options_are_named(void **state)
{
	(void)state;
	assert_refused("s1 -i eth0 -w x -Z", "-Z: no such option");
	assert_refused("s1 -i eth0 -w x --frobnicate", "--frobnicate");
	assert_refused("s1 -i eth0 -w x --quiet=1", "--quiet=1: takes no value");
	assert_refused("s1 -i eth0 -w x -c", "-c: its value is missing");
	assert_refused("s1 -i eth0 -w x --count", "--count: its value is missing");
	assert_refused("s1 -i eth0 -w x -w y", "-w: given twice");
	assert_refused("s1 -i eth0 -w x -qZ", "-Z: no such option");
	assert_refused("s1 -i eth0 -w x --quiet -Zq", "-Z: no such option");
	assert_refused("s1 -i eth0 -w x -qc", "-c: its value is missing");
	assert_refused("s1 -i eth0 -w x --ca=f -:", "-:: no such option");
	assert_refused("s1 -i eth0 -w x --number=1", "--number=1: takes no value");
}

static void
habits_of_tcpdump_that_change_no_packet_are_accepted(void **state)
{
	(void)state;
	assert_words("s1 -i eth0 -w x.pcapng -n -nn -U -e -l -S -# -t -tt -ttt -tttt -K -O udp",
	    "s1", "udp");
	assert_words("s1 -enlUi eth0 -w x.pcapng", "s1", "");
	assert_words("s1 -i eth0 --immediate-mode --nano --number --no-optimize "
	    "--time-stamp-precision=nano -w x.pcapng", "s1", "");
}

/* Only the letter may show: not the bundle, and no talk of shortened options. */
static void
assert_letters_refused(const char *letters, const char *hint)
{
	for (const char *p = letters; *p != '\0'; p++) {
		char line[64], want[160];

		snprintf(want, sizeof(want), "-%c: %s", *p, hint);
		snprintf(line, sizeof(line), "s1 -i eth0 -w x -%c 5", *p);
		assert_refused(line, want);
		snprintf(line, sizeof(line), "s1 -i eth0 -w x --quiet -n%c%c", *p, *p);
		assert_refused(line, want);
	}
}

static void
options_of_tcpdump_that_are_not_ours_say_what_to_do_instead(void **state)
{
	(void)state;
	assert_letters_refused("AXxrV", "capclient only captures: read the file with "
	    "tcpdump -r, or use -w - | tcpdump -nr - -X");
	assert_letters_refused("CGWzb", "no rotation yet: use -w - | dumpcap -i - -b ");
	assert_letters_refused("I", "not yet");
	assert_letters_refused("EHMNRTYZg~", "no such option: see capclient --help");
	assert_refused("s1 -i eth0 -w x --print", "--print: capclient only captures");
	assert_refused("s1 -i eth0 -w x --monitor-mode", "--monitor-mode: not yet");
	assert_refused("s1 -i eth0 -w x --li", "--li: no such option");
	assert_refused("s1 -i eth0 -w x --micro", "nanoseconds");
	assert_refused("s1 -i eth0 -w x --time-stamp-precision=micro", "nanoseconds");
}

static void
direction_and_samples_are_taken_strictly(void **state)
{
	struct options o = parse("s1 -i eth0 -w x -Q in --exact-filter "
	    "--headers-only --sample 1/10 --sample-flows=1/4");

	(void)state;
	assert_int_equal(o.direction, OPTIONS_IN);
	assert_true(o.exact_filter && o.headers_only);
	assert_int_equal(o.sample, 10);
	assert_int_equal(o.sample_flows, 4);
	options_free(&o);
	o = parse("s1 -i eth0 -w x --direction=out");
	assert_int_equal(o.direction, OPTIONS_OUT);
	assert_false(o.exact_filter || o.headers_only);
	assert_int_equal(o.sample, 0);
	assert_int_equal(o.sample_flows, 0);
	options_free(&o);
	assert_refused("s1 -i eth0 -w x -Q both", "in, out or inout");
	assert_refused("s1 -i eth0 -w x --sample 10", "1/N");
	assert_refused("s1 -i eth0 -w x --sample 1/0", "1/N");
	assert_refused("s1 -i eth0 -w x --sample 1/2x", "1/N");
	assert_refused("s1 -i eth0 -w x --sample-flows 1/1000001", "1/N");
	assert_refused("s1 -D -Q in", "-Q");
}

static void
listing_takes_a_sensor_and_nothing_of_a_capture(void **state)
{
	struct options o = parse("-D s1 --server-name n --ca f");

	(void)state;
	assert_int_equal(o.action, OPTIONS_LIST);
	assert_string_equal(o.sensor.host, "s1");
	assert_string_equal(o.server_name, "n");
	assert_string_equal(o.ca, "f");
	options_free(&o);
	o = parse("s1:5 --list-interfaces");
	assert_int_equal(o.action, OPTIONS_LIST);
	assert_int_equal(o.sensor.port, 5);
	options_free(&o);
	assert_refused("-D s1 -w x", "leave out -w");
	assert_refused("-D s1 -i eth0", "leave out -i");
	assert_refused("-D s1 udp", "leave out 'udp'");
	assert_refused("-D", "no sensor");
}

static void
what_an_interface_can_is_listed_for_those_named(void **state)
{
	struct options o = parse("s1 -i eth0 -L");

	(void)state;
	assert_int_equal(o.action, OPTIONS_LIST_LINK_TYPES);
	assert_string_equal(o.interfaces[0].name, "eth0");
	options_free(&o);
	o = parse("s1 --list-time-stamp-types -i eth0 -i veth*");
	assert_int_equal(o.action, OPTIONS_LIST_TIME_STAMPS);
	assert_int_equal(o.n_interfaces, 2);
	options_free(&o);
	assert_refused("s1 -L", "name one with -i");
	assert_refused("s1 -J -i eth0 -w x", "-J: lists what an interface can and ends: "
	    "leave out -w");
	assert_refused("s1 -L -i eth0 udp", "leave out 'udp'");
	assert_refused("s1 -L -J -i eth0", "-J: together with -L");
	assert_refused("s1 -D --plan", "--plan: together with -D");
}

static void
a_plan_needs_no_output_and_takes_a_captures_options(void **state)
{
	static const struct { const char *line; unsigned dump; } cases[] = {
		{ "s1 -i eth0 --plan", 0 }, { "s1 -i eth0 -d udp", 1 },
		{ "s1 -i eth0 -dd", 2 }, { "s1 -i eth0 -d -d -d -d", 3 },
		{ "s1 -i eth0 --plan -w x -c 5 -Q in --split-by-linktype", 0 },
	};
	struct options o;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		o = parse(cases[i].line);
		assert_int_equal(o.action, OPTIONS_PLAN);
		assert_int_equal(o.dump, cases[i].dump);
		assert_string_equal(o.interfaces[0].name, "eth0");
		options_free(&o);
	}
	assert_refused("s1 --plan", "name one with -i");
	assert_refused("s1 -i eth0 -d --plan", "-d: together with --plan");
	assert_refused("s1 -i eth0 --plan -d", "-d: together with --plan");
}

static void
further_options_of_a_capture_are_taken(void **state)
{
	struct options o = parse("s1 -i eth0 -w x --kernel-only --split-by-linktype "
	    "-j adapter_unsynced");

	(void)state;
	assert_true(o.kernel_only && o.split_by_linktype);
	assert_int_equal(o.time_stamp_type, TIME_STAMP_ADAPTER_UNSYNCED);
	options_free(&o);
	o = parse("s1 -i eth0 -w x --time-stamp-type adapter");
	assert_int_equal(o.time_stamp_type, TIME_STAMP_ADAPTER);
	options_free(&o);
	o = parse("s1 -i eth0 -w x -j host");
	assert_int_equal(o.time_stamp_type, TIME_STAMP_HOST);
	options_free(&o);
	assert_refused("s1 -i eth0 -w x -j host_hiprec", "-j 'host_hiprec': host, adapter");
	assert_refused("s1 -i eth0 -w - --split-by-linktype", "stdout is one");
}

static void
help_and_version_need_nothing_else(void **state)
{
	struct options o = parse("-h");

	(void)state;
	assert_int_equal(o.action, OPTIONS_HELP);
	options_free(&o);
	o = parse("s1 s2 --help --nonsense");
	assert_int_equal(o.action, OPTIONS_HELP);
	options_free(&o);
	o = parse("--version --verbose");
	assert_int_equal(o.action, OPTIONS_VERSION);
	assert_int_equal(o.verbose, 1);
	options_free(&o);
	assert_refused("--version --nonsense", "--nonsense");
}

static void
the_filter_can_come_from_a_file(void **state)
{
	char path[] = "/tmp/capclienttestXXXXXX";
	char line[128];
	int fd = mkstemp(path);
	struct options o;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "udp\nport 53\n", 12), 12);
	close(fd);
	/* The file's text may change: never the same as one that does not. */
	snprintf(line, sizeof(line), "s1 -w x --filter-file %s -i a -i b -f udp^port^53 "
	    "-i c", path);
	o = parse(line);
	assert_string_equal(o.filter, "udp port 53");
	assert_string_equal(o.filter_file, path);
	assert_iface(&o.interfaces[0], "udp port 53", 0, 261120, false, 0);
	assert_iface(&o.interfaces[1], "udp port 53", 1, 261120, false, 0);
	assert_int_equal(o.interfaces[2].filter, 0);
	options_free(&o);
	snprintf(line, sizeof(line), "s1 -i a -f udp -w x --filter-file %s", path);
	assert_refused(line, "-f: together with --filter-file");
	unlink(path);
	snprintf(line, sizeof(line), "s1 -i eth0 -w x --filter-file %s", path);
	assert_refused(line, path);
}

static void
every_error_has_a_status_and_causes_differ(void **state)
{
	static const struct { int code; enum exit_status status; } cases[] = {
		{ E_OK, EXIT_COMPLETE }, { E_BUG, EXIT_FAILED }, { 99, EXIT_FAILED },
		{ E_USAGE, EXIT_USAGE }, { E_UNREACHABLE, EXIT_UNREACHABLE },
		{ E_TLS, EXIT_REFUSED }, { E_DENIED, EXIT_REFUSED },
		{ E_CONFIG, EXIT_REFUSED }, { E_NOIFACE, EXIT_INTERFACE },
		{ E_IFDOWN, EXIT_INTERFACE }, { E_FILTER, EXIT_FILTER },
		{ E_NOSPACE, EXIT_OUTPUT }, { E_OUTPUT, EXIT_OUTPUT },
		{ E_PEERGONE, EXIT_CONNECTION },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(exit_status_of(cases[i].code), cases[i].status);
}

/* A directory with ~/.config/capclient in it as HOME, and three files. */
static void
make_home(char home[static 64], mode_t key_mode)
{
	static const char *const names[] = { "client.pem", "client.key", "ca.pem" };
	char path[160];

	strcpy(home, "/tmp/capclient-test-XXXXXX");
	assert_non_null(mkdtemp(home));
	setenv("HOME", home, 1);
	unsetenv("CAPCLIENT_CERT");
	unsetenv("CAPCLIENT_KEY");
	unsetenv("CAPCLIENT_CA");
	snprintf(path, sizeof(path), "%s/.config", home);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/.config/capclient", home);
	assert_int_equal(mkdir(path, 0700), 0);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		FILE *file;

		snprintf(path, sizeof(path), "%s/.config/capclient/%s", home, names[i]);
		file = fopen(path, "w");
		assert_non_null(file);
		fclose(file);
		assert_int_equal(chmod(path, key_mode), 0);
	}
}

static void
remove_home(const char *home)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", home);
	assert_int_equal(system(command), 0);
}

static void
certificates_come_from_options_then_environment_then_home(void **state)
{
	char home[64], other[160];
	struct certs certs;
	struct err err;

	(void)state;
	make_home(home, 0600);
	snprintf(other, sizeof(other), "%s/.config/capclient/client.pem", home);
	setenv("CAPCLIENT_CA", other, 1);
	setenv("CAPCLIENT_CERT", "", 1);
	assert_int_equal(certs_open(NULL, other, NULL, &certs, &err), E_OK);
	assert_string_equal(certs.path[CERTS_CERT], other);
	assert_string_equal(certs.path[CERTS_KEY], other);
	assert_string_equal(certs.path[CERTS_CA], other);
	for (int i = 0; i < CERTS_N; i++)
		assert_true(certs.fd[i] >= 0);
	certs_close(&certs);
	unsetenv("CAPCLIENT_CA");
	assert_int_equal(certs_open(NULL, NULL, NULL, &certs, &err), E_OK);
	assert_non_null(strstr(certs.path[CERTS_CA], "/ca.pem"));
	assert_non_null(strstr(certs.path[CERTS_KEY], "/client.key"));
	certs_close(&certs);
	remove_home(home);
}

static void
a_missing_certificate_names_the_file_and_the_command(void **state)
{
	struct certs certs;
	struct err err;

	(void)state;
	assert_int_equal(certs_open("/nonexistent/c.pem", NULL, NULL, &certs, &err),
	    E_CONFIG);
	assert_non_null(strstr(err.what, "'/nonexistent/c.pem'"));
	assert_non_null(strstr(err.what, "capcert --dir DIR client NAME"));
	assert_int_equal(certs_open("/tmp", NULL, NULL, &certs, &err), E_CONFIG);
	assert_non_null(strstr(err.what, "directory"));
}

static void
a_key_that_others_may_read_is_refused(void **state)
{
	char home[64];
	struct certs certs;
	struct err err;

	(void)state;
	make_home(home, 0640);
	assert_int_equal(certs_open(NULL, NULL, NULL, &certs, &err), E_CONFIG);
	assert_non_null(strstr(err.what, "client.key"));
	assert_non_null(strstr(err.what, "0640"));
	assert_non_null(strstr(err.what, "chmod 600"));
	remove_home(home);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_before_the_first_option_are_sensors_and_later_ones_the_filter),
		cmocka_unit_test(confusing_words_are_refused),
		cmocka_unit_test(an_interface_is_needed_and_each_only_once),
		cmocka_unit_test(an_interface_is_a_name_a_pattern_or_one_of_another_namespace),
		cmocka_unit_test(any_stands_alone_in_its_namespace),
		cmocka_unit_test(options_behind_an_interface_are_its_own_and_before_the_first_the_defaults),
		cmocka_unit_test(an_option_is_not_taken_for_the_value_of_the_one_before),
		cmocka_unit_test(no_progress_line_stands_in_what_a_pipes_reader_prints),
		cmocka_unit_test(the_output_says_the_format),
		cmocka_unit_test(packets_do_not_go_to_a_terminal),
		cmocka_unit_test(numbers_are_checked),
		cmocka_unit_test(bad_options_are_named),
		cmocka_unit_test(habits_of_tcpdump_that_change_no_packet_are_accepted),
		cmocka_unit_test(options_of_tcpdump_that_are_not_ours_say_what_to_do_instead),
		cmocka_unit_test(direction_and_samples_are_taken_strictly),
		cmocka_unit_test(listing_takes_a_sensor_and_nothing_of_a_capture),
		cmocka_unit_test(what_an_interface_can_is_listed_for_those_named),
		cmocka_unit_test(a_plan_needs_no_output_and_takes_a_captures_options),
		cmocka_unit_test(further_options_of_a_capture_are_taken),
		cmocka_unit_test(help_and_version_need_nothing_else),
		cmocka_unit_test(the_filter_can_come_from_a_file),
		cmocka_unit_test(every_error_has_a_status_and_causes_differ),
		cmocka_unit_test(certificates_come_from_options_then_environment_then_home),
		cmocka_unit_test(a_missing_certificate_names_the_file_and_the_command),
		cmocka_unit_test(a_key_that_others_may_read_is_refused),
	};

	return cmocka_run_group_tests_name("client/options", tests, NULL, NULL);
}
