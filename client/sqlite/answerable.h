/*
 * answerable - can a filter be answered from a connection alone?
 *
 * The rule.  A connection defines some bits of its packets (tuple_shape);
 * the others, the packet's length and what only a capture knows (direction,
 * interface) are undefined.  For each IP version and each protocol number, all
 * paths of the program are followed that some connection can take.  A place is
 * a choice by something undefined when
 *
 *   a test's outcome needs an undefined bit,
 *   a load reads bytes that not every packet of the protocol has, so that
 *   short packets end the program with 0, or
 *   a division's divisor needs an undefined bit, 0 ending it likewise.
 *
 * The program is answerable when from each such place only one answer, match
 * or no match, can still be reached: then two packets of one connection never
 * get different answers.  (An expression with "port 80 and" a check whose two
 * outcomes only the rest of the program makes equal may be refused though no
 * packet shows a difference; the other way round cannot happen.)
 *
 * Knows programs, not expressions; a loop (protochain) is refused.
 */
#ifndef CLIENT_SQLITE_ANSWERABLE_H
#define CLIENT_SQLITE_ANSWERABLE_H

#include <stddef.h>

#include "client/sqlite/tuple.h"
#include "common/bpf.h"
#include "common/err.h"

/*
 * insns[0..n) as libpcap compiles them for LINKTYPE_RAW.
 *
 * E_OK
 * E_FILTER  what it depends on: "it depends on the TCP flags (byte 33 of an
 *           IPv4 packet)"
 * E_NOMEM
 */
int answerable_check(const struct bpf_insn_raw *insns, size_t n, enum tuple_icmp icmp,
    struct err *err) MUST_CHECK;

#endif /* CLIENT_SQLITE_ANSWERABLE_H */
