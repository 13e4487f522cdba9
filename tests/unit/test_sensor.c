/* client/sensor: whatever an agent sends, one clear end and no harm. */
#include <time.h>

#include "sensor_lab.h"

/* --- an agent that does as it should --- */

static void
a_list_is_asked_for_and_given_to_the_owner(void **state)
{
	struct lab *lab = *state;

	advance(lab, LISTING);
	say(lab, MSG_INTERFACE_LIST);
	loop_lab_until_set(lab->loop, &lab->is_over);
	assert_int_equal(lab->n_list, 1);
	/* What comes now is nobody's business. */
	peer_lab_close(&lab->agent);
	loop_lab_run_ms(lab->loop, 5);
	assert_int_equal(lab->n_failed, 0);
}

static void
a_capture_runs_from_start_to_end(void **state)
{
	struct lab *lab = *state;
	struct msg msg;

	advance(lab, STREAMING);
	send_batch(lab, 1, 3, 0);
	send_batch(lab, 2, 4096, 1);
	msg = sample(MSG_GAP);
	msg.gap.first_sequence = 3;
	msg.gap.last_sequence = 9;
	peer_lab_send(&lab->agent, &msg);
	say(lab, MSG_STATS);
	say(lab, MSG_PONG);
	send_batch(lab, 10, 1, 0);
	sensor_ack(lab->sensor, 2);
	assert_int_equal(peer_lab_take(&lab->agent, MSG_ACK)->msg.ack.sequence, 2);
	sensor_stop(lab->sensor);
	(void)peer_lab_take(&lab->agent, MSG_STOP);
	msg = sample(MSG_ENDED);
	msg.ended.last_sequence = 10;
	peer_lab_send(&lab->agent, &msg);
	loop_lab_until_set(lab->loop, &lab->is_over);
	assert_int_equal(lab->n_ended, 1);
	assert_int_equal(lab->n_failed, 0);
	assert_int_equal(lab->n_batches, 3);
	assert_int_equal(lab->n_packets, 3 + 4096 + 1);
	assert_int_equal(lab->n_gaps, 1);
	assert_int_equal(lab->n_stats, 1);
	/* Done is done, whatever the owner still does. */
	sensor_ack(lab->sensor, 10);
	sensor_stop(lab->sensor);
	sensor_pause(lab->sensor);
	sensor_resume(lab->sensor);
	peer_lab_close(&lab->agent);
	loop_lab_run_ms(lab->loop, 5);
	assert_int_equal(lab->n_failed, 0);
}

static void
a_paused_sensor_gives_nothing_until_it_goes_on(void **state)
{
	struct lab *lab = *state;
	struct msg msg = sample(MSG_ENDED);

	advance(lab, STREAMING);
	sensor_pause(lab->sensor);
	for (uint64_t i = 1; i <= 50; i++)
		send_batch(lab, i, 100, 0);
	loop_lab_run_ms(lab->loop, 20);
	assert_int_equal(lab->n_batches, 0);
	sensor_resume(lab->sensor);
	msg.ended.last_sequence = 50;
	peer_lab_send(&lab->agent, &msg);
	loop_lab_until_set(lab->loop, &lab->is_over);
	assert_int_equal(lab->n_batches, 50);
	assert_int_equal(lab->n_ended, 1);
}

static void
more_messages_than_one_turn_takes_all_come(void **state)
{
	struct lab *lab = *state;
	struct msg msg = sample(MSG_ENDED);

	advance(lab, STREAMING);
	for (uint64_t i = 1; i <= 1000; i++)
		send_batch(lab, i, 1, 0);
	msg.ended.last_sequence = 1000;
	peer_lab_send(&lab->agent, &msg);
	loop_lab_until_set(lab->loop, &lab->is_over);
	assert_int_equal(lab->n_batches, 1000);
	assert_int_equal(lab->n_ended, 1);
}

/* --- what came with filters, interfaces and plans --- */

