/*
 * conn - one full-duplex, non-blocking TLS connection on a loop.
 *
 * Calls OpenSSL itself instead of through libevent's bufferevents: what is
 * sent goes to SSL_write from where it lies, and a connection can move to
 * another thread's loop (libevent cannot change the base of a TLS
 * bufferevent).  Knows nothing of frames or messages.
 */
#ifndef COMMON_CONN_H
#define COMMON_CONN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/err.h"
#include "common/loop.h"
#include "common/tls.h"

struct conn;

enum conn_event {
	CONN_EV_SECURED,	/* handshake done, peer's certificate verified */
	CONN_EV_DATA,		/* conn_read() has something */
	CONN_EV_LOW_WATER,	/* the queue fell to or below the low mark */
	CONN_EV_SENT,		/* after conn_finish(): all was sent, closed */
	CONN_EV_CLOSED,		/* the peer closed in order */
	CONN_EV_ERROR,		/* see conn_error(); the connection is dead */
};

/* The connection may be freed inside the callback with conn_free(). */
typedef void (*conn_fn)(struct conn *conn, enum conn_event event, void *arg);

/* Take an accepted socket and start the agent's side of the handshake. */
struct conn *conn_accept(struct loop *loop, struct tls *tls, int fd,
    conn_fn fn, void *arg, struct err *err);

/*
 * Connect to addr and start the client's side.  server_name is what the
 * agent's certificate must name: a DNS name or an address.
 */
struct conn *conn_connect(struct loop *loop, struct tls *tls,
    const struct sockaddr *addr, socklen_t addr_len, const char *server_name,
    conn_fn fn, void *arg, struct err *err);

/*
 * Close at once (with a TLS close when nothing is queued); queued references
 * get their done call.  NULL is allowed.
 */
void conn_free(struct conn *conn);

/* The same without a TLS close: to the peer it looks lost, not ended. */
void conn_break(struct conn *conn);

/*
 * Read decrypted bytes.  Returns how many, or E_AGAIN, E_EOF, or the final
 * error, which conn_error() explains.  Call until E_AGAIN: a DATA event
 * comes once for what has arrived.
 */
int64_t conn_read(struct conn *conn, void *buf, size_t len);

/* Stop reading (the peer will be slowed down by TCP), and go on. */
void conn_pause(struct conn *conn);
void conn_resume(struct conn *conn);

/* What becomes of a peer that is there, but reads nothing. */
enum conn_stalled {
	CONN_KEEP_STALLED,	/* a paused reader is no dead one */
	CONN_DROP_STALLED,	/* the same as no answer */
};

/*
 * The kernel finds a peer that does not answer dead after about so long
 * (1000 ms at least): CONN_EV_ERROR.  Until then that takes some 20 s, and more
 * while something is queued; CONN_DROP_STALLED bounds that, too, by ten times as
 * long.  A hint: what the kernel does not take is left as it was.
 */
void conn_set_liveness(struct conn *conn, uint32_t dead_after_ms,
    enum conn_stalled stalled);

/*
 * How many segments with data came from the peer, which may be part of a TLS
 * record that nobody can read yet; 0 when the kernel does not say.
 */
uint32_t conn_data_segments(const struct conn *conn);

/*
 * Milliseconds since a segment came at all, which is an answer to what was sent
 * also while nothing is read.  INT64_MAX when the kernel does not say.
 */
int64_t conn_unanswered_ms(const struct conn *conn);

/* How long an answer takes, smoothed; 0 when it is not known. */
int64_t conn_round_trip_ms(const struct conn *conn);

/* Queue a copy of data.  E_NOMEM, or the final error. */
int conn_send(struct conn *conn, const void *data, size_t len) MUST_CHECK;

/*
 * Queue data without a copy; it must not change until done(arg), which is
 * called exactly once on E_OK: when all is sent (perhaps before this returns),
 * or when the connection breaks or is freed.  On an error it is not called.
 */
int conn_send_ref(struct conn *conn, const void *data, size_t len,
    void (*done)(void *arg), void *arg) MUST_CHECK;

/* Bytes queued and not yet given to the kernel. */
size_t conn_queued(const struct conn *conn);

/* LOW_WATER is reported when the queue falls to low (default 0). */
void conn_set_low_water(struct conn *conn, size_t low);

/*
 * Send what is queued and a TLS close, wait a moment (1 s at most) for the peer
 * to read it, then report SENT.  Nothing more is read.
 */
void conn_finish(struct conn *conn);

/*
 * Take the connection off its loop (not from its own callback), then give it
 * to another thread, whose loop it joins with new callbacks.  Unread bytes
 * stay inside.  When attach fails the caller frees conn.
 */
void conn_detach(struct conn *conn);
int conn_attach(struct conn *conn, struct loop *loop, conn_fn fn, void *arg,
    struct err *err) MUST_CHECK;

const struct err *conn_error(const struct conn *conn);

/* Common name of the peer's certificate, after SECURED. */
int conn_peer_name(struct conn *conn, char *dst, size_t size) MUST_CHECK;

#endif /* COMMON_CONN_H */
