#include "server/link_watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <net/if.h>
#include <linux/if_link.h>

#include "server/netlink_attr.h"

enum {
	MESSAGE_MAX = 64 << 10,
	MESSAGES_PER_TURN = 64,		/* then clients get their turn */
	QUEUE_BYTES = 1 << 20,		/* a storm of containers */
};

struct link_watch {
	int		 fd;
	struct loop_io	*io;
	link_watch_fn	 fn;
	void		*arg;
	uint8_t		 buf[MESSAGE_MAX];
};

bool
link_watch_parse(uint16_t type, const uint8_t *p, size_t len,
    struct link_change *ret_change)
{
	const uint8_t *end = p + len;
	struct link_change change = { 0 };
	struct netlink_attr attr;
	struct ifinfomsg msg;

	if ((type != RTM_NEWLINK && type != RTM_DELLINK) || len < sizeof(msg))
		return false;
	memcpy(&msg, p, sizeof(msg));
	/* A bridge's DELLINK says only that the interface left the bridge. */
	if (msg.ifi_family != AF_UNSPEC || msg.ifi_index <= 0)
		return false;
	change.ifindex = (uint32_t)msg.ifi_index;
	change.is_gone = type == RTM_DELLINK;
	change.is_up = !change.is_gone && (msg.ifi_flags & IFF_UP) != 0;
	p += NLMSG_ALIGN(sizeof(msg));
	while (netlink_attr_next(&p, end, &attr)) {
		if (attr.type == IFLA_IFNAME && attr.len > 0 &&
		    attr.len <= sizeof(change.name))
			memcpy(change.name, attr.p, attr.len - 1);
		else if (attr.type == IFLA_MTU && attr.len == sizeof(change.mtu))
			memcpy(&change.mtu, attr.p, sizeof(change.mtu));
		else if (attr.type == IFLA_NEW_NETNSID)
			change.is_moved = true;
	}
	if (change.name[0] == '\0')
		return false;
	*ret_change = change;
	return true;
}

static void
take(struct link_watch *watch, size_t len)
{
	struct link_change change;
	struct nlmsghdr h;
	size_t at = 0, step;

	while (len - at >= sizeof(h)) {
		memcpy(&h, watch->buf + at, sizeof(h));
		if (h.nlmsg_len < sizeof(h) || h.nlmsg_len > len - at)
			return;
		if (link_watch_parse(h.nlmsg_type, watch->buf + at + sizeof(h),
		    h.nlmsg_len - sizeof(h), &change))
			watch->fn(&change, watch->arg);
		step = NLMSG_ALIGN((size_t)h.nlmsg_len);
		at += step < len - at ? step : len - at;
	}
}

static void
on_message(unsigned events, void *arg)
{
	struct link_watch *watch = arg;

	(void)events;
	for (int i = 0; i < MESSAGES_PER_TURN; i++) {
		ssize_t n = recv(watch->fd, watch->buf, sizeof(watch->buf),
		    MSG_DONTWAIT | MSG_TRUNC);

		if (n < 0 && errno == EINTR)
			continue;
		if ((n < 0 && errno == ENOBUFS) || n > MESSAGE_MAX) {
			watch->fn(NULL, watch->arg);
			continue;
		}
		if (n <= 0)
			return;
		take(watch, (size_t)n);
	}
}

static int
open_socket(struct link_watch *watch, struct err *err)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK,
	    .nl_groups = RTMGRP_LINK };
	int bytes = QUEUE_BYTES;

	watch->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    NETLINK_ROUTE);
	if (watch->fd < 0)
		return err_sys(err, "interfaces: open rtnetlink");
	/* Less is enough, too: what is lost is looked up. */
	(void)setsockopt(watch->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	if (bind(watch->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_sys(err, "interfaces: follow rtnetlink");
	return E_OK;
}

struct link_watch *
link_watch_new(struct loop *loop, link_watch_fn fn, void *arg, struct err *err)
{
	struct link_watch *watch = calloc(1, sizeof(*watch));

	if (watch == NULL) {
		err_set(err, E_NOMEM, "interfaces: follow: out of memory");
		return NULL;
	}
	watch->fn = fn;
	watch->arg = arg;
	if (open_socket(watch, err) != E_OK) {
		link_watch_free(watch);
		return NULL;
	}
	watch->io = loop_io_new(loop, watch->fd, on_message, watch);
	if (watch->io == NULL || loop_io_set(watch->io, LOOP_READ) != E_OK) {
		err_set(err, E_NOMEM, "interfaces: follow: out of memory");
		link_watch_free(watch);
		return NULL;
	}
	return watch;
}

void
link_watch_free(struct link_watch *watch)
{
	if (watch == NULL)
		return;
	loop_io_free(watch->io);
	if (watch->fd >= 0)
		close(watch->fd);
	free(watch);
}
