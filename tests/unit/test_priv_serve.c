/* server/priv_serve: a sound child is served, any other ends the service. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <net/if.h>

#include <cmocka.h>

#include "mutate.h"
#include "server/fdpass.h"
#include "server/priv_netns.h"
#include "server/priv_serve.h"

/* What the fake kernel was last asked, and what it answers. */
static struct {
	struct priv_open_wish wish;
	unsigned	 n_opened, n_filtered;
	int		 open_fails;	/* E_OK, or the code */
	int		 fails_sys;	/* with it */
	struct priv_interface interface;	/* of the wish */
	uint32_t	 filter_n;
} kernel;

static int
fake_get(int fd, uint32_t ifindex, struct priv_interface *ret, struct err *err)
{
	(void)fd;
	if (ifindex > 3)
		return err_set(err, E_NOIFACE, "interface %u: no such interface", ifindex);
	*ret = (struct priv_interface){
		.index = ifindex, .arphrd = ifindex == 3 ? 65534 : 1, .flags = IFF_UP,
		.link_type = ifindex == 3 ? LINK_RAW_IP : LINK_ETHERNET,
	};
	snprintf(ret->name, sizeof(ret->name), "if%u", ifindex);
	return E_OK;
}

static int
fake_page(int fd, uint32_t start_index, bool (*permits)(const char *name, void *arg),
    void *arg, struct priv_interface ret_interfaces[static PRIV_LIST_COUNT],
    uint32_t *ret_n, uint32_t *ret_next, struct err *err)
{
	uint32_t n = 0;

	for (uint32_t i = start_index > 0 ? start_index : 1; i <= 3; i++) {
		struct priv_interface interface;

		assert_int_equal(fake_get(fd, i, &interface, err), E_OK);
		if (permits(interface.name, arg))
			ret_interfaces[n++] = interface;
	}
	*ret_n = n;
	*ret_next = 0;
	return E_OK;
}

static int
fail_as_wished(struct err *err)
{
	err_set(err, kernel.open_fails, "as the test wishes");
	err->sys = kernel.fails_sys;
	return kernel.open_fails;
}

static int
fake_open(const struct priv_open_wish *wish, struct priv_open_done *ret, struct err *err)
{
	if (kernel.open_fails != E_OK)
		return fail_as_wished(err);
	kernel.wish = *wish;
	kernel.interface = *wish->interface;
	kernel.wish.interface = &kernel.interface;
	ret->time_stamps = wish->wants_adapter_time && wish->no_adapter_time == NULL ?
	    PRIV_TIME_ADAPTER_UNSYNCED : PRIV_TIME_HOST;
	strcpy(ret->note, "a note");
	kernel.n_opened++;
	assert_int_equal(ring_geometry_make(wish->ring_bytes, wish->snaplen, 0, &ret->ring), E_OK);
	ret->fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_not_equal(ret->fd, -1);
	ret->is_promiscuous = wish->is_promiscuous;
	return E_OK;
}

static int
fake_filter(int fd, const struct bpf_prog *filter, struct err *err)
{
	assert_int_not_equal(fcntl(fd, F_GETFD), -1);
	if (kernel.open_fails != E_OK)
		return fail_as_wished(err);
	kernel.n_filtered++;
	kernel.filter_n = filter->n;
	return E_OK;
}

static const struct priv_serve_ops fake = {
	.page = fake_page, .get = fake_get, .open = fake_open, .filter = fake_filter,
};

struct lab {
	int		 ours, theirs;
	struct policy	 policy;
	struct priv_mandatory *mandatory;
	struct priv_netns_set *netns;
	struct priv_serve *serve;
	union priv_msg	 request, reply;
	int		 fd;		/* of the last reply */
};

static struct lab *
lab_new(void)
{
	struct lab *lab = calloc(1, sizeof(*lab));
	struct priv_serve_config config;
	int pair[2];

	assert_non_null(lab);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
	    pair), 0);
	lab->ours = pair[0];
	lab->theirs = pair[1];
	policy_init(&lab->policy);
	lab->mandatory = calloc(1, sizeof(*lab->mandatory));
	assert_non_null(lab->mandatory);
	priv_mandatory_init(lab->mandatory);
	lab->netns = priv_netns_new(&lab->policy, -1, NULL);
	assert_non_null(lab->netns);
	config = (struct priv_serve_config){
		.boundary_fd = lab->ours, .list_fd = -1, .netns = lab->netns,
		.policy = &lab->policy,
		.mandatory = lab->mandatory, .ops = &fake,
	};
	lab->serve = priv_serve_new(&config);
	assert_non_null(lab->serve);
	lab->fd = -1;
	memset(&kernel, 0, sizeof(kernel));
	return lab;
}

