/*
 * server/priv_device: what drivers say, and time stamps switched on and back.
 * Adapters that stamp packets are rare: ioctl() is played (see CMakeLists.txt).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <net/if.h>
#include <linux/ethtool.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>

#include <cmocka.h>

#include "server/priv_device.h"
#include "server/serve_sockets.h"

/* The device's side. */
static struct {
	uint32_t	 so_timestamping, rx_filters;	/* as ETHTOOL_GET_TS_INFO */
	struct hwtstamp_config config;
	int		 refused;	/* errno of SIOCSHWTSTAMP */
	bool		 cannot_tell;	/* no SIOCGHWTSTAMP */
	int		 granted;	/* rx_filter it sets instead; 0: as asked */
	int8_t		 nwords;	/* of link modes */
	uint32_t	 speed;
	unsigned	 n_set;
	bool		 is_renamed, is_gone;	/* since it was opened */
} nic;

int __wrap_ioctl(int fd, unsigned long request, void *arg);

static int
fail_with(int code)
{
	errno = code;
	return -1;
}

static int
answer_ethtool(void *data)
{
	struct ethtool_link_settings *link = data;
	struct ethtool_drvinfo *driver = data;
	struct ethtool_ts_info *info = data;

	switch (*(uint32_t *)data) {
	case ETHTOOL_GDRVINFO:
		memset(driver->driver, 'x', sizeof(driver->driver));
		return 0;
	case ETHTOOL_GLINKSETTINGS:
		if (nic.nwords == 0)
			return fail_with(EOPNOTSUPP);
		if (link->link_mode_masks_nwords != nic.nwords) {
			link->link_mode_masks_nwords = (int8_t)-nic.nwords;
			return 0;
		}
		link->speed = nic.speed;
		memset(link->link_mode_masks, 0xff, 3 * 4 * (size_t)nic.nwords);
		return 0;
	case ETHTOOL_GET_TS_INFO:
		info->so_timestamping = nic.so_timestamping;
		info->rx_filters = nic.rx_filters;
		return 0;
	default:
		return fail_with(EOPNOTSUPP);
	}
}

int
__wrap_ioctl(int fd, unsigned long request, void *arg)
{
	struct ifreq *ifr = arg;
	struct hwtstamp_config *config = (void *)ifr->ifr_data;

	(void)fd;
	if (request == SIOCGIFNAME) {
		if (nic.is_gone)
			return fail_with(ENODEV);
		assert_int_equal(ifr->ifr_ifindex, 3);
		snprintf(ifr->ifr_name, sizeof(ifr->ifr_name), "%s",
		    nic.is_renamed ? "other0" : "nic0");
		return 0;
	}
	assert_string_equal(ifr->ifr_name, nic.is_renamed ? "other0" : "nic0");
	switch (request) {
	case SIOCETHTOOL:
		return answer_ethtool(ifr->ifr_data);
	case SIOCGHWTSTAMP:
		if (nic.cannot_tell)
			return fail_with(EOPNOTSUPP);
		*config = nic.config;
		return 0;
	case SIOCSHWTSTAMP:
		if (nic.refused != 0)
			return fail_with(nic.refused);
		nic.n_set++;
		if (config->rx_filter == HWTSTAMP_FILTER_ALL && nic.granted != 0)
			config->rx_filter = nic.granted;
		nic.config = *config;
		return 0;
	default:
		return fail_with(ENOTTY);
	}
}

static const struct priv_interface nic0 = { .index = 3, .name = "nic0" };

static int
reset(void **state)
{
	(void)state;
	memset(&nic, 0, sizeof(nic));
	nic.so_timestamping = SOF_TIMESTAMPING_RAW_HARDWARE | SOF_TIMESTAMPING_RX_HARDWARE;
	nic.rx_filters = 1U << HWTSTAMP_FILTER_ALL | 1U << HWTSTAMP_FILTER_NONE;
	return 0;
}

static void
what_the_driver_says_is_taken_down(void **state)
{
	struct priv_interface i = nic0;

	(void)state;
	nic.nwords = 4;
	nic.speed = 25000;
	priv_device_ask(1, &i);
	assert_int_equal(strlen(i.driver), PRIV_DRIVER_LEN - 1);
	assert_int_equal(i.speed_mbps, 25000);
	assert_int_equal(i.time_stamp_types, PRIV_TIME_HOST | PRIV_TIME_ADAPTER_UNSYNCED);

	i = nic0;
	nic.nwords = 127;	/* as many as the kernel can say */
	nic.speed = (uint32_t)SPEED_UNKNOWN;
	nic.rx_filters = 1U << HWTSTAMP_FILTER_PTP_V2_EVENT;
	priv_device_ask(1, &i);
	assert_int_equal(i.speed_mbps, 0);
	assert_int_equal(i.time_stamp_types, PRIV_TIME_HOST);

	i = nic0;
	nic.nwords = 0;
	priv_device_ask(1, &i);
	assert_int_equal(i.speed_mbps, 0);
}

