#include "server/policy.h"

#include <stdio.h>
#include <string.h>

#include "server/policy_int.h"
#include "server/policy_parse.h"

void
policy_init(struct policy *policy)
{
	*policy = (struct policy){
		.cert = "/etc/capagent/agent.pem",
		.key = "/etc/capagent/agent.key",
		.ca = "/etc/capagent/ca.pem",
		.interfaces = "*",
		.promiscuous = true,
		.max_snaplen = PRIV_MAX_SNAPLEN,
		.max_captures = 64,
		.max_interfaces = 256,
		.max_linger_s = 60,
		.mark = 0xca97,
		.ring_memory = UINT64_C(512) << 20,
		.log_memory = UINT64_C(1) << 30,
	};
}

static int
set_text(char *dst, size_t size, const char *value, struct err *err)
{
	if (value[0] == '\0')
		return err_set(err, E_CONFIG, "no value");
	if (strlen(value) >= size)
		return err_set(err, E_CONFIG, "longer than %zu characters", size - 1);
	memcpy(dst, value, strlen(value) + 1);
	return E_OK;
}

/* Put a further line's text behind what is there. */
static int
append_text(char *dst, size_t size, const char *value, struct err *err)
{
	size_t len = strlen(dst);

	if (len + 1 + strlen(value) >= size)
		return err_set(err, E_CONFIG, "longer than %zu characters", size - 1);
	snprintf(dst + len, size - len, " %s", value);
	return E_OK;
}

static int
set_listen(struct policy *p, const char *value, struct err *err)
{
	if (p->n_listen == PRIV_MAX_LISTENERS)
		return err_set(err, E_CONFIG, "more than %d addresses", PRIV_MAX_LISTENERS);
	if (listen_address_parse(value, &p->listen[p->n_listen], err) != E_OK) {
		if (err != NULL)
			err->code = E_CONFIG;
		return E_CONFIG;
	}
	p->n_listen++;
	return E_OK;
}

static int
set_cert(struct policy *p, const char *value, struct err *err)
{
	return set_text(p->cert, sizeof(p->cert), value, err);
}

static int
set_key(struct policy *p, const char *value, struct err *err)
{
	return set_text(p->key, sizeof(p->key), value, err);
}

static int
set_ca(struct policy *p, const char *value, struct err *err)
{
	return set_text(p->ca, sizeof(p->ca), value, err);
}

static int
set_user(struct policy *p, const char *value, struct err *err)
{
	return set_text(p->user, sizeof(p->user), value, err);
}

static int
set_interfaces(struct policy *p, const char *value, struct err *err)
{
	if (policy_parse_patterns(value, err) != E_OK)
		return E_CONFIG;
	if (p->has_interfaces)
		return append_text(p->interfaces, sizeof(p->interfaces), value, err);
	p->has_interfaces = true;
	return set_text(p->interfaces, sizeof(p->interfaces), value, err);
}

static int
set_promiscuous(struct policy *p, const char *value, struct err *err)
{
	return policy_parse_bool(value, &p->promiscuous, err);
}

static int
set_max_snaplen(struct policy *p, const char *value, struct err *err)
{
	return policy_parse_number(value, 1, PRIV_MAX_SNAPLEN, &p->max_snaplen, err);
}

static int
set_mandatory_filter(struct policy *p, const char *value, struct err *err)
{
	return set_text(p->mandatory_filter, sizeof(p->mandatory_filter), value, err);
}

static int
set_ring_memory(struct policy *p, const char *value, struct err *err)
{
	return policy_parse_bytes(value, PRIV_MIN_RING, PRIV_MAX_RING, &p->ring_memory, err);
}

static int
set_log_memory(struct policy *p, const char *value, struct err *err)
{
	return policy_parse_bytes(value, PRIV_MIN_RING, UINT64_C(1) << 40, &p->log_memory,
	    err);
}

/* Each capture is a thread of capagent-net. */
static int
set_max_captures(struct policy *p, const char *value, struct err *err)
{
	return policy_parse_number(value, 1, 1024, &p->max_captures, err);
}

static int
set_max_interfaces(struct policy *p, const char *value, struct err *err)
{
	return policy_parse_number(value, 1, 4096, &p->max_interfaces, err);
}

static int
set_max_linger(struct policy *p, const char *value, struct err *err)
{
	return policy_parse_seconds(value, 7 * 24 * 3600, &p->max_linger_s, err);
}

static int
set_namespaces(struct policy *p, const char *value, struct err *err)
{
	return policy_parse_namespaces(value, &p->namespaces, p->namespace_names,
	    sizeof(p->namespace_names), err);
}

static int
set_hardware_timestamps(struct policy *p, const char *value, struct err *err)
{
	return policy_parse_bool(value, &p->hardware_timestamps, err);
}

/* Every ordinary packet has mark 0 and would count as the agent's own. */
static int
set_mark(struct policy *p, const char *value, struct err *err)
{
	return policy_parse_number(value, 1, UINT32_MAX, &p->mark, err);
}

static const struct policy_key keys[] = {
	{ "listen", POLICY_KEY_REPEATS, set_listen },
	{ "cert", POLICY_KEY_ONCE, set_cert },
	{ "key", POLICY_KEY_ONCE, set_key },
	{ "ca", POLICY_KEY_ONCE, set_ca },
	{ "user", POLICY_KEY_ONCE, set_user },
	{ "interfaces", POLICY_KEY_REPEATS, set_interfaces },
	{ "promiscuous", POLICY_KEY_ONCE, set_promiscuous },
	{ "max-snaplen", POLICY_KEY_ONCE, set_max_snaplen },
	{ "mandatory-filter", POLICY_KEY_ONCE, set_mandatory_filter },
	{ "ring-memory", POLICY_KEY_ONCE, set_ring_memory },
	{ "log-memory", POLICY_KEY_ONCE, set_log_memory },
	{ "max-captures", POLICY_KEY_ONCE, set_max_captures },
	{ "max-interfaces", POLICY_KEY_ONCE, set_max_interfaces },
	{ "max-linger", POLICY_KEY_ONCE, set_max_linger },
	{ "namespaces", POLICY_KEY_ONCE, set_namespaces },
	{ "hardware-timestamps", POLICY_KEY_ONCE, set_hardware_timestamps },
	{ "mark", POLICY_KEY_ONCE, set_mark },
};

const struct policy_key *
policy_key_find(const char *name, unsigned *ret_number)
{
	for (unsigned i = 0; i < ARRAY_LEN(keys); i++)
		if (strcmp(keys[i].name, name) == 0) {
			*ret_number = i;
			return &keys[i];
		}
	return NULL;
}

int
policy_set(struct policy *policy, const char *key, const char *value, struct err *err)
{
	unsigned number;
	const struct policy_key *k = policy_key_find(key, &number);
	int ret;

	if (k == NULL)
		return err_set(err, E_CONFIG, "unknown key '%s'", key);
	ret = k->set(policy, value, err);
	if (ret != E_OK)
		err_wrap(err, "%s", key);
	return ret;
}

bool
policy_permits(const struct policy *policy, const char *interface)
{
	return policy_fits(policy->interfaces, interface);
}

bool
policy_permits_all(const struct policy *policy)
{
	/* Nothing but stars fits no character at all. */
	return policy_fits(policy->interfaces, "");
}

bool
policy_permits_netns(const struct policy *policy, const char *name)
{
	return (policy->namespaces & PRIV_NAMESPACES_NAMED) != 0 &&
	    policy_fits(policy->namespace_names, name);
}
