/* client/sensor: a capture that goes on over another connection, and who is silent. */
#include "sensor_lab.h"

#include <netdb.h>

#include "common/clock.h"

enum { CAPTURE_ID = 77, HEARTBEAT_MS = 1000 };

/* --- the connection is lost, and found again --- */

/* The agent is gone, without a word. */
static void
hang_up(struct lab *lab)
{
	shutdown(lab->agent.conn->fd, SHUT_RDWR);
	peer_lab_close(&lab->agent);
	memset(&lab->agent, 0, sizeof(lab->agent));
}

static void
lose(struct lab *lab)
{
	hang_up(lab);
	loop_lab_until_set(lab->loop, &lab->is_over);
	assert_int_equal(lab->n_failed, 1);
	assert_int_equal(lab->err.code, E_PEERGONE);
	lab->is_over = false;
	lab->n_failed = 0;
}

static bool
saw_hello_again(void *arg)
{
	return ((struct lab *)arg)->n_hello == 2;
}

static bool
saw_started_again(void *arg)
{
	return ((struct lab *)arg)->n_started == 2;
}

/* The agent takes the second connection, up to its hello. */
static void
meet_again(struct lab *lab)
{
	meet(lab);
	(void)peer_lab_take(&lab->agent, MSG_HELLO);
	say(lab, MSG_HELLO);
	loop_lab_until(lab->loop, saw_hello_again, lab);
}

/* Batches 1 and 2 came, and an event. */
static void
stream_and_lose(struct lab *lab)
{
	struct msg msg = sample(MSG_EVENT);

	advance(lab, STREAMING);
	peer_lab_send(&lab->agent, &msg);
	send_batch(lab, 1, 3, 0);
	send_batch(lab, 2, 3, 0);
	while (lab->n_batches < 2)
		loop_lab_run_ms(lab->loop, 1);
	lose(lab);
}

static void
ask_again(struct lab *lab)
{
	const struct msg_resume *got;
	struct msg_resume resume = { .capture_id = CAPTURE_ID, .next_sequence = 3,
	    .announcements = 1 };

	memset(resume.token.bytes, 0x5a, sizeof(resume.token.bytes));
	sensor_resume_capture(lab->sensor, &resume, N_INTERFACES);
	got = &peer_lab_take(&lab->agent, MSG_RESUME)->msg.resume;
	assert_int_equal(got->capture_id, CAPTURE_ID);
	assert_int_equal(got->next_sequence, 3);
	assert_int_equal(got->announcements, 1);
	assert_memory_equal(got->token.bytes, resume.token.bytes, sizeof(resume.token.bytes));
}

/* As it would be right. */
static struct msg
sample_resumed(void)
{
	struct msg msg = sample(MSG_STARTED);

	msg.started.capture_id = CAPTURE_ID;
	msg.started.next_sequence = 3;
	msg.started.announcements = 1;
	msg.started.heartbeat_ms = HEARTBEAT_MS;
	return msg;
}

/* Up to the answer to the Resume. */
static void
ask_over_another_connection(struct lab *lab)
{
	stream_and_lose(lab);
	sensor_reconnect(lab->sensor, NULL);
	meet_again(lab);
	ask_again(lab);
}

static void
resume(struct lab *lab)
{
	struct msg msg = sample_resumed();

	ask_over_another_connection(lab);
	peer_lab_send(&lab->agent, &msg);
	loop_lab_until(lab->loop, saw_started_again, lab);
}

static void
a_lost_capture_goes_on_where_it_stopped(void **state)
{
	struct lab *lab = *state;
	struct msg msg = sample(MSG_ENDED);

	resume(lab);
	assert_int_equal(sensor_announcements(lab->sensor), 1);
	send_batch(lab, 3, 3, 1);
	sensor_ack(lab->sensor, 2);
	assert_int_equal(peer_lab_take(&lab->agent, MSG_ACK)->msg.ack.sequence, 2);
	msg.ended.last_sequence = 3;
	peer_lab_send(&lab->agent, &msg);
	loop_lab_until_set(lab->loop, &lab->is_over);
	assert_int_equal(lab->n_batches, 3);
	assert_int_equal(lab->n_ended, 1);
	assert_int_equal(lab->n_failed, 0);
}

