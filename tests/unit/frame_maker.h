/*
 * frame_maker - random frames that look like traffic, for the tests of parts
 * that read headers: tags, options, fragments, extension headers, all
 * transports, damaged, cut short, and garbage.
 */
#ifndef TESTS_UNIT_FRAME_MAKER_H
#define TESTS_UNIT_FRAME_MAKER_H

#include <linux/if_packet.h>

#include "common/bytes.h"
#include "tests/unit/bpf_lab.h"

enum { MAKER_ROOM = 1024 };

/* What is in a frame, before damage, and what the kernel knows of it. */
struct made {
	unsigned	 n_tags, n_extensions, ipv4_options;
	struct bpf_aux	 aux;
};

static inline uint32_t
maker_pick(uint64_t *seed, const uint32_t *from, size_t n)
{
	return from[lab_random(seed) % n];
}

static inline uint8_t
maker_protocol(uint64_t *seed)
{
	static const uint32_t protocols[] = { 6, 6, 6, 17, 17, 1, 58, 132, 47, 50, 51, 41, 59, 2 };

	return (uint8_t)maker_pick(seed, protocols, ARRAY_LEN(protocols));
}

/* Everything behind the IP headers is random but the length of a TCP header. */
static inline uint32_t
maker_transport(uint64_t *seed, uint8_t *p)
{
	if (lab_random(seed) % 4 != 0)
		p[12] = (uint8_t)(0x50 + 16 * (lab_random(seed) % 11));
	return lab_random(seed) % 80;
}

static inline uint32_t
maker_ipv4(uint64_t *seed, uint8_t *p, struct made *m)
{
	static const uint32_t fragments[] = { 0, 0, 0x4000, 0x2000, 0x2005, 185, 0x1fff };

	m->ipv4_options = lab_random(seed) % 3 == 0 ? lab_random(seed) % 11 : 0;
	p[0] = (uint8_t)(0x45 + m->ipv4_options);
	put_be16(p + 6, (uint16_t)maker_pick(seed, fragments, ARRAY_LEN(fragments)));
	p[9] = maker_protocol(seed);
	p += 20 + 4 * m->ipv4_options;
	return 20 + 4 * m->ipv4_options + maker_transport(seed, p);
}

static inline uint32_t
maker_ipv6(uint64_t *seed, uint8_t *p, struct made *m)
{
	static const uint32_t extensions[] = { 0, 43, 60, 44 };
	static const uint32_t fragments[] = { 0, 1, 6, 0x5c9, 0x5c8 };
	uint8_t *next = p + 6;
	uint32_t at = 40;

	p[0] = (uint8_t)(0x60 | lab_random(seed) % 16);
	m->n_extensions = lab_random(seed) % 2 == 0 ? lab_random(seed) % 9 : 0;
	for (unsigned i = 0; i < m->n_extensions; i++) {
		uint8_t units = lab_random(seed) % 4 == 0 ? 1 : 0;

		*next = (uint8_t)maker_pick(seed, extensions, ARRAY_LEN(extensions));
		if (*next == 44) {
			units = 0;
			put_be16(p + at + 2, (uint16_t)maker_pick(seed, fragments,
			    ARRAY_LEN(fragments)));
		} else {
			p[at + 1] = units;
		}
		next = p + at;
		at += 8 + 8U * units;
	}
	*next = maker_protocol(seed);
	return at + maker_transport(seed, p + at);
}

/* A network-layer packet of this type; its length. */
static inline uint32_t
maker_packet(uint64_t *seed, uint8_t *p, uint16_t type, struct made *m)
{
	if (type == 0x800)
		return maker_ipv4(seed, p, m);
	if (type == 0x86dd)
		return maker_ipv6(seed, p, m);
	return lab_random(seed) % 60;
}

/* Tags, the type and the packet; the type in front is *ret_type, not written. */
static inline uint32_t
maker_tagged(uint64_t *seed, uint8_t *p, struct made *m, uint16_t *ret_type)
{
	static const uint32_t types[] = { 0x800, 0x800, 0x800, 0x86dd, 0x86dd, 0x86dd, 0x806,
	    0x8847, 0x88cc, 0x0026, 0x0801 };
	static const uint32_t tpids[] = { 0x8100, 0x88a8, 0x9100 };
	uint16_t type = (uint16_t)maker_pick(seed, types, ARRAY_LEN(types));
	uint32_t len = 0;

	m->n_tags = lab_random(seed) % 2 == 0 ? lab_random(seed) % 5 : 0;
	*ret_type = type;
	for (unsigned i = 0; i < m->n_tags; i++) {
		uint16_t tpid = (uint16_t)maker_pick(seed, tpids, ARRAY_LEN(tpids));

		if (i == 0)
			*ret_type = tpid;
		else
			put_be16(p + len - 2, tpid);
		len += 4;
		put_be16(p + len - 2, type);
	}
	return len + maker_packet(seed, p + len, type, m);
}

/* Sometimes flip bits, sometimes keep nothing as it was made. */
static inline void
maker_damage(uint64_t *seed, uint8_t *p, uint32_t len)
{
	if (len > 0 && lab_random(seed) % 6 == 0)
		p[lab_random(seed) % len] ^= (uint8_t)(1 << lab_random(seed) % 8);
	if (lab_random(seed) % 20 == 0)
		for (uint32_t i = 0; i < len; i++)
			p[i] = (uint8_t)lab_random(seed);
}

/* As the packet socket of an interface with this LINKTYPE_ shows it. */
static inline struct lab_frame
maker_frame(uint64_t *seed, uint32_t link_type, struct made *ret_made)
{
	uint8_t room[MAKER_ROOM];
	struct lab_frame f = { .name = "random" };
	uint32_t link = link_type == 1 ? 14 : 0, len;
	uint16_t type;

	for (size_t i = 0; i < sizeof(room); i++)
		room[i] = (uint8_t)lab_random(seed);
	*ret_made = (struct made){ .aux.packet_type = (uint8_t)(lab_random(seed) % 5) };
	if (link_type == 101) {
		type = lab_random(seed) % 2 == 0 ? 0x800 : 0x86dd;
		len = maker_packet(seed, room, type, ret_made);
	} else {
		len = link + maker_tagged(seed, room + link, ret_made, &type);
	}
	if (link != 0)
		put_be16(room + link - 2, type);
	ret_made->aux.protocol = type;
	maker_damage(seed, room, len);
	/* The network header of what goes out lies behind its tags. */
	if (link_type == 276 && ret_made->aux.packet_type == PACKET_OUTGOING) {
		len -= 4 * ret_made->n_tags;
		memmove(room, room + 4 * ret_made->n_tags, len);
	}
	if (lab_random(seed) % 4 == 0)
		len = lab_random(seed) % (len + 1);
	f.len = len < sizeof(f.data) ? len : sizeof(f.data);
	memcpy(f.data, room, f.len);
	return f;
}

#endif /* TESTS_UNIT_FRAME_MAKER_H */
