#include "server/survey.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/priv_call.h"
#include "server/wanted.h"

struct survey_work {
	struct net	*net;
	survey_fn	 fn;
	void		*arg;
	struct priv_call_request *request;
	struct priv_netns_name *names;	/* what the sensor has, once asked */
	size_t		 n_names;
	bool		 has_names;
	bool		 is_all;
	uint32_t	 at;		/* the place that is being asked about */
	bool		 is_entered;	/* its handle is known; 0 for our own */
};

static void next(struct survey *s);

static void
finish(struct survey *s, const struct err *err)
{
	s->work->fn(err, s->work->arg);
}

static void
fail(struct survey *s, int code, const char *text)
{
	struct err err;

	err_set(&err, code, "%s", text);
	finish(s, &err);
}

/* --- places --- */

static int
add_place(struct survey *s, const char *netns, size_t len, struct err *err)
{
	struct survey_place *place;

	for (uint32_t i = 0; i < s->n; i++)
		if (strlen(s->places[i].netns) == len &&
		    strncmp(s->places[i].netns, netns, len) == 0)
			return E_OK;
	if (s->n == SURVEY_MAX_PLACES)
		return err_set(err, E_LIMIT, "capture: start: more than %d network "
		    "namespaces", SURVEY_MAX_PLACES);
	place = &s->places[s->n++];
	memcpy(place->netns, netns, len);
	return E_OK;
}

static void
close_handle(struct survey *s, struct survey_place *place)
{
	if (place->handle != 0)
		priv_call_netns_close(s->work->net->call, place->handle);
	place->handle = 0;
}

/* Leave out a place that cannot be read; its successor takes its place. */
static void
leave_out(struct survey *s, struct survey_place *place)
{
	size_t i = (size_t)(place - s->places);

	close_handle(s, place);
	free(place->interfaces);
	s->work->is_entered = false;
	s->n--;
	memmove(place, place + 1, (s->n - i) * sizeof(*place));
	memset(&s->places[s->n], 0, sizeof(*place));
}

/* --- answers --- */

static void
listed(const struct err *err, const struct priv_interface *interfaces, size_t n,
    void *arg)
{
	struct survey *s = arg;
	struct survey_place *place = &s->places[s->work->at];

	s->work->request = NULL;
	if (err->code != E_OK && s->work->is_all && s->work->at > 0) {
		leave_out(s, place);
		next(s);
		return;
	}
	if (err->code != E_OK) {
		finish(s, err);
		return;
	}
	place->interfaces = calloc(n + 1, sizeof(*interfaces));
	if (place->interfaces == NULL) {
		fail(s, E_NOMEM, "interfaces: list: out of memory");
		return;
	}
	if (n > 0)
		memcpy(place->interfaces, interfaces, n * sizeof(*interfaces));
	place->n = n;
	if (s->work->is_all)
		close_handle(s, place);
	s->work->at++;
	s->work->is_entered = false;
	next(s);
}

static void
entered(const struct err *err, uint32_t handle, void *arg)
{
	struct survey *s = arg;
	struct survey_place *place = &s->places[s->work->at];

	s->work->request = NULL;
	if (err->code != E_OK && !s->work->is_all) {
		finish(s, err);
		return;
	}
	/* In a list our own namespace stands first, without its name. */
	if (s->work->is_all && (err->code != E_OK || handle == 0))
		leave_out(s, place);
	else {
		place->handle = handle;
		s->work->is_entered = true;
	}
	next(s);
}

static void
named(const struct err *err, const struct priv_netns_name *names, size_t n, void *arg)
{
	struct survey *s = arg;
	struct survey_work *w = s->work;
	struct err ignored;
	char netns[PROTO_MAX_NAME + 1];

	w->request = NULL;
	if (err->code != E_OK && !w->is_all) {
		finish(s, err);
		return;
	}
	if (err->code != E_OK)
		n = 0;
	w->names = calloc(n + 1, sizeof(*names));
	if (w->names == NULL) {
		fail(s, E_NOMEM, "network namespaces: list: out of memory");
		return;
	}
	if (n > 0)
		memcpy(w->names, names, n * sizeof(*names));
	w->n_names = n;
	w->has_names = true;
	for (size_t i = 0; w->is_all && i < n; i++) {
		int len = snprintf(netns, sizeof(netns), "netns:%s", names[i].name);

		if (add_place(s, netns, (size_t)len, &ignored) != E_OK)
			break;
	}
	next(s);
}

/* --- questions --- */

static int
find_number(const struct survey_work *w, const char *name, uint32_t *ret_number)
{
	for (size_t i = 0; i < w->n_names; i++)
		if (strcmp(w->names[i].name, name) == 0) {
			*ret_number = w->names[i].number;
			return E_OK;
		}
	return E_NOIFACE;
}

