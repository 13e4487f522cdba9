#include "server/agent_options.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "server/policy_parse.h"

enum {
	OPT_LISTEN = 256, OPT_CERT, OPT_KEY, OPT_CA, OPT_USER, OPT_CONFIG, OPT_LOG,
	OPT_READY_FD, OPT_FOREGROUND, OPT_SANDBOX, OPT_VERSION, OPT_VERBOSE,
};

static const struct option long_options[] = {
	{ "listen", required_argument, NULL, OPT_LISTEN },
	{ "cert", required_argument, NULL, OPT_CERT },
	{ "key", required_argument, NULL, OPT_KEY },
	{ "ca", required_argument, NULL, OPT_CA },
	{ "user", required_argument, NULL, OPT_USER },
	{ "config", required_argument, NULL, OPT_CONFIG },
	{ "log", required_argument, NULL, OPT_LOG },
	{ "ready-fd", required_argument, NULL, OPT_READY_FD },
	{ "foreground", no_argument, NULL, OPT_FOREGROUND },
	{ "sandbox", required_argument, NULL, OPT_SANDBOX },
	{ "check", no_argument, NULL, 'n' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ "verbose", no_argument, NULL, OPT_VERBOSE },
	{ NULL, 0, NULL, 0 },
};

static int
add_listen(struct agent_options *o, const char *value, struct err *err)
{
	struct listen_address address;

	if (o->n_listen == PRIV_MAX_LISTENERS)
		return err_set(err, E_USAGE, "--listen: more than %d addresses",
		    PRIV_MAX_LISTENERS);
	o->listen[o->n_listen++] = value;
	return listen_address_parse(value, &address, err);
}

/* An open descriptor, which the children must not have. */
static int
set_ready_fd(struct agent_options *o, const char *value, struct err *err)
{
	uint32_t fd;

	if (policy_parse_number(value, 0, INT16_MAX, &fd, err) != E_OK) {
		err->code = E_USAGE;
		return err_wrap(err, "--ready-fd");
	}
	/* It is closed after the line; the log goes to descriptor 2. */
	if (fd <= STDERR_FILENO)
		return err_set(err, E_USAGE, "--ready-fd %u: use a descriptor of its own, "
		    "3 or more", fd);
	if (fcntl((int)fd, F_SETFD, FD_CLOEXEC) == -1)
		return err_set(err, E_USAGE, "--ready-fd %u: not open", fd);
	o->ready_fd = (int)fd;
	return E_OK;
}

/* The network process parses it again, from a buffer of fixed size. */
static int
set_log(struct agent_options *o, const char *value, struct err *err)
{
	if (strlen(value) >= PRIV_LOG_SPEC_LEN)
		return err_set(err, E_USAGE, "--log: longer than %d characters",
		    PRIV_LOG_SPEC_LEN - 1);
	o->log_spec = value;
	return log_set(value, err);
}

static int
take_option(struct agent_options *o, int option, const char *value, struct err *err)
{
	switch (option) {
	case OPT_LISTEN:
		return add_listen(o, value, err);
	case OPT_CERT:
		o->cert = value;
		return E_OK;
	case OPT_KEY:
		o->key = value;
		return E_OK;
	case OPT_CA:
		o->ca = value;
		return E_OK;
	case OPT_USER:
		o->user = value;
		return E_OK;
	case OPT_CONFIG:
		o->config = value;
		return E_OK;
	case OPT_LOG:
		return set_log(o, value, err);
	case OPT_READY_FD:
		return set_ready_fd(o, value, err);
	case OPT_FOREGROUND:
		return E_OK;
	case OPT_SANDBOX:
		return sandbox_mode_parse(value, &o->sandbox, err);
	case OPT_VERSION:
		o->action = AGENT_VERSION;
		return E_OK;
	case OPT_VERBOSE:
		o->is_verbose = true;
		return E_OK;
	case 'n':
		o->action = AGENT_CHECK;
		return E_OK;
	default:
		o->action = AGENT_HELP;
		return E_OK;
	}
}

int
agent_options_parse(int argc, char *argv[], struct agent_options *ret_options,
    struct err *err)
{
	struct agent_options o = {
		.log_spec = "", .ready_fd = -1, .sandbox = sandbox_mode_default(),
	};
	int option, ret = E_OK;

	optind = 0;
	opterr = 0;
	while (ret == E_OK && (option = getopt_long(argc, argv, "+:nh", long_options, NULL)) != -1) {
		if (option == ':')
			ret = err_set(err, E_USAGE, "option '%s': needs a value: see --help",
			    argv[optind - 1]);
		else if (option == '?')
			ret = err_set(err, E_USAGE, "option '%s': not known: see --help",
			    argv[optind - 1]);
		else
			ret = take_option(&o, option, optarg, err);
	}
	if (ret == E_OK && optind < argc)
		ret = err_set(err, E_USAGE, "argument '%s': not expected: see --help",
		    argv[optind]);
	if (ret == E_OK && o.is_verbose && o.action != AGENT_VERSION)
		ret = err_set(err, E_USAGE, "--verbose: only together with --version: "
		    "for more messages use --log debug");
	if (ret == E_OK)
		*ret_options = o;
	return ret;
}

static int
override(struct policy *policy, const char *key, const char *value, struct err *err)
{
	if (value == NULL || policy_set(policy, key, value, err) == E_OK)
		return E_OK;
	err->code = E_USAGE;
	return err_wrap(err, "command line");
}

static int
set_default_listen(struct policy *policy, struct err *err)
{
	int ret = policy_set(policy, "listen", "0.0.0.0", err);

	return ret == E_OK ? policy_set(policy, "listen", "[::]", err) : ret;
}

int
agent_options_policy(const struct agent_options *options, struct policy *ret_policy,
    struct err *err)
{
	int ret = E_OK;

	policy_init(ret_policy);
	if (options->config != NULL)
		ret = policy_load(ret_policy, options->config, err);
	else if (policy_file_exists(POLICY_FILE))
		ret = policy_load(ret_policy, POLICY_FILE, err);
	if (options->n_listen > 0)
		ret_policy->n_listen = 0;
	for (unsigned i = 0; ret == E_OK && i < options->n_listen; i++)
		ret = override(ret_policy, "listen", options->listen[i], err);
	if (ret == E_OK)
		ret = override(ret_policy, "cert", options->cert, err);
	if (ret == E_OK)
		ret = override(ret_policy, "key", options->key, err);
	if (ret == E_OK)
		ret = override(ret_policy, "ca", options->ca, err);
	if (ret == E_OK)
		ret = override(ret_policy, "user", options->user, err);
	return ret == E_OK && ret_policy->n_listen == 0 ?
	    set_default_listen(ret_policy, err) : ret;
}
