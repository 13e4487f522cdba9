/*
 * priv_msg - what capagent and capagent-net say to each other.
 *
 * One SOCK_SEQPACKET message is one of these structs, whole, in host byte
 * order, with at most one descriptor.  Everything is fixed in size: no
 * length from the other side sizes anything.  Used by both sides; the
 * receiver calls priv_msg_check() before it looks at a field.  capagent
 * treats a message that fails the check as the work of a broken or taken
 * over child, and stops.
 */
#ifndef SERVER_PRIV_MSG_H
#define SERVER_PRIV_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bpf.h"
#include "common/err.h"
#include "common/link_type.h"

enum {
	PRIV_BOUNDARY_FD = 3,		/* in capagent-net, from the start */

	PRIV_NAME_LEN = 16,		/* IFNAMSIZ, with the NUL */
	PRIV_TEXT_LEN = ERR_WHAT_LEN,
	PRIV_PATH_LEN = 256,		/* file names, for messages only */
	PRIV_ADDRESS_LEN = 64,		/* "[fe80::1%eth0]:65535" */
	PRIV_LOG_SPEC_LEN = 128,

	PRIV_LIST_COUNT = 32,		/* interfaces or names in one reply */
	PRIV_DRIVER_LEN = 32,
	PRIV_NETNS_NAME_LEN = 64,	/* longer names are not shown */
	PRIV_MAX_LISTENERS = 16,
	PRIV_MAX_LANES = 1,		/* sockets that share one capture's packets */
	PRIV_MAX_SNAPLEN = 262144,
	PRIV_MIN_RING = 2 << 20,	/* below it every short pause loses packets */
};

/* No machine gives one socket more; bounds the arithmetic. */
#define PRIV_MAX_RING	((uint64_t)64 << 30)

/* Numbers are never reused. */
enum priv_msg_type {
	/*
	 * capagent to child, at the start in this order (LISTENER 1..n times),
	 * and again, without LISTENER, behind each RELOAD
	 */
	PRIV_SETUP_CONFIG = 1,
	PRIV_SETUP_LISTENER = 2,	/* fd: listening socket */
	PRIV_SETUP_CERT = 3,		/* fd: PEM file */
	PRIV_SETUP_KEY = 4,		/* fd: PEM file */
	PRIV_SETUP_CA = 5,		/* fd: PEM file */
	PRIV_SETUP_DONE = 6,
	/* the child's one answer to the setup */
	PRIV_READY = 16,
	PRIV_FAILED = 17,		/* to a reload, too */
	/* its one answer to a reload: the new setup is in force */
	PRIV_RELOADED = 18,
	/* requests of the child, each answered by exactly one reply */
	PRIV_LIST = 32,
	PRIV_OPEN = 33,
	PRIV_FILTER = 34,
	PRIV_CLOSE = 35,
	PRIV_NETNS_LIST = 36,
	PRIV_NETNS = 37,
	PRIV_NETNS_CLOSE = 38,
	/* replies: 16 more than the request */
	PRIV_LIST_REPLY = 48,
	PRIV_OPEN_REPLY = 49,		/* fd: capture socket, when code is E_OK */
	PRIV_FILTER_REPLY = 50,
	PRIV_CLOSE_REPLY = 51,
	PRIV_NETNS_LIST_REPLY = 52,
	PRIV_NETNS_REPLY = 53,
	PRIV_NETNS_CLOSE_REPLY = 54,
	/* capagent to child, any time after the setup: finish and exit */
	PRIV_END = 64,
	/* the same: a new setup follows; the old one holds until RELOADED */
	PRIV_RELOAD = 65,
};

struct priv_hdr {
	uint64_t	 build_id;	/* priv_build_id(): one build, one layout */
	uint32_t	 type;		/* enum priv_msg_type */
	uint32_t	 request_id;	/* the child's; the reply repeats it */
};

/* --- setup --- */

/* How capagent-net confines itself; see sandbox.h. */
enum priv_sandbox { PRIV_SANDBOX_ENFORCE = 0, PRIV_SANDBOX_LOG = 1, PRIV_SANDBOX_OFF = 2 };

/* Which other network namespaces the configuration permits. */
enum priv_namespaces { PRIV_NAMESPACES_NAMED = 1, PRIV_NAMESPACES_PID = 2 };

