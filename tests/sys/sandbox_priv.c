/*
 * server/sandbox_priv on a real kernel: what capagent itself can no longer
 * do once it runs, and that it can still open a capture.  Needs root.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/if_packet.h>
#include <linux/sockios.h>

#include <cmocka.h>

#include "common/bpf_link.h"
#include "server/drop.h"
#include "server/priv_list.h"
#include "server/priv_open.h"
#include "server/sandbox.h"

/* How a process ended that ran attempt, confined with extra: its wait() status. */
static int
run_with(unsigned extra, int (*attempt)(void))
{
	int status = -1;
	pid_t pid = fork();

	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		struct err err;

		if (drop_to_net_raw(0, &err) != E_OK ||
		    sandbox_priv_apply(SANDBOX_ENFORCE, extra, &err) != E_OK)
			_exit(100);
		_exit(attempt());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int
run_confined(int (*attempt)(void))
{
	return run_with(0, attempt);
}

/* 0 when refused without reaching the kernel's code for the call. */
static int
judge(long ret)
{
	return ret == -1 && (errno == ENOSYS || errno == EACCES) ? 0 : 1;
}

static int try_set_flags(void) { return judge(ioctl(0, SIOCSIFFLAGS, NULL)); }
static int try_stamps(void) { return judge(ioctl(0, SIOCSHWTSTAMP, NULL)); }
static int try_open(void) { return judge(open("/etc/passwd", O_RDONLY)); }
static int try_creat(void) { return judge(syscall(SYS_creat, "/tmp/x", 0600)); }
static int try_inet(void) { return judge(socket(AF_INET, SOCK_STREAM, 0)); }
static int try_netlink(void) { return judge(socket(AF_NETLINK, SOCK_RAW, 0)); }
static int try_kill(void) { return judge(kill(getppid(), 0)); }
static int try_fork(void) { return judge(syscall(SYS_fork)); }
static int try_setuid(void) { return judge(syscall(SYS_setuid, 0)); }
static int try_capset(void) { return judge(syscall(SYS_capset, NULL, NULL)); }
static int try_connect(void) { return judge(connect(0, NULL, 0)); }
static int try_accept(void) { return judge(accept4(0, NULL, NULL, 0)); }

static int
try_detach(void)
{
	return judge(setsockopt(0, SOL_SOCKET, SO_DETACH_FILTER, "", 0));
}

static int
try_tx_ring(void)
{
	return judge(setsockopt(0, SOL_PACKET, PACKET_TX_RING, "", 0));
}

static int
try_exec_memory(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
	    MAP_FAILED ? 0 : 1;
}

static void
calls_it_does_not_need_are_refused(void **state)
{
	static int (*const attempts[])(void) = {
		try_open, try_creat, try_inet, try_netlink, try_kill, try_fork, try_setuid,
		try_capset, try_connect, try_accept, try_detach, try_tx_ring, try_exec_memory,
		try_set_flags, try_stamps,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(attempts); i++) {
		int status = run_confined(attempts[i]);

		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			fail_msg("attempt %zu: wait status %#x", i, status);
	}
}

static int try_execve(void) { return (int)syscall(SYS_execve, "/bin/true", NULL, NULL); }
static int try_ptrace(void) { return (int)syscall(SYS_ptrace, 0, 0, 0, 0); }
static int try_bpf(void) { return (int)syscall(SYS_bpf, 0, NULL, 0); }
static int try_setns(void) { return (int)syscall(SYS_setns, 0, 0); }

static void
an_attackers_calls_kill(void **state)
{
	static int (*const attempts[])(void) = { try_execve, try_ptrace, try_bpf, try_setns };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(attempts); i++) {
		int status = run_confined(attempts[i]);

		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGSYS);
	}
}

static int try_setns_user(void) { return judge(setns(0, CLONE_NEWUSER)); }
static int try_setns_any(void) { return judge(setns(0, 0)); }
static int try_pidfd(void) { return judge(syscall(SYS_pidfd_open, getppid(), 0)); }
static int try_getfd(void) { return (int)syscall(SYS_pidfd_getfd, 0, 0, 0); }
static int try_create(void) { return judge(open("/tmp/x", O_RDWR | O_CREAT, 0600)); }
static int try_other_netlink(void) { return judge(socket(AF_NETLINK, SOCK_RAW, 4)); }
static int try_net_setns(void) { return setns(-1, CLONE_NEWNET) == -1 && errno == EBADF ? 0 : 1; }

static void
namespaces_open_only_what_they_need(void **state)
{
	static const struct { unsigned extra; int (*attempt)(void); } attempts[] = {
		{ SANDBOX_NETNS_NAMED, try_net_setns }, { SANDBOX_NETNS_PID, try_net_setns },
		{ SANDBOX_NETNS_NAMED, try_setns_user }, { SANDBOX_NETNS_PID, try_setns_any },
		{ SANDBOX_NETNS_NAMED, try_pidfd }, { SANDBOX_NETNS_PID, try_open },
		{ SANDBOX_NETNS_NAMED, try_create }, { SANDBOX_NETNS_NAMED, try_creat },
		{ SANDBOX_NETNS_NAMED, try_other_netlink }, { SANDBOX_NETNS_PID, try_stamps },
		{ SANDBOX_TIME_STAMPS, try_set_flags }, { SANDBOX_TIME_STAMPS, try_open },
	};
	int status;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(attempts); i++) {
		status = run_with(attempts[i].extra, attempts[i].attempt);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			fail_msg("attempt %zu: wait status %#x", i, status);
	}
	status = run_with(SANDBOX_NETNS_PID, try_getfd);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
	status = run_with(SANDBOX_TIME_STAMPS, try_setns);
	assert_true(WIFSIGNALED(status));
}

