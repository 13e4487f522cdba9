#include "server/plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/link_type.h"
#include "server/plan_probe.h"
#include "server/prologue.h"
#include "server/ring_geometry.h"
#include "server/wanted.h"

enum { PROBES_MAX = 8 };	/* at a time: each has a ring */

struct plan;

/* One interface that is looked at. */
struct look {
	struct plan	*plan;
	struct plan_probe *probe;
	uint32_t	 i;		/* which */
};

struct plan {
	struct net	*net;
	struct plan_config cfg;
	plan_fn		 fn;
	void		*arg;
	struct msg_plan_interface *interfaces;
	uint32_t	 next;		/* interfaces before it are dealt with */
	unsigned	 n_running;
	struct look	 looks[PROBES_MAX];
	struct loop_timer *timer;	/* to go on from the loop */
};

static void PRINTF_LIKE(2, 3)
warn(struct msg_plan_interface *p, const char *fmt, ...)
{
	char (*warnings)[PROTO_MAX_TEXT + 1];
	va_list ap;

	if (p->n_warnings == PROTO_MAX_WARNINGS)
		return;
	warnings = reallocarray(p->warnings, (size_t)p->n_warnings + 1, sizeof(*warnings));
	if (warnings == NULL)
		return;			/* the plan is right without it */
	p->warnings = warnings;
	va_start(ap, fmt);
	vsnprintf(warnings[p->n_warnings++], sizeof(*warnings), fmt, ap);
	va_end(ap);
}

/* --- what is known without a socket --- */

static const struct msg_filter *
filter_of(const struct msg_start *start, const struct captures_socket *s)
{
	return &start->filters[start->interfaces[s->request].filter];
}

static void
warn_of_place(struct msg_plan_interface *p, const struct captures_socket *s,
    const struct msg_filter *filter)
{
	if (s->place == FILTER_AGENT)
		warn(p, "the filter has no form for tagged packets that the kernel can "
		    "run: the agent filters those");
	else if (s->place == FILTER_CLIENT && !filter->at_client)
		warn(p, "the kernel cannot run the filter: all packets travel, and the "
		    "client filters");
}

static int
copy_program(const struct prologue *linked, struct msg_plan_interface *p)
{
	p->insns = calloc(linked->prog.n, sizeof(*p->insns));
	if (p->insns == NULL)
		return E_NOMEM;
	memcpy(p->insns, linked->prog.insns, linked->prog.n * sizeof(*p->insns));
	p->n_insns = linked->prog.n;
	for (uint32_t i = 0; i < linked->n_parts && i < ARRAY_LEN(p->parts); i++)
		p->parts[p->n_parts++] = (struct msg_plan_part){
			linked->parts[i].first, linked->parts[i].kind };
	return E_OK;
}

static void
describe_ring(struct plan *plan, const struct captures_socket *s, uint32_t snaplen,
    struct msg_plan_interface *p)
{
	struct ring_geometry g;

	if (ring_geometry_make(plan->cfg.ring_bytes, snaplen, s->max_packet, &g) != E_OK)
		return;
	p->ring_bytes = ring_geometry_bytes(&g);
	p->block_bytes = g.block_size;
	p->retire_ms = g.retire_ms;
}

static int
describe(struct plan *plan, uint32_t i, struct prologue *linked, struct err *err)
{
	struct captures_socket *s = &plan->cfg.sockets[i];
	struct msg_plan_interface *p = &plan->interfaces[i];
	const struct msg_start *start = plan->cfg.start;
	int rc = wanted_link(plan->net, start, s, linked, err);

	if (rc != E_OK)
		return rc;
	p->interface = s->info;
	p->interface.is_promiscuous = s->info.index != 0 &&
	    !start->interfaces[s->request].no_promiscuous;
	p->exact_vlan = filter_of(start, s)->exact_vlan;
	if (copy_program(linked, p) != E_OK)
		return err_set(err, E_NOMEM, "plan: out of memory");
	describe_ring(plan, s, linked->open_snaplen, p);
	warn_of_place(p, s, filter_of(start, s));
	if (s->socket.link.is_cooked)
		warn(p, "cooked: packets have a made header instead of the device's own, "
		    "and no VLAN tags");
	if (start->time_stamp_type != TIME_STAMP_HOST &&
	    s->info.time_stamp_type == TIME_STAMP_HOST)
		warn(p, "the interface offers no such time stamps: the host's are used");
	return E_OK;
}

