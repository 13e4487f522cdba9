/*
 * prologue - the program of one capture socket, as capagent-net asks for it.
 *
 * Own traffic, then what is seen twice on a loopback interface, the direction,
 * the client's program in the form this socket needs, sampling, and last how
 * much to keep: the headers, or the snaplen.  Sampling comes behind the
 * client's program, so that 1/N is a share of what matches.  capagent puts its
 * own parts around this one.  Pure: no sockets.
 */
#ifndef SERVER_PROLOGUE_H
#define SERVER_PROLOGUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bpf.h"
#include "common/err.h"
#include "server/own_traffic.h"

/*
 * What the host sends, or everything else; PROLOGUE_IN includes what passes by
 * in promiscuous mode.  On a loopback interface all packets count as coming
 * in, as for tcpdump: PROLOGUE_OUT leaves nothing.
 */
enum prologue_direction { PROLOGUE_INOUT, PROLOGUE_IN, PROLOGUE_OUT };

struct prologue_config {
	uint32_t	 link_type;	/* LINKTYPE_: 1, 101 or 276 (cooked socket) */
	bool		 is_loopback;	/* drop the outgoing one of each pair */
	bool		 exact_vlan;	/* answer as if a stripped tag were in place */
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
 * Build the program; *ret_prog is untouched on failure.  With own NULL the
 * mark is not looked at either.  With sampling or headers_only the client's
 * program only says yes or no, and how much it would keep is not looked at.
 *
 * E_FILTER  the client's program is not valid, or cannot be translated for
 *           this socket; or flows or headers are asked for and those behind
 *           this link type are not known
 * E_TOOBIG  the parts together do not fit
 */
int prologue_build(const struct prologue_config *cfg, struct bpf_prog *ret_prog,
    struct err *err) MUST_CHECK;

#endif /* SERVER_PROLOGUE_H */
