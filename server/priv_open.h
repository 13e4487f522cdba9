/*
 * priv_open - the one thing that needs privilege: a filtered, bound capture
 * socket.
 *
 * Runs in capagent.  Every number it gets has passed priv_msg_check() and
 * the policy; what the kernel refuses is an ordinary error.  Not one packet
 * enters a socket before its filter stands.
 */
#ifndef SERVER_PRIV_OPEN_H
#define SERVER_PRIV_OPEN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bpf.h"
#include "common/err.h"
#include "server/priv_device.h"
#include "server/priv_msg.h"
#include "server/ring_geometry.h"

/* Before the sandbox: errors can then name the kernel's limits. */
void priv_open_init(void);

/*
 * The program the kernel runs: mandatory (may be empty) decides first, then
 * the child's, and no return keeps more than max bytes.  Nothing in the
 * child's part can get past what stands around it.
 *
 * E_FILTER  the child's part is not valid, or the whole does not fit
 */
int priv_open_link(const struct bpf_prog *mandatory, const struct priv_program *child,
    uint32_t max, struct bpf_prog *ret_prog, struct err *err) MUST_CHECK;

struct priv_netns_place;

struct priv_open_wish {
	const struct priv_interface *interface;	/* index 0: all, cooked */
	const struct priv_netns_place *netns;	/* NULL: the agent's own */
	const struct bpf_prog *filter;	/* linked */
	uint64_t	 ring_bytes;
	uint32_t	 snaplen;
	bool		 is_cooked;
	bool		 is_promiscuous;
	bool		 is_inbound;
	bool		 wants_adapter_time;
	const char	*no_adapter_time;	/* why it must not be, or NULL */
};

struct priv_open_done {
	int		 fd;
	struct ring_geometry ring;	/* as the kernel gave it */
	bool		 is_promiscuous;
	enum priv_time_stamps time_stamps;	/* what is in force */
	struct priv_device_stamping stamping;	/* to undo when it is closed */
	char		 note[PRIV_TEXT_LEN];	/* why time stamps are not as wished, or "" */
};

/*
 * Open, filter, ring, bind.  When it returns E_OK the capture runs, and the
 * socket can never be bound to another interface.
 *
 * E_IFDOWN, E_NOIFACE, E_FILTER (sys ENOMEM: too large for the kernel's
 * limit), E_NOMEM, E_SYS; each text names interface and step.
 */
int priv_open_socket(const struct priv_open_wish *wish,
    struct priv_open_done *ret_done, struct err *err) MUST_CHECK;

/*
 * Replace the filter of an open capture at once: no packet falls between.
 * E_FILTER (sys ENOMEM as above; the old filter counts too), E_SYS.
 */
int priv_open_filter(int fd, const struct bpf_prog *filter, struct err *err)
    MUST_CHECK;

#endif /* SERVER_PRIV_OPEN_H */
