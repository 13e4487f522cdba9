/*
 * capfile_judge - one expression over the packets of files, of any link types.
 *
 * The answer is libpcap's over the bytes that the file has, as capclient's
 * with --exact-filter.  Of what is not in the bytes only the direction can be
 * known; an expression that asks for more is refused before the first packet.
 */
#ifndef CLIENT_CAPFILE_JUDGE_H
#define CLIENT_CAPFILE_JUDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "client/capfile_read.h"
#include "client/filter.h"

struct capfile_judge;

/* text is borrowed; err is never NULL here.  NULL when out of memory; release with capfile_judge_free(). */
struct capfile_judge *capfile_judge_new(const char *text);
void capfile_judge_free(struct capfile_judge *judge);	/* NULL is allowed */

/*
 * The expression for a link type, compiled once; valid as long as judge is.
 * Without tells_types the packets do not say their direction.
 *
 * E_FILTER, E_TOOBIG, E_NOMEM  as filter_compile(); it asks for what a file
 *                              does not have; more than 256 link types
 */
int capfile_judge_prepare(struct capfile_judge *judge, uint32_t link_type,
    bool tells_types, const struct filter_code **ret_code, struct err *err) MUST_CHECK;

/*
 * Does the packet match?  E_FILTER also for a packet that does not tell the
 * direction that its answer depends on.
 */
int capfile_judge_packet(struct capfile_judge *judge, const struct capfile_record *packet,
    bool tells_types, bool *ret_match, struct err *err) MUST_CHECK;

/* Was it compiled for any link type yet? */
bool capfile_judge_is_prepared(const struct capfile_judge *judge);

#endif /* CLIENT_CAPFILE_JUDGE_H */
