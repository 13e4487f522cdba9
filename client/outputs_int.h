/*
 * outputs_int - what the two files of the outputs share; see outputs.h.
 *
 * outputs.c opens and closes them and knows which interface is where;
 * outputs_write.c moves packets and remarks into them and follows how far
 * they have come.
 */
#ifndef CLIENT_OUTPUTS_INT_H
#define CLIENT_OUTPUTS_INT_H

#include "client/notes.h"
#include "client/outputs.h"

enum { OUTPUTS_NOT_HELD = -1, OUTPUTS_HINT_LEN = 400 };

/* One file. */
struct outputs_file {
	struct outputs	*owner;
	struct outfile	*out;
	struct sink	*sink;
	uint32_t	 link_type;	/* of its first interface */
	uint32_t	 n_interfaces;
	struct notes	 notes;
	struct msg_gap	 gap;		/* to be said, if has_gap */
	bool		 has_gap;
	uint64_t	 mark;		/* bytes submitted */
	uint64_t	*others;	/* numbers of the blocks that are no packet */
	uint32_t	 n_others;
};

/* Where an interface's packets go. */
struct outputs_place {
	int		 file;		/* or OUTPUTS_NOT_HELD */
	uint32_t	 iface;		/* its number there */
};

struct outputs {
	struct outputs_config cfg;
	struct outputs_file file[OUTPUTS_MAX];
	int		 n;
	struct outputs_place *places;
	uint32_t	 n_places;
	bool		 said_merged, said_mixed, said_raw, said_full;
	char		 hint[OUTPUTS_HINT_LEN];
};

/* The blocks since number first are no packets.  E_NOMEM. */
int outputs_note_others(struct outputs_file *f, uint64_t first, struct err *err)
    MUST_CHECK;

#endif /* CLIENT_OUTPUTS_INT_H */
