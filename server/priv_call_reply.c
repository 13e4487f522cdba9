#include "server/priv_call_int.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/fdpass.h"

enum { MAX_ITEMS = 4096 };	/* PROTO_MAX_INTERFACES: no list says more */

/* A page of a list: LIST's and NETNS_LIST's replies, as one. */
struct page {
	int32_t		 code, sys;
	const char	*text;
	const void	*items;
	size_t		 n, size;	/* of one item */
	uint32_t	 next;
	uint32_t	*start;		/* of the request */
};

static struct page
page_of(struct priv_call *call, struct priv_call_request *r)
{
	const struct priv_list_reply *list = &call->reply.list_reply;
	const struct priv_netns_list_reply *names = &call->reply.netns_list_reply;

	if (r->msg->hdr.type == PRIV_LIST)
		return (struct page){
			.code = list->code, .sys = list->sys, .text = list->text,
			.items = list->interfaces, .n = list->n,
			.size = sizeof(list->interfaces[0]),
			.next = list->next_index, .start = &r->msg->list.start_index,
		};
	return (struct page){
		.code = names->code, .sys = names->sys, .text = names->text,
		.items = names->names, .n = names->n, .size = sizeof(names->names[0]),
		.next = names->next, .start = &r->msg->netns_list.start,
	};
}

/* Add a page; E_AGAIN when there is another one to ask for. */
static int
take_page(struct priv_call_request *r, const struct page *page, struct err *err)
{
	uint8_t *grown;

	if (page->code != E_OK) {
		*err = (struct err){ .code = page->code, .sys = page->sys };
		memcpy(err->what, page->text, sizeof(err->what));
		return page->code;
	}
	if (page->n > 0) {
		grown = realloc(r->items, (r->n_items + page->n) * page->size);
		if (grown == NULL)
			return err_set(err, E_NOMEM, "interfaces: list: out of memory");
		memcpy(grown + r->n_items * page->size, page->items, page->n * page->size);
		r->items = grown;
		r->n_items += page->n;
	}
	return page->next > *page->start && r->n_items < MAX_ITEMS ? E_AGAIN : E_OK;
}

static void
tell_list(const struct priv_call_request *r, const struct err *err)
{
	if (r->msg->hdr.type == PRIV_LIST)
		r->fn.list(err, (const struct priv_interface *)(const void *)r->items,
		    r->n_items, r->arg);
	else
		r->fn.names(err, (const struct priv_netns_name *)(const void *)r->items,
		    r->n_items, r->arg);
}

static void
finish_list(struct priv_call *call, struct priv_call_request *r)
{
	struct err err = { .code = E_OK };
	struct page page = page_of(call, r);
	int ret = take_page(r, &page, &err);

	if (ret == E_AGAIN && !r->is_cancelled) {
		*page.start = page.next;
		r->id = r->msg->hdr.request_id = ++call->last_id;
		r->is_sent = false;
		priv_call_send(call);
		return;
	}
	if (ret != E_OK && ret != E_AGAIN) {
		priv_call_fail(call, r, &err);
		return;
	}
	priv_call_unlink(call, r);
	if (!r->is_cancelled)
		tell_list(r, &err);
	priv_call_drop(r);
}

/* Turn a request nobody waits for into the one that undoes it, and send that. */
static void
send_undo(struct priv_call *call, struct priv_call_request *r, enum priv_msg_type type,
    uint32_t handle)
{
	memset(r->msg, 0, priv_msg_size(type));
	r->id = ++call->last_id;
	priv_msg_init(r->msg, type, r->id);
	if (type == PRIV_CLOSE)
		r->msg->close.handle = handle;
	else
		r->msg->netns_close.handle = handle;
	r->fn.done = NULL;
	r->is_sent = false;
	priv_call_send(call);
}

