/*
 * stream - one cursor of a batch log, written to one connection.
 *
 * Keeps a bounded amount queued in the connection; what the peer does not
 * take stays in the log, whose policy decides.  Runs in a capture's thread.
 */
#ifndef SERVER_STREAM_H
#define SERVER_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "common/conn.h"
#include "common/err.h"
#include "proto/codec.h"
#include "server/batch_log.h"

struct stream {
	struct conn	*conn;		/* borrowed */
	struct log_cursor *cursor;	/* owned */
};

/* Put a cursor at the oldest batch of log.  E_NOMEM. */
int stream_init(struct stream *s, struct conn *conn, struct batch_log *log)
    MUST_CHECK;
void stream_fini(struct stream *s);

/*
 * Queue what the connection may hold of what the log has.  Call after an
 * append and at CONN_EV_LOW_WATER.  E_OK, E_NOMEM, or the connection's error.
 */
int stream_pump(struct stream *s) MUST_CHECK;

/* Encode msg and queue it.  E_NOMEM, E_TOOBIG, or the connection's error. */
int stream_send(struct conn *conn, const struct msg *msg) MUST_CHECK;

#endif /* SERVER_STREAM_H */
