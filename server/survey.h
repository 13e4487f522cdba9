/*
 * survey - which interfaces may be captured, in the agent's own network
 * namespace and in others.
 *
 * Asks capagent, one question after the other: names of namespaces, a handle
 * for each that is wanted, the interfaces there.  Runs in capagent-net's
 * first thread.
 */
#ifndef SERVER_SURVEY_H
#define SERVER_SURVEY_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "proto/codec.h"
#include "server/net.h"

enum { SURVEY_MAX_PLACES = 1024 };	/* namespaces in one question */

struct survey_place {
	char		 netns[PROTO_MAX_NAME + 1];	/* "netns:blue"; "" own */
	uint32_t	 handle;	/* capagent's; 0: own, whatever its name, or closed */
	struct priv_interface *interfaces;
	size_t		 n;
};

/* places[0..n) are valid once the callback has come without an error. */
struct survey {
	struct survey_place places[SURVEY_MAX_PLACES];
	uint32_t	 n;
	struct survey_work *work;
};

/* err->code is E_OK or says why not; survey stays the caller's to free. */
typedef void (*survey_fn)(const struct err *err, void *arg);

/*
 * The places that a Start's requests name.  Their handles stay open until
 * survey_free(), but for those that survey_take_handle() gave to the caller.
 * NULL: err says why (E_NOMEM, E_LIMIT, E_USAGE).
 */
struct survey *survey_start(struct net *net, const struct msg_start *start,
    survey_fn fn, void *arg, struct err *err);

/*
 * The agent's own namespace and every named one that its configuration
 * allows; one that cannot be read is left out.
 */
struct survey *survey_start_all(struct net *net, survey_fn fn, void *arg,
    struct err *err);

/* places[i]'s handle (0: none) is the caller's to close from now on. */
uint32_t survey_take_handle(struct survey *survey, uint32_t i);

/* At any time; no callback comes then.  NULL is allowed. */
void survey_free(struct survey *survey);

#endif /* SERVER_SURVEY_H */
