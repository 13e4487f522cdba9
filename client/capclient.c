/*
 * capclient - capture packets from a remote sensor.
 *
 * Unprivileged.  Parses the command line, loads certificates, compiles the
 * filter, then asks or captures.
 */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "client/ask.h"
#include "client/certs.h"
#include "client/collect.h"
#include "client/exit.h"
#include "client/options.h"
#include "client/programs.h"
#include "client/ui_text.h"
#include "common/log.h"
#include "common/tls.h"

static enum exit_status
complain(const struct err *err)
{
	struct ui_text ui;

	ui_text_init(&ui, stderr, true);
	ui_text_message(&ui, err->what);
	return exit_status_of(err->code);
}

static struct tls *
load_tls(const struct options *opt, struct err *err)
{
	struct certs certs;
	struct tls_files files;
	struct tls *tls;

	if (certs_open(opt->cert, opt->key, opt->ca, &certs, err) != E_OK)
		return NULL;
	files = (struct tls_files){
		.cert_fd = certs.fd[CERTS_CERT], .cert_name = certs.path[CERTS_CERT],
		.key_fd = certs.fd[CERTS_KEY], .key_name = certs.path[CERTS_KEY],
		.ca_fd = certs.fd[CERTS_CA], .ca_name = certs.path[CERTS_CA],
	};
	tls = tls_new(TLS_CLIENT, &files, err);
	certs_close(&certs);
	return tls;
}

/* Is the filter needed? */
static bool
has_filter(const struct options *opt)
{
	return opt->action == OPTIONS_CAPTURE || opt->action == OPTIONS_PLAN;
}

static enum exit_status
run(const struct options *opt)
{
	struct programs programs = { .n = 0 };
	enum exit_status status;
	struct tls *tls;
	struct err err;

	const char *log_spec = opt->log_spec != NULL ? opt->log_spec :
	    opt->verbose > 0 ? "debug:sensor" : "info";

	if (log_set(log_spec, &err) != E_OK)
		return complain(&err);
	/* A filter that is none fails before anything is sent. */
	if (has_filter(opt) && programs_init(&programs, opt, &err) != E_OK)
		return complain(&err);
	tls = load_tls(opt, &err);
	if (tls == NULL)
		status = complain(&err);
	else if (opt->action == OPTIONS_CAPTURE)
		status = collect_run(opt, &programs, tls);
	else
		status = ask_run(opt, &programs, tls);
	tls_free(tls);
	programs_fini(&programs);
	return status;
}

int
main(int argc, char *argv[])
{
	struct options opt;
	enum exit_status status = EXIT_FAILED;
	struct err err;

	log_init("capclient");
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);	/* a file size limit is an error of write() */
	if (options_parse(argc, argv, isatty(STDOUT_FILENO) == 1, &opt,
	    &err) != E_OK)
		return (int)complain(&err);
	switch (opt.action) {
	case OPTIONS_HELP:
		options_print_help(stdout);
		status = EXIT_COMPLETE;
		break;
	case OPTIONS_VERSION:
		options_print_version(stdout, opt.verbose > 0);
		status = EXIT_COMPLETE;
		break;
	case OPTIONS_CAPTURE:
	case OPTIONS_LIST:
	case OPTIONS_LIST_LINK_TYPES:
	case OPTIONS_LIST_TIME_STAMPS:
	case OPTIONS_PLAN:
		status = run(&opt);
		break;
	}
	options_free(&opt);
	return (int)status;
}