struct priv_setup_config {
	struct priv_hdr	 hdr;
	uint64_t	 ring_memory;	/* bytes, all captures together */
	uint64_t	 log_memory;	/* bytes, all captures together */
	uint32_t	 max_captures;
	uint32_t	 max_interfaces; /* of one capture */
	uint32_t	 max_snaplen;
	uint32_t	 max_linger_s;
	uint32_t	 mark;		/* SO_MARK of the agent's own connections */
	uint32_t	 sandbox;	/* enum priv_sandbox */
	uint32_t	 promiscuous;	/* 0: refused for every capture */
	uint32_t	 has_config;	/* 1: a configuration file restricts captures */
	uint32_t	 has_mandatory;	/* 1: packets pass a filter of the administrator, too */
	uint32_t	 namespaces;	/* enum priv_namespaces; 0: the agent's own only */
	uint32_t	 hardware_timestamps;	/* 1: ADAPTER_TIME may be asked for */
	uint32_t	 reserved;	/* 0 */
	char		 log_spec[PRIV_LOG_SPEC_LEN];	/* for log_set(); may be "" */
};

struct priv_setup_listener {
	struct priv_hdr	 hdr;
	char		 address[PRIV_ADDRESS_LEN];	/* as bound: "0.0.0.0:9443" */
};

struct priv_setup_file {	/* CERT, KEY, CA */
	struct priv_hdr	 hdr;
	char		 name[PRIV_PATH_LEN];
};

struct priv_plain {		/* SETUP_DONE, READY, RELOADED, END, RELOAD */
	struct priv_hdr	 hdr;
};

/* FAILED, FILTER_REPLY, CLOSE_REPLY, NETNS_CLOSE_REPLY */
struct priv_result {
	struct priv_hdr	 hdr;
	int32_t		 code;		/* enum err_code */
	int32_t		 sys;		/* errno, or 0 */
	char		 text[PRIV_TEXT_LEN];
};

/* --- requests and replies --- */

struct priv_list {
	struct priv_hdr	 hdr;
	uint32_t	 start_index;	/* interfaces with this ifindex or a larger one */
	uint32_t	 netns;		/* handle of NETNS; 0: the agent's own */
};

/* Where time stamps can come from; bits, as in the protocol's Interface. */
enum priv_time_stamps {
	PRIV_TIME_HOST = 1,
	PRIV_TIME_ADAPTER = 2,		/* in step with the host's clock */
	PRIV_TIME_ADAPTER_UNSYNCED = 4,
};

/* A permitted interface. */
struct priv_interface {
	uint32_t	 index;
	uint32_t	 link_type;	/* default of link_type_choices() */
	uint32_t	 flags;		/* IFF_UP, IFF_RUNNING, IFF_LOOPBACK .. */
	uint32_t	 mtu;
	uint32_t	 max_packet;	/* that MTU and offloads can make; 0: no bound is known */
	uint16_t	 arphrd;
	uint8_t		 mac_len;	/* 0..8 */
	uint8_t		 reserved;
	uint8_t		 mac[8];
	char		 name[PRIV_NAME_LEN];
	uint32_t	 speed_mbps;	/* 0: not known */
	uint32_t	 time_stamp_types;	/* enum priv_time_stamps */
	uint64_t	 rx_lost;	/* packets it could not receive, since its driver was loaded */
	char		 driver[PRIV_DRIVER_LEN];	/* may be "" */
};

struct priv_list_reply {
	struct priv_hdr	 hdr;
	int32_t		 code;
	int32_t		 sys;
	uint32_t	 n;		/* 0..PRIV_LIST_COUNT */
	uint32_t	 next_index;	/* start of the next LIST; 0 at the end */
	struct priv_interface interfaces[PRIV_LIST_COUNT];
	char		 text[PRIV_TEXT_LEN];
};

enum priv_open_flag {
	PRIV_OPEN_PROMISCUOUS = 1,
	PRIV_OPEN_INBOUND = 2,		/* nothing this host sends; needed on loopback */
	PRIV_OPEN_COOKED = 4,		/* without link headers; the reader makes one */
	PRIV_OPEN_ADAPTER_TIME = 8,	/* the adapter's raw time stamps */
};
#define PRIV_OPEN_FLAGS							\
	((uint32_t)(PRIV_OPEN_PROMISCUOUS | PRIV_OPEN_INBOUND |		\
	PRIV_OPEN_COOKED | PRIV_OPEN_ADAPTER_TIME))

/* Instructions of the child's part of the filter: 1..BPF_PROG_MAX. */
struct priv_program {
	uint32_t	 n_insns;
	uint32_t	 reserved;	/* 0 */
	struct bpf_insn_raw insns[BPF_PROG_MAX];
};

struct priv_open {
	struct priv_hdr	 hdr;
	uint64_t	 ring_bytes;	/* PRIV_MIN_RING..PRIV_MAX_RING */
	uint32_t	 capture;	/* the child's number for the capture this is part of */
	uint32_t	 ifindex;	/* 1..INT32_MAX; with COOKED also 0: all, not promiscuous */
	uint32_t	 link_type;	/* one of link_type_all(); COOKED where a header is made */
	uint32_t	 snaplen;	/* 1..PRIV_MAX_SNAPLEN */
	uint32_t	 flags;		/* enum priv_open_flag */
	uint32_t	 lanes;		/* 1 */
	uint32_t	 netns;		/* handle of NETNS; 0: the agent's own */
	uint32_t	 reserved;	/* 0 */
	struct priv_program program;
};

