/*
 * limits - every bound of the protocol, each with its reason.
 */
#ifndef PROTO_LIMITS_H
#define PROTO_LIMITS_H

enum {
	PROTO_VERSION = 1,

	/* IANA has nothing here; the product's documented default port. */
	PROTO_PORT = 9443,

	/*
	 * A message: room for a full batch, its columns and the largest packet,
	 * or for a Start with twenty full programs.
	 */
	PROTO_MAX_MESSAGE = 1 << 20,

	/* tcpdump's and Wireshark's own limit for a packet. */
	PROTO_MAX_SNAPLEN = 262144,

	/*
	 * Default: an enhanced packet block of this many bytes with our options
	 * stays below 262,144, over which Wireshark ends a pipe.
	 */
	PROTO_DEFAULT_SNAPLEN = 261120,

	/* Cooked header (20) and a restored VLAN tag (4) before snaplen cuts. */
	PROTO_MAX_LINK_EXTRA = 24,

	PROTO_BATCH_DATA = 256 << 10,	/* a batch is sealed at this size */
	PROTO_BATCH_PACKETS = 4096,	/* bounds the columns of tiny packets */

	PROTO_MAX_FILTER_INSNS = 4096,	/* the kernel's BPF_MAXINSNS */
	PROTO_MAX_PROGRAMS = 16,	/* one per link type a filter may meet */
	PROTO_MAX_FILTERS = 64,		/* expressions in one capture */
	PROTO_MAX_FILTER_TEXT = 65536,	/* as a pcapng option can hold */
	PROTO_MAX_INTERFACES = 4096,	/* in one list or capture, added ones too */
	PROTO_MAX_LINK_TYPES = 8,	/* to choose from, of an interface */
	PROTO_MAX_PLAN_PARTS = 16,	/* of one program */
	PROTO_MAX_WARNINGS = 16,	/* of one interface in a plan */
	PROTO_MAX_ADDRESSES = 64,	/* of one interface in a list */
	PROTO_MAX_SAMPLE = 1000000,	/* 1 in so many: fewer is no sample */
	PROTO_MAX_NAME = 255,		/* host, interface, program names */
	PROTO_MAX_TEXT = 1024,		/* an error's, an event's or a note's text */

	PROTO_TOKEN_LEN = 32,		/* bytes nobody guesses */

	/*
	 * Silence after which the other side is dead.  Below the bounds a busy
	 * machine looks dead; above them nobody waits.  Each side speaks three
	 * times as often.
	 */
	PROTO_HEARTBEAT_MS = 6000,
	PROTO_HEARTBEAT_MIN_MS = 1000,
	PROTO_HEARTBEAT_MAX_MS = 3600 * 1000,

	PROTO_WATERMARK_MS = 250,	/* a hole begins at most so much too early */

	/*
	 * Announcements that an agent keeps for a Resume, so many and together
	 * so many bytes: of what happens to interfaces, not of packets.
	 */
	PROTO_MAX_ANNOUNCEMENTS = 1024,
	PROTO_MAX_ANNOUNCEMENT_BYTES = 256 << 10,
};

#endif /* PROTO_LIMITS_H */
