/* server/capture: from the ring to the client, and every way to end. */
#include <time.h>

#include "capture_lab.h"

/* --- in order --- */

static void
packets_come_in_order_and_stop_ends_with_the_right_counts(void **state)
{
	struct lab *lab = *state;
	const struct msg_ended *ended;

	start(lab, 1);
	for (int i = 0; i < 30; i++)
		put(lab, 0, 100, 60 + (uint32_t)i);
	until_packets(lab, 3000);
	stop(lab);
	ended = take_ended(lab);
	assert_int_equal(ended->code, E_OK);
	assert_int_equal(lab->n_quiesce, 1);
	assert_counts(ended, 0, 3000, 3000, 0);
	assert_int_equal(ended->stats.lost_packets, 0);
	assert_true(ended->last_sequence >= 1);
	assert_false(lab->is_done);		/* the client closes first */
}

static void
batches_are_numbered_without_a_hole(void **state)
{
	struct lab *lab = *state;
	uint64_t sequence = 0;

	start(lab, 1);
	for (int i = 0; i < 200; i++)
		put(lab, 0, 8, 7000);
	stop(lab);
	assert_int_equal(take_ended(lab)->stats.interfaces[0].batched, 1600);
	for (unsigned i = 0; i < lab->client.n_msgs; i++)
		if (lab->client.msgs[i].msg.type == MSG_PACKET_BATCH)
			assert_int_equal(lab->client.msgs[i].sequence, ++sequence);
	assert_int_equal(take_ended(lab)->last_sequence, sequence);
	assert_true(sequence > 10);		/* sealed by size, too */
	assert_int_equal(lab->client.n_packets, 1600);
}

static void
a_packet_on_an_idle_ring_comes_at_once(void **state)
{
	struct lab *lab = *state;

	start(lab, 1);
	for (uint32_t i = 1; i <= 5; i++) {
		put(lab, 0, 1, 60);
		until_packets(lab, i);
	}
}

static void
an_empty_capture_ends_with_no_batch(void **state)
{
	struct lab *lab = *state;
	const struct msg_ended *ended;

	start(lab, 1);
	stop(lab);
	ended = take_ended(lab);
	assert_int_equal(ended->last_sequence, 0);
	assert_counts(ended, 0, 0, 0, 0);
}

static void
interfaces_are_told_apart(void **state)
{
	struct lab *lab = *state;
	const struct msg_ended *ended;

	start(lab, 2);
	for (int i = 0; i < 10; i++) {
		put(lab, 0, 10, 100);
		put(lab, 1, 20, 200);
	}
	ring_fakes[1].received += 7;
	ring_fakes[1].dropped += 7;
	stop(lab);
	ended = take_ended(lab);
	assert_int_equal(ended->stats.n_interfaces, 2);
	assert_counts(ended, 0, 100, 100, 0);
	assert_counts(ended, 1, 207, 200, 7);
	assert_int_equal(lab->client.n_packets, 300);
}

static void
what_is_in_the_ring_when_the_tap_closes_still_comes(void **state)
{
	struct lab *lab = *state;

	lab->holds = true;
	start(lab, 1);
	put(lab, 0, 10, 100);
	stop(lab);
	loop_lab_until_set(lab->loop, &lab->is_quiescing);
	put(lab, 0, 50, 100);
	ring_fake_count_ahead(&ring_fakes[0], 20);
	capture_quiesced(lab->capture);
	put(lab, 0, 20, 100);
	assert_counts(take_ended(lab), 0, 80, 80, 0);
	assert_int_equal(lab->client.n_packets, 80);
}

static void
packets_that_never_come_out_of_the_ring_are_counted_as_lost(void **state)
{
	struct lab *lab = *state;
	const struct msg_ended *ended;

	start(lab, 1);
	put(lab, 0, 10, 100);
	ring_fakes[0].received += 5;
	stop(lab);
	ended = take_ended(lab);
	assert_counts(ended, 0, 15, 10, 0);
	assert_int_equal(ended->stats.interfaces[0].dropped_agent, 5);
}

