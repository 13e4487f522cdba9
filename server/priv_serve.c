#include "server/priv_serve.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "server/fdpass.h"
#include "server/serve_sockets.h"

enum serve_state { SERVE_RUNNING = 1, SERVE_ENDING = 2 };

/*
 * A capture costs three requests, and nobody starts hundreds a second; a
 * taken over child must not keep a core busy with ours.
 */
enum { REQUESTS_PER_S = 500, REQUESTS_BURST = 1000 };

struct priv_serve {
	struct priv_serve_config cfg;
	enum serve_state state;
	struct serve_sockets sockets;
	double		 tokens;
	struct mono_ns	 refilled;
	bool		 waits_for_room;	/* the child does not take its replies */
	union priv_msg	 request, reply;
	struct bpf_prog	 linked;
};

const struct priv_serve_ops priv_serve_kernel = {
	.page = priv_list_page,
	.get = priv_list_get,
	.open = priv_open_socket,
	.filter = priv_open_filter,
};

struct priv_serve *
priv_serve_new(const struct priv_serve_config *config)
{
	struct priv_serve *serve = calloc(1, sizeof(*serve));

	if (serve == NULL)
		return NULL;
	serve->cfg = *config;
	serve->state = SERVE_RUNNING;
	serve->tokens = REQUESTS_BURST;
	serve->refilled = clock_mono();
	return serve;
}

void
priv_serve_free(struct priv_serve *serve)
{
	if (serve == NULL)
		return;
	serve_sockets_fini(&serve->sockets);
	free(serve);
}

/* --- replies --- */

static void
start_reply(struct priv_serve *serve, enum priv_msg_type type)
{
	memset(&serve->reply, 0, priv_msg_size(type));
	priv_msg_init(&serve->reply, type, serve->request.hdr.request_id);
}

static int
send_reply(struct priv_serve *serve, int fd, struct err *err)
{
	int ret = fdpass_send(serve->cfg.boundary_fd, &serve->reply,
	    priv_msg_size(serve->reply.hdr.type), fd, err);

	/* Room was there before the request was read: see priv_serve_turn(). */
	if (ret == E_PEERGONE)
		return err_set(err, E_EOF, "boundary: the network process is gone");
	return ret;
}

/* Answer FILTER and CLOSE; why is NULL when it went well. */
static int
send_result(struct priv_serve *serve, enum priv_msg_type type, const struct err *why,
    struct err *err)
{
	start_reply(serve, type);
	if (why != NULL) {
		serve->reply.result.code = why->code;
		serve->reply.result.sys = why->sys;
		memcpy(serve->reply.result.text, why->what, PRIV_TEXT_LEN);
	}
	return send_reply(serve, -1, err);
}

/* --- requests --- */

static bool
permits(const char *name, void *arg)
{
	const struct priv_serve *serve = arg;

	return policy_permits(serve->cfg.policy, name);
}

static int
serve_list(struct priv_serve *serve, struct err *err)
{
	struct priv_list_reply *reply = &serve->reply.list_reply;
	struct err why = { .code = E_OK };

	start_reply(serve, PRIV_LIST_REPLY);
	if (serve->cfg.ops->page(serve->cfg.list_fd, serve->request.list.start_index,
	    permits, serve, reply->interfaces, &reply->n, &reply->next_index,
	    &why) != E_OK) {
		reply->code = why.code;
		reply->sys = why.sys;
		memcpy(reply->text, why.what, PRIV_TEXT_LEN);
	}
	return send_reply(serve, -1, err);
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

	if (!policy_permits(serve->cfg.policy, interface->name))
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
open_checked(struct priv_serve *serve, const struct priv_interface *interface,
    struct serve_socket *s, struct priv_open_done *ret_done, struct err *err)
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
	s->capture = req->capture;
	s->link_type = req->link_type;
	s->snaplen = wish.snaplen;
	s->fd = ret_done->fd;
	s->ring_bytes = ring_geometry_bytes(&ret_done->ring);
	return E_OK;
}

