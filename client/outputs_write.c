#include "client/outputs_int.h"

#include "client/gap.h"

enum {
	/* A pipe's reader takes no longer block: beside these, words wait. */
	REMARKED_PACKET_MAX = 192 << 10,
};

/* --- packets and what is said about them --- */

void
outputs_note(struct outputs *o, const char *text)
{
	for (int i = 0; i < o->n; i++)
		notes_add(&o->file[i].notes, text);
}

void
outputs_gap(struct outputs *o, const struct msg_gap *gap)
{
	for (int i = 0; i < o->n; i++) {
		gap_join(&o->file[i].gap, gap, !o->file[i].has_gap);
		o->file[i].has_gap = true;
	}
}

static bool
has_remarks(const struct outputs_file *f)
{
	return f->has_gap || f->notes.n > 0 || f->notes.n_more > 0;
}

/* Everything that waits; gap_text is the caller's. */
static void
collect_remarks(struct outputs_file *f, struct sink_remarks *r,
    char gap_text[static GAP_TEXT_LEN])
{
	/* Gaps count for the capture as a whole; one interface has them all. */
	*r = (struct sink_remarks){
		.dropped = f->has_gap && f->owner->n_places == 1 ? f->gap.packets : 0,
	};
	if (f->has_gap) {
		gap_format(&f->gap, gap_text);
		r->comments[r->n_comments++] = gap_text;
	}
	notes_put(&f->notes, r);
}

static void
forget_remarks(struct outputs_file *f)
{
	notes_clear(&f->notes);
	f->has_gap = false;
}

static int
write_remarked(struct outputs_file *f, const struct packet_ref *packet, struct err *err)
{
	char gap_text[GAP_TEXT_LEN];
	struct sink_remarks remarks;
	int rc;

	collect_remarks(f, &remarks, gap_text);
	rc = f->owner->cfg.ops->packet(f->sink, packet, &remarks, err);
	forget_remarks(f);
	return rc;
}

int
outputs_packet(struct outputs *o, const struct packet_ref *packet,
    struct err *err)
{
	const struct outputs_place *place = &o->places[packet->meta.iface];
	struct outputs_file *f = &o->file[place->file];
	struct packet_ref local = *packet;

	local.meta.iface = place->iface;
	if (has_remarks(f) && packet->meta.captured_len <= REMARKED_PACKET_MAX)
		return write_remarked(f, &local, err);
	return o->cfg.ops->packet(f->sink, &local, NULL, err);
}

int
outputs_stats(struct outputs *o, uint32_t iface, const struct sink_stats *stats,
    const char *comment, struct err *err)
{
	struct sink_remarks remarks = { .dropped = 0 };
	char gap_text[GAP_TEXT_LEN];
	struct outputs_file *f;
	uint64_t first;
	int rc;

	if (!outputs_holds(o, iface))
		return E_OK;
	f = &o->file[o->places[iface].file];
	first = outfile_blocks_submitted(f->out);
	/* What no packet follows any more stands beside the first counters. */
	collect_remarks(f, &remarks, gap_text);
	if (comment[0] != '\0' && remarks.n_comments < SINK_COMMENTS_MAX)
		remarks.comments[remarks.n_comments++] = comment;
	rc = o->cfg.ops->stats(f->sink, o->places[iface].iface, stats, &remarks,
	    err);
	forget_remarks(f);
	return rc == E_OK ? outputs_note_others(f, first, err) : rc;
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
outputs_written(const struct outputs *o)
{
	uint64_t sum = 0;

	for (int i = 0; i < o->n; i++)
		sum += outfile_written(o->file[i].out);
	return sum;
}

void
outputs_mark(struct outputs *o)
{
	for (int i = 0; i < o->n; i++)
		o->file[i].mark = outfile_submitted(o->file[i].out);
}

bool
outputs_has_reached_mark(const struct outputs *o)
{
	for (int i = 0; i < o->n; i++)
		if (outfile_written(o->file[i].out) < o->file[i].mark)
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

uint64_t
outputs_packets_written(const struct outputs *o)
{
	uint64_t sum = 0;

	for (int i = 0; i < o->n; i++) {
		const struct outputs_file *f = &o->file[i];
		uint64_t blocks = outfile_blocks_written(f->out), others = 0;

		while (others < f->n_others && f->others[others] < blocks)
			others++;
		sum += blocks - others;
	}
	return sum;
}