/* --- the process that reads files again --- */

static int try_unlink(void) { return judge(unlink("/tmp/no-such-file")); }
static int try_chmod(void) { return judge(chmod("/tmp/no-such-file", 0)); }
static int try_unshare(void) { return judge(unshare(CLONE_NEWNET)); }
static int try_packet(void) { return judge(socket(AF_PACKET, SOCK_RAW, 0)); }
static int try_trace(void) { return judge(syscall(SYS_ptrace, 0, 0, 0, 0)); }
static int try_mount(void) { return judge(syscall(SYS_mount, "", "", "", 0, NULL)); }
static int try_open_with(int flags) { return judge(open("/no/such/file", flags, 0600)); }
static int try_write(void) { return try_open_with(O_WRONLY); }
static int try_update(void) { return try_open_with(O_RDWR); }
static int try_odd_mode(void) { return try_open_with(O_ACCMODE); }
static int try_make(void) { return try_open_with(O_RDONLY | O_CREAT); }
static int try_empty(void) { return try_open_with(O_RDONLY | O_TRUNC); }
static int try_openat2(void) { return judge(syscall(SYS_openat2, -1, "", NULL, 0)); }
static int try_cut(void) { return judge(ftruncate(-1, 0)); }
static int try_label(void) { return judge(syscall(SYS_lsetxattr, "", "", "", 0, 0)); }
#ifdef SYS_open
static int try_old_open(void) { return judge(syscall(SYS_open, "/no/such/file", O_WRONLY)); }
#endif
static int can_read(void) { return open("/etc/shadow", O_RDONLY) != -1 ? 0 : 1; }

static int
can_start_programs(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(1);
	}
	return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : 1;
}

static void
the_reading_process_reads_and_starts_programs_and_no_more(void **state)
{
	static int (*const attempts[])(void) = {
		try_unlink, try_chmod, try_unshare, try_packet, try_inet, try_trace, try_mount,
		try_pidfd, try_creat, try_connect, try_write, try_update,
#ifdef SYS_open
		try_old_open,
#endif
		try_odd_mode, try_make, try_empty, try_openat2, try_cut, try_label,
		can_read, can_start_programs,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(attempts); i++) {
		int status = -1;
		pid_t parent = getpid(), pid = fork();
		struct err err;

		assert_int_not_equal(pid, -1);
		if (pid == 0) {
			if (drop_to_reread(parent, &err) != E_OK ||
			    sandbox_reread_apply(SANDBOX_ENFORCE, &err) != E_OK)
				_exit(100);
			_exit(attempts[i]());
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			fail_msg("attempt %zu: wait status %#x", i, status);
	}
}

static int list_fd;

static bool
permit(const char *name, void *arg)
{
	(void)name;
	(void)arg;
	return true;
}

/* Asking drivers is allowed, too: loopback has no driver, but an answer. */
static int
list_all(void)
{
	struct priv_interface list[PRIV_LIST_COUNT];
	uint32_t n = 0, next;
	struct err err;

	if (priv_list_page(list_fd, 0, permit, NULL, list, &n, &next, &err) != E_OK)
		return 1;
	for (uint32_t i = 0; i < n; i++)
		if (strcmp(list[i].name, "drv0") == 0)
			return strcmp(list[i].driver, "veth") == 0 &&
			    list[i].speed_mbps == 10000 &&
			    list[i].time_stamp_types == PRIV_TIME_HOST ? 0 : 2;
	return 3;
}

static void
interfaces_can_still_be_listed_with_what_drivers_say(void **state)
{
	int status = run_confined(list_all);

	(void)state;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Everything that serving an OPEN, a FILTER and a LIST takes. */
static int
serve_one(void)
{
	static struct bpf_prog filter;
	struct priv_interface lo;
	struct priv_open_wish wish = {
		.interface = &lo, .filter = &filter, .ring_bytes = PRIV_MIN_RING,
		.snaplen = 100, .is_promiscuous = true, .is_inbound = true,
		.wants_adapter_time = true,
	};
	struct priv_open_done done;
	struct err err;

	bpf_link_return(&filter, 100);
	if (priv_list_get(list_fd, 1, &lo, &err) != E_OK ||
	    priv_open_socket(&wish, &done, &err) != E_OK ||
	    priv_open_filter(done.fd, &filter, &err) != E_OK) {
		dprintf(STDERR_FILENO, "%s\n", err.what);
		return 1;
	}
	if (done.time_stamps != PRIV_TIME_HOST || strstr(done.note, "the host's are used") == NULL)
		return 3;
	return done.is_promiscuous ? 0 : 2;
}

static void
a_capture_can_still_be_opened_and_filtered(void **state)
{
	int status = run_confined(serve_one);

	(void)state;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int
set_up(void **state)
{
	struct err err;

	(void)state;
	if (unshare(CLONE_NEWNET) == -1 || system("ip link set lo up && ip link add drv0 type veth "
	    "peer name drv1 && ip link set drv0 up && ip link set drv1 up") != 0) {
		perror("network namespace: needs root");
		return -1;
	}
	return priv_list_open(&list_fd, &err) == E_OK ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_it_does_not_need_are_refused),
		cmocka_unit_test(an_attackers_calls_kill),
		cmocka_unit_test(namespaces_open_only_what_they_need),
		cmocka_unit_test(the_reading_process_reads_and_starts_programs_and_no_more),
		cmocka_unit_test(interfaces_can_still_be_listed_with_what_drivers_say),
		cmocka_unit_test(a_capture_can_still_be_opened_and_filtered),
	};

	return cmocka_run_group_tests_name("server/sandbox_priv, real", tests, set_up, NULL);
}
