#include "client/outputs_int.h"

#include <stdlib.h>
#include <string.h>

#include "client/gap.h"

enum {
	/* A pipe's reader takes no longer block: beside these, words wait. */
	REMARKED_PACKET_MAX = 192 << 10,
};

/* --- packets and what is said about them --- */

void
outputs_note(struct outputs *o, const char *text)
{
	for (int i = 0; i < o->n; i++) {
		notes_add(&o->file[i].notes, text);
		o->file[i].has_remarks = true;
	}
}

void
outputs_hole(struct outputs *o, const char *text)
{
	for (int i = 0; i < o->n; i++) {
		notes_add(&o->file[i].holes, text);
		o->file[i].has_remarks = true;
	}
}

static void
pend_gap(struct outputs_file *f, const struct msg_gap *gap)
{
	unsigned reason = gap->reason;
	struct outputs_pending_gap *p = &f->gaps[reason < OUTPUTS_REASONS ? reason : 0];
	struct msg_gap mine = *gap;

	/* What it points to is the caller's. */
	mine.n_interfaces = 0;
	mine.by_interface = NULL;
	gap_join(&p->gap, &mine, !p->is_set);
	p->is_set = true;
	f->has_remarks = true;
}

void
outputs_gap(struct outputs *o, const struct msg_gap *gap)
{
	for (int i = 0; i < o->n; i++)
		pend_gap(&o->file[i], gap);
	if (o->n_places == 1)
		o->places[0].dropped += gap->packets;
	else
		for (uint32_t i = 0; i < gap->n_interfaces && i < o->n_places; i++)
			o->places[i].dropped += gap->by_interface[i];
}

struct gap_text { char text[GAP_TEXT_LEN]; };

/* Everything that waits; texts are the caller's. */
static void
collect_remarks(struct outputs_file *f, struct sink_remarks *r,
    struct gap_text texts[static OUTPUTS_REASONS])
{
	for (int i = 0; i < OUTPUTS_REASONS; i++) {
		if (!f->gaps[i].is_set)
			continue;
		gap_format(&f->gaps[i].gap, texts[i].text);
		r->comments[r->n_comments++] = texts[i].text;
	}
	notes_put(&f->holes, r);
	notes_put(&f->notes, r);
}

static void
forget_remarks(struct outputs_file *f)
{
	notes_clear(&f->notes);
	notes_clear(&f->holes);
	for (int i = 0; i < OUTPUTS_REASONS; i++)
		f->gaps[i].is_set = false;
	f->has_remarks = false;
}

uint32_t
outputs_remarks(struct outputs *o, char *ret_texts[static SINK_COMMENTS_MAX])
{
	struct sink_remarks remarks = { .n_comments = 0 };
	struct gap_text texts[OUTPUTS_REASONS];
	uint32_t n = 0;

	if (o->n == 0 || !o->file[0].has_remarks)
		return 0;
	collect_remarks(&o->file[0], &remarks, texts);
	for (uint32_t i = 0; i < remarks.n_comments; i++) {
		ret_texts[n] = strdup(remarks.comments[i]);
		if (ret_texts[n] != NULL)
			n++;
	}
	return n;
}

uint64_t
outputs_dropped(const struct outputs *o, uint32_t iface)
{
	return iface < o->n_places ? o->places[iface].dropped : 0;
}

void
outputs_set_dropped(struct outputs *o, uint32_t iface, uint64_t packets)
{
	if (iface < o->n_places)
		o->places[iface].dropped = packets;
}

static int
write_remarked(struct outputs_file *f, struct outputs_place *place,
    const struct packet_ref *packet, struct err *err)
{
	struct sink_remarks remarks = { .dropped = place->dropped };
	struct gap_text texts[OUTPUTS_REASONS];
	int rc;

	collect_remarks(f, &remarks, texts);
	rc = f->owner->cfg.ops->packet(f->sink, packet, &remarks, err);
	forget_remarks(f);
	place->dropped = 0;
	return rc;
}

