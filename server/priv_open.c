#include "server/priv_open.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <net/if.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/net_tstamp.h>

#include "common/bpf_link.h"
#include "server/priv_netns.h"

#ifndef PACKET_FANOUT_FLAG_IGNORE_OUTGOING
#define PACKET_FANOUT_FLAG_IGNORE_OUTGOING 0x4000
#endif

enum {
	VLAN_RESERVE = 4,	/* lets a reader put the tag back in place */
};

_Static_assert(sizeof(struct bpf_insn_raw) == sizeof(struct sock_filter) &&
    offsetof(struct bpf_insn_raw, k) == offsetof(struct sock_filter, k),
    "bpf_insn_raw is not the kernel's instruction");

int
priv_open_link(const struct bpf_prog *mandatory, const struct priv_program *child,
    uint32_t max, struct bpf_prog *ret_prog, struct err *err)
{
	int ret = bpf_prog_check(child->insns, child->n_insns, err);

	if (ret != E_OK)
		return ret;
	ret_prog->n = mandatory->n;
	memcpy(ret_prog->insns, mandatory->insns, mandatory->n * sizeof(mandatory->insns[0]));
	if (bpf_link_append(ret_prog, child->insns, child->n_insns) != E_OK ||
	    bpf_link_cap(ret_prog, max) != E_OK)
		return err_set(err, E_FILTER, "filter: link: together with the agent's own "
		    "parts longer than %d instructions", BPF_PROG_MAX);
	return bpf_prog_check(ret_prog->insns, ret_prog->n, err);
}

/* The kernel's limit for a socket's filter; its file stays open for errors. */
static int optmem_fd = -1;

void
priv_open_init(void)
{
	if (optmem_fd == -1)
		optmem_fd = open("/proc/sys/net/core/optmem_max", O_RDONLY | O_CLOEXEC);
}

static int
too_large(const struct bpf_prog *filter, struct err *err)
{
	char limit[32] = "";
	ssize_t n = optmem_fd == -1 ? 0 : pread(optmem_fd, limit, sizeof(limit) - 1, 0);

	limit[n > 0 ? strcspn(limit, "\n") : 0] = '\0';
	err_set(err, E_FILTER, "filter: attach: %u instructions are more than "
	    "net.core.optmem_max allows%s%s: raise it (2097152 is enough for any filter), or "
	    "shorten the filter", filter->n, limit[0] != '\0' ? ", now " : "", limit);
	if (err != NULL)
		err->sys = ENOMEM;
	return E_FILTER;
}

int
priv_open_filter(int fd, const struct bpf_prog *filter, struct err *err)
{
	struct sock_filter insns[BPF_PROG_MAX];
	struct sock_fprog prog = { .len = (unsigned short)filter->n, .filter = insns };

	memcpy(insns, filter->insns, filter->n * sizeof(insns[0]));
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) == 0)
		return E_OK;
	if (errno == ENOMEM)
		return too_large(filter, err);
	if (errno == EINVAL)
		return err_set(err, E_FILTER, "filter: attach: the kernel does not accept it");
	return err_sys(err, "filter: attach");
}

static int
set_option(int fd, int level, int option, int value, const char *step, struct err *err)
{
	if (setsockopt(fd, level, option, &value, sizeof(value)) == -1)
		return err_sys(err, "%s", step);
	return E_OK;
}

/* Everything that must stand before the ring. */
static int
set_options(int fd, const struct priv_open_wish *wish, struct err *err)
{
	struct bpf_prog reject;
	int ret;

	/* Stamped once, on entry: every reader of a packet sees the same time. */
	ret = set_option(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1, "time stamps", err);
	if (ret == E_OK)
		ret = set_option(fd, SOL_PACKET, PACKET_VERSION, TPACKET_V3,
		    "ring version 3", err);
	if (ret == E_OK)
		ret = set_option(fd, SOL_PACKET, PACKET_RESERVE, VLAN_RESERVE,
		    "reserve room for the VLAN tag", err);
	if (ret != E_OK)
		return ret;
	bpf_link_return(&reject, 0);
	ret = priv_open_filter(fd, &reject, err);
	if (ret == E_OK && wish->is_inbound)
		ret = set_option(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1,
		    "ignore outgoing packets", err);
	return ret;
}

/*
 * Packets without a stamp of the adapter (those this host sends) keep the
 * host's.  What cannot be had is noted, and the capture goes on with the
 * host's time.
 */
static void
set_adapter_time(int fd, const struct priv_open_wish *wish, struct priv_open_done *done)
{
	int flags = SOF_TIMESTAMPING_RAW_HARDWARE | SOF_TIMESTAMPING_SOFTWARE;
	const char *why_not = wish->no_adapter_time;
	struct err err;
	int ret = E_OK;

	done->time_stamps = PRIV_TIME_HOST;
	if (!wish->wants_adapter_time)
		return;
	if (why_not == NULL && wish->interface->index == 0)
		why_not = "a socket for all interfaces has the host's";
	if (why_not == NULL)
		ret = priv_device_stamp(fd, wish->interface, &done->stamping, &err);
	if (why_not == NULL && ret == E_OK)
		ret = set_option(fd, SOL_PACKET, PACKET_TIMESTAMP, flags, "time stamps", &err);
	if (why_not == NULL && ret == E_OK) {
		done->time_stamps = PRIV_TIME_ADAPTER_UNSYNCED;
		return;
	}
	priv_device_restore(fd, &done->stamping);
	done->stamping.is_set = false;
	snprintf(done->note, sizeof(done->note), "interface '%s': adapter time stamps: %.180s: "
	    "the host's are used", wish->interface->name, why_not != NULL ? why_not : err.what);
}

