#include "server/net_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/fdpass.h"

enum {
	/* In the child, from here on nothing is open: 3 is the boundary. */
	PROGRAM_FD = PRIV_BOUNDARY_FD + 1,
	/* Loading certificates takes milliseconds; this is a machine in trouble. */
	READY_TIMEOUT_MS = 30000,
};

#define PROGRAM "capagent-net"

/* --- finding it --- */

/* The folder of our own executable, with a slash; "" when unknown. */
static void
own_folder(char *dst, size_t size)
{
	ssize_t len = readlink("/proc/self/exe", dst, size - 1);
	char *slash;

	dst[len > 0 ? len : 0] = '\0';
	slash = strrchr(dst, '/');
	if (slash != NULL)
		slash[1] = '\0';
	else
		dst[0] = '\0';
}

int
net_spawn_find(int *ret_fd, struct err *err)
{
	static const char *const places[] = { PROGRAM, CAP_LIBEXEC_FROM_SBIN "/" PROGRAM };
	char folder[4096], path[sizeof(folder) + sizeof(CAP_LIBEXEC_FROM_SBIN "/" PROGRAM)];
	int fd = -1;

	own_folder(folder, sizeof(folder));
	if (folder[0] == '\0')
		return err_set(err, E_SYS, PROGRAM ": find: capagent's own place is unknown: "
		    "is /proc mounted?");
	for (size_t i = 0; fd == -1 && i < ARRAY_LEN(places); i++) {
		snprintf(path, sizeof(path), "%s%s", folder, places[i]);
		fd = open(path, O_PATH | O_CLOEXEC);
	}
	if (fd == -1)
		return err_sys(err, PROGRAM ": find, in '%.60s' and in '" CAP_LIBEXEC_FROM_SBIN
		    "' from there", folder);
	*ret_fd = fd;
	return E_OK;
}

/* --- between fork and exec --- */

struct start {
	int		 program_fd;
	const struct drop_user *user;
	char *const	*argv;
	int		 in_fd, out_fd;		/* -1: /dev/null */
	int		 err_fd;		/* -1: stays */
	int		 boundary_fd;		/* -1: none */
	pid_t		 parent;
};

/* Above all numbers that something is put at. */
static int
move_up(int fd)
{
	return fd == -1 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, PROGRAM_FD + 1);
}

/* The reading process, which opens nothing to write, has both. */
static int
open_nothing(const struct start *start)
{
	return open("/dev/null", (start->in_fd == -1 || start->out_fd == -1 ? O_RDWR :
	    O_RDONLY) | O_CLOEXEC);
}

static int
arrange_fds(const struct start *start, struct err *err)
{
	int null_fd = open_nothing(start);
	int nothing = move_up(null_fd);
	int program = move_up(start->program_fd), boundary = move_up(start->boundary_fd);
	int in = move_up(start->in_fd), out = move_up(start->out_fd);
	int errs = move_up(start->err_fd);

	if (nothing == -1 || program == -1 || (start->boundary_fd != -1 && boundary == -1))
		return err_sys(err, PROGRAM ": arrange descriptors");
	if (dup2(in != -1 ? in : nothing, STDIN_FILENO) == -1 ||
	    dup2(out != -1 ? out : nothing, STDOUT_FILENO) == -1 ||
	    (errs != -1 && dup2(errs, STDERR_FILENO) == -1) ||
	    (boundary != -1 && dup2(boundary, PRIV_BOUNDARY_FD) == -1) ||
	    dup3(program, PROGRAM_FD, O_CLOEXEC) == -1)
		return err_sys(err, PROGRAM ": arrange descriptors");
	if (boundary == -1)
		close(PRIV_BOUNDARY_FD);
	if (close_range(PROGRAM_FD + 1, ~0U, 0) == -1)
		return err_sys(err, PROGRAM ": close descriptors");
	return E_OK;
}

/*
 * The terminal's and the service manager's signals go to all processes, but
 * the end comes by message; a closed connection is an error, not a signal.
 */
static void
reset_signals(void)
{
	const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE };
	sigset_t none;

	for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Nothing is inherited but the language of messages. */
static void
make_environment(char *env[8])
{
	static const char *const kept[] = {
		"LANG",
#ifdef CAP_SANITIZED
		"ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS",
#endif
	};
	static char text[ARRAY_LEN(kept)][512];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
		const char *value = getenv(kept[i]);

		if (value == NULL)
			continue;
		snprintf(text[n], sizeof(text[n]), "%s=%s", kept[i], value);
		env[n] = text[n];
		n++;
	}
	env[n] = NULL;
}

