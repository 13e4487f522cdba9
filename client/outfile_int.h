/*
 * outfile_int - what the two threads of an outfile share.
 *
 * For outfile.c (the loop's thread) and outfile_writer.c only.
 */
#ifndef CLIENT_OUTFILE_INT_H
#define CLIENT_OUTFILE_INT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "client/outfile.h"
#include "common/err.h"
#include "common/mailbox.h"

enum {
	OUTFILE_BUFFER_BYTES = 256 << 10,	/* one write() */
	OUTFILE_BUFFER_MARKS = 8192,	/* even of the smallest blocks, more than fit */
	OUTFILE_PIECE_BYTES = 16 << 10,	/* to a pipe: a slow reader is seen to read */
	OUTFILE_FULL_BYTES = 4 << 20,
	OUTFILE_POOL_BUFFERS = OUTFILE_FULL_BYTES / OUTFILE_BUFFER_BYTES,
};

struct outfile_buffer {
	struct outfile_buffer	*next;
	size_t		 capacity, len;
	uint32_t	 n_marks;
	uint32_t	 mark[OUTFILE_BUFFER_MARKS];	/* where each reserve ends */
	uint8_t		 data[];
};

struct outfile {
	/* The loop's thread only. */
	outfile_fn	 fn;
	void		*arg;
	struct mailbox	*box;
	struct outfile_buffer	*open;		/* being filled, or NULL */
	bool		 wants_flush;	/* when the writer has nothing else */
	uint64_t	 submitted, submitted_blocks;
	struct err	 error_seen;	/* copy of error, for the owner */

	/* Set before the writer starts, then constant. */
	char		*path;		/* as messages name it */
	bool		 is_regular;
	int		 wake_fd;
	pthread_t	 writer;

	/* The writer only, once it runs. */
	int		 fd;
	off_t		 start;		/* where our first byte is */

	/* Under lock. */
	pthread_mutex_t	 lock;
	pthread_cond_t	 ended;		/* signals has_ended */
	struct outfile_buffer	*first, **last;	/* waiting */
	struct outfile_buffer	*in_flight;
	struct outfile_buffer	*pool;
	unsigned	 n_pool;
	uint64_t	 written;
	uint64_t	 blocks;		/* whole ones in written */
	size_t		 part;		/* of in_flight, not yet in written */
	uint32_t	 part_blocks;	/* whole ones in part */
	bool		 is_closing;	/* write what waits, then end */
	bool		 has_ended;
	bool		 is_stopped;	/* joined: counts are final */
	bool		 is_reader_gone;
	struct err	 error;		/* code E_OK while all is well */
	struct mail	 mail;		/* the one message to the loop */
	bool		 is_mail_posted;
};

/* The writer's thread; arg is the outfile. */
void *outfile_writer_main(void *arg);

/* Keep b for outfile_reserve(), or free it; caller holds the lock. */
void outfile_pool_put_locked(struct outfile *out, struct outfile_buffer *b);

/* "'PATH': ACTION: cause" from errno; E_OUTPUT, E_NOSPACE or E_NOMEM. */
int outfile_err(struct err *err, const char *path, const char *action);

#endif /* CLIENT_OUTFILE_INT_H */