static void
programs_that_the_agent_lacks_are_asked_for_and_sent(void **state)
{
	struct lab *lab = *state;
	struct msg start = sample(MSG_START);

	advance(lab, STARTING);
	for (unsigned i = 1; i <= 3; i++) {
		say(lab, MSG_NEED_PROGRAMS);
		while (lab->n_need < i)
			loop_lab_run_ms(lab->loop, 1);
		sensor_start(lab->sensor, &start.start);
		(void)peer_lab_take(&lab->agent, MSG_START);
	}
	say(lab, MSG_STARTED);
	loop_lab_until(lab->loop, saw_started, lab);
	assert_int_equal(lab->n_failed, 0);
}

static void
an_agent_that_starts_without_the_programs_it_needs_is_refused(void **state)
{
	struct lab *lab = *state;

	advance(lab, STARTING);
	say(lab, MSG_NEED_PROGRAMS);
	say(lab, MSG_STARTED);
	assert_failed_once(lab, E_STATE, "agent sent");
}

static void
a_plan_is_given_to_the_owner_and_ends_it(void **state)
{
	struct lab *lab = *state;

	advance(lab, PLANNING);
	say(lab, MSG_PLAN);
	loop_lab_until_set(lab->loop, &lab->is_over);
	assert_int_equal(lab->n_plans, 1);
	peer_lab_close(&lab->agent);
	loop_lab_run_ms(lab->loop, 5);
	assert_int_equal(lab->n_failed, 0);
}

static void
an_interface_that_is_added_counts_from_then_on(void **state)
{
	struct lab *lab = *state;
	struct msg msg;

	advance(lab, STREAMING);
	say(lab, MSG_INTERFACE_ADDED);
	msg = sample(MSG_STATS);
	msg.stats.n_interfaces = N_INTERFACES + 1;
	peer_lab_send(&lab->agent, &msg);
	send_batch(lab, 1, 1, 1);
	msg = sample(MSG_ENDED);
	msg.ended.stats.n_interfaces = N_INTERFACES + 1;
	msg.ended.last_sequence = 1;
	peer_lab_send(&lab->agent, &msg);
	loop_lab_until_set(lab->loop, &lab->is_over);
	assert_int_equal(lab->n_failed, 0);
	assert_int_equal(lab->n_added, 1);
	assert_int_equal(lab->n_ended, 1);
}

static void
counters_that_leave_an_added_interface_out_are_refused(void **state)
{
	struct lab *lab = *state;

	advance(lab, STREAMING);
	say(lab, MSG_INTERFACE_ADDED);
	say(lab, MSG_STATS);
	assert_failed_once(lab, E_BADMSG, "counts for other interfaces");
}

static void
interfaces_without_end_are_refused(void **state)
{
	struct lab *lab = *state;

	advance(lab, STREAMING);
	for (uint32_t i = N_INTERFACES; i <= PROTO_MAX_INTERFACES; i++)
		say(lab, MSG_INTERFACE_ADDED);
	assert_failed_once(lab, E_BADMSG, "more interfaces");
	assert_int_equal(lab->n_added, PROTO_MAX_INTERFACES - N_INTERFACES);
}

static void
events_of_an_interface_that_is_none_are_refused(void **state)
{
	struct lab *lab = *state;
	struct msg msg = sample(MSG_EVENT);

	advance(lab, STREAMING);
	msg.event.iface = CAPTURE_EVENT_WHOLE;
	peer_lab_send(&lab->agent, &msg);
	msg.event.iface = N_INTERFACES;
	peer_lab_send(&lab->agent, &msg);
	assert_failed_once(lab, E_BADMSG, "event");
	assert_int_equal(lab->n_events, 1);
}

static void
each_change_of_the_filter_has_one_answer(void **state)
{
	struct lab *lab = *state;
	struct msg msg = sample(MSG_FILTER_CHANGED);

	advance(lab, STREAMING);
	for (uint32_t i = 1; i <= 3; i++) {
		ask_change(lab, i);
		assert_int_equal(peer_lab_take(&lab->agent, MSG_UPDATE_FILTER)->
		    msg.update_filter.number, i);
		msg.filter_changed.number = i;
		peer_lab_send(&lab->agent, &msg);
		while (lab->n_changed < i)
			loop_lab_run_ms(lab->loop, 1);
	}
	/* The last one again. */
	peer_lab_send(&lab->agent, &msg);
	assert_failed_once(lab, E_BADMSG, "filter");
	assert_int_equal(lab->n_changed, 3);
}

