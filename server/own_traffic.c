#include "server/own_traffic.h"

#include <netinet/in.h>
#include <string.h>

static void
set_ipv4(struct own_endpoint *e, const void *addr)
{
	e->family = AF_INET;
	memcpy(e->addr, addr, 4);
}

static bool
parse(const struct sockaddr *addr, struct own_endpoint *ret)
{
	struct own_endpoint e = { .family = AF_UNSPEC };
	static const uint8_t unspecified[16];
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	switch (addr->sa_family) {
	case AF_INET:
		memcpy(&in, addr, sizeof(in));
		e.port = ntohs(in.sin_port);
		set_ipv4(&e, &in.sin_addr);
		break;
	case AF_INET6:
		memcpy(&in6, addr, sizeof(in6));
		e.port = ntohs(in6.sin6_port);
		if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
			set_ipv4(&e, in6.sin6_addr.s6_addr + 12);
		} else {
			e.family = AF_INET6;
			memcpy(e.addr, in6.sin6_addr.s6_addr, 16);
		}
		break;
	default:
		return false;
	}
	if (memcmp(e.addr, unspecified, 16) == 0)
		e.family = AF_UNSPEC;
	*ret = e;
	return true;
}

static bool
covers(const struct own_endpoint *e, const struct own_endpoint *other)
{
	return e->port == other->port && (e->family == AF_UNSPEC ||
	    (e->family == other->family && memcmp(e->addr, other->addr, 16) == 0));
}

static bool
has(const struct own_traffic *own, const struct own_endpoint *e)
{
	for (uint32_t i = 0; i < own->n; i++)
		if (covers(&own->endpoints[i], e))
			return true;
	return false;
}

/* The endpoint takes the place of all that it covers. */
static void
put(struct own_traffic *own, const struct own_endpoint *e)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < own->n; i++)
		if (!covers(e, &own->endpoints[i]))
			own->endpoints[n++] = own->endpoints[i];
	own->endpoints[n++] = *e;
	own->n = n;
}

static uint32_t
count_port(const struct own_traffic *own, uint16_t port)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < own->n; i++)
		n += own->endpoints[i].port == port;
	return n;
}

/* Reduce the port with the most addresses; false when each has just one. */
static bool
make_room(struct own_traffic *own)
{
	struct own_endpoint any = { .family = AF_UNSPEC };
	uint32_t most = 1;

	for (uint32_t i = 0; i < own->n; i++) {
		uint32_t n = count_port(own, own->endpoints[i].port);

		if (n > most) {
			most = n;
			any.port = own->endpoints[i].port;
		}
	}
	if (most == 1)
		return false;
	put(own, &any);
	return true;
}

void
own_traffic_init(struct own_traffic *own)
{
	memset(own, 0, sizeof(*own));
}

bool
own_traffic_add_endpoint(struct own_traffic *own, const struct own_endpoint *endpoint)
{
	if (has(own, endpoint))
		return false;
	if (own->n == OWN_TRAFFIC_MAX) {
		/* The port alone needs no room where an address of it goes. */
		if (endpoint->family == AF_UNSPEC && count_port(own, endpoint->port) > 0) {
			put(own, endpoint);
			return true;
		}
		if (!make_room(own))
			return false;
		if (has(own, endpoint))
			return true;
	}
	put(own, endpoint);
	return true;
}

bool
own_traffic_add(struct own_traffic *own, const struct sockaddr *addr)
{
	struct own_endpoint e;

	return parse(addr, &e) && own_traffic_add_endpoint(own, &e);
}

bool
own_traffic_has(const struct own_traffic *own, const struct sockaddr *addr)
{
	struct own_endpoint e;

	return parse(addr, &e) && has(own, &e);
}

static bool
is_loopback(const struct own_endpoint *e)
{
	static const uint8_t one[16] = { [15] = 1 };

	if (e->family == AF_INET)
		return e->addr[0] == 127;
	return e->family == AF_INET6 && memcmp(e->addr, one, sizeof(one)) == 0;
}

static bool
is_link_local(const struct own_endpoint *e)
{
	if (e->family == AF_INET)
		return e->addr[0] == 169 && e->addr[1] == 254;
	return e->family == AF_INET6 && e->addr[0] == 0xfe && (e->addr[1] & 0xc0) == 0x80;
}

void
own_traffic_elsewhere(const struct own_traffic *own, const struct own_traffic *learned,
    struct own_traffic *ret)
{
	own_traffic_init(ret);
	for (uint32_t i = 0; i < own->n; i++) {
		const struct own_endpoint *e = &own->endpoints[i];

		if (!is_loopback(e) && (!is_link_local(e) || has(learned, e)))
			put(ret, e);
	}
}

bool
own_traffic_is_equal(const struct own_traffic *a, const struct own_traffic *b)
{
	if (a->n != b->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++) {
		const struct own_endpoint *x = &a->endpoints[i], *y = &b->endpoints[i];

		if (x->family != y->family || x->port != y->port ||
		    memcmp(x->addr, y->addr, sizeof(x->addr)) != 0)
			return false;
	}
	return true;
}
