#include "client/outfile_int.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/resume_record.h"

enum { COPY_BYTES = 64 << 10 };

/* --- waiting --- */

/* Let the owner know, once, that it waits. */
static void
say_stalled(struct outfile *out, const struct err *err)
{
	pthread_mutex_lock(&out->lock);
	if (!out->is_stalled || strcmp(out->stall.what, err->what) != 0) {
		out->stall = *err;
		out->is_stalled = true;
		out->n_stalls++;
		outfile_notify_locked(out);
	}
	pthread_mutex_unlock(&out->lock);
}

static void
say_recovered(struct outfile *out)
{
	pthread_mutex_lock(&out->lock);
	if (out->is_stalled) {
		out->is_stalled = false;
		outfile_notify_locked(out);
	}
	pthread_mutex_unlock(&out->lock);
}

/* Is it time to try again without waiting: once when the end is asked for? */
static bool
is_first_sight_of_end(struct outfile *out)
{
	bool is_closing;

	pthread_mutex_lock(&out->lock);
	is_closing = out->is_closing;
	pthread_mutex_unlock(&out->lock);
	if (!is_closing || out->is_closing_seen)
		return false;
	out->is_closing_seen = true;
	return true;
}

/* About a second, or until the end is asked for.  False: no more tries. */
static bool
wait_for_disk(struct outfile *out)
{
	struct pollfd pfd = { .fd = out->wake_fd, .events = POLLIN };
	struct mono_ns start = clock_mono();
	uint64_t count;

	for (;;) {
		int64_t gone_ms = mono_diff_ns(clock_mono(), start) / NS_PER_MS;

		if (outfile_is_given_up(out))
			return false;
		if (gone_ms >= OUTFILE_RETRY_MS || is_first_sight_of_end(out))
			return true;
		/* New data wakes us too, and is no reason to try. */
		if (poll(&pfd, 1, OUTFILE_RETRY_MS - (int)gone_ms) > 0 &&
		    read(out->wake_fd, &count, sizeof(count)) < 0)
			continue;
	}
}

/* After a failure: wait, if that was asked for.  False: nothing more is done. */
static bool
stall(struct outfile *out, const struct err *cause)
{
	struct err err;

	if (out->on_full == OUTFILE_STOP) {
		outfile_fail(out, cause);
		return false;
	}
	err_set(&err, cause->code, "%s: %s", cause->what, cause->code == E_NOSPACE ?
	    "waiting for space" : "trying again each second");
	err.sys = cause->sys;
	if (!outfile_is_given_up(out)) {
		say_stalled(out, &err);
		if (wait_for_disk(out))
			return true;
	}
	outfile_fail(out, cause);
	return false;
}

/* --- a file that is no longer there --- */

static off_t
end_of(const struct outfile *out)
{
	return out->start + (off_t)out->written;
}

/* Make a removed file again, that ends at end, and say so. */
static int
make_again(struct outfile *out, off_t end, struct err *err)
{
	struct err said;
	int rc;

	if (out->on_full == OUTFILE_STOP)
		return err_set(err, E_OUTPUT, "'%s': write: the file was removed", out->path);
	rc = outfile_restore(out, end, err);
	if (rc != E_OK)
		return rc;
	out->needs_renewal = out->record != NULL;
	/* Only the writer changes this: it reads it without the lock. */
	if (out->is_stalled)
		return E_OK;
	err_set(&said, E_OUTPUT, "'%s': write: the file was removed: made again, with all "
	    "that was in it", out->path);
	say_stalled(out, &said);
	return E_OK;
}

/* Is the file at its place, and its record about it?  It ends at end. */
static int
be_present(struct outfile *out, off_t end, struct err *err)
{
	int rc = E_OK;

	if (out->place != NULL && outfile_is_removed(out))
		rc = make_again(out, end, err);
	if (rc != E_OK || !out->needs_renewal)
		return rc;
	rc = resume_record_renew(out->record, out->fd, out->fsync, err);
	out->needs_renewal = rc != E_OK;
	return rc;
}

bool
outfile_disk_look(struct outfile *out)
{
	struct mono_ns now = clock_mono();
	struct err err;

	if (mono_diff_ns(now, out->looked) < (int64_t)OUTFILE_RETRY_MS * NS_PER_MS)
		return true;
	out->looked = now;
	while (be_present(out, end_of(out), &err) != E_OK)
		if (!stall(out, &err))
			return false;
	say_recovered(out);
	return true;
}

/* --- data --- */

/*
 * After a failed write: cut the file so that it ends with a whole block of b,
 * of which done bytes were written.  Returns how many of them stay.
 */