static void
answers_to_another_change_are_refused(void **state)
{
	struct lab *lab = *state;
	struct msg msg = sample(MSG_FILTER_CHANGED);

	advance(lab, STREAMING);
	ask_change(lab, 1);
	msg.filter_changed.number = 2;
	peer_lab_send(&lab->agent, &msg);
	assert_failed_once(lab, E_BADMSG, "filter");
}

static void
places_for_more_interfaces_than_there_are_are_refused(void **state)
{
	struct lab *lab = *state;
	struct msg msg = sample(MSG_FILTER_CHANGED);
	enum filter_place places[N_INTERFACES + 1] = { FILTER_KERNEL };

	advance(lab, STREAMING);
	ask_change(lab, 1);
	msg.filter_changed.n_places = N_INTERFACES + 1;
	msg.filter_changed.places = places;
	peer_lab_send(&lab->agent, &msg);
	assert_failed_once(lab, E_BADMSG, "filter");
}

/* Set where a message of this kind stands in the stream. */
static void
set_sequence(struct msg *msg, uint64_t sequence)
{
	if (msg->type == MSG_EVENT)
		msg->event.sequence = sequence;
	else if (msg->type == MSG_FILTER_CHANGED)
		msg->filter_changed.sequence = sequence;
	else
		msg->interface_added.sequence = sequence;
}

static void
messages_may_come_early_but_not_late(void **state)
{
	static const enum msg_type types[] = { MSG_EVENT, MSG_FILTER_CHANGED,
	    MSG_INTERFACE_ADDED };

	close_lab(state);
	for (size_t i = 0; i < 3 * ARRAY_LEN(types); i++) {
		struct msg msg = sample(types[i / 3]);
		struct lab *lab;

		open_lab(state);
		lab = *state;
		advance(lab, STREAMING);
		ask_change(lab, 1);
		send_batch(lab, 1, 1, 0);
		send_batch(lab, 2, 1, 0);
		set_sequence(&msg, i % 3 + 2);		/* 3 is next */
		peer_lab_send(&lab->agent, &msg);
		if (i % 3 == 0) {
			assert_failed_once(lab, E_BADMSG, "already");
			close_lab(state);
			continue;
		}
		send_batch(lab, 3, 1, 0);
		while (lab->n_batches < 3)
			loop_lab_run_ms(lab->loop, 1);
		assert_int_equal(lab->n_failed, 0);
		close_lab(state);
	}
	open_lab(state);
}

/* --- messages in the wrong state --- */

static bool
may_come(enum stage stage, enum msg_type type)
{
	switch (type) {
	case MSG_HELLO:
		return stage == GREETING;
	case MSG_INTERFACE_LIST:
		return stage == LISTING;
	case MSG_STARTED:
		return stage == STARTING;
	case MSG_NEED_PROGRAMS:
		return stage == STARTING || stage == PLANNING;
	case MSG_PLAN:
		return stage == PLANNING;
	case MSG_PONG:
		return stage >= READY;
	case MSG_PACKET_BATCH:
	case MSG_GAP:
	case MSG_STATS:
	case MSG_ENDED:
	case MSG_EVENT:
	case MSG_FILTER_CHANGED:
	case MSG_INTERFACE_ADDED:
	case MSG_WATERMARK:
		return stage == STREAMING;
	case MSG_UPDATE_FILTER:
	case MSG_RESUME:
	case MSG_ERROR:
	case MSG_LIST_REQUEST:
	case MSG_START:
	case MSG_ACK:
	case MSG_STOP:
	case MSG_PING:
		return false;
	}
	return false;
}

