#include "client/programs.h"

#include <stdlib.h>
#include <string.h>

#include "client/arrival.h"
#include "client/filter.h"
#include "common/link_type.h"

enum { PROGRAMS_FORMS_MAX = 2 * PROTO_MAX_PROGRAMS };

/* In this order: errors are reported for Ethernet. */
static const uint32_t usual[] = { LINK_ETHERNET, LINK_RAW_IP, LINK_SLL2 };

/* What libpcap made of one expression for one link type. */
struct form {
	uint32_t	 link_type;
	struct filter_code *code;	/* NULL: refused */
	struct err	 refusal;
};

struct programs_filter {
	struct form	 forms[PROGRAMS_FORMS_MAX];
	uint32_t	 n_forms;
	bool		 is_from_file;
};

/* --- one filter --- */

static int
no_memory(struct err *err)
{
	return err_set(err, E_NOMEM, "filter: compile: out of memory");
}

/*
 * The form for this link type, made if it is not there yet; NULL with E_NOMEM
 * or E_TOOBIG.  What libpcap refuses is a form, too: it is asked once.
 */
static const struct form *
get_form(struct programs *p, uint32_t filter, uint32_t link_type, struct err *err)
{
	struct programs_filter *known = &p->known[filter];
	struct form *form = &known->forms[known->n_forms];
	int rc;

	for (uint32_t i = 0; i < known->n_forms; i++)
		if (known->forms[i].link_type == link_type)
			return &known->forms[i];
	if (known->n_forms == PROGRAMS_FORMS_MAX) {
		err_set(err, E_TOOBIG, "filter: compile: more than %d link types",
		    PROGRAMS_FORMS_MAX);
		return NULL;
	}
	*form = (struct form){ .link_type = link_type };
	rc = filter_compile(p->filters[filter].text, link_type, &form->code, &form->refusal);
	if (rc == E_NOMEM || rc == E_TOOBIG) {
		if (err != NULL)
			*err = form->refusal;
		return NULL;
	}
	known->n_forms++;
	return form;
}

static bool
has_program(const struct msg_filter *f, uint32_t link_type)
{
	for (uint32_t i = 0; i < f->n_programs; i++)
		if (f->programs[i].link_type == link_type)
			return true;
	return false;
}

/* No program of this filter travels any more. */
static int
leave_to_client(struct programs *p, uint32_t filter, const struct filter_code *code,
    struct err *err)
{
	struct msg_filter *f = &p->filters[filter];

	if (p->kernel_only)
		return err_set(err, E_FILTER, "filter '%.80s': %s: without --kernel-only "
		    "all packets travel and are filtered here", f->text,
		    filter_code_why_not(code));
	f->at_client = true;
	f->n_programs = 0;
	return E_OK;
}

static int
add_program(struct msg_filter *f, const struct form *form, struct err *err)
{
	struct msg_program *m = &f->programs[f->n_programs];
	const struct bpf_insn_raw *insns;

	if (f->n_programs == PROTO_MAX_PROGRAMS)
		return err_set(err, E_TOOBIG, "filter '%.80s': interfaces of more than %d "
		    "link types", f->text, PROTO_MAX_PROGRAMS);
	insns = filter_code_insns(form->code, &m->n_insns);
	m->insns = malloc(m->n_insns * sizeof(m->insns[0]));
	if (m->insns == NULL)
		return no_memory(err);
	memcpy(m->insns, insns, m->n_insns * sizeof(m->insns[0]));
	m->link_type = form->link_type;
	f->n_programs++;
	return E_OK;
}

/* The usual forms; one that it fits is enough. */
static int
compile_usual(struct programs *p, uint32_t filter, struct err *err)
{
	struct msg_filter *f = &p->filters[filter];
	struct err first = { .code = E_OK };
	int rc = E_OK;

	if (f->text[0] == '\0')
		return E_OK;
	for (size_t i = 0; i < ARRAY_LEN(usual) && !f->at_client && rc == E_OK; i++) {
		const struct form *form = get_form(p, filter, usual[i], err);

		if (form == NULL)
			return err->code;
		if (form->code == NULL && first.code == E_OK)
			first = form->refusal;
		else if (form->code == NULL)
			continue;
		else if (filter_code_why_not(form->code) == NULL)
			rc = add_program(f, form, err);
		else if (f->n_programs == 0)
			rc = leave_to_client(p, filter, form->code, err);
	}
	if (rc != E_OK || f->n_programs > 0 || f->at_client)
		return rc;
	*err = first;
	return first.code;
}