static void
the_asked_number_of_packets_ends_it(void **state)
{
	struct lab *lab = *state;

	start_with(lab, 1, (struct capture_config){ .max_packets = 25 });
	put(lab, 0, 10, 100);
	put(lab, 0, 20, 100);
	assert_int_equal(take_ended(lab)->code, E_OK);
	/* Whole batches: what is beyond the count is the client's to leave. */
	assert_counts(take_ended(lab), 0, 30, 30, 0);
}

static void
counters_come_while_it_runs(void **state)
{
	struct lab *lab = *state;
	const struct msg_stats *stats;

	start(lab, 1);
	put(lab, 0, 10, 100);
	ring_fakes[0].received += 3;
	ring_fakes[0].dropped += 3;
	(void)peer_lab_take(&lab->client, MSG_PACKET_BATCH);
	stats = &peer_lab_take(&lab->client, MSG_STATS)->msg.stats;
	assert_int_equal(stats->n_interfaces, 1);
	assert_int_equal(stats->interfaces[0].received, 13);
	assert_int_equal(stats->interfaces[0].dropped_kernel, 3);
	assert_int_equal(stats->interfaces[0].batched, 10);
}

/* --- the agent ends it --- */

static void
the_agents_end_is_said_with_its_reason(void **state)
{
	struct lab *lab = *state;

	start(lab, 1);
	put(lab, 0, 10, 100);
	capture_end_agent(lab->capture);
	capture_end(lab->capture, E_LIMIT, NULL);	/* the first reason counts */
	assert_int_equal(take_ended(lab)->code, E_EOF);
	assert_non_null(strstr(take_ended(lab)->text, "ending"));
	assert_counts(take_ended(lab), 0, 10, 10, 0);
}

static void
an_end_with_a_code_carries_it(void **state)
{
	struct lab *lab = *state;

	start(lab, 1);
	capture_end(lab->capture, E_LIMIT, NULL);
	assert_int_equal(take_ended(lab)->code, E_LIMIT);
	assert_string_equal(take_ended(lab)->text, err_text(E_LIMIT));
}

/* --- what the client says --- */

static void
a_ping_is_answered(void **state)
{
	struct lab *lab = *state;
	struct msg msg = { .type = MSG_PING, .ping.client_time_ns = -4711 };
	const struct msg_pong *pong;

	start(lab, 1);
	peer_lab_send(&lab->client, &msg);
	pong = &peer_lab_take(&lab->client, MSG_PONG)->msg.pong;
	assert_int_equal(pong->client_time_ns, -4711);
	assert_true(pong->received_ns > 0 && pong->sent_ns >= pong->received_ns);
}

static void
acknowledgements_of_what_was_sent_are_taken(void **state)
{
	struct lab *lab = *state;
	struct msg msg = { .type = MSG_ACK };

	start(lab, 1);
	put(lab, 0, 10, 100);
	msg.ack.sequence = peer_lab_take(&lab->client, MSG_PACKET_BATCH)->sequence;
	peer_lab_send(&lab->client, &msg);
	peer_lab_send(&lab->client, &msg);
	stop(lab);
	assert_int_equal(take_ended(lab)->code, E_OK);
}

/* An Error with this code, then the end, and the capture is done. */
static void
assert_refused(struct lab *lab, int code)
{
	const struct peer_msg *m = peer_lab_take_main(&lab->client, MSG_ERROR);

	assert_int_equal(m->msg.error.code, code);
	assert_true(strlen(m->msg.error.text) > 0);
	peer_lab_until_over(&lab->client);
	assert_int_equal(lab->client.how, CONN_EV_CLOSED);
	peer_lab_close(&lab->client);
	loop_lab_until_set(lab->loop, &lab->is_done);
}

static void
an_acknowledgement_of_more_than_was_sent_is_refused(void **state)
{
	struct lab *lab = *state;
	struct msg msg = { .type = MSG_ACK, .ack.sequence = 1 };

	start(lab, 1);
	peer_lab_send(&lab->client, &msg);
	assert_refused(lab, E_STATE);
}