int
outputs_packet(struct outputs *o, const struct packet_ref *packet,
    struct err *err)
{
	struct outputs_place *place = &o->places[packet->meta.iface];
	struct outputs_file *f = &o->file[place->file];
	struct packet_ref local = *packet;
	uint64_t first;
	int rc = outputs_count_start(f, &first, err);

	if (rc != E_OK)
		return rc;
	local.meta.iface = place->iface;
	if ((f->has_remarks || place->dropped > 0) &&
	    packet->meta.captured_len <= REMARKED_PACKET_MAX)
		rc = write_remarked(f, place, &local, err);
	else
		rc = o->cfg.ops->packet(f->sink, &local, NULL, err);
	outputs_count_end(f, first, packet->meta.iface);
	return rc;
}

int
outputs_stats(struct outputs *o, uint32_t iface, const struct sink_stats *stats,
    const char *comment, struct err *err)
{
	struct sink_remarks remarks = { .dropped = 0 };
	struct gap_text texts[OUTPUTS_REASONS];
	struct outputs_file *f;
	uint64_t first;
	int rc;

	if (!outputs_holds(o, iface) || o->places[iface].has_stats)
		return E_OK;
	f = &o->file[o->places[iface].file];
	rc = outputs_count_start(f, &first, err);
	if (rc != E_OK)
		return rc;
	o->has_stats = o->places[iface].has_stats = true;
	/* What no packet follows any more stands beside the first counters. */
	collect_remarks(f, &remarks, texts);
	if (comment[0] != '\0' && remarks.n_comments < SINK_COMMENTS_MAX)
		remarks.comments[remarks.n_comments++] = comment;
	rc = o->cfg.ops->stats(f->sink, o->places[iface].iface, stats, &remarks,
	    err);
	outputs_count_end(f, first, OUTPUTS_NO_PACKET);
	forget_remarks(f);
	return rc;
}

/* --- progress --- */

void
outputs_flush(struct outputs *o)
{
	for (int i = 0; i < o->n; i++)
		outfile_flush(o->file[i].out);
}

bool
outputs_is_full(const struct outputs *o)
{
	for (int i = 0; i < o->n; i++)
		if (outfile_is_full(o->file[i].out))
			return true;
	return false;
}

bool
outputs_is_flushed(const struct outputs *o)
{
	for (int i = 0; i < o->n; i++)
		if (outfile_written(o->file[i].out) !=
		    outfile_submitted(o->file[i].out))
			return false;
	return true;
}

uint64_t
outputs_size(const struct outputs *o)
{
	uint64_t sum = o->cfg.is_resumed ? o->cfg.resume_at : 0;

	for (int i = 0; i < o->n; i++)
		sum += outfile_submitted(o->file[i].out);
	return sum;
}

uint64_t
outputs_written(const struct outputs *o)
{
	uint64_t sum = 0;

	for (int i = 0; i < o->n; i++)
		sum += outfile_written(o->file[i].out);
	return sum;
}

int
outputs_mark(struct outputs *o, uint8_t *payload, size_t len)
{
	int ret = E_OK;

	if (o->has_stats || !outputs_has_reached_mark(o)) {
		free(payload);
		return E_STATE;
	}
	if (o->n == 0)
		free(payload);
	/* Where files are split none has a record that would take it. */
	for (int i = 0; i < o->n; i++) {
		int rc = outfile_mark(o->file[i].out, i == 0 ? payload : NULL,
		    i == 0 ? len : 0);

		if (rc == E_OK)
			o->file[i].n_marks++;
		else
			ret = rc;
	}
	return ret;
}

bool
outputs_has_reached_mark(const struct outputs *o)
{
	for (int i = 0; i < o->n; i++)
		if (outfile_marks_done(o->file[i].out) < o->file[i].n_marks)
			return false;
	return true;
}

uint64_t
outputs_cut(const struct outputs *o)
{
	uint64_t sum = 0;

	for (int i = 0; i < o->n; i++)
		if (o->file[i].sink != NULL)
			sum += o->cfg.ops->cut(o->file[i].sink);
	return sum;
}
