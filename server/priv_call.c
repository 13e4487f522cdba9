#include "server/priv_call.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/fdpass.h"

enum {
	MAX_INTERFACES = 4096,		/* PROTO_MAX_INTERFACES: no list says more */
	REPLIES_PER_TURN = 16,		/* then other descriptors have their turn */
};

union request_fn {
	priv_call_list_fn list;
	priv_call_open_fn open;
	priv_call_done_fn done;
};

struct priv_call_request {
	struct priv_call_request *next;
	uint32_t	 id;
	bool		 is_sent;
	bool		 is_cancelled;
	union request_fn fn;
	void		*arg;
	struct priv_interface *interfaces;	/* LIST: pages so far */
	size_t		 n_interfaces;
	union priv_msg	*msg;		/* only priv_msg_size() bytes of it exist */
};

struct priv_call {
	struct loop	*loop;
	int		 fd;
	struct loop_io	*io;
	struct loop_timer *kick;	/* reports what a request function found */
	struct priv_call_events events;
	void		*arg;
	uint32_t	 last_id;
	bool		 is_gone;
	bool		 was_told;	/* events.gone was called */
	struct err	 why;		/* of is_gone */
	struct priv_call_request *first;	/* in the order of asking */
	union priv_msg	 reply;
};

/* --- the list of requests --- */

static void
request_free(struct priv_call_request *r)
{
	free(r->interfaces);
	free(r->msg);
	free(r);
}

static struct priv_call_request *
request_new(struct priv_call *call, enum priv_msg_type type, union request_fn fn, void *arg)
{
	struct priv_call_request *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->msg = calloc(1, priv_msg_size(type));
	if (r->msg == NULL) {
		free(r);
		return NULL;
	}
	r->id = ++call->last_id;
	r->fn = fn;
	r->arg = arg;
	priv_msg_init(r->msg, type, r->id);
	return r;
}

static void
request_append(struct priv_call *call, struct priv_call_request *r)
{
	struct priv_call_request **at = &call->first;

	while (*at != NULL)
		at = &(*at)->next;
	r->next = NULL;
	*at = r;
}

static void
request_unlink(struct priv_call *call, struct priv_call_request *r)
{
	struct priv_call_request **at = &call->first;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
}

/* Tell the asker that nothing will come of it, and forget it. */
static void
request_fail(struct priv_call *call, struct priv_call_request *r, const struct err *err)
{
	request_unlink(call, r);
	if (!r->is_cancelled) {
		switch ((enum priv_msg_type)r->msg->hdr.type) {
		case PRIV_LIST:
			r->fn.list(err, NULL, 0, r->arg);
			break;
		case PRIV_OPEN:
			r->fn.open(err, NULL, r->arg);
			break;
		default:
			if (r->fn.done != NULL)
				r->fn.done(err, r->arg);
			break;
		}
	}
	request_free(r);
}

/* --- losing the boundary --- */

static void
set_gone(struct priv_call *call, const struct err *why)
{
	if (call->is_gone)
		return;
	call->is_gone = true;
	call->why = *why;
	(void)loop_io_set(call->io, 0);
	loop_timer_set(call->kick, 0);
}

static void
on_kick(void *arg)
{
	struct priv_call *call = arg;

	while (call->first != NULL)
		request_fail(call, call->first, &call->why);
	if (!call->was_told) {
		call->was_told = true;
		call->events.gone(&call->why, call->arg);
	}
}

/* --- sending --- */

static void
send_requests(struct priv_call *call)
{
	struct priv_call_request *r = call->first;
	unsigned events = LOOP_READ;
	struct err err;

	for (; r != NULL && !call->is_gone; r = r->next) {
		int ret;

		if (r->is_sent)
			continue;
		ret = fdpass_send(call->fd, r->msg, priv_msg_size(r->msg->hdr.type), -1, &err);
		if (ret == E_AGAIN) {
			events |= LOOP_WRITE;
			break;
		}
		if (ret != E_OK) {
			set_gone(call, &err);
			return;
		}
		r->is_sent = true;
	}
	if (!call->is_gone && loop_io_set(call->io, events) != E_OK) {
		err_set(&err, E_NOMEM, "boundary: watch: out of memory");
		set_gone(call, &err);
	}
}

static struct priv_call_request *
submit(struct priv_call *call, struct priv_call_request *r)
{
	request_append(call, r);
	if (call->is_gone)
		loop_timer_set(call->kick, 0);
	else
		send_requests(call);
	return r;
}

/* --- replies --- */

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
		send_requests(call);
		return;
	}
	if (ret != E_OK && ret != E_AGAIN) {
		request_fail(call, r, &err);
		return;
	}
	request_unlink(call, r);
	if (!r->is_cancelled)
		r->fn.list(&err, r->interfaces, r->n_interfaces, r->arg);
	request_free(r);
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
	send_requests(call);
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
		request_fail(call, r, &err);
		return;
	}
	if (r->is_cancelled) {
		close_unwanted(call, r, fd);
		return;
	}
	memcpy(opened.name, reply->name, sizeof(opened.name));
	request_unlink(call, r);
	r->fn.open(&err, &opened, r->arg);
	request_free(r);
}

