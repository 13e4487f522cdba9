#include "server/captures.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/bpf_link.h"
#include "common/log.h"
#include "common/mailbox.h"
#include "server/wanted.h"

enum {
	LOG_MIN = 2 << 20,	/* a few batches: below it every pause loses some */
};

/* A socket whose tap is being closed. */
struct tap {
	struct entry	*entry;
	struct priv_call_request *request;	/* reject-all under way, or NULL */
};

struct entry {
	struct entry	*next;
	struct captures	*set;
	struct capture	*capture;
	size_t		 log_bytes;
	struct msg_start start;		/* what the client asked for */
	struct captures_socket *sockets;
	uint32_t	 n_sockets;
	uint32_t	 n_filters;	/* reject-all requests under way */
	struct tap	*taps;		/* by socket */
	bool		 is_quiescing;
};

struct captures {
	struct net	*net;
	struct mailbox	*mail;
	struct entry	*first;
	unsigned	 n;
	uint64_t	 log_used;
	loop_fn		 done;		/* captures_end() */
	void		*done_arg;
};

static void on_mail(struct mail *mail, void *arg);

struct captures *
captures_new(struct net *net, struct err *err)
{
	struct captures *set = calloc(1, sizeof(*set));

	if (set == NULL) {
		err_set(err, E_NOMEM, "captures: create: out of memory");
		return NULL;
	}
	set->net = net;
	set->mail = mailbox_new(net->loop, on_mail, set, err);
	if (set->mail == NULL) {
		free(set);
		return NULL;
	}
	return set;
}

static void
drop_mail(struct mail *mail)
{
	(void)mail;	/* embedded in its capture */
}

void
captures_free(struct captures *set)
{
	if (set == NULL)
		return;
	mailbox_free(set->mail, drop_mail);
	free(set);
}

unsigned
captures_count(const struct captures *set)
{
	return set->n;
}

size_t
captures_log_budget(const struct captures *set, uint64_t asked)
{
	uint64_t all = set->net->setup.config.log_memory;
	uint64_t left = all > set->log_used ? all - set->log_used : 0;

	if (asked == 0)
		asked = CAPTURES_LOG_DEFAULT;
	if (asked < LOG_MIN)
		asked = LOG_MIN;
	if (asked > left)
		asked = left;
	return asked < LOG_MIN ? 0 : (size_t)asked;
}

static void
free_start(const struct msg_start *start)
{
	struct msg msg = { .type = MSG_START, .start = *start };

	msg_free(&msg);
}

static void
free_sockets(struct captures_socket *sockets, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		free(sockets[i].info.addresses);
	free(sockets);
}

/* Each namespace's handle once: sockets there share it. */
static void
close_namespaces(struct captures *set, const struct captures_socket *sockets,
    uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t first = 0;

		while (sockets[first].netns != sockets[i].netns)
			first++;
		if (first == i)
			priv_call_netns_close(set->net->call, sockets[i].netns);
	}
}

/* In capagent too: only then do the ring and promiscuous mode end. */
static void
close_handles(struct captures *set, const struct captures_socket *sockets,
    uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (priv_call_close(set->net->call, sockets[i].handle, NULL,
		    NULL) == NULL)
			log_err(LOG_CAPTURE, "interface '%s': close: out of "
			    "memory: it stays open until the agent ends",
			    sockets[i].socket.name);
	close_namespaces(set, sockets, n);
}

static struct entry *
entry_new(struct captures *set, const struct msg_start *start,
    struct captures_socket *sockets, uint32_t n)
{
	struct entry *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	e->taps = calloc(n, sizeof(*e->taps));
	if (e->taps == NULL) {
		free(e);
		return NULL;
	}
	for (uint32_t i = 0; i < n; i++)
		e->taps[i].entry = e;
	e->set = set;
	e->start = *start;
	e->sockets = sockets;
	e->n_sockets = n;
	return e;
}

int
captures_start(struct captures *set, struct capture_config *cfg,
    const struct msg_start *start, struct captures_socket *sockets, uint32_t n,
    struct err *err)
{
	struct entry *e = entry_new(set, start, sockets, n);
	struct capture_socket *plain = calloc(n, sizeof(*plain));

