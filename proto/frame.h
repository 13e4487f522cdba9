/*
 * frame - cut a byte stream into length-prefixed frames.
 *
 * Wire form: varint payload length, then that many bytes (protobuf's
 * delimited form).  Knows nothing of sockets, TLS or messages: the caller
 * has bytes written into the reader's buffer and takes frames.  Runs in
 * capagent-net and capclient, on hostile input.
 */
#ifndef PROTO_FRAME_H
#define PROTO_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

enum { FRAME_HDR_MAX = 5 };	/* a varint up to 2^35: more is refused */

struct frame_reader;		/* one per connection and direction */

/*
 * Create a reader for payloads of 1..max_payload bytes.
 *
 * The buffer (twice max_payload, so that bytes seldom move) is allocated
 * here, once, and never grows: a peer cannot make us allocate by announcing a
 * large length.  NULL when out of memory.
 */
struct frame_reader *frame_reader_new(uint32_t max_payload);

/* Release r and any frame taken from it.  NULL is allowed. */
void frame_reader_free(struct frame_reader *r);

/*
 * Where the next bytes of the stream go: at *ret_len > 0 bytes of room, valid
 * until the next call.  Read from the connection right into it, then say
 * how many with frame_reader_commit().  All complete frames must have been
 * taken before (frame_reader_next() said E_AGAIN), so there is always room.
 * Invalidates the payload of the last frame.
 */
uint8_t *frame_reader_space(struct frame_reader *r, size_t *ret_len);
void frame_reader_commit(struct frame_reader *r, size_t len);

/*
 * Take the next complete frame.
 *
 * On E_OK, *ret_payload and *ret_len describe it; the bytes belong to r
 * and stay valid until the next frame_reader_space().  On any other result
 * both are left untouched.
 *
 * E_AGAIN   no complete frame yet
 * E_BADMSG  zero length, or a length that is no minimal-size varint
 * E_TOOBIG  the peer announced more than max_payload
 *
 * E_BADMSG and E_TOOBIG are final: sync is lost, close the connection.
 */
int frame_reader_next(struct frame_reader *r, const uint8_t **ret_payload,
    uint32_t *ret_len) MUST_CHECK;

/* Write the header of a payload of len bytes; returns 1..FRAME_HDR_MAX. */
size_t frame_put_header(uint8_t dst[static FRAME_HDR_MAX], uint32_t len);

#endif /* PROTO_FRAME_H */
