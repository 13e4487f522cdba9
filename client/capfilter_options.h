/*
 * capfilter_options - capfilter's command line as a checked struct.
 *
 * Reads the filter file; touches neither input nor output.
 */
#ifndef CLIENT_CAPFILTER_OPTIONS_H
#define CLIENT_CAPFILTER_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/err.h"

enum capfilter_action {
	CAPFILTER_FILES,
	CAPFILTER_MATCH,	/* --match */
	CAPFILTER_EXPLAIN,	/* --explain */
	CAPFILTER_HELP,
	CAPFILTER_VERSION,
};

/* Strings are borrowed from argv, but for filter. */
struct capfilter_options {
	enum capfilter_action action;
	char		*filter;	/* the expression; "" for everything */
	const char	*input;		/* NULL: stdin */
	const char	*output;	/* NULL: stdout */
	uint32_t	 link_type;	/* of MATCH and EXPLAIN */
	uint8_t		*packet;	/* of MATCH */
	uint32_t	 packet_len;
	bool		 is_verbose;
};

/*
 * Parse and check argv.  stdout_is_terminal refuses to write packets there.
 * Uses getopt's globals: one thread only.
 *
 * E_USAGE  one line: the option, the cause, what to do instead
 * E_NOMEM
 *
 * On E_OK release with capfilter_options_free(); else nothing is left to free.
 */
int capfilter_options_parse(int argc, char *const argv[], bool stdout_is_terminal,
    struct capfilter_options *ret_options, struct err *err) MUST_CHECK;
void capfilter_options_free(struct capfilter_options *options);

void capfilter_options_print_help(FILE *out);

#endif /* CLIENT_CAPFILTER_OPTIONS_H */
