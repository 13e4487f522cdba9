#include "common/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "common/clock.h"

enum {
	COPY_CHUNK = 16 << 10,		/* one TLS record */
	WRITES_PER_TURN = 64,		/* 1 MiB, then others get their turn */
	KEEPALIVE_IDLE_S = 5,
	KEEPALIVE_INTERVAL_S = 5,
	KEEPALIVE_COUNT = 3,
	USER_TIMEOUT_MS = 20000,	/* as long as the keepalives take in all */
	LINGER_MS = 1000,		/* for the peer to read our last words */
};

enum conn_state {
	CONN_CONNECTING, CONN_HANDSHAKE, CONN_OPEN,
	CONN_FINISHING,			/* conn_finish(): the queue goes out */
	CONN_LINGER,			/* nothing more to say: wait for EOF */
	CONN_DEAD,
};

struct segment {
	struct segment	*next;
	const uint8_t	*data;
	size_t		 len, sent;
	void	       (*done)(void *arg);
	void		*arg;
	size_t		 room;		/* of own[], 0 for a reference */
	uint8_t		 own[];
};

struct conn {
	struct loop	*loop;
	struct loop_io	*io;
	struct loop_timer *linger;
	struct loop_timer *again;		/* asks for buffered data once more */
	int		 fd;
	SSL		*ssl;
	enum conn_state	 state;
	conn_fn		 fn;
	void		*arg;
	struct segment	*first, **end, *last;
	size_t		 queued, low_water;
	bool		 is_paused;
	bool		 read_wants_write;	/* TLS key update */
	bool		 is_read_dry;		/* SSL_read needs more of the socket */
	bool		 error_pending;		/* found while sending */
	bool		 in_callback, is_freed;
	enum conn_event	 after_linger;
	struct err	 err;
};

static void on_io(unsigned events, void *arg);

static void
segment_free(struct segment *seg)
{
	if (seg->done != NULL)
		seg->done(seg->arg);
	free(seg);
}

static void
drop_queue(struct conn *c)
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

static void
destroy(struct conn *c)
{
	drop_queue(c);
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
		drop_queue(c);
		if (c->fd >= 0)
			close(c->fd);
		c->fd = -1;
		return;
	}
	destroy(c);
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
		destroy(c);
	return false;
}

static void
watch(struct conn *c)
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
	watch(c);
	drop_queue(c);
	(void)emit(c, c->err.code == E_EOF ? CONN_EV_CLOSED : CONN_EV_ERROR);
}

static void
linger_over(void *arg)
{
	struct conn *c = arg;

	c->state = CONN_DEAD;
	watch(c);
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
	drop_queue(c);
	shutdown(c->fd, SHUT_WR);
	c->state = CONN_LINGER;
	c->linger = loop_timer_new(c->loop, linger_over, c);
	if (c->linger == NULL) {
		linger_over(c);
		return;
	}
	loop_timer_set(c->linger, (int64_t)LINGER_MS * NS_PER_MS);
	watch(c);
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
		watch(c);
		if (!emit(c, CONN_EV_SECURED))
			return;
		if (c->state == CONN_OPEN && !c->is_paused && SSL_has_pending(c->ssl))
			on_io(LOOP_READ, c);
		return;
	}
	ssl_error = SSL_get_error(c->ssl, rc);
	if (ssl_error == SSL_ERROR_WANT_READ || ssl_error == SSL_ERROR_WANT_WRITE) {
		watch(c);
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

/* The connection broke while sending: the peer's alert says why, if any. */
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
		if (tls_error(c->ssl, SSL_get_error(c->ssl, rc), sys,
		    &read_err) == E_TLS)
			c->err = read_err;
		break;
	}
}

/* Write what the socket takes.  An error is kept for the loop to report. */
static void
write_some(struct conn *c)
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
		watch(c);
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
		write_some(c);
	if (c->error_pending) {
		c->error_pending = false;
		die(c);
		return false;
	}
	if (c->state == CONN_FINISHING && c->first == NULL) {
		finish_writing(c);
		return false;
	}
	watch(c);
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

