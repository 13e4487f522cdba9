/*
 * capture_interfaces - a capture's interfaces come and go while it runs.
 *
 * What happens is found out in the first thread (rtnetlink, capagent's lists);
 * here the rings follow, and the client is told.
 */
#include "server/capture_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

enum {
	LEAVE_STEP_MS = 10,	/* between looks at a ring that empties */
	LEAVE_EXTRA_MS = 250,	/* beyond two retire times, on slow timers */
};

void
capture_ring_close(struct capture_ring *r)
{
	loop_io_free(r->io);
	r->io = NULL;
	ring_unmap(r->mem, r->block_size, r->block_nr);
	r->mem = NULL;
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
	free(r->check);
	r->check = NULL;
	r->state = CAPTURE_RING_CLOSED;
}

static struct capture_ring *
ring_new(struct capture *c, const struct capture_socket *s)
{
	struct capture_ring *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	*r = (struct capture_ring){ .capture = c, .fd = s->fd,
	    .block_size = s->block_size, .block_nr = s->block_nr,
	    .retire_ms = s->retire_ms, .ifindex = s->ifindex,
	    .is_elsewhere = s->is_elsewhere,
	    .is_adapter_time = s->is_adapter_time };
	memcpy(r->name, s->name, sizeof(r->name));
	r->closed_mail = (struct capture_mail){ .type = CAPTURE_MAIL_CLOSED,
	    .capture = c, .iface = c->n_rings };
	r->lost_mail = r->closed_mail;
	r->lost_mail.type = CAPTURE_MAIL_LOST;
	return r;
}

/* Room for one more pointer. */
static int
make_room(struct capture *c)
{
	uint32_t room = c->rings_room == 0 ? 4 : c->rings_room * 2;
	struct capture_ring **rings;

	if (c->n_rings < c->rings_room)
		return E_OK;
	rings = reallocarray(c->rings, room, sizeof(*rings));
	if (rings == NULL)
		return E_NOMEM;
	c->rings = rings;
	c->rings_room = room;
	return E_OK;
}

int
capture_ring_add(struct capture *c, const struct capture_socket *s,
    struct err *err)
{
	struct capture_ring *r = make_room(c) == E_OK ? ring_new(c, s) : NULL;
	int rc;

	if (r == NULL) {
		close(s->fd);
		free(s->check);
		return err_set(err, E_NOMEM, "interface '%s': watch: out of memory",
		    s->name);
	}
	rc = ring_map(s->fd, s->block_size, s->block_nr, &r->mem, err);
	if (rc == E_OK) {
		r->io = loop_io_new(c->loop, s->fd, capture_on_ring, r);
		if (r->io == NULL)
			rc = err_set(err, E_NOMEM, "interface '%s': watch: out of "
			    "memory", s->name);
	}
	if (rc != E_OK) {
		capture_ring_close(r);
		free(r);
		free(s->check);
		return rc;
	}
	ring_init(&r->ring, r->mem, s->block_size, s->block_nr, &s->link);
	r->ring.link.iface = c->n_rings;
	capture_set_check(r, s->place, s->check, false);
	if (s->place == FILTER_CLIENT)
		c->max_packets = 0;	/* the client counts what it keeps */
	c->rings[c->n_rings++] = r;
	return E_OK;
}

void
capture_interface_add(struct capture *c, const struct capture_socket *s,
    const struct msg_capture_interface *info)
{
	struct capture_ring *r;
	struct err err;

	if (c->state != CAPTURE_RUNNING) {
		close(s->fd);
		free(s->check);
		free(info->addresses);
		return;
	}
	/* With a failure the numbers after it would be wrong. */
	if (capture_ring_add(c, s, &err) != E_OK) {
		free(info->addresses);
		capture_begin_end(c, err.code, err.what);
		return;
	}
	if (capture_news_add_interface(c, info) != E_OK) {
		capture_begin_end(c, E_NOMEM, "interface: add: out of memory");
		return;
	}
	r = c->rings[c->n_rings - 1];
	(void)capture_tell_news(c);
	log_info(LOG_CAPTURE, "interface '%s': captured as interface %u", r->name,
	    c->n_rings - 1);
	capture_read_nic(c);
	(void)loop_io_set(r->io, capture_ring_events(c));
	capture_read_rings(c);
}

void
capture_look_for_lost(struct capture *c)
{
	for (uint32_t i = 0; i < c->n_rings; i++) {
		struct capture_ring *r = c->rings[i];

		if (r->state != CAPTURE_RING_OPEN || r->is_lost ||
		    !ring_socket_is_lost(r->fd))
			continue;
		r->is_lost = true;
		mailbox_post(c->owner, &r->lost_mail.mail);
	}
}

void
capture_on_lost_timer(void *arg)
{
	capture_look_for_lost(arg);
}

/* Nothing enters its ring any more: empty it and let it go. */
static void
begin_leave(struct capture_ring *r)
{
	struct capture *c = r->capture;

	if (r->state != CAPTURE_RING_OPEN)
		return;
	r->state = CAPTURE_RING_LEAVING;
	r->leave_until = clock_mono();
	r->leave_until.ns += (2 * (int64_t)r->retire_ms + LEAVE_EXTRA_MS) *
	    NS_PER_MS;
	loop_timer_set(c->leave_timer, (int64_t)LEAVE_STEP_MS * NS_PER_MS);
}

void
capture_on_leave_timer(void *arg)
{
	struct capture *c = arg;
	bool has_more = false;

	if (c->state != CAPTURE_RUNNING)
		return;			/* the drain of all does it */
	capture_read_rings(c);
	if (c->state != CAPTURE_RUNNING)
		return;
	capture_read_stats(c);
	for (uint32_t i = 0; i < c->n_rings; i++) {
		struct capture_ring *r = c->rings[i];

		if (r->state != CAPTURE_RING_LEAVING)
			continue;
		if (c->is_holding || ring_is_ready(&r->ring) ||
		    (!capture_ring_has_everything(r) &&
		    mono_diff_ns(clock_mono(), r->leave_until) < 0)) {
			has_more = true;
			continue;
		}
		capture_ring_close(r);
		mailbox_post(c->owner, &r->closed_mail.mail);
	}
	if (has_more)
		loop_timer_set(c->leave_timer, (int64_t)LEAVE_STEP_MS * NS_PER_MS);
}

void
capture_rings_close(struct capture *c)
{
	capture_read_stats(c);
	capture_read_nic(c);
	for (uint32_t i = 0; i < c->n_rings; i++) {
		struct capture_ring *r = c->rings[i];

		if (r->state == CAPTURE_RING_CLOSED)
			continue;
		capture_ring_close(r);
		mailbox_post(c->owner, &r->closed_mail.mail);
	}
}

void
capture_interface_tell(struct capture *c, enum capture_event kind,
    uint32_t iface, const char *text)
{
	struct msg msg = { .type = MSG_EVENT };

	/* One that came while the capture ended is not the client's. */
	if (iface != CAPTURE_EVENT_WHOLE && iface >= c->started.n_interfaces)
		return;
	/* What came before it is in the batches before it. */
	capture_read_rings(c);
	log_info(LOG_CAPTURE, "%s", text);
	msg.event.sequence = c->next_sequence;
	msg.event.time = clock_wall();
	msg.event.kind = kind;
	msg.event.iface = iface;
	snprintf(msg.event.text, sizeof(msg.event.text), "%s", text);
	capture_announce(c, &msg);
	if (kind == CAPTURE_EVENT_GONE && iface < c->n_rings)
		begin_leave(c->rings[iface]);
}
