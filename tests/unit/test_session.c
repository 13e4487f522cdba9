/* server/session: what a client may say before its capture, and what not. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/conn_int.h"
#include "loop_lab.h"
#include "proto/limits.h"
#include "ring_fake.h"
#include "server/session.h"
#include "session_lab.h"

enum stage { GREETING, READY, LISTING, STARTING, N_STAGES };

static void
advance(struct session_lab *lab, enum stage stage)
{
	struct msg start = session_lab_start("lo");

	if (stage == GREETING) {
		session_lab_connect(lab, 0);
		return;
	}
	session_lab_greet(lab, 0);
	lab->boundary.hold_type = PRIV_LIST;
	if (stage == LISTING)
		peer_lab_send_type(lab->client, MSG_LIST_REQUEST);
	else if (stage == STARTING)
		peer_lab_send(lab->client, &start);
	else
		return;
	session_lab_until_seen(lab, PRIV_LIST, 1);
}

/* --- in order --- */

static void
hello_is_answered_with_who_the_agent_is(void **state)
{
	struct session_lab *lab = *state;
	const struct msg_hello *hello;

	session_lab_greet(lab, 0);
	hello = &lab->client->msgs[0].msg.hello;
	assert_int_equal(hello->version, PROTO_VERSION);
	assert_memory_equal(hello->program, "capagent ", 9);
	assert_true(strlen(hello->host) > 0);
	assert_memory_equal(hello->os, "Linux ", 6);
	assert_int_equal(lab->net.n_sessions, 1);
}

static const struct msg_interface *
find(const struct msg_interface_list *list, const char *name)
{
	for (uint32_t i = 0; i < list->n; i++)
		if (strcmp(list->interfaces[i].name, name) == 0)
			return &list->interfaces[i];
	fail_msg("%s is not listed", name);
	abort();
}

static void
the_list_says_what_can_be_captured(void **state)
{
	struct session_lab *lab = *state;
	const struct msg_interface *lo;

	session_lab_greet(lab, 0);
	peer_lab_send_type(lab->client, MSG_LIST_REQUEST);
	lo = find(&peer_lab_take(lab->client, MSG_INTERFACE_LIST)->msg.interface_list,
	    "lo");
	assert_true(lo->is_loopback);
	assert_string_equal(lo->why_not, "");
	/* The same without permission. */
	lab->boundary.n_interfaces = 0;
	peer_lab_send_type(lab->client, MSG_LIST_REQUEST);
	lo = find(&peer_lab_take(lab->client, MSG_INTERFACE_LIST)->msg.interface_list,
	    "lo");
	assert_true(strlen(lo->why_not) > 0);
}

static void
a_list_that_capagent_refuses_is_refused(void **state)
{
	struct session_lab *lab = *state;

	session_lab_greet(lab, 0);
	lab->boundary.refuse_type = PRIV_LIST;
	lab->boundary.refuse_code = E_NOMEM;
	peer_lab_send_type(lab->client, MSG_LIST_REQUEST);
	session_lab_assert_refused(lab, lab->client, E_NOMEM, "as asked");
}

static void
a_ping_is_answered(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = { .type = MSG_PING, .ping.client_time_ns = 4711 };

	session_lab_greet(lab, 0);
	peer_lab_send(lab->client, &msg);
	assert_int_equal(peer_lab_take(lab->client,
	    MSG_PONG)->msg.pong.client_time_ns, 4711);
}

static void
requests_in_one_piece_are_all_answered(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = { .type = MSG_LIST_REQUEST };

	session_lab_greet(lab, 0);
	peer_lab_send_many(lab->client, &msg, 3);
	for (int i = 0; i < 3; i++)
		(void)peer_lab_take(lab->client, MSG_INTERFACE_LIST);
	assert_int_equal(lab->boundary.n_seen[PRIV_LIST], 3);
}

static void
what_comes_while_capagent_works_waits(void **state)
{
	struct session_lab *lab = *state;

	advance(lab, LISTING);
	peer_lab_send_type(lab->client, MSG_PING);
	loop_lab_run_ms(lab->net.loop, 5);
	assert_int_equal(lab->client->n_msgs, 1);	/* the hello */
	boundary_lab_answer(&lab->boundary);
	(void)peer_lab_take(lab->client, MSG_INTERFACE_LIST);
	(void)peer_lab_take(lab->client, MSG_PONG);
}