static void
it_may_be_reconnected_inside_failed(void **state)
{
	struct lab *lab = *state;
	struct msg msg = sample_resumed();

	advance(lab, STREAMING);
	lab->reconnects = true;
	/* A failure that a message leads to, with more behind it. */
	send_batch(lab, 7, 1, 0);
	send_batch(lab, 8, 1, 0);
	loop_lab_until_set(lab->loop, &lab->is_over);
	lab->reconnects = lab->is_over = false;
	assert_int_equal(lab->n_failed, 1);
	assert_int_equal(lab->err.code, E_BADMSG);
	lab->n_failed = 0;
	peer_lab_close(&lab->agent);
	memset(&lab->agent, 0, sizeof(lab->agent));
	meet_again(lab);
	ask_again(lab);
	peer_lab_send(&lab->agent, &msg);
	loop_lab_until(lab->loop, saw_started_again, lab);
	send_batch(lab, 3, 1, 0);
	while (lab->n_batches < 1)
		loop_lab_run_ms(lab->loop, 1);
	assert_int_equal(lab->n_failed, 0);
}

static void
a_new_address_is_taken(void **state)
{
	struct lab *lab = *state;
	struct addrinfo *found;
	struct err err;

	stream_and_lose(lab);
	assert_int_equal(sensor_lookup(&lab->address, &found, &err), E_OK);
	sensor_reconnect(lab->sensor, found);
	meet_again(lab);
	assert_int_equal(lab->n_failed, 0);
}

static void
a_port_that_is_closed_fails_each_time_once(void **state)
{
	struct lab *lab = *state;

	stream_and_lose(lab);
	close(lab->listener);
	lab->listener = -1;
	for (unsigned i = 1; i <= 3; i++) {
		lab->is_over = false;
		sensor_reconnect(lab->sensor, NULL);
		loop_lab_until_set(lab->loop, &lab->is_over);
		assert_int_equal(lab->n_failed, i);
		assert_int_equal(lab->err.code, E_UNREACHABLE);
	}
}

static void
an_interface_that_came_meanwhile_is_there(void **state)
{
	struct lab *lab = *state;
	struct msg msg = sample_resumed();

	ask_over_another_connection(lab);
	lab->n_new = 1;
	msg.started.n_interfaces++;
	msg.started.interfaces[N_INTERFACES] = msg.started.interfaces[0];
	peer_lab_send(&lab->agent, &msg);
	loop_lab_until(lab->loop, saw_started_again, lab);
	assert_int_equal(lab->n_failed, 0);
}

static void
announcements_that_are_gone_are_counted(void **state)
{
	struct lab *lab = *state;
	struct msg msg = sample_resumed();

	ask_over_another_connection(lab);
	msg.started.announcements = 9;
	peer_lab_send(&lab->agent, &msg);
	loop_lab_until(lab->loop, saw_started_again, lab);
	msg = sample(MSG_EVENT);
	msg.event.sequence = 3;
	peer_lab_send(&lab->agent, &msg);
	while (lab->n_events < 2)
		loop_lab_run_ms(lab->loop, 1);
	assert_int_equal(sensor_announcements(lab->sensor), 10);
}

static void
an_agent_that_is_let_go_sees_no_end(void **state)
{
	struct lab *lab = *state;

	resume(lab);
	sensor_let_go(lab->sensor);
	peer_lab_until_over(&lab->agent);
	/* Without close_notify: CLOSED would be the capture's end. */
	assert_int_equal(lab->agent.how, CONN_EV_ERROR);
	assert_int_equal(lab->n_failed, 0);
	/* Also when there is no connection yet. */
	sensor_reconnect(lab->sensor, NULL);
	sensor_let_go(lab->sensor);
	loop_lab_run_ms(lab->loop, 20);
	assert_int_equal(lab->n_failed, 0);
}

/* --- who does not read --- */

