/* common/conn: every byte once and in order, however the two sides dawdle. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/conn.h"
#include "conn_lab.h"
#include "loop_lab.h"
#include "mutate.h"

enum { MUCH = 2 << 20 };

struct wanted { struct end *end; size_t n; };

static bool
has_received(void *arg)
{
	struct wanted *w = arg;

	return w->end->n_received >= w->n;
}

static void
until_received(struct conn_lab *lab, struct end *end, size_t n)
{
	loop_lab_until(lab->loop, has_received, &(struct wanted){ end, n });
	assert_int_equal(end->n_received, n);
}

static void
both_sides_know_each_other_after_the_handshake(void **state)
{
	struct conn_lab *lab = *state;

	conn_lab_secure(lab);
	assert_string_equal(lab->agent.peer, "alice");
	assert_string_equal(lab->client.peer, "sensor1");
	assert_int_equal(lab->agent.seen[CONN_EV_SECURED], 1);
	assert_int_equal(lab->client.seen[CONN_EV_SECURED], 1);
}

/* --- streams of random pieces --- */

struct piece {
	unsigned	*n_done;
	uint8_t		 bytes[];
};

struct producer {
	struct end	*end;
	uint64_t	 random;
	unsigned	 n_refs, n_done;
};

static void
piece_done(void *arg)
{
	struct piece *piece = arg;

	++*piece->n_done;
	free(piece);
}

static void
send_piece(struct producer *p, size_t len)
{
	struct piece *piece = malloc(sizeof(*piece) + len);

	assert_non_null(piece);
	piece->n_done = &p->n_done;
	conn_lab_fill(piece->bytes, len, p->end->n_sent);
	assert_int_equal(conn_send_ref(p->end->conn, piece->bytes, len,
	    piece_done, piece), E_OK);
	p->end->n_sent += len;
	p->n_refs++;
}

static void
send_random(struct producer *p)
{
	static const size_t largest[] = { 40, 2000, 20000, 200000 };
	uint64_t r = mutate_next_random(&p->random);
	size_t len = 1 + (r >> 8) % largest[r % 4];

	if (len > MUCH - p->end->n_sent)
		len = MUCH - p->end->n_sent;
	if (r & 16)
		send_piece(p, len);
	else
		conn_lab_send(p->end, len);
}

static bool
keep_sending(void *arg)
{
	struct producer *both = arg;
	bool is_done = true;

	for (int i = 0; i < 2; i++) {
		struct producer *p = &both[i];

		p->end->read_max = 1 + mutate_next_random(&p->random) % 30000;
		while (p->end->n_sent < MUCH &&
		    conn_queued(p->end->conn) < 300000)
			send_random(p);
		is_done &= p->end->n_received == MUCH;
	}
	return is_done;
}

static void
every_byte_arrives_once_and_in_order_both_ways(void **state)
{
	struct conn_lab *lab = *state;
	struct producer both[2] = {
		{ .end = &lab->agent, .random = 1 },
		{ .end = &lab->client, .random = 2 },
	};

	conn_lab_secure(lab);
	loop_lab_until(lab->loop, keep_sending, both);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(conn_queued(both[i].end->conn), 0);
		assert_true(both[i].n_refs > 0);
		assert_int_equal(both[i].n_done, both[i].n_refs);
		assert_false(both[i].end->is_over);
	}
}

static void
many_small_messages_cross(void **state)
{
	struct conn_lab *lab = *state;

	conn_lab_secure(lab);
	for (int i = 0; i < 20000; i++)
		conn_lab_send(&lab->client, 1 + (size_t)i % 9);
	until_received(lab, &lab->agent, lab->client.n_sent);
}

static void
sending_nothing_harms_nothing(void **state)
{
	struct conn_lab *lab = *state;
	struct producer p = { .end = &lab->client };

	conn_lab_secure(lab);
	conn_lab_send(&lab->client, 0);
	send_piece(&p, 0);
	conn_lab_send(&lab->client, 5);
	until_received(lab, &lab->agent, 5);
	assert_int_equal(p.n_done, 1);
}

/* --- references --- */

static void
a_reference_is_done_when_it_is_sent(void **state)
{
	struct conn_lab *lab = *state;
	struct producer p = { .end = &lab->agent };

	conn_lab_secure(lab);
	send_piece(&p, 100);
	assert_int_equal(p.n_done, 1);		/* the socket took it at once */
	send_piece(&p, MUCH);
	assert_int_equal(p.n_done, 1);
	until_received(lab, &lab->client, 100 + MUCH);
	assert_int_equal(p.n_done, 2);
}

static void
a_reference_is_done_when_its_connection_is_freed(void **state)
{
	struct conn_lab *lab = *state;
	struct producer p = { .end = &lab->agent };

	conn_lab_secure(lab);
	for (int i = 0; i < 3; i++)
		send_piece(&p, MUCH);
	assert_int_equal(p.n_done, 0);
	conn_free(lab->agent.conn);
	lab->agent.conn = NULL;
	assert_int_equal(p.n_done, 3);
}

