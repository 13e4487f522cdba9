#include "client/ledger_int.h"

#include <stdio.h>

#include "client/sink.h"

/* --- parts --- */

bool
ledger_add_told(struct ledger_told *sum, const struct ledger_told *told)
{
	bool fits = ledger_add(&sum->received, told->received);

	fits = ledger_add(&sum->dropped_kernel, told->dropped_kernel) && fits;
	fits = ledger_add(&sum->dropped_agent, told->dropped_agent) && fits;
	fits = ledger_add(&sum->dropped_filter_change, told->dropped_filter_change) && fits;
	fits = ledger_add(&sum->batched, told->batched) && fits;
	fits = ledger_add(&sum->dropped_interface, told->dropped_interface) && fits;
	return ledger_add(&sum->freezes, told->freezes) && fits;
}

bool
ledger_told_dropped(const struct ledger_told *told, uint64_t *ret_dropped)
{
	uint64_t sum = told->dropped_kernel;
	bool fits = ledger_add(&sum, told->dropped_agent);

	fits = ledger_add(&sum, told->dropped_filter_change) && fits;
	*ret_dropped = sum;
	return fits;
}

static bool
add_gaps(uint64_t *sum, const uint64_t gaps[static LEDGER_N_GAPS])
{
	bool fits = true;

	for (int i = 0; i < LEDGER_N_GAPS; i++)
		fits = ledger_add(sum, gaps[i]) && fits;
	return fits;
}

bool
ledger_came(const struct ledger_counts *n, uint64_t *ret_came)
{
	uint64_t sum = n->written;
	bool fits = ledger_add(&sum, n->filtered);

	fits = ledger_add(&sum, n->beyond) && fits;
	fits = ledger_add(&sum, n->not_held) && fits;
	fits = ledger_add(&sum, n->lost_output) && fits;
	fits = ledger_add(&sum, n->lost_queue) && fits;
	fits = ledger_add(&sum, n->lost_connection) && fits;
	fits = add_gaps(&sum, n->gaps) && fits;
	*ret_came = sum;
	return fits;
}

bool
ledger_rest_packets(const struct ledger_rest *rest, uint64_t *ret_packets)
{
	*ret_packets = 0;
	return add_gaps(ret_packets, rest->gaps);
}

/* --- the balance --- */

struct balance {
	uint64_t	 received, batched, came;	/* of all rows */
	uint64_t	 slack;		/* batched, and in no row's place */
	uint64_t	 unknown;	/* what may be that: gaps of no interface */
};

static int
fail_bounds(struct err *err)
{
	return err_set(err, E_BUG, "ledger: counters beyond all bounds");
}

static int
fail_sent(struct err *err, const char *who, uint64_t batched, uint64_t came)
{
	return err_set(err, E_BUG, "ledger: %.80sthe agent sent %llu packets, but %llu "
	    "were written or counted as lost", who, (unsigned long long)batched,
	    (unsigned long long)came);
}

static int
check_told(const struct ledger_row *row, struct ledger_told *ret_told,
    struct err *err)
{
	struct ledger_told told = row->n.past;
	uint64_t sum;

	if (!ledger_add_told(&told, &row->n.now) || !ledger_told_dropped(&told, &sum) ||
	    !ledger_add(&sum, told.batched))
		return fail_bounds(err);
	if (told.received != sum)
		return err_set(err, E_BUG, "ledger: interface '%.80s': %llu received by "
		    "filter, but %llu dropped by kernel, %llu in the agent, %llu at filter "
		    "changes and %llu sent", row->name,
		    (unsigned long long)told.received,
		    (unsigned long long)told.dropped_kernel,
		    (unsigned long long)told.dropped_agent,
		    (unsigned long long)told.dropped_filter_change,
		    (unsigned long long)told.batched);
	*ret_told = told;
	return E_OK;
}

static int
check_row(const struct ledger_row *row, struct balance *b, struct err *err)
{
	struct ledger_told told = { .received = 0 };
	uint64_t came;
	int rc = check_told(row, &told, err);

	if (rc != E_OK)
		return rc;
	if (!ledger_came(&row->n, &came) || !ledger_add(&b->received, told.received) ||
	    !ledger_add(&b->batched, told.batched) || !ledger_add(&b->came, came))
		return fail_bounds(err);
	if (told.batched < came || (b->unknown == 0 && told.batched != came)) {
		char who[96];

		snprintf(who, sizeof(who), "interface '%.64s': ", row->name);
		return fail_sent(err, who, told.batched, came);
	}
	b->slack += told.batched - came;
	return E_OK;
}

