/* server/capture: from the ring to the client, and every way to end. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/conn_int.h"
#include "loop_lab.h"
#include "peer_lab.h"
#include "pki_lab.h"
#include "ring_fake.h"
#include "server/capture.h"
#include "server/prologue.h"

enum { LOG_BYTES = 2 << 20, MAX_RINGS = 3 };

static struct pki_lab *pki;
static struct tls *agent_tls, *client_tls;

struct lab {
	struct loop	*loop;
	struct mailbox	*owner;
	struct conn	*conn;		/* the agent's end, until the capture has it */
	struct frame_reader *reader;
	bool		 is_secured;
	struct peer	 client;
	struct capture	*capture;
	uint32_t	 n_rings;
	unsigned	 n_quiesce;
	bool		 is_quiescing, is_done;
	bool		 holds;		/* the answer to QUIESCE */
	bool		 is_held;	/* the rings, after capture_hold() */
	unsigned	 n_updates;	/* UpdateFilters that came */
	unsigned	 closed;	/* interfaces whose descriptor is closed: bits */
	unsigned	 n_lost;	/* CAPTURE_MAIL_LOST */
	/* What the client's packets must look like. */
	uint32_t	 next[MAX_RINGS];	/* number of the next, by interface */
	bool		 has_gaps;
};

static void
on_mail(struct mail *mail, void *arg)
{
	struct capture_mail *m = (struct capture_mail *)(void *)mail;
	struct lab *lab = arg;

	assert_ptr_equal(capture_owner_arg(m->capture), lab);
	assert_false(lab->is_done);
	switch (m->type) {
	case CAPTURE_MAIL_QUIESCE:
		lab->n_quiesce++;
		lab->is_quiescing = true;
		if (!lab->holds)
			capture_quiesced(m->capture);
		return;
	case CAPTURE_MAIL_UPDATE:
		assert_int_equal(m->msg.type, MSG_UPDATE_FILTER);
		msg_free(&m->msg);
		lab->n_updates++;
		return;
	case CAPTURE_MAIL_HELD:
		lab->is_held = true;
		return;
	case CAPTURE_MAIL_LOST:
		assert_int_equal(m->iface, 1);
		lab->n_lost++;
		return;
	case CAPTURE_MAIL_CLOSED:
		lab->closed |= 1u << m->iface;
		return;
	case CAPTURE_MAIL_DONE:
		lab->is_done = true;
		return;
	}
}

static void
on_packet(const struct packet_ref *packet, void *arg)
{
	struct lab *lab = arg;
	uint32_t number;

	assert_true(packet->meta.iface < lab->n_rings);
	assert_true(packet->meta.captured_len >= 4);
	memcpy(&number, packet->data, sizeof(number));
	if (!lab->has_gaps)
		assert_int_equal(number, lab->next[packet->meta.iface]);
	assert_true(number >= lab->next[packet->meta.iface]);
	assert_int_equal(packet->meta.time.ns, 1700000000000000000 + number);
	lab->next[packet->meta.iface] = number + 1;
}

static void
on_agent_conn(struct conn *conn, enum conn_event event, void *arg)
{
	struct lab *lab = arg;

	if (event == CONN_EV_SECURED) {
		conn_pause(conn);
		lab->is_secured = true;
	}
}

static int
open_lab(void **state)
{
	static struct lab lab;
	struct sockaddr_in addr;
	struct err err;
	int listener = loop_lab_listen(&addr);

	memset(&lab, 0, sizeof(lab));
	lab.loop = loop_new(&err);
	assert_non_null(lab.loop);
	lab.owner = mailbox_new(lab.loop, on_mail, &lab, &err);
	assert_non_null(lab.owner);
	peer_lab_connect(&lab.client, lab.loop, client_tls, &addr);
	lab.client.on_packet = on_packet;
	lab.client.arg = &lab;
	lab.conn = conn_accept(lab.loop, agent_tls, loop_lab_accept(listener),
	    on_agent_conn, &lab, &err);
	assert_non_null(lab.conn);
	close(listener);
	lab.reader = frame_reader_new(PROTO_MAX_MESSAGE);
	assert_non_null(lab.reader);
	loop_lab_until_set(lab.loop, &lab.is_secured);
	peer_lab_until_secured(&lab.client);
	*state = &lab;
	return 0;
}

