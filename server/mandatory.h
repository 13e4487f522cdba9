/*
 * mandatory - the administrator's filter as instructions.
 *
 * Runs in capagent at its start, and for a reload in the process that reads
 * its files again (reread.h).  capagent parses no filter grammar: it
 * starts capagent-net once per link type in its compile role, and checks
 * what that prints as it checks everything from there.
 */
#ifndef SERVER_MANDATORY_H
#define SERVER_MANDATORY_H

#include "common/bpf.h"
#include "common/err.h"
#include "server/drop.h"
#include "server/priv_serve.h"

/*
 * Compile text ("" for none) for every link type.  A link type it has no
 * meaning on (Ethernet addresses on a tunnel) is marked, and interfaces of
 * that type will be refused.
 *
 * E_CONFIG  it compiles for no link type at all; with libpcap's message
 */
int mandatory_compile(const char *text, int program_fd, const struct drop_user *user,
    struct priv_mandatory *ret_mandatory, struct err *err) MUST_CHECK;

/* The filter of a policy; a refusal begins with file and line. */
int mandatory_compile_policy(const struct policy *policy, int program_fd,
    const struct drop_user *user, struct priv_mandatory *ret_mandatory, struct err *err)
    MUST_CHECK;

/* Say on which link types it has no meaning. */
void mandatory_log(const struct priv_mandatory *mandatory);

/*
 * Read what "tcpdump -ddd" prints: a count, then code, jt, jf and k of each
 * instruction, one a line.  The program is checked.  E_FILTER.
 */
int mandatory_parse(const char *text, struct bpf_prog *ret_prog, struct err *err)
    MUST_CHECK;

/*
 * Make part's program, compiled from text for the bytes of a file, judge what
 * the kernel sees on its link type: a rule that does not speak of VLAN tags
 * must hold with the tag and without it.  E_FILTER, E_TOOBIG.
 */
int mandatory_fit(struct priv_mandatory_part *part, const char *text, struct err *err)
    MUST_CHECK;

#endif /* SERVER_MANDATORY_H */