static void
lab_free(struct lab *lab)
{
	priv_serve_free(lab->serve);
	priv_netns_free(lab->netns);
	if (lab->fd != -1)
		close(lab->fd);
	close(lab->ours);
	close(lab->theirs);
	free(lab->mandatory);
	free(lab);
}

static void
make(struct lab *lab, enum priv_msg_type type)
{
	static uint32_t id;

	memset(&lab->request, 0, sizeof(lab->request));
	priv_msg_init(&lab->request, type, ++id);
}

static void
make_open(struct lab *lab, uint32_t capture, uint32_t ifindex)
{
	make(lab, PRIV_OPEN);
	lab->request.open.capture = capture;
	lab->request.open.ifindex = ifindex;
	lab->request.open.link_type = LINK_ETHERNET;
	lab->request.open.snaplen = 1000;
	lab->request.open.ring_bytes = 4 << 20;
	lab->request.open.flags = PRIV_OPEN_PROMISCUOUS;
	lab->request.open.lanes = 1;
	lab->request.open.program.n_insns = 1;
	lab->request.open.program.insns[0] = (struct bpf_insn_raw){ .code = 6, .k = 262144 };
}

/* Send what is made, let it be served, take the reply; its code. */
static int
ask(struct lab *lab)
{
	struct err err;
	size_t len;

	if (lab->fd != -1)
		close(lab->fd);
	lab->fd = -1;
	assert_int_equal(fdpass_send(lab->theirs, &lab->request,
	    priv_msg_size(lab->request.hdr.type), -1, &err), E_OK);
	if (priv_serve_turn(lab->serve, &err) != E_OK)
		fail_msg("%s", err.what);
	assert_int_equal(fdpass_recv(lab->theirs, &lab->reply, sizeof(lab->reply), &len,
	    &lab->fd, &err), E_OK);
	if (priv_msg_check(&lab->reply, len, lab->fd != -1, &err) != E_OK)
		fail_msg("%s", err.what);
	assert_int_equal(lab->reply.hdr.request_id, lab->request.hdr.request_id);
	/* All replies but LIST's begin with the code; LIST's too. */
	return lab->reply.result.code;
}

static uint32_t
open_one(struct lab *lab, uint32_t capture, uint32_t ifindex)
{
	make_open(lab, capture, ifindex);
	if (ask(lab) != E_OK)
		fail_msg("%s", lab->reply.open_reply.text);
	return lab->reply.open_reply.handle;
}

static int
close_one(struct lab *lab, uint32_t handle)
{
	make(lab, PRIV_CLOSE);
	lab->request.close.handle = handle;
	return ask(lab);
}

static void
a_capture_is_opened_filtered_and_closed(void **state)
{
	struct lab *lab = lab_new();
	uint32_t handle = open_one(lab, 1, 2);

	(void)state;
	assert_int_not_equal(handle, 0);
	assert_int_not_equal(lab->fd, -1);
	assert_string_equal(lab->reply.open_reply.name, "if2");
	assert_int_equal(lab->reply.open_reply.ifindex, 2);
	assert_int_equal(lab->reply.open_reply.snaplen, 1000);
	assert_int_equal(lab->reply.open_reply.block_size * lab->reply.open_reply.block_nr,
	    4 << 20);
	assert_int_equal(lab->reply.open_reply.is_promiscuous, 1);
	assert_false(kernel.wish.is_cooked);
	assert_false(kernel.wish.is_inbound);

	make(lab, PRIV_FILTER);
	lab->request.filter.handle = handle;
	lab->request.filter.program.n_insns = 1;
	lab->request.filter.program.insns[0] = (struct bpf_insn_raw){ .code = 6, .k = 5 };
	assert_int_equal(ask(lab), E_OK);
	assert_int_equal(kernel.n_filtered, 1);
	assert_int_equal(close_one(lab, handle), E_OK);
	lab_free(lab);
}

