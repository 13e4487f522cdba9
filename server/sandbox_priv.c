#include "server/sandbox.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <linux/if_packet.h>

#include "server/sandbox_int.h"

#define SETSOCKOPT(level, option)					\
	ALLOW2(setsockopt, SANDBOX_ARG_EQ(1, level), SANDBOX_ARG_EQ(2, option))

/*
 * Besides what every process needs: receive requests, ask rtnetlink over the
 * socket that is open already, make packet sockets, reap the child.
 */
static const struct sandbox_rule rules[] = {
	ALLOW1(socket, SANDBOX_ARG_EQ(0, AF_PACKET)),
	ALLOW(bind),
	SETSOCKOPT(SOL_SOCKET, SO_ATTACH_FILTER),
	SETSOCKOPT(SOL_SOCKET, SO_TIMESTAMPNS),
	SETSOCKOPT(SOL_PACKET, PACKET_VERSION),
	SETSOCKOPT(SOL_PACKET, PACKET_RESERVE),
	SETSOCKOPT(SOL_PACKET, PACKET_IGNORE_OUTGOING),
	SETSOCKOPT(SOL_PACKET, PACKET_ADD_MEMBERSHIP),
	SETSOCKOPT(SOL_PACKET, PACKET_RX_RING),
	SETSOCKOPT(SOL_PACKET, PACKET_FANOUT),
	ALLOW(sendmsg),					/* descriptors for the child */
	ALLOW1(sendto, SANDBOX_ARG_EQ(4, 0)),		/* send(): without an address */
	ALLOW(wait4), ALLOW(waitid),
	ALLOW1(fcntl, SANDBOX_ARG_EQ(1, F_GETFL)),
};

int
sandbox_priv_apply(enum sandbox_mode mode, struct err *err)
{
	return sandbox_load(mode, sandbox_basic, sandbox_basic_len, rules, ARRAY_LEN(rules),
	    err);
}
