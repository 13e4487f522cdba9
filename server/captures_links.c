/*
 * captures_links - what becomes of a capture's interfaces.
 *
 * A capture stays with its interface when that is renamed or goes down and up
 * again.  When it is gone, its place in the stream ends; one that comes under
 * a name that the capture wants gets a new place (captures_look.c).
 */
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/captures_int.h"
#include "server/wanted.h"

enum {
	SETTLE_MS = 50,			/* devices come in several steps, and in swarms */
	DOWN_MS = 200,			/* the first step of a deletion is to go down */
	ALONE_S = 10,			/* for the last interface to be made again */
};

static void PRINTF_LIKE(3, 4)
tell(struct captures_tap *tap, enum capture_event kind, const char *fmt, ...)
{
	struct captures_entry *e = tap->entry;
	char text[PROTO_MAX_TEXT + 1];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (uint32_t i = 0; i < e->n_taps; i++)
		if (e->taps[i] == tap)
			capture_tell(e->capture, kind, i, text);
}

/* "netns:blue/", or nothing. */
static const char *
prefix(const struct captures_tap *tap, char dst[static PROTO_MAX_NAME + 2])
{
	snprintf(dst, PROTO_MAX_NAME + 2, "%s%s", tap->s.network_namespace,
	    tap->s.network_namespace[0] == '\0' ? "" : "/");
	return dst;
}

/* Without an interface: how long the capture goes on, in s; -1: for ever. */
static int
waits_alone(const struct captures_entry *e)
{
	for (uint32_t i = 0; i < e->start.n_interfaces; i++)
		if (wanted_is_pattern(&e->start.interfaces[i]))
			return -1;
	return wanted_follows(&e->start) ? ALONE_S : 0;
}

static void
consider_end(struct captures_entry *e)
{
	int wait_s = waits_alone(e);

	if (e->n_live > 0 || wait_s < 0)
		return;
	if (wait_s > 0)
		loop_timer_set(e->alone_timer, (int64_t)wait_s * NS_PER_S);
	else
		captures_on_alone_timer(e);
}

void
captures_on_alone_timer(void *arg)
{
	struct captures_entry *e = arg;

	if (e->n_live == 0)
		capture_end(e->capture, E_NOIFACE, e->n_taps == 1 ?
		    "the interface is gone" : "all interfaces are gone");
}

static void
tell_down(struct captures_tap *tap)
{
	char place[PROTO_MAX_NAME + 2];

	if (tap->is_down_new && !tap->is_gone)
		tell(tap, CAPTURE_EVENT_DOWN, "interface '%s%s' is down: the "
		    "capture goes on when it is up again", prefix(tap, place),
		    tap->name);
	tap->is_down_new = false;
}

static void
set_down(struct captures_tap *tap, bool is_down)
{
	char place[PROTO_MAX_NAME + 2];

	tap->is_down = is_down;
	if (is_down) {
		tap->is_down_new = true;
		loop_timer_set(tap->entry->set->down_timer,
		    (int64_t)DOWN_MS * NS_PER_MS);
		return;
	}
	tell_down(tap);
	tell(tap, CAPTURE_EVENT_UP, "interface '%s%s' is up again",
	    prefix(tap, place), tap->name);
}

void
captures_on_down_timer(void *arg)
{
	struct captures *set = arg;

	for (struct captures_entry *e = set->first; e != NULL; e = e->next)
		for (uint32_t i = 0; i < e->n_taps; i++)
			tell_down(e->taps[i]);
}

static void
set_gone(struct captures_tap *tap, const struct link_change *now)
{
	char place[PROTO_MAX_NAME + 2], waiting[64] = "";

	tap->is_gone = true;
	tap->entry->n_live--;
	if (tap->entry->n_live == 0 && waits_alone(tap->entry) > 0)
		snprintf(waiting, sizeof(waiting), ": the capture waits %d s for it to be "
		    "made again", ALONE_S);
	tell(tap, CAPTURE_EVENT_GONE, "interface '%s%s' %s%s", prefix(tap, place),
	    tap->name, now->is_moved ? "was moved to another network namespace" :
	    "is gone", waiting);
	captures_forget_refused(tap->entry, tap->s.netns, tap->s.socket.ifindex);
	consider_end(tap->entry);
}

