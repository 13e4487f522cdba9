/*
 * session_plan - which sockets a Start comes to: the interfaces that its
 * requests want, out of what the sensor has.
 */
#include <stdlib.h>
#include <string.h>

#include <net/if.h>
#include <linux/if_arp.h>

#include "common/link_type.h"
#include "server/session_int.h"
#include "server/wanted.h"


/* The plan while it is made. */
struct draft {
	struct session	*s;
	struct interfaces *list;	/* of our own namespace, for addresses */
	int		*owners[SURVEY_MAX_PLACES];	/* interface's request, or -1 */
	uint32_t	 n_down;	/* left out for now */
	char		 down[IFNAMSIZ];	/* one of them */
	const char	*empty;		/* a pattern that has none now, or NULL */
};

static struct survey_place *
place_of(const struct session *s, uint32_t request, const struct wanted_name *name)
{
	const char *text = s->start.start.interfaces[request].name;

	for (uint32_t i = 0; i < s->survey->n; i++) {
		struct survey_place *place = &s->survey->places[i];

		if (strlen(place->netns) == name->netns_len &&
		    strncmp(place->netns, text, name->netns_len) == 0)
			return place;
	}
	return NULL;			/* cannot be: the survey was made of the requests */
}

/* The agent's own namespace, by any name, is just itself. */
static void
adopt_own(struct session *s)
{
	struct msg_start *start = &s->start.start;
	struct wanted_name name;
	bool has_own = false;

	for (uint32_t i = 0; i < start->n_interfaces; i++) {
		const struct survey_place *place;

		wanted_name(start, i, &name);
		place = place_of(s, i, &name);
		if (name.netns_len > 0 && place != NULL && place->handle == 0)
			memmove(start->interfaces[i].name, name.iface,
			    strlen(name.iface) + 1);
	}
	for (uint32_t i = 0; i < s->survey->n; i++) {
		struct survey_place *place = &s->survey->places[i];

		if (place->handle != 0)
			continue;
		place->netns[0] = '\0';
		if (has_own)		/* the same once more */
			place->n = 0;
		has_own = true;
	}
}

/* --- who wants what --- */

static bool
has_name(const struct survey_place *place, const char *name)
{
	for (size_t i = 0; i < place->n; i++)
		if (strcmp(place->interfaces[i].name, name) == 0)
			return true;
	return false;
}

/* wanted_request(), but a number is first of all a name. */
static int
owner_of(const struct msg_start *start, const struct survey_place *place,
    const struct priv_interface *iface)
{
	int request = wanted_request(start, place->netns, iface);
	struct wanted_name name;

	if (request < 0)
		return request;
	wanted_name(start, (uint32_t)request, &name);
	if (name.kind == WANTED_NUMBER && strcmp(name.iface, iface->name) != 0 &&
	    has_name(place, name.iface))
		return -1;
	return request;
}

static int
find_owners(struct draft *d, struct err *err)
{
	const struct survey *survey = d->s->survey;

	for (uint32_t i = 0; i < survey->n; i++) {
		const struct survey_place *place = &survey->places[i];

		d->owners[i] = calloc(place->n + 1, sizeof(*d->owners[i]));
		if (d->owners[i] == NULL)
			return err_set(err, E_NOMEM, "capture: start: out of memory");
		for (size_t k = 0; k < place->n; k++)
			d->owners[i][k] = owner_of(&d->s->start.start, place,
			    &place->interfaces[k]);
	}
	return E_OK;
}

/* How many sockets it comes to at most. */
static uint32_t
count_wanted(const struct draft *d)
{
	const struct survey *survey = d->s->survey;
	uint32_t n = 0;

	for (uint32_t i = 0; i < survey->n; i++)
		for (size_t k = 0; k < survey->places[i].n; k++)
			n += d->owners[i][k] >= 0 &&
			    (survey->places[i].interfaces[k].flags & IFF_UP) != 0;
	return n;
}

/* --- one socket --- */

/* Remember that programs for this link type are missing. */
static int
need_program(struct msg_need_programs *need, uint32_t link_type, struct err *err)
{
	for (uint32_t i = 0; i < need->n; i++)
		if (need->link_types[i] == link_type)
			return E_OK;
	if (need->n == PROTO_MAX_PROGRAMS)
		return err_set(err, E_LIMIT, "capture: start: the interfaces have more "
		    "than %d different link types: name fewer", PROTO_MAX_PROGRAMS);
	need->link_types[need->n++] = link_type;
	return E_OK;
}

