/*
 * collect_mark - what is written is acknowledged, and where the output is a
 * file, a record beside it says how another run goes on.
 *
 * A mark stands behind a whole number of batches.  It is reached when all
 * bytes before it and the record are written; only then the agent may forget
 * them.  One is under way at a time.
 */
#include "client/collect_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/output_head.h"
#include "client/resume_record.h"

enum {
	/* Between two records: the agent keeps what it sent so much longer. */
	RECORD_MS = 25,
	/* On a quiet line a record says since when nothing came. */
	QUIET_MS = 500,
};

/* --- the record of the run before --- */

/* Somebody may have moved it to another place. */
static bool
is_output_gone(const struct collect *c)
{
	struct stat st;

	return stat(c->opt->output, &st) != 0 ? errno == ENOENT : st.st_size == 0;
}

enum found { FOUND_NO_RECORD, FOUND_FRESH, FOUND_EMPTY };

/* There is no record that says something: may the output be made anew? */
static int
begin_anew(struct collect *c, enum found found, struct err *err)
{
	const char *path = c->opt->output;
	char text[ERR_WHAT_LEN];
	struct stat st;

	/* One that was killed before its first mark left a head only. */
	if (stat(path, &st) == 0 && st.st_size > 0 &&
	    (found != FOUND_FRESH || !output_is_only_head(path)))
		return err_set(err, E_OUTPUT, found != FOUND_NO_RECORD ?
		    "'%.80s': resume: its record ('%.80s.resume') is damaged: give another "
		    "file" :
		    "'%.80s': resume: it has no resume record ('%.80s.resume'), so it is "
		    "not ours to go on with: give another file", path, path);
	snprintf(text, sizeof(text), "'%.200s': nothing to resume: begins anew", path);
	collect_report(c, text);
	return E_OK;
}

static int
check_request(const struct collect *c, const struct resume_state *state, struct err *err)
{
	uint8_t request[RESUME_REQUEST_LEN];
	char about[RESUME_ABOUT_LEN];

	resume_request(c->opt, request, about);
	if (memcmp(request, state->request, sizeof(request)) == 0)
		return E_OK;
	return err_set(err, E_OUTPUT, "'%.60s': resume: it was captured by another "
	    "command (%.100s): give the same, or another file", c->opt->output,
	    state->about);
}

/* Everything of the state but what needs the output. */
static int
restore(struct collect *c, const struct resume_state *s, struct err *err)
{
	int rc = collect_restore_interfaces(c, s, err);

	if (rc != E_OK)
		return rc;
	if (ledger_import_rest(&c->ledger, &s->rest) != E_OK)
		return err_set(err, E_OUTPUT, "'%s': resume: its record cannot be right",
		    c->opt->output);
	c->cut_before = s->rest.cut;
	for (uint32_t i = 0; i < s->n_holes; i++)
		if (ledger_import_hole(&c->ledger, &s->holes[i]) != E_OK)
			return err_set(err, E_OUTPUT, "'%s': resume: its record cannot "
			    "be right", c->opt->output);
	c->capture.id = s->capture_id;
	c->capture.token = s->token;
	c->capture.has_token = s->has_token;
	c->capture.announcements = c->capture.happened = s->announcements;
	c->newest_sequence = s->sequence;
	c->through = s->through;
	c->start = s->start;
	c->written = s->packets;
	c->written_bytes = s->bytes;
	return E_OK;
}

static int
take_state(struct collect *c, struct err *err)
{
	struct resume_record_state record;
	struct resume_state state;
	int rc = resume_record_read(c->out_cfg.record, &record, err);

	if (rc != E_OK)
		return rc;
	if (record.len == 0)
		return err_set(err, E_OUTPUT, "'%s': resume: its record had no room for "
		    "all its interfaces: give another file", c->opt->output);
	rc = resume_state_unpack(record.payload, record.len, &state);
	if (rc != E_OK)
		return err_set(err, rc == E_NOMEM ? E_NOMEM : E_OUTPUT,
		    "'%s': resume: its record is %s", c->opt->output, rc == E_VERSION ?
		    "of another version of capclient" : "not one of a capture");
	rc = check_request(c, &state, err);
	if (rc == E_OK)
		rc = restore(c, &state, err);
	if (rc != E_OK) {
		resume_state_fini(&state);
		return rc;
	}
	c->resumed = state;
	c->out_cfg.is_resumed = true;
	c->out_cfg.resume_at = record.offset;
	return E_OK;
}

