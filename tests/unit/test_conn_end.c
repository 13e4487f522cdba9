/* common/conn: how connections end, and what is said about it. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/ssl.h>

#include "common/conn_int.h"
#include "conn_lab.h"
#include "loop_lab.h"

enum { MUCH = 1 << 20 };

static bool
both_are_over(void *arg)
{
	struct conn_lab *lab = arg;

	return lab->agent.is_over && lab->client.is_over;
}

/* --- a peer that does not answer --- */

static int
option_of(const struct conn *conn, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(conn->fd, level, name, &value, &len), 0);
	return value;
}

static void
a_dead_peer_is_found_in_about_the_time_asked_for(void **state)
{
	static const struct { uint32_t dead_after_ms; int least_s, most_s; } cases[] = {
		{ 1000, 2, 4 }, { 2500, 3, 4 }, { 6000, 6, 6 }, { 60000, 60, 60 },
		{ 3600 * 1000, 3600, 3600 },
	};
	struct conn_lab *lab = *state;
	struct conn *conn;

	conn_lab_secure(lab);
	conn = lab->agent.conn;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int s;

		conn_set_liveness(conn, cases[i].dead_after_ms, CONN_KEEP_STALLED);
		s = option_of(conn, IPPROTO_TCP, TCP_KEEPIDLE) +
		    option_of(conn, IPPROTO_TCP, TCP_KEEPINTVL) *
		    option_of(conn, IPPROTO_TCP, TCP_KEEPCNT);
		assert_true(s >= cases[i].least_s && s <= cases[i].most_s);
		assert_int_equal(option_of(conn, SOL_SOCKET, SO_KEEPALIVE), 1);
	}
}

