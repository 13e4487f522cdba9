/*
 * collect_int - what the files of one collection share; see collect.h.
 *
 * collect.c runs it, from loop to exit status; collect_signals.c takes signals;
 * collect_start.c asks for the capture and opens the output; collect_stream.c takes what the sensor sends
 * and moves it into the output; collect_change.c follows events and changes of
 * the filter; collect_compile.c has libpcap work beside the loop.
 */
#ifndef CLIENT_COLLECT_INT_H
#define CLIENT_COLLECT_INT_H

#include "client/arrival.h"
#include "client/background.h"
#include "client/collect.h"
#include "client/events.h"
#include "client/ledger.h"
#include "client/outputs.h"
#include "client/sensor.h"
#include "client/ui_text.h"
#include "common/clock.h"
#include "common/loop.h"

enum { COLLECT_PROGRESS_NS = NS_PER_S };

enum collect_state {
	COLLECT_CONNECTING,
	COLLECT_RUNNING,
	COLLECT_STOPPING,	/* the agent drains */
	COLLECT_FLUSHING,	/* all has come; the output takes the rest */
	COLLECT_DONE,
};

enum { COLLECT_N_SIGNALS = 5 };

/* One interface of the capture, as far as its packets are judged here. */
struct collect_interface {
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

struct collect {
	const struct options *opt;
	struct programs	*programs;	/* what the packets that come next passed */
	struct background *background;
	struct msg_need_programs need;	/* what the agent asked for; n 0 */
	struct loop	*loop;
	struct sensor	*sensor;
	struct outputs_config out_cfg;
	struct outputs	*out;
	struct loop_timer *progress_timer, *limit_timer;
	struct loop_signal *signals[COLLECT_N_SIGNALS];
	struct ui_text	 ui;
	enum collect_state state;
	enum exit_status status;	/* the first thing that went wrong */
	struct ledger	 ledger;
	struct collect_interface *interfaces;	/* as many as the ledger has */
	bool		 has_ledger;
	bool		 is_open;	/* the output, with its head */
	bool		 reader_gone;	/* the pipe was closed: the user's end */
	bool		 output_dead;	/* nothing more can be written */
	bool		 is_signalled;
	struct mono_ns	 stop_time;	/* of the first signal */
	uint64_t	 seen_written;	/* by the output, at the last look */
	struct mono_ns	 moved;		/* when that was last more than before */
	bool		 stop_asked;	/* by the user, a count or the reader */
	char		 os[PROTO_MAX_NAME + 1];
	struct wall_ns	 start;		/* of the capture */
	uint64_t	 written, written_bytes;
	struct msg_gap	 unreported;	/* gaps since the last line about them */
	/* Acknowledge mark_sequence when the output has reached its mark. */
	uint64_t	 mark_sequence, newest_sequence;
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

/* Keep the first thing that went wrong. */
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

/* The last counters of every interface, into the output. */
void collect_write_stats(struct collect *c);

/* --- collect_signals.c --- */

int collect_watch_signals(struct collect *c, struct err *err) MUST_CHECK;

/* --- collect_start.c --- */

void collect_on_hello(const struct msg_hello *hello, void *arg);
void collect_on_need_programs(const struct msg_need_programs *need, void *arg);
void collect_on_started(const struct msg_started *started, void *arg);
void collect_on_interface_added(const struct msg_interface_added *added, void *arg);

/* Everything for the agent's NeedPrograms is compiled: start again. */
void collect_answer_need(struct collect *c);

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

/* Read from the sensor, or let it wait. */
void collect_update_flow(struct collect *c);

/* Tell of the gaps since the last call, in one line. */
void collect_report_gaps(struct collect *c);

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

/* --- collect_compile.c --- */

/* Read --filter-file for the interfaces that there are; collect_take_file(). */
int collect_read_file(struct collect *c, struct err *err) MUST_CHECK;

/*
 * Have libpcap make what the agent asked for, or what packets are to be judged
 * by; the sensor waits as long.  Goes on at once when nothing is missing.
 */
void collect_compile_missing(struct collect *c);

#endif /* CLIENT_COLLECT_INT_H */
