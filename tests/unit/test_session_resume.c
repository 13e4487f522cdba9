/*
 * server/session_resume, resume_key and captures: who may go on with a
 * capture, and what is told to all others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "common/conn_int.h"
#include "loop_lab.h"
#include "ring_fake.h"
#include "server/captures.h"
#include "server/resume_key.h"
#include "session_lab.h"

enum { OTHER = 1, LATER = 2 };		/* clients */

/* Start with linger; what is to be shown to resume it. */
static struct msg
start_lingering(struct session_lab *lab, uint32_t linger_ms,
    const struct msg_started **ret_started)
{
	struct msg msg = session_lab_start("lo");
	struct msg resume = { .type = MSG_RESUME };
	const struct msg_started *started;

	lab->net.setup.config.max_linger_s = 60;
	msg.start.linger_ms = linger_ms;
	session_lab_greet(lab, 0);
	peer_lab_send(lab->client, &msg);
	started = &peer_lab_take(lab->client, MSG_STARTED)->msg.started;
	resume.resume.capture_id = started->capture_id;
	resume.resume.token = started->token;
	resume.resume.next_sequence = 1;
	if (ret_started != NULL)
		*ret_started = started;
	return resume;
}

static void
cut(struct peer *p)
{
	shutdown(p->conn->fd, SHUT_WR);
	peer_lab_until_over(p);
	peer_lab_close(p);
}

static void
assert_gone(struct session_lab *lab, const struct msg *resume)
{
	const struct msg_error *error;
	struct peer *p = &lab->clients[OTHER];

	session_lab_greet(lab, OTHER);
	peer_lab_send(p, resume);
	error = &peer_lab_take(p, MSG_ERROR)->msg.error;
	assert_int_equal(error->code, E_GONE);
	assert_string_equal(error->text, CAPTURE_GONE_TEXT);
	peer_lab_until_over(p);
	assert_int_equal(p->how, CONN_EV_CLOSED);
	peer_lab_close(p);
}

static void
who_shows_the_token_goes_on(void **state)
{
	struct session_lab *lab = *state;
	const struct msg_started *started;
	struct msg resume = start_lingering(lab, 5000, &started);

	assert_true(started->has_token && started->capture_id != 0);
	assert_int_equal(started->linger_ms, 5000);
	assert_int_equal(started->heartbeat_ms, PROTO_HEARTBEAT_MS);
	assert_int_equal(started->next_sequence, 1);
	cut(lab->client);
	session_lab_greet(lab, OTHER);
	peer_lab_send(&lab->clients[OTHER], &resume);
	started = &peer_lab_take(&lab->clients[OTHER], MSG_STARTED)->msg.started;
	assert_int_equal(started->capture_id, resume.resume.capture_id);
	assert_string_equal(started->interfaces[0].name, "lo");
	assert_int_equal(lab->net.n_sessions, 0);
	peer_lab_send_type(&lab->clients[OTHER], MSG_STOP);
	(void)peer_lab_take_main(&lab->clients[OTHER], MSG_ENDED);
	peer_lab_close(&lab->clients[OTHER]);
	session_lab_until_idle(lab);
	assert_gone(lab, &resume);
}

static void
all_others_are_told_the_same(void **state)
{
	struct session_lab *lab = *state;
	struct msg right = start_lingering(lab, 5000, NULL), wrong;

	wrong = right;
	wrong.resume.capture_id++;
	assert_gone(lab, &wrong);
	for (size_t i = 0; i < PROTO_TOKEN_LEN; i += 31) {
		wrong = right;
		wrong.resume.token.bytes[i] ^= 1;
		assert_gone(lab, &wrong);
	}
	wrong = right;
	wrong.resume.next_sequence = 2;
	assert_gone(lab, &wrong);
	wrong = right;
	wrong.resume.announcements = 1;
	assert_gone(lab, &wrong);
	/* The capture goes on where it was. */
	peer_lab_send_type(lab->client, MSG_STOP);
	(void)peer_lab_take_main(lab->client, MSG_ENDED);
}

static void
another_identity_is_told_the_same(void **state)
{
	static const struct pki_spec mallory = { .common_name = "mallory",
	    .issuer = PKI_CA, .usage = PKI_FOR_CLIENTS };
	struct session_lab *lab = *state;
	struct msg resume = start_lingering(lab, 5000, NULL);
	struct tls *alice = lab->client_tls;

	lab->client_tls = pki_lab_tls(lab->pki, TLS_CLIENT, &mallory);
	assert_gone(lab, &resume);
	tls_free(lab->client_tls);
	lab->client_tls = alice;
	session_lab_greet(lab, LATER);
	peer_lab_send(&lab->clients[LATER], &resume);
	(void)peer_lab_take(&lab->clients[LATER], MSG_STARTED);
}

/* All clients without a name would be the same one. */
static void
who_has_no_name_is_not_waited_for(void **state)
{
	static const struct pki_spec nobody = { .issuer = PKI_CA, .usage = PKI_FOR_CLIENTS };
	struct session_lab *lab = *state;
	const struct msg_started *started;
	struct msg resume;

	tls_free(lab->client_tls);
	lab->client_tls = pki_lab_tls(lab->pki, TLS_CLIENT, &nobody);
	resume = start_lingering(lab, 5000, &started);
	assert_false(started->has_token);
	assert_int_equal(started->linger_ms, 0);
	assert_non_null(strstr(started->notes, "no common name"));
	assert_gone(lab, &resume);
}

static void
without_linger_there_is_no_token_and_no_resume(void **state)
{
	struct session_lab *lab = *state;
	const struct msg_started *started;
	struct msg resume = start_lingering(lab, 0, &started);

	assert_false(started->has_token);
	assert_true(started->capture_id != 0);
	assert_gone(lab, &resume);
	cut(lab->client);
	session_lab_until_idle(lab);
}

