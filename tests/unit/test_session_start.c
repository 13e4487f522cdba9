/*
 * server/session_start and captures: from Start to a capture and to its end,
 * with every handle given back to capagent.
 */
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop_lab.h"
#include "proto/limits.h"
#include "ring_fake.h"
#include "server/captures.h"
#include "server/session.h"
#include "session_lab.h"

static const struct msg_started *
start(struct session_lab *lab, unsigned i, const struct msg *msg)
{
	session_lab_greet(lab, i);
	peer_lab_send(&lab->clients[i], msg);
	return &peer_lab_take(&lab->clients[i], MSG_STARTED)->msg.started;
}

static void
assert_start_refused(struct session_lab *lab, const struct msg *msg, int code,
    const char *word)
{
	session_lab_greet(lab, 0);
	peer_lab_send(lab->client, msg);
	session_lab_assert_refused(lab, lab->client, code, word);
	peer_lab_close(lab->client);
	session_lab_until_idle(lab);
}

/* --- in order --- */

static void
a_capture_is_opened_as_it_was_asked_for(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = session_lab_start("lo");
	const struct msg_started *started = start(lab, 0, &msg);
	const struct priv_open *open = &lab->boundary.last.open;

	assert_int_equal(started->n_interfaces, 1);
	assert_string_equal(started->interfaces[0].name, "lo");
	assert_int_equal(started->interfaces[0].link_type, LINK_ETHERNET);
	assert_int_equal(started->snaplen, 1000);
	assert_true(started->ring_bytes > 0 && started->log_bytes > 0);
	assert_true(started->start.ns > 0);
	assert_string_equal(started->notes, "");
	assert_int_equal(open->ifindex, if_nametoindex("lo"));
	assert_int_equal(open->snaplen, 1000);
	assert_int_equal(open->flags, PRIV_OPEN_PROMISCUOUS | PRIV_OPEN_INBOUND);
	assert_true(open->program.n_insns > 1);		/* own traffic is left out */
	assert_int_equal(captures_count(lab->net.captures), 1);
	assert_int_equal(lab->net.n_sessions, 0);
}

static void
stop_closes_the_tap_and_then_everything(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = session_lab_start("lo");
	const struct msg_ended *ended;

	(void)start(lab, 0, &msg);
	peer_lab_send_type(lab->client, MSG_STOP);
	ended = &peer_lab_take_main(lab->client, MSG_ENDED)->msg.ended;
	assert_int_equal(ended->code, E_OK);
	assert_int_equal(lab->boundary.n_seen[PRIV_FILTER], 1);
	assert_int_equal(lab->boundary.last.filter.program.n_insns, 1);
	assert_int_equal(lab->boundary.last.filter.program.insns[0].code, 0x06);
	assert_int_equal(lab->boundary.last.filter.program.insns[0].k, 0);
	assert_int_equal(boundary_lab_open_handles(&lab->boundary), 1);
	peer_lab_close(lab->client);
	session_lab_until_idle(lab);
	assert_int_equal(lab->boundary.n_seen[PRIV_CLOSE], 1);
}

static void
stop_in_one_piece_with_start_ends_it_at_once(void **state)
{
	struct session_lab *lab = *state;
	struct msg msgs[2] = { session_lab_start("lo"), { .type = MSG_STOP } };
	uint8_t *frames[2], both[4096];
	size_t len[2];

	for (int i = 0; i < 2; i++)
		assert_int_equal(codec_pack(&msgs[i], &frames[i], &len[i]), E_OK);
	assert_true(len[0] + len[1] <= sizeof(both));
	memcpy(both, frames[0], len[0]);
	memcpy(both + len[0], frames[1], len[1]);
	free(frames[0]);
	free(frames[1]);
	session_lab_greet(lab, 0);
	peer_lab_send_bytes(lab->client, both, len[0] + len[1]);
	(void)peer_lab_take(lab->client, MSG_STARTED);
	(void)peer_lab_take_main(lab->client, MSG_ENDED);
}

