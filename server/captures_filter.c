/*
 * captures_filter - the agent's own traffic stays out of running captures.
 *
 * When its addresses change, the filters in force are linked anew.  capagent
 * swaps each program at once, so that no packet finds none.
 */
#include <stdlib.h>

#include "common/log.h"
#include "server/captures_int.h"
#include "server/wanted.h"

static void
relinked(const struct err *err, void *arg)
{
	(void)arg;
	if (err->code != E_OK)
		log_err(LOG_CAPTURE, "filter: link anew: %s: the agent's own "
		    "traffic on a new address is not left out", err->what);
}

static void
relink_tap(struct captures_tap *tap, struct prologue *prologue)
{
	struct captures_entry *e = tap->entry;
	struct net *net = e->set->net;
	struct captures_socket linked = tap->s;
	struct err err = { .code = E_OK };

	if (!tap->is_open || tap->is_gone ||
	    tap->s.own_generation == net->own_generation)
		return;
	tap->s.own_generation = net->own_generation;
	if (wanted_link(net, &e->start, &linked, prologue, &err) == E_OK &&
	    linked.place != tap->s.place)
		err_set(&err, E_TOOBIG, "interface '%s': the filter leaves no room",
		    tap->name);
	else if (err.code == E_OK && priv_call_filter(net->call, tap->s.handle,
	    prologue->prog.insns, prologue->prog.n, relinked, NULL) == NULL)
		err_set(&err, E_NOMEM, "out of memory");
	if (err.code != E_OK)
		relinked(&err, NULL);
	else
		tap->s.n_insns = (uint32_t)prologue->prog.n;
}

/* The filters in force: never while others are about to be. */
void
captures_relink_entry(struct captures_entry *e)
{
	struct prologue *prologue;

	if (e->update != NULL || e->is_quiescing)
		return;			/* done at its end */
	prologue = malloc(sizeof(*prologue));
	if (prologue == NULL) {
		log_err(LOG_CAPTURE, "filter: link anew: out of memory");
		return;
	}
	for (uint32_t i = 0; i < e->n_taps; i++)
		relink_tap(e->taps[i], prologue);
	free(prologue);
}

void
captures_relink(struct captures *set)
{
	for (struct captures_entry *e = set->first; e != NULL; e = e->next)
		captures_relink_entry(e);
}
