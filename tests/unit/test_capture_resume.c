/*
 * server/capture without its connection: what is lost lingers, comes back
 * whole, and ends in every other case; and what tells the client in time.
 */
#include "capture_lab.h"

#include "common/clock.h"

enum { LONG_MS = 60 * 1000 };

static const struct msg_started lingering = {
	.snaplen = 262144, .linger_ms = LONG_MS, .heartbeat_ms = PROTO_HEARTBEAT_MS,
	.has_token = true, .capture_id = 4711, .token = { { 1, 2, 3 } },
	.next_sequence = 1, .log_bytes = LOG_BYTES, .notes = "noted",
};

static void
start_lingering(struct lab *lab, uint32_t n_rings, struct capture_config cfg)
{
	if (cfg.started == NULL)
		cfg.started = &lingering;
	start_with(lab, n_rings, cfg);
}

static void
ask_to_resume(struct lab *lab, struct peer *p, uint64_t next, uint64_t announcements)
{
	const struct msg_resume resume = { .capture_id = 4711,
	    .next_sequence = next, .announcements = announcements };

	lab_connect(lab, p);
	conn_detach(lab->conn);
	capture_resume(lab->capture, lab->conn, lab->reader, &resume, "session 2");
	lab->conn = NULL;
	lab->reader = NULL;
}

static const struct msg_started *
resume(struct lab *lab, uint64_t next, uint64_t announcements)
{
	ask_to_resume(lab, &lab->client, next, announcements);
	return &peer_lab_take(&lab->client, MSG_STARTED)->msg.started;
}

static void
ack(struct lab *lab, uint64_t sequence)
{
	peer_lab_send(&lab->client,
	    &(struct msg){ .type = MSG_ACK, .ack.sequence = sequence });
}

/* A ping behind it is answered: the agent has read everything. */
static void
until_read(struct lab *lab)
{
	struct peer *p = &lab->client;

	peer_lab_send_type(p, MSG_PING);
	while (p->n_msgs == 0 || p->msgs[p->n_msgs - 1].msg.type != MSG_PONG)
		loop_lab_run_ms(lab->loop, 1);
}

static uint64_t
last_sequence(const struct peer *p)
{
	uint64_t last = 0;

	for (unsigned i = 0; i < p->n_msgs; i++)
		if (p->msgs[i].msg.type == MSG_PACKET_BATCH)
			last = p->msgs[i].sequence;
		else if (p->msgs[i].msg.type == MSG_GAP)
			last = p->msgs[i].msg.gap.last_sequence;
	return last;
}

/*
 * Without a TLS close; until the agent has noticed.  Returns what comes next
 * after all that came.
 */
static uint64_t
cut(struct peer *p)
{
	uint64_t next;

	shutdown(p->conn->fd, SHUT_WR);
	peer_lab_until_over(p);
	next = last_sequence(p) + 1;
	peer_lab_close(p);
	return next;
}

static void
close_and_join(struct lab *lab)
{
	peer_lab_close(&lab->client);
	loop_lab_until_set(lab->loop, &lab->is_done);
}

/* One batch for each block, as each is waited for. */
static void
put_batches(struct lab *lab, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint64_t have = lab->client.n_packets;

		put(lab, 0, 10, 100);
		until_packets(lab, (uint32_t)have + 10);
	}
}

/* --- comes back --- */

static void
a_lost_connection_is_resumed_without_a_hole(void **state)
{
	struct lab *lab = *state;
	const struct msg_started *started;
	const struct msg_ended *ended;
	uint64_t next;

	start_lingering(lab, 2, (struct capture_config){ 0 });
	put_batches(lab, 5);
	next = cut(&lab->client);
	assert_int_equal(next, 6);
	for (int i = 0; i < 20; i++)
		put(lab, 1, 20, 100);
	started = resume(lab, next, 0);
	assert_int_equal(started->next_sequence, next);
	assert_int_equal(started->capture_id, 4711);
	assert_int_equal(started->token.bytes[2], 3);
	assert_int_equal(started->linger_ms, LONG_MS);
	assert_int_equal(started->n_interfaces, 2);
	assert_string_equal(started->interfaces[1].name, "eth0");
	assert_string_equal(started->notes, "noted");
	assert_int_equal(started->announcements, 0);
	put(lab, 0, 10, 100);
	stop(lab);
	ended = take_ended(lab);
	/* on_packet() has seen each number once, in order. */
	assert_int_equal(lab->next[0], 60);
	assert_int_equal(lab->next[1], 400);
	assert_counts(ended, 0, 60, 60, 0);
	assert_counts(ended, 1, 400, 400, 0);
	assert_int_equal(ended->stats.lost_packets, 0);
	close_and_join(lab);
}

