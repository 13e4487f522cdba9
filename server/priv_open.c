#include "server/priv_open.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <net/if.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include "common/bpf_link.h"

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

int
priv_open_filter(int fd, const struct bpf_prog *filter, struct err *err)
{
	struct sock_filter insns[BPF_PROG_MAX];
	struct sock_fprog prog = { .len = (unsigned short)filter->n, .filter = insns };

	memcpy(insns, filter->insns, filter->n * sizeof(insns[0]));
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) == 0)
		return E_OK;
	if (errno == ENOMEM)
		return err_set(err, E_FILTER, "filter: attach: %u instructions are more than "
		    "net.core.optmem_max allows: raise it, or shorten the filter", filter->n);
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
	done->is_promiscuous = wish->is_promiscuous &&
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

	if ((wish->interface->flags & IFF_UP) == 0)
		return err_set(err, E_IFDOWN, "interface '%s': is down: set it up first",
		    wish->interface->name);
	ret = ring_geometry_make(wish->ring_bytes, wish->snaplen, &done.ring);
	if (ret != E_OK)
		return err_set(err, ret, "interface '%s': ring: less than %d bytes",
		    wish->interface->name, PRIV_MIN_RING);
	done.fd = socket(AF_PACKET, type, 0);
	if (done.fd == -1)
		return err_sys(err, "interface '%s': open packet socket",
		    wish->interface->name);
	ret = prepare(done.fd, wish, &done, &why);
	if (ret != E_OK) {
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