/*
 * By membership: it ends with the socket, even after SIGKILL.  A device that
 * cannot is captured without; the reply says so.
 */
static bool
set_promiscuous(int fd, uint32_t ifindex)
{
	struct packet_mreq mreq = { .mr_ifindex = (int)ifindex, .mr_type = PACKET_MR_PROMISC };

	return setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mreq, sizeof(mreq)) == 0;
}

static int
make_ring(int fd, struct ring_geometry *geometry, struct err *err)
{
	for (;;) {
		struct tpacket_req3 req = {
			.tp_block_size = geometry->block_size,
			.tp_block_nr = geometry->block_nr,
			/* Version 3 packs packets into blocks and ignores frames. */
			.tp_frame_size = geometry->block_size,
			.tp_frame_nr = geometry->block_nr,
			.tp_retire_blk_tov = geometry->retire_ms,
		};

		if (setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req)) == 0)
			return E_OK;
		if (errno != ENOMEM || !ring_geometry_shrink(geometry))
			return err_sys(err, "ring of %u blocks of %u bytes",
			    geometry->block_nr, geometry->block_size);
	}
}

static int
map_errno(const struct priv_open_wish *wish, struct err *err)
{
	if (errno == ENETDOWN)
		return err_set(err, E_IFDOWN, "interface '%s': is down: set it up first",
		    wish->interface->name);
	if (errno == ENODEV || errno == ENXIO)
		return err_set(err, E_NOIFACE, "interface '%s': no such interface any more",
		    wish->interface->name);
	return err_sys(err, "bind");
}

static int
bind_socket(int fd, const struct priv_open_wish *wish, struct err *err)
{
	struct sockaddr_ll addr = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)wish->interface->index,
	};
	int pending = 0;
	socklen_t len = sizeof(pending);

	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == -1)
		return map_errno(wish, err);
	/* A bind to an interface that is down succeeds and leaves the error here. */
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &pending, &len) == -1)
		return err_sys(err, "read the pending error");
	if (pending != 0) {
		errno = pending;
		return map_errno(wish, err);
	}
	return E_OK;
}

/*
 * A group of its own: the kernel refuses to bind a member again.  A group
 * overrides its members' IGNORE_OUTGOING, so it gets the flag too.  By CPU:
 * with one member the cheapest choice there is.
 */
static int
join_group(int fd, const struct priv_open_wish *wish, struct err *err)
{
	unsigned flags = PACKET_FANOUT_FLAG_UNIQUEID;
	unsigned value;

	if (wish->is_inbound)
		flags |= PACKET_FANOUT_FLAG_IGNORE_OUTGOING;
	value = (PACKET_FANOUT_CPU | flags) << 16;
	return set_option(fd, SOL_PACKET, PACKET_FANOUT, (int)value, "private fanout group",
	    err);
}

/*
 * The socket rejects everything until the last step: joining the group
 * takes it off the interface and puts it back, and a packet that came in
 * between would be lost without being counted anywhere.
 */
static int
prepare(int fd, const struct priv_open_wish *wish, struct priv_open_done *done,
    struct err *err)
{
	int ret = set_options(fd, wish, err);

	if (ret != E_OK)
		return ret;
	set_adapter_time(fd, wish, done);
	done->is_promiscuous = wish->is_promiscuous && wish->interface->index != 0 &&
	    set_promiscuous(fd, wish->interface->index);
	ret = make_ring(fd, &done->ring, err);
	if (ret == E_OK)
		ret = bind_socket(fd, wish, err);
	if (ret == E_OK)
		ret = join_group(fd, wish, err);
	if (ret == E_OK)
		ret = priv_open_filter(fd, wish->filter, err);
	return ret;
}

int
priv_open_socket(const struct priv_open_wish *wish, struct priv_open_done *ret_done,
    struct err *err)
{
	int type = (wish->is_cooked ? SOCK_DGRAM : SOCK_RAW) | SOCK_CLOEXEC | SOCK_NONBLOCK;
	struct priv_open_done done = { .fd = -1 };
	struct err why = { .code = E_OK };
	int ret;

	if (wish->interface->index != 0 && (wish->interface->flags & IFF_UP) == 0)
		return err_set(err, E_IFDOWN, "interface '%s': is down: set it up first",
		    wish->interface->name);
	ret = ring_geometry_make(wish->ring_bytes, wish->snaplen,
	    wish->interface->max_packet, &done.ring);
	if (ret != E_OK)
		return err_set(err, ret, "interface '%s': ring: less than %d bytes",
		    wish->interface->name, PRIV_MIN_RING);
	done.fd = priv_netns_socket(wish->netns, AF_PACKET, type, 0);
	if (done.fd == -1 && (errno == ESTALE || errno == ESRCH))
		return err_set(err, E_NOIFACE, "interface '%s': its network namespace is gone",
		    wish->interface->name);
	if (done.fd == -1)
		return err_sys(err, "interface '%s': open packet socket",
		    wish->interface->name);
	ret = prepare(done.fd, wish, &done, &why);
	if (ret != E_OK) {
		priv_device_restore(done.fd, &done.stamping);
		close(done.fd);
		if (err != NULL)
			*err = why;
		/* These two name the interface already. */
		if (ret != E_IFDOWN && ret != E_NOIFACE)
			err_wrap(err, "interface '%s'", wish->interface->name);
		return ret;
	}
	*ret_done = done;
	return E_OK;
}