static void
several_interfaces_are_one_capture(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = session_lab_start("lo");
	const struct msg_started *started;

	msg.start.n_interfaces = 2;
	started = start(lab, 0, &msg);
	assert_int_equal(started->n_interfaces, 2);
	assert_string_equal(started->interfaces[1].name, "raw9");
	assert_int_equal(started->interfaces[1].link_type, LINK_RAW_IP);
	assert_int_equal(boundary_lab_open_handles(&lab->boundary), 2);
	assert_int_equal(captures_count(lab->net.captures), 1);
	peer_lab_send_type(lab->client, MSG_STOP);
	assert_int_equal(peer_lab_take_main(lab->client,
	    MSG_ENDED)->msg.ended.stats.n_interfaces, 2);
}

static void
what_the_agents_configuration_lowers_is_said(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = session_lab_start("lo");
	const struct msg_started *started;

	lab->net.setup.config.max_snaplen = 128;
	lab->net.setup.config.log_memory = 8 << 20;
	lab->net.setup.config.promiscuous = 0;
	msg.start.log_bytes = 64 << 20;
	started = start(lab, 0, &msg);
	assert_int_equal(started->snaplen, 128);
	assert_int_equal(started->log_bytes, 8 << 20);
	assert_false(started->interfaces[0].is_promiscuous);
	assert_non_null(strstr(started->notes, "1000 lowered"));
	assert_non_null(strstr(started->notes, "log-memory"));
	assert_int_equal(lab->boundary.last.open.snaplen, 128);
	assert_int_equal(lab->boundary.last.open.flags, PRIV_OPEN_INBOUND);
}

/* --- refused --- */

static void
interfaces_that_cannot_be_captured_are_refused_with_the_reason(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = session_lab_start("nosuch9");

	assert_start_refused(lab, &msg, E_NOIFACE, "nosuch9");
	msg = session_lab_start("down9");
	assert_start_refused(lab, &msg, E_IFDOWN, "down9");
	lab->boundary.n_interfaces = 0;
	msg = session_lab_start("lo");
	assert_start_refused(lab, &msg, E_DENIED, "lo");
	assert_int_equal(lab->boundary.n_seen[PRIV_OPEN], 0);
}

static void
starts_that_make_no_sense_are_refused(void **state)
{
	static struct msg_interface_request five[5] = {
		{ "lo", 1000, 0, 0, false }, { "a", 1000, 0, 0, false },
		{ "b", 1000, 0, 0, false }, { "c", 1000, 0, 0, false },
		{ "d", 1000, 0, 0, false },
	};
	struct session_lab *lab = *state;
	struct msg msg = session_lab_start("raw9");

	msg.start.n_interfaces = 2;		/* raw9, raw9 */
	assert_start_refused(lab, &msg, E_USAGE, "twice");
	msg = session_lab_start("lo");
	msg.start.n_interfaces = 5;
	msg.start.interfaces = five;
	assert_start_refused(lab, &msg, E_LIMIT, "max-interfaces");
	msg.start.n_interfaces = 0;
	assert_start_refused(lab, &msg, E_BADMSG, "");
	assert_int_equal(lab->boundary.n_seen[PRIV_LIST], 0);
}

static void
filters_that_are_none_or_do_not_fit_are_refused(void **state)
{
	static struct bpf_insn_raw falls_off[] = { { .code = 0x28, .k = 12 } };
	static struct bpf_insn_raw jumps_out[] = { { .code = 0x05, .k = 99 },
	    { .code = 0x06 } };
	struct msg_program program = { .link_type = LINK_ETHERNET,
	    .insns = falls_off, .n_insns = 1 };
	struct session_lab *lab = *state;
	struct msg msg = session_lab_start("lo");

	msg.start.filters[0].n_programs = 1;
	msg.start.filters[0].programs = &program;
	assert_start_refused(lab, &msg, E_FILTER, "filter");
	program.insns = jumps_out;
	program.n_insns = 2;
	assert_start_refused(lab, &msg, E_FILTER, "filter");
	assert_int_equal(lab->boundary.n_seen[PRIV_LIST], 0);
}