/* Digits and nothing else, and a number that a process can have; else 0. */
static uint32_t
parse_pid(const char *text)
{
	char *end;
	unsigned long value;

	if (text[0] < '1' || text[0] > '9')
		return 0;
	value = strtoul(text, &end, 10);
	return *end == '\0' && value <= INT32_MAX ? (uint32_t)value : 0;
}

/* Ask for the handle of a place outside our own namespace. */
static int
enter(struct survey *s, const struct survey_place *place, struct err *err)
{
	struct survey_work *w = s->work;
	bool is_pid = strncmp(place->netns, "pid:", 4) == 0;
	uint32_t number;

	if (is_pid) {
		number = parse_pid(place->netns + 4);
		if (number == 0)
			return err_set(err, E_USAGE, "network namespace '%s': start: "
			    "a process number is expected", place->netns);
	} else if (find_number(w, place->netns + 6, &number) != E_OK)
		return err_set(err, E_NOIFACE, "network namespace '%s': start: the "
		    "sensor has none of that name, or its configuration does not "
		    "permit it: see -D", place->netns);
	w->request = priv_call_netns(w->net->call, is_pid ? PRIV_NETNS_PID :
	    PRIV_NETNS_NAMED, number, entered, s);
	return w->request == NULL ? err_set(err, E_NOMEM, "capture: start: out of "
	    "memory") : E_OK;
}

static bool
needs_names(const struct survey *s)
{
	bool is_needed = s->work->is_all;

	for (uint32_t i = 0; i < s->n; i++)
		is_needed = is_needed ||
		    strncmp(s->places[i].netns, "netns:", 6) == 0;
	return is_needed && !s->work->has_names;
}

/* Ask the next question; E_EOF when there is none left. */
static int
ask(struct survey *s, struct err *err)
{
	struct survey_work *w = s->work;

	if (needs_names(s))
		w->request = priv_call_netns_names(w->net->call, named, s);
	else if (w->at == s->n)
		return E_EOF;
	else if (s->places[w->at].netns[0] != '\0' && !w->is_entered)
		return enter(s, &s->places[w->at], err);
	else
		w->request = priv_call_list_in(w->net->call, s->places[w->at].handle,
		    listed, s);
	return w->request == NULL ? err_set(err, E_NOMEM, "interfaces: list: out of "
	    "memory") : E_OK;
}

static void
next(struct survey *s)
{
	struct err err = { .code = E_OK };
	int rc = ask(s, &err);

	if (rc != E_OK)
		finish(s, &err);
}

/* --- life --- */

static struct survey *
survey_new(struct net *net, survey_fn fn, void *arg, struct err *err)
{
	struct survey *s = calloc(1, sizeof(*s));

	if (s != NULL)
		s->work = calloc(1, sizeof(*s->work));
	if (s == NULL || s->work == NULL) {
		free(s);
		err_set(err, E_NOMEM, "interfaces: list: out of memory");
		return NULL;
	}
	*s->work = (struct survey_work){ .net = net, .fn = fn, .arg = arg };
	return s;
}

/* The first question: what goes wrong here is told at once. */
static struct survey *
begin(struct survey *s, struct err *err)
{
	if (ask(s, err) == E_OK)
		return s;
	survey_free(s);
	return NULL;
}

struct survey *
survey_start(struct net *net, const struct msg_start *start, survey_fn fn, void *arg,
    struct err *err)
{
	struct survey *s = survey_new(net, fn, arg, err);
	struct wanted_name name;

	if (s == NULL)
		return NULL;
	for (uint32_t i = 0; i < start->n_interfaces; i++) {
		wanted_name(start, i, &name);
		if (add_place(s, start->interfaces[i].name, name.netns_len, err) !=
		    E_OK) {
			survey_free(s);
			return NULL;
		}
	}
	return begin(s, err);
}

struct survey *
survey_start_all(struct net *net, survey_fn fn, void *arg, struct err *err)
{
	struct survey *s = survey_new(net, fn, arg, err);

	if (s == NULL)
		return NULL;
	s->work->is_all = true;
	s->n = 1;			/* our own, first */
	return begin(s, err);
}

uint32_t
survey_take_handle(struct survey *s, uint32_t i)
{
	uint32_t handle = s->places[i].handle;

	s->places[i].handle = 0;
	return handle;
}

void
survey_free(struct survey *s)
{
	if (s == NULL)
		return;
	if (s->work->request != NULL)
		priv_call_cancel(s->work->net->call, s->work->request);
	for (uint32_t i = 0; i < s->n; i++) {
		close_handle(s, &s->places[i]);
		free(s->places[i].interfaces);
	}
	free(s->work->names);
	free(s->work);
	free(s);
}
