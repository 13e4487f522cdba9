/*
 * capture_lab - a capture whose rings a test fills, and its client.
 *
 * Defines what ring_fake.h does: for one file of a test program.
 */
#ifndef TESTS_UNIT_CAPTURE_LAB_H
#define TESTS_UNIT_CAPTURE_LAB_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/conn_int.h"
#include "loop_lab.h"
#include "peer_lab.h"
#include "pki_lab.h"
#include "ring_fake.h"
#include "server/capture.h"
#include "server/prologue.h"

enum {
	LOG_BYTES = 2 << 20, MAX_RINGS = 3,
	LO_INDEX = 1,		/* in every network namespace */
};

static struct pki_lab *pki;
static struct tls *agent_tls, *client_tls;

struct lab {
	struct loop	*loop;
	struct mailbox	*owner;
	struct conn	*conn;		/* the agent's end, until the capture has it */
	struct frame_reader *reader;
	bool		 is_secured;
	struct peer	 client;
	struct capture	*capture;
	uint32_t	 n_rings;
	unsigned	 n_quiesce;
	bool		 is_quiescing, is_done;
	bool		 holds;		/* the answer to QUIESCE */
	bool		 is_held;	/* the rings, after capture_hold() */
	unsigned	 n_updates;	/* UpdateFilters that came */
	unsigned	 closed;	/* interfaces whose descriptor is closed: bits */
	unsigned	 n_lost;	/* CAPTURE_MAIL_LOST */
	/* What the client's packets must look like. */
	uint32_t	 next[MAX_RINGS];	/* number of the next, by interface */
	bool		 has_gaps;
};

static inline void
on_mail(struct mail *mail, void *arg)
{
	struct capture_mail *m = (struct capture_mail *)(void *)mail;
	struct lab *lab = arg;

	assert_ptr_equal(capture_owner_arg(m->capture), lab);
	assert_false(lab->is_done);
	switch (m->type) {
	case CAPTURE_MAIL_QUIESCE:
		lab->n_quiesce++;
		lab->is_quiescing = true;
		if (!lab->holds)
			capture_quiesced(m->capture);
		return;
	case CAPTURE_MAIL_UPDATE:
		assert_int_equal(m->msg.type, MSG_UPDATE_FILTER);
		msg_free(&m->msg);
		lab->n_updates++;
		return;
	case CAPTURE_MAIL_HELD:
		lab->is_held = true;
		return;
	case CAPTURE_MAIL_LOST:
		assert_int_equal(m->iface, 1);
		lab->n_lost++;
		return;
	case CAPTURE_MAIL_CLOSED:
		lab->closed |= 1u << m->iface;
		return;
	case CAPTURE_MAIL_DONE:
		lab->is_done = true;
		return;
	}
}

static inline void
on_packet(const struct packet_ref *packet, void *arg)
{
	struct lab *lab = arg;
	uint32_t number;

	assert_true(packet->meta.iface < lab->n_rings);
	assert_true(packet->meta.captured_len >= 4);
	memcpy(&number, packet->data, sizeof(number));
	if (!lab->has_gaps)
		assert_int_equal(number, lab->next[packet->meta.iface]);
	assert_true(number >= lab->next[packet->meta.iface]);
	assert_int_equal(packet->meta.time.ns, 1700000000000000000 + number);
	lab->next[packet->meta.iface] = number + 1;
}

static inline void
on_agent_conn(struct conn *conn, enum conn_event event, void *arg)
{
	struct lab *lab = arg;

	if (event == CONN_EV_SECURED) {
		conn_pause(conn);
		lab->is_secured = true;
	}
}

/* Connect p; the agent's end is lab's conn and reader then. */
static inline void
lab_connect(struct lab *lab, struct peer *p)
{
	struct sockaddr_in addr;
	struct err err;
	int listener = loop_lab_listen(&addr);

	peer_lab_connect(p, lab->loop, client_tls, &addr);
	p->on_packet = on_packet;
	p->arg = lab;
	lab->is_secured = false;
	lab->conn = conn_accept(lab->loop, agent_tls, loop_lab_accept(listener),
	    on_agent_conn, lab, &err);
	assert_non_null(lab->conn);
	close(listener);
	lab->reader = frame_reader_new(PROTO_MAX_MESSAGE);
	assert_non_null(lab->reader);
	loop_lab_until_set(lab->loop, &lab->is_secured);
	peer_lab_until_secured(p);
}

