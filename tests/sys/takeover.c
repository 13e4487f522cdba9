/*
 * takeover - what an attacker can do who has taken over capagent-net.
 *
 * Installed as "capagent-net" beside a copy of capagent, so that it is
 * started, dropped and set up like the real one.  Under the real sandbox and
 * with a real capture in its hands it tries what it must not be able to do,
 * one line per attempt on stderr, and says at the end whether all was
 * refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>

#include "server/fdpass.h"
#include "server/priv_call.h"
#include "server/sandbox.h"

#define INTERFACE "tko0"

static unsigned n_bad;
static int capture = -1;	/* the descriptor an attacker would hold */
static pid_t capagent;

static void
say(bool is_good, const char *name, const char *how)
{
	if (!is_good)
		n_bad++;
	fprintf(stderr, "takeover: %s: %s: %s\n", is_good ? "refused" : "POSSIBLE", name, how);
}

static void
must(int ret, const struct err *err)
{
	if (ret == E_OK)
		return;
	fprintf(stderr, "takeover: broken: %s\n", err->what);
	_exit(1);
}

/* --- calls that end the process: each in a sandboxed child of its own --- */

static void try_execve(void) { syscall(SYS_execve, "/bin/true", NULL, NULL); }
static void try_execveat(void) { syscall(SYS_execveat, -1, "/bin/true", NULL, NULL, 0); }
static void try_ptrace(void) { syscall(SYS_ptrace, 16, capagent, NULL, NULL); }
static void try_process_vm(void) { syscall(SYS_process_vm_writev, capagent, NULL, 0, NULL, 0, 0); }
static void try_pidfd_getfd(void) { syscall(SYS_pidfd_getfd, 0, 0, 0); }
static void try_io_uring(void) { syscall(SYS_io_uring_setup, 8, NULL); }
static void try_bpf(void) { syscall(SYS_bpf, 0, NULL, 0); }
static void try_mount(void) { syscall(SYS_mount, NULL, NULL, NULL, 0, NULL); }
static void try_setns(void) { syscall(SYS_setns, 0, 0); }
static void try_unshare(void) { syscall(SYS_unshare, CLONE_NEWUSER); }
static void try_keyctl(void) { syscall(SYS_keyctl, 0, 0, 0, 0, 0); }
static void try_perf(void) { syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0); }
static void try_userfaultfd(void) { syscall(SYS_userfaultfd, 0); }
static void try_module(void) { syscall(SYS_finit_module, 0, "", 0); }
static void try_kexec(void) { syscall(SYS_kexec_load, 0, 0, NULL, 0); }
static void try_chroot(void) { syscall(SYS_chroot, "/"); }

static const struct deadly { const char *name; void (*attempt)(void); } deadly[] = {
	{ "execve", try_execve }, { "execveat", try_execveat }, { "ptrace", try_ptrace },
	{ "process_vm_writev", try_process_vm }, { "pidfd_getfd", try_pidfd_getfd },
	{ "io_uring_setup", try_io_uring }, { "bpf", try_bpf }, { "mount", try_mount },
	{ "setns", try_setns }, { "unshare", try_unshare }, { "keyctl", try_keyctl },
	{ "perf_event_open", try_perf }, { "userfaultfd", try_userfaultfd },
	{ "finit_module", try_module }, { "kexec_load", try_kexec }, { "chroot", try_chroot },
};

static void
try_deadly(const struct deadly *d, enum sandbox_mode mode)
{
	struct err err;
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		must(sandbox_net_apply(mode, &err), &err);
		d->attempt();
		_exit(0);
	}
	if (pid == -1 || waitpid(pid, &status, 0) != pid) {
		say(false, d->name, "could not be tried");
		return;
	}
	say(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, d->name,
	    WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "survived");
}

/* --- calls that answer an error --- */

static void
expect_refused(const char *name, long ret)
{
	int saved = errno;

	/* EBADF, EFAULT and the like would mean that the kernel looked at it. */
	say(ret == -1 && (saved == ENOSYS || saved == EACCES || saved == EPERM), name,
	    ret == -1 ? strerror(saved) : "succeeded");
}

static void
try_option(const char *name, int level, int option, const void *value, socklen_t len)
{
	expect_refused(name, setsockopt(capture, level, option, value, len));
}

static void
try_filters(void)
{
	struct sock_filter accept_all = { .code = BPF_RET | BPF_K, .k = 262144 };
	struct sock_fprog prog = { .len = 1, .filter = &accept_all };
	int zero = 0, one = 1;

	try_option("SO_DETACH_FILTER", SOL_SOCKET, SO_DETACH_FILTER, &zero, sizeof(zero));
	try_option("SO_ATTACH_FILTER", SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog));
	try_option("SO_ATTACH_BPF", SOL_SOCKET, SO_ATTACH_BPF, &zero, sizeof(zero));
	try_option("SO_ATTACH_REUSEPORT_CBPF", SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &prog,
	    sizeof(prog));
	try_option("SO_LOCK_FILTER", SOL_SOCKET, SO_LOCK_FILTER, &one, sizeof(one));
	try_option("SO_BINDTODEVICE", SOL_SOCKET, SO_BINDTODEVICE, "lo", 3);
	try_option("SO_MARK", SOL_SOCKET, SO_MARK, &zero, sizeof(zero));
}

