#include "client/resume_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAGIC_LEN = 16, OPEN_TRIES = 16 };

static const uint8_t magic[MAGIC_LEN] = "capclient-rsm 1";

int
resume_file_init(struct resume_file *file, const char *output_path)
{
	*file = (struct resume_file){ .fd = -1, .output = strdup(output_path) };
	if (file->output != NULL && asprintf(&file->path, "%s.resume", output_path) >= 0)
		return E_OK;
	free(file->output);
	return E_NOMEM;
}

void
resume_file_fini(struct resume_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	free(file->path);
	free(file->output);
}

int
resume_file_fail(struct err *err, const char *path, const char *action)
{
	int code = err_sys(err, "'%s': %s", path, action);

	if (code != E_SYS)
		return code;
	if (err != NULL)
		err->code = E_OUTPUT;
	return E_OUTPUT;
}

/* Is fd what path names? */
static bool
is_at(int fd, const char *path)
{
	struct stat mine, there;

	return fstat(fd, &mine) == 0 && lstat(path, &there) == 0 &&
	    mine.st_dev == there.st_dev && mine.st_ino == there.st_ino;
}

static int
check_owner(const struct resume_file *file, int fd, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return resume_file_fail(err, file->path, "open");
	if (!S_ISREG(st.st_mode) || st.st_nlink > 1)
		return err_set(err, E_OUTPUT, "'%s': open: no resume record, but another "
		    "kind of file", file->path);
	if (st.st_uid != geteuid())
		return err_set(err, E_OUTPUT, "'%s': open: it belongs to another user",
		    file->path);
	return E_OK;
}

/* E_AGAIN: it was removed before it was locked. */
static int
lock(const struct resume_file *file, int fd, struct err *err)
{
	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		return errno == EWOULDBLOCK ? err_set(err, E_STATE, "'%s': resume: another "
		    "capclient writes it (its record '%s' is locked)", file->output,
		    file->path) : resume_file_fail(err, file->path, "lock");
	return is_at(fd, file->path) ? E_OK : E_AGAIN;
}

/* Open, without believing that it is a record, and lock. */
static int
open_locked(const struct resume_file *file, int flags, int *ret_fd, struct err *err)
{
	/* O_NONBLOCK: a named pipe at the place does not hold us up. */
	int fd = open(file->path, flags | O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY |
	    O_NONBLOCK, 0600);
	int rc;

	if (fd < 0)
		return errno == ENOENT && (flags & O_CREAT) == 0 ? err_set(err, E_GONE,
		    "'%s': resume: there is no record '%s'", file->output,
		    file->path) : resume_file_fail(err, file->path, "open");
	rc = check_owner(file, fd, err);
	if (rc == E_OK)
		rc = lock(file, fd, err);
	if (rc != E_OK) {
		close(fd);
		return rc;
	}
	*ret_fd = fd;
	return E_OK;
}

int
resume_file_write(const struct resume_file *file, const uint8_t *bytes, size_t len, off_t at,
    struct err *err)
{
	while (len > 0) {
		ssize_t n = pwrite(file->fd, bytes, len, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return resume_file_fail(err, file->path, "write");
		bytes += n;
		len -= (size_t)n;
		at += n;
	}
	return E_OK;
}

size_t
resume_file_read(int fd, uint8_t *dst, size_t len, off_t at)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, dst + done, len - done, at + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

/* Empty, or a record of ours; what it says is another question. */
static int
check_magic(struct resume_file *file, struct err *err)
{
	uint8_t head[MAGIC_LEN];
	size_t n = resume_file_read(file->fd, head, sizeof(head), 0);

	/* A client that was killed at once left less than all of it. */
	file->has_magic = n == MAGIC_LEN && memcmp(head, magic, MAGIC_LEN) == 0;
	if (file->has_magic || n == 0)
		return fchmod(file->fd, 0600) == 0 ? E_OK :
		    resume_file_fail(err, file->path, "change the mode");
	return err_set(err, E_OUTPUT, "'%s': open: it is no resume record: left as it is",
	    file->path);
}

bool
resume_file_is_fresh(const struct resume_file *file)
{
	struct stat st;

	return fstat(file->fd, &st) == 0 && st.st_size <= MAGIC_LEN;
}

int
resume_file_start_over(struct resume_file *file, struct err *err)
{
	int rc;

	file->has_magic = false;
	if (ftruncate(file->fd, 0) != 0)
		return resume_file_fail(err, file->path, "truncate");
	rc = resume_file_write(file, magic, sizeof(magic), 0, err);
	file->has_magic = rc == E_OK;
	return rc;
}

/* --- opening, and staying open --- */

int
resume_file_open(struct resume_file *file, enum resume_file_flags flags, struct err *err)
{
	int rc = E_AGAIN;

	for (int i = 0; i < OPEN_TRIES && rc == E_AGAIN; i++)
		rc = open_locked(file, flags == RESUME_FILE_CREATE ? O_CREAT : 0, &file->fd,
		    err);
	if (rc == E_AGAIN)
		rc = err_set(err, E_OUTPUT, "'%s': open: it is replaced all the time",
		    file->path);
	return rc == E_OK ? check_magic(file, err) : rc;
}

void
resume_file_remove(struct resume_file *file)
{
	/* While the lock is held: nobody else's file can be in its place. */
	if (is_at(file->fd, file->path))
		(void)unlink(file->path);
}

int
resume_file_keep(struct resume_file *file, struct err *err)
{
	int fd, rc;
	struct stat st;

	if (fstat(file->fd, &st) != 0)
		return resume_file_fail(err, file->path, "write");
	if (st.st_nlink > 0)
		return file->has_magic ? E_OK : resume_file_start_over(file, err);
	rc = open_locked(file, O_CREAT | O_EXCL, &fd, err);
	if (rc != E_OK)
		return rc == E_AGAIN ? err_set(err, E_OUTPUT, "'%s': open: it was removed "
		    "again", file->path) : rc;
	close(file->fd);
	file->fd = fd;
	return resume_file_start_over(file, err);
}