static void
must_not_be_done(void *arg)
{
	(void)arg;
	fail();
}

static void
a_reference_is_done_once_when_the_connection_breaks_and_never_after(void **state)
{
	struct conn_lab *lab = *state;
	struct producer p = { .end = &lab->agent };

	conn_lab_secure(lab);
	lab->client.free_in = CONN_EV_DATA;
	for (int i = 0; i < 3; i++)
		send_piece(&p, MUCH);
	loop_lab_until_set(lab->loop, &lab->agent.is_over);
	/* The client has closed in order, and read next to nothing. */
	assert_int_equal(lab->agent.seen[CONN_EV_CLOSED], 1);
	assert_int_equal(lab->agent.err.code, E_EOF);
	assert_int_equal(p.n_done, 3);
	assert_int_equal(conn_queued(lab->agent.conn), 0);
	assert_int_equal(conn_send_ref(lab->agent.conn, "x", 1, must_not_be_done,
	    NULL), E_EOF);
	assert_int_equal(conn_send(lab->agent.conn, "x", 1), E_EOF);
}

static void
nothing_can_be_sent_before_the_handshake(void **state)
{
	struct conn_lab *lab = *state;

	conn_lab_connect(lab);
	assert_int_equal(conn_send(lab->client.conn, "x", 1), E_STATE);
	assert_int_equal(conn_send_ref(lab->client.conn, "x", 1,
	    must_not_be_done, NULL), E_STATE);
}

/* --- flow control --- */

static void
low_water_is_reported_once_when_the_queue_falls_to_it(void **state)
{
	struct conn_lab *lab = *state;

	conn_lab_secure(lab);
	conn_set_low_water(lab->agent.conn, MUCH / 2);
	conn_pause(lab->client.conn);
	conn_lab_send(&lab->agent, MUCH);
	loop_lab_run_ms(lab->loop, 20);
	assert_int_equal(lab->agent.seen[CONN_EV_LOW_WATER], 0);
	assert_true(conn_queued(lab->agent.conn) > MUCH / 2);
	conn_resume(lab->client.conn);
	until_received(lab, &lab->client, MUCH);
	assert_int_equal(lab->agent.seen[CONN_EV_LOW_WATER], 1);
}

static void
a_paused_connection_reads_nothing_until_it_goes_on(void **state)
{
	struct conn_lab *lab = *state;

	conn_lab_secure(lab);
	conn_pause(lab->client.conn);
	conn_lab_send(&lab->agent, 1000);
	loop_lab_run_ms(lab->loop, 20);
	assert_int_equal(lab->client.seen[CONN_EV_DATA], 0);
	conn_resume(lab->client.conn);
	until_received(lab, &lab->client, 1000);
}

static void
pause_after_a_piece(struct end *end)
{
	end->stop_at = end->n_received + 10;
	conn_lab_read(end);
	conn_pause(end->conn);
}

static void
bytes_that_openssl_holds_come_after_the_pause(void **state)
{
	struct conn_lab *lab = *state;

	conn_lab_secure(lab);
	lab->client.on_data = pause_after_a_piece;
	lab->client.read_max = 10;
	conn_lab_send(&lab->agent, 100);	/* one record: one readable socket */
	for (size_t n = 10; n <= 100; n += 10) {
		until_received(lab, &lab->client, n);
		conn_resume(lab->client.conn);
	}
	assert_int_equal(lab->client.seen[CONN_EV_DATA], 10);
}

static void
read_a_piece(struct end *end)
{
	end->stop_at = end->n_received + 10;
	conn_lab_read(end);
}

static void
data_is_reported_again_while_not_all_was_read(void **state)
{
	struct conn_lab *lab = *state;

	conn_lab_secure(lab);
	lab->client.on_data = read_a_piece;
	lab->client.read_max = 10;
	conn_lab_send(&lab->agent, 100);
	until_received(lab, &lab->client, 100);
}

/* --- half of a record --- */

/* Carry what from has to to, but keep the last hold bytes; the bytes kept. */
static size_t
relay(int from, int to, size_t hold, uint8_t *kept)
{
	uint8_t buf[64 << 10];
	ssize_t n = recv(from, buf, sizeof(buf), MSG_DONTWAIT);

	if (n <= 0)
		return 0;
	assert_true((size_t)n > hold);
	assert_int_equal(send(to, buf, (size_t)n - hold, 0), (size_t)n - hold);
	if (hold > 0)
		memcpy(kept, buf + n - hold, hold);
	return hold;
}

struct relays { struct conn_lab *lab; int a, b; };

static bool
relay_until_secured(void *arg)
{
	struct relays *r = arg;

	relay(r->a, r->b, 0, NULL);
	relay(r->b, r->a, 0, NULL);
	return r->lab->agent.is_secured && r->lab->client.is_secured;
}