static void
try_packet_options(void)
{
	struct packet_mreq mreq = { .mr_ifindex = 1, .mr_type = PACKET_MR_PROMISC };
	struct tpacket_req3 req = { .tp_block_size = 4096, .tp_block_nr = 1 };
	int value = 1;

	try_option("PACKET_ADD_MEMBERSHIP", SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mreq,
	    sizeof(mreq));
	try_option("PACKET_RX_RING", SOL_PACKET, PACKET_RX_RING, &req, sizeof(req));
	try_option("PACKET_TX_RING", SOL_PACKET, PACKET_TX_RING, &req, sizeof(req));
	try_option("PACKET_FANOUT", SOL_PACKET, PACKET_FANOUT, &value, sizeof(value));
	try_option("PACKET_IGNORE_OUTGOING", SOL_PACKET, PACKET_IGNORE_OUTGOING, &value,
	    sizeof(value));
	try_option("PACKET_QDISC_BYPASS", SOL_PACKET, PACKET_QDISC_BYPASS, &value,
	    sizeof(value));
	try_option("PACKET_VNET_HDR", SOL_PACKET, PACKET_VNET_HDR, &value, sizeof(value));
}

static void
try_other_interface(void)
{
	struct sockaddr_ll addr = {
		.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = 1,
	};
	char frame[60] = { 0 };
	struct iovec iov = { .iov_base = frame, .iov_len = sizeof(frame) };
	struct mmsghdr many = {
		.msg_hdr = {
			.msg_name = &addr, .msg_namelen = sizeof(addr),
			.msg_iov = &iov, .msg_iovlen = 1,
		},
	};

	expect_refused("bind to another interface",
	    bind(capture, (struct sockaddr *)&addr, sizeof(addr)));
	expect_refused("sendto another interface", sendto(capture, frame, sizeof(frame), 0,
	    (struct sockaddr *)&addr, sizeof(addr)));
	expect_refused("sendmsg to another interface", sendmsg(capture, &many.msg_hdr, 0));
	expect_refused("sendmmsg to another interface", sendmmsg(capture, &many, 1, 0));
}

static void
try_sockets(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(9) };

	expect_refused("socket AF_INET", socket(AF_INET, SOCK_STREAM, 0));
	expect_refused("socket AF_INET6", socket(AF_INET6, SOCK_DGRAM, 0));
	expect_refused("socket AF_UNIX", socket(AF_UNIX, SOCK_STREAM, 0));
	expect_refused("socket AF_PACKET", socket(AF_PACKET, SOCK_RAW, 0));
	expect_refused("socket AF_ALG", socket(AF_ALG, SOCK_SEQPACKET, 0));
	expect_refused("socket NETLINK_NETFILTER", socket(AF_NETLINK, SOCK_RAW, 12));
	expect_refused("connect", connect(capture, (struct sockaddr *)&addr, sizeof(addr)));
	expect_refused("listen", listen(capture, 1));
}

static void
try_files(void)
{
	expect_refused("open", syscall(SYS_open, "/etc/passwd", O_RDONLY));
	expect_refused("openat", openat(AT_FDCWD, "/etc/passwd", O_RDONLY));
	expect_refused("creat", syscall(SYS_creat, "/tmp/takeover", 0600));
	expect_refused("unlink", syscall(SYS_unlink, "/tmp/takeover"));
	expect_refused("mkdir", syscall(SYS_mkdir, "/tmp/takeover", 0700));
	expect_refused("chmod", syscall(SYS_chmod, "/tmp/takeover", 0700));
	expect_refused("memfd_create", syscall(SYS_memfd_create, "x", 0));
	expect_refused("ioctl SIOCGIFFLAGS", ioctl(capture, SIOCGIFFLAGS, NULL));
}

static void
try_processes(void)
{
	struct rlimit limit = { 0, 0 };

	expect_refused("fork", syscall(SYS_fork));
	expect_refused("clone without a thread", syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0));
	expect_refused("clone3", syscall(SYS_clone3, NULL, 0));
	expect_refused("kill capagent", kill(capagent, SIGTERM));
	expect_refused("tgkill capagent", syscall(SYS_tgkill, capagent, capagent, SIGTERM));
	expect_refused("pidfd_open", syscall(SYS_pidfd_open, capagent, 0));
	expect_refused("setuid", syscall(SYS_setuid, 0));
	expect_refused("capset", syscall(SYS_capset, NULL, NULL));
	expect_refused("prctl PR_SET_DUMPABLE", prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
	expect_refused("prctl PR_SET_PDEATHSIG", prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0));
	expect_refused("prlimit", syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, NULL));
}

