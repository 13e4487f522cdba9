/*
 * outputs - where the packets of one capture go: one file, or one a link type.
 *
 * Ties sinks to outfiles: which interface is in which of them, remarks that
 * wait for the next packet of each, how many packets are really in them.
 * Knows nothing of sensors.
 */
#ifndef CLIENT_OUTPUTS_H
#define CLIENT_OUTPUTS_H

#include <stdbool.h>
#include <stdint.h>

#include "client/outfile.h"
#include "client/sink.h"
#include "common/loop.h"
#include "proto/codec.h"

enum { OUTPUTS_MAX = 32 };	/* files; a sensor has a handful of link types */

struct outputs;

/* err is set with OUTFILE_EV_ERROR and OUTFILE_EV_STALLED only.  Must not free outputs itself. */
typedef void (*outputs_fn)(enum outfile_event event, const struct err *err,
    void *arg);

struct outputs_config {
	struct loop	*loop;
	const char	*path;		/* "-" for stdout */
	const struct sink_ops *ops;
	bool		 split_by_link_type;
	const char	*program;	/* "capclient 0.1.0" */
	uint32_t	 snaplen;
	outputs_fn	 fn;
	void		*arg;
	/* See struct outfile_config.  Nothing is resumed when files are split. */
	bool		 fsync;
	enum outfile_on_full on_full;
	struct resume_record *record;	/* taken, in every case */
	bool		 is_resumed;
	uint64_t	 resume_at;
};

/*
 * What cfg points to is borrowed for the outputs' life, but for record.  A new
 * record that no file was opened for is removed in the end.  E_NOMEM.
 */
struct outputs *outputs_new(const struct outputs_config *cfg, struct err *err);

/*
 * Can interfaces of these link types be written?  Before anything is opened:
 * E_OUTPUT "output: ... what to do instead".
 */
int outputs_check(const struct outputs_config *cfg, const uint32_t *link_types,
    uint32_t n, struct err *err) MUST_CHECK;

/*
 * Declare the next interface (0, 1, 2 ...); opens the file when it is the
 * first of its kind.  *ret_hint is a sentence for the user, each one once, or
 * NULL; it lives until the next call.  An interface that no file can hold
 * beside the others is no error: see outputs_holds().
 *
 * E_OUTPUT, E_NOSPACE, E_NOMEM: nothing can be written.
 */
int outputs_add_interface(struct outputs *o, const struct sink_interface *iface,
    const char **ret_hint, struct err *err) MUST_CHECK;

/*
 * The same for the next interface of a resumed file, which declares it already:
 * before the first outputs_add_interface().  E_GONE too, and E_OUTPUT for a
 * file that cannot be resumed.
 */
int outputs_add_known_interface(struct outputs *o, const struct sink_interface *iface,
    const char **ret_hint, struct err *err) MUST_CHECK;

/* Do packets of this interface have a place in a file? */
bool outputs_holds(const struct outputs *o, uint32_t iface);

/* Write a packet of an interface that is held, with what was to be said. */
int outputs_packet(struct outputs *o, const struct packet_ref *packet,
    struct err *err) MUST_CHECK;

/* Say text beside the next packet of each file, or its last counters. */
void outputs_note(struct outputs *o, const char *text);

/*
 * The same about a time in which nobody captured.  Apart from the notes, whose
 * number is bounded.
 */
void outputs_hole(struct outputs *o, const char *text);

/*
 * The same about lost packets; gaps of one reason without a packet between
 * them join.  The next packet of each interface says how many it lost.
 */
void outputs_gap(struct outputs *o, const struct msg_gap *gap);

/*
 * What still waits to be said beside the next packet of the first file: how many
 * texts, each of malloc() and the caller's; and how many packets that of an
 * interface is to say were lost.  For a run that goes on with the file.
 */
uint32_t outputs_remarks(struct outputs *o, char *ret_texts[static SINK_COMMENTS_MAX]);
uint64_t outputs_dropped(const struct outputs *o, uint32_t iface);
void outputs_set_dropped(struct outputs *o, uint32_t iface, uint64_t packets);

/*
 * Final counters of an interface; nothing for one that is not held, or has
 * them already.
 * comment is said beside them ("" for none).
 */
int outputs_stats(struct outputs *o, uint32_t iface,
    const struct sink_stats *stats, const char *comment, struct err *err)
    MUST_CHECK;

void outputs_flush(struct outputs *o);
bool outputs_is_full(const struct outputs *o);
bool outputs_is_flushed(const struct outputs *o);	/* all submitted is written */
uint64_t outputs_written(const struct outputs *o);	/* bytes, of all files */
uint64_t outputs_size(const struct outputs *o);	/* the same with what waits, and was resumed */

/*
 * Everything so far belongs together with payload (of malloc(), taken in every
 * case; NULL for none); see outfile_mark().  E_STATE while a mark is under way,
 * and after outputs_stats(): a resumed file must not have counters within.
 */
int outputs_mark(struct outputs *o, uint8_t *payload, size_t len) MUST_CHECK;

/* Is everything before the last mark written, in all files? */
bool outputs_has_reached_mark(const struct outputs *o);

uint64_t outputs_cut(const struct outputs *o);	/* packets; see sink.h */

/* Packets that are wholly in the files; exact after outputs_stop(). */
uint64_t outputs_packets_written(const struct outputs *o);

/* How many of each interface are not; after outputs_stop(). */
void outputs_unwritten(const struct outputs *o, uint64_t *by_interface, uint32_t n);

/*
 * End the writers and close; the first error.  Only counting may follow, and
 * outputs_forget().
 */
int outputs_stop(struct outputs *o, int timeout_ms, struct err *err);

/* After outputs_stop(): the capture is complete, its record is removed. */
void outputs_forget(struct outputs *o);

void outputs_free(struct outputs *o);	/* NULL is allowed */

#endif /* CLIENT_OUTPUTS_H */
