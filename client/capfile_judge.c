#include "client/capfile_judge.h"

#include <linux/filter.h>
#include <linux/if_packet.h>
#include <stdlib.h>

enum {
	LINK_TYPES_MAX = 256,	/* a file with more is made to cost memory */
	SHOWN_TEXT = 80,
};

struct form {
	uint32_t	 link_type;
	struct filter_code *code;
	bool		 asks_type;
};

struct capfile_judge {
	const char	*text;
	uint32_t	 n_forms, last;	/* last: where the one used before is */
	struct form	 forms[LINK_TYPES_MAX];
};

struct capfile_judge *
capfile_judge_new(const char *text)
{
	struct capfile_judge *j = calloc(1, sizeof(*j));

	if (j != NULL)
		j->text = text;
	return j;
}

void
capfile_judge_free(struct capfile_judge *j)
{
	if (j == NULL)
		return;
	for (uint32_t i = 0; i < j->n_forms; i++)
		filter_code_unref(j->forms[i].code);
	free(j);
}

static int
fail(const struct capfile_judge *j, const char *cause, struct err *err)
{
	return err_set(err, E_FILTER, "filter '%.*s': %s", SHOWN_TEXT, j->text, cause);
}

/* --- what it asks for besides the bytes --- */

static bool
is_type_load(uint32_t k)
{
	return k == (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE);
}

/* False when it is more than a file can have. */
static bool
check_loads(const struct filter_code *code, bool *ret_asks_type)
{
	uint32_t n;
	const struct bpf_insn_raw *insns = filter_code_insns(code, &n);

	*ret_asks_type = false;
	for (uint32_t i = 0; i < n; i++) {
		if (BPF_CLASS(insns[i].code) != BPF_LD || BPF_MODE(insns[i].code) != BPF_ABS ||
		    insns[i].k < (uint32_t)SKF_LL_OFF)
			continue;
		if (!is_type_load(insns[i].k))
			return false;
		*ret_asks_type = true;
	}
	return true;
}

/* --- link types --- */

static struct form *
find_form(struct capfile_judge *j, uint32_t link_type)
{
	if (j->n_forms > 0 && j->forms[j->last].link_type == link_type)
		return &j->forms[j->last];
	for (uint32_t i = 0; i < j->n_forms; i++) {
		if (j->forms[i].link_type == link_type) {
			j->last = i;
			return &j->forms[i];
		}
	}
	return NULL;
}

/* NULL with err, which says why, on failure. */
static struct form *
make_form(struct capfile_judge *j, uint32_t link_type, struct err *err)
{
	struct form form = { .link_type = link_type };

	if (j->n_forms == LINK_TYPES_MAX) {
		fail(j, "more than 256 link types in one file", err);
		return NULL;
	}
	if (filter_compile(j->text, link_type, &form.code, err) != E_OK)
		return NULL;
	if (!check_loads(form.code, &form.asks_type)) {
		filter_code_unref(form.code);
		fail(j, "asks for what only the kernel knows (ifindex ...): a file does "
		    "not have it", err);
		return NULL;
	}
	j->forms[j->n_forms] = form;
	return &j->forms[j->n_forms++];
}

static struct form *
get_form(struct capfile_judge *j, uint32_t link_type, bool tells_types, struct err *err)
{
	struct form *form = find_form(j, link_type);

	if (form == NULL)
		form = make_form(j, link_type, err);
	if (form != NULL && form->asks_type && !tells_types) {
		fail(j, "asks for the direction, which only packets of pcapng tell", err);
		return NULL;
	}
	return form;
}

int
capfile_judge_prepare(struct capfile_judge *j, uint32_t link_type, bool tells_types,
    const struct filter_code **ret_code, struct err *err)
{
	const struct form *form = get_form(j, link_type, tells_types, err);

	if (form == NULL)
		return err->code;
	*ret_code = form->code;
	return E_OK;
}

bool
capfile_judge_is_prepared(const struct capfile_judge *j)
{
	return j->n_forms > 0;
}

/* --- packets --- */

static bool
match(const struct form *form, const struct capfile_record *packet, uint8_t type)
{
	const struct bpf_aux aux = { .packet_type = type };
	const struct bpf_view view = {
		.data = packet->data, .caplen = packet->captured_len,
		.len = packet->original_len, .aux = &aux, .is_offline = true,
	};

	return filter_code_match(form->code, &view);
}

int
capfile_judge_packet(struct capfile_judge *j, const struct capfile_record *packet,
    bool tells_types, bool *ret_match, struct err *err)
{
	const struct form *form = get_form(j, packet->link_type, tells_types, err);
	bool is_match;

	if (form == NULL)
		return err->code;
	is_match = match(form, packet, packet->has_type ? packet->type : PACKET_HOST);
	/* Unknown, it may still not matter: "inbound and tcp" of a UDP packet. */
	if (form->asks_type && !packet->has_type &&
	    match(form, packet, PACKET_OUTGOING) != is_match)
		return fail(j, "asks for the direction, which this packet does not tell", err);
	*ret_match = is_match;
	return E_OK;
}
