/*
 * capture_news - what the client is told besides packets: interfaces that
 * came, what happened to them, other filters.
 *
 * All of it is kept, and goes out before the next batch: a client that was
 * away, or that does not read, so gets it late, but in its place.
 */
#include "server/capture_int.h"

#include <stdlib.h>
#include <string.h>


int
capture_news_add_interface(struct capture *c, const struct msg_capture_interface *info)
{
	uint32_t room = c->started_room == 0 ? 4 : c->started_room * 2;
	struct msg_capture_interface *all;

	if (c->started.n_interfaces == c->started_room) {
		all = reallocarray(c->started.interfaces, room, sizeof(*all));
		if (all == NULL) {
			free(info->addresses);
			return E_NOMEM;
		}
		c->started.interfaces = all;
		c->started_room = room;
	}
	c->started.interfaces[c->started.n_interfaces++] = *info;
	if (info->snaplen > c->started.snaplen)
		c->started.snaplen = info->snaplen;
	return E_OK;
}

/* From a FilterChanged on its interfaces are judged where it says. */
static void
set_places(struct msg_started *started, const struct msg *msg)
{
	const struct msg_filter_changed *changed = &msg->filter_changed;

	if (msg->type != MSG_FILTER_CHANGED)
		return;
	for (uint32_t i = 0; i < changed->n_places && i < started->n_interfaces; i++)
		started->interfaces[i].filter_place = changed->places[i];
}

static void
set_places_of(struct msg_started *started, const struct announcement *a)
{
	struct msg msg;
	size_t at = 0;

	while ((a->frame[at++] & 0x80) != 0)
		;			/* the frame's header */
	if (codec_unpack(a->frame + at, a->len - at, &msg) != E_OK)
		return;
	set_places(started, &msg);
	msg_free(&msg);
}

void
capture_news_gone(const struct announcement *gone, void *arg)
{
	struct capture *c = arg;

	set_places_of(&c->started, gone);
}

void
capture_announce(struct capture *c, const struct msg *msg)
{
	uint64_t gone;

	if (announcements_add(c->announcements, msg) != E_OK)
		set_places(&c->started, msg);
	gone = announcements_gone(c->announcements);
	if (c->conn != NULL && c->n_announced < gone) {
		/* Without a Resume nobody counts them. */
		if (c->started.has_token) {
			capture_lose_conn(c, "the client reads nothing of what is announced");
			return;
		}
		c->n_announced = gone;
	}
	(void)capture_tell_news(c);
}

static int
tell_interface(struct capture *c)
{
	struct msg msg = { .type = MSG_INTERFACE_ADDED };

	msg.interface_added.interface = c->started.interfaces[c->n_told];
	/* None of those that were sent has packets of it. */
	msg.interface_added.sequence = batch_log_given(c->log) + 1;
	c->n_told++;
	return stream_send(c->conn, &msg);
}

static int
tell_announcement(struct capture *c)
{
	struct announcement a = announcements_get(c->announcements, c->n_announced);

	c->n_announced++;
	return conn_send(c->conn, a.frame, a.len);
}

static bool
has_news(const struct capture *c)
{
	return c->n_told < c->started.n_interfaces ||
	    c->n_announced < announcements_count(c->announcements);
}

bool
capture_tell_news(struct capture *c)
{
	if (c->conn == NULL || c->state >= CAPTURE_CLOSING)
		return false;
	while (has_news(c) && stream_has_room(&c->stream)) {
		/* An Event may be about an interface that came before it. */
		int rc = c->n_told < c->started.n_interfaces ? tell_interface(c) :
		    tell_announcement(c);

		if (rc != E_OK) {
			capture_lose_conn(c, NULL);
			return false;
		}
	}
	return !has_news(c);
}

int
capture_pack_started(const struct capture *c, const struct msg_resume *resume,
    uint8_t **ret_frame, size_t *ret_len)
{
	struct msg msg = { .type = MSG_STARTED, .started = c->started };
	struct msg_started *started = &msg.started;
	uint64_t gone = announcements_gone(c->announcements);
	int rc;

	started->interfaces = calloc(started->n_interfaces + 1,
	    sizeof(*started->interfaces));
	if (started->interfaces == NULL)
		return E_NOMEM;
	if (started->n_interfaces > 0)
		memcpy(started->interfaces, c->started.interfaces,
		    started->n_interfaces * sizeof(*started->interfaces));
	started->next_sequence = resume->next_sequence;
	started->announcements = resume->announcements > gone ?
	    resume->announcements : gone;
	started->update_number = c->update_number;
	for (uint64_t n = gone; n < started->announcements; n++) {
		struct announcement a = announcements_get(c->announcements, n);

		set_places_of(started, &a);
	}
	rc = codec_pack(&msg, ret_frame, ret_len);
	free(started->interfaces);	/* the addresses are c's */
	return rc;
}
