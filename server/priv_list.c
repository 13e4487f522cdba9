#include "server/priv_list.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <net/if.h>
#include <linux/rtnetlink.h>

#include "server/netlink_attr.h"
#include "server/priv_device.h"

enum {
	/* A dump's part has at most 32 KiB; one link's answer stays below too. */
	ANSWER_LEN = 64 << 10,
	ANSWER_TIMEOUT_S = 5,
};

int
priv_list_prepare(int fd, struct err *err)
{
	const struct timeval timeout = { .tv_sec = ANSWER_TIMEOUT_S };
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };

	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) == -1)
		return err_sys(err, "rtnetlink: prepare socket");
	return E_OK;
}

int
priv_list_open(int *ret_fd, struct err *err)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), ret;

	if (fd == -1)
		return err_sys(err, "rtnetlink: socket");
	ret = priv_list_prepare(fd, err);
	if (ret != E_OK) {
		close(fd);
		return ret;
	}
	*ret_fd = fd;
	return E_OK;
}

static int
ask(int fd, uint16_t flags, uint32_t ifindex, uint32_t seq, struct err *err)
{
	struct {
		struct nlmsghdr	 hdr;
		struct ifinfomsg link;
	} request = {
		.hdr = {
			.nlmsg_len = sizeof(request),
			.nlmsg_type = RTM_GETLINK,
			.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags),
			.nlmsg_seq = seq,
		},
		.link = { .ifi_index = (int)ifindex },
	};

	if (send(fd, &request, sizeof(request), 0) != (ssize_t)sizeof(request))
		return err_sys(err, "rtnetlink: ask for interfaces");
	return E_OK;
}

/* linux/if_link.h has these from Linux 6.3 on. */
enum { LINK_GSO_IPV4_MAX_SIZE = 63, LINK_GRO_IPV4_MAX_SIZE = 64 };

/* A device of software may be handed packets that its peer's limits made. */
static bool
has_kind(const struct rtattr *info)
{
	size_t len = RTA_PAYLOAD(info);

	for (struct rtattr *a = RTA_DATA(info); RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type == IFLA_INFO_KIND)
			return true;
	return false;
}

/*
 * The largest packet that the device can show: what its MTU lets through, or
 * what segmentation and its reverse on this device make of them.
 */
static uint32_t
longest_packet(struct rtattr *first, size_t len)
{
	uint32_t longest = 0, value;

	for (struct rtattr *a = first; RTA_OK(a, len); a = RTA_NEXT(a, len)) {
		switch (a->rta_type & NLA_TYPE_MASK) {
		case IFLA_LINKINFO:
			if (has_kind(a))
				return 0;
			break;
		case IFLA_MTU:
		case IFLA_GSO_MAX_SIZE:
		case IFLA_GRO_MAX_SIZE:
		case LINK_GSO_IPV4_MAX_SIZE:
		case LINK_GRO_IPV4_MAX_SIZE:
			if (RTA_PAYLOAD(a) != sizeof(value))
				return 0;
			memcpy(&value, RTA_DATA(a), sizeof(value));
			if (value > longest)
				longest = value;
			break;
		default:
			break;
		}
	}
	/* Every device that has no offloads of its own still meets 64 KiB. */
	return longest < UINT16_MAX ? UINT16_MAX : longest;
}

/* False for a message that is no usable interface. */
static bool
parse_link(struct nlmsghdr *hdr, struct priv_interface *ret_interface)
{
	struct ifinfomsg *link = NLMSG_DATA(hdr);
	struct link_choice choices[LINK_CHOICES_MAX];
	struct priv_interface i = { .name = "" };
	size_t len;

	if (hdr->nlmsg_type != RTM_NEWLINK || hdr->nlmsg_len < NLMSG_LENGTH(sizeof(*link)) ||
	    link->ifi_index <= 0)
		return false;
	i.index = (uint32_t)link->ifi_index;
	i.arphrd = link->ifi_type;
	i.flags = link->ifi_flags;
	len = hdr->nlmsg_len - NLMSG_LENGTH(sizeof(*link));
	i.max_packet = longest_packet(IFLA_RTA(link), len);
	for (struct rtattr *a = IFLA_RTA(link); RTA_OK(a, len); a = RTA_NEXT(a, len)) {
		size_t size = RTA_PAYLOAD(a);

		if (a->rta_type == IFLA_IFNAME && size > 1)
			snprintf(i.name, sizeof(i.name), "%.*s", (int)size,
			    (const char *)RTA_DATA(a));
		else if (a->rta_type == IFLA_MTU && size == sizeof(i.mtu))
			memcpy(&i.mtu, RTA_DATA(a), sizeof(i.mtu));
		else if (a->rta_type == IFLA_ADDRESS && size <= sizeof(i.mac)) {
			i.mac_len = (uint8_t)size;
			memcpy(i.mac, RTA_DATA(a), size);
		} else if (a->rta_type == IFLA_STATS64)
			i.rx_lost = netlink_rx_lost(RTA_DATA(a), size);
	}
	if (i.name[0] == '\0')
		return false;
	(void)link_type_choices(i.arphrd, i.name, choices);
	i.link_type = choices[0].link_type;
	*ret_interface = i;
	return true;
}

