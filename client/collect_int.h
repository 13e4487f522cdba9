/*
 * collect_int - what the files of one collection share; see collect.h.
 *
 * collect.c runs it, from loop to exit status; collect_signals.c takes signals;
 * collect_start.c asks for the capture and opens the output,
 * collect_interfaces.c knows which interface of the agent is which of the
 * output's; collect_stream.c takes what the sensor sends and moves it into the
 * output, collect_mark.c acknowledges it and keeps the resume record;
 * collect_link.c finds an agent again whose connection was lost;
 * collect_change.c follows events and changes of the filter; collect_compile.c
 * has libpcap work beside the loop; collect_end.c draws the sums.
 */
#ifndef CLIENT_COLLECT_INT_H
#define CLIENT_COLLECT_INT_H

#include "client/arrival.h"
#include "client/background.h"
#include "client/backoff.h"
#include "client/collect.h"
#include "client/events.h"
#include "client/ledger.h"
#include "client/outputs.h"
#include "client/resume_state.h"
#include "client/sensor.h"
#include "client/ui_text.h"
#include "common/clock.h"
#include "common/loop.h"

struct addrinfo;

enum { COLLECT_PROGRESS_NS = NS_PER_S };

enum collect_state {
	COLLECT_CONNECTING,
	COLLECT_RUNNING,
	COLLECT_STOPPING,	/* the agent drains */
	COLLECT_FLUSHING,	/* all has come; the output takes the rest */
	COLLECT_DONE,
};

enum { COLLECT_N_SIGNALS = 5 };

/*
 * One interface of the output: a row of the ledger.  A capture that begins
 * anew goes on with the rows of the one before.
 */
struct collect_interface {
	char		 name[PROTO_MAX_NAME + 1];
	char		 network_namespace[PROTO_MAX_NAME + 1];
	uint32_t	 capture;	/* number of the capture that has it */
	uint32_t	 index;		/* the kernel's number */
	uint32_t	 link_type, snaplen, filter;
	enum filter_place place;	/* of packets that come next */
	enum filter_place newest_place;	/* by the newest filters */
	struct arrival	*arrival;	/* how packets are cut, once it is needed */
};

/* Filters on their way into force. */
struct collect_change {
	struct programs	 programs;
	uint32_t	 n_places;
	enum filter_place *places;
};

/* What the agent has to be told to go on with the capture. */
struct collect_capture {
	uint32_t	 number;	/* of this collection's, from 0 */
	uint64_t	 id;
	struct capture_token token;
	bool		 has_token;	/* else it ends with its connection */
	bool		 is_asked;	/* to go on: Started answers a Resume */
	uint64_t	 announcements;	/* that were taken */
	uint64_t	 happened;	/* of these: had their place already */
	uint64_t	 instance;	/* of the agent; 0: not known */
};

/* The search for an agent whose connection was lost. */
struct collect_link {
	bool		 is_lost;
	struct mono_ns	 lost;		/* since when */
	struct mono_ns	 found;		/* when it was last; 0 */
	struct mono_ns	 stop_until;	/* the end was asked for; 0 */
	struct backoff	 backoff;
	unsigned	 seed;
	struct loop_timer *timer, *stop_timer, *lookup_timer;
	bool		 is_looking_up;	/* the name, in a thread of its own */
	bool		 is_waiting;	/* for that, before the next try */
	struct addrinfo	*addresses;	/* found, not used yet; or NULL */
	char		 cause[ERR_WHAT_LEN];	/* told last */
};