static void
what_was_not_acknowledged_comes_again(void **state)
{
	struct lab *lab = *state;

	start_lingering(lab, 1, (struct capture_config){ 0 });
	put_batches(lab, 6);
	ack(lab, 2);
	until_read(lab);
	for (uint64_t from = 3; from <= 7; from++) {
		cut(&lab->client);
		lab->next[0] = (uint32_t)(from - 1) * 10;
		assert_int_equal(resume(lab, from, 0)->next_sequence, from);
		for (uint64_t s = from; s <= 6; s++)
			assert_int_equal(peer_lab_take_main(&lab->client,
			    MSG_PACKET_BATCH)->sequence, s);
	}
	put(lab, 0, 10, 100);
	assert_int_equal(peer_lab_take_main(&lab->client,
	    MSG_PACKET_BATCH)->sequence, 7);
}

static void
resume_refused(struct lab *lab, uint64_t next, uint64_t announcements)
{
	struct peer other = { 0 };
	const struct msg_error *error;

	ask_to_resume(lab, &other, next, announcements);
	error = &peer_lab_take(&other, MSG_ERROR)->msg.error;
	assert_int_equal(error->code, E_GONE);
	assert_string_equal(error->text, CAPTURE_GONE_TEXT);
	peer_lab_until_over(&other);
	assert_int_equal(other.how, CONN_EV_CLOSED);
	peer_lab_close(&other);
}

static void
places_that_it_does_not_have_are_refused_and_nothing_changes(void **state)
{
	static const struct { uint64_t next, announcements; } cases[] = {
		{ 1, 0 }, { 2, 0 }, { 6, 0 }, { UINT64_MAX, 0 }, { 3, 1 },
		{ 3, UINT64_MAX },
	};
	struct lab *lab = *state;

	start_lingering(lab, 1, (struct capture_config){ 0 });
	put_batches(lab, 4);
	ack(lab, 2);
	until_read(lab);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		resume_refused(lab, cases[i].next, cases[i].announcements);
	put_batches(lab, 1);			/* on the connection it has */
	cut(&lab->client);
	for (size_t i = 0; i < 2; i++)
		resume_refused(lab, cases[i].next, cases[i].announcements);
	resume_refused(lab, 7, 0);
	lab->next[0] = 20;
	(void)resume(lab, 3, 0);
	until_packets(lab, 30);
}

static void
a_capture_that_does_not_linger_is_not_resumed(void **state)
{
	struct lab *lab = *state;
	struct peer other = { 0 };

	start(lab, 1);
	put_batches(lab, 1);
	resume_refused(lab, 1, 0);
	put_batches(lab, 1);
	cut(&lab->client);
	loop_lab_until_set(lab->loop, &lab->is_done);
	/* An order that nobody takes any more. */
	ask_to_resume(lab, &other, 1, 0);
	capture_join(lab->capture);
	lab->capture = NULL;
	assert_int_equal(peer_lab_take(&other, MSG_ERROR)->msg.error.code, E_GONE);
	peer_lab_close(&other);
}

static void
the_newest_connection_counts(void **state)
{
	struct lab *lab = *state;
	struct peer old;

	start_lingering(lab, 1, (struct capture_config){ 0 });
	put_batches(lab, 2);
	old = lab->client;
	memset(&lab->client, 0, sizeof(lab->client));
	/* Its events go to where it was made. */
	shutdown(old.conn->fd, SHUT_RD);
	(void)resume(lab, 3, 0);
	put_batches(lab, 2);
	peer_lab_close(&old);
	put_batches(lab, 1);
	assert_int_equal(last_sequence(&lab->client), 5);
}

static void
endless_resumes_lose_nothing(void **state)
{
	struct lab *lab = *state;
	uint64_t next = 1, had;

	start_lingering(lab, 1, (struct capture_config){ 0 });
	for (int i = 0; i < 50; i++) {
		put(lab, 0, 10, 100);
		if (i % 3 == 0)
			ack(lab, next - 1);
		had = cut(&lab->client);
		next = had > 1 ? had : next;
		(void)resume(lab, next, 0);
	}
	stop(lab);
	assert_int_equal(take_ended(lab)->stats.interfaces[0].batched, 500);
	assert_int_equal(lab->next[0], 500);
}

