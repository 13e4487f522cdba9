#include "server/open_one.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/priv_call.h"
#include "server/prologue.h"
#include "server/wanted.h"

struct open_one {
	struct net	*net;
	struct open_one_config cfg;
	open_one_fn	 fn;
	void		*arg;
	struct priv_call_request *request;
	bool		 is_adapter_time;	/* as asked, or no longer */
	struct prologue	 prologue;
	struct err	 note;		/* code E_OK, what may be "" */
	struct err	 place_note;	/* who filters in the end, and why */
};

static int ask(struct open_one *o, struct err *err);

/* Append a sentence to what is told with success. */
static void PRINTF_LIKE(2, 3)
add_note(struct open_one *o, const char *fmt, ...)
{
	size_t len = strlen(o->note.what), room = sizeof(o->note.what);
	va_list ap;

	if (len > 0 && len + 2 < room) {
		memcpy(o->note.what + len, "; ", 3);
		len += 2;
	}
	va_start(ap, fmt);
	vsnprintf(o->note.what + len, room - len, fmt, ap);
	va_end(ap);
}

static void
finish(struct open_one *o, const struct err *err)
{
	open_one_fn fn = o->fn;
	void *arg = o->arg;
	struct captures_socket *s = o->cfg.s;
	struct err copy = *err;

	free(o);
	fn(&copy, s, arg);
}

const char *
open_one_place_text(enum filter_place place)
{
	switch (place) {
	case FILTER_KERNEL:
		return "in the kernel";
	case FILTER_AGENT:
		return "by the agent where packets are tagged";
	case FILTER_CLIENT:
		return "by the client: all packets travel";
	}
	return "?";
}

static void
note_place(struct open_one *o, const char *why)
{
	err_set(&o->place_note, E_OK, "interface '%s': %s: filtered %s",
	    o->cfg.s->info.name, why, open_one_place_text(o->cfg.s->place));
}

static const struct msg_filter *
asked_filter(const struct open_one *o)
{
	const struct msg_start *start = o->cfg.start;

	return &start->filters[start->interfaces[o->cfg.s->request].filter];
}

/* Link at s->place, or at the next one that does. */
static int
link_filter(struct open_one *o, struct err *err)
{
	struct captures_socket *s = o->cfg.s;
	enum filter_place first = s->place;
	int rc = wanted_link(o->net, o->cfg.start, s, &o->prologue, err);

	/* A client that kept its filter to itself knows. */
	if (rc == E_OK && s->place != first && !asked_filter(o)->at_client)
		note_place(o, "the filter has no form that the kernel can run whole");
	return rc;
}

/* --- what can be had instead --- */

static bool
has_two_copies(const struct prologue *p)
{
	for (uint32_t i = 0; i < p->n_parts; i++)
		if (p->parts[i].kind == PLAN_FILTER_TAGGED)
			return true;
	return false;
}

bool
open_one_link_smaller(const struct net *net, const struct msg_start *start,
    struct captures_socket *s, struct prologue *p, const struct err *why)
{
	struct err ignored;

	if (why->code != E_FILTER || why->sys != ENOMEM)
		return false;
	/* Half the memory does for a filter that is there once. */
	if (has_two_copies(p))
		s->prologue.one_copy = true;
	else if (start->kernel_only || s->place == FILTER_CLIENT)
		return false;
	else
		s->place++;
	return wanted_link(net, start, s, p, &ignored) == E_OK;
}

static bool
try_smaller(struct open_one *o, const struct err *err)
{
	struct captures_socket *s = o->cfg.s;
	enum filter_place before = s->place;

	if (!open_one_link_smaller(o->net, o->cfg.start, s, &o->prologue, err))
		return false;
	if (s->place != before)
		err_set(&o->place_note, E_OK, "%.200s: filtered %s", err->what,
		    open_one_place_text(s->place));
	return true;
}

/* An adapter's clock is a wish: a capture with the host's is better than none. */
static bool
try_host_time(struct open_one *o, const struct err *err)
{
	if (!o->is_adapter_time || err->code == E_IFDOWN || err->code == E_NOIFACE ||
	    err->code == E_LIMIT)
		return false;
	o->is_adapter_time = false;
	add_note(o, "%s: the host's time stamps are used", err->what);
	return true;
}

static void
note_host_time(struct open_one *o)
{
	add_note(o, "interface '%s': offers no such time stamps: the host's are used",
	    o->cfg.s->info.name);
}

static enum time_stamp_type
time_stamp_of(uint32_t bit)
{
	return bit == PRIV_TIME_ADAPTER ? TIME_STAMP_ADAPTER :
	    bit == PRIV_TIME_ADAPTER_UNSYNCED ? TIME_STAMP_ADAPTER_UNSYNCED :
	    TIME_STAMP_HOST;
}