static inline int
open_lab(void **state)
{
	static struct lab lab;
	struct err err;

	memset(&lab, 0, sizeof(lab));
	lab.loop = loop_new(&err);
	assert_non_null(lab.loop);
	lab.owner = mailbox_new(lab.loop, on_mail, &lab, &err);
	assert_non_null(lab.owner);
	lab_connect(&lab, &lab.client);
	*state = &lab;
	return 0;
}

/* The client goes, if it has not; the capture must end. */
static inline int
close_lab(void **state)
{
	struct lab *lab = *state;

	peer_lab_close(&lab->client);
	if (lab->capture != NULL) {
		loop_lab_until_set(lab->loop, &lab->is_done);
		capture_join(lab->capture);
	} else if (lab->conn != NULL) {
		conn_free(lab->conn);
		frame_reader_free(lab->reader);
	}
	for (int i = 0; i < RING_FAKE_MAX; i++)
		ring_fake_close(&ring_fakes[i]);
	mailbox_free(lab->owner, NULL);
	loop_free(lab->loop);
	return 0;
}

static inline struct capture *
try_start(struct lab *lab, uint32_t n_rings, struct capture_config cfg,
    struct err *err)
{
	struct msg_capture_interface infos[MAX_RINGS];
	struct capture_socket sockets[MAX_RINGS];
	struct msg_started started = { .n_interfaces = n_rings, .interfaces = infos,
	    .snaplen = 262144, .heartbeat_ms = PROTO_HEARTBEAT_MS, .next_sequence = 1 };

	if (cfg.started != NULL) {
		started = *cfg.started;
		started.n_interfaces = n_rings;
		started.interfaces = infos;
	}
	cfg.started = &started;
	lab->n_rings = n_rings;
	for (uint32_t i = 0; i < n_rings; i++) {
		ring_fake_open(&ring_fakes[i]);
		infos[i] = (struct msg_capture_interface){ .name = "eth0",
		    .index = LO_INDEX, .link_type = 1, .snaplen = 262144 };
		sockets[i] = (struct capture_socket){
			.fd = ring_fakes[i].fd, .retire_ms = 1, .name = "eth0",
			.block_size = RING_FAKE_BLOCK,
			.block_nr = RING_FAKE_BLOCKS,
			.ifindex = LO_INDEX, .is_adapter_time = true,
			.link = { .link_type = 1, .iface = i, .snaplen = 262144 },
		};
	}
	conn_detach(lab->conn);
	cfg.owner = lab->owner;
	cfg.owner_arg = lab;
	cfg.conn = lab->conn;
	cfg.reader = lab->reader;
	cfg.sockets = sockets;
	cfg.n_sockets = n_rings;
	if (cfg.log_bytes == 0)
		cfg.log_bytes = LOG_BYTES;
	cfg.name = "session 1 alice";
	lab->conn = NULL;
	lab->reader = NULL;
	return capture_start(&cfg, err);
}

static inline void
start_with(struct lab *lab, uint32_t n_rings, struct capture_config cfg)
{
	struct err err;

	lab->capture = try_start(lab, n_rings, cfg, &err);
	assert_non_null(lab->capture);
}

static inline void
start(struct lab *lab, uint32_t n_rings)
{
	start_with(lab, n_rings, (struct capture_config){ 0 });
}

struct wanted { struct lab *lab; struct ring_fake *ring; uint32_t n, len; };

static inline bool
has_put(void *arg)
{
	struct wanted *w = arg;

	return ring_fake_put(w->ring, w->n, w->len);
}

/* A block of n packets as soon as the ring has room. */
static inline void
put(struct lab *lab, unsigned ring, uint32_t n, uint32_t len)
{
	loop_lab_until(lab->loop, has_put,
	    &(struct wanted){ lab, &ring_fakes[ring], n, len });
}

static inline bool
has_packets(void *arg)
{
	struct wanted *w = arg;

	return w->lab->client.n_packets >= w->n;
}

static inline void
until_packets(struct lab *lab, uint32_t n)
{
	loop_lab_until(lab->loop, has_packets, &(struct wanted){ .lab = lab, .n = n });
	assert_int_equal(lab->client.n_packets, n);
}

