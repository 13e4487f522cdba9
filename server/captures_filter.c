/*
 * captures_filter - other programs for sockets that capture.
 *
 * Because the agent's own addresses changed, or because the client wants other
 * filters.  capagent swaps each program at once, so that no packet finds none.
 * What the swap cannot say is left to the capture's thread (capture_filter.c):
 * which packets the old program had let through.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "server/captures_int.h"
#include "server/wanted.h"

/* No filter that anybody writes looks for something further inside. */
enum { WHOLE = 65535 };

/* A client's change of filters, interface by interface. */
struct captures_update {
	struct captures_entry *entry;
	struct msg	*msg;		/* owns the filters that are not in force */
	struct msg_start start;		/* entry's, with those that are wanted */
	struct capture_refilter *refilter;	/* what the capture's thread gets */
	struct priv_call_request *request;
	uint32_t	 at;		/* the tap whose turn it is */
	enum filter_place place;	/* the first to try there */
	struct captures_socket next;	/* that tap's, as linked */
	struct prologue	 prologue;
	struct err	 no_room;	/* why the kernel did not take it at this tap */
	bool		 is_held, is_rolling_back;
};

static void attach(struct captures_update *u);

int
captures_make_check(const struct net *net, const struct msg_start *start,
    struct captures_socket *s, struct err *err)
{
	struct prologue *prologue;
	int rc;

	s->socket.is_elsewhere = s->netns != 0;
	s->socket.is_adapter_time = s->info.time_stamp_type != TIME_STAMP_HOST;
	s->socket.place = s->place;
	s->socket.check = NULL;
	if (s->place != FILTER_AGENT)
		return E_OK;
	prologue = malloc(sizeof(*prologue));
	s->socket.check = malloc(sizeof(*s->socket.check));
	if (prologue == NULL || s->socket.check == NULL)
		rc = err_set(err, E_NOMEM, "filter: out of memory");
	else
		rc = wanted_link(net, start, s, prologue, err);
	if (rc == E_OK) {
		*s->socket.check = prologue->check;
	} else {
		free(s->socket.check);
		s->socket.check = NULL;
	}
	free(prologue);
	return rc;
}

/* --- own traffic --- */

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
	struct err err;

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

/* --- the client's change --- */

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

static void
keep_reason(struct captures_update *u, const struct err *why)
{
	u->refilter->code = why->code;
	snprintf(u->refilter->text, sizeof(u->refilter->text), "%s", why->what);
}

static const char *
place_text(enum filter_place place)
{
	return place == FILTER_AGENT ? "by the agent where packets are tagged" :
	    "by the client: all packets travel";
}

/* Link the tap's filter, as u->start has it, at u->place or behind it. */
static int
link_tap(struct captures_update *u, const struct captures_tap *tap, struct err *err)
{
	const struct net *net = u->entry->set->net;
	uint32_t most = net->setup.config.max_snaplen;
	int rc;

	u->next = tap->s;
	u->next.place = u->place;
	rc = wanted_link(net, &u->start, &u->next, &u->prologue, err);
	if (rc != E_OK)
		return rc;
	if (most > WHOLE)
		most = WHOLE;
	if (u->next.place != FILTER_KERNEL && tap->s.open_snaplen < most)
		return err_set(err, E_FILTER, "interface '%s': this filter is judged "
		    "%s, who needs whole packets, and the capture began with a "
		    "snapshot length of %u: begin another one", tap->name,
		    place_text(u->next.place), tap->s.open_snaplen);
	return E_OK;
}

/*
 * Where another than the kernel judges packets, by the old filter or the new,
 * the two must change at the same packet: the rings wait.
 */
static bool
must_hold(const struct captures_update *u, const struct captures_tap *tap)
{
	return !u->is_held && (u->next.place != FILTER_KERNEL ||
	    tap->s.place != FILTER_KERNEL);
}

static bool
is_affected(const struct captures_tap *tap)
{
	return tap->is_open && !tap->is_gone;
}

