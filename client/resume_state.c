#include "client/resume_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "resume.pb-c.h"

enum {
	VERSION = 1,
	N_COUNTS = sizeof(struct ledger_counts) / sizeof(uint64_t),
	N_REST = sizeof(struct ledger_rest) / sizeof(uint64_t),
};
_Static_assert(sizeof(struct ledger_counts) % sizeof(uint64_t) == 0,
    "a counter of another width");
_Static_assert(sizeof(struct ledger_rest) % sizeof(uint64_t) == 0,
    "a counter of another width");

/* --- the request --- */

static void
hash_text(EVP_MD_CTX *md, const char *text)
{
	(void)EVP_DigestUpdate(md, text, strlen(text) + 1);
}

static void
hash_number(EVP_MD_CTX *md, uint64_t n)
{
	(void)EVP_DigestUpdate(md, &n, sizeof(n));
}

static void
hash_interface(EVP_MD_CTX *md, const struct options *o, uint32_t i)
{
	const struct options_interface *iface = &o->interfaces[i];
	/* A file's filter may change while it is captured. */
	bool is_of_file = o->filter_file != NULL && iface->filter_text == o->filter;

	hash_text(md, iface->name);
	hash_text(md, is_of_file ? o->filter_file : iface->filter_text);
	hash_number(md, is_of_file);
	hash_number(md, iface->snaplen);
	hash_number(md, iface->no_promiscuous);
	hash_number(md, iface->link_type);
}

void
resume_request(const struct options *o, uint8_t ret_request[static RESUME_REQUEST_LEN],
    char ret_about[static RESUME_ABOUT_LEN])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	const struct options_interface *first = &o->interfaces[0];

	memset(ret_request, 0, RESUME_REQUEST_LEN);
	snprintf(ret_about, RESUME_ABOUT_LEN, "%.60s -i %.30s%s %.40s", o->sensor_text,
	    first->name, o->n_interfaces > 1 ? " ..." : "", first->filter_text);
	if (md == NULL || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1)
		goto out;
	hash_text(md, o->sensor.host);
	hash_number(md, o->sensor.port);
	for (uint32_t i = 0; i < o->n_interfaces; i++)
		hash_interface(md, o, i);
	hash_number(md, (uint64_t)o->direction);
	hash_number(md, o->exact_filter);
	hash_number(md, o->headers_only);
	hash_number(md, o->sample);
	hash_number(md, o->sample_flows);
	hash_number(md, o->cooked);
	hash_number(md, (uint64_t)o->time_stamp_type);
	hash_number(md, (uint64_t)o->format);
	(void)EVP_DigestFinal_ex(md, ret_request, NULL);
out:
	EVP_MD_CTX_free(md);
}

/* --- packing --- */

static char *
borrow(const char *s)
{
	union { const char *in; char *out; } u = { .in = s };

	return u.out;
}

static ProtobufCBinaryData
borrow_bytes(const uint8_t *bytes, size_t len)
{
	union { const uint8_t *in; uint8_t *out; } u = { .in = bytes };

	return (ProtobufCBinaryData){ .len = len, .data = u.out };
}

static uint64_t *
borrow_counts(const void *counts)
{
	union { const void *in; uint64_t *out; } u = { .in = counts };

	return u.out;
}

/* protobuf-c wants pointers to messages. */
struct packing {
	Resume__Row	*rows, **row_pointers;
	Resume__Hole	*holes, **hole_pointers;
};

static int
packing_init(struct packing *p, const struct resume_state *s)
{
	p->rows = calloc(s->n_rows + 1, sizeof(*p->rows));
	p->row_pointers = calloc(s->n_rows + 1, sizeof(*p->row_pointers));
	p->holes = calloc(s->n_holes + 1, sizeof(*p->holes));
	p->hole_pointers = calloc(s->n_holes + 1, sizeof(*p->hole_pointers));
	return p->rows != NULL && p->row_pointers != NULL && p->holes != NULL &&
	    p->hole_pointers != NULL ? E_OK : E_NOMEM;
}

static void
packing_fini(struct packing *p)
{
	free(p->rows);
	free(p->row_pointers);
	free(p->holes);
	free(p->hole_pointers);
}

