/*
 * about - what "capagent --version" and "--help" print.
 */
#ifndef SERVER_ABOUT_H
#define SERVER_ABOUT_H

#include <stdbool.h>
#include <stdio.h>

/* One line, or with is_verbose features, libraries, paths, build. */
void about_print_version(FILE *out, bool is_verbose);

void about_print_help(FILE *out);

#endif /* SERVER_ABOUT_H */
