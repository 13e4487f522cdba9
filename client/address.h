/*
 * address - what people write for a sensor: HOST[:PORT] in all its forms.
 *
 * Syntax only: resolves no names and opens no sockets.
 */
#ifndef CLIENT_ADDRESS_H
#define CLIENT_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

enum { ADDRESS_HOST_LEN = 256 };	/* DNS: 253 characters at most */

struct address {
	char		 host[ADDRESS_HOST_LEN];	/* without brackets */
	uint16_t	 port;
	bool		 is_ipv6;	/* a literal, perhaps with %zone */
	bool		 has_port;	/* written, not the default */
};

/*
 * Parse "host", "host:port", "10.0.0.7", "10.0.0.7:port", "[::1]",
 * "[::1]:port" or a bare "::1"; without a port it is PROTO_PORT.
 * E_USAGE: "sensor 'TEXT': cause".
 */
int address_parse(const char *text, struct address *ret_address,
    struct err *err) MUST_CHECK;

/* "host:port" or "[v6]:port". */
void address_format(const struct address *address, char *dst, size_t size);

#endif /* CLIENT_ADDRESS_H */
