#include "peer_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "loop_lab.h"
#include "proto/limits.h"
#include "proto/wire.h"

static void
keep_batch(struct peer *p, struct peer_msg *m, const uint8_t *payload, uint32_t len)
{
	struct batch_reader batch;
	struct packet_ref packet;

	assert_int_equal(batch_reader_init(&batch, payload, len,
	    PROTO_MAX_INTERFACES), E_OK);
	m->msg.type = MSG_PACKET_BATCH;
	m->sequence = batch.sequence;
	m->n_packets = batch.n_packets;
	p->n_packets += batch.n_packets;
	while (batch_reader_next(&batch, &packet))
		if (p->on_packet != NULL)
			p->on_packet(&packet, p->arg);
}

static void
keep_watermark(struct peer *p, const struct msg_watermark *mark)
{
	assert_true(mark->sequence >= p->watermark.sequence);
	assert_true(p->is_clock_set || mark->time.ns >= p->watermark.time.ns);
	p->watermark = *mark;
	p->n_watermarks++;
}

static void
keep_frames(struct peer *p)
{
	const uint8_t *payload;
	uint32_t len;

	while (frame_reader_next(p->reader, &payload, &len) == E_OK) {
		struct peer_msg *m = &p->msgs[p->n_msgs];

		assert_true(p->n_msgs < PEER_MAX_MSGS);
		*m = (struct peer_msg){ 0 };
		if (batch_is_batch(payload, len))
			keep_batch(p, m, payload, len);
		else
			assert_int_equal(codec_unpack(payload, len, &m->msg), E_OK);
		if (m->msg.type == MSG_WATERMARK)
			keep_watermark(p, &m->msg.watermark);
		else if (m->msg.type != MSG_PONG || !p->drops_pongs)
			p->n_msgs++;
	}
}

static void
read_all(struct peer *p)
{
	size_t room;
	int64_t n;

	for (;;) {
		uint8_t *space = frame_reader_space(p->reader, &room);

		n = conn_read(p->conn, space, room);
		if (n <= 0)
			return;
		frame_reader_commit(p->reader, (size_t)n);
		keep_frames(p);
	}
}

static void
on_event(struct conn *conn, enum conn_event event, void *arg)
{
	struct peer *p = arg;

	switch (event) {
	case CONN_EV_SECURED:
		p->is_secured = true;
		return;
	case CONN_EV_DATA:
		read_all(p);
		return;
	case CONN_EV_LOW_WATER:
		return;
	case CONN_EV_SENT:
	case CONN_EV_CLOSED:
	case CONN_EV_ERROR:
		p->err = *conn_error(conn);
		p->how = event;
		p->is_over = true;
		return;
	}
}

static void
prepare(struct peer *p, struct loop *loop)
{
	p->loop = loop;
	p->reader = frame_reader_new(PROTO_MAX_MESSAGE);
	assert_non_null(p->reader);
}

void
peer_lab_accept(struct peer *p, struct loop *loop, struct tls *tls, int fd)
{
	struct err err;

	prepare(p, loop);
	p->conn = conn_accept(loop, tls, fd, on_event, p, &err);
	assert_non_null(p->conn);
}

void
peer_lab_connect(struct peer *p, struct loop *loop, struct tls *tls,
    const struct sockaddr_in *addr)
{
	struct err err;

	prepare(p, loop);
	p->conn = conn_connect(loop, tls, (const struct sockaddr *)addr,
	    sizeof(*addr), "sensor1", on_event, p, &err);
	assert_non_null(p->conn);
}

void
peer_lab_close(struct peer *p)
{
	conn_free(p->conn);
	frame_reader_free(p->reader);
	for (unsigned i = 0; i < p->n_msgs; i++)
		if (p->msgs[i].msg.type != MSG_PACKET_BATCH)
			msg_free(&p->msgs[i].msg);
	memset(p, 0, sizeof(*p));
}

void
peer_lab_until_secured(struct peer *p)
{
	loop_lab_until_set(p->loop, &p->is_secured);
}

void
peer_lab_send_bytes(struct peer *p, const void *bytes, size_t len)
{
	assert_int_equal(conn_send(p->conn, bytes, len), E_OK);
}

void
peer_lab_send_many(struct peer *p, const struct msg *msg, unsigned n)
{
	uint8_t *frame, *all;
	size_t len;

	assert_int_equal(codec_pack(msg, &frame, &len), E_OK);
	all = malloc(n * len);
	assert_non_null(all);
	for (unsigned i = 0; i < n; i++)
		memcpy(all + i * len, frame, len);
	peer_lab_send_bytes(p, all, n * len);
	free(all);
	free(frame);
}

void
peer_lab_send(struct peer *p, const struct msg *msg)
{
	peer_lab_send_many(p, msg, 1);
}

void
peer_lab_send_type(struct peer *p, enum msg_type type)
{
	peer_lab_send(p, &(struct msg){ .type = type });
}

void
peer_lab_send_body(struct peer *p, unsigned field, const void *bytes, size_t len)
{
	uint8_t envelope[2 * WIRE_VARINT_MAX], head[FRAME_HDR_MAX], *end;
	size_t head_len;

	end = wire_put(envelope, WIRE_TAG(field, WIRE_BYTES));
	end = wire_put(end, len);
	head_len = frame_put_header(head,
	    (uint32_t)((size_t)(end - envelope) + len));
	peer_lab_send_bytes(p, head, head_len);
	peer_lab_send_bytes(p, envelope, (size_t)(end - envelope));
	peer_lab_send_bytes(p, bytes, len);
}

static bool
has_next(void *arg)
{
	struct peer *p = arg;

	return p->n_taken < p->n_msgs || p->is_over;
}

static const struct peer_msg *
take_any(struct peer *p)
{
	loop_lab_until(p->loop, has_next, p);
	if (p->n_taken == p->n_msgs)
		fail_msg("the connection is over: %s", p->err.what);
	return &p->msgs[p->n_taken++];
}

static const struct peer_msg *
demand(const struct peer_msg *m, enum msg_type type)
{
	if (m->msg.type != type)
		fail_msg("%s came instead of %s: %s", msg_type_name(m->msg.type),
		    msg_type_name(type),
		    m->msg.type == MSG_ERROR ? m->msg.error.text : "");
	return m;
}

const struct peer_msg *
peer_lab_take(struct peer *p, enum msg_type type)
{
	return demand(take_any(p), type);
}

const struct peer_msg *
peer_lab_take_main(struct peer *p, enum msg_type type)
{
	const struct peer_msg *m;

	do
		m = take_any(p);
	while (m->msg.type == MSG_STATS || m->msg.type == MSG_PONG);
	return demand(m, type);
}

void
peer_lab_until_over(struct peer *p)
{
	loop_lab_until_set(p->loop, &p->is_over);
}

struct batch *
peer_lab_batch(uint64_t sequence, uint32_t n, uint32_t len, uint32_t iface)
{
	struct batch_builder *builder = batch_builder_new();
	struct batch *batch;

	assert_non_null(builder);
	for (uint32_t i = 0; i < n; i++) {
		struct packet_meta meta = {
			.time.ns = 1700000000000000000 + i,
			.captured_len = len, .original_len = len, .iface = iface,
		};
		uint8_t *p = batch_builder_add(builder, &meta);

		assert_non_null(p);
		memset(p, (int)i, len);
	}
	batch = batch_builder_seal(builder, sequence);
	assert_non_null(batch);
	batch_builder_free(builder);
	return batch;
}
