#include "client/ledger_int.h"

#include <stdlib.h>
#include <string.h>

int
ledger_init(struct ledger *l)
{
	memset(l, 0, sizeof(*l));
	l->holes = calloc(LEDGER_MAX_HOLES, sizeof(*l->holes));
	return l->holes == NULL ? E_NOMEM : E_OK;
}

void
ledger_fini(struct ledger *l)
{
	for (uint32_t i = 0; i < l->n_interfaces; i++)
		free(l->rows[i].name);
	free(l->rows);
	free(l->holes);
	memset(l, 0, sizeof(*l));
}

int
ledger_add_interface(struct ledger *l, const char *name)
{
	struct ledger_row *more = realloc(l->rows,
	    ((size_t)l->n_interfaces + 1) * sizeof(*more));
	char *copy;

	if (more == NULL)
		return E_NOMEM;
	l->rows = more;
	copy = strdup(name);
	if (copy == NULL)
		return E_NOMEM;
	l->rows[l->n_interfaces] = (struct ledger_row){ .name = copy };
	return (int)l->n_interfaces++;
}

/* --- the agent's numbers --- */

/* The row of the agent's interface, or NULL. */
static struct ledger_row *
row_of(struct ledger *l, uint32_t iface, const uint32_t *map, uint32_t n_map)
{
	uint32_t row = iface;

	if (map != NULL) {
		if (iface >= n_map)
			return NULL;
		row = map[iface];
	}
	return row < l->n_interfaces ? &l->rows[row] : NULL;
}

/* The one row that all of the agent's interfaces are, or NULL. */
static struct ledger_row *
only_row(struct ledger *l, const uint32_t *map, uint32_t n_map)
{
	if (map == NULL)
		return l->n_interfaces == 1 ? &l->rows[0] : NULL;
	for (uint32_t i = 1; i < n_map; i++)
		if (map[i] != map[0])
			return NULL;
	return row_of(l, 0, map, n_map);
}

void
ledger_gap(struct ledger *l, const struct msg_gap *gap, const uint32_t *map,
    uint32_t n_map)
{
	uint64_t left = gap->packets;
	struct ledger_row *row;
	bool fits = true;

	for (uint32_t i = 0; i < gap->n_interfaces; i++) {
		uint64_t n = gap->by_interface[i] < left ? gap->by_interface[i] : left;

		row = row_of(l, i, map, n_map);
		if (row == NULL)
			continue;
		fits = ledger_add(&row->n.gaps[gap->reason], n) && fits;
		left -= n;
	}
	row = left > 0 ? only_row(l, map, n_map) : NULL;
	fits = ledger_add(row != NULL ? &row->n.gaps[gap->reason] :
	    &l->rest.gaps[gap->reason], left) && fits;
	if (!fits)
		l->rest.is_broken = 1;
}

void
ledger_set_agent(struct ledger *l, const struct msg_stats *stats,
    const uint32_t *map, uint32_t n_map, bool is_final)
{
	for (uint32_t i = 0; i < l->n_interfaces; i++)
		l->rows[i].n.now = (struct ledger_told){ .received = 0 };
	l->is_now_broken = false;
	l->is_final = is_final;
	for (uint32_t i = 0; i < stats->n_interfaces; i++) {
		const struct msg_interface_stats *s = &stats->interfaces[i];
		struct ledger_row *row = row_of(l, i, map, n_map);
		const struct ledger_told told = {
			.received = s->received,
			.dropped_kernel = s->dropped_kernel,
			.dropped_agent = s->dropped_agent,
			.dropped_filter_change = s->dropped_filter_change,
			.batched = s->batched,
			.dropped_interface = s->dropped_interface,
			.freezes = s->freezes,
		};

		/* An interface without a row has no packets either. */
		if (row != NULL ? !ledger_add_told(&row->n.now, &told) : s->received > 0)
			l->is_now_broken = true;
	}
}

/* --- the end of an epoch --- */

/*
 * What is known of an epoch without its last word, so that it adds up.
 * *unknown are packets of gaps that may be of this row: so many of those that
 * never came are not lost a second time.
 */
static bool
settle_row(struct ledger_counts *n, uint64_t *unknown)
{
	uint64_t came, dropped, lost = 0, in_gaps;
	bool fits = ledger_came(n, &came) & ledger_told_dropped(&n->now, &dropped);

	came -= n->came_before;
	if (n->now.batched > came)
		lost = n->now.batched - came;
	in_gaps = lost < *unknown ? lost : *unknown;
	*unknown -= in_gaps;
	n->now.batched = came + lost;
	n->now.received = n->now.batched;
	fits = ledger_add(&n->now.received, dropped) && fits;
	return ledger_add(&n->lost_connection, lost - in_gaps) && fits;
}

/* The same for all rows and the rest. */
static bool
settle(struct ledger *l)
{
	uint64_t unknown;
	bool fits = ledger_rest_packets(&l->rest, &unknown);

	unknown -= l->rest.before;
	for (uint32_t i = 0; i < l->n_interfaces; i++)
		fits = settle_row(&l->rows[i].n, &unknown) && fits;
	return ledger_add(&l->rest.told, unknown) && fits;
}

void
ledger_end_epoch(struct ledger *l)
{
	bool fits = l->is_final ? true : settle(l);

	for (uint32_t i = 0; i < l->n_interfaces; i++) {
		struct ledger_counts *n = &l->rows[i].n;

		fits = ledger_add_told(&n->past, &n->now) && fits;
		n->now = (struct ledger_told){ .received = 0 };
		fits = ledger_came(n, &n->came_before) && fits;
	}
	fits = ledger_rest_packets(&l->rest, &l->rest.before) && fits;
	if (!fits || l->is_now_broken)
		l->rest.is_broken = 1;
	l->is_final = false;
	l->is_now_broken = false;
}

/* --- holes --- */

void
ledger_hole(struct ledger *l, struct wall_ns from, struct wall_ns to,
    enum ledger_hole_reason reason)
{
	struct ledger_hole hole = {
		.from = from,
		/* Clocks of two machines, or one that was set. */
		.to = to.ns < from.ns ? from : to,
		.reason = reason,
		.n = 1,
	};

	if (ledger_import_hole(l, &hole) != E_OK)
		l->rest.is_broken = 1;
}

/* --- what the output did not take --- */

void
ledger_take_back(struct ledger *l, const uint64_t *by_row, uint32_t n,
    enum ledger_fate fate)
{
	for (uint32_t i = 0; i < n && i < l->n_interfaces; i++) {
		struct ledger_counts *c = &l->rows[i].n;
		uint64_t packets = by_row[i] < c->written ? by_row[i] : c->written;

		c->written -= packets;
		switch (fate) {
		case LEDGER_LOST:
			c->lost_queue += packets;
			break;
		case LEDGER_UNWANTED:
			c->beyond += packets;
			break;
		}
	}
}
