/*
 * compile_role - capagent-net as a filter compiler: never on the network.
 *
 * capagent starts "capagent-net --compile LINKTYPE" for the administrator's
 * own filters, so that it parses no filter grammar itself.  This run has no
 * privilege, no network and a CPU limit; it reads the text on stdin and
 * prints the instructions as "tcpdump -ddd" does.  libpcap is loaded by name
 * here, so that it is never mapped into the process that faces the network.
 */
#ifndef SERVER_COMPILE_ROLE_H
#define SERVER_COMPILE_ROLE_H

#include <stdbool.h>

/* Was the program started for this role (argv[1] is "--compile")? */
bool compile_role_is_asked(int argc, char *const argv[]);

/* Do it; returns the exit status.  Errors go to stderr, one line. */
int compile_role_main(int argc, char *const argv[]);

#endif /* SERVER_COMPILE_ROLE_H */