struct priv_open_reply {
	struct priv_hdr	 hdr;
	int32_t		 code;
	int32_t		 sys;
	uint32_t	 handle;	/* for FILTER and CLOSE; never 0, never reused */
	uint32_t	 ifindex;
	uint32_t	 link_type;
	uint32_t	 arphrd;
	uint32_t	 snaplen;	/* largest the filter's answer can be */
	uint32_t	 block_size;	/* the ring: block_size * block_nr bytes to map */
	uint32_t	 block_nr;
	uint32_t	 retire_ms;
	uint32_t	 is_promiscuous;
	uint32_t	 time_stamp_type;	/* enum priv_time_stamps, one bit */
	char		 name[PRIV_NAME_LEN];	/* "any" for all */
	char		 text[PRIV_TEXT_LEN];	/* with E_OK: a note for the user, or "" */
};

struct priv_filter {
	struct priv_hdr	 hdr;
	uint32_t	 handle;
	uint32_t	 reserved;	/* 0 */
	struct priv_program program;
};

struct priv_close {
	struct priv_hdr	 hdr;
	uint32_t	 handle;
	uint32_t	 reserved;	/* 0 */
};

struct priv_netns_list {
	struct priv_hdr	 hdr;
	uint32_t	 start;		/* names of this number or a larger one */
	uint32_t	 reserved;	/* 0 */
};

/* A number never belongs to another name; one that is long gone loses it. */
struct priv_netns_name {
	uint32_t	 number;	/* from 1 */
	char		 name[PRIV_NETNS_NAME_LEN];
};

struct priv_netns_list_reply {
	struct priv_hdr	 hdr;
	int32_t		 code;
	int32_t		 sys;
	uint32_t	 n;		/* 0..PRIV_LIST_COUNT */
	uint32_t	 next;		/* start of the next NETNS_LIST; 0 at the end */
	struct priv_netns_name names[PRIV_LIST_COUNT];
	char		 text[PRIV_TEXT_LEN];
};

enum priv_netns_kind { PRIV_NETNS_NAMED = 1, PRIV_NETNS_PID = 2 };

struct priv_netns {
	struct priv_hdr	 hdr;
	uint32_t	 kind;		/* enum priv_netns_kind */
	uint32_t	 number;	/* of a name, or a process id; 1..INT32_MAX */
};

struct priv_netns_reply {
	struct priv_hdr	 hdr;
	int32_t		 code;
	int32_t		 sys;
	uint32_t	 handle;	/* never reused; 0: it is the agent's own namespace */
	uint32_t	 reserved;	/* 0 */
	char		 text[PRIV_TEXT_LEN];
};

struct priv_netns_close {
	struct priv_hdr	 hdr;
	uint32_t	 handle;	/* not 0; sockets opened in it stay */
	uint32_t	 reserved;	/* 0 */
};

/* Room for any message, aligned for any of the structs. */
union priv_msg {
	struct priv_hdr		 hdr;
	struct priv_setup_config config;
	struct priv_setup_listener listener;
	struct priv_setup_file	 file;
	struct priv_plain	 plain;
	struct priv_result	 result;
	struct priv_list	 list;
	struct priv_list_reply	 list_reply;
	struct priv_open	 open;
	struct priv_open_reply	 open_reply;
	struct priv_filter	 filter;
	struct priv_close	 close;
	struct priv_netns_list	 netns_list;
	struct priv_netns_list_reply netns_list_reply;
	struct priv_netns	 netns;
	struct priv_netns_reply	 netns_reply;
	struct priv_netns_close	 netns_close;
};

/* The number both executables of one build carry. */
uint64_t priv_build_id(void);

/* "OPEN"; "unknown" for a number that is no type. */
const char *priv_msg_name(uint32_t type);

/* The exact size of a message of this type, 0 for a number that is none. */
size_t priv_msg_size(uint32_t type);

/*
 * Fill the header of a zeroed message.  Only the bytes up to
 * priv_msg_size(type) of msg are ever sent.
 */
void priv_msg_init(union priv_msg *msg, enum priv_msg_type type,
    uint32_t request_id);

/*
 * Is this a message as the other side must make it: known type, exact size,
 * this build, an fd exactly where one belongs, every number in its range,
 * every text terminated?
 *
 * E_BADMSG, with a text that names the message and the field.
 */
int priv_msg_check(const union priv_msg *msg, size_t len, bool has_fd,
    struct err *err) MUST_CHECK;

#endif /* SERVER_PRIV_MSG_H */
