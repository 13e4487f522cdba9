#include "server/capture_int.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

static void
on_order(struct mail *mail, void *arg)
{
	struct capture_order *order = (struct capture_order *)(void *)mail;
	struct capture *c = arg;

	if (order->type == ORDER_QUIESCED) {
		capture_begin_drain(c);
		return;
	}
	loop_timer_set(c->end_timer, (int64_t)CAPTURE_END_LIMIT_MS * NS_PER_MS);
	capture_begin_end(c, order->code, order->code == E_OK ?
	    "the agent is ending" : err_text(order->code));
}

static void
log_end(const struct capture *c)
{
	uint64_t received = 0, dropped = 0;

	for (uint32_t i = 0; i < c->n_rings; i++) {
		received += c->rings[i].stats.received - c->rings[i].ring.skipped;
		dropped += c->rings[i].stats.dropped;
	}
	log_info(LOG_CAPTURE, "ended%s%s: %llu packets received by filter, "
	    "%llu dropped by kernel, %llu sent in batches, %llu lost in full "
	    "buffer", c->end_text[0] == '\0' ? "" : ": ", c->end_text,
	    (unsigned long long)received, (unsigned long long)dropped,
	    (unsigned long long)c->batched, (unsigned long long)
	    batch_log_lost_packets(c->stream.cursor));
}

static void
close_rings(struct capture *c)
{
	for (uint32_t i = 0; i < c->n_rings; i++) {
		struct capture_ring *r = &c->rings[i];

		loop_io_free(r->io);
		r->io = NULL;
		ring_unmap(r->mem, r->block_size, r->block_nr);
		if (r->fd >= 0)
			close(r->fd);
	}
	free(c->rings);
	c->rings = NULL;
}

/* Everything that belongs to the thread's loop; safe on half-built objects. */
static void
release(struct capture *c)
{
	close_rings(c);
	conn_free(c->conn);
	frame_reader_free(c->reader);
	if (c->stream.cursor != NULL)
		stream_fini(&c->stream);
	batch_log_free(c->log);
	batch_builder_free(c->builder);
	loop_timer_free(c->busy_timer);
	loop_timer_free(c->stats_timer);
	loop_timer_free(c->end_timer);
	loop_timer_free(c->link_timer);
}

static void *
run(void *arg)
{
	struct capture *c = arg;
	struct err err;

	log_set_context(c->name);
	if (conn_attach(c->conn, c->loop, capture_on_conn, c, &err) == E_OK) {
		conn_resume(c->conn);
		capture_watch_rings(c, LOOP_READ);
		c->heard = c->checked = clock_mono();
		loop_timer_set(c->stats_timer, CAPTURE_STATS_NS);
		/* Frames that came behind Start are in the reader already. */
		capture_read_messages(c);
		capture_read_rings(c);
		if (c->state != CAPTURE_DEAD && loop_run(c->loop, &err) != E_OK)
			log_err(LOG_CAPTURE, "%s", err.what);
	}
	c->state = CAPTURE_DEAD;
	capture_read_stats(c);
	log_end(c);
	release(c);
	mailbox_post(c->owner, &c->done_mail.mail);
	return NULL;
}

static int
map_ring(struct capture *c, struct capture_ring *r,
    const struct capture_socket *s, struct err *err)
{
	int rc = ring_map(s->fd, s->block_size, s->block_nr, &r->mem, err);

	if (rc != E_OK)
		return rc;
	ring_init(&r->ring, r->mem, s->block_size, s->block_nr, &s->link);
	r->io = loop_io_new(c->loop, s->fd, capture_on_ring, r);
	if (r->io == NULL)
		return err_set(err, E_NOMEM, "interface '%s': watch: out of memory",
		    s->name);
	return E_OK;
}

