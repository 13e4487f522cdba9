/* server/priv_call: one answer for each question, whatever comes first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/fdpass.h"
#include "server/priv_call.h"

/* capagent is played by the test, at the other end of a pair. */
struct lab {
	struct loop	*loop;
	struct priv_call *call;
	int		 other;
	union priv_msg	 got;		/* last message at the other end */
	unsigned	 n_end, n_gone, n_list, n_open, n_done, n_reload;
	struct err	 err;		/* of the last callback */
	size_t		 n_interfaces;
	struct priv_opened opened;
};

static void
on_end(void *arg)
{
	struct lab *lab = arg;

	lab->n_end++;
}

static void
on_gone(const struct err *err, void *arg)
{
	struct lab *lab = arg;

	lab->n_gone++;
	lab->err = *err;
}

static void
on_reload(const struct priv_setup *setup, void *arg)
{
	struct lab *lab = arg;

	lab->n_reload++;
	assert_int_equal(setup->config.max_captures, 4);
	assert_int_equal(setup->n_listeners, 0);
	assert_string_equal(setup->key_name, "/the/key");
	assert_int_not_equal(fcntl(setup->cert_fd, F_GETFD), -1);
	assert_int_not_equal(fcntl(setup->key_fd, F_GETFD), -1);
	assert_int_not_equal(fcntl(setup->ca_fd, F_GETFD), -1);
}

static void
on_list(const struct err *err, const struct priv_interface *interfaces, size_t n, void *arg)
{
	struct lab *lab = arg;

	(void)interfaces;
	lab->n_list++;
	lab->err = *err;
	lab->n_interfaces = n;
}

static void
on_open(const struct err *err, const struct priv_opened *opened, void *arg)
{
	struct lab *lab = arg;

	lab->n_open++;
	lab->err = *err;
	assert_int_equal(opened != NULL, err->code == E_OK);
	if (opened != NULL)
		lab->opened = *opened;
}

static void
on_done(const struct err *err, void *arg)
{
	struct lab *lab = arg;

	lab->n_done++;
	lab->err = *err;
}

static struct lab *
lab_new(void)
{
	static const struct priv_call_events events = {
		.end = on_end, .reload = on_reload, .gone = on_gone,
	};
	struct lab *lab = calloc(1, sizeof(*lab));
	int pair[2];

	assert_non_null(lab);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	lab->loop = loop_new(&lab->err);
	assert_non_null(lab->loop);
	lab->call = priv_call_new(lab->loop, pair[0], &events, lab, &lab->err);
	assert_non_null(lab->call);
	lab->other = pair[1];
	assert_int_equal(fcntl(lab->other, F_SETFL, O_NONBLOCK), 0);
	return lab;
}

static void
lab_free(struct lab *lab)
{
	priv_call_free(lab->call);
	loop_free(lab->loop);
	if (lab->other != -1)
		close(lab->other);
	free(lab);
}

static void
stop(void *arg)
{
	struct lab *lab = arg;

	loop_stop(lab->loop);
}

/* Let everything happen that is ready to happen. */
static void
turn(struct lab *lab)
{
	for (int i = 0; i < 5; i++) {
		struct loop_timer *timer = loop_timer_new(lab->loop, stop, lab);

		assert_non_null(timer);
		loop_timer_set(timer, 1000);
		assert_int_equal(loop_run(lab->loop, &lab->err), E_OK);
		loop_timer_free(timer);
	}
}

/* The next request at the other end. */
static void
take(struct lab *lab, enum priv_msg_type type)
{
	struct err err;
	size_t len;
	int fd;

	if (fdpass_recv(lab->other, &lab->got, sizeof(lab->got), &len, &fd, &err) != E_OK)
		fail_msg("%s", err.what);
	if (priv_msg_check(&lab->got, len, fd != -1, &err) != E_OK)
		fail_msg("%s", err.what);
	assert_int_equal(lab->got.hdr.type, type);
}

static void
assert_nothing_was_sent(struct lab *lab)
{
	struct err err;
	size_t len;
	int fd;

	assert_int_equal(fdpass_recv(lab->other, &lab->got, sizeof(lab->got), &len, &fd, &err),
	    E_AGAIN);
}

static void
reply(struct lab *lab, union priv_msg *msg, enum priv_msg_type type, uint32_t id, int fd)
{
	struct err err;

	priv_msg_init(msg, type, id);
	assert_int_equal(fdpass_send(lab->other, msg, priv_msg_size(type), fd, &err), E_OK);
	turn(lab);
}

