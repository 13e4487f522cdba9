/*
 * serve_sockets - the capture sockets that capagent keeps duplicates of, and
 * the counts over them.
 *
 * For priv_serve.  A duplicate keeps ring and promiscuous mode alive, so
 * each is here from its OPEN to its CLOSE or the child's end.
 */
#ifndef SERVER_SERVE_SOCKETS_H
#define SERVER_SERVE_SOCKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "server/policy.h"
#include "server/priv_device.h"
#include "server/priv_mandatory.h"

struct serve_socket {
	struct serve_socket *next;
	uint32_t	 handle;
	uint32_t	 capture;	/* the child's number for what it is part of */
	uint32_t	 link_type;
	struct priv_mandatory *all;	/* a reference; holds the next */
	const struct bpf_prog *mandatory;	/* in front of the child's part */
	uint32_t	 snaplen;	/* cap on every return of its filter */
	uint64_t	 ring_bytes;
	uint64_t	 netns_cookie;	/* 0: the agent's own namespace */
	uint32_t	 ifindex;
	bool		 has_adapter_time;
	struct priv_device_stamping stamping;	/* the last such socket undoes it */
	int		 fd;
};

/* Zeroed is empty. */
struct serve_sockets {
	struct serve_socket *first;
	uint32_t	 last_handle;
	uint32_t	 n_captures;	/* different numbers among the sockets */
	uint64_t	 ring_used;	/* bytes, all together */
};

/* Close all. */
void serve_sockets_fini(struct serve_sockets *sockets);

/*
 * May the capture of this number have one more socket?
 * E_LIMIT  max-captures, max-interfaces, or no handle is left
 */
int serve_sockets_check(const struct serve_sockets *sockets, const struct policy *policy,
    uint32_t capture, struct err *err) MUST_CHECK;

/* Take socket and its fd, and give it a handle that none ever had. */
void serve_sockets_add(struct serve_sockets *sockets, struct serve_socket *socket);

/* NULL when there is none. */
struct serve_socket *serve_sockets_find(const struct serve_sockets *sockets,
    uint32_t handle);

void serve_sockets_close(struct serve_sockets *sockets, struct serve_socket *socket);

#endif /* SERVER_SERVE_SOCKETS_H */