static void
messages_that_do_not_belong_into_a_capture_are_refused(void **state)
{
	static const enum msg_type types[] = {
		MSG_HELLO, MSG_LIST_REQUEST, MSG_INTERFACE_LIST, MSG_PONG,
		MSG_ERROR, MSG_GAP,
	};

	close_lab(state);
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct msg msg = { .type = types[i] };
		struct lab *lab;

		open_lab(state);
		lab = *state;
		start(lab, 1);
		msg.error.code = E_BUG;
		if (types[i] == MSG_HELLO)
			msg.hello = (struct msg_hello){ .version = 1 };
		if (types[i] == MSG_INTERFACE_LIST)
			msg.interface_list = (struct msg_interface_list){ 0 };
		if (types[i] == MSG_GAP)
			msg.gap = (struct msg_gap){ .first_sequence = 1,
			    .last_sequence = 1, .reason = GAP_LOG_FULL };
		/* More of it in one go changes nothing. */
		peer_lab_send_many(&lab->client, &msg, 3);
		assert_refused(lab, E_STATE);
		close_lab(state);
	}
	open_lab(state);
}

static void
broken_frames_are_refused(void **state)
{
	static const struct { const char *bytes; size_t len; int code; } cases[] = {
		{ "\x00", 1, E_BADMSG },
		{ "\x02\xff\xff", 3, E_BADMSG },
		{ "\xff\xff\xff\xff\x0f", 5, E_TOOBIG },
	};

	close_lab(state);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct lab *lab;

		open_lab(state);
		lab = *state;
		start(lab, 1);
		peer_lab_send_bytes(&lab->client, cases[i].bytes, cases[i].len);
		assert_refused(lab, cases[i].code);
		close_lab(state);
	}
	open_lab(state);
}

static void
a_refusal_is_said_while_packets_flow(void **state)
{
	struct lab *lab = *state;
	struct msg msg = { .type = MSG_PONG };
	struct peer *p = &lab->client;

	start(lab, 1);
	for (int i = 0; i < 20; i++)
		put(lab, 0, 100, 500);
	peer_lab_send(p, &msg);
	for (int i = 0; i < 8; i++)
		(void)ring_fake_put(&ring_fakes[0], 100, 500);
	peer_lab_until_over(p);
	assert_int_equal(p->how, CONN_EV_CLOSED);
	assert_int_equal(p->msgs[p->n_msgs - 1].msg.type, MSG_ERROR);
}

static bool
has_ten_pongs(void *arg)
{
	return ((struct peer *)arg)->n_msgs >= 10;
}

static void
what_came_before_the_hand_over_is_handled(void **state)
{
	struct lab *lab = *state;
	struct msg msg = { .type = MSG_PING };
	uint8_t *space;
	size_t room;
	int64_t n = 0;

	for (int i = 0; i < 10; i++)
		peer_lab_send(&lab->client, &msg);
	/* Some of it is in the reader, the rest inside the connection. */
	for (int i = 0; i < 1000 && n <= 0; i++) {
		loop_lab_run_ms(lab->loop, 1);
		space = frame_reader_space(lab->reader, &room);
		n = conn_read(lab->conn, space, 2);
	}
	assert_int_equal(n, 2);
	frame_reader_commit(lab->reader, 2);
	start(lab, 1);
	loop_lab_until(lab->loop, has_ten_pongs, &lab->client);
}

/* --- a client that is slow, or goes --- */

static void
assert_adds_up_with_gaps(struct lab *lab, uint64_t n_put)
{
	const struct msg_ended *ended;
	uint64_t lost = 0, next = 1;

	conn_resume(lab->client.conn);
	stop(lab);
	ended = take_ended(lab);
	for (unsigned i = 0; i < lab->client.n_msgs; i++) {
		const struct peer_msg *m = &lab->client.msgs[i];

		if (m->msg.type == MSG_PACKET_BATCH) {
			assert_int_equal(m->sequence, next++);
		} else if (m->msg.type == MSG_GAP) {
			assert_int_equal(m->msg.gap.first_sequence, next);
			next = m->msg.gap.last_sequence + 1;
			lost += m->msg.gap.packets;
		}
	}
	assert_int_equal(ended->last_sequence, next - 1);
	assert_true(lost > 0);
	assert_counts(ended, 0, n_put, n_put, 0);
	assert_int_equal(ended->stats.lost_packets, lost);
	assert_int_equal(lab->client.n_packets + lost, n_put);
}