static int
build(struct capture *c, const struct capture_config *cfg, struct err *err)
{
	int rc;

	c->loop = loop_new(err);
	if (c->loop == NULL)
		return E_NOMEM;
	c->orders = mailbox_new(c->loop, on_order, c, err);
	if (c->orders == NULL)
		return E_NOMEM;
	c->log = batch_log_new(cfg->log_bytes, cfg->policy);
	c->builder = batch_builder_new();
	c->busy_timer = loop_timer_new(c->loop, capture_on_busy_timer, c);
	c->stats_timer = loop_timer_new(c->loop, capture_on_stats_timer, c);
	c->end_timer = loop_timer_new(c->loop, capture_end_is_late, c);
	c->link_timer = loop_timer_new(c->loop, capture_on_link_timer, c);
	if (c->log == NULL || c->builder == NULL || c->busy_timer == NULL ||
	    c->stats_timer == NULL || c->end_timer == NULL ||
	    c->link_timer == NULL ||
	    stream_init(&c->stream, c->conn, c->log) != E_OK)
		return err_set(err, E_NOMEM, "capture: create: out of memory");
	for (uint32_t i = 0; i < c->n_rings; i++) {
		rc = map_ring(c, &c->rings[i], &cfg->sockets[i], err);
		if (rc != E_OK)
			return rc;
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

static void
destroy(struct capture *c)
{
	mailbox_free(c->orders, NULL);
	loop_free(c->loop);
	free(c);
}

static struct capture *
create(const struct capture_config *cfg)
{
	struct capture *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->rings = calloc(cfg->n_sockets, sizeof(*c->rings));
	if (c->rings == NULL) {
		free(c);
		return NULL;
	}
	c->n_rings = cfg->n_sockets;
	c->owner = cfg->owner;
	c->owner_arg = cfg->owner_arg;
	c->conn = cfg->conn;
	c->reader = cfg->reader;
	c->max_packets = cfg->max_packets;
	c->next_sequence = 1;
	snprintf(c->name, sizeof(c->name), "%s", cfg->name);
	c->quiesce_mail = (struct capture_mail){ .type = CAPTURE_MAIL_QUIESCE,
	    .capture = c };
	c->done_mail = (struct capture_mail){ .type = CAPTURE_MAIL_DONE,
	    .capture = c };
	c->quiesced_order.type = ORDER_QUIESCED;
	c->end_order.type = ORDER_END;
	atomic_flag_clear(&c->end_ordered);
	for (uint32_t i = 0; i < c->n_rings; i++) {
		const struct capture_socket *s = &cfg->sockets[i];
		struct capture_ring *r = &c->rings[i];

		*r = (struct capture_ring){ .capture = c, .fd = s->fd,
		    .block_size = s->block_size, .block_nr = s->block_nr,
		    .retire_ms = s->retire_ms, .ifindex = s->ifindex };
		memcpy(r->name, s->name, sizeof(r->name));
	}
	return c;
}

struct capture *
capture_start(const struct capture_config *cfg, struct err *err)
{
	struct capture *c = create(cfg);

	if (c == NULL) {
		conn_free(cfg->conn);
		frame_reader_free(cfg->reader);
		for (uint32_t i = 0; i < cfg->n_sockets; i++)
			close(cfg->sockets[i].fd);
		err_set(err, E_NOMEM, "capture: create: out of memory");
		return NULL;
	}
	if (build(c, cfg, err) != E_OK || start_thread(c, err) != E_OK) {
		release(c);
		destroy(c);
		return NULL;
	}
	return c;
}

void
capture_quiesced(struct capture *c)
{
	mailbox_post(c->orders, &c->quiesced_order.mail);
}

void
capture_end(struct capture *c, int code)
{
	if (atomic_flag_test_and_set(&c->end_ordered))
		return;
	c->end_order.code = code;
	mailbox_post(c->orders, &c->end_order.mail);
}

void *
capture_owner_arg(const struct capture *c)
{
	return c->owner_arg;
}

static void
drop_order(struct mail *mail)
{
	(void)mail;	/* embedded in the capture */
}

void
capture_join(struct capture *c)
{
	if (c == NULL)
		return;
	pthread_join(c->thread, NULL);
	mailbox_free(c->orders, drop_order);
	loop_free(c->loop);
	free(c);
}