/* --- every message in every state --- */

static struct msg
sample(enum msg_type type)
{
	static struct msg_capture_interface iface = { .name = "eth0", .index = 2,
	    .snaplen = 1000 };
	static struct msg_interface_stats stats;
	static struct bpf_insn_raw accept = { 0x06, 0, 0, 262144 };
	static struct msg_plan_interface plan = { .n_insns = 1, .insns = &accept };
	static char text[] = "";
	static struct msg_filter filter = { .text = text };
	struct msg msg = { .type = type };

	switch (type) {
	case MSG_START:
		return session_lab_start("lo");
	case MSG_HELLO:
		msg.hello.version = PROTO_VERSION;
		break;
	case MSG_ERROR:
		msg.error.code = E_BUG;
		break;
	case MSG_STARTED:
		msg.started.n_interfaces = 1;
		msg.started.interfaces = &iface;
		msg.started.snaplen = 1000;
		break;
	case MSG_EVENT:
		msg.event.sequence = 1;
		msg.event.kind = CAPTURE_EVENT_OTHER;
		snprintf(msg.event.text, sizeof(msg.event.text), "a note");
		break;
	case MSG_UPDATE_FILTER:
		msg.update_filter.number = 1;
		msg.update_filter.n_filters = 1;
		msg.update_filter.filters = &filter;
		break;
	case MSG_NEED_PROGRAMS:
		msg.need_programs.n = 1;
		break;
	case MSG_PLAN:
		plan.interface = iface;
		msg.plan.n_interfaces = 1;
		msg.plan.interfaces = &plan;
		break;
	case MSG_FILTER_CHANGED:
		msg.filter_changed.number = 1;
		msg.filter_changed.sequence = 1;
		break;
	case MSG_INTERFACE_ADDED:
		msg.interface_added.interface = iface;
		msg.interface_added.sequence = 1;
		break;
	case MSG_GAP:
		msg.gap.first_sequence = msg.gap.last_sequence = 1;
		msg.gap.reason = GAP_LOG_FULL;
		break;
	case MSG_STATS:
		msg.stats.n_interfaces = 1;
		msg.stats.interfaces = &stats;
		break;
	case MSG_ENDED:
		msg.ended.stats.n_interfaces = 1;
		msg.ended.stats.interfaces = &stats;
		break;
	case MSG_RESUME:
		msg.resume.next_sequence = 1;
		break;
	case MSG_LIST_REQUEST:
	case MSG_WATERMARK:
	case MSG_ACK:
	case MSG_STOP:
	case MSG_PING:
	case MSG_INTERFACE_LIST:
	case MSG_PACKET_BATCH:
	case MSG_PONG:
		break;
	}
	return msg;
}

static const struct { enum msg_type type, answer; unsigned stages; } rules[] = {
	{ MSG_HELLO, MSG_HELLO, 1u << GREETING },
	{ MSG_LIST_REQUEST, MSG_INTERFACE_LIST, 1u << READY },
	{ MSG_START, MSG_STARTED, 1u << READY },
	{ MSG_PING, MSG_PONG, 1u << READY },
	{ MSG_ERROR, MSG_ERROR, 0 },
	{ MSG_ACK, MSG_ERROR, 0 },
	{ MSG_STOP, MSG_ERROR, 0 },
	{ MSG_INTERFACE_LIST, MSG_ERROR, 0 },
	{ MSG_STARTED, MSG_ERROR, 0 },
	{ MSG_GAP, MSG_ERROR, 0 },
	{ MSG_STATS, MSG_ERROR, 0 },
	{ MSG_ENDED, MSG_ERROR, 0 },
	{ MSG_PONG, MSG_ERROR, 0 },
	{ MSG_UPDATE_FILTER, MSG_ERROR, 0 },
	{ MSG_EVENT, MSG_ERROR, 0 },
	{ MSG_NEED_PROGRAMS, MSG_ERROR, 0 },
	{ MSG_PLAN, MSG_ERROR, 0 },
	{ MSG_FILTER_CHANGED, MSG_ERROR, 0 },
	{ MSG_INTERFACE_ADDED, MSG_ERROR, 0 },
	{ MSG_WATERMARK, MSG_ERROR, 0 },
	{ MSG_RESUME, MSG_ERROR, 1u << READY },	/* E_GONE */
};

