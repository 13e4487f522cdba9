#include "server/plan_probe.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/if_packet.h>

#include "common/bpf_asm.h"
#include "common/bpf_link.h"
#include "common/clock.h"
#include "common/loop.h"
#include "server/priv_call.h"
#include "server/prologue.h"

enum {
	LOOK_MS = 50,		/* between two looks at the counter */
	KEEP = 64,		/* bytes of packets that nobody reads */
};

struct plan_probe {
	struct net	*net;
	plan_probe_fn	 fn;
	void		*arg;
	struct priv_call_request *request;
	struct loop_timer *timer;
	int		 fd;
	uint32_t	 handle;
	unsigned	 looks;
};

/* --- program --- */

/*
 * Append a copy of prog from a program's start; where it accepts the packet
 * go on at yes, else at no.
 */
static void
append_judge(struct bpf_asm *a, const struct bpf_prog *prog, uint16_t yes, uint16_t no)
{
	uint16_t base = bpf_asm_labels(a, prog->n);

	bpf_asm_insn(a, BPF_LDX | BPF_W | BPF_IMM, 0);
	bpf_asm_insn(a, BPF_LD | BPF_W | BPF_IMM, 0);
	for (uint32_t i = 0; i < prog->n; i++) {
		const struct bpf_insn_raw *insn = &prog->insns[i];

		bpf_asm_bind(a, (uint16_t)(base + i));
		if (insn->code == (BPF_RET | BPF_K))
			bpf_asm_jump(a, insn->k != 0 ? yes : no);
		else if (insn->code == (BPF_RET | BPF_A))
			bpf_asm_branch(a, BPF_JMP | BPF_JEQ | BPF_K, 0, no, yes);
		else
			bpf_asm_copy(a, prog->insns, i, base);
	}
}

static int
assemble(const struct bpf_prog *live, const struct bpf_prog *exact,
    struct bpf_asm *a, struct bpf_prog *ret_prog)
{
	uint16_t label, live_yes, live_no, accept, reject;

	bpf_asm_init(a);
	label = bpf_asm_labels(a, 4);
	live_yes = label;
	live_no = (uint16_t)(label + 1);
	accept = (uint16_t)(label + 2);
	reject = (uint16_t)(label + 3);
	bpf_asm_insn(a, BPF_LD | BPF_W | BPF_ABS,
	    (uint32_t)SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT);
	bpf_asm_if(a, BPF_JMP | BPF_JEQ | BPF_K, 0, reject);
	append_judge(a, live, live_yes, live_no);
	bpf_asm_bind(a, live_yes);
	append_judge(a, exact, reject, accept);
	bpf_asm_bind(a, live_no);
	append_judge(a, exact, accept, reject);
	bpf_asm_bind(a, accept);
	bpf_asm_insn(a, BPF_RET | BPF_K, UINT32_MAX);
	bpf_asm_bind(a, reject);
	bpf_asm_insn(a, BPF_RET | BPF_K, 0);
	return bpf_asm_finish(a, ret_prog);
}

int
plan_probe_program(const struct bpf_insn_raw *filter, size_t n,
    struct bpf_prog *ret_prog)
{
	struct { struct bpf_prog live, exact; struct bpf_asm a; } *w = malloc(sizeof(*w));
	int rc;

	if (w == NULL)
		return E_NOMEM;
	w->live.n = 0;
	rc = bpf_link_append(&w->live, filter, n);
	if (rc == E_OK) {
		w->exact = w->live;
		rc = bpf_link_vlan(&w->exact, NULL);
	}
	if (rc == E_OK)
		rc = assemble(&w->live, &w->exact, &w->a, ret_prog);
	free(w);
	return rc;
}

/* --- socket --- */

static void
finish(struct plan_probe *p, const struct err *err, bool is_tagged)
{
	p->fn(err, is_tagged, p->arg);
}

static void
look(void *arg)
{
	static const struct err none = { .code = E_OK };
	struct plan_probe *p = arg;
	struct tpacket_stats_v3 stats = { 0 };
	socklen_t len = sizeof(stats);
	bool is_seen;

	is_seen = getsockopt(p->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len) == 0 &&
	    stats.tp_packets > 0;
	if (!is_seen && ++p->looks < PLAN_PROBE_MS / LOOK_MS) {
		loop_timer_set(p->timer, (int64_t)LOOK_MS * NS_PER_MS);
		return;
	}
	finish(p, &none, is_seen);
}