struct collect {
	const struct options *opt;
	struct programs	*programs;	/* what the packets that come next passed */
	struct background *background;
	struct msg_need_programs need;	/* what the agent asked for; n 0 */
	struct loop	*loop;
	struct sensor	*sensor;
	struct outputs_config out_cfg;
	struct outputs	*out;
	struct loop_timer *progress_timer, *limit_timer, *duration_timer;
	struct loop_timer *mark_timer, *stats_timer;
	struct loop_signal *signals[COLLECT_N_SIGNALS];
	struct ui_text	 ui;
	enum collect_state state;
	enum exit_status status;	/* of all that happened */
	struct ledger	 ledger;
	struct collect_interface *interfaces;	/* as many as the ledger has */
	uint32_t	*map;		/* by the agent's number: which of them */
	uint32_t	 n_map;
	struct collect_capture capture;
	struct collect_link link;
	bool		 keeps_record;	/* the output has a resume record */
	struct resume_state resumed;	/* of the run before, until the output is open */
	bool		 is_record_full;	/* .. that says nothing: too much */
	uint64_t	 cut_before;	/* packets that runs before this one shortened */
	bool		 wants_last;	/* flushing: the last mark is to be made */
	bool		 is_hurried;	/* interrupted again: the agent says how much is lost */
	bool		 is_open;	/* the output, with its head */
	bool		 reader_gone;	/* the pipe was closed: the user's end */
	bool		 output_dead;	/* nothing more can be written */
	bool		 is_signalled;
	struct mono_ns	 stop_time;	/* of the first signal */
	uint64_t	 seen_written;	/* by the output, at the last look */
	struct mono_ns	 moved;		/* when that was last more than before */
	bool		 stop_asked;	/* by the user, a count or the reader */
	char		 os[PROTO_MAX_NAME + 1];
	uint64_t	 instance;	/* of the agent that is connected */
	uint64_t	 kernel_drops;	/* of this capture, told last */
	struct wall_ns	 start;		/* of the first capture */
	struct mono_ns	 began;		/* here */
	struct wall_ns	 through;	/* what was stamped before it has come */
	struct wall_ns	 watermark;	/* the newest of this connection's capture */
	struct mono_ns	 watermarked;	/* when it came; 0: none did */
	uint64_t	 written, written_bytes;
	struct msg_gap	 unreported;	/* gaps since the last line about them */
	/* Acknowledge mark_sequence when the output has reached its mark. */
	uint64_t	 mark_sequence, newest_sequence;
	bool		 is_marking, wants_mark;	/* one is under way, is due */
	uint32_t	 mark_capture;	/* whose sequence it is */
	uint8_t		*kept_state;	/* for the last mark, if the capture may go on */
	size_t		 kept_len;
	struct mono_ns	 marked;	/* when the last one was made */
	struct events	 events;
	struct collect_change *asked;	/* the agent has not answered yet */
	struct programs *newest;	/* accepted last; programs, or in events */
	uint32_t	 change_number, n_waiting, n_changes;
	uint32_t	 n_often, n_hidden;	/* lines of this second */
	bool		 is_reading;	/* the file, and libpcap compiles it */
	bool		 wants_change;	/* the file is to be read once more */
	/* A form that packets are to be judged by: until then none is read. */
	bool		 is_compiling;
	bool		 said_travel;
};

/* --- collect.c --- */

/* Leave the loop: nothing more is to be done. */
void collect_finish(struct collect *c);

/* Keep what says more, of two failures the first. */
void collect_set_status(struct collect *c, enum exit_status status);

/* A line on stderr; collect_fail() sets the status that goes with err. */
void collect_report(struct collect *c, const char *text);
void collect_fail(struct collect *c, const struct err *err);

/*
 * Is there a line to be had for what may happen thousands of times?  Too many
 * of a second are counted, and collect_report_hidden() begins the next one.
 */
bool collect_may_report(struct collect *c);
void collect_report_hidden(struct collect *c);

/* End in order: the agent drains, then everything is written. */
void collect_stop(struct collect *c);

/* Nothing more will come: write the last blocks, then finish. */
void collect_flush(struct collect *c);
void collect_go_on_flushing(struct collect *c);

/* It cannot go on: say why, and end with what there is; the rest is a hole. */
void collect_abort(struct collect *c, const struct err *err);

/* Finish with what there is; the rest is a hole. */
void collect_end_now(struct collect *c);

/* --- collect_end.c --- */

/* The last counters of every interface, into the output. */
void collect_write_stats(struct collect *c);

/* What the sensor's clock says by now: the machines' need not agree. */
struct wall_ns collect_sensor_time(const struct collect *c);

/* From c->through to then nobody captured: into ledger, output and stderr. */
void collect_add_hole(struct collect *c, struct wall_ns to,
    enum ledger_hole_reason reason);

/* How many packets were shortened, into the ledger. */
void collect_count_cut(struct collect *c);

/* End the writers, count what they did not take, and draw the sums. */
void collect_settle(struct collect *c);

/* --stats-interval. */
void collect_on_stats_timer(void *arg);

/* --- collect_signals.c --- */

/* One line with the counts so far. */
void collect_report_counts(struct collect *c, const struct ui_summary *s);

int collect_watch_signals(struct collect *c, struct err *err) MUST_CHECK;

/* --- collect_start.c --- */

void collect_on_hello(const struct msg_hello *hello, void *arg);
void collect_on_need_programs(const struct msg_need_programs *need, void *arg);
void collect_on_started(const struct msg_started *started, void *arg);
/* Everything for the agent's NeedPrograms is compiled: start again. */
void collect_answer_need(struct collect *c);

/* -a duration is over. */
void collect_on_duration(void *arg);

/* --- collect_interfaces.c --- */

/*
 * Give every interface of started its row: those of the agent's capture that
 * are known keep theirs, with is_anew those of the capture before that are
 * called the same are taken, others are added.  The output must be open.
 */
int collect_map_interfaces(struct collect *c, const struct msg_started *started,
    bool is_anew, struct err *err) MUST_CHECK;

