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
	MSG_PING = 7, MSG_UPDATE_FILTER = 8, MSG_RESUME = 9,
	MSG_INTERFACE_LIST = 16, MSG_STARTED = 17, MSG_PACKET_BATCH = 18, MSG_GAP = 19,
	MSG_STATS = 20, MSG_ENDED = 21, MSG_PONG = 22,
	MSG_EVENT = 23, MSG_NEED_PROGRAMS = 24, MSG_PLAN = 25,
	MSG_FILTER_CHANGED = 26, MSG_INTERFACE_ADDED = 27, MSG_WATERMARK = 28,
};

enum gap_reason {
	GAP_LOG_FULL = 1,	/* the agent's log had no room */
	GAP_INTERRUPTED = 2,	/* Stop.now: nobody wanted to wait for them */
	GAP_DISCONNECTED = 3,	/* the log had no room, and no client was connected */
};

struct msg_error { int code; char text[PROTO_MAX_TEXT + 1]; };

struct msg_hello {
	uint32_t	 version;
	char		 program[PROTO_MAX_NAME + 1];
	char		 host[PROTO_MAX_NAME + 1];
	char		 os[PROTO_MAX_NAME + 1];
	uint64_t	 instance;	/* of the agent; 0: it does not say */
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
	char		 network_namespace[PROTO_MAX_NAME + 1];	/* "netns:blue" */
	uint32_t	 n_link_types;
	uint32_t	 link_types[PROTO_MAX_LINK_TYPES];	/* default first */
	char		 driver[PROTO_MAX_NAME + 1];
	uint32_t	 speed_mbps;		/* 0: not known */
	uint32_t	 time_stamp_types;	/* 1 << enum time_stamp_type */
};

struct msg_interface_list { uint32_t n; struct msg_interface *interfaces; };

struct msg_program {
	uint32_t	 link_type;
	uint32_t	 n_insns;
	struct bpf_insn_raw *insns;
};

/* One expression.  No text and no program: everything. */
struct msg_filter {
	char		*text;			/* never NULL */
	bool		 exact_vlan;		/* answer as over a file */
	bool		 at_client;		/* the client judges on arrival */
	uint32_t	 n_programs;
	struct msg_program *programs;		/* each another link type */
};

struct msg_interface_request {
	char		 name[PROTO_MAX_NAME + 1];	/* or a pattern */
	uint32_t	 snaplen;
	uint32_t	 filter;		/* index in the Start's filters */
	uint32_t	 link_type;		/* 0: the interface's default */
	bool		 no_promiscuous;
};

/* As the sensor sees it. */
enum start_direction { START_INOUT = 0, START_IN = 1, START_OUT = 2 };

enum time_stamp_type {
	TIME_STAMP_HOST = 0, TIME_STAMP_ADAPTER = 1, TIME_STAMP_ADAPTER_UNSYNCED = 2,
};

struct msg_start {
	uint32_t	 n_interfaces;
	struct msg_interface_request *interfaces;
	uint32_t	 n_filters;
	struct msg_filter *filters;
	bool		 drop_newest, headers_only;
	bool		 cooked;		/* "any" as one cooked socket */
	bool		 kernel_only;		/* refuse rather than filter elsewhere */
	bool		 plan_only;		/* answer with Plan, capture nothing */
	uint64_t	 ring_bytes, log_bytes, max_packets;
	enum start_direction direction;
	uint32_t	 sample, sample_flows;	/* 1 in so many; 0: all */
	enum time_stamp_type time_stamp_type;
	uint32_t	 linger_ms;		/* 0: the capture ends with its connection */
	uint32_t	 heartbeat_ms;		/* 0: PROTO_HEARTBEAT_MS; else in its bounds */
	uint64_t	 max_duration_ms;	/* 0: no end */
};

/* Who knows it may resume the capture (as the same identity). */
struct capture_token { uint8_t bytes[PROTO_TOKEN_LEN]; };

struct msg_resume {
	uint64_t	 capture_id;
	struct capture_token token;
	uint64_t	 next_sequence;		/* never 0 */
	uint64_t	 announcements;
};

struct msg_need_programs {
	uint32_t	 n;
	uint32_t	 link_types[PROTO_MAX_PROGRAMS];
};

/* Where an interface's packets meet the user's filter. */
enum filter_place {
	FILTER_KERNEL = 0,
	FILTER_AGENT = 1,	/* the kernel; tagged packets in the agent */
	FILTER_CLIENT = 2,
};

struct msg_capture_interface {
	char		 name[PROTO_MAX_NAME + 1];
	char		 description[PROTO_MAX_NAME + 1];
	uint32_t	 index, link_type;
	uint8_t		 mac[6];
	bool		 has_mac, is_promiscuous;
	uint32_t	 n_addresses;
	char		(*addresses)[64];
	uint32_t	 request;		/* index in the Start's interfaces */
	uint32_t	 snaplen;
	enum filter_place filter_place;
	char		 network_namespace[PROTO_MAX_NAME + 1];
	enum time_stamp_type time_stamp_type;
};

