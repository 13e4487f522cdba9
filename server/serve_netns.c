#include "server/priv_serve_int.h"

#include <string.h>

static bool
permits(const char *name, void *arg)
{
	const struct priv_serve *serve = arg;

	return policy_permits(serve->cfg.policy, name);
}

/* Fill the page of a LIST in its namespace, which is still there. */
static int
fill_page(struct priv_serve *serve, const struct priv_netns_place *place, struct err *why)
{
	struct priv_list_reply *reply = &serve->reply.list_reply;
	int fd = place != NULL ? place->list_fd : serve->cfg.list_fd;

	if (place != NULL && priv_netns_check(serve->cfg.netns, place, why) != E_OK)
		return why->code;
	return serve->cfg.ops->page(fd, serve->request.list.start_index, permits, serve,
	    reply->interfaces, &reply->n, &reply->next_index, why);
}

int
priv_serve_list(struct priv_serve *serve, struct err *err)
{
	struct priv_list_reply *reply = &serve->reply.list_reply;
	uint32_t netns = serve->request.list.netns;
	const struct priv_netns_place *place = priv_netns_find(serve->cfg.netns, netns);
	struct err why = { .code = E_OK };

	if (netns != 0 && place == NULL)
		return priv_serve_unknown(serve, netns, err);
	priv_serve_start_reply(serve, PRIV_LIST_REPLY);
	if (fill_page(serve, place, &why) != E_OK) {
		reply->code = why.code;
		reply->sys = why.sys;
		memcpy(reply->text, why.what, PRIV_TEXT_LEN);
	}
	return priv_serve_send_reply(serve, -1, err);
}

int
priv_serve_netns_list(struct priv_serve *serve, struct err *err)
{
	struct priv_netns_list_reply *reply = &serve->reply.netns_list_reply;
	struct err why = { .code = E_OK };

	priv_serve_start_reply(serve, PRIV_NETNS_LIST_REPLY);
	if (priv_netns_names(serve->cfg.netns, serve->request.netns_list.start, reply->names,
	    &reply->n, &reply->next, &why) != E_OK) {
		reply->code = why.code;
		reply->sys = why.sys;
		memcpy(reply->text, why.what, PRIV_TEXT_LEN);
	}
	return priv_serve_send_reply(serve, -1, err);
}

int
priv_serve_netns(struct priv_serve *serve, struct err *err)
{
	const struct priv_netns *req = &serve->request.netns;
	struct priv_netns_reply *reply = &serve->reply.netns_reply;
	struct err why = { .code = E_OK };

	priv_serve_start_reply(serve, PRIV_NETNS_REPLY);
	if (priv_netns_enter(serve->cfg.netns, (enum priv_netns_kind)req->kind, req->number,
	    &reply->handle, &why) != E_OK) {
		reply->code = why.code;
		reply->sys = why.sys;
		memcpy(reply->text, why.what, PRIV_TEXT_LEN);
	}
	return priv_serve_send_reply(serve, -1, err);
}

int
priv_serve_netns_close(struct priv_serve *serve, struct err *err)
{
	uint32_t handle = serve->request.netns_close.handle;

	if (!priv_netns_leave(serve->cfg.netns, handle))
		return priv_serve_unknown(serve, handle, err);
	return priv_serve_send_result(serve, PRIV_NETNS_CLOSE_REPLY, NULL, err);
}