/* --- does not come back --- */

static void
a_client_that_does_not_come_back_ends_it(void **state)
{
	struct msg_started briefly = lingering;
	struct lab *lab = *state;

	briefly.linger_ms = 300;
	start_lingering(lab, 1, (struct capture_config){ .started = &briefly });
	put_batches(lab, 1);
	cut(&lab->client);
	lab->next[0] = 0;
	(void)resume(lab, 1, 0);		/* that stops the clock */
	loop_lab_run_ms(lab->loop, 500);
	assert_false(lab->is_done);
	cut(&lab->client);
	loop_lab_until_set(lab->loop, &lab->is_done);
}

static void
a_client_that_closes_in_order_ends_it_at_once(void **state)
{
	struct lab *lab = *state;

	start_lingering(lab, 1, (struct capture_config){ 0 });
	put_batches(lab, 1);
	close_and_join(lab);
}

static void
a_client_that_closes_in_order_and_reads_nothing_ends_it_at_once(void **state)
{
	struct lab *lab = *state;

	lab->has_gaps = true;
	start_lingering(lab, 1, (struct capture_config){ 0 });
	put_batches(lab, 1);
	conn_pause(lab->client.conn);
	for (int i = 0; i < 400; i++)		/* more than sockets hold */
		put(lab, 0, 20, 3000);
	/* Its unread bytes make a reset: sending fails before the end is read. */
	peer_lab_close(&lab->client);
	loop_lab_until_set(lab->loop, &lab->is_done);
}

static void
a_client_that_breaks_the_rules_ends_it(void **state)
{
	struct lab *lab = *state;

	start_lingering(lab, 1, (struct capture_config){ 0 });
	ack(lab, 1);
	assert_int_equal(peer_lab_take_main(&lab->client,
	    MSG_ERROR)->msg.error.code, E_STATE);
	peer_lab_until_over(&lab->client);
	loop_lab_until_set(lab->loop, &lab->is_done);
}

static void
an_acknowledgement_of_what_was_taken_back_is_refused(void **state)
{
	struct lab *lab = *state;

	start_lingering(lab, 1, (struct capture_config){ .max_packets = 0 });
	put_batches(lab, 3);
	cut(&lab->client);
	lab->next[0] = 0;
	(void)resume(lab, 1, 0);
	ack(lab, 4);
	(void)peer_lab_take_main(&lab->client, MSG_PACKET_BATCH);
	peer_lab_until_over(&lab->client);
	loop_lab_until_set(lab->loop, &lab->is_done);
}

static void
the_agents_end_waits_for_nobody(void **state)
{
	struct lab *lab = *state;

	start_lingering(lab, 1, (struct capture_config){ 0 });
	cut(&lab->client);
	capture_end_agent(lab->capture);
	loop_lab_until_set(lab->loop, &lab->is_done);
}

static void
an_agent_that_ends_does_not_wait_for_a_client_that_does_not_close(void **state)
{
	struct lab *lab = *state;
	struct mono_ns begun;

	start_lingering(lab, 1, (struct capture_config){ 0 });
	put_batches(lab, 1);
	begun = clock_mono();
	capture_end_agent(lab->capture);
	assert_int_equal(take_ended(lab)->code, E_EOF);
	loop_lab_until_set(lab->loop, &lab->is_done);
	/* capagent waits for 4.5 s. */
	assert_true(mono_diff_ns(clock_mono(), begun) < (int64_t)4300 * NS_PER_MS);
}

static void
a_connection_lost_while_the_agent_ends_is_not_waited_for(void **state)
{
	struct lab *lab = *state;

	lab->holds = true;
	start_lingering(lab, 1, (struct capture_config){ 0 });
	capture_end_agent(lab->capture);
	loop_lab_until_set(lab->loop, &lab->is_quiescing);
	cut(&lab->client);
	loop_lab_until_set(lab->loop, &lab->is_done);
}

/* --- ends while nobody is there --- */

static bool
has_closed_all(void *arg)
{
	const struct lab *lab = arg;

	return lab->closed == (1u << lab->n_rings) - 1;
}

