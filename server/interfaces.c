#include <sys/socket.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <net/if.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "server/interfaces_int.h"

/* How often reading begins again because the list changed meanwhile. */
enum { ATTEMPTS = 8 };

enum {
	ATTR_HDR_LEN = sizeof(struct rtattr),
	ATTR_ALIGNMENT = RTA_ALIGNTO,
	ATTR_TYPE_MASK = (int)NLA_TYPE_MASK & 0xffff,
};

/* A netlink attribute. */
struct attr {
	unsigned	 type;
	const uint8_t	*p;
	size_t		 len;
};

/* Take the attribute at *p, or say there is none that is whole. */
static bool
next_attr(const uint8_t **p, const uint8_t *end, struct attr *ret_attr)
{
	size_t left = (size_t)(end - *p), step;
	struct rtattr hdr;

	if (left < ATTR_HDR_LEN)
		return false;
	memcpy(&hdr, *p, sizeof(hdr));
	if (hdr.rta_len < ATTR_HDR_LEN || hdr.rta_len > left)
		return false;
	*ret_attr = (struct attr){
		.type = hdr.rta_type & ATTR_TYPE_MASK,
		.p = *p + ATTR_HDR_LEN,
		.len = (size_t)hdr.rta_len - ATTR_HDR_LEN,
	};
	step = ((size_t)hdr.rta_len + ATTR_ALIGNMENT - 1) &
	    ~(size_t)(ATTR_ALIGNMENT - 1);
	*p += step < left ? step : left;
	return true;
}

/* The attribute's text, cut to what dst holds. */
static void
attr_to_text(const struct attr *attr, char *dst, size_t size)
{
	size_t len = strnlen((const char *)attr->p, attr->len);

	if (len >= size)
		len = size - 1;
	memcpy(dst, attr->p, len);
	dst[len] = '\0';
}

/* What kind of virtual device it is: "veth", "bridge", "vxlan". */
static void
take_kind(const struct attr *info, char *dst, size_t size)
{
	const uint8_t *p = info->p, *end = info->p + info->len;
	struct attr attr;

	while (next_attr(&p, end, &attr))
		if (attr.type == IFLA_INFO_KIND)
			attr_to_text(&attr, dst, size);
}

static void
take_mac(const struct attr *attr, struct interface_info *info)
{
	static const uint8_t none[6];

	if (attr->len != sizeof(info->mac) ||
	    memcmp(attr->p, none, sizeof(none)) == 0)
		return;
	memcpy(info->mac, attr->p, sizeof(info->mac));
	info->has_mac = true;
}

static void
take_link_attr(const struct attr *attr, struct interface_info *info,
    char kind[static IFNAMSIZ])
{
	switch (attr->type) {
	case IFLA_IFNAME:
		attr_to_text(attr, info->name, sizeof(info->name));
		break;
	case IFLA_ADDRESS:
		take_mac(attr, info);
		break;
	case IFLA_MTU:
		if (attr->len == sizeof(info->mtu))
			memcpy(&info->mtu, attr->p, sizeof(info->mtu));
		break;
	case IFLA_IFALIAS:
		attr_to_text(attr, info->description,
		    sizeof(info->description));
		break;
	case IFLA_LINKINFO:
		take_kind(attr, kind, IFNAMSIZ);
		break;
	default:
		break;
	}
}

/* Room for one more; NULL when out of memory. */
static struct interface_info *
add_item(struct interfaces *list)
{
	size_t room = list->room == 0 ? 16 : list->room * 2;
	struct interface_info *items;

	if (list->n == list->room) {
		items = reallocarray(list->items, room, sizeof(*items));
		if (items == NULL)
			return NULL;
		list->items = items;
		list->room = room;
	}
	memset(&list->items[list->n], 0, sizeof(*list->items));
	return &list->items[list->n++];
}

int
interfaces_take_link(void *arg, const uint8_t *p, size_t len)
{
	struct interfaces *list = arg;
	const uint8_t *end = p + len;
	char kind[IFNAMSIZ] = "";
	struct interface_info *info;
	struct ifinfomsg msg;
	struct attr attr;

	if (len < sizeof(msg))
		return E_BADMSG;
	memcpy(&msg, p, sizeof(msg));
	if (msg.ifi_index <= 0)
		return E_BADMSG;
	if (list->n == PROTO_MAX_INTERFACES)
		return E_OK;		/* the message could not hold it */
	info = add_item(list);
	if (info == NULL)
		return E_NOMEM;
	info->index = (uint32_t)msg.ifi_index;
	info->arphrd = msg.ifi_type;
	info->is_up = (msg.ifi_flags & IFF_UP) != 0;
	info->is_running = (msg.ifi_flags & IFF_RUNNING) != 0;
	info->is_loopback = (msg.ifi_flags & IFF_LOOPBACK) != 0;

	p += NLMSG_ALIGN(sizeof(msg));
	while (next_attr(&p, end, &attr))
		take_link_attr(&attr, info, kind);
	if (info->description[0] == '\0')
		memcpy(info->description, kind, sizeof(kind));
	return info->name[0] != '\0' ? E_OK : E_BADMSG;
}

/* An address message taken apart; len is 0 when there is none inside. */
struct address {
	uint32_t	 index;
	int		 family;
	unsigned	 prefix_len;
	uint8_t		 len;
	uint8_t		 bytes[16];
};

