/*
 * codec_unpack_int - what the files of unpacking share; see codec.h.
 *
 * codec_unpack.c opens the envelope and checks every message but Start, which
 * codec_unpack_start.c takes apart: it alone carries programs.
 */
#ifndef PROTO_CODEC_UNPACK_INT_H
#define PROTO_CODEC_UNPACK_INT_H

#include "capture.pb-c.h"

#include "proto/codec.h"
#include "proto/codec_int.h"

/* LINKTYPE_ values are 16 bits wide in pcapng. */
enum { UNPACK_LINK_TYPE_MAX = UINT16_MAX };

/* --- codec_unpack.c --- */

/*
 * n zeroed items that outlive the arena but count against its limit; free()
 * them.  NULL, then unpack_alloc_failure() says why: E_BADMSG or E_NOMEM.
 */
void *unpack_alloc_items(struct arena *arena, size_t n, size_t size);
int unpack_alloc_failure(const struct arena *arena);

/* A string's length as it was on the wire, a NUL inside included. */
size_t unpack_strlen(const char *s);

enum emptiness { MAY_BE_EMPTY, NOT_EMPTY };

/* Copy a string; E_BADMSG when it does not fit dst or holds a NUL. */
int unpack_string(const char *s, char *dst, size_t size,
    enum emptiness emptiness) MUST_CHECK;

#define UNPACK(s, dst, emptiness) unpack_string(s, dst, sizeof(dst), emptiness)

/* --- codec_unpack_start.c --- */

/* On failure, out holds what was taken so far, for msg_free(). */
int unpack_start(struct arena *arena, const Capture__Start *in,
    struct msg_start *out) MUST_CHECK;

#endif /* PROTO_CODEC_UNPACK_INT_H */