static void
handles_are_never_used_again(void **state)
{
	struct lab *lab = lab_new();
	uint32_t first = open_one(lab, 1, 1);

	(void)state;
	assert_int_equal(close_one(lab, first), E_OK);
	assert_int_not_equal(open_one(lab, 1, 1), first);
	lab_free(lab);
}

static void
only_permitted_interfaces_are_listed_and_opened(void **state)
{
	struct lab *lab = lab_new();

	(void)state;
	strcpy(lab->policy.interfaces, "if2");
	make(lab, PRIV_LIST);
	assert_int_equal(ask(lab), E_OK);
	assert_int_equal(lab->reply.list_reply.n, 1);
	assert_string_equal(lab->reply.list_reply.interfaces[0].name, "if2");
	make_open(lab, 1, 1);
	assert_int_equal(ask(lab), E_DENIED);
	assert_int_equal(lab->fd, -1);
	assert_int_equal(kernel.n_opened, 0);
	make_open(lab, 1, 9);
	assert_int_equal(ask(lab), E_NOIFACE);
	make_open(lab, 1, 2);
	assert_int_equal(ask(lab), E_OK);
	lab_free(lab);
}

static void
a_refusal_of_the_kernel_is_an_ordinary_reply(void **state)
{
	static const int codes[] = { E_IFDOWN, E_NOMEM, E_SYS, E_FILTER };
	struct lab *lab = lab_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		kernel.open_fails = codes[i];
		make_open(lab, 1, 1);
		assert_int_equal(ask(lab), codes[i]);
		assert_string_equal(lab->reply.open_reply.text, "as the test wishes");
	}
	kernel.open_fails = E_OK;
	(void)open_one(lab, 1, 1);
	lab_free(lab);
}

static void
a_filter_for_another_link_type_is_refused_but_cooked_is_for_all(void **state)
{
	struct lab *lab = lab_new();

	(void)state;
	make_open(lab, 1, 3);
	assert_int_equal(ask(lab), E_STATE);
	lab->request.open.link_type = LINK_RAW_IP;
	assert_int_equal(ask(lab), E_OK);
	assert_false(kernel.wish.is_cooked);
	lab->request.open.link_type = LINK_SLL2;
	lab->request.open.flags |= PRIV_OPEN_COOKED;
	assert_int_equal(ask(lab), E_OK);
	assert_true(kernel.wish.is_cooked);
	lab_free(lab);
}

static void
a_mandatory_filter_without_meaning_refuses_the_link_type(void **state)
{
	struct lab *lab = lab_new();

	(void)state;
	lab->mandatory->parts[1].is_usable = false;
	make_open(lab, 1, 3);
	lab->request.open.link_type = LINK_RAW_IP;
	assert_int_equal(ask(lab), E_DENIED);
	(void)open_one(lab, 1, 1);
	lab_free(lab);
}

/* The bytes are those of the interface's own type, whatever they are called. */
static void
another_name_for_a_link_type_does_not_change_the_mandatory_filter(void **state)
{
	struct lab *lab = lab_new();

	(void)state;
	lab->mandatory->parts[0].is_usable = false;	/* Ethernet */
	make_open(lab, 1, 1);
	lab->request.open.link_type = 143;		/* DOCSIS */
	assert_int_equal(ask(lab), E_DENIED);
	lab->mandatory->parts[0].is_usable = true;
	lab->mandatory->parts[0].prog.n = 1;
	lab->mandatory->parts[0].prog.insns[0] = (struct bpf_insn_raw){ .code = 6, .k = 0 };
	assert_int_equal(ask(lab), E_OK);
	assert_int_equal(kernel.wish.filter->insns[0].k, 0);
	assert_int_equal(lab->reply.open_reply.link_type, 143);
	lab_free(lab);
}

static void
one_cooked_socket_for_all_needs_permission_for_all(void **state)
{
	struct lab *lab = lab_new();

	(void)state;
	make_open(lab, 1, 0);
	lab->request.open.link_type = LINK_SLL2;
	lab->request.open.flags = PRIV_OPEN_COOKED | PRIV_OPEN_PROMISCUOUS;
	assert_int_equal(ask(lab), E_OK);
	assert_true(kernel.wish.is_cooked);
	assert_int_equal(kernel.wish.interface->index, 0);
	assert_string_equal(lab->reply.open_reply.name, "any");
	lab->request.open.link_type = LINK_SLL;
	assert_int_equal(ask(lab), E_OK);
	lab->request.open.link_type = 253;	/* netlink: no device, no header of it */
	assert_int_equal(ask(lab), E_STATE);
	strcpy(lab->policy.interfaces, "if1,if2,if3");
	lab->request.open.link_type = LINK_SLL2;
	assert_int_equal(ask(lab), E_DENIED);
	strcpy(lab->policy.interfaces, "*");
	/* Its mandatory filter is the cooked one. */
	lab->mandatory->parts[2].is_usable = false;
	assert_int_equal(ask(lab), E_DENIED);
	lab_free(lab);
}