static void
an_end_that_nobody_saw_is_told_after_the_resume(void **state)
{
	struct lab *lab = *state;
	const struct msg_ended *ended;

	start_lingering(lab, 1, (struct capture_config){ .max_packets = 25 });
	put_batches(lab, 1);
	cut(&lab->client);
	put(lab, 0, 20, 100);
	loop_lab_until_set(lab->loop, &lab->is_quiescing);
	loop_lab_until(lab->loop, has_closed_all, lab);
	(void)resume(lab, 2, 0);
	ended = take_ended(lab);
	assert_int_equal(ended->code, E_OK);
	assert_counts(ended, 0, 30, 30, 0);
	assert_int_equal(lab->next[0], 30);
	close_and_join(lab);
}

static void
an_end_that_was_not_confirmed_is_told_again(void **state)
{
	struct lab *lab = *state;

	start_lingering(lab, 1, (struct capture_config){ 0 });
	put_batches(lab, 2);
	ring_fakes[0].received += 3;		/* they never come out of the ring */
	stop(lab);
	assert_int_equal(take_ended(lab)->stats.interfaces[0].dropped_agent, 3);
	assert_int_equal(lab->closed, 0);
	for (int i = 0; i < 3; i++) {
		cut(&lab->client);
		loop_lab_until(lab->loop, has_closed_all, lab);
		lab->next[0] = 10;
		(void)resume(lab, 2, 0);
		assert_counts(take_ended(lab), 0, 23, 20, 0);
		assert_int_equal(take_ended(lab)->stats.interfaces[0].dropped_agent, 3);
		assert_int_equal(take_ended(lab)->last_sequence, 2);
		until_packets(lab, 10);
	}
	close_and_join(lab);
	assert_int_equal(lab->n_quiesce, 1);
}

static void
an_end_for_a_reason_waits_with_it(void **state)
{
	struct lab *lab = *state;

	start_lingering(lab, 1, (struct capture_config){ 0 });
	cut(&lab->client);
	capture_end(lab->capture, E_NOIFACE, "the interface is gone");
	loop_lab_until_set(lab->loop, &lab->is_quiescing);
	(void)resume(lab, 1, 0);
	assert_int_equal(take_ended(lab)->code, E_NOIFACE);
	assert_string_equal(take_ended(lab)->text, "the interface is gone");
}

static void
the_asked_time_ends_it(void **state)
{
	struct lab *lab = *state;
	struct mono_ns begun = clock_mono();

	lab->holds = true;
	start_lingering(lab, 1, (struct capture_config){ .max_duration_ms = 300 });
	put_batches(lab, 1);
	loop_lab_until_set(lab->loop, &lab->is_quiescing);
	/* The loop's clock is a coarse one. */
	assert_true(mono_diff_ns(clock_mono(), begun) >= 280 * (int64_t)NS_PER_MS);
	put(lab, 0, 5, 100);			/* the ring is emptied first */
	capture_quiesced(lab->capture);
	assert_int_equal(take_ended(lab)->code, E_OK);
	assert_string_equal(take_ended(lab)->text, "");
	assert_counts(take_ended(lab), 0, 15, 15, 0);
}

static void
a_time_without_bounds_is_none(void **state)
{
	struct lab *lab = *state;

	start_lingering(lab, 1, (struct capture_config){ .max_duration_ms = UINT64_MAX });
	put_batches(lab, 2);
	assert_false(lab->is_quiescing);
}

/* --- what is announced --- */

static void
tell(struct lab *lab, const char *text)
{
	capture_tell(lab->capture, CAPTURE_EVENT_OTHER, CAPTURE_EVENT_WHOLE, text);
}

static void
take_event(struct lab *lab, const char *text)
{
	assert_string_equal(peer_lab_take_main(&lab->client,
	    MSG_EVENT)->msg.event.text, text);
}