static void
an_output_that_is_full_does_not_make_the_next_connection_deaf(void **state)
{
	struct lab *lab = *state;
	struct msg msg = sample_resumed();

	stream_and_lose(lab);
	sensor_pause(lab->sensor);
	sensor_reconnect(lab->sensor, NULL);
	/* Before there is a connection, and while it is made. */
	sensor_pause(lab->sensor);
	sensor_resume(lab->sensor);
	sensor_pause(lab->sensor);
	meet(lab);
	sensor_pause(lab->sensor);
	(void)peer_lab_take(&lab->agent, MSG_HELLO);
	sensor_pause(lab->sensor);
	say(lab, MSG_HELLO);
	loop_lab_until(lab->loop, saw_hello_again, lab);
	ask_again(lab);
	sensor_pause(lab->sensor);
	peer_lab_send(&lab->agent, &msg);
	loop_lab_until(lab->loop, saw_started_again, lab);
	/* From here on it can be. */
	sensor_pause(lab->sensor);
	send_batch(lab, 3, 1, 0);
	loop_lab_run_ms(lab->loop, 20);
	assert_int_equal(lab->n_batches, 2);
	sensor_resume(lab->sensor);
	while (lab->n_batches < 3)
		loop_lab_run_ms(lab->loop, 1);
	assert_int_equal(lab->n_failed, 0);
}

/* --- answers that lie --- */

typedef void (*spoil_fn)(struct msg_started *started);

static void
spoil_id(struct msg_started *s)
{
	s->capture_id++;
}

static void
spoil_ahead(struct msg_started *s)
{
	s->next_sequence++;
}

static void
spoil_back(struct msg_started *s)
{
	s->next_sequence--;
}

static void
spoil_interfaces(struct msg_started *s)
{
	s->n_interfaces--;
}

static void
spoil_announcements(struct msg_started *s)
{
	s->announcements--;
}

static void
answers_to_another_resume_are_refused(void **state)
{
	static const spoil_fn spoils[] = { spoil_id, spoil_ahead, spoil_back,
	    spoil_interfaces, spoil_announcements };

	close_lab(state);
	for (size_t i = 0; i < ARRAY_LEN(spoils); i++) {
		struct msg msg = sample_resumed();
		struct lab *lab;

		open_lab(state);
		lab = *state;
		ask_over_another_connection(lab);
		spoils[i](&msg.started);
		peer_lab_send(&lab->agent, &msg);
		assert_failed_once(lab, E_BADMSG, "another capture");
		assert_int_equal(lab->n_started, 1);
		close_lab(state);
	}
	open_lab(state);
}

static void
a_start_that_does_not_begin_is_refused(void **state)
{
	close_lab(state);
	for (int i = 0; i < 2; i++) {
		struct msg msg = sample(MSG_STARTED);
		struct lab *lab;

		open_lab(state);
		lab = *state;
		advance(lab, STARTING);
		msg.started.next_sequence = i == 0 ? 5 : 1;
		msg.started.announcements = i == 0 ? 0 : 1;
		peer_lab_send(&lab->agent, &msg);
		assert_failed_once(lab, E_BADMSG, "does not begin");
		close_lab(state);
	}
	open_lab(state);
}

static void
what_came_before_is_not_taken_again(void **state)
{
	close_lab(state);
	for (uint64_t sequence = 1; sequence <= 4; sequence++) {
		struct lab *lab;

		open_lab(state);
		lab = *state;
		resume(lab);
		send_batch(lab, sequence, 1, 0);
		if (sequence != 3)
			assert_failed_once(lab, E_BADMSG, "sequence");
		else
			while (lab->n_batches < 3)
				loop_lab_run_ms(lab->loop, 1);
		assert_int_equal(lab->n_batches, sequence == 3 ? 3 : 2);
		close_lab(state);
	}
	open_lab(state);
}

/* --- the agent's words --- */

static void
an_agents_refusal_is_told_from_a_lost_connection(void **state)
{
	struct lab *lab = *state;
	struct msg msg = sample(MSG_ERROR);

	ask_over_another_connection(lab);
	assert_false(sensor_was_refused(lab->sensor));
	msg.error.code = E_GONE;
	peer_lab_send(&lab->agent, &msg);
	assert_failed_once(lab, E_GONE, "refused: not for you");
	assert_true(sensor_was_refused(lab->sensor));
	sensor_reconnect(lab->sensor, NULL);
	assert_false(sensor_was_refused(lab->sensor));
}

/* --- filters that were changed --- */

static void
change_of(struct lab *lab, uint32_t number)
{
	struct msg msg = sample(MSG_FILTER_CHANGED);

	msg.filter_changed.number = number;
	msg.filter_changed.sequence = 3;
	peer_lab_send(&lab->agent, &msg);
}