static bool
is_file(const char *path)
{
	struct stat st;

	if (strcmp(path, "-") == 0)
		return false;
	return stat(path, &st) == 0 ? S_ISREG(st.st_mode) : errno == ENOENT;
}

/* The run before had all that was asked for, and ended in order. */
static void
end_if_complete(struct collect *c)
{
	const struct options *opt = c->opt;
	char text[ERR_WHAT_LEN];

	if (c->capture.has_token ||
	    !((opt->count > 0 && c->written >= opt->count) ||
	    (opt->filesize_bytes > 0 && c->out_cfg.resume_at >= opt->filesize_bytes)))
		return;
	snprintf(text, sizeof(text), "'%.150s': complete already: %llu packets", opt->output,
	    (unsigned long long)c->written);
	collect_report(c, text);
	if (c->ledger.n_holes > 0)
		collect_set_status(c, EXIT_HOLE);
	c->state = COLLECT_DONE;
}

int
collect_open_record(struct collect *c, struct err *err)
{
	enum found found = FOUND_NO_RECORD;
	int rc;

	if (!c->opt->resume)
		return E_OK;
	if (!is_file(c->opt->output))
		return err_set(err, E_OUTPUT, "'%s': resume: it is no regular file, which "
		    "cannot be gone on with: give another one", c->opt->output);
	rc = resume_record_open(c->opt->output, RESUME_RECORD_OLD, &c->out_cfg.record,
	    err);
	if (rc == E_OK)
		rc = is_output_gone(c) ? E_GONE : take_state(c, err);
	if (rc == E_OK) {
		end_if_complete(c);
		return E_OK;
	}
	if (c->out_cfg.record != NULL)
		found = resume_record_is_fresh(c->out_cfg.record) ? FOUND_FRESH : FOUND_EMPTY;
	resume_record_close(c->out_cfg.record);
	c->out_cfg.record = NULL;
	if (rc == E_GONE)
		return begin_anew(c, found, err);
	/* Locked by somebody, or nothing of ours. */
	err->code = rc == E_NOMEM ? E_NOMEM : E_OUTPUT;
	return err->code;
}

void
collect_repeat_remarks(struct collect *c)
{
	for (uint32_t i = 0; i < c->resumed.n_remarks; i++)
		outputs_note(c->out, c->resumed.remarks[i]);
	for (uint32_t i = 0; i < c->resumed.n_rows; i++)
		outputs_set_dropped(c->out, i, c->resumed.rows[i].dropped);
	resume_state_fini(&c->resumed);
}

int
collect_make_record(struct collect *c, struct err *err)
{
	int rc;

	if (c->out_cfg.record == NULL && !c->opt->split_by_linktype &&
	    is_file(c->opt->output)) {
		rc = resume_record_open(c->opt->output, RESUME_RECORD_NEW,
		    &c->out_cfg.record, err);
		if (rc == E_STATE || (rc != E_OK && c->opt->resume)) {
			err->code = E_OUTPUT;
			return E_OUTPUT;
		}
		/* It can be written all the same, but not gone on with. */
		if (rc != E_OK && c->opt->verbose > 0)
			collect_report(c, err->what);
	}
	c->keeps_record = c->out_cfg.record != NULL;
	return E_OK;
}

/* --- marks --- */

static void
fill_rows(const struct collect *c, struct resume_row *rows)
{
	for (uint32_t i = 0; i < c->ledger.n_interfaces; i++) {
		const struct collect_interface *from = &c->interfaces[i];

		memcpy(rows[i].name, from->name, sizeof(rows[i].name));
		memcpy(rows[i].network_namespace, from->network_namespace,
		    sizeof(rows[i].network_namespace));
		rows[i].link_type = from->link_type;
		rows[i].dropped = outputs_dropped(c->out, i);
		ledger_export(&c->ledger, i, &rows[i].counters);
	}
}

