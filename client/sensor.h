/*
 * sensor - the session with one agent: connect, hello, ask or capture.
 *
 * A capture can go on over another connection, once the first is lost:
 * sensor_reconnect().  Checks everything the agent sends before its owner sees it: order of
 * messages, sequence of batches, counts.  Knows nothing of files.  Runs on
 * one loop.
 */
#ifndef CLIENT_SENSOR_H
#define CLIENT_SENSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "client/address.h"
#include "common/err.h"
#include "common/loop.h"
#include "common/tls.h"
#include "proto/batch.h"
#include "proto/codec.h"

struct addrinfo;
struct sensor;

/* Called from the loop; none after sensor_free(), which each may call. */
struct sensor_events {
	/* The agent's hello: it accepted our certificate.  Ask now. */
	void (*hello)(const struct msg_hello *hello, void *arg);
	void (*list)(const struct msg_interface_list *list, void *arg);
	/*
	 * The filters lack programs: nothing was opened.  Start again, with
	 * programs for these link types.
	 */
	void (*need_programs)(const struct msg_need_programs *need, void *arg);
	/* The answer to a Start with plan_only.  The sensor is done. */
	void (*plan)(const struct msg_plan *plan, void *arg);
	/* The answer to sensor_start(), and to sensor_resume_capture(). */
	void (*started)(const struct msg_started *started, void *arg);
	/* A checked batch, next in sequence; valid during the call. */
	void (*batch)(struct batch_reader *batch, void *arg);
	/* Batches that will not come; takes their place in the sequence. */
	void (*gap)(const struct msg_gap *gap, void *arg);
	void (*stats)(const struct msg_stats *stats, void *arg);
	/* Everything that was stamped before this time has come. */
	void (*watermark)(const struct msg_watermark *watermark, void *arg);
	/*
	 * Something happened; stands in the stream before batch event->sequence,
	 * which may be long after what came last.  Escape its text before a
	 * terminal sees it.
	 */
	void (*event)(const struct msg_event *event, void *arg);
	/* The answer to sensor_update_filter(); has its place as an event has. */
	void (*filter_changed)(const struct msg_filter_changed *changed, void *arg);
	/* One interface more, with the next number; takes effect at once. */
	void (*interface_added)(const struct msg_interface_added *added, void *arg);
	/* The capture ended; everything has come.  The sensor is done. */
	void (*ended)(const struct msg_ended *ended, void *arg);
	/*
	 * Refused, broken or lost; the sensor is done, unless sensor_reconnect().
	 * sensor_was_refused() tells the agent's word from our own.
	 */
	void (*failed)(const struct err *err, void *arg);
};

struct sensor_config {
	const struct address *address;	/* borrowed for the call */
	const char	*server_name;	/* NULL: the address's host */
	struct tls	*tls;		/* borrowed for the sensor's life */
	uint32_t	 heartbeat_ms;	/* until Started says what holds; 0: the default */
	const struct sensor_events *events;
	void		*arg;
};

/*
 * Resolve the name (blocking) and start to connect, trying each address in
 * turn.  NULL with E_UNREACHABLE when the name does not resolve, or E_NOMEM.
 * Everything later comes as an event.
 */
struct sensor *sensor_new(struct loop *loop, const struct sensor_config *cfg,
    struct err *err);
void sensor_free(struct sensor *sensor);

/*
 * Look a sensor's name up; blocks, in any thread.  The caller frees the list
 * with freeaddrinfo().  E_UNREACHABLE.
 */
int sensor_lookup(const struct address *address, struct addrinfo **ret_addresses,
    struct err *err) MUST_CHECK;

/*
 * After failed, or inside it: connect anew, to these addresses (taken) or, for
 * NULL, to those known before.  hello or failed follows.
 */
void sensor_reconnect(struct sensor *sensor, struct addrinfo *addresses);

/*
 * Nothing more is wanted of the agent, which is to keep the capture: the connection
 * breaks instead of ending.  Not inside a callback.
 */
void sensor_let_go(struct sensor *sensor);

/* After failed: did the agent say so itself, in an Error? */
bool sensor_was_refused(const struct sensor *sensor);

/* After hello, once: ask for the list, or start a capture (or a plan of it). */
void sensor_ask_list(struct sensor *sensor);
/* Once more after each need_programs. */
void sensor_start(struct sensor *sensor, const struct msg_start *start);
/*
 * Go on with a capture.  n_interfaces are known of it, and at least as many
 * must be in started.
 */
void sensor_resume_capture(struct sensor *sensor, const struct msg_resume *resume,
    uint32_t n_interfaces);

/*
 * While the capture runs: other filters, numbered 1, 2, 3 ...; the next one
 * only after filter_changed.
 */
void sensor_update_filter(struct sensor *sensor,
    const struct msg_update_filter *update);

/* Everything up to sequence is written. */
void sensor_ack(struct sensor *sensor, uint64_t sequence);

/* Let the agent drain and end; ended or failed follows. */
void sensor_stop(struct sensor *sensor);

/* The same, but what was not sent yet becomes a gap. */
void sensor_stop_now(struct sensor *sensor);

/* Events and answers to filter updates that came, over all connections. */
uint64_t sensor_announcements(const struct sensor *sensor);

/*
 * Stop reading while the output is full, and go on.  Nothing happens but while a
 * capture runs: after started the owner says it anew.
 */
void sensor_pause(struct sensor *sensor);
void sensor_resume(struct sensor *sensor);

/* "sensor1:9443 (10.0.0.7)", for messages. */
const char *sensor_name(const struct sensor *sensor);

#endif /* CLIENT_SENSOR_H */
