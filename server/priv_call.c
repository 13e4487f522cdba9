#include "server/priv_call_int.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/link_type.h"
#include "server/fdpass.h"

enum { REPLIES_PER_TURN = 16 };	/* then other descriptors have their turn */

/* --- the list of requests --- */

void
priv_call_drop(struct priv_call_request *r)
{
	free(r->items);
	free(r->msg);
	free(r);
}

struct priv_call_request *
priv_call_request_new(struct priv_call *call, enum priv_msg_type type, union request_fn fn,
    void *arg)
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

void
priv_call_unlink(struct priv_call *call, struct priv_call_request *r)
{
	struct priv_call_request **at = &call->first;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
}

void
priv_call_fail(struct priv_call *call, struct priv_call_request *r, const struct err *err)
{
	priv_call_unlink(call, r);
	if (!r->is_cancelled) {
		switch ((enum priv_msg_type)r->msg->hdr.type) {
		case PRIV_LIST:
			r->fn.list(err, NULL, 0, r->arg);
			break;
		case PRIV_OPEN:
			r->fn.open(err, NULL, r->arg);
			break;
		case PRIV_NETNS_LIST:
			r->fn.names(err, NULL, 0, r->arg);
			break;
		case PRIV_NETNS:
			r->fn.netns(err, 0, r->arg);
			break;
		default:
			if (r->fn.done != NULL)
				r->fn.done(err, r->arg);
			break;
		}
	}
	priv_call_drop(r);
}

/* --- losing the boundary --- */

void
priv_call_set_gone(struct priv_call *call, const struct err *why)
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
		priv_call_fail(call, call->first, &call->why);
	if (!call->was_told) {
		call->was_told = true;
		call->events.gone(&call->why, call->arg);
	}
}

/* --- sending --- */

void
priv_call_send(struct priv_call *call)
{
	struct priv_call_request *r = call->first;
	unsigned events = LOOP_READ;
	struct err err;
	int ret = call->is_gone ? E_OK : priv_call_send_answer(call, &err);

	for (; ret == E_OK && r != NULL && !call->is_gone; r = r->next) {
		if (r->is_sent)
			continue;
		ret = fdpass_send(call->fd, r->msg, priv_msg_size(r->msg->hdr.type), -1, &err);
		r->is_sent = ret == E_OK;
	}
	if (ret == E_AGAIN) {
		events |= LOOP_WRITE;
	} else if (ret != E_OK) {
		priv_call_set_gone(call, &err);
		return;
	}
	if (!call->is_gone && loop_io_set(call->io, events) != E_OK) {
		err_set(&err, E_NOMEM, "boundary: watch: out of memory");
		priv_call_set_gone(call, &err);
	}
}

struct priv_call_request *
priv_call_submit(struct priv_call *call, struct priv_call_request *r)
{
	request_append(call, r);
	if (call->is_gone)
		loop_timer_set(call->kick, 0);
	else
		priv_call_send(call);
	return r;
}

static void
on_boundary(unsigned events, void *arg)
{
	struct priv_call *call = arg;
	struct err err;
	int ret = E_OK;

	for (int i = 0; ret == E_OK && i < REPLIES_PER_TURN && !call->is_gone; i++)
		ret = priv_call_take_message(call, &err);
	if (ret != E_OK && ret != E_AGAIN)
		priv_call_set_gone(call, &err);
	else if ((events & LOOP_WRITE) != 0)
		priv_call_send(call);
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
		priv_call_drop(r);
	}
	priv_call_drop_reload(call);
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
priv_call_open(struct priv_call *call, const struct priv_open_request *request,
    priv_call_open_fn fn, void *arg)
{
	struct priv_call_request *r = priv_call_request_new(call, PRIV_OPEN,
	    (union request_fn){ .open = fn }, arg);
	struct priv_open *m;

	if (r == NULL)
		return NULL;
	m = &r->msg->open;
	m->capture = request->capture;
	m->ifindex = request->ifindex;
	m->netns = request->netns;
	m->link_type = request->link_type;
	m->flags = request->flags & ~(uint32_t)PRIV_OPEN_COOKED;
	if (link_type_made_header(request->link_type) > 0)
		m->flags |= PRIV_OPEN_COOKED;
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
	return priv_call_submit(call, r);
}

struct priv_call_request *
priv_call_filter(struct priv_call *call, uint32_t handle,
    const struct bpf_insn_raw *insns, uint32_t n_insns, priv_call_done_fn fn, void *arg)
{
	struct priv_call_request *r = priv_call_request_new(call, PRIV_FILTER,
	    (union request_fn){ .done = fn }, arg);

	if (r == NULL)
		return NULL;
	r->msg->filter.handle = handle;
	fill_program(&r->msg->filter.program, insns, n_insns);
	return priv_call_submit(call, r);
}

struct priv_call_request *
priv_call_close(struct priv_call *call, uint32_t handle, priv_call_done_fn fn, void *arg)
{
	struct priv_call_request *r = priv_call_request_new(call, PRIV_CLOSE,
	    (union request_fn){ .done = fn }, arg);

	if (r == NULL)
		return NULL;
	r->msg->close.handle = handle;
	return priv_call_submit(call, r);
}

void
priv_call_cancel(struct priv_call *call, struct priv_call_request *request)
{
	uint32_t type = request->msg->hdr.type;

	/* What is unsent need not be sent, but a CLOSE must. */
	if (request->is_sent || type == PRIV_CLOSE || type == PRIV_NETNS_CLOSE) {
		request->is_cancelled = true;
		return;
	}
	priv_call_unlink(call, request);
	priv_call_drop(request);
}
