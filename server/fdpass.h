/*
 * fdpass - one SOCK_SEQPACKET message with at most one descriptor.
 *
 * Used on both sides of the boundary.  Knows nothing of the messages'
 * meaning; see priv_msg.h.
 */
#ifndef SERVER_FDPASS_H
#define SERVER_FDPASS_H

#include <stddef.h>

#include "common/err.h"

/*
 * Send buf[0..len) and, unless it is -1, fd, which stays the caller's.
 *
 * E_AGAIN    the socket has no room now (and is non-blocking)
 * E_PEERGONE nobody is at the other end
 * E_SYS
 */
int fdpass_send(int sock, const void *buf, size_t len, int fd, struct err *err)
    MUST_CHECK;

/*
 * Receive one message into buf[0..size).  *ret_fd is a new descriptor with
 * CLOEXEC that the caller owns, or -1.  On failure the outputs are untouched
 * and every descriptor that came is closed.
 *
 * E_AGAIN   nothing there (the socket is non-blocking)
 * E_EOF     the other end is closed
 * E_BADMSG  the message is longer than size, or brought more than one
 *           descriptor
 * E_SYS
 */
int fdpass_recv(int sock, void *buf, size_t size, size_t *ret_len, int *ret_fd,
    struct err *err) MUST_CHECK;

#endif /* SERVER_FDPASS_H */
