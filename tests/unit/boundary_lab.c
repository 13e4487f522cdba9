#include "boundary_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/if_arp.h>

#include "server/fdpass.h"

static void
send_reply(struct boundary_lab *b, union priv_msg *reply, enum priv_msg_type type,
    const union priv_msg *request, int fd)
{
	struct err err;

	priv_msg_init(reply, type, request->hdr.request_id);
	if (fdpass_send(b->fd, reply, priv_msg_size(type), fd, &err) != E_OK)
		fail_msg("%s", err.what);
}

static bool
is_refused(struct boundary_lab *b, uint32_t type)
{
	if (b->refuse_type != type || b->n_seen[type] <= b->refuse_after)
		return false;
	if (b->n_to_refuse > 0 && --b->n_to_refuse == 0)
		b->refuse_type = 0;
	return true;
}

static void
answer_list(struct boundary_lab *b, const union priv_msg *request)
{
	static union priv_msg reply;

	memset(&reply, 0, sizeof(reply));
	if (is_refused(b, PRIV_LIST)) {
		reply.list_reply.code = b->refuse_code;
		snprintf(reply.list_reply.text, PRIV_TEXT_LEN, "list: as asked");
	} else if (request->list.netns != 0) {
		assert_true(b->n_netns_open > 0);
		reply.list_reply.n = b->n_foreign;
		memcpy(reply.list_reply.interfaces, b->foreign, sizeof(b->foreign));
	} else {
		reply.list_reply.n = b->n_interfaces;
		memcpy(reply.list_reply.interfaces, b->interfaces,
		    sizeof(b->interfaces));
	}
	send_reply(b, &reply, PRIV_LIST_REPLY, request, -1);
}

static void
answer_netns_list(struct boundary_lab *b, const union priv_msg *request)
{
	static union priv_msg reply;

	memset(&reply, 0, sizeof(reply));
	reply.netns_list_reply.n = b->n_foreign > 0;
	reply.netns_list_reply.names[0].number = 1;
	snprintf(reply.netns_list_reply.names[0].name, PRIV_NETNS_NAME_LEN, "blue");
	send_reply(b, &reply, PRIV_NETNS_LIST_REPLY, request, -1);
}

static void
answer_netns(struct boundary_lab *b, const union priv_msg *request)
{
	static union priv_msg reply;

	memset(&reply, 0, sizeof(reply));
	if (is_refused(b, PRIV_NETNS)) {
		reply.netns_reply.code = b->refuse_code;
		snprintf(reply.netns_reply.text, PRIV_TEXT_LEN, "netns: as asked");
	} else if (!b->is_blue_own) {
		reply.netns_reply.handle = ++b->n_netns;
		b->n_netns_open++;
	}
	send_reply(b, &reply, PRIV_NETNS_REPLY, request, -1);
}

static void
answer_netns_close(struct boundary_lab *b, const union priv_msg *request)
{
	static union priv_msg reply;

	memset(&reply, 0, sizeof(reply));
	assert_true(request->netns_close.handle <= b->n_netns);
	assert_true(b->n_netns_open > 0);
	b->n_netns_open--;
	send_reply(b, &reply, PRIV_NETNS_CLOSE_REPLY, request, -1);
}

static const struct priv_interface *
find_in(const struct priv_interface *interfaces, uint32_t n, uint32_t index)
{
	for (uint32_t i = 0; i < n; i++)
		if (interfaces[i].index == index)
			return &interfaces[i];
	fail_msg("an interface was opened that is not permitted: %u", index);
	return NULL;
}

static const struct priv_interface *
find(const struct boundary_lab *b, const struct priv_open *open)
{
	static const struct priv_interface all = {
		.name = "any", .arphrd = ARPHRD_VOID,
	};

	if (open->ifindex == 0)
		return &all;
	return open->netns != 0 ? find_in(b->foreign, b->n_foreign, open->ifindex) :
	    find_in(b->interfaces, b->n_interfaces, open->ifindex);
}