static void
half_a_record_is_waited_for_without_asking(void **state)
{
	struct conn_lab *lab = *state;
	struct sockaddr_in addr;
	struct relays r = { .lab = lab };
	struct err err;
	uint8_t kept[8];
	int fds[2], listener = loop_lab_listen(&addr);

	lab->client.conn = conn_connect(lab->loop, lab->client_tls,
	    (struct sockaddr *)&addr, sizeof(addr), "sensor1", conn_lab_event,
	    &lab->client, &err);
	r.a = loop_lab_accept(listener);
	close(listener);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	r.b = fds[0];
	lab->agent.conn = conn_accept(lab->loop, lab->agent_tls, fds[1],
	    conn_lab_event, &lab->agent, &err);
	loop_lab_until(lab->loop, relay_until_secured, &r);

	conn_lab_send(&lab->client, 1000);
	assert_int_equal(relay(r.a, r.b, sizeof(kept), kept), sizeof(kept));
	loop_lab_run_ms(lab->loop, 30);
	assert_int_equal(lab->agent.n_received, 0);
	assert_true(lab->agent.seen[CONN_EV_DATA] <= 2);
	assert_int_equal(send(r.b, kept, sizeof(kept), 0), sizeof(kept));
	until_received(lab, &lab->agent, 1000);
	close(r.a);
	close(r.b);
}

/* --- to another thread --- */

struct mover {
	struct end	*end;
	size_t		 n;		/* to receive in all */
	struct err	 err;
};

static bool
has_all(void *arg)
{
	struct mover *m = arg;

	return m->end->n_received == m->n;
}

/* A loop of its own: take the rest and answer. */
static void *
go_on_elsewhere(void *arg)
{
	struct mover *m = arg;
	struct loop *loop = loop_new(&m->err);

	if (loop == NULL ||
	    conn_attach(m->end->conn, loop, conn_lab_event, m->end, &m->err) != E_OK)
		abort();
	conn_resume(m->end->conn);
	loop_lab_until(loop, has_all, m);
	conn_lab_send(m->end, MUCH);
	conn_finish(m->end->conn);
	loop_lab_until_set(loop, &m->end->is_over);
	conn_free(m->end->conn);
	m->end->conn = NULL;
	loop_free(loop);
	return NULL;
}

static void
read_ten_and_pause(struct end *end)
{
	end->stop_at = 10;
	conn_lab_read(end);
	conn_pause(end->conn);
	end->on_data = NULL;
	end->stop_at = 0;
}

static void
a_connection_moves_to_another_thread_with_all_its_bytes(void **state)
{
	struct conn_lab *lab = *state;
	struct mover m = { .end = &lab->agent, .n = 5000 };
	pthread_t thread;

	conn_lab_secure(lab);
	lab->agent.on_data = read_ten_and_pause;
	lab->agent.read_max = 10;
	conn_lab_send(&lab->client, 5000);
	until_received(lab, &lab->agent, 10);
	lab->agent.read_max = 0;
	conn_detach(lab->agent.conn);
	assert_int_equal(pthread_create(&thread, NULL, go_on_elsewhere, &m), 0);
	until_received(lab, &lab->client, MUCH);
	loop_lab_until_set(lab->loop, &lab->client.is_over);
	assert_int_equal(lab->client.seen[CONN_EV_CLOSED], 1);
	conn_free(lab->client.conn);
	lab->client.conn = NULL;
	pthread_join(thread, NULL);
	assert_int_equal(lab->agent.seen[CONN_EV_SENT], 1);
}

static void
a_detached_connection_can_be_freed(void **state)
{
	struct conn_lab *lab = *state;
	struct producer p = { .end = &lab->agent };

	conn_lab_secure(lab);
	send_piece(&p, MUCH);
	conn_detach(lab->agent.conn);
	conn_free(lab->agent.conn);
	lab->agent.conn = NULL;
	assert_int_equal(p.n_done, 1);
	conn_free(NULL);
}

int
main(void)
{
#define IN_LAB(test) cmocka_unit_test_setup_teardown(test, conn_lab_open, conn_lab_close)
	const struct CMUnitTest tests[] = {
		IN_LAB(both_sides_know_each_other_after_the_handshake),
		IN_LAB(every_byte_arrives_once_and_in_order_both_ways),
		IN_LAB(many_small_messages_cross),
		IN_LAB(sending_nothing_harms_nothing),
		IN_LAB(a_reference_is_done_when_it_is_sent),
		IN_LAB(a_reference_is_done_when_its_connection_is_freed),
		IN_LAB(a_reference_is_done_once_when_the_connection_breaks_and_never_after),
		IN_LAB(nothing_can_be_sent_before_the_handshake),
		IN_LAB(low_water_is_reported_once_when_the_queue_falls_to_it),
		IN_LAB(a_paused_connection_reads_nothing_until_it_goes_on),
		IN_LAB(bytes_that_openssl_holds_come_after_the_pause),
		IN_LAB(data_is_reported_again_while_not_all_was_read),
		IN_LAB(half_a_record_is_waited_for_without_asking),
		IN_LAB(a_connection_moves_to_another_thread_with_all_its_bytes),
		IN_LAB(a_detached_connection_can_be_freed),
	};

	return cmocka_run_group_tests_name("common/conn", tests, NULL, NULL);
}
