#include "client/outfile_int.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

void
outfile_notify_locked(struct outfile *out)
{
	if (out->is_mail_posted)
		return;
	out->is_mail_posted = true;
	mailbox_post(out->box, &out->mail);
}

int
outfile_err(struct err *err, const char *path, const char *action)
{
	int code = err_sys(err, "'%s': %s", path, action);

	if (code != E_SYS)
		return code;
	if (err != NULL)
		err->code = E_OUTPUT;
	return E_OUTPUT;
}

void
outfile_fail(struct outfile *out, const struct err *err)
{
	pthread_mutex_lock(&out->lock);
	out->error = *err;
	outfile_notify_locked(out);
	pthread_mutex_unlock(&out->lock);
}

static void
fail(struct outfile *out, const char *action)
{
	struct err err;

	outfile_err(&err, out->path, action);
	outfile_fail(out, &err);
}

bool
outfile_is_given_up(struct outfile *out)
{
	bool is_given_up;

	pthread_mutex_lock(&out->lock);
	is_given_up = out->is_given_up;
	pthread_mutex_unlock(&out->lock);
	return is_given_up;
}

static void
set_reader_gone(struct outfile *out)
{
	pthread_mutex_lock(&out->lock);
	out->is_reader_gone = true;
	outfile_notify_locked(out);
	pthread_mutex_unlock(&out->lock);
}

/*
 * Cancellation is on only inside these three: they may wait for a reader that
 * never comes back, and hold nothing.
 */
static ssize_t
write_cancellable(int fd, const void *data, size_t len)
{
	ssize_t n;
	int saved;

	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	n = write(fd, data, len);
	saved = errno;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	errno = saved;
	return n;
}

static int
open_cancellable(const char *path)
{
	int fd, saved;

	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	saved = errno;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	errno = saved;
	return fd;
}

static int
poll_cancellable(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	int ready, saved;

	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	ready = poll(fds, n, timeout_ms);
	saved = errno;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	errno = saved;
	return ready;
}

uint32_t
outfile_whole_blocks(const struct outfile_buffer *b, uint32_t n, size_t len)
{
	while (n < b->n_marks && b->mark[n] <= len)
		n++;
	return n;
}

void
outfile_set_part(struct outfile *out, const struct outfile_buffer *b, size_t done)
{
	uint32_t n = outfile_whole_blocks(b, out->part_blocks, done);

	pthread_mutex_lock(&out->lock);
	out->part = done;
	out->part_blocks = n;
	pthread_mutex_unlock(&out->lock);
}

/* A blocking write() to a pipe returns when all is taken: so in pieces. */
static size_t
piece_of(size_t left)
{
	return left > OUTFILE_PIECE_BYTES ? OUTFILE_PIECE_BYTES : left;
}

/* Write all of b to what is no regular file; out->part says how far it came. */
static bool
write_stream(struct outfile *out, const struct outfile_buffer *b)
{
	size_t done = 0;

	while (done < b->len) {
		ssize_t n = write_cancellable(out->fd, b->data + done,
		    piece_of(b->len - done));

		if (n >= 0) {
			done += (size_t)n;
			outfile_set_part(out, b, done);
		} else if (errno == EAGAIN) {
			/* Whoever shares this stdout made it non-blocking. */
			struct pollfd pfd = { .fd = out->fd, .events = POLLOUT };

			(void)poll_cancellable(&pfd, 1, -1);
		} else if (errno == EPIPE) {
			set_reader_gone(out);
			break;
		} else if (errno != EINTR) {
			fail(out, "write");
			break;
		}
	}
	return done == b->len;
}

/* --- work --- */

/*
 * Wait until the loop's thread has something, or until it is time to look at
 * the file.  Of a pipe the only sign of a reader that went away is an error
 * condition on the descriptor.  Returns false when it did.
 */