static void
overrun(struct lab *lab, enum batch_log_policy policy)
{
	enum { BLOCKS = 400 };

	lab->has_gaps = true;
	start_with(lab, 1, (struct capture_config){ .policy = policy });
	conn_pause(lab->client.conn);
	/* 24 MB, of which socket, queue and log hold a part. */
	for (int i = 0; i < BLOCKS; i++)
		put(lab, 0, 20, 3000);
	assert_adds_up_with_gaps(lab, BLOCKS * 20);
}

static void
a_slow_client_loses_the_oldest_and_is_told(void **state)
{
	overrun(*state, BATCH_LOG_DROP_OLDEST);
}

static void
a_slow_client_loses_the_newest_and_is_told_if_it_wants(void **state)
{
	overrun(*state, BATCH_LOG_DROP_NEWEST);
}

static void
a_client_that_closes_ends_it(void **state)
{
	struct lab *lab = *state;

	start(lab, 1);
	put(lab, 0, 10, 100);
	until_packets(lab, 10);
	peer_lab_close(&lab->client);
	loop_lab_until_set(lab->loop, &lab->is_done);
}

static void
a_client_that_breaks_off_ends_it(void **state)
{
	struct lab *lab = *state;

	start(lab, 1);
	shutdown(lab->client.conn->fd, SHUT_RDWR);
	loop_lab_until_set(lab->loop, &lab->is_done);
}

static void
the_tap_may_be_closed_after_the_client_went(void **state)
{
	struct lab *lab = *state;

	lab->holds = true;
	start(lab, 1);
	stop(lab);
	loop_lab_until_set(lab->loop, &lab->is_quiescing);
	peer_lab_close(&lab->client);
	loop_lab_until_set(lab->loop, &lab->is_done);
	capture_quiesced(lab->capture);
	capture_end(lab->capture, E_OK, NULL);
}

static void
an_interface_that_comes_at_the_end_is_never_spoken_of(void **state)
{
	struct lab *lab = *state;

	lab->holds = true;
	start(lab, 1);
	stop(lab);
	loop_lab_until_set(lab->loop, &lab->is_quiescing);
	add_ring(lab, FILTER_KERNEL);
	capture_tell(lab->capture, CAPTURE_EVENT_DOWN, 1, "interface 'eth1' is down");
	capture_tell(lab->capture, CAPTURE_EVENT_DOWN, 0, "interface 'eth0' is down");
	capture_quiesced(lab->capture);
	assert_int_equal(take_ended(lab)->stats.n_interfaces, 1);
	for (unsigned i = 0; i < lab->client.n_msgs; i++)
		if (lab->client.msgs[i].msg.type == MSG_EVENT)
			assert_int_equal(lab->client.msgs[i].msg.event.iface, 0);
}

static void
an_interface_that_goes_down_does_not_end_it(void **state)
{
	const uint64_t one = 1;
	struct lab *lab = *state;

	start(lab, 1);
	put(lab, 0, 1, 60);
	until_packets(lab, 1);
	assert_int_equal(write(ring_fakes[0].wake_fd, &one, sizeof(one)),
	    sizeof(one));
	loop_lab_run_ms(lab->loop, 20);
	put(lab, 0, 1, 60);
	until_packets(lab, 2);
}

/* --- interfaces that come and go --- */