static void
an_answer_that_was_on_its_way_comes_over_the_next_connection(void **state)
{
	struct lab *lab = *state;
	struct msg msg = sample_resumed();

	advance(lab, STREAMING);
	send_batch(lab, 1, 1, 0);
	send_batch(lab, 2, 1, 0);
	say(lab, MSG_PONG);
	while (lab->n_batches < 2)
		loop_lab_run_ms(lab->loop, 1);
	ask_change(lab, 1);
	(void)peer_lab_take(&lab->agent, MSG_UPDATE_FILTER);
	lose(lab);
	sensor_reconnect(lab->sensor, NULL);
	meet_again(lab);
	ask_again(lab);
	msg.started.update_number = 1;
	peer_lab_send(&lab->agent, &msg);
	change_of(lab, 1);
	while (lab->n_changed < 1)
		loop_lab_run_ms(lab->loop, 1);
	/* Once. */
	change_of(lab, 1);
	assert_failed_once(lab, E_BADMSG, "filter");
	assert_int_equal(lab->n_changed, 1);
}

/* Somebody before us asked twice; the answers are on their way still. */
static void
resume_after_changes(struct lab *lab)
{
	struct msg msg = sample_resumed();

	ask_over_another_connection(lab);
	msg.started.update_number = 2;
	peer_lab_send(&lab->agent, &msg);
	loop_lab_until(lab->loop, saw_started_again, lab);
}

static void
answers_to_whoever_captured_before_are_taken(void **state)
{
	struct lab *lab = *state;

	resume_after_changes(lab);
	/* Ours, which they are not the answer to. */
	ask_change(lab, 3);
	change_of(lab, 1);
	change_of(lab, 2);
	change_of(lab, 3);
	while (lab->n_changed < 3 && lab->n_failed == 0)
		loop_lab_run_ms(lab->loop, 1);
	assert_int_equal(lab->n_failed, 0);
	/* One beyond what was asked for. */
	change_of(lab, 4);
	assert_failed_once(lab, E_BADMSG, "filter");
}

static void
a_new_capture_knows_nothing_of_what_another_was_asked(void **state)
{
	struct lab *lab = *state;
	struct msg start = sample(MSG_START), msg = sample(MSG_FILTER_CHANGED);

	advance(lab, STREAMING);
	ask_change(lab, 1);
	(void)peer_lab_take(&lab->agent, MSG_UPDATE_FILTER);
	lose(lab);
	sensor_reconnect(lab->sensor, NULL);
	meet_again(lab);
	sensor_start(lab->sensor, &start.start);
	(void)peer_lab_take(&lab->agent, MSG_START);
	say(lab, MSG_STARTED);
	loop_lab_until(lab->loop, saw_started_again, lab);
	assert_int_equal(sensor_announcements(lab->sensor), 0);
	peer_lab_send(&lab->agent, &msg);
	assert_failed_once(lab, E_BADMSG, "filter");
	assert_int_equal(lab->n_changed, 0);
}

/* --- watermarks --- */

static void
say_watermark(struct lab *lab, uint64_t sequence, int64_t ns)
{
	struct msg msg = sample(MSG_WATERMARK);

	msg.watermark.sequence = sequence;
	msg.watermark.time.ns = ns;
	peer_lab_send(&lab->agent, &msg);
}

static void
watermarks_go_on_and_not_back(void **state)
{
	static const struct { uint64_t sequence; int64_t ns; } wrong[] = {
		{ 0, 2000 }, { 2, 2000 }, { UINT64_MAX, 2000 }, { 1, 999 }, { 1, INT64_MIN },
	};

	close_lab(state);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct lab *lab;

		open_lab(state);
		lab = *state;
		advance(lab, STREAMING);
		send_batch(lab, 1, 1, 0);
		say_watermark(lab, 1, 1000);
		say_watermark(lab, 1, 1000);
		while (lab->n_marks < 2)
			loop_lab_run_ms(lab->loop, 1);
		say_watermark(lab, wrong[i].sequence, wrong[i].ns);
		assert_failed_once(lab, E_BADMSG, "watermark");
		assert_int_equal(lab->n_marks, 2);
		close_lab(state);
	}
	open_lab(state);
}

/* --- silence --- */

static int64_t
ms_since(struct mono_ns start)
{
	return mono_diff_ns(clock_mono(), start) / NS_PER_MS;
}

