/*
 * netns_names - numbers for the names of network namespaces.
 *
 * Runs in capagent, whose child asks by number.  A number means one name for
 * ever; a name that was forgotten and is seen again has another one.  Names
 * are in a folder that is read anew at each look.  No files here.
 */
#ifndef SERVER_NETNS_NAMES_H
#define SERVER_NETNS_NAMES_H

#include <stdint.h>

#include "server/priv_msg.h"

/* Containers come and go: those that are there and some that were. */
enum { NETNS_NAMES_MAX = 4096 };

struct netns_name;

/* Zeroed: empty. */
struct netns_names {
	struct netns_name *names;	/* in order of number */
	uint32_t	 n, room;
	uint32_t	 last_number;
	uint64_t	 look;		/* the number of this one */
	bool		 has_said_full;
};

void netns_names_fini(struct netns_names *names);

/* Begin to read the folder: nothing has been seen yet. */
void netns_names_look(struct netns_names *names);

/*
 * This name, shorter than PRIV_NETNS_NAME_LEN, is in the folder.  When there
 * is no room, the one that was not seen for the longest time is forgotten;
 * when all were seen in this look, this name is left out (said once).
 */
void netns_names_see(struct netns_names *names, const char *name);

/* The name of a number, seen or not in this look; NULL when it has none. */
const char *netns_names_find(const struct netns_names *names, uint32_t number);

/*
 * Those seen in this look with numbers from start on, in order, at most
 * PRIV_LIST_COUNT; *ret_next is where to go on, 0 at the end.
 */
void netns_names_page(const struct netns_names *names, uint32_t start,
    struct priv_netns_name ret_names[static PRIV_LIST_COUNT], uint32_t *ret_n,
    uint32_t *ret_next);

#endif /* SERVER_NETNS_NAMES_H */
