/* common/tls: who is refused, by whom, and in which words on both sides. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "common/tls.h"
#include "pki_lab.h"

static struct pki_lab *lab;

/* One side: by tls_new(), or a plain context that lets anything pass. */
struct side {
	const struct pki_spec *spec;	/* NULL: no certificate */
	bool		 is_plain;
	int		 max_version;	/* of plain contexts; 0: any */
	const char	*alpn;		/* of plain contexts; NULL: TLS_ALPN */
	const char	*server_name;	/* the client's; NULL: sensor1 */
};

struct end {
	struct tls	*tls;
	SSL_CTX		*ctx;
	SSL		*ssl;
	int		 fd;
	bool		 is_secured, is_over;
	struct err	 err;		/* E_OK while all is well */
};

/* "\x03foo" as a protocol list. */
static void
set_alpn(SSL_CTX *ctx, const char *alpn)
{
	unsigned char wire[64] = { 0 };
	size_t len = strlen(alpn);

	assert_true(len < sizeof(wire));
	wire[0] = (unsigned char)len;
	memcpy(wire + 1, alpn, len);
	assert_int_equal(SSL_CTX_set_alpn_protos(ctx, wire,
	    len == 0 ? 0 : (unsigned)len + 1), 0);
}

static void
open_end(struct end *e, enum tls_role role, const struct side *side, int fd)
{
	*e = (struct end){ .fd = fd };
	if (side->is_plain) {
		e->ctx = pki_lab_ctx(lab, role, side->spec);
		if (side->max_version != 0)
			SSL_CTX_set_max_proto_version(e->ctx, side->max_version);
		if (side->alpn != NULL && role == TLS_CLIENT)
			set_alpn(e->ctx, side->alpn);
		if (side->alpn != NULL && role == TLS_AGENT)
			SSL_CTX_set_alpn_select_cb(e->ctx, NULL, NULL);
		e->ssl = SSL_new(e->ctx);
		assert_non_null(e->ssl);
		if (role == TLS_AGENT)
			SSL_set_accept_state(e->ssl);
		else
			SSL_set_connect_state(e->ssl);
	} else {
		struct err err;

		e->tls = pki_lab_tls(lab, role, side->spec);
		e->ssl = tls_session_new(e->tls, role == TLS_AGENT ? NULL :
		    side->server_name != NULL ? side->server_name : "sensor1", &err);
		assert_non_null(e->ssl);
	}
	assert_int_equal(SSL_set_fd(e->ssl, fd), 1);
}

static void
close_end(struct end *e)
{
	tls_session_free(e->ssl);
	tls_free(e->tls);
	if (e->ctx != NULL)
		pki_lab_ctx_free(e->ctx);
	close(e->fd);
}

/* One step: handshake, then a read, which is where a late refusal comes. */
static void
step(struct end *e)
{
	char byte;
	int rc, sys, ssl_error;

	if (e->is_over)
		return;
	ERR_clear_error();
	errno = 0;
	rc = e->is_secured ? SSL_read(e->ssl, &byte, 1) : SSL_do_handshake(e->ssl);
	sys = errno;
	if (rc == 1 && !e->is_secured) {
		e->is_secured = true;
		if (tls_check_alpn(e->ssl, &e->err) == E_OK)
			return;
		e->is_over = true;
		shutdown(e->fd, SHUT_WR);
		return;
	}
	ssl_error = SSL_get_error(e->ssl, rc);
	if (ssl_error == SSL_ERROR_WANT_READ || ssl_error == SSL_ERROR_WANT_WRITE)
		return;
	e->is_over = true;
	rc = tls_error(e->ssl, ssl_error, sys, &e->err);
	assert_int_equal(rc, e->err.code);
	shutdown(e->fd, SHUT_WR);
}

/* Let both sides talk until there is nothing more to say. */
static void
meet(const struct side *agent, const struct side *client, struct end ends[2])
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	open_end(&ends[0], TLS_AGENT, agent, fds[0]);
	open_end(&ends[1], TLS_CLIENT, client, fds[1]);
	for (int turn = 0; turn < 20; turn++) {
		step(&ends[1]);
		step(&ends[0]);
	}
}

static void
part(struct end ends[2])
{
	close_end(&ends[0]);
	close_end(&ends[1]);
}

static const struct side good_agent = { .spec = &pki_agent };
static const struct side good_client = { .spec = &pki_client };