/* --- what only a socket can tell --- */

static const struct msg_program *
probed_program(const struct plan *plan, uint32_t i)
{
	const struct captures_socket *s = &plan->cfg.sockets[i];
	const struct msg_filter *filter = filter_of(plan->cfg.start, s);

	if (s->socket.link.link_type != LINK_ETHERNET || filter->exact_vlan ||
	    filter->at_client)
		return NULL;
	for (uint32_t k = 0; k < filter->n_programs; k++)
		if (filter->programs[k].link_type == LINK_ETHERNET)
			return &filter->programs[k];
	return NULL;
}

static void
looked(const struct err *err, bool is_tagged, void *arg)
{
	struct look *l = arg;
	struct plan *plan = l->plan;
	struct msg_plan_interface *p = &plan->interfaces[l->i];

	if (err->code != E_OK)
		warn(p, "not looked at for tagged traffic: %s", err->what);
	else if (is_tagged)
		warn(p, "tagged traffic is present and this filter ignores the tag: over "
		    "a file it answers otherwise (--exact-filter does as over a file)");
	plan_probe_free(l->probe);
	l->probe = NULL;
	plan->n_running--;
	loop_timer_set(plan->timer, 0);
}

static void
begin_look(struct plan *plan, uint32_t i, const struct msg_program *program)
{
	struct look *l = plan->looks;
	struct err err;

	while (l->probe != NULL)	/* fewer than PROBES_MAX run */
		l++;
	*l = (struct look){ .plan = plan, .i = i };
	l->probe = plan_probe_start(plan->net, plan->cfg.start, &plan->cfg.sockets[i],
	    plan->cfg.capture_number, program->insns, program->n_insns, looked, l, &err);
	if (l->probe == NULL)
		warn(&plan->interfaces[i], "not looked at for tagged traffic: %s",
		    err.what);
	else
		plan->n_running++;
}

/* As many looks at a time as may be; the plan is told when all are done. */
static void
go_on(void *arg)
{
	static const struct err none = { .code = E_OK };
	struct plan *plan = arg;
	struct msg_plan out = { 0 };

	for (; plan->next < plan->cfg.n_sockets && plan->n_running < PROBES_MAX;
	    plan->next++) {
		const struct msg_program *program = probed_program(plan, plan->next);

		if (program != NULL)
			begin_look(plan, plan->next, program);
	}
	if (plan->n_running > 0)
		return;
	out.n_interfaces = plan->cfg.n_sockets;
	out.interfaces = plan->interfaces;
	plan->fn(&none, &out, plan->arg);
}

/* --- life --- */

static int
describe_all(struct plan *plan, struct err *err)
{
	struct prologue *linked = malloc(sizeof(*linked));
	int rc = E_OK;

	if (linked == NULL)
		return err_set(err, E_NOMEM, "plan: out of memory");
	for (uint32_t i = 0; i < plan->cfg.n_sockets && rc == E_OK; i++)
		rc = describe(plan, i, linked, err);
	free(linked);
	return rc;
}

struct plan *
plan_start(struct net *net, const struct plan_config *cfg, plan_fn fn, void *arg,
    struct err *err)
{
	struct plan *plan = calloc(1, sizeof(*plan));

	if (plan == NULL) {
		err_set(err, E_NOMEM, "plan: out of memory");
		return NULL;
	}
	*plan = (struct plan){ .net = net, .cfg = *cfg, .fn = fn, .arg = arg };
	plan->timer = loop_timer_new(net->loop, go_on, plan);
	plan->interfaces = calloc(cfg->n_sockets, sizeof(*plan->interfaces));
	if (plan->timer == NULL || plan->interfaces == NULL)
		err_set(err, E_NOMEM, "plan: out of memory");
	else if (describe_all(plan, err) == E_OK) {
		loop_timer_set(plan->timer, 0);
		return plan;
	}
	plan_free(plan);
	return NULL;
}

void
plan_free(struct plan *plan)
{
	if (plan == NULL)
		return;
	for (size_t i = 0; i < ARRAY_LEN(plan->looks); i++)
		plan_probe_free(plan->looks[i].probe);
	for (uint32_t i = 0; plan->interfaces != NULL && i < plan->cfg.n_sockets; i++) {
		free(plan->interfaces[i].insns);
		free(plan->interfaces[i].warnings);
	}
	free(plan->interfaces);
	loop_timer_free(plan->timer);
	free(plan);
}