static const struct bpf_insn_raw accept_all = { .code = 6, .k = 262144 };

static struct priv_call_request *
ask_open(struct lab *lab)
{
	struct priv_open_request request = {
		.capture = 3, .ifindex = 2, .link_type = LINK_ETHERNET,
		.snaplen = 0, .ring_bytes = 1, .flags = PRIV_OPEN_INBOUND,
		.insns = &accept_all, .n_insns = 1,
	};

	return priv_call_open(lab->call, &request, on_open, lab);
}

static void
reply_open(struct lab *lab, uint32_t id)
{
	union priv_msg msg = { .open_reply = { .handle = 5 } };
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	memset(&msg, 0, sizeof(msg));
	msg.open_reply.handle = 5;
	strcpy(msg.open_reply.name, "eth0");
	reply(lab, &msg, PRIV_OPEN_REPLY, id, fd);
	close(fd);
}

static void
an_open_is_sent_within_the_ranges_and_answered_with_a_descriptor(void **state)
{
	struct lab *lab = lab_new();

	(void)state;
	assert_non_null(ask_open(lab));
	assert_int_equal(lab->n_open, 0);
	take(lab, PRIV_OPEN);
	assert_int_equal(lab->got.open.capture, 3);
	assert_int_equal(lab->got.open.snaplen, PRIV_MAX_SNAPLEN);
	assert_int_equal(lab->got.open.ring_bytes, PRIV_MIN_RING);
	reply_open(lab, lab->got.hdr.request_id);
	assert_int_equal(lab->n_open, 1);
	assert_int_equal(lab->opened.handle, 5);
	assert_string_equal(lab->opened.name, "eth0");
	assert_int_not_equal(fcntl(lab->opened.fd, F_GETFD), -1);
	close(lab->opened.fd);
	lab_free(lab);
}

static void
a_refusal_carries_code_and_text(void **state)
{
	struct lab *lab = lab_new();
	union priv_msg msg;

	(void)state;
	assert_non_null(ask_open(lab));
	take(lab, PRIV_OPEN);
	memset(&msg, 0, sizeof(msg));
	msg.open_reply.code = E_IFDOWN;
	strcpy(msg.open_reply.text, "it is down");
	reply(lab, &msg, PRIV_OPEN_REPLY, lab->got.hdr.request_id, -1);
	assert_int_equal(lab->n_open, 1);
	assert_int_equal(lab->err.code, E_IFDOWN);
	assert_string_equal(lab->err.what, "it is down");
	lab_free(lab);
}

static void
a_list_of_several_pages_is_one_answer(void **state)
{
	struct lab *lab = lab_new();
	union priv_msg msg;

	(void)state;
	assert_non_null(priv_call_list(lab->call, on_list, lab));
	take(lab, PRIV_LIST);
	assert_int_equal(lab->got.list.start_index, 0);
	memset(&msg, 0, sizeof(msg));
	msg.list_reply.n = PRIV_LIST_COUNT;
	msg.list_reply.next_index = 40;
	reply(lab, &msg, PRIV_LIST_REPLY, lab->got.hdr.request_id, -1);
	assert_int_equal(lab->n_list, 0);
	take(lab, PRIV_LIST);
	assert_int_equal(lab->got.list.start_index, 40);
	memset(&msg, 0, sizeof(msg));
	msg.list_reply.n = 3;
	reply(lab, &msg, PRIV_LIST_REPLY, lab->got.hdr.request_id, -1);
	assert_int_equal(lab->n_list, 1);
	assert_int_equal(lab->n_interfaces, PRIV_LIST_COUNT + 3);
	lab_free(lab);
}

static void
filter_and_close_are_answered_in_any_order(void **state)
{
	struct lab *lab = lab_new();
	union priv_msg msg;
	uint32_t first;

	(void)state;
	assert_non_null(priv_call_filter(lab->call, 5, &accept_all, 1, on_done, lab));
	assert_non_null(priv_call_close(lab->call, 5, NULL, NULL));
	take(lab, PRIV_FILTER);
	assert_int_equal(lab->got.filter.handle, 5);
	first = lab->got.hdr.request_id;
	take(lab, PRIV_CLOSE);
	memset(&msg, 0, sizeof(msg));
	reply(lab, &msg, PRIV_CLOSE_REPLY, lab->got.hdr.request_id, -1);
	assert_int_equal(lab->n_done, 0);
	memset(&msg, 0, sizeof(msg));
	msg.result.code = E_FILTER;
	reply(lab, &msg, PRIV_FILTER_REPLY, first, -1);
	assert_int_equal(lab->n_done, 1);
	assert_int_equal(lab->err.code, E_FILTER);
	assert_int_equal(lab->n_gone, 0);
	lab_free(lab);
}

