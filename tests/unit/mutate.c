#include <stdlib.h>
#include <string.h>

#include "mutate.h"

/* len bytes on the heap; one more when empty, for a valid pointer. */
static uint8_t *
copy(const uint8_t *p, size_t len)
{
	uint8_t *c = malloc(len > 0 ? len : 1);

	if (c == NULL)
		abort();
	if (len > 0)
		memcpy(c, p, len);
	return c;
}

void
mutate_flip_bits(const uint8_t *p, size_t len, size_t max_bytes, mutate_fn fn,
    void *arg)
{
	uint8_t *c = copy(p, len);

	for (size_t i = 0; i < len && i < max_bytes; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			c[i] = (uint8_t)(p[i] ^ 1u << bit);
			fn(c, len, arg);
		}
		c[i] = p[i];
	}
	free(c);
}

void
mutate_truncate(const uint8_t *p, size_t len, mutate_fn fn, void *arg)
{
	uint8_t *c;

	for (size_t i = 0; i < len; i++) {
		c = copy(p, i);
		fn(c, i, arg);
		free(c);
	}
}

void
mutate_set_bytes(const uint8_t *p, size_t len, size_t max_bytes, mutate_fn fn,
    void *arg)
{
	static const uint8_t values[] = { 0, 1, 0x7f, 0x80, 0xff };
	uint8_t *c = copy(p, len);

	for (size_t i = 0; i < len && i < max_bytes; i++) {
		for (size_t v = 0; v < sizeof(values); v++) {
			c[i] = values[v];
			fn(c, len, arg);
		}
		c[i] = p[i];
	}
	free(c);
}

uint64_t
mutate_next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

void
mutate_random(const uint8_t *p, size_t len, unsigned rounds, uint64_t seed,
    mutate_fn fn, void *arg)
{
	uint8_t *whole, *cut;
	size_t at, gone;

	for (unsigned round = 0; round < rounds && len > 0; round++) {
		whole = copy(p, len);
		for (uint64_t n = mutate_next_random(&seed) % 8 + 1; n > 0; n--)
			whole[mutate_next_random(&seed) % len] =
			    (uint8_t)mutate_next_random(&seed);
		gone = 0;
		if (mutate_next_random(&seed) % 4 == 0)
			gone = mutate_next_random(&seed) % len;
		at = mutate_next_random(&seed) % (len - gone);
		memmove(whole + at, whole + at + gone, len - gone - at);
		cut = copy(whole, len - gone);
		fn(cut, len - gone, arg);
		free(cut);
		free(whole);
	}
}
