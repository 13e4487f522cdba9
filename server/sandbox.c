#include "server/sandbox.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "server/sandbox_int.h"

static const char *const mode_names[] = { "enforce", "log", "off" };

const char *
sandbox_mode_name(enum sandbox_mode mode)
{
	return (size_t)mode < ARRAY_LEN(mode_names) ? mode_names[mode] : "unknown";
}

int
sandbox_mode_parse(const char *word, enum sandbox_mode *ret_mode, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(mode_names); i++) {
		if (strcmp(word, mode_names[i]) == 0) {
			*ret_mode = (enum sandbox_mode)i;
			return E_OK;
		}
	}
	return err_set(err, E_USAGE, "sandbox '%s': parse: neither enforce, log nor off", word);
}

enum sandbox_mode
sandbox_mode_default(void)
{
#ifdef CAP_SANITIZED
	return SANDBOX_OFF;
#else
	return SANDBOX_ENFORCE;
#endif
}

/* No new code may appear: mappings are never executable. */
const struct sandbox_rule sandbox_basic[] = {
	ALLOW1(mmap, SANDBOX_ARG_MASKED(2, PROT_EXEC, 0)),
	ALLOW1(mprotect, SANDBOX_ARG_MASKED(2, PROT_EXEC, 0)),
	ALLOW(munmap), ALLOW(mremap), ALLOW(madvise), ALLOW(brk),
	ALLOW(clock_gettime), ALLOW(clock_nanosleep), ALLOW(nanosleep), ALLOW(gettimeofday),
	ALLOW(futex), ALLOW(getrandom), ALLOW(getpid), ALLOW(gettid),
	ALLOW(rt_sigaction), ALLOW(rt_sigprocmask), ALLOW(rt_sigreturn), ALLOW(sigaltstack),
	ALLOW(restart_syscall), ALLOW(exit), ALLOW(exit_group),
	ALLOW(read), ALLOW(write), ALLOW(close), ALLOW(poll), ALLOW(ppoll),
	ALLOW(recvmsg), ALLOW(recvfrom), ALLOW(getsockopt), ALLOW(getsockname),
};
const size_t sandbox_basic_len = ARRAY_LEN(sandbox_basic);

/*
 * Nothing here is ever called by sound code, and each is a step out of the
 * sandbox or into the kernel: no error to retry from.
 */
static const int killing[] = {
	SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(pidfd_getfd),
	SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load), SCMP_SYS(bpf),
	SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module),
	SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(move_mount), SCMP_SYS(open_tree),
	SCMP_SYS(fsopen), SCMP_SYS(fsmount), SCMP_SYS(pivot_root), SCMP_SYS(chroot),
	SCMP_SYS(setns), SCMP_SYS(unshare),
	SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register),
	SCMP_SYS(keyctl), SCMP_SYS(add_key), SCMP_SYS(request_key),
	SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(open_by_handle_at),
	SCMP_SYS(reboot), SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(acct),
};

/* Libraries look for files of their own and must hear an ordinary answer. */
static const int no_access[] = { SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(openat2) };

static bool
is_allowed(int call, const struct sandbox_rule *rules, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (rules[i].call == call)
			return true;
	return false;
}

/* A call with a rule of its own is left to it, and to the default. */
static int
add_refusals(scmp_filter_ctx ctx, const struct sandbox_rule *rules, size_t n)
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < ARRAY_LEN(killing); i++)
		if (!is_allowed(killing[i], rules, n))
			ret = seccomp_rule_add(ctx, SCMP_ACT_KILL_PROCESS, killing[i], 0);
	for (size_t i = 0; ret == 0 && i < ARRAY_LEN(no_access); i++)
		if (!is_allowed(no_access[i], rules, n))
			ret = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EACCES), no_access[i], 0);
	return ret;
}

static int
add_rules(scmp_filter_ctx ctx, const struct sandbox_rule *rules, size_t n)
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < n; i++)
		ret = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, rules[i].call, rules[i].n,
		    rules[i].args);
	return ret;
}

/* Whatever is refused is in the kernel's audit log, which limits its rate. */
static int
set_attributes(scmp_filter_ctx ctx)
{
	int ret = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

	if (ret == 0)
		ret = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (ret == 0)
		ret = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_LOG, 1);
	if (ret == 0)	/* a binary tree: a few comparisons per call */
		ret = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	return ret;
}

int
sandbox_load(enum sandbox_mode mode, const struct sandbox_rule *rules, size_t n,
    const struct sandbox_rule *more, size_t n_more, struct err *err)
{
	scmp_filter_ctx ctx;
	int ret;

	if (mode == SANDBOX_OFF)
		return E_OK;
	ctx = seccomp_init(mode == SANDBOX_LOG ? SCMP_ACT_LOG : SCMP_ACT_ERRNO(ENOSYS));
	if (ctx == NULL)
		return err_set(err, E_NOMEM, "sandbox: make filter: out of memory");
	ret = set_attributes(ctx);
	if (ret == 0 && mode == SANDBOX_ENFORCE)
		ret = add_refusals(ctx, more, n_more);
	if (ret == 0)
		ret = add_rules(ctx, rules, n);
	if (ret == 0)
		ret = add_rules(ctx, more, n_more);
	if (ret == 0)
		ret = seccomp_load(ctx);
	seccomp_release(ctx);
	if (ret != 0) {
		errno = -ret;
		return err_sys(err, "sandbox: load seccomp filter");
	}
	return E_OK;
}
