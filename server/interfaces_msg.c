#include <stdlib.h>
#include <string.h>

#include "common/link_type.h"
#include "server/interfaces_int.h"

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
	struct link_choice choices[LINK_CHOICES_MAX];

	(void)link_type_choices(info->arphrd, info->name, choices);
	out->index = info->index;
	out->link_type = choices[0].link_type;
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
