#include "conn_lab.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop_lab.h"

enum { SMALL_BUFFER = 16 << 10 };

uint8_t
conn_lab_byte(size_t at)
{
	return (uint8_t)(at * 31 + (at >> 8) * 7 + (at >> 16));
}

void
conn_lab_fill(uint8_t *buf, size_t len, size_t at)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = conn_lab_byte(at + i);
}

void
conn_lab_read(struct end *end)
{
	uint8_t buf[64 << 10];
	size_t max = end->read_max == 0 ? sizeof(buf) : end->read_max;
	int64_t n;

	for (;;) {
		if (end->stop_at != 0 && end->n_received >= end->stop_at)
			return;
		n = conn_read(end->conn, buf, max);
		if (n <= 0)
			return;
		for (int64_t i = 0; i < n; i++)
			if (buf[i] != conn_lab_byte(end->n_received + (size_t)i))
				fail_msg("byte %zu is another",
				    end->n_received + (size_t)i);
		end->n_received += (size_t)n;
	}
}

void
conn_lab_send(struct end *end, size_t len)
{
	uint8_t *buf = malloc(len);

	assert_non_null(buf);
	conn_lab_fill(buf, len, end->n_sent);
	assert_int_equal(conn_send(end->conn, buf, len), E_OK);
	end->n_sent += len;
	free(buf);
}

void
conn_lab_event(struct conn *conn, enum conn_event event, void *arg)
{
	struct end *end = arg;

	assert_non_null(end->conn);	/* freed ones are silent */
	assert_ptr_equal(conn, end->conn);
	assert_false(end->is_over);
	end->seen[event]++;
	switch (event) {
	case CONN_EV_SECURED:
		end->is_secured = true;
		assert_int_equal(conn_peer_name(conn, end->peer,
		    sizeof(end->peer)), E_OK);
		break;
	case CONN_EV_DATA:
		if (end->on_data != NULL)
			end->on_data(end);
		else
			conn_lab_read(end);
		break;
	case CONN_EV_LOW_WATER:
		break;
	case CONN_EV_SENT:
		end->is_over = true;
		break;
	case CONN_EV_CLOSED:
	case CONN_EV_ERROR:
		end->err = *conn_error(conn);
		end->is_over = true;
		break;
	}
	if (end->free_in == (int)event && end->conn != NULL) {
		conn_free(conn);
		end->conn = NULL;
	}
}

int
conn_lab_open(void **state)
{
	static struct conn_lab lab;
	struct err err;

	signal(SIGPIPE, SIG_IGN);	/* as both programs do */
	memset(&lab, 0, sizeof(lab));
	lab.agent.free_in = lab.client.free_in = CONN_LAB_NEVER;
	lab.pki = pki_lab_new();
	lab.loop = loop_new(&err);
	assert_non_null(lab.loop);
	lab.agent_tls = pki_lab_tls(lab.pki, TLS_AGENT, &pki_agent);
	lab.client_tls = pki_lab_tls(lab.pki, TLS_CLIENT, &pki_client);
	*state = &lab;
	return 0;
}

int
conn_lab_close(void **state)
{
	struct conn_lab *lab = *state;

	conn_free(lab->agent.conn);
	conn_free(lab->client.conn);
	tls_free(lab->agent_tls);
	tls_free(lab->client_tls);
	pki_lab_free(lab->pki);
	loop_free(lab->loop);
	return 0;
}

void
conn_lab_connect(struct conn_lab *lab)
{
	const int size = SMALL_BUFFER;
	struct sockaddr_in addr;
	struct err err;
	int listener = loop_lab_listen(&addr), fd;

	setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	lab->client.conn = conn_connect(lab->loop, lab->client_tls,
	    (struct sockaddr *)&addr, sizeof(addr), "sensor1", conn_lab_event,
	    &lab->client, &err);
	assert_non_null(lab->client.conn);
	fd = loop_lab_accept(listener);
	close(listener);
	lab->agent.conn = conn_accept(lab->loop, lab->agent_tls, fd,
	    conn_lab_event, &lab->agent, &err);
	assert_non_null(lab->agent.conn);
}

static bool
both_are_secured(void *arg)
{
	struct conn_lab *lab = arg;

	return lab->agent.is_secured && lab->client.is_secured;
}

void
conn_lab_secure(struct conn_lab *lab)
{
	conn_lab_connect(lab);
	loop_lab_until(lab->loop, both_are_secured, lab);
}
