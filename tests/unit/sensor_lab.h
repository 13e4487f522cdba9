/*
 * sensor_lab - a sensor and the agent that a test plays for it.
 *
 * For one file of a test program.
 */
#ifndef TESTS_UNIT_SENSOR_LAB_H
#define TESTS_UNIT_SENSOR_LAB_H

#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/sensor.h"
#include "common/conn_int.h"
#include "loop_lab.h"
#include "peer_lab.h"
#include "pki_lab.h"
#include "proto/limits.h"

enum { N_INTERFACES = 2 };

/* What the agent has done so far; also the states of the sensor. */
enum stage { GREETING, READY, LISTING, STARTING, PLANNING, STREAMING, N_STAGES };

static struct pki_lab *pki;
static struct tls *agent_tls, *client_tls;

struct lab {
	struct loop	*loop;
	int		 listener;
	struct address	 address;
	struct peer	 agent;
	struct sensor	*sensor;
	unsigned	 n_hello, n_list, n_started, n_batches, n_gaps, n_stats, n_marks;
	unsigned	 n_ended, n_failed, n_events, n_need, n_plans, n_changed, n_added;
	uint64_t	 n_packets;
	struct err	 err;		/* of failed */
	bool		 is_over;	/* ended, failed or listed */
	bool		 frees;		/* in the next callback */
	bool		 reconnects;	/* inside failed */
	uint32_t	 heartbeat_ms;	/* before Started; 0: the default */
	uint32_t	 n_new;		/* interfaces that a resumed capture has more */
};

static inline void
saw(struct lab *lab, unsigned *n)
{
	assert_non_null(lab->sensor);
	++*n;
	if (lab->frees) {
		sensor_free(lab->sensor);
		lab->sensor = NULL;
		lab->is_over = true;
	}
}

static inline void
on_hello(const struct msg_hello *hello, void *arg)
{
	struct lab *lab = arg;

	assert_string_equal(hello->host, "thehost");
	saw(lab, &lab->n_hello);
}

static inline void
on_list(const struct msg_interface_list *list, void *arg)
{
	struct lab *lab = arg;

	assert_int_equal(list->n, 0);
	lab->is_over = true;
	saw(lab, &lab->n_list);
}

static inline void
on_started(const struct msg_started *started, void *arg)
{
	struct lab *lab = arg;

	assert_int_equal(started->n_interfaces, N_INTERFACES + lab->n_new);
	saw(lab, &lab->n_started);
}

static inline void
on_batch(struct batch_reader *batch, void *arg)
{
	struct lab *lab = arg;
	struct packet_ref packet;

	while (batch_reader_next(batch, &packet)) {
		assert_true(packet.meta.iface < N_INTERFACES);
		lab->n_packets++;
	}
	saw(lab, &lab->n_batches);
}

static inline void
on_gap(const struct msg_gap *gap, void *arg)
{
	struct lab *lab = arg;

	assert_true(gap->last_sequence >= gap->first_sequence);
	saw(lab, &lab->n_gaps);
}

static inline void
on_stats(const struct msg_stats *stats, void *arg)
{
	struct lab *lab = arg;

	assert_int_equal(stats->n_interfaces, N_INTERFACES + lab->n_added);
	saw(lab, &lab->n_stats);
}

static inline void
on_watermark(const struct msg_watermark *watermark, void *arg)
{
	struct lab *lab = arg;

	(void)watermark;
	saw(lab, &lab->n_marks);
}

static inline void
on_ended(const struct msg_ended *ended, void *arg)
{
	struct lab *lab = arg;

	assert_int_equal(ended->stats.n_interfaces, N_INTERFACES + lab->n_added);
	lab->is_over = true;
	saw(lab, &lab->n_ended);
}

static inline void
on_failed(const struct err *err, void *arg)
{
	struct lab *lab = arg;

	lab->err = *err;
	lab->is_over = true;
	saw(lab, &lab->n_failed);
	if (lab->reconnects)
		sensor_reconnect(lab->sensor, NULL);
}

static inline void
on_event(const struct msg_event *event, void *arg)
{
	struct lab *lab = arg;

	assert_string_equal(event->text, "a note");
	saw(lab, &lab->n_events);
}

static inline void
on_need_programs(const struct msg_need_programs *need, void *arg)
{
	struct lab *lab = arg;

	assert_true(need->n > 0);
	saw(lab, &lab->n_need);
}

static inline void
on_plan(const struct msg_plan *plan, void *arg)
{
	struct lab *lab = arg;

	assert_string_equal(plan->interfaces[0].interface.name, "eth2");
	lab->is_over = true;
	saw(lab, &lab->n_plans);
}

static inline void
on_filter_changed(const struct msg_filter_changed *changed, void *arg)
{
	struct lab *lab = arg;

	assert_true(changed->n_places <= N_INTERFACES);
	saw(lab, &lab->n_changed);
}