int
ledger_check(const struct ledger *l, struct err *err)
{
	struct balance b = { .received = 0 };
	uint64_t packets;
	int rc;

	if (l->rest.is_broken != 0 || l->is_now_broken ||
	    !ledger_rest_packets(&l->rest, &packets) || l->rest.told > packets)
		return fail_bounds(err);
	b.unknown = packets - l->rest.told;
	for (uint32_t i = 0; i < l->n_interfaces; i++) {
		rc = check_row(&l->rows[i], &b, err);
		if (rc != E_OK)
			return rc;
	}
	/* Any row may have the packets of gaps of no interface, all of them once. */
	if (b.slack != b.unknown)
		return ledger_add(&b.came, b.unknown) ?
		    fail_sent(err, "", b.batched, b.came) : fail_bounds(err);
	return E_OK;
}

bool
ledger_is_settled(const struct ledger *l)
{
	uint64_t n;

	if (l->is_final)
		return true;
	for (uint32_t i = 0; i < l->n_interfaces; i++) {
		const struct ledger_counts *c = &l->rows[i].n;

		(void)ledger_came(c, &n);
		if (n != c->came_before || c->now.received > 0 || c->now.batched > 0)
			return false;
	}
	(void)ledger_rest_packets(&l->rest, &n);
	return n == l->rest.before && !l->is_now_broken;
}

/* --- sums --- */

uint64_t
ledger_written(const struct ledger *l)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < l->n_interfaces; i++)
		(void)ledger_add(&sum, l->rows[i].n.written);
	return sum;
}

/* Received by this row's filter; the agent's newest word may be older. */
static uint64_t
received_of(const struct ledger_counts *n, bool is_final)
{
	uint64_t now, dropped, received = n->past.received;

	(void)ledger_came(n, &now);
	now -= n->came_before;
	(void)ledger_told_dropped(&n->now, &dropped);
	(void)ledger_add(&now, dropped);
	if (is_final || n->now.received > now)
		now = n->now.received;
	(void)ledger_add(&received, now);
	return received;
}

static void
add_gap_summary(struct ui_summary *s, const uint64_t gaps[static LEDGER_N_GAPS])
{
	(void)ledger_add(&s->lost_buffer, gaps[GAP_LOG_FULL]);
	(void)ledger_add(&s->lost_interrupted, gaps[GAP_INTERRUPTED]);
	(void)ledger_add(&s->lost_disconnected, gaps[GAP_DISCONNECTED]);
}

static void
add_row_summary(struct ui_summary *s, const struct ledger_counts *n, bool is_final)
{
	struct ledger_told told = n->past;

	(void)ledger_add_told(&told, &n->now);
	(void)ledger_add(&s->captured, n->written);
	(void)ledger_add(&s->received, received_of(n, is_final));
	(void)ledger_add(&s->dropped_kernel, told.dropped_kernel);
	(void)ledger_add(&s->dropped_interface, told.dropped_interface);
	(void)ledger_add(&s->lost_agent, told.dropped_agent);
	(void)ledger_add(&s->lost_change, told.dropped_filter_change);
	(void)ledger_add(&s->freezes, told.freezes);
	(void)ledger_add(&s->lost_connection, n->lost_connection);
	(void)ledger_add(&s->lost_output, n->lost_output);
	(void)ledger_add(&s->lost_queue, n->lost_queue);
	(void)ledger_add(&s->lost_format, n->not_held);
	(void)ledger_add(&s->beyond_count, n->beyond);
	(void)ledger_add(&s->filtered, n->filtered);
	add_gap_summary(s, n->gaps);
}

void
ledger_row_summary(const struct ledger *l, uint32_t row,
    struct ui_summary *ret_summary)
{
	struct ui_summary s = { .captured = 0 };

	add_row_summary(&s, &l->rows[row].n, l->is_final);
	*ret_summary = s;
}

void
ledger_rest_summary(const struct ledger *l, struct ui_summary *ret_summary)
{
	struct ui_summary s = { .captured = 0 };

	add_gap_summary(&s, l->rest.gaps);
	*ret_summary = s;
}

void
ledger_summary(const struct ledger *l, struct ui_summary *ret_summary)
{
	struct ui_summary s = { .cut = l->rest.cut };
	uint64_t known;

	for (uint32_t i = 0; i < l->n_interfaces; i++)
		add_row_summary(&s, &l->rows[i].n, l->is_final);
	add_gap_summary(&s, l->rest.gaps);
	(void)ledger_add(&s.received, l->rest.told);
	known = ui_summary_placed(&s);
	/* Gaps of no interface may be newer than the agent's word, too. */
	if (!l->is_final && s.received < known)
		s.received = known;
	*ret_summary = s;
}

void
ledger_row_stats(const struct ledger *l, uint32_t row, struct sink_stats *stats)
{
	struct ui_summary s;

	ledger_row_summary(l, row, &s);
	stats->received = s.received;
	stats->dropped_kernel = s.dropped_kernel;
	stats->dropped_interface = s.dropped_interface;
	stats->filtered = s.filtered;
	stats->written = s.captured;
	/* The rest of what was lost, wherever. */
	s.dropped_kernel = 0;
	s.dropped_interface = 0;
	stats->lost_elsewhere = ui_summary_lost(&s);
}
