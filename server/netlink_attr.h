/*
 * netlink_attr - walk the attributes of a netlink message; counters in one.
 */
#ifndef SERVER_NETLINK_ATTR_H
#define SERVER_NETLINK_ATTR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

struct netlink_attr {
	unsigned	 type;
	const uint8_t	*p;
	size_t		 len;
};

/* Take the attribute at *p, or say there is none that is whole. */
static inline bool
netlink_attr_next(const uint8_t **p, const uint8_t *end, struct netlink_attr *ret_attr)
{
	size_t left = (size_t)(end - *p), step;
	struct rtattr hdr;

	if (left < sizeof(hdr))
		return false;
	memcpy(&hdr, *p, sizeof(hdr));
	if (hdr.rta_len < sizeof(hdr) || hdr.rta_len > left)
		return false;
	*ret_attr = (struct netlink_attr){
		.type = hdr.rta_type & ((unsigned)NLA_TYPE_MASK & 0xffff),
		.p = *p + sizeof(hdr),
		.len = hdr.rta_len - sizeof(hdr),
	};
	step = RTA_ALIGN((size_t)hdr.rta_len);
	*p += step < left ? step : left;
	return true;
}

/*
 * Packets that an adapter could not receive, out of an IFLA_STATS64: no room
 * in its own memory or in the host's.
 */
static inline uint64_t
netlink_rx_lost(const void *data, size_t len)
{
	struct rtnl_link_stats64 counters = { 0 };

	/* Kernels add fields at the end. */
	memcpy(&counters, data, len < sizeof(counters) ? len : sizeof(counters));
	return counters.rx_missed_errors + counters.rx_fifo_errors;
}

#endif /* SERVER_NETLINK_ATTR_H */
