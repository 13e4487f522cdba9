#include "server/supervise.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"

enum {
	/* Captures drain what the kernel holds and tell their clients. */
	END_MS = 4500,
	/* After its boundary is closed, a child has nothing left to wait for. */
	GONE_MS = 500,
};

struct watch {
	struct priv_serve *serve;
	struct net_child *child;
	struct reload	*reload;	/* may be NULL */
	int		 signal_fd;
	bool		 is_ending;
	bool		 is_reaped;
	int		 status;		/* of wait(), once reaped */
	struct mono_ns	 deadline;	/* while ending */
};

void
supervise_hold_hangup(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	signal(SIGHUP, SIG_DFL);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

int
supervise_open_signals(int *ret_fd, struct err *err)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL) == -1)
		return err_sys(err, "signals: block");
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd == -1)
		return err_sys(err, "signals: signalfd");
	*ret_fd = fd;
	return E_OK;
}

static int64_t
left_ms(const struct watch *w)
{
	int64_t ns = mono_diff_ns(w->deadline, clock_mono());

	return ns > 0 ? ns / NS_PER_MS + 1 : 0;
}

static void
set_deadline(struct watch *w, int64_t ms)
{
	w->deadline.ns = clock_mono().ns + ms * NS_PER_MS;
}

/* Ask for the end, once; a child that is gone needs no asking. */
static void
start_end(struct watch *w)
{
	struct err err;

	if (w->is_ending)
		return;
	w->is_ending = true;
	set_deadline(w, END_MS);
	if (priv_serve_send_end(w->serve, &err) != E_OK)
		log_debug(LOG_PRIV, "%s", err.what);
}

static void
reap(struct watch *w)
{
	if (!w->is_reaped && waitpid(w->child->pid, &w->status, WNOHANG) == w->child->pid)
		w->is_reaped = true;
}

static void
take_signals(struct watch *w)
{
	struct signalfd_siginfo info;

	while (read(w->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGCHLD) {
			if (w->reload != NULL)
				reload_child_ended(w->reload);
			continue;
		}
		if (info.ssi_signo == SIGHUP) {
			if (w->reload != NULL)
				reload_ask(w->reload);
			continue;
		}
		if (!w->is_ending)
			log_info(LOG_PRIV, "SIG%s: ending captures",
			    sigabbrev_np((int)info.ssi_signo));
		start_end(w);
	}
	reap(w);
}

/* Wait for signals alone until the child is reaped or the time is over. */
static void
wait_for_child(struct watch *w, int64_t ms)
{
	struct pollfd pfd = { .fd = w->signal_fd, .events = POLLIN };

	set_deadline(w, ms);
	reap(w);
	while (!w->is_reaped && left_ms(w) > 0) {
		(void)poll(&pfd, 1, (int)left_ms(w));
		take_signals(w);
	}
}

/* One sleep and what woke us.  E_EOF when the child closed the boundary. */
static int
turn(struct watch *w, struct err *err)
{
	struct pollfd pfds[3] = {
		{ .fd = w->signal_fd, .events = POLLIN },
		{ .fd = w->child->fd },
		{ .fd = -1, .events = POLLIN },
	};
	int wait_ms, ret = E_OK;

	pfds[1].events = priv_serve_events(w->serve, &wait_ms);
	if (w->reload != NULL) {
		pfds[2].fd = reload_fd(w->reload);
		if (reload_wants_room(w->reload))
			pfds[1].events |= POLLOUT;
	}
	if (wait_ms != -1)
		pfds[1].fd = -1;
	if (w->is_ending && (wait_ms == -1 || wait_ms > left_ms(w)))
		wait_ms = (int)left_ms(w);
	if (poll(pfds, ARRAY_LEN(pfds), wait_ms) == -1 && errno != EINTR)
		return err_sys(err, "poll");
	if (pfds[0].revents != 0)
		take_signals(w);
	if (pfds[1].revents != 0)
		ret = priv_serve_turn(w->serve, err);
	/* What is ending is left as it is. */
	if (ret == E_OK && w->reload != NULL && !w->is_ending)
		ret = reload_turn(w->reload, err);
	return ret;
}

static int
describe_end(const struct watch *w, struct err *err)
{
	if (!w->is_reaped)
		return err_set(err, E_TIMEOUT, "capagent-net: end: still there after %d ms: "
		    "it is killed with this process", END_MS);
	if (WIFEXITED(w->status) && WEXITSTATUS(w->status) == 0 && w->is_ending)
		return E_OK;
	if (WIFSIGNALED(w->status) && WTERMSIG(w->status) == SIGSYS)
		return err_set(err, E_PEERGONE, "capagent-net: ended by its sandbox (SIGSYS): "
		    "broken or attacked: see the kernel's audit log");
	if (WIFSIGNALED(w->status))
		return err_set(err, E_PEERGONE, "capagent-net: ended by signal %d (%s)",
		    WTERMSIG(w->status), strsignal(WTERMSIG(w->status)));
	return err_set(err, E_PEERGONE, "capagent-net: ended with exit status %d",
	    WEXITSTATUS(w->status));
}

static void
close_boundary(struct watch *w)
{
	if (w->child->fd != -1)
		close(w->child->fd);
	w->child->fd = -1;
}

static int
run(struct watch *w, struct err *err)
{
	int ret = E_OK;

	while (ret == E_OK && !w->is_reaped && (!w->is_ending || left_ms(w) > 0))
		ret = turn(w, err);
	close_boundary(w);
	wait_for_child(w, GONE_MS);
	if (ret != E_OK && ret != E_EOF)
		return ret;
	return describe_end(w, err);
}

int
supervise_run(struct priv_serve *serve, struct net_child *child, int signal_fd,
    struct reload *reload, struct err *err)
{
	struct watch w = {
		.serve = serve, .child = child, .signal_fd = signal_fd, .reload = reload,
	};

	return run(&w, err);
}

int
supervise_end(struct priv_serve *serve, struct net_child *child, int signal_fd,
    struct err *err)
{
	struct watch w = { .serve = serve, .child = child, .signal_fd = signal_fd };

	start_end(&w);
	return run(&w, err);
}