/* Streams, and Started said how long each may be silent. */
static void
begin_with_heartbeat(struct lab *lab)
{
	struct msg msg = sample(MSG_STARTED);

	advance(lab, STARTING);
	msg.started.heartbeat_ms = HEARTBEAT_MS;
	peer_lab_send(&lab->agent, &msg);
	loop_lab_until(lab->loop, saw_started, lab);
}

static unsigned
count_pings(const struct lab *lab)
{
	unsigned n = 0;

	for (unsigned i = 0; i < lab->agent.n_msgs; i++)
		if (lab->agent.msgs[i].msg.type == MSG_PING)
			n++;
	return n;
}

static void
an_agent_that_says_nothing_is_lost_within_the_heartbeat(void **state)
{
	struct lab *lab = *state;
	struct mono_ns start;
	int64_t ms;

	begin_with_heartbeat(lab);
	start = clock_mono();
	loop_lab_until_set(lab->loop, &lab->is_over);
	ms = ms_since(start);
	assert_int_equal(lab->n_failed, 1);
	assert_int_equal(lab->err.code, E_PEERGONE);
	assert_non_null(strstr(lab->err.what, "silent for 1 s"));
	assert_in_range(ms, HEARTBEAT_MS / 2, 2 * HEARTBEAT_MS);
	assert_in_range(count_pings(lab), 1, 3);
}

static void
whoever_answers_is_alive(void **state)
{
	struct lab *lab = *state;

	begin_with_heartbeat(lab);
	for (int i = 0; i < 8; i++) {
		loop_lab_run_ms(lab->loop, HEARTBEAT_MS / 4);
		say(lab, MSG_PONG);
	}
	assert_int_equal(lab->n_failed, 0);
	assert_in_range(count_pings(lab), 3, 8);
}

static void
a_sensor_that_does_not_read_pings_and_takes_nobody_for_silent(void **state)
{
	struct lab *lab = *state;

	begin_with_heartbeat(lab);
	sensor_pause(lab->sensor);
	loop_lab_run_ms(lab->loop, 2 * HEARTBEAT_MS);
	assert_int_equal(lab->n_failed, 0);
	assert_in_range(count_pings(lab), 3, 8);
	/* From then on it listens again. */
	sensor_resume(lab->sensor);
	loop_lab_until_set(lab->loop, &lab->is_over);
	assert_int_equal(lab->err.code, E_PEERGONE);
}

static void
the_next_connection_has_its_own_heartbeat(void **state)
{
	struct lab *lab = *state;

	resume(lab);
	loop_lab_until_set(lab->loop, &lab->is_over);
	assert_int_equal(lab->n_failed, 1);
	assert_non_null(strstr(lab->err.what, "silent"));
}

int
main(void)
{
#define IN_LAB(test) cmocka_unit_test_setup_teardown(test, open_lab, close_lab)
	const struct CMUnitTest tests[] = {
		IN_LAB(a_lost_capture_goes_on_where_it_stopped),
		IN_LAB(it_may_be_reconnected_inside_failed),
		IN_LAB(a_new_address_is_taken),
		IN_LAB(a_port_that_is_closed_fails_each_time_once),
		IN_LAB(an_interface_that_came_meanwhile_is_there),
		IN_LAB(announcements_that_are_gone_are_counted),
		IN_LAB(an_agent_that_is_let_go_sees_no_end),
		IN_LAB(an_output_that_is_full_does_not_make_the_next_connection_deaf),
		IN_LAB(answers_to_another_resume_are_refused),
		IN_LAB(a_start_that_does_not_begin_is_refused),
		IN_LAB(what_came_before_is_not_taken_again),
		IN_LAB(an_agents_refusal_is_told_from_a_lost_connection),
		IN_LAB(an_answer_that_was_on_its_way_comes_over_the_next_connection),
		IN_LAB(answers_to_whoever_captured_before_are_taken),
		IN_LAB(a_new_capture_knows_nothing_of_what_another_was_asked),
		IN_LAB(watermarks_go_on_and_not_back),
		IN_LAB(an_agent_that_says_nothing_is_lost_within_the_heartbeat),
		IN_LAB(whoever_answers_is_alive),
		IN_LAB(a_sensor_that_does_not_read_pings_and_takes_nobody_for_silent),
		IN_LAB(the_next_connection_has_its_own_heartbeat),
	};

	return cmocka_run_group_tests_name("client/sensor resumed", tests, open_group,
	    close_group);
}
