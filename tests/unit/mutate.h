/*
 * mutate - every small damage to a valid message, in a fixed order.
 *
 * Calls a check with each damaged copy, in memory of the copy's exact size so
 * that a sanitizer sees the first byte read beyond it.
 */
#ifndef TESTS_UNIT_MUTATE_H
#define TESTS_UNIT_MUTATE_H

#include <stddef.h>
#include <stdint.h>

typedef void (*mutate_fn)(const uint8_t *p, size_t len, void *arg);

/* Each bit of the first max_bytes flipped, alone. */
void mutate_flip_bits(const uint8_t *p, size_t len, size_t max_bytes,
    mutate_fn fn, void *arg);

/* Each length from 0 to len - 1. */
void mutate_truncate(const uint8_t *p, size_t len, mutate_fn fn, void *arg);

/* Each of the first max_bytes set to 0, 1, 0x7f, 0x80 and 0xff, alone. */
void mutate_set_bytes(const uint8_t *p, size_t len, size_t max_bytes,
    mutate_fn fn, void *arg);

/*
 * rounds copies with one to eight random bytes replaced, and sometimes a
 * piece cut out; the same ones for the same seed.
 */
void mutate_random(const uint8_t *p, size_t len, unsigned rounds, uint64_t seed,
    mutate_fn fn, void *arg);

/* The next number of a fixed sequence (splitmix64); *state is the seed. */
uint64_t mutate_next_random(uint64_t *state);

#endif /* TESTS_UNIT_MUTATE_H */
