#include "common/conn_int.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "common/clock.h"

enum { LINGER_MS = 1000 };	/* for the peer to read our last words */

void
conn_destroy(struct conn *c)
{
	conn_drop_queue(c);
	loop_io_free(c->io);
	loop_timer_free(c->linger);
	loop_timer_free(c->again);
	tls_session_free(c->ssl);
	if (c->fd >= 0)
		close(c->fd);
	free(c);
}

/* Tell the peer that this end is meant, when no record is half written. */
static void
say_goodbye(struct conn *c)
{
	if (c->state != CONN_OPEN || c->first != NULL || c->error_pending ||
	    c->is_freed)
		return;
	ERR_clear_error();
	(void)SSL_shutdown(c->ssl);
	ERR_clear_error();
}

void
conn_free(struct conn *c)
{
	if (c == NULL)
		return;
	say_goodbye(c);
	if (c->in_callback) {
		/* Whoever called us still holds c. */
		c->is_freed = true;
		loop_io_free(c->io);
		c->io = NULL;
		loop_timer_free(c->linger);
		c->linger = NULL;
		loop_timer_free(c->again);
		c->again = NULL;
		conn_drop_queue(c);
		if (c->fd >= 0)
			close(c->fd);
		c->fd = -1;
		return;
	}
	conn_destroy(c);
}

void
conn_break(struct conn *c)
{
	if (c != NULL)
		c->state = CONN_DEAD;
	conn_free(c);
}

/* Report; false when the callback freed c, which is then gone. */
static bool
emit(struct conn *c, enum conn_event event)
{
	bool was_in = c->in_callback;

	c->in_callback = true;
	c->fn(c, event, c->arg);
	c->in_callback = was_in;
	if (!c->is_freed)
		return true;
	if (!c->in_callback)
		conn_destroy(c);
	return false;
}

void
conn_watch(struct conn *c)
{
	unsigned events = 0;

	if (c->io == NULL)
		return;
	switch (c->state) {
	case CONN_CONNECTING:
		events = LOOP_WRITE;
		break;
	case CONN_HANDSHAKE:
		events = SSL_want_write(c->ssl) ? LOOP_WRITE : LOOP_READ;
		break;
	case CONN_OPEN:
	case CONN_FINISHING:
		if (!c->is_paused && c->state == CONN_OPEN)
			events |= LOOP_READ;
		if (c->first != NULL || c->read_wants_write || c->error_pending ||
		    c->state == CONN_FINISHING)
			events |= LOOP_WRITE;
		break;
	case CONN_LINGER:
		events = LOOP_READ;
		break;
	case CONN_DEAD:
		break;
	}
	(void)loop_io_set(c->io, events);
}

static void
die(struct conn *c)
{
	c->state = CONN_DEAD;
	conn_watch(c);
	conn_drop_queue(c);
	(void)emit(c, c->err.code == E_EOF ? CONN_EV_CLOSED : CONN_EV_ERROR);
}

static void
linger_over(void *arg)
{
	struct conn *c = arg;

	c->state = CONN_DEAD;
	conn_watch(c);
	(void)emit(c, c->after_linger);
}

/*
 * Half-close and wait a moment for the peer's end: closing with unread bytes
 * would send a reset, which can overtake what we said last.
 */
static void
start_linger(struct conn *c, enum conn_event then)
{
	c->after_linger = then;
	conn_drop_queue(c);
	shutdown(c->fd, SHUT_WR);
	c->state = CONN_LINGER;
	c->linger = loop_timer_new(c->loop, linger_over, c);
	if (c->linger == NULL) {
		linger_over(c);
		return;
	}
	loop_timer_set(c->linger, (int64_t)LINGER_MS * NS_PER_MS);
	conn_watch(c);
}

static void
continue_linger(struct conn *c)
{
	uint8_t waste[4096];
	ssize_t n = 1;

	for (int turn = 0; turn < 16 && n > 0; turn++)
		n = recv(c->fd, waste, sizeof(waste), MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		loop_timer_stop(c->linger);
		linger_over(c);
	}
}

static void
continue_handshake(struct conn *c)
{
	int rc, ssl_error, sys;

	ERR_clear_error();
	errno = 0;
	rc = SSL_do_handshake(c->ssl);
	sys = errno;
	if (rc == 1) {
		if (tls_check_alpn(c->ssl, &c->err) != E_OK) {
			die(c);
			return;
		}
		c->state = CONN_OPEN;
		conn_watch(c);
		if (!emit(c, CONN_EV_SECURED))
			return;
		if (c->state == CONN_OPEN && !c->is_paused && SSL_has_pending(c->ssl))
			conn_on_io(LOOP_READ, c);
		return;
	}
	ssl_error = SSL_get_error(c->ssl, rc);
	if (ssl_error == SSL_ERROR_WANT_READ || ssl_error == SSL_ERROR_WANT_WRITE) {
		conn_watch(c);
		return;
	}
	tls_error(c->ssl, ssl_error, sys, &c->err);
	if (c->err.code == E_TLS)
		start_linger(c, CONN_EV_ERROR);
	else
		die(c);
}

