#include "client/outfile.h"

#include <stdlib.h>
#include <unistd.h>

#include "client/outfile_int.h"

static bool
is_over(struct outfile *out)
{
	bool over;

	pthread_mutex_lock(&out->lock);
	over = out->is_reader_gone || out->error.code != E_OK;
	pthread_mutex_unlock(&out->lock);
	return over;
}

void
outfile_wake(struct outfile *out)
{
	const uint64_t one = 1;

	/* An eventfd cannot block before 2^64 of these. */
	if (write(out->wake_fd, &one, sizeof(one)) < 0)
		abort();
}

void
outfile_push_open(struct outfile *out)
{
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
	outfile_wake(out);
}

/* --- what the writer reports --- */

/* What changed since the last mail; events are told without the lock. */
struct news {
	bool		 has_stalled, is_stalled, has_failed, is_reader_gone;
	struct err	 error;		/* of the failure, or of the stall */
};

static void
take_news(struct outfile *out, struct news *news)
{
	pthread_mutex_lock(&out->lock);
	out->is_mail_posted = false;
	*news = (struct news){
		.has_stalled = out->n_stalls != out->stalls_seen,
		.is_stalled = out->is_stalled,
		.has_failed = out->error.code != E_OK,
		.is_reader_gone = out->is_reader_gone,
		.error = out->error.code != E_OK ? out->error : out->stall,
	};
	out->stalls_seen = out->n_stalls;
	pthread_mutex_unlock(&out->lock);
}

static void
tell(struct outfile *out, enum outfile_event event)
{
	out->fn(out, event, out->arg);
}

static void
tell_stalls(struct outfile *out, const struct news *news)
{
	if (news->has_stalled) {
		out->error_seen = news->error;
		out->is_stall_seen = true;
		tell(out, OUTFILE_EV_STALLED);
	}
	if (!news->is_stalled && out->is_stall_seen) {
		out->is_stall_seen = false;
		out->error_seen.code = E_OK;
		tell(out, OUTFILE_EV_RECOVERED);
	}
}

void
outfile_on_mail(struct mail *mail, void *arg)
{
	struct outfile *out = arg;
	struct news news;

	(void)mail;
	take_news(out, &news);
	if (out->has_failed)
		return;
	if (news.has_failed) {
		out->has_failed = true;
		out->error_seen = news.error;
		tell(out, OUTFILE_EV_ERROR);
		return;
	}
	tell_stalls(out, &news);
	if (out->wants_flush)
		outfile_push_open(out);
	tell(out, news.is_reader_gone ? OUTFILE_EV_CLOSED : OUTFILE_EV_WRITTEN);
}

/* --- what the owner submits --- */

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
		outfile_push_open(out);
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

static bool
is_writer_idle(struct outfile *out)
{
	bool idle;

	pthread_mutex_lock(&out->lock);
	idle = out->first == NULL && out->in_flight == NULL;
	pthread_mutex_unlock(&out->lock);
	return idle;
}

void
outfile_flush(struct outfile *out)
{
	/*
	 * While the writer is busy the open buffer goes on filling, so that
	 * many small flushes to a stalled reader do not cost a buffer each.
	 */
	if (is_writer_idle(out) || is_over(out))
		outfile_push_open(out);
	else
		out->wants_flush = true;
}

static bool
is_mark_pending(struct outfile *out)
{
	bool is_pending;

	pthread_mutex_lock(&out->lock);
	is_pending = out->mark.is_pending;
	pthread_mutex_unlock(&out->lock);
	return is_pending;
}

int
outfile_mark(struct outfile *out, uint8_t *payload, size_t len)
{
	if (is_mark_pending(out)) {
		free(payload);
		return E_STATE;
	}
	/* So that no later byte is in a buffer with what the mark is about. */
	outfile_push_open(out);
	pthread_mutex_lock(&out->lock);
	out->mark = (struct outfile_mark){
		.is_pending = true, .at = out->submitted,
		.payload = payload, .len = len,
	};
	pthread_mutex_unlock(&out->lock);
	outfile_wake(out);
	return E_OK;
}

/* --- what the owner asks --- */

bool
outfile_is_full(const struct outfile *out)
{
	return out->submitted - outfile_written(out) > OUTFILE_FULL_BYTES;
}

bool
outfile_is_stalled(const struct outfile *out)
{
	return out->is_stall_seen;
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
	blocks = out->is_lost ? 0 : out->blocks + out->part_blocks;
	pthread_mutex_unlock(lock);
	return blocks;
}

uint64_t
outfile_marks_done(const struct outfile *out)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&out->lock;
	uint64_t done;

	pthread_mutex_lock(lock);
	done = out->marks_done;
	pthread_mutex_unlock(lock);
	return done;
}

const struct err *
outfile_error(const struct outfile *out)
{
	return &out->error_seen;
}
