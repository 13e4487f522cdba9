/*
 * conn_lab - two connections that talk to each other over loopback.
 */
#ifndef TESTS_UNIT_CONN_LAB_H
#define TESTS_UNIT_CONN_LAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/conn.h"
#include "pki_lab.h"

enum { CONN_LAB_EVENTS = CONN_EV_ERROR + 1, CONN_LAB_NEVER = -1 };

/* One of the two, and what it saw. */
struct end {
	struct conn	*conn;		/* NULL after it was freed */
	unsigned	 seen[CONN_LAB_EVENTS];
	bool		 is_secured, is_over;	/* over: CLOSED, ERROR or SENT */
	struct err	 err;
	char		 peer[64];	/* name in its certificate */

	/* What it does; set before the loop runs. */
	int		 free_in;	/* the event to free the connection in */
	size_t		 read_max;	/* of one read; 0: much */
	size_t		 stop_at;	/* do not read beyond; 0: all there is */
	void	       (*on_data)(struct end *end);	/* instead of reading */

	size_t		 n_received;	/* bytes, checked against the pattern */
	size_t		 n_sent;	/* handed to conn_send() or _ref() */
};

struct conn_lab {
	struct pki_lab	*pki;
	struct loop	*loop;
	struct tls	*agent_tls, *client_tls;
	struct end	 agent, client;
};

/* For a test's setup and teardown: *state is the lab. */
int conn_lab_open(void **state);
int conn_lab_close(void **state);

/* Connect the two with small socket buffers; nothing has run yet. */
void conn_lab_connect(struct conn_lab *lab);

/* The same with the handshake done. */
void conn_lab_secure(struct conn_lab *lab);

/* An end's callback, for connections the test makes itself (arg: the end). */
void conn_lab_event(struct conn *conn, enum conn_event event, void *arg);

/* Byte number at of the stream that each end sends. */
uint8_t conn_lab_byte(size_t at);

/* Fill buf with the bytes of the stream from at on. */
void conn_lab_fill(uint8_t *buf, size_t len, size_t at);

/* Read what there is (as the end's members say) and check it. */
void conn_lab_read(struct end *end);

/* Send the next len bytes of the stream, which the connection must take. */
void conn_lab_send(struct end *end, size_t len);

#endif /* TESTS_UNIT_CONN_LAB_H */
