/*
 * priv_device - what a device's driver says of itself, and its time stamps.
 *
 * Runs in capagent.  One ioctl (SIOCETHTOOL) on any socket of the device's
 * network namespace, of which only questions are asked; and, where the
 * configuration permits it, SIOCSHWTSTAMP.
 */
#ifndef SERVER_PRIV_DEVICE_H
#define SERVER_PRIV_DEVICE_H

#include <stdbool.h>

#include "common/err.h"
#include "server/priv_msg.h"

/* Fill in driver, speed and time stamp types of interface, by its name. */
void priv_device_ask(int socket_fd, struct priv_interface *interface);

/* A device whose adapter was made to stamp packets. */
struct priv_device_stamping {
	bool	 is_set;		/* false: nothing to undo */
	uint32_t ifindex;		/* its name may become another device's */
	int	 tx_type, rx_filter;	/* what was in force before */
};

/*
 * Make the adapter stamp every packet it receives; ret says how it was.
 * E_SYS, E_STATE (it stamps none, or not all); the text says why.
 */
int priv_device_stamp(int socket_fd, const struct priv_interface *interface,
    struct priv_device_stamping *ret, struct err *err) MUST_CHECK;

/*
 * Put back what was in force, whatever the device is called now; one that is
 * gone, or in another network namespace than the socket, is left alone.
 */
void priv_device_restore(int socket_fd, const struct priv_device_stamping *stamping);

#endif /* SERVER_PRIV_DEVICE_H */
