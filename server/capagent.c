/*
 * capagent - the privileged process: start, then open capture sockets for
 * the network process and nothing else.
 *
 * Reads no byte from the network and no certificate; parses the command
 * line, the configuration and fixed-size requests.  Whatever fails before
 * the agent is ready ends it with one line that says what to do.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/log.h"
#include "server/about.h"
#include "server/agent_options.h"
#include "server/credentials.h"
#include "server/drop.h"
#include "server/listen_all.h"
#include "server/mandatory.h"
#include "server/net_spawn.h"
#include "server/priv_list.h"
#include "server/priv_netns.h"
#include "server/priv_serve.h"
#include "server/supervise.h"

enum exit_status {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_CONFIG = 3,	/* configuration or certificates */
	EXIT_PRIVILEGE = 4,	/* no CAP_NET_RAW */
	EXIT_ADDRESS = 5,	/* an address cannot be listened on */
};

struct agent {
	struct agent_options options;
	struct policy	 policy;
	struct drop_user user;
	struct credentials credentials;
	struct priv_mandatory *mandatory;
	struct reread	*reread;
	struct reload	*reload;
	unsigned	 n_listeners;
	struct net_listener listeners[PRIV_MAX_LISTENERS];
	int		 program_fd, signal_fd, list_fd;
	struct priv_netns_set *netns;
	struct net_child child;
	struct priv_serve *serve;
};

static int
exit_status(int code)
{
	switch (code) {
	case E_OK:
		return EXIT_DONE;
	case E_USAGE:
		return EXIT_USAGE;
	case E_CONFIG:
		return EXIT_CONFIG;
	case E_DENIED:
		return EXIT_PRIVILEGE;
	case E_UNREACHABLE:
		return EXIT_ADDRESS;
	default:
		return EXIT_FAILED;
	}
}

/* Each capture socket is a descriptor here and in the child. */
static void
raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static void
log_policy(const struct agent *a)
{
	const struct policy *p = &a->policy;

	if (p->has_file)
		log_info(LOG_POLICY, "configuration %s: every client certificate of %s may "
		    "capture what it permits", p->file, p->ca);
	else
		log_info(LOG_POLICY, "no configuration file: every client certificate of %s "
		    "may capture everything", p->ca);
	mandatory_log(a->mandatory);
	if (p->namespaces != 0)
		log_info(LOG_POLICY, "namespaces: other network namespaces can be captured: "
		    "capagent keeps CAP_SYS_ADMIN%s",
		    (p->namespaces & PRIV_NAMESPACES_PID) != 0 ? " and CAP_SYS_PTRACE" : "");
	if (p->hardware_timestamps)
		log_info(LOG_POLICY, "hardware-timestamps: capagent keeps CAP_NET_ADMIN");
	if (a->user.keeps_uid)
		log_warn(LOG_PRIV, "no CAP_SETUID: the network process keeps uid %u and loses "
		    "only its capabilities", getuid());
	else if (a->user.is_default)
		log_info(LOG_PRIV, "there is no user 'capagent': the network process runs as "
		    "'nobody': make one with: useradd --system --no-create-home "
		    "--shell /usr/sbin/nologin capagent");
	if (a->options.sandbox != SANDBOX_ENFORCE)
		log_warn(LOG_SANDBOX, "the sandbox is in mode '%s': not for use on a network "
		    "that others can reach", sandbox_mode_name(a->options.sandbox));
}

/* What is kept beside CAP_NET_RAW, and why: as little as is configured. */
static unsigned
wanted_caps(const struct policy *p)
{
	unsigned keep = 0;

	if (p->hardware_timestamps)
		keep |= DROP_KEEP_NET_ADMIN;
	if (p->namespaces != 0)
		keep |= DROP_KEEP_SYS_ADMIN;
	if ((p->namespaces & PRIV_NAMESPACES_PID) != 0)
		keep |= DROP_KEEP_SYS_PTRACE;
	return keep;
}

