/*
 * capture_int - what the files of one capture share; see capture.h.
 *
 * capture.c builds it and runs its thread, capture_order.c brings what other
 * threads want of it, capture_rings.c moves packets from the rings into the
 * log, capture_interfaces.c lets interfaces come and go, capture_filter.c
 * changes filters, capture_client.c speaks with the client and ends the
 * capture in order, capture_news.c tells it what happened, capture_tick.c
 * looks whether both sides are in time, capture_conn.c has the connection: how
 * it is lost and resumed.
 */
#ifndef SERVER_CAPTURE_INT_H
#define SERVER_CAPTURE_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/clock.h"
#include "common/clock_watch.h"
#include "common/loop.h"
#include "proto/batch.h"
#include "proto/codec.h"
#include "server/announcements.h"
#include "server/capture.h"
#include "server/prologue.h"
#include "server/ring_map.h"
#include "server/stream.h"

enum {
	CAPTURE_STATS_NS = 2 * NS_PER_S,	/* kernel counters are 32 bits wide */
	CAPTURE_END_LIMIT_MS = 4000,	/* when the agent ends: to take what is left */
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

enum capture_ring_state {
	CAPTURE_RING_OPEN,
	CAPTURE_RING_LEAVING,	/* the interface is gone, packets may be left */
	CAPTURE_RING_CLOSED,	/* only its counters are left */
};

struct capture_ring {
	struct capture	*capture;
	enum capture_ring_state state;
	int		 fd;
	struct ring	 ring;
	void		*mem;
	uint32_t	 block_size, block_nr, retire_ms;
	struct ring_stats stats;
	uint64_t	 nic_seen, nic_dropped;	/* its driver's counter, and since the start */
	bool		 is_nic_known;
	struct loop_io	*io;
	struct mono_ns	 leave_until;
	uint32_t	 ifindex;
	bool		 is_elsewhere, is_adapter_time;
	enum filter_place place;
	struct prologue_check *check;	/* what ring's filters point to */
	struct capture_mail lost_mail, closed_mail;
	bool		 is_lost;	/* lost_mail was posted */
	char		 name[16];
};

struct capture_order;

struct capture {
	struct mailbox	*owner;
	void		*owner_arg;
	struct capture_mail quiesce_mail, update_mail, held_mail, done_mail;
	struct capture_order *quiesced_order, *hold_order;
	struct capture_order *end_order, *agent_order;	/* of capture_end(), capture_end_agent() */
	atomic_flag	 end_ordered, agent_ordered;

	pthread_t	 thread;
	struct loop	*loop;
	struct mailbox	*orders;
	struct conn	*conn;		/* NULL: lost, and not resumed yet */
	struct frame_reader *reader;	/* conn's */
	struct conn	*leaving;	/* whose Resume was refused: takes its Error */
	struct stream	 stream;
	struct msg_started started;	/* as the client was told, every interface so far */
	uint32_t	 started_room;	/* of its interfaces */
	struct announcements *announcements;
	uint64_t	 n_announced;	/* of them this connection had, or needs not */
	uint32_t	 n_told;	/* of the interfaces it knows */
	struct batch_log *log;
	struct batch_builder *builder;
	struct capture_ring **rings;	/* by number in the stream */
	uint32_t	 n_rings, rings_room;

