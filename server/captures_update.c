/*
 * captures_update - the client wants other filters while it captures.
 *
 * Every filter is linked before anything changes, then attached one interface
 * after the other; capagent swaps each program at once, so that no packet
 * finds none.  What the swap cannot say is left to the capture's thread
 * (capture_filter.c): which packets the old program had let through.
 *
 * Where an attach fails, those before it get the old filter back, and what it
 * would have kept meanwhile is missing: the stream says so.  The only failure
 * to be expected is the kernel's want of room.  Those that need most of it are
 * the first, so that it is nearly always the first attach that fails.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "server/captures_turn.h"

static void go_on(struct captures_update *u);

static void
update_free(struct captures_update *u)
{
	if (u->refilter != NULL)
		for (uint32_t i = 0; i < u->refilter->n; i++)
			free(u->refilter->items[i].check);
	free(u->refilter);
	if (u->msg != NULL)
		msg_free(u->msg);
	free(u->msg);
	free(u->turns);
	free(u);
}

void
captures_update_abandon(struct captures_entry *e)
{
	struct captures_update *u = e->update;

	if (e->next_update != NULL)
		msg_free(e->next_update);
	free(e->next_update);
	e->next_update = NULL;
	e->update = NULL;
	if (u == NULL)
		return;
	if (u->request != NULL)
		priv_call_cancel(e->set->net->call, u->request);
	update_free(u);
}

/* --- the outcome --- */

/* For the record: the first expression that is another one now. */
static const char *
changed_text(const struct msg_filter *old, const struct msg_filter *now, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (strcmp(old[i].text, now[i].text) != 0)
			return now[i].text;
	return now[0].text;
}

/* The capture's thread gets the outcome; from now on others have their turn. */
static void
finish(struct captures_update *u)
{
	struct captures_entry *e = u->entry;
	struct capture_refilter *refilter = u->refilter;

	u->refilter = NULL;
	e->update = NULL;
	/* Out of force is what is freed. */
	if (refilter->code == E_OK) {
		struct msg_filter *old = e->start.filters;

		snprintf(refilter->text, sizeof(refilter->text), "%s",
		    changed_text(old, u->msg->update_filter.filters,
		    e->start.n_filters));
		e->start.filters = u->msg->update_filter.filters;
		u->msg->update_filter.filters = old;
	}
	capture_refilter(e->capture, refilter);
	update_free(u);
	e->n_refused = 0;		/* another filter may fit there */
	captures_relink_entry(e);
	captures_go_on(e);
}

/* "12:34:56.789012" */
static void
format_utc(struct wall_ns time, char *dst, size_t size)
{
	time_t seconds = time.ns / NS_PER_S;
	struct tm tm;
	size_t len = 0;

	if (gmtime_r(&seconds, &tm) != NULL)
		len = strftime(dst, size, "%H:%M:%S", &tm);
	snprintf(dst + len, size - len, ".%06lld",
	    (long long)(time.ns % NS_PER_S / 1000));
}

/* The old filters are back everywhere: what they missed, nobody counted. */
static void
tell_rolled_back(struct captures_update *u)
{
	char text[PROTO_MAX_TEXT + 1], from[32], to[32];

	format_utc(u->begun, from, sizeof(from));
	format_utc(clock_wall(), to, sizeof(to));
	snprintf(text, sizeof(text), "a change of filter failed half-way: between %s "
	    "and %s UTC packets that only the old filter keeps may be missing, "
	    "uncounted", from, to);
	capture_tell(u->entry->capture, CAPTURE_EVENT_OTHER, CAPTURE_EVENT_WHOLE, text);
}

/* Some interfaces have other filters than the client was told: no way on. */
static void
fail_for_good(struct captures_update *u, const struct err *why)
{
	char text[PROTO_MAX_TEXT + 1];

	snprintf(text, sizeof(text), "filter: bring the old one back: %s", why->what);
	capture_end(u->entry->capture, why->code, text);
	finish(u);
}

static void
fail(struct captures_update *u, const struct err *why)
{
	if (u->is_rolling_back) {
		fail_for_good(u, why);
		return;
	}
	u->refilter->code = why->code;
	snprintf(u->refilter->text, sizeof(u->refilter->text), "%s", why->what);
	if (u->at == 0) {
		finish(u);
		return;
	}
	/* Those that have the new filter get the old one back. */
	u->is_rolling_back = true;
	u->start = u->entry->start;
	u->n_turns = u->at;
	u->at = 0;
	go_on(u);
}

/* --- one interface --- */

/* The client sees the place, but not why it is not the kernel. */
static void
tell_fallback(struct captures_update *u)
{
	char text[PROTO_MAX_TEXT + 1];

	if (u->no_room.code == E_OK)
		return;
	snprintf(text, sizeof(text), "%s: filtered %s", u->no_room.what,
	    open_one_place_text(u->next.place));
	capture_tell(u->entry->capture, CAPTURE_EVENT_OTHER, u->turns[u->at].tap, text);
	u->no_room.code = E_OK;
}