typedef void (*link_fn)(const struct priv_interface *interface, void *arg);

/*
 * Read the answer to question seq, calling fn for each interface, up to its
 * end: NLMSG_DONE, or after one message when it is not a dump.
 */
static int
read_answer(int fd, bool is_dump, uint32_t seq, link_fn fn, void *arg, struct err *err)
{
	static _Alignas(struct nlmsghdr) char buf[ANSWER_LEN];

	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf), MSG_TRUNC);
		size_t len = (size_t)n;

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return err_sys(err, "rtnetlink: read interfaces");
		if (len > sizeof(buf))
			return err_set(err, E_TOOBIG, "rtnetlink: answer of %zu bytes", len);
		for (struct nlmsghdr *hdr = (struct nlmsghdr *)buf; NLMSG_OK(hdr, len);
		     hdr = NLMSG_NEXT(hdr, len)) {
			struct priv_interface i;

			if (hdr->nlmsg_seq != seq)	/* of a question that failed */
				continue;
			if (hdr->nlmsg_type == NLMSG_DONE)
				return E_OK;
			if (hdr->nlmsg_type == NLMSG_ERROR) {
				errno = -((struct nlmsgerr *)NLMSG_DATA(hdr))->error;
				return err_sys(err, "rtnetlink: read interfaces");
			}
			if (parse_link(hdr, &i))
				fn(&i, arg);
			if (!is_dump)
				return E_OK;
		}
	}
}

static uint32_t
next_seq(void)
{
	static uint32_t seq;

	return ++seq;
}

struct page {
	uint32_t	 start;
	bool		(*permits)(const char *name, void *arg);
	void		*arg;
	uint32_t	 n;
	uint32_t	 left_out;	/* smallest index that did not fit, or 0 */
	struct priv_interface *interfaces;
};

/* A dump comes in the order of a hash table: keep the smallest, sorted. */
static void
page_add(const struct priv_interface *interface, void *arg)
{
	struct page *page = arg;
	uint32_t at = page->n, out = interface->index;

	if (interface->index < page->start || !page->permits(interface->name, page->arg))
		return;
	while (at > 0 && page->interfaces[at - 1].index > interface->index)
		at--;
	if (page->n == PRIV_LIST_COUNT) {
		if (at < PRIV_LIST_COUNT)
			out = page->interfaces[PRIV_LIST_COUNT - 1].index;
		if (page->left_out == 0 || out < page->left_out)
			page->left_out = out;
		if (at == PRIV_LIST_COUNT)
			return;
		page->n--;
	}
	memmove(&page->interfaces[at + 1], &page->interfaces[at],
	    (page->n - at) * sizeof(*interface));
	page->interfaces[at] = *interface;
	page->n++;
}

int
priv_list_page(int fd, uint32_t start_index,
    bool (*permits)(const char *name, void *arg), void *arg,
    struct priv_interface ret_interfaces[static PRIV_LIST_COUNT], uint32_t *ret_n,
    uint32_t *ret_next, struct err *err)
{
	struct priv_interface interfaces[PRIV_LIST_COUNT] = { 0 };
	struct page page = {
		.start = start_index, .permits = permits, .arg = arg,
		.interfaces = interfaces,
	};
	uint32_t seq = next_seq();
	int ret = ask(fd, NLM_F_DUMP, 0, seq, err);

	if (ret == E_OK)
		ret = read_answer(fd, true, seq, page_add, &page, err);
	if (ret != E_OK)
		return ret;
	for (uint32_t i = 0; i < page.n; i++)
		priv_device_ask(fd, &interfaces[i]);
	memcpy(ret_interfaces, interfaces, sizeof(interfaces));
	*ret_n = page.n;
	*ret_next = page.left_out;
	return E_OK;
}

static void
take_one(const struct priv_interface *interface, void *arg)
{
	struct priv_interface *dst = arg;

	*dst = *interface;
}

int
priv_list_get(int fd, uint32_t ifindex, struct priv_interface *ret_interface,
    struct err *err)
{
	struct priv_interface found = { .index = 0 };
	uint32_t seq = next_seq();
	struct err why = { .sys = 0 };
	int ret = ask(fd, 0, ifindex, seq, &why);

	if (ret == E_OK)
		ret = read_answer(fd, false, seq, take_one, &found, &why);
	if ((ret == E_OK && found.index != ifindex) || (ret != E_OK && why.sys == ENODEV))
		return err_set(err, E_NOIFACE, "interface %u: open: no such interface", ifindex);
	if (ret != E_OK) {
		if (err != NULL)
			*err = why;
		return ret;
	}
	*ret_interface = found;
	return E_OK;
}