/* The client goes, if it has not; the capture must end. */
static int
close_lab(void **state)
{
	struct lab *lab = *state;

	peer_lab_close(&lab->client);
	if (lab->capture != NULL) {
		loop_lab_until_set(lab->loop, &lab->is_done);
		capture_join(lab->capture);
	} else if (lab->conn != NULL) {
		conn_free(lab->conn);
		frame_reader_free(lab->reader);
	}
	for (int i = 0; i < RING_FAKE_MAX; i++)
		ring_fake_close(&ring_fakes[i]);
	mailbox_free(lab->owner, NULL);
	loop_free(lab->loop);
	return 0;
}

enum { LO_INDEX = 1 };		/* in every network namespace */

static struct capture *
try_start(struct lab *lab, uint32_t n_rings, struct capture_config cfg,
    struct err *err)
{
	struct msg_capture_interface infos[MAX_RINGS];
	struct capture_socket sockets[MAX_RINGS];
	struct msg_started started = { .n_interfaces = n_rings, .interfaces = infos,
	    .snaplen = 262144, .heartbeat_ms = PROTO_HEARTBEAT_MS, .next_sequence = 1 };

	if (cfg.started != NULL) {
		started = *cfg.started;
		started.n_interfaces = n_rings;
		started.interfaces = infos;
	}
	cfg.started = &started;
	lab->n_rings = n_rings;
	for (uint32_t i = 0; i < n_rings; i++) {
		ring_fake_open(&ring_fakes[i]);
		infos[i] = (struct msg_capture_interface){ .name = "eth0",
		    .index = LO_INDEX, .link_type = 1, .snaplen = 262144 };
		sockets[i] = (struct capture_socket){
			.fd = ring_fakes[i].fd, .retire_ms = 1, .name = "eth0",
			.block_size = RING_FAKE_BLOCK,
			.block_nr = RING_FAKE_BLOCKS,
			.ifindex = LO_INDEX, .is_adapter_time = true,
			.link = { .link_type = 1, .iface = i, .snaplen = 262144 },
		};
	}
	conn_detach(lab->conn);
	cfg.owner = lab->owner;
	cfg.owner_arg = lab;
	cfg.conn = lab->conn;
	cfg.reader = lab->reader;
	cfg.sockets = sockets;
	cfg.n_sockets = n_rings;
	if (cfg.log_bytes == 0)
		cfg.log_bytes = LOG_BYTES;
	cfg.name = "session 1 alice";
	lab->conn = NULL;
	lab->reader = NULL;
	return capture_start(&cfg, err);
}

static void
start_with(struct lab *lab, uint32_t n_rings, struct capture_config cfg)
{
	struct err err;

	lab->capture = try_start(lab, n_rings, cfg, &err);
	assert_non_null(lab->capture);
}

static void
start(struct lab *lab, uint32_t n_rings)
{
	start_with(lab, n_rings, (struct capture_config){ 0 });
}

struct wanted { struct lab *lab; struct ring_fake *ring; uint32_t n, len; };

static bool
has_put(void *arg)
{
	struct wanted *w = arg;

	return ring_fake_put(w->ring, w->n, w->len);
}

/* A block of n packets as soon as the ring has room. */
static void
put(struct lab *lab, unsigned ring, uint32_t n, uint32_t len)
{
	loop_lab_until(lab->loop, has_put,
	    &(struct wanted){ lab, &ring_fakes[ring], n, len });
}

static bool
has_packets(void *arg)
{
	struct wanted *w = arg;

	return w->lab->client.n_packets >= w->n;
}

static void
until_packets(struct lab *lab, uint32_t n)
{
	loop_lab_until(lab->loop, has_packets, &(struct wanted){ .lab = lab, .n = n });
	assert_int_equal(lab->client.n_packets, n);
}

static bool
has_ended(void *arg)
{
	struct peer *p = arg;

	return p->is_over ||
	    (p->n_msgs > 0 && p->msgs[p->n_msgs - 1].msg.type == MSG_ENDED);
}

static const struct msg_ended *
take_ended(struct lab *lab)
{
	struct peer *p = &lab->client;

	loop_lab_until(lab->loop, has_ended, p);
	if (p->is_over)
		fail_msg("%s", p->err.what);
	return &p->msgs[p->n_msgs - 1].msg.ended;
}