static void
answer_open(struct boundary_lab *b, const union priv_msg *request)
{
	const struct priv_interface *iface = find(b, &request->open);
	struct link_choice choice;
	static union priv_msg reply;
	struct priv_open_reply *open = &reply.open_reply;
	int fd = -1;

	memset(&reply, 0, sizeof(reply));
	b->last_open = request->open;
	if (is_refused(b, PRIV_OPEN)) {
		open->code = b->refuse_code;
		open->sys = b->refuse_sys;
		snprintf(open->text, PRIV_TEXT_LEN, "open: as asked");
	} else {
		assert_true(link_type_choose(iface->arphrd, iface->name,
		    request->open.link_type, &choice));
		assert_int_equal(choice.is_cooked,
		    (request->open.flags & PRIV_OPEN_COOKED) != 0);
		open->handle = ++b->n_handles;
		assert_true(open->handle < BOUNDARY_HANDLES);
		b->is_open[open->handle] = true;
		open->ifindex = iface->index;
		open->link_type = request->open.link_type;
		open->time_stamp_type = PRIV_TIME_HOST;
		open->snaplen = request->open.snaplen;
		open->block_size = 64 << 10;
		open->block_nr = (uint32_t)(request->open.ring_bytes /
		    open->block_size);
		open->retire_ms = 1;
		open->is_promiscuous =
		    (request->open.flags & PRIV_OPEN_PROMISCUOUS) != 0;
		memcpy(open->name, iface->name, sizeof(open->name));
		fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		assert_true(fd >= 0);
	}
	send_reply(b, &reply, PRIV_OPEN_REPLY, request, fd);
	if (fd >= 0)
		close(fd);
}

static void
answer_result(struct boundary_lab *b, const union priv_msg *request,
    uint32_t handle, enum priv_msg_type type)
{
	static union priv_msg reply;

	memset(&reply, 0, sizeof(reply));
	/* A request that was kept may come after the close. */
	if (!b->is_open[handle])
		reply.result.code = E_STATE;
	else if (is_refused(b, request->hdr.type))
		reply.result = (struct priv_result){ .code = b->refuse_code,
		    .sys = b->refuse_sys };
	else if (request->hdr.type == PRIV_CLOSE)
		b->is_open[handle] = false;
	send_reply(b, &reply, type, request, -1);
}

static void
answer(struct boundary_lab *b, const union priv_msg *request)
{
	switch (request->hdr.type) {
	case PRIV_LIST:
		answer_list(b, request);
		return;
	case PRIV_OPEN:
		answer_open(b, request);
		return;
	case PRIV_FILTER:
		answer_result(b, request, request->filter.handle,
		    PRIV_FILTER_REPLY);
		return;
	case PRIV_CLOSE:
		answer_result(b, request, request->close.handle,
		    PRIV_CLOSE_REPLY);
		return;
	case PRIV_NETNS_LIST:
		answer_netns_list(b, request);
		return;
	case PRIV_NETNS:
		answer_netns(b, request);
		return;
	case PRIV_NETNS_CLOSE:
		answer_netns_close(b, request);
		return;
	default:
		fail_msg("%s is no request", priv_msg_name(request->hdr.type));
	}
}

/* capagent takes a wrong handle for the work of a broken child. */
static void
check_handle(const struct boundary_lab *b, const union priv_msg *request)
{
	uint32_t handle;

	if (request->hdr.type == PRIV_FILTER)
		handle = request->filter.handle;
	else if (request->hdr.type == PRIV_CLOSE)
		handle = request->close.handle;
	else
		return;
	assert_true(handle < BOUNDARY_HANDLES && b->is_open[handle]);
}

static void
on_request(unsigned events, void *arg)
{
	struct boundary_lab *b = arg;
	struct err err;
	size_t len;
	int fd, rc;

	(void)events;
	rc = fdpass_recv(b->fd, &b->last, sizeof(b->last), &len, &fd, &err);
	if (rc == E_EOF) {
		loop_io_set(b->io, 0);
		return;
	}
	assert_int_equal(rc, E_OK);
	if (priv_msg_check(&b->last, len, fd >= 0, &err) != E_OK)
		fail_msg("%s", err.what);
	check_handle(b, &b->last);
	b->n_seen[b->last.hdr.type]++;
	if (b->last.hdr.type != b->hold_type) {
		answer(b, &b->last);
		return;
	}
	assert_true(b->n_held < BOUNDARY_HELD);
	b->held[b->n_held++] = b->last;
}

void
boundary_lab_answer(struct boundary_lab *b)
{
	assert_true(b->n_held > 0);
	answer(b, &b->held[0]);
	b->n_held--;
	memmove(&b->held[0], &b->held[1], b->n_held * sizeof(b->held[0]));
}

unsigned
boundary_lab_open_handles(const struct boundary_lab *b)
{
	unsigned n = 0;

	for (int i = 0; i < BOUNDARY_HANDLES; i++)
		n += b->is_open[i];
	return n;
}

void
boundary_lab_open(struct boundary_lab *b, struct loop *loop)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0, fds), 0);
	b->fd = fds[0];
	b->child_fd = fds[1];
	b->io = loop_io_new(loop, b->fd, on_request, b);
	assert_non_null(b->io);
	assert_int_equal(loop_io_set(b->io, LOOP_READ), E_OK);
}

void
boundary_lab_close(struct boundary_lab *b)
{
	loop_io_free(b->io);
	close(b->fd);
}
