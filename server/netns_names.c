#include "server/netns_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

struct netns_name {
	uint32_t	 number;
	char		 name[PRIV_NETNS_NAME_LEN];
	uint64_t	 seen;		/* the last look that saw it */
};

void
netns_names_fini(struct netns_names *names)
{
	free(names->names);
	*names = (struct netns_names){ .n = 0 };
}

void
netns_names_look(struct netns_names *names)
{
	names->look++;
}

static void
say_full(struct netns_names *names)
{
	if (!names->has_said_full)
		log_warn(LOG_PRIV, "network namespaces: more than %d names are permitted: "
		    "the others cannot be captured", NETNS_NAMES_MAX);
	names->has_said_full = true;
}

/* Forget the one that was not seen for the longest time. */
static int
forget_one(struct netns_names *names)
{
	struct netns_name *oldest = names->names;

	for (uint32_t i = 1; i < names->n; i++)
		if (names->names[i].seen < oldest->seen)
			oldest = &names->names[i];
	if (oldest->seen == names->look) {
		say_full(names);
		return E_LIMIT;
	}
	names->n--;
	memmove(oldest, oldest + 1,
	    (size_t)(names->names + names->n - oldest) * sizeof(*oldest));
	return E_OK;
}

static int
make_room(struct netns_names *names)
{
	struct netns_name *grown;
	uint32_t room;

	if (names->last_number == INT32_MAX)
		return E_LIMIT;
	if (names->n == NETNS_NAMES_MAX)
		return forget_one(names);
	if (names->n < names->room)
		return E_OK;
	room = names->room == 0 ? 16 : names->room * 2;
	grown = realloc(names->names, room * sizeof(*grown));
	if (grown == NULL)
		return E_NOMEM;
	names->names = grown;
	names->room = room;
	return E_OK;
}

void
netns_names_see(struct netns_names *names, const char *name)
{
	struct netns_name *added;

	for (uint32_t i = 0; i < names->n; i++)
		if (strcmp(names->names[i].name, name) == 0) {
			names->names[i].seen = names->look;
			return;
		}
	if (make_room(names) != E_OK)
		return;
	added = &names->names[names->n++];
	*added = (struct netns_name){
		.number = ++names->last_number, .seen = names->look,
	};
	snprintf(added->name, sizeof(added->name), "%s", name);
}

const char *
netns_names_find(const struct netns_names *names, uint32_t number)
{
	for (uint32_t i = 0; i < names->n; i++)
		if (names->names[i].number == number)
			return names->names[i].name;
	return NULL;
}

void
netns_names_page(const struct netns_names *names, uint32_t start,
    struct priv_netns_name ret_names[static PRIV_LIST_COUNT], uint32_t *ret_n,
    uint32_t *ret_next)
{
	uint32_t n = 0, next = 0;

	for (uint32_t i = 0; i < names->n && next == 0; i++) {
		const struct netns_name *name = &names->names[i];

		if (name->seen != names->look || name->number < start)
			continue;
		if (n == PRIV_LIST_COUNT) {
			next = name->number;
			continue;
		}
		ret_names[n].number = name->number;
		memcpy(ret_names[n++].name, name->name, PRIV_NETNS_NAME_LEN);
	}
	*ret_n = n;
	*ret_next = next;
}
