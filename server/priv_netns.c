#include "server/priv_netns.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/netlink.h>

#include "common/log.h"
#include "server/netns_names.h"
#include "server/priv_list.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

enum {
	MAX_PLACES = 512,	/* two descriptors each */
	ENTRIES_LEN = 32 << 10,
};

struct priv_netns_set {
	const struct policy *policy;
	uint64_t	 cookie;	/* of the agent's own; 0: not known */
	int		 home_fd;
	int		 run_fd;	/* /run; -1: no name is permitted */
	struct netns_names names;
	struct priv_netns_place *places;
	uint32_t	 n_places, last_handle;
};

/* --- life --- */

/* Linux before 5.14 has none. */
static uint64_t
cookie_of(int socket_fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	if (getsockopt(socket_fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) == -1)
		return 0;
	return cookie;
}

struct priv_netns_set *
priv_netns_new(const struct policy *policy, int list_fd, struct err *err)
{
	struct priv_netns_set *set = calloc(1, sizeof(*set));

	if (set == NULL) {
		err_set(err, E_NOMEM, "network namespaces: prepare: out of memory");
		return NULL;
	}
	set->policy = policy;
	set->cookie = cookie_of(list_fd);
	set->home_fd = set->run_fd = -1;
	if (policy->namespaces == 0)
		return set;
	set->home_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (set->home_fd == -1) {
		err_sys(err, "network namespace of the agent: open: is /proc mounted?");
		goto fail;
	}
	if ((policy->namespaces & PRIV_NAMESPACES_NAMED) == 0)
		return set;
	/* /run/netns may appear, and become a mount of its own, later. */
	set->run_fd = open("/run", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (set->run_fd == -1) {
		err_sys(err, "/run: open");
		goto fail;
	}
	return set;
fail:
	priv_netns_free(set);
	return NULL;
}

static void
free_place(struct priv_netns_place *place)
{
	if (place->list_fd != -1)
		close(place->list_fd);
	if (place->fd != -1)
		close(place->fd);
	free(place);
}

void
priv_netns_free(struct priv_netns_set *set)
{
	if (set == NULL)
		return;
	while (set->places != NULL)
		(void)priv_netns_leave(set, set->places->handle);
	if (set->home_fd != -1)
		close(set->home_fd);
	if (set->run_fd != -1)
		close(set->run_fd);
	netns_names_fini(&set->names);
	free(set);
}

int
priv_netns_confine(struct priv_netns_set *set, struct err *err)
{
	if (set->run_fd == -1)
		return E_OK;
	if (chroot("/run") == -1 || chdir("/") == -1)
		return err_sys(err, "/run: make it the only place to open files in");
	return E_OK;
}

/* --- names --- */

static void
take_entry(struct priv_netns_set *set, const struct dirent64 *entry)
{
	if (entry->d_name[0] == '.' || strlen(entry->d_name) >= PRIV_NETNS_NAME_LEN ||
	    (entry->d_type != DT_REG && entry->d_type != DT_UNKNOWN) ||
	    !policy_permits_netns(set->policy, entry->d_name))
		return;
	netns_names_see(&set->names, entry->d_name);
}

static int
read_folder(struct priv_netns_set *set, struct err *err)
{
	static _Alignas(struct dirent64) char entries[ENTRIES_LEN];
	ssize_t len;
	int fd;

	netns_names_look(&set->names);
	fd = openat(set->run_fd, "netns", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1 && errno == ENOENT)
		return E_OK;
	if (fd == -1)
		return err_sys(err, "/run/netns: open");
	while ((len = getdents64(fd, entries, sizeof(entries))) > 0) {
		const struct dirent64 *entry;

		for (size_t at = 0; at < (size_t)len; at += entry->d_reclen) {
			entry = (const struct dirent64 *)(const void *)(entries + at);
			take_entry(set, entry);
		}
	}
	if (len == -1)
		err_sys(err, "/run/netns: read");
	close(fd);
	return len == -1 ? E_SYS : E_OK;
}

int
priv_netns_names(struct priv_netns_set *set, uint32_t start,
    struct priv_netns_name ret_names[static PRIV_LIST_COUNT], uint32_t *ret_n,
    uint32_t *ret_next, struct err *err)
{
	if (set->run_fd != -1 && read_folder(set, err) != E_OK)
		return err != NULL ? err->code : E_SYS;
	netns_names_page(&set->names, start, ret_names, ret_n, ret_next);
	return E_OK;
}

/* --- going there and back --- */

/* What would follow in a wrong namespace must not happen. */
static void
go_home(int home_fd)
{
	if (setns(home_fd, CLONE_NEWNET) == 0)
		return;
	log_err(LOG_PRIV, "network namespace: come back: %s", strerror(errno));
	_exit(1);
}

int
priv_netns_socket(const struct priv_netns_place *place, int family, int type, int protocol)
{
	int fd, saved;

	if (place == NULL)
		return socket(family, type, protocol);
	if (setns(place->fd, CLONE_NEWNET) == -1)
		return -1;
	fd = socket(family, type, protocol);
	saved = errno;
	go_home(place->home_fd);
	if (fd != -1 && place->cookie != 0 && cookie_of(fd) != place->cookie) {
		close(fd);
		fd = -1;
		saved = ESTALE;
	}
	errno = saved;
	return fd;
}

int
priv_netns_check_policy(const struct priv_netns_set *set, const struct priv_netns_place *place,
    struct err *err)
{
	const struct policy *policy = set->policy;

	if (place->is_pid ? (policy->namespaces & PRIV_NAMESPACES_PID) != 0 :
	    policy_permits_netns(policy, place->name + strlen("netns:")))
		return E_OK;
	return err_set(err, E_DENIED, "network namespace '%s': not permitted by the agent's "
	    "configuration", place->name);
}

static int
open_named(const struct priv_netns_set *set, uint32_t number,
    struct priv_netns_place *place, struct err *err)
{
	char path[PRIV_NETNS_NAME_LEN + 8];
	const char *name;

	if (set->run_fd == -1)
		return err_set(err, E_DENIED, "network namespaces: named ones are not permitted "
		    "by the agent's configuration");
	name = netns_names_find(&set->names, number);
	if (name == NULL)
		return err_set(err, E_NOIFACE, "network namespace %u: open: no such number",
		    number);
	snprintf(place->name, sizeof(place->name), "netns:%s", name);
	if (priv_netns_check_policy(set, place, err) != E_OK)
		return E_DENIED;
	snprintf(path, sizeof(path), "netns/%s", name);
	/* Non-blocking, lest a FIFO in its place hold up everything. */
	place->fd = openat(set->run_fd, path,
	    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (place->fd == -1 && errno == ENOENT)
		return err_set(err, E_NOIFACE, "network namespace '%s': no such namespace",
		    place->name);
	if (place->fd == -1 || fstat(place->fd, &place->file) == -1)
		return err_sys(err, "network namespace '%s': open", place->name);
	return E_OK;
}

/*
 * The descriptor stands for this one process from here on: a later process
 * with the same number is another one to the kernel.
 */
static int
open_pid(const struct priv_netns_set *set, uint32_t pid, struct priv_netns_place *place,
    struct err *err)
{
	if ((set->policy->namespaces & PRIV_NAMESPACES_PID) == 0)
		return err_set(err, E_DENIED, "network namespaces: those of processes are not "
		    "permitted by the agent's configuration");
	place->is_pid = true;
	snprintf(place->name, sizeof(place->name), "pid:%u", pid);
	place->fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	if (place->fd == -1 && (errno == ESRCH || errno == EINVAL || errno == ENOENT))
		return err_set(err, E_NOIFACE, "network namespace '%s': no such process",
		    place->name);
	if (place->fd == -1)
		return err_sys(err, "network namespace '%s': open", place->name);
	return E_OK;
}

static int
explain_entry(const struct priv_netns_place *place, struct err *err)
{
	if (place->is_pid && errno == ESRCH)
		return err_set(err, E_NOIFACE, "network namespace '%s': no such process any more",
		    place->name);
	if (!place->is_pid && errno == EINVAL)
		return err_set(err, E_NOIFACE, "network namespace '%s': the file of this name "
		    "is no namespace", place->name);
	return err_sys(err, "network namespace '%s': enter", place->name);
}

/* Open rtnetlink inside, and learn which namespace it is. */
static int
prepare_place(struct priv_netns_place *place, struct err *err)
{
	int fd = priv_netns_socket(place, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC,
	    NETLINK_ROUTE);

	if (fd == -1)
		return explain_entry(place, err);
	place->list_fd = fd;
	place->cookie = cookie_of(fd);
	return priv_list_prepare(fd, err);
}

static bool
is_home(const struct priv_netns_set *set, const struct priv_netns_place *place)
{
	return set->cookie != 0 && place->cookie == set->cookie;
}

int
priv_netns_enter(struct priv_netns_set *set, enum priv_netns_kind kind, uint32_t number,
    uint32_t *ret_handle, struct err *err)
{
	struct priv_netns_place *place;
	int ret;

	if (set->n_places == MAX_PLACES || set->last_handle == UINT32_MAX)
		return err_set(err, E_LIMIT, "network namespaces: more than %d are in use",
		    MAX_PLACES);
	place = calloc(1, sizeof(*place));
	if (place == NULL)
		return err_set(err, E_NOMEM, "network namespace: open: out of memory");
	place->fd = place->list_fd = -1;
	place->home_fd = set->home_fd;
	if (kind == PRIV_NETNS_PID)
		ret = open_pid(set, number, place, err);
	else
		ret = open_named(set, number, place, err);
	if (ret == E_OK)
		ret = prepare_place(place, err);
	if (ret != E_OK || is_home(set, place)) {
		free_place(place);
		*ret_handle = 0;
		return ret;
	}
	place->handle = ++set->last_handle;
	place->next = set->places;
	set->places = place;
	set->n_places++;
	*ret_handle = place->handle;
	return E_OK;
}

const struct priv_netns_place *
priv_netns_find(const struct priv_netns_set *set, uint32_t handle)
{
	const struct priv_netns_place *place = set->places;

	while (place != NULL && place->handle != handle)
		place = place->next;
	return place;
}

bool
priv_netns_leave(struct priv_netns_set *set, uint32_t handle)
{
	struct priv_netns_place **at = &set->places, *place;

	while (*at != NULL && (*at)->handle != handle)
		at = &(*at)->next;
	place = *at;
	if (place == NULL)
		return false;
	*at = place->next;
	set->n_places--;
	free_place(place);
	return true;
}

int
priv_netns_check(const struct priv_netns_set *set, const struct priv_netns_place *place,
    struct err *err)
{
	struct pollfd pfd = { .fd = place->fd, .events = POLLIN };
	char path[PRIV_NETNS_NAME_LEN + 8];
	struct stat now;
	bool is_there;

	if (place->is_pid) {
		is_there = poll(&pfd, 1, 0) == 0;
	} else {
		snprintf(path, sizeof(path), "netns/%s", place->name + strlen("netns:"));
		is_there = fstatat(set->run_fd, path, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
		    now.st_dev == place->file.st_dev && now.st_ino == place->file.st_ino;
	}
	if (is_there)
		return E_OK;
	return err_set(err, E_NOIFACE, "network namespace '%s': is gone", place->name);
}
