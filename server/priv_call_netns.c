#include "server/priv_call_int.h"

/* Requests about interfaces and network namespaces. */

struct priv_call_request *
priv_call_list_in(struct priv_call *call, uint32_t netns, priv_call_list_fn fn, void *arg)
{
	struct priv_call_request *r = priv_call_request_new(call, PRIV_LIST,
	    (union request_fn){ .list = fn }, arg);

	if (r == NULL)
		return NULL;
	r->msg->list.netns = netns;
	return priv_call_submit(call, r);
}

struct priv_call_request *
priv_call_list(struct priv_call *call, priv_call_list_fn fn, void *arg)
{
	return priv_call_list_in(call, 0, fn, arg);
}

struct priv_call_request *
priv_call_netns_names(struct priv_call *call, priv_call_names_fn fn, void *arg)
{
	struct priv_call_request *r = priv_call_request_new(call, PRIV_NETNS_LIST,
	    (union request_fn){ .names = fn }, arg);

	return r != NULL ? priv_call_submit(call, r) : NULL;
}

struct priv_call_request *
priv_call_netns(struct priv_call *call, enum priv_netns_kind kind, uint32_t number,
    priv_call_netns_fn fn, void *arg)
{
	struct priv_call_request *r = priv_call_request_new(call, PRIV_NETNS,
	    (union request_fn){ .netns = fn }, arg);

	if (r == NULL)
		return NULL;
	r->msg->netns.kind = kind;
	r->msg->netns.number = number;
	return priv_call_submit(call, r);
}

void
priv_call_netns_close(struct priv_call *call, uint32_t handle)
{
	struct priv_call_request *r;

	if (handle == 0)
		return;
	r = priv_call_request_new(call, PRIV_NETNS_CLOSE,
	    (union request_fn){ .done = NULL }, NULL);
	/* Without memory the handle stays until the agent ends. */
	if (r == NULL)
		return;
	r->msg->netns_close.handle = handle;
	(void)priv_call_submit(call, r);
}
