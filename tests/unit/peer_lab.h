/*
 * peer_lab - the other end of a connection, message by message.
 *
 * Plays a client or an agent that says whatever the test wants; what comes
 * is decoded and kept in order, but for watermarks.
 */
#ifndef TESTS_UNIT_PEER_LAB_H
#define TESTS_UNIT_PEER_LAB_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/conn.h"
#include "proto/batch.h"
#include "proto/codec.h"
#include "proto/frame.h"

enum { PEER_MAX_MSGS = 512 };

struct peer_msg {
	struct msg	 msg;		/* of a batch only the type */
	uint64_t	 sequence;	/* of a batch */
	uint32_t	 n_packets;
};

/* Zeroed at first. */
struct peer {
	struct loop	*loop;
	struct conn	*conn;
	struct frame_reader *reader;
	bool		 is_secured;
	bool		 is_over;	/* CLOSED, ERROR or SENT */
	enum conn_event	 how;		/* it was over */
	struct err	 err;
	struct peer_msg	 msgs[PEER_MAX_MSGS];
	unsigned	 n_msgs, n_taken;
	bool		 drops_pongs;	/* keeps none of those that come */
	/* These are not among msgs. */
	struct msg_watermark watermark;	/* the last one */
	unsigned	 n_watermarks;
	bool		 is_clock_set;	/* they may go back */
	uint64_t	 n_packets;	/* in all batches */
	/* Called for each packet of a batch; may be NULL. */
	void	       (*on_packet)(const struct packet_ref *packet, void *arg);
	void		*arg;
};

void peer_lab_accept(struct peer *p, struct loop *loop, struct tls *tls, int fd);
void peer_lab_connect(struct peer *p, struct loop *loop, struct tls *tls,
    const struct sockaddr_in *addr);
void peer_lab_close(struct peer *p);

void peer_lab_until_secured(struct peer *p);

/* The connection must take it; what the peer thinks of it is its matter. */
void peer_lab_send(struct peer *p, const struct msg *msg);
/* n times in one piece, so that it is read in one piece. */
void peer_lab_send_many(struct peer *p, const struct msg *msg, unsigned n);
void peer_lab_send_type(struct peer *p, enum msg_type type);
void peer_lab_send_bytes(struct peer *p, const void *bytes, size_t len);

/* A body of any content, as a whole frame. */
void peer_lab_send_body(struct peer *p, unsigned field, const void *bytes,
    size_t len);

/* The next message that comes, which must be of this type. */
const struct peer_msg *peer_lab_take(struct peer *p, enum msg_type type);

/* The same, passing over Stats and Pong. */
const struct peer_msg *peer_lab_take_main(struct peer *p, enum msg_type type);

void peer_lab_until_over(struct peer *p);

/* A batch of n packets of len bytes each on interface iface, as a frame. */
struct batch *peer_lab_batch(uint64_t sequence, uint32_t n, uint32_t len,
    uint32_t iface);

#endif /* TESTS_UNIT_PEER_LAB_H */