static inline void
on_interface_added(const struct msg_interface_added *added, void *arg)
{
	struct lab *lab = arg;

	assert_string_equal(added->interface.name, "eth2");
	saw(lab, &lab->n_added);
}

static const struct sensor_events events = {
	.hello = on_hello, .list = on_list, .started = on_started,
	.batch = on_batch, .gap = on_gap, .stats = on_stats,
	.event = on_event, .need_programs = on_need_programs, .plan = on_plan,
	.filter_changed = on_filter_changed, .interface_added = on_interface_added,
	.watermark = on_watermark, .ended = on_ended, .failed = on_failed,
};

static inline void
open_sensor(struct lab *lab, const char *server_name)
{
	struct sensor_config cfg = { .address = &lab->address,
	    .server_name = server_name, .tls = client_tls, .heartbeat_ms = lab->heartbeat_ms,
	    .events = &events, .arg = lab };
	struct err err;

	lab->sensor = sensor_new(lab->loop, &cfg, &err);
	assert_non_null(lab->sensor);
}

static inline int
open_lab(void **state)
{
	static struct lab lab;
	struct sockaddr_in addr;
	struct err err;
	char text[32];

	memset(&lab, 0, sizeof(lab));
	lab.loop = loop_new(&err);
	assert_non_null(lab.loop);
	lab.listener = loop_lab_listen(&addr);
	snprintf(text, sizeof(text), "127.0.0.1:%u", ntohs(addr.sin_port));
	assert_int_equal(address_parse(text, &lab.address, &err), E_OK);
	*state = &lab;
	return 0;
}

static inline int
close_lab(void **state)
{
	struct lab *lab = *state;

	sensor_free(lab->sensor);
	peer_lab_close(&lab->agent);
	if (lab->listener >= 0)
		close(lab->listener);
	loop_free(lab->loop);
	return 0;
}

/* --- an agent that behaves, up to a stage --- */

static struct msg_interface_stats zeros[N_INTERFACES + 1];

/* A message of this type as it would be right at this moment. */
static inline struct msg
sample(enum msg_type type)
{
	static struct msg_capture_interface interfaces[N_INTERFACES + 1];
	static struct bpf_insn_raw accept = { 0x06, 0, 0, 262144 };
	static struct msg_plan_interface plan = {
		.interface = { .name = "eth2", .index = 4, .snaplen = 1000 },
		.n_insns = 1, .insns = &accept,
	};
	static char text[] = "";
	static struct msg_filter filter = { .text = text };
	static struct msg_interface_request request = { .name = "eth0",
	    .snaplen = 1000 };
	struct msg msg = { .type = type };

	switch (type) {
	case MSG_ERROR:
		msg.error.code = E_DENIED;
		snprintf(msg.error.text, sizeof(msg.error.text), "not for you");
		break;
	case MSG_HELLO:
		msg.hello.version = PROTO_VERSION;
		snprintf(msg.hello.host, sizeof(msg.hello.host), "thehost");
		break;
	case MSG_STARTED:
		snprintf(interfaces[0].name, sizeof(interfaces[0].name), "eth0");
		snprintf(interfaces[1].name, sizeof(interfaces[1].name), "eth1");
		interfaces[0].link_type = interfaces[1].link_type = 1;
		interfaces[0].index = 2;
		interfaces[1].index = 3;
		interfaces[0].snaplen = interfaces[1].snaplen = 1000;
		msg.started.n_interfaces = N_INTERFACES;
		msg.started.interfaces = interfaces;
		msg.started.snaplen = 1000;
		break;
	case MSG_EVENT:
		msg.event.sequence = 1;
		msg.event.kind = CAPTURE_EVENT_OTHER;
		snprintf(msg.event.text, sizeof(msg.event.text), "a note");
		break;
	case MSG_NEED_PROGRAMS:
		msg.need_programs.n = 1;
		break;
	case MSG_PLAN:
		msg.plan.n_interfaces = 1;
		msg.plan.interfaces = &plan;
		break;
	case MSG_FILTER_CHANGED:
		msg.filter_changed.number = 1;
		msg.filter_changed.sequence = 1;
		break;
	case MSG_INTERFACE_ADDED:
		msg.interface_added.interface = plan.interface;
		msg.interface_added.sequence = 1;
		break;
	case MSG_GAP:
		msg.gap.first_sequence = msg.gap.last_sequence = 1;
		msg.gap.packets = 1;
		msg.gap.reason = GAP_LOG_FULL;
		break;
	case MSG_STATS:
		msg.stats.n_interfaces = N_INTERFACES;
		msg.stats.interfaces = zeros;
		break;
	case MSG_ENDED:
		msg.ended.stats.n_interfaces = N_INTERFACES;
		msg.ended.stats.interfaces = zeros;
		break;
	case MSG_START:
		msg.start.n_interfaces = 1;
		msg.start.interfaces = &request;
		msg.start.n_filters = 1;
		msg.start.filters = &filter;
		break;
	case MSG_UPDATE_FILTER:
		msg.update_filter.number = 1;
		msg.update_filter.n_filters = 1;
		msg.update_filter.filters = &filter;
		break;
	case MSG_RESUME:
		msg.resume.next_sequence = 1;
		break;
	case MSG_LIST_REQUEST:
	case MSG_WATERMARK:
	case MSG_ACK:
	case MSG_STOP:
	case MSG_PING:
	case MSG_PONG:
	case MSG_INTERFACE_LIST:
	case MSG_PACKET_BATCH:
		break;
	}
	return msg;
}

