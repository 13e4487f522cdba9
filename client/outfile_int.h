/*
 * outfile_int - what the two threads of an outfile share.
 *
 * outfile.c is the loop's thread, outfile_open.c begins and ends everything;
 * outfile_writer.c is the writer's thread, outfile_disk.c what it does with
 * regular files and outfile_restore.c with one that was removed.
 */
#ifndef CLIENT_OUTFILE_INT_H
#define CLIENT_OUTFILE_INT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "client/outfile.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/mailbox.h"

enum {
	OUTFILE_BUFFER_BYTES = 256 << 10,	/* one write() */
	OUTFILE_BUFFER_MARKS = 8192,	/* even of the smallest blocks, more than fit */
	OUTFILE_PIECE_BYTES = 16 << 10,	/* to a pipe: a slow reader is seen to read */
	OUTFILE_FULL_BYTES = 4 << 20,
	OUTFILE_POOL_BUFFERS = OUTFILE_FULL_BYTES / OUTFILE_BUFFER_BYTES,
	OUTFILE_RETRY_MS = 1000,	/* and how soon a removed file is noticed */
};

struct outfile_buffer {
	struct outfile_buffer	*next;
	size_t		 capacity, len;
	uint32_t	 n_marks;
	uint32_t	 mark[OUTFILE_BUFFER_MARKS];	/* where each reserve ends */
	uint8_t		 data[];
};

/* What outfile_mark() asked for. */
struct outfile_mark {
	bool		 is_pending;
	uint64_t	 at;		/* of the bytes submitted */
	uint8_t		*payload;
	size_t		 len;
};

struct outfile {
	/* The loop's thread only. */
	outfile_fn	 fn;
	void		*arg;
	struct mailbox	*box;
	struct outfile_buffer	*open;		/* being filled, or NULL */
	bool		 wants_flush;	/* when the writer has nothing else */
	uint64_t	 submitted, submitted_blocks;
	struct err	 error_seen;	/* copy of error or stall, for the owner */
	bool		 has_failed;	/* OUTFILE_EV_ERROR was said */
	uint64_t	 stalls_seen;
	bool		 is_stall_seen;

	/* Set before the writer starts, then constant. */
	char		*path;		/* as messages name it */
	bool		 is_regular;
	bool		 fsync;
	enum outfile_on_full on_full;
	char		*place;		/* where the file is, absolute; NULL: unknown */
	int		 wake_fd;
	pthread_t	 writer;

	/* The writer only, once it runs. */
	int		 fd;
	off_t		 start;		/* where our first byte is */
	struct resume_record *record;	/* or NULL */
	bool		 needs_renewal;	/* the record: the file is another one now */
	struct mono_ns	 looked;	/* whether the file is still there */
	bool		 is_directory_synced;
	bool		 is_closing_seen;	/* while it waits for a disk */
	bool		 is_unsure;	/* a sync failed since then */
	uint64_t	 synced;	/* of written: the disk has it */

	/* Under lock. */
	pthread_mutex_t	 lock;
	pthread_cond_t	 ended;		/* signals has_ended */
	struct outfile_buffer	*first, **last;	/* waiting */
	struct outfile_buffer	*in_flight;
	struct outfile_buffer	*pool;
	unsigned	 n_pool;
	struct outfile_mark mark;
	uint64_t	 marks_done;
	uint64_t	 written;
	uint64_t	 blocks;		/* whole ones in written */
	size_t		 part;		/* of in_flight, not yet in written */
	uint32_t	 part_blocks;	/* whole ones in part */
	bool		 is_lost;	/* removed for good: nothing is in it */
	bool		 is_closing;	/* write what waits, then end */
	bool		 is_given_up;	/* end now */
	bool		 has_ended;
	bool		 is_stopped;	/* joined: counts are final */
	bool		 is_reader_gone;
	struct err	 error;		/* code E_OK while all is well */
	struct err	 stall;		/* the last one */
	uint64_t	 n_stalls;
	bool		 is_stalled;
	struct mail	 mail;		/* the one message to the loop */
	bool		 is_mail_posted;
};

/* "'PATH': ACTION: cause" from errno; E_OUTPUT, E_NOSPACE or E_NOMEM. */
int outfile_err(struct err *err, const char *path, const char *action);

/* --- outfile.c --- */

void outfile_wake(struct outfile *out);	/* the writer, from poll() */

/* Give the open buffer to the writer, and wake it. */
void outfile_push_open(struct outfile *out);

/* The writer changed something; called by the mailbox. */
void outfile_on_mail(struct mail *mail, void *arg);

/* --- outfile_writer.c --- */

/* The writer's thread; arg is the outfile. */
void *outfile_writer_main(void *arg);

/* Keep b for outfile_reserve(), or free it; caller holds the lock. */
void outfile_pool_put_locked(struct outfile *out, struct outfile_buffer *b);

/* Tell the loop that something changed; caller holds the lock. */
void outfile_notify_locked(struct outfile *out);

/* Nothing more is written, because of err. */
void outfile_fail(struct outfile *out, const struct err *err);

/* How many blocks of b are whole in its first len bytes, n at least? */
uint32_t outfile_whole_blocks(const struct outfile_buffer *b, uint32_t n, size_t len);

/* Let the owner see how far the buffer under way has come. */
void outfile_set_part(struct outfile *out, const struct outfile_buffer *b, size_t done);

bool outfile_is_given_up(struct outfile *out);

/* --- outfile_disk.c: of regular files; false when nothing more is written --- */

/* Write all of b; out->part says how much of it is in the file. */
bool outfile_disk_write(struct outfile *out, const struct outfile_buffer *b);

/* Make written what mark asks for. */
bool outfile_disk_commit(struct outfile *out, const struct outfile_mark *mark);

/* Once a second: is the file still there?  Waits until it is again. */
bool outfile_disk_look(struct outfile *out);

/* The last look, and the last sync. */
bool outfile_disk_finish(struct outfile *out);

/* --- outfile_restore.c --- */

bool outfile_is_removed(const struct outfile *out);

/*
 * Copy the removed file to a new one at its place, up to byte end, and go on
 * with that.  E_OUTPUT, E_NOSPACE: nothing has changed.
 */
int outfile_restore(struct outfile *out, off_t end, struct err *err) MUST_CHECK;

/* The names in the directory of the output are on the disk. */
int outfile_sync_directory(struct outfile *out, struct err *err) MUST_CHECK;

#endif /* CLIENT_OUTFILE_INT_H */