static size_t
cut_to_mark(struct outfile *out, const struct outfile_buffer *b, size_t done)
{
	struct stat st;
	uint32_t n = outfile_whole_blocks(b, 0, done);
	size_t keep = n == 0 ? 0 : b->mark[n - 1];

	/* Somebody else appends to the same file: their bytes stay. */
	if (fstat(out->fd, &st) != 0 || st.st_size != end_of(out) + (off_t)done)
		return done;
	if (ftruncate(out->fd, end_of(out) + (off_t)keep) != 0)
		return done;
	(void)lseek(out->fd, end_of(out) + (off_t)keep, SEEK_SET);
	return keep;
}

/* Write b from *done on; E_OK when all of it is written. */
static int
write_rest(struct outfile *out, const struct outfile_buffer *b, size_t *done,
    struct err *err)
{
	while (*done < b->len) {
		ssize_t n;

		if (outfile_is_given_up(out))
			return err_set(err, E_TIMEOUT, "'%s': write: it takes too long",
			    out->path);
		n = write(out->fd, b->data + *done, b->len - *done);
		if (n > 0) {
			*done += (size_t)n;
			outfile_set_part(out, b, *done);
		} else if (n == 0 || errno != EINTR) {
			if (n == 0)
				errno = EIO;
			return outfile_err(err, out->path, "write");
		}
	}
	return E_OK;
}

bool
outfile_disk_write(struct outfile *out, const struct outfile_buffer *b)
{
	size_t done = 0;
	bool goes_on = true;
	struct err err;

	while (goes_on) {
		int rc = write_rest(out, b, &done, &err);

		if (rc == E_OK)
			break;
		done = cut_to_mark(out, b, done);
		outfile_set_part(out, b, done);
		goes_on = stall(out, &err);
		while (goes_on && be_present(out, end_of(out) + (off_t)done, &err) != E_OK)
			goes_on = stall(out, &err);
	}
	if (goes_on)
		say_recovered(out);
	return goes_on;
}

/* --- marks --- */

/*
 * The kernel takes pages that could not be written for written ones, and says
 * so once only: without a second write they would never reach the disk.
 */
static int
write_again(struct outfile *out, struct err *err)
{
	off_t at = out->start + (off_t)out->synced;
	uint8_t *bytes = malloc(COPY_BYTES);
	int rc = E_OK;

	if (bytes == NULL)
		return err_set(err, E_NOMEM, "'%s': sync: out of memory", out->path);
	while (rc == E_OK && at < end_of(out)) {
		size_t len = end_of(out) - at < COPY_BYTES ? (size_t)(end_of(out) - at) :
		    COPY_BYTES;
		ssize_t n = pread(out->fd, bytes, len, at);

		if (n == 0)
			break;
		if (n < 0 || pwrite(out->fd, bytes, (size_t)n, at) != n)
			rc = outfile_err(err, out->path, "sync");
		at += n;
	}
	free(bytes);
	return rc;
}

static int
sync_data(struct outfile *out, struct err *err)
{
	/* Of a shared file only its own writers know what is where. */
	if (out->is_unsure && out->place != NULL) {
		int rc = write_again(out, err);

		if (rc != E_OK)
			return rc;
	}
	if (fdatasync(out->fd) != 0) {
		out->is_unsure = true;
		return outfile_err(err, out->path, "sync");
	}
	out->is_unsure = false;
	out->synced = out->written;
	return E_OK;
}

/* Data first: a record never says more than is there. */
static int
commit(struct outfile *out, const struct outfile_mark *mark, struct err *err)
{
	int rc = be_present(out, end_of(out), err);

	if (rc == E_OK && out->fsync)
		rc = sync_data(out, err);
	if (rc == E_OK && out->record != NULL)
		rc = resume_record_write(out->record, out->fd, (uint64_t)out->start + mark->at,
		    mark->payload, mark->len, out->fsync, err);
	if (rc == E_OK && out->fsync && out->place != NULL && !out->is_directory_synced)
		rc = outfile_sync_directory(out, err);
	return rc;
}

bool
outfile_disk_commit(struct outfile *out, const struct outfile_mark *mark)
{
	struct err err;

	while (commit(out, mark, &err) != E_OK)
		if (!stall(out, &err))
			return false;
	say_recovered(out);
	return true;
}

bool
outfile_disk_finish(struct outfile *out)
{
	for (;;) {
		struct err err;
		int rc = be_present(out, end_of(out), &err);

		if (rc == E_OK && out->fsync)
			rc = sync_data(out, &err);
		if (rc == E_OK)
			break;
		if (!stall(out, &err))
			return false;
	}
	say_recovered(out);
	return true;
}
