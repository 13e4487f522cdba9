#include "common/conn_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

enum {
	COPY_CHUNK = 16 << 10,		/* one TLS record */
	WRITES_PER_TURN = 64,		/* 1 MiB, then others get their turn */
};

static void
segment_free(struct segment *seg)
{
	if (seg->done != NULL)
		seg->done(seg->arg);
	free(seg);
}

void
conn_drop_queue(struct conn *c)
{
	while (c->first != NULL) {
		struct segment *seg = c->first;

		c->first = seg->next;
		segment_free(seg);
	}
	c->end = &c->first;
	c->last = NULL;
	c->queued = 0;
}

/*
 * The connection broke while sending: the peer's alert says why, if any; also
 * that it closed in order, and had not read everything.
 */
static void
read_last_words(struct conn *c)
{
	uint8_t waste[1024];
	struct err read_err;
	int rc, sys;

	for (int i = 0; i < 64; i++) {
		ERR_clear_error();
		errno = 0;
		rc = SSL_read(c->ssl, waste, sizeof(waste));
		sys = errno;
		if (rc > 0)
			continue;
		rc = tls_error(c->ssl, SSL_get_error(c->ssl, rc), sys, &read_err);
		if (rc == E_TLS || rc == E_EOF)
			c->err = read_err;
		break;
	}
}

/* Write what the socket takes.  An error is kept for the loop to report. */
void
conn_write_some(struct conn *c)
{
	for (int turn = 0; turn < WRITES_PER_TURN && c->first != NULL; turn++) {
		struct segment *seg = c->first;
		size_t left = seg->len - seg->sent;
		int rc, ssl_error, sys;

		ERR_clear_error();
		errno = 0;
		/* OpenSSL does not say what writing nothing means. */
		rc = left == 0 ? 0 : SSL_write(c->ssl, seg->data + seg->sent,
		    left > INT32_MAX ? INT32_MAX : (int)left);
		sys = errno;
		if (rc <= 0 && left > 0) {
			ssl_error = SSL_get_error(c->ssl, rc);
			if (ssl_error == SSL_ERROR_WANT_WRITE ||
			    ssl_error == SSL_ERROR_WANT_READ)
				return;
			tls_error(c->ssl, ssl_error, sys, &c->err);
			if (c->err.code == E_PEERGONE)
				read_last_words(c);
			c->error_pending = true;
			return;
		}
		seg->sent += (size_t)rc;
		c->queued -= (size_t)rc;
		if (seg->sent == seg->len) {
			c->first = seg->next;
			if (c->first == NULL) {
				c->end = &c->first;
				c->last = NULL;
			}
			segment_free(seg);
		}
	}
}

static void
enqueue(struct conn *c, struct segment *seg)
{
	*c->end = seg;
	c->end = &seg->next;
	c->last = seg;
	c->queued += seg->len;
}

/* What is sent while nothing waits goes out without a turn of the loop. */
static void
start_writing(struct conn *c, bool was_empty)
{
	if (was_empty && c->state == CONN_OPEN && !c->error_pending)
		conn_write_some(c);
	conn_watch(c);
}

static bool
can_send(const struct conn *c)
{
	return c->state == CONN_OPEN && !c->error_pending;
}

int
conn_send(struct conn *c, const void *data, size_t len)
{
	bool was_empty = c->first == NULL;
	struct segment *seg = c->last;
	size_t room;

	if (!can_send(c))
		return c->err.code != E_OK ? c->err.code : E_STATE;
	/* Joined to what waits, so that many small messages make one record. */
	if (seg != NULL && seg->room - seg->len >= len && seg->room > 0 &&
	    seg->sent == 0) {
		memcpy(seg->own + seg->len, data, len);
		seg->len += len;
		c->queued += len;
		return E_OK;
	}
	room = len < COPY_CHUNK && !was_empty ? COPY_CHUNK : len;
	seg = malloc(sizeof(*seg) + room);
	if (seg == NULL)
		return E_NOMEM;
	*seg = (struct segment){ .data = seg->own, .len = len, .room = room };
	memcpy(seg->own, data, len);
	enqueue(c, seg);
	start_writing(c, was_empty);
	return E_OK;
}

int
conn_send_ref(struct conn *c, const void *data, size_t len,
    void (*done)(void *arg), void *arg)
{
	bool was_empty = c->first == NULL;
	struct segment *seg;

	if (!can_send(c))
		return c->err.code != E_OK ? c->err.code : E_STATE;
	seg = malloc(sizeof(*seg));
	if (seg == NULL)
		return E_NOMEM;
	*seg = (struct segment){ .data = data, .len = len, .done = done, .arg = arg };
	enqueue(c, seg);
	start_writing(c, was_empty);
	return E_OK;
}

size_t
conn_queued(const struct conn *c)
{
	return c->queued;
}

void
conn_set_low_water(struct conn *c, size_t low)
{
	c->low_water = low;
}
