/*
 * resume_state - what is written beside an output, so that another run can go
 * on with it; to bytes and back.
 *
 * Pure.  What comes back was written by another process, perhaps long ago:
 * everything in it is checked.
 */
#ifndef CLIENT_RESUME_STATE_H
#define CLIENT_RESUME_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "client/ledger.h"
#include "client/options.h"
#include "client/sink.h"
#include "common/clock.h"
#include "common/err.h"
#include "proto/codec.h"

enum {
	RESUME_REQUEST_LEN = 32,
	RESUME_ABOUT_LEN = 160,
	/* 4,096 interfaces with all their counters. */
	RESUME_STATE_MAX = 512 << 10,
};

struct resume_row {
	char		 name[PROTO_MAX_NAME + 1];
	char		 network_namespace[PROTO_MAX_NAME + 1];
	uint32_t	 link_type;
	uint64_t	 dropped;	/* to be told with its next packet */
	struct ledger_counts counters;
};

struct resume_state {
	uint8_t		 request[RESUME_REQUEST_LEN];	/* see resume_request() */
	char		 about[RESUME_ABOUT_LEN];	/* the same in words */
	uint64_t	 capture_id;
	struct capture_token token;
	bool		 has_token;	/* else the capture is over */
	uint64_t	 sequence;	/* everything up to it is in the output */
	uint64_t	 announcements;
	struct wall_ns	 through;	/* and everything stamped before */
	struct wall_ns	 start;
	uint64_t	 packets, bytes;	/* in the output */
	uint32_t	 n_rows;
	struct resume_row *rows;	/* owned */
	uint32_t	 n_map;
	uint32_t	*map;		/* owned; by the agent's number: the row */
	struct ledger_rest rest;
	uint32_t	 n_holes;
	struct ledger_hole *holes;	/* owned */
	/* What the file does not say yet: beside the next packet. */
	uint32_t	 n_remarks;	/* at most SINK_COMMENTS_MAX */
	char		**remarks;	/* owned, each too */
};

/*
 * What was asked of whom, as far as the packets in the output depend on it: a
 * file is only gone on with by the same request.  Its digest, and words.
 */
void resume_request(const struct options *options,
    uint8_t ret_request[static RESUME_REQUEST_LEN],
    char ret_about[static RESUME_ABOUT_LEN]);

/* Into a buffer that the caller frees.  E_NOMEM, E_TOOBIG. */
int resume_state_pack(const struct resume_state *state, uint8_t **ret_bytes,
    size_t *ret_len) MUST_CHECK;

/*
 * E_VERSION  of another version of the program
 * E_BADMSG   not such a state
 * E_NOMEM
 *
 * On E_OK release with resume_state_fini().
 */
int resume_state_unpack(const uint8_t *bytes, size_t len,
    struct resume_state *ret_state) MUST_CHECK;
void resume_state_fini(struct resume_state *state);

#endif /* CLIENT_RESUME_STATE_H */