static void
assert_let_in(const struct side *agent, const struct side *client)
{
	struct end ends[2];
	char name[64];

	meet(agent, client, ends);
	for (int i = 0; i < 2; i++) {
		if (ends[i].err.code != E_OK)
			fail_msg("%s", ends[i].err.what);
		assert_true(ends[i].is_secured);
		assert_int_equal(SSL_version(ends[i].ssl), TLS1_3_VERSION);
	}
	assert_int_equal(tls_peer_name(ends[0].ssl, name, sizeof(name)), E_OK);
	assert_string_equal(name, client->spec->common_name);
	part(ends);
}

/*
 * The refusing side says "the X's certificate is refused: CAUSE", the other
 * "the Y refused our certificate: CAUSE".
 */
static void
assert_refused(const struct side *agent, const struct side *client,
    bool by_agent, const char *cause)
{
	struct end ends[2], *by = &ends[by_agent ? 0 : 1],
	    *other = &ends[by_agent ? 1 : 0];

	meet(agent, client, ends);
	if (by->err.code != E_TLS || other->err.code != E_TLS ||
	    strstr(by->err.what, cause) == NULL ||
	    strstr(other->err.what, cause) == NULL)
		fail_msg("agent '%s', client '%s', wanted '%s'",
		    ends[0].err.what, ends[1].err.what, cause);
	assert_non_null(strstr(by->err.what,
	    by_agent ? "the client" : "the agent"));
	assert_non_null(strstr(other->err.what, by_agent ?
	    "the agent refused our certificate: " :
	    "the client refused our certificate: "));
	part(ends);
}

static void
agent_is_refused(const struct pki_spec *spec, const char *cause)
{
	struct side agent = { .spec = spec, .is_plain = true };

	assert_refused(&agent, &good_client, false, cause);
}

static void
client_is_refused(const struct pki_spec *spec, const char *cause)
{
	struct side client = { .spec = spec, .is_plain = true };

	assert_refused(&good_agent, &client, true, cause);
}

static void
good_certificates_are_let_in(void **state)
{
	static const char *const names[] = { "sensor1", "SENSOR1", "127.0.0.1" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct side client = { .spec = &pki_client,
		    .server_name = names[i] };

		assert_let_in(&good_agent, &client);
	}
}

static void
names_are_looked_up_among_all_of_the_certificate(void **state)
{
	static const struct pki_spec many = {
		.common_name = "x", .usage = PKI_FOR_AGENTS,
		.san = "DNS:a.example,DNS:*.b.example,IP:10.0.0.7,IP:2001:db8::7",
	};
	static const char *const good[] = {
		"a.example", "c.b.example", "10.0.0.7", "2001:db8::7",
		"2001:0db8:0::7",
	};
	static const char *const bad[] = {
		"x", "b.example", "d.c.b.example", "10.0.0.8", "2001:db8::8",
		"a.example.org", "10.0.0.70",
	};
	struct side agent = { .spec = &many };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct side client = { .spec = &pki_client,
		    .server_name = good[i] };

		assert_let_in(&agent, &client);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct side client = { .spec = &pki_client,
		    .server_name = bad[i] };

		assert_refused(&agent, &client, false,
		    "certificate does not carry the host name asked for");
	}
}

static struct pki_spec
with(struct pki_spec spec, enum pki_issuer issuer, enum pki_usage usage,
    int from_days, int to_days)
{
	spec.issuer = issuer;
	spec.usage = usage;
	spec.from_days = from_days;
	spec.to_days = to_days;
	return spec;
}

static void
another_authority_is_refused(void **state)
{
	static const enum pki_issuer issuers[] = { PKI_OTHER_CA, PKI_TWIN_CA };
	const char *cause = "certificate is not from the expected CA";

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(issuers); i++) {
		struct pki_spec agent = with(pki_agent, issuers[i],
		    PKI_FOR_AGENTS, 0, 0);
		struct pki_spec client = with(pki_client, issuers[i],
		    PKI_FOR_CLIENTS, 0, 0);

		agent_is_refused(&agent, cause);
		client_is_refused(&client, cause);
	}
}

static void
a_self_signed_certificate_is_refused(void **state)
{
	struct pki_spec agent = with(pki_agent, PKI_SELF, PKI_FOR_AGENTS, 0, 0);
	struct pki_spec client = with(pki_client, PKI_SELF, PKI_FOR_CLIENTS, 0, 0);

	(void)state;
	agent_is_refused(&agent, "self-signed certificate");
	client_is_refused(&client, "self-signed certificate");
}

