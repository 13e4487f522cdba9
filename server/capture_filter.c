/*
 * capture_filter - other filters for a capture that runs.
 *
 * The client's UpdateFilter goes to the first thread, which has the kernel
 * take the new programs.  What was let through by the old ones is still in
 * the rings then: every packet from before that moment is judged again here,
 * by the new filter on the packet that was captured.
 */
#include "server/capture_int.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"

/* An UpdateFilter came: to the first thread. */
void
capture_update(struct capture *c, struct msg *msg)
{
	const struct msg_update_filter *update = &msg->update_filter;

	if (!stream_has_room(&c->stream)) {
		capture_refuse(c, E_LIMIT, "UpdateFilter: earlier answers are not read");
		return;
	}
	if (c->is_updating || update->number != c->update_number + 1) {
		capture_refuse(c, E_STATE, c->is_updating ?
		    "UpdateFilter: the one before is not answered yet" :
		    "UpdateFilter: not the next number");
		return;
	}
	if (update->n_filters != c->n_filters) {
		capture_refuse(c, E_STATE, "UpdateFilter: not as many filters as "
		    "Start had");
		return;
	}
	if (c->state != CAPTURE_RUNNING)
		return;			/* Ended is the answer */
	c->update_number = update->number;
	c->is_updating = true;
	c->update_mail.msg = *msg;
	*msg = (struct msg){ .type = MSG_PING };	/* its memory is the mail's */
	mailbox_post(c->owner, &c->update_mail.mail);
}

/*
 * Judge this interface's packets as place says; takes check.  With is_change
 * the ring still holds what an older filter let through.
 *
 * Packets that were sampled under the old filter are right for the new one,
 * too: of what matches both, each was kept with the same chance, and flows
 * are chosen by their addresses alone.
 */
void
capture_set_check(struct capture_ring *r, enum filter_place place,
    struct prologue_check *check, bool is_change)
{
	const struct ring_filter recheck = {
		.check = is_change ? check : NULL,
		.drop_uncertain = true,
		.until_block = ring_open_block(&r->ring),
		.until_time.ns = r->is_adapter_time ? 0 : clock_wall().ns,
	};
	const struct ring_filter standing = {
		.check = place == FILTER_AGENT ? check : NULL,
		.only_tagged = true,
		.until_block = UINT64_MAX,
	};

	ring_set_filters(&r->ring, &recheck, &standing);
	free(r->check);
	r->check = check;
	r->place = place;
}

static void
set_items(struct capture *c, struct capture_refilter *refilter)
{
	for (uint32_t i = 0; i < refilter->n && i < c->n_rings; i++) {
		struct capture_refilter_item *item = &refilter->items[i];
		struct capture_ring *r = c->rings[i];

		if (!item->is_set)
			continue;
		if (r->state != CAPTURE_RING_CLOSED) {
			capture_set_check(r, item->place, item->check, true);
			item->check = NULL;
			r->ring.link.snaplen = item->snaplen;
		}
		if (item->place == FILTER_CLIENT)
			c->max_packets = 0;	/* the client counts what it keeps */
	}
}

static void
tell_outcome(struct capture *c, const struct capture_refilter *refilter)
{
	struct msg msg = { .type = MSG_FILTER_CHANGED };
	struct msg_filter_changed *changed = &msg.filter_changed;

	changed->number = refilter->number;
	changed->code = refilter->code;
	changed->sequence = c->next_sequence;
	changed->time = clock_wall();
	if (refilter->code != E_OK)
		memcpy(changed->text, refilter->text, sizeof(changed->text));
	changed->places = calloc(c->n_rings > 0 ? c->n_rings : 1,
	    sizeof(*changed->places));
	if (changed->places == NULL) {
		capture_begin_end(c, E_NOMEM, "filter: change: out of memory");
		return;
	}
	for (uint32_t i = 0; i < c->n_rings; i++)
		changed->places[i] = c->rings[i]->place;
	changed->n_places = c->n_rings;
	capture_announce(c, &msg);
	msg_free(&msg);
	if (refilter->code == E_OK)
		log_info(LOG_CAPTURE, "filter changed to '%s', from batch %llu on",
		    refilter->text, (unsigned long long)c->next_sequence);
	else
		log_warn(LOG_CAPTURE, "filter not changed: %s", refilter->text);
}

void
capture_take_refilter(struct capture *c, struct capture_refilter *refilter)
{
	capture_seal(c);
	set_items(c, refilter);
	tell_outcome(c, refilter);
	c->is_holding = false;
	c->is_updating = false;
	capture_watch_rings(c);
	capture_read_rings(c);
}