static const enum msg_type all_types[] = {
	MSG_ERROR, MSG_HELLO, MSG_LIST_REQUEST, MSG_START, MSG_ACK, MSG_STOP,
	MSG_PING, MSG_INTERFACE_LIST, MSG_STARTED, MSG_PACKET_BATCH, MSG_GAP,
	MSG_STATS, MSG_ENDED, MSG_PONG, MSG_EVENT, MSG_NEED_PROGRAMS, MSG_PLAN,
	MSG_FILTER_CHANGED, MSG_INTERFACE_ADDED, MSG_UPDATE_FILTER,
	MSG_RESUME, MSG_WATERMARK,
};

static void
every_message_in_every_state_is_taken_or_refused(void **state)
{
	close_lab(state);
	for (int stage = GREETING; stage < N_STAGES; stage++)
		for (size_t i = 0; i < ARRAY_LEN(all_types); i++) {
			enum msg_type type = all_types[i];
			struct lab *lab;

			open_lab(state);
			lab = *state;
			advance(lab, (enum stage)stage);
			if (type == MSG_FILTER_CHANGED)
				ask_change(lab, 1);
			say(lab, type);
			if (type == MSG_ERROR) {
				assert_failed_once(lab, E_DENIED, "not for you");
			} else if (may_come((enum stage)stage, type)) {
				loop_lab_run_ms(lab->loop, 3);
				assert_int_equal(lab->n_failed, 0);
			} else {
				assert_failed_once(lab, E_STATE, "agent sent");
			}
			close_lab(state);
		}
	open_lab(state);
}

/* --- lies --- */

static void
another_version_is_refused(void **state)
{
	struct lab *lab = *state;
	struct msg msg = sample(MSG_HELLO);

	advance(lab, GREETING);
	msg.hello.version = PROTO_VERSION + 1;
	peer_lab_send(&lab->agent, &msg);
	assert_failed_once(lab, E_VERSION, "version");
	assert_int_equal(lab->n_hello, 0);
}

static void
a_start_without_interface_is_refused(void **state)
{
	struct lab *lab = *state;
	struct msg msg = sample(MSG_STARTED);

	advance(lab, STARTING);
	msg.started.n_interfaces = 0;
	peer_lab_send(&lab->agent, &msg);
	assert_failed_once(lab, E_BADMSG, "");
	assert_int_equal(lab->n_started, 0);
}

static void
batches_out_of_sequence_are_refused(void **state)
{
	static const uint64_t wrong[] = { 0, 1, 3, UINT64_MAX };

	close_lab(state);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct lab *lab;

		open_lab(state);
		lab = *state;
		advance(lab, STREAMING);
		send_batch(lab, 1, 1, 0);
		send_batch(lab, wrong[i], 1, 0);
		assert_failed_once(lab, E_BADMSG, "batch");
		assert_int_equal(lab->n_batches, 1);
		close_lab(state);
	}
	open_lab(state);
}

static void
gaps_out_of_sequence_are_refused(void **state)
{
	static const struct { uint64_t first, last; } wrong[] = {
		{ 0, 0 }, { 1, 1 }, { 3, 3 }, { 2, 1 }, { 2, 0 },
		{ 2, UINT64_MAX }, { UINT64_MAX, UINT64_MAX },
	};

	close_lab(state);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct msg msg = sample(MSG_GAP);
		struct lab *lab;

		open_lab(state);
		lab = *state;
		advance(lab, STREAMING);
		send_batch(lab, 1, 1, 0);
		msg.gap.first_sequence = wrong[i].first;
		msg.gap.last_sequence = wrong[i].last;
		peer_lab_send(&lab->agent, &msg);
		assert_failed_once(lab, E_BADMSG, "");
		assert_int_equal(lab->n_gaps, 0);
		close_lab(state);
	}
	open_lab(state);
}

static void
a_batch_after_the_largest_gap_starts_no_new_count(void **state)
{
	struct lab *lab = *state;
	struct msg msg = sample(MSG_GAP);

	advance(lab, STREAMING);
	msg.gap.last_sequence = UINT64_MAX - 1;
	peer_lab_send(&lab->agent, &msg);
	send_batch(lab, 1, 1, 0);
	assert_failed_once(lab, E_BADMSG, "batch");
	assert_int_equal(lab->n_gaps, 1);
}