static void
finish_plain(struct priv_call *call, struct priv_call_request *r)
{
	const struct priv_result *reply = &call->reply.result;
	struct err err = { .code = reply->code, .sys = reply->sys };

	memcpy(err.what, reply->text, sizeof(err.what));
	request_unlink(call, r);
	if (!r->is_cancelled && r->fn.done != NULL)
		r->fn.done(&err, r->arg);
	request_free(r);
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

/* One message; E_AGAIN when there is none. */
static int
take_message(struct priv_call *call, struct err *err)
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

static void
on_boundary(unsigned events, void *arg)
{
	struct priv_call *call = arg;
	struct err err;
	int ret = E_OK;

	for (int i = 0; ret == E_OK && i < REPLIES_PER_TURN && !call->is_gone; i++)
		ret = take_message(call, &err);
	if (ret != E_OK && ret != E_AGAIN)
		set_gone(call, &err);
	else if ((events & LOOP_WRITE) != 0)
		send_requests(call);
}

/* --- life --- */

struct priv_call *
priv_call_new(struct loop *loop, int fd, const struct priv_call_events *events, void *arg,
    struct err *err)
{
	struct priv_call *call = calloc(1, sizeof(*call));
	int flags = fcntl(fd, F_GETFL);

	if (call == NULL) {
		close(fd);
		err_set(err, E_NOMEM, "boundary: watch: out of memory");
		return NULL;
	}
	call->loop = loop;
	call->fd = fd;
	call->events = *events;
	call->arg = arg;
	if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1) {
		err_sys(err, "boundary: make non-blocking");
		goto fail;
	}
	call->io = loop_io_new(loop, fd, on_boundary, call);
	call->kick = loop_timer_new(loop, on_kick, call);
	if (call->io == NULL || call->kick == NULL ||
	    loop_io_set(call->io, LOOP_READ) != E_OK) {
		err_set(err, E_NOMEM, "boundary: watch: out of memory");
		goto fail;
	}
	return call;
fail:
	priv_call_free(call);
	return NULL;
}

void
priv_call_free(struct priv_call *call)
{
	if (call == NULL)
		return;
	while (call->first != NULL) {
		struct priv_call_request *r = call->first;

		call->first = r->next;
		request_free(r);
	}
	loop_timer_free(call->kick);
	loop_io_free(call->io);
	close(call->fd);
	free(call);
}

/* --- requests --- */

static void
fill_program(struct priv_program *dst, const struct bpf_insn_raw *insns, uint32_t n)
{
	dst->n_insns = n < BPF_PROG_MAX ? n : BPF_PROG_MAX;
	memcpy(dst->insns, insns, dst->n_insns * sizeof(insns[0]));
}

struct priv_call_request *
priv_call_list(struct priv_call *call, priv_call_list_fn fn, void *arg)
{
	struct priv_call_request *r = request_new(call, PRIV_LIST,
	    (union request_fn){ .list = fn }, arg);

	return r != NULL ? submit(call, r) : NULL;
}

struct priv_call_request *
priv_call_open(struct priv_call *call, const struct priv_open_request *request,
    priv_call_open_fn fn, void *arg)
{
	struct priv_call_request *r = request_new(call, PRIV_OPEN,
	    (union request_fn){ .open = fn }, arg);
	struct priv_open *m;

	if (r == NULL)
		return NULL;
	m = &r->msg->open;
	m->capture = request->capture;
	m->ifindex = request->ifindex;
	m->link_type = request->link_type;
	m->flags = request->flags;
	m->lanes = 1;
	m->snaplen = request->snaplen;
	if (m->snaplen == 0 || m->snaplen > PRIV_MAX_SNAPLEN)
		m->snaplen = PRIV_MAX_SNAPLEN;
	m->ring_bytes = request->ring_bytes;
	if (m->ring_bytes < PRIV_MIN_RING)
		m->ring_bytes = PRIV_MIN_RING;
	if (m->ring_bytes > PRIV_MAX_RING)
		m->ring_bytes = PRIV_MAX_RING;
	fill_program(&m->program, request->insns, request->n_insns);
	return submit(call, r);
}

struct priv_call_request *
priv_call_filter(struct priv_call *call, uint32_t handle,
    const struct bpf_insn_raw *insns, uint32_t n_insns, priv_call_done_fn fn, void *arg)
{
	struct priv_call_request *r = request_new(call, PRIV_FILTER,
	    (union request_fn){ .done = fn }, arg);

	if (r == NULL)
		return NULL;
	r->msg->filter.handle = handle;
	fill_program(&r->msg->filter.program, insns, n_insns);
	return submit(call, r);
}

struct priv_call_request *
priv_call_close(struct priv_call *call, uint32_t handle, priv_call_done_fn fn, void *arg)
{
	struct priv_call_request *r = request_new(call, PRIV_CLOSE,
	    (union request_fn){ .done = fn }, arg);

	if (r == NULL)
		return NULL;
	r->msg->close.handle = handle;
	return submit(call, r);
}

void
priv_call_cancel(struct priv_call *call, struct priv_call_request *request)
{
	/* An unsent CLOSE still has to be sent; everything else need not. */
	if (request->is_sent || request->msg->hdr.type == PRIV_CLOSE) {
		request->is_cancelled = true;
		return;
	}
	request_unlink(call, request);
	request_free(request);
}
