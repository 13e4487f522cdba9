/*
 * ask - what needs no capture: -D, -L, -J, -d and --plan.
 */
#ifndef CLIENT_ASK_H
#define CLIENT_ASK_H

#include "client/exit.h"
#include "client/options.h"
#include "client/programs.h"
#include "common/tls.h"

/*
 * The answer goes to stdout, errors to stderr.  Arguments are borrowed; a plan
 * may need more programs than there are.
 */
enum exit_status ask_run(const struct options *options, struct programs *programs,
    struct tls *tls);

#endif /* CLIENT_ASK_H */
