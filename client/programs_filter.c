#include "client/programs_int.h"

#include <stdlib.h>
#include <string.h>

#include "common/link_type.h"

/* In this order: errors are reported for Ethernet. */
static const uint32_t usual[] = { LINK_ETHERNET, LINK_RAW_IP, LINK_SLL2 };

/*
 * libpcap takes a second and more for a program of this length: the agent is
 * rather asked which link types there are besides Ethernet, which costs a
 * round.
 */
enum { LONG_PROGRAM = 256 };

/* Has words of its own ("type mgt"), which none of those knows. */
enum { LINK_IEEE802_11 = 105 };

int
programs_no_memory(struct err *err)
{
	return err_set(err, E_NOMEM, "filter: compile: out of memory");
}

int
programs_too_many(struct err *err)
{
	return err_set(err, E_TOOBIG, "filter: compile: more than %d link types",
	    PROGRAMS_FORMS_MAX);
}

const struct programs_form *
programs_find_form(const struct programs *p, uint32_t filter, uint32_t link_type)
{
	const struct programs_filter *known = &p->known[filter];

	for (uint32_t i = 0; i < known->n_forms; i++)
		if (known->forms[i].link_type == link_type)
			return &known->forms[i];
	return NULL;
}

const struct programs_form *
programs_get_form(struct programs *p, uint32_t filter, uint32_t link_type, struct err *err)
{
	struct programs_filter *known = &p->known[filter];
	const struct programs_form *found = programs_find_form(p, filter, link_type);
	struct programs_form *form = &known->forms[known->n_forms];
	int rc;

	if (found != NULL)
		return found;
	if (known->n_forms == PROGRAMS_FORMS_MAX) {
		programs_too_many(err);
		return NULL;
	}
	*form = (struct programs_form){ .link_type = link_type };
	rc = filter_compile(p->filters[filter].text, link_type, &form->code, &form->refusal);
	if (rc == E_NOMEM || rc == E_TOOBIG) {
		*err = form->refusal;
		return NULL;
	}
	known->n_forms++;
	return form;
}

bool
programs_has(const struct msg_filter *f, uint32_t link_type)
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

int
programs_add(struct msg_filter *f, const struct programs_form *form, struct err *err)
{
	struct msg_program *m = &f->programs[f->n_programs];
	const struct bpf_insn_raw *insns;

	if (f->n_programs == PROTO_MAX_PROGRAMS)
		return err_set(err, E_TOOBIG, "filter '%.80s': interfaces of more than %d "
		    "link types", f->text, PROTO_MAX_PROGRAMS);
	insns = filter_code_insns(form->code, &m->n_insns);
	m->insns = malloc(m->n_insns * sizeof(m->insns[0]));
	if (m->insns == NULL)
		return programs_no_memory(err);
	memcpy(m->insns, insns, m->n_insns * sizeof(m->insns[0]));
	m->link_type = form->link_type;
	f->n_programs++;
	return E_OK;
}

int
programs_serve(struct programs *p, uint32_t filter, uint32_t link_type, struct err *err)
{
	struct msg_filter *f = &p->filters[filter];
	const struct programs_form *form;

	if (f->text[0] == '\0' || f->at_client || programs_has(f, link_type))
		return E_AGAIN;
	form = programs_get_form(p, filter, link_type, err);
	if (form == NULL)
		return err->code;
	if (form->code == NULL) {
		*err = form->refusal;
		return form->refusal.code;
	}
	if (filter_code_why_not(form->code) != NULL)
		return leave_to_client(p, filter, form->code, err);
	return programs_add(f, form, err);
}

int
programs_compile_usual(struct programs *p, uint32_t filter, bool is_open,
    struct err *err)
{
	struct msg_filter *f = &p->filters[filter];
	struct err first = { .code = E_OK };
	int rc = E_OK;

	if (f->text[0] == '\0')
		return E_OK;
	for (size_t i = 0; i < ARRAY_LEN(usual) && !f->at_client && rc == E_OK; i++) {
		const struct programs_form *form = programs_get_form(p, filter, usual[i], err);

		if (form == NULL)
			return err->code;
		if (form->code == NULL && first.code == E_OK)
			first = form->refusal;
		else if (form->code == NULL)
			continue;
		else if (filter_code_why_not(form->code) == NULL)
			rc = programs_add(f, form, err);
		else if (f->n_programs == 0)
			rc = leave_to_client(p, filter, form->code, err);
		if (!is_open && f->n_programs == 1 && f->programs[0].n_insns >= LONG_PROGRAM)
			break;
	}
	if (rc != E_OK || f->n_programs > 0 || f->at_client)
		return rc;
	/* The agent asks for what it needs, and a mistake is one there too. */
	rc = programs_serve(p, filter, LINK_IEEE802_11, err);
	if (rc != E_FILTER)
		return rc;
	*err = first;
	return first.code;
}

int
programs_set_text(struct programs *p, uint32_t filter, const char *text, bool is_exact)
{
	struct msg_filter *f = &p->filters[filter];

	f->text = strdup(text);
	f->programs = calloc(PROTO_MAX_PROGRAMS, sizeof(f->programs[0]));
	f->exact_vlan = is_exact || filter_mentions_tags(text);
	return f->text == NULL || f->programs == NULL ? E_NOMEM : E_OK;
}
