/*
 * options - capclient's command line as a checked struct.
 *
 * The word rule: words before the first option are sensors, all later words
 * are the filter; with none before, the first later word is the sensor.
 * Options of one interface (-f -s -p -y) belong to the -i before them, and in
 * front of the first -i to every one that has none of its own.
 * Reads the filter file; touches neither the network nor the output.
 */
#ifndef CLIENT_OPTIONS_H
#define CLIENT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "client/address.h"
#include "common/err.h"
#include "proto/codec.h"

enum options_action {
	OPTIONS_CAPTURE,
	OPTIONS_LIST,		/* -D */
	OPTIONS_LIST_LINK_TYPES,	/* -L */
	OPTIONS_LIST_TIME_STAMPS,	/* -J */
	OPTIONS_PLAN,		/* --plan, -d */
	OPTIONS_HELP,
	OPTIONS_VERSION,
};

#define OPTIONS_FOREVER	UINT64_MAX

enum options_format { OPTIONS_PCAPNG, OPTIONS_PCAP };

/* In the numbers of the protocol's Start. */
enum options_direction { OPTIONS_INOUT, OPTIONS_IN, OPTIONS_OUT };

/* One -i, with what holds for it. */
struct options_interface {
	const char	*name;		/* "eth0", "3", "any", "veth*", "netns:blue/eth0" */
	const char	*filter_text;	/* never NULL; "" for everything */
	uint32_t	 filter;	/* a number for each different filter, from 0 on */
	uint32_t	 snaplen;	/* 1..PROTO_MAX_SNAPLEN */
	bool		 no_promiscuous;
	uint32_t	 link_type;	/* LINKTYPE_; 0: the interface's default */
};

/* Strings are borrowed from argv, but for filter. */
struct options {
	enum options_action action;

	struct address	 sensor;	/* all but HELP and VERSION */
	const char	*sensor_text;	/* as written */
	const char	*server_name;	/* to verify; NULL: sensor.host */
	const char	*cert, *key, *ca;	/* NULL: see certs.h */

	struct options_interface *interfaces;	/* at least one, names all different */
	uint32_t	 n_interfaces;
	char		*filter;	/* of an -i without -f; never NULL, "" for everything */
	const char	*filter_file;	/* that filter was read from, or NULL */
	uint64_t	 count;		/* -c; 0: no end */
	uint64_t	 duration_ms;	/* -a duration; 0: no end */
	uint64_t	 filesize_bytes;	/* -a filesize; 0: no end */
	uint64_t	 buffer_bytes;	/* -B; 0: the agent's default */
	uint64_t	 log_bytes;	/* --log-size; 0: the agent's default */
	bool		 drop_newest;	/* --on-overflow */
	enum options_direction direction;
	bool		 exact_filter;	/* tags count as in a file, for every filter */
	bool		 kernel_only;	/* refuse what the kernel cannot filter */
	bool		 headers_only;
	uint32_t	 sample;	/* 1 in so many packets; 0: all */
	uint32_t	 sample_flows;	/* 1 in so many flows; 0: all */
	bool		 cooked;	/* "any" is one cooked socket */
	enum time_stamp_type time_stamp_type;

	unsigned	 dump;		/* OPTIONS_PLAN: number of -d, 1..3; 0: --plan */

	const char	*output;	/* path, or "-" for stdout; NULL: none is needed */
	enum options_format format;
	bool		 split_by_linktype;	/* one file for each link type */
	bool		 resume;	/* go on with the output */
	bool		 fsync;		/* acknowledged is on disk */
	bool		 stop_on_full;	/* a failing output ends the capture */

	uint64_t	 linger_ms;	/* the agent captures on without us */
	uint64_t	 heartbeat_ms;	/* silence that is the other's death */
	uint64_t	 reconnect_ms;	/* OPTIONS_FOREVER; 0: a lost connection ends */

	bool		 json;		/* the ledger as JSON on stderr */
	uint64_t	 stats_interval_ms;	/* .. every so often; 0: at the end */
	bool		 quiet;		/* no progress line: -q, or stdout */
	unsigned	 verbose;	/* number of -v */
	const char	*log_spec;	/* for log_set(), or NULL */
};

/*
 * Parse and check argv.  stdout_is_terminal refuses "-w -".  Uses getopt's
 * globals: one thread only.
 *
 * E_USAGE  one line: the option, the cause, what to do instead
 * E_NOMEM
 *
 * On E_OK release with options_free(); on failure nothing is left to free.
 */
int options_parse(int argc, char *const argv[], bool stdout_is_terminal,
    struct options *ret_options, struct err *err) MUST_CHECK;
void options_free(struct options *options);

/* Does -i NAME stand for interfaces that may come later: any, or a pattern? */
bool options_is_pattern(const char *name);

void options_print_help(FILE *out);

/* "capclient 0.1.0"; verbose adds protocol, libraries, paths and build. */
void options_print_version(FILE *out, bool verbose);

#endif /* CLIENT_OPTIONS_H */
