#include "server/sandbox.h"

#include <errno.h>
#include <fcntl.h>
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
	SCMP_SYS(lsetxattr), SCMP_SYS(ftruncate), SCMP_SYS(fallocate),
	/* Its flags are in memory, where no filter sees them. */
	SCMP_SYS(openat2),
};

/* Files are opened to be read, and only those that there are. */
static const struct open_flag {
	unsigned	 mask, value;
} refused_flags[] = {
	{ O_ACCMODE, O_WRONLY }, { O_ACCMODE, O_RDWR }, { O_ACCMODE, O_ACCMODE },
	{ O_CREAT, O_CREAT }, { O_TRUNC, O_TRUNC },
};

static int
refuse_writing(scmp_filter_ctx ctx)
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < ARRAY_LEN(refused_flags); i++) {
		const struct open_flag *flag = &refused_flags[i];

		ret = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(openat), 1,
		    SCMP_A2(SCMP_CMP_MASKED_EQ, flag->mask, flag->value));
		if (ret == 0)
			ret = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(open), 1,
			    SCMP_A1(SCMP_CMP_MASKED_EQ, flag->mask, flag->value));
	}
	return ret;
}

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
		ret = refuse_writing(ctx);
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
