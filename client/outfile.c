#include "client/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/outfile_int.h"
#include "common/clock.h"

static bool
is_over(struct outfile *out)
{
	bool over;

	pthread_mutex_lock(&out->lock);
	over = out->is_reader_gone || out->error.code != E_OK;
	pthread_mutex_unlock(&out->lock);
	return over;
}

/* Give the open buffer to the writer. */
static void
push_open(struct outfile *out)
{
	const uint64_t one = 1;
	struct outfile_buffer *b = out->open;

	out->wants_flush = false;
	if (b == NULL)
		return;
	out->open = NULL;
	b->next = NULL;
	pthread_mutex_lock(&out->lock);
	if (out->is_reader_gone || out->error.code != E_OK) {
		outfile_pool_put_locked(out, b);
	} else {
		*out->last = b;
		out->last = &b->next;
	}
	pthread_mutex_unlock(&out->lock);
	/* An eventfd cannot block before 2^64 of these. */
	if (write(out->wake_fd, &one, sizeof(one)) < 0)
		abort();
}

static bool
is_writer_idle(struct outfile *out)
{
	bool idle;

	pthread_mutex_lock(&out->lock);
	idle = out->first == NULL && out->in_flight == NULL;
	pthread_mutex_unlock(&out->lock);
	return idle;
}

static void
state_changed(struct mail *mail, void *arg)
{
	struct outfile *out = arg;
	enum outfile_event event = OUTFILE_EV_WRITTEN;
	bool was_reported = out->error_seen.code != E_OK;

	(void)mail;
	pthread_mutex_lock(&out->lock);
	out->is_mail_posted = false;
	if (out->error.code != E_OK) {
		event = OUTFILE_EV_ERROR;
		out->error_seen = out->error;
	} else if (out->is_reader_gone) {
		event = OUTFILE_EV_CLOSED;
	}
	pthread_mutex_unlock(&out->lock);
	if (was_reported)
		return;
	if (out->wants_flush)
		push_open(out);
	out->fn(out, event, out->arg);
}

static struct outfile_buffer *
buffer_get(struct outfile *out, size_t len)
{
	size_t capacity = len > OUTFILE_BUFFER_BYTES ? len : OUTFILE_BUFFER_BYTES;
	struct outfile_buffer *b = NULL;

	pthread_mutex_lock(&out->lock);
	if (capacity == OUTFILE_BUFFER_BYTES && out->pool != NULL) {
		b = out->pool;
		out->pool = b->next;
		out->n_pool--;
	}
	pthread_mutex_unlock(&out->lock);
	if (b == NULL)
		b = malloc(sizeof(*b) + capacity);
	if (b == NULL)
		return NULL;
	b->next = NULL;
	b->capacity = capacity;
	b->len = 0;
	b->n_marks = 0;
	return b;
}

uint8_t *
outfile_reserve(struct outfile *out, size_t len)
{
	struct outfile_buffer *b = out->open;
	uint8_t *p;

	if (b != NULL &&
	    (b->capacity - b->len < len || b->n_marks == OUTFILE_BUFFER_MARKS)) {
		push_open(out);
		b = NULL;
	}
	if (b == NULL) {
		b = buffer_get(out, len);
		if (b == NULL)
			return NULL;
		out->open = b;
	}
	p = b->data + b->len;
	b->len += len;
	b->mark[b->n_marks++] = (uint32_t)b->len;
	out->submitted += len;
	out->submitted_blocks++;
	return p;
}

void
outfile_flush(struct outfile *out)
{
	/*
	 * While the writer is busy the open buffer goes on filling, so that
	 * many small flushes to a stalled reader do not cost a buffer each.
	 */
	if (is_writer_idle(out) || is_over(out))
		push_open(out);
	else
		out->wants_flush = true;
}

bool
outfile_is_full(const struct outfile *out)
{
	return out->submitted - outfile_written(out) > OUTFILE_FULL_BYTES;
}

bool
outfile_is_pipe(const struct outfile *out)
{
	return !out->is_regular;
}

uint64_t
outfile_submitted(const struct outfile *out)
{
	return out->submitted;
}

uint64_t
outfile_written(const struct outfile *out)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&out->lock;
	uint64_t written;

	pthread_mutex_lock(lock);
	written = out->written + out->part;
	pthread_mutex_unlock(lock);
	return written;
}

uint64_t
outfile_blocks_submitted(const struct outfile *out)
{
	return out->submitted_blocks;
}

uint64_t
outfile_blocks_written(const struct outfile *out)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&out->lock;
	uint64_t blocks;

	pthread_mutex_lock(lock);
	blocks = out->blocks + out->part_blocks;
	pthread_mutex_unlock(lock);
	return blocks;
}

const struct err *
outfile_error(const struct outfile *out)
{
	return &out->error_seen;
}

/* --- opening and closing --- */

static int
open_fd(const char *path, struct err *err)
{
	bool is_stdout = strcmp(path, "-") == 0;
	int fd;

	if (is_stdout)
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	else
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC |
		    O_NOCTTY, 0666);
	if (fd >= 0)
		return fd;
	outfile_err(err, is_stdout ? "stdout" : path, "open");
	return -1;
}

