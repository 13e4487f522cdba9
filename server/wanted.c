#include "server/wanted.h"

#include <stdlib.h>
#include <string.h>

/* --- names --- */

static size_t
netns_length(const char *name)
{
	const char *slash = strchr(name, '/');

	if (slash == NULL ||
	    (strncmp(name, "netns:", 6) != 0 && strncmp(name, "pid:", 4) != 0))
		return 0;
	return (size_t)(slash - name);
}

static const char *
interface_part(const char *name)
{
	size_t len = netns_length(name);

	return len == 0 ? name : name + len + 1;
}

/* A number as -D prints it, or 0. */
static uint32_t
parse_index(const char *name)
{
	char *end;
	unsigned long value;

	if (name[0] < '1' || name[0] > '9')
		return 0;
	value = strtoul(name, &end, 10);
	return *end == '\0' && value <= INT32_MAX ? (uint32_t)value : 0;
}

void
wanted_name(const struct msg_start *start, uint32_t request,
    struct wanted_name *ret_name)
{
	const char *name = start->interfaces[request].name;
	struct wanted_name out = { .kind = WANTED_NAME };

	out.netns_len = netns_length(name);
	out.iface = interface_part(name);
	out.number = parse_index(out.iface);
	if (strcmp(out.iface, "any") == 0)
		out.kind = start->cooked ? WANTED_COOKED : WANTED_ANY;
	else if (strpbrk(out.iface, "*?[") != NULL)
		out.kind = WANTED_PATTERN;
	else if (out.number != 0)
		out.kind = WANTED_NUMBER;
	*ret_name = out;
}

/*
 * Does c match the bracket expression at p ("[a-z]", "[!0-9]")?  *ret_end is
 * behind it; NULL when it has no end and [ stands for itself.
 */
static bool
match_bracket(const char *p, char c, const char **ret_end)
{
	bool is_not = p[1] == '!' || p[1] == '^', is_in = false;
	const char *first = p + 1 + is_not, *at = first;

	for (; *at != '\0' && (*at != ']' || at == first); at++) {
		if (at[1] == '-' && at[2] != ']' && at[2] != '\0') {
			is_in = is_in || (c >= at[0] && c <= at[2]);
			at += 2;
		} else
			is_in = is_in || c == *at;
	}
	*ret_end = *at == ']' ? at + 1 : NULL;
	return is_in != is_not;
}

/* One character against the pattern at *p, which moves on when it matches. */
static bool
match_one(const char **p, char c)
{
	const char *end;

	if (**p == '[') {
		bool is_match = match_bracket(*p, c, &end);

		if (end != NULL) {
			*p = is_match ? end : *p;
			return is_match;
		}
	}
	if (**p == '\0' || (**p != '?' && **p != c))
		return false;
	++*p;
	return true;
}

/*
 * As a shell does.  Only the newest star is ever taken back, so a pattern
 * full of stars costs its length times the name's and no more.
 */
static bool
match_pattern(const char *p, const char *name)
{
	const char *star = NULL, *retry = NULL;

	while (*name != '\0') {
		if (*p == '*') {
			star = ++p;
			retry = name;
		} else if (match_one(&p, *name)) {
			name++;
		} else if (star != NULL) {
			p = star;
			name = ++retry;
		} else
			return false;
	}
	while (*p == '*')
		p++;
	return *p == '\0';
}

static bool
is_wanted_by(const struct msg_start *start, uint32_t request, const char *netns,
    const struct priv_interface *iface)
{
	struct wanted_name name;

	wanted_name(start, request, &name);
	if (strlen(netns) != name.netns_len ||
	    strncmp(start->interfaces[request].name, netns, name.netns_len) != 0)
		return false;
	switch (name.kind) {
	case WANTED_NAME:
		return strcmp(name.iface, iface->name) == 0;
	case WANTED_NUMBER:
		return strcmp(name.iface, iface->name) == 0 ||
		    name.number == iface->index;
	case WANTED_PATTERN:
		return match_pattern(name.iface, iface->name);
	case WANTED_ANY:
		return true;
	case WANTED_COOKED:
		return false;
	}
	return false;
}

/* How exactly a request says what it wants: less is more exact. */
static unsigned
vagueness(const struct msg_start *start, uint32_t request)
{
	struct wanted_name name;

	wanted_name(start, request, &name);
	switch (name.kind) {
	case WANTED_NAME:
	case WANTED_NUMBER:
		return 0;
	case WANTED_PATTERN:
		return 1;
	case WANTED_ANY:
	case WANTED_COOKED:
		return 2;
	}
	return 2;
}

int
wanted_request(const struct msg_start *start, const char *netns,
    const struct priv_interface *iface)
{
	int best = -1;

	for (uint32_t i = 0; i < start->n_interfaces; i++)
		if (is_wanted_by(start, i, netns, iface) && (best < 0 ||
		    vagueness(start, i) < vagueness(start, (uint32_t)best)))
			best = (int)i;
	return best;
}

bool
wanted_is_pattern(const struct msg_interface_request *request)
{
	const char *iface = interface_part(request->name);

	return strcmp(iface, "any") == 0 || strpbrk(iface, "*?[") != NULL;
}

bool
wanted_follows(const struct msg_start *start)
{
	struct wanted_name name;

	for (uint32_t i = 0; i < start->n_interfaces; i++) {
		wanted_name(start, i, &name);
		if (name.kind != WANTED_NUMBER && name.kind != WANTED_COOKED)
			return true;
	}
	return false;
}
