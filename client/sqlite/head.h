/*
 * head - what a filter does before it looks at anything that connections
 * differ in: done once instead of at each row.
 *
 * Programs begin by telling IP's versions and protocols apart, which all TCP
 * connections between IPv4 hosts, say, pass in the same way.  Pure functions.
 */
#ifndef CLIENT_SQLITE_HEAD_H
#define CLIENT_SQLITE_HEAD_H

#include <stdint.h>

#include "common/bpf.h"

enum head_end {
	HEAD_GOES_ON,		/* run the program from start on */
	HEAD_NO, HEAD_YES,	/* the answer for all connections */
};

struct head {
	enum head_end	 end;
	uint32_t	 start;
};

/*
 * Of a program that answerable_check() accepts, for all connections of an IP
 * version and a protocol.
 */
struct head head_find(const struct bpf_insn_raw *insns, uint8_t version, uint8_t protocol);

#endif /* CLIENT_SQLITE_HEAD_H */
