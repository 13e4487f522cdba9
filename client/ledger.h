/*
 * ledger - where every packet of a capture went; it must add up.
 *
 * Pure numbers.  Received by the filter = dropped by the kernel + dropped in
 * the agent + dropped at a filter change + sent in batches; batches = written
 * + lost in gaps + filtered by the client + not written by the client.
 */
#ifndef CLIENT_LEDGER_H
#define CLIENT_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "client/ui_text.h"
#include "common/err.h"
#include "proto/codec.h"

struct ledger {
	uint32_t	 n_interfaces;
	struct msg_interface_stats *agent;	/* newest word of the agent */
	uint64_t	*written;		/* per interface, given to the output */
	uint64_t	*filtered;		/* per interface, by the client's filter */
	uint64_t	 unwritten;		/* of these: it did not take them */
	uint64_t	 gap_packets;		/* in gaps the agent reported */
	uint64_t	 beyond_count;		/* came after -c was reached */
	uint64_t	 lost_output;		/* came, could not be written */
	uint64_t	 not_held;		/* of link types the file cannot hold */
	uint64_t	 cut;
	bool		 is_final;		/* agent's counters are the last */
};

/* E_NOMEM.  Release with ledger_fini(). */
int ledger_init(struct ledger *l, uint32_t n_interfaces) MUST_CHECK;

/* There is one interface more, all zero.  E_NOMEM: nothing has changed. */
int ledger_add_interface(struct ledger *l) MUST_CHECK;

void ledger_fini(struct ledger *l);

/* Take over counters; stats must be for as many interfaces. */
void ledger_set_agent(struct ledger *l, const struct msg_stats *stats,
    bool is_final);

/* Packets in the output. */
uint64_t ledger_written(const struct ledger *l);

/* What becomes of packets the output did not take after all. */
enum ledger_fate {
	LEDGER_LOST,		/* its fault: lost */
	LEDGER_UNWANTED,	/* its reader left: nobody wants them */
};

/* The last n packets given to the output are not in it. */
void ledger_take_back(struct ledger *l, uint64_t n, enum ledger_fate fate);

/*
 * Does every packet have its place?  E_OK, or E_BUG with the sums that
 * differ.  Only final counters can be checked.
 */
int ledger_check(const struct ledger *l, struct err *err) MUST_CHECK;

void ledger_summary(const struct ledger *l, struct ui_summary *ret_summary);

#endif /* CLIENT_LEDGER_H */