/* What only rtnetlink in our own namespace tells. */
static int
add_addresses(const struct draft *d, struct captures_socket *sock, struct err *err)
{
	const struct interface_info *info =
	    interfaces_find_index(d->list, sock->info.index);
	struct msg_capture_interface own;

	if (info == NULL)
		return E_OK;
	if (interfaces_to_capture(info, &own) != E_OK)
		return err_set(err, E_NOMEM, "capture: start: out of memory");
	sock->info.addresses = own.addresses;
	sock->info.n_addresses = own.n_addresses;
	memcpy(sock->info.description, own.description, sizeof(own.description));
	return E_OK;
}

static int
add_socket(struct draft *d, uint32_t request, const struct survey_place *place,
    const struct priv_interface *iface, struct err *err)
{
	struct session *s = d->s;
	struct captures_socket *sock = &s->sockets[s->n_sockets];
	uint32_t missing;
	int rc;

	rc = wanted_socket(&s->start.start, request, iface, s->n_sockets, sock,
	    &missing, err);
	if (rc == E_FILTER && missing != 0)
		return need_program(&s->need, missing, err);
	if (rc != E_OK)
		return rc;
	s->n_sockets++;
	sock->netns = place->handle;
	memcpy(sock->network_namespace, place->netns, sizeof(place->netns));
	memcpy(sock->info.network_namespace, place->netns, sizeof(place->netns));
	return place->netns[0] == '\0' ? add_addresses(d, sock, err) : E_OK;
}

/* --- requests --- */

/* One socket on all interfaces: no interface of its own. */
static int
plan_cooked(struct draft *d, uint32_t request, const struct survey_place *place,
    struct err *err)
{
	const struct priv_interface all = {
		.name = "any", .flags = IFF_UP, .arphrd = ARPHRD_VOID,
	};

	session_note(d->s, "a cooked socket on all interfaces: not promiscuous, no VLAN "
	    "tags, no tests of the link-layer header");
	return add_socket(d, request, place, &all, err);
}

static int
missing(const struct draft *d, const struct survey_place *place,
    const struct wanted_name *name, const char *text, struct err *err)
{
	if (place->netns[0] == '\0' &&
	    (interfaces_find_name(d->list, name->iface) != NULL ||
	    interfaces_find_index(d->list, name->number) != NULL))
		return err_set(err, E_DENIED, "interface '%s': start: not permitted "
		    "by the agent's configuration", text);
	return err_set(err, E_NOIFACE, "interface '%s': start: the sensor has none "
	    "of that name: see -D", text);
}

/* A name or number; one that an earlier request has taken is a mistake. */
static int
plan_single(struct draft *d, uint32_t request, struct survey_place *place,
    const struct wanted_name *name, struct err *err)
{
	const struct msg_start *start = &d->s->start.start;
	const int *owners = d->owners[place - d->s->survey->places];
	const char *text = start->interfaces[request].name;

	for (size_t i = 0; i < place->n; i++) {
		const struct priv_interface *iface = &place->interfaces[i];
		bool is_it = strcmp(iface->name, name->iface) == 0 ||
		    (name->kind == WANTED_NUMBER && iface->index == name->number);

		if (owners[i] == (int)request && (iface->flags & IFF_UP) == 0)
			return err_set(err, E_IFDOWN, "interface '%s': start: it is "
			    "down", text);
		if (owners[i] == (int)request)
			return add_socket(d, request, place, iface, err);
		if (is_it && owners[i] >= 0)
			return err_set(err, E_USAGE, "interface '%s': start: named "
			    "twice", text);
	}
	return missing(d, place, name, text, err);
}

static int
plan_pattern(struct draft *d, uint32_t request, struct survey_place *place,
    struct err *err)
{
	const int *owners = d->owners[place - d->s->survey->places];
	bool has_any = false;

	for (size_t i = 0; i < place->n; i++) {
		const struct priv_interface *iface = &place->interfaces[i];
		int rc;

		if (owners[i] != (int)request)
			continue;
		has_any = true;
		if ((iface->flags & IFF_UP) == 0) {
			d->n_down++;
			memcpy(d->down, iface->name, sizeof(d->down));
			continue;
		}
		rc = add_socket(d, request, place, iface, err);
		if (rc != E_OK)
			return rc;
	}
	if (!has_any)
		d->empty = d->s->start.start.interfaces[request].name;
	return E_OK;
}

static int
plan_requests(struct draft *d, struct err *err)
{
	const struct msg_start *start = &d->s->start.start;
	int rc = E_OK;

	for (uint32_t i = 0; i < start->n_interfaces && rc == E_OK; i++) {
		struct wanted_name name;
		struct survey_place *place;

		wanted_name(start, i, &name);
		place = place_of(d->s, i, &name);
		if (place == NULL)
			return err_set(err, E_BUG, "interface '%s': start: its network "
			    "namespace is not known", start->interfaces[i].name);
		if (name.kind == WANTED_COOKED)
			rc = plan_cooked(d, i, place, err);
		else if (wanted_is_pattern(&start->interfaces[i]))
			rc = plan_pattern(d, i, place, err);
		else
			rc = plan_single(d, i, place, &name, err);
	}
	return rc;
}

