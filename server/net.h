/*
 * net - what the network process's first thread shares among its modules.
 *
 * Plain data with one owner, net_main; used in the first thread only.
 */
#ifndef SERVER_NET_H
#define SERVER_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "common/loop.h"
#include "common/mailbox.h"
#include "common/tls.h"
#include "server/own_traffic.h"
#include "server/priv_call.h"

struct session;
struct captures;
struct link_watch;
struct listener;
struct own_addresses;

struct net {
	struct loop	*loop;
	struct tls	*tls;
	struct priv_call *call;
	struct captures	*captures;
	struct priv_setup setup;
	struct own_traffic own;		/* what captures must leave out */
	struct own_traffic own_elsewhere; /* .. in other network namespaces */
	struct own_addresses *own_addresses;
	struct link_watch *link_watch;
	struct own_traffic learned;	/* part of it: from connections */
	uint32_t	 own_generation;	/* goes up whenever one of them changes */

	struct listener	*listeners[PRIV_MAX_LISTENERS];
	struct session	*sessions;	/* clients that do not capture yet */
	unsigned	 n_sessions;
	unsigned	 session_number;	/* of the newest one */
	uint64_t	 instance;	/* a random number of this process */
	bool		 is_ending;
};

#endif /* SERVER_NET_H */
