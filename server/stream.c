#include "server/stream.h"

#include <stdlib.h>

enum {
	/* Enough to keep a fast link busy for one turn of the reader (10 ms). */
	QUEUE_HIGH = 4 << 20,
	/* Of the log's bytes: what is queued cannot give way any more. */
	QUEUE_SHARE = 4,
	LOW_SHARE = 4,			/* of the queue */
};

void
stream_init(struct stream *s, struct batch_log *log, size_t log_bytes)
{
	size_t share = log_bytes / QUEUE_SHARE;

	*s = (struct stream){ .log = log,
	    .queue_high = share < QUEUE_HIGH ? share : QUEUE_HIGH };
}

void
stream_set_conn(struct stream *s, struct conn *conn)
{
	s->conn = conn;
	if (conn != NULL)
		conn_set_low_water(conn, s->queue_high / LOW_SHARE);
}

bool
stream_has_room(const struct stream *s)
{
	return s->conn != NULL &&
	    conn_queued(s->conn) < s->queue_high + STREAM_EXTRA_MAX;
}

int
stream_send(struct conn *conn, const struct msg *msg)
{
	uint8_t *frame;
	size_t len;
	int rc;

	rc = codec_pack(msg, &frame, &len);
	if (rc != E_OK)
		return rc;
	rc = conn_send(conn, frame, len);
	free(frame);
	return rc;
}

/* A batch on its way. */
struct lent {
	struct batch_log *log;
	struct batch	*batch;
};

static void
batch_sent(void *arg)
{
	struct lent *lent = arg;

	batch_log_return(lent->log, lent->batch);
	free(lent);
}

static int
send_batch(struct stream *s, struct batch *batch)
{
	struct lent *lent = malloc(sizeof(*lent));
	int rc = E_NOMEM;

	if (lent != NULL) {
		*lent = (struct lent){ s->log, batch };
		rc = conn_send_ref(s->conn, batch->frame, batch->frame_len,
		    batch_sent, lent);
	}
	if (rc != E_OK) {
		batch_log_return(s->log, batch);
		free(lent);
	}
	return rc;
}

static int
send_item(struct stream *s, struct log_item *item)
{
	struct msg msg = { .type = MSG_GAP };

	if (item->batch != NULL)
		return send_batch(s, item->batch);
	msg.gap = item->gap;
	return stream_send(s->conn, &msg);
}

int
stream_pump(struct stream *s)
{
	struct log_item item;
	int rc;

	while (s->conn != NULL && conn_queued(s->conn) < s->queue_high) {
		rc = batch_log_next(s->log, &item);
		if (rc == E_AGAIN)
			return E_OK;
		if (rc == E_OK)
			rc = send_item(s, &item);
		if (rc != E_OK)
			return rc;
	}
	return E_OK;
}
