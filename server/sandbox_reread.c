#include "server/sandbox.h"

#include <errno.h>
#include <stddef.h>

#include <seccomp.h>

/* No network, no other process's memory, no part of the kernel, no change of files. */
static const int refused[] = {
	SCMP_SYS(socket), SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(accept4),
	SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev),
	SCMP_SYS(pidfd_open), SCMP_SYS(pidfd_getfd), SCMP_SYS(bpf), SCMP_SYS(perf_event_open),
	SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load), SCMP_SYS(init_module),
	SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(mount), SCMP_SYS(umount2),
	SCMP_SYS(move_mount), SCMP_SYS(open_tree), SCMP_SYS(fsopen), SCMP_SYS(fsmount),
	SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(setns), SCMP_SYS(unshare),
	SCMP_SYS(io_uring_setup), SCMP_SYS(keyctl), SCMP_SYS(add_key), SCMP_SYS(request_key),
	SCMP_SYS(userfaultfd), SCMP_SYS(open_by_handle_at), SCMP_SYS(reboot), SCMP_SYS(acct),
	SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(rename), SCMP_SYS(renameat),
	SCMP_SYS(renameat2), SCMP_SYS(link), SCMP_SYS(linkat), SCMP_SYS(symlink),
	SCMP_SYS(symlinkat), SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(mknod),
	SCMP_SYS(mknodat), SCMP_SYS(creat), SCMP_SYS(truncate), SCMP_SYS(chmod),
	SCMP_SYS(fchmod), SCMP_SYS(fchmodat), SCMP_SYS(chown), SCMP_SYS(fchown),
	SCMP_SYS(lchown), SCMP_SYS(fchownat), SCMP_SYS(setxattr), SCMP_SYS(fsetxattr),
};

int
sandbox_reread_apply(enum sandbox_mode mode, struct err *err)
{
	scmp_filter_ctx ctx;
	int ret;

	if (mode != SANDBOX_ENFORCE)
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
		return err_sys(err, "sandbox: load seccomp filter of the reading process");
	}
	return E_OK;
}