static bool
wait_for_work(struct outfile *out)
{
	struct pollfd fds[2] = {
		{ .fd = out->wake_fd, .events = POLLIN },
		{ .fd = out->is_regular ? -1 : out->fd, .events = 0 },
	};
	uint64_t count;

	if (poll_cancellable(fds, 2, out->place != NULL ? OUTFILE_RETRY_MS : -1) < 0)
		return true;
	if (fds[0].revents != 0 &&
	    read(out->wake_fd, &count, sizeof(count)) < 0)
		return true;
	if ((fds[1].revents & (POLLERR | POLLHUP)) == 0)
		return true;
	set_reader_gone(out);
	return false;
}

enum work { WORK_BUFFER, WORK_MARK, WORK_WAIT, WORK_END };

/* What is next: a mark before the bytes behind it; in_flight is the buffer. */
static enum work
next_work(struct outfile *out)
{
	enum work work;

	pthread_mutex_lock(&out->lock);
	if (out->mark.is_pending && out->mark.at <= out->written) {
		work = WORK_MARK;
	} else if (out->first != NULL) {
		out->in_flight = out->first;
		out->first = out->first->next;
		if (out->first == NULL)
			out->last = &out->first;
		work = WORK_BUFFER;
	} else {
		work = out->is_closing ? WORK_END : WORK_WAIT;
	}
	pthread_mutex_unlock(&out->lock);
	return work;
}

void
outfile_pool_put_locked(struct outfile *out, struct outfile_buffer *b)
{
	if (b->capacity != OUTFILE_BUFFER_BYTES || out->n_pool == OUTFILE_POOL_BUFFERS) {
		free(b);
		return;
	}
	b->next = out->pool;
	out->pool = b;
	out->n_pool++;
}

/* Count what became of b: all of it, or what was written before the end. */
static void
count_buffer(struct outfile *out, struct outfile_buffer *b)
{
	bool is_done = out->part == b->len;

	pthread_mutex_lock(&out->lock);
	out->written += out->part;
	out->blocks += out->part_blocks;
	out->part = 0;
	out->part_blocks = 0;
	if (is_done) {
		out->in_flight = NULL;
		outfile_pool_put_locked(out, b);
		outfile_notify_locked(out);
	}
	pthread_mutex_unlock(&out->lock);
}

static bool
write_buffer(struct outfile *out)
{
	struct outfile_buffer *b = out->in_flight;
	bool goes_on = out->is_regular ? outfile_disk_write(out, b) : write_stream(out, b);

	count_buffer(out, b);
	return goes_on;
}

/* The loop's thread leaves the mark alone while it is pending. */
static bool
reach_mark(struct outfile *out)
{
	if (out->is_regular && !outfile_disk_commit(out, &out->mark))
		return false;
	free(out->mark.payload);
	pthread_mutex_lock(&out->lock);
	out->mark = (struct outfile_mark){ .is_pending = false };
	out->marks_done++;
	outfile_notify_locked(out);
	pthread_mutex_unlock(&out->lock);
	return true;
}

static void
write_all(struct outfile *out)
{
	bool goes_on = true;

	while (goes_on) {
		switch (next_work(out)) {
		case WORK_BUFFER:
			goes_on = write_buffer(out);
			break;
		case WORK_MARK:
			goes_on = reach_mark(out);
			break;
		case WORK_WAIT:
			goes_on = wait_for_work(out);
			break;
		case WORK_END:
			if (out->is_regular)
				(void)outfile_disk_finish(out);
			return;
		}
		if (goes_on && out->place != NULL)
			goes_on = outfile_disk_look(out);
	}
}

void *
outfile_writer_main(void *arg)
{
	struct outfile *out = arg;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	if (out->fd < 0)
		out->fd = open_cancellable(out->path);
	if (out->fd < 0)
		fail(out, "open");
	else
		write_all(out);
	pthread_mutex_lock(&out->lock);
	out->is_lost = out->place != NULL && outfile_is_removed(out);
	out->has_ended = true;
	pthread_cond_signal(&out->ended);
	pthread_mutex_unlock(&out->lock);
	return NULL;
}