static void
adapter_time_is_asked_for_where_the_configuration_permits_it(void **state)
{
	struct lab *lab = lab_new();

	(void)state;
	make_open(lab, 1, 1);
	assert_int_equal(ask(lab), E_OK);
	assert_false(kernel.wish.wants_adapter_time);
	lab->request.open.flags |= PRIV_OPEN_ADAPTER_TIME;
	assert_int_equal(ask(lab), E_OK);
	assert_true(kernel.wish.wants_adapter_time);
	assert_non_null(kernel.wish.no_adapter_time);
	lab->policy.hardware_timestamps = true;
	assert_int_equal(ask(lab), E_OK);
	assert_null(kernel.wish.no_adapter_time);
	assert_int_equal(lab->reply.open_reply.time_stamp_type, PRIV_TIME_ADAPTER_UNSYNCED);
	assert_string_equal(lab->reply.open_reply.text, "a note");
	lab_free(lab);
}

static void
too_large_a_filter_is_told_apart_from_a_wrong_one(void **state)
{
	struct lab *lab = lab_new();
	uint32_t handle = open_one(lab, 1, 1);

	(void)state;
	kernel.fails_sys = ENOMEM;
	kernel.open_fails = E_FILTER;
	make_open(lab, 1, 1);
	assert_int_equal(ask(lab), E_FILTER);
	assert_int_equal(lab->reply.open_reply.sys, ENOMEM);
	make(lab, PRIV_FILTER);
	lab->request.filter.handle = handle;
	lab->request.filter.program.n_insns = 1;
	lab->request.filter.program.insns[0] = (struct bpf_insn_raw){ .code = 6, .k = 5 };
	assert_int_equal(ask(lab), E_FILTER);
	assert_int_equal(lab->reply.result.sys, ENOMEM);
	lab_free(lab);
}

static void
without_other_namespaces_their_verbs_are_refused(void **state)
{
	struct lab *lab = lab_new();

	(void)state;
	make(lab, PRIV_NETNS_LIST);
	assert_int_equal(ask(lab), E_OK);
	assert_int_equal(lab->reply.netns_list_reply.n, 0);
	make(lab, PRIV_NETNS);
	lab->request.netns.kind = PRIV_NETNS_NAMED;
	lab->request.netns.number = 1;
	assert_int_equal(ask(lab), E_DENIED);
	lab->request.netns.kind = PRIV_NETNS_PID;
	assert_int_equal(ask(lab), E_DENIED);
	lab_free(lab);
}

static void
a_bad_program_is_an_ordinary_refusal(void **state)
{
	struct lab *lab = lab_new();
	uint32_t handle;

	(void)state;
	make_open(lab, 1, 1);
	lab->request.open.program.insns[0].code = 0xffff;
	assert_int_equal(ask(lab), E_FILTER);
	handle = open_one(lab, 1, 1);
	make(lab, PRIV_FILTER);
	lab->request.filter.handle = handle;
	lab->request.filter.program.n_insns = 1;
	assert_int_equal(ask(lab), E_FILTER);
	assert_int_equal(kernel.n_filtered, 0);
	lab_free(lab);
}

static void
limits_of_the_policy_hold_against_the_child(void **state)
{
	struct lab *lab = lab_new();

	(void)state;
	lab->policy.max_snaplen = 64;
	lab->policy.promiscuous = false;
	(void)open_one(lab, 1, 1);
	assert_int_equal(lab->reply.open_reply.snaplen, 64);
	assert_int_equal(kernel.wish.snaplen, 64);
	assert_false(kernel.wish.is_promiscuous);
	assert_int_equal(lab->reply.open_reply.is_promiscuous, 0);
	lab_free(lab);
}

