#include "client/outputs_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/resume_record.h"
#include "common/link_type.h"

int
outputs_check(const struct outputs_config *cfg, const uint32_t *link_types,
    uint32_t n, struct err *err)
{
	char first[LINK_TYPE_TEXT_LEN], other[LINK_TYPE_TEXT_LEN];

	if (!cfg->ops->one_link_type || cfg->split_by_link_type)
		return E_OK;
	for (uint32_t i = 1; i < n; i++) {
		if (link_types[i] == link_types[0])
			continue;
		link_type_name(link_types[0], first, sizeof(first));
		link_type_name(link_types[i], other, sizeof(other));
		return err_set(err, E_OUTPUT, "output: link types %s and %s: a pcap "
		    "file holds one only: use pcapng (-w x.pcapng) or "
		    "--split-by-linktype", first, other);
	}
	return E_OK;
}

/* --- files --- */

static void
on_outfile(struct outfile *out, enum outfile_event event, void *arg)
{
	struct outputs_file *f = arg;
	bool has_cause = event == OUTFILE_EV_ERROR || event == OUTFILE_EV_STALLED;

	outputs_settle(f);
	f->owner->cfg.fn(event, has_cause ? outfile_error(out) : NULL, f->owner->cfg.arg);
}

/* "x.pcapng" to "x.EN10MB.pcapng"; the caller frees it, NULL: no memory. */
static char *
path_of(const struct outputs *o, uint32_t link_type)
{
	const char *path = o->cfg.path, *slash = strrchr(path, '/');
	const char *base = slash != NULL ? slash + 1 : path;
	const char *dot = strrchr(base, '.');
	char link[LINK_TYPE_TEXT_LEN], *ret;
	size_t stem;

	if (!o->cfg.split_by_link_type)
		return strdup(path);
	if (dot == NULL || dot == base)
		dot = base + strlen(base);
	stem = (size_t)(dot - path);
	link_type_name(link_type, link, sizeof(link));
	if (asprintf(&ret, "%.*s.%s%s", (int)stem, path, link, dot) < 0)
		return NULL;
	return ret;
}

/* Only one file can be resumed: the first, which is the only one. */
static struct outfile *
open_outfile(struct outputs *o, const char *path, struct outputs_file *f, struct err *err)
{
	bool is_split = o->cfg.split_by_link_type;
	struct outfile_config cfg = {
		.loop = o->cfg.loop, .path = path, .fn = on_outfile, .arg = f,
		.fsync = o->cfg.fsync,
		.on_full = o->cfg.on_full,
		.record = is_split ? NULL : o->cfg.record,
		.is_resumed = o->cfg.is_resumed && !is_split,
		.resume_at = o->cfg.resume_at,
		.magic = o->cfg.ops->magic,
	};

	if (!is_split)
		o->cfg.record = NULL;
	return outfile_open(&cfg, err);
}

static int
open_sink(struct outputs *o, struct outputs_file *f, struct err *err)
{
	bool is_old = o->cfg.is_resumed && !o->cfg.split_by_link_type &&
	    o->cfg.resume_at > 0;
	uint64_t first;
	int rc = outputs_count_start(f, &first, err);

	if (rc != E_OK)
		return rc;
	f->sink = o->cfg.ops->open(f->out, o->cfg.program, o->cfg.snaplen,
	    is_old ? SINK_OLD_FILE : SINK_NEW_FILE, err);
	outputs_count_end(f, first, OUTPUTS_NO_PACKET);
	return f->sink == NULL ? err->code : E_OK;
}

static int
open_output(struct outputs *o, uint32_t link_type, struct err *err)
{
	struct outputs_file *f = &o->file[o->n];
	char *path = path_of(o, link_type);

	if (path == NULL)
		return err_set(err, E_NOMEM, "output: create: out of memory");
	f->owner = o;
	f->link_type = link_type;
	f->out = open_outfile(o, path, f, err);
	free(path);
	if (f->out == NULL)
		return err->code;
	o->n++;
	return open_sink(o, f, err);
}

/* --- interfaces --- */

/* Which file takes this link type?  OUTPUTS_NOT_HELD, or o->n for a new one. */
static int
find_output(const struct outputs *o, uint32_t link_type)
{
	if (!o->cfg.split_by_link_type && o->n > 0)
		return !o->cfg.ops->one_link_type ||
		    o->file[0].link_type == link_type ? 0 : OUTPUTS_NOT_HELD;
	for (int i = 0; i < o->n; i++)
		if (o->file[i].link_type == link_type)
			return i;
	return o->n < OUTPUTS_MAX ? o->n : OUTPUTS_NOT_HELD;
}

/* What is to be known about the file that an interface came into. */
static const char *
hint_about(struct outputs *o, struct outputs_file *f, uint32_t link_type)
{
	char first[LINK_TYPE_TEXT_LEN], other[LINK_TYPE_TEXT_LEN];

	if (o->cfg.ops->one_link_type && f->n_interfaces > 1 && !o->said_merged) {
		o->said_merged = true;
		return "several interfaces in one pcap file: which one a packet came "
		    "from is not kept: use -w x.pcapng";
	}
	/* libpcap takes the second for another type: 101 in files, 12 inside. */
	if (!o->cfg.ops->one_link_type && f->n_interfaces > 1 &&
	    link_type == LINK_RAW_IP && f->link_type == LINK_RAW_IP && !o->said_raw) {
		o->said_raw = true;
		return "several interfaces of link type RAW in one pcapng: tshark and "
		    "Wireshark read it, tcpdump does not: use -w x.pcap";
	}
	if (link_type == f->link_type || o->said_mixed)
		return NULL;
	o->said_mixed = true;
	link_type_name(f->link_type, first, sizeof(first));
	link_type_name(link_type, other, sizeof(other));
	snprintf(o->hint, sizeof(o->hint), "link types %s and %s in one file: tshark "
	    "and Wireshark read it, tcpdump does not: --split-by-linktype writes "
	    "one file for each", first, other);
	return o->hint;
}