static int
open_for_child(struct priv_serve *serve, struct priv_interface *interface,
    struct serve_socket *s, struct priv_open_done *done, struct err *why)
{
	const struct priv_open *req = &serve->request.open;
	int ret;

	if (serve->state == SERVE_ENDING)
		return err_set(why, E_STATE, "capture: start: the agent is shutting down");
	ret = serve->cfg.ops->get(serve->cfg.list_fd, req->ifindex, interface, why);
	if (ret == E_OK)
		ret = check_interface(serve, req, interface, why);
	if (ret == E_OK)
		ret = open_checked(serve, interface, s, done, why);
	return ret;
}

static int
serve_open(struct priv_serve *serve, struct err *err)
{
	struct priv_open_reply *reply = &serve->reply.open_reply;
	struct serve_socket *s = calloc(1, sizeof(*s));
	struct priv_interface interface = { .index = 0 };
	struct priv_open_done done = { .fd = -1 };
	struct err why = { .code = E_OK };
	int ret = s == NULL ? err_set(&why, E_NOMEM, "capture: start: out of memory") :
	    open_for_child(serve, &interface, s, &done, &why);

	start_reply(serve, PRIV_OPEN_REPLY);
	if (s == NULL || ret != E_OK) {
		free(s);
		reply->code = ret;
		reply->sys = why.sys;
		memcpy(reply->text, why.what, PRIV_TEXT_LEN);
		return send_reply(serve, -1, err);
	}
	serve_sockets_add(&serve->sockets, s);
	reply->handle = s->handle;
	reply->ifindex = interface.index;
	reply->link_type = s->link_type;
	reply->arphrd = interface.arphrd;
	reply->snaplen = s->snaplen;
	reply->block_size = done.ring.block_size;
	reply->block_nr = done.ring.block_nr;
	reply->retire_ms = done.ring.retire_ms;
	reply->is_promiscuous = done.is_promiscuous;
	reply->time_stamp_type = PRIV_TIME_HOST;
	memcpy(reply->name, interface.name, sizeof(reply->name));
	return send_reply(serve, s->fd, err);
}

static int
unknown_handle(const struct priv_serve *serve, uint32_t handle, struct err *err)
{
	return err_set(err, E_BADMSG, "boundary: %s: handle %u does not exist",
	    priv_msg_name(serve->request.hdr.type), handle);
}

static int
serve_filter(struct priv_serve *serve, struct err *err)
{
	const struct priv_filter *req = &serve->request.filter;
	const struct serve_socket *s = serve_sockets_find(&serve->sockets, req->handle);
	struct err why = { .code = E_OK };
	int ret;

	if (s == NULL)
		return unknown_handle(serve, req->handle, err);
	ret = priv_open_link(s->mandatory, &req->program, s->snaplen, &serve->linked, &why);
	if (ret == E_OK)
		ret = serve->cfg.ops->filter(s->fd, &serve->linked, &why);
	return send_result(serve, PRIV_FILTER_REPLY, ret == E_OK ? NULL : &why, err);
}

static int
serve_close(struct priv_serve *serve, struct err *err)
{
	uint32_t handle = serve->request.close.handle;
	struct serve_socket *s = serve_sockets_find(&serve->sockets, handle);

	if (s == NULL)
		return unknown_handle(serve, handle, err);
	serve_sockets_close(&serve->sockets, s);
	return send_result(serve, PRIV_CLOSE_REPLY, NULL, err);
}

static int
serve_netns_list(struct priv_serve *serve, struct err *err)
{
	start_reply(serve, PRIV_NETNS_LIST_REPLY);
	return send_reply(serve, -1, err);
}