/*
 * Answer for one link type: a program, or that it is judged here.  E_AGAIN
 * when the filter has it already.
 */
static int
serve_link_type(struct programs *p, uint32_t filter, uint32_t link_type, struct err *err)
{
	struct msg_filter *f = &p->filters[filter];
	const struct form *form;

	if (f->text[0] == '\0' || f->at_client || has_program(f, link_type))
		return E_AGAIN;
	form = get_form(p, filter, link_type, err);
	if (form == NULL)
		return err->code;
	if (form->code == NULL) {
		*err = form->refusal;
		return form->refusal.code;
	}
	if (filter_code_why_not(form->code) != NULL)
		return leave_to_client(p, filter, form->code, err);
	return add_program(f, form, err);
}

/* --- all of them --- */

static int
alloc(struct programs *p, uint32_t n)
{
	memset(p, 0, sizeof(*p));
	p->filters = calloc(n, sizeof(p->filters[0]));
	p->known = calloc(n, sizeof(p->known[0]));
	p->buf = malloc(ARRIVAL_BUF_LEN);
	if (p->filters == NULL || p->known == NULL || p->buf == NULL)
		return E_NOMEM;
	p->n = n;
	return E_OK;
}

static int
set_text(struct programs *p, uint32_t filter, const char *text, bool is_exact)
{
	struct msg_filter *f = &p->filters[filter];

	f->text = strdup(text);
	f->programs = calloc(PROTO_MAX_PROGRAMS, sizeof(f->programs[0]));
	f->exact_vlan = is_exact || filter_mentions_tags(text);
	return f->text == NULL || f->programs == NULL ? E_NOMEM : E_OK;
}

static uint32_t
count_filters(const struct options *options)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < options->n_interfaces; i++)
		if (options->interfaces[i].filter >= n)
			n = options->interfaces[i].filter + 1;
	return n;
}

static int
compile_all(struct programs *p, const struct options *options, struct err *err)
{
	for (uint32_t i = 0; i < options->n_interfaces; i++) {
		const struct options_interface *iface = &options->interfaces[i];
		int rc;

		if (p->filters[iface->filter].text != NULL)
			continue;
		p->known[iface->filter].is_from_file = options->filter_file != NULL &&
		    iface->filter_text == options->filter;
		if (set_text(p, iface->filter, iface->filter_text,
		    options->exact_filter) != E_OK)
			return no_memory(err);
		rc = compile_usual(p, iface->filter, err);
		if (rc != E_OK)
			return rc;
	}
	return E_OK;
}

int
programs_init(struct programs *p, const struct options *options, struct err *err)
{
	int rc = alloc(p, count_filters(options));

	p->kernel_only = options->kernel_only;
	rc = rc == E_OK ? compile_all(p, options, err) : no_memory(err);
	if (rc != E_OK)
		programs_fini(p);
	return rc;
}

void
programs_fini(struct programs *p)
{
	for (uint32_t i = 0; i < p->n; i++) {
		for (uint32_t j = 0; j < PROTO_MAX_PROGRAMS && p->filters[i].programs != NULL; j++)
			free(p->filters[i].programs[j].insns);
		for (uint32_t j = 0; j < p->known[i].n_forms; j++)
			filter_code_unref(p->known[i].forms[j].code);
		free(p->filters[i].programs);
		free(p->filters[i].text);
	}
	free(p->filters);
	free(p->known);
	free(p->buf);
	memset(p, 0, sizeof(*p));
}

int
programs_need(struct programs *p, const uint32_t *link_types, uint32_t n,
    struct err *err)
{
	for (uint32_t i = 0; i < n; i++) {
		struct err refusal = { .code = E_OK };
		bool has_gained = false;

		for (uint32_t f = 0; f < p->n; f++) {
			int rc = serve_link_type(p, f, link_types[i], err);

			if (rc == E_OK)
				has_gained = true;
			else if (rc == E_FILTER)
				refusal = *err;
			else if (rc != E_AGAIN)
				return rc;
		}
		if (has_gained)
			continue;
		if (refusal.code == E_OK)
			return err_set(err, E_STATE, "filter: the agent asks again for "
			    "what it has");
		*err = refusal;
		return refusal.code;
	}
	return E_OK;
}

