/*
 * captures_refused - interfaces that a capture wants and cannot have.
 *
 * Each is told once and not tried again, until something happened that may
 * change it.
 */
#include <stdio.h>

#include "server/captures_int.h"

/* Its place among those refused, or e->n_refused. */
static uint32_t
find_refused(const struct captures_entry *e, uint32_t netns, uint32_t ifindex)
{
	uint32_t i = 0;

	while (i < e->n_refused && (e->refused[i].netns != netns ||
	    e->refused[i].ifindex != ifindex))
		i++;
	return i;
}

bool
captures_is_refused(const struct captures_entry *e, uint32_t netns, uint32_t ifindex)
{
	uint32_t i = find_refused(e, netns, ifindex);

	return i < e->n_refused && !e->refused[i].is_retried;
}

void
captures_forget_refused(struct captures_entry *e, uint32_t netns, uint32_t ifindex)
{
	uint32_t i = find_refused(e, netns, ifindex);

	if (i < e->n_refused)
		e->refused[i] = e->refused[--e->n_refused];
}

void
captures_retry_refused(struct captures *set)
{
	for (struct captures_entry *e = set->first; e != NULL; e = e->next) {
		bool is_wanting = e->has_said_limit;

		for (uint32_t i = 0; i < e->n_refused; i++) {
			e->refused[i].is_retried |= e->refused[i].is_limit;
			is_wanting |= e->refused[i].is_limit;
		}
		if (!is_wanting || e->is_quiescing)
			continue;
		e->wants_look = true;
		loop_timer_set(set->look_timer, 0);
	}
}

void
captures_refuse(struct captures_entry *e, uint32_t netns, uint32_t ifindex,
    const struct err *why)
{
	uint32_t i = find_refused(e, netns, ifindex);
	bool is_known = i < e->n_refused;
	char text[PROTO_MAX_TEXT + 1];

	if (!is_known && e->n_refused == CAPTURES_REFUSED_MAX)
		e->n_refused = --i;		/* rather again than never */
	e->refused[i].netns = netns;
	e->refused[i].ifindex = ifindex;
	e->refused[i].is_limit = why->code == E_LIMIT;
	e->refused[i].is_retried = false;
	if (is_known)
		return;
	e->n_refused++;
	snprintf(text, sizeof(text), "not captured: %s", why->what);
	capture_tell(e->capture, CAPTURE_EVENT_NOT_CAPTURED, CAPTURE_EVENT_WHOLE, text);
}