static void
a_certificate_out_of_its_time_is_refused(void **state)
{
	struct pki_spec agent = with(pki_agent, PKI_CA, PKI_FOR_AGENTS, -9, -2);
	struct pki_spec client = with(pki_client, PKI_CA, PKI_FOR_CLIENTS, -9, -2);

	(void)state;
	agent_is_refused(&agent, "certificate has expired");
	client_is_refused(&client, "certificate has expired");
	agent.from_days = client.from_days = 2;
	agent.to_days = client.to_days = 9;
	agent_is_refused(&agent, "certificate is not yet valid");
	client_is_refused(&client, "certificate is not yet valid");
}

static void
a_certificate_of_the_other_role_is_refused(void **state)
{
	struct pki_spec agent = with(pki_agent, PKI_CA, PKI_FOR_CLIENTS, 0, 0);
	struct pki_spec client = with(pki_client, PKI_CA, PKI_FOR_AGENTS, 0, 0);

	(void)state;
	agent_is_refused(&agent, "certificate is not for an agent");
	client_is_refused(&client, "certificate is not for a client");
}

static void
a_certificate_that_names_no_role_is_refused(void **state)
{
	struct pki_spec agent = with(pki_agent, PKI_CA, PKI_FOR_NOTHING, 0, 0);
	struct pki_spec client = with(pki_client, PKI_CA, PKI_FOR_NOTHING, 0, 0);

	(void)state;
	agent_is_refused(&agent, "certificate is not for an agent");
	client_is_refused(&client, "certificate is not for a client");
}

static void
a_certificate_for_both_roles_is_let_in(void **state)
{
	struct pki_spec agent = with(pki_agent, PKI_CA, PKI_FOR_BOTH, 0, 0);
	struct pki_spec client = with(pki_client, PKI_CA, PKI_FOR_BOTH, 0, 0);
	struct side agent_side = { .spec = &agent };
	struct side client_side = { .spec = &client };

	(void)state;
	assert_let_in(&agent_side, &client_side);
}

static void
a_client_without_certificate_is_refused(void **state)
{
	(void)state;
	client_is_refused(NULL, "no client certificate");
}

/* Both sides must say the same; which one noticed does not matter. */
static void
assert_no_common(const struct side *agent, const struct side *client,
    const char *by_us)
{
	struct end ends[2], *us;

	meet(agent, client, ends);
	us = agent->is_plain ? &ends[1] : &ends[0];
	assert_int_equal(us->err.code, E_TLS);
	assert_non_null(strstr(us->err.what, by_us));
	part(ends);
}

static void
a_peer_of_another_protocol_is_refused(void **state)
{
	static const char *const protocols[] = { "", "h2", "capture/2" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(protocols); i++) {
		struct side client = { .spec = &pki_client, .is_plain = true,
		    .alpn = protocols[i] };

		assert_no_common(&good_agent, &client,
		    "the peer does not speak " TLS_ALPN);
	}
	assert_no_common(&(struct side){ .spec = &pki_agent, .is_plain = true,
	    .alpn = "" }, &good_client, "the peer does not speak " TLS_ALPN);
}

static void
a_peer_that_wants_tls_1_2_is_refused(void **state)
{
	(void)state;
	assert_no_common(&(struct side){ .spec = &pki_agent, .is_plain = true,
	    .max_version = TLS1_2_VERSION }, &good_client,
	    "the peer does not speak TLS 1.3");
	assert_no_common(&good_agent, &(struct side){ .spec = &pki_client,
	    .is_plain = true, .max_version = TLS1_2_VERSION },
	    "the peer does not speak TLS 1.3");
}

/* What something that speaks no TLS says to a good agent or client. */
static void
assert_garbage_is_named(enum tls_role role, const char *bytes, size_t len)
{
	struct side side = { .spec = role == TLS_AGENT ? &pki_agent :
	    &pki_client };
	struct end end;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	open_end(&end, role, &side, fds[0]);
	assert_int_equal(write(fds[1], bytes, len), len);
	step(&end);
	step(&end);
	assert_int_equal(end.err.code, E_TLS);
	assert_string_equal(end.err.what, "the peer does not speak TLS");
	close_end(&end);
	close(fds[1]);
}