static inline bool
has_ended(void *arg)
{
	struct peer *p = arg;

	return p->is_over ||
	    (p->n_msgs > 0 && p->msgs[p->n_msgs - 1].msg.type == MSG_ENDED);
}

static inline const struct msg_ended *
take_ended(struct lab *lab)
{
	struct peer *p = &lab->client;

	loop_lab_until(lab->loop, has_ended, p);
	if (p->is_over)
		fail_msg("%s", p->err.what);
	return &p->msgs[p->n_msgs - 1].msg.ended;
}

static inline void
stop(struct lab *lab)
{
	peer_lab_send_type(&lab->client, MSG_STOP);
}

/* The agent's count of an interface adds up, and is this. */
static inline void
assert_counts(const struct msg_ended *ended, unsigned iface, uint64_t received,
    uint64_t batched, uint64_t dropped_kernel)
{
	const struct msg_interface_stats *s;

	assert_true(iface < ended->stats.n_interfaces);
	s = &ended->stats.interfaces[iface];
	assert_int_equal(s->received, received);
	assert_int_equal(s->batched, batched);
	assert_int_equal(s->dropped_kernel, dropped_kernel);
	assert_int_equal(s->received,
	    s->batched + s->dropped_kernel + s->dropped_agent);
}

/* --- interfaces and filters that change --- */

static inline void
add_ring(struct lab *lab, enum filter_place place)
{
	const uint32_t n = lab->n_rings;
	const struct msg_capture_interface info = { .name = "eth1", .index = 7,
	    .link_type = 1, .snaplen = 262144, .filter_place = place };

	ring_fake_open(&ring_fakes[n]);
	lab->n_rings++;
	assert_int_equal(capture_add(lab->capture, &(struct capture_socket){
		.fd = ring_fakes[n].fd, .retire_ms = 1, .name = "eth1",
		.block_size = RING_FAKE_BLOCK, .block_nr = RING_FAKE_BLOCKS,
		.ifindex = LO_INDEX, .place = place,
		.link = { .link_type = 1, .snaplen = 262144 },
	}, &info), E_OK);
}

static inline void
send_update(struct lab *lab, uint32_t number, uint32_t n_filters)
{
	static char empty[1];
	struct msg_filter filters[2] = { { .text = empty }, { .text = empty } };
	struct msg msg = { .type = MSG_UPDATE_FILTER };

	msg.update_filter.number = number;
	msg.update_filter.n_filters = n_filters;
	msg.update_filter.filters = filters;
	peer_lab_send(&lab->client, &msg);
}

static inline bool
has_update(void *arg)
{
	return ((struct lab *)arg)->n_updates > 0;
}

static inline void
until_update(struct lab *lab)
{
	loop_lab_until(lab->loop, has_update, lab);
	lab->n_updates = 0;
}

/* Packets whose number (its lowest byte, first of the packet) is even. */
static inline struct prologue_check *
even_check(bool reads_beyond)
{
	struct prologue_check *check = calloc(1, sizeof(*check));
	const struct bpf_insn_raw insns[] = {
		{ .code = 0x30, .k = reads_beyond ? 4000 : 0 },	/* ldb [k] */
		{ .code = 0x45, .jt = 0, .jf = 1, .k = 1 },	/* jset #1 */
		{ .code = 0x06, .k = 0 },
		{ .code = 0x06, .k = 262144 },
	};

	assert_non_null(check);
	memcpy(check->prog.insns, insns, sizeof(insns));
	check->prog.n = ARRAY_LEN(insns);
	return check;
}

static inline void
refilter(struct lab *lab, uint32_t number, int code, struct prologue_check *check,
    enum filter_place place)
{
	struct capture_refilter *r = calloc(1, sizeof(*r) + sizeof(r->items[0]));

	assert_non_null(r);
	r->number = number;
	r->code = code;
	strcpy(r->text, code == E_OK ? "" : "too long");
	r->n = 1;
	r->items[0] = (struct capture_refilter_item){ .is_set = check != NULL,
	    .place = place, .snaplen = 262144, .check = check };
	capture_refilter(lab->capture, r);
}

static inline const struct msg_filter_changed *
take_changed(struct lab *lab)
{
	return &peer_lab_take_main(&lab->client, MSG_FILTER_CHANGED)->msg.filter_changed;
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

#endif /* TESTS_UNIT_CAPTURE_LAB_H */
