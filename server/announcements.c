#include "server/announcements.h"

#include <stdlib.h>

#include "proto/limits.h"

struct entry {
	struct entry	*next;
	uint64_t	 sequence;
	uint8_t		*frame;
	size_t		 len;
};

struct announcements {
	struct entry	*first, **end;
	uint64_t	 gone, count;
	size_t		 bytes;
	announcements_fn fn;
	void		*arg;
};

struct announcements *
announcements_new(announcements_fn fn, void *arg)
{
	struct announcements *all = calloc(1, sizeof(*all));

	if (all == NULL)
		return NULL;
	all->end = &all->first;
	all->fn = fn;
	all->arg = arg;
	return all;
}

static void
free_first(struct announcements *all)
{
	struct entry *e = all->first;

	all->first = e->next;
	if (all->first == NULL)
		all->end = &all->first;
	all->bytes -= e->len;
	all->gone++;
	free(e->frame);
	free(e);
}

static void
drop_first(struct announcements *all)
{
	const struct entry *e = all->first;

	all->fn(&(struct announcement){ e->sequence, e->frame, e->len }, all->arg);
	free_first(all);
}

void
announcements_free(struct announcements *all)
{
	if (all == NULL)
		return;
	while (all->first != NULL)
		free_first(all);
	free(all);
}

static uint64_t
sequence_of(const struct msg *msg)
{
	return msg->type == MSG_EVENT ? msg->event.sequence :
	    msg->filter_changed.sequence;
}

/* Numbers have no holes: without this one those before it are of no use. */
static int
leave_out(struct announcements *all, int rc)
{
	while (all->first != NULL)
		drop_first(all);
	all->gone = ++all->count;
	return rc;
}

int
announcements_add(struct announcements *all, const struct msg *msg)
{
	struct entry *e = calloc(1, sizeof(*e));
	int rc = E_NOMEM;

	if (e != NULL)
		rc = codec_pack(msg, &e->frame, &e->len);
	if (rc != E_OK) {
		free(e);
		return leave_out(all, rc);
	}
	e->sequence = sequence_of(msg);
	*all->end = e;
	all->end = &e->next;
	all->bytes += e->len;
	all->count++;
	while (all->count - all->gone > PROTO_MAX_ANNOUNCEMENTS ||
	    all->bytes > PROTO_MAX_ANNOUNCEMENT_BYTES)
		drop_first(all);
	return E_OK;
}

uint64_t
announcements_count(const struct announcements *all)
{
	return all->count;
}

uint64_t
announcements_gone(const struct announcements *all)
{
	return all->gone;
}

struct announcement
announcements_get(const struct announcements *all, uint64_t n)
{
	const struct entry *e = all->first;

	for (uint64_t i = all->gone; i < n; i++)
		e = e->next;
	return (struct announcement){ e->sequence, e->frame, e->len };
}

void
announcements_ack(struct announcements *all, uint64_t acked)
{
	while (all->first != NULL && all->first->sequence <= acked)
		drop_first(all);
}
