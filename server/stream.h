/*
 * stream - a batch log, written to one connection at a time.
 *
 * Keeps a bounded amount queued in the connection; what the peer does not
 * take stays in the log, whose policy decides.  Runs in a capture's thread.
 */
#ifndef SERVER_STREAM_H
#define SERVER_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/conn.h"
#include "common/err.h"
#include "proto/codec.h"
#include "server/batch_log.h"

enum {
	/*
	 * What other messages than batches may add to a queue before they wait
	 * or are left out.  They are not the log's: with one batch and one
	 * message more it is all that a connection holds beyond the log's bytes.
	 */
	STREAM_EXTRA_MAX = 1 << 20,
};

struct stream {
	struct conn	*conn;		/* borrowed; NULL: none at present */
	struct batch_log *log;		/* borrowed */
	size_t		 queue_high;
};

/* Without a connection.  The queue takes no more than a part of log_bytes. */
void stream_init(struct stream *s, struct batch_log *log, size_t log_bytes);

/* From now on to this connection, or to none (NULL). */
void stream_set_conn(struct stream *s, struct conn *conn);

/*
 * Queue what the connection may hold of what the log has.  Call after an
 * append and at CONN_EV_LOW_WATER.  E_OK, E_NOMEM, or the connection's error.
 */
int stream_pump(struct stream *s) MUST_CHECK;

/* Is there a connection, and does its queue take other messages? */
bool stream_has_room(const struct stream *s);

/* Encode msg and queue it.  E_NOMEM, E_TOOBIG, or the connection's error. */
int stream_send(struct conn *conn, const struct msg *msg) MUST_CHECK;

#endif /* SERVER_STREAM_H */
