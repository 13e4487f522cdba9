#include "server/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/policy_parse.h"

/* What inih skips at both ends of a line. */
static const char blanks[] = " \t\n\v\f\r";

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

static const struct policy_key {
	const char	*name;
	enum { KEY_ONCE, KEY_REPEATS } repeats;
	int		(*set)(struct policy *p, const char *value, struct err *err);
} keys[] = {
	{ "listen", KEY_REPEATS, set_listen },
	{ "cert", KEY_ONCE, set_cert },
	{ "key", KEY_ONCE, set_key },
	{ "ca", KEY_ONCE, set_ca },
	{ "user", KEY_ONCE, set_user },
	{ "interfaces", KEY_REPEATS, set_interfaces },
	{ "promiscuous", KEY_ONCE, set_promiscuous },
	{ "max-snaplen", KEY_ONCE, set_max_snaplen },
	{ "mandatory-filter", KEY_ONCE, set_mandatory_filter },
	{ "ring-memory", KEY_ONCE, set_ring_memory },
	{ "log-memory", KEY_ONCE, set_log_memory },
	{ "max-captures", KEY_ONCE, set_max_captures },
	{ "max-interfaces", KEY_ONCE, set_max_interfaces },
	{ "max-linger", KEY_ONCE, set_max_linger },
	{ "namespaces", KEY_ONCE, set_namespaces },
	{ "hardware-timestamps", KEY_ONCE, set_hardware_timestamps },
	{ "mark", KEY_ONCE, set_mark },
};

static const struct policy_key *
find_key(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

int
policy_set(struct policy *policy, const char *key, const char *value, struct err *err)
{
	const struct policy_key *k = find_key(key);
	int ret;

	if (k == NULL)
		return err_set(err, E_CONFIG, "unknown key '%s'", key);
	ret = k->set(policy, value, err);
	if (ret != E_OK)
		err_wrap(err, "%s", key);
	return ret;
}

/* One file being read. */
struct reading {
	FILE		*file;
	struct policy	*policy;
	unsigned	 line;
	unsigned	 seen;		/* bit i: keys[i] was set */
	unsigned	 bad_line;	/* first wrong line, 0 for none */
	struct err	 err;
};

/*
 * What inih would take otherwise than it is meant: the rest of a line that is
 * longer than its buffer as a line of its own, a line with a blank in front
 * as more of the value before, and what stands behind a section's name as
 * nothing at all.
 */
static int
check_line(const char *line, bool is_whole, int max_len, struct err *err)
{
	size_t n_blanks = strspn(line, blanks);
	const char *rest;

	/* strchr() finds the NUL, too: nothing but blanks is fine. */
	if (!is_whole)
		return err_set(err, E_CONFIG, "line longer than %d characters: shorten it "
		    "(interfaces may be given several times)", max_len);
	if (n_blanks > 0 && strchr("#;", line[n_blanks]) == NULL)
		return err_set(err, E_CONFIG, "begins with a blank, which would continue "
		    "the line before: remove the blank");
	rest = line[0] == '[' ? strchr(line, ']') : NULL;
	if (rest != NULL && strchr("#;", rest[1 + strspn(rest + 1, blanks)]) == NULL)
		return err_set(err, E_CONFIG, "behind a section's name: '%.40s': put it on "
		    "a line of its own", rest + 1);
	return E_OK;
}

static char *
read_line(char *dst, int size, void *arg)
{
	struct reading *r = arg;
	char *line = fgets(dst, size, r->file);
	bool is_whole;

	if (line == NULL)
		return NULL;
	r->line++;
	is_whole = strchr(line, '\n') != NULL || feof(r->file);
	if (r->bad_line == 0 && check_line(line, is_whole, size - 2, &r->err) != E_OK)
		r->bad_line = r->line;
	return line;
}

/* '#' begins a comment only at the start of a line. */
static bool
holds_comment(const char *value)
{
	for (const char *at = strchr(value, '#'); at != NULL; at = strchr(at + 1, '#'))
		if (at == value || strchr(blanks, at[-1]) != NULL)
			return true;
	return false;
}

static int
take_pair(struct reading *r, const char *section, const char *name, const char *value,
    struct err *err)
{
	const struct policy_key *key = find_key(name);
	unsigned bit;

	if (section[0] != '\0' && strcmp(section, "capagent") != 0)
		return err_set(err, E_CONFIG, "unknown section '%s': only [capagent] is known",
		    section);
	if (key == NULL)
		return err_set(err, E_CONFIG, "unknown key '%s'", name);
	if (holds_comment(value))
		return err_set(err, E_CONFIG, "%s: '#' behind a value: comments stand on lines "
		    "of their own", name);
	bit = 1U << (key - keys);
	if ((r->seen & bit) != 0 && key->repeats == KEY_ONCE)
		return err_set(err, E_CONFIG, "%s: given twice", name);
	r->seen |= bit;
	if (key->set == set_mandatory_filter)
		r->policy->mandatory_line = r->line;
	return policy_set(r->policy, name, value, err);
}

static int
handle_pair(void *arg, const char *section, const char *name, const char *value)
{
	struct reading *r = arg;

	if (r->bad_line == 0 && take_pair(r, section, name, value, &r->err) != E_OK)
		r->bad_line = r->line;
	return 1;
}

/* Whoever can write the file decides who may capture what. */
static int
check_owner(int fd, const char *path, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return err_sys(err, "configuration '%s': examine", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, E_CONFIG, "configuration '%s': read: not a file", path);
	if (st.st_uid != 0 && st.st_uid != getuid())
		return err_set(err, E_CONFIG, "configuration '%s': read: "
		    "belongs to uid %u: chown root it", path, st.st_uid);
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return err_set(err, E_CONFIG, "configuration '%s': read: "
		    "others can write it (mode %04o): chmod go-w it", path,
		    st.st_mode & 07777);
	return E_OK;
}

static int
parse_file(struct policy *policy, FILE *file, const char *path, struct err *err)
{
	struct reading r = { .file = file, .policy = policy };
	int syntax_line = ini_parse_stream(read_line, &r, handle_pair, &r);

	if (ferror(file))
		return err_sys(err, "configuration '%s': read", path);
	if (syntax_line > 0 && (r.bad_line == 0 || (unsigned)syntax_line < r.bad_line))
		return err_set(err, E_CONFIG, "%s:%d: neither key = value, "
		    "[capagent] nor a comment", path, syntax_line);
	if (r.bad_line != 0)
		return err_set(err, E_CONFIG, "%s:%u: %s", path, r.bad_line, r.err.what);
	return E_OK;
}

bool
policy_file_exists(const char *path)
{
	return access(path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

int
policy_load(struct policy *policy, const char *path, struct err *err)
{
	FILE *file;
	int fd, ret;

	/* Non-blocking, lest a FIFO in the file's place hold up the start. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd == -1) {
		err_sys(err, "configuration '%s': open", path);
		if (err != NULL)
			err->code = E_CONFIG;
		return E_CONFIG;
	}
	ret = check_owner(fd, path, err);
	if (ret != E_OK) {
		close(fd);
		return ret;
	}
	file = fdopen(fd, "r");
	if (file == NULL) {
		close(fd);
		return err_set(err, E_NOMEM, "configuration '%s': read: out of memory", path);
	}
	ret = parse_file(policy, file, path, err);
	fclose(file);
	if (ret == E_OK) {
		policy->has_file = true;
		snprintf(policy->file, sizeof(policy->file), "%s", path);
	}
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
