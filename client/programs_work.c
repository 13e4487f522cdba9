#include "client/programs_int.h"

#include <stdlib.h>
#include <string.h>

struct programs_work {
	char		*path;		/* --filter-file, or NULL: text is given */
	char		*text;
	bool		 is_exact, is_open;
	uint32_t	 filter;	/* of a form: its number in p */
	struct programs	 made;		/* one filter */
	struct err	 err;		/* why not */
	uint32_t	 n_types;
	uint32_t	 types[];
};

static struct programs_work *
make(const uint32_t *types, uint32_t n, struct err *err)
{
	struct programs_work *w = calloc(1, sizeof(*w) + n * sizeof(w->types[0]));

	if (w == NULL || programs_alloc(&w->made, 1) != E_OK) {
		programs_work_free(w);
		programs_no_memory(err);
		return NULL;
	}
	w->err.code = E_OK;
	w->n_types = n;
	if (n > 0)
		memcpy(w->types, types, n * sizeof(w->types[0]));
	return w;
}

struct programs_work *
programs_work_new_file(const struct options *options, const uint32_t *link_types,
    uint32_t n, bool is_open, struct err *err)
{
	struct programs_work *w;

	if (options->filter_file == NULL) {
		err_set(err, E_STATE, "filter: read anew: there is no --filter-file");
		return NULL;
	}
	w = make(link_types, n, err);
	if (w == NULL)
		return NULL;
	w->is_exact = options->exact_filter;
	w->is_open = is_open || n == 0;
	w->made.kernel_only = options->kernel_only;
	w->made.known[0].is_from_file = true;
	w->path = strdup(options->filter_file);
	if (w->path == NULL) {
		programs_work_free(w);
		programs_no_memory(err);
		return NULL;
	}
	return w;
}

struct programs_work *
programs_work_new_form(const struct programs *p, uint32_t filter, uint32_t link_type,
    struct err *err)
{
	struct programs_work *w = make(&link_type, 1, err);

	if (w == NULL)
		return NULL;
	w->filter = filter;
	w->text = strdup(p->filters[filter].text);
	if (w->text == NULL) {
		programs_work_free(w);
		programs_no_memory(err);
		return NULL;
	}
	return w;
}

void
programs_work_free(struct programs_work *w)
{
	if (w == NULL)
		return;
	programs_fini(&w->made);
	free(w->path);
	free(w->text);
	free(w);
}

/* --- in another thread --- */

/*
 * A program for each link type in use.  One that libpcap refuses is left out:
 * the agent knows whether interfaces of it are there still.
 */
static int
compile_in_use(struct programs_work *w, struct err *first)
{
	for (uint32_t i = 0; i < w->n_types; i++) {
		int rc = programs_serve(&w->made, 0, w->types[i], &w->err);

		if (rc == E_FILTER && first->code == E_OK)
			*first = w->err;
		if (rc != E_OK && rc != E_AGAIN && rc != E_FILTER)
			return rc;
	}
	return E_OK;
}

/* Packets of these link types will be judged here. */
static int
compile_to_judge(struct programs_work *w)
{
	for (uint32_t i = 0; i < w->n_types; i++)
		if (programs_get_form(&w->made, 0, w->types[i], &w->err) == NULL)
			return w->err.code;
	return E_OK;
}

static int
compile(struct programs_work *w)
{
	const struct msg_filter *f = &w->made.filters[0];
	struct err first = { .code = E_OK };
	int rc;

	if (w->is_open) {
		rc = programs_compile_usual(&w->made, 0, true, &w->err);
		if (rc == E_FILTER)
			first = w->err;
		else if (rc != E_OK)
			return rc;
	}
	rc = compile_in_use(w, &first);
	if (rc == E_OK && f->at_client)
		rc = compile_to_judge(w);
	if (rc != E_OK || f->text[0] == '\0' || f->n_programs > 0 || f->at_client)
		return rc;
	w->err = first;
	return first.code;
}

static int
read_and_compile(struct programs_work *w)
{
	int rc = filter_read_file(w->path, &w->text, &w->err);

	if (rc != E_OK)
		return rc;
	if (programs_set_text(&w->made, 0, w->text, w->is_exact) != E_OK)
		return programs_no_memory(&w->err);
	return compile(w);
}

void
programs_work_run(struct programs_work *w)
{
	int rc;

	if (w->path != NULL)
		rc = read_and_compile(w);
	else if (programs_set_text(&w->made, 0, w->text, false) != E_OK)
		rc = programs_no_memory(&w->err);
	else
		rc = compile_to_judge(w);
	/* What was refused on the way and did not matter. */
	if (rc == E_OK)
		w->err.code = E_OK;
}

/* --- the result --- */

static void
share_form(struct programs_filter *to, const struct programs_form *form)
{
	to->forms[to->n_forms++] = *form;
	if (form->code != NULL)
		filter_code_ref(form->code);
}

/* The same filter again; what libpcap made of it is shared. */
static int
share_filter(struct programs *to, uint32_t filter, const struct programs *from,
    uint32_t from_filter, struct err *err)
{
	const struct msg_filter *f = &from->filters[from_filter];
	const struct programs_filter *known = &from->known[from_filter];

	if (programs_set_text(to, filter, f->text, f->exact_vlan) != E_OK)
		return programs_no_memory(err);
	to->filters[filter].at_client = f->at_client;
	to->known[filter].is_from_file = known->is_from_file;
	for (uint32_t i = 0; i < known->n_forms; i++) {
		const struct programs_form *form = &known->forms[i];

		share_form(&to->known[filter], form);
		if (form->code != NULL && programs_has(f, form->link_type) &&
		    programs_add(&to->filters[filter], form, err) != E_OK)
			return err->code;
	}
	return E_OK;
}

static int
replace(const struct programs_work *w, const struct programs *p, struct programs *new,
    struct err *err)
{
	int rc = programs_alloc(new, p->n);

	if (rc != E_OK)
		return programs_no_memory(err);
	new->kernel_only = p->kernel_only;
	for (uint32_t i = 0; i < p->n && rc == E_OK; i++)
		rc = p->known[i].is_from_file ?
		    share_filter(new, i, &w->made, 0, err) :
		    share_filter(new, i, p, i, err);
	return rc;
}

int
programs_work_take_file(const struct programs_work *w, const struct programs *p,
    struct programs *ret_new, struct err *err)
{
	struct programs new;
	int rc;

	if (w->err.code != E_OK) {
		*err = w->err;
		return err->code;
	}
	rc = replace(w, p, &new, err);
	if (rc == E_OK)
		*ret_new = new;
	else
		programs_fini(&new);
	return rc;
}

int
programs_work_take_form(const struct programs_work *w, struct programs *p,
    struct err *err)
{
	struct programs_filter *known = &p->known[w->filter];
	const struct programs_form *form;

	if (w->err.code != E_OK) {
		*err = w->err;
		return err->code;
	}
	form = &w->made.known[0].forms[0];
	if (programs_find_form(p, w->filter, form->link_type) != NULL)
		return E_OK;
	if (known->n_forms == PROGRAMS_FORMS_MAX)
		return programs_too_many(err);
	share_form(known, form);
	return E_OK;
}
