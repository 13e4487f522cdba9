/*
 * capture_order - what other threads want of a capture's.
 *
 * What must not fail is made with the capture.
 */
#include "server/capture_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/log.h"

static struct capture_order *
order_new(int type)
{
	struct capture_order *order = calloc(1, sizeof(*order));

	if (order != NULL)
		order->type = type;
	return order;
}

int
capture_orders_init(struct capture *c, struct err *err)
{
	c->quiesced_order = order_new(ORDER_QUIESCED);
	c->hold_order = order_new(ORDER_HOLD);
	c->end_order = order_new(ORDER_END);
	c->agent_order = order_new(ORDER_END);
	if (c->quiesced_order == NULL || c->hold_order == NULL ||
	    c->end_order == NULL || c->agent_order == NULL)
		return err_set(err, E_NOMEM, "capture: create: out of memory");
	return E_OK;
}

void
capture_orders_fini(struct capture *c)
{
	free(c->quiesced_order);
	free(c->hold_order);
	free(c->end_order);
	free(c->agent_order);
}

static void
refilter_free(struct capture_refilter *refilter)
{
	for (uint32_t i = 0; i < refilter->n; i++)
		free(refilter->items[i].check);
	free(refilter);
}

void
capture_drop_order(struct mail *mail)
{
	struct capture_order *order = (struct capture_order *)(void *)mail;

	switch (order->type) {
	case ORDER_END:
	case ORDER_QUIESCED:
	case ORDER_HOLD:
		return;
	case ORDER_ADD:
		close(order->socket.fd);
		free(order->socket.check);
		free(order->info.addresses);
		break;
	case ORDER_TELL:
	case ORDER_LOST:
		break;
	case ORDER_REFILTER:
		refilter_free(order->refilter);
		break;
	case ORDER_RESUME:
		capture_turn_away(order->conn, order->reader);
		break;
	}
	free(order);
}

static void
obey_end(struct capture *c, const struct capture_order *order)
{
	capture_begin_end(c, order->code, order->text);
	if (order->limit_ns == 0)
		return;
	c->is_agent_ending = true;
	loop_timer_set(c->end_timer, order->limit_ns);
	if (c->conn == NULL)
		capture_die(c);
}

void
capture_on_order(struct mail *mail, void *arg)
{
	struct capture_order *order = (struct capture_order *)(void *)mail;
	struct capture *c = arg;

	switch (order->type) {
	case ORDER_QUIESCED:
		capture_begin_drain(c);
		return;
	case ORDER_END:
		obey_end(c, order);
		return;
	case ORDER_HOLD:
		c->is_holding = true;
		capture_watch_rings(c);
		mailbox_post(c->owner, &c->held_mail.mail);
		return;
	case ORDER_ADD:
		capture_interface_add(c, &order->socket, &order->info);
		break;
	case ORDER_TELL:
		capture_interface_tell(c, order->kind, order->iface, order->text);
		break;
	case ORDER_LOST:
		if (order->iface < c->n_rings)	/* it may have failed to come */
			c->rings[order->iface]->nic_dropped += order->packets;
		break;
	case ORDER_REFILTER:
		capture_take_refilter(c, order->refilter);
		refilter_free(order->refilter);
		break;
	case ORDER_RESUME:
		capture_obey_resume(c, order);
		break;
	}
	free(order);
}

void
capture_quiesced(struct capture *c)
{
	mailbox_post(c->orders, &c->quiesced_order->mail);
}

void
capture_end(struct capture *c, int code, const char *text)
{
	if (atomic_flag_test_and_set(&c->end_ordered))
		return;
	c->end_order->code = code;
	snprintf(c->end_order->text, sizeof(c->end_order->text), "%s",
	    text != NULL ? text : err_text(code));
	mailbox_post(c->orders, &c->end_order->mail);
}

void
capture_end_agent(struct capture *c)
{
	if (atomic_flag_test_and_set(&c->agent_ordered))
		return;
	c->agent_order->code = E_EOF;
	c->agent_order->limit_ns = (int64_t)CAPTURE_END_LIMIT_MS * NS_PER_MS;
	snprintf(c->agent_order->text, sizeof(c->agent_order->text),
	    "the agent is ending");
	mailbox_post(c->orders, &c->agent_order->mail);
}

void
capture_hold(struct capture *c)
{
	mailbox_post(c->orders, &c->hold_order->mail);
}

int
capture_add(struct capture *c, const struct capture_socket *socket,
    const struct msg_capture_interface *info)
{
	struct capture_order *order = order_new(ORDER_ADD);

	if (order == NULL) {
		close(socket->fd);
		free(socket->check);
		free(info->addresses);
		return E_NOMEM;
	}
	order->socket = *socket;
	order->info = *info;
	mailbox_post(c->orders, &order->mail);
	return E_OK;
}

void
capture_tell(struct capture *c, enum capture_event kind, uint32_t iface,
    const char *text)
{
	struct capture_order *order = order_new(ORDER_TELL);

	if (order == NULL) {
		log_err(LOG_CAPTURE, "%s: tell the client: out of memory", text);
		return;
	}
	order->kind = kind;
	order->iface = iface;
	snprintf(order->text, sizeof(order->text), "%s", text);
	mailbox_post(c->orders, &order->mail);
}

void
capture_lost_by_adapter(struct capture *c, uint32_t iface, uint64_t packets)
{
	struct capture_order *order = order_new(ORDER_LOST);

	if (order == NULL) {
		log_err(LOG_CAPTURE, "adapter's losses: count: out of memory");
		return;
	}
	order->iface = iface;
	order->packets = packets;
	mailbox_post(c->orders, &order->mail);
}

void
capture_refilter(struct capture *c, struct capture_refilter *refilter)
{
	struct capture_order *order = order_new(ORDER_REFILTER);

	if (order == NULL) {
		/* Its packets could not be told from those of the old filter. */
		log_err(LOG_CAPTURE, "filter: change: out of memory");
		refilter_free(refilter);
		capture_end(c, E_NOMEM, NULL);
		return;
	}
	order->refilter = refilter;
	mailbox_post(c->orders, &order->mail);
}

void
capture_resume(struct capture *c, struct conn *conn, struct frame_reader *reader,
    const struct msg_resume *resume, const char *who)
{
	struct capture_order *order = order_new(ORDER_RESUME);

	if (order == NULL) {
		log_err(LOG_CAPTURE, "%s: resume: out of memory", who);
		capture_turn_away(conn, reader);
		return;
	}
	order->conn = conn;
	order->reader = reader;
	order->resume = *resume;
	snprintf(order->text, sizeof(order->text), "%s", who);
	mailbox_post(c->orders, &order->mail);
}
