#include "common/conn_int.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	KEEPALIVE_IDLE_S = 5,
	KEEPALIVE_INTERVAL_S = 5,
	KEEPALIVE_COUNT = 3,
};

static void
set_tcp_options(int fd)
{
	/*
	 * Not TCP_USER_TIMEOUT: it also ends a connection whose peer answers
	 * but reads nothing, and a paused reader is no dead one.
	 */
	const struct { int level, name, value; } options[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S },
		{ IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S },
		{ IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT },
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
	c->io = loop_io_new(loop, fd, conn_on_io, c);
	c->again = loop_timer_new(loop, conn_on_again, c);
	if (c->io == NULL || c->again == NULL)
		goto out;
	c->ssl = tls_session_new(tls, server_name, err);
	if (c->ssl == NULL || SSL_set_fd(c->ssl, fd) != 1)
		goto out;
	return c;
out:
	err_set(err, E_NOMEM, "connection: create: out of memory");
	if (c != NULL)
		conn_destroy(c);
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
	conn_watch(c);
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
		conn_destroy(c);
		return NULL;
	}
	conn_watch(c);
	return c;
}