/* Returns only when it fails. */
static int
become(const struct start *start, struct err *err)
{
	char *env[8];
	int ret;

	make_environment(env);
	reset_signals();
	ret = arrange_fds(start, err);
	if (ret == E_OK)
		ret = drop_to_user(start->user, start->parent, err);
	if (ret != E_OK)
		return ret;
	execveat(PROGRAM_FD, "", start->argv, env, AT_EMPTY_PATH);
	return err_sys(err, PROGRAM ": start as user '%s'", start->user->name);
}

static void
report(const struct start *start, const struct err *err)
{
	struct priv_result msg = {
		.hdr = { .build_id = priv_build_id(), .type = PRIV_FAILED },
		.code = err->code,
		.sys = err->sys,
	};

	if (start->boundary_fd == -1) {
		dprintf(STDERR_FILENO, "%s\n", err->what);
		return;
	}
	memcpy(msg.text, err->what, sizeof(msg.text));
	if (fdpass_send(PRIV_BOUNDARY_FD, &msg, sizeof(msg), -1, NULL) != E_OK)
		dprintf(STDERR_FILENO, "%s\n", err->what);
}

static int
fork_and_become(struct start *start, pid_t *ret_pid, struct err *err)
{
	struct err why;
	pid_t pid;

	start->parent = getpid();
	pid = fork();
	if (pid == -1)
		return err_sys(err, PROGRAM ": fork");
	if (pid == 0) {
		(void)become(start, &why);
		report(start, &why);
		_exit(127);
	}
	*ret_pid = pid;
	return E_OK;
}

int
net_spawn_start(int program_fd, const struct drop_user *user, struct net_child *ret_child,
    struct err *err)
{
	static char name[] = PROGRAM;
	static char *const argv[] = { name, NULL };
	struct start start = {
		.program_fd = program_fd, .user = user, .argv = argv,
		.in_fd = -1, .out_fd = -1, .err_fd = -1,
	};
	int pair[2], ret;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		return err_sys(err, "boundary: socketpair");
	start.boundary_fd = pair[1];
	ret = fork_and_become(&start, &pid, err);
	close(pair[1]);
	if (ret == E_OK && fcntl(pair[0], F_SETFL, O_NONBLOCK) == -1)
		ret = err_sys(err, "boundary: make non-blocking");
	if (ret != E_OK) {
		close(pair[0]);
		return ret;
	}
	*ret_child = (struct net_child){ .pid = pid, .fd = pair[0] };
	return E_OK;
}

int
net_spawn_compile(int program_fd, const struct drop_user *user, const char *link_type,
    int in_fd, int out_fd, pid_t *ret_pid, struct err *err)
{
	static char name[] = PROGRAM, option[] = "--compile";
	char type[16];
	char *const argv[] = { name, option, type, NULL };
	struct start start = {
		.program_fd = program_fd, .user = user, .argv = argv,
		.in_fd = in_fd, .out_fd = out_fd, .err_fd = out_fd, .boundary_fd = -1,
	};

	snprintf(type, sizeof(type), "%s", link_type);
	return fork_and_become(&start, ret_pid, err);
}

/* --- setup --- */

static int
send_msg(const struct net_child *child, union priv_msg *msg, enum priv_msg_type type,
    int fd, struct err *err)
{
	priv_msg_init(msg, type, 0);
	return fdpass_send(child->fd, msg, priv_msg_size(type), fd, err);
}

static int
send_config(const struct net_child *child, const struct net_setup *setup,
    union priv_msg *msg, struct err *err)
{
	const struct policy *policy = setup->policy;
	struct priv_setup_config *m = &msg->config;

	*m = (struct priv_setup_config){
		.ring_memory = policy->ring_memory,
		.log_memory = policy->log_memory,
		.max_captures = policy->max_captures,
		.max_interfaces = policy->max_interfaces,
		.max_snaplen = policy->max_snaplen,
		.max_linger_s = policy->max_linger_s,
		.mark = policy->mark,
		.sandbox = (uint32_t)setup->sandbox,
		.promiscuous = policy->promiscuous,
		.has_config = policy->has_file,
		.has_mandatory = policy->mandatory_filter[0] != '\0',
		.namespaces = policy->namespaces,
		.hardware_timestamps = policy->hardware_timestamps,
	};
	snprintf(m->log_spec, sizeof(m->log_spec), "%s", setup->log_spec);
	return send_msg(child, msg, PRIV_SETUP_CONFIG, -1, err);
}