static void
stop(struct lab *lab)
{
	peer_lab_send_type(&lab->client, MSG_STOP);
}

/* The agent's count of an interface adds up, and is this. */
static void
assert_counts(const struct msg_ended *ended, unsigned iface, uint64_t received,
    uint64_t batched, uint64_t dropped_kernel)
{
	const struct msg_interface_stats *s;

	assert_true(iface < ended->stats.n_interfaces);
	s = &ended->stats.interfaces[iface];
	assert_int_equal(s->received, received);
	assert_int_equal(s->batched, batched);
	assert_int_equal(s->dropped_kernel, dropped_kernel);
	assert_int_equal(s->received,
	    s->batched + s->dropped_kernel + s->dropped_agent);
}

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
add_ring(struct lab *lab, enum filter_place place)
{
	const uint32_t n = lab->n_rings;
	const struct msg_capture_interface info = { .name = "eth1", .index = 7,
	    .link_type = 1, .snaplen = 262144, .filter_place = place };

	ring_fake_open(&ring_fakes[n]);
	lab->n_rings++;
	assert_int_equal(capture_add(lab->capture, &(struct capture_socket){
		.fd = ring_fakes[n].fd, .retire_ms = 1, .name = "eth1",
		.block_size = RING_FAKE_BLOCK, .block_nr = RING_FAKE_BLOCKS,
		.ifindex = LO_INDEX, .place = place,
		.link = { .link_type = 1, .snaplen = 262144 },
	}, &info), E_OK);
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
send_update(struct lab *lab, uint32_t number, uint32_t n_filters)
{
	static char empty[1];
	struct msg_filter filters[2] = { { .text = empty }, { .text = empty } };
	struct msg msg = { .type = MSG_UPDATE_FILTER };

	msg.update_filter.number = number;
	msg.update_filter.n_filters = n_filters;
	msg.update_filter.filters = filters;
	peer_lab_send(&lab->client, &msg);
}

static bool
has_update(void *arg)
{
	return ((struct lab *)arg)->n_updates > 0;
}

static void
until_update(struct lab *lab)
{
	loop_lab_until(lab->loop, has_update, lab);
	lab->n_updates = 0;
}

/* Packets whose number (its lowest byte, first of the packet) is even. */
static struct prologue_check *
even_check(bool reads_beyond)
{
	struct prologue_check *check = calloc(1, sizeof(*check));
	const struct bpf_insn_raw insns[] = {
		{ .code = 0x30, .k = reads_beyond ? 4000 : 0 },	/* ldb [k] */
		{ .code = 0x45, .jt = 0, .jf = 1, .k = 1 },	/* jset #1 */
		{ .code = 0x06, .k = 0 },
		{ .code = 0x06, .k = 262144 },
	};

	assert_non_null(check);
	memcpy(check->prog.insns, insns, sizeof(insns));
	check->prog.n = ARRAY_LEN(insns);
	return check;
}

static void
refilter(struct lab *lab, uint32_t number, int code, struct prologue_check *check,
    enum filter_place place)
{
	struct capture_refilter *r = calloc(1, sizeof(*r) + sizeof(r->items[0]));

	assert_non_null(r);
	r->number = number;
	r->code = code;
	strcpy(r->text, code == E_OK ? "" : "too long");
	r->n = 1;
	r->items[0] = (struct capture_refilter_item){ .is_set = check != NULL,
	    .place = place, .snaplen = 262144, .check = check };
	capture_refilter(lab->capture, r);
}

static const struct msg_filter_changed *
take_changed(struct lab *lab)
{
	return &peer_lab_take_main(&lab->client, MSG_FILTER_CHANGED)->msg.filter_changed;
}

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

static int
open_group(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	pki = pki_lab_new();
	agent_tls = pki_lab_tls(pki, TLS_AGENT, &pki_agent);
	client_tls = pki_lab_tls(pki, TLS_CLIENT, &pki_client);
	return 0;
}

static int
close_group(void **state)
{
	(void)state;
	tls_free(agent_tls);
	tls_free(client_tls);
	pki_lab_free(pki);
	return 0;
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
