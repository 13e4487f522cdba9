#include "server/policy_change.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

static void
add_name(char names[POLICY_CHANGE_LEN], const char *name)
{
	size_t len = strlen(names);

	snprintf(names + len, POLICY_CHANGE_LEN - len, "%s%s", len > 0 ? ", " : "", name);
}

/* Keys with one value that any reload may change. */
static const struct field {
	const char	*name;
	size_t		 at, size;	/* size 0: a text */
} fields[] = {
#define TEXT(name, member)	{ name, offsetof(struct policy, member), 0 }
#define VALUE(name, member)						\
	{ name, offsetof(struct policy, member), sizeof(((struct policy *)0)->member) }
	TEXT("cert", cert), TEXT("key", key), TEXT("ca", ca), TEXT("interfaces", interfaces),
	TEXT("mandatory-filter", mandatory_filter),
	VALUE("promiscuous", promiscuous), VALUE("max-snaplen", max_snaplen),
	VALUE("max-captures", max_captures), VALUE("max-interfaces", max_interfaces),
	VALUE("max-linger", max_linger_s), VALUE("ring-memory", ring_memory),
	VALUE("log-memory", log_memory),
#undef TEXT
#undef VALUE
};

static bool
is_same_field(const struct field *field, const struct policy *a, const struct policy *b)
{
	const char *in_a = (const char *)a + field->at, *in_b = (const char *)b + field->at;

	return field->size == 0 ? strcmp(in_a, in_b) == 0 :
	    memcmp(in_a, in_b, field->size) == 0;
}

static bool
is_same_listen(const struct policy *a, const struct policy *b)
{
	char in_a[PRIV_ADDRESS_LEN], in_b[PRIV_ADDRESS_LEN];

	if (a->n_listen != b->n_listen)
		return false;
	for (unsigned i = 0; i < a->n_listen; i++) {
		listen_address_format(&a->listen[i], in_a, sizeof(in_a));
		listen_address_format(&b->listen[i], in_b, sizeof(in_b));
		if (strcmp(in_a, in_b) != 0)
			return false;
	}
	return true;
}

/* Sockets, marks and the user are those of the start. */
static void
judge_fixed(const struct policy *now, struct policy *next, struct policy_change *change)
{
	if (!is_same_listen(now, next))
		add_name(change->needs_restart, "listen");
	if (strcmp(now->user, next->user) != 0)
		add_name(change->needs_restart, "user");
	if (now->mark != next->mark)
		add_name(change->needs_restart, "mark");
	next->n_listen = now->n_listen;
	memcpy(next->listen, now->listen, sizeof(next->listen));
	memcpy(next->user, now->user, sizeof(next->user));
	next->mark = now->mark;
}

/* Less than at the start is possible, more is not: the rights are gone. */
static void
judge_capabilities(const struct policy *first, const struct policy *now, struct policy *next,
    struct policy_change *change)
{
	if ((next->namespaces & ~first->namespaces) != 0) {
		add_name(change->needs_restart, "namespaces");
		next->namespaces = now->namespaces;
		memcpy(next->namespace_names, now->namespace_names,
		    sizeof(next->namespace_names));
	} else if (next->namespaces != now->namespaces ||
	    strcmp(next->namespace_names, now->namespace_names) != 0) {
		add_name(change->changed, "namespaces");
	}
	if (next->hardware_timestamps == now->hardware_timestamps)
		return;
	if (!next->hardware_timestamps || first->hardware_timestamps) {
		add_name(change->changed, "hardware-timestamps");
		return;
	}
	add_name(change->needs_restart, "hardware-timestamps");
	next->hardware_timestamps = now->hardware_timestamps;
}

int
policy_change_judge(const struct policy *first, const struct policy *now,
    struct policy *next, struct policy_change *ret_change, struct err *err)
{
	if (now->has_file && !next->has_file)
		return err_set(err, E_CONFIG, "configuration '%s': open: no such file",
		    now->file);
	ret_change->changed[0] = ret_change->needs_restart[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (!is_same_field(&fields[i], now, next))
			add_name(ret_change->changed, fields[i].name);
	judge_capabilities(first, now, next, ret_change);
	judge_fixed(now, next, ret_change);
	return E_OK;
}
