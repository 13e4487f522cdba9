/*
 * about - what "capagent --version", "--help" and "-n" print.
 */
#ifndef SERVER_ABOUT_H
#define SERVER_ABOUT_H

#include <stdbool.h>
#include <stdio.h>

#include "server/policy.h"

/* One line, or with is_verbose features, libraries, paths, build. */
void about_print_version(FILE *out, bool is_verbose);

void about_print_help(FILE *out);

/* What would hold after a start, as user; the keys are those of the file. */
void about_print_policy(FILE *out, const struct policy *policy, const char *user);

#endif /* SERVER_ABOUT_H */
