/*
 * plan - what a capture would do, as -d or --plan prints it.
 *
 * Text from the agent is escaped.
 */
#ifndef CLIENT_PLAN_H
#define CLIENT_PLAN_H

#include <stdio.h>

#include "client/options.h"
#include "client/programs.h"
#include "common/err.h"
#include "proto/codec.h"

/*
 * With -d, -dd and -ddd the kernel's program of each interface exactly as
 * tcpdump prints it, behind a line that names it when there are several; with
 * --plan everything that was asked for and decided, with where each part of
 * the program came from.  options and programs are those of the Start that
 * plan answers.  E_OUTPUT when out fails (flushed before return).
 */
int plan_print(FILE *out, const struct msg_plan *plan, const struct options *options,
    const struct programs *programs, struct err *err) MUST_CHECK;

#endif /* CLIENT_PLAN_H */
