#include "client/link_type.h"

#include <stdio.h>

#include "common/compiler.h"

static const struct {
	uint32_t	 value;
	const char	*name;
	const char	*description;
} names[] = {
	{ 0, "NULL", "BSD loopback" },
	{ 1, "EN10MB", "Ethernet" },
	{ 9, "PPP", "PPP" },
	{ 101, "RAW", "Raw IP" },
	{ 105, "IEEE802_11", "802.11" },
	{ 113, "LINUX_SLL", "Linux cooked v1" },
	{ 127, "IEEE802_11_RADIO", "802.11 plus radiotap header" },
	{ 227, "CAN_SOCKETCAN", "CAN-bus with SocketCAN headers" },
	{ 228, "IPV4", "Raw IPv4" },
	{ 229, "IPV6", "Raw IPv6" },
	{ 253, "NETLINK", "Linux netlink" },
	{ 271, "VSOCK", "Linux vsock" },
	{ 276, "LINUX_SLL2", "Linux cooked v2" },
};

void
link_type_name(uint32_t link_type, char *dst, size_t size)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (names[i].value == link_type) {
			snprintf(dst, size, "%s", names[i].name);
			return;
		}
	}
	snprintf(dst, size, "%u", link_type);
}

void
link_type_text(uint32_t link_type, char *dst, size_t size)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (names[i].value == link_type) {
			snprintf(dst, size, "%s (%s)", names[i].name,
			    names[i].description);
			return;
		}
	}
	snprintf(dst, size, "%u", link_type);
}
