#include "client/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"

static int
refuse(struct err *err, const char *text, const char *cause)
{
	return err_set(err, E_USAGE, "sensor '%.80s': %s (HOST, HOST:PORT, "
	    "10.0.0.7:PORT or [IPV6]:PORT)", text, cause);
}

static bool
parse_port(const char *text, uint16_t *ret_port)
{
	unsigned long port = 0;

	if (strspn(text, "0123456789") != strlen(text) || strlen(text) > 5)
		return false;
	port = strtoul(text, NULL, 10);
	if (port < 1 || port > 65535)
		return false;
	*ret_port = (uint16_t)port;
	return true;
}

/* An IPv6 literal, with or without %zone. */
static bool
is_ipv6(const char *host)
{
	char addr[INET6_ADDRSTRLEN];
	size_t len = strcspn(host, "%");
	struct in6_addr unused;

	if (len >= sizeof(addr) || (host[len] == '%' && host[len + 1] == '\0'))
		return false;
	memcpy(addr, host, len);
	addr[len] = '\0';
	return inet_pton(AF_INET6, addr, &unused) == 1;
}

/* A host name or IPv4 address: what a resolver could be asked for. */
static bool
is_name(const char *host)
{
	size_t len = strlen(host);

	if (len == 0 || len > 253 || host[0] == '-' || host[0] == '.')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)host[i]) &&
		    strchr("-._", host[i]) == NULL)
			return false;
	return true;
}

int
address_parse(const char *text, struct address *ret_address, struct err *err)
{
	struct address a = { .port = PROTO_PORT };
	size_t len = strlen(text);
	const char *host = text, *port = NULL, *colon = strrchr(text, ':');

	if (strpbrk(text, "/@") != NULL)
		return refuse(err, text, "write the host alone");
	if (text[0] == '[') {
		const char *close = strchr(text, ']');

		if (close == NULL)
			return refuse(err, text, "']' is missing");
		if (close[1] != '\0' && close[1] != ':')
			return refuse(err, text, "':PORT' must follow ']'");
		host = text + 1;
		len = (size_t)(close - host);
		port = close[1] == ':' ? close + 2 : NULL;
	} else if (colon != NULL && strchr(text, ':') == colon) {
		len = (size_t)(colon - text);
		port = colon + 1;
	}
	if (len >= sizeof(a.host))
		return refuse(err, text, "too long");
	memcpy(a.host, host, len);
	a.is_ipv6 = is_ipv6(a.host);
	if (text[0] == '[' && !a.is_ipv6)
		return refuse(err, text, "not an IPv6 address in the brackets");
	if (!a.is_ipv6 && !is_name(a.host))
		return refuse(err, text, "not a host name or address");
	if (port != NULL && !parse_port(port, &a.port))
		return refuse(err, text, "the port must be 1..65535");
	a.has_port = port != NULL;
	*ret_address = a;
	return E_OK;
}

void
address_format(const struct address *address, char *dst, size_t size)
{
	snprintf(dst, size, address->is_ipv6 ? "[%s]:%u" : "%s:%u",
	    address->host, address->port);
}