static void
captures_and_their_interfaces_are_counted(void **state)
{
	struct lab *lab = lab_new();
	uint32_t handle;

	(void)state;
	lab->policy.max_captures = 2;
	lab->policy.max_interfaces = 2;
	handle = open_one(lab, 10, 1);
	(void)open_one(lab, 10, 2);
	make_open(lab, 10, 2);
	assert_int_equal(ask(lab), E_LIMIT);
	(void)open_one(lab, 20, 1);
	make_open(lab, 30, 1);
	assert_int_equal(ask(lab), E_LIMIT);
	/* Closing one interface does not end the capture. */
	assert_int_equal(close_one(lab, handle), E_OK);
	make_open(lab, 30, 1);
	assert_int_equal(ask(lab), E_LIMIT);
	(void)open_one(lab, 10, 1);
	lab_free(lab);
}

static void
ring_memory_is_shared_out_and_comes_back(void **state)
{
	struct lab *lab = lab_new();
	uint32_t handle;

	(void)state;
	lab->policy.ring_memory = 7 << 20;
	handle = open_one(lab, 1, 1);		/* 4 MiB */
	(void)open_one(lab, 2, 1);		/* 3 MiB are left */
	assert_int_equal(lab->reply.open_reply.block_size * lab->reply.open_reply.block_nr,
	    3 << 20);
	make_open(lab, 3, 1);
	assert_int_equal(ask(lab), E_LIMIT);
	assert_int_equal(close_one(lab, handle), E_OK);
	(void)open_one(lab, 3, 1);
	lab_free(lab);
}

static void
after_the_end_nothing_is_opened_but_all_is_closed(void **state)
{
	struct lab *lab = lab_new();
	uint32_t handle = open_one(lab, 1, 1);
	struct err err;
	size_t len;
	int fd;

	(void)state;
	assert_int_equal(priv_serve_send_end(lab->serve, &err), E_OK);
	assert_int_equal(fdpass_recv(lab->theirs, &lab->reply, sizeof(lab->reply), &len, &fd,
	    &err), E_OK);
	assert_int_equal(lab->reply.hdr.type, PRIV_END);
	make_open(lab, 1, 1);
	assert_int_equal(ask(lab), E_STATE);
	assert_int_equal(close_one(lab, handle), E_OK);
	lab_free(lab);
}

static void
closing_and_freeing_leaves_no_descriptor(void **state)
{
	int before = open("/dev/null", O_RDONLY | O_CLOEXEC), after;
	struct lab *lab = lab_new();

	(void)state;
	close(before);
	for (uint32_t i = 0; i < 20; i++) {
		uint32_t handle = open_one(lab, i, 1);

		if (i % 2 == 0)
			assert_int_equal(close_one(lab, handle), E_OK);
	}
	lab_free(lab);
	after = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(after, before);
	close(after);
}

/* What is made ends the service with a line that holds this word. */
static void
assert_violation(struct lab *lab, size_t len, int fd, const char *word)
{
	struct err err = { .what = "" };

	assert_int_equal(fdpass_send(lab->theirs, &lab->request, len, fd, &err), E_OK);
	assert_int_equal(priv_serve_turn(lab->serve, &err), E_BADMSG);
	if (strstr(err.what, word) == NULL)
		fail_msg("no '%s' in: %s", word, err.what);
	assert_int_equal(kernel.n_opened, 0);
	lab_free(lab);
}

