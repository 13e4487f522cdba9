/*
 * codec_pack_int - what the files of packing share; see codec.h.
 *
 * codec_pack.c makes the envelope and the messages of a few numbers,
 * codec_pack_interfaces.c what lists interfaces or counts for them,
 * codec_pack_filter.c what carries programs.
 */
#ifndef PROTO_CODEC_PACK_INT_H
#define PROTO_CODEC_PACK_INT_H

#include "capture.pb-c.h"

#include "proto/codec.h"
#include "proto/codec_int.h"

/* --- codec_pack.c --- */

/* protobuf-c's structs are not const, though packing only reads them. */
char *pack_borrow(const char *s);
uint32_t *pack_borrow_numbers(const uint32_t *numbers);
ProtobufCBinaryData pack_borrow_mac(const uint8_t mac[6], bool has_mac);
ProtobufCBinaryData pack_borrow_token(const struct capture_token *token);

/*
 * n pointers to n zeroed items of size bytes each, as protobuf-c keeps
 * repeated messages.  *ret_items is the first item; NULL also for n == 0.
 */
void *pack_alloc_items(struct arena *arena, size_t n, size_t size,
    void *ret_items);

/* Pointers to n strings that lie stride bytes apart. */
char **pack_borrow_strings(struct arena *arena, const char *first,
    size_t stride, size_t n);

/* The rest fills protobuf-c's initialised structs: E_OK or E_NOMEM. */

/* --- codec_pack_interfaces.c --- */

int pack_interface_list(struct arena *arena, const struct msg_interface_list *in,
    Capture__InterfaceList *out) MUST_CHECK;
int pack_capture_interface(struct arena *arena,
    const struct msg_capture_interface *in, Capture__CaptureInterface *out)
    MUST_CHECK;
int pack_started(struct arena *arena, const struct msg_started *in,
    Capture__Started *out) MUST_CHECK;
int pack_interface_added(struct arena *arena,
    const struct msg_interface_added *in, Capture__InterfaceAdded *out)
    MUST_CHECK;
int pack_stats(struct arena *arena, const struct msg_stats *in,
    Capture__Stats *out) MUST_CHECK;
int pack_ended(struct arena *arena, const struct msg_ended *in,
    Capture__Ended *out) MUST_CHECK;

/* --- codec_pack_filter.c --- */

int pack_start(struct arena *arena, const struct msg_start *in,
    Capture__Start *out) MUST_CHECK;
int pack_update_filter(struct arena *arena, const struct msg_update_filter *in,
    Capture__UpdateFilter *out) MUST_CHECK;
int pack_filter_changed(struct arena *arena, const struct msg_filter_changed *in,
    Capture__FilterChanged *out) MUST_CHECK;
int pack_plan(struct arena *arena, const struct msg_plan *in,
    Capture__Plan *out) MUST_CHECK;

#endif /* PROTO_CODEC_PACK_INT_H */