static void
what_happened_meanwhile_comes_after_the_resume(void **state)
{
	struct lab *lab = *state;
	const struct msg_started *started;

	start_lingering(lab, 1, (struct capture_config){ 0 });
	tell(lab, "one");
	take_event(lab, "one");
	put_batches(lab, 1);
	cut(&lab->client);
	tell(lab, "two");
	put(lab, 0, 10, 100);
	add_ring(lab, FILTER_KERNEL);
	tell(lab, "three");
	put(lab, 1, 5, 100);
	started = resume(lab, 2, 1);
	assert_int_equal(started->announcements, 1);
	/* It may have come a moment later, and is announced then. */
	if (started->n_interfaces == 1)
		(void)peer_lab_take_main(&lab->client, MSG_INTERFACE_ADDED);
	else
		assert_string_equal(started->interfaces[1].name, "eth1");
	take_event(lab, "two");
	take_event(lab, "three");
	until_packets(lab, 15);
	/* Once more, from the first one on. */
	cut(&lab->client);
	lab->next[0] = 10;
	lab->next[1] = 0;
	started = resume(lab, 2, 0);
	assert_int_equal(started->announcements, 0);
	assert_int_equal(started->n_interfaces, 2);
	take_event(lab, "one");
	take_event(lab, "two");
	take_event(lab, "three");
	until_packets(lab, 15);
}

static void
announcements_before_what_is_safe_are_gone(void **state)
{
	static const char *const texts[] = { "before 1", "before 2", "before 3" };
	struct lab *lab = *state;
	const struct msg_started *started;

	start_lingering(lab, 1, (struct capture_config){ 0 });
	for (int i = 0; i < 3; i++) {
		tell(lab, texts[i]);
		take_event(lab, texts[i]);
		put_batches(lab, i < 2 ? 1 : 0);
		if (i < 2)
			(void)peer_lab_take_main(&lab->client, MSG_PACKET_BATCH);
	}
	ack(lab, 1);
	until_read(lab);
	cut(&lab->client);
	started = resume(lab, 3, 0);
	assert_int_equal(started->announcements, 1);
	take_event(lab, "before 2");
	take_event(lab, "before 3");
	cut(&lab->client);
	assert_int_equal(resume(lab, 3, 3)->announcements, 3);
	tell(lab, "four");
	take_event(lab, "four");
}

static void
a_filter_changed_meanwhile_is_answered_after_the_resume(void **state)
{
	struct lab *lab = *state;
	const struct msg_started *started;
	const struct msg_filter_changed *changed;

	lab->has_gaps = true;
	start_lingering(lab, 1, (struct capture_config){ .n_filters = 1 });
	send_update(lab, 1, 1);
	until_update(lab);
	cut(&lab->client);
	refilter(lab, 1, E_OK, even_check(false), FILTER_AGENT);
	for (int i = 0; i < 2; i++) {
		started = resume(lab, 1, 0);
		assert_int_equal(started->update_number, 1);
		assert_int_equal(started->interfaces[0].filter_place, FILTER_KERNEL);
		changed = take_changed(lab);
		assert_int_equal(changed->number, 1);
		assert_int_equal(changed->code, E_OK);
		cut(&lab->client);
	}
	/* Who has the answer knows the place. */
	started = resume(lab, 1, 1);
	assert_int_equal(started->interfaces[0].filter_place, FILTER_AGENT);
	send_update(lab, 2, 1);
	until_update(lab);
	refilter(lab, 2, E_FILTER, NULL, FILTER_KERNEL);
	assert_int_equal(take_changed(lab)->code, E_FILTER);
	put(lab, 0, 10, 100);
	put(lab, 0, 10, 100);
	until_packets(lab, 10);			/* the even ones, until all is new */
	ack(lab, last_sequence(&lab->client));
	until_read(lab);
	started = resume(lab, cut(&lab->client), 2);
	assert_int_equal(started->interfaces[0].filter_place, FILTER_AGENT);
	assert_int_equal(started->update_number, 2);
}

/* --- what the log has no room for --- */