static void
on_again(void *arg)
{
	struct conn *c = arg;

	if (holds_data(c))
		on_io(LOOP_READ, c);
}

/* What OpenSSL holds makes no socket readable: ask again ourselves. */
static void
ask_again(struct conn *c)
{
	if (c->io != NULL && holds_data(c))
		loop_timer_set(c->again, 0);
}

static void
on_io(unsigned events, void *arg)
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

static void
set_tcp_options(int fd)
{
	const struct { int level, name, value; } options[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S },
		{ IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S },
		{ IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS },
	};

	/* Each is an improvement, none a condition. */
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		(void)setsockopt(fd, options[i].level, options[i].name,
		    &options[i].value, sizeof(int));
}

/* Takes fd, also on failure. */
static struct conn *
create(struct loop *loop, struct tls *tls, int fd, const char *server_name,
    conn_fn fn, void *arg, struct err *err)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		close(fd);
		goto out;
	}
	*c = (struct conn){ .loop = loop, .fd = fd, .fn = fn, .arg = arg };
	c->end = &c->first;
	set_tcp_options(fd);
	c->io = loop_io_new(loop, fd, on_io, c);
	c->again = loop_timer_new(loop, on_again, c);
	if (c->io == NULL || c->again == NULL)
		goto out;
	c->ssl = tls_session_new(tls, server_name, err);
	if (c->ssl == NULL || SSL_set_fd(c->ssl, fd) != 1)
		goto out;
	return c;
out:
	err_set(err, E_NOMEM, "connection: create: out of memory");
	if (c != NULL)
		destroy(c);
	return NULL;
}

struct conn *
conn_accept(struct loop *loop, struct tls *tls, int fd, conn_fn fn, void *arg,
    struct err *err)
{
	struct conn *c = create(loop, tls, fd, NULL, fn, arg, err);

	if (c == NULL)
		return NULL;
	c->state = CONN_HANDSHAKE;
	watch(c);
	return c;
}

struct conn *
conn_connect(struct loop *loop, struct tls *tls, const struct sockaddr *addr,
    socklen_t addr_len, const char *server_name, conn_fn fn, void *arg,
    struct err *err)
{
	int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct conn *c;

	if (fd < 0) {
		err_sys(err, "connection: socket");
		return NULL;
	}
	c = create(loop, tls, fd, server_name, fn, arg, err);
	if (c == NULL)
		return NULL;
	c->state = CONN_CONNECTING;
	if (connect(fd, addr, addr_len) < 0 && errno != EINPROGRESS) {
		err_sys(err, "connect");
		if (err != NULL)
			err->code = E_UNREACHABLE;
		destroy(c);
		return NULL;
	}
	watch(c);
	return c;
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
		watch(c);
		return E_AGAIN;
	}
	tls_error(c->ssl, ssl_error, sys, &c->err);
	c->error_pending = true;
	watch(c);		/* it is reported even if nobody reads again */
	return c->err.code;
}

void
conn_pause(struct conn *c)
{
	c->is_paused = true;
	watch(c);
}

void
conn_resume(struct conn *c)
{
	c->is_paused = false;
	watch(c);
	ask_again(c);
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
		write_some(c);
	watch(c);
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

void
conn_finish(struct conn *c)
{
	if (c->state != CONN_OPEN)
		return;
	c->state = CONN_FINISHING;
	watch(c);
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
	c->io = loop_io_new(loop, c->fd, on_io, c);
	c->again = loop_timer_new(loop, on_again, c);
	if (c->io == NULL || c->again == NULL)
		return err_set(err, E_NOMEM, "connection: attach: out of memory");
	watch(c);
	ask_again(c);
	return E_OK;
}

const struct err *
conn_error(const struct conn *c)
{
	return &c->err;
}

int
conn_fd(const struct conn *c)
{
	return c->fd;
}

int
conn_peer_name(struct conn *c, char *dst, size_t size)
{
	return tls_peer_name(c->ssl, dst, size);
}