static void
an_end_that_counts_otherwise_is_refused(void **state)
{
	static const struct { uint64_t last; uint32_t n; } wrong[] = {
		{ 0, N_INTERFACES }, { 2, N_INTERFACES },
		{ UINT64_MAX, N_INTERFACES }, { 1, N_INTERFACES - 1 },
		{ 1, N_INTERFACES + 1 }, { 1, 0 },
	};

	close_lab(state);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct msg msg = sample(MSG_ENDED);
		struct lab *lab;

		open_lab(state);
		lab = *state;
		advance(lab, STREAMING);
		send_batch(lab, 1, 1, 0);
		msg.ended.last_sequence = wrong[i].last;
		msg.ended.stats.n_interfaces = wrong[i].n;
		peer_lab_send(&lab->agent, &msg);
		assert_failed_once(lab, E_BADMSG, "");
		close_lab(state);
	}
	open_lab(state);
}

static void
counters_for_other_interfaces_are_refused(void **state)
{
	static const uint32_t wrong[] = { 0, N_INTERFACES - 1, N_INTERFACES + 1 };

	close_lab(state);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct msg msg = sample(MSG_STATS);
		struct lab *lab;

		open_lab(state);
		lab = *state;
		advance(lab, STREAMING);
		msg.stats.n_interfaces = wrong[i];
		peer_lab_send(&lab->agent, &msg);
		assert_failed_once(lab, E_BADMSG, "");
		assert_int_equal(lab->n_stats, 0);
		close_lab(state);
	}
	open_lab(state);
}

static void
a_batch_for_an_interface_that_was_not_started_is_refused(void **state)
{
	struct lab *lab = *state;

	advance(lab, STREAMING);
	send_batch(lab, 1, 3, N_INTERFACES);
	assert_failed_once(lab, E_BADMSG, "batch");
	assert_int_equal(lab->n_batches, 0);
}

static void
an_empty_batch_is_refused(void **state)
{
	struct lab *lab = *state;

	advance(lab, STREAMING);
	/* sequence 1, no packets */
	peer_lab_send_body(&lab->agent, MSG_PACKET_BATCH, "\x08\x01", 2);
	assert_failed_once(lab, E_BADMSG, "batch");
}

/* --- broken frames --- */

static void
assert_bytes_fail(void **state, const void *bytes, size_t len, int code)
{
	close_lab(state);
	for (int stage = GREETING; stage < N_STAGES; stage++) {
		struct lab *lab;

		open_lab(state);
		lab = *state;
		advance(lab, (enum stage)stage);
		peer_lab_send_bytes(&lab->agent, bytes, len);
		assert_failed_once(lab, code, "");
		close_lab(state);
	}
	open_lab(state);
}

static void
frames_larger_than_the_limit_are_refused(void **state)
{
	assert_bytes_fail(state, "\x81\x80\x40", 3, E_TOOBIG);	/* 1 MiB + 1 */
	assert_bytes_fail(state, "\xff\xff\xff\xff\x0f", 5, E_TOOBIG);
}

static void
frames_that_are_none_are_refused(void **state)
{
	assert_bytes_fail(state, "\x00", 1, E_BADMSG);
	assert_bytes_fail(state, "\x80\x00", 2, E_BADMSG);
	assert_bytes_fail(state, "\x03\xff\xff\xff", 4, E_BADMSG);
}

static void
a_body_of_an_unknown_type_is_refused(void **state)
{
	struct lab *lab = *state;

	advance(lab, STREAMING);
	peer_lab_send_body(&lab->agent, 99, "", 0);
	assert_failed_once(lab, E_STATE, "");
}

/* --- errors in the agent's words --- */

static void
an_errors_text_is_passed_on_within_bounds(void **state)
{
	struct lab *lab = *state;
	struct msg msg = sample(MSG_ERROR);

	advance(lab, READY);
	memset(msg.error.text, '\x1b', sizeof(msg.error.text) - 1);
	memcpy(msg.error.text, "first words", 11);
	peer_lab_send(&lab->agent, &msg);
	assert_failed_once(lab, E_DENIED, "refused: first words\x1b");
	assert_true(strlen(lab->err.what) < ERR_WHAT_LEN);
}

