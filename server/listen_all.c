#include "server/listen_all.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "common/log.h"
#include "server/listen_open.h"

/* Without IPv6 on this machine, the default still means: all addresses. */
static bool
may_be_missing(const struct listen_address *address, unsigned n_others,
    const struct err *err)
{
	struct in6_addr any = IN6ADDR_ANY_INIT;

	return n_others > 0 && (err->sys == EAFNOSUPPORT || err->sys == EADDRNOTAVAIL) &&
	    address->sa.sa_family == AF_INET6 &&
	    memcmp(&address->in6.sin6_addr, &any, sizeof(any)) == 0;
}

static int
take_failure(const struct listen_address *address, unsigned n_others, struct err *err)
{
	if (!may_be_missing(address, n_others, err)) {
		err->code = E_UNREACHABLE;
		return E_UNREACHABLE;
	}
	log_warn(LOG_LISTEN, "%s: going on without IPv6", err->what);
	return E_OK;
}

int
listen_all_check(const struct policy *policy, struct err *err)
{
	unsigned n_good = 0;

	for (unsigned i = 0; i < policy->n_listen; i++) {
		if (listen_check(&policy->listen[i], err) == E_OK)
			n_good++;
		else if (take_failure(&policy->listen[i], n_good, err) != E_OK)
			return E_UNREACHABLE;
	}
	return E_OK;
}

int
listen_all_open(const struct policy *policy, struct net_listener *ret_listeners,
    unsigned *ret_n, struct err *err)
{
	for (unsigned i = 0; i < policy->n_listen; i++) {
		struct listen_address address = policy->listen[i];
		struct net_listener *listener = &ret_listeners[*ret_n];

		if (listen_open(&address, policy->mark, &listener->fd, err) == E_OK) {
			listen_address_format(&address, listener->address,
			    sizeof(listener->address));
			(*ret_n)++;
		} else if (take_failure(&address, *ret_n, err) != E_OK) {
			return E_UNREACHABLE;
		}
	}
	return E_OK;
}
