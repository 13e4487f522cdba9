#include "server/reread_int.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/fdpass.h"
#include "server/mandatory.h"
#include "server/sandbox.h"

/* Everything but the standard streams and these two. */
static int
close_others(int a, int b)
{
	unsigned low = (unsigned)(a < b ? a : b), high = (unsigned)(a < b ? b : a);

	if (low > STDERR_FILENO + 1U && close_range(STDERR_FILENO + 1U, low - 1, 0) == -1)
		return -1;
	if (high > low + 1 && close_range(low + 1, high - 1, 0) == -1)
		return -1;
	return close_range(high + 1, ~0U, 0);
}

static int
prepare(const struct reread_job *job, int sock, pid_t parent, struct err *err)
{
	const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE };
	sigset_t none;
	int ret;

	/* capagent decides about the end. */
	for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_NAME, "capagent-reread");
	if (close_others(sock, job->program_fd) == -1)
		return err_sys(err, "close descriptors");
	ret = drop_to_reread(parent, err);
	return ret == E_OK ? sandbox_reread_apply(job->options->sandbox, err) : ret;
}

/*
 * As a start does it.  In memory of this process: whoever took over capagent
 * could change the shared one at any moment.
 */
static int
read_all(const struct reread_job *job, struct reread_shared *found,
    struct credentials *ret_credentials, struct err *err)
{
	int ret;

	memset(found, 0, sizeof(*found));
	ret = agent_options_policy(job->options, &found->policy, err);
	if (ret == E_OK)
		ret = credentials_open(&found->policy, ret_credentials, err);
	if (ret != E_OK)
		return ret;
	ret = mandatory_compile_policy(&found->policy, job->program_fd, job->user,
	    &found->mandatory, err);
	if (ret != E_OK)
		credentials_close(ret_credentials);
	return ret;
}

static int
send_files(int sock, const struct credentials *c)
{
	const struct reread_answer answer = { .code = E_OK };
	const int fds[REREAD_FILES] = { c->cert_fd, c->key_fd, c->ca_fd };
	int ret = E_OK;

	for (size_t i = 0; ret == E_OK && i < ARRAY_LEN(fds); i++)
		ret = fdpass_send(sock, &answer, sizeof(answer), fds[i], NULL);
	return ret;
}

static int
send_result(int sock, const struct err *why)
{
	struct reread_answer answer = { .code = why->code, .sys = why->sys };

	memcpy(answer.text, why->what, sizeof(answer.text));
	return fdpass_send(sock, &answer, sizeof(answer), -1, NULL);
}

static int
serve_one(const struct reread_job *job, int sock, struct reread_shared *shared)
{
	static struct reread_shared found;
	struct credentials credentials;
	struct err why;
	int ret;

	if (read_all(job, &found, &credentials, &why) != E_OK)
		return send_result(sock, &why);
	memcpy(shared, &found, sizeof(*shared));
	ret = send_files(sock, &credentials);
	credentials_close(&credentials);
	return ret;
}

void
reread_role(const struct reread_job *job, int sock, struct reread_shared *shared, pid_t parent)
{
	struct err err = { .code = E_OK };
	char ask;
	int ret = prepare(job, sock, parent, &err);

	/* Unconfined it must not run, and nor must the agent. */
	if (send_result(sock, &err) != E_OK || ret != E_OK)
		_exit(1);
	while (recv(sock, &ask, sizeof(ask), 0) == (ssize_t)sizeof(ask))
		if (serve_one(job, sock, shared) != E_OK)
			break;
	_exit(0);
}