static void
a_peer_without_tls_is_named_as_that(void **state)
{
	static const char http[] = "GET / HTTP/1.1\r\nHost: sensor1\r\n\r\n";
	static const char answer[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
	static const char ssh[] = "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u2\r\n";
	static const char noise[] = "\x8e\x01\xf3\x77\x1d\x00\x9a\x5c\xe2\x40\x33";

	(void)state;
	assert_garbage_is_named(TLS_AGENT, http, sizeof(http) - 1);
	assert_garbage_is_named(TLS_AGENT, ssh, sizeof(ssh) - 1);
	assert_garbage_is_named(TLS_AGENT, noise, sizeof(noise) - 1);
	assert_garbage_is_named(TLS_CLIENT, answer, sizeof(answer) - 1);
	assert_garbage_is_named(TLS_CLIENT, ssh, sizeof(ssh) - 1);
	assert_garbage_is_named(TLS_CLIENT, noise, sizeof(noise) - 1);
}

static void
a_peer_that_hangs_up_is_no_tls_error(void **state)
{
	struct end end;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	open_end(&end, TLS_AGENT, &good_agent, fds[0]);
	close(fds[1]);
	step(&end);
	assert_int_equal(end.err.code, E_PEERGONE);
	assert_non_null(strstr(end.err.what, "closed by the peer"));
	close_end(&end);
}

/* --- the peer's name --- */

static void
assert_peer_name(const struct pki_spec *spec, size_t size, int want)
{
	struct side client = { .spec = spec };
	struct end ends[2];
	char name[64] = "untouched";

	meet(&good_agent, &client, ends);
	assert_true(ends[0].is_secured);
	assert_int_equal(tls_peer_name(ends[0].ssl, name, size), want);
	assert_string_equal(name, want == E_OK ? spec->common_name : "untouched");
	part(ends);
}

static void
the_peers_name_is_its_common_name_or_none(void **state)
{
	struct pki_spec spec = pki_client;

	(void)state;
	assert_peer_name(&spec, 64, E_OK);
	assert_peer_name(&spec, sizeof("alice"), E_OK);
	assert_peer_name(&spec, sizeof("alice") - 1, E_TOOBIG);
	spec.common_name = "J\xc3\xb6rg";
	assert_peer_name(&spec, 64, E_OK);
	spec.common_name = NULL;
	assert_peer_name(&spec, 64, E_TLS);
	spec.common_name = "root\0.example";
	spec.common_name_len = 13;
	assert_peer_name(&spec, 64, E_TLS);
}

/* --- loading --- */

static void
assert_not_loaded(enum tls_role role, const struct tls_files *files,
    const char *file, const char *cause)
{
	struct err err;

	assert_null(tls_new(role, files, &err));
	assert_int_equal(err.code, E_CONFIG);
	if (strstr(err.what, file) == NULL || strstr(err.what, cause) == NULL)
		fail_msg("'%s' names not '%s' or '%s'", err.what, file, cause);
	assert_null(tls_new(role, files, NULL));
}

static void
assert_spec_not_loaded(enum tls_role role, struct pki_spec spec, const char *cause)
{
	struct tls_files files;

	pki_lab_open(lab, &spec, &files);
	assert_not_loaded(role, &files, "cert.pem", cause);
	pki_lab_close(&files);
}

static void
own_certificates_that_peers_would_refuse_are_not_loaded(void **state)
{
	(void)state;
	assert_spec_not_loaded(TLS_AGENT, pki_client, "not for an agent");
	assert_spec_not_loaded(TLS_CLIENT, pki_agent, "not for a client");
	assert_spec_not_loaded(TLS_AGENT, with(pki_agent, PKI_CA,
	    PKI_FOR_NOTHING, 0, 0), "not for an agent");
	assert_spec_not_loaded(TLS_CLIENT, with(pki_client, PKI_CA,
	    PKI_FOR_CLIENTS, -9, -2), "has expired");
}

static int
file_of(const char *text)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

static void
files_that_hold_something_else_are_named(void **state)
{
	static const char *const contents[] = {
		"", "no PEM\n",
		"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
	};
	struct tls_files good, files;
	int other;

	(void)state;
	pki_lab_open(lab, &pki_agent, &good);
	for (size_t i = 0; i < ARRAY_LEN(contents); i++) {
		int fd = file_of(contents[i]);

		files = good;
		files.cert_fd = fd;
		assert_not_loaded(TLS_AGENT, &files, "cert.pem", "no certificate");
		files = good;
		files.key_fd = fd;
		assert_not_loaded(TLS_AGENT, &files, "cert.key", "no private key");
		files = good;
		files.ca_fd = fd;
		assert_not_loaded(TLS_AGENT, &files, "ca.pem", "no certificate");
		close(fd);
	}
	files = good;
	files.key_fd = good.cert_fd;
	assert_not_loaded(TLS_AGENT, &files, "cert.key", "no private key");
	other = open("/", O_RDONLY | O_CLOEXEC);
	files = good;
	files.ca_fd = other;
	assert_not_loaded(TLS_AGENT, &files, "ca.pem", "Is a directory");
	close(other);
	pki_lab_close(&good);
}

static void
a_key_of_another_certificate_is_named(void **state)
{
	struct tls_files one, two, mixed;

	(void)state;
	pki_lab_open(lab, &pki_agent, &one);
	pki_lab_open(lab, &pki_agent, &two);
	mixed = one;
	mixed.key_fd = two.key_fd;
	assert_not_loaded(TLS_AGENT, &mixed, "cert.key", "does not belong");
	pki_lab_close(&one);
	pki_lab_close(&two);
}

static void
the_same_descriptors_can_be_loaded_again(void **state)
{
	struct tls_files files;
	struct err err;

	(void)state;
	pki_lab_open(lab, &pki_agent, &files);
	for (int i = 0; i < 2; i++) {
		struct tls *tls = tls_new(TLS_AGENT, &files, &err);

		assert_non_null(tls);
		tls_free(tls);
	}
	tls_free(NULL);
	pki_lab_close(&files);
}

/* A reload frees the context while handshakes and connections are under way. */
static void
a_session_outlives_its_context(void **state)
{
	struct end ends[2];
	const struct side agent = { .spec = &pki_agent }, client = { .spec = &pki_client };
	int fds[2];
	char byte = 'x';

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	open_end(&ends[0], TLS_AGENT, &agent, fds[0]);
	open_end(&ends[1], TLS_CLIENT, &client, fds[1]);
	step(&ends[1]);
	tls_free(ends[0].tls);
	ends[0].tls = NULL;
	for (int turn = 0; turn < 20; turn++) {
		step(&ends[0]);
		step(&ends[1]);
	}
	assert_true(ends[0].is_secured && ends[1].is_secured);
	assert_int_equal(SSL_write(ends[0].ssl, &byte, 1), 1);
	assert_int_equal(SSL_read(ends[1].ssl, &byte, 1), 1);
	close_end(&ends[0]);
	close_end(&ends[1]);
}

static int
open_lab(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);	/* as both programs do */
	lab = pki_lab_new();
	return 0;
}

