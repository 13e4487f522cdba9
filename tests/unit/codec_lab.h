/*
 * codec_lab - one rich message of every type, and the way through the wire.
 */
#ifndef TESTS_UNIT_CODEC_LAB_H
#define TESTS_UNIT_CODEC_LAB_H

#include <stddef.h>
#include <stdint.h>

#include "proto/codec.h"

/* Every type of message, some more than once; the first of each is rich. */
const struct msg *codec_lab_messages(size_t *ret_n);

/* A copy of the first of its type; what it points to is shared. */
struct msg codec_lab_sample(enum msg_type type);

/* The payload of msg's frame on the heap, of its exact size. */
uint8_t *codec_lab_pack(const struct msg *msg, size_t *ret_len);

/* Packed and unpacked, which must succeed; release it with msg_free(). */
struct msg codec_lab_pass(const struct msg *msg);

/* What unpacking says of msg, packed; on failure it left its target alone. */
int codec_lab_judge(const struct msg *msg);

#endif /* TESTS_UNIT_CODEC_LAB_H */