static void
what_was_lost_without_a_client_says_so_and_adds_up(void **state)
{
	struct lab *lab = *state;
	struct peer *p = &lab->client;
	const struct msg_ended *ended;
	uint64_t lost = 0, lost_of[2] = { 0 }, next = 2;
	unsigned n_gaps = 0;

	lab->has_gaps = true;
	start_lingering(lab, 2, (struct capture_config){ 0 });
	put_batches(lab, 1);
	cut(p);
	for (int i = 0; i < 100; i++) {
		put(lab, 0, 20, 3000);
		put(lab, 1, 10, 3000);
	}
	(void)resume(lab, 2, 0);
	stop(lab);
	ended = take_ended(lab);
	for (unsigned i = 0; i < p->n_msgs; i++) {
		const struct msg_gap *gap = &p->msgs[i].msg.gap;

		if (p->msgs[i].msg.type == MSG_PACKET_BATCH)
			assert_int_equal(p->msgs[i].sequence, next++);
		if (p->msgs[i].msg.type != MSG_GAP)
			continue;
		assert_int_equal(gap->reason, GAP_DISCONNECTED);
		assert_int_equal(gap->first_sequence, next);
		next = gap->last_sequence + 1;
		lost += gap->packets;
		for (uint32_t k = 0; k < 2 && k < gap->n_interfaces; k++)
			lost_of[k] += gap->by_interface[k];
		n_gaps++;
	}
	assert_int_equal(n_gaps, 1);
	assert_int_equal(ended->last_sequence, next - 1);
	assert_int_equal(ended->stats.lost_packets, lost);
	assert_int_equal(lost_of[0] + lost_of[1], lost);
	for (unsigned k = 0; k < 2; k++)
		assert_int_equal(ended->stats.interfaces[k].lost_packets, lost_of[k]);
	assert_true(lost_of[0] > 0 && lost_of[1] > 0);
	assert_int_equal(p->n_packets + lost, 3000);
}

static bool
is_taken(void *arg)
{
	const struct ring_fake *fake = arg;
	const struct tpacket_block_desc *block;

	for (int i = 0; i < RING_FAKE_BLOCKS; i++) {
		block = (const void *)(fake->mem + (size_t)i * RING_FAKE_BLOCK);
		if (__atomic_load_n(&block->hdr.bh1.block_status,
		    __ATOMIC_ACQUIRE) != TP_STATUS_KERNEL)
			return false;
	}
	return true;
}

static void
stop_now_sends_nothing_of_what_is_left(void **state)
{
	struct lab *lab = *state;
	struct peer *p = &lab->client;
	const struct msg_ended *ended;
	uint64_t lost = 0, before;

	lab->has_gaps = true;
	lab->holds = true;
	start(lab, 1);
	put_batches(lab, 1);
	conn_pause(p->conn);
	for (int i = 0; i < 200; i++)
		put(lab, 0, 20, 3000);
	loop_lab_until(lab->loop, is_taken, &ring_fakes[0]);
	peer_lab_send(p, &(struct msg){ .type = MSG_STOP, .stop.now = true });
	loop_lab_until_set(lab->loop, &lab->is_quiescing);
	put(lab, 0, 7, 100);			/* stays in the ring */
	before = lab->client.n_packets;
	capture_quiesced(lab->capture);
	conn_resume(p->conn);
	ended = take_ended(lab);
	assert_int_equal(ended->code, E_OK);
	assert_int_equal(ended->stats.interfaces[0].dropped_agent, 7);
	assert_counts(ended, 0, 4017, 4010, 0);
	assert_true(p->n_packets > before);	/* what was queued */
	for (unsigned i = 0; i < p->n_msgs; i++)
		if (p->msgs[i].msg.type == MSG_GAP) {
			lost += p->msgs[i].msg.gap.packets;
			if (p->msgs[i].msg.gap.reason == GAP_INTERRUPTED)
				assert_int_equal(p->msgs[i].msg.gap.last_sequence,
				    ended->last_sequence);
			else
				assert_int_equal(p->msgs[i].msg.gap.reason,
				    GAP_LOG_FULL);
		}
	assert_true(lost > 0);
	assert_int_equal(p->n_packets + lost, 4010);
	assert_int_equal(ended->stats.lost_packets, lost);
}

static void
stop_now_hurries_a_stop_that_waits(void **state)
{
	struct lab *lab = *state;

	start(lab, 1);
	put_batches(lab, 1);
	ring_fake_count_ahead(&ring_fakes[0], 5);	/* the drain would wait for these */
	stop(lab);
	peer_lab_send(&lab->client, &(struct msg){ .type = MSG_STOP, .stop.now = true });
	assert_int_equal(take_ended(lab)->stats.interfaces[0].dropped_agent, 5);
	assert_int_equal(take_ended(lab)->stats.lost_packets, 0);
}

/* --- time --- */

static _Atomic int64_t wall_now;

static struct wall_ns
given_wall(void)
{
	return (struct wall_ns){ wall_now };
}

static bool
has_watermark_of(void *arg)
{
	struct wanted *w = arg;

	return w->lab->client.watermark.sequence >= w->n &&
	    w->lab->client.n_watermarks > w->len;
}

