/*
 * ledger - where every packet of a capture went; it must add up.
 *
 * Pure numbers, one row for each interface of the output.  Received by the
 * filter = dropped by the kernel + dropped in the agent + dropped at a filter
 * change + sent in batches; batches = written + lost in gaps + filtered by
 * the client + not written by the client + lost with the connection.
 *
 * A row may live through several captures on the agent, its epochs: in each
 * the agent counts from 0.  Where nobody was capturing there is a hole: a time
 * of which nobody knows how many packets it had.  A ledger with holes adds up
 * and is incomplete all the same.
 *
 * ledger.c counts, ledger_sums.c adds up and checks, ledger_saved.c is for who
 * continues after the client ended; ledger_text.h has the words.
 */
#ifndef CLIENT_LEDGER_H
#define CLIENT_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "client/ui_text.h"
#include "common/clock.h"
#include "common/err.h"
#include "proto/codec.h"

struct sink_stats;

enum {
	LEDGER_N_GAPS = GAP_DISCONNECTED + 1,	/* by enum gap_reason; 0 is none */

	/* Lines that somebody still reads; further ones share the last. */
	LEDGER_MAX_HOLES = 1000,
};

/* What an agent says of an interface. */
struct ledger_told {
	uint64_t	 received;	/* by the filter, drops included */
	uint64_t	 dropped_kernel, dropped_agent, dropped_filter_change;
	uint64_t	 batched;
	uint64_t	 dropped_interface, freezes;	/* not part of received */
};

/*
 * A row's counters, all of them 64 bits wide: what is saved.  New ones come
 * at the end.
 */
struct ledger_counts {
	struct ledger_told past;	/* epochs that are over */
	struct ledger_told now;		/* newest word of this one */

	/* What was batched, by what became of it. */
	uint64_t	 written, filtered;
	uint64_t	 beyond;	/* came after -c was reached */
	uint64_t	 not_held;	/* of link types the file cannot hold */
	uint64_t	 lost_output;	/* came when the output had failed */
	uint64_t	 lost_queue;	/* given to the output, not in it */
	uint64_t	 lost_connection;	/* was sent, never came */
	uint64_t	 gaps[LEDGER_N_GAPS];

	uint64_t	 came_before;	/* the sum of these when the epoch began */
};

struct ledger_row {
	char		*name;
	struct ledger_counts n;
};

/* What belongs to no row; saved as well. */
struct ledger_rest {
	uint64_t	 gaps[LEDGER_N_GAPS];	/* packets of no known interface */
	uint64_t	 before;	/* the sum of these when the epoch began */
	uint64_t	 told;		/* of these: in no row's batched either */
	uint64_t	 cut;		/* written, shortened for the pipe */
	uint64_t	 is_broken;	/* a sum left its 64 bits */
};

enum ledger_hole_reason {
	LEDGER_HOLE_AGENT_RESTARTED = 1,
	LEDGER_HOLE_LINGER_OVER = 2,	/* the agent waited no longer */
	LEDGER_HOLE_NOT_RUNNING = 3,	/* the client, and the capture was gone */
	LEDGER_HOLE_INTERRUPTED = 4,	/* what the agent held was not fetched */
	LEDGER_HOLE_CONNECTION_LOST = 5,	/* and given up */
	LEDGER_HOLE_SEVERAL = 6,	/* holes of different reasons in one */
};

struct ledger_hole {
	struct wall_ns	 from, to;	/* never from behind to */
	enum ledger_hole_reason reason;
	uint64_t	 n;		/* holes in it: 1 but for the last of too many */
};

struct ledger {
	uint32_t	 n_interfaces;	/* rows */
	struct ledger_row *rows;
	struct ledger_rest rest;
	struct ledger_hole *holes;
	uint32_t	 n_holes;
	bool		 is_final;	/* .now is the epoch's last word */
	bool		 is_now_broken;	/* .now holds what cannot be */
};

/* --- counting --- */

/* E_NOMEM.  Release with ledger_fini(), also one that is all zero. */
int ledger_init(struct ledger *l) MUST_CHECK;
void ledger_fini(struct ledger *l);

/* One row more, all zero; name is copied.  Its number, or E_NOMEM. */
int ledger_add_interface(struct ledger *l, const char *name) MUST_CHECK;

