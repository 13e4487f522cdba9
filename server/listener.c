#include "server/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "server/captures.h"
#include "server/interfaces.h"
#include "server/session.h"

enum {
	ACCEPTS_PER_TURN = 16,
	PAUSE_MS = 1000,		/* when descriptors have run out */
};

/* linux/netfilter_ipv4.h and netfilter_ipv6/ip6_tables.h, which clash with libc. */
enum { ORIGINAL_DST = 80 };

struct listener {
	struct net	*net;
	int		 fd;
	struct loop_io	*io;
	struct loop_timer *pause;
	struct sockaddr_storage local;
	const char	*address;	/* the setup's */
};

static bool
is_wildcard(const struct sockaddr_storage *ss)
{
	if (ss->ss_family == AF_INET)
		return ((const struct sockaddr_in *)ss)->sin_addr.s_addr ==
		    htonl(INADDR_ANY);
	return IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)ss)->sin6_addr);
}

static bool
add_own(struct net *net, const struct sockaddr_storage *ss)
{
	return own_traffic_add(&net->own, (const struct sockaddr *)ss);
}

/* Every address of the host, with the port of a socket that listens on all. */
static bool
add_local_addresses(struct net *net, const struct listener *l,
    const struct local_address *addresses, size_t n)
{
	bool added = false;

	for (size_t i = 0; i < n; i++) {
		struct sockaddr_storage ss = l->local;

		if (addresses[i].len == 4 && ss.ss_family == AF_INET)
			memcpy(&((struct sockaddr_in *)&ss)->sin_addr,
			    addresses[i].bytes, 4);
		else if (addresses[i].len == 16 && ss.ss_family == AF_INET6)
			memcpy(&((struct sockaddr_in6 *)&ss)->sin6_addr,
			    addresses[i].bytes, 16);
		else
			continue;
		added |= add_own(net, &ss);
	}
	return added;
}

bool
listener_refresh_own(struct net *net)
{
	struct local_address *addresses;
	struct err err;
	size_t n;
	bool added = false;

	if (interfaces_local_addresses(&addresses, &n, &err) != E_OK) {
		log_warn(LOG_LISTEN, "own addresses: %s: only those known so far "
		    "are left out of captures", err.what);
		return false;
	}
	for (int i = 0; i < PRIV_MAX_LISTENERS; i++) {
		const struct listener *l = net->listeners[i];

		if (l == NULL)
			continue;
		added |= is_wildcard(&l->local) ?
		    add_local_addresses(net, l, addresses, n) :
		    add_own(net, &l->local);
	}
	free(addresses);
	return added;
}

/* The address the client aimed at, when this host redirects it. */
static bool
add_original_destination(struct net *net, int fd, int family)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	memset(&ss, 0, sizeof(ss));
	if (getsockopt(fd, family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6,
	    ORIGINAL_DST, &ss, &len) < 0)
		return false;
	return add_own(net, &ss);
}

/* A connection may come in by an address that captures do not leave out yet. */
static void
learn_own(struct net *net, int fd)
{
	struct sockaddr_storage local;
	socklen_t len = sizeof(local);
	bool added;

	if (getsockname(fd, (struct sockaddr *)&local, &len) < 0)
		return;
	added = add_own(net, &local);
	added |= add_original_destination(net, fd, local.ss_family);
	if (added)
		captures_relink(net->captures);
}

static void
pause_accepting(struct listener *l)
{
	log_err(LOG_LISTEN, "%s: accept: %s: paused for %d s", l->address,
	    strerror(errno), PAUSE_MS / 1000);
	(void)loop_io_set(l->io, 0);
	loop_timer_set(l->pause, (int64_t)PAUSE_MS * NS_PER_MS);
}

static void
pause_is_over(void *arg)
{
	struct listener *l = arg;

	(void)loop_io_set(l->io, LOOP_READ);
}

static void
on_connection(unsigned events, void *arg)
{
	struct listener *l = arg;
	struct sockaddr_storage peer;
	socklen_t len;
	int fd;

	(void)events;
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		len = sizeof(peer);
		fd = accept4(l->fd, (struct sockaddr *)&peer, &len,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE ||
			    errno == ENOMEM || errno == ENOBUFS)
				pause_accepting(l);
			return;
		}
		learn_own(l->net, fd);
		session_accept(l->net, fd, &peer);
	}
}

struct listener *
listener_new(struct net *net, int fd, const char *address, struct err *err)
{
	struct listener *l = calloc(1, sizeof(*l));
	socklen_t len;

	if (l == NULL) {
		close(fd);
		err_set(err, E_NOMEM, "%s: listen: out of memory", address);
		return NULL;
	}
	*l = (struct listener){ .net = net, .fd = fd, .address = address };
	len = sizeof(l->local);
	if (getsockname(fd, (struct sockaddr *)&l->local, &len) < 0) {
		err_sys(err, "%s: read local address", address);
		goto out;
	}
	l->io = loop_io_new(net->loop, fd, on_connection, l);
	l->pause = loop_timer_new(net->loop, pause_is_over, l);
	if (l->io == NULL || l->pause == NULL ||
	    loop_io_set(l->io, LOOP_READ) != E_OK) {
		err_set(err, E_NOMEM, "%s: listen: out of memory", address);
		goto out;
	}
	return l;
out:
	listener_free(l);
	return NULL;
}

void
listener_free(struct listener *l)
{
	if (l == NULL)
		return;
	loop_timer_free(l->pause);
	loop_io_free(l->io);
	close(l->fd);
	free(l);
}