static void
an_open_that_nobody_wants_any_more_is_closed_again(void **state)
{
	struct lab *lab = lab_new();
	struct priv_call_request *r = ask_open(lab);
	union priv_msg msg;

	(void)state;
	take(lab, PRIV_OPEN);
	priv_call_cancel(lab->call, r);
	reply_open(lab, lab->got.hdr.request_id);
	assert_int_equal(lab->n_open, 0);
	take(lab, PRIV_CLOSE);
	assert_int_equal(lab->got.close.handle, 5);
	memset(&msg, 0, sizeof(msg));
	reply(lab, &msg, PRIV_CLOSE_REPLY, lab->got.hdr.request_id, -1);
	assert_int_equal(lab->n_gone, 0);
	lab_free(lab);
}

static void
more_requests_than_the_socket_takes_are_all_sent_in_order(void **state)
{
	enum { N = 40 };
	struct lab *lab = lab_new();
	struct priv_call_request *last = NULL;
	uint32_t previous = 0;

	(void)state;
	for (int i = 0; i < N; i++) {
		last = ask_open(lab);
		assert_non_null(last);
	}
	priv_call_cancel(lab->call, last);	/* not sent yet: gone without a trace */
	for (int i = 0; i < N - 1; i++) {
		turn(lab);
		take(lab, PRIV_OPEN);
		assert_true(lab->got.hdr.request_id > previous);
		previous = lab->got.hdr.request_id;
	}
	turn(lab);
	assert_nothing_was_sent(lab);
	lab_free(lab);
}

static void
the_end_is_told_and_requests_go_on(void **state)
{
	struct lab *lab = lab_new();
	union priv_msg msg;

	(void)state;
	memset(&msg, 0, sizeof(msg));
	reply(lab, &msg, PRIV_END, 0, -1);
	assert_int_equal(lab->n_end, 1);
	assert_non_null(priv_call_close(lab->call, 1, on_done, lab));
	take(lab, PRIV_CLOSE);
	memset(&msg, 0, sizeof(msg));
	reply(lab, &msg, PRIV_CLOSE_REPLY, lab->got.hdr.request_id, -1);
	assert_int_equal(lab->n_done, 1);
	lab_free(lab);
}

static void
when_capagent_is_gone_every_request_fails_once(void **state)
{
	struct lab *lab = lab_new();

	(void)state;
	assert_non_null(ask_open(lab));
	assert_non_null(priv_call_list(lab->call, on_list, lab));
	close(lab->other);
	lab->other = -1;
	assert_int_equal(lab->n_gone, 0);
	turn(lab);
	assert_int_equal(lab->n_open, 1);
	assert_int_equal(lab->n_list, 1);
	assert_int_equal(lab->n_gone, 1);
	/* And so does a later one, after the call that made it. */
	assert_non_null(priv_call_close(lab->call, 1, on_done, lab));
	assert_int_equal(lab->n_done, 0);
	turn(lab);
	assert_int_equal(lab->n_done, 1);
	assert_int_equal(lab->n_gone, 1);
	lab_free(lab);
}

static void
an_answer_to_nothing_breaks_the_boundary(void **state)
{
	struct lab *lab = lab_new();
	union priv_msg msg;

	(void)state;
	assert_non_null(ask_open(lab));
	take(lab, PRIV_OPEN);
	memset(&msg, 0, sizeof(msg));
	reply(lab, &msg, PRIV_CLOSE_REPLY, lab->got.hdr.request_id, -1);
	assert_int_equal(lab->n_gone, 1);
	assert_int_equal(lab->n_open, 1);
	assert_int_equal(lab->err.code, E_BADMSG);
	lab_free(lab);
}

/* --- setup --- */