static int
pack_state(struct collect *c, bool is_last, uint8_t **ret_state, size_t *ret_len)
{
	struct resume_state s = {
		.capture_id = c->capture.id,
		.token = c->capture.token,
		.has_token = c->capture.has_token && !is_last,
		.sequence = c->newest_sequence,
		.announcements = c->capture.happened,
		.through = c->through,
		.start = c->start,
		.packets = c->written,
		.bytes = c->written_bytes,
		.n_rows = c->ledger.n_interfaces,
		.rows = calloc(c->ledger.n_interfaces, sizeof(*s.rows)),
		.n_map = c->n_map,
		.map = c->map,
		.n_holes = c->ledger.n_holes,
		.holes = c->ledger.holes,
	};
	char *remarks[SINK_COMMENTS_MAX];
	int rc;

	if (s.rows == NULL)
		return E_NOMEM;
	resume_request(c->opt, s.request, s.about);
	fill_rows(c, s.rows);
	collect_count_cut(c);
	ledger_export_rest(&c->ledger, &s.rest);
	s.n_remarks = outputs_remarks(c->out, remarks);
	s.remarks = remarks;
	rc = resume_state_pack(&s, ret_state, ret_len);
	for (uint32_t i = 0; i < s.n_remarks; i++)
		free(remarks[i]);
	free(s.rows);
	return rc;
}

/* Better a capture that cannot be gone on with than one that fills the agent. */
static void
do_without_record(struct collect *c)
{
	char text[ERR_WHAT_LEN];

	if (c->is_record_full)
		return;
	c->is_record_full = true;
	snprintf(text, sizeof(text), "'%.120s': too many interfaces for its resume record: "
	    "--resume cannot go on with it", c->opt->output);
	collect_report(c, text);
}

static void
make_mark(struct collect *c, bool is_last)
{
	uint8_t *state = NULL;
	size_t len = 0;
	int rc = E_OK;

	if (is_last && c->kept_state != NULL) {
		state = c->kept_state;
		len = c->kept_len;
		c->kept_state = NULL;
	} else if (c->keeps_record) {
		rc = pack_state(c, is_last, &state, &len);
	}
	if (rc == E_TOOBIG)
		do_without_record(c);
	else if (rc != E_OK)
		return;		/* nothing is safe without it; the next mark may be */
	if (outputs_mark(c->out, state, len) != E_OK)
		return;
	c->is_marking = true;
	c->mark_sequence = c->newest_sequence;
	c->mark_capture = c->capture.number;
	c->marked = clock_mono();
}

void
collect_mark(struct collect *c)
{
	int64_t since;

	c->wants_mark = true;
	if (c->is_marking || !c->is_open)
		return;
	since = mono_diff_ns(clock_mono(), c->marked);
	if (c->keeps_record && since < (int64_t)RECORD_MS * NS_PER_MS) {
		loop_timer_set(c->mark_timer, (int64_t)RECORD_MS * NS_PER_MS - since);
		return;
	}
	c->wants_mark = false;
	make_mark(c, false);
	collect_take_marks(c);
}

void
collect_on_mark_timer(void *arg)
{
	struct collect *c = arg;

	if (c->wants_mark && c->state < COLLECT_FLUSHING)
		collect_mark(c);
}

void
collect_mark_quiet(struct collect *c)
{
	if (c->keeps_record && mono_diff_ns(clock_mono(), c->marked) >=
	    (int64_t)QUIET_MS * NS_PER_MS)
		collect_mark(c);
}

void
collect_take_marks(struct collect *c)
{
	if (!c->is_marking || !outputs_has_reached_mark(c->out))
		return;
	c->is_marking = false;
	if (c->mark_sequence > 0 && c->mark_capture == c->capture.number &&
	    !c->link.is_lost)
		sensor_ack(c->sensor, c->mark_sequence);
	if (c->wants_mark && c->state < COLLECT_FLUSHING)
		collect_mark(c);
}

void
collect_keep_capture(struct collect *c)
{
	if (c->keeps_record && c->kept_state == NULL &&
	    pack_state(c, false, &c->kept_state, &c->kept_len) != E_OK)
		c->kept_state = NULL;
}

void
collect_mark_last(struct collect *c)
{
	if (c->keeps_record)
		make_mark(c, true);
}