static int
parse_address(const uint8_t *p, size_t len, struct address *ret_address)
{
	const uint8_t *end = p + len;
	struct address out = { 0 };
	bool is_local = false;
	struct ifaddrmsg msg;
	struct attr attr;
	size_t want;

	if (len < sizeof(msg))
		return E_BADMSG;
	memcpy(&msg, p, sizeof(msg));
	out.index = msg.ifa_index;
	out.family = msg.ifa_family;
	out.prefix_len = msg.ifa_prefixlen;
	want = msg.ifa_family == AF_INET ? 4 :
	    msg.ifa_family == AF_INET6 ? 16 : SIZE_MAX;

	/* On a point-to-point link ADDRESS is the other end's, LOCAL ours. */
	p += NLMSG_ALIGN(sizeof(msg));
	while (next_attr(&p, end, &attr)) {
		if (attr.len != want || is_local ||
		    (attr.type != IFA_LOCAL && attr.type != IFA_ADDRESS))
			continue;
		is_local = attr.type == IFA_LOCAL;
		memcpy(out.bytes, attr.p, want);
		out.len = (uint8_t)want;
	}
	*ret_address = out;
	return E_OK;
}

static struct interface_info *
find_index(const struct interfaces *list, uint32_t index)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->items[i].index == index)
			return &list->items[i];
	return NULL;
}

int
interfaces_take_address(void *arg, const uint8_t *p, size_t len)
{
	struct interfaces *list = arg;
	struct interface_info *info;
	struct address address;
	char text[INET6_ADDRSTRLEN];
	char (*addresses)[64];

	if (parse_address(p, len, &address) != E_OK)
		return E_BADMSG;
	info = find_index(list, address.index);
	if (info == NULL || address.len == 0 ||
	    info->n_addresses == PROTO_MAX_ADDRESSES)
		return E_OK;
	addresses = reallocarray(info->addresses,
	    (size_t)info->n_addresses + 1, sizeof(*addresses));
	if (addresses == NULL)
		return E_NOMEM;
	info->addresses = addresses;
	inet_ntop(address.family, address.bytes, text, sizeof(text));
	snprintf(addresses[info->n_addresses++], sizeof(*addresses), "%s/%u",
	    text, address.prefix_len);
	return E_OK;
}

void
interfaces_free(struct interfaces *list)
{
	if (list == NULL)
		return;
	for (size_t i = 0; i < list->n; i++)
		free(list->items[i].addresses);
	free(list->items);
	free(list);
}

static int
read_once(struct interfaces **ret_list, struct err *err)
{
	struct interfaces *list = calloc(1, sizeof(*list));
	int code;

	if (list == NULL)
		return err_set(err, E_NOMEM, "interface list: out of memory");
	code = interfaces_dump(RTM_GETLINK, interfaces_take_link, list, err);
	if (code == E_OK)
		code = interfaces_dump(RTM_GETADDR, interfaces_take_address,
		    list, err);
	if (code == E_OK)
		*ret_list = list;
	else
		interfaces_free(list);
	return code;
}

int
interfaces_read(struct interfaces **ret_list, struct err *err)
{
	int code = E_AGAIN;

	for (int i = 0; i < ATTEMPTS && code == E_AGAIN; i++)
		code = read_once(ret_list, err);
	return code;
}

const struct interface_info *
interfaces_find_index(const struct interfaces *list, uint32_t index)
{
	return find_index(list, index);
}

const struct interface_info *
interfaces_next(const struct interfaces *list, const struct interface_info *prev)
{
	const struct interface_info *next = prev == NULL ? list->items : prev + 1;

	return next < list->items + list->n ? next : NULL;
}

const struct interface_info *
interfaces_find_name(const struct interfaces *list, const char *name)
{
	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->items[i].name, name) == 0)
			return &list->items[i];
	return NULL;
}

/* --- addresses alone --- */

struct address_set {
	size_t		 n, room;
	struct local_address *items;
};

static int
add_address(struct address_set *set, const struct address *address)
{
	size_t room = set->room == 0 ? 16 : set->room * 2;
	struct local_address *items, *item;

	for (size_t i = 0; i < set->n; i++)
		if (set->items[i].len == address->len &&
		    memcmp(set->items[i].bytes, address->bytes,
		    address->len) == 0)
			return E_OK;
	if (set->n == set->room) {
		items = reallocarray(set->items, room, sizeof(*items));
		if (items == NULL)
			return E_NOMEM;
		set->items = items;
		set->room = room;
	}
	item = &set->items[set->n++];
	item->len = address->len;
	memcpy(item->bytes, address->bytes, sizeof(item->bytes));
	return E_OK;
}

static int
take_local_address(void *arg, const uint8_t *p, size_t len)
{
	struct address address;

	if (parse_address(p, len, &address) != E_OK)
		return E_BADMSG;
	if (address.len == 0)
		return E_OK;
	return add_address(arg, &address);
}

int
interfaces_local_addresses(struct local_address **ret_addresses, size_t *ret_n,
    struct err *err)
{
	struct address_set set = { 0 };
	int code = E_AGAIN;

	for (int i = 0; i < ATTEMPTS && code == E_AGAIN; i++) {
		set.n = 0;
		code = interfaces_dump(RTM_GETADDR, take_local_address, &set,
		    err);
	}
	if (code != E_OK) {
		free(set.items);
		return code;
	}
	*ret_addresses = set.items;
	*ret_n = set.n;
	return E_OK;
}