static void
continue_connect(struct conn *c)
{
	int sys = 0;
	socklen_t len = sizeof(sys);

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &sys, &len) < 0)
		sys = errno;
	if (sys == EINPROGRESS || sys == EALREADY)
		return;
	if (sys != 0) {
		errno = sys;
		err_sys(&c->err, "connect");
		c->err.code = E_UNREACHABLE;
		die(c);
		return;
	}
	c->state = CONN_HANDSHAKE;
	continue_handshake(c);
}

/* All is sent: our TLS close too, when the socket has room for it. */
static void
finish_writing(struct conn *c)
{
	bool is_full;
	int rc;

	ERR_clear_error();
	rc = SSL_shutdown(c->ssl);
	is_full = rc < 0 && SSL_get_error(c->ssl, rc) == SSL_ERROR_WANT_WRITE;
	ERR_clear_error();
	if (is_full)
		conn_watch(c);
	else
		start_linger(c, CONN_EV_SENT);
}

/* false when c is gone. */
static bool
continue_writing(struct conn *c)
{
	size_t before = c->queued;

	/* Another try would put its own failure in the place of the cause. */
	if (!c->error_pending)
		conn_write_some(c);
	if (c->error_pending) {
		c->error_pending = false;
		die(c);
		return false;
	}
	if (c->state == CONN_FINISHING && c->first == NULL) {
		finish_writing(c);
		return false;
	}
	conn_watch(c);
	if (before > c->low_water && c->queued <= c->low_water &&
	    c->state == CONN_OPEN)
		return emit(c, CONN_EV_LOW_WATER);
	return true;
}

/* Half a record counts as pending too, but only the socket has the rest. */
static bool
holds_data(const struct conn *c)
{
	return c->state == CONN_OPEN && !c->is_paused && !c->is_read_dry &&
	    SSL_has_pending(c->ssl);
}

void
conn_on_again(void *arg)
{
	struct conn *c = arg;

	if (holds_data(c))
		conn_on_io(LOOP_READ, c);
}

/* What OpenSSL holds makes no socket readable: ask again ourselves. */
static void
ask_again(struct conn *c)
{
	if (c->io != NULL && holds_data(c))
		loop_timer_set(c->again, 0);
}

void
conn_on_io(unsigned events, void *arg)
{
	struct conn *c = arg;

	switch (c->state) {
	case CONN_CONNECTING:
		continue_connect(c);
		return;
	case CONN_HANDSHAKE:
		continue_handshake(c);
		return;
	case CONN_LINGER:
		continue_linger(c);
		return;
	case CONN_DEAD:
		return;
	case CONN_OPEN:
	case CONN_FINISHING:
		break;
	}
	if (events & LOOP_WRITE) {
		if (c->read_wants_write) {
			c->read_wants_write = false;
			events |= LOOP_READ;
		}
		if (!continue_writing(c))
			return;
	}
	if ((events & LOOP_READ) && c->state == CONN_OPEN && !c->is_paused) {
		if (!emit(c, CONN_EV_DATA))
			return;
		if (c->error_pending) {
			c->error_pending = false;
			die(c);
			return;
		}
		ask_again(c);
	}
}

int64_t
conn_read(struct conn *c, void *buf, size_t len)
{
	int rc, ssl_error, sys;

	if (c->state != CONN_OPEN || c->error_pending)
		return c->err.code != E_OK ? c->err.code : E_AGAIN;
	ERR_clear_error();
	errno = 0;
	rc = SSL_read(c->ssl, buf, len > INT32_MAX ? INT32_MAX : (int)len);
	sys = errno;
	c->is_read_dry = false;
	if (rc > 0)
		return rc;
	ssl_error = SSL_get_error(c->ssl, rc);
	if (ssl_error == SSL_ERROR_WANT_READ) {
		c->is_read_dry = true;
		return E_AGAIN;
	}
	if (ssl_error == SSL_ERROR_WANT_WRITE) {
		c->read_wants_write = true;
		conn_watch(c);
		return E_AGAIN;
	}
	tls_error(c->ssl, ssl_error, sys, &c->err);
	c->error_pending = true;
	conn_watch(c);		/* it is reported even if nobody reads again */
	return c->err.code;
}

void
conn_pause(struct conn *c)
{
	c->is_paused = true;
	conn_watch(c);
}

void
conn_resume(struct conn *c)
{
	c->is_paused = false;
	conn_watch(c);
	ask_again(c);
}

void
conn_finish(struct conn *c)
{
	if (c->state != CONN_OPEN)
		return;
	c->state = CONN_FINISHING;
	conn_watch(c);
}

void
conn_detach(struct conn *c)
{
	loop_io_free(c->io);
	c->io = NULL;
	loop_timer_free(c->again);
	c->again = NULL;
	c->loop = NULL;
}

int
conn_attach(struct conn *c, struct loop *loop, conn_fn fn, void *arg,
    struct err *err)
{
	c->loop = loop;
	c->fn = fn;
	c->arg = arg;
	c->io = loop_io_new(loop, c->fd, conn_on_io, c);
	c->again = loop_timer_new(loop, conn_on_again, c);
	if (c->io == NULL || c->again == NULL)
		return err_set(err, E_NOMEM, "connection: attach: out of memory");
	conn_watch(c);
	ask_again(c);
	return E_OK;
}

const struct err *
conn_error(const struct conn *c)
{
	return &c->err;
}

int
conn_peer_name(struct conn *c, char *dst, size_t size)
{
	return tls_peer_name(c->ssl, dst, size);
}
