#include "server/priv_serve_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What stands for all interfaces; see priv_open.h. */
static int
take_all(const struct priv_serve *serve, struct priv_interface *interface, struct err *err)
{
	/* Their names are not looked at, so that every one must be permitted. */
	if (!policy_permits_all(serve->cfg.policy))
		return err_set(err, E_DENIED, "interface 'any': cooked: one socket captures every "
		    "interface, which the agent's configuration does not permit: name interfaces, "
		    "or leave --cooked out");
	*interface = (struct priv_interface){ .link_type = LINK_SLL2, .arphrd = UINT16_MAX };
	snprintf(interface->name, sizeof(interface->name), "any");
	return E_OK;
}

/*
 * The filter was made for one link type: where the interface has no such, its
 * answers would be wrong.
 */
static int
check_interface(const struct priv_serve *serve, const struct priv_open *req,
    const struct priv_interface *interface, struct err *err)
{
	const struct priv_mandatory_part *part = priv_mandatory_for(serve->cfg.mandatory,
	    req->link_type, interface->link_type);
	struct link_choice choice;

	if (interface->index != 0 && !policy_permits(serve->cfg.policy, interface->name))
		return err_set(err, E_DENIED,
		    "interface '%s': not permitted by the agent's configuration",
		    interface->name);
	if (!link_type_choose(interface->arphrd, interface->name, req->link_type, &choice))
		return err_set(err, E_STATE,
		    "interface '%s': has link type %u, the filter is for %u: start again",
		    interface->name, interface->link_type, req->link_type);
	if (!part->is_usable)
		return err_set(err, E_DENIED,
		    "interface '%s': the agent's mandatory filter has no meaning on its link "
		    "type: %s", interface->name, part->why_not);
	return E_OK;
}

static int
open_checked(struct priv_serve *serve, const struct priv_netns_place *place,
    const struct priv_interface *interface, struct serve_socket *s,
    struct priv_open_done *ret_done, struct err *err)
{
	const struct priv_open *req = &serve->request.open;
	const struct policy *policy = serve->cfg.policy;
	uint64_t left = policy->ring_memory > serve->sockets.ring_used ?
	    policy->ring_memory - serve->sockets.ring_used : 0;
	struct priv_open_wish wish = {
		.interface = interface,
		.filter = &serve->linked,
		.ring_bytes = req->ring_bytes < left ? req->ring_bytes : left,
		.snaplen = req->snaplen < policy->max_snaplen ? req->snaplen :
		    policy->max_snaplen,
		.is_cooked = (req->flags & PRIV_OPEN_COOKED) != 0,
		.is_promiscuous = policy->promiscuous &&
		    (req->flags & PRIV_OPEN_PROMISCUOUS) != 0,
		.is_inbound = (req->flags & PRIV_OPEN_INBOUND) != 0,
		.netns = place,
		.wants_adapter_time = (req->flags & PRIV_OPEN_ADAPTER_TIME) != 0,
		.no_adapter_time = policy->hardware_timestamps ? NULL :
		    "the agent's configuration says hardware-timestamps = no",
	};
	int ret = serve_sockets_check(&serve->sockets, policy, req->capture, err);

	if (ret != E_OK)
		return ret;
	if (wish.ring_bytes < PRIV_MIN_RING)
		return err_set(err, E_LIMIT, "interface '%s': ring: all of ring-memory "
		    "(%llu MiB) is in use", interface->name,
		    (unsigned long long)(policy->ring_memory >> 20));
	s->mandatory = &priv_mandatory_for(serve->cfg.mandatory, req->link_type,
	    interface->link_type)->prog;
	ret = priv_open_link(s->mandatory, &req->program, wish.snaplen, &serve->linked, err);
	if (ret == E_OK)
		ret = serve->cfg.ops->open(&wish, ret_done, err);
	if (ret != E_OK)
		return ret;
	s->all = priv_mandatory_ref(serve->cfg.mandatory);
	s->capture = req->capture;
	s->link_type = req->link_type;
	s->snaplen = wish.snaplen;
	s->fd = ret_done->fd;
	s->ifindex = interface->index;
	s->netns_cookie = place != NULL ? place->cookie : 0;
	s->has_adapter_time = ret_done->time_stamps != PRIV_TIME_HOST;
	s->stamping = ret_done->stamping;
	s->ring_bytes = ring_geometry_bytes(&ret_done->ring);
	return E_OK;
}

