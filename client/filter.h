/*
 * filter - the user's expression, by libpcap, as instructions.
 *
 * Names in the expression are resolved here, where the user sits.  The only
 * caller of pcap_compile(); may block on name look-ups.
 */
#ifndef CLIENT_FILTER_H
#define CLIENT_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bpf.h"
#include "common/err.h"

/*
 * Compile text ("" for everything) for frames of a LINKTYPE_ value, as over a
 * file: with the VLAN tag in place.
 *
 * E_FILTER  "filter 'TEXT': compile for EN10MB (Ethernet): MESSAGE", the
 *           message being libpcap's, or why the kernel could not run it
 * E_NOMEM
 * E_TOOBIG  text longer than PROTO_MAX_FILTER_TEXT, or more than
 *           BPF_PROG_MAX instructions
 */
int filter_compile(const char *text, uint32_t link_type,
    struct bpf_prog *ret_prog, struct err *err) MUST_CHECK;

/*
 * Does the expression speak of VLAN tags, so that it wants the answer that a
 * file gives instead of live tcpdump's?  True for the word vlan, for "ether
 * proto" with a tag's type, and for ether[...] (or link[...]) that reaches
 * offset 12 or more; also when the offset is no plain number.
 */
bool filter_mentions_tags(const char *text);

/* Has word a meaning of its own in libpcap's language ("host", "vlan", "tcp-syn")? */
bool filter_is_keyword(const char *word);

/*
 * Read an expression from a file as tcpdump's -F does: lines joined by
 * blanks, from '#' to the end of a line a comment.  The caller frees
 * *ret_text.
 *
 * E_USAGE   cannot be read, is longer than PROTO_MAX_FILTER_TEXT, holds a NUL
 * E_NOMEM
 */
int filter_read_file(const char *path, char **ret_text, struct err *err)
    MUST_CHECK;

#endif /* CLIENT_FILTER_H */
