/*
 * priv_call - capagent-net's side of the boundary: ask capagent, get answers.
 *
 * Before the loop runs, the setup is received by blocking calls; afterwards
 * requests are asynchronous, on one loop, in that loop's thread only.  A
 * request ends in exactly one callback or one priv_call_cancel().  Knows
 * nothing of sessions and captures.
 */
#ifndef SERVER_PRIV_CALL_H
#define SERVER_PRIV_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bpf.h"
#include "common/err.h"
#include "common/loop.h"
#include "server/priv_msg.h"

/* --- setup: blocking, before the sandbox and the loop --- */

/* What capagent handed over.  Plain data; the descriptors are the owner's. */
struct priv_setup {
	struct priv_setup_config config;
	unsigned	 n_listeners;
	struct priv_setup_socket {
		int	 fd;			/* listening, non-blocking */
		char	 address[PRIV_ADDRESS_LEN];
	} listeners[PRIV_MAX_LISTENERS];
	int		 cert_fd, key_fd, ca_fd;
	char		 cert_name[PRIV_PATH_LEN];
	char		 key_name[PRIV_PATH_LEN];
	char		 ca_name[PRIV_PATH_LEN];
};

/*
 * Receive the whole setup from the boundary.  ret_setup is untouched on
 * failure and then nothing is left open.
 *
 * E_EOF     capagent is gone
 * E_BADMSG  not our build, or not in order
 */
int priv_call_receive_setup(int fd, struct priv_setup *ret_setup,
    struct err *err) MUST_CHECK;

/*
 * The same, message by message: begin with an empty one, and put each where
 * it belongs; takes *fd by making it -1.  E_BADMSG when it is out of order.
 * The setup is whole with PRIV_SETUP_DONE; one of a reload has no listeners.
 */
void priv_setup_init(struct priv_setup *setup);
int priv_setup_take(struct priv_setup *setup, const union priv_msg *msg, int *fd,
    struct err *err) MUST_CHECK;

/* Close what is still open (descriptors not -1). */
void priv_setup_close(struct priv_setup *setup);

/* The one answer to the setup: ready to accept, or why not. */
int priv_call_send_ready(int fd, struct err *err) MUST_CHECK;
int priv_call_send_failed(int fd, const struct err *why, struct err *err);

/* --- requests --- */

struct priv_call;
struct priv_call_request;

struct priv_call_events {
	/* capagent wants this process to end its captures and exit. */
	void (*end)(void *arg);
	/*
	 * A new setup, whole but without listeners.  setup is valid during the
	 * call, its descriptors are closed after it.  To be answered by
	 * priv_call_answer_reload(), during the call or later.
	 */
	void (*reload)(const struct priv_setup *setup, void *arg);
	/* The boundary is lost or broken; all requests have failed before. */
	void (*gone)(const struct err *err, void *arg);
};

/* Takes fd (also on failure) and makes it non-blocking. */
struct priv_call *priv_call_new(struct loop *loop, int fd,
    const struct priv_call_events *events, void *arg, struct err *err);

/* Open requests end without a callback.  NULL is allowed. */
void priv_call_free(struct priv_call *call);

/* The one answer to a reload: why_not is NULL when the new setup is in force. */
void priv_call_answer_reload(struct priv_call *call, const struct err *why_not);

/*
 * In every callback err->code is E_OK or says why not; err is valid during
 * the call.  Callbacks never run inside the function that made the request.
 * Each function returns NULL only when out of memory; then there will be no
 * callback.
 */

/* All permitted interfaces, in ifindex order; valid during the call. */
typedef void (*priv_call_list_fn)(const struct err *err,
    const struct priv_interface *interfaces, size_t n, void *arg);

/* In the agent's own network namespace. */
struct priv_call_request *priv_call_list(struct priv_call *call,
    priv_call_list_fn fn, void *arg);

/*
 * In the namespace of a handle (0: the agent's own).  E_NOIFACE when the
 * namespace is gone.
 */