static void
what_happens_to_an_interface_is_told_behind_its_packets(void **state)
{
	struct lab *lab = *state;
	const struct msg_event *event;

	start(lab, 1);
	put(lab, 0, 10, 100);
	capture_tell(lab->capture, CAPTURE_EVENT_RENAMED, 0, "eth0 is lan0 now");
	event = &peer_lab_take_main(&lab->client, MSG_PACKET_BATCH)->msg.event;
	event = &peer_lab_take_main(&lab->client, MSG_EVENT)->msg.event;
	assert_int_equal(event->sequence, 2);
	assert_int_equal(event->kind, CAPTURE_EVENT_RENAMED);
	assert_int_equal(event->iface, 0);
	assert_string_equal(event->text, "eth0 is lan0 now");
	assert_int_equal(lab->closed, 0);
}

static bool
has_lost_one(void *arg)
{
	return ((struct lab *)arg)->n_lost > 0;
}

static void
a_socket_that_lost_its_device_is_told_once(void **state)
{
	const uint64_t one = 1;
	struct lab *lab = *state;

	start(lab, 2);
	ring_fakes[1].is_lost = true;
	assert_int_equal(write(ring_fakes[1].wake_fd, &one, sizeof(one)),
	    sizeof(one));
	loop_lab_until(lab->loop, has_lost_one, lab);
	/* A device that is deleted when it was down long ago wakes nobody. */
	(void)peer_lab_take(&lab->client, MSG_STATS);
	assert_int_equal(lab->n_lost, 1);
}

static bool
has_closed_one(void *arg)
{
	return (((struct lab *)arg)->closed & 1u) != 0;
}

static void
an_interface_that_is_gone_is_emptied_and_closed(void **state)
{
	struct lab *lab = *state;
	const struct msg_ended *ended;

	start(lab, 2);
	put(lab, 0, 10, 100);
	until_packets(lab, 10);
	ring_fake_count_ahead(&ring_fakes[0], 20);
	capture_tell(lab->capture, CAPTURE_EVENT_GONE, 0, "eth0 is gone");
	(void)peer_lab_take_main(&lab->client, MSG_PACKET_BATCH);
	assert_int_equal(peer_lab_take_main(&lab->client, MSG_EVENT)->msg.event.kind,
	    CAPTURE_EVENT_GONE);
	put(lab, 0, 20, 100);
	loop_lab_until(lab->loop, has_closed_one, lab);
	assert_int_equal(close(ring_fakes[0].fd), -1);
	put(lab, 1, 5, 100);
	until_packets(lab, 35);
	stop(lab);
	ended = take_ended(lab);
	assert_counts(ended, 0, 30, 30, 0);
	assert_counts(ended, 1, 5, 5, 0);
}

static void
an_interface_that_comes_is_told_before_its_packets(void **state)
{
	struct lab *lab = *state;
	const struct msg_interface_added *added;
	const struct msg_ended *ended;

	start(lab, 1);
	put(lab, 0, 10, 100);
	until_packets(lab, 10);
	add_ring(lab, FILTER_KERNEL);
	put(lab, 1, 7, 100);
	(void)peer_lab_take_main(&lab->client, MSG_PACKET_BATCH);
	added = &peer_lab_take_main(&lab->client, MSG_INTERFACE_ADDED)->msg.interface_added;
	assert_string_equal(added->interface.name, "eth1");
	assert_int_equal(added->sequence, 2);
	until_packets(lab, 17);
	stop(lab);
	ended = take_ended(lab);
	assert_int_equal(ended->stats.n_interfaces, 2);
	assert_counts(ended, 0, 10, 10, 0);
	assert_counts(ended, 1, 7, 7, 0);
}

static void
an_interface_that_comes_too_late_is_closed(void **state)
{
	struct lab *lab = *state;

	start(lab, 1);
	stop(lab);
	assert_int_equal(take_ended(lab)->code, E_OK);
	add_ring(lab, FILTER_KERNEL);
	peer_lab_close(&lab->client);
	loop_lab_until_set(lab->loop, &lab->is_done);
	capture_join(lab->capture);
	lab->capture = NULL;
	lab->conn = NULL;
	lab->reader = NULL;
	assert_int_equal(close(ring_fakes[1].fd), -1);
}

