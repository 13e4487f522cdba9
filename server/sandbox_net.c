#include "server/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/netlink.h>

#include "server/sandbox_int.h"

#define SETSOCKOPT(option)						\
	ALLOW2(setsockopt, SANDBOX_ARG_EQ(1, SOL_SOCKET), SANDBOX_ARG_EQ(2, option))

/*
 * What is not here matters most: no bind, connect, listen; no sendmsg and
 * sendto only without an address, because a packet socket would send frames
 * to any interface; of setsockopt nothing that touches filters or packet
 * sockets; of socket only rtnetlink; of clone only threads.
 */
static const struct sandbox_rule rules[] = {
	/* events and threads; clone3 is refused by a filter of its own */
	ALLOW(epoll_create1), ALLOW(epoll_ctl), ALLOW(epoll_wait), ALLOW(epoll_pwait),
	ALLOW(epoll_pwait2), ALLOW(eventfd2), ALLOW(pipe2),
	ALLOW(timerfd_create), ALLOW(timerfd_settime), ALLOW(timerfd_gettime),
	ALLOW(clone3),
	ALLOW1(clone, SANDBOX_ARG_MASKED(0, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM)),
	ALLOW(set_robust_list), ALLOW(rseq), ALLOW(sched_yield), ALLOW(sched_getaffinity),
	ALLOW(membarrier), ALLOW(getcpu), ALLOW(getrusage),
	ALLOW1(prctl, SANDBOX_ARG_EQ(0, PR_SET_NAME)),
	/* who and where we are: OpenSSL and the hello ask */
	ALLOW(getuid), ALLOW(geteuid), ALLOW(getgid), ALLOW(getegid), ALLOW(uname),
	/* certificates of a reload, which come open */
	ALLOW(pread64),
	/* connections */
	ALLOW(accept4), ALLOW(getpeername), ALLOW(shutdown), ALLOW(readv), ALLOW(writev),
	ALLOW1(sendto, SANDBOX_ARG_EQ(4, 0)),
	ALLOW1(setsockopt, SANDBOX_ARG_EQ(1, IPPROTO_TCP)),
	SETSOCKOPT(SO_KEEPALIVE), SETSOCKOPT(SO_LINGER), SETSOCKOPT(SO_SNDBUF),
	SETSOCKOPT(SO_RCVBUF), SETSOCKOPT(SO_RCVLOWAT),
	ALLOW1(fcntl, SANDBOX_ARG_EQ(1, F_GETFL)), ALLOW1(fcntl, SANDBOX_ARG_EQ(1, F_SETFL)),
	ALLOW1(fcntl, SANDBOX_ARG_EQ(1, F_GETFD)), ALLOW1(fcntl, SANDBOX_ARG_EQ(1, F_SETFD)),
	ALLOW1(ioctl, SANDBOX_ARG_EQ(1, FIONREAD)),
	/* interface lists */
	ALLOW2(socket, SANDBOX_ARG_EQ(0, AF_NETLINK), SANDBOX_ARG_EQ(2, NETLINK_ROUTE)),
};

/*
 * clone3 hides its flags in memory, so libc is told to take clone.  It asks
 * again for every thread: a filter of its own, because all refusals of the
 * large one are logged.
 */
static int
refuse_clone3(struct err *err)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int ret = ctx != NULL ? 0 : -ENOMEM;

	if (ret == 0)
		ret = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (ret == 0)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (ret == 0)
		ret = seccomp_load(ctx);
	if (ctx != NULL)
		seccomp_release(ctx);
	if (ret != 0) {
		errno = -ret;
		return err_sys(err, "sandbox: load seccomp filter");
	}
	return E_OK;
}

int
sandbox_net_apply(enum sandbox_mode mode, struct err *err)
{
	/* abort() must work, but reach nobody else. */
	const struct sandbox_rule own_signal =
	    ALLOW1(tgkill, SANDBOX_ARG_EQ(0, getpid()));
	struct sandbox_rule all[ARRAY_LEN(rules) + 1];

	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		all[i] = rules[i];
	all[ARRAY_LEN(rules)] = own_signal;
	/* The exec forgot it; leak checkers of sanitizer builds must attach. */
	if (mode != SANDBOX_OFF && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		return err_sys(err, "sandbox: make undumpable");
	if (mode == SANDBOX_ENFORCE && refuse_clone3(err) != E_OK)
		return err != NULL ? err->code : E_SYS;
	return sandbox_load(mode, sandbox_basic, sandbox_basic_len, all, ARRAY_LEN(all), err);
}

int
sandbox_compile_apply(struct err *err)
{
	static const int refused[] = {
		SCMP_SYS(socket), SCMP_SYS(socketpair), SCMP_SYS(execve), SCMP_SYS(execveat),
		SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev),
		SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(io_uring_setup), SCMP_SYS(bpf),
		SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(rename), SCMP_SYS(renameat),
		SCMP_SYS(renameat2), SCMP_SYS(kill), SCMP_SYS(setns), SCMP_SYS(unshare),
	};
	scmp_filter_ctx ctx;
	int ret;

	if (sandbox_mode_default() == SANDBOX_OFF)
		return E_OK;
	ctx = seccomp_init(SCMP_ACT_ALLOW);
	ret = ctx != NULL ? 0 : -ENOMEM;
	for (size_t i = 0; ret == 0 && i < ARRAY_LEN(refused); i++)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EACCES), refused[i], 0);
	if (ret == 0)
		ret = seccomp_load(ctx);
	if (ctx != NULL)
		seccomp_release(ctx);
	if (ret != 0) {
		errno = -ret;
		return err_sys(err, "sandbox: load seccomp filter of the compile role");
	}
	return E_OK;
}
