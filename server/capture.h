/*
 * capture - one running capture: a thread with its rings, log and stream.
 *
 * The thread owns all that it touches; the listener's thread talks to it
 * through mailboxes only, and does for it what needs the boundary to
 * capagent (filters, opening, closing).  Runs in capagent-net.
 *
 * With a linger time it goes on without its connection for so long, until
 * capture_resume() brings another one.
 *
 * Life: capture_start() -> CAPTURE_MAIL_QUIESCE (attach reject-all, then
 * capture_quiesced()) -> CAPTURE_MAIL_DONE -> capture_join().
 *
 * Interfaces are numbered in the order in which the client hears of them:
 * those of capture_config, then each that capture_add() brings.
 */
#ifndef SERVER_CAPTURE_H
#define SERVER_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/conn.h"
#include "common/err.h"
#include "common/mailbox.h"
#include "proto/codec.h"
#include "proto/frame.h"
#include "server/batch_log.h"
#include "server/ring.h"

struct capture;
struct prologue_check;

struct capture_socket {
	int		 fd;		/* taken */
	uint32_t	 block_size, block_nr, retire_ms;
	uint32_t	 ifindex;
	bool		 is_elsewhere;	/* in another network namespace */
	bool		 is_adapter_time; /* stamps of another clock than the host's */
	struct ring_link link;
	char		 name[16];
	enum filter_place place;
	struct prologue_check *check;	/* taken: of FILTER_AGENT, else NULL */
};

struct capture_config {
	struct mailbox	*owner;		/* where struct capture_mail goes */
	void		*owner_arg;	/* capture_owner_arg() */
	struct conn	*conn;		/* taken: detached from its loop */
	struct frame_reader *reader;	/* taken: may hold unread frames */
	struct capture_socket *sockets;	/* copied; what they hold is taken */
	uint32_t	 n_sockets;
	uint32_t	 n_filters;	/* of the Start: as many an update has */
	size_t		 log_bytes;
	enum batch_log_policy policy;
	uint64_t	 max_packets;	/* 0: no end */
	uint64_t	 max_duration_ms; /* 0: no end */
	const struct msg_started *started; /* copied: what the client was told */
	uint32_t	 number;	/* capagent's for it: captures' */
	const char	*name;		/* "session 7 alice@10.0.0.9:4711"; copied */
	struct wall_ns	(*wall)(void);	/* NULL; a test that sets the clock has its own */
};

enum capture_mail_type {
	CAPTURE_MAIL_QUIESCE,	/* let no more packets in, then capture_quiesced() */
	CAPTURE_MAIL_UPDATE,	/* the client sent other filters: capture_refilter() */
	CAPTURE_MAIL_HELD,	/* capture_hold() is in force */
	CAPTURE_MAIL_LOST,	/* an interface is no longer the one that was opened */
	CAPTURE_MAIL_CLOSED,	/* an interface's descriptor: close its handle */
	CAPTURE_MAIL_DONE,	/* ended, descriptors closed: capture_join() */
};

/* Embedded in the capture: nothing to free. */
struct capture_mail {
	struct mail	 mail;
	enum capture_mail_type type;
	struct capture	*capture;
	uint32_t	 iface;		/* LOST, CLOSED: its number */
	struct msg	 msg;		/* UPDATE: the receiver's to free */
};

/*
 * Map the rings and start the thread.  NULL on failure; what is taken is
 * then released.  cfg itself is borrowed for the call.
 */
struct capture *capture_start(const struct capture_config *cfg, struct err *err);

/* No more packets enter the rings: drain and end.  Any thread. */
void capture_quiesced(struct capture *capture);

/*
 * Go on with this connection (taken, detached; with its reader) where resume
 * says, in the place of the one that was lost, or that there still is.  who is
 * for the log.  What cannot be resumed, for want of memory too, is told so on
 * the connection: Error E_GONE.
 */
void capture_resume(struct capture *capture, struct conn *conn,
    struct frame_reader *reader, const struct msg_resume *resume, const char *who);

/* How the client is told, whatever the reason. */
#define CAPTURE_GONE_TEXT						\
	"capture: resume: not here: it ended, its linger is over, or it is not yours"

/* End for this reason as a Stop from the client would; NULL: the code's text. */
void capture_end(struct capture *capture, int code, const char *text);

/* The same because the agent ends: the client gets little time. */
void capture_end_agent(struct capture *capture);

/*
 * One more interface: its socket (copied, what it holds is taken) and what the
 * client is told of it (its addresses are taken).  E_NOMEM.
 */
int capture_add(struct capture *capture, const struct capture_socket *socket,
    const struct msg_capture_interface *info) MUST_CHECK;

/*
 * Something happened to an interface (or CAPTURE_EVENT_WHOLE): an Event at the
 * place in the stream where it was noticed.  After CAPTURE_EVENT_GONE its ring
 * is emptied and closed.
 */
void capture_tell(struct capture *capture, enum capture_event kind,
    uint32_t iface, const char *text);

/*
 * An interface of another network namespace, by its number: what its adapter
 * could not receive, counted on top of what was told before.
 */
void capture_lost_by_adapter(struct capture *capture, uint32_t iface,
    uint64_t packets);

/*
 * Leave the rings alone until capture_refilter(): CAPTURE_MAIL_HELD follows.
 * For changes of the kernel's filters after which it lets through what only
 * the check that comes with capture_refilter() can judge.
 */
void capture_hold(struct capture *capture);

/* How an interface's packets are judged from now on. */
struct capture_refilter_item {
	bool		 is_set;	/* else as before */
	enum filter_place place;
	uint32_t	 snaplen;
	struct prologue_check *check;	/* taken; of the new filter */
};

/* The outcome of CAPTURE_MAIL_UPDATE. */
struct capture_refilter {
	uint32_t	 number;	/* of the update */
	int		 code;		/* E_OK, or why the old filters stay */
	char		 text[PROTO_MAX_TEXT + 1];	/* the new one for the log, or why */
	uint32_t	 n;		/* interfaces so far */
	struct capture_refilter_item items[];
};

/*
 * The kernel has the new filters: what is in the rings is judged again, the
 * client is told.  Takes refilter (malloc'd).
 */
void capture_refilter(struct capture *capture, struct capture_refilter *refilter);

void *capture_owner_arg(const struct capture *capture);

/* After CAPTURE_MAIL_DONE: wait for the thread and free.  NULL is allowed. */
void capture_join(struct capture *capture);

#endif /* SERVER_CAPTURE_H */