static void
fill_rows(const struct resume_state *s, struct packing *p, Resume__State *out)
{
	for (uint32_t i = 0; i < s->n_rows; i++) {
		Resume__Row *row = p->row_pointers[i] = &p->rows[i];

		resume__row__init(row);
		row->name = borrow(s->rows[i].name);
		row->network_namespace = borrow(s->rows[i].network_namespace);
		row->link_type = s->rows[i].link_type;
		row->dropped = s->rows[i].dropped;
		row->n_counts = N_COUNTS;
		row->counts = borrow_counts(&s->rows[i].counters);
	}
	out->n_rows = s->n_rows;
	out->rows = p->row_pointers;
}

static void
fill_holes(const struct resume_state *s, struct packing *p, Resume__State *out)
{
	for (uint32_t i = 0; i < s->n_holes; i++) {
		Resume__Hole *hole = p->hole_pointers[i] = &p->holes[i];

		resume__hole__init(hole);
		hole->from_ns = s->holes[i].from.ns;
		hole->to_ns = s->holes[i].to.ns;
		hole->reason = s->holes[i].reason;
		hole->count = s->holes[i].n;
	}
	out->n_holes = s->n_holes;
	out->holes = p->hole_pointers;
}

static void
fill_plain(const struct resume_state *s, Resume__State *out)
{
	out->version = VERSION;
	out->request = borrow_bytes(s->request, sizeof(s->request));
	out->about = borrow(s->about);
	out->capture_id = s->capture_id;
	if (s->has_token)
		out->token = borrow_bytes(s->token.bytes, sizeof(s->token.bytes));
	out->sequence = s->sequence;
	out->announcements = s->announcements;
	out->through_ns = s->through.ns;
	out->start_ns = s->start.ns;
	out->packets = s->packets;
	out->bytes = s->bytes;
	out->n_map = s->n_map;
	out->map = s->map;
	out->n_rest = N_REST;
	out->rest = borrow_counts(&s->rest);
	out->n_remarks = s->n_remarks;
	out->remarks = s->remarks;
}

int
resume_state_pack(const struct resume_state *s, uint8_t **ret_bytes, size_t *ret_len)
{
	Resume__State state = RESUME__STATE__INIT;
	struct packing p;
	int rc = packing_init(&p, s);
	uint8_t *bytes;
	size_t len;

	if (rc == E_OK && (s->n_rows > PROTO_MAX_INTERFACES || s->n_map > PROTO_MAX_INTERFACES))
		rc = E_TOOBIG;
	if (rc != E_OK)
		goto out;
	fill_plain(s, &state);
	fill_rows(s, &p, &state);
	fill_holes(s, &p, &state);
	len = resume__state__get_packed_size(&state);
	bytes = len <= RESUME_STATE_MAX ? malloc(len) : NULL;
	if (bytes == NULL) {
		rc = len <= RESUME_STATE_MAX ? E_NOMEM : E_TOOBIG;
		goto out;
	}
	*ret_len = resume__state__pack(&state, bytes);
	*ret_bytes = bytes;
out:
	packing_fini(&p);
	return rc;
}

/* --- and back --- */

static int
take_text(const char *in, char *out, size_t size)
{
	if (strlen(in) >= size)
		return E_BADMSG;
	memcpy(out, in, strlen(in) + 1);
	return E_OK;
}

static int
take_rows(const Resume__State *in, struct resume_state *out)
{
	if (in->n_rows == 0 || in->n_rows > PROTO_MAX_INTERFACES)
		return E_BADMSG;
	out->rows = calloc(in->n_rows, sizeof(*out->rows));
	if (out->rows == NULL)
		return E_NOMEM;
	out->n_rows = (uint32_t)in->n_rows;
	for (size_t i = 0; i < in->n_rows; i++) {
		const Resume__Row *row = in->rows[i];
		struct resume_row *to = &out->rows[i];

		if (row->n_counts != N_COUNTS || row->link_type > UINT16_MAX ||
		    take_text(row->name, to->name, sizeof(to->name)) != E_OK ||
		    take_text(row->network_namespace, to->network_namespace,
		    sizeof(to->network_namespace)) != E_OK)
			return E_BADMSG;
		to->link_type = row->link_type;
		to->dropped = row->dropped;
		memcpy(&to->counters, row->counts, sizeof(to->counters));
	}
	return E_OK;
}