static void
what_a_sound_child_never_sends_ends_the_service(void **state)
{
	static const enum priv_msg_type no_requests[] = {
		PRIV_SETUP_DONE, PRIV_READY, PRIV_FAILED, PRIV_END, PRIV_LIST_REPLY,
		PRIV_FILTER_REPLY, PRIV_CLOSE_REPLY, PRIV_RELOADED, PRIV_RELOAD,
	};
	struct lab *lab;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(no_requests); i++) {
		lab = lab_new();
		make(lab, no_requests[i]);
		assert_violation(lab, priv_msg_size(no_requests[i]), -1,
		    priv_msg_name(no_requests[i]));
	}
	lab = lab_new();
	make(lab, PRIV_CLOSE);
	lab->request.close.handle = 1;
	assert_violation(lab, priv_msg_size(PRIV_CLOSE), -1, "handle 1");
	lab = lab_new();
	make(lab, PRIV_NETNS_CLOSE);
	lab->request.netns_close.handle = 1;
	assert_violation(lab, priv_msg_size(PRIV_NETNS_CLOSE), -1, "handle 1");
	lab = lab_new();
	make(lab, PRIV_LIST);
	lab->request.list.netns = 3;
	assert_violation(lab, priv_msg_size(PRIV_LIST), -1, "handle 3");
	lab = lab_new();
	make_open(lab, 1, 1);
	lab->request.open.netns = 4;
	assert_violation(lab, priv_msg_size(PRIV_OPEN), -1, "handle 4");
	lab = lab_new();
	make(lab, PRIV_FILTER);
	lab->request.filter.handle = 99;
	lab->request.filter.program.n_insns = 1;
	assert_violation(lab, priv_msg_size(PRIV_FILTER), -1, "handle 99");
	lab = lab_new();
	make(lab, PRIV_LIST);
	assert_violation(lab, priv_msg_size(PRIV_LIST), lab->theirs, "descriptor");
	lab = lab_new();
	make(lab, PRIV_LIST);
	assert_violation(lab, priv_msg_size(PRIV_LIST) + 1, -1, "LIST");
	lab = lab_new();
	make(lab, PRIV_LIST);
	assert_violation(lab, 1, -1, "header");
	lab = lab_new();
	make(lab, PRIV_LIST);
	lab->request.hdr.build_id++;
	assert_violation(lab, priv_msg_size(PRIV_LIST), -1, "build");
	lab = lab_new();
	make_open(lab, 1, 1);
	lab->request.open.lanes = 2;
	assert_violation(lab, priv_msg_size(PRIV_OPEN), -1, "lanes");
}

/* --- reloads --- */

static unsigned n_reloaded;
static struct err reloaded;

static void
on_reloaded(const struct err *why_not, void *arg)
{
	(void)arg;
	n_reloaded++;
	reloaded = why_not != NULL ? *why_not : (struct err){ .code = E_OK };
}

/* Let the service take what is made; its answer is none. */
static int
tell(struct lab *lab, struct err *err)
{
	assert_int_equal(fdpass_send(lab->theirs, &lab->request,
	    priv_msg_size(lab->request.hdr.type), -1, err), E_OK);
	return priv_serve_turn(lab->serve, err);
}

static void
a_reload_is_answered_once(void **state)
{
	struct lab *lab = lab_new();
	struct err err;

	(void)state;
	n_reloaded = 0;
	priv_serve_await_reload(lab->serve, on_reloaded, NULL);
	make(lab, PRIV_FAILED);
	lab->request.result.code = E_CONFIG;
	strcpy(lab->request.result.text, "the key is not the certificate's");
	assert_int_equal(tell(lab, &err), E_OK);
	assert_int_equal(n_reloaded, 1);
	assert_int_equal(reloaded.code, E_CONFIG);
	assert_string_equal(reloaded.what, "the key is not the certificate's");
	priv_serve_await_reload(lab->serve, on_reloaded, NULL);
	make(lab, PRIV_RELOADED);
	assert_int_equal(tell(lab, &err), E_OK);
	assert_int_equal(n_reloaded, 2);
	assert_int_equal(reloaded.code, E_OK);
	/* Nothing was sent back, and nothing more is permitted. */
	make(lab, PRIV_RELOADED);
	assert_violation(lab, priv_msg_size(PRIV_RELOADED), -1, "answers no reload");
	assert_int_equal(n_reloaded, 2);
}

static void
a_failure_that_is_none_ends_the_service(void **state)
{
	struct lab *lab = lab_new();

	(void)state;
	n_reloaded = 0;
	priv_serve_await_reload(lab->serve, on_reloaded, NULL);
	make(lab, PRIV_FAILED);
	assert_violation(lab, priv_msg_size(PRIV_FAILED), -1, "FAILED");
	assert_int_equal(n_reloaded, 0);
}

static int
filter_one(struct lab *lab, uint32_t handle)
{
	make(lab, PRIV_FILTER);
	lab->request.filter.handle = handle;
	lab->request.filter.program.n_insns = 1;
	lab->request.filter.program.insns[0] = (struct bpf_insn_raw){ .code = 6, .k = 5 };
	return ask(lab);
}

