#include "server/own_addresses.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "common/log.h"
#include "server/captures.h"
#include "server/interfaces.h"
#include "server/listener.h"

enum {
	/* linux/netfilter_ipv4.h and netfilter_ipv6/ip6_tables.h clash with libc. */
	ORIGINAL_DST = 80,
	/*
	 * Of OWN_TRAFFIC_MAX endpoints, what the host's own addresses may
	 * take.  Beyond, only those that connections come in by are known,
	 * from their first accepted connection on: better than to leave out
	 * everybody's packets of our port.
	 */
	LOCAL_MAX = OWN_TRAFFIC_MAX - 16,
};

struct own_addresses {
	struct net	*net;
	int		 fd;
	struct loop_io	*io;
	bool		 has_warned;
};

static bool
is_wildcard(const struct sockaddr_storage *ss)
{
	if (ss->ss_family == AF_INET)
		return ((const struct sockaddr_in *)ss)->sin_addr.s_addr ==
		    htonl(INADDR_ANY);
	return IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)ss)->sin6_addr);
}

static void
add(struct own_traffic *own, const struct sockaddr_storage *ss)
{
	(void)own_traffic_add(own, (const struct sockaddr *)ss);
}

/* Every address of the host, with the port of a socket that listens on all. */
static void
add_local(struct own_traffic *own, const struct sockaddr_storage *listening,
    const struct local_address *addresses, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct sockaddr_storage ss = *listening;

		if (addresses[i].len == 4 && ss.ss_family == AF_INET)
			memcpy(&((struct sockaddr_in *)&ss)->sin_addr,
			    addresses[i].bytes, 4);
		else if (addresses[i].len == 16 && ss.ss_family == AF_INET6)
			memcpy(&((struct sockaddr_in6 *)&ss)->sin6_addr,
			    addresses[i].bytes, 16);
		else
			continue;
		add(own, &ss);
	}
}

/* How many endpoints add_local() would make for all wildcard listeners. */
static size_t
count_local(const struct net *net, const struct local_address *addresses, size_t n)
{
	size_t count = 0;

	for (int l = 0; l < PRIV_MAX_LISTENERS; l++) {
		const struct sockaddr_storage *ss = net->listeners[l] == NULL ?
		    NULL : listener_local(net->listeners[l]);

		for (size_t i = 0; ss != NULL && is_wildcard(ss) && i < n; i++)
			count += (addresses[i].len == 4) ==
			    (ss->ss_family == AF_INET);
	}
	return count;
}

static bool
fits(struct net *net, const struct local_address *addresses, size_t n)
{
	size_t count = count_local(net, addresses, n);

	if (count <= LOCAL_MAX)
		return true;
	if (!net->own_addresses->has_warned)
		log_warn(LOG_LISTEN, "own traffic: %zu local addresses are more "
		    "than a filter holds: a connection by one of them is left out "
		    "of captures from its acceptance on", count);
	net->own_addresses->has_warned = true;
	return false;
}

static void
collect(struct net *net, struct own_traffic *own,
    const struct local_address *addresses, size_t n)
{
	bool has_room = fits(net, addresses, n);

	own_traffic_init(own);
	for (int i = 0; i < PRIV_MAX_LISTENERS; i++) {
		const struct sockaddr_storage *ss;

		if (net->listeners[i] == NULL)
			continue;
		ss = listener_local(net->listeners[i]);
		if (!is_wildcard(ss))
			add(own, ss);
		else if (has_room)
			add_local(own, ss, addresses, n);
	}
	for (uint32_t i = 0; i < net->learned.n; i++)
		own_traffic_add_endpoint(own, &net->learned.endpoints[i]);
}

bool
own_addresses_refresh(struct net *net)
{
	struct local_address *addresses;
	struct own_traffic own, elsewhere;
	struct err err;
	size_t n;

	if (interfaces_local_addresses(&addresses, &n, &err) != E_OK) {
		log_warn(LOG_LISTEN, "own addresses: %s: only those known so far "
		    "are left out of captures", err.what);
		return false;
	}
	collect(net, &own, addresses, n);
	free(addresses);
	own_traffic_elsewhere(&own, &net->learned, &elsewhere);
	if (own_traffic_is_equal(&own, &net->own) &&
	    own_traffic_is_equal(&elsewhere, &net->own_elsewhere))
		return false;
	net->own = own;
	net->own_elsewhere = elsewhere;
	net->own_generation++;
	return true;
}

static void
refresh_and_relink(struct net *net)
{
	if (own_addresses_refresh(net))
		captures_relink(net->captures);
}

void
own_addresses_learn(struct net *net, int fd)
{
	struct sockaddr_storage local, aimed;
	socklen_t local_len = sizeof(local), aimed_len = sizeof(aimed);
	bool is_new = false;

	if (getsockname(fd, (struct sockaddr *)&local, &local_len) < 0)
		return;
	memset(&aimed, 0, sizeof(aimed));
	/*
	 * Also what is known already: the host's addresses may become too
	 * many to be known, and this connection must stay left out.
	 */
	is_new |= own_traffic_add(&net->learned, (struct sockaddr *)&local);
	/* The address the client aimed at, when this host redirects it. */
	if (getsockopt(fd, local.ss_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6,
	    ORIGINAL_DST, &aimed, &aimed_len) == 0)
		is_new |= own_traffic_add(&net->learned, (struct sockaddr *)&aimed);
	if (is_new)
		refresh_and_relink(net);
}

/* What changed does not matter: the list is read again. */
static void
on_change(unsigned events, void *arg)
{
	struct own_addresses *own = arg;
	char waste[8192];
	ssize_t n;

	(void)events;
	do
		n = recv(own->fd, waste, sizeof(waste), MSG_DONTWAIT);
	while (n > 0 || (n < 0 && (errno == ENOBUFS || errno == EINTR)));
	refresh_and_relink(own->net);
}

int
own_addresses_open(struct net *net, struct err *err)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK,
	    .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR };
	struct own_addresses *own = calloc(1, sizeof(*own));

	if (own == NULL)
		return err_set(err, E_NOMEM, "own addresses: out of memory");
	net->own_addresses = own;
	own->net = net;
	own->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    NETLINK_ROUTE);
	if (own->fd < 0)
		return err_sys(err, "own addresses: open rtnetlink");
	if (bind(own->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_sys(err, "own addresses: follow rtnetlink");
	own->io = loop_io_new(net->loop, own->fd, on_change, own);
	if (own->io == NULL || loop_io_set(own->io, LOOP_READ) != E_OK)
		return err_set(err, E_NOMEM, "own addresses: out of memory");
	return E_OK;
}

void
own_addresses_close(struct net *net)
{
	struct own_addresses *own = net->own_addresses;

	if (own == NULL)
		return;
	loop_io_free(own->io);
	if (own->fd >= 0)
		close(own->fd);
	free(own);
	net->own_addresses = NULL;
}
