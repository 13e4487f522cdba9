#include "client/capfile_write.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUF_SIZE = 256 << 10 };

struct capfile_writer {
	const char	*path;		/* NULL: stdout */
	int		 input;
	int		 fd;		/* -1: not opened yet */
	bool		 is_regular;
	size_t		 len;
	uint8_t		 buf[BUF_SIZE];	/* whole records */
};

struct capfile_writer *
capfile_writer_new(const char *path, int input)
{
	struct capfile_writer *w = malloc(sizeof(*w));

	if (w == NULL)
		return NULL;
	w->path = path;
	w->input = input;
	w->fd = -1;
	w->is_regular = false;
	w->len = 0;
	return w;
}

void
capfile_writer_free(struct capfile_writer *w)
{
	if (w == NULL)
		return;
	if (w->fd >= 0)
		close(w->fd);
	free(w);
}

static int
fail(const struct capfile_writer *w, const char *action, int error, struct err *err)
{
	int code = error == ENOSPC || error == EDQUOT ? E_NOSPACE : E_OUTPUT;

	return err_set(err, code, "'%.150s': %s: %s", w->path != NULL ? w->path : "stdout",
	    action, strerror(error));
}

/* --- opening --- */

static bool
is_input(const struct capfile_writer *w, const struct stat *output)
{
	struct stat input;

	return S_ISREG(output->st_mode) && fstat(w->input, &input) == 0 &&
	    input.st_dev == output->st_dev && input.st_ino == output->st_ino;
}

static int
open_output(struct capfile_writer *w, struct err *err)
{
	struct stat st;

	/* Not O_TRUNC: it may be the input. */
	w->fd = w->path != NULL ? open(w->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666) :
	    fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	if (w->fd < 0)
		return fail(w, "open", errno, err);
	if (fstat(w->fd, &st) != 0)
		return fail(w, "open", errno, err);
	if (is_input(w, &st))
		return err_set(err, E_USAGE, "'%.150s': is the input too: write to another "
		    "file", w->path != NULL ? w->path : "stdout");
	w->is_regular = S_ISREG(st.st_mode);
	if (w->path != NULL && w->is_regular && ftruncate(w->fd, 0) != 0)
		return fail(w, "truncate", errno, err);
	return E_OK;
}

/* --- writing --- */

/* How many bytes went out; less than len, with errno, after a failure. */
static size_t
write_all(int fd, const uint8_t *bytes, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write(fd, bytes + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		done += (size_t)n;
	}
	return done;
}

/* As if the last done bytes had not been written. */
static void
cut_back(const struct capfile_writer *w, size_t done)
{
	off_t end = w->is_regular ? lseek(w->fd, 0, SEEK_CUR) : -1;

	/* Nothing can be done where that fails too. */
	if (end >= (off_t)done && ftruncate(w->fd, end - (off_t)done) != 0)
		return;
}

/* Whole records; a signal waits until all are in a regular file. */
static int
write_records(struct capfile_writer *w, const uint8_t *bytes, size_t len, struct err *err)
{
	sigset_t all, before;
	size_t done;
	int error, code = w->fd < 0 ? open_output(w, err) : E_OK;

	if (code != E_OK)
		return code;
	sigfillset(&all);
	if (w->is_regular)
		sigprocmask(SIG_BLOCK, &all, &before);
	done = write_all(w->fd, bytes, len);
	error = errno;
	if (done < len)
		cut_back(w, done);
	if (w->is_regular)
		sigprocmask(SIG_SETMASK, &before, NULL);
	return done < len ? fail(w, "write", error, err) : E_OK;
}

int
capfile_writer_flush(struct capfile_writer *w, struct err *err)
{
	size_t len = w->len;

	w->len = 0;
	return len > 0 ? write_records(w, w->buf, len, err) : E_OK;
}

int
capfile_writer_put(struct capfile_writer *w, const uint8_t *bytes, size_t len,
    struct err *err)
{
	if (len > BUF_SIZE - w->len) {
		int code = capfile_writer_flush(w, err);

		if (code != E_OK)
			return code;
	}
	if (len > BUF_SIZE)
		return write_records(w, bytes, len, err);
	memcpy(w->buf + w->len, bytes, len);
	w->len += len;
	return E_OK;
}

int
capfile_writer_close(struct capfile_writer *w, struct err *err)
{
	int code = capfile_writer_flush(w, err);
	int fd = w->fd;

	w->fd = -1;
	if (fd >= 0 && close(fd) != 0 && code == E_OK)
		code = fail(w, "close", errno, err);
	return code;
}