static int
close_lab(void **state)
{
	(void)state;
	pki_lab_free(lab);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_certificates_are_let_in),
		cmocka_unit_test(names_are_looked_up_among_all_of_the_certificate),
		cmocka_unit_test(another_authority_is_refused),
		cmocka_unit_test(a_self_signed_certificate_is_refused),
		cmocka_unit_test(a_certificate_out_of_its_time_is_refused),
		cmocka_unit_test(a_certificate_of_the_other_role_is_refused),
		cmocka_unit_test(a_certificate_that_names_no_role_is_refused),
		cmocka_unit_test(a_certificate_for_both_roles_is_let_in),
		cmocka_unit_test(a_client_without_certificate_is_refused),
		cmocka_unit_test(a_peer_of_another_protocol_is_refused),
		cmocka_unit_test(a_peer_that_wants_tls_1_2_is_refused),
		cmocka_unit_test(a_peer_without_tls_is_named_as_that),
		cmocka_unit_test(a_peer_that_hangs_up_is_no_tls_error),
		cmocka_unit_test(the_peers_name_is_its_common_name_or_none),
		cmocka_unit_test(own_certificates_that_peers_would_refuse_are_not_loaded),
		cmocka_unit_test(files_that_hold_something_else_are_named),
		cmocka_unit_test(a_key_of_another_certificate_is_named),
		cmocka_unit_test(the_same_descriptors_can_be_loaded_again),
		cmocka_unit_test(a_session_outlives_its_context),
	};

	return cmocka_run_group_tests_name("common/tls", tests, open_lab, close_lab);
}
