/*
 * interfaces - what network interfaces the sensor has.
 *
 * Asked from the kernel by rtnetlink, in the caller's network namespace, in
 * one blocking exchange with the kernel alone.  Runs in capagent-net under
 * its seccomp filter: one NETLINK_ROUTE socket, send() and recv(), no bind,
 * no message headers.  Which interfaces may be captured is decided in
 * capagent; here the answer is only written down.
 */
#ifndef SERVER_INTERFACES_H
#define SERVER_INTERFACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "proto/codec.h"

struct interface_info {
	uint32_t	 index;
	uint32_t	 mtu;
	uint16_t	 arphrd;		/* ARPHRD_ value */
	bool		 is_up, is_running, is_loopback;
	bool		 has_mac;
	uint8_t		 mac[6];
	char		 name[16];
	char		 description[PROTO_MAX_NAME + 1];	/* alias or kind */
	uint32_t	 n_addresses;		/* <= PROTO_MAX_ADDRESSES */
	char		(*addresses)[64];	/* "10.0.0.1/24" */
};

struct interfaces;		/* a snapshot; at most PROTO_MAX_INTERFACES */

/*
 * Ask the kernel.  E_SYS, E_NOMEM, E_BADMSG (an answer that is none), E_AGAIN
 * (the list kept changing while it was read).
 */
int interfaces_read(struct interfaces **ret_list, struct err *err) MUST_CHECK;
void interfaces_free(struct interfaces *list);

/* NULL when there is none.  Valid as long as list. */
const struct interface_info *interfaces_find_index(
    const struct interfaces *list, uint32_t index);
const struct interface_info *interfaces_find_name(
    const struct interfaces *list, const char *name);

/* The one behind prev, the first for NULL; NULL at the end. */
const struct interface_info *interfaces_next(const struct interfaces *list,
    const struct interface_info *prev);

/*
 * The message about all interfaces.  permitted[0..n) are the kernel's numbers
 * of those that capagent allows.  Release it with msg_free().  E_NOMEM.
 */
int interfaces_to_msg(const struct interfaces *list, const uint32_t *permitted,
    size_t n, struct msg *ret_msg) MUST_CHECK;

/*
 * Fill one entry of Started.  Its addresses are a copy the caller owns (freed
 * by msg_free() of the whole message); link_type and is_promiscuous are left
 * to the caller, who knows what was opened.  E_NOMEM.
 */
int interfaces_to_capture(const struct interface_info *info,
    struct msg_capture_interface *ret_iface) MUST_CHECK;

/* An address of this host; IPv4 in the first 4 bytes. */
struct local_address {
	uint8_t	 len;			/* 4 or 16 */
	uint8_t	 bytes[16];
};

/*
 * All addresses of the host on all interfaces (what own traffic can come from
 * or go to), each once; the caller frees the array.  Codes as above.
 */
int interfaces_local_addresses(struct local_address **ret_addresses,
    size_t *ret_n, struct err *err) MUST_CHECK;

#endif /* SERVER_INTERFACES_H */
