#include "server/sandbox.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/sockios.h>

#include "server/sandbox_int.h"

#define SETSOCKOPT(level, option)					\
	ALLOW2(setsockopt, SANDBOX_ARG_EQ(1, level), SANDBOX_ARG_EQ(2, option))

#define OPEN_TO_WRITE	(O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY))

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
	SETSOCKOPT(SOL_PACKET, PACKET_TIMESTAMP),
	ALLOW1(ioctl, SANDBOX_ARG_EQ(1, SIOCETHTOOL)),	/* without CAP_NET_ADMIN: to ask */
	ALLOW(pread64),					/* net.core.optmem_max, open already */
	ALLOW(sendmsg),					/* descriptors for the child */
	ALLOW1(sendto, SANDBOX_ARG_EQ(4, 0)),		/* send(): without an address */
	ALLOW(wait4), ALLOW(waitid),
	ALLOW1(fcntl, SANDBOX_ARG_EQ(1, F_GETFL)),
};

static const struct sandbox_rule netns_rules[] = {
	ALLOW1(setns, SANDBOX_ARG_EQ(1, CLONE_NEWNET)),
	ALLOW2(socket, SANDBOX_ARG_EQ(0, AF_NETLINK), SANDBOX_ARG_EQ(2, NETLINK_ROUTE)),
	SETSOCKOPT(SOL_SOCKET, SO_RCVTIMEO),
};

/* Paths cannot be looked at here: priv_netns_confine() says what is there. */
static const struct sandbox_rule named_rules[] = {
	ALLOW1(openat, SANDBOX_ARG_MASKED(2, OPEN_TO_WRITE, 0)),
	ALLOW(getdents64), ALLOW(newfstatat), ALLOW(fstat),
};

static const struct sandbox_rule pid_rules[] = {
	ALLOW1(pidfd_open, SANDBOX_ARG_EQ(1, 0)),
};

static const struct sandbox_rule stamp_rules[] = {
	ALLOW1(ioctl, SANDBOX_ARG_EQ(1, SIOCGIFNAME)),
	ALLOW1(ioctl, SANDBOX_ARG_EQ(1, SIOCGHWTSTAMP)),
	ALLOW1(ioctl, SANDBOX_ARG_EQ(1, SIOCSHWTSTAMP)),
};

static const struct {
	unsigned	 extra;		/* any of these */
	const struct sandbox_rule *rules;
	size_t		 n;
} tables[] = {
	{ SANDBOX_NETNS_NAMED | SANDBOX_NETNS_PID, netns_rules, ARRAY_LEN(netns_rules) },
	{ SANDBOX_NETNS_NAMED, named_rules, ARRAY_LEN(named_rules) },
	{ SANDBOX_NETNS_PID, pid_rules, ARRAY_LEN(pid_rules) },
	{ SANDBOX_TIME_STAMPS, stamp_rules, ARRAY_LEN(stamp_rules) },
};

int
sandbox_priv_apply(enum sandbox_mode mode, unsigned extra, struct err *err)
{
	struct sandbox_rule all[ARRAY_LEN(rules) + ARRAY_LEN(netns_rules) +
	    ARRAY_LEN(named_rules) + ARRAY_LEN(pid_rules) + ARRAY_LEN(stamp_rules)];
	size_t n = ARRAY_LEN(rules);

	memcpy(all, rules, sizeof(rules));
	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		if ((tables[i].extra & extra) == 0)
			continue;
		memcpy(&all[n], tables[i].rules, tables[i].n * sizeof(all[0]));
		n += tables[i].n;
	}
	return sandbox_load(mode, sandbox_basic, sandbox_basic_len, all, n, err);
}