struct priv_call_request *priv_call_list_in(struct priv_call *call, uint32_t netns,
    priv_call_list_fn fn, void *arg);

/* Named namespaces that are permitted, by number; valid during the call. */
typedef void (*priv_call_names_fn)(const struct err *err,
    const struct priv_netns_name *names, size_t n, void *arg);

struct priv_call_request *priv_call_netns_names(struct priv_call *call,
    priv_call_names_fn fn, void *arg);

/* handle is 0 for the agent's own namespace, and on failure. */
typedef void (*priv_call_netns_fn)(const struct err *err, uint32_t handle, void *arg);

/*
 * Get hold of a namespace, by the number of its name or by a process in it.
 * A handle keeps the namespace alive until priv_call_netns_close().
 * E_DENIED, E_NOIFACE (no such namespace or process), E_LIMIT.
 */
struct priv_call_request *priv_call_netns(struct priv_call *call,
    enum priv_netns_kind kind, uint32_t number, priv_call_netns_fn fn, void *arg);

/* Sockets that were opened in it stay open.  0 is allowed; nothing then. */
void priv_call_netns_close(struct priv_call *call, uint32_t handle);

struct priv_open_request {
	uint32_t	 capture;	/* same for all sockets of one capture */
	uint32_t	 netns;		/* handle; 0: the agent's own */
	uint32_t	 ifindex;	/* 0: all, cooked */
	uint32_t	 link_type;	/* one of link_type_choices() */
	uint32_t	 snaplen;	/* put into the allowed range */
	uint32_t	 flags;		/* enum priv_open_flag; COOKED follows from link_type */
	uint64_t	 ring_bytes;	/* put into the allowed range */
	const struct bpf_insn_raw *insns;	/* borrowed for the call */
	uint32_t	 n_insns;		/* 1..BPF_PROG_MAX */
};

struct priv_opened {
	int		 fd;		/* the callback's to close; mmap block_size * block_nr */
	uint32_t	 handle;
	uint32_t	 ifindex;
	uint32_t	 link_type;
	uint32_t	 arphrd;
	uint32_t	 snaplen;
	uint32_t	 block_size, block_nr, retire_ms;
	bool		 is_promiscuous;
	uint32_t	 time_stamp_type;	/* enum priv_time_stamps: what is in force */
	const char	*note;		/* for the user, or ""; valid during the call */
	char		 name[PRIV_NAME_LEN];	/* "any" for all */
};

/* opened is NULL unless err->code is E_OK. */
typedef void (*priv_call_open_fn)(const struct err *err,
    const struct priv_opened *opened, void *arg);

/*
 * The capture already runs when the callback is called: bind is capagent's
 * last step.  Errors that matter to a client: E_DENIED, E_NOIFACE, E_IFDOWN,
 * E_LIMIT, E_NOMEM, E_STATE (the interface has no such link type), E_FILTER,
 * with sys ENOMEM when a smaller filter would do.
 */
struct priv_call_request *priv_call_open(struct priv_call *call,
    const struct priv_open_request *request, priv_call_open_fn fn, void *arg);

typedef void (*priv_call_done_fn)(const struct err *err, void *arg);

/* Replace the child's part of an open capture's filter. */
struct priv_call_request *priv_call_filter(struct priv_call *call,
    uint32_t handle, const struct bpf_insn_raw *insns, uint32_t n_insns,
    priv_call_done_fn fn, void *arg);

/*
 * Let capagent close its duplicate: only then do ring and promiscuous mode
 * end.  Close (and unmap) the own descriptor first.  fn may be NULL.
 */
struct priv_call_request *priv_call_close(struct priv_call *call,
    uint32_t handle, priv_call_done_fn fn, void *arg);

/*
 * Forget a request: no callback will come.  A capture that was being opened
 * is closed again when its reply arrives.
 */
void priv_call_cancel(struct priv_call *call, struct priv_call_request *request);

#endif /* SERVER_PRIV_CALL_H */
