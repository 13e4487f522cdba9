/*
 * capture_int - what the files of one capture share; see capture.h.
 *
 * capture.c builds it and runs its thread, capture_rings.c moves packets from
 * the rings into the log, capture_client.c speaks with the client and ends
 * the capture in order.
 */
#ifndef SERVER_CAPTURE_INT_H
#define SERVER_CAPTURE_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/clock.h"
#include "common/loop.h"
#include "proto/batch.h"
#include "proto/codec.h"
#include "server/capture.h"
#include "server/ring_map.h"
#include "server/stream.h"

enum {
	CAPTURE_STATS_NS = 2 * NS_PER_S,	/* kernel counters are 32 bits wide */
	CAPTURE_SILENCE_S = 60,		/* capclient pings every 2 s, also while it reads nothing */
	CAPTURE_END_LIMIT_MS = 4000,	/* when the agent ends: to take what is left */
	CAPTURE_UNREAD_MAX = 8 << 20,	/* beyond what a stream queues */
	CAPTURE_NAME_LEN = 160,
};

enum capture_state {
	CAPTURE_RUNNING,
	CAPTURE_QUIESCING,	/* asked the owner to close the tap */
	CAPTURE_DRAINING,	/* the kernel still holds packets */
	CAPTURE_FLUSHING,	/* the log goes out, then Ended */
	CAPTURE_CLOSING,	/* Ended is sent: the client closes */
	CAPTURE_DEAD,
};

enum capture_link { CAPTURE_LINK_UP, CAPTURE_LINK_DOWN, CAPTURE_LINK_GONE };

struct capture_ring {
	struct capture	*capture;
	int		 fd;
	struct ring	 ring;
	void		*mem;
	uint32_t	 block_size, block_nr, retire_ms;
	struct ring_stats stats;
	struct loop_io	*io;
	uint32_t	 ifindex;
	enum capture_link link;
	char		 name[16];
};

/* Why and what, from other threads. */
struct capture_order {
	struct mail	 mail;
	enum { ORDER_END, ORDER_QUIESCED } type;
	int		 code;
};

struct capture {
	struct mailbox	*owner;
	void		*owner_arg;
	struct capture_mail quiesce_mail, done_mail;
	struct capture_order quiesced_order, end_order;
	atomic_flag	 end_ordered;

	pthread_t	 thread;
	struct loop	*loop;
	struct mailbox	*orders;
	struct conn	*conn;
	struct frame_reader *reader;
	struct stream	 stream;
	struct batch_log *log;
	struct batch_builder *builder;
	struct capture_ring *rings;
	uint32_t	 n_rings;

	struct loop_timer *busy_timer, *stats_timer, *end_timer, *link_timer;
	enum capture_state state;
	bool		 is_busy;
	bool		 is_refused;	/* the client broke the protocol */
	struct mono_ns	 heard;		/* when the client last said anything */
	struct mono_ns	 checked;	/* when that was last looked at */
	struct mono_ns	 drain_until;
	uint64_t	 next_sequence;
	uint64_t	 batched, max_packets;
	int		 end_code;	/* why the capture ends */
	char		 end_text[PROTO_MAX_TEXT + 1];
	char		 name[CAPTURE_NAME_LEN];
};

/* --- capture_rings.c --- */

/* Look at all rings, seal and send what they hold, and plan the next look. */
void capture_read_rings(struct capture *c);

void capture_watch_rings(struct capture *c, unsigned events);
void capture_on_ring(unsigned events, void *arg);
void capture_on_busy_timer(void *arg);

/* Add what the kernel counted since the last call. */
void capture_read_stats(struct capture *c);

/* The counters as a message; the caller frees its array.  E_NOMEM. */
int capture_fill_stats(const struct capture *c, struct msg_stats *stats);

/* No more packets enter the rings: empty them, then capture_flush(). */
void capture_begin_drain(struct capture *c);

/* --- capture_interfaces.c --- */

/* A ring's socket reported that its interface is not there: find out. */
void capture_link_error(struct capture *c);
void capture_on_link_timer(void *arg);

/* --- capture_client.c --- */

void capture_on_conn(struct conn *conn, enum conn_event event, void *arg);
void capture_on_stats_timer(void *arg);
void capture_end_is_late(void *arg);

/* Handle the messages that wait in reader and connection. */
void capture_read_messages(struct capture *c);

/* Send what the connection may hold; at the end of a flush, Ended. */
void capture_pump(struct capture *c);

/* Close the tap, drain, flush, end.  The first reason counts. */
void capture_begin_end(struct capture *c, int code, const char *text);

/* Everything the kernel held is in the log, or is written off. */
void capture_flush(struct capture *c);

/* Leave the loop at once. */
void capture_die(struct capture *c);

#endif /* SERVER_CAPTURE_INT_H */
