/*
 * outfile - an output file or stdout, written by a thread of its own.
 *
 * The loop's thread formats into a bounded set of buffers and never blocks;
 * the writer's thread calls write() (blocking: O_NONBLOCK on a shared stdout
 * would change it for the shell), notices a reader that went away also on an
 * idle line (it polls the descriptor for POLLERR while it waits for work),
 * and reports back through the loop.
 *
 * What one outfile_reserve() gave is never left in part at the end of a
 * regular file: when a write fails the file is cut back to such a boundary.
 * A regular file whose disk is full, or that somebody removed, can be waited
 * for: nothing is written twice and nothing left out.
 */
#ifndef CLIENT_OUTFILE_H
#define CLIENT_OUTFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/loop.h"

struct outfile;
struct resume_record;

enum { OUTFILE_MAGIC_LEN = 4 };

enum outfile_event {
	OUTFILE_EV_WRITTEN,	/* outfile_written() or outfile_marks_done() advanced */
	OUTFILE_EV_CLOSED,	/* the reader of the pipe went away: no error */
	OUTFILE_EV_ERROR,	/* see outfile_error(); nothing more is written */
	/* It waits, see outfile_error(); again only when the cause is another. */
	OUTFILE_EV_STALLED,
	OUTFILE_EV_RECOVERED,	/* it goes on where it stopped */
};

/* When a regular file cannot be written, or is no longer at its path. */
enum outfile_on_full {
	OUTFILE_WAIT,		/* try again each second, until it is closed */
	OUTFILE_STOP,		/* OUTFILE_EV_ERROR */
};

/* Called from the loop; must not close out itself. */
typedef void (*outfile_fn)(struct outfile *out, enum outfile_event event,
    void *arg);

/* Borrowed for the call, but for record. */
struct outfile_config {
	struct loop	*loop;
	const char	*path;		/* "-" for stdout */
	outfile_fn	 fn;
	void		*arg;
	bool		 fsync;		/* a mark is done when the disk has it */
	enum outfile_on_full on_full;
	/* Taken, in every case; NULL for none.  Only for regular files. */
	struct resume_record *record;
	/*
	 * Go on with the file that is there: it must be the one that record is
	 * about, and begin with magic.  What is behind resume_at is cut off.
	 */
	bool		 is_resumed;
	uint64_t	 resume_at;
	const uint8_t	*magic;		/* OUTFILE_MAGIC_LEN bytes */
};

/*
 * Open path and start the writer.  A regular file is created or truncated
 * (unless is_resumed), mode 0666 less umask, close-on-exec.  A named pipe is
 * opened by the writer, because that waits for its reader.
 *
 * E_OUTPUT or E_NOSPACE with "'PATH': open: cause"; E_OUTPUT also for a record
 * of what is no regular file, and for a file that cannot be resumed; E_GONE
 * when the record says nothing; E_NOMEM.  A record that was new is removed then.
 */
struct outfile *outfile_open(const struct outfile_config *cfg, struct err *err);

/*
 * Room for len bytes (at most 1 MiB) at the end of the output, to be filled
 * before the next call; NULL when out of memory.  Bytes count as submitted.
 * Never waits; the owner stops its source while outfile_is_full().
 */
uint8_t *outfile_reserve(struct outfile *out, size_t len);

/* Hand everything reserved so far to the writer. */
void outfile_flush(struct outfile *out);

/*
 * Everything reserved so far belongs together with payload (len bytes of
 * malloc(), taken in every case; NULL for none).  When it is written, and on
 * the disk if that was asked for, both go into the record, if there is one;
 * then outfile_marks_done() is one more.  What is reserved later does not hold
 * it up.  E_STATE while a mark is under way.
 */
int outfile_mark(struct outfile *out, uint8_t *payload, size_t len) MUST_CHECK;
uint64_t outfile_marks_done(const struct outfile *out);

/* More is waiting for the writer than it should hold (4 MiB). */
bool outfile_is_full(const struct outfile *out);

/* Between OUTFILE_EV_STALLED and OUTFILE_EV_RECOVERED. */
bool outfile_is_stalled(const struct outfile *out);

/* A pipe or socket or terminal: readers wait for each batch, sizes matter. */
bool outfile_is_pipe(const struct outfile *out);

uint64_t outfile_submitted(const struct outfile *out);	/* bytes reserved */
uint64_t outfile_written(const struct outfile *out);	/* bytes write() took */

/*
 * Blocks are outfile_reserve() calls: how many there were, and how many are
 * wholly in the output or were taken by a pipe; final after outfile_stop().
 * None is in a file that was removed and could not be made again.
 */
uint64_t outfile_blocks_submitted(const struct outfile *out);
uint64_t outfile_blocks_written(const struct outfile *out);

/* Why it stopped or waits; code E_OK when it does neither. */
const struct err *outfile_error(const struct outfile *out);

/*
 * End the writer as outfile_close() does, but keep out, whose counts are then
 * final.  Only outfile_close() and outfile_forget() may follow, and the
 * counting functions.
 */
int outfile_stop(struct outfile *out, int timeout_ms, struct err *err);

/* After outfile_stop(): nothing is to be resumed, its record is removed. */
void outfile_forget(struct outfile *out);

/*
 * Flush, wait for the writer (up to timeout_ms, -1 for ever), close.  Checks close() too.
 * E_OK, the error, what it waits for, or E_TIMEOUT when the reader takes
 * nothing.  Frees out in every case.
 */
int outfile_close(struct outfile *out, int timeout_ms, struct err *err);

#endif /* CLIENT_OUTFILE_H */
