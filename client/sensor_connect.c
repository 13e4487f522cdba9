#include "client/sensor_int.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/conn.h"
#include "common/log.h"

static void try_next(struct sensor *s);

static void
name_address(struct sensor *s, const struct addrinfo *ai)
{
	char host[64], *paren = strstr(s->name, " (");

	if (paren != NULL)
		*paren = '\0';
	if (getnameinfo(ai->ai_addr, ai->ai_addrlen, host, sizeof(host), NULL, 0,
	    NI_NUMERICHOST) == 0 && strstr(s->name, host) == NULL) {
		size_t len = strlen(s->name);

		snprintf(s->name + len, sizeof(s->name) - len, " (%s)", host);
	}
}

static void
secured(struct sensor *s)
{
	struct msg msg = { .type = MSG_HELLO };

	frame_reader_free(s->reader);
	s->reader = frame_reader_new(PROTO_MAX_MESSAGE);
	if (s->reader == NULL) {
		sensor_fail_with(s, E_NOMEM, "out of memory");
		return;
	}
	s->heard = clock_mono();
	s->state = SENSOR_GREETING;
	/* Pings go on while nothing is read: what they wait for is no answer. */
	conn_set_liveness(s->conn, s->heartbeat_ms, CONN_DROP_STALLED);
	log_debug(LOG_SENSOR, "%s: TLS is up, the agent's certificate is good",
	    s->name);
	msg.hello.version = PROTO_VERSION;
	snprintf(msg.hello.program, sizeof(msg.hello.program),
	    "capclient " CAP_VERSION);
	sensor_send_or_fail(s, &msg);
}

static void
lost(struct sensor *s, const struct err *err)
{
	struct err copy;

	bool says_so = strncmp(err->what, "connection ", strlen("connection ")) == 0;

	err_set(&copy, err->code, s->state < SENSOR_READY || says_so ? "%s: %.200s" :
	    "%s: connection lost: %.180s", s->name, err->what);
	/* Another address may do better, but not another handshake. */
	if (s->state == SENSOR_CONNECTING && err->code == E_UNREACHABLE) {
		s->last_err = copy;
		try_next(s);
		return;
	}
	if (copy.code == E_EOF)
		copy.code = E_PEERGONE;
	/* Whoever hangs up on a handshake speaks something else. */
	if (s->state == SENSOR_CONNECTING && copy.code == E_PEERGONE)
		err_set(&copy, E_UNREACHABLE, "%s: TLS: %.150s: is it an agent that "
		    "listens there?", s->name, err->what);
	sensor_fail(s, &copy);
}

static void
on_conn(struct conn *conn, enum conn_event event, void *arg)
{
	struct sensor *s = arg;

	switch (event) {
	case CONN_EV_SECURED:
		secured(s);
		return;
	case CONN_EV_DATA:
		sensor_read_messages(s);
		return;
	case CONN_EV_LOW_WATER:
	case CONN_EV_SENT:
		return;
	case CONN_EV_CLOSED:
	case CONN_EV_ERROR:
		lost(s, conn_error(conn));
		return;
	}
}

static void
try_next(struct sensor *s)
{
	while (s->next != NULL) {
		const struct addrinfo *ai = s->next;
		struct err err;

		s->next = ai->ai_next;
		conn_free(s->conn);
		name_address(s, ai);
		sensor_set_state(s, SENSOR_CONNECTING, s->connect_ms);
		log_debug(LOG_SENSOR, "%s: connecting", s->name);
		s->conn = conn_connect(s->loop, s->tls, ai->ai_addr,
		    ai->ai_addrlen, s->server_name, on_conn, s, &err);
		if (s->conn != NULL)
			return;
		err_set(&s->last_err, err.code, "%s: %.200s", s->name, err.what);
	}
	sensor_fail(s, &s->last_err);
}

void
sensor_timed_out(void *arg)
{
	struct sensor *s = arg;

	if (s->state == SENSOR_CONNECTING) {
		err_set(&s->last_err, E_UNREACHABLE, "%s: connect: no answer in "
		    "%d s", s->name, (int)(s->connect_ms / 1000));
		try_next(s);
		return;
	}
	sensor_fail_with(s, E_TIMEOUT, s->state == SENSOR_GREETING ?
	    "no hello from the agent" : "no answer from the agent");
}

void
sensor_start_connecting(void *arg)
{
	try_next(arg);
}

int
sensor_lookup(const struct address *address, struct addrinfo **ret_addresses,
    struct err *err)
{
	struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG,
	};
	char port[8];
	int rc;

	/* AI_ADDRCONFIG ignores loopback addresses, so literals go without. */
	snprintf(port, sizeof(port), "%u", address->port);
	rc = getaddrinfo(address->host, port, &hints, ret_addresses);
	if (rc == EAI_NONAME || rc == EAI_ADDRFAMILY) {
		hints.ai_flags = 0;
		rc = getaddrinfo(address->host, port, &hints, ret_addresses);
	}
	if (rc != 0)
		return err_set(err, E_UNREACHABLE, "sensor '%s': look up: %s",
		    address->host, rc == EAI_SYSTEM ? "system error" :
		    gai_strerror(rc));
	return E_OK;
}