static int
serve_netns(struct priv_serve *serve, struct err *err)
{
	struct priv_netns_reply *reply = &serve->reply.netns_reply;

	start_reply(serve, PRIV_NETNS_REPLY);
	reply->code = E_DENIED;
	snprintf(reply->text, sizeof(reply->text), "network namespaces: not permitted by the "
	    "agent's configuration");
	return send_reply(serve, -1, err);
}

static int
serve_netns_close(struct priv_serve *serve, struct err *err)
{
	return unknown_handle(serve, serve->request.netns_close.handle, err);
}

/*
 * What the child may ask, and when.  While ending, requests that crossed the
 * END are still answered; serve_open() refuses.
 */
static const struct serve_op {
	uint32_t	 type;
	unsigned	 states;
	int		(*serve)(struct priv_serve *serve, struct err *err);
} ops[] = {
	{ PRIV_LIST, SERVE_RUNNING | SERVE_ENDING, serve_list },
	{ PRIV_OPEN, SERVE_RUNNING | SERVE_ENDING, serve_open },
	{ PRIV_FILTER, SERVE_RUNNING | SERVE_ENDING, serve_filter },
	{ PRIV_CLOSE, SERVE_RUNNING | SERVE_ENDING, serve_close },
	{ PRIV_NETNS_LIST, SERVE_RUNNING | SERVE_ENDING, serve_netns_list },
	{ PRIV_NETNS, SERVE_RUNNING | SERVE_ENDING, serve_netns },
	{ PRIV_NETNS_CLOSE, SERVE_RUNNING | SERVE_ENDING, serve_netns_close },
};

static int
dispatch(struct priv_serve *serve, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		if (ops[i].type == serve->request.hdr.type &&
		    (ops[i].states & serve->state) != 0)
			return ops[i].serve(serve, err);
	return err_set(err, E_BADMSG, "boundary: %s: not a request, or not allowed now",
	    priv_msg_name(serve->request.hdr.type));
}

/* --- turns --- */

static void
refill(struct priv_serve *serve)
{
	struct mono_ns now = clock_mono();

	serve->tokens += (double)mono_diff_ns(now, serve->refilled) / NS_PER_S *
	    REQUESTS_PER_S;
	if (serve->tokens > REQUESTS_BURST)
		serve->tokens = REQUESTS_BURST;
	serve->refilled = now;
}

short
priv_serve_events(struct priv_serve *serve, int *ret_wait_ms)
{
	refill(serve);
	*ret_wait_ms = serve->tokens < 1 ? 1000 / REQUESTS_PER_S + 1 : -1;
	return serve->waits_for_room ? POLLOUT : POLLIN;
}

/* Can a reply be sent without waiting? */
static bool
has_room(struct priv_serve *serve)
{
	struct pollfd pfd = { .fd = serve->cfg.boundary_fd, .events = POLLOUT };

	serve->waits_for_room = poll(&pfd, 1, 0) == 0;
	return !serve->waits_for_room;
}

int
priv_serve_turn(struct priv_serve *serve, struct err *err)
{
	size_t len;
	int fd, ret;

	refill(serve);
	if (serve->tokens < 1 || !has_room(serve))
		return E_OK;
	ret = fdpass_recv(serve->cfg.boundary_fd, &serve->request, sizeof(serve->request),
	    &len, &fd, err);
	if (ret == E_AGAIN)
		return E_OK;
	if (ret != E_OK)
		return ret;
	serve->tokens -= 1;
	ret = priv_msg_check(&serve->request, len, fd != -1, err);
	if (fd != -1)
		close(fd);
	if (ret != E_OK)
		return ret;
	return dispatch(serve, err);
}

int
priv_serve_send_end(struct priv_serve *serve, struct err *err)
{
	union priv_msg msg = { .plain = { .hdr = { .type = 0 } } };

	serve->state = SERVE_ENDING;
	priv_msg_init(&msg, PRIV_END, 0);
	return fdpass_send(serve->cfg.boundary_fd, &msg, priv_msg_size(PRIV_END), -1, err);
}
