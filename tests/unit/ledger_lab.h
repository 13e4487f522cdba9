/*
 * ledger_lab - ledgers for tests: told, with gaps, and what is to be seen.
 */
#ifndef TESTS_UNIT_LEDGER_LAB_H
#define TESTS_UNIT_LEDGER_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/ledger.h"

static inline void
make_ledger(struct ledger *l, uint32_t n)
{
	static const char *const names[] = { "eth0", "eth1", "eth2", "eth3" };

	assert_int_equal(ledger_init(l), E_OK);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(ledger_add_interface(l, names[i]), i);
}

static inline void
tell(struct ledger *l, const struct msg_interface_stats *interfaces, uint32_t n,
    bool is_final)
{
	struct msg_interface_stats copy[4];
	struct msg_stats stats = { .n_interfaces = n, .interfaces = copy };

	memcpy(copy, interfaces, n * sizeof(*copy));
	ledger_set_agent(l, &stats, NULL, 0, is_final);
}

static inline void
gap(struct ledger *l, enum gap_reason reason, uint64_t packets, uint64_t first,
    uint64_t second)
{
	uint64_t by[2] = { first, second };
	struct msg_gap g = {
		.packets = packets, .reason = reason, .n_interfaces = 2, .by_interface = by,
	};

	ledger_gap(l, &g, NULL, 0);
}

static const struct msg_interface_stats balanced_stats[2] = {
	{ .received = 1003, .dropped_kernel = 100, .dropped_agent = 10,
	    .dropped_filter_change = 3, .batched = 890, .dropped_interface = 5,
	    .freezes = 2 },
	{ .received = 50, .batched = 50, .dropped_interface = 1 },
};

/* Two interfaces with every kind of loss; all of it adds up. */
static inline void
make_balanced(struct ledger *l)
{
	make_ledger(l, 2);
	tell(l, balanced_stats, 2, true);
	gap(l, GAP_LOG_FULL, 40, 40, 0);
	gap(l, GAP_DISCONNECTED, 15, 12, 3);
	gap(l, GAP_INTERRUPTED, 5, 3, 2);
	l->rows[0].n.written = 780;
	l->rows[0].n.lost_queue = 1;
	l->rows[0].n.beyond = 30;
	for (int i = 0; i < 16; i++)
		ledger_filtered(l, 0);
	for (int i = 0; i < 4; i++)
		ledger_not_held(l, 0);
	for (int i = 0; i < 4; i++)
		ledger_lost_output(l, 0);
	for (int i = 0; i < 44; i++)
		ledger_wrote(l, 1);
	ledger_beyond(l, 1);
	l->rest.cut = 7;
}

static inline void
assert_balanced(const struct ledger *l)
{
	struct err err = { .what = "" };

	if (ledger_check(l, &err) != E_OK)
		fail_msg("%s", err.what);
}

static inline void
assert_not_balanced(const struct ledger *l, const char *word)
{
	struct err err;

	assert_int_equal(ledger_check(l, &err), E_BUG);
	assert_non_null(strstr(err.what, "ledger"));
	if (strstr(err.what, word) == NULL)
		fail_msg("'%s' is not in '%s'", word, err.what);
	assert_int_equal(ledger_check(l, NULL), E_BUG);
}

#endif /* TESTS_UNIT_LEDGER_LAB_H */