static bool
is_named_pipe(const char *path)
{
	struct stat st;

	return strcmp(path, "-") != 0 && stat(path, &st) == 0 &&
	    S_ISFIFO(st.st_mode);
}

/* What kind of file it is, and where our bytes begin in a shared one. */
static void
inspect_fd(struct outfile *out)
{
	struct stat st;
	int flags;

	if (fstat(out->fd, &st) != 0 || !S_ISREG(st.st_mode))
		return;
	out->is_regular = true;
	flags = fcntl(out->fd, F_GETFL);
	if (flags >= 0 && (flags & O_APPEND) != 0)
		out->start = st.st_size;
	else
		out->start = lseek(out->fd, 0, SEEK_CUR);
}

static int
start_writer(struct outfile *out, struct err *err)
{
	pthread_condattr_t attr;
	int ret;

	pthread_mutex_init(&out->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&out->ended, &attr);
	pthread_condattr_destroy(&attr);
	ret = pthread_create(&out->writer, NULL, outfile_writer_main, out);
	if (ret == 0)
		return E_OK;
	pthread_cond_destroy(&out->ended);
	pthread_mutex_destroy(&out->lock);
	errno = ret;
	return err_sys(err, "'%s': start the writer's thread", out->path);
}

/* The mailbox has no message but ours, which is part of out. */
static void
drop_mail(struct mail *mail)
{
	(void)mail;
}

struct outfile *
outfile_open(struct loop *loop, const char *path, outfile_fn fn, void *arg,
    struct err *err)
{
	struct outfile *out = calloc(1, sizeof(*out));

	if (out == NULL) {
		err_set(err, E_NOMEM, "'%s': open: out of memory", path);
		return NULL;
	}
	out->fn = fn;
	out->arg = arg;
	out->last = &out->first;
	out->fd = -1;
	out->path = strdup(strcmp(path, "-") == 0 ? "stdout" : path);
	if (out->path == NULL) {
		err_set(err, E_NOMEM, "'%s': open: out of memory", path);
		goto out_object;
	}
	if (!is_named_pipe(path)) {
		out->fd = open_fd(path, err);
		if (out->fd < 0)
			goto out_path;
		inspect_fd(out);
	}
	out->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (out->wake_fd < 0) {
		err_sys(err, "'%s': eventfd", path);
		goto out_fd;
	}
	out->box = mailbox_new(loop, state_changed, out, err);
	if (out->box == NULL)
		goto out_wake;
	if (start_writer(out, err) == E_OK)
		return out;
	mailbox_free(out->box, drop_mail);
out_wake:
	close(out->wake_fd);
out_fd:
	if (out->fd >= 0)
		close(out->fd);
out_path:
	free(out->path);
out_object:
	free(out);
	return NULL;
}

/* Has the writer ended within timeout_ms? */
static bool
wait_for_end(struct outfile *out, int timeout_ms)
{
	struct mono_ns until = clock_mono();
	struct timespec ts;
	int ret = 0;
	bool ended;

	until.ns += (int64_t)timeout_ms * NS_PER_MS;
	ts.tv_sec = until.ns / NS_PER_S;
	ts.tv_nsec = until.ns % NS_PER_S;
	pthread_mutex_lock(&out->lock);
	while (!out->has_ended && ret == 0)
		ret = timeout_ms < 0 ?
		    pthread_cond_wait(&out->ended, &out->lock) :
		    pthread_cond_timedwait(&out->ended, &out->lock, &ts);
	ended = out->has_ended;
	pthread_mutex_unlock(&out->lock);
	return ended;
}

static void
free_buffers(struct outfile_buffer *b)
{
	while (b != NULL) {
		struct outfile_buffer *next = b->next;

		free(b);
		b = next;
	}
}

static void
destroy(struct outfile *out)
{
	mailbox_free(out->box, drop_mail);
	close(out->wake_fd);
	free_buffers(out->first);
	free_buffers(out->pool);
	free(out->in_flight);
	free(out->open);
	pthread_cond_destroy(&out->ended);
	pthread_mutex_destroy(&out->lock);
	free(out->path);
	free(out);
}

int
outfile_stop(struct outfile *out, int timeout_ms, struct err *err)
{
	const uint64_t one = 1;

	push_open(out);
	pthread_mutex_lock(&out->lock);
	out->is_closing = true;
	pthread_mutex_unlock(&out->lock);
	if (write(out->wake_fd, &one, sizeof(one)) < 0)
		abort();
	if (!wait_for_end(out, timeout_ms))
		pthread_cancel(out->writer);
	pthread_join(out->writer, NULL);
	out->is_stopped = true;

	/* It may have ended after the wait, before it could be cancelled. */
	if (!out->has_ended)
		err_set(&out->error, E_TIMEOUT,
		    "'%s': write: the reader takes nothing", out->path);
	if (out->fd >= 0 && close(out->fd) != 0 && out->error.code == E_OK)
		outfile_err(&out->error, out->path, "close");
	out->fd = -1;
	if (out->error.code != E_OK && err != NULL)
		*err = out->error;
	return out->error.code;
}

int
outfile_close(struct outfile *out, int timeout_ms, struct err *err)
{
	int ret = out->is_stopped ? out->error.code :
	    outfile_stop(out, timeout_ms, err);

	destroy(out);
	return ret;
}
