/*
 * capfile_write - records of capture files to a file or stdout, always whole.
 *
 * The file is opened with the first bytes, so that nothing is touched before
 * there is something to write.  When writing to a regular file fails, it is cut
 * back to the end of a record; a signal never ends the program inside one.
 */
#ifndef CLIENT_CAPFILE_WRITE_H
#define CLIENT_CAPFILE_WRITE_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct capfile_writer;

/*
 * For path, borrowed, or stdout with NULL.  input is the descriptor that is
 * read: to write into the same file is refused.  NULL when out of memory.
 */
struct capfile_writer *capfile_writer_new(const char *path, int input);
void capfile_writer_free(struct capfile_writer *w);	/* NULL is allowed */

/*
 * Add one record.  E_USAGE when output and input are one file, E_OUTPUT or
 * E_NOSPACE "'PATH': write: cause"; nothing may follow a failure.
 */
int capfile_writer_put(struct capfile_writer *w, const uint8_t *bytes, size_t len,
    struct err *err) MUST_CHECK;

/* What was put is with the kernel now; fails as capfile_writer_put(). */
int capfile_writer_flush(struct capfile_writer *w, struct err *err) MUST_CHECK;

/* Flush and close. */
int capfile_writer_close(struct capfile_writer *w, struct err *err);

#endif /* CLIENT_CAPFILE_WRITE_H */
