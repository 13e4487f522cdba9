#include "client/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/outfile_int.h"
#include "client/resume_record.h"

static bool
is_stdout(const struct outfile_config *cfg)
{
	return strcmp(cfg->path, "-") == 0;
}

static bool
is_named_pipe(const struct outfile_config *cfg)
{
	struct stat st;

	return !is_stdout(cfg) && stat(cfg->path, &st) == 0 && S_ISFIFO(st.st_mode);
}

/* --- the descriptor --- */

/*
 * A regular file is to be read too, for its record and if it has to be made
 * again; everything else must not be, least of all a pipe.
 */
static int
reopen_readable(const char *path, int fd)
{
	struct stat mine, there;
	int readable;

	if (fstat(fd, &mine) != 0 || !S_ISREG(mine.st_mode))
		return fd;
	readable = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (readable < 0)
		return fd;
	if (fstat(readable, &there) != 0 || mine.st_dev != there.st_dev ||
	    mine.st_ino != there.st_ino) {
		close(readable);
		return fd;
	}
	close(fd);
	return readable;
}

static int
open_fd(const struct outfile_config *cfg, struct err *err)
{
	int fd;

	if (is_stdout(cfg))
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	else if (cfg->is_resumed)
		fd = open(cfg->path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	else
		fd = open(cfg->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY,
		    0666);
	if (fd < 0) {
		outfile_err(err, is_stdout(cfg) ? "stdout" : cfg->path, "open");
		return -1;
	}
	return is_stdout(cfg) || cfg->is_resumed ? fd : reopen_readable(cfg->path, fd);
}

/* What kind of file it is, and where our bytes begin in a shared one. */
static void
inspect_fd(struct outfile *out, const struct outfile_config *cfg)
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
	/* One without a name has no place where it could be made again. */
	if (!is_stdout(cfg) && st.st_nlink > 0)
		out->place = realpath(cfg->path, NULL);
}

/* --- going on with an old file --- */

static int
check_magic(const struct outfile_config *cfg, int fd, struct err *err)
{
	uint8_t head[OUTFILE_MAGIC_LEN];

	if (cfg->resume_at == 0 || (pread(fd, head, sizeof(head), 0) == sizeof(head) &&
	    memcmp(head, cfg->magic, sizeof(head)) == 0))
		return E_OK;
	return err_set(err, E_OUTPUT, "'%s': resume: it is of another format", cfg->path);
}

static int
go_on(struct outfile *out, const struct outfile_config *cfg, struct err *err)
{
	struct resume_record_state state;
	int rc;

	if (cfg->record == NULL)
		return err_set(err, E_BUG, "'%s': resume: no record", cfg->path);
	rc = resume_record_read(cfg->record, &state, err);
	if (rc == E_OK)
		rc = resume_record_check_output(cfg->record, out->fd, err);
	if (rc == E_OK && state.offset != cfg->resume_at)
		rc = err_set(err, E_BUG, "'%s': resume: not where its record says",
		    cfg->path);
	if (rc == E_OK)
		rc = check_magic(cfg, out->fd, err);
	if (rc != E_OK)
		return rc;
	out->start = (off_t)cfg->resume_at;
	if (ftruncate(out->fd, out->start) != 0 ||
	    lseek(out->fd, out->start, SEEK_SET) != out->start)
		return outfile_err(err, cfg->path, "resume");
	return E_OK;
}

/* --- both ends --- */

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

/* The descriptor, unless the writer has to wait for it. */
static int
open_file(struct outfile *out, const struct outfile_config *cfg, struct err *err)
{
	bool is_later = is_named_pipe(cfg);

	if (!is_later) {
		out->fd = open_fd(cfg, err);
		if (out->fd < 0)
			return err->code;
		inspect_fd(out, cfg);
	}
	if (cfg->record != NULL && out->place == NULL)
		return err_set(err, E_OUTPUT, "'%s': resume: only a file can be resumed",
		    out->path);
	return cfg->is_resumed ? go_on(out, cfg, err) : E_OK;
}

static struct outfile *
outfile_new(const struct outfile_config *cfg, struct err *err)
{
	struct outfile *out = calloc(1, sizeof(*out));

	if (out != NULL)
		out->path = strdup(is_stdout(cfg) ? "stdout" : cfg->path);
	if (out == NULL || out->path == NULL) {
		err_set(err, E_NOMEM, "'%s': open: out of memory", cfg->path);
		free(out);
		return NULL;
	}
	out->fn = cfg->fn;
	out->arg = cfg->arg;
	out->last = &out->first;
	out->fd = -1;
	out->fsync = cfg->fsync;
	out->on_full = cfg->on_full;
	out->looked = clock_mono();
	return out;
}

static struct outfile *
open_without_record(const struct outfile_config *cfg, struct err *err)
{
	struct outfile *out = outfile_new(cfg, err);

	if (out == NULL)
		return NULL;
	if (open_file(out, cfg, err) != E_OK)
		goto out_fd;
	out->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (out->wake_fd < 0) {
		err_sys(err, "'%s': eventfd", cfg->path);
		goto out_fd;
	}
	out->box = mailbox_new(cfg->loop, outfile_on_mail, out, err);
	if (out->box == NULL)
		goto out_wake;
	out->record = cfg->record;
	if (start_writer(out, err) == E_OK)
		return out;
	mailbox_free(out->box, drop_mail);
out_wake:
	close(out->wake_fd);
out_fd:
	if (out->fd >= 0)
		close(out->fd);
	free(out->place);
	free(out->path);
	free(out);
	return NULL;
}

struct outfile *
outfile_open(const struct outfile_config *cfg, struct err *err)
{
	struct outfile *out = open_without_record(cfg, err);

	if (out != NULL)
		return out;
	/* Of a file that is not written there is nothing to be resumed. */
	if (cfg->is_resumed)
		resume_record_close(cfg->record);
	else
		resume_record_remove(cfg->record);
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
	free(out->mark.payload);
	resume_record_close(out->record);
	free(out->place);
	pthread_cond_destroy(&out->ended);
	pthread_mutex_destroy(&out->lock);
	free(out->path);
	free(out);
}

/* Whoever does not end in time: a pipe's reader takes nothing, a disk is full. */
static void
give_up(struct outfile *out)
{
	pthread_mutex_lock(&out->lock);
	out->is_given_up = true;
	pthread_mutex_unlock(&out->lock);
	outfile_wake(out);
	/* What is written to a disk comes back, and has to be counted. */
	if (!out->is_regular)
		pthread_cancel(out->writer);
}

int
outfile_stop(struct outfile *out, int timeout_ms, struct err *err)
{
	outfile_push_open(out);
	pthread_mutex_lock(&out->lock);
	out->is_closing = true;
	pthread_mutex_unlock(&out->lock);
	outfile_wake(out);
	if (!wait_for_end(out, timeout_ms))
		give_up(out);
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

void
outfile_forget(struct outfile *out)
{
	resume_record_remove(out->record);
	out->record = NULL;
}

int
outfile_close(struct outfile *out, int timeout_ms, struct err *err)
{
	int ret = out->is_stopped ? out->error.code :
	    outfile_stop(out, timeout_ms, err);

	destroy(out);
	return ret;
}
