/*
 * conn_int - what the files of a connection share; see conn.h.
 *
 * conn.c has its states and events, conn_open.c makes it, conn_send.c has the
 * queue of what is to be sent.
 */
#ifndef COMMON_CONN_INT_H
#define COMMON_CONN_INT_H

#include <stdbool.h>

#include <openssl/ssl.h>

#include "common/conn.h"

enum conn_state {
	CONN_CONNECTING, CONN_HANDSHAKE, CONN_OPEN,
	CONN_FINISHING,			/* conn_finish(): the queue goes out */
	CONN_LINGER,			/* nothing more to say: wait for EOF */
	CONN_DEAD,
};

struct segment {
	struct segment	*next;
	const uint8_t	*data;
	size_t		 len, sent;
	void	       (*done)(void *arg);
	void		*arg;
	size_t		 room;		/* of own[], 0 for a reference */
	uint8_t		 own[];
};

struct conn {
	struct loop	*loop;
	struct loop_io	*io;
	struct loop_timer *linger;
	struct loop_timer *again;		/* asks for buffered data once more */
	int		 fd;
	SSL		*ssl;
	enum conn_state	 state;
	conn_fn		 fn;
	void		*arg;
	struct segment	*first, **end, *last;
	size_t		 queued, low_water;
	bool		 is_paused;
	bool		 read_wants_write;	/* TLS key update */
	bool		 is_read_dry;		/* SSL_read needs more of the socket */
	bool		 error_pending;		/* found while sending */
	bool		 in_callback, is_freed;
	enum conn_event	 after_linger;
	struct err	 err;
};

/* --- conn.c --- */

/* Watch the socket for what the state waits for. */
void conn_watch(struct conn *c);

/* Events of the socket, and of bytes that OpenSSL still holds. */
void conn_on_io(unsigned events, void *arg);
void conn_on_again(void *arg);

/* Release everything; also a half-built connection. */
void conn_destroy(struct conn *c);

/* --- conn_send.c --- */

/* Write what the socket takes.  An error is kept for the loop to report. */
void conn_write_some(struct conn *c);

/* Forget the queue; references get their done call. */
void conn_drop_queue(struct conn *c);

#endif /* COMMON_CONN_INT_H */
