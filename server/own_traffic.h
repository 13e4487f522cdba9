/*
 * own_traffic - the TCP endpoints at which this agent is talked to.
 *
 * Every capture excludes the traffic of every session of the agent, because
 * two captures that exclude only themselves feed each other without end.
 * Plain data without sockets, locks or allocation: a thread that needs the
 * set owns a copy of it.  Runs in capagent-net.
 */
#ifndef SERVER_OWN_TRAFFIC_H
#define SERVER_OWN_TRAFFIC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/*
 * A host has few addresses on which its agent is reached, and each endpoint
 * costs up to 36 instructions in the program of every capture.
 */
enum { OWN_TRAFFIC_MAX = 64 };

struct own_endpoint {
	int	 family;	/* AF_INET, AF_INET6; AF_UNSPEC: any address */
	uint16_t port;		/* host byte order */
	uint8_t	 addr[16];	/* network byte order; IPv4 in the first four */
};

struct own_traffic {
	uint32_t	 n;
	struct own_endpoint endpoints[OWN_TRAFFIC_MAX];
};

void own_traffic_init(struct own_traffic *own);

/*
 * Add the local address of a connection or listener (AF_INET or AF_INET6;
 * another family is ignored).  Returns whether the set now covers more than
 * before: then programs that run must be built anew.
 *
 * An IPv4-mapped IPv6 address counts as IPv4.  An unspecified address means
 * the port alone, at any address of any host.  When there is no room, the
 * port with the most addresses is reduced to that: better that somebody
 * else's connections on the port are missing than that a capture feeds
 * itself.  With OWN_TRAFFIC_MAX different ports in the set, another port is
 * not taken; its packets are then known by their mark alone.
 */
bool own_traffic_add(struct own_traffic *own, const struct sockaddr *addr);

/* Does the set cover this endpoint? */
bool own_traffic_has(const struct own_traffic *own, const struct sockaddr *addr);

/* The same for an endpoint that was in another set. */
bool own_traffic_add_endpoint(struct own_traffic *own,
    const struct own_endpoint *endpoint);

/*
 * Which endpoints of own count in other network namespaces of this host.
 *
 * Whoever has our routable addresses there passes our own packets on, or has
 * the same private address by chance, which cannot be told apart.  Loopback
 * is each namespace's own.  So are link-local addresses, but for those in
 * learned, by which connections came in: the other end of such a link may be
 * in another namespace.
 */
void own_traffic_elsewhere(const struct own_traffic *own,
    const struct own_traffic *learned, struct own_traffic *ret);

/* The same endpoints, in the same order? */
bool own_traffic_is_equal(const struct own_traffic *a, const struct own_traffic *b);

#endif /* SERVER_OWN_TRAFFIC_H */