/* Three instructions that reject nothing: told by the length of what is linked. */
static void
make_longer(struct priv_mandatory *mandatory)
{
	struct bpf_prog *prog = &mandatory->parts[0].prog;

	for (size_t i = 0; mandatory->parts[i].link_type != LINK_ETHERNET; i++)
		prog = &mandatory->parts[i + 1].prog;
	prog->n = 3;
	prog->insns[0] = (struct bpf_insn_raw){ .code = 0x30, .k = 23 };
	prog->insns[1] = (struct bpf_insn_raw){ .code = 0x30, .k = 24 };
	prog->insns[2] = (struct bpf_insn_raw){ .code = 6, .k = 262144 };
}

static void
a_socket_keeps_the_mandatory_filter_it_was_opened_with(void **state)
{
	struct lab *lab = lab_new();
	struct priv_mandatory *second = priv_mandatory_new();
	uint32_t before, after, n_before;

	(void)state;
	assert_non_null(second);
	make_longer(second);
	before = open_one(lab, 1, 1);
	assert_int_equal(filter_one(lab, before), E_OK);
	n_before = kernel.filter_n;
	priv_serve_set_mandatory(lab->serve, second);
	after = open_one(lab, 2, 1);
	/* Only sockets hold the first, and then the second one. */
	assert_int_equal(lab->mandatory->refs, 2);
	assert_int_equal(second->refs, 2);
	assert_int_equal(filter_one(lab, before), E_OK);
	assert_int_equal(kernel.filter_n, n_before);
	assert_int_equal(filter_one(lab, after), E_OK);
	assert_true(kernel.filter_n > n_before);
	assert_int_equal(close_one(lab, before), E_OK);
	assert_int_equal(lab->mandatory->refs, 1);
	assert_int_equal(close_one(lab, after), E_OK);
	assert_int_equal(second->refs, 1);
	priv_mandatory_unref(second);
	lab_free(lab);
}

static void
a_stricter_policy_holds_for_the_next_request(void **state)
{
	struct lab *lab = lab_new();
	uint32_t handle = open_one(lab, 1, 2);

	(void)state;
	strcpy(lab->policy.interfaces, "if1");
	lab->policy.max_captures = 1;
	lab->policy.ring_memory = PRIV_MIN_RING;
	make_open(lab, 1, 2);
	assert_int_equal(ask(lab), E_DENIED);
	make_open(lab, 2, 1);
	assert_int_equal(ask(lab), E_LIMIT);
	/* What was opened before goes on, above the new limit. */
	assert_int_equal(filter_one(lab, handle), E_OK);
	assert_int_equal(close_one(lab, handle), E_OK);
	lab_free(lab);
}

static void
a_handle_is_closed_once(void **state)
{
	struct lab *lab = lab_new();
	uint32_t handle = open_one(lab, 1, 1);

	(void)state;
	assert_int_equal(close_one(lab, handle), E_OK);
	kernel.n_opened = 0;
	make(lab, PRIV_CLOSE);
	lab->request.close.handle = handle;
	assert_violation(lab, priv_msg_size(PRIV_CLOSE), -1, "handle");
}

static void
the_childs_end_is_told(void **state)
{
	struct lab *lab = lab_new();
	struct err err;

	(void)state;
	assert_int_equal(priv_serve_turn(lab->serve, &err), E_OK);	/* nothing there */
	shutdown(lab->theirs, SHUT_RDWR);
	assert_int_equal(priv_serve_turn(lab->serve, &err), E_EOF);
	lab_free(lab);
}

static void
a_child_that_takes_no_replies_is_left_waiting(void **state)
{
	struct lab *lab = lab_new();
	struct err err;
	int wait_ms;
	bool waits = false;

	(void)state;
	for (int i = 0; i < 2000 && !waits; i++) {
		make(lab, PRIV_LIST);
		assert_int_equal(fdpass_send(lab->theirs, &lab->request,
		    priv_msg_size(PRIV_LIST), -1, &err), E_OK);
		assert_int_equal(priv_serve_turn(lab->serve, &err), E_OK);
		waits = priv_serve_events(lab->serve, &wait_ms) == POLLOUT;
	}
	assert_true(waits);
	lab_free(lab);
}