static void
send_setup(int sock, enum priv_msg_type type, int fd)
{
	static union priv_msg msg;
	struct err err;

	memset(&msg, 0, sizeof(msg));
	priv_msg_init(&msg, type, 0);
	if (type == PRIV_SETUP_CONFIG) {
		msg.config.max_snaplen = 99;
		msg.config.max_captures = 4;
	}
	if (type == PRIV_SETUP_KEY)
		strcpy(msg.file.name, "/the/key");
	assert_int_equal(fdpass_send(sock, &msg, priv_msg_size(type), fd, &err), E_OK);
}

static int
receive(const enum priv_msg_type *types, size_t n, struct priv_setup *setup)
{
	int any = open("/dev/null", O_RDONLY | O_CLOEXEC), pair[2], ret;
	struct err err;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	for (size_t i = 0; i < n; i++)
		send_setup(pair[1], types[i], types[i] >= PRIV_SETUP_LISTENER &&
		    types[i] <= PRIV_SETUP_CA ? any : -1);
	close(any);
	close(pair[1]);
	ret = priv_call_receive_setup(pair[0], setup, &err);
	close(pair[0]);
	return ret;
}

#define RECEIVE(setup, ...)						\
	receive((const enum priv_msg_type[]){ __VA_ARGS__ },		\
	    sizeof((const enum priv_msg_type[]){ __VA_ARGS__ }) /	\
	    sizeof(enum priv_msg_type), (setup))

static void
a_setup_arrives_complete(void **state)
{
	struct priv_setup setup;

	(void)state;
	assert_int_equal(RECEIVE(&setup, PRIV_SETUP_CONFIG, PRIV_SETUP_LISTENER,
	    PRIV_SETUP_LISTENER, PRIV_SETUP_CERT, PRIV_SETUP_KEY, PRIV_SETUP_CA,
	    PRIV_SETUP_DONE), E_OK);
	assert_int_equal(setup.n_listeners, 2);
	assert_int_equal(setup.config.max_captures, 4);
	assert_string_equal(setup.key_name, "/the/key");
	assert_int_not_equal(fcntl(setup.key_fd, F_GETFD), -1);
	priv_setup_close(&setup);
	assert_int_equal(setup.key_fd, -1);
	priv_setup_close(&setup);
}

static void
a_setup_out_of_order_or_cut_short_is_refused_and_leaves_nothing_open(void **state)
{
	struct priv_setup setup = { .n_listeners = 77 };
	int before = open("/dev/null", O_RDONLY | O_CLOEXEC), after;

	(void)state;
	close(before);
	assert_int_equal(RECEIVE(&setup, PRIV_SETUP_LISTENER), E_BADMSG);
	assert_int_equal(RECEIVE(&setup, PRIV_SETUP_CONFIG, PRIV_SETUP_CONFIG), E_BADMSG);
	assert_int_equal(RECEIVE(&setup, PRIV_SETUP_CONFIG, PRIV_SETUP_KEY, PRIV_SETUP_KEY),
	    E_BADMSG);
	assert_int_equal(RECEIVE(&setup, PRIV_SETUP_CONFIG, PRIV_SETUP_CERT, PRIV_SETUP_KEY,
	    PRIV_SETUP_DONE), E_BADMSG);
	assert_int_equal(RECEIVE(&setup, PRIV_SETUP_CONFIG, PRIV_END), E_BADMSG);
	assert_int_equal(RECEIVE(&setup, PRIV_SETUP_CONFIG, PRIV_SETUP_LISTENER), E_EOF);
	assert_int_equal(setup.n_listeners, 77);
	after = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(after, before);
	close(after);
}

/* --- reloads --- */

static bool
brings_file(enum priv_msg_type type)
{
	return type >= PRIV_SETUP_LISTENER && type <= PRIV_SETUP_CA;
}

static void
send_reload(struct lab *lab, const enum priv_msg_type *types, size_t n)
{
	int any = open("/dev/null", O_RDONLY | O_CLOEXEC);

	for (size_t i = 0; i < n; i++)
		send_setup(lab->other, types[i], brings_file(types[i]) ? any : -1);
	close(any);
	turn(lab);
}

#define SEND_RELOAD(lab, ...)						\
	send_reload((lab), (const enum priv_msg_type[]){ __VA_ARGS__ },	\
	    sizeof((const enum priv_msg_type[]){ __VA_ARGS__ }) /	\
	    sizeof(enum priv_msg_type))