static int
open_for_child(struct priv_serve *serve, const struct priv_netns_place *place,
    struct priv_interface *interface, struct serve_socket *s, struct priv_open_done *done,
    struct err *why)
{
	const struct priv_open *req = &serve->request.open;
	int fd = place != NULL ? place->list_fd : serve->cfg.list_fd, ret = E_OK;

	if (serve->state == SERVE_ENDING)
		return err_set(why, E_STATE, "capture: start: the agent is shutting down");
	if (place != NULL)
		ret = priv_netns_check(serve->cfg.netns, place, why);
	/* A reload can have forbidden what was entered before. */
	if (ret == E_OK && place != NULL)
		ret = priv_netns_check_policy(serve->cfg.netns, place, why);
	if (ret == E_OK && req->ifindex == 0)
		ret = take_all(serve, interface, why);
	else if (ret == E_OK)
		ret = serve->cfg.ops->get(fd, req->ifindex, interface, why);
	if (ret == E_OK)
		ret = check_interface(serve, req, interface, why);
	if (ret == E_OK)
		ret = open_checked(serve, place, interface, s, done, why);
	return ret;
}

static void
fill_reply(struct priv_open_reply *reply, const struct serve_socket *s,
    const struct priv_interface *interface, const struct priv_open_done *done)
{
	reply->handle = s->handle;
	reply->ifindex = interface->index;
	reply->link_type = s->link_type;
	reply->arphrd = interface->arphrd;
	reply->snaplen = s->snaplen;
	reply->block_size = done->ring.block_size;
	reply->block_nr = done->ring.block_nr;
	reply->retire_ms = done->ring.retire_ms;
	reply->is_promiscuous = done->is_promiscuous;
	reply->time_stamp_type = done->time_stamps;
	memcpy(reply->name, interface->name, sizeof(reply->name));
	memcpy(reply->text, done->note, sizeof(reply->text));
}

int
priv_serve_open(struct priv_serve *serve, struct err *err)
{
	struct priv_open_reply *reply = &serve->reply.open_reply;
	uint32_t netns = serve->request.open.netns;
	const struct priv_netns_place *place = priv_netns_find(serve->cfg.netns, netns);
	struct priv_interface interface = { .index = 0 };
	struct priv_open_done done = { .fd = -1 };
	struct err why = { .code = E_OK };
	struct serve_socket *s;
	int ret;

	if (netns != 0 && place == NULL)
		return priv_serve_unknown(serve, netns, err);
	s = calloc(1, sizeof(*s));
	ret = s == NULL ? err_set(&why, E_NOMEM, "capture: start: out of memory") :
	    open_for_child(serve, place, &interface, s, &done, &why);
	priv_serve_start_reply(serve, PRIV_OPEN_REPLY);
	if (s == NULL || ret != E_OK) {
		free(s);
		reply->code = ret;
		reply->sys = why.sys;
		memcpy(reply->text, why.what, PRIV_TEXT_LEN);
		return priv_serve_send_reply(serve, -1, err);
	}
	serve_sockets_add(&serve->sockets, s);
	fill_reply(reply, s, &interface, &done);
	return priv_serve_send_reply(serve, s->fd, err);
}

int
priv_serve_filter(struct priv_serve *serve, struct err *err)
{
	const struct priv_filter *req = &serve->request.filter;
	const struct serve_socket *s = serve_sockets_find(&serve->sockets, req->handle);
	struct err why = { .code = E_OK };
	int ret;

	if (s == NULL)
		return priv_serve_unknown(serve, req->handle, err);
	ret = priv_open_link(s->mandatory, &req->program, s->snaplen, &serve->linked, &why);
	if (ret == E_OK)
		ret = serve->cfg.ops->filter(s->fd, &serve->linked, &why);
	return priv_serve_send_result(serve, PRIV_FILTER_REPLY, ret == E_OK ? NULL : &why, err);
}

int
priv_serve_close(struct priv_serve *serve, struct err *err)
{
	uint32_t handle = serve->request.close.handle;
	struct serve_socket *s = serve_sockets_find(&serve->sockets, handle);

	if (s == NULL)
		return priv_serve_unknown(serve, handle, err);
	serve_sockets_close(&serve->sockets, s);
	return priv_serve_send_result(serve, PRIV_CLOSE_REPLY, NULL, err);
}