static void
try_new_code(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	expect_refused("mmap PROT_EXEC", code == MAP_FAILED ? -1 : 0);
	expect_refused("mprotect PROT_EXEC", mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

/* --- the boundary --- */

static int
ask(union priv_msg *msg, enum priv_msg_type type, union priv_msg *reply, int *ret_fd)
{
	struct err err;
	size_t len;

	priv_msg_init(msg, type, 1);
	must(fdpass_send(PRIV_BOUNDARY_FD, msg, priv_msg_size(type), -1, &err), &err);
	must(fdpass_recv(PRIV_BOUNDARY_FD, reply, sizeof(*reply), &len, ret_fd, &err), &err);
	must(priv_msg_check(reply, len, *ret_fd != -1, &err), &err);
	return reply->open_reply.code;
}

static uint32_t
find_interface(const char *name)
{
	static union priv_msg msg, reply;
	int fd;

	if (ask(&msg, PRIV_LIST, &reply, &fd) != E_OK)
		return 0;
	for (uint32_t i = 0; i < reply.list_reply.n; i++)
		if (strcmp(reply.list_reply.interfaces[i].name, name) == 0)
			return reply.list_reply.interfaces[i].index;
	return 0;
}

static int
open_capture(uint32_t ifindex, uint32_t number, union priv_msg *reply, int *ret_fd)
{
	static union priv_msg msg;

	memset(&msg, 0, sizeof(msg));
	msg.open.capture = number;
	msg.open.ifindex = ifindex;
	msg.open.link_type = LINK_ETHERNET;
	msg.open.snaplen = PRIV_MAX_SNAPLEN;
	msg.open.ring_bytes = PRIV_MIN_RING;
	msg.open.lanes = 1;
	msg.open.program.n_insns = 1;
	msg.open.program.insns[0] = (struct bpf_insn_raw){ .code = 6, .k = 262144 };
	return ask(&msg, PRIV_OPEN, reply, ret_fd);
}

/* The capture is a real one: mapped, and its statistics can be read. */
static void
hold_capture(void)
{
	static union priv_msg reply;
	struct tpacket_stats_v3 stats;
	socklen_t len = sizeof(stats);
	size_t size;
	void *ring;
	uint32_t ifindex = find_interface(INTERFACE);

	if (ifindex == 0 || open_capture(ifindex, 1, &reply, &capture) != E_OK) {
		fprintf(stderr, "takeover: broken: open %s: %s\n", INTERFACE,
		    reply.open_reply.text);
		_exit(1);
	}
	size = (size_t)reply.open_reply.block_size * reply.open_reply.block_nr;
	ring = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, capture, 0);
	if (ring == MAP_FAILED ||
	    getsockopt(capture, SOL_PACKET, PACKET_STATISTICS, &stats, &len) == -1) {
		fprintf(stderr, "takeover: broken: the capture cannot be used: %s\n",
		    strerror(errno));
		_exit(1);
	}
}

/* What docs/PRIVSEP.md admits: a capture socket can also be written to. */
static void
show_known(void)
{
	static const char frame[60] = { 2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8, (char)0x88, (char)0xb5 };
	bool is_sent = write(capture, frame, sizeof(frame)) == (ssize_t)sizeof(frame);

	fprintf(stderr, "takeover: known: send on the captured interface: %s\n",
	    is_sent ? "possible" : strerror(errno));
}

/* capagent does not believe its child. */
static void
try_policy(void)
{
	static union priv_msg msg, reply;
	int fd = -1;

	say(find_interface("lo") == 0, "list an interface that is not permitted",
	    "not in the list");
	say(open_capture(1, 2, &reply, &fd) == E_DENIED && fd == -1,
	    "open an interface that is not permitted", reply.open_reply.text);
	memset(&msg, 0, sizeof(msg));
	msg.netns.kind = PRIV_NETNS_PID;
	msg.netns.number = (uint32_t)getpid();
	say(ask(&msg, PRIV_NETNS, &reply, &fd) == E_DENIED, "enter another network namespace",
	    reply.netns_reply.text);
	say(open_capture(find_interface(INTERFACE), 2, &reply, &fd) == E_LIMIT && fd == -1,
	    "more captures than permitted", reply.open_reply.text);
}

int
main(void)
{
	struct priv_setup setup;
	enum sandbox_mode mode;
	struct err err;

	capagent = getppid();
	must(priv_call_receive_setup(PRIV_BOUNDARY_FD, &setup, &err), &err);
	mode = (enum sandbox_mode)setup.config.sandbox;
	for (size_t i = 0; i < ARRAY_LEN(deadly); i++)
		try_deadly(&deadly[i], mode);

	must(sandbox_net_apply(mode, &err), &err);
	must(priv_call_send_ready(PRIV_BOUNDARY_FD, &err), &err);
	hold_capture();
	try_filters();
	try_packet_options();
	try_other_interface();
	try_sockets();
	try_files();
	try_processes();
	try_new_code();
	try_policy();
	show_known();
	fprintf(stderr, "takeover: %s\n", n_bad == 0 ? "all refused" : "NOT ALL REFUSED");
	_exit(n_bad == 0 ? 0 : 1);
}
