#include "client/options_int.h"

#include <string.h>

#include "proto/limits.h"

static const char any[] = "any";

/* "eth0" of "netns:blue/eth0"; the name itself without a namespace. */
static const char *
interface_of(const char *name)
{
	const char *slash = strrchr(name, '/');

	return slash == NULL ? name : slash + 1;
}

static bool
is_any(const char *name)
{
	return strcmp(interface_of(name), any) == 0;
}

static bool
is_same_namespace(const char *a, const char *b)
{
	size_t len = (size_t)(interface_of(a) - a);

	return len == (size_t)(interface_of(b) - b) && memcmp(a, b, len) == 0;
}

struct options_own *
options_current(struct options_parse *p)
{
	return &p->own[p->options.n_interfaces];
}

int
options_add_interface(struct options_parse *p, const char *name, struct err *err)
{
	struct options *o = &p->options;
	int code = options_value_interface(name, err);

	if (code != E_OK)
		return code;
	for (uint32_t i = 0; i < o->n_interfaces; i++)
		if (strcmp(o->interfaces[i].name, name) == 0)
			return err_set(err, E_USAGE,
			    "-i '%.60s': named twice: once is enough", name);
	if (o->n_interfaces == PROTO_MAX_INTERFACES)
		return err_set(err, E_USAGE, "-i '%.60s': more than %d interfaces",
		    name, PROTO_MAX_INTERFACES);
	o->interfaces[o->n_interfaces++].name = name;
	memset(p->seen_here, 0, sizeof(p->seen_here));
	return E_OK;
}

bool
options_uses_default_filter(const struct options_parse *p)
{
	if (p->own[0].filter != NULL)
		return false;
	for (uint32_t i = 0; i < p->options.n_interfaces; i++)
		if (p->own[i + 1].filter == NULL)
			return true;
	return false;
}

/* "any" has every interface of its namespace already. */
static int
check_any(const struct options *o, struct err *err)
{
	for (uint32_t i = 0; i < o->n_interfaces; i++) {
		const char *name = o->interfaces[i].name;

		if (!is_any(name)) {
			if (o->cooked)
				return err_set(err, E_USAGE, "--cooked: together with "
				    "-i '%.60s': only -i any can be one cooked socket "
				    "(-y LINUX_SLL2 is cooked, too)", name);
			continue;
		}
		for (uint32_t j = 0; j < o->n_interfaces; j++)
			if (j != i && is_same_namespace(name, o->interfaces[j].name))
				return err_set(err, E_USAGE, "-i '%.60s': together with "
				    "-i '%.60s': any has every interface, leave out the "
				    "other", name, o->interfaces[j].name);
	}
	return E_OK;
}

static int
check_filter_len(const char *text, struct err *err)
{
	if (strlen(text) < PROTO_MAX_FILTER_TEXT)
		return E_OK;
	return err_set(err, E_USAGE, "-f: longer than %d bytes", PROTO_MAX_FILTER_TEXT);
}

/*
 * The number of this interface's filter.  The text of a file can change while
 * the capture runs, so it is never the same as one that cannot.
 */
static uint32_t
filter_number(const struct options *o, uint32_t i, uint32_t next)
{
	const struct options_interface *mine = &o->interfaces[i];

	for (uint32_t j = 0; j < i; j++) {
		const struct options_interface *other = &o->interfaces[j];

		if (o->filter_file != NULL &&
		    (mine->filter_text == o->filter) != (other->filter_text == o->filter))
			continue;
		if (strcmp(mine->filter_text, other->filter_text) == 0)
			return other->filter;
	}
	return next;
}

static void
complete(const struct options *o, const struct options_own *defaults,
    const struct options_own *own, struct options_interface *iface)
{
	iface->filter_text = own->filter != NULL ? own->filter : o->filter;
	iface->snaplen = own->snaplen != 0 ? own->snaplen :
	    defaults->snaplen != 0 ? defaults->snaplen : PROTO_DEFAULT_SNAPLEN;
	iface->no_promiscuous = own->no_promiscuous || defaults->no_promiscuous;
	iface->link_type = own->link_type != 0 ? own->link_type : defaults->link_type;
}

int
options_judge_interfaces(struct options_parse *p, struct err *err)
{
	struct options *o = &p->options;
	uint32_t n_filters = 0;
	int code = check_any(o, err);

	for (uint32_t i = 0; i < o->n_interfaces && code == E_OK; i++) {
		struct options_interface *iface = &o->interfaces[i];

		complete(o, &p->own[0], &p->own[i + 1], iface);
		code = check_filter_len(iface->filter_text, err);
		iface->filter = filter_number(o, i, n_filters);
		if (iface->filter == n_filters)
			n_filters++;
	}
	if (code == E_OK && n_filters > PROTO_MAX_FILTERS)
		return err_set(err, E_USAGE, "-f: more than %d different filters",
		    PROTO_MAX_FILTERS);
	return code;
}

bool
options_is_pattern(const char *name)
{
	const char *slash = strrchr(name, '/');

	return strpbrk(name, "*?[") != NULL ||
	    strcmp(slash != NULL ? slash + 1 : name, "any") == 0;
}