static void
an_error_without_text_or_with_no_code_has_a_cause_all_the_same(void **state)
{
	struct lab *lab = *state;
	struct msg msg = sample(MSG_ERROR);

	advance(lab, READY);
	msg.error.text[0] = '\0';
	peer_lab_send(&lab->agent, &msg);
	assert_failed_once(lab, E_DENIED, err_text(E_DENIED));
	close_lab(state);
	open_lab(state);
	lab = *state;
	advance(lab, READY);
	msg = sample(MSG_ERROR);
	msg.error.code = E_OK;
	peer_lab_send(&lab->agent, &msg);
	loop_lab_until_set(lab->loop, &lab->is_over);
	assert_int_equal(lab->n_failed, 1);
	assert_int_not_equal(lab->err.code, E_OK);
}

/* --- the connection --- */

static void
a_connection_that_ends_is_a_failure_in_every_state(void **state)
{
	close_lab(state);
	for (int stage = GREETING; stage < N_STAGES; stage++)
		for (int in_order = 0; in_order < 2; in_order++) {
			struct lab *lab;

			open_lab(state);
			lab = *state;
			advance(lab, (enum stage)stage);
			if (!in_order)
				shutdown(lab->agent.conn->fd, SHUT_RDWR);
			conn_free(lab->agent.conn);
			lab->agent.conn = NULL;
			lab->agent.is_over = true;
			assert_failed_once(lab, E_PEERGONE, "");
			close_lab(state);
		}
	open_lab(state);
}

static void
a_closed_port_fails_once_and_names_the_sensor(void **state)
{
	struct lab *lab = *state;

	close(lab->listener);
	lab->listener = -1;
	lab->agent.is_over = true;
	open_sensor(lab, NULL);
	assert_failed_once(lab, E_UNREACHABLE, "refused");
}

static void
an_agent_of_another_name_fails_before_hello(void **state)
{
	struct lab *lab = *state;

	open_sensor(lab, "sensor2");
	meet(lab);
	lab->agent.is_over = true;
	assert_failed_once(lab, E_TLS, "host name");
	assert_int_equal(lab->n_hello, 0);
}

static void
the_address_is_verified_when_no_other_name_is_given(void **state)
{
	struct lab *lab = *state;

	open_sensor(lab, NULL);
	meet(lab);
	(void)peer_lab_take(&lab->agent, MSG_HELLO);
	assert_memory_equal(sensor_name(lab->sensor), "127.0.0.1:", 10);
}

static void
a_name_that_does_not_resolve_is_said_at_once(void **state)
{
	struct lab *lab = *state;
	struct address address = { .host = "no such host", .port = 1 };
	struct sensor_config cfg = { .address = &address, .tls = client_tls,
	    .events = &events, .arg = lab };
	struct err err;

	assert_null(sensor_new(lab->loop, &cfg, &err));
	assert_int_equal(err.code, E_UNREACHABLE);
	assert_non_null(strstr(err.what, "no such host"));
	sensor_free(NULL);
}

static void
after_the_end_a_talking_agent_costs_nothing(void **state)
{
	struct lab *lab = *state;
	clock_t before;

	advance(lab, STREAMING);
	say(lab, MSG_ENDED);
	loop_lab_until_set(lab->loop, &lab->is_over);
	send_batch(lab, 1, 1000, 0);
	before = clock();
	loop_lab_run_ms(lab->loop, 100);
	assert_true(clock() - before < CLOCKS_PER_SEC / 20);
	assert_int_equal(lab->n_batches, 0);
}

/* --- freed in each callback --- */