	struct loop_timer *busy_timer, *stats_timer, *end_timer, *leave_timer, *lost_timer;
	struct loop_timer *tick_timer, *linger_timer, *duration_timer;
	struct clock_watch clock_watch;
	enum capture_state state;
	bool		 is_busy;
	bool		 is_refused;	/* the client broke the protocol */
	bool		 is_holding;	/* the rings are left alone */
	bool		 is_interrupted; /* nobody wants what is left */
	bool		 is_agent_ending; /* and waits for nobody */
	bool		 is_updating;	/* an UpdateFilter is not answered yet */
	uint32_t	 update_number, n_filters;
	struct mono_ns	 attached;	/* since when there is this connection */
	struct mono_ns	 heard;		/* when the client last said anything */
	struct mono_ns	 checked;	/* when that was last looked at */
	struct wall_ns	 looked;	/* all that the rings had by then was taken */
	struct wall_ns	 watermark;	/* the last one */
	int64_t		 behind_ns;	/* so late a stream is told so next */
	struct mono_ns	 drain_until;
	uint64_t	 next_sequence;
	uint64_t	 batched, max_packets, max_duration_ms;
	int		 end_code;	/* why the capture ends */
	char		 end_text[PROTO_MAX_TEXT + 1];
	char		 name[CAPTURE_NAME_LEN];
};

/* --- capture_order.c --- */

/* What another thread wants of the capture's. */
struct capture_order {
	struct mail	 mail;
	enum {
		ORDER_END, ORDER_QUIESCED, ORDER_HOLD,	/* the capture's own */
		/* malloc'd */
		ORDER_ADD, ORDER_TELL, ORDER_LOST, ORDER_REFILTER, ORDER_RESUME,
	} type;
	int		 code;			/* END */
	int64_t		 limit_ns;		/* END: 0 for none */
	struct capture_socket socket;		/* ADD */
	struct msg_capture_interface info;	/* ADD */
	enum capture_event kind;		/* TELL */
	uint32_t	 iface;			/* TELL, LOST */
	uint64_t	 packets;		/* LOST */
	char		 text[PROTO_MAX_TEXT + 1];	/* END, TELL, RESUME: who */
	struct capture_refilter *refilter;	/* REFILTER */
	struct msg_resume resume;		/* RESUME */
	struct conn	*conn;			/* RESUME */
	struct frame_reader *reader;		/* RESUME */
};

/* Make the orders that must not fail later.  E_NOMEM. */
int capture_orders_init(struct capture *c, struct err *err);
void capture_orders_fini(struct capture *c);
void capture_on_order(struct mail *mail, void *arg);
void capture_drop_order(struct mail *mail);

/* --- capture_rings.c --- */

/* Close the open batch, if there is something in it. */
void capture_seal(struct capture *c);

/* Look at all rings, seal and send what they hold, and plan the next look. */
void capture_read_rings(struct capture *c);

/* For what to wait at a ring: nothing while a timer looks, or nobody must. */
unsigned capture_ring_events(const struct capture *c);
void capture_watch_rings(struct capture *c);
void capture_on_ring(unsigned events, void *arg);
void capture_on_busy_timer(void *arg);

/* Is all that the kernel counted out of this ring? */
bool capture_ring_has_everything(const struct capture_ring *r);

/* No more packets enter the rings: empty them, then capture_flush(). */
void capture_begin_drain(struct capture *c);

/* --- capture_stats.c --- */

/* The sensor's clock. */
struct wall_ns capture_wall(const struct capture *c);

/* Add what the kernel counted since the last call. */
void capture_read_stats(struct capture *c);

/* What the adapters of our own namespace dropped since the capture began. */
void capture_read_nic(struct capture *c);

/* The counters as a message; the caller frees its array.  E_NOMEM. */
int capture_fill_stats(const struct capture *c, struct msg_stats *stats);

/* The line that ends the log of a capture. */
void capture_log_end(const struct capture *c);

/* --- capture_interfaces.c --- */

/* Map socket's ring as the next interface; takes what socket holds. */
int capture_ring_add(struct capture *c, const struct capture_socket *socket,
    struct err *err) MUST_CHECK;

/* The same while the capture runs, with word to the client; takes info's addresses. */
void capture_interface_add(struct capture *c, const struct capture_socket *socket,
    const struct msg_capture_interface *info);

/* Word to the client; GONE: the ring is emptied, then closed. */
void capture_interface_tell(struct capture *c, enum capture_event kind,
    uint32_t iface, const char *text);
void capture_on_leave_timer(void *arg);

/*
 * Tell the owner of interfaces whose sockets lost their device.  What comes
 * under the same name, or even the same number, is another one.
 */
void capture_look_for_lost(struct capture *c);
void capture_on_lost_timer(void *arg);

/* Unmap and close; only its counters are left. */
void capture_ring_close(struct capture_ring *r);

/*
 * All of them, with word to the owner: everything is in the log, and the wait
 * for a client may be long.
 */
void capture_rings_close(struct capture *c);

/* --- capture_filter.c --- */

void capture_update(struct capture *c, struct msg *msg);
void capture_set_check(struct capture_ring *r, enum filter_place place,
    struct prologue_check *check, bool is_change);
void capture_take_refilter(struct capture *c, struct capture_refilter *refilter);

/* --- capture_client.c --- */

void capture_on_conn(struct conn *conn, enum conn_event event, void *arg);
void capture_on_stats_timer(void *arg);
void capture_end_is_late(void *arg);

/* Handle the messages that wait in reader and connection. */
void capture_read_messages(struct capture *c);

/* Send msg; without a connection nobody wants it. */
void capture_send(struct capture *c, const struct msg *msg);

/* What the client did wrong ends the capture, in words it can read. */
void capture_refuse(struct capture *c, int code, const char *text);

/* Send what the connection may hold; at the end of a flush, Ended. */
void capture_pump(struct capture *c);

/* Close the tap, drain, flush, end.  The first reason counts. */
void capture_begin_end(struct capture *c, int code, const char *text);

/* Everything the kernel held is in the log, or is written off. */
void capture_flush(struct capture *c);

/* Leave the loop at once. */
void capture_die(struct capture *c);

/* --- capture_news.c --- */

/* What was announced falls out: an announcements_fn. */
void capture_news_gone(const struct announcement *gone, void *capture);

/* Remember what the client is told of the next interface; takes its addresses.  E_NOMEM. */
int capture_news_add_interface(struct capture *c,
    const struct msg_capture_interface *info) MUST_CHECK;

/* Announce msg, an Event or FilterChanged: now, and perhaps again. */
void capture_announce(struct capture *c, const struct msg *msg);

/*
 * Send the interfaces and announcements that the connection does not have yet.
 * Has it all of them now?
 */
bool capture_tell_news(struct capture *c);

/*
 * Started, as an answer to this Resume, as a frame for free().  E_NOMEM,
 * E_TOOBIG.
 */
int capture_pack_started(const struct capture *c, const struct msg_resume *resume,
    uint8_t **ret_frame, size_t *ret_len) MUST_CHECK;

/* --- capture_tick.c --- */

/* Several times a second while there is a connection. */
void capture_begin_ticks(struct capture *c);
void capture_on_tick(void *arg);

/* --- capture_conn.c --- */

/* conn is attached: serve it from now on. */
void capture_begin_conn(struct capture *c);

/*
 * The connection is gone, or no longer of use: linger, or end.  why is for the
 * log; NULL: it took nothing more.
 */
void capture_lose_conn(struct capture *c, const char *why);
void capture_on_linger_timer(void *arg);

/* Takes the connection of order; see capture_resume(). */
void capture_obey_resume(struct capture *c, struct capture_order *order);

/* Tell a connection that is detached that there is nothing to resume; frees it. */
void capture_turn_away(struct conn *conn, struct frame_reader *reader);

#endif /* SERVER_CAPTURE_INT_H */
