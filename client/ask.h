/*
 * ask - capclient -D: fetch a sensor's interface list and print it.
 */
#ifndef CLIENT_ASK_H
#define CLIENT_ASK_H

#include "client/exit.h"
#include "client/options.h"
#include "common/tls.h"

/* The list goes to stdout, errors to stderr.  Arguments are borrowed. */
enum exit_status ask_run(const struct options *options, struct tls *tls);

#endif /* CLIENT_ASK_H */
