#include "client/sensor_int.h"

#include "common/conn.h"

enum { MESSAGES_PER_TURN = 64 };

static void
take_hello(struct sensor *s, const struct msg_hello *hello)
{
	if (hello->version != PROTO_VERSION) {
		sensor_fail_with(s, E_VERSION, "the agent speaks another version of the "
		    "protocol");
		return;
	}
	sensor_set_state(s, SENSOR_READY, 0);
	sensor_start_ticking(s);
	s->events->hello(hello, s->arg);
}

/* Does it begin where it was asked to, and know all that we do? */
static bool
is_as_asked(const struct sensor *s, const struct msg_started *started)
{
	if (s->resumed_at == 0)
		return started->n_interfaces > 0 && started->next_sequence == 1 &&
		    started->announcements == 0;
	return started->capture_id == s->resumed_id &&
	    started->n_interfaces >= s->n_interfaces &&
	    started->next_sequence == s->resumed_at &&
	    started->announcements >= s->announcements;
}

static void
take_started(struct sensor *s, const struct msg_started *started)
{
	if (!is_as_asked(s, started)) {
		sensor_fail_with(s, E_BADMSG, s->resumed_at == 0 ?
		    "the agent started a capture that does not begin, or without an "
		    "interface" :
		    "the agent resumed another capture than it was asked for");
		return;
	}
	s->n_interfaces = started->n_interfaces;
	s->next_sequence = started->next_sequence;
	s->announcements = started->announcements;
	s->old_changes = s->asked_change == 0 ? started->update_number : 0;
	s->heartbeat_ms = started->heartbeat_ms;
	s->watermark.ns = INT64_MIN;
	sensor_start_ticking(s);
	conn_set_liveness(s->conn, s->heartbeat_ms, CONN_DROP_STALLED);
	sensor_set_state(s, SENSOR_STREAMING, 0);
	s->events->started(started, s->arg);
}

/* It never goes back, and never ahead of what came. */
static void
take_watermark(struct sensor *s, const struct msg_watermark *w)
{
	if (w->sequence != s->next_sequence - 1 || w->time.ns < s->watermark.ns) {
		sensor_fail_with(s, E_BADMSG, "the agent's watermark goes back, or ahead "
		    "of what it sent");
		return;
	}
	s->watermark = w->time;
	s->events->watermark(w, s->arg);
}

static void
take_plan(struct sensor *s, const struct msg_plan *plan)
{
	sensor_finish(s);
	s->events->plan(plan, s->arg);
}

/* The agent has opened nothing: we may ask once more. */
static void
take_need_programs(struct sensor *s, const struct msg_need_programs *need)
{
	sensor_set_state(s, SENSOR_READY, 0);
	s->events->need_programs(need, s->arg);
}

/* Such a message may come early, but what it stands before must be to come. */
static bool
is_late(struct sensor *s, uint64_t sequence)
{
	if (sequence >= s->next_sequence)
		return false;
	sensor_fail_with(s, E_BADMSG, "the agent's message stands before what "
	    "has come already");
	return true;
}

static void
take_interface_added(struct sensor *s, const struct msg_interface_added *added)
{
	if (is_late(s, added->sequence))
		return;
	if (s->n_interfaces == PROTO_MAX_INTERFACES) {
		sensor_fail_with(s, E_BADMSG, "the agent added more interfaces than a "
		    "capture can have");
		return;
	}
	s->n_interfaces++;
	s->events->interface_added(added, s->arg);
}

static void
take_event(struct sensor *s, const struct msg_event *event)
{
	if (is_late(s, event->sequence))
		return;
	s->announcements++;
	if (event->kind == CAPTURE_EVENT_CLOCK)
		s->watermark.ns = INT64_MIN;
	if (event->iface >= s->n_interfaces && event->iface != CAPTURE_EVENT_WHOLE)
		sensor_fail_with(s, E_BADMSG, "the agent reported an event of another "
		    "interface than it captures on");
	else
		s->events->event(event, s->arg);
}

static void
take_filter_changed(struct sensor *s, const struct msg_filter_changed *changed)
{
	/* After a Resume an answer to whoever asked before us may still come. */
	bool is_old = changed->number <= s->old_changes;

	if ((!is_old && (s->asked_change == 0 || changed->number != s->asked_change)) ||
	    changed->n_places > s->n_interfaces) {
		sensor_fail_with(s, E_BADMSG, "the agent changed a filter otherwise than "
		    "it was asked to");
		return;
	}
	if (changed->code == E_OK && is_late(s, changed->sequence))
		return;
	if (!is_old)
		s->asked_change = 0;
	s->announcements++;
	s->events->filter_changed(changed, s->arg);
}

static void
take_gap(struct sensor *s, const struct msg_gap *gap)
{
	if (gap->first_sequence != s->next_sequence ||
	    gap->last_sequence < gap->first_sequence ||
	    gap->last_sequence == UINT64_MAX) {
		sensor_fail_with(s, E_BADMSG, "the agent reported a gap out of sequence");
		return;
	}
	s->next_sequence = gap->last_sequence + 1;
	s->events->gap(gap, s->arg);
}

static void
take_ended(struct sensor *s, const struct msg_ended *ended)
{
	if (ended->last_sequence != s->next_sequence - 1 ||
	    ended->stats.n_interfaces != s->n_interfaces) {
		sensor_fail_with(s, E_BADMSG, "the agent's last count does not agree with "
		    "what it sent");
		return;
	}
	sensor_finish(s);
	s->events->ended(ended, s->arg);
}

static void
take_error(struct sensor *s, const struct msg_error *error)
{
	struct err err;

	s->is_refused = true;
	err_set(&err, error->code == E_OK ? E_BADMSG : error->code,
	    "%s: refused: %.160s", s->name,
	    error->text[0] == '\0' ? err_text(error->code) : error->text);
	sensor_fail(s, &err);
}