static void
take_attached(struct captures_update *u)
{
	struct capture_refilter_item *item = &u->refilter->items[u->turns[u->at].tap];

	captures_turn_tap(u)->s = u->next;
	captures_turn_tap(u)->s.n_insns = (uint32_t)u->prologue.prog.n;
	free(item->check);
	item->check = malloc(sizeof(*item->check));
	if (item->check == NULL) {
		/* Its old packets could not be told from new ones. */
		capture_end(u->entry->capture, E_NOMEM, "filter: change: out of memory");
		return;
	}
	*item->check = u->prologue.check;
	item->is_set = true;
	item->place = u->next.place;
	item->snaplen = u->next.socket.link.snaplen;
	tell_fallback(u);
}

static void attach(struct captures_update *u);

static void
attached(const struct err *err, void *arg)
{
	struct captures_update *u = arg;

	u->request = NULL;
	if (err->code != E_OK && captures_turn_is_due(captures_turn_tap(u))) {
		if (captures_turn_link_smaller(u, err))
			attach(u);
		else
			fail(u, err);
		return;
	}
	if (err->code == E_OK)
		take_attached(u);
	u->at++;
	go_on(u);
}

/*
 * Where another than the kernel judges packets, by the old filter or the new,
 * the two must change at the same packet: the rings wait.
 */
static bool
must_hold(const struct captures_update *u)
{
	return !u->is_held && (u->next.place != FILTER_KERNEL ||
	    captures_turn_tap(u)->s.place != FILTER_KERNEL);
}

/* What is linked, to the kernel. */
static void
attach(struct captures_update *u)
{
	const struct captures_tap *tap = captures_turn_tap(u);
	struct err err;

	if (captures_turn_check(u, tap, &err) != E_OK) {
		fail(u, &err);
		return;
	}
	if (must_hold(u)) {
		u->is_held = true;
		capture_hold(u->entry->capture);	/* captures_update_held() goes on */
		return;
	}
	if (u->begun.ns == 0)
		u->begun = clock_wall();
	u->request = priv_call_filter(u->entry->set->net->call, tap->s.handle,
	    u->prologue.prog.insns, u->prologue.prog.n, attached, u);
	if (u->request == NULL) {
		err_set(&err, E_NOMEM, "filter: change: out of memory");
		fail(u, &err);
	}
}

/* The next turn; at the end, the outcome. */
static void
go_on(struct captures_update *u)
{
	struct err err;
	int rc;

	while (u->at < u->n_turns && !captures_turn_is_due(captures_turn_tap(u)))
		u->at++;
	if (u->at == u->n_turns) {
		if (u->is_rolling_back && u->begun.ns != 0)
			tell_rolled_back(u);
		finish(u);
		return;
	}
	rc = u->is_rolling_back ? captures_turn_link_old(u, &err) :
	    captures_turn_link(u, captures_turn_tap(u), &err);
	if (rc == E_OK)
		attach(u);
	else
		fail(u, &err);
}

void
captures_update_held(struct captures_entry *e)
{
	struct captures_update *u = e->update;

	if (u == NULL)
		return;
	/* It may be gone by now, and closed. */
	if (captures_turn_is_due(captures_turn_tap(u)))
		attach(u);
	else
		go_on(u);
}

/* --- before anything changes --- */

/* Takes e->next_update.  NULL when out of memory; nothing is taken then. */
static struct captures_update *
update_new(struct captures_entry *e)
{
	struct captures_update *u = calloc(1, sizeof(*u));

	if (u == NULL)
		return NULL;
	u->refilter = calloc(1, sizeof(*u->refilter) +
	    e->n_taps * sizeof(u->refilter->items[0]));
	u->turns = calloc(e->n_taps > 0 ? e->n_taps : 1, sizeof(*u->turns));
	if (u->refilter == NULL || u->turns == NULL) {
		update_free(u);
		return NULL;
	}
	u->entry = e;
	u->msg = e->next_update;
	e->next_update = NULL;
	u->start = e->start;
	u->start.filters = u->msg->update_filter.filters;
	u->refilter->number = u->msg->update_filter.number;
	u->refilter->n = e->n_taps;
	return u;
}

void
captures_update_begin(struct captures_entry *e)
{
	struct captures_update *u = update_new(e);
	struct err err;

	if (u == NULL) {
		captures_update_abandon(e);
		capture_end(e->capture, E_NOMEM, "filter: change: out of memory");
		return;
	}
	e->update = u;
	if (captures_turns_plan(u, &err) == E_OK)
		go_on(u);
	else
		fail(u, &err);
}
