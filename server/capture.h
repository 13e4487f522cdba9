/*
 * capture - one running capture: a thread with its rings, log and stream.
 *
 * The thread owns all that it touches; the listener's thread talks to it
 * through mailboxes only, and does for it what needs the boundary to
 * capagent (filters, closing).  Runs in capagent-net.
 *
 * Life: capture_start() -> CAPTURE_MAIL_QUIESCE (attach reject-all, then
 * capture_quiesced()) -> CAPTURE_MAIL_DONE -> capture_join().
 */
#ifndef SERVER_CAPTURE_H
#define SERVER_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/conn.h"
#include "common/err.h"
#include "common/mailbox.h"
#include "proto/frame.h"
#include "server/batch_log.h"
#include "server/ring.h"

struct capture;

struct capture_socket {
	int		 fd;		/* taken */
	uint32_t	 block_size, block_nr, retire_ms;
	uint32_t	 ifindex;
	struct ring_link link;
	char		 name[16];
};

struct capture_config {
	struct mailbox	*owner;		/* where struct capture_mail goes */
	void		*owner_arg;	/* capture_owner_arg() */
	struct conn	*conn;		/* taken: detached from its loop */
	struct frame_reader *reader;	/* taken: may hold unread frames */
	struct capture_socket *sockets;	/* copied; the descriptors are taken */
	uint32_t	 n_sockets;
	size_t		 log_bytes;
	enum batch_log_policy policy;
	uint64_t	 max_packets;	/* 0: no end */
	const char	*name;		/* "session 7 alice@10.0.0.9:4711"; copied */
};

enum capture_mail_type {
	CAPTURE_MAIL_QUIESCE,	/* let no more packets in, then capture_quiesced() */
	CAPTURE_MAIL_DONE,	/* ended, descriptors closed: capture_join() */
};

/* Embedded in the capture: nothing to free. */
struct capture_mail {
	struct mail	 mail;
	enum capture_mail_type type;
	struct capture	*capture;
};

/*
 * Map the rings and start the thread.  NULL on failure; what is taken is
 * then released.  cfg itself is borrowed for the call.
 */
struct capture *capture_start(const struct capture_config *cfg, struct err *err);

/* No more packets enter the rings: drain and end.  Any thread. */
void capture_quiesced(struct capture *capture);

/* End for this reason (E_OK: as asked) as a Stop from the client would. */
void capture_end(struct capture *capture, int code);

void *capture_owner_arg(const struct capture *capture);

/* After CAPTURE_MAIL_DONE: wait for the thread and free.  NULL is allowed. */
void capture_join(struct capture *capture);

#endif /* SERVER_CAPTURE_H */