void
captures_link_apply(struct captures_tap *tap, const struct link_change *now)
{
	char place[PROTO_MAX_NAME + 2];

	if (tap->is_gone)
		return;			/* the number is another interface's now */
	prefix(tap, place);
	if (now->is_gone) {
		set_gone(tap, now);
		return;
	}
	if (strcmp(tap->name, now->name) != 0) {
		tell(tap, CAPTURE_EVENT_RENAMED, "interface '%s%s' was renamed to "
		    "'%s'", place, tap->name, now->name);
		memcpy(tap->name, now->name, sizeof(tap->name));
	}
	if (tap->is_down == now->is_up)
		set_down(tap, !now->is_up);
	if (tap->mtu != now->mtu && tap->mtu != 0)
		tell(tap, CAPTURE_EVENT_MTU, "MTU of '%s%s' is %u now", place,
		    tap->name, now->mtu);
	tap->mtu = now->mtu;
}

/* Might this interface be one to open? */
static void
consider_new(struct captures_entry *e, const struct link_change *now)
{
	struct priv_interface iface = { .index = now->ifindex };

	if (now->is_gone || !now->is_up)
		captures_forget_refused(e, 0, now->ifindex);
	memcpy(iface.name, now->name, sizeof(iface.name));
	for (uint32_t i = 0; i < e->n_taps; i++)
		if (!e->taps[i]->is_gone && e->taps[i]->s.netns == 0 &&
		    e->taps[i]->s.socket.ifindex == now->ifindex)
			return;
	if (now->is_gone || !now->is_up || !wanted_follows(&e->start) ||
	    wanted_request(&e->start, "", &iface) < 0)
		return;
	e->wants_look = true;
	loop_timer_set(e->set->look_timer, (int64_t)SETTLE_MS * NS_PER_MS);
}

static const struct priv_interface *
find_index(const struct priv_interface *list, size_t n, uint32_t ifindex)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].index == ifindex)
			return &list[i];
	return NULL;
}

/*
 * What adapters of other namespaces could not receive since the last look; the
 * capture's thread itself asks about those of our own.
 */
static void
tell_lost(struct captures_tap *tap, uint32_t number, uint64_t now)
{
	uint64_t before = tap->s.rx_lost;

	tap->s.rx_lost = now;
	if (now != before)		/* a driver loaded anew begins at 0 */
		capture_lost_by_adapter(tap->entry->capture, number,
		    now > before ? now - before : now);
}

void
captures_links_compare(struct captures_entry *e, uint32_t netns,
    const struct priv_interface *list, size_t n)
{
	for (uint32_t i = 0; i < e->n_taps; i++) {
		struct captures_tap *tap = e->taps[i];
		const struct priv_interface *found =
		    find_index(list, n, tap->s.socket.ifindex);
		struct link_change now = { .is_gone = found == NULL };

		/* A cooked socket on all interfaces has none of its own. */
		if (tap->s.netns != netns || tap->s.socket.ifindex == 0)
			continue;
		if (found != NULL) {
			now.is_up = (found->flags & IFF_UP) != 0;
			now.mtu = found->mtu;
			memcpy(now.name, found->name, sizeof(now.name));
			if (netns != 0 && !tap->is_gone)
				tell_lost(tap, i, found->rx_lost);
		}
		captures_link_apply(tap, &now);
	}
}

void
captures_links_lost(struct captures_tap *tap)
{
	const struct link_change gone = { .is_gone = true };
	struct captures_entry *e = tap->entry;

	if (tap->is_gone || e->is_quiescing)
		return;
	captures_link_apply(tap, &gone);
	e->wants_look = true;
	e->places_left = e->n_places;
	loop_timer_set(e->set->look_timer, (int64_t)SETTLE_MS * NS_PER_MS);
}

void
captures_links_lose(struct captures_entry *e, uint32_t netns)
{
	const struct link_change gone = { .is_gone = true };

	for (uint32_t i = 0; i < e->n_taps; i++)
		if (e->taps[i]->s.netns == netns)
			captures_link_apply(e->taps[i], &gone);
}

void
captures_link_changed(const struct link_change *change, void *arg)
{
	struct captures *set = arg;

	for (struct captures_entry *e = set->first; e != NULL; e = e->next) {
		if (e->is_quiescing)
			continue;
		if (change == NULL) {
			e->wants_compare = true;
			loop_timer_set(set->look_timer,
			    (int64_t)SETTLE_MS * NS_PER_MS);
			continue;
		}
		for (uint32_t i = 0; i < e->n_taps; i++)
			if (e->taps[i]->s.netns == 0 &&
			    e->taps[i]->s.socket.ifindex == change->ifindex)
				captures_link_apply(e->taps[i], change);
		consider_new(e, change);
	}
}

void
captures_on_look_timer(void *arg)
{
	struct captures *set = arg;

	for (struct captures_entry *e = set->first; e != NULL; e = e->next)
		captures_go_on(e);
}