/* --- filters that change --- */

static void
packets_of_the_old_filter_end_with_the_answer(void **state)
{
	struct lab *lab = *state;
	const struct msg_filter_changed *changed;
	const struct msg_ended *ended;

	lab->has_gaps = true;
	start_with(lab, 1, (struct capture_config){ .n_filters = 1 });
	put(lab, 0, 10, 100);
	(void)peer_lab_take_main(&lab->client, MSG_PACKET_BATCH);
	send_update(lab, 1, 1);
	until_update(lab);
	capture_hold(lab->capture);
	loop_lab_until_set(lab->loop, &lab->is_held);
	/* In closed blocks and in the one that is open now: numbers 10 to 29. */
	put(lab, 0, 10, 100);
	refilter(lab, 1, E_OK, even_check(false), FILTER_KERNEL);
	changed = take_changed(lab);
	assert_int_equal(changed->number, 1);
	assert_int_equal(changed->code, E_OK);
	assert_int_equal(changed->sequence, 2);
	assert_int_equal(changed->n_places, 1);
	assert_int_equal(changed->places[0], FILTER_KERNEL);
	until_packets(lab, 15);
	put(lab, 0, 10, 100);		/* the block that was open */
	until_packets(lab, 20);
	put(lab, 0, 10, 100);		/* what stood between filter and ring */
	until_packets(lab, 25);
	put(lab, 0, 10, 100);		/* the kernel's alone */
	until_packets(lab, 35);
	stop(lab);
	ended = take_ended(lab);
	assert_counts(ended, 0, 35, 35, 0);
}

static void
what_cannot_be_judged_again_is_counted(void **state)
{
	struct lab *lab = *state;
	const struct msg_ended *ended;

	lab->has_gaps = true;
	start_with(lab, 1, (struct capture_config){ .n_filters = 1 });
	send_update(lab, 1, 1);
	until_update(lab);
	ring_fakes[0].cut = 3000;
	refilter(lab, 1, E_OK, even_check(true), FILTER_KERNEL);
	(void)take_changed(lab);
	put(lab, 0, 10, 2000);		/* the block that was open */
	put(lab, 0, 7, 2000);		/* nearly all of it of the new filter */
	stop(lab);
	ended = take_ended(lab);
	assert_int_equal(ended->stats.interfaces[0].dropped_filter_change, 10);
	assert_int_equal(ended->stats.interfaces[0].received, 17);
	assert_int_equal(ended->stats.interfaces[0].batched, 7);
	assert_int_equal(ended->stats.interfaces[0].dropped_agent, 0);
}

static void
a_refused_filter_changes_nothing(void **state)
{
	struct lab *lab = *state;

	start_with(lab, 1, (struct capture_config){ .n_filters = 1 });
	send_update(lab, 1, 1);
	until_update(lab);
	refilter(lab, 1, E_FILTER, NULL, FILTER_KERNEL);
	assert_int_equal(take_changed(lab)->code, E_FILTER);
	put(lab, 0, 10, 100);
	until_packets(lab, 10);
	/* The next one has the next number. */
	send_update(lab, 2, 1);
	until_update(lab);
}

static void
updates_out_of_order_are_refused(void **state)
{
	static const struct { uint32_t first, second, n_filters; } cases[] = {
		{ 2, 0, 1 }, { 1, 2, 1 }, { 1, 1, 1 }, { 1, 0, 2 },
	};

	close_lab(state);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct lab *lab;

		open_lab(state);
		lab = *state;
		start_with(lab, 1, (struct capture_config){ .n_filters = 1 });
		send_update(lab, cases[i].first, cases[i].n_filters);
		if (cases[i].second != 0)
			send_update(lab, cases[i].second, 1);
		assert_refused(lab, E_STATE);
		close_lab(state);
	}
	open_lab(state);
}

