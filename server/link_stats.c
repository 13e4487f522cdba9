#include "server/link_stats.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_link.h>

#include "server/netlink_attr.h"

enum { ANSWER_MAX = 32 << 10 };		/* an interface with many functions is long */

struct link_stats {
	int		 fd;
	uint32_t	 seq;
	uint8_t		 buf[ANSWER_MAX];
};

struct link_stats *
link_stats_open(void)
{
	struct link_stats *stats = calloc(1, sizeof(*stats));

	if (stats == NULL)
		return NULL;
	stats->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (stats->fd < 0) {
		free(stats);
		return NULL;
	}
	return stats;
}

void
link_stats_close(struct link_stats *stats)
{
	close(stats->fd);
	free(stats);
}

bool
link_stats_parse(const uint8_t *p, size_t len, uint64_t *ret_dropped)
{
	const uint8_t *end = p + len;
	struct netlink_attr attr;

	if (len < sizeof(struct ifinfomsg))
		return false;
	p += NLMSG_ALIGN(sizeof(struct ifinfomsg));
	while (netlink_attr_next(&p, end, &attr)) {
		if (attr.type != IFLA_STATS64)
			continue;
		*ret_dropped = netlink_rx_lost(attr.p, attr.len);
		return true;
	}
	return false;
}

static int
ask(struct link_stats *stats, uint32_t ifindex)
{
	struct {
		struct nlmsghdr hdr;
		struct ifinfomsg body;
	} request = {
		.hdr = {
			.nlmsg_len = sizeof(request),
			.nlmsg_type = RTM_GETLINK,
			.nlmsg_flags = NLM_F_REQUEST,
			.nlmsg_seq = ++stats->seq,
		},
		.body = { .ifi_family = AF_UNSPEC, .ifi_index = (int)ifindex },
	};

	return send(stats->fd, &request, sizeof(request), 0) < 0 ? E_SYS : E_OK;
}

int
link_stats_dropped(struct link_stats *stats, uint32_t ifindex,
    uint64_t *ret_dropped)
{
	struct nlmsghdr h;
	ssize_t n;

	if (ask(stats, ifindex) != E_OK)
		return E_SYS;
	do {
		n = recv(stats->fd, stats->buf, sizeof(stats->buf), 0);
		if (n < 0 && errno != EINTR)
			return E_SYS;
		if (n >= 0 && (size_t)n < sizeof(h))
			return E_BADMSG;
		if (n > 0)
			memcpy(&h, stats->buf, sizeof(h));
	} while (n < 0 || h.nlmsg_seq != stats->seq);
	if (h.nlmsg_type == NLMSG_ERROR)
		return E_NOIFACE;
	if (h.nlmsg_len < sizeof(h) || h.nlmsg_len > (size_t)n ||
	    !link_stats_parse(stats->buf + sizeof(h), h.nlmsg_len - sizeof(h),
	    ret_dropped))
		return E_BADMSG;
	return E_OK;
}