static int
check_caps(const struct policy *p, struct err *err)
{
	const char *missing = drop_missing(wanted_caps(p));

	if (missing == NULL)
		return E_OK;
	return err_set(err, E_DENIED, "%s is missing, which '%s' in %s needs: start capagent as "
	    "root", missing, p->hardware_timestamps && strcmp(missing, "CAP_NET_ADMIN") == 0 ?
	    "hardware-timestamps" : "namespaces", p->file);
}

/* Everything that a check without a start also does. */
static int
prepare(struct agent *a, struct err *err)
{
	int ret = E_OK;

	/* First, because without it the files cannot be read, either. */
	if (drop_missing(0) != NULL)
		ret = err_set(err, E_DENIED, "CAP_NET_RAW is missing: start capagent as root, "
		    "or with this capability");
	if (ret == E_OK)
		ret = agent_options_policy(&a->options, &a->policy, err);
	if (ret == E_OK)
		ret = check_caps(&a->policy, err);
	if (ret == E_OK)
		ret = credentials_open(&a->policy, &a->credentials, err);
	if (ret == E_OK)
		ret = drop_find_user(a->policy.user, &a->user, err);
	if (ret == E_OK)
		ret = net_spawn_find(&a->program_fd, err);
	if (ret != E_OK)
		return ret;
	a->mandatory = priv_mandatory_new();
	if (a->mandatory == NULL)
		return err_set(err, E_NOMEM, "capagent: start: out of memory");
	return mandatory_compile_policy(&a->policy, a->program_fd, &a->user, a->mandatory, err);
}

static int
start_child(struct agent *a, struct err *err)
{
	struct net_setup setup = {
		.policy = &a->policy,
		.log_spec = a->options.log_spec,
		.sandbox = a->options.sandbox,
		.n_listeners = a->n_listeners,
		.listeners = a->listeners,
		.cert_fd = a->credentials.cert_fd,
		.key_fd = a->credentials.key_fd,
		.ca_fd = a->credentials.ca_fd,
	};
	int ret = net_spawn_start(a->program_fd, &a->user, &a->child, err);

	if (ret == E_OK)
		ret = net_spawn_send_setup(&a->child, &setup, err);
	return ret == E_OK ? net_spawn_wait_ready(&a->child, err) : ret;
}

/* Only the child holds what it was given; the mark of the key is gone here. */
static void
close_given(struct agent *a)
{
	credentials_close(&a->credentials);
	for (unsigned i = 0; i < a->n_listeners; i++)
		close(a->listeners[i].fd);
	close(a->program_fd);
	a->program_fd = -1;
}

static int
confine(struct agent *a, struct err *err)
{
	const struct policy *p = &a->policy;
	unsigned extra = 0;
	int ret = E_OK;

	if ((p->namespaces & PRIV_NAMESPACES_NAMED) != 0)
		extra |= SANDBOX_NETNS_NAMED;
	if ((p->namespaces & PRIV_NAMESPACES_PID) != 0)
		extra |= SANDBOX_NETNS_PID;
	if (p->hardware_timestamps)
		extra |= SANDBOX_TIME_STAMPS;
	/* Part of the sandbox: sanitizers open files at the end. */
	if (a->options.sandbox != SANDBOX_OFF)
		ret = priv_netns_confine(a->netns, err);
	if (ret == E_OK)
		ret = drop_to_net_raw(wanted_caps(p), err);
	return ret == E_OK ? sandbox_priv_apply(a->options.sandbox, extra, err) : ret;
}

static int
say_ready(const struct agent *a, struct err *err)
{
	char line[PRIV_MAX_LISTENERS * (PRIV_ADDRESS_LEN + 1) + 16] = "ready";
	size_t len = strlen(line);

	for (unsigned i = 0; i < a->n_listeners; i++) {
		log_info(LOG_LISTEN, "listening on %s", a->listeners[i].address);
		len += (size_t)snprintf(line + len, sizeof(line) - len, " %s",
		    a->listeners[i].address);
	}
	if (a->options.ready_fd == -1)
		return E_OK;
	line[len++] = '\n';
	if (write(a->options.ready_fd, line, len) != (ssize_t)len)
		return err_sys(err, "--ready-fd %d: write", a->options.ready_fd);
	close(a->options.ready_fd);
	return E_OK;
}

