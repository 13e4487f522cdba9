/*
 * filter - the user's expression, by libpcap, as instructions.
 *
 * Names in the expression are resolved here, where the user sits.  The only
 * caller of pcap_compile(); may block on name look-ups, and takes seconds for
 * hundreds of terms.
 */
#ifndef CLIENT_FILTER_H
#define CLIENT_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bpf.h"
#include "common/err.h"

/* --- compiling: filter.c --- */

/* An expression compiled for one link type; immutable, reference-counted. */
struct filter_code;

/*
 * Compile text ("" for everything) for frames of a LINKTYPE_ value, as over a
 * file: with the VLAN tag in place.  The caller owns one reference.
 *
 * E_FILTER  "filter 'TEXT': compile for EN10MB (Ethernet): MESSAGE", the
 *           message being libpcap's, or why nobody could run it
 * E_NOMEM
 * E_TOOBIG  text longer than PROTO_MAX_FILTER_TEXT
 */
int filter_compile(const char *text, uint32_t link_type,
    struct filter_code **ret_code, struct err *err) MUST_CHECK;

struct filter_code *filter_code_ref(struct filter_code *code);
void filter_code_unref(struct filter_code *code);	/* NULL is allowed */

/*
 * Why no kernel runs it ("'protochain' needs a loop ..."), or NULL when it can
 * be sent to one.
 */
const char *filter_code_why_not(const struct filter_code *code);

/* The instructions, as long as the caller's reference is. */
const struct bpf_insn_raw *filter_code_insns(const struct filter_code *code,
    uint32_t *ret_n);

/*
 * libpcap's answer for a packet, whatever the length of the program.  Where it
 * asks for what is not in the packet's bytes (inbound, ifindex), which
 * libpcap's interpreter answers with no, view->aux tells.
 */
bool filter_code_match(const struct filter_code *code, const struct bpf_view *view);

/* The same from instruction start on, for a caller that knows how the ones before it end. */
bool filter_code_match_from(const struct filter_code *code, uint32_t start,
    const struct bpf_view *view);

/* --- the language and files: filter_text.c --- */

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
 * The first word that libpcap could look up as the name of a host or net,
 * which may ask the network; false when there is none.  Names of ports and
 * protocols, which stand in files, are not meant.  Errs on the side of finding
 * one: what is no word of the language, number or address, and stands where
 * not only a port or protocol can, is a name.  filter_names.c.
 */
bool filter_find_host_name(const char *text, const char **ret_name, size_t *ret_len);

/*
 * n words joined by blanks.  The caller frees *ret_text.  E_USAGE when longer
 * than PROTO_MAX_FILTER_TEXT, E_NOMEM.
 */
int filter_join(const char *const words[], size_t n, char **ret_text, struct err *err)
    MUST_CHECK;

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
