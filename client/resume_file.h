/*
 * resume_file - the file of a resume record: found, checked, locked.
 *
 * It may lie where others can write: nothing is followed, and nothing changed
 * that does not begin as a record of ours does.  Knows nothing of what a
 * record says; for resume_record.c only.
 */
#ifndef CLIENT_RESUME_FILE_H
#define CLIENT_RESUME_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"

struct resume_file {
	char		*path, *output;	/* as messages name them */
	int		 fd;		/* -1 before resume_file_open() */
	bool		 has_magic;	/* it begins as it must */
};

enum resume_file_flags { RESUME_FILE_CREATE, RESUME_FILE_EXISTS };

int resume_file_init(struct resume_file *file, const char *output_path) MUST_CHECK;

/* Close it; the file stays. */
void resume_file_fini(struct resume_file *file);

/* Open, check and lock; see resume_record_open(). */
int resume_file_open(struct resume_file *file, enum resume_file_flags flags,
    struct err *err) MUST_CHECK;

/* Was nothing written into it yet, but for its beginning? */
bool resume_file_is_fresh(const struct resume_file *file);

/* Let it hold nothing but its beginning. */
int resume_file_start_over(struct resume_file *file, struct err *err) MUST_CHECK;

/* Somebody may have removed it, or its directory: make another then. */
int resume_file_keep(struct resume_file *file, struct err *err) MUST_CHECK;

/* Take it from its path, if it is still what is there. */
void resume_file_remove(struct resume_file *file);

int resume_file_write(const struct resume_file *file, const uint8_t *bytes, size_t len,
    off_t at, struct err *err) MUST_CHECK;

/* How many bytes there are in any file, at most len. */
size_t resume_file_read(int fd, uint8_t *dst, size_t len, off_t at);

/* "'PATH': ACTION: cause" from errno; E_OUTPUT, E_NOSPACE or E_NOMEM. */
int resume_file_fail(struct err *err, const char *path, const char *action);

#endif /* CLIENT_RESUME_FILE_H */
