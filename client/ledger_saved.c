#include "client/ledger_int.h"

void
ledger_export(const struct ledger *l, uint32_t row, struct ledger_counts *ret_saved)
{
	*ret_saved = l->rows[row].n;
}

void
ledger_export_rest(const struct ledger *l, struct ledger_rest *ret_saved)
{
	*ret_saved = l->rest;
	if (l->is_now_broken)
		ret_saved->is_broken = 1;
}

int
ledger_import(struct ledger *l, uint32_t row, const struct ledger_counts *saved)
{
	uint64_t came;

	if (!ledger_came(saved, &came) || saved->came_before > came)
		return E_BADMSG;
	l->rows[row].n = *saved;
	return E_OK;
}

int
ledger_import_rest(struct ledger *l, const struct ledger_rest *saved)
{
	uint64_t packets;

	if (!ledger_rest_packets(saved, &packets) || saved->before > packets ||
	    saved->told > packets)
		return E_BADMSG;
	l->rest = *saved;
	return E_OK;
}

static bool
is_possible(const struct ledger_hole *hole)
{
	return hole->from.ns <= hole->to.ns && hole->n > 0 &&
	    hole->reason >= LEDGER_HOLE_AGENT_RESTARTED &&
	    hole->reason <= LEDGER_HOLE_SEVERAL;
}

int
ledger_import_hole(struct ledger *l, const struct ledger_hole *hole)
{
	struct ledger_hole *last;

	if (!is_possible(hole))
		return E_BADMSG;
	if (l->n_holes < LEDGER_MAX_HOLES) {
		l->holes[l->n_holes++] = *hole;
		return E_OK;
	}
	last = &l->holes[LEDGER_MAX_HOLES - 1];
	if (hole->from.ns < last->from.ns)
		last->from = hole->from;
	if (hole->to.ns > last->to.ns)
		last->to = hole->to;
	if (hole->reason != last->reason)
		last->reason = LEDGER_HOLE_SEVERAL;
	(void)ledger_add(&last->n, hole->n);
	return E_OK;
}
