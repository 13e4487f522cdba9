#include "server/drop.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

int
drop_find_user(const char *name, struct drop_user *ret_user, struct err *err)
{
	bool is_chosen = name[0] != '\0', is_nobody = false;
	const char *wanted = is_chosen ? name : "capagent";
	const struct passwd *pw;

	errno = 0;
	pw = getpwnam(wanted);
	if (pw == NULL && !is_chosen) {
		wanted = "nobody";
		is_nobody = true;
		errno = 0;
		pw = getpwnam(wanted);
	}
	if (pw == NULL)
		return err_set(err, E_CONFIG,
		    "user '%s': look up: %s: create it, or name another with --user", wanted,
		    errno != 0 ? strerror(errno) : "no such user");
	if (pw->pw_uid == 0)
		return err_set(err, E_CONFIG,
		    "user '%s': the network process must not be root: name another with --user",
		    wanted);
	*ret_user = (struct drop_user){
		.uid = pw->pw_uid,
		.gid = pw->pw_gid,
		.is_default = is_nobody,
	};
	snprintf(ret_user->name, sizeof(ret_user->name), "%s", wanted);
	capng_get_caps_process();
	ret_user->keeps_uid = !capng_have_capability(CAPNG_EFFECTIVE, CAP_SETUID) ||
	    !capng_have_capability(CAPNG_EFFECTIVE, CAP_SETGID);
	return E_OK;
}

static const struct { unsigned keep; unsigned capability; const char *name; } kept[] = {
	{ 0, CAP_NET_RAW, "CAP_NET_RAW" },
	{ DROP_KEEP_NET_ADMIN, CAP_NET_ADMIN, "CAP_NET_ADMIN" },
	{ DROP_KEEP_SYS_ADMIN, CAP_SYS_ADMIN, "CAP_SYS_ADMIN" },
	{ DROP_KEEP_SYS_PTRACE, CAP_SYS_PTRACE, "CAP_SYS_PTRACE" },
};

/* The set of capabilities that keep stands for, as a mask. */
static uint64_t
mask_of(unsigned keep)
{
	uint64_t mask = 0;

	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		if ((kept[i].keep & ~keep) == 0)
			mask |= UINT64_C(1) << kept[i].capability;
	return mask;
}

const char *
drop_missing(unsigned keep)
{
	capng_get_caps_process();
	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		if ((kept[i].keep & ~keep) == 0 &&
		    capng_have_capability(CAPNG_EFFECTIVE, kept[i].capability) == 0)
			return kept[i].name;
	return NULL;
}

/* All three ids of both kinds, and no way back. */
static int
change_ids(const struct drop_user *user, struct err *err)
{
	uid_t ruid, euid, suid;
	gid_t rgid, egid, sgid;

	if (setgroups(0, NULL) == -1)
		return err_sys(err, "user '%s': drop groups", user->name);
	if (setresgid(user->gid, user->gid, user->gid) == -1)
		return err_sys(err, "user '%s': set group %u", user->name, user->gid);
	if (setresuid(user->uid, user->uid, user->uid) == -1)
		return err_sys(err, "user '%s': set uid %u", user->name, user->uid);
	if (getresuid(&ruid, &euid, &suid) == -1 || getresgid(&rgid, &egid, &sgid) == -1 ||
	    ruid != user->uid || euid != user->uid || suid != user->uid ||
	    rgid != user->gid || egid != user->gid || sgid != user->gid ||
	    getgroups(0, NULL) != 0 || setuid(0) != -1)
		return err_set(err, E_BUG, "user '%s': ids did not change", user->name);
	return E_OK;
}

/* Bounding and ambient set; needs CAP_SETPCAP, so before the uid goes. */
static int
clear_outer_sets(struct err *err)
{
	bool can_clear;

	capng_get_caps_process();
	can_clear = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) != 0;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == -1)
		return err_sys(err, "capabilities: clear the ambient set");
	for (unsigned long c = 0; can_clear && c <= CAP_LAST_CAP; c++)
		if (prctl(PR_CAPBSET_DROP, c, 0, 0, 0) == -1 && errno != EINVAL)
			return err_sys(err, "capabilities: clear the bounding set");
	return E_OK;
}

/* Exactly the wanted capabilities, checked by reading back. */
static int
set_caps(uint64_t wanted, struct err *err)
{
	capng_clear(CAPNG_SELECT_CAPS);
	for (unsigned c = 0; c <= CAP_LAST_CAP; c++)
		if ((wanted >> c & 1) != 0 && capng_update(CAPNG_ADD,
		    (capng_type_t)(CAPNG_EFFECTIVE | CAPNG_PERMITTED), c) != 0)
			return err_set(err, E_BUG, "capabilities: libcap-ng does not know %u", c);
	if (capng_apply(CAPNG_SELECT_CAPS) != 0)
		return err_sys(err, "capabilities: drop");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return err_sys(err, "no_new_privs: set");

	capng_get_caps_process();
	for (unsigned c = 0; c <= CAP_LAST_CAP; c++) {
		bool want = (wanted >> c & 1) != 0;

		if ((capng_have_capability(CAPNG_PERMITTED, c) != 0) != want ||
		    (capng_have_capability(CAPNG_EFFECTIVE, c) != 0) != want)
			return err_set(err, E_BUG, "capabilities: %s is not as it must be",
			    capng_capability_to_name(c));
	}
	return E_OK;
}

/* Behind every change of ids and capabilities, which clears such settings. */
static int
tie_to_parent(pid_t parent, struct err *err)
{
	struct rlimit no_core = { 0, 0 };

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == -1)
		return err_sys(err, "parent death signal: set");
	if (getppid() != parent)
		return err_set(err, E_PEERGONE, "capagent ended during the start");
	if (setrlimit(RLIMIT_CORE, &no_core) == -1)
		return err_sys(err, "core files: forbid");
	return E_OK;
}

int
drop_to_user(const struct drop_user *user, pid_t parent, struct err *err)
{
	int ret;

	ret = clear_outer_sets(err);
	if (ret == E_OK && !user->keeps_uid)
		ret = change_ids(user, err);
	if (ret == E_OK)
		ret = set_caps(0, err);
	return ret == E_OK ? tie_to_parent(parent, err) : ret;
}

int
drop_to_reread(pid_t parent, struct err *err)
{
	static const unsigned wanted[] = {
		CAP_DAC_READ_SEARCH, CAP_SETUID, CAP_SETGID, CAP_SETPCAP,
	};
	uint64_t mask = 0;
	int ret;

	capng_get_caps_process();
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		if (capng_have_capability(CAPNG_EFFECTIVE, wanted[i]) != 0)
			mask |= UINT64_C(1) << wanted[i];
	ret = clear_outer_sets(err);
	if (ret == E_OK)
		ret = set_caps(mask, err);
	if (ret == E_OK && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		ret = err_sys(err, "undumpable: set");
	return ret == E_OK ? tie_to_parent(parent, err) : ret;
}

int
drop_to_net_raw(unsigned keep, struct err *err)
{
	int ret;

	ret = clear_outer_sets(err);
	if (ret == E_OK)
		ret = set_caps(mask_of(keep), err);
	return ret;
}