static void
take_opened(struct open_one *o, const struct priv_opened *got)
{
	struct captures_socket *s = o->cfg.s;

	s->handle = got->handle;
	s->netns = o->cfg.netns;
	s->open_snaplen = got->snaplen;
	s->n_insns = (uint32_t)o->prologue.prog.n;
	s->socket.fd = got->fd;
	s->socket.block_size = got->block_size;
	s->socket.block_nr = got->block_nr;
	s->socket.retire_ms = got->retire_ms;
	s->socket.ifindex = got->ifindex;
	s->info.is_promiscuous = got->is_promiscuous;
	s->info.time_stamp_type = time_stamp_of(got->time_stamp_type);
	s->socket.is_elsewhere = s->netns != 0;
	s->socket.is_adapter_time = s->info.time_stamp_type != TIME_STAMP_HOST;
	/* The kernel's newest word; it may have been renamed since the list. */
	if (got->ifindex != 0) {
		memcpy(s->info.name, got->name, sizeof(got->name));
		memcpy(s->socket.name, got->name, sizeof(s->socket.name));
	}
	if (o->place_note.what[0] != '\0')
		add_note(o, "%s", o->place_note.what);
	if (!o->is_adapter_time || s->info.time_stamp_type != TIME_STAMP_HOST)
		return;
	/* capagent says why. */
	if (got->note[0] != '\0')
		add_note(o, "%s", got->note);
	else
		note_host_time(o);
}

/* What judges packets in the agent, of the program that the kernel has. */
static int
make_check(struct open_one *o, struct err *err)
{
	struct captures_socket *s = o->cfg.s;

	s->socket.place = s->place;
	if (s->place != FILTER_AGENT)
		return E_OK;
	s->socket.check = malloc(sizeof(*s->socket.check));
	if (s->socket.check == NULL)
		return err_set(err, E_NOMEM, "interface '%s': filter: out of memory",
		    s->info.name);
	*s->socket.check = o->prologue.check;
	return E_OK;
}

static void
opened(const struct err *err, const struct priv_opened *got, void *arg)
{
	struct open_one *o = arg;
	struct err why = *err;

	o->request = NULL;
	if (err->code == E_OK) {
		take_opened(o, got);
		if (make_check(o, &why) == E_OK) {
			finish(o, &o->note);
			return;
		}
		open_one_close(o->net, o->cfg.s);
		finish(o, &why);
		return;
	}
	if ((try_smaller(o, err) || try_host_time(o, err)) &&
	    ask(o, &why) == E_OK)
		return;
	finish(o, &why);
}

static uint32_t
open_flags(const struct open_one *o)
{
	const struct captures_socket *s = o->cfg.s;
	const struct msg_start *start = o->cfg.start;
	uint32_t flags = 0;

	if (!start->interfaces[s->request].no_promiscuous && o->cfg.ifindex != 0)
		flags |= PRIV_OPEN_PROMISCUOUS;
	if (s->socket.link.is_loopback || start->direction == START_IN)
		flags |= PRIV_OPEN_INBOUND;
	if (s->socket.link.is_cooked)
		flags |= PRIV_OPEN_COOKED;
	if (o->is_adapter_time)
		flags |= PRIV_OPEN_ADAPTER_TIME;
	return flags;
}

static int
ask(struct open_one *o, struct err *err)
{
	const struct captures_socket *s = o->cfg.s;

	o->request = priv_call_open(o->net->call, &(struct priv_open_request){
		.capture = o->cfg.capture_number,
		.ifindex = o->cfg.ifindex,
		.netns = o->cfg.netns,
		.link_type = s->socket.link.link_type,
		.snaplen = o->prologue.open_snaplen,
		.flags = open_flags(o),
		.ring_bytes = o->cfg.ring_bytes,
		.insns = o->prologue.prog.insns,
		.n_insns = o->prologue.prog.n,
	}, opened, o);
	return o->request == NULL ? err_set(err, E_NOMEM, "interface '%s': open: out of "
	    "memory", s->info.name) : E_OK;
}

struct open_one *
open_one_start(struct net *net, const struct open_one_config *cfg, open_one_fn fn,
    void *arg, struct err *err)
{
	struct open_one *o = calloc(1, sizeof(*o));

	if (o == NULL) {
		err_set(err, E_NOMEM, "interface '%s': open: out of memory",
		    cfg->s->info.name);
		return NULL;
	}
	o->net = net;
	o->cfg = *cfg;
	o->fn = fn;
	o->arg = arg;
	o->is_adapter_time = cfg->s->info.time_stamp_type != TIME_STAMP_HOST;
	if (cfg->start->time_stamp_type != TIME_STAMP_HOST && !o->is_adapter_time)
		note_host_time(o);
	if (link_filter(o, err) == E_OK && ask(o, err) == E_OK)
		return o;
	free(o);
	return NULL;
}

void
open_one_cancel(struct open_one *o)
{
	if (o == NULL)
		return;
	priv_call_cancel(o->net->call, o->request);
	free(o);
}

void
open_one_close(struct net *net, struct captures_socket *s)
{
	close(s->socket.fd);
	s->socket.fd = -1;
	free(s->socket.check);
	s->socket.check = NULL;
	/* In capagent too: only then do ring and promiscuous mode end. */
	(void)priv_call_close(net->call, s->handle, NULL, NULL);
}
