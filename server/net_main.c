/*
 * net_main - capagent-net: everything that talks to the network.
 *
 * Started by capagent with descriptor 3 as the boundary, with its own uid and
 * no capability.  Receives listening sockets and certificates, confines
 * itself, then serves clients until capagent says END or is gone.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/log.h"
#include "server/captures.h"
#include "server/compile_role.h"
#include "server/link_watch.h"
#include "server/listener.h"
#include "server/net.h"
#include "server/own_addresses.h"
#include "server/sandbox.h"
#include "server/session.h"

static void
all_ended(void *arg)
{
	struct net *net = arg;

	loop_stop(net->loop);
}

/* capagent ends: no new clients, captures drain and say so to theirs. */
static void
end(void *arg)
{
	struct net *net = arg;

	if (net->is_ending)
		return;
	net->is_ending = true;
	for (int i = 0; i < PRIV_MAX_LISTENERS; i++) {
		listener_free(net->listeners[i]);
		net->listeners[i] = NULL;
	}
	session_close_all(net);
	log_info(LOG_MAIN, "ending: %u captures send what they have",
	    captures_count(net->captures));
	captures_end(net->captures, all_ended, net);
}

/* Without capagent there is nobody to close what is open. */
static void
gone(const struct err *err, void *arg)
{
	(void)arg;
	log_err(LOG_MAIN, "capagent is gone: %s: ending at once", err->what);
	_exit(1);
}

static struct tls *
load_tls(const struct priv_setup *setup, struct err *err)
{
	struct tls_files files = {
		.cert_fd = setup->cert_fd, .cert_name = setup->cert_name,
		.key_fd = setup->key_fd, .key_name = setup->key_name,
		.ca_fd = setup->ca_fd, .ca_name = setup->ca_name,
	};

	return tls_new(TLS_AGENT, &files, err);
}

/* Connections that exist keep what they began with. */
static void
reload(const struct priv_setup *setup, void *arg)
{
	struct net *net = arg;
	struct err why;
	struct tls *tls = load_tls(setup, &why);

	if (tls != NULL) {
		tls_free(net->tls);
		net->tls = tls;
		net->setup.config = setup->config;
	}
	priv_call_answer_reload(net->call, tls != NULL ? NULL : &why);
}

static int
open_listeners(struct net *net, struct err *err)
{
	for (unsigned i = 0; i < net->setup.n_listeners; i++) {
		struct priv_setup_socket *s = &net->setup.listeners[i];
		int fd = s->fd;

		s->fd = -1;
		net->listeners[i] = listener_new(net, fd, s->address, err);
		if (net->listeners[i] == NULL)
			return err->code;
	}
	if (own_addresses_open(net, err) != E_OK)
		return err->code;
	net->link_watch = link_watch_new(net->loop, captures_link_changed,
	    net->captures, err);
	if (net->link_watch == NULL)
		return err->code;
	(void)own_addresses_refresh(net);
	return E_OK;
}

static int
prepare(struct net *net, struct err *err)
{
	static const struct priv_call_events events = {
		.end = end, .reload = reload, .gone = gone,
	};
	int rc;

	if (net->setup.config.log_spec[0] != '\0') {
		rc = log_set(net->setup.config.log_spec, err);
		if (rc != E_OK)
			return rc;
	}
	/* Before the sandbox, as the rest of what is made once. */
	if (getrandom(&net->instance, sizeof(net->instance), 0) !=
	    (ssize_t)sizeof(net->instance))
		return err_sys(err, "random numbers");
	own_traffic_init(&net->own);
	own_traffic_init(&net->own_elsewhere);
	net->tls = load_tls(&net->setup, err);
	if (net->tls == NULL)
		return err->code;
	net->loop = loop_new(err);
	if (net->loop == NULL)
		return err->code;
	net->captures = captures_new(net, err);
	if (net->captures == NULL)
		return err->code;
	rc = open_listeners(net, err);
	if (rc != E_OK)
		return rc;
	rc = sandbox_net_apply((enum sandbox_mode)net->setup.config.sandbox, err);
	if (rc != E_OK)
		return rc;
	net->call = priv_call_new(net->loop, PRIV_BOUNDARY_FD, &events, net, err);
	return net->call == NULL ? err->code : E_OK;
}

static void
release(struct net *net)
{
	for (int i = 0; i < PRIV_MAX_LISTENERS; i++)
		listener_free(net->listeners[i]);
	session_close_all(net);
	own_addresses_close(net);
	link_watch_free(net->link_watch);
	priv_call_free(net->call);
	captures_free(net->captures);
	loop_free(net->loop);
	tls_free(net->tls);
	priv_setup_close(&net->setup);
}

static int
serve(void)
{
	struct net net;
	struct err err, why;

	memset(&net, 0, sizeof(net));
	if (priv_call_receive_setup(PRIV_BOUNDARY_FD, &net.setup, &err) != E_OK) {
		log_err(LOG_MAIN, "setup: %s", err.what);
		return 1;
	}
	if (prepare(&net, &why) != E_OK) {
		/* capagent says it: once, in the line that ends the start. */
		(void)priv_call_send_failed(PRIV_BOUNDARY_FD, &why, &err);
		return 1;
	}
	priv_setup_close(&net.setup);
	if (priv_call_send_ready(PRIV_BOUNDARY_FD, &err) != E_OK ||
	    loop_run(net.loop, &err) != E_OK) {
		log_err(LOG_MAIN, "%s", err.what);
		return 1;
	}
	release(&net);
	return 0;
}

int
main(int argc, char *argv[])
{
	log_init("capagent-net");
	/* A terminal's Ctrl-C reaches both processes: capagent decides. */
	signal(SIGINT, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	if (compile_role_is_asked(argc, argv))
		return compile_role_main(argc, argv);
	return serve();
}
