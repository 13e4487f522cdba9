/*
 * session_check - what of a Start can be refused or lowered before anything
 * is asked: its own sense, policy, and what memory is left.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "server/session_int.h"
#include "server/wanted.h"

enum { INTERFACE_NOTES_MAX = 4 };	/* the text has room for some more */

void
session_note(struct session *s, const char *fmt, ...)
{
	size_t len = strlen(s->notes);
	va_list ap;

	if (len > 0 && len + 2 < sizeof(s->notes)) {
		memcpy(s->notes + len, "; ", 3);
		len += 2;
	}
	va_start(ap, fmt);
	vsnprintf(s->notes + len, sizeof(s->notes) - len, fmt, ap);
	va_end(ap);
}

void
session_note_interface(struct session *s, const char *text)
{
	s->n_notes++;
	if (s->n_notes <= INTERFACE_NOTES_MAX)
		session_note(s, "%s", text);
	else if (s->n_notes == INTERFACE_NOTES_MAX + 1)
		session_note(s, "and so on for more interfaces");
}

int
session_check_budget(struct session *s, struct err *err)
{
	s->log_bytes = captures_log_budget(s->net->captures, s->start.start.log_bytes);
	if (s->log_bytes == 0)
		return err_set(err, E_LIMIT, "capture: start: log-memory of the "
		    "agent is used up by other captures");
	return E_OK;
}

static int
check_names(const struct msg_start *start, struct err *err)
{
	for (uint32_t i = 0; i < start->n_interfaces; i++)
		for (uint32_t k = 0; k < i; k++)
			if (strcmp(start->interfaces[i].name,
			    start->interfaces[k].name) == 0)
				return err_set(err, E_USAGE, "interface '%s': "
				    "start: named twice", start->interfaces[i].name);
	return E_OK;
}

static int
check_filters(const struct msg_start *start, struct err *err)
{
	for (uint32_t i = 0; i < start->n_filters; i++)
		for (uint32_t k = 0; k < start->filters[i].n_programs; k++) {
			const struct msg_program *p = &start->filters[i].programs[k];

			if (bpf_prog_check(p->insns, p->n_insns, err) != E_OK)
				return err_wrap(err, "filter: refused");
		}
	return E_OK;
}

static uint32_t
lower_snaplens(struct msg_start *start, uint32_t max)
{
	uint32_t largest = 0;

	for (uint32_t i = 0; i < start->n_interfaces; i++) {
		uint32_t *snaplen = &start->interfaces[i].snaplen;

		if (*snaplen > largest)
			largest = *snaplen;
		if (*snaplen > max)
			*snaplen = max;
	}
	return largest;
}

/* How long the capture outlives its connection, and when that is lost. */
static void
apply_times(struct session *s)
{
	struct msg_start *start = &s->start.start;
	uint32_t max_s = s->net->setup.config.max_linger_s;

	if (start->heartbeat_ms == 0)
		start->heartbeat_ms = PROTO_HEARTBEAT_MS;
	if (s->identity[0] == '\0' && start->linger_ms > 0) {
		session_note(s, "a lost connection is not waited for: the client's "
		    "certificate has no common name to tell who may come back");
		start->linger_ms = 0;
	}
	if (start->linger_ms <= (uint64_t)max_s * 1000)
		return;
	session_note(s, "a lost connection is waited for %u s instead of %u s: the "
	    "agent's max-linger", max_s, start->linger_ms / 1000);
	start->linger_ms = max_s * 1000;
}

/* What policy takes away, besides what capagent enforces by itself. */
static void
apply_policy(struct session *s)
{
	struct msg_start *start = &s->start.start;
	const struct priv_setup_config *cfg = &s->net->setup.config;
	uint32_t largest = lower_snaplens(start, cfg->max_snaplen);
	bool is_promiscuous = false;

	apply_times(s);
	if (largest > cfg->max_snaplen)
		session_note(s, "snapshot length %u lowered to the agent's maximum of "
		    "%u bytes", largest, cfg->max_snaplen);
	for (uint32_t i = 0; i < start->n_interfaces; i++) {
		is_promiscuous = is_promiscuous || !start->interfaces[i].no_promiscuous;
		start->interfaces[i].no_promiscuous = !cfg->promiscuous ||
		    start->interfaces[i].no_promiscuous;
	}
	if (is_promiscuous && !cfg->promiscuous)
		session_note(s, "the agent's configuration allows no promiscuous mode");
	if (cfg->has_mandatory)
		session_note(s, "the agent's own mandatory filter runs first");
}

int
session_check(struct session *s, struct err *err)
{
	struct msg_start *start = &s->start.start;
	const struct priv_setup_config *cfg = &s->net->setup.config;
	int rc;

	if (s->net->is_ending)
		return err_set(err, E_STATE, "capture: start: the agent is ending");
	if (start->n_interfaces == 0)
		return err_set(err, E_BADMSG, "capture: start: names no interface");
	if (start->n_interfaces > cfg->max_interfaces)
		return err_set(err, E_LIMIT, "capture: start: %u interfaces: "
		    "max-interfaces is %u: use a pattern", start->n_interfaces,
		    cfg->max_interfaces);
	rc = check_names(start, err);
	if (rc == E_OK)
		rc = check_filters(start, err);
	if (rc != E_OK)
		return rc;
	apply_policy(s);
	return session_check_budget(s, err);
}
