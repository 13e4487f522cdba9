/*
 * capture_interfaces - what becomes of a capture's interfaces while it runs.
 *
 * A packet socket says ENETDOWN when its interface went down, and the same
 * when it was deleted or moved to another network namespace.  The kernel's
 * list tells which, a moment later; the client is told, and a capture whose
 * interfaces are all gone ends.
 */
#include "server/capture_int.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/log.h"
#include "server/interfaces.h"

enum {
	SETTLE_MS = 200,	/* until a deletion has gone through the kernel */
	DOWN_MS = 1000,		/* between looks at one that is down */
};

static void PRINTF_LIKE(4, 5)
tell(struct capture *c, enum capture_event kind, const struct capture_ring *r,
    const char *fmt, ...)
{
	struct msg msg = { .type = MSG_EVENT };
	struct msg_event *event = &msg.event;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(event->text, sizeof(event->text), fmt, ap);
	va_end(ap);
	event->sequence = c->next_sequence;
	event->time = clock_wall();
	event->kind = kind;
	event->iface = (uint32_t)(r - c->rings);
	log_info(LOG_CAPTURE, "%s", event->text);
	if (c->state < CAPTURE_CLOSING && conn_queued(c->conn) < CAPTURE_UNREAD_MAX &&
	    stream_send(c->conn, &msg) != E_OK)
		capture_die(c);
}

static void
set_link(struct capture *c, struct capture_ring *r, enum capture_link link)
{
	if (r->link == link)
		return;
	r->link = link;
	switch (link) {
	case CAPTURE_LINK_UP:
		tell(c, CAPTURE_EVENT_UP, r, "interface '%s' is up again", r->name);
		return;
	case CAPTURE_LINK_DOWN:
		tell(c, CAPTURE_EVENT_DOWN, r, "interface '%s' is down: the "
		    "capture goes on when it is up again", r->name);
		return;
	case CAPTURE_LINK_GONE:
		tell(c, CAPTURE_EVENT_GONE, r, "interface '%s' is gone", r->name);
		return;
	}
}

static void
look(struct capture *c, const struct interfaces *list)
{
	for (uint32_t i = 0; i < c->n_rings; i++) {
		struct capture_ring *r = &c->rings[i];
		const struct interface_info *info =
		    interfaces_find_index(list, r->ifindex);

		/* A number may be used again, but not by this socket. */
		if (info == NULL || r->link == CAPTURE_LINK_GONE)
			set_link(c, r, CAPTURE_LINK_GONE);
		else
			set_link(c, r, info->is_up ? CAPTURE_LINK_UP :
			    CAPTURE_LINK_DOWN);
	}
}

static uint32_t
count_links(const struct capture *c, enum capture_link link)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->n_rings; i++)
		if (c->rings[i].link == link)
			n++;
	return n;
}

void
capture_on_link_timer(void *arg)
{
	struct capture *c = arg;
	struct interfaces *list;
	struct err err;

	if (interfaces_read(&list, &err) != E_OK) {
		log_warn(LOG_CAPTURE, "%s", err.what);
		loop_timer_set(c->link_timer, (int64_t)DOWN_MS * NS_PER_MS);
		return;
	}
	look(c, list);
	interfaces_free(list);
	if (count_links(c, CAPTURE_LINK_GONE) == c->n_rings)
		capture_begin_end(c, E_NOIFACE, c->n_rings == 1 ?
		    "the interface is gone" : "all interfaces are gone");
	else if (count_links(c, CAPTURE_LINK_DOWN) > 0)
		loop_timer_set(c->link_timer, (int64_t)DOWN_MS * NS_PER_MS);
}

void
capture_link_error(struct capture *c)
{
	loop_timer_set(c->link_timer, (int64_t)SETTLE_MS * NS_PER_MS);
}