	if (e == NULL || plain == NULL) {
		conn_free(cfg->conn);
		frame_reader_free(cfg->reader);
		for (uint32_t i = 0; i < n; i++)
			close(sockets[i].socket.fd);
		err_set(err, E_NOMEM, "capture: create: out of memory");
		goto out;
	}
	for (uint32_t i = 0; i < n; i++)
		plain[i] = sockets[i].socket;
	cfg->owner = set->mail;
	cfg->owner_arg = e;
	cfg->sockets = plain;
	cfg->n_sockets = n;
	e->log_bytes = cfg->log_bytes;
	e->capture = capture_start(cfg, err);
	if (e->capture == NULL)
		goto out;
	free(plain);
	e->next = set->first;
	set->first = e;
	set->n++;
	set->log_used += e->log_bytes;
	/* Addresses may have come while its interfaces were being opened. */
	captures_relink(set);
	return E_OK;
out:
	free(plain);
	if (e != NULL)
		free(e->taps);
	free(e);
	close_handles(set, sockets, n);
	free_sockets(sockets, n);
	free_start(start);
	return err == NULL ? E_NOMEM : err->code;
}

static void
relinked(const struct err *err, void *arg)
{
	(void)arg;
	if (err->code != E_OK)
		log_err(LOG_CAPTURE, "filter: link anew: %s: the agent's own "
		    "traffic on a new address is not left out", err->what);
}

static void
relink_socket(struct captures *set, const struct entry *e, struct captures_socket *s,
    struct prologue *linked)
{
	struct err err;

	if (s->own_generation == set->net->own_generation)
		return;
	if (wanted_link(set->net, &e->start, s, linked, &err) != E_OK)
		relinked(&err, NULL);
	else if (priv_call_filter(set->net->call, s->handle, linked->prog.insns,
	    linked->prog.n, relinked, NULL) == NULL)
		log_err(LOG_CAPTURE, "filter: link anew: out of memory");
}

void
captures_relink(struct captures *set)
{
	struct prologue *linked = malloc(sizeof(*linked));

	if (linked == NULL) {
		log_err(LOG_CAPTURE, "filter: link anew: out of memory");
		return;
	}
	for (struct entry *e = set->first; e != NULL; e = e->next)
		for (uint32_t i = 0; i < e->n_sockets && !e->is_quiescing; i++)
			relink_socket(set, e, &e->sockets[i], linked);
	free(linked);
}

/* A reject-all filter is attached, or cannot be: the drain has its own bound. */
static void
quiesced(const struct err *err, void *arg)
{
	struct tap *tap = arg;
	struct entry *e = tap->entry;

	tap->request = NULL;
	if (err->code != E_OK)
		log_warn(LOG_CAPTURE, "end: close the tap: %s", err->what);
	if (--e->n_filters == 0)
		capture_quiesced(e->capture);
}

static void
quiesce(struct entry *e)
{
	static const struct bpf_insn_raw reject_all = { .code = 0x06 };	/* ret #0 */

	e->is_quiescing = true;
	for (uint32_t i = 0; i < e->n_sockets; i++) {
		struct tap *tap = &e->taps[i];

		tap->request = priv_call_filter(e->set->net->call,
		    e->sockets[i].handle, &reject_all, 1, quiesced, tap);
		if (tap->request != NULL)
			e->n_filters++;
	}
	if (e->n_filters == 0)
		capture_quiesced(e->capture);
}

static void
finish(struct captures *set, struct entry *e)
{
	struct entry **at = &set->first;

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	set->n--;
	set->log_used -= e->log_bytes;
	/* The client left while the tap was being closed. */
	for (uint32_t i = 0; i < e->n_sockets; i++)
		if (e->taps[i].request != NULL)
			priv_call_cancel(set->net->call, e->taps[i].request);
	capture_join(e->capture);
	close_handles(set, e->sockets, e->n_sockets);
	free_sockets(e->sockets, e->n_sockets);
	free_start(&e->start);
	free(e->taps);
	free(e);
	if (set->n == 0 && set->done != NULL)
		set->done(set->done_arg);
}

static void
on_mail(struct mail *mail, void *arg)
{
	struct capture_mail *m = (struct capture_mail *)(void *)mail;
	struct entry *e = capture_owner_arg(m->capture);

	switch (m->type) {
	case CAPTURE_MAIL_QUIESCE:
		quiesce(e);
		return;
	case CAPTURE_MAIL_DONE:
		finish(arg, e);
		return;
	}
}

void
captures_end(struct captures *set, loop_fn done, void *arg)
{
	set->done = done;
	set->done_arg = arg;
	if (set->n == 0) {
		done(arg);
		return;
	}
	for (struct entry *e = set->first; e != NULL; e = e->next)
		capture_end(e->capture, E_OK);
}