static void
what_capagent_refuses_is_refused_and_nothing_stays_open(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = session_lab_start("lo");

	lab->boundary.refuse_type = PRIV_OPEN;
	lab->boundary.refuse_code = E_LIMIT;
	assert_start_refused(lab, &msg, E_LIMIT, "as asked");
	/* The second of two: the first is closed again. */
	lab->boundary.refuse_after = lab->boundary.n_seen[PRIV_OPEN] + 1;
	msg.start.n_interfaces = 2;
	assert_start_refused(lab, &msg, E_LIMIT, "as asked");
	assert_int_equal(lab->boundary.n_handles, 1);
	assert_int_equal(lab->boundary.n_seen[PRIV_CLOSE], 1);
}

static void
log_memory_that_is_used_up_is_said(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = session_lab_start("lo");

	lab->net.setup.config.log_memory = 5 << 20;
	msg.start.log_bytes = 3 << 20;
	(void)start(lab, 0, &msg);
	/* 2 MiB are left: the least there is. */
	msg.start.log_bytes = 64 << 20;
	assert_int_equal(start(lab, 1, &msg)->log_bytes, 2 << 20);
	session_lab_greet(lab, 2);
	peer_lab_send(&lab->clients[2], &msg);
	session_lab_assert_refused(lab, &lab->clients[2], E_LIMIT, "log-memory");
	/* An ended capture gives its part back. */
	peer_lab_close(&lab->clients[0]);
	peer_lab_close(&lab->clients[1]);
	peer_lab_close(&lab->clients[2]);
	session_lab_until_idle(lab);
	assert_int_equal(start(lab, 0, &msg)->log_bytes, 5 << 20);
}

static void
no_capture_starts_while_the_agent_ends(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = session_lab_start("lo");

	session_lab_greet(lab, 0);
	lab->net.is_ending = true;
	peer_lab_send(lab->client, &msg);
	session_lab_assert_refused(lab, lab->client, E_STATE, "ending");
}

/* --- clients that go --- */

static void
a_client_that_goes_while_it_is_opened_leaves_nothing_open(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = session_lab_start("lo");

	lab->boundary.hold_type = PRIV_OPEN;
	session_lab_greet(lab, 0);
	peer_lab_send(lab->client, &msg);
	session_lab_until_seen(lab, PRIV_OPEN, 1);
	peer_lab_close(lab->client);
	loop_lab_run_ms(lab->net.loop, 5);
	boundary_lab_answer(&lab->boundary);
	session_lab_until_idle(lab);
	assert_int_equal(lab->boundary.n_handles, 1);
	assert_int_equal(lab->boundary.n_seen[PRIV_CLOSE], 1);
}

static void
sessions_closed_while_they_are_opened_leave_nothing_open(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = session_lab_start("lo");

	lab->boundary.hold_type = PRIV_OPEN;
	msg.start.n_interfaces = 2;
	session_lab_greet(lab, 0);
	peer_lab_send(lab->client, &msg);
	session_lab_until_seen(lab, PRIV_OPEN, 1);
	boundary_lab_answer(&lab->boundary);
	session_lab_until_seen(lab, PRIV_OPEN, 2);
	session_close_all(&lab->net);
	boundary_lab_answer(&lab->boundary);
	session_lab_until_idle(lab);
	assert_int_equal(lab->boundary.n_handles, 2);
}

static void
a_client_may_go_between_the_closing_of_two_taps(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = session_lab_start("lo");

	msg.start.n_interfaces = 2;
	(void)start(lab, 0, &msg);
	lab->boundary.hold_type = PRIV_FILTER;
	peer_lab_send_type(lab->client, MSG_STOP);
	session_lab_until_seen(lab, PRIV_FILTER, 2);
	boundary_lab_answer(&lab->boundary);
	loop_lab_run_ms(lab->net.loop, 5);
	peer_lab_close(lab->client);
	session_lab_until_seen(lab, PRIV_CLOSE, 2);
}

static void
a_tap_that_cannot_be_closed_does_not_keep_the_capture(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = session_lab_start("lo");

	(void)start(lab, 0, &msg);
	lab->boundary.refuse_type = PRIV_FILTER;
	lab->boundary.refuse_code = E_FILTER;
	peer_lab_send_type(lab->client, MSG_STOP);
	(void)peer_lab_take_main(lab->client, MSG_ENDED);
	peer_lab_close(lab->client);
	session_lab_until_idle(lab);
}

