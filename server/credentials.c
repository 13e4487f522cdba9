#include "server/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum credential { CREDENTIAL_CERT, CREDENTIAL_KEY, CREDENTIAL_CA };

static const char *const what[] = { "certificate", "private key", "CA certificate" };

static int
missing(enum credential kind, const char *path, struct err *err)
{
	if (kind == CREDENTIAL_CA)
		return err_set(err, E_CONFIG, "%s '%s': open: no such file: copy DIR/ca.pem "
		    "from the CA's machine to %s (there, 'capcert --dir DIR init' makes a "
		    "new CA)", what[kind], path, path);
	return err_set(err, E_CONFIG, "%s '%s': open: no such file: on the CA's machine run "
	    "'capcert --dir DIR agent NAME --san HOSTNAME', then copy DIR/NAME.%s to %s",
	    what[kind], path, kind == CREDENTIAL_CERT ? "pem" : "key", path);
}

static int
check_file(enum credential kind, const char *path, int fd, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return err_sys(err, "%s '%s': examine", what[kind], path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, E_CONFIG, "%s '%s': open: not a file", what[kind], path);
	if (kind == CREDENTIAL_KEY && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return err_set(err, E_CONFIG, "%s '%s': open: others have access (mode %04o): "
		    "make it private with: chmod 600 %s", what[kind], path,
		    st.st_mode & 07777, path);
	return E_OK;
}

static int
open_one(enum credential kind, const char *path, int *ret_fd, struct err *err)
{
	/* Non-blocking, lest a FIFO in the file's place hold up the start. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), ret;

	if (fd == -1 && errno == ENOENT)
		return missing(kind, path, err);
	if (fd == -1)
		return err_set(err, E_CONFIG, "%s '%s': open: %s", what[kind], path,
		    strerror(errno));
	ret = check_file(kind, path, fd, err);
	if (ret != E_OK) {
		close(fd);
		return ret;
	}
	*ret_fd = fd;
	return E_OK;
}

int
credentials_open(const struct policy *policy, struct credentials *ret_credentials,
    struct err *err)
{
	struct credentials c = { -1, -1, -1 };
	int ret = open_one(CREDENTIAL_CERT, policy->cert, &c.cert_fd, err);

	if (ret == E_OK)
		ret = open_one(CREDENTIAL_KEY, policy->key, &c.key_fd, err);
	if (ret == E_OK)
		ret = open_one(CREDENTIAL_CA, policy->ca, &c.ca_fd, err);
	if (ret != E_OK) {
		credentials_close(&c);
		return ret;
	}
	*ret_credentials = c;
	return E_OK;
}

void
credentials_close(struct credentials *credentials)
{
	int *fds[] = { &credentials->cert_fd, &credentials->key_fd, &credentials->ca_fd };

	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		if (*fds[i] != -1)
			close(*fds[i]);
		*fds[i] = -1;
	}
}