static void
fail(struct captures_update *u, const struct err *why)
{
	keep_reason(u, why);
	if (u->is_rolling_back || u->at == 0) {
		finish(u);
		return;
	}
	/* Those that have the new filter get the old one back. */
	u->is_rolling_back = true;
	u->start = u->entry->start;
	u->place = FILTER_KERNEL;
	u->refilter->n = u->at;
	u->at = 0;
	attach(u);
}

/* The client sees the place, but not why it is not the kernel. */
static void
tell_fallback(struct captures_update *u)
{
	char text[PROTO_MAX_TEXT + 1];

	if (u->no_room.code == E_OK)
		return;
	snprintf(text, sizeof(text), "%s: filtered %s", u->no_room.what,
	    place_text(u->next.place));
	capture_tell(u->entry->capture, CAPTURE_EVENT_OTHER, u->at, text);
	u->no_room.code = E_OK;
}

static void
take_attached(struct captures_update *u)
{
	struct captures_tap *tap = u->entry->taps[u->at];
	struct capture_refilter_item *item = &u->refilter->items[u->at];

	tap->s = u->next;
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

static void
attached(const struct err *err, void *arg)
{
	struct captures_update *u = arg;

	u->request = NULL;
	if (err->code == E_OK) {
		take_attached(u);
		u->at++;
		u->place = FILTER_KERNEL;
		attach(u);
	} else if (err->code == E_FILTER && !u->start.kernel_only &&
	    u->next.place < FILTER_CLIENT) {
		/* The kernel has no room for it: see there what it can do. */
		u->no_room = *err;
		u->place = u->next.place + 1;
		attach(u);
	} else {
		fail(u, err);
	}
}

/* The next tap's program; at the end, the outcome. */
static void
attach(struct captures_update *u)
{
	struct captures_entry *e = u->entry;
	const struct captures_tap *tap;
	struct err err;

	while (u->at < u->refilter->n && !is_affected(e->taps[u->at])) {
		u->at++;
		u->place = FILTER_KERNEL;
	}
	if (u->at == u->refilter->n) {
		finish(u);
		return;
	}
	tap = e->taps[u->at];
	if (link_tap(u, tap, &err) != E_OK) {
		fail(u, &err);
		return;
	}
	if (must_hold(u, tap)) {
		u->is_held = true;
		capture_hold(e->capture);	/* captures_update_held() goes on */
		return;
	}
	u->request = priv_call_filter(e->set->net->call, tap->s.handle,
	    u->prologue.prog.insns, u->prologue.prog.n, attached, u);
	if (u->request == NULL) {
		err_set(&err, E_NOMEM, "filter: change: out of memory");
		fail(u, &err);
	}
}

void
captures_update_held(struct captures_entry *e)
{
	if (e->update != NULL)
		attach(e->update);
}

/* Is there a program for every socket?  Says where not. */
static int
check_all(struct captures_update *u, struct err *err)
{
	int rc = E_OK;

	for (uint32_t i = 0; rc == E_OK && i < u->entry->n_taps; i++)
		if (is_affected(u->entry->taps[i]))
			rc = link_tap(u, u->entry->taps[i], err);
	return rc;
}

void
captures_update_begin(struct captures_entry *e)
{
	struct captures_update *u = calloc(1, sizeof(*u));
	struct capture_refilter *refilter = calloc(1, sizeof(*refilter) +
	    e->n_taps * sizeof(refilter->items[0]));
	struct err err;

	if (u == NULL || refilter == NULL) {
		free(u);
		free(refilter);
		captures_update_abandon(e);
		capture_end(e->capture, E_NOMEM, "filter: change: out of memory");
		return;
	}
	u->entry = e;
	u->msg = e->next_update;
	e->next_update = NULL;
	u->start = e->start;
	u->start.filters = u->msg->update_filter.filters;
	u->refilter = refilter;
	refilter->number = u->msg->update_filter.number;
	refilter->n = e->n_taps;
	e->update = u;
	/* All of it, before anything changes. */
	if (check_all(u, &err) != E_OK) {
		fail(u, &err);
		return;
	}
	attach(u);
}
