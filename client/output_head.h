/*
 * output_head - does an output hold more than its head?
 *
 * For files that this program wrote, by what they are now.  Pure but for
 * reading the file.
 */
#ifndef CLIENT_OUTPUT_HEAD_H
#define CLIENT_OUTPUT_HEAD_H

#include <stdbool.h>

/*
 * Is there nothing in this file but the head of a pcap or pcapng file, whole or
 * cut short, or nothing at all?  False when it cannot be told.
 */
bool output_is_only_head(const char *path);

#endif /* CLIENT_OUTPUT_HEAD_H */
