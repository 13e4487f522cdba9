/*
 * priv_mandatory - the administrator's filter, ready for each link type.
 *
 * Filled by mandatory.c, read by priv_serve for each capture socket.  A socket
 * keeps the one it was opened with, whatever a reload brings.
 */
#ifndef SERVER_PRIV_MANDATORY_H
#define SERVER_PRIV_MANDATORY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bpf.h"
#include "common/err.h"
#include "server/priv_msg.h"

enum { PRIV_MANDATORY_PARTS = 27 };	/* link_type_all() */

struct priv_mandatory {
	unsigned	 refs;
	struct priv_mandatory_part {
		uint32_t	 link_type;
		bool		 is_usable;	/* false: such interfaces are refused */
		char		 why_not[PRIV_TEXT_LEN];
		struct bpf_prog	 prog;		/* n 0: everything passes */
	} parts[PRIV_MANDATORY_PARTS];
};

/*
 * No filter: usable and empty for every link type.  The caller's is the first
 * reference.
 */
void priv_mandatory_init(struct priv_mandatory *mandatory);

/* On the heap; NULL when out of memory. */
struct priv_mandatory *priv_mandatory_new(void);

/* One more reference, one less; the last one frees.  NULL is allowed. */
struct priv_mandatory *priv_mandatory_ref(struct priv_mandatory *mandatory);
void priv_mandatory_unref(struct priv_mandatory *mandatory);

/* A copy of what is judged and why not; references stay. */
void priv_mandatory_copy(struct priv_mandatory *dst, const struct priv_mandatory *src);

/* Do both judge every packet alike? */
bool priv_mandatory_equal(const struct priv_mandatory *a, const struct priv_mandatory *b);

/* NULL for a number that is not in link_type_all(). */
const struct priv_mandatory_part *priv_mandatory_get(
    const struct priv_mandatory *mandatory, uint32_t link_type);

/*
 * The part for a socket on an interface: link_type is one of its choices,
 * default_type the first of them.  A raw socket delivers the same bytes
 * whatever its packets are called, so that the interface's own type decides
 * there: a name that a client chooses cannot change what is judged.
 */
const struct priv_mandatory_part *priv_mandatory_for(
    const struct priv_mandatory *mandatory, uint32_t link_type, uint32_t default_type);

#endif /* SERVER_PRIV_MANDATORY_H */
