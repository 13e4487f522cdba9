/*
 * open_one - link and open one socket of a capture.
 *
 * Where the kernel has no room for the filter, the next place that can judge
 * packets is tried: see enum filter_place.  Runs in capagent-net's first
 * thread, for captures that start and for interfaces that come later.
 */
#ifndef SERVER_OPEN_ONE_H
#define SERVER_OPEN_ONE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "proto/codec.h"
#include "server/captures.h"
#include "server/net.h"

struct open_one;

/* What is borrowed here must live until the callback or open_one_cancel(). */
struct open_one_config {
	struct captures_socket *s;	/* from wanted_socket() */
	const struct msg_start *start;
	uint32_t	 capture_number; /* same for all sockets of a capture */
	uint64_t	 ring_bytes;
	uint32_t	 netns;		/* capagent's handle; 0: own */
	uint32_t	 ifindex;	/* 0: a cooked socket on all interfaces */
};

/*
 * With err->code E_OK the socket runs: s holds descriptor, handle, ring and
 * the rest of info, and err->what says what is less than was asked for, or
 * is "".  Otherwise nothing is open.
 */
typedef void (*open_one_fn)(const struct err *err, struct captures_socket *s,
    void *arg);

/* NULL when out of memory, and when the filter cannot be linked: see err. */
struct open_one *open_one_start(struct net *net, const struct open_one_config *cfg,
    open_one_fn fn, void *arg, struct err *err);

/* No callback comes; what was being opened is closed.  NULL is allowed. */
void open_one_cancel(struct open_one *open);

/*
 * The kernel had no room for the program in p (why: E_FILTER with ENOMEM): link
 * s's filter in the next form, once instead of twice, then at the next place.
 * False: there is none, or that was not why; p is undefined then.
 */
bool open_one_link_smaller(const struct net *net, const struct msg_start *start,
    struct captures_socket *s, struct prologue *p, const struct err *why);

/* "by the agent where packets are tagged" */
const char *open_one_place_text(enum filter_place place);

/* Close what open_one opened, here and in capagent. */
void open_one_close(struct net *net, struct captures_socket *s);

#endif /* SERVER_OPEN_ONE_H */
