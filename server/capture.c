#include "server/capture_int.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

/* Everything that belongs to the thread's loop; safe on half-built objects. */
static void
release(struct capture *c)
{
	for (uint32_t i = 0; i < c->n_rings; i++)
		capture_ring_close(c->rings[i]);
	conn_free(c->conn);
	conn_free(c->leaving);
	frame_reader_free(c->reader);
	batch_log_free(c->log);
	announcements_free(c->announcements);
	batch_builder_free(c->builder);
	loop_timer_free(c->busy_timer);
	loop_timer_free(c->stats_timer);
	loop_timer_free(c->end_timer);
	loop_timer_free(c->leave_timer);
	loop_timer_free(c->lost_timer);
	loop_timer_free(c->tick_timer);
	loop_timer_free(c->linger_timer);
	loop_timer_free(c->duration_timer);
}

static void
on_duration_timer(void *arg)
{
	capture_begin_end(arg, E_OK, "");
}

static void
set_duration(struct capture *c)
{
	const uint64_t most = INT64_MAX / NS_PER_MS;

	if (c->max_duration_ms > 0 && c->max_duration_ms < most)
		loop_timer_set(c->duration_timer,
		    (int64_t)c->max_duration_ms * NS_PER_MS);
}

static void *
run(void *arg)
{
	struct capture *c = arg;
	struct err err;

	log_set_context(c->name);
	if (conn_attach(c->conn, c->loop, capture_on_conn, c, &err) == E_OK) {
		capture_watch_rings(c);
		(void)clock_watch_look(&c->clock_watch);
		capture_read_nic(c);
		loop_timer_set(c->stats_timer, CAPTURE_STATS_NS);
		set_duration(c);
		capture_begin_conn(c);
		/* Frames that came behind Start are in the reader already. */
		capture_read_messages(c);
		capture_read_rings(c);
		if (c->state != CAPTURE_DEAD && loop_run(c->loop, &err) != E_OK)
			log_err(LOG_CAPTURE, "%s", err.what);
	}
	c->state = CAPTURE_DEAD;
	capture_read_stats(c);
	capture_log_end(c);
	release(c);
	mailbox_post(c->owner, &c->done_mail.mail);
	return NULL;
}

static int
build(struct capture *c, const struct capture_config *cfg, struct err *err)
{
	c->loop = loop_new(err);
	if (c->loop == NULL)
		return E_NOMEM;
	c->orders = mailbox_new(c->loop, capture_on_order, c, err);
	if (c->orders == NULL || capture_orders_init(c, err) != E_OK)
		return E_NOMEM;
	c->log = batch_log_new(cfg->log_bytes, cfg->policy);
	c->builder = batch_builder_new();
	c->busy_timer = loop_timer_new(c->loop, capture_on_busy_timer, c);
	c->stats_timer = loop_timer_new(c->loop, capture_on_stats_timer, c);
	c->end_timer = loop_timer_new(c->loop, capture_end_is_late, c);
	c->leave_timer = loop_timer_new(c->loop, capture_on_leave_timer, c);
	c->lost_timer = loop_timer_new(c->loop, capture_on_lost_timer, c);
	c->tick_timer = loop_timer_new(c->loop, capture_on_tick, c);
	c->linger_timer = loop_timer_new(c->loop, capture_on_linger_timer, c);
	c->duration_timer = loop_timer_new(c->loop, on_duration_timer, c);
	c->announcements = announcements_new(capture_news_gone, c);
	if (c->log == NULL || c->builder == NULL || c->busy_timer == NULL ||
	    c->stats_timer == NULL || c->end_timer == NULL ||
	    c->leave_timer == NULL || c->lost_timer == NULL ||
	    c->tick_timer == NULL || c->linger_timer == NULL ||
	    c->duration_timer == NULL || c->announcements == NULL)
		return err_set(err, E_NOMEM, "capture: create: out of memory");
	stream_init(&c->stream, c->log, cfg->log_bytes);
	return E_OK;
}

static void
drop_sockets(const struct capture_config *cfg, uint32_t first)
{
	for (uint32_t i = first; i < cfg->n_sockets; i++) {
		close(cfg->sockets[i].fd);
		free(cfg->sockets[i].check);
	}
}