static int
take_map(const Resume__State *in, struct resume_state *out)
{
	if (in->n_map > PROTO_MAX_INTERFACES)
		return E_BADMSG;
	out->map = calloc(in->n_map + 1, sizeof(*out->map));
	if (out->map == NULL)
		return E_NOMEM;
	out->n_map = (uint32_t)in->n_map;
	for (size_t i = 0; i < in->n_map; i++) {
		if (in->map[i] >= out->n_rows)
			return E_BADMSG;
		out->map[i] = in->map[i];
	}
	return E_OK;
}

static int
take_holes(const Resume__State *in, struct resume_state *out)
{
	if (in->n_holes > LEDGER_MAX_HOLES)
		return E_BADMSG;
	out->holes = calloc(in->n_holes + 1, sizeof(*out->holes));
	if (out->holes == NULL)
		return E_NOMEM;
	out->n_holes = (uint32_t)in->n_holes;
	for (size_t i = 0; i < in->n_holes; i++)
		out->holes[i] = (struct ledger_hole){
			.from = { in->holes[i]->from_ns },
			.to = { in->holes[i]->to_ns },
			.reason = (enum ledger_hole_reason)in->holes[i]->reason,
			.n = in->holes[i]->count,
		};
	return E_OK;
}

static int
take_remarks(const Resume__State *in, struct resume_state *out)
{
	if (in->n_remarks > SINK_COMMENTS_MAX)
		return E_BADMSG;
	out->remarks = calloc(in->n_remarks + 1, sizeof(*out->remarks));
	if (out->remarks == NULL)
		return E_NOMEM;
	for (size_t i = 0; i < in->n_remarks; i++) {
		out->remarks[i] = strdup(in->remarks[i]);
		if (out->remarks[i] == NULL)
			return E_NOMEM;
		out->n_remarks++;
	}
	return E_OK;
}

static int
take_plain(const Resume__State *in, struct resume_state *out)
{
	if (in->request.len != sizeof(out->request) || in->n_rest != N_REST ||
	    (in->token.len != 0 && in->token.len != sizeof(out->token.bytes)) ||
	    in->sequence == UINT64_MAX ||
	    take_text(in->about, out->about, sizeof(out->about)) != E_OK)
		return E_BADMSG;
	memcpy(out->request, in->request.data, sizeof(out->request));
	out->has_token = in->token.len != 0;
	if (out->has_token)
		memcpy(out->token.bytes, in->token.data, sizeof(out->token.bytes));
	out->capture_id = in->capture_id;
	out->sequence = in->sequence;
	out->announcements = in->announcements;
	out->through.ns = in->through_ns;
	out->start.ns = in->start_ns;
	out->packets = in->packets;
	out->bytes = in->bytes;
	memcpy(&out->rest, in->rest, sizeof(out->rest));
	return E_OK;
}

int
resume_state_unpack(const uint8_t *bytes, size_t len, struct resume_state *ret_state)
{
	struct resume_state state = { .n_rows = 0 };
	Resume__State *in = len <= RESUME_STATE_MAX ?
	    resume__state__unpack(NULL, len, bytes) : NULL;
	int rc;

	if (in == NULL)
		return E_BADMSG;
	rc = in->version != VERSION ? E_VERSION : take_plain(in, &state);
	if (rc == E_OK)
		rc = take_rows(in, &state);
	if (rc == E_OK)
		rc = take_map(in, &state);
	if (rc == E_OK)
		rc = take_holes(in, &state);
	if (rc == E_OK)
		rc = take_remarks(in, &state);
	resume__state__free_unpacked(in, NULL);
	if (rc == E_OK)
		*ret_state = state;
	else
		resume_state_fini(&state);
	return rc;
}

void
resume_state_fini(struct resume_state *state)
{
	free(state->rows);
	free(state->map);
	free(state->holes);
	for (uint32_t i = 0; i < state->n_remarks; i++)
		free(state->remarks[i]);
	free(state->remarks);
	memset(state, 0, sizeof(*state));
}
