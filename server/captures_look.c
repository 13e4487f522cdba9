/*
 * captures_look - interfaces that come while a capture runs.
 *
 * Those that capagent permits are compared with what the Start asked for; what
 * is wanted, up and not open yet is opened, one after the other.
 */
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "server/captures_int.h"
#include "server/interfaces.h"
#include "server/wanted.h"

static void open_next(struct captures_look *look);

static const char *
place_name(const struct captures_look *look)
{
	return look->place != NULL ? look->place->name : "";
}

static uint32_t
place_handle(const struct captures_look *look)
{
	return look->place != NULL ? look->place->handle : 0;
}

void
captures_look_abandon(struct captures_entry *e)
{
	struct captures_look *look = e->look;

	e->look = NULL;
	e->wants_look = e->wants_compare = false;
	e->places_left = 0;
	if (look == NULL)
		return;
	if (look->request != NULL)
		priv_call_cancel(e->set->net->call, look->request);
	if (look->opening != NULL) {
		open_one_cancel(look->opening);
		free(look->socket.info.addresses);
	}
	free(look->found);
	free(look);
}

void
captures_look_end(struct captures_look *look)
{
	struct captures_entry *e = look->entry;

	e->look = NULL;
	free(look->found);
	free(look);
	captures_relink_entry(e);
	captures_go_on(e);
}

/* --- opening --- */

static void
refuse(const struct captures_look *look, const struct priv_interface *iface,
    const struct err *why)
{
	captures_refuse(look->entry, place_handle(look), iface->index, why);
}

/* No more of them: said once until there is room again. */
static bool
is_full(struct captures_look *look, const struct priv_interface *iface)
{
	struct captures_entry *e = look->entry;
	uint32_t most = e->set->net->setup.config.max_interfaces;
	char text[PROTO_MAX_TEXT + 1];

	if (e->n_live < most && e->n_taps < PROTO_MAX_INTERFACES) {
		e->has_said_limit = false;
		return false;
	}
	if (e->has_said_limit)
		return true;
	e->has_said_limit = true;
	if (e->n_live >= most)
		snprintf(text, sizeof(text), "interface '%s' and later ones are not "
		    "captured: the agent's max-interfaces is %u", iface->name, most);
	else
		snprintf(text, sizeof(text), "interface '%s' and later ones are not "
		    "captured: a capture has at most %d, those that went included",
		    iface->name, PROTO_MAX_INTERFACES);
	capture_tell(e->capture, CAPTURE_EVENT_NOT_CAPTURED, CAPTURE_EVENT_WHOLE, text);
	return true;
}

static bool
was_there(const struct captures_entry *e, const struct captures_socket *s)
{
	for (uint32_t i = 0; i < e->n_taps; i++)
		if (e->taps[i]->is_gone &&
		    strcmp(e->taps[i]->name, s->socket.name) == 0 &&
		    strcmp(e->taps[i]->s.network_namespace, s->network_namespace) == 0)
			return true;
	return false;
}

/* Its addresses and kind, as far as this namespace knows them. */
static void
describe(struct captures_socket *s)
{
	struct msg_capture_interface info = s->info, more = { 0 };
	struct interfaces *list;
	const struct interface_info *found;
	struct err err;

	if (s->netns != 0 || interfaces_read(&list, &err) != E_OK)
		return;
	found = interfaces_find_index(list, s->socket.ifindex);
	if (found != NULL && interfaces_to_capture(found, &more) == E_OK) {
		memcpy(info.description, more.description, sizeof(info.description));
		free(info.addresses);
		info.addresses = more.addresses;
		info.n_addresses = more.n_addresses;
		s->info = info;
	}
	interfaces_free(list);
}

static int
copy_addresses(struct msg_capture_interface *info)
{
	char (*copy)[64] = NULL;

	if (info->n_addresses > 0) {
		copy = calloc(info->n_addresses, sizeof(*copy));
		if (copy == NULL)
			return E_NOMEM;
		memcpy(copy, info->addresses, info->n_addresses * sizeof(*copy));
	}
	info->addresses = copy;
	return E_OK;
}

/* It runs: to the capture's thread, and to the list of those that are open. */
static int
join(struct captures_entry *e, struct captures_socket *s)
{
	struct msg_capture_interface info = s->info;

	if (copy_addresses(&info) != E_OK || captures_add_tap(e, s) != E_OK) {
		if (info.addresses != s->info.addresses)
			free(info.addresses);
		return E_NOMEM;
	}
	e->taps[e->n_taps - 1]->s.socket.check = NULL;	/* the thread's */
	/* With it the thread's numbers would no longer be ours. */
	if (capture_add(e->capture, &s->socket, &info) != E_OK)
		capture_end(e->capture, E_NOMEM, NULL);
	return E_OK;
}

static void
tell_joined(struct captures_entry *e, const struct captures_socket *s,
    const char *notes, bool is_again)
{
	char text[PROTO_MAX_TEXT + 1];

	snprintf(text, sizeof(text), "interface '%s%s%s' %s: captured as interface %u%s%s",
	    s->network_namespace, s->network_namespace[0] == '\0' ? "" : "/",
	    s->socket.name, is_again ? "was made again" : "came up", e->n_taps - 1,
	    notes[0] == '\0' ? "" : "; ", notes);
	capture_tell(e->capture, CAPTURE_EVENT_OTHER, e->n_taps - 1, text);
}