static void
what_came_behind_a_resume_is_the_captures(void **state)
{
	struct session_lab *lab = *state;
	struct msg msgs[3] = { start_lingering(lab, 5000, NULL), { .type = MSG_PING },
	    { .type = MSG_STOP } };
	struct peer *p = &lab->clients[OTHER];

	session_lab_greet(lab, OTHER);
	for (size_t i = 0; i < ARRAY_LEN(msgs); i++)
		peer_lab_send(p, &msgs[i]);
	(void)peer_lab_take(p, MSG_STARTED);
	(void)peer_lab_take(p, MSG_PONG);
	(void)peer_lab_take_main(p, MSG_ENDED);
}

static void
a_client_that_goes_with_its_resume_leaves_nothing(void **state)
{
	struct session_lab *lab = *state;
	struct msg resume = start_lingering(lab, 300, NULL);

	session_lab_greet(lab, OTHER);
	peer_lab_send(&lab->clients[OTHER], &resume);
	cut(lab->client);
	peer_lab_close(&lab->clients[OTHER]);
	session_lab_until_idle(lab);
}

static void
the_linger_is_the_configurations(void **state)
{
	static const struct { uint32_t asked, max_s, want; const char *note; } cases[] = {
		{ 5000, 60, 5000, NULL }, { 60000, 60, 60000, NULL },
		{ 60001, 60, 60000, "max-linger" }, { UINT32_MAX, 10, 10000, "max-linger" },
		{ 5000, 0, 0, "max-linger" }, { 0, 0, 0, NULL },
	};
	struct session_lab *lab;

	session_lab_close(state);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct msg msg = session_lab_start("lo");
		const struct msg_started *started;

		session_lab_open(state);
		lab = *state;
		lab->net.setup.config.max_linger_s = cases[i].max_s;
		msg.start.linger_ms = cases[i].asked;
		msg.start.heartbeat_ms = 1234;
		session_lab_greet(lab, 0);
		peer_lab_send(lab->client, &msg);
		started = &peer_lab_take(lab->client, MSG_STARTED)->msg.started;
		assert_int_equal(started->linger_ms, cases[i].want);
		assert_int_equal(started->has_token, cases[i].want > 0);
		assert_int_equal(started->heartbeat_ms, 1234);
		if (cases[i].note != NULL)
			assert_non_null(strstr(started->notes, cases[i].note));
		else
			assert_string_equal(started->notes, "");
		session_lab_close(state);
	}
	session_lab_open(state);
}

static bool
has_none_left(void *arg)
{
	return *(bool *)arg;
}

static void
note_end(void *arg)
{
	*(bool *)arg = true;
}

static void
captures_that_linger_do_not_keep_the_agent(void **state)
{
	struct session_lab *lab = *state;
	struct msg resume = start_lingering(lab, 60000, NULL);
	bool is_over = false;

	cut(lab->client);
	captures_end(lab->net.captures, note_end, &is_over);
	loop_lab_until(lab->net.loop, has_none_left, &is_over);
	assert_int_equal(captures_count(lab->net.captures), 0);
	lab->net.is_ending = false;
	assert_gone(lab, &resume);
}

static void
no_capture_is_resumed_while_the_agent_ends(void **state)
{
	struct session_lab *lab = *state;
	struct msg resume = start_lingering(lab, 5000, NULL);

	session_lab_greet(lab, OTHER);
	lab->net.is_ending = true;
	peer_lab_send(&lab->clients[OTHER], &resume);
	session_lab_assert_refused(lab, &lab->clients[OTHER], E_GONE, "not here");
	lab->net.is_ending = false;
}

static void
keys_are_new_each_time(void **state)
{
	struct resume_key a, b;
	struct err err;

	(void)state;
	assert_int_equal(resume_key_make(&a, true, "alice", &err), E_OK);
	assert_int_equal(resume_key_make(&b, true, "alice", &err), E_OK);
	assert_int_not_equal(a.capture_id, b.capture_id);
	assert_memory_not_equal(&a.token, &b.token, sizeof(a.token));
	assert_null(resume_key_refuse(&a, &a.token, "alice"));
	assert_non_null(resume_key_refuse(&a, &b.token, "alice"));
	assert_non_null(resume_key_refuse(&a, &a.token, "alic"));
	assert_non_null(resume_key_refuse(&a, &a.token, "alice2"));
	assert_int_equal(resume_key_make(&b, false, "alice", &err), E_OK);
	assert_non_null(resume_key_refuse(&b, &b.token, "alice"));
}

int
main(void)
{
#define IN_LAB(test) cmocka_unit_test_setup_teardown(test, session_lab_open, session_lab_close)
	const struct CMUnitTest tests[] = {
		IN_LAB(who_shows_the_token_goes_on),
		IN_LAB(all_others_are_told_the_same),
		IN_LAB(another_identity_is_told_the_same),
		IN_LAB(who_has_no_name_is_not_waited_for),
		IN_LAB(without_linger_there_is_no_token_and_no_resume),
		IN_LAB(what_came_behind_a_resume_is_the_captures),
		IN_LAB(a_client_that_goes_with_its_resume_leaves_nothing),
		IN_LAB(the_linger_is_the_configurations),
		IN_LAB(captures_that_linger_do_not_keep_the_agent),
		IN_LAB(no_capture_is_resumed_while_the_agent_ends),
		cmocka_unit_test(keys_are_new_each_time),
	};

	return cmocka_run_group_tests_name("server/session_resume", tests, NULL, NULL);
}
