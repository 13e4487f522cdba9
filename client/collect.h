/*
 * collect - one capture from one sensor into one output.
 *
 * Ties the sensor, the sink and the outfile together: order, back-pressure,
 * acknowledgements, stop conditions, signals, the ledger at the end.
 */
#ifndef CLIENT_COLLECT_H
#define CLIENT_COLLECT_H

#include "client/exit.h"
#include "client/options.h"
#include "client/programs.h"
#include "common/tls.h"

/*
 * Capture as options say until a stop condition, a signal or an error;
 * reports on stderr.  All arguments are borrowed; programs holds the newest
 * filters afterwards.
 */
enum exit_status collect_run(const struct options *options,
    struct programs *programs, struct tls *tls);

#endif /* CLIENT_COLLECT_H */
