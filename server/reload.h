/*
 * reload - SIGHUP: configuration and certificates take effect anew.
 *
 * Runs in capagent.  What the reading process found is judged here, then
 * tried by the network process, which loads the certificates; only when that
 * says that the new setup is in force does capagent enforce the new policy.
 * Whatever fails before leaves everything as it was, with a line that says
 * why.  Sockets of captures keep what they were opened with.
 */
#ifndef SERVER_RELOAD_H
#define SERVER_RELOAD_H

#include <stdbool.h>

#include "common/err.h"
#include "server/net_spawn.h"
#include "server/priv_serve.h"
#include "server/reread.h"

struct reload;

struct reload_config {
	struct reread	*reread;	/* borrowed */
	struct priv_serve *serve;	/* borrowed */
	const struct net_child *child;	/* borrowed */
	struct policy	*policy;	/* in force, borrowed: replaced as a whole */
	struct priv_mandatory **mandatory;	/* a reference: replaced */
	const char	*log_spec;
	enum sandbox_mode sandbox;
};

/* NULL when out of memory. */
struct reload *reload_new(const struct reload_config *config);
void reload_free(struct reload *reload);

/* Do it: at once, or once more when the one that is under way is over. */
void reload_ask(struct reload *reload);

/* A child has ended: if it is the reading process, a line says what that means. */
void reload_child_ended(struct reload *reload);

/* What to poll for reading; -1: nothing. */
int reload_fd(const struct reload *reload);

/* Must the boundary be polled for room? */
bool reload_wants_room(const struct reload *reload);

/*
 * Go on as far as is possible; after every poll.  An error ends both
 * processes: the boundary is of no use any more.
 */
int reload_turn(struct reload *reload, struct err *err) MUST_CHECK;

#endif /* SERVER_RELOAD_H */
