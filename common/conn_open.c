#include "common/conn_int.h"

#include <errno.h>
#include <linux/tcp.h>	/* libc's struct tcp_info ends too early */
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	KEEPALIVE_IDLE_S = 5,
	KEEPALIVE_INTERVAL_S = 5,
	KEEPALIVE_COUNT = 3,
	/*
	 * An answer may stand in a queue of half a minute, behind what comes on a
	 * line of a kilobyte a second; PROTO_HEARTBEAT_MAX_MS of it fits an int.
	 */
	STALLED_FACTOR = 10,
};

/* Each is an improvement, none a condition. */
static void
set_option(int fd, int level, int name, int value)
{
	(void)setsockopt(fd, level, name, &value, sizeof(value));
}

static void
set_keepalive(int fd, int idle_s, int interval_s)
{
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle_s);
	set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, interval_s);
	set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT);
}

/*
 * TCP_USER_TIMEOUT also ends a connection whose peer answers zero-window
 * probes, but reads nothing; and with it keepalive counts no probes.
 */
void
conn_set_liveness(struct conn *c, uint32_t dead_after_ms, enum conn_stalled stalled)
{
	int dead_s = (int)(dead_after_ms / 1000);
	int interval_s = dead_s / (2 * KEEPALIVE_COUNT);

	if (interval_s == 0)
		interval_s = 1;
	set_keepalive(c->fd, dead_s > 1 ? dead_s / 2 : 1, interval_s);
	if (stalled == CONN_DROP_STALLED)
		set_option(c->fd, IPPROTO_TCP, TCP_USER_TIMEOUT,
		    (int)(dead_after_ms * STALLED_FACTOR));
}

static bool
get_info(const struct conn *c, struct tcp_info *ret_info)
{
	socklen_t len = sizeof(*ret_info);

	memset(ret_info, 0, sizeof(*ret_info));		/* an older kernel fills less */
	return getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, ret_info, &len) == 0 &&
	    len >= offsetof(struct tcp_info, tcpi_last_ack_recv) +
	    sizeof(ret_info->tcpi_last_ack_recv);
}

uint32_t
conn_data_segments(const struct conn *c)
{
	struct tcp_info info;

	return get_info(c, &info) ? info.tcpi_data_segs_in : 0;
}

int64_t
conn_unanswered_ms(const struct conn *c)
{
	struct tcp_info info;

	return get_info(c, &info) ? info.tcpi_last_ack_recv : INT64_MAX;
}

int64_t
conn_round_trip_ms(const struct conn *c)
{
	struct tcp_info info;

	return get_info(c, &info) ? info.tcpi_rtt / 1000 : 0;
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
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_keepalive(fd, KEEPALIVE_IDLE_S, KEEPALIVE_INTERVAL_S);
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
