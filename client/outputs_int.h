/*
 * outputs_int - what the files of the outputs share; see outputs.h.
 *
 * outputs.c opens and closes them and knows which interface is where;
 * outputs_write.c moves packets and remarks into them and follows how far
 * they have come; outputs_count.c knows whose packets are really in them.
 */
#ifndef CLIENT_OUTPUTS_INT_H
#define CLIENT_OUTPUTS_INT_H

#include "client/notes.h"
#include "client/outputs.h"
#include "client/runs.h"

enum {
	OUTPUTS_NOT_HELD = -1,
	OUTPUTS_HINT_LEN = 400,
	OUTPUTS_REASONS = GAP_DISCONNECTED + 1,	/* of gaps, as an index */
};

#define OUTPUTS_NO_PACKET UINT32_MAX	/* whose blocks are of no interface */

/* Lost packets that are to be told of. */
struct outputs_pending_gap {
	bool		 is_set;
	struct msg_gap	 gap;
};

/* One file. */
struct outputs_file {
	struct outputs	*owner;
	struct outfile	*out;
	struct sink	*sink;
	uint32_t	 link_type;	/* of its first interface */
	uint32_t	 n_interfaces;
	struct notes	 notes, holes;
	struct outputs_pending_gap gaps[OUTPUTS_REASONS];
	bool		 has_remarks;	/* any of these */
	uint64_t	 n_marks;	/* asked for */
	struct runs	 runs;		/* of blocks that may be unwritten */
	uint64_t	 n_settled;	/* blocks before them */
};

/* Where an interface's packets go. */
struct outputs_place {
	int		 file;		/* or OUTPUTS_NOT_HELD */
	uint32_t	 iface;		/* its number there */
	uint64_t	 submitted, written;	/* packets */
	uint64_t	 dropped;	/* before its next packet */
	bool		 has_stats;
};

struct outputs {
	struct outputs_config cfg;
	struct outputs_file file[OUTPUTS_MAX];
	int		 n;
	struct outputs_place *places;
	uint32_t	 n_places;
	bool		 has_stats;	/* of any interface */
	bool		 said_merged, said_mixed, said_raw, said_full;
	char		 hint[OUTPUTS_HINT_LEN];
};

/*
 * Around everything that writes blocks: get ready, then count those since
 * number first as packets of number, or OUTPUTS_NO_PACKET.  E_NOMEM.
 */
int outputs_count_start(struct outputs_file *f, uint64_t *ret_first, struct err *err)
    MUST_CHECK;
void outputs_count_end(struct outputs_file *f, uint64_t first, uint32_t number);

/* Find out whose blocks have been written meanwhile. */
void outputs_settle(struct outputs_file *f);

/* Nothing of f is in any file. */
void outputs_unsettle(struct outputs_file *f);

#endif /* CLIENT_OUTPUTS_INT_H */
