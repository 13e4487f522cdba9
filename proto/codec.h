/*
 * codec - protobuf messages to plain structs and back.
 *
 * Every field from outside is checked once, here: afterwards lengths, counts
 * and enumerators are in range, strings are terminated and hold no NUL.
 * protobuf-c stays inside codec.c.  Batches go through batch.h instead.
 */
#ifndef PROTO_CODEC_H
#define PROTO_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bpf.h"
#include "common/clock.h"
#include "common/err.h"
#include "proto/limits.h"

enum msg_type {
	MSG_ERROR = 1, MSG_HELLO = 2,
	MSG_LIST_REQUEST = 3, MSG_START = 4, MSG_ACK = 5, MSG_STOP = 6,
	MSG_PING = 7,
	MSG_INTERFACE_LIST = 16, MSG_STARTED = 17, MSG_PACKET_BATCH = 18, MSG_GAP = 19,
	MSG_STATS = 20, MSG_ENDED = 21, MSG_PONG = 22,
	MSG_NOTE = 23,
};

enum gap_reason { GAP_LOG_FULL = 1 };

struct msg_error { int code; char text[PROTO_MAX_TEXT + 1]; };

struct msg_hello {
	uint32_t	 version;
	char		 program[PROTO_MAX_NAME + 1];
	char		 host[PROTO_MAX_NAME + 1];
	char		 os[PROTO_MAX_NAME + 1];
};

struct msg_interface {
	uint32_t	 index;
	uint32_t	 link_type;		/* LINKTYPE_ value */
	bool		 is_up, is_running, is_loopback;
	char		 name[PROTO_MAX_NAME + 1];
	char		 description[PROTO_MAX_NAME + 1];
	char		 why_not[PROTO_MAX_NAME + 1];
	uint8_t		 mac[6];
	bool		 has_mac;
	uint32_t	 n_addresses;
	char		(*addresses)[64];	/* "10.0.0.1/24" */
};

struct msg_interface_list { uint32_t n; struct msg_interface *interfaces; };

struct msg_program {
	uint32_t	 link_type;
	uint32_t	 n_insns;
	struct bpf_insn_raw *insns;
};

/* As the sensor sees it. */
enum start_direction { START_INOUT = 0, START_IN = 1, START_OUT = 2 };

struct msg_start {
	uint32_t	 n_interfaces;
	char		(*interfaces)[PROTO_MAX_NAME + 1];
	uint32_t	 snaplen;
	bool		 no_promiscuous, exact_vlan, drop_newest;
	uint32_t	 n_programs;
	struct msg_program *programs;
	char		*filter_text;		/* never NULL */
	uint64_t	 ring_bytes, log_bytes, max_packets;
	enum start_direction direction;
	bool		 headers_only;
	uint32_t	 sample, sample_flows;	/* 1 in so many; 0: all */
};

struct msg_capture_interface {
	char		 name[PROTO_MAX_NAME + 1];
	char		 description[PROTO_MAX_NAME + 1];
	uint32_t	 index, link_type;
	uint8_t		 mac[6];
	bool		 has_mac, is_promiscuous;
	uint32_t	 n_addresses;
	char		(*addresses)[64];
};

struct msg_started {
	uint32_t	 n_interfaces;
	struct msg_capture_interface *interfaces;
	uint32_t	 snaplen;
	uint64_t	 ring_bytes, log_bytes;
	char		 notes[PROTO_MAX_TEXT + 1];
	struct wall_ns	 start;
};

struct msg_gap {
	uint64_t	 first_sequence, last_sequence;
	uint64_t	 packets, bytes;
	struct wall_ns	 first, last;
	enum gap_reason	 reason;
};

struct msg_interface_stats {
	uint64_t	 received, dropped_kernel, dropped_interface;
	uint64_t	 batched, dropped_agent;
};

struct msg_stats {
	uint32_t	 n_interfaces;
	struct msg_interface_stats *interfaces;
	uint64_t	 lost_packets, lost_bytes;
};

struct msg_ack { uint64_t sequence; };

struct msg_ended {
	int		 code;
	char		 text[PROTO_MAX_TEXT + 1];
	struct msg_stats stats;
	uint64_t	 last_sequence;
};

struct msg_note { char text[PROTO_MAX_TEXT + 1]; };

struct msg_ping { int64_t client_time_ns; };
struct msg_pong { int64_t client_time_ns, received_ns, sent_ns; };

struct msg {
	enum msg_type type;
	union {
		struct msg_error error;
		struct msg_hello hello;
		struct msg_interface_list interface_list;
		struct msg_start start;
		struct msg_started started;
		struct msg_gap gap;
		struct msg_stats stats;
		struct msg_ack ack;
		struct msg_ended ended;
		struct msg_ping ping;
		struct msg_pong pong;
		struct msg_note note;
	};
};

/*
 * Encode msg as a complete frame, header included, into a buffer the caller
 * frees.  MSG_PACKET_BATCH is not for here.  E_NOMEM, E_TOOBIG (over
 * PROTO_MAX_MESSAGE).  Strings too long for their field's limit are the
 * caller's bug and are cut.
 */
int codec_pack(const struct msg *msg, uint8_t **ret_frame, size_t *ret_len)
    MUST_CHECK;

/*
 * Decode the payload of one frame.  On E_OK *ret_msg owns memory: release
 * it with msg_free().  Untouched otherwise.
 *
 * E_BADMSG  not an envelope, no body, a field out of range
 * E_STATE   a body of a type this version does not know
 * E_NOMEM
 *
 * What decoding may allocate is bounded (16 MiB), whatever is inside.
 */
int codec_unpack(const uint8_t *payload, size_t len, struct msg *ret_msg)
    MUST_CHECK;

void msg_free(struct msg *msg);

const char *msg_type_name(enum msg_type type);	/* "Start" */

#endif /* PROTO_CODEC_H */
