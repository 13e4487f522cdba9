#include "server/priv_device.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <net/if.h>
#include <linux/ethtool.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>

#include "common/log.h"

enum { MAX_MODE_WORDS = 127 };	/* link modes; the kernel's count is an s8 */

static int
device_ioctl(int fd, unsigned long request, const char *name, void *data)
{
	struct ifreq ifr = { .ifr_name = "" };

	memcpy(ifr.ifr_name, name, sizeof(ifr.ifr_name) - 1);
	ifr.ifr_data = data;
	return ioctl(fd, request, &ifr);
}

static void
ask_driver(int fd, struct priv_interface *interface)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };

	if (device_ioctl(fd, SIOCETHTOOL, interface->name, &info) == 0)
		snprintf(interface->driver, sizeof(interface->driver), "%.*s",
		    (int)sizeof(interface->driver) - 1, info.driver);
}

/* The kernel first says how many words of modes it has, then answers. */
static void
ask_speed(int fd, struct priv_interface *interface)
{
	union {
		struct ethtool_link_settings head;
		uint8_t	 room[sizeof(struct ethtool_link_settings) + 3 * 4 * MAX_MODE_WORDS];
	} settings = { .head = { .cmd = ETHTOOL_GLINKSETTINGS } };
	struct ethtool_link_settings *head = &settings.head;

	if (device_ioctl(fd, SIOCETHTOOL, interface->name, head) == -1 ||
	    head->link_mode_masks_nwords >= 0)
		return;
	head->link_mode_masks_nwords = (int8_t)-head->link_mode_masks_nwords;
	head->cmd = ETHTOOL_GLINKSETTINGS;
	if (device_ioctl(fd, SIOCETHTOOL, interface->name, head) == 0 &&
	    head->speed != (uint32_t)SPEED_UNKNOWN)
		interface->speed_mbps = head->speed;
}

static uint32_t
stamps_of(const struct ethtool_ts_info *info)
{
	bool all = (info->rx_filters & (1U << HWTSTAMP_FILTER_ALL)) != 0;
	uint32_t types = PRIV_TIME_HOST;

	if (all && (info->so_timestamping & SOF_TIMESTAMPING_SYS_HARDWARE) != 0)
		types |= PRIV_TIME_ADAPTER;
	if (all && (info->so_timestamping & SOF_TIMESTAMPING_RAW_HARDWARE) != 0)
		types |= PRIV_TIME_ADAPTER_UNSYNCED;
	return types;
}

static uint32_t
ask_stamps(int fd, const char *name)
{
	struct ethtool_ts_info info = { .cmd = ETHTOOL_GET_TS_INFO };

	if (device_ioctl(fd, SIOCETHTOOL, name, &info) == -1)
		return PRIV_TIME_HOST;
	return stamps_of(&info);
}

void
priv_device_ask(int socket_fd, struct priv_interface *interface)
{
	ask_driver(socket_fd, interface);
	ask_speed(socket_fd, interface);
	interface->time_stamp_types = ask_stamps(socket_fd, interface->name);
}

/* --- time stamps --- */

int
priv_device_stamp(int socket_fd, const struct priv_interface *interface,
    struct priv_device_stamping *ret, struct err *err)
{
	struct hwtstamp_config config = { .flags = 0 };
	struct priv_device_stamping stamping = { .is_set = true };

	if ((ask_stamps(socket_fd, interface->name) & PRIV_TIME_ADAPTER_UNSYNCED) == 0)
		return err_set(err, E_STATE, "the adapter does not stamp all packets");
	/* Where the driver cannot tell, it is off until somebody asks for it. */
	if (device_ioctl(socket_fd, SIOCGHWTSTAMP, interface->name, &config) == -1)
		config = (struct hwtstamp_config){ .flags = 0 };
	stamping.tx_type = config.tx_type;
	stamping.rx_filter = config.rx_filter;
	stamping.ifindex = interface->index;
	if (config.rx_filter == HWTSTAMP_FILTER_ALL) {
		*ret = (struct priv_device_stamping){ .is_set = false };
		return E_OK;
	}
	config.flags = 0;
	config.rx_filter = HWTSTAMP_FILTER_ALL;
	if (device_ioctl(socket_fd, SIOCSHWTSTAMP, interface->name, &config) == -1)
		return err_sys(err, "switch the adapter's time stamps on");
	*ret = stamping;
	if (config.rx_filter == HWTSTAMP_FILTER_ALL)
		return E_OK;
	priv_device_restore(socket_fd, ret);
	ret->is_set = false;
	return err_set(err, E_STATE, "the adapter does not stamp all packets");
}

void
priv_device_restore(int socket_fd, const struct priv_device_stamping *stamping)
{
	struct hwtstamp_config config = {
		.tx_type = stamping->tx_type, .rx_filter = stamping->rx_filter,
	};

	struct ifreq now = { .ifr_ifindex = (int)stamping->ifindex };

	if (!stamping->is_set)
		return;
	if ((ioctl(socket_fd, SIOCGIFNAME, &now) == -1 ||
	    device_ioctl(socket_fd, SIOCSHWTSTAMP, now.ifr_name, &config) == -1) &&
	    errno != ENODEV)
		log_warn(LOG_PRIV, "interface %u: put the adapter's time stamps back: %s",
		    stamping->ifindex, strerror(errno));
}