static void
every_message_before_a_capture_is_answered_or_refused(void **state)
{
	session_lab_close(state);
	for (int stage = GREETING; stage <= READY; stage++)
		for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
			struct msg msg = sample(rules[i].type);
			struct session_lab *lab;

			session_lab_open(state);
			lab = *state;
			advance(lab, (enum stage)stage);
			lab->boundary.hold_type = 0;
			peer_lab_send(lab->client, &msg);
			if (rules[i].stages & 1u << stage)
				(void)peer_lab_take(lab->client, rules[i].answer);
			else
				session_lab_assert_refused(lab, lab->client, E_STATE,
				    "not allowed");
			session_lab_close(state);
		}
	session_lab_open(state);
}

static void
a_batch_from_a_client_is_refused(void **state)
{
	struct session_lab *lab = *state;
	struct batch *batch = peer_lab_batch(1, 3, 60, 0);

	session_lab_greet(lab, 0);
	peer_lab_send_bytes(lab->client, batch->frame, batch->frame_len);
	batch_unref(batch);
	(void)peer_lab_take(lab->client, MSG_ERROR);
	peer_lab_until_over(lab->client);
}

static void
another_version_is_refused_with_both_numbers(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = { .type = MSG_HELLO, .hello.version = 4242 };

	session_lab_connect(lab, 0);
	peer_lab_send(lab->client, &msg);
	session_lab_assert_refused(lab, lab->client, E_VERSION, "4242");
}

/* --- broken --- */

static void
broken_frames_are_refused_in_every_state(void **state)
{
	static const struct { const char *bytes; size_t len; int code; } cases[] = {
		{ "\x00", 1, E_BADMSG },
		{ "\x80\x00", 2, E_BADMSG },
		{ "\x03\xff\xff\xff", 4, E_BADMSG },
		{ "\x81\x80\x40", 3, E_TOOBIG },	/* 1 MiB + 1 */
		{ "\xff\xff\xff\xff\x0f", 5, E_TOOBIG },
		{ "\x04\x9a\x06\x01\x00", 5, E_STATE },	/* body number 99 */
	};

	session_lab_close(state);
	for (int stage = GREETING; stage <= LISTING; stage++)
		for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
			struct session_lab *lab;

			session_lab_open(state);
			lab = *state;
			advance(lab, (enum stage)stage);
			peer_lab_send_bytes(lab->client, cases[i].bytes,
			    cases[i].len);
			if (stage == LISTING)
				boundary_lab_answer(&lab->boundary);
			if (stage == LISTING)
				(void)peer_lab_take(lab->client,
				    MSG_INTERFACE_LIST);
			session_lab_assert_refused(lab, lab->client,
			    cases[i].code, "");
			session_lab_close(state);
		}
	session_lab_open(state);
}

static void
a_client_that_goes_leaves_nothing_in_any_state(void **state)
{
	session_lab_close(state);
	for (int stage = GREETING; stage < N_STAGES; stage++)
		for (int in_order = 0; in_order < 2; in_order++) {
			struct session_lab *lab;

			session_lab_open(state);
			lab = *state;
			advance(lab, (enum stage)stage);
			if (!in_order)
				shutdown(lab->client->conn->fd, SHUT_RDWR);
			peer_lab_close(lab->client);
			loop_lab_run_ms(lab->net.loop, 5);
			while (lab->boundary.n_held > 0)
				boundary_lab_answer(&lab->boundary);
			session_lab_until_idle(lab);
			session_lab_close(state);
		}
	session_lab_open(state);
}

static void
all_sessions_can_be_closed_at_once(void **state)
{
	session_lab_close(state);
	for (int stage = GREETING; stage < N_STAGES; stage++) {
		struct session_lab *lab;

		session_lab_open(state);
		lab = *state;
		session_lab_greet(lab, 1);
		advance(lab, (enum stage)stage);
		session_close_all(&lab->net);
		assert_int_equal(lab->net.n_sessions, 0);
		peer_lab_until_over(lab->client);
		peer_lab_until_over(&lab->clients[1]);
		session_lab_close(state);
	}
	session_lab_open(state);
}

