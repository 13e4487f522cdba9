#include "server/priv_serve.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "server/fdpass.h"
#include "server/priv_serve_int.h"

/*
 * A capture costs three requests, and nobody starts hundreds a second; a
 * taken over child must not keep a core busy with ours.
 */
enum { REQUESTS_PER_S = 500, REQUESTS_BURST = 1000 };

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

void
priv_serve_start_reply(struct priv_serve *serve, enum priv_msg_type type)
{
	memset(&serve->reply, 0, priv_msg_size(type));
	priv_msg_init(&serve->reply, type, serve->request.hdr.request_id);
}

int
priv_serve_send_reply(struct priv_serve *serve, int fd, struct err *err)
{
	int ret = fdpass_send(serve->cfg.boundary_fd, &serve->reply,
	    priv_msg_size(serve->reply.hdr.type), fd, err);

	/* Room was there before the request was read: see priv_serve_turn(). */
	if (ret == E_PEERGONE)
		return err_set(err, E_EOF, "boundary: the network process is gone");
	return ret;
}

int
priv_serve_send_result(struct priv_serve *serve, enum priv_msg_type type, const struct err *why,
    struct err *err)
{
	priv_serve_start_reply(serve, type);
	if (why != NULL) {
		serve->reply.result.code = why->code;
		serve->reply.result.sys = why->sys;
		memcpy(serve->reply.result.text, why->what, PRIV_TEXT_LEN);
	}
	return priv_serve_send_reply(serve, -1, err);
}

/* --- the answer to a reload --- */

static int
take_reload_answer(struct priv_serve *serve, struct err *err)
{
	const struct priv_result *result = &serve->request.result;
	bool is_good = serve->request.hdr.type == PRIV_RELOADED;
	priv_serve_reloaded_fn fn = serve->reloaded;
	struct err why = { .code = E_OK };

	if (fn == NULL || (!is_good && result->code == E_OK))
		return err_set(err, E_BADMSG, "boundary: %s: answers no reload",
		    priv_msg_name(serve->request.hdr.type));
	serve->reloaded = NULL;
	if (!is_good) {
		why = (struct err){ .code = result->code, .sys = result->sys };
		memcpy(why.what, result->text, sizeof(why.what));
	}
	fn(is_good ? NULL : &why, serve->reloaded_arg);
	return E_OK;
}

void
priv_serve_await_reload(struct priv_serve *serve, priv_serve_reloaded_fn fn, void *arg)
{
	serve->reloaded = fn;
	serve->reloaded_arg = arg;
}

void
priv_serve_set_mandatory(struct priv_serve *serve, struct priv_mandatory *mandatory)
{
	serve->cfg.mandatory = mandatory;
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
	{ PRIV_LIST, SERVE_RUNNING | SERVE_ENDING, priv_serve_list },
	{ PRIV_OPEN, SERVE_RUNNING | SERVE_ENDING, priv_serve_open },
	{ PRIV_FILTER, SERVE_RUNNING | SERVE_ENDING, priv_serve_filter },
	{ PRIV_CLOSE, SERVE_RUNNING | SERVE_ENDING, priv_serve_close },
	{ PRIV_NETNS_LIST, SERVE_RUNNING | SERVE_ENDING, priv_serve_netns_list },
	{ PRIV_NETNS, SERVE_RUNNING | SERVE_ENDING, priv_serve_netns },
	{ PRIV_NETNS_CLOSE, SERVE_RUNNING | SERVE_ENDING, priv_serve_netns_close },
	{ PRIV_RELOADED, SERVE_RUNNING | SERVE_ENDING, take_reload_answer },
	{ PRIV_FAILED, SERVE_RUNNING | SERVE_ENDING, take_reload_answer },
};

int
priv_serve_unknown(const struct priv_serve *serve, uint32_t handle, struct err *err)
{
	return err_set(err, E_BADMSG, "boundary: %s: handle %u does not exist",
	    priv_msg_name(serve->request.hdr.type), handle);
}

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

bool
priv_serve_has_room(struct priv_serve *serve)
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
	if (serve->tokens < 1 || !priv_serve_has_room(serve))
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