static void
it_may_be_freed_in_every_callback(void **state)
{
	static const struct { enum stage stage; enum msg_type type; } cases[] = {
		{ GREETING, MSG_HELLO }, { LISTING, MSG_INTERFACE_LIST },
		{ STARTING, MSG_STARTED }, { STREAMING, MSG_PACKET_BATCH },
		{ STREAMING, MSG_GAP }, { STREAMING, MSG_STATS },
		{ STREAMING, MSG_ENDED }, { STREAMING, MSG_ERROR },
		{ STREAMING, MSG_STARTED }, { STARTING, MSG_NEED_PROGRAMS },
		{ PLANNING, MSG_PLAN }, { STREAMING, MSG_EVENT },
		{ STREAMING, MSG_INTERFACE_ADDED }, { STREAMING, MSG_FILTER_CHANGED },
	};

	close_lab(state);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct lab *lab;

		open_lab(state);
		lab = *state;
		advance(lab, cases[i].stage);
		ask_change(lab, 1);
		lab->frees = true;
		say(lab, cases[i].type);
		say(lab, MSG_PONG);	/* in the reader behind it */
		loop_lab_until_set(lab->loop, &lab->is_over);
		assert_null(lab->sensor);
		loop_lab_run_ms(lab->loop, 3);
		close_lab(state);
	}
	open_lab(state);
}

static void
it_may_be_freed_before_anything_happened(void **state)
{
	struct lab *lab = *state;

	open_sensor(lab, NULL);
	sensor_free(lab->sensor);
	lab->sensor = NULL;
	loop_lab_run_ms(lab->loop, 3);
	assert_int_equal(lab->n_failed, 0);
}

int
main(void)
{
#define IN_LAB(test) cmocka_unit_test_setup_teardown(test, open_lab, close_lab)
	const struct CMUnitTest tests[] = {
		IN_LAB(a_list_is_asked_for_and_given_to_the_owner),
		IN_LAB(a_capture_runs_from_start_to_end),
		IN_LAB(a_paused_sensor_gives_nothing_until_it_goes_on),
		IN_LAB(more_messages_than_one_turn_takes_all_come),
		IN_LAB(programs_that_the_agent_lacks_are_asked_for_and_sent),
		IN_LAB(an_agent_that_starts_without_the_programs_it_needs_is_refused),
		IN_LAB(a_plan_is_given_to_the_owner_and_ends_it),
		IN_LAB(an_interface_that_is_added_counts_from_then_on),
		IN_LAB(counters_that_leave_an_added_interface_out_are_refused),
		IN_LAB(interfaces_without_end_are_refused),
		IN_LAB(events_of_an_interface_that_is_none_are_refused),
		IN_LAB(each_change_of_the_filter_has_one_answer),
		IN_LAB(answers_to_another_change_are_refused),
		IN_LAB(places_for_more_interfaces_than_there_are_are_refused),
		IN_LAB(messages_may_come_early_but_not_late),
		IN_LAB(every_message_in_every_state_is_taken_or_refused),
		IN_LAB(another_version_is_refused),
		IN_LAB(a_start_without_interface_is_refused),
		IN_LAB(batches_out_of_sequence_are_refused),
		IN_LAB(gaps_out_of_sequence_are_refused),
		IN_LAB(a_batch_after_the_largest_gap_starts_no_new_count),
		IN_LAB(an_end_that_counts_otherwise_is_refused),
		IN_LAB(counters_for_other_interfaces_are_refused),
		IN_LAB(a_batch_for_an_interface_that_was_not_started_is_refused),
		IN_LAB(an_empty_batch_is_refused),
		IN_LAB(frames_larger_than_the_limit_are_refused),
		IN_LAB(frames_that_are_none_are_refused),
		IN_LAB(a_body_of_an_unknown_type_is_refused),
		IN_LAB(an_errors_text_is_passed_on_within_bounds),
		IN_LAB(an_error_without_text_or_with_no_code_has_a_cause_all_the_same),
		IN_LAB(a_connection_that_ends_is_a_failure_in_every_state),
		IN_LAB(a_closed_port_fails_once_and_names_the_sensor),
		IN_LAB(an_agent_of_another_name_fails_before_hello),
		IN_LAB(the_address_is_verified_when_no_other_name_is_given),
		IN_LAB(a_name_that_does_not_resolve_is_said_at_once),
		IN_LAB(after_the_end_a_talking_agent_costs_nothing),
		IN_LAB(it_may_be_freed_in_every_callback),
		IN_LAB(it_may_be_freed_before_anything_happened),
	};

	return cmocka_run_group_tests_name("client/sensor", tests, open_group,
	    close_group);
}
