/*
 * boundary_lab - plays capagent at the other end of the boundary.
 *
 * Runs on the loop of the code under test.  Each request must be one that
 * capagent would take (priv_msg_check()); it is answered at once, or kept
 * until the test lets it go.
 */
#ifndef TESTS_UNIT_BOUNDARY_LAB_H
#define TESTS_UNIT_BOUNDARY_LAB_H

#include <stdbool.h>
#include <stdint.h>

#include "common/loop.h"
#include "server/priv_msg.h"

enum { BOUNDARY_HELD = 8, BOUNDARY_HANDLES = 64 };

struct boundary_lab {
	int		 fd, child_fd;		/* child_fd: for priv_call_new() */
	struct loop_io	*io;
	struct priv_interface interfaces[8];	/* what LIST answers */
	uint32_t	 n_interfaces;
	/* In network namespace "blue", and in that of every process. */
	struct priv_interface foreign[2];
	uint32_t	 n_foreign;
	uint32_t	 n_netns;	/* handles given out; the first is 1 */
	unsigned	 n_netns_open;
	bool		 is_blue_own;	/* "blue" is our own namespace */

	unsigned	 n_seen[PRIV_END + 1];	/* requests by type */
	union priv_msg	 last;			/* the newest request */
	struct priv_open last_open;		/* the newest OPEN */
	bool		 is_open[BOUNDARY_HANDLES];	/* by handle */
	uint32_t	 n_handles;		/* given out; the first is 1 */

	/* Refuse requests of this type, but the first refuse_after of them. */
	uint32_t	 refuse_type;
	unsigned	 refuse_after;
	unsigned	 n_to_refuse;	/* then no more; 0: all of them */
	int		 refuse_code, refuse_sys;

	uint32_t	 hold_type;		/* keep requests of this type */
	union priv_msg	 held[BOUNDARY_HELD];
	unsigned	 n_held;
};

/* b is zeroed and its interfaces set before. */
void boundary_lab_open(struct boundary_lab *b, struct loop *loop);
void boundary_lab_close(struct boundary_lab *b);

/* Answer the oldest request that was kept. */
void boundary_lab_answer(struct boundary_lab *b);

unsigned boundary_lab_open_handles(const struct boundary_lab *b);

#endif /* TESTS_UNIT_BOUNDARY_LAB_H */
