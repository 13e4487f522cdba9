#include "client/notes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
notes_add(struct notes *notes, const char *text)
{
	char *copy = notes->n < NOTES_MAX ? strdup(text) : NULL;

	if (copy == NULL)
		notes->n_more++;
	else
		notes->texts[notes->n++] = copy;
}

static void
put(struct sink_remarks *r, const char *text)
{
	if (r->n_comments < SINK_COMMENTS_MAX)
		r->comments[r->n_comments++] = text;
}

void
notes_put(struct notes *notes, struct sink_remarks *r)
{
	for (uint32_t i = 0; i < notes->n; i++)
		put(r, notes->texts[i]);
	if (notes->n_more == 0)
		return;
	snprintf(notes->more, sizeof(notes->more), "and %" PRIu64 " more events",
	    notes->n_more);
	put(r, notes->more);
}

void
notes_clear(struct notes *notes)
{
	for (uint32_t i = 0; i < notes->n; i++)
		free(notes->texts[i]);
	*notes = (struct notes){ .n = 0 };
}