#define WHOLE_RELOAD	PRIV_RELOAD, PRIV_SETUP_CONFIG, PRIV_SETUP_CERT,	\
	PRIV_SETUP_KEY, PRIV_SETUP_CA, PRIV_SETUP_DONE

static void
a_reload_is_told_whole_and_answered(void **state)
{
	int before = open("/dev/null", O_RDONLY | O_CLOEXEC), after;
	struct lab *lab = lab_new();
	const struct err why = { .code = E_CONFIG, .what = "no good" };

	(void)state;
	close(before);
	SEND_RELOAD(lab, WHOLE_RELOAD);
	assert_int_equal(lab->n_reload, 1);
	assert_nothing_was_sent(lab);
	priv_call_answer_reload(lab->call, &why);
	take(lab, PRIV_FAILED);
	assert_int_equal(lab->got.result.code, E_CONFIG);
	assert_string_equal(lab->got.result.text, "no good");
	SEND_RELOAD(lab, WHOLE_RELOAD);
	assert_int_equal(lab->n_reload, 2);
	priv_call_answer_reload(lab->call, NULL);
	take(lab, PRIV_RELOADED);
	assert_int_equal(lab->n_gone, 0);
	lab_free(lab);
	after = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(after, before);
	close(after);
}

static void
a_request_and_its_reply_may_cross_a_reload(void **state)
{
	struct lab *lab = lab_new();

	(void)state;
	assert_non_null(ask_open(lab));
	take(lab, PRIV_OPEN);
	SEND_RELOAD(lab, PRIV_RELOAD, PRIV_SETUP_CONFIG);
	reply_open(lab, lab->got.hdr.request_id);
	assert_int_equal(lab->n_open, 1);
	close(lab->opened.fd);
	SEND_RELOAD(lab, PRIV_SETUP_CERT, PRIV_SETUP_KEY, PRIV_SETUP_CA, PRIV_SETUP_DONE);
	assert_int_equal(lab->n_reload, 1);
	lab_free(lab);
}

/* An answer that finds no room is sent when there is some. */
static void
an_answer_waits_for_room(void **state)
{
	struct lab *lab = lab_new();
	struct err err;
	unsigned n = 0;
	size_t len;
	int fd;

	(void)state;
	SEND_RELOAD(lab, WHOLE_RELOAD);
	for (int i = 0; i < 100; i++)
		assert_non_null(ask_open(lab));
	priv_call_answer_reload(lab->call, NULL);
	do {
		turn(lab);
		while (fdpass_recv(lab->other, &lab->got, sizeof(lab->got), &len, &fd, &err) ==
		    E_OK && lab->got.hdr.type != PRIV_RELOADED)
			n++;
	} while (lab->got.hdr.type != PRIV_RELOADED && n < 101);
	assert_int_equal(lab->got.hdr.type, PRIV_RELOADED);
	lab_free(lab);
}

static void
assert_breaks(struct lab *lab, const char *word)
{
	assert_int_equal(lab->n_gone, 1);
	assert_int_equal(lab->n_reload, 0);
	assert_int_equal(lab->err.code, E_BADMSG);
	if (strstr(lab->err.what, word) == NULL)
		fail_msg("no '%s' in: %s", word, lab->err.what);
	lab_free(lab);
}

#define RELOAD_BREAKS(word, ...) do {					\
	struct lab *lab = lab_new();					\
	SEND_RELOAD(lab, __VA_ARGS__);					\
	assert_breaks(lab, (word));					\
} while (0)

static void
a_reload_out_of_order_breaks_the_boundary_and_leaves_nothing_open(void **state)
{
	int before = open("/dev/null", O_RDONLY | O_CLOEXEC), after;

	(void)state;
	close(before);
	RELOAD_BREAKS("SETUP_CONFIG", PRIV_SETUP_CONFIG);
	RELOAD_BREAKS("SETUP_CERT", PRIV_SETUP_CERT);
	RELOAD_BREAKS("SETUP_DONE", PRIV_RELOAD, PRIV_SETUP_CONFIG, PRIV_SETUP_DONE);
	RELOAD_BREAKS("SETUP_LISTENER", PRIV_RELOAD, PRIV_SETUP_CONFIG, PRIV_SETUP_LISTENER);
	RELOAD_BREAKS("RELOAD", PRIV_RELOAD, PRIV_RELOAD);
	RELOAD_BREAKS("SETUP_KEY", PRIV_RELOAD, PRIV_SETUP_CONFIG, PRIV_SETUP_KEY,
	    PRIV_SETUP_KEY);
	RELOAD_BREAKS("SETUP_CA", PRIV_RELOAD, PRIV_SETUP_CA);
	after = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(after, before);
	close(after);
}