/* The messages of an agent and the states in which it may send them. */
static bool
is_allowed(enum sensor_state state, enum msg_type type)
{
	switch (type) {
	case MSG_ERROR:
		return true;
	case MSG_HELLO:
		return state == SENSOR_GREETING;
	case MSG_INTERFACE_LIST:
		return state == SENSOR_LISTING;
	case MSG_STARTED:
		return state == SENSOR_STARTING;
	case MSG_PLAN:
		return state == SENSOR_PLANNING;
	case MSG_NEED_PROGRAMS:
		return state == SENSOR_STARTING || state == SENSOR_PLANNING;
	case MSG_PONG:
		return state >= SENSOR_READY;
	case MSG_PACKET_BATCH:
	case MSG_GAP:
	case MSG_STATS:
	case MSG_ENDED:
	case MSG_EVENT:
	case MSG_FILTER_CHANGED:
	case MSG_INTERFACE_ADDED:
	case MSG_WATERMARK:
		return state == SENSOR_STREAMING;
	case MSG_LIST_REQUEST:
	case MSG_RESUME:
	case MSG_START:
	case MSG_UPDATE_FILTER:
	case MSG_ACK:
	case MSG_STOP:
	case MSG_PING:
		return false;
	}
	return false;
}

static void
take_msg(struct sensor *s, const struct msg *msg)
{
	if (!is_allowed(s->state, msg->type)) {
		sensor_fail_with(s, E_STATE, "the agent sent a message that is not "
		    "allowed now");
		return;
	}
	switch (msg->type) {
	case MSG_ERROR:
		take_error(s, &msg->error);
		return;
	case MSG_HELLO:
		take_hello(s, &msg->hello);
		return;
	case MSG_INTERFACE_LIST:
		sensor_finish(s);
		s->events->list(&msg->interface_list, s->arg);
		return;
	case MSG_STARTED:
		take_started(s, &msg->started);
		return;
	case MSG_GAP:
		take_gap(s, &msg->gap);
		return;
	case MSG_STATS:
		if (msg->stats.n_interfaces != s->n_interfaces)
			sensor_fail_with(s, E_BADMSG, "the agent counts for other "
			    "interfaces than it captures on");
		else
			s->events->stats(&msg->stats, s->arg);
		return;
	case MSG_ENDED:
		take_ended(s, &msg->ended);
		return;
	case MSG_WATERMARK:
		take_watermark(s, &msg->watermark);
		return;
	case MSG_EVENT:
		take_event(s, &msg->event);
		return;
	case MSG_NEED_PROGRAMS:
		take_need_programs(s, &msg->need_programs);
		return;
	case MSG_PLAN:
		take_plan(s, &msg->plan);
		return;
	case MSG_FILTER_CHANGED:
		take_filter_changed(s, &msg->filter_changed);
		return;
	case MSG_INTERFACE_ADDED:
		take_interface_added(s, &msg->interface_added);
		return;
	default:
		return;		/* Pong: that it came is all we need */
	}
}

static void
take_batch(struct sensor *s, const uint8_t *payload, uint32_t len)
{
	struct batch_reader batch;

	if (s->state != SENSOR_STREAMING) {
		sensor_fail_with(s, E_STATE, "the agent sent packets before the capture");
		return;
	}
	if (batch_reader_init(&batch, payload, len, s->n_interfaces) != E_OK) {
		sensor_fail_with(s, E_BADMSG, "the agent sent a malformed batch");
		return;
	}
	if (batch.sequence != s->next_sequence) {
		sensor_fail_with(s, E_BADMSG, "the agent sent a batch out of sequence");
		return;
	}
	s->next_sequence++;
	s->events->batch(&batch, s->arg);
}

/* One frame: E_OK, E_AGAIN, or a final code. */
static int
take_frame(struct sensor *s)
{
	const uint8_t *payload;
	struct msg msg;
	uint32_t len;
	int rc = frame_reader_next(s->reader, &payload, &len);

	if (rc == E_AGAIN)
		return rc;
	if (rc == E_OK && batch_is_batch(payload, len)) {
		take_batch(s, payload, len);
		return E_OK;
	}
	if (rc == E_OK)
		rc = codec_unpack(payload, len, &msg);
	if (rc != E_OK) {
		sensor_fail_with(s, rc, "the agent sent a malformed message");
		return rc;
	}
	take_msg(s, &msg);
	msg_free(&msg);
	return E_OK;
}

/* What was read may have led to its end, and to another one being made. */
static bool
has_connection(const struct sensor *s)
{
	return s->state != SENSOR_DONE && s->state != SENSOR_CONNECTING;
}

/* Bounded, so that signals and the output get their turn. */
static void
take_turn(struct sensor *s)
{
	size_t room;
	uint8_t *space;
	int64_t n;

	for (int i = 0; i < MESSAGES_PER_TURN; i++) {
		int rc;

		if (!has_connection(s) || s->is_paused)
			return;
		rc = take_frame(s);
		if (rc == E_OK)
			continue;
		if (rc != E_AGAIN || !has_connection(s))
			return;
		space = frame_reader_space(s->reader, &room);
		n = conn_read(s->conn, space, room);
		if (n < 0)
			return;
		s->heard = clock_mono();
		frame_reader_commit(s->reader, (size_t)n);
	}
	loop_timer_set(s->again, 0);
}

void
sensor_read_messages(void *arg)
{
	struct sensor *s = arg;

	if (s->in_turn || s->conn == NULL || s->reader == NULL)
		return;
	s->in_turn = true;
	take_turn(s);
	s->in_turn = false;
	if (s->is_freed)
		sensor_destroy(s);
}
