/*
 * captures_turn - one interface's part in a change of filter: its program.
 */
#include <stdlib.h>

#include "server/captures_turn.h"
#include "server/wanted.h"

/* No filter that anybody writes looks for something further inside. */
enum { WHOLE = 65535 };

struct captures_tap *
captures_turn_tap(const struct captures_update *u)
{
	return u->entry->taps[u->turns[u->at].tap];
}

bool
captures_turn_is_due(const struct captures_tap *tap)
{
	return tap->is_open && !tap->is_gone;
}

int
captures_turn_link(struct captures_update *u, const struct captures_tap *tap,
    struct err *err)
{
	u->next = tap->s;
	u->next.place = FILTER_KERNEL;
	u->next.prologue.one_copy = false;
	u->no_room.code = E_OK;
	return wanted_link(u->entry->set->net, &u->start, &u->next, &u->prologue, err);
}

int
captures_turn_link_old(struct captures_update *u, struct err *err)
{
	const struct captures_turn *turn = &u->turns[u->at];
	int rc;

	u->next = captures_turn_tap(u)->s;
	u->next.place = turn->old_place;
	u->no_room.code = E_OK;
	u->next.prologue.one_copy = turn->old_one_copy;
	rc = wanted_link(u->entry->set->net, &u->start, &u->next, &u->prologue, err);
	if (rc == E_OK && u->next.place != turn->old_place)
		rc = err_set(err, E_FILTER, "interface '%s': it has no room any more",
		    captures_turn_tap(u)->name);
	return rc;
}

static bool
is_cut_short(const struct captures_update *u, const struct captures_tap *tap)
{
	uint32_t most = u->entry->set->net->setup.config.max_snaplen;

	return tap->s.open_snaplen < (most > WHOLE ? WHOLE : most);
}

int
captures_turn_check(const struct captures_update *u, const struct captures_tap *tap,
    struct err *err)
{
	if (u->next.place == FILTER_KERNEL || !is_cut_short(u, tap))
		return E_OK;
	return err_set(err, E_FILTER, "interface '%s': this filter is judged %s, who "
	    "needs whole packets, and the capture began with a snapshot length of %u: "
	    "begin another one", tap->name, open_one_place_text(u->next.place),
	    tap->s.open_snaplen);
}

bool
captures_turn_link_smaller(struct captures_update *u, const struct err *why)
{
	enum filter_place before = u->next.place;

	if (u->is_rolling_back || !open_one_link_smaller(u->entry->set->net, &u->start,
	    &u->next, &u->prologue, why))
		return false;
	if (u->next.place != before)
		u->no_room = *why;
	return true;
}

static int
by_room(const void *a, const void *b)
{
	const struct captures_turn *x = a, *y = b;

	if (x->is_bound != y->is_bound)
		return x->is_bound ? -1 : 1;
	return x->n_insns > y->n_insns ? -1 : x->n_insns < y->n_insns;
}

int
captures_turns_plan(struct captures_update *u, struct err *err)
{
	for (uint32_t i = 0; i < u->entry->n_taps; i++) {
		const struct captures_tap *tap = u->entry->taps[i];
		int rc;

		if (!captures_turn_is_due(tap))
			continue;
		rc = captures_turn_link(u, tap, err);
		if (rc == E_OK)
			rc = captures_turn_check(u, tap, err);
		if (rc != E_OK)
			return rc;
		u->turns[u->n_turns++] = (struct captures_turn){ .tap = i,
		    .is_bound = is_cut_short(u, tap),
		    .n_insns = tap->s.n_insns + (uint32_t)u->prologue.prog.n,
		    .old_place = tap->s.place,
		    .old_one_copy = tap->s.prologue.one_copy };
	}
	if (u->n_turns > 1)
		qsort(u->turns, u->n_turns, sizeof(*u->turns), by_room);
	return E_OK;
}