struct msg_started {
	uint32_t	 n_interfaces;
	struct msg_capture_interface *interfaces;
	uint32_t	 snaplen;
	uint64_t	 ring_bytes, log_bytes;
	char		 notes[PROTO_MAX_TEXT + 1];
	struct wall_ns	 start;
	uint64_t	 capture_id;
	struct capture_token token;
	bool		 has_token;		/* else it cannot be resumed */
	uint32_t	 linger_ms;
	uint32_t	 heartbeat_ms;		/* in its bounds */
	uint64_t	 next_sequence;		/* never 0 */
	uint64_t	 announcements;		/* before this message */
	uint32_t	 update_number;
};

enum plan_part {
	PLAN_MANDATORY = 1, PLAN_OWN_TRAFFIC = 2, PLAN_LOOPBACK = 3,
	PLAN_DIRECTION = 4, PLAN_FILTER = 5, PLAN_FILTER_TAGGED = 6,
	PLAN_SAMPLE = 7, PLAN_SAMPLE_FLOWS = 8, PLAN_HEADERS = 9, PLAN_CAP = 10,
};

struct msg_plan_part {
	uint32_t	 first;			/* index in insns; never falls */
	enum plan_part	 kind;
};

struct msg_plan_interface {
	struct msg_capture_interface interface;
	uint32_t	 n_insns;
	struct bpf_insn_raw *insns;
	uint32_t	 n_parts;
	struct msg_plan_part parts[PROTO_MAX_PLAN_PARTS];
	bool		 exact_vlan;
	uint64_t	 ring_bytes;
	uint32_t	 block_bytes, retire_ms;
	uint32_t	 n_warnings;
	char		(*warnings)[PROTO_MAX_TEXT + 1];
};

struct msg_plan {
	uint32_t	 n_interfaces;
	struct msg_plan_interface *interfaces;
	uint64_t	 log_bytes;
	char		 notes[PROTO_MAX_TEXT + 1];
};

struct msg_gap {
	uint64_t	 first_sequence, last_sequence;
	uint64_t	 packets, bytes;
	struct wall_ns	 first, last;
	enum gap_reason	 reason;
	uint32_t	 n_interfaces;
	uint64_t	*by_interface;		/* packets; the sum is at most packets */
};

struct msg_interface_stats {
	uint64_t	 received, dropped_kernel, dropped_interface;
	uint64_t	 batched, dropped_agent, dropped_filter_change;
	uint64_t	 freezes;		/* times that the ring was full */
	uint64_t	 lost_packets;		/* of batched: in gaps */
};

struct msg_stats {
	uint32_t	 n_interfaces;
	struct msg_interface_stats *interfaces;
	uint64_t	 lost_packets, lost_bytes;
};

struct msg_ack { uint64_t sequence; };

struct msg_stop { bool now; };

struct msg_ended {
	int		 code;
	char		 text[PROTO_MAX_TEXT + 1];
	struct msg_stats stats;
	uint64_t	 last_sequence;
};

struct msg_update_filter {
	uint32_t	 number;		/* 1, 2, 3 ... */
	uint32_t	 n_filters;
	struct msg_filter *filters;
};

struct msg_filter_changed {
	uint32_t	 number;
	uint64_t	 sequence;		/* 0 only when refused */
	struct wall_ns	 time;
	int		 code;
	char		 text[PROTO_MAX_TEXT + 1];
	uint32_t	 n_places;
	enum filter_place *places;
};

enum capture_event {
	CAPTURE_EVENT_DOWN = 1, CAPTURE_EVENT_UP = 2, CAPTURE_EVENT_GONE = 3,
	CAPTURE_EVENT_RENAMED = 4, CAPTURE_EVENT_MTU = 5, CAPTURE_EVENT_CLOCK = 6,
	CAPTURE_EVENT_NOT_CAPTURED = 7,
	CAPTURE_EVENT_OTHER = 8,	/* of a later version, too */
};

#define CAPTURE_EVENT_WHOLE	UINT32_MAX	/* no interface, the capture */

struct msg_event {
	uint64_t	 sequence;
	struct wall_ns	 time;
	enum capture_event kind;
	uint32_t	 iface;
	char		 text[PROTO_MAX_TEXT + 1];
};

struct msg_interface_added {
	struct msg_capture_interface interface;
	uint64_t	 sequence;
};

struct msg_watermark { uint64_t sequence; struct wall_ns time; };

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
		struct msg_stop stop;
		struct msg_resume resume;
		struct msg_watermark watermark;
		struct msg_ended ended;
		struct msg_ping ping;
		struct msg_pong pong;
		struct msg_event event;
		struct msg_update_filter update_filter;
		struct msg_need_programs need_programs;
		struct msg_plan plan;
		struct msg_filter_changed filter_changed;
		struct msg_interface_added interface_added;
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