static const char *
hint_not_held(struct outputs *o, const struct sink_interface *iface)
{
	char link[LINK_TYPE_TEXT_LEN];

	if (o->said_full)
		return NULL;
	o->said_full = true;
	link_type_name(iface->link_type, link, sizeof(link));
	snprintf(o->hint, sizeof(o->hint), "interface '%s': its packets (link type "
	    "%s) cannot be written beside the others: they are counted only: use "
	    "-w x.pcapng", iface->name, link);
	return o->hint;
}

/* Write the interface, or take it for written. */
enum declaration { DECLARE, KNOW };

static int
declare(struct outputs *o, struct outputs_file *f, const struct sink_interface *iface,
    enum declaration how, struct err *err)
{
	uint64_t first;
	int rc = outputs_count_start(f, &first, err);

	if (rc != E_OK)
		return rc;
	rc = how == KNOW ? o->cfg.ops->know_interface(f->sink, iface, err) :
	    o->cfg.ops->add_interface(f->sink, iface, err);
	outputs_count_end(f, first, OUTPUTS_NO_PACKET);
	return rc;
}

static int
add(struct outputs *o, const struct sink_interface *iface, enum declaration how,
    const char **ret_hint, struct err *err)
{
	int at = find_output(o, iface->link_type), rc = E_OK;
	struct outputs_place *places = realloc(o->places,
	    (o->n_places + 1) * sizeof(*places));

	if (places == NULL)
		return err_set(err, E_NOMEM, "output: out of memory");
	o->places = places;
	if (at == OUTPUTS_NOT_HELD) {
		places[o->n_places++] = (struct outputs_place){ .file = OUTPUTS_NOT_HELD };
		*ret_hint = hint_not_held(o, iface);
		return E_OK;
	}
	if (at == o->n)
		rc = open_output(o, iface->link_type, err);
	if (rc == E_OK)
		rc = declare(o, &o->file[at], iface, how, err);
	if (rc != E_OK)
		return rc;
	places[o->n_places++] = (struct outputs_place){
		.file = at, .iface = o->file[at].n_interfaces++,
	};
	*ret_hint = hint_about(o, &o->file[at], iface->link_type);
	return E_OK;
}

int
outputs_add_interface(struct outputs *o, const struct sink_interface *iface,
    const char **ret_hint, struct err *err)
{
	return add(o, iface, DECLARE, ret_hint, err);
}

int
outputs_add_known_interface(struct outputs *o, const struct sink_interface *iface,
    const char **ret_hint, struct err *err)
{
	return add(o, iface, KNOW, ret_hint, err);
}

bool
outputs_holds(const struct outputs *o, uint32_t iface)
{
	return iface < o->n_places && o->places[iface].file != OUTPUTS_NOT_HELD;
}

int
outputs_stop(struct outputs *o, int timeout_ms, struct err *err)
{
	struct mono_ns start = clock_mono();
	int ret = E_OK;

	for (int i = 0; i < o->n; i++) {
		int64_t gone = mono_diff_ns(clock_mono(), start) / NS_PER_MS;
		int left = gone < timeout_ms ? timeout_ms - (int)gone : 0;
		struct err mine;

		if (outfile_stop(o->file[i].out, left, &mine) != E_OK &&
		    ret == E_OK) {
			*err = mine;
			ret = mine.code;
		}
		outputs_settle(&o->file[i]);
		if (outfile_blocks_written(o->file[i].out) < o->file[i].n_settled)
			outputs_unsettle(&o->file[i]);
	}
	return ret;
}

void
outputs_forget(struct outputs *o)
{
	for (int i = 0; i < o->n; i++)
		outfile_forget(o->file[i].out);
}

/* One that no file has taken. */
static void
drop_record(const struct outputs_config *cfg)
{
	if (cfg->is_resumed)
		resume_record_close(cfg->record);
	else
		resume_record_remove(cfg->record);
}

struct outputs *
outputs_new(const struct outputs_config *cfg, struct err *err)
{
	struct outputs *o = calloc(1, sizeof(*o));

	if (o == NULL) {
		drop_record(cfg);
		err_set(err, E_NOMEM, "output: create: out of memory");
		return NULL;
	}
	o->cfg = *cfg;
	return o;
}

void
outputs_free(struct outputs *o)
{
	if (o == NULL)
		return;
	for (int i = 0; i < o->n; i++) {
		struct outputs_file *f = &o->file[i];

		if (f->sink != NULL)
			o->cfg.ops->free(f->sink);
		notes_clear(&f->notes);
		notes_clear(&f->holes);
		runs_fini(&f->runs);
		(void)outfile_close(f->out, 0, NULL);
	}
	drop_record(&o->cfg);
	free(o->places);
	free(o);
}