static void
finish_open(struct priv_call *call, struct priv_call_request *r, int fd)
{
	const struct priv_open_reply *reply = &call->reply.open_reply;
	struct err err = { .code = reply->code, .sys = reply->sys };
	struct priv_opened opened = {
		.fd = fd,
		.handle = reply->handle,
		.ifindex = reply->ifindex,
		.link_type = reply->link_type,
		.arphrd = reply->arphrd,
		.snaplen = reply->snaplen,
		.block_size = reply->block_size,
		.block_nr = reply->block_nr,
		.retire_ms = reply->retire_ms,
		.is_promiscuous = reply->is_promiscuous != 0,
		.time_stamp_type = reply->time_stamp_type,
		.note = reply->text,
	};

	if (reply->code != E_OK) {
		memcpy(err.what, reply->text, sizeof(err.what));
		priv_call_fail(call, r, &err);
		return;
	}
	if (r->is_cancelled) {
		close(fd);
		send_undo(call, r, PRIV_CLOSE, reply->handle);
		return;
	}
	memcpy(opened.name, reply->name, sizeof(opened.name));
	priv_call_unlink(call, r);
	r->fn.open(&err, &opened, r->arg);
	priv_call_drop(r);
}

static void
finish_netns(struct priv_call *call, struct priv_call_request *r)
{
	const struct priv_netns_reply *reply = &call->reply.netns_reply;
	struct err err = { .code = reply->code, .sys = reply->sys };

	if (reply->code != E_OK) {
		memcpy(err.what, reply->text, sizeof(err.what));
		priv_call_fail(call, r, &err);
		return;
	}
	if (r->is_cancelled && reply->handle != 0) {
		send_undo(call, r, PRIV_NETNS_CLOSE, reply->handle);
		return;
	}
	priv_call_unlink(call, r);
	if (!r->is_cancelled)
		r->fn.netns(&err, reply->handle, r->arg);
	priv_call_drop(r);
}

static void
finish_plain(struct priv_call *call, struct priv_call_request *r)
{
	const struct priv_result *reply = &call->reply.result;
	struct err err = { .code = reply->code, .sys = reply->sys };

	memcpy(err.what, reply->text, sizeof(err.what));
	priv_call_unlink(call, r);
	if (!r->is_cancelled && r->fn.done != NULL)
		r->fn.done(&err, r->arg);
	priv_call_drop(r);
}

/* The reply's type for a request's. */
static uint32_t
reply_type(uint32_t request_type)
{
	return request_type - PRIV_LIST + PRIV_LIST_REPLY;
}

static struct priv_call_request *
find_request(struct priv_call *call)
{
	struct priv_call_request *r = call->first;

	while (r != NULL && (!r->is_sent || r->id != call->reply.hdr.request_id ||
	    reply_type(r->msg->hdr.type) != call->reply.hdr.type))
		r = r->next;
	return r;
}

/* fd is passed on to the one who asked, or closed. */
static int
take_reply(struct priv_call *call, int fd, struct err *err)
{
	struct priv_call_request *r = find_request(call);

	if (r == NULL) {
		if (fd != -1)
			close(fd);
		return err_set(err, E_BADMSG, "boundary: %s: answers no request",
		    priv_msg_name(call->reply.hdr.type));
	}
	switch (r->msg->hdr.type) {
	case PRIV_LIST:
	case PRIV_NETNS_LIST:
		finish_list(call, r);
		break;
	case PRIV_OPEN:
		finish_open(call, r, fd);
		break;
	case PRIV_NETNS:
		finish_netns(call, r);
		break;
	default:
		finish_plain(call, r);
		break;
	}
	return E_OK;
}

static bool
is_setup(uint32_t type)
{
	return type == PRIV_RELOAD ||
	    (type >= PRIV_SETUP_CONFIG && type <= PRIV_SETUP_DONE);
}

int
priv_call_take_message(struct priv_call *call, struct err *err)
{
	size_t len;
	int fd, ret;

	ret = fdpass_recv(call->fd, &call->reply, sizeof(call->reply), &len, &fd, err);
	if (ret != E_OK)
		return ret;
	ret = priv_msg_check(&call->reply, len, fd != -1, err);
	if (ret != E_OK) {
		if (fd != -1)
			close(fd);
		return ret;
	}
	if (call->reply.hdr.type == PRIV_END) {
		call->events.end(call->arg);
		return E_OK;
	}
	if (!is_setup(call->reply.hdr.type))
		return take_reply(call, fd, err);
	ret = priv_call_take_reload(call, &fd, err);
	if (fd != -1)
		close(fd);
	return ret;
}