/* --- network namespaces --- */

static struct priv_netns_name names_got[40];
static size_t n_names_got;
static uint32_t handle_got;
static unsigned n_netns;

static void
on_names(const struct err *err, const struct priv_netns_name *names, size_t n, void *arg)
{
	struct lab *lab = arg;

	lab->err = *err;
	n_names_got = n;
	assert_in_range(n, 0, ARRAY_LEN(names_got));
	if (n > 0)
		memcpy(names_got, names, n * sizeof(*names));
}

static void
on_netns(const struct err *err, uint32_t handle, void *arg)
{
	struct lab *lab = arg;

	lab->err = *err;
	handle_got = handle;
	n_netns++;
}

static void
names_of_several_pages_are_one_answer(void **state)
{
	struct lab *lab = lab_new();
	static union priv_msg msg;

	(void)state;
	assert_non_null(priv_call_netns_names(lab->call, on_names, lab));
	take(lab, PRIV_NETNS_LIST);
	assert_int_equal(lab->got.netns_list.start, 0);
	memset(&msg, 0, sizeof(msg));
	msg.netns_list_reply.n = PRIV_LIST_COUNT;
	msg.netns_list_reply.next = 50;
	for (uint32_t i = 0; i < PRIV_LIST_COUNT; i++)
		msg.netns_list_reply.names[i].number = i + 1;
	reply(lab, &msg, PRIV_NETNS_LIST_REPLY, lab->got.hdr.request_id, -1);
	take(lab, PRIV_NETNS_LIST);
	assert_int_equal(lab->got.netns_list.start, 50);
	memset(&msg, 0, sizeof(msg));
	msg.netns_list_reply.n = 1;
	msg.netns_list_reply.names[0].number = 50;
	strcpy(msg.netns_list_reply.names[0].name, "blue");
	reply(lab, &msg, PRIV_NETNS_LIST_REPLY, lab->got.hdr.request_id, -1);
	assert_int_equal(lab->err.code, E_OK);
	assert_int_equal(n_names_got, PRIV_LIST_COUNT + 1);
	assert_int_equal(names_got[3].number, 4);
	assert_int_equal(names_got[PRIV_LIST_COUNT].number, 50);
	assert_string_equal(names_got[PRIV_LIST_COUNT].name, "blue");
	lab_free(lab);
}

static void
a_handle_of_a_namespace_is_used_and_closed(void **state)
{
	struct lab *lab = lab_new();
	static union priv_msg msg;

	(void)state;
	assert_non_null(priv_call_netns(lab->call, PRIV_NETNS_PID, 77, on_netns, lab));
	take(lab, PRIV_NETNS);
	assert_int_equal(lab->got.netns.kind, PRIV_NETNS_PID);
	assert_int_equal(lab->got.netns.number, 77);
	memset(&msg, 0, sizeof(msg));
	msg.netns_reply.handle = 5;
	reply(lab, &msg, PRIV_NETNS_REPLY, lab->got.hdr.request_id, -1);
	assert_int_equal(lab->err.code, E_OK);
	assert_int_equal(handle_got, 5);

	assert_non_null(priv_call_list_in(lab->call, 5, on_list, lab));
	take(lab, PRIV_LIST);
	assert_int_equal(lab->got.list.netns, 5);
	priv_call_netns_close(lab->call, 5);
	priv_call_netns_close(lab->call, 0);
	take(lab, PRIV_NETNS_CLOSE);
	assert_int_equal(lab->got.netns_close.handle, 5);
	assert_nothing_was_sent(lab);
	memset(&msg, 0, sizeof(msg));
	reply(lab, &msg, PRIV_NETNS_CLOSE_REPLY, lab->got.hdr.request_id, -1);
	assert_int_equal(lab->n_gone, 0);
	lab_free(lab);
}