/* --- all captures --- */

static void
set_flag(void *arg)
{
	*(bool *)arg = true;
}

static void
the_end_of_the_agent_ends_every_capture_and_is_told_once(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = session_lab_start("lo");
	bool is_done = false;

	for (unsigned i = 0; i < SESSION_LAB_CLIENTS; i++)
		(void)start(lab, i, &msg);
	assert_int_equal(captures_count(lab->net.captures), SESSION_LAB_CLIENTS);
	captures_end(lab->net.captures, set_flag, &is_done);
	for (unsigned i = 0; i < SESSION_LAB_CLIENTS; i++) {
		const struct peer_msg *m =
		    peer_lab_take_main(&lab->clients[i], MSG_ENDED);

		assert_non_null(strstr(m->msg.ended.text, "ending"));
		assert_false(is_done);
		peer_lab_close(&lab->clients[i]);
	}
	loop_lab_until_set(lab->net.loop, &is_done);
	assert_int_equal(captures_count(lab->net.captures), 0);
}

static void
without_a_capture_the_end_is_at_once(void **state)
{
	struct session_lab *lab = *state;
	bool is_done = false;

	captures_end(lab->net.captures, set_flag, &is_done);
	assert_true(is_done);
}

static void
a_new_own_address_reaches_every_running_filter(void **state)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(0x0a000007), .sin_port = htons(9443) };
	struct session_lab *lab = *state;
	struct msg msg = session_lab_start("lo");
	uint32_t before;

	(void)start(lab, 0, &msg);
	before = lab->boundary.last.open.program.n_insns;
	assert_true(own_traffic_add(&lab->net.own, (struct sockaddr *)&addr));
	lab->net.own_generation++;
	captures_relink(lab->net.captures);
	session_lab_until_seen(lab, PRIV_FILTER, 1);
	assert_true(lab->boundary.last.filter.program.n_insns > before);
}

static void
many_captures_one_after_the_other_leave_nothing(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = session_lab_start("lo");

	for (int i = 0; i < 30; i++) {
		(void)start(lab, 0, &msg);
		if (i % 2 == 0) {
			peer_lab_send_type(lab->client, MSG_STOP);
			(void)peer_lab_take_main(lab->client, MSG_ENDED);
		}
		peer_lab_close(lab->client);
		session_lab_until_idle(lab);
	}
	assert_int_equal(lab->boundary.n_handles, 30);
}

int
main(void)
{
#define IN_LAB(test) cmocka_unit_test_setup_teardown(test, session_lab_open, session_lab_close)
	const struct CMUnitTest tests[] = {
		IN_LAB(a_capture_is_opened_as_it_was_asked_for),
		IN_LAB(stop_closes_the_tap_and_then_everything),
		IN_LAB(stop_in_one_piece_with_start_ends_it_at_once),
		IN_LAB(several_interfaces_are_one_capture),
		IN_LAB(what_the_agents_configuration_lowers_is_said),
		IN_LAB(interfaces_that_cannot_be_captured_are_refused_with_the_reason),
		IN_LAB(starts_that_make_no_sense_are_refused),
		IN_LAB(filters_that_are_none_or_do_not_fit_are_refused),
		IN_LAB(what_capagent_refuses_is_refused_and_nothing_stays_open),
		IN_LAB(log_memory_that_is_used_up_is_said),
		IN_LAB(no_capture_starts_while_the_agent_ends),
		IN_LAB(a_client_that_goes_while_it_is_opened_leaves_nothing_open),
		IN_LAB(sessions_closed_while_they_are_opened_leave_nothing_open),
		IN_LAB(a_client_may_go_between_the_closing_of_two_taps),
		IN_LAB(a_tap_that_cannot_be_closed_does_not_keep_the_capture),
		IN_LAB(the_end_of_the_agent_ends_every_capture_and_is_told_once),
		IN_LAB(without_a_capture_the_end_is_at_once),
		IN_LAB(a_new_own_address_reaches_every_running_filter),
		IN_LAB(many_captures_one_after_the_other_leave_nothing),
	};

	return cmocka_run_group_tests_name("server/session_start", tests, NULL,
	    NULL);
}