/* Takes all that they hold, on failure too. */
static int
take_sockets(struct capture *c, const struct capture_config *cfg, struct err *err)
{
	for (uint32_t i = 0; i < cfg->n_sockets; i++) {
		int rc = capture_ring_add(c, &cfg->sockets[i], err);

		if (rc != E_OK) {
			drop_sockets(cfg, i + 1);
			return rc;
		}
	}
	return E_OK;
}

/* Signals are the first thread's. */
static int
start_thread(struct capture *c, struct err *err)
{
	sigset_t all, old;
	int sys;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	sys = pthread_create(&c->thread, NULL, run, c);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (sys != 0)
		return err_set(err, E_LIMIT, "capture: start thread: %s",
		    strerror(sys));
	return E_OK;
}

/* What the owner's thread may still have pointed to. */
static void
destroy(struct capture *c)
{
	for (uint32_t i = 0; i < c->n_rings; i++)
		free(c->rings[i]);
	free(c->rings);
	msg_free(&(struct msg){ .type = MSG_STARTED, .started = c->started });
	mailbox_free(c->orders, capture_drop_order);
	capture_orders_fini(c);
	loop_free(c->loop);
	free(c);
}

/* info with addresses of its own.  E_NOMEM. */
static int
copy_addresses(struct msg_capture_interface *info)
{
	const size_t bytes = info->n_addresses * sizeof(*info->addresses);
	void *copy = NULL;

	if (bytes > 0) {
		copy = malloc(bytes);
		if (copy == NULL)
			return E_NOMEM;
		memcpy(copy, info->addresses, bytes);
	}
	info->addresses = copy;
	return E_OK;
}

/* What the client was told of its interfaces. */
static int
take_started(struct capture *c, const struct msg_started *started, struct err *err)
{
	c->started = *started;
	/* Packets begin here: what waits for rings that are slow is no news. */
	c->watermark = started->start;
	c->started.interfaces = NULL;
	c->started.n_interfaces = 0;
	for (uint32_t i = 0; i < started->n_interfaces; i++) {
		struct msg_capture_interface info = started->interfaces[i];

		if (copy_addresses(&info) != E_OK ||
		    capture_news_add_interface(c, &info) != E_OK)
			return err_set(err, E_NOMEM, "capture: create: out of memory");
	}
	c->n_told = started->n_interfaces;
	return E_OK;
}

static struct capture *
create(const struct capture_config *cfg)
{
	struct capture *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->owner = cfg->owner;
	c->owner_arg = cfg->owner_arg;
	c->conn = cfg->conn;
	c->reader = cfg->reader;
	c->max_packets = cfg->max_packets;
	c->max_duration_ms = cfg->max_duration_ms;
	c->n_filters = cfg->n_filters;
	c->clock_watch.wall = cfg->wall;
	c->next_sequence = 1;
	snprintf(c->name, sizeof(c->name), "%s", cfg->name);
	c->quiesce_mail = (struct capture_mail){ .type = CAPTURE_MAIL_QUIESCE,
	    .capture = c };
	c->done_mail = (struct capture_mail){ .type = CAPTURE_MAIL_DONE,
	    .capture = c };
	c->update_mail = (struct capture_mail){ .type = CAPTURE_MAIL_UPDATE,
	    .capture = c };
	c->held_mail = (struct capture_mail){ .type = CAPTURE_MAIL_HELD,
	    .capture = c };
	atomic_flag_clear(&c->end_ordered);
	atomic_flag_clear(&c->agent_ordered);
	return c;
}

struct capture *
capture_start(const struct capture_config *cfg, struct err *err)
{
	struct capture *c = create(cfg);
	int rc;

	if (c == NULL) {
		conn_free(cfg->conn);
		frame_reader_free(cfg->reader);
		drop_sockets(cfg, 0);
		err_set(err, E_NOMEM, "capture: create: out of memory");
		return NULL;
	}
	rc = build(c, cfg, err);
	if (rc == E_OK)
		rc = take_started(c, cfg->started, err);
	if (rc == E_OK)
		rc = take_sockets(c, cfg, err);
	else
		drop_sockets(cfg, 0);
	if (rc == E_OK)
		rc = start_thread(c, err);
	if (rc == E_OK)
		return c;
	release(c);
	destroy(c);
	return NULL;
}

void *
capture_owner_arg(const struct capture *c)
{
	return c->owner_arg;
}

void
capture_join(struct capture *c)
{
	if (c == NULL)
		return;
	pthread_join(c->thread, NULL);
	destroy(c);
}