/* The next one that covers batch sequence, sent from now on. */
static const struct msg_watermark *
until_watermark(struct lab *lab, uint32_t sequence)
{
	loop_lab_until(lab->loop, has_watermark_of, &(struct wanted){ .lab = lab,
	    .n = sequence, .len = lab->client.n_watermarks + 1 });
	return &lab->client.watermark;
}

static void
a_watermark_is_never_ahead_of_what_was_taken(void **state)
{
	const int64_t s = NS_PER_S, ms = NS_PER_MS;
	struct lab *lab = *state;
	const struct msg_watermark *mark;

	wall_now = 1000 * s;
	start_with(lab, 1, (struct capture_config){ .wall = given_wall });
	mark = until_watermark(lab, 0);
	assert_int_equal(mark->sequence, 0);
	assert_int_equal(mark->time.ns, 1000 * s - 100 * ms);
	put_batches(lab, 1);
	mark = until_watermark(lab, 1);
	assert_int_equal(mark->sequence, 1);
	/* A packet was counted, and is in no block that was closed. */
	ring_fake_count_ahead(&ring_fakes[0], 10);
	wall_now = 1010 * s;
	mark = until_watermark(lab, 1);
	assert_int_equal(mark->time.ns, 1010 * s - 252 * ms);
	put_batches(lab, 1);
	wall_now = 1020 * s;
	assert_int_equal(until_watermark(lab, 2)->time.ns, 1020 * s - 100 * ms);
}

static bool
has_watermark_of_500_s(void *arg)
{
	struct lab *lab = arg;

	return lab->client.watermark.time.ns == 500 * (int64_t)NS_PER_S -
	    100 * (int64_t)NS_PER_MS;
}

static void
a_watermark_follows_a_clock_that_was_set_back_once_it_is_told(void **state)
{
	struct lab *lab = *state;

	lab->has_gaps = true;
	wall_now = 1000 * (int64_t)NS_PER_S;
	start_with(lab, 1, (struct capture_config){ .wall = given_wall });
	(void)until_watermark(lab, 0);
	lab->client.is_clock_set = true;
	wall_now = 500 * (int64_t)NS_PER_S;
	loop_lab_until(lab->loop, has_watermark_of_500_s, lab);
	/* It came before. */
	assert_int_equal(peer_lab_take_main(&lab->client, MSG_EVENT)->msg.event.kind,
	    CAPTURE_EVENT_CLOCK);
}

static void
the_slowest_of_several_rings_holds_the_watermark(void **state)
{
	const int64_t s = NS_PER_S, ms = NS_PER_MS;
	struct lab *lab = *state;

	wall_now = 1000 * s;
	start_with(lab, 3, (struct capture_config){ .wall = given_wall });
	for (unsigned slow = 0; slow < 3; slow++) {
		ring_fake_count_ahead(&ring_fakes[slow], 10);
		put(lab, (slow + 1) % 3, 10, 100);
		wall_now += 10 * s;
		assert_int_equal(until_watermark(lab, 2 * slow + 1)->time.ns,
		    wall_now - 252 * ms);
		put(lab, slow, 10, 100);
		wall_now += 10 * s;
		assert_int_equal(until_watermark(lab, 2 * slow + 2)->time.ns,
		    wall_now - 100 * ms);
	}
}

static void
no_watermark_comes_while_something_waits(void **state)
{
	struct lab *lab = *state;
	struct peer *p = &lab->client;
	unsigned i, n;

	lab->has_gaps = true;
	start(lab, 1);
	put_batches(lab, 1);
	(void)until_watermark(lab, 1);
	conn_pause(p->conn);
	for (i = 0; i < 400; i++)
		put(lab, 0, 20, 3000);
	n = p->n_watermarks;
	loop_lab_run_ms(lab->loop, 600);
	conn_resume(p->conn);
	loop_lab_until(lab->loop, has_watermark_of, &(struct wanted){ .lab = lab,
	    .n = 2, .len = n });
	/* The one that comes is for all that came. */
	assert_int_equal(p->watermark.sequence, last_sequence(p));
}

