/*
 * collect_int - what the files of one collection share; see collect.h.
 *
 * collect.c runs it, from signals to exit status; collect_stream.c takes what
 * the sensor sends and moves it into the output.
 */
#ifndef CLIENT_COLLECT_INT_H
#define CLIENT_COLLECT_INT_H

#include "client/collect.h"
#include "client/ledger.h"
#include "client/outfile.h"
#include "client/sensor.h"
#include "client/sink.h"
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

struct collect {
	const struct options *opt;
	const struct programs *programs;
	struct loop	*loop;
	struct sensor	*sensor;
	struct outfile	*out;
	const struct sink_ops *ops;
	struct sink	*sink;
	struct loop_timer *progress_timer, *limit_timer;
	struct loop_signal *signals[COLLECT_N_SIGNALS];
	struct ui_text	 ui;
	enum collect_state state;
	enum exit_status status;	/* the first thing that went wrong */
	struct ledger	 ledger;
	bool		 has_ledger;
	bool		 reader_gone;	/* the pipe was closed: the user's end */
	bool		 output_dead;	/* nothing more can be written */
	uint64_t	 head_blocks;	/* of the output before the first packet */
	bool		 is_signalled;
	struct mono_ns	 stop_time;	/* of the first signal */
	uint64_t	 seen_written;	/* by the output, at the last look */
	struct mono_ns	 moved;		/* when that was last more than before */
	bool		 stop_asked;	/* by the user, a count or the reader */
	char		 os[PROTO_MAX_NAME + 1];
	struct wall_ns	 start;		/* of the capture */
	uint64_t	 written, written_bytes;
	struct msg_gap	 gap;		/* to be noted at the next packet */
	bool		 has_gap;
	struct msg_gap	 unreported;	/* gaps since the last line about them */
	/* Acknowledge mark_sequence when the output has reached mark_offset. */
	uint64_t	 mark_sequence, mark_offset, newest_sequence;
};

/* --- collect.c --- */

/* Leave the loop: nothing more is to be done. */
void collect_finish(struct collect *c);

/* Keep the first thing that went wrong. */
void collect_set_status(struct collect *c, enum exit_status status);

/* A line on stderr; collect_fail() sets the status that goes with err. */
void collect_report(struct collect *c, const char *text);
void collect_fail(struct collect *c, const struct err *err);

/* End in order: the agent drains, then everything is written. */
void collect_stop(struct collect *c);

/* Nothing more will come: write the last blocks, then finish. */
void collect_flush(struct collect *c);

/* Has the output taken all that was submitted? */
bool collect_is_flushed(const struct collect *c);

/* --- collect_stream.c --- */

extern const struct sensor_events collect_sensor_events;

/*
 * Nothing more can be written: say so, and end when the agent's last counters
 * have come.
 */
void collect_output_failed(struct collect *c, const struct err *err);

/* Tell of the gaps since the last call, in one line. */
void collect_report_gaps(struct collect *c);

#endif /* CLIENT_COLLECT_INT_H */
