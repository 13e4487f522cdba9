/*
 * sensor_int - what the files of a session share; see sensor.h.
 *
 * sensor.c has its life, its states and what the owner asks for,
 * sensor_connect.c finds and reaches the agent, sensor_msg.c handles what the
 * agent says.
 */
#ifndef CLIENT_SENSOR_INT_H
#define CLIENT_SENSOR_INT_H

#include "client/sensor.h"
#include "common/clock.h"
#include "proto/frame.h"

struct addrinfo;
struct conn;

enum {
	/* Looks at the silence in a heartbeat, and pings. */
	SENSOR_TICKS = 6, SENSOR_TICKS_PER_PING = 2,
};

enum sensor_state {
	SENSOR_CONNECTING,	/* TCP and TLS */
	SENSOR_GREETING,	/* our hello is sent */
	SENSOR_READY,
	SENSOR_LISTING,
	SENSOR_STARTING,	/* or resuming */
	SENSOR_PLANNING,	/* as starting, but nothing is captured */
	SENSOR_STREAMING,
	SENSOR_DONE,
};

struct sensor {
	struct loop	*loop;
	struct tls	*tls;
	const struct sensor_events *events;
	void		*arg;
	char		 name[ADDRESS_HOST_LEN + 80];
	char		 server_name[ADDRESS_HOST_LEN];
	struct addrinfo	*addresses, *next;	/* all, and the next to try */
	struct conn	*conn;
	struct frame_reader *reader;
	struct loop_timer *timer;		/* the current step's limit */
	struct loop_timer *tick_timer;
	struct loop_timer *again;		/* the rest of a long turn */
	struct loop_timer *start;
	enum sensor_state state;
	struct mono_ns	 heard;			/* when something last came */
	struct mono_ns	 ticked;		/* when the tick timer last ran */
	unsigned	 n_ticks;
	uint32_t	 segments;		/* with data, at the last tick */
	uint32_t	 heartbeat_ms;
	int64_t		 connect_ms;		/* for each address */
	uint64_t	 next_sequence, announcements;
	struct wall_ns	 watermark;
	uint64_t	 resumed_at;		/* sequence asked for; 0: a new capture */
	uint64_t	 resumed_id;		/* capture asked for */
	uint32_t	 n_interfaces;
	uint32_t	 asked_change;		/* filter update without an answer; 0 */
	uint32_t	 old_changes;		/* updates of whoever captured before us; 0 */
	bool		 is_paused;
	bool		 is_refused;		/* by the agent's Error */
	bool		 is_freed, in_turn;
	struct err	 last_err;		/* of the address tried last */
};

/* --- sensor.c --- */

/* The memory itself; everything of the loop's is gone already. */
void sensor_destroy(struct sensor *s);

/* limit_ms is how long the state may last; 0 for ever. */
void sensor_set_state(struct sensor *s, enum sensor_state state,
    int64_t limit_ms);

/* The tick that pings and looks at the silence: from now on. */
void sensor_start_ticking(struct sensor *s);

/* Nothing more is expected of the agent. */
void sensor_finish(struct sensor *s);

/* Finish and tell the owner; the first failure counts. */
void sensor_fail(struct sensor *s, const struct err *err);
void sensor_fail_with(struct sensor *s, int code, const char *what);

/* A broken connection is reported by its own event. */
void sensor_send_or_fail(struct sensor *s, const struct msg *msg);

/* --- sensor_connect.c --- */

/* Timers: try the first address; the state lasts too long. */
void sensor_start_connecting(void *arg);
void sensor_timed_out(void *arg);

/* --- sensor_msg.c --- */

/* Handle what has come, a turn of it.  May free the sensor. */
void sensor_read_messages(void *arg);

#endif /* CLIENT_SENSOR_INT_H */
