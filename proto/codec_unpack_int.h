/*
 * codec_unpack_int - what the files of unpacking share; see codec.h.
 *
 * codec_unpack.c opens the envelope and checks the messages of a few fields,
 * codec_unpack_interfaces.c what lists interfaces or counts for them,
 * codec_unpack_filter.c what carries programs.
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

/* A code of a later version still has its text; positive ones are none. */
int unpack_code(int32_t in, int *ret_code) MUST_CHECK;

/* E_BADMSG unless it has its one length. */
int unpack_token(const ProtobufCBinaryData *in, struct capture_token *out) MUST_CHECK;

/* Is it one that a peer may ask for? */
bool unpack_is_heartbeat(uint32_t ms);

/*
 * The rest checks and copies one message each: E_OK, E_BADMSG or E_NOMEM.  On
 * failure, out holds what was taken so far, for msg_free().
 */

/* --- codec_unpack_interfaces.c --- */

int unpack_interface_list(struct arena *arena, const Capture__InterfaceList *in,
    struct msg_interface_list *out) MUST_CHECK;
int unpack_capture_interface(struct arena *arena,
    const Capture__CaptureInterface *in, struct msg_capture_interface *out)
    MUST_CHECK;
int unpack_started(struct arena *arena, const Capture__Started *in,
    struct msg_started *out) MUST_CHECK;
int unpack_interface_added(struct arena *arena,
    const Capture__InterfaceAdded *in, struct msg_interface_added *out)
    MUST_CHECK;
int unpack_stats(struct arena *arena, const Capture__Stats *in,
    struct msg_stats *out) MUST_CHECK;
int unpack_ended(struct arena *arena, const Capture__Ended *in,
    struct msg_ended *out) MUST_CHECK;

/* --- codec_unpack_filter.c --- */

int unpack_start(struct arena *arena, const Capture__Start *in,
    struct msg_start *out) MUST_CHECK;
int unpack_update_filter(struct arena *arena, const Capture__UpdateFilter *in,
    struct msg_update_filter *out) MUST_CHECK;
int unpack_filter_changed(struct arena *arena, const Capture__FilterChanged *in,
    struct msg_filter_changed *out) MUST_CHECK;
int unpack_plan(struct arena *arena, const Capture__Plan *in,
    struct msg_plan *out) MUST_CHECK;

#endif /* PROTO_CODEC_UNPACK_INT_H */