/* A packet of this row came; what became of it. */
static inline void
ledger_wrote(struct ledger *l, uint32_t row)
{
	l->rows[row].n.written++;
}

static inline void
ledger_filtered(struct ledger *l, uint32_t row)
{
	l->rows[row].n.filtered++;
}

/* After the end: -c was reached, or the pipe's reader left. */
static inline void
ledger_beyond(struct ledger *l, uint32_t row)
{
	l->rows[row].n.beyond++;
}

static inline void
ledger_not_held(struct ledger *l, uint32_t row)
{
	l->rows[row].n.not_held++;
}

static inline void
ledger_lost_output(struct ledger *l, uint32_t row)
{
	l->rows[row].n.lost_output++;
}

/*
 * A gap came.  map has the row of each of the agent's interfaces, NULL when
 * the numbers are the same.  Packets of no known interface count in the sum
 * only, unless all of the map is one row.
 */
void ledger_gap(struct ledger *l, const struct msg_gap *gap, const uint32_t *map,
    uint32_t n_map);

/*
 * The agent's newest counters of this epoch; map as above.  Interfaces of the
 * same row add up.
 */
void ledger_set_agent(struct ledger *l, const struct msg_stats *stats,
    const uint32_t *map, uint32_t n_map, bool is_final);

/*
 * The capture on the agent is over; what comes now is of the next one.  Without
 * its last word its packets are those that came, those it said to have lost,
 * and those that it said to have sent: these are lost with the connection.
 * Whatever else it had is a hole's, which the caller adds.
 */
void ledger_end_epoch(struct ledger *l);

/* Nobody captured between these times; of too many, the last one grows. */
void ledger_hole(struct ledger *l, struct wall_ns from, struct wall_ns to,
    enum ledger_hole_reason reason);

/* What becomes of packets the output did not take after all. */
enum ledger_fate {
	LEDGER_LOST,		/* its fault: lost */
	LEDGER_UNWANTED,	/* its reader left: nobody wants them */
};

/*
 * So many packets of each of the first n rows were given to the output and are
 * not in it.  More than a row has are all it has.
 */
void ledger_take_back(struct ledger *l, const uint64_t *by_row, uint32_t n,
    enum ledger_fate fate);

/* --- sums: they stay at UINT64_MAX rather than wrap --- */

/* Packets in the output. */
uint64_t ledger_written(const struct ledger *l);

/* Is there a last word for all that came, so that it can be checked? */
bool ledger_is_settled(const struct ledger *l);

/*
 * Does every packet have its place, in each row and in sum?  E_OK, or E_BUG
 * with the numbers that differ.  Only a settled ledger can be checked.
 */
int ledger_check(const struct ledger *l, struct err *err) MUST_CHECK;

/* Over all epochs: one row, all rows and the rest, the rest alone. */
void ledger_row_summary(const struct ledger *l, uint32_t row,
    struct ui_summary *ret_summary);
void ledger_summary(const struct ledger *l, struct ui_summary *ret_summary);
void ledger_rest_summary(const struct ledger *l, struct ui_summary *ret_summary);

/* A row's counters for its statistics block; the times stay as they are. */
void ledger_row_stats(const struct ledger *l, uint32_t row, struct sink_stats *stats);

/* --- for a client that continues the output later --- */

/*
 * A copy of a row's counters, and of what belongs to no row.  Names and holes
 * are read from the ledger itself.
 */
void ledger_export(const struct ledger *l, uint32_t row, struct ledger_counts *ret_saved);
void ledger_export_rest(const struct ledger *l, struct ledger_rest *ret_saved);

/*
 * Put back what was exported, into rows that were just added; the epoch goes
 * on: end it when the agent's capture is another one.  E_BADMSG for numbers
 * that no ledger can have had; nothing has changed then.
 */
int ledger_import(struct ledger *l, uint32_t row, const struct ledger_counts *saved)
    MUST_CHECK;
int ledger_import_rest(struct ledger *l, const struct ledger_rest *saved) MUST_CHECK;
int ledger_import_hole(struct ledger *l, const struct ledger_hole *hole) MUST_CHECK;

#endif /* CLIENT_LEDGER_H */