static void
tagged_packets_are_judged_here_where_the_kernel_cannot(void **state)
{
	struct lab *lab = *state;
	const struct msg_ended *ended;

	lab->has_gaps = true;
	start_with(lab, 1, (struct capture_config){ .n_filters = 1 });
	send_update(lab, 1, 1);
	until_update(lab);
	refilter(lab, 1, E_OK, even_check(false), FILTER_AGENT);
	assert_int_equal(take_changed(lab)->places[0], FILTER_AGENT);
	put(lab, 0, 10, 100);		/* all, of the old filter */
	put(lab, 0, 10, 100);		/* these two blocks */
	until_packets(lab, 10);
	put(lab, 0, 10, 100);		/* untagged: the kernel has judged */
	until_packets(lab, 20);
	ring_fakes[0].is_tagged = true;
	put(lab, 0, 10, 100);
	until_packets(lab, 25);
	stop(lab);
	ended = take_ended(lab);
	assert_counts(ended, 0, 25, 25, 0);
}

static int64_t
cpu_ns(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return used.tv_sec * NS_PER_S + used.tv_nsec;
}

static void
packets_that_wait_for_a_change_cost_nothing(void **state)
{
	struct lab *lab = *state;
	int64_t before;

	lab->has_gaps = true;
	start_with(lab, 1, (struct capture_config){ .n_filters = 1 });
	send_update(lab, 1, 1);
	until_update(lab);
	capture_hold(lab->capture);
	loop_lab_until_set(lab->loop, &lab->is_held);
	put(lab, 0, 10, 100);
	before = cpu_ns();
	loop_lab_run_ms(lab->loop, 300);
	assert_true(cpu_ns() - before < 100 * (int64_t)NS_PER_MS);
	assert_int_equal(lab->client.n_packets, 0);
	refilter(lab, 1, E_OK, even_check(false), FILTER_KERNEL);
	until_packets(lab, 5);
}

static void
a_ring_on_which_nothing_came_meanwhile_is_watched_again(void **state)
{
	struct lab *lab = *state;

	start_with(lab, 1, (struct capture_config){ .n_filters = 1 });
	send_update(lab, 1, 1);
	until_update(lab);
	capture_hold(lab->capture);
	loop_lab_until_set(lab->loop, &lab->is_held);
	refilter(lab, 1, E_FILTER, NULL, FILTER_KERNEL);
	(void)take_changed(lab);
	put(lab, 0, 10, 100);
	(void)peer_lab_take(&lab->client, MSG_PACKET_BATCH);	/* no timer's work */
}

static void
updates_of_a_client_that_reads_no_answers_are_refused(void **state)
{
	struct lab *lab = *state;
	struct msg msg = { .type = MSG_PING, .ping.client_time_ns = INT64_MAX };
	struct peer *p = &lab->client;

	start_with(lab, 1, (struct capture_config){ .n_filters = 1 });
	conn_pause(p->conn);
	/* 24 MB of answers, of which the sockets hold a part. */
	for (int n = 0; n < 150; ) {
		if (conn_queued(p->conn) == 0) {
			peer_lab_send_many(p, &msg, 4000);
			n++;
		}
		loop_lab_run_ms(lab->loop, 1);
	}
	send_update(lab, 1, 1);
	/* It does not read the refusal either. */
	loop_lab_until_set(lab->loop, &lab->is_done);
	assert_int_equal(lab->n_updates, 0);
}

/* --- the clock --- */

static _Atomic int64_t clock_step_ns;

static struct wall_ns
wall_as_set(void)
{
	return (struct wall_ns){ clock_wall().ns + clock_step_ns };
}

static void
a_clock_that_is_set_is_told(void **state)
{
	struct lab *lab = *state;
	const struct msg_event *event;

	clock_step_ns = 0;
	start_with(lab, 1, (struct capture_config){ .wall = wall_as_set });
	put(lab, 0, 10, 100);
	until_packets(lab, 10);
	(void)peer_lab_take_main(&lab->client, MSG_PACKET_BATCH);
	clock_step_ns = -90500 * (int64_t)NS_PER_MS;
	event = &peer_lab_take_main(&lab->client, MSG_EVENT)->msg.event;
	assert_int_equal(event->kind, CAPTURE_EVENT_CLOCK);
	assert_int_equal(event->iface, CAPTURE_EVENT_WHOLE);
	assert_int_equal(event->sequence, 2);
	assert_non_null(strstr(event->text, "set back by 90.500 s"));
}

