/*
 * session_list - the answer to a ListRequest: the interfaces of the agent's
 * own network namespace, and of those that its configuration allows.
 */
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "common/link_type.h"
#include "server/session_int.h"

_Static_assert((int)LINK_CHOICES_MAX <= (int)PROTO_MAX_LINK_TYPES,
    "a list has room for every choice of link type");

static const struct priv_interface *
find(const struct survey_place *place, uint32_t index)
{
	for (size_t i = 0; i < place->n; i++)
		if (place->interfaces[i].index == index)
			return &place->interfaces[i];
	return NULL;
}

/* What capagent alone can ask the device for. */
static void
add_device(const struct priv_interface *iface, struct msg_interface *out)
{
	struct link_choice choices[LINK_CHOICES_MAX];
	size_t n = link_type_choices(iface->arphrd, iface->name, choices);

	out->n_link_types = (uint32_t)n;
	for (size_t i = 0; i < n; i++)
		out->link_types[i] = choices[i].link_type;
	memcpy(out->driver, iface->driver, sizeof(iface->driver));
	out->speed_mbps = iface->speed_mbps;
	out->time_stamp_types = iface->time_stamp_types;
}

/* An interface of another namespace: what capagent tells is all we know. */
static void
fill_foreign(const struct priv_interface *iface, const char *netns,
    struct msg_interface *ret_out)
{
	memset(ret_out, 0, sizeof(*ret_out));
	ret_out->index = iface->index;
	ret_out->link_type = iface->link_type;
	ret_out->is_up = (iface->flags & IFF_UP) != 0;
	ret_out->is_running = (iface->flags & IFF_RUNNING) != 0;
	ret_out->is_loopback = (iface->flags & IFF_LOOPBACK) != 0;
	memcpy(ret_out->name, iface->name, sizeof(iface->name));
	memcpy(ret_out->network_namespace, netns, sizeof(ret_out->network_namespace));
	ret_out->has_mac = iface->mac_len == sizeof(ret_out->mac);
	if (ret_out->has_mac)
		memcpy(ret_out->mac, iface->mac, sizeof(ret_out->mac));
	if (!ret_out->is_up)
		memcpy(ret_out->why_not, "interface is down", 18);
	add_device(iface, ret_out);
}

static int
add_foreign(const struct survey *survey, struct msg_interface_list *list)
{
	struct msg_interface *all;
	size_t n = list->n;

	for (uint32_t i = 1; i < survey->n; i++)
		n += survey->places[i].n;
	all = reallocarray(list->interfaces, n + 1, sizeof(*all));
	if (all == NULL)
		return E_NOMEM;
	list->interfaces = all;
	for (uint32_t i = 1; i < survey->n; i++) {
		const struct survey_place *place = &survey->places[i];

		for (size_t k = 0; k < place->n && list->n < PROTO_MAX_INTERFACES; k++)
			fill_foreign(&place->interfaces[k], place->netns,
			    &all[list->n++]);
	}
	return E_OK;
}

/* Those of our own namespace, with their addresses. */
static int
make_own(const struct survey_place *own, struct msg *ret_msg, struct err *err)
{
	uint32_t *numbers = calloc(own->n + 1, sizeof(*numbers));
	struct interfaces *list;
	int rc;

	if (numbers == NULL)
		return err_set(err, E_NOMEM, "interfaces: list: out of memory");
	for (size_t i = 0; i < own->n; i++)
		numbers[i] = own->interfaces[i].index;
	rc = interfaces_read(&list, err);
	if (rc == E_OK) {
		rc = interfaces_to_msg(list, numbers, own->n, ret_msg);
		interfaces_free(list);
		if (rc != E_OK)
			err_set(err, rc, "interfaces: list: %s", err_text(rc));
	}
	free(numbers);
	return rc;
}

static int
make_list(const struct survey *survey, struct msg *ret_msg, struct err *err)
{
	struct msg_interface_list *list = &ret_msg->interface_list;
	int rc = make_own(&survey->places[0], ret_msg, err);

	if (rc != E_OK)
		return rc;
	for (uint32_t i = 0; i < list->n; i++) {
		const struct priv_interface *iface = find(&survey->places[0],
		    list->interfaces[i].index);

		if (iface != NULL)
			add_device(iface, &list->interfaces[i]);
	}
	rc = add_foreign(survey, list);
	if (rc != E_OK) {
		msg_free(ret_msg);
		return err_set(err, rc, "interfaces: list: %s", err_text(rc));
	}
	return E_OK;
}

static void
surveyed(const struct err *why, void *arg)
{
	struct session *s = arg;
	struct err err = *why;
	struct msg msg;
	bool is_made = err.code == E_OK && make_list(s->survey, &msg, &err) == E_OK;

	survey_free(s->survey);
	s->survey = NULL;
	if (!is_made) {
		session_refuse(s, &err);
		return;
	}
	session_send(s, &msg);
	msg_free(&msg);
	session_resume(s);
}

void
session_list(struct session *s, struct msg *msg)
{
	struct err err;

	(void)msg;
	session_set_state(s, SESSION_LISTING);
	conn_pause(s->conn);
	s->survey = survey_start_all(s->net, surveyed, s, &err);
	if (s->survey == NULL)
		session_refuse(s, &err);
}