static void
a_refused_namespace_has_no_handle(void **state)
{
	struct lab *lab = lab_new();
	static union priv_msg msg;

	(void)state;
	handle_got = 9;
	assert_non_null(priv_call_netns(lab->call, PRIV_NETNS_NAMED, 1, on_netns, lab));
	take(lab, PRIV_NETNS);
	memset(&msg, 0, sizeof(msg));
	msg.netns_reply.code = E_DENIED;
	strcpy(msg.netns_reply.text, "not permitted");
	reply(lab, &msg, PRIV_NETNS_REPLY, lab->got.hdr.request_id, -1);
	assert_int_equal(lab->err.code, E_DENIED);
	assert_string_equal(lab->err.what, "not permitted");
	assert_int_equal(handle_got, 0);
	lab_free(lab);
}

static void
a_namespace_that_nobody_wants_any_more_is_closed_again(void **state)
{
	struct lab *lab = lab_new();
	struct priv_call_request *request;
	static union priv_msg msg;

	(void)state;
	n_netns = 0;
	for (uint32_t handle = 0; handle < 2; handle++) {
		request = priv_call_netns(lab->call, PRIV_NETNS_NAMED, 1, on_netns, lab);
		assert_non_null(request);
		take(lab, PRIV_NETNS);
		priv_call_cancel(lab->call, request);
		memset(&msg, 0, sizeof(msg));
		msg.netns_reply.handle = handle;
		reply(lab, &msg, PRIV_NETNS_REPLY, lab->got.hdr.request_id, -1);
		/* The agent's own namespace has nothing to close. */
		if (handle == 0)
			assert_nothing_was_sent(lab);
		else
			take(lab, PRIV_NETNS_CLOSE);
	}
	assert_int_equal(lab->got.netns_close.handle, 1);
	assert_int_equal(n_netns, 0);
	lab_free(lab);
}

static void
cooked_follows_from_the_link_type(void **state)
{
	static const struct { uint32_t link_type; bool is_cooked; } cases[] = {
		{ LINK_ETHERNET, false }, { LINK_RAW_IP, false }, { 143, false },
		{ LINK_SLL2, true }, { LINK_SLL, true }, { 253, true },
	};
	struct lab *lab = lab_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct priv_open_request request = {
			.capture = 1, .ifindex = 2, .link_type = cases[i].link_type, .netns = 3,
			.flags = PRIV_OPEN_ADAPTER_TIME | (cases[i].is_cooked ? 0 :
			    PRIV_OPEN_COOKED),
			.insns = &accept_all, .n_insns = 1,
		};

		assert_non_null(priv_call_open(lab->call, &request, on_open, lab));
		take(lab, PRIV_OPEN);
		assert_int_equal((lab->got.open.flags & PRIV_OPEN_COOKED) != 0,
		    cases[i].is_cooked);
		assert_true((lab->got.open.flags & PRIV_OPEN_ADAPTER_TIME) != 0);
		assert_int_equal(lab->got.open.netns, 3);
	}
	lab_free(lab);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_open_is_sent_within_the_ranges_and_answered_with_a_descriptor),
		cmocka_unit_test(a_refusal_carries_code_and_text),
		cmocka_unit_test(a_list_of_several_pages_is_one_answer),
		cmocka_unit_test(filter_and_close_are_answered_in_any_order),
		cmocka_unit_test(an_open_that_nobody_wants_any_more_is_closed_again),
		cmocka_unit_test(more_requests_than_the_socket_takes_are_all_sent_in_order),
		cmocka_unit_test(the_end_is_told_and_requests_go_on),
		cmocka_unit_test(when_capagent_is_gone_every_request_fails_once),
		cmocka_unit_test(an_answer_to_nothing_breaks_the_boundary),
		cmocka_unit_test(names_of_several_pages_are_one_answer),
		cmocka_unit_test(a_handle_of_a_namespace_is_used_and_closed),
		cmocka_unit_test(a_refused_namespace_has_no_handle),
		cmocka_unit_test(a_namespace_that_nobody_wants_any_more_is_closed_again),
		cmocka_unit_test(cooked_follows_from_the_link_type),
		cmocka_unit_test(a_setup_arrives_complete),
		cmocka_unit_test(
		    a_setup_out_of_order_or_cut_short_is_refused_and_leaves_nothing_open),
		cmocka_unit_test(a_reload_is_told_whole_and_answered),
		cmocka_unit_test(a_request_and_its_reply_may_cross_a_reload),
		cmocka_unit_test(an_answer_waits_for_room),
		cmocka_unit_test(
		    a_reload_out_of_order_breaks_the_boundary_and_leaves_nothing_open),
	};

	return cmocka_run_group_tests_name("server/priv_call", tests, NULL, NULL);
}
