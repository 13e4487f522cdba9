#include "server/priv_call_int.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/fdpass.h"

enum { MAX_INTERFACES = 4096 };	/* PROTO_MAX_INTERFACES: no list says more */

/* Add a page; E_AGAIN when there is another one to ask for. */
static int
take_page(struct priv_call *call, struct priv_call_request *r, struct err *err)
{
	const struct priv_list_reply *reply = &call->reply.list_reply;
	struct priv_interface *grown;

	if (reply->code != E_OK) {
		*err = (struct err){ .code = reply->code, .sys = reply->sys };
		memcpy(err->what, reply->text, sizeof(err->what));
		return reply->code;
	}
	if (reply->n > 0) {
		grown = realloc(r->interfaces,
		    (r->n_interfaces + reply->n) * sizeof(*grown));
		if (grown == NULL)
			return err_set(err, E_NOMEM, "interfaces: list: out of memory");
		memcpy(grown + r->n_interfaces, reply->interfaces,
		    reply->n * sizeof(*grown));
		r->interfaces = grown;
		r->n_interfaces += reply->n;
	}
	if (reply->next_index > r->msg->list.start_index && r->n_interfaces < MAX_INTERFACES)
		return E_AGAIN;
	return E_OK;
}

static void
finish_list(struct priv_call *call, struct priv_call_request *r)
{
	struct err err = { .code = E_OK };
	int ret = take_page(call, r, &err);

	if (ret == E_AGAIN && !r->is_cancelled) {
		r->msg->list.start_index = call->reply.list_reply.next_index;
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
		r->fn.list(&err, r->interfaces, r->n_interfaces, r->arg);
	priv_call_drop(r);
}

/* Nobody wants the capture any more: the OPEN becomes its CLOSE. */
static void
close_unwanted(struct priv_call *call, struct priv_call_request *r, int fd)
{
	uint32_t handle = call->reply.open_reply.handle;

	close(fd);
	memset(r->msg, 0, priv_msg_size(PRIV_CLOSE));
	r->id = ++call->last_id;
	priv_msg_init(r->msg, PRIV_CLOSE, r->id);
	r->msg->close.handle = handle;
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
	};

	if (reply->code != E_OK) {
		memcpy(err.what, reply->text, sizeof(err.what));
		priv_call_fail(call, r, &err);
		return;
	}
	if (r->is_cancelled) {
		close_unwanted(call, r, fd);
		return;
	}
	memcpy(opened.name, reply->name, sizeof(opened.name));
	priv_call_unlink(call, r);
	r->fn.open(&err, &opened, r->arg);
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
	if (r->msg->hdr.type == PRIV_LIST)
		finish_list(call, r);
	else if (r->msg->hdr.type == PRIV_OPEN)
		finish_open(call, r, fd);
	else
		finish_plain(call, r);
	return E_OK;
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
	return take_reply(call, fd, err);
}