static void
requests_above_the_rate_wait_and_are_then_served(void **state)
{
	struct lab *lab = lab_new();
	struct pollfd pfd = { .fd = lab->theirs, .events = POLLIN };
	struct err err;
	int wait_ms = -1, n = 0;

	(void)state;
	for (; n < 100000 && wait_ms == -1; n++) {
		make(lab, PRIV_LIST);
		assert_int_equal(ask(lab), E_OK);
		(void)priv_serve_events(lab->serve, &wait_ms);
	}
	assert_in_range(n, 500, 99999);
	assert_in_range(wait_ms, 1, 100);
	make(lab, PRIV_LIST);
	assert_int_equal(fdpass_send(lab->theirs, &lab->request, priv_msg_size(PRIV_LIST), -1,
	    &err), E_OK);
	/* Served as soon as the wait that was asked for is over. */
	for (int i = 0; i < 1000 && poll(&pfd, 1, 1) == 0; i++)
		assert_int_equal(priv_serve_turn(lab->serve, &err), E_OK);
	assert_int_equal(poll(&pfd, 1, 0), 1);
	lab_free(lab);
}

static void
serve_damaged(const uint8_t *p, size_t len, void *arg)
{
	struct lab *lab = lab_new();
	struct err err;
	int ret;

	if (len > 0) {
		assert_int_equal(fdpass_send(lab->theirs, p, len, -1, &err), E_OK);
		ret = priv_serve_turn(lab->serve, &err);
		assert_true(ret == E_OK || ret == E_BADMSG);
	}
	(*(size_t *)arg)++;
	lab_free(lab);
}

static void
every_damaged_request_gets_a_code(void **state)
{
	static const enum priv_msg_type types[] = {
		PRIV_LIST, PRIV_OPEN, PRIV_FILTER, PRIV_CLOSE, PRIV_NETNS_LIST, PRIV_NETNS,
		PRIV_NETNS_CLOSE,
	};
	struct lab *lab = lab_new();
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		const uint8_t *p = (const uint8_t *)&lab->request;
		size_t len = priv_msg_size(types[i]);

		make_open(lab, 1, 1);
		lab->request.hdr.type = types[i];
		mutate_flip_bits(p, len, 72, serve_damaged, &n);
		mutate_set_bytes(p, len, 72, serve_damaged, &n);
		mutate_random(p, len, 50, types[i], serve_damaged, &n);
		if (len < 100)
			mutate_truncate(p, len, serve_damaged, &n);
	}
	assert_true(n > 1000);
	lab_free(lab);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_capture_is_opened_filtered_and_closed),
		cmocka_unit_test(handles_are_never_used_again),
		cmocka_unit_test(only_permitted_interfaces_are_listed_and_opened),
		cmocka_unit_test(a_refusal_of_the_kernel_is_an_ordinary_reply),
		cmocka_unit_test(a_filter_for_another_link_type_is_refused_but_cooked_is_for_all),
		cmocka_unit_test(a_mandatory_filter_without_meaning_refuses_the_link_type),
		cmocka_unit_test(another_name_for_a_link_type_does_not_change_the_mandatory_filter),
		cmocka_unit_test(one_cooked_socket_for_all_needs_permission_for_all),
		cmocka_unit_test(adapter_time_is_asked_for_where_the_configuration_permits_it),
		cmocka_unit_test(too_large_a_filter_is_told_apart_from_a_wrong_one),
		cmocka_unit_test(without_other_namespaces_their_verbs_are_refused),
		cmocka_unit_test(a_bad_program_is_an_ordinary_refusal),
		cmocka_unit_test(limits_of_the_policy_hold_against_the_child),
		cmocka_unit_test(captures_and_their_interfaces_are_counted),
		cmocka_unit_test(ring_memory_is_shared_out_and_comes_back),
		cmocka_unit_test(after_the_end_nothing_is_opened_but_all_is_closed),
		cmocka_unit_test(closing_and_freeing_leaves_no_descriptor),
		cmocka_unit_test(what_a_sound_child_never_sends_ends_the_service),
		cmocka_unit_test(a_reload_is_answered_once),
		cmocka_unit_test(a_failure_that_is_none_ends_the_service),
		cmocka_unit_test(a_socket_keeps_the_mandatory_filter_it_was_opened_with),
		cmocka_unit_test(a_stricter_policy_holds_for_the_next_request),
		cmocka_unit_test(a_handle_is_closed_once),
		cmocka_unit_test(the_childs_end_is_told),
		cmocka_unit_test(a_child_that_takes_no_replies_is_left_waiting),
		cmocka_unit_test(requests_above_the_rate_wait_and_are_then_served),
		cmocka_unit_test(every_damaged_request_gets_a_code),
	};

	return cmocka_run_group_tests_name("server/priv_serve", tests, NULL, NULL);
}
