#include "client/programs_int.h"

#include <stdlib.h>
#include <string.h>

#include "client/arrival.h"

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
		if (programs_set_text(p, iface->filter, iface->filter_text,
		    options->exact_filter) != E_OK)
			return programs_no_memory(err);
		rc = programs_compile_usual(p, iface->filter, err);
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
	rc = rc == E_OK ? compile_all(p, options, err) : programs_no_memory(err);
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
			int rc = programs_serve(p, f, link_types[i], err);

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

	if (programs_set_text(to, filter, f->text, f->exact_vlan) != E_OK)
		return programs_no_memory(err);
	to->filters[filter].at_client = f->at_client;
	to->known[filter].is_from_file = known->is_from_file;
	for (uint32_t i = 0; i < known->n_forms; i++) {
		const struct programs_form *form = &known->forms[i];

		to->known[filter].forms[i] = *form;
		to->known[filter].n_forms++;
		if (form->code == NULL)
			continue;
		filter_code_ref(form->code);
		if (programs_has(f, form->link_type) &&
		    programs_add(&to->filters[filter], form, err) != E_OK)
			return programs_no_memory(err);
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
	if (programs_set_text(to, filter, text, is_exact) != E_OK)
		return programs_no_memory(err);
	rc = programs_compile_usual(to, filter, err);
	for (uint32_t i = 0; i < old->n_programs && rc == E_OK; i++) {
		rc = programs_serve(to, filter, old->programs[i].link_type, err);
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
		return programs_no_memory(err);
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
	const struct programs_form *form = programs_get_form(p, filter, link_type, err);

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
	const struct programs_form *form = programs_get_form(p, filter, link_type, NULL);
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
