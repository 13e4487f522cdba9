#include "server/captures_int.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mailbox.h"

enum {
	LOG_MIN = 2 << 20,	/* a few batches: below it every pause loses some */
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
	set->look_timer = loop_timer_new(net->loop, captures_on_look_timer, set);
	set->down_timer = loop_timer_new(net->loop, captures_on_down_timer, set);
	if (set->look_timer == NULL || set->down_timer == NULL)
		err_set(err, E_NOMEM, "captures: create: out of memory");
	else
		set->mail = mailbox_new(net->loop, on_mail, set, err);
	if (set->mail == NULL) {
		loop_timer_free(set->look_timer);
		loop_timer_free(set->down_timer);
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
	loop_timer_free(set->look_timer);
	loop_timer_free(set->down_timer);
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

/* In capagent too: only then do the ring and promiscuous mode end. */
static void
close_handle(struct captures *set, const struct captures_socket *s)
{
	if (priv_call_close(set->net->call, s->handle, NULL, NULL) == NULL)
		log_err(LOG_CAPTURE, "interface '%s': close: out of memory: it "
		    "stays open until the agent ends", s->socket.name);
}

static void
free_entry(struct captures_entry *e)
{
	for (uint32_t i = 0; i < e->n_taps; i++) {
		free(e->taps[i]->s.info.addresses);
		free(e->taps[i]);
	}
	free(e->taps);
	captures_places_fini(e);
	loop_timer_free(e->alone_timer);
	free_start(&e->start);
	free(e);
}

static int
make_room(struct captures_entry *e)
{
	uint32_t room = e->taps_room == 0 ? 4 : e->taps_room * 2;
	struct captures_tap **taps;

	if (e->n_taps < e->taps_room)
		return E_OK;
	taps = reallocarray(e->taps, room, sizeof(*taps));
	if (taps == NULL)
		return E_NOMEM;
	e->taps = taps;
	e->taps_room = room;
	return E_OK;
}

int
captures_add_tap(struct captures_entry *e, const struct captures_socket *s)
{
	struct captures_tap *tap = make_room(e) == E_OK ?
	    calloc(1, sizeof(*tap)) : NULL;

	if (tap == NULL)
		return E_NOMEM;
	tap->entry = e;
	tap->s = *s;
	tap->is_open = true;
	tap->mtu = s->mtu;
	memcpy(tap->name, s->socket.name, sizeof(tap->name));
	e->taps[e->n_taps++] = tap;
	e->n_live++;
	return E_OK;
}

/* NULL when out of memory; nothing is taken then. */
static struct captures_entry *
entry_new(struct captures *set, const struct capture_config *cfg,
    const struct msg_start *start, const struct captures_socket *sockets, uint32_t n,
    struct survey *survey)
{
	struct captures_entry *e = calloc(1, sizeof(*e));
	bool is_made;

	if (e == NULL)
		return NULL;
	e->set = set;
	e->number = cfg->number;
	e->log_bytes = cfg->log_bytes;
	e->start = *start;
	e->alone_timer = loop_timer_new(set->net->loop, captures_on_alone_timer, e);
	is_made = e->alone_timer != NULL;
	for (uint32_t i = 0; is_made && i < n; i++)
		is_made = captures_add_tap(e, &sockets[i]) == E_OK;
	if (is_made && captures_places_init(e, survey) == E_OK) {
		if (n > 0)
			e->ring_bytes = (uint64_t)sockets[0].socket.block_size *
			    sockets[0].socket.block_nr;
		return e;
	}
	for (uint32_t i = 0; i < e->n_taps; i++)
		e->taps[i]->s.info.addresses = NULL;
	memset(&e->start, 0, sizeof(e->start));
	free_entry(e);
	return NULL;
}

/* What was taken, when there is no entry that has it. */
static void
give_up(struct captures *set, struct capture_config *cfg, const struct msg_start *start,
    struct captures_socket *sockets, uint32_t n)
{
	conn_free(cfg->conn);
	frame_reader_free(cfg->reader);
	for (uint32_t i = 0; i < n; i++) {
		open_one_close(set->net, &sockets[i]);
		free(sockets[i].info.addresses);
	}
	free_start(start);
}

/* In the form the capture's thread takes it. */
static struct capture_socket
take_socket(struct captures_tap *tap)
{
	struct capture_socket socket = tap->s.socket;

	tap->s.socket.check = NULL;
	return socket;
}

static struct capture *
start_capture(struct captures_entry *e, struct capture_config *cfg, struct err *err)
{
	struct capture *capture;

	cfg->sockets = calloc(e->n_taps > 0 ? e->n_taps : 1, sizeof(*cfg->sockets));
	if (cfg->sockets == NULL) {
		conn_free(cfg->conn);
		frame_reader_free(cfg->reader);
		for (uint32_t i = 0; i < e->n_taps; i++) {
			close(e->taps[i]->s.socket.fd);
			free(e->taps[i]->s.socket.check);
		}
		err_set(err, E_NOMEM, "capture: create: out of memory");
		return NULL;
	}
	for (uint32_t i = 0; i < e->n_taps; i++)
		cfg->sockets[i] = take_socket(e->taps[i]);
	cfg->owner = e->set->mail;
	cfg->owner_arg = e;
	cfg->n_sockets = e->n_taps;
	cfg->n_filters = e->start.n_filters;
	capture = capture_start(cfg, err);
	free(cfg->sockets);
	return capture;
}

int
captures_start(struct captures *set, struct capture_config *cfg,
    const struct resume_key *key, const struct msg_start *start,
    struct captures_socket *sockets, uint32_t n, struct survey *survey,
    struct err *err)
{
	struct captures_entry *e = entry_new(set, cfg, start, sockets, n, survey);

	if (e == NULL) {
		give_up(set, cfg, start, sockets, n);
		free(sockets);
		return err_set(err, E_NOMEM, "capture: create: out of memory");
	}
	free(sockets);
	e->key = *key;
	e->capture = start_capture(e, cfg, err);
	if (e->capture == NULL) {
		for (uint32_t i = 0; i < e->n_taps; i++)
			close_handle(set, &e->taps[i]->s);
		free_entry(e);
		return err == NULL ? E_NOMEM : err->code;
	}
	e->next = set->first;
	set->first = e;
	set->n++;
	set->log_used += e->log_bytes;
	/* Addresses and interfaces may have come while its own were opened. */
	captures_relink_entry(e);
	e->wants_compare = true;
	loop_timer_set(set->look_timer, 0);
	return E_OK;
}

/* A reject-all filter is attached, or cannot be: the drain has its own bound. */
static void
quiesced(const struct err *err, void *arg)
{
	struct captures_tap *tap = arg;
	struct captures_entry *e = tap->entry;

	tap->request = NULL;
	if (err->code != E_OK)
		log_warn(LOG_CAPTURE, "end: close the tap: %s", err->what);
	if (--e->n_filters == 0)
		capture_quiesced(e->capture);
}

static void
quiesce(struct captures_entry *e)
{
	static const struct bpf_insn_raw reject_all = { .code = 0x06 };	/* ret #0 */

	e->is_quiescing = true;
	captures_look_abandon(e);
	for (uint32_t i = 0; i < e->n_taps; i++) {
		struct captures_tap *tap = e->taps[i];

		if (!tap->is_open)
			continue;
		tap->request = priv_call_filter(e->set->net->call, tap->s.handle,
		    &reject_all, 1, quiesced, tap);
		if (tap->request != NULL)
			e->n_filters++;
	}
	if (e->n_filters == 0)
		capture_quiesced(e->capture);
}

void
captures_go_on(struct captures_entry *e)
{
	if (e->update != NULL || e->is_quiescing)
		return;
	if (e->wants_quiesce) {
		quiesce(e);
		return;
	}
	if (e->look != NULL)
		return;
	if (e->next_update != NULL)
		captures_update_begin(e);
	else if (e->wants_look || e->wants_compare)
		captures_look_begin(e, NULL);
	while (e->look == NULL && e->update == NULL && e->places_left > 0)
		captures_look_begin(e, &e->places[--e->places_left]);
}

static void
finish(struct captures *set, struct captures_entry *e)
{
	struct captures_entry **at = &set->first;

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	set->n--;
	set->log_used -= e->log_bytes;
	captures_look_abandon(e);
	captures_update_abandon(e);
	/* The client left while the tap was being closed. */
	for (uint32_t i = 0; i < e->n_taps; i++)
		if (e->taps[i]->request != NULL)
			priv_call_cancel(set->net->call, e->taps[i]->request);
	capture_join(e->capture);
	for (uint32_t i = 0; i < e->n_taps; i++)
		if (e->taps[i]->is_open)
			close_handle(set, &e->taps[i]->s);
	free_entry(e);
	captures_retry_refused(set);
	if (set->n == 0 && set->done != NULL)
		set->done(set->done_arg);
}

static void
take_update(struct captures_entry *e, struct capture_mail *m)
{
	struct msg *msg = malloc(sizeof(*msg));

	if (msg == NULL) {
		msg_free(&m->msg);
		capture_end(e->capture, E_NOMEM, NULL);
		return;
	}
	*msg = m->msg;
	e->next_update = msg;
	captures_go_on(e);
}

static void
on_mail(struct mail *mail, void *arg)
{
	struct capture_mail *m = (struct capture_mail *)(void *)mail;
	struct captures_entry *e = capture_owner_arg(m->capture);

	switch (m->type) {
	case CAPTURE_MAIL_QUIESCE:
		e->wants_quiesce = true;
		captures_go_on(e);
		return;
	case CAPTURE_MAIL_UPDATE:
		take_update(e, m);
		return;
	case CAPTURE_MAIL_HELD:
		captures_update_held(e);
		return;
	case CAPTURE_MAIL_LOST:
		captures_links_lost(e->taps[m->iface]);
		return;
	case CAPTURE_MAIL_CLOSED:
		e->taps[m->iface]->is_open = false;
		close_handle(e->set, &e->taps[m->iface]->s);
		captures_retry_refused(e->set);
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
	for (struct captures_entry *e = set->first; e != NULL; e = e->next)
		capture_end_agent(e->capture);
}
