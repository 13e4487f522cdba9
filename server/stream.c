#include "server/stream.h"

#include <stdlib.h>

enum {
	/* Enough to keep a fast link busy for one turn of the reader (10 ms). */
	QUEUE_HIGH = 4 << 20,
	QUEUE_LOW = 1 << 20,
};

int
stream_init(struct stream *s, struct conn *conn, struct batch_log *log)
{
	s->conn = conn;
	s->cursor = batch_log_open_cursor(log);
	if (s->cursor == NULL)
		return E_NOMEM;
	conn_set_low_water(conn, QUEUE_LOW);
	return E_OK;
}

void
stream_fini(struct stream *s)
{
	batch_log_close_cursor(s->cursor);
	s->cursor = NULL;
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

static void
batch_sent(void *arg)
{
	batch_unref(arg);
}

static int
send_item(struct stream *s, struct log_item *item)
{
	struct msg msg = { .type = MSG_GAP };
	int rc;

	if (item->batch == NULL) {
		msg.gap = item->gap;
		return stream_send(s->conn, &msg);
	}
	rc = conn_send_ref(s->conn, item->batch->frame, item->batch->frame_len,
	    batch_sent, item->batch);
	if (rc != E_OK)
		batch_unref(item->batch);
	return rc;
}

int
stream_pump(struct stream *s)
{
	struct log_item item;
	int rc;

	while (conn_queued(s->conn) < QUEUE_HIGH) {
		rc = batch_log_next(s->cursor, &item);
		if (rc == E_AGAIN)
			return E_OK;
		if (rc == E_OK)
			rc = send_item(s, &item);
		if (rc != E_OK)
			return rc;
	}
	return E_OK;
}
