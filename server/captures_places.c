/*
 * captures_places - network namespaces other than the agent's own.
 *
 * They tell nothing by themselves: while a capture names some, they are looked
 * at once a second.  A named one that was removed is looked for again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/captures_int.h"
#include "server/survey.h"

static const char named[] = "netns:";

int
captures_places_init(struct captures_entry *e, struct survey *survey)
{
	e->places = calloc(survey->n + 1, sizeof(*e->places));
	e->place_timer = loop_timer_new(e->set->net->loop, captures_on_place_timer, e);
	if (e->places == NULL || e->place_timer == NULL)
		return E_NOMEM;
	/* Also those where nothing is captured yet: a process is found only once. */
	for (uint32_t i = 0; i < survey->n; i++) {
		struct captures_place *place = &e->places[e->n_places];

		if (survey->places[i].netns[0] == '\0')
			continue;
		memcpy(place->name, survey->places[i].netns, sizeof(place->name));
		place->handle = survey_take_handle(survey, i);
		place->is_own = place->handle == 0;
		e->n_places++;
	}
	if (e->n_places > 0)
		loop_timer_set(e->place_timer, NS_PER_S);
	return E_OK;
}

void
captures_places_fini(struct captures_entry *e)
{
	for (uint32_t i = 0; i < e->n_places; i++)
		priv_call_netns_close(e->set->net->call, e->places[i].handle);
	free(e->places);
	loop_timer_free(e->place_timer);
}

void
captures_on_place_timer(void *arg)
{
	struct captures_entry *e = arg;

	loop_timer_set(e->place_timer, NS_PER_S);
	if (e->places_left == 0)
		e->places_left = e->n_places;
	captures_go_on(e);
}

/* --- one look --- */

static int
list(struct captures_look *look)
{
	look->request = priv_call_list_in(look->entry->set->net->call,
	    look->place->handle, captures_look_listed, look);
	return look->request == NULL ? E_NOMEM : E_OK;
}

/* Its handle, when there is such a namespace again. */
static void
entered(const struct err *err, uint32_t handle, void *arg)
{
	struct captures_look *look = arg;

	look->request = NULL;
	look->place->handle = handle;
	look->place->is_own = err->code == E_OK && handle == 0;
	if (err->code != E_OK || handle == 0 || list(look) != E_OK)
		captures_look_end(look);
}

static void
names_known(const struct err *err, const struct priv_netns_name *names, size_t n, void *arg)
{
	struct captures_look *look = arg;
	const char *name = look->place->name + strlen(named);

	look->request = NULL;
	for (size_t i = 0; err->code == E_OK && i < n; i++)
		if (strcmp(names[i].name, name) == 0)
			look->request = priv_call_netns(look->entry->set->net->call,
			    PRIV_NETNS_NAMED, names[i].number, entered, look);
	if (look->request == NULL)
		captures_look_end(look);
}

int
captures_place_ask(struct captures_look *look)
{
	struct captures_place *place = look->place;

	if (place->handle != 0)
		return list(look);
	/* A process that ended comes never back; its number may. */
	if (place->is_own || strncmp(place->name, named, strlen(named)) != 0)
		return E_EOF;
	look->request = priv_call_netns_names(look->entry->set->net->call,
	    names_known, look);
	return look->request == NULL ? E_NOMEM : E_OK;
}

void
captures_place_lose(struct captures_look *look)
{
	struct captures_place *place = look->place;

	captures_links_lose(look->entry, place->handle);
	/* Held open here, it would live on for us alone. */
	priv_call_netns_close(look->entry->set->net->call, place->handle);
	place->handle = 0;
}