static void
rings_that_are_left_alone_hold_the_watermark(void **state)
{
	const int64_t s = NS_PER_S, ms = NS_PER_MS;
	struct lab *lab = *state;

	lab->has_gaps = true;
	wall_now = 1000 * s;
	start_with(lab, 1, (struct capture_config){ .wall = given_wall, .n_filters = 1 });
	send_update(lab, 1, 1);
	until_update(lab);
	(void)until_watermark(lab, 0);
	capture_hold(lab->capture);
	loop_lab_until_set(lab->loop, &lab->is_held);
	put(lab, 0, 10, 100);
	wall_now = 1100 * s;
	assert_true(until_watermark(lab, 0)->time.ns <= 1000 * s - 100 * ms);
	refilter(lab, 1, E_FILTER, NULL, FILTER_KERNEL);
	assert_int_equal(until_watermark(lab, 1)->time.ns, 1100 * s - 100 * ms);
}

static void
a_client_that_falls_silent_is_lost(void **state)
{
	struct msg_started hasty = lingering;
	struct lab *lab = *state;
	struct mono_ns begun;
	int64_t ms;

	hasty.heartbeat_ms = 1000;
	start_lingering(lab, 1, (struct capture_config){ .started = &hasty });
	until_read(lab);
	begun = clock_mono();
	peer_lab_until_over(&lab->client);
	ms = mono_diff_ns(clock_mono(), begun) / NS_PER_MS;
	/* The last look before the heartbeat is over. */
	assert_true(ms >= 700 && ms < 2000);
	assert_int_equal(lab->client.how, CONN_EV_ERROR);	/* lost, not ended */
	assert_false(lab->is_done);
	peer_lab_close(&lab->client);
	(void)resume(lab, 1, 0);
	put_batches(lab, 1);
	for (int i = 0; i < 8; i++) {		/* it speaks, and stays */
		until_read(lab);
		loop_lab_run_ms(lab->loop, 200);
	}
	assert_false(lab->client.is_over);
}

int
main(void)
{
#define IN_LAB(test) cmocka_unit_test_setup_teardown(test, open_lab, close_lab)
	const struct CMUnitTest tests[] = {
		IN_LAB(a_lost_connection_is_resumed_without_a_hole),
		IN_LAB(what_was_not_acknowledged_comes_again),
		IN_LAB(places_that_it_does_not_have_are_refused_and_nothing_changes),
		IN_LAB(a_capture_that_does_not_linger_is_not_resumed),
		IN_LAB(the_newest_connection_counts),
		IN_LAB(endless_resumes_lose_nothing),
		IN_LAB(a_client_that_does_not_come_back_ends_it),
		IN_LAB(a_client_that_closes_in_order_ends_it_at_once),
		IN_LAB(a_client_that_closes_in_order_and_reads_nothing_ends_it_at_once),
		IN_LAB(a_client_that_breaks_the_rules_ends_it),
		IN_LAB(an_acknowledgement_of_what_was_taken_back_is_refused),
		IN_LAB(the_agents_end_waits_for_nobody),
		IN_LAB(an_agent_that_ends_does_not_wait_for_a_client_that_does_not_close),
		IN_LAB(a_connection_lost_while_the_agent_ends_is_not_waited_for),
		IN_LAB(an_end_that_nobody_saw_is_told_after_the_resume),
		IN_LAB(an_end_that_was_not_confirmed_is_told_again),
		IN_LAB(an_end_for_a_reason_waits_with_it),
		IN_LAB(the_asked_time_ends_it),
		IN_LAB(a_time_without_bounds_is_none),
		IN_LAB(what_happened_meanwhile_comes_after_the_resume),
		IN_LAB(announcements_before_what_is_safe_are_gone),
		IN_LAB(a_filter_changed_meanwhile_is_answered_after_the_resume),
		IN_LAB(what_was_lost_without_a_client_says_so_and_adds_up),
		IN_LAB(stop_now_sends_nothing_of_what_is_left),
		IN_LAB(stop_now_hurries_a_stop_that_waits),
		IN_LAB(a_watermark_is_never_ahead_of_what_was_taken),
		IN_LAB(the_slowest_of_several_rings_holds_the_watermark),
		IN_LAB(a_watermark_follows_a_clock_that_was_set_back_once_it_is_told),
		IN_LAB(no_watermark_comes_while_something_waits),
		IN_LAB(rings_that_are_left_alone_hold_the_watermark),
		IN_LAB(a_client_that_falls_silent_is_lost),
	};

	return cmocka_run_group_tests_name("server/capture, resumed", tests, open_group,
	    close_group);
}