static void
a_peer_that_speaks_no_tls_is_closed(void **state)
{
	static const char http[] = "GET / HTTP/1.1\r\n\r\n";
	struct sockaddr_storage peer = { .ss_family = AF_INET };
	struct session_lab *lab = *state;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	session_accept(&lab->net, fds[0], &peer);
	assert_int_equal(write(fds[1], http, sizeof(http) - 1), sizeof(http) - 1);
	shutdown(fds[1], SHUT_WR);
	session_lab_until_idle(lab);
	close(fds[1]);
}

/* --- bounds --- */

static struct sockaddr_storage
address(uint32_t host)
{
	struct sockaddr_storage ss = { .ss_family = AF_INET };

	((struct sockaddr_in *)&ss)->sin_addr.s_addr = htonl(host);
	return ss;
}

static bool
is_closed(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

static void
half_open_connections_are_bounded_per_peer_and_in_all(void **state)
{
	enum { TRIES = SESSION_MAX + SESSION_MAX_PER_PEER };
	struct session_lab *lab = *state;
	int fds[TRIES];
	unsigned n = 0;

	for (int i = 0; i < TRIES; i++) {
		int pair[2];
		struct sockaddr_storage peer;

		/* First one host alone, then one after the other. */
		peer = address(i <= SESSION_MAX_PER_PEER ? 0x0a000001 :
		    0x0a000100 + (uint32_t)i);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK,
		    0, pair), 0);
		fds[i] = pair[1];
		session_accept(&lab->net, pair[0], &peer);
		if (!is_closed(pair[1]))
			n++;
		if (i == SESSION_MAX_PER_PEER) {
			assert_true(is_closed(pair[1]));
			assert_int_equal(n, SESSION_MAX_PER_PEER);
		}
	}
	assert_int_equal(n, SESSION_MAX);
	assert_int_equal(lab->net.n_sessions, SESSION_MAX);
	for (int i = 0; i < TRIES; i++)
		close(fds[i]);
	session_lab_until_idle(lab);
}

static void
nobody_is_accepted_while_the_agent_ends(void **state)
{
	struct sockaddr_storage peer = address(1);
	struct session_lab *lab = *state;
	int fds[2];

	lab->net.is_ending = true;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	session_accept(&lab->net, fds[0], &peer);
	assert_int_equal(lab->net.n_sessions, 0);
	assert_true(is_closed(fds[1]));
	close(fds[1]);
}

static void
a_client_that_does_not_read_its_answers_is_refused(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = { .type = MSG_PING, .ping.client_time_ns = INT64_MAX };
	struct peer *p;

	session_lab_greet(lab, 0);
	p = lab->client;
	conn_pause(p->conn);
	/* 14 MB of answers, of which the sockets hold a part. */
	for (int i = 0; i < 200; i++) {
		if (conn_queued(p->conn) == 0)
			peer_lab_send_many(p, &msg, 2000);
		loop_lab_run_ms(lab->net.loop, 1);
	}
	p->drops_pongs = true;
	conn_resume(p->conn);
	assert_int_equal(peer_lab_take_main(p, MSG_ERROR)->msg.error.code, E_LIMIT);
}

int
main(void)
{
#define IN_LAB(test) cmocka_unit_test_setup_teardown(test, session_lab_open, session_lab_close)
	const struct CMUnitTest tests[] = {
		IN_LAB(hello_is_answered_with_who_the_agent_is),
		IN_LAB(the_list_says_what_can_be_captured),
		IN_LAB(a_list_that_capagent_refuses_is_refused),
		IN_LAB(a_ping_is_answered),
		IN_LAB(requests_in_one_piece_are_all_answered),
		IN_LAB(what_comes_while_capagent_works_waits),
		IN_LAB(every_message_before_a_capture_is_answered_or_refused),
		IN_LAB(a_batch_from_a_client_is_refused),
		IN_LAB(another_version_is_refused_with_both_numbers),
		IN_LAB(broken_frames_are_refused_in_every_state),
		IN_LAB(a_client_that_goes_leaves_nothing_in_any_state),
		IN_LAB(all_sessions_can_be_closed_at_once),
		IN_LAB(a_peer_that_speaks_no_tls_is_closed),
		IN_LAB(half_open_connections_are_bounded_per_peer_and_in_all),
		IN_LAB(nobody_is_accepted_while_the_agent_ends),
		IN_LAB(a_client_that_does_not_read_its_answers_is_refused),
	};

	return cmocka_run_group_tests_name("server/session", tests, NULL, NULL);
}