static void
opened(const struct err *err, struct captures_socket *s, void *arg)
{
	struct captures_look *look = arg;
	struct captures_entry *e = look->entry;
	const struct priv_interface *iface = &look->found[look->at];
	struct err no_memory;
	bool is_again;

	look->opening = NULL;
	if (err->code != E_OK) {
		free(s->info.addresses);
		/* Gone again: its coming back is told by the kernel. */
		if (err->code != E_IFDOWN && err->code != E_NOIFACE)
			refuse(look, iface, err);
	} else {
		is_again = was_there(e, s);
		describe(s);
		if (join(e, s) != E_OK) {
			free(s->info.addresses);
			open_one_close(e->set->net, s);
			err_set(&no_memory, E_NOMEM, "interface '%s': out of "
			    "memory", iface->name);
			refuse(look, iface, &no_memory);
		} else {
			loop_timer_stop(e->alone_timer);
			captures_forget_refused(e, s->netns, iface->index);
			tell_joined(e, s, err->what, is_again);
			/* Something may have happened to it meanwhile. */
			e->wants_compare = true;
		}
	}
	look->at++;
	open_next(look);
}

static bool
is_open(const struct captures_entry *e, uint32_t netns, uint32_t ifindex)
{
	for (uint32_t i = 0; i < e->n_taps; i++)
		if (!e->taps[i]->is_gone && e->taps[i]->s.netns == netns &&
		    e->taps[i]->s.socket.ifindex == ifindex)
			return true;
	return false;
}

static void
open_found(struct captures_look *look, const struct priv_interface *iface)
{
	struct captures_entry *e = look->entry;
	struct captures_socket *s = &look->socket;
	int request = wanted_request(&e->start, place_name(look), iface);
	uint32_t missing;
	struct err err;

	if (request < 0)
		return;			/* is_candidate() saw to that */
	if (wanted_socket(&e->start, (uint32_t)request, iface, e->n_taps, s,
	    &missing, &err) != E_OK) {
		refuse(look, iface, &err);
		return;
	}
	s->netns = place_handle(look);
	snprintf(s->network_namespace, sizeof(s->network_namespace), "%s",
	    place_name(look));
	memcpy(s->info.network_namespace, s->network_namespace,
	    sizeof(s->info.network_namespace));
	look->opening = open_one_start(e->set->net, &(struct open_one_config){
		.s = s,
		.start = &e->start,
		.capture_number = e->number,
		.ring_bytes = e->ring_bytes,
		.netns = s->netns,
		.ifindex = iface->index,
	}, opened, look, &err);
	if (look->opening == NULL) {
		free(s->info.addresses);
		refuse(look, iface, &err);
	}
}

static void
open_next(struct captures_look *look)
{
	while (look->at < look->n && !is_full(look, &look->found[look->at])) {
		open_found(look, &look->found[look->at]);
		if (look->opening != NULL)
			return;
		look->at++;
	}
	captures_look_end(look);
}

/* --- looking --- */

static bool
is_candidate(const struct captures_look *look, const struct priv_interface *iface)
{
	const struct captures_entry *e = look->entry;
	uint32_t netns = place_handle(look);

	return (iface->flags & IFF_UP) != 0 && !is_open(e, netns, iface->index) &&
	    !captures_is_refused(e, netns, iface->index) &&
	    wanted_follows(&e->start) &&
	    wanted_request(&e->start, place_name(look), iface) >= 0;
}

/* Keep those that are to be opened. */
static int
choose(struct captures_look *look, const struct priv_interface *list, size_t n)
{
	look->found = calloc(n > 0 ? n : 1, sizeof(*look->found));
	if (look->found == NULL)
		return E_NOMEM;
	for (size_t i = 0; i < n; i++)
		if (is_candidate(look, &list[i]))
			look->found[look->n++] = list[i];
	return E_OK;
}

void
captures_look_listed(const struct err *err, const struct priv_interface *list,
    size_t n, void *arg)
{
	struct captures_look *look = arg;

	look->request = NULL;
	if (err->code == E_NOIFACE && look->place != NULL) {
		captures_place_lose(look);
		captures_look_end(look);
		return;
	}
	if (err->code == E_OK && look->is_comparing)
		captures_links_compare(look->entry, place_handle(look), list, n);
	if (err->code != E_OK || choose(look, list, n) != E_OK) {
		log_warn(LOG_CAPTURE, "interfaces: look for new ones: %s",
		    err->code != E_OK ? err->what : "out of memory");
		captures_look_end(look);
		return;
	}
	open_next(look);
}

void
captures_look_begin(struct captures_entry *e, struct captures_place *place)
{
	struct captures_look *look = calloc(1, sizeof(*look));
	int rc = E_OK;

	if (look == NULL)
		return;
	look->entry = e;
	look->place = place;
	look->is_comparing = place != NULL || e->wants_compare;
	if (place != NULL) {
		rc = captures_place_ask(look);
	} else {
		e->wants_look = e->wants_compare = false;
		look->request = priv_call_list(e->set->net->call,
		    captures_look_listed, look);
	}
	if (rc != E_OK || look->request == NULL) {
		free(look);
		return;
	}
	e->look = look;
}