static void
a_ring_that_cannot_be_mapped_releases_everything(void **state)
{
	struct lab *lab = *state;
	struct err err;

	ring_fake_map_fails = true;
	assert_null(try_start(lab, 2, (struct capture_config){ 0 }, &err));
	ring_fake_map_fails = false;
	assert_int_equal(err.code, E_NOMEM);
	assert_int_equal(close(ring_fakes[0].fd), -1);
	assert_int_equal(close(ring_fakes[1].fd), -1);
	peer_lab_until_over(&lab->client);
	capture_join(NULL);
}

int
main(void)
{
#define IN_LAB(test) cmocka_unit_test_setup_teardown(test, open_lab, close_lab)
	const struct CMUnitTest tests[] = {
		IN_LAB(packets_come_in_order_and_stop_ends_with_the_right_counts),
		IN_LAB(batches_are_numbered_without_a_hole),
		IN_LAB(a_packet_on_an_idle_ring_comes_at_once),
		IN_LAB(an_empty_capture_ends_with_no_batch),
		IN_LAB(interfaces_are_told_apart),
		IN_LAB(what_is_in_the_ring_when_the_tap_closes_still_comes),
		IN_LAB(packets_that_never_come_out_of_the_ring_are_counted_as_lost),
		IN_LAB(the_asked_number_of_packets_ends_it),
		IN_LAB(counters_come_while_it_runs),
		IN_LAB(the_agents_end_is_said_with_its_reason),
		IN_LAB(an_end_with_a_code_carries_it),
		IN_LAB(a_ping_is_answered),
		IN_LAB(acknowledgements_of_what_was_sent_are_taken),
		IN_LAB(an_acknowledgement_of_more_than_was_sent_is_refused),
		IN_LAB(messages_that_do_not_belong_into_a_capture_are_refused),
		IN_LAB(broken_frames_are_refused),
		IN_LAB(a_refusal_is_said_while_packets_flow),
		IN_LAB(what_came_before_the_hand_over_is_handled),
		IN_LAB(a_slow_client_loses_the_oldest_and_is_told),
		IN_LAB(a_slow_client_loses_the_newest_and_is_told_if_it_wants),
		IN_LAB(a_client_that_closes_ends_it),
		IN_LAB(a_client_that_breaks_off_ends_it),
		IN_LAB(the_tap_may_be_closed_after_the_client_went),
		IN_LAB(an_interface_that_comes_at_the_end_is_never_spoken_of),
		IN_LAB(an_interface_that_goes_down_does_not_end_it),
		IN_LAB(what_happens_to_an_interface_is_told_behind_its_packets),
		IN_LAB(a_socket_that_lost_its_device_is_told_once),
		IN_LAB(an_interface_that_is_gone_is_emptied_and_closed),
		IN_LAB(an_interface_that_comes_is_told_before_its_packets),
		IN_LAB(an_interface_that_comes_too_late_is_closed),
		IN_LAB(packets_of_the_old_filter_end_with_the_answer),
		IN_LAB(what_cannot_be_judged_again_is_counted),
		IN_LAB(a_refused_filter_changes_nothing),
		IN_LAB(updates_out_of_order_are_refused),
		IN_LAB(tagged_packets_are_judged_here_where_the_kernel_cannot),
		IN_LAB(packets_that_wait_for_a_change_cost_nothing),
		IN_LAB(a_ring_on_which_nothing_came_meanwhile_is_watched_again),
		IN_LAB(updates_of_a_client_that_reads_no_answers_are_refused),
		IN_LAB(a_clock_that_is_set_is_told),
		IN_LAB(a_ring_that_cannot_be_mapped_releases_everything),
	};

	return cmocka_run_group_tests_name("server/capture", tests, open_group,
	    close_group);
}