static void
opened(const struct err *err, const struct priv_opened *got, void *arg)
{
	struct plan_probe *p = arg;

	p->request = NULL;
	if (err->code != E_OK) {
		finish(p, err, false);
		return;
	}
	p->fd = got->fd;
	p->handle = got->handle;
	loop_timer_set(p->timer, (int64_t)LOOK_MS * NS_PER_MS);
}

/* Own traffic and direction as in the capture; no samples of so few packets. */
static int
link_probe(const struct net *net, const struct captures_socket *s,
    const struct bpf_prog *filter, struct prologue *ret, struct err *err)
{
	struct prologue_config cfg = s->prologue;

	cfg.own = s->netns == 0 ? &net->own : &net->own_elsewhere;
	cfg.mark = net->setup.config.mark;
	cfg.exact_vlan = false;
	cfg.from = cfg.to = FILTER_KERNEL;
	cfg.headers_only = false;
	cfg.sample = cfg.sample_flows = 0;
	cfg.snaplen = KEEP;
	cfg.filter = filter->insns;
	cfg.n_filter = filter->n;
	return prologue_build(&cfg, ret, err);
}

static int
ask(struct plan_probe *p, const struct msg_start *start,
    const struct captures_socket *s, uint32_t capture_number,
    const struct bpf_insn_raw *filter, size_t n, struct err *err)
{
	struct { struct bpf_prog program; struct prologue linked; } *w;
	bool is_promiscuous = !start->interfaces[s->request].no_promiscuous;
	bool is_inbound = s->socket.link.is_loopback || start->direction == START_IN;
	int rc;

	w = malloc(sizeof(*w));
	if (w == NULL)
		return err_set(err, E_NOMEM, "plan: out of memory");
	rc = plan_probe_program(filter, n, &w->program);
	if (rc != E_OK)
		err_set(err, rc, "filter: too long to compare with and without tags");
	else
		rc = link_probe(p->net, s, &w->program, &w->linked, err);
	if (rc == E_OK) {
		p->request = priv_call_open(p->net->call, &(struct priv_open_request){
			.capture = capture_number,
			.netns = s->netns,
			.ifindex = s->info.index,
			.link_type = s->socket.link.link_type,
			.snaplen = KEEP,
			.flags = (is_promiscuous ? PRIV_OPEN_PROMISCUOUS : 0u) |
			    (is_inbound ? PRIV_OPEN_INBOUND : 0u),
			.ring_bytes = PRIV_MIN_RING,
			.insns = w->linked.prog.insns,
			.n_insns = w->linked.prog.n,
		}, opened, p);
		if (p->request == NULL)
			rc = err_set(err, E_NOMEM, "plan: out of memory");
	}
	free(w);
	return rc;
}

struct plan_probe *
plan_probe_start(struct net *net, const struct msg_start *start,
    const struct captures_socket *s, uint32_t capture_number,
    const struct bpf_insn_raw *filter, size_t n, plan_probe_fn fn, void *arg,
    struct err *err)
{
	struct plan_probe *p = calloc(1, sizeof(*p));

	if (p == NULL) {
		err_set(err, E_NOMEM, "plan: out of memory");
		return NULL;
	}
	*p = (struct plan_probe){ .net = net, .fn = fn, .arg = arg, .fd = -1 };
	p->timer = loop_timer_new(net->loop, look, p);
	if (p->timer == NULL)
		err_set(err, E_NOMEM, "plan: out of memory");
	else if (ask(p, start, s, capture_number, filter, n, err) == E_OK)
		return p;
	plan_probe_free(p);
	return NULL;
}

void
plan_probe_free(struct plan_probe *p)
{
	if (p == NULL)
		return;
	if (p->request != NULL)
		priv_call_cancel(p->net->call, p->request);
	if (p->fd >= 0) {
		close(p->fd);
		(void)priv_call_close(p->net->call, p->handle, NULL, NULL);
	}
	loop_timer_free(p->timer);
	free(p);
}
