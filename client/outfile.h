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
 */
#ifndef CLIENT_OUTFILE_H
#define CLIENT_OUTFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/loop.h"

struct outfile;

enum outfile_event {
	OUTFILE_EV_WRITTEN,	/* outfile_written() advanced; room again */
	OUTFILE_EV_CLOSED,	/* the reader of the pipe went away: no error */
	OUTFILE_EV_ERROR,	/* see outfile_error(); nothing more is written */
};

/* Called from the loop; must not close out itself. */
typedef void (*outfile_fn)(struct outfile *out, enum outfile_event event,
    void *arg);

/*
 * Open path ("-" for stdout) and start the writer.  A regular file is created
 * or truncated, mode 0666 less umask, close-on-exec.  E_OUTPUT (or E_NOSPACE) with
 * "'PATH': open: cause".  A named pipe is opened by the writer, because that
 * waits for its reader.
 */
struct outfile *outfile_open(struct loop *loop, const char *path,
    outfile_fn fn, void *arg, struct err *err);

/*
 * Room for len bytes (at most 1 MiB) at the end of the output, to be filled
 * before the next call; NULL when out of memory.  Bytes count as submitted.
 * Never waits; the owner stops its source while outfile_is_full().
 */
uint8_t *outfile_reserve(struct outfile *out, size_t len);

/* Hand everything reserved so far to the writer. */
void outfile_flush(struct outfile *out);

/* More is waiting for the writer than it should hold (4 MiB). */
bool outfile_is_full(const struct outfile *out);

/* A pipe or socket or terminal: readers wait for each batch, sizes matter. */
bool outfile_is_pipe(const struct outfile *out);

uint64_t outfile_submitted(const struct outfile *out);	/* bytes reserved */
uint64_t outfile_written(const struct outfile *out);	/* bytes write() took */

/*
 * Blocks are outfile_reserve() calls: how many there were, and how many are
 * wholly in the output or were taken by a pipe; final after
 * outfile_stop().
 */
uint64_t outfile_blocks_submitted(const struct outfile *out);
uint64_t outfile_blocks_written(const struct outfile *out);

const struct err *outfile_error(const struct outfile *out);

/*
 * End the writer as outfile_close() does, but keep out, whose counts are then
 * final.  Only outfile_close() may follow, and the counting functions.
 */
int outfile_stop(struct outfile *out, int timeout_ms, struct err *err);

/*
 * Flush, wait for the writer (up to timeout_ms, -1 for ever), close.  Checks close() too.
 * E_OK, the error, or E_TIMEOUT when the reader takes nothing.
 * Frees out in every case.
 */
int outfile_close(struct outfile *out, int timeout_ms, struct err *err);

#endif /* CLIENT_OUTFILE_H */
