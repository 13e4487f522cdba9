#include "client/certs.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
	const char	*what;
	const char	*variable;
	const char	*name;		/* in ~/.config/capclient */
	const char	*hint;		/* how to get one */
} kinds[CERTS_N] = {
	[CERTS_CERT] = { "certificate", "CAPCLIENT_CERT", "client.pem",
	    "make one with 'capcert --dir DIR client NAME', copy DIR/NAME.pem there" },
	[CERTS_KEY] = { "private key", "CAPCLIENT_KEY", "client.key",
	    "make one with 'capcert --dir DIR client NAME', copy DIR/NAME.key there" },
	[CERTS_CA] = { "CA certificate", "CAPCLIENT_CA", "ca.pem",
	    "'capcert --dir DIR init' made DIR/ca.pem: copy it there" },
};

static const char *
home_dir(void)
{
	const char *home = getenv("HOME");
	const struct passwd *pw;

	if (home != NULL && home[0] != '\0')
		return home;
	pw = getpwuid(getuid());
	return pw != NULL ? pw->pw_dir : "/";
}

/* NULL when out of memory. */
static char *
find_path(int kind, const char *given)
{
	const char *env = getenv(kinds[kind].variable);
	char *path;

	if (given != NULL)
		return strdup(given);
	if (env != NULL && env[0] != '\0')
		return strdup(env);
	if (asprintf(&path, "%s/.config/capclient/%s", home_dir(),
	    kinds[kind].name) < 0)
		return NULL;
	return path;
}

static int
check_file(int kind, const char *path, int fd, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return err_sys(err, "%s '%s': stat", kinds[kind].what, path);
	if (S_ISDIR(st.st_mode))
		return err_set(err, E_CONFIG, "%s '%s': read: is a directory",
		    kinds[kind].what, path);
	/* Somebody else's key (root's, for a group) is for them to protect. */
	if (kind == CERTS_KEY && st.st_uid == getuid() &&
	    (st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return err_set(err, E_CONFIG,
		    "private key '%s': mode %04o: others may use it: chmod 600 it",
		    path, (unsigned)(st.st_mode & 07777));
	return E_OK;
}

static int
open_one(int kind, const char *path, int *ret_fd, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int code;

	if (fd < 0 && errno == ENOENT)
		return err_set(err, E_CONFIG, "%s '%s': not there: %s",
		    kinds[kind].what, path, kinds[kind].hint);
	if (fd < 0) {
		err_sys(err, "%s '%s': open", kinds[kind].what, path);
		if (err != NULL)
			err->code = E_CONFIG;
		return E_CONFIG;
	}
	code = check_file(kind, path, fd, err);
	if (code != E_OK) {
		close(fd);
		return code;
	}
	*ret_fd = fd;
	return E_OK;
}

int
certs_open(const char *cert, const char *key, const char *ca,
    struct certs *ret_certs, struct err *err)
{
	const char *given[CERTS_N] = { cert, key, ca };
	struct certs certs = { .fd = { -1, -1, -1 } };
	int code = E_OK;

	for (int i = 0; i < CERTS_N && code == E_OK; i++) {
		certs.path[i] = find_path(i, given[i]);
		if (certs.path[i] == NULL)
			code = err_set(err, E_NOMEM,
			    "certificates: find: out of memory");
		else
			code = open_one(i, certs.path[i], &certs.fd[i], err);
	}
	if (code != E_OK) {
		certs_close(&certs);
		return code;
	}
	*ret_certs = certs;
	return E_OK;
}

void
certs_close(struct certs *certs)
{
	for (int i = 0; i < CERTS_N; i++) {
		if (certs->fd[i] >= 0)
			close(certs->fd[i]);
		certs->fd[i] = -1;
		free(certs->path[i]);
		certs->path[i] = NULL;
	}
}