/* Tell the output of the interfaces that a resumed file has already. */
int collect_declare_known(struct collect *c, struct err *err) MUST_CHECK;

/* The rows of the run before, and its map. */
int collect_restore_interfaces(struct collect *c, const struct resume_state *state,
    struct err *err) MUST_CHECK;

/* The lines about what is captured. */
void collect_report_listening(struct collect *c, const struct msg_started *started);

void collect_on_interface_added(const struct msg_interface_added *added, void *arg);

/*
 * From now on packets of this interface are filtered there; gets ready to cut
 * them here.  E_FILTER, E_NOMEM.
 */
int collect_set_place(struct collect *c, uint32_t iface, enum filter_place place,
    struct err *err) MUST_CHECK;

/* Say once that packets of this interface, if so, are filtered here, and why. */
void collect_warn_of_travel(struct collect *c, uint32_t iface);

/* --- collect_stream.c --- */

extern const struct sensor_events collect_sensor_events;

void collect_on_outputs(enum outfile_event event, const struct err *err, void *arg);

/*
 * Nothing more can be written: say so, and end when the agent's last counters
 * have come.
 */
void collect_output_failed(struct collect *c, const struct err *err);

/* Has the output all that was asked for? */
bool collect_has_enough(const struct collect *c);

/* What may have become possible because the output moved on. */
void collect_output_moved(struct collect *c);

/* Read from the sensor, or let it wait. */
void collect_update_flow(struct collect *c);

/* Tell of the gaps since the last call, in one line. */
void collect_report_gaps(struct collect *c);

/* --- collect_mark.c --- */

/* --resume: find and lock the record of the run before.  E_OUTPUT, E_NOMEM. */
int collect_open_record(struct collect *c, struct err *err) MUST_CHECK;

/* What the run before could not say any more waits for a packet again. */
void collect_repeat_remarks(struct collect *c);

/* Before the output is opened: its record, where it can have one. */
int collect_make_record(struct collect *c, struct err *err) MUST_CHECK;

/* Everything that came so far is to be acknowledged once it is written. */
void collect_mark(struct collect *c);
void collect_on_mark_timer(void *arg);

/* The same when nothing came for a while. */
void collect_mark_quiet(struct collect *c);

/* A mark was reached, perhaps: acknowledge. */
void collect_take_marks(struct collect *c);

/*
 * The agent may still have the capture when this run ends: the record is to
 * say how it is now.
 */
void collect_keep_capture(struct collect *c);

/* The end: the capture is over, unless it was kept. */
void collect_mark_last(struct collect *c);

/* --- collect_link.c --- */

/* The connection is gone: true when the agent is looked for. */
bool collect_link_lost(struct collect *c, const struct err *err);

/* A Resume was answered: were there events that the agent has forgotten? */
void collect_tell_missing(struct collect *c, const struct msg_started *started);

/* Started came on a new connection. */
void collect_link_found(struct collect *c, const struct msg_started *started, bool is_anew);

/* The agent has the capture no more: begin another one. */
void collect_forget_capture(struct collect *c);

/* After hello: go on with the capture. */
void collect_ask_resume(struct collect *c);

/* The end is wanted: look for the agent a moment longer only. */
void collect_bound_link(struct collect *c);

/* Give the agent up: what it may have is a hole. */
void collect_lost_for_good(struct collect *c);

void collect_on_link_timer(void *arg);
void collect_on_link_stop(void *arg);

/* --- collect_lookup.c --- */

/* Look the sensor's name up, for a moment at most, then connect. */
void collect_reconnect(struct collect *c);
void collect_on_lookup_timer(void *arg);
void collect_forget_addresses(struct collect *c);

/* --- collect_change.c --- */

void collect_on_event(const struct msg_event *event, void *arg);
void collect_on_filter_changed(const struct msg_filter_changed *changed, void *arg);

/* Read --filter-file anew and ask the agent for it, now or when it can be. */
void collect_change_filter(struct collect *c);

/* What collect_read_file() came to: takes *new; NULL with err. */
void collect_take_file(struct collect *c, struct programs *new, const struct err *err);

/* Let happen what stands before batch sequence. */
void collect_reach(struct collect *c, uint64_t sequence);

/* Forget what never happened. */
void collect_forget_changes(struct collect *c);

/* The change under way was asked of an agent that is gone: send it once more, or drop it. */
void collect_ask_again(struct collect *c);
void collect_drop_asked(struct collect *c);

/* --- collect_compile.c --- */

/* Read --filter-file for the interfaces that there are; collect_take_file(). */
int collect_read_file(struct collect *c, struct err *err) MUST_CHECK;

/*
 * Have libpcap make what the agent asked for, or what packets are to be judged
 * by; the sensor waits as long.  Goes on at once when nothing is missing.
 */
void collect_compile_missing(struct collect *c);

#endif /* CLIENT_COLLECT_INT_H */
