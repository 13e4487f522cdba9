#include <stdlib.h>
#include <string.h>

#include <net/if.h>
#include <linux/if_arp.h>

#include "server/interfaces_int.h"

enum { LINKTYPE_LINUX_SLL2 = 276 };

/*
 * Interfaces whose own link header is one that files know.  All others are
 * captured cooked; so are those (PPP, netlink, GRE) whose header in a file is
 * not the one the kernel delivers.
 */
static const struct { uint16_t arphrd, link_type; } raw_types[] = {
	{ ARPHRD_ETHER, 1 },
	{ ARPHRD_LOOPBACK, 1 },
	{ ARPHRD_METRICOM, 1 },
	{ ARPHRD_NONE, 101 },		/* no header at all: tun, WireGuard */
	{ ARPHRD_TUNNEL, 101 },
	{ ARPHRD_SIT, 101 },
	{ ARPHRD_SLIP, 101 },
	{ ARPHRD_CSLIP, 101 },
	{ ARPHRD_SLIP6, 101 },
	{ ARPHRD_CSLIP6, 101 },
	{ ARPHRD_ADAPT, 101 },
	{ ARPHRD_RAWHDLC, 101 },
	{ ARPHRD_DLCI, 101 },
	{ ARPHRD_CISCO, 104 },
	{ ARPHRD_IEEE80211, 105 },
	{ ARPHRD_FRAD, 107 },
	{ ARPHRD_IEEE80211_PRISM, 119 },
	{ ARPHRD_IEEE80211_RADIOTAP, 127 },
	{ ARPHRD_CAN, 227 },
	{ ARPHRD_IEEE802154, 230 },
	{ ARPHRD_VSOCKMON, 271 },
};

uint32_t
link_type_of_arphrd(uint16_t arphrd, bool *ret_is_cooked)
{
	for (size_t i = 0; i < ARRAY_LEN(raw_types); i++) {
		if (raw_types[i].arphrd != arphrd)
			continue;
		*ret_is_cooked = false;
		return raw_types[i].link_type;
	}
	*ret_is_cooked = true;
	return LINKTYPE_LINUX_SLL2;
}

static int
copy_addresses(const struct interface_info *info, char (**ret_addresses)[64],
    uint32_t *ret_n)
{
	char (*addresses)[64];

	if (info->n_addresses == 0) {
		*ret_addresses = NULL;
		*ret_n = 0;
		return E_OK;
	}
	addresses = reallocarray(NULL, info->n_addresses, sizeof(*addresses));
	if (addresses == NULL)
		return E_NOMEM;
	memcpy(addresses, info->addresses,
	    info->n_addresses * sizeof(*addresses));
	*ret_addresses = addresses;
	*ret_n = info->n_addresses;
	return E_OK;
}

static bool
is_member(const uint32_t *set, size_t n, uint32_t index)
{
	for (size_t i = 0; i < n; i++)
		if (set[i] == index)
			return true;
	return false;
}

static const char *
why_not(const struct interface_info *info, const uint32_t *permitted, size_t n)
{
	if (!is_member(permitted, n, info->index))
		return "not permitted by capagent.conf";
	if (!info->is_up)
		return "interface is down";
	return "";
}

static int
fill_interface(const struct interface_info *info, const char *reason,
    struct msg_interface *out)
{
	bool is_cooked;

	out->index = info->index;
	out->link_type = link_type_of_arphrd(info->arphrd, &is_cooked);
	out->is_up = info->is_up;
	out->is_running = info->is_running;
	out->is_loopback = info->is_loopback;
	out->has_mac = info->has_mac;
	memcpy(out->mac, info->mac, sizeof(out->mac));
	memcpy(out->name, info->name, sizeof(info->name));
	memcpy(out->description, info->description, sizeof(info->description));
	strncpy(out->why_not, reason, sizeof(out->why_not) - 1);
	return copy_addresses(info, &out->addresses, &out->n_addresses);
}

int
interfaces_to_msg(const struct interfaces *list, const uint32_t *permitted,
    size_t n, struct msg *ret_msg)
{
	struct msg msg = { .type = MSG_INTERFACE_LIST };
	struct msg_interface_list *out = &msg.interface_list;
	const struct interface_info *info;

	if (list->n > 0) {
		out->interfaces = calloc(list->n, sizeof(*out->interfaces));
		if (out->interfaces == NULL)
			return E_NOMEM;
	}
	for (size_t i = 0; i < list->n; i++) {
		info = &list->items[i];
		if (fill_interface(info, why_not(info, permitted, n),
		    &out->interfaces[out->n++]) != E_OK) {
			msg_free(&msg);
			return E_NOMEM;
		}
	}
	*ret_msg = msg;
	return E_OK;
}

int
interfaces_to_capture(const struct interface_info *info,
    struct msg_capture_interface *ret_iface)
{
	struct msg_capture_interface out = {
		.index = info->index,
		.has_mac = info->has_mac,
	};

	if (copy_addresses(info, &out.addresses, &out.n_addresses) != E_OK)
		return E_NOMEM;
	memcpy(out.mac, info->mac, sizeof(out.mac));
	memcpy(out.name, info->name, sizeof(info->name));
	memcpy(out.description, info->description, sizeof(info->description));
	*ret_iface = out;
	return E_OK;
}