static int
send_file(const struct net_child *child, union priv_msg *msg, enum priv_msg_type type,
    int fd, const char *name, struct err *err)
{
	memset(&msg->file, 0, sizeof(msg->file));
	snprintf(msg->file.name, sizeof(msg->file.name), "%s", name);
	return send_msg(child, msg, type, fd, err);
}

static int
send_all(const struct net_child *child, const struct net_setup *setup, union priv_msg *msg,
    struct err *err)
{
	int ret = send_config(child, setup, msg, err);

	for (unsigned i = 0; ret == E_OK && i < setup->n_listeners; i++) {
		memset(&msg->listener, 0, sizeof(msg->listener));
		memcpy(msg->listener.address, setup->listeners[i].address, PRIV_ADDRESS_LEN);
		ret = send_msg(child, msg, PRIV_SETUP_LISTENER, setup->listeners[i].fd, err);
	}
	if (ret == E_OK)
		ret = send_file(child, msg, PRIV_SETUP_CERT, setup->cert_fd,
		    setup->policy->cert, err);
	if (ret == E_OK)
		ret = send_file(child, msg, PRIV_SETUP_KEY, setup->key_fd,
		    setup->policy->key, err);
	if (ret == E_OK)
		ret = send_file(child, msg, PRIV_SETUP_CA, setup->ca_fd,
		    setup->policy->ca, err);
	if (ret == E_OK) {
		memset(&msg->plain, 0, sizeof(msg->plain));
		ret = send_msg(child, msg, PRIV_SETUP_DONE, -1, err);
	}
	return ret;
}

static int
send_setup(const struct net_child *child, const struct net_setup *setup, bool is_reload,
    struct err *err)
{
	union priv_msg *msg = calloc(1, sizeof(*msg));
	int ret = E_OK;

	if (msg == NULL)
		return err_set(err, E_NOMEM, PROGRAM ": set up: out of memory");
	if (is_reload)
		ret = send_msg(child, msg, PRIV_RELOAD, -1, err);
	if (ret == E_OK)
		ret = send_all(child, setup, msg, err);
	free(msg);
	/* A child that ended early has said why, or its silence is the news. */
	return ret == E_PEERGONE ? E_OK : ret;
}

int
net_spawn_send_setup(const struct net_child *child, const struct net_setup *setup,
    struct err *err)
{
	return send_setup(child, setup, false, err);
}

int
net_spawn_send_reload(const struct net_child *child, const struct net_setup *setup,
    struct err *err)
{
	return send_setup(child, setup, true, err);
}

static int
judge_answer(const union priv_msg *msg, struct err *err)
{
	if (msg->hdr.type == PRIV_READY)
		return E_OK;
	if (msg->hdr.type == PRIV_FAILED && msg->result.code != E_OK) {
		err_set(err, msg->result.code, "%s", msg->result.text);
		if (err != NULL)
			err->sys = msg->result.sys;
		return msg->result.code;
	}
	return err_set(err, E_BADMSG, "boundary: %s: neither READY nor FAILED",
	    priv_msg_name(msg->hdr.type));
}

int
net_spawn_wait_ready(const struct net_child *child, struct err *err)
{
	struct pollfd pfd = { .fd = child->fd, .events = POLLIN };
	union priv_msg *msg = calloc(1, sizeof(*msg));
	size_t len = 0;
	int fd = -1, ret;

	if (msg == NULL)
		return err_set(err, E_NOMEM, PROGRAM ": set up: out of memory");
	if (poll(&pfd, 1, READY_TIMEOUT_MS) != 1)
		ret = err_set(err, E_TIMEOUT, PROGRAM ": start: not ready after %d s",
		    READY_TIMEOUT_MS / 1000);
	else
		ret = fdpass_recv(child->fd, msg, sizeof(*msg), &len, &fd, err);
	if (ret == E_EOF)
		ret = err_set(err, E_PEERGONE, PROGRAM ": start: ended before it was ready");
	if (ret == E_OK)
		ret = priv_msg_check(msg, len, fd != -1, err);
	if (fd != -1)
		close(fd);
	if (ret == E_OK)
		ret = judge_answer(msg, err);
	free(msg);
	return ret;
}
