#include "client/outfile_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COPY_BYTES = 256 << 10 };

/* A file on its way to the place of the removed one. */
struct substitute {
	char	*path;		/* of another name in the same directory */
	int	 fd;
};

static int
fail(const struct outfile *out, struct err *err)
{
	return outfile_err(err, out->path, "write: the file was removed: make it again");
}

bool
outfile_is_removed(const struct outfile *out)
{
	struct stat st;

	return fstat(out->fd, &st) == 0 && st.st_nlink == 0;
}

static int
directory_len(const struct outfile *out)
{
	return (int)(strrchr(out->place, '/') + 1 - out->place);
}

/* --- the new file --- */

static int
make(const struct outfile *out, struct substitute *s, struct err *err)
{
	struct stat st;

	s->fd = -1;
	if (asprintf(&s->path, "%.*s.capclient-XXXXXX", directory_len(out), out->place) < 0) {
		s->path = NULL;
		return err_set(err, E_NOMEM, "'%s': write: out of memory", out->path);
	}
	s->fd = mkostemp(s->path, O_CLOEXEC);
	if (s->fd < 0 || fstat(out->fd, &st) != 0 || fchmod(s->fd, st.st_mode & 07777) != 0)
		return fail(out, err);
	return E_OK;
}

static void
discard(struct substitute *s, bool is_named)
{
	if (s->fd >= 0) {
		close(s->fd);
		if (is_named)
			(void)unlink(s->path);
	}
	free(s->path);
}

/* Room for all of it, so that a full disk is not found out by filling it. */
static int
reserve(const struct outfile *out, const struct substitute *s, off_t end, struct err *err)
{
	if (end == 0 || fallocate(s->fd, 0, 0, end) == 0 || errno == EOPNOTSUPP ||
	    errno == ENOSYS)
		return E_OK;
	return fail(out, err);
}

static int
copy_piece(struct outfile *out, int to, uint8_t *bytes, off_t *at, off_t end,
    struct err *err)
{
	size_t want = end - *at < COPY_BYTES ? (size_t)(end - *at) : COPY_BYTES;
	ssize_t n = pread(out->fd, bytes, want, *at);

	if (n > 0)
		n = pwrite(to, bytes, (size_t)n, *at);
	else if (n == 0)
		errno = EIO;	/* it was cut: there is nothing to go on with */
	if (n <= 0)
		return fail(out, err);
	*at += n;
	if (outfile_is_given_up(out))
		return err_set(err, E_OUTPUT, "'%s': write: the file was removed: no time "
		    "to make it again", out->path);
	return E_OK;
}

static int
copy(struct outfile *out, const struct substitute *s, off_t end, struct err *err)
{
	uint8_t *bytes = malloc(COPY_BYTES);
	off_t at = 0;
	int rc = E_OK;

	if (bytes == NULL)
		return err_set(err, E_NOMEM, "'%s': write: out of memory", out->path);
	while (rc == E_OK && at < end)
		rc = copy_piece(out, s->fd, bytes, &at, end, err);
	free(bytes);
	if (rc == E_OK && ((out->fsync && fdatasync(s->fd) != 0) ||
	    lseek(s->fd, end, SEEK_SET) != end))
		rc = fail(out, err);
	return rc;
}

/* Give it its name, if nobody else has taken that. */
static int
put_in_place(const struct outfile *out, const struct substitute *s, struct err *err)
{
	if (renameat2(AT_FDCWD, s->path, AT_FDCWD, out->place, RENAME_NOREPLACE) == 0)
		return E_OK;
	/* Not every file system knows that flag. */
	if (errno == EINVAL && link(s->path, out->place) == 0) {
		(void)unlink(s->path);
		return E_OK;
	}
	if (errno == EEXIST)
		return err_set(err, E_OUTPUT, "'%s': write: the file was removed, and another "
		    "one is in its place", out->path);
	return fail(out, err);
}

/* --- all of it --- */

static int
check_place_free(const struct outfile *out, struct err *err)
{
	struct stat st;

	if (lstat(out->place, &st) != 0)
		return E_OK;
	return err_set(err, E_OUTPUT, "'%s': write: the file was removed, and another one "
	    "is in its place", out->path);
}

int
outfile_sync_directory(struct outfile *out, struct err *err)
{
	char *path = strndup(out->place, (size_t)directory_len(out));
	int fd = path != NULL ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	int rc = E_OK;

	/* Who may write there, but not list it, has to trust the disk. */
	if (fd >= 0 && fsync(fd) != 0 && errno != EINVAL)
		rc = outfile_err(err, out->path, "sync the directory");
	out->is_directory_synced = rc == E_OK;
	if (fd >= 0)
		close(fd);
	free(path);
	return rc;
}

int
outfile_restore(struct outfile *out, off_t end, struct err *err)
{
	struct substitute s = { .fd = -1 };
	int rc = check_place_free(out, err);

	if (rc != E_OK)
		return rc;
	rc = make(out, &s, err);
	if (rc == E_OK)
		rc = reserve(out, &s, end, err);
	if (rc == E_OK)
		rc = copy(out, &s, end, err);
	if (rc == E_OK)
		rc = put_in_place(out, &s, err);
	if (rc != E_OK) {
		discard(&s, true);
		return rc;
	}
	close(out->fd);
	out->fd = s.fd;
	out->is_directory_synced = false;
	s.fd = -1;
	discard(&s, false);
	return E_OK;
}