/* --- the whole --- */

/* Nothing to capture now, and only patterns among the requests. */
static int
nothing(const struct draft *d, struct err *err)
{
	const struct msg_start *start = &d->s->start.start;

	if (d->n_down > 0)
		return err_set(err, E_IFDOWN, "interface '%s': start: all that match "
		    "are down", start->interfaces[0].name);
	return err_set(err, E_NOIFACE, "interface '%s': start: the sensor has none that "
	    "matches, or its configuration does not permit it: see -D",
	    start->interfaces[0].name);
}

/* Each interface has its ring, and one that is too small loses packets. */
static void
divide_ring(struct session *s)
{
	uint64_t asked = s->start.start.ring_bytes;

	if (asked == 0)
		asked = CAPTURES_RING_DEFAULT;
	s->ring_bytes = asked / (s->n_sockets == 0 ? 1 : s->n_sockets);
	if (s->ring_bytes >= PRIV_MIN_RING)
		return;
	s->ring_bytes = PRIV_MIN_RING;
	if (s->n_sockets > 1)
		session_note(s, "kernel ring of %llu KiB divided over %u interfaces "
		    "raised to %d KiB for each", (unsigned long long)asked / 1024,
		    s->n_sockets, PRIV_MIN_RING / 1024);
}

/* Those that patterns match and policy forbids: how many, and one of them. */
static uint32_t
count_forbidden(const struct draft *d, const char **ret_name)
{
	const struct survey_place *own = NULL;
	const struct interface_info *info = NULL;
	uint32_t n = 0;

	for (uint32_t i = 0; i < d->s->survey->n && own == NULL; i++)
		if (d->s->survey->places[i].netns[0] == '\0')
			own = &d->s->survey->places[i];
	while (own != NULL && (info = interfaces_next(d->list, info)) != NULL) {
		struct priv_interface iface = { .index = info->index };

		memcpy(iface.name, info->name, sizeof(info->name));
		if (has_name(own, info->name) ||
		    wanted_request(&d->s->start.start, "", &iface) < 0)
			continue;
		*ret_name = info->name;
		n++;
	}
	return n;
}

/* What patterns could have meant and is not captured now. */
static void
note_left_out(const struct draft *d)
{
	const char *forbidden = "";
	uint32_t n_forbidden = count_forbidden(d, &forbidden);

	if (n_forbidden == 1)
		session_note(d->s, "interface '%s' is not permitted by the agent's "
		    "configuration: left out", forbidden);
	else if (n_forbidden > 1)
		session_note(d->s, "%u interfaces (such as '%s') are not permitted by the "
		    "agent's configuration: left out", n_forbidden, forbidden);
	if (d->n_down == 1)
		session_note(d->s, "interface '%s' is down: captured when it is up",
		    d->down);
	else if (d->n_down > 1)
		session_note(d->s, "%u interfaces that are down (such as '%s') are captured "
		    "when they are up", d->n_down, d->down);
	if (d->empty != NULL)
		session_note(d->s, "no interface for '%s' now: those that appear later are "
		    "captured", d->empty);
}

static int
make(struct draft *d, struct err *err)
{
	struct session *s = d->s;
	uint32_t max = s->net->setup.config.max_interfaces, n;
	int rc = find_owners(d, err);

	if (rc != E_OK)
		return rc;
	n = count_wanted(d);
	if (n > max)
		return err_set(err, E_LIMIT, "capture: start: %u interfaces: "
		    "max-interfaces is %u: use a pattern, as in -i 'eth*'", n, max);
	s->sockets = calloc((size_t)n + s->start.start.n_interfaces,
	    sizeof(*s->sockets));
	if (s->sockets == NULL)
		return err_set(err, E_NOMEM, "capture: start: out of memory");
	rc = plan_requests(d, err);
	if (rc != E_OK || s->need.n > 0)
		return rc;
	if (s->n_sockets == 0)
		return nothing(d, err);
	note_left_out(d);
	divide_ring(s);
	return E_OK;
}

int
session_plan(struct session *s, struct err *err)
{
	struct draft d = { .s = s };
	int rc;

	adopt_own(s);
	rc = interfaces_read(&d.list, err);
	if (rc != E_OK)
		return rc;
	rc = make(&d, err);
	for (uint32_t i = 0; i < s->survey->n; i++)
		free(d.owners[i]);
	interfaces_free(d.list);
	return rc;
}
