#include "client/programs_int.h"

#include <stdlib.h>
#include <string.h>

#include "client/arrival.h"

int
programs_alloc(struct programs *p, uint32_t n)
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

/* Can interfaces come that are of another type than those that are there? */
static bool
is_open(const struct options *options, uint32_t filter)
{
	for (uint32_t i = 0; i < options->n_interfaces; i++)
		if (options->interfaces[i].filter == filter &&
		    options_is_pattern(options->interfaces[i].name))
			return true;
	return false;
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
		rc = programs_compile_usual(p, iface->filter,
		    is_open(options, iface->filter), err);
		if (rc != E_OK)
			return rc;
	}
	return E_OK;
}

int
programs_init(struct programs *p, const struct options *options, struct err *err)
{
	int rc = programs_alloc(p, count_filters(options));

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

/* --- judging on arrival --- */

int
programs_prepare(const struct programs *p, uint32_t filter, uint32_t link_type,
    struct err *err)
{
	const struct programs_form *form = programs_find_form(p, filter, link_type);

	if (form == NULL && p->known[filter].n_forms == PROGRAMS_FORMS_MAX)
		return programs_too_many(err);
	if (form == NULL)
		return E_AGAIN;
	if (form->code == NULL) {
		*err = form->refusal;
		return form->refusal.code;
	}
	return E_OK;
}

bool
programs_match(const struct programs *p, uint32_t filter, uint32_t link_type,
    uint32_t ifindex, const struct packet_ref *packet)
{
	const struct programs_form *form = programs_find_form(p, filter, link_type);
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

bool
programs_is_from_file(const struct programs *p, uint32_t filter)
{
	return p->known[filter].is_from_file;
}

bool
programs_lacks_form(const struct programs *p, uint32_t filter, uint32_t link_type)
{
	const struct msg_filter *f = &p->filters[filter];

	return f->text[0] != '\0' && !f->at_client &&
	    programs_find_form(p, filter, link_type) == NULL;
}
