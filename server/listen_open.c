#include "server/listen_open.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ADDRESS_TEXT_LEN = 64, LISTEN_BACKLOG = 128 };

/*
 * Cut text into host and port (NULL when there is none), in place.  False
 * when the brackets are wrong.
 */
static bool
split(char *text, char **ret_host, char **ret_port)
{
	char *colon = strrchr(text, ':'), *end;

	*ret_port = NULL;
	if (text[0] == '[') {
		end = strchr(text, ']');
		if (end == NULL || (end[1] != '\0' && end[1] != ':'))
			return false;
		*ret_host = text + 1;
		*ret_port = end[1] == ':' ? end + 2 : NULL;
		*end = '\0';
		return true;
	}
	*ret_host = text;
	if (colon != NULL && colon == strchr(text, ':')) {
		*colon = '\0';
		*ret_port = colon + 1;
	}
	return true;
}

static bool
port_is_number(const char *port)
{
	size_t len = strspn(port, "0123456789");
	unsigned long value = 0;

	if (len == 0 || len > 5 || port[len] != '\0')
		return false;
	for (size_t i = 0; i < len; i++)
		value = value * 10 + (unsigned long)(port[i] - '0');
	return value <= UINT16_MAX;
}

int
listen_address_parse(const char *text, struct listen_address *ret_address,
    struct err *err)
{
	const struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM,
	};
	char copy[ADDRESS_TEXT_LEN], default_port[8];
	char *host = NULL, *port = NULL;
	struct listen_address result = { .len = 0 };
	struct addrinfo *list = NULL;
	struct in_addr ipv4;

	if (strlen(text) >= sizeof(copy))
		goto bad;
	memcpy(copy, text, strlen(text) + 1);
	if (!split(copy, &host, &port) || host[0] == '\0')
		goto bad;
	if (port != NULL && !port_is_number(port))
		return err_set(err, E_USAGE, "address '%s': parse: port is no number "
		    "from 0 to 65535", text);
	if (port == NULL) {
		snprintf(default_port, sizeof(default_port), "%d", LISTEN_DEFAULT_PORT);
		port = default_port;
	}
	/* getaddrinfo() takes "10.1" for 10.0.0.1. */
	if (strchr(host, ':') == NULL &&
	    (text[0] == '[' || inet_pton(AF_INET, host, &ipv4) != 1))
		goto bad;
	if (getaddrinfo(host, port, &hints, &list) != 0 || list == NULL)
		goto bad;
	if (list->ai_addrlen <= sizeof(result.in6)) {
		result.len = list->ai_addrlen;
		memcpy(&result.in6, list->ai_addr, list->ai_addrlen);
	}
	freeaddrinfo(list);
	if (result.len == 0)
		goto bad;
	*ret_address = result;
	return E_OK;
bad:
	return err_set(err, E_USAGE, "address '%s': parse: not an address: "
	    "write 10.0.0.1:9443 or [::1]:9443", text);
}

void
listen_address_format(const struct listen_address *address, char *dst, size_t size)
{
	char host[INET6_ADDRSTRLEN] = "?", scope[IF_NAMESIZE + 16] = "";

	if (address->sa.sa_family != AF_INET6) {
		inet_ntop(AF_INET, &address->in.sin_addr, host, sizeof(host));
		snprintf(dst, size, "%s:%u", host, ntohs(address->in.sin_port));
		return;
	}
	inet_ntop(AF_INET6, &address->in6.sin6_addr, host, sizeof(host));
	if (address->in6.sin6_scope_id != 0)
		snprintf(scope, sizeof(scope), "%%%u", address->in6.sin6_scope_id);
	snprintf(dst, size, "[%s%s]:%u", host, scope, ntohs(address->in6.sin6_port));
}

static int
set_options(int fd, const struct listen_address *address, uint32_t mark,
    const char *name, struct err *err)
{
	const int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1)
		return err_sys(err, "listen %s: SO_REUSEADDR", name);
	if (setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) == -1)
		return err_sys(err, "listen %s: SO_MARK", name);
	if (address->sa.sa_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == -1)
		return err_sys(err, "listen %s: IPV6_V6ONLY", name);
	return E_OK;
}

static int
bind_to(int fd, const struct listen_address *address, const char *name, struct err *err)
{
	if (bind(fd, &address->sa, address->len) == 0)
		return E_OK;
	if (errno == EADDRNOTAVAIL)
		return err_sys(err, "listen %s: bind: not an address of this host", name);
	return err_sys(err, "listen %s: bind", name);
}

int
listen_open(struct listen_address *address, uint32_t mark, int *ret_fd, struct err *err)
{
	struct listen_address bound = { .len = sizeof(bound.in6) };
	char name[ADDRESS_TEXT_LEN];
	int fd, ret;

	listen_address_format(address, name, sizeof(name));
	fd = socket(address->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return err_sys(err, "listen %s: socket", name);
	ret = set_options(fd, address, mark, name, err);
	if (ret == E_OK)
		ret = bind_to(fd, address, name, err);
	if (ret != E_OK)
		goto out_fd;
	if (listen(fd, LISTEN_BACKLOG) == -1) {
		ret = err_sys(err, "listen %s", name);
		goto out_fd;
	}
	if (getsockname(fd, &bound.sa, &bound.len) == -1) {
		ret = err_sys(err, "listen %s: getsockname", name);
		goto out_fd;
	}
	*address = bound;
	*ret_fd = fd;
	return E_OK;
out_fd:
	close(fd);
	return ret;
}

int
listen_check(const struct listen_address *address, struct err *err)
{
	struct listen_address any_port = *address;
	char name[ADDRESS_TEXT_LEN];
	int fd, ret;

	listen_address_format(address, name, sizeof(name));
	fd = socket(address->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return err_sys(err, "listen %s: socket", name);
	if (address->sa.sa_family == AF_INET6)
		any_port.in6.sin6_port = 0;
	else
		any_port.in.sin_port = 0;
	ret = bind_to(fd, &any_port, name, err);
	close(fd);
	return ret;
}
