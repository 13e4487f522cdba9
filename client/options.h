/*
 * options - capclient's command line as a checked struct.
 *
 * The word rule: words before the first option are sensors, all later words
 * are the filter; with none before, the first later word is the sensor.
 * Reads the filter file; touches neither the network nor the output.
 */
#ifndef CLIENT_OPTIONS_H
#define CLIENT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "client/address.h"
#include "common/err.h"

enum options_action {
	OPTIONS_CAPTURE,
	OPTIONS_LIST,		/* -D */
	OPTIONS_HELP,
	OPTIONS_VERSION,
};

enum options_format { OPTIONS_PCAPNG, OPTIONS_PCAP };

/* In the numbers of the protocol's Start. */
enum options_direction { OPTIONS_INOUT, OPTIONS_IN, OPTIONS_OUT };

/* Strings are borrowed from argv, but for filter. */
struct options {
	enum options_action action;

	struct address	 sensor;	/* CAPTURE and LIST */
	const char	*sensor_text;	/* as written */
	const char	*server_name;	/* to verify; NULL: sensor.host */
	const char	*cert, *key, *ca;	/* NULL: see certs.h */

	const char	**interfaces;	/* at least one, all different */
	uint32_t	 n_interfaces;
	char		*filter;	/* never NULL; "" for everything */
	uint32_t	 snaplen;	/* 1..PROTO_MAX_SNAPLEN */
	uint64_t	 count;		/* -c; 0: no end */
	uint64_t	 buffer_bytes;	/* -B; 0: the agent's default */
	bool		 no_promiscuous;
	enum options_direction direction;
	bool		 exact_filter;	/* tags count as in a file, for every filter */
	bool		 headers_only;
	uint32_t	 sample;	/* 1 in so many packets; 0: all */
	uint32_t	 sample_flows;	/* 1 in so many flows; 0: all */

	const char	*output;	/* path, or "-" for stdout */
	enum options_format format;

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

void options_print_help(FILE *out);

/* "capclient 0.1.0"; verbose adds protocol, libraries, paths and build. */
void options_print_version(FILE *out, bool verbose);

#endif /* CLIENT_OPTIONS_H */