/* --- read anew --- */

/* The same filter again; what libpcap made of it is shared. */
static int
share_filter(struct programs *to, const struct programs *from, uint32_t filter,
    struct err *err)
{
	const struct msg_filter *f = &from->filters[filter];
	const struct programs_filter *known = &from->known[filter];

	if (set_text(to, filter, f->text, f->exact_vlan) != E_OK)
		return no_memory(err);
	to->filters[filter].at_client = f->at_client;
	to->known[filter].is_from_file = known->is_from_file;
	for (uint32_t i = 0; i < known->n_forms; i++) {
		const struct form *form = &known->forms[i];

		to->known[filter].forms[i] = *form;
		to->known[filter].n_forms++;
		if (form->code == NULL)
			continue;
		filter_code_ref(form->code);
		if (has_program(f, form->link_type) &&
		    add_program(&to->filters[filter], form, err) != E_OK)
			return no_memory(err);
	}
	return E_OK;
}

/*
 * Another text in its place.  Where it does not fit a link type that the old
 * one has, the agent knows whether that matters.
 */
static int
replace_filter(struct programs *to, const struct programs *from, uint32_t filter,
    const char *text, bool is_exact, struct err *err)
{
	const struct msg_filter *old = &from->filters[filter];
	int rc;

	to->known[filter].is_from_file = true;
	if (set_text(to, filter, text, is_exact) != E_OK)
		return no_memory(err);
	rc = compile_usual(to, filter, err);
	for (uint32_t i = 0; i < old->n_programs && rc == E_OK; i++) {
		rc = serve_link_type(to, filter, old->programs[i].link_type, err);
		if (rc == E_AGAIN || rc == E_FILTER)
			rc = E_OK;
	}
	return rc;
}

static int
remake(const struct programs *p, const struct options *options, const char *text,
    struct programs *new, struct err *err)
{
	int rc = alloc(new, p->n);

	if (rc != E_OK)
		return no_memory(err);
	new->kernel_only = p->kernel_only;
	for (uint32_t i = 0; i < p->n && rc == E_OK; i++)
		rc = p->known[i].is_from_file ?
		    replace_filter(new, p, i, text, options->exact_filter, err) :
		    share_filter(new, p, i, err);
	return rc;
}

int
programs_reload(const struct programs *p, const struct options *options,
    struct programs *ret_new, struct err *err)
{
	struct programs new;
	char *text;
	int rc;

	if (options->filter_file == NULL)
		return err_set(err, E_STATE, "filter: read anew: there is no --filter-file");
	rc = filter_read_file(options->filter_file, &text, err);
	if (rc != E_OK)
		return rc;
	rc = remake(p, options, text, &new, err);
	free(text);
	if (rc == E_OK)
		*ret_new = new;
	else
		programs_fini(&new);
	return rc;
}

/* --- judging on arrival --- */

int
programs_prepare(struct programs *p, uint32_t filter, uint32_t link_type,
    struct err *err)
{
	const struct form *form = get_form(p, filter, link_type, err);

	if (form == NULL)
		return err->code;
	if (form->code == NULL) {
		*err = form->refusal;
		return form->refusal.code;
	}
	return E_OK;
}

bool
programs_match(struct programs *p, uint32_t filter, uint32_t link_type,
    uint32_t ifindex, const struct packet_ref *packet)
{
	const struct form *form = get_form(p, filter, link_type, NULL);
	const struct msg_filter *f = &p->filters[filter];
	struct bpf_aux aux;
	struct bpf_view view;

	if (form == NULL || form->code == NULL)
		return false;
	arrival_view(packet, ifindex, &aux, &view);
	view.is_offline = f->exact_vlan;
	if (!f->exact_vlan)
		arrival_untag(link_type, p->buf, &aux, &view);
	return filter_code_match(form->code, &view);
}

const char *
programs_why_at_client(const struct programs *p, uint32_t filter)
{
	const struct programs_filter *known = &p->known[filter];

	if (!p->filters[filter].at_client)
		return NULL;
	for (uint32_t i = 0; i < known->n_forms; i++) {
		const struct filter_code *code = known->forms[i].code;

		if (code != NULL && filter_code_why_not(code) != NULL)
			return filter_code_why_not(code);
	}
	return NULL;
}
