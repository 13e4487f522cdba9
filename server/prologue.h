/*
 * prologue - the program of one capture socket, as capagent-net asks for it.
 *
 * Own traffic, then what is seen twice on a loopback interface, then the
 * client's program in the form this socket needs, then the snaplen.
 * capagent puts its own parts around this one.  Pure: no sockets.
 */
#ifndef SERVER_PROLOGUE_H
#define SERVER_PROLOGUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bpf.h"
#include "common/err.h"
#include "server/own_traffic.h"

struct prologue_config {
	uint32_t	 link_type;	/* LINKTYPE_: 1, 101 or 276 (cooked socket) */
	bool		 is_loopback;	/* drop the outgoing one of each pair */
	bool		 exact_vlan;	/* answer as if a stripped tag were in place */
	uint32_t	 snaplen;	/* 1.. */
	uint32_t	 mark;		/* SO_MARK of our sockets; 0: none */
	const struct own_traffic *own;	/* NULL: own traffic is wanted */
	const struct bpf_insn_raw *filter;	/* compiled for link_type */
	size_t		 n_filter;	/* 0: everything */
};

/*
 * Build the program; *ret_prog is untouched on failure.  With own NULL the
 * mark is not looked at either.
 *
 * E_FILTER  the client's program is not valid, or cannot be translated for
 *           this socket
 * E_TOOBIG  the parts together do not fit
 */
int prologue_build(const struct prologue_config *cfg, struct bpf_prog *ret_prog,
    struct err *err) MUST_CHECK;

#endif /* SERVER_PROLOGUE_H */
