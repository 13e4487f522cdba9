/*
 * listen_open - addresses to listen on, and listening sockets.
 *
 * Runs in capagent, before privilege falls; the sockets are handed to
 * capagent-net, which alone accepts.
 */
#ifndef SERVER_LISTEN_OPEN_H
#define SERVER_LISTEN_OPEN_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/err.h"

enum { LISTEN_DEFAULT_PORT = 9443 };

struct listen_address {
	socklen_t	 len;
	union {
		struct sockaddr		 sa;
		struct sockaddr_in	 in;
		struct sockaddr_in6	 in6;
	};
};

/*
 * Parse "10.0.0.1", "0.0.0.0:9443", "[::]:9443", "[fe80::1%eth0]", "::1".
 * Numbers only: names would make the start depend on a resolver.
 * E_USAGE
 */
int listen_address_parse(const char *text, struct listen_address *ret_address,
    struct err *err) MUST_CHECK;

/* "10.0.0.1:9443", "[::]:9443". */
void listen_address_format(const struct listen_address *address, char *dst,
    size_t size);

/*
 * A listening, non-blocking socket.  mark (SO_MARK) is inherited by what is
 * accepted, so it is set first; IPv6 sockets take no IPv4.  On success
 * *address is what was bound: a port 0 has become a number.
 */
int listen_open(struct listen_address *address, uint32_t mark, int *ret_fd,
    struct err *err) MUST_CHECK;

/*
 * Is this an address that this host can listen on?  Its port is not tried, so
 * that an agent may be listening there.  Fails as listen_open() would.
 */
int listen_check(const struct listen_address *address, struct err *err) MUST_CHECK;

#endif /* SERVER_LISTEN_OPEN_H */
