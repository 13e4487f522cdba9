/*
 * agent_options - capagent's command line.
 */
#ifndef SERVER_AGENT_OPTIONS_H
#define SERVER_AGENT_OPTIONS_H

#include <stdbool.h>

#include "common/err.h"
#include "server/policy.h"
#include "server/sandbox.h"

enum agent_action { AGENT_RUN, AGENT_CHECK, AGENT_HELP, AGENT_VERSION };

struct agent_options {
	enum agent_action action;
	bool		 is_verbose;
	const char	*config;	/* NULL: the default file, if there is one */
	const char	*log_spec;	/* "" for the default */
	const char	*user, *cert, *key, *ca;	/* NULL: not given */
	unsigned	 n_listen;
	const char	*listen[PRIV_MAX_LISTENERS];
	int		 ready_fd;	/* -1: none */
	enum sandbox_mode sandbox;
};

/* Strings point into argv.  E_USAGE. */
int agent_options_parse(int argc, char *argv[], struct agent_options *ret_options,
    struct err *err) MUST_CHECK;

/*
 * What holds: the defaults, the configuration file over them, the command
 * line over both.  E_CONFIG; E_USAGE for a value of the command line.
 */
int agent_options_policy(const struct agent_options *options, struct policy *ret_policy,
    struct err *err) MUST_CHECK;

#endif /* SERVER_AGENT_OPTIONS_H */