static inline void
send_batch(struct lab *lab, uint64_t sequence, uint32_t n, uint32_t iface)
{
	struct batch *batch = peer_lab_batch(sequence, n, 60, iface);

	peer_lab_send_bytes(&lab->agent, batch->frame, batch->frame_len);
	batch_unref(batch);
}

static inline void
say(struct lab *lab, enum msg_type type)
{
	struct msg msg = sample(type);

	if (type == MSG_PACKET_BATCH)
		send_batch(lab, 1, 3, 0);
	else
		peer_lab_send(&lab->agent, &msg);
}

static inline bool
has_connected(void *arg)
{
	struct lab *lab = arg;
	int fd = accept4(lab->listener, NULL, NULL,
	    SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return false;
	peer_lab_accept(&lab->agent, lab->loop, agent_tls, fd);
	return true;
}

static inline bool
saw_hello(void *arg)
{
	return ((struct lab *)arg)->n_hello > 0;
}

static inline bool
saw_started(void *arg)
{
	return ((struct lab *)arg)->n_started > 0;
}

/* Until the sensor's connection is taken. */
static inline void
meet(struct lab *lab)
{
	assert_int_equal(fcntl(lab->listener, F_SETFL, O_NONBLOCK), 0);
	loop_lab_until(lab->loop, has_connected, lab);
}

static inline void
advance(struct lab *lab, enum stage stage)
{
	struct msg start = sample(MSG_START);

	open_sensor(lab, "sensor1");
	meet(lab);
	(void)peer_lab_take(&lab->agent, MSG_HELLO);
	if (stage == GREETING)
		return;
	say(lab, MSG_HELLO);
	loop_lab_until(lab->loop, saw_hello, lab);
	if (stage == READY)
		return;
	if (stage == LISTING) {
		sensor_ask_list(lab->sensor);
		(void)peer_lab_take(&lab->agent, MSG_LIST_REQUEST);
		return;
	}
	start.start.plan_only = stage == PLANNING;
	sensor_start(lab->sensor, &start.start);
	(void)peer_lab_take(&lab->agent, MSG_START);
	if (stage == STARTING || stage == PLANNING)
		return;
	say(lab, MSG_STARTED);
	loop_lab_until(lab->loop, saw_started, lab);
}

/* Nothing happens but while the capture runs. */
static inline void
ask_change(struct lab *lab, uint32_t number)
{
	struct msg msg = sample(MSG_UPDATE_FILTER);

	msg.update_filter.number = number;
	sensor_update_filter(lab->sensor, &msg.update_filter);
}

/* One failure, with this code, that names the sensor, and silence after it. */
static inline void
assert_failed_once(struct lab *lab, int code, const char *word)
{
	unsigned batches;

	loop_lab_until_set(lab->loop, &lab->is_over);
	batches = lab->n_batches;
	for (int i = 0; i < 20 && !lab->agent.is_over; i++)
		if (conn_send(lab->agent.conn, "\x01\x00\x02\x07", 4) != E_OK)
			break;
	loop_lab_run_ms(lab->loop, 5);
	assert_int_equal(lab->n_failed, 1);
	assert_int_equal(lab->n_ended, 0);
	assert_int_equal(lab->n_batches, batches);
	if (lab->err.code != code || strstr(lab->err.what, word) == NULL)
		fail_msg("%s (%s), not '%s'", lab->err.what,
		    err_name(lab->err.code), word);
	assert_memory_equal(lab->err.what, "127.0.0.1:", 10);
}

static inline int
open_group(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	pki = pki_lab_new();
	agent_tls = pki_lab_tls(pki, TLS_AGENT, &pki_agent);
	client_tls = pki_lab_tls(pki, TLS_CLIENT, &pki_client);
	return 0;
}

static inline int
close_group(void **state)
{
	(void)state;
	tls_free(agent_tls);
	tls_free(client_tls);
	pki_lab_free(pki);
	return 0;
}

#endif /* TESTS_UNIT_SENSOR_LAB_H */