/* The part that both a start and a check go through. */
static int
start(struct agent *a, struct err *err)
{
	struct priv_serve_config config;
	int ret = supervise_open_signals(&a->signal_fd, err);

	if (ret == E_OK)
		ret = priv_list_open(&a->list_fd, err);
	if (ret != E_OK)
		return ret;
	priv_open_init();
	a->netns = priv_netns_new(&a->policy, a->list_fd, err);
	if (a->netns == NULL)
		return err->code;
	ret = start_child(a, err);
	if (ret != E_OK)
		return ret;
	close_given(a);
	config = (struct priv_serve_config){
		.boundary_fd = a->child.fd, .list_fd = a->list_fd, .netns = a->netns,
		.policy = &a->policy, .mandatory = a->mandatory, .ops = &priv_serve_kernel,
	};
	a->serve = priv_serve_new(&config);
	if (a->serve == NULL)
		return err_set(err, E_NOMEM, "capagent: start: out of memory");
	return E_OK;
}

/*
 * The network process loads the certificates: it is started without an
 * address, and ended when it is ready.
 */
static int
check(struct agent *a, struct err *err)
{
	int ret = prepare(a, err);

	if (ret == E_OK)
		ret = listen_all_check(&a->policy, err);
	if (ret == E_OK) {
		log_policy(a);
		ret = start(a, err);
	}
	if (ret == E_OK)
		ret = supervise_end(a->serve, &a->child, a->signal_fd, err);
	if (ret == E_OK)
		about_print_policy(stdout, &a->policy, a->user.name);
	return ret;
}

/* While there is nothing yet that it must not have. */
static int
start_reread(struct agent *a, struct err *err)
{
	struct reread_job job = {
		.options = &a->options, .user = &a->user, .program_fd = a->program_fd,
	};

	return reread_start(&job, &a->reread, err);
}

static int
prepare_reload(struct agent *a, struct err *err)
{
	struct reload_config config = {
		.reread = a->reread, .serve = a->serve, .child = &a->child, .policy = &a->policy,
		.mandatory = &a->mandatory, .log_spec = a->options.log_spec,
		.sandbox = a->options.sandbox,
	};

	a->reload = reload_new(&config);
	return a->reload != NULL ? E_OK :
	    err_set(err, E_NOMEM, "capagent: start: out of memory");
}

static int
run(struct agent *a, struct err *err)
{
	int ret = prepare(a, err);

	if (ret == E_OK)
		ret = start_reread(a, err);
	if (ret == E_OK)
		ret = listen_all_open(&a->policy, a->listeners, &a->n_listeners, err);
	if (ret == E_OK) {
		log_policy(a);
		ret = start(a, err);
	}
	if (ret == E_OK)
		ret = prepare_reload(a, err);
	if (ret == E_OK)
		ret = confine(a, err);
	if (ret == E_OK)
		ret = say_ready(a, err);
	if (ret == E_OK)
		ret = supervise_run(a->serve, &a->child, a->signal_fd, a->reload, err);
	return ret;
}

int
main(int argc, char *argv[])
{
	static struct agent a;
	struct err err;
	int ret;

	supervise_hold_hangup();
	log_init("capagent");
	signal(SIGPIPE, SIG_IGN);
	a.program_fd = a.signal_fd = a.list_fd = a.child.fd = -1;
	a.credentials = (struct credentials){ -1, -1, -1 };
	ret = agent_options_parse(argc, argv, &a.options, &err);
	if (ret == E_OK && a.options.action == AGENT_HELP) {
		about_print_help(stdout);
	} else if (ret == E_OK && a.options.action == AGENT_VERSION) {
		about_print_version(stdout, a.options.is_verbose);
	} else if (ret == E_OK) {
		raise_descriptor_limit();
		ret = a.options.action == AGENT_CHECK ? check(&a, &err) : run(&a, &err);
	}
	if (ret != E_OK)
		log_err(LOG_MAIN, "%s", err.what);
	reload_free(a.reload);
	priv_serve_free(a.serve);
	priv_netns_free(a.netns);
	reread_free(a.reread);
	priv_mandatory_unref(a.mandatory);
	return exit_status(ret);
}
