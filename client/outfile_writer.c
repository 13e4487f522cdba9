#include "client/outfile_int.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Tell the loop that something changed; caller holds the lock. */
static void
notify_locked(struct outfile *out)
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

static void
fail(struct outfile *out, const char *action)
{
	struct err err;

	outfile_err(&err, out->path, action);
	pthread_mutex_lock(&out->lock);
	out->error = err;
	notify_locked(out);
	pthread_mutex_unlock(&out->lock);
}

static void
set_reader_gone(struct outfile *out)
{
	pthread_mutex_lock(&out->lock);
	out->is_reader_gone = true;
	notify_locked(out);
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
poll_cancellable(struct pollfd *fds, nfds_t n)
{
	int ready, saved;

	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	ready = poll(fds, n, -1);
	saved = errno;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	errno = saved;
	return ready;
}

/* How many blocks of b are whole in its first len bytes, n at least? */
static uint32_t
whole_blocks(const struct outfile_buffer *b, uint32_t n, size_t len)
{
	while (n < b->n_marks && b->mark[n] <= len)
		n++;
	return n;
}

/*
 * After a failed write: cut a regular file so that it ends with a whole block
 * of b, of which done bytes were written.  Returns how many of them stay.
 */
static size_t
cut_to_mark(struct outfile *out, const struct outfile_buffer *b, size_t done)
{
	off_t base = out->start + (off_t)out->written;
	struct stat st;
	uint32_t n = whole_blocks(b, 0, done);
	size_t keep = n == 0 ? 0 : b->mark[n - 1];

	/* Somebody else appends to the same file: their bytes stay. */
	if (!out->is_regular || fstat(out->fd, &st) != 0 ||
	    st.st_size != base + (off_t)done)
		return done;
	return ftruncate(out->fd, base + (off_t)keep) == 0 ? keep : done;
}

/* Let the owner see how far the buffer under way has come. */
static void
set_part(struct outfile *out, const struct outfile_buffer *b, size_t done)
{
	uint32_t n = whole_blocks(b, out->part_blocks, done);

	pthread_mutex_lock(&out->lock);
	out->part = done;
	out->part_blocks = n;
	pthread_mutex_unlock(&out->lock);
}

/* A blocking write() to a pipe returns when all is taken: so in pieces. */
static size_t
piece_of(const struct outfile *out, size_t left)
{
	return !out->is_regular && left > OUTFILE_PIECE_BYTES ?
	    OUTFILE_PIECE_BYTES : left;
}

/* Write all of b; returns false when nothing more can be written. */
static bool
write_buffer(struct outfile *out, const struct outfile_buffer *b)
{
	size_t done = 0;

	while (done < b->len) {
		ssize_t n = write_cancellable(out->fd, b->data + done,
		    piece_of(out, b->len - done));

		if (n >= 0) {
			done += (size_t)n;
			set_part(out, b, done);
		} else if (errno == EAGAIN) {
			/* Whoever shares this stdout made it non-blocking. */
			struct pollfd pfd = { .fd = out->fd, .events = POLLOUT };

			(void)poll_cancellable(&pfd, 1);
		} else if (errno == EPIPE) {
			break;
		} else if (errno != EINTR) {
			int saved = errno;

			done = cut_to_mark(out, b, done);
			errno = saved;
			break;
		}
	}
	if (done == b->len)
		return true;
	pthread_mutex_lock(&out->lock);
	out->written += done;
	out->blocks += whole_blocks(b, 0, done);
	out->part = 0;
	out->part_blocks = 0;
	pthread_mutex_unlock(&out->lock);
	if (errno == EPIPE)
		set_reader_gone(out);
	else
		fail(out, "write");
	return false;
}

/*
 * Wait until the loop's thread has something.  Meanwhile the only sign of a
 * reader that went away is an error condition on the descriptor.  Returns
 * false when it did.
 */
static bool
wait_for_work(struct outfile *out)
{
	struct pollfd fds[2] = {
		{ .fd = out->wake_fd, .events = POLLIN },
		{ .fd = out->is_regular ? -1 : out->fd, .events = 0 },
	};
	uint64_t count;

	if (poll_cancellable(fds, 2) < 0)
		return true;
	if (fds[0].revents != 0 &&
	    read(out->wake_fd, &count, sizeof(count)) < 0)
		return true;
	if ((fds[1].revents & (POLLERR | POLLHUP)) == 0)
		return true;
	set_reader_gone(out);
	return false;
}

/* The next buffer to write; NULL after the last one, or when it is over. */
static struct outfile_buffer *
take_buffer(struct outfile *out)
{
	struct outfile_buffer *b;

	for (;;) {
		bool is_closing;

		pthread_mutex_lock(&out->lock);
		b = out->first;
		if (b != NULL) {
			out->first = b->next;
			if (out->first == NULL)
				out->last = &out->first;
			out->in_flight = b;
		}
		is_closing = out->is_closing;
		pthread_mutex_unlock(&out->lock);
		if (b != NULL || is_closing || !wait_for_work(out))
			return b;
	}
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

static void
buffer_done(struct outfile *out, struct outfile_buffer *b)
{
	pthread_mutex_lock(&out->lock);
	out->in_flight = NULL;
	out->written += b->len;
	out->blocks += b->n_marks;
	out->part = 0;
	out->part_blocks = 0;
	outfile_pool_put_locked(out, b);
	notify_locked(out);
	pthread_mutex_unlock(&out->lock);
}

static void
write_all(struct outfile *out)
{
	struct outfile_buffer *b;

	if (out->fd < 0)
		out->fd = open_cancellable(out->path);
	if (out->fd < 0) {
		fail(out, "open");
		return;
	}
	while ((b = take_buffer(out)) != NULL && write_buffer(out, b))
		buffer_done(out, b);
}

void *
outfile_writer_main(void *arg)
{
	struct outfile *out = arg;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	write_all(out);
	pthread_mutex_lock(&out->lock);
	out->has_ended = true;
	pthread_cond_signal(&out->ended);
	pthread_mutex_unlock(&out->lock);
	return NULL;
}