static void
only_who_asks_drops_a_peer_that_reads_nothing(void **state)
{
	struct conn_lab *lab = *state;

	conn_lab_secure(lab);
	conn_set_liveness(lab->agent.conn, 6000, CONN_KEEP_STALLED);
	conn_set_liveness(lab->client.conn, 6000, CONN_DROP_STALLED);
	assert_int_equal(option_of(lab->agent.conn, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
	assert_int_equal(option_of(lab->client.conn, IPPROTO_TCP, TCP_USER_TIMEOUT),
	    60000);
	/* The longest heartbeat. */
	conn_set_liveness(lab->client.conn, 3600 * 1000, CONN_DROP_STALLED);
	assert_int_equal(option_of(lab->client.conn, IPPROTO_TCP, TCP_USER_TIMEOUT),
	    36000000);
}

/* --- in order --- */

static void
finish_sends_everything_and_the_peer_sees_the_end(void **state)
{
	struct conn_lab *lab = *state;

	conn_lab_secure(lab);
	conn_lab_send(&lab->agent, MUCH);
	conn_finish(lab->agent.conn);
	loop_lab_until_set(lab->loop, &lab->client.is_over);
	assert_int_equal(lab->client.n_received, MUCH);
	assert_int_equal(lab->client.seen[CONN_EV_CLOSED], 1);
	assert_int_equal(lab->client.err.code, E_EOF);
	assert_int_equal(conn_read(lab->client.conn, &(char){ 0 }, 1), E_EOF);
	conn_free(lab->client.conn);
	lab->client.conn = NULL;
	loop_lab_until_set(lab->loop, &lab->agent.is_over);
	assert_int_equal(lab->agent.seen[CONN_EV_SENT], 1);
}

static void
finish_waits_for_a_peer_only_a_moment(void **state)
{
	struct conn_lab *lab = *state;

	conn_lab_secure(lab);
	conn_pause(lab->client.conn);
	conn_lab_send(&lab->agent, 100);
	conn_finish(lab->agent.conn);
	loop_lab_until_set(lab->loop, &lab->agent.is_over);
	assert_int_equal(lab->agent.seen[CONN_EV_SENT], 1);
	/* What was sent is there all the same. */
	conn_resume(lab->client.conn);
	loop_lab_until_set(lab->loop, &lab->client.is_over);
	assert_int_equal(lab->client.n_received, 100);
}

static void
an_end_read_outside_a_callback_is_reported_too(void **state)
{
	struct conn_lab *lab = *state;
	char byte;

	conn_lab_secure(lab);
	conn_pause(lab->client.conn);
	conn_finish(lab->agent.conn);
	loop_lab_until_set(lab->loop, &lab->agent.is_over);
	assert_false(lab->client.is_over);
	assert_int_equal(conn_read(lab->client.conn, &byte, 1), E_EOF);
	loop_lab_until_set(lab->loop, &lab->client.is_over);
	assert_int_equal(lab->client.seen[CONN_EV_CLOSED], 1);
}

/* Unread bytes make a reset of its close, which a sender meets first. */
static void
an_end_is_one_in_order_also_where_sending_fails(void **state)
{
	struct conn_lab *lab = *state;

	conn_lab_secure(lab);
	conn_pause(lab->agent.conn);
	conn_pause(lab->client.conn);
	conn_lab_send(&lab->agent, 100);
	conn_free(lab->client.conn);
	lab->client.conn = NULL;
	for (int i = 0; i < 1000 && conn_send(lab->agent.conn, "x", 1) == E_OK; i++)
		loop_lab_run_ms(lab->loop, 0);
	loop_lab_until_set(lab->loop, &lab->agent.is_over);
	assert_int_equal(lab->agent.seen[CONN_EV_CLOSED], 1);
	assert_int_equal(lab->agent.err.code, E_EOF);
}

static void
finishing_twice_or_after_the_end_changes_nothing(void **state)
{
	struct conn_lab *lab = *state;

	conn_lab_secure(lab);
	conn_finish(lab->agent.conn);
	conn_finish(lab->agent.conn);
	assert_int_equal(conn_send(lab->agent.conn, "x", 1), E_STATE);
	loop_lab_until(lab->loop, both_are_over, lab);
	conn_finish(lab->client.conn);
	conn_finish(lab->agent.conn);
	loop_lab_run_ms(lab->loop, 10);
	assert_int_equal(lab->agent.seen[CONN_EV_SENT], 1);
	assert_int_equal(lab->client.seen[CONN_EV_CLOSED], 1);
}

/* --- freed inside a callback --- */

static void
it_may_be_freed_when_it_is_secured(void **state)
{
	struct conn_lab *lab = *state;

	lab->agent.free_in = lab->client.free_in = CONN_EV_SECURED;
	conn_lab_connect(lab);
	loop_lab_until_set(lab->loop, &lab->client.is_secured);
	assert_null(lab->client.conn);
}

static void
it_may_be_freed_when_data_comes(void **state)
{
	struct conn_lab *lab = *state;

	lab->agent.free_in = CONN_EV_DATA;
	conn_lab_secure(lab);
	conn_lab_send(&lab->agent, MUCH);
	conn_lab_send(&lab->client, MUCH);
	loop_lab_until_set(lab->loop, &lab->client.is_over);
	assert_null(lab->agent.conn);
	assert_int_equal(lab->client.seen[CONN_EV_ERROR], 1);
	assert_int_equal(lab->client.err.code, E_PEERGONE);
}

static bool
agent_is_freed(void *arg)
{
	struct conn_lab *lab = arg;

	return lab->agent.conn == NULL;
}

static void
it_may_be_freed_at_low_water(void **state)
{
	struct conn_lab *lab = *state;

	lab->agent.free_in = CONN_EV_LOW_WATER;
	conn_lab_secure(lab);
	conn_set_low_water(lab->agent.conn, MUCH / 2);
	conn_lab_send(&lab->agent, MUCH);
	loop_lab_until(lab->loop, agent_is_freed, lab);
}

static void
it_may_be_freed_when_all_is_sent_or_the_peer_closed(void **state)
{
	struct conn_lab *lab = *state;

	lab->agent.free_in = CONN_EV_SENT;
	lab->client.free_in = CONN_EV_CLOSED;
	conn_lab_secure(lab);
	conn_lab_send(&lab->agent, 100);
	conn_finish(lab->agent.conn);
	loop_lab_until(lab->loop, both_are_over, lab);
	assert_null(lab->agent.conn);
	assert_null(lab->client.conn);
}

static void
it_may_be_freed_on_an_error(void **state)
{
	struct conn_lab *lab = *state;

	lab->agent.free_in = CONN_EV_ERROR;
	conn_lab_secure(lab);
	shutdown(lab->client.conn->fd, SHUT_RDWR);
	loop_lab_until(lab->loop, both_are_over, lab);
	assert_null(lab->agent.conn);
	assert_int_equal(lab->agent.err.code, E_PEERGONE);
}

/* --- broken --- */

static void
reset_of_the_peer_is_an_error_that_says_so(void **state)
{
	const struct sockaddr nowhere = { .sa_family = AF_UNSPEC };
	struct conn_lab *lab = *state;

	conn_lab_secure(lab);
	conn_pause(lab->client.conn);
	assert_int_equal(connect(lab->client.conn->fd, &nowhere,
	    sizeof(nowhere)), 0);
	loop_lab_until_set(lab->loop, &lab->agent.is_over);
	assert_int_equal(lab->agent.seen[CONN_EV_ERROR], 1);
	assert_int_equal(lab->agent.err.code, E_PEERGONE);
	assert_non_null(strstr(lab->agent.err.what, "reset"));
}

static void
an_end_without_tls_close_is_an_error(void **state)
{
	struct conn_lab *lab = *state;

	conn_lab_secure(lab);
	shutdown(lab->client.conn->fd, SHUT_WR);
	loop_lab_until_set(lab->loop, &lab->agent.is_over);
	assert_int_equal(lab->agent.seen[CONN_EV_ERROR], 1);
	assert_int_equal(lab->agent.err.code, E_PEERGONE);
}

static void
what_is_broken_off_looks_lost_and_not_ended(void **state)
{
	struct conn_lab *lab = *state;

	conn_lab_secure(lab);
	conn_break(lab->agent.conn);
	lab->agent.conn = NULL;
	loop_lab_until_set(lab->loop, &lab->client.is_over);
	assert_int_equal(lab->client.seen[CONN_EV_ERROR], 1);
	assert_int_equal(lab->client.err.code, E_PEERGONE);
	conn_break(NULL);
}

static void
a_closed_port_is_unreachable(void **state)
{
	struct conn_lab *lab = *state;
	struct sockaddr_in addr;
	struct err err;
	int listener = loop_lab_listen(&addr);

	close(listener);
	lab->client.conn = conn_connect(lab->loop, lab->client_tls,
	    (struct sockaddr *)&addr, sizeof(addr), "sensor1", conn_lab_event,
	    &lab->client, &err);
	if (lab->client.conn == NULL) {
		assert_int_equal(err.code, E_UNREACHABLE);
		return;
	}
	loop_lab_until_set(lab->loop, &lab->client.is_over);
	assert_int_equal(lab->client.err.code, E_UNREACHABLE);
	assert_non_null(strstr(lab->client.err.what, "refused"));
}

/* --- instead of a handshake --- */

/* An agent's connection whose other end is the test's. */
static int
accept_raw(struct conn_lab *lab)
{
	struct err err;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	lab->agent.conn = conn_accept(lab->loop, lab->agent_tls, fds[1],
	    conn_lab_event, &lab->agent, &err);
	assert_non_null(lab->agent.conn);
	return fds[0];
}

static void
assert_refused_as_no_tls(struct conn_lab *lab, const void *bytes, size_t len)
{
	int fd = accept_raw(lab);

	assert_int_equal(write(fd, bytes, len), len);
	shutdown(fd, SHUT_WR);
	loop_lab_until_set(lab->loop, &lab->agent.is_over);
	assert_int_equal(lab->agent.seen[CONN_EV_ERROR], 1);
	assert_int_equal(lab->agent.seen[CONN_EV_SECURED], 0);
	assert_int_equal(lab->agent.err.code, E_TLS);
	close(fd);
}

static void
a_plain_http_request_is_refused(void **state)
{
	static const char http[] = "GET / HTTP/1.1\r\nHost: sensor1\r\n\r\n";

	assert_refused_as_no_tls(*state, http, sizeof(http) - 1);
}

static void
garbage_is_refused(void **state)
{
	uint8_t bytes[4000];

	conn_lab_fill(bytes, sizeof(bytes), 12345);
	assert_refused_as_no_tls(*state, bytes, sizeof(bytes));
}

static void
a_peer_that_says_nothing_is_waited_for_and_can_be_freed(void **state)
{
	struct conn_lab *lab = *state;
	int fd = accept_raw(lab);

	loop_lab_run_ms(lab->loop, 20);
	for (int i = 0; i < CONN_LAB_EVENTS; i++)
		assert_int_equal(lab->agent.seen[i], 0);
	/* The beginning of a ClientHello and no more: the same. */
	assert_int_equal(write(fd, "\x16\x03\x01\x02\x00\x01", 6), 6);
	loop_lab_run_ms(lab->loop, 20);
	assert_false(lab->agent.is_over);
	conn_free(lab->agent.conn);
	lab->agent.conn = NULL;
	close(fd);
}

static void
a_peer_that_hangs_up_early_is_gone(void **state)
{
	struct conn_lab *lab = *state;

	close(accept_raw(lab));
	loop_lab_until_set(lab->loop, &lab->agent.is_over);
	assert_int_equal(lab->agent.err.code, E_PEERGONE);
}

/* --- refused certificates --- */

static void
assert_both_say(struct conn_lab *lab, const char *agent, const char *client)
{
	assert_int_equal(lab->agent.err.code, E_TLS);
	assert_int_equal(lab->client.err.code, E_TLS);
	assert_string_equal(lab->agent.err.what, agent);
	assert_string_equal(lab->client.err.what, client);
	assert_int_equal(lab->agent.seen[CONN_EV_ERROR], 1);
	assert_int_equal(lab->client.seen[CONN_EV_ERROR], 1);
	assert_int_equal(lab->agent.seen[CONN_EV_SECURED], 0);
}

static void
use_client(struct conn_lab *lab, enum pki_issuer issuer)
{
	struct pki_spec spec = pki_client;

	spec.issuer = issuer;
	tls_free(lab->client_tls);
	lab->client_tls = pki_lab_tls(lab->pki, TLS_CLIENT, &spec);
}

static void
a_late_refusal_reaches_a_client_that_listens(void **state)
{
	struct conn_lab *lab = *state;

	use_client(lab, PKI_OTHER_CA);
	conn_lab_connect(lab);
	loop_lab_until(lab->loop, both_are_over, lab);
	assert_both_say(lab, "the client's certificate is refused: "
	    "certificate is not from the expected CA",
	    "the agent refused our certificate: "
	    "certificate is not from the expected CA");
}

static bool
send_until_over(void *arg)
{
	struct conn_lab *lab = arg;
	uint8_t bytes[4096] = { 0 };

	while (!lab->client.is_over && lab->client.is_secured &&
	    conn_queued(lab->client.conn) < MUCH &&
	    conn_send(lab->client.conn, bytes, sizeof(bytes)) == E_OK)
		continue;
	return both_are_over(lab);
}

static void
a_late_refusal_reaches_a_client_that_talks(void **state)
{
	struct conn_lab *lab = *state;

	use_client(lab, PKI_SELF);
	conn_lab_connect(lab);
	loop_lab_until(lab->loop, send_until_over, lab);
	assert_both_say(lab, "the client's certificate is refused: "
	    "self-signed certificate",
	    "the agent refused our certificate: self-signed certificate");
}

/* An agent that answers the handshake once and hangs up. */
static void
refuse_and_hang_up(struct conn_lab *lab, int fd)
{
	struct err err;
	SSL *ssl = tls_session_new(lab->agent_tls, NULL, &err);
	int rc = -1;

	assert_int_equal(SSL_set_fd(ssl, fd), 1);
	for (int i = 0; i < 1000 && !(lab->client.is_secured && rc <= 0 &&
	    SSL_get_error(ssl, rc) == SSL_ERROR_SSL); i++) {
		loop_lab_run_ms(lab->loop, 0);
		if (lab->client.is_secured)
			conn_pause(lab->client.conn);
		rc = SSL_do_handshake(ssl);
	}
	SSL_free(ssl);
	close(fd);
}

static void
the_reason_survives_a_connection_that_breaks_while_sending(void **state)
{
	struct conn_lab *lab = *state;
	struct sockaddr_in addr;
	struct err err;
	uint8_t bytes[4096] = { 0 };
	int listener = loop_lab_listen(&addr);

	use_client(lab, PKI_OTHER_CA);
	lab->client.conn = conn_connect(lab->loop, lab->client_tls,
	    (struct sockaddr *)&addr, sizeof(addr), "sensor1", conn_lab_event,
	    &lab->client, &err);
	refuse_and_hang_up(lab, loop_lab_accept(listener));
	close(listener);
	for (int i = 0; i < 1000 && conn_send(lab->client.conn, bytes,
	    sizeof(bytes)) == E_OK; i++)
		loop_lab_run_ms(lab->loop, 0);
	loop_lab_until_set(lab->loop, &lab->client.is_over);
	assert_int_equal(lab->client.err.code, E_TLS);
	assert_string_equal(lab->client.err.what,
	    "the agent refused our certificate: "
	    "certificate is not from the expected CA");
}

static void
an_agent_of_another_name_is_refused_in_the_same_words(void **state)
{
	struct conn_lab *lab = *state;
	struct pki_spec spec = pki_agent;

	spec.san = "DNS:sensor2";
	tls_free(lab->agent_tls);
	lab->agent_tls = pki_lab_tls(lab->pki, TLS_AGENT, &spec);
	conn_lab_connect(lab);
	loop_lab_until(lab->loop, both_are_over, lab);
	assert_both_say(lab, "the client refused our certificate: "
	    "certificate does not carry the host name asked for",
	    "the agent's certificate is refused: "
	    "certificate does not carry the host name asked for, 'sensor1': "
	    "--server-name says which name to expect");
	assert_int_equal(lab->client.seen[CONN_EV_SECURED], 0);
}

int
main(void)
{
#define IN_LAB(test) cmocka_unit_test_setup_teardown(test, conn_lab_open, conn_lab_close)
	const struct CMUnitTest tests[] = {
		IN_LAB(a_dead_peer_is_found_in_about_the_time_asked_for),
		IN_LAB(only_who_asks_drops_a_peer_that_reads_nothing),
		IN_LAB(finish_sends_everything_and_the_peer_sees_the_end),
		IN_LAB(finish_waits_for_a_peer_only_a_moment),
		IN_LAB(an_end_read_outside_a_callback_is_reported_too),
		IN_LAB(an_end_is_one_in_order_also_where_sending_fails),
		IN_LAB(finishing_twice_or_after_the_end_changes_nothing),
		IN_LAB(it_may_be_freed_when_it_is_secured),
		IN_LAB(it_may_be_freed_when_data_comes),
		IN_LAB(it_may_be_freed_at_low_water),
		IN_LAB(it_may_be_freed_when_all_is_sent_or_the_peer_closed),
		IN_LAB(it_may_be_freed_on_an_error),
		IN_LAB(reset_of_the_peer_is_an_error_that_says_so),
		IN_LAB(an_end_without_tls_close_is_an_error),
		IN_LAB(what_is_broken_off_looks_lost_and_not_ended),
		IN_LAB(a_closed_port_is_unreachable),
		IN_LAB(a_plain_http_request_is_refused),
		IN_LAB(garbage_is_refused),
		IN_LAB(a_peer_that_says_nothing_is_waited_for_and_can_be_freed),
		IN_LAB(a_peer_that_hangs_up_early_is_gone),
		IN_LAB(a_late_refusal_reaches_a_client_that_listens),
		IN_LAB(a_late_refusal_reaches_a_client_that_talks),
		IN_LAB(the_reason_survives_a_connection_that_breaks_while_sending),
		IN_LAB(an_agent_of_another_name_is_refused_in_the_same_words),
	};

	return cmocka_run_group_tests_name("common/conn ends", tests, NULL, NULL);
}