static void
stamps_are_switched_on_and_put_back(void **state)
{
	struct priv_device_stamping stamping;
	struct err err;

	(void)state;
	nic.config = (struct hwtstamp_config){
		.tx_type = HWTSTAMP_TX_ON, .rx_filter = HWTSTAMP_FILTER_PTP_V2_EVENT,
	};
	assert_int_equal(priv_device_stamp(1, &nic0, &stamping, &err), E_OK);
	assert_int_equal(nic.config.rx_filter, HWTSTAMP_FILTER_ALL);
	assert_int_equal(nic.config.tx_type, HWTSTAMP_TX_ON);
	priv_device_restore(1, &stamping);
	assert_int_equal(nic.config.rx_filter, HWTSTAMP_FILTER_PTP_V2_EVENT);
	assert_int_equal(nic.config.tx_type, HWTSTAMP_TX_ON);
}

static void
a_device_that_was_renamed_is_the_one_that_is_put_back(void **state)
{
	struct priv_device_stamping stamping;
	struct err err;

	(void)state;
	assert_int_equal(priv_device_stamp(1, &nic0, &stamping, &err), E_OK);
	nic.is_renamed = true;
	priv_device_restore(1, &stamping);
	assert_int_equal(nic.config.rx_filter, HWTSTAMP_FILTER_NONE);
	assert_int_equal(nic.n_set, 2);
	nic.is_gone = true;
	priv_device_restore(1, &stamping);
	assert_int_equal(nic.n_set, 2);
}

static void
what_is_on_already_is_left_alone(void **state)
{
	struct priv_device_stamping stamping;
	struct err err;

	(void)state;
	nic.config.rx_filter = HWTSTAMP_FILTER_ALL;
	assert_int_equal(priv_device_stamp(1, &nic0, &stamping, &err), E_OK);
	priv_device_restore(1, &stamping);
	assert_int_equal(nic.n_set, 0);
}

static void
an_adapter_that_does_not_stamp_everything_is_refused_and_restored(void **state)
{
	struct priv_device_stamping stamping;
	struct err err;

	(void)state;
	nic.granted = HWTSTAMP_FILTER_PTP_V2_EVENT;
	nic.cannot_tell = true;
	assert_int_equal(priv_device_stamp(1, &nic0, &stamping, &err), E_STATE);
	assert_int_equal(nic.n_set, 2);
	assert_int_equal(nic.config.rx_filter, HWTSTAMP_FILTER_NONE);
	assert_false(stamping.is_set);
	nic.refused = EBUSY;
	assert_int_equal(priv_device_stamp(1, &nic0, &stamping, &err), E_SYS);
	nic.rx_filters = 0;
	assert_int_equal(priv_device_stamp(1, &nic0, &stamping, &err), E_STATE);
	assert_int_equal(nic.n_set, 2);
}

/* As priv_serve does for an OPEN with ADAPTER_TIME. */
static struct serve_socket *
open_stamped(struct serve_sockets *sockets)
{
	struct serve_socket *s = calloc(1, sizeof(*s));
	struct err err;

	assert_non_null(s);
	s->fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	s->ifindex = nic0.index;
	s->has_adapter_time = true;
	assert_int_equal(priv_device_stamp(s->fd, &nic0, &s->stamping, &err), E_OK);
	serve_sockets_add(sockets, s);
	return s;
}

static void
the_last_capture_of_several_puts_it_back(void **state)
{
	struct serve_sockets sockets = { .first = NULL };
	struct serve_socket *first, *second, *third;

	(void)state;
	first = open_stamped(&sockets);
	second = open_stamped(&sockets);
	third = open_stamped(&sockets);
	serve_sockets_close(&sockets, first);
	assert_int_equal(nic.config.rx_filter, HWTSTAMP_FILTER_ALL);
	serve_sockets_close(&sockets, third);
	assert_int_equal(nic.config.rx_filter, HWTSTAMP_FILTER_ALL);
	serve_sockets_close(&sockets, second);
	assert_int_equal(nic.config.rx_filter, HWTSTAMP_FILTER_NONE);
	assert_int_equal(nic.n_set, 2);

	(void)open_stamped(&sockets);
	(void)open_stamped(&sockets);
	serve_sockets_fini(&sockets);
	assert_int_equal(nic.config.rx_filter, HWTSTAMP_FILTER_NONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_the_driver_says_is_taken_down, reset),
		cmocka_unit_test_setup(stamps_are_switched_on_and_put_back, reset),
		cmocka_unit_test_setup(
		    a_device_that_was_renamed_is_the_one_that_is_put_back, reset),
		cmocka_unit_test_setup(what_is_on_already_is_left_alone, reset),
		cmocka_unit_test_setup(
		    an_adapter_that_does_not_stamp_everything_is_refused_and_restored, reset),
		cmocka_unit_test_setup(the_last_capture_of_several_puts_it_back, reset),
	};

	return cmocka_run_group_tests_name("server/priv_device", tests, NULL, NULL);
}
