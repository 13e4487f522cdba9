/*
 * expression - a filter compiled once and asked often: of packets, or of
 * connections that are no packets.
 *
 * The plain C call behind the SQL functions.  One expression is used by one
 * thread at a time; making them is safe from any thread, since libpcap's
 * compiler runs one at a time.  Names of ports and protocols are looked up in
 * local files while it is compiled; those of hosts and nets are refused.
 */
#ifndef CLIENT_SQLITE_EXPRESSION_H
#define CLIENT_SQLITE_EXPRESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/sqlite/tuple.h"
#include "common/err.h"

/* What will be asked. */
enum expression_form {
	EXPRESSION_PACKET,		/* packets of any link type */
	EXPRESSION_TUPLE,		/* tuples; ICMP's ports are type and code */
	EXPRESSION_TUPLE_NO_ICMP,	/* tuples; ICMP's type and code are unknown */
};

enum { EXPRESSION_TEXT_MAX = 4096 };	/* bytes */

struct expression;

/*
 * Compile text for packets of link_type (a LINKTYPE_ value); for tuples it is
 * LINK_RAW_IP.  The caller owns one reference.
 *
 * E_FILTER  "filter 'TEXT': compile for RAW (Raw IP): MESSAGE", the message
 *           libpcap's, or "filter 'TEXT': cannot be answered from a
 *           connection: CAUSE", or "filter 'TEXT': name 'NAME': ..."
 * E_NOMEM
 * E_TOOBIG  text longer than EXPRESSION_TEXT_MAX
 */
int expression_new(const char *text, enum expression_form form, uint32_t link_type,
    struct expression **ret, struct err *err) MUST_CHECK;

struct expression *expression_ref(struct expression *expression);
void expression_unref(struct expression *expression);	/* NULL is allowed */

uint32_t expression_link_type(const struct expression *expression);

/* libpcap's answer for data[0..caplen) of a packet of len bytes. */
bool expression_match_packet(const struct expression *expression, const uint8_t *data,
    uint32_t caplen, uint32_t len);

/* The answer that every packet of the connection gets; for the tuple forms. */
bool expression_match_tuple(const struct expression *expression,
    const struct tuple *tuple);

/* The program as "tcpdump -d" prints it, its lines joined; the caller frees it.  E_NOMEM. */
int expression_explain(const struct expression *expression, char **ret_text) MUST_CHECK;

/*
 * The last expressions that were asked for, for a column of them.  Belongs to
 * one thread at a time.
 */
struct expression_cache;

enum { EXPRESSION_CACHE_SIZE = 16 };	/* found by comparing: keep it small */

int expression_cache_new(struct expression_cache **ret) MUST_CHECK;	/* E_NOMEM */
void expression_cache_free(struct expression_cache *cache);	/* NULL is allowed */

/*
 * expression_new(), or what it gave before.  The expression is the cache's:
 * valid until the next call unless referenced.  When all places are taken the
 * one not used for longest goes.
 */
int expression_cache_get(struct expression_cache *cache, const char *text,
    enum expression_form form, uint32_t link_type, struct expression **ret,
    struct err *err) MUST_CHECK;

#endif /* CLIENT_SQLITE_EXPRESSION_H */
