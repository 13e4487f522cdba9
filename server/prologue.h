/*
 * prologue - the program of one capture socket, as capagent-net asks for it.
 *
 * Own traffic, then what is seen twice on a loopback interface, the direction,
 * the client's program in the form this socket needs, sampling, and last how
 * much to keep: the headers, or the snaplen.  Sampling comes behind the
 * client's program, so that 1/N is a share of what matches.  capagent puts its
 * own parts around this one.
 *
 * Where the kernel cannot run the client's program, or not for all packets,
 * somebody behind it must: the place (enum filter_place).
 *
 *   KERNEL   all is judged in the kernel
 *   AGENT    Ethernet, exact about tags: packets without a stripped tag are
 *            judged in the kernel; those with one pass the client's part there,
 *            whole, and the agent judges them with `check`
 *   CLIENT   every packet passes the client's part, whole; the client judges
 *            and then cuts to the snaplen, or to the headers
 *
 * Own traffic, loopback, direction and samples hold in the kernel in each.
 * Pure: no sockets.
 */
#ifndef SERVER_PROLOGUE_H
#define SERVER_PROLOGUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bpf.h"
#include "common/err.h"
#include "proto/codec.h"
#include "server/own_traffic.h"

/*
 * What the host sends, or everything else; PROLOGUE_IN includes what passes by
 * in promiscuous mode.  On a loopback interface all packets count as coming
 * in, as for tcpdump: PROLOGUE_OUT leaves nothing.
 */
enum prologue_direction { PROLOGUE_INOUT, PROLOGUE_IN, PROLOGUE_OUT };

struct prologue_config {
	/*
	 * LINKTYPE_ of the packets in the file: any of link_type_all().  Where
	 * headers are not known (other than 1, 101 and cooked), own traffic is
	 * known by its mark only, and programs run as they came.
	 */
	uint32_t	 link_type;
	bool		 is_cooked;	/* SOCK_DGRAM: link_type has a made header */
	bool		 is_loopback;	/* drop the outgoing one of each pair */
	bool		 is_any;	/* on all interfaces: the same for its loopback */
	bool		 exact_vlan;	/* the file's answer: tags, arithmetic */
	bool		 one_copy;	/* no more than that of the client's program: memory is little */
	enum filter_place from, to;	/* first place to try, last one allowed */
	uint32_t	 snaplen;	/* 1.. */
	uint32_t	 mark;		/* SO_MARK of our sockets; 0: none */
	const struct own_traffic *own;	/* NULL: own traffic is wanted */
	const struct bpf_insn_raw *filter;	/* compiled for link_type */
	size_t		 n_filter;	/* 0: everything */
	enum prologue_direction direction;
	bool		 headers_only;	/* common/bpf_headers.h; at most snaplen */
	uint32_t	 sample;	/* one in N packets; 0 or 1: all */
	uint32_t	 sample_flows;	/* one in N flows; 0 or 1: all */
};

/*
 * The client's part as the agent runs it (bpf_prog_judge() with the ring's
 * metadata): in AGENT on the tagged packets, and in every place on what was
 * captured before a change of filter.
 */
struct prologue_check {
	struct bpf_prog	 prog;		/* n 0: everything passes */
	bool		 on_file_bytes;	/* tag in place, cooked header in front; else as the kernel sees it */
	bool		 is_offline;	/* for struct bpf_view */
	/*
	 * How much to keep of a packet with a stripped tag that passed, run on it
	 * as the kernel sees it, in the kernel's arithmetic: so many bytes and the
	 * tag, never more than the snaplen.  An answer that is cut: all there is.
	 * Harmless where the kernel has cut already.  n 0: the snaplen only.
	 */
	struct bpf_prog	 cut;
};

enum { PROLOGUE_PARTS_MAX = 12 };

struct prologue {
	struct bpf_prog	 prog;
	enum filter_place place;
	/*
	 * To open the socket with; above the config's where packets must travel
	 * whole to whoever judges them.
	 */
	uint32_t	 open_snaplen;
	/* For struct ring_link: the config's, but in CLIENT, which cuts itself. */
	uint32_t	 ring_snaplen;
	struct prologue_check check;	/* CLIENT: empty */
	uint32_t	 n_parts;
	struct prologue_part {
		uint32_t first;		/* instruction; the part goes up to the next one's */
		enum plan_part kind;
	}		 parts[PROLOGUE_PARTS_MAX];
};

/*
 * Build the program in the first place from cfg->from on in which it can be;
 * *ret is untouched on failure.  With own NULL the mark is not looked at
 * either.  With sampling, headers_only or in AGENT the client's program only
 * says yes or no, and how much it would keep is not looked at.
 *
 * E_FILTER  the client's program is not valid, or even cfg->to cannot do with
 *           it on this socket, or the parts together do not fit; or flows or
 *           headers are asked for and those behind this link type are not known
 */
int prologue_build(const struct prologue_config *cfg, struct prologue *ret,
    struct err *err) MUST_CHECK;

#endif /* SERVER_PROLOGUE_H */
