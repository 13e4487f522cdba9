/*
 * programs - the user's filter as one program for each link type it fits.
 *
 * The client does not know a remote interface's link type before it asks for
 * the capture, so all forms travel and the agent takes the one it needs.
 */
#ifndef CLIENT_PROGRAMS_H
#define CLIENT_PROGRAMS_H

#include <stdbool.h>

#include "common/err.h"
#include "proto/codec.h"

enum { PROGRAMS_MAX = 3 };	/* Ethernet, raw IP, cooked */

struct programs {
	struct msg_program list[PROGRAMS_MAX];
	uint32_t	 n;
	bool		 exact_vlan;	/* the expression speaks of tags */
	struct err	 missing;	/* why one could not be made; code E_OK if none */
};

/*
 * Compile text ("" makes no program: everything).  E_FILTER with libpcap's
 * message when it fits no link type at all.  Release with programs_fini().
 */
int programs_init(struct programs *p, const char *text, struct err *err)
    MUST_CHECK;
void programs_fini(struct programs *p);

#endif /* CLIENT_PROGRAMS_H */
