#include "client/collect_int.h"

#include <stdlib.h>
#include <string.h>

/*
 * libpcap takes seconds for hundreds of terms, and longer where names are
 * looked up: it works in threads of its own, and the loop goes on.
 */

struct compile {
	struct background_work work;
	struct programs_work *programs;
};

static struct compile *
compile_of(struct background_work *work)
{
	return (struct compile *)(void *)work;
}

static void
run(struct background_work *work)
{
	programs_work_run(compile_of(work)->programs);
}

static void
drop(struct background_work *work)
{
	struct compile *compile = compile_of(work);

	programs_work_free(compile->programs);
	free(compile);
}

/* Takes programs, also on failure. */
static int
start(struct collect *c, struct programs_work *programs,
    void (*done)(struct background_work *work, void *arg), struct err *err)
{
	struct compile *compile = calloc(1, sizeof(*compile));
	int rc;

	if (compile == NULL) {
		programs_work_free(programs);
		return err_set(err, E_NOMEM, "filter: compile: out of memory");
	}
	compile->work = (struct background_work){
		.run = run,
		.done = done,
		.drop = drop,
	};
	compile->programs = programs;
	rc = background_start(c->background, &compile->work, err);
	if (rc != E_OK)
		drop(&compile->work);
	return rc;
}

/* --- --filter-file --- */

static void
on_file(struct background_work *work, void *arg)
{
	struct programs new = { .n = 0 };
	struct collect *c = arg;
	struct err err;
	int rc = programs_work_take_file(compile_of(work)->programs, c->newest, &new,
	    &err);

	drop(work);
	collect_take_file(c, rc == E_OK ? &new : NULL, &err);
}

/* Adds link_type where it is new; returns how many there are. */
static uint32_t
add_type(uint32_t types[static PROTO_MAX_PROGRAMS], uint32_t n, uint32_t link_type)
{
	for (uint32_t i = 0; i < n; i++)
		if (types[i] == link_type)
			return n;
	/* The agent says which of so many it lacks. */
	if (n < PROTO_MAX_PROGRAMS)
		types[n++] = link_type;
	return n;
}

/* Those of the interfaces that this filter is for. */
static uint32_t
types_in_use(const struct collect *c, uint32_t types[static PROTO_MAX_PROGRAMS])
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->ledger.n_interfaces; i++)
		if (programs_is_from_file(c->newest, c->interfaces[i].filter))
			n = add_type(types, n, c->interfaces[i].link_type);
	return n;
}

/* Can interfaces come that are of another type than those that are there? */
static bool
is_open(const struct collect *c)
{
	for (uint32_t i = 0; i < c->opt->n_interfaces; i++) {
		const struct options_interface *asked = &c->opt->interfaces[i];

		if (options_is_pattern(asked->name) &&
		    programs_is_from_file(c->newest, asked->filter))
			return true;
	}
	return false;
}

int
collect_read_file(struct collect *c, struct err *err)
{
	uint32_t types[PROTO_MAX_PROGRAMS], n = types_in_use(c, types);
	struct programs_work *programs = programs_work_new_file(c->opt, types, n,
	    is_open(c), err);

	return programs == NULL ? err->code : start(c, programs, on_file, err);
}

/* --- what is missing --- */

/* A pair that libpcap was not asked for: E_OK; E_AGAIN when there is none. */
static int
find_needed(const struct collect *c, uint32_t *ret_filter, uint32_t *ret_link_type)
{
	for (uint32_t f = 0; f < c->newest->n; f++)
		for (uint32_t i = 0; i < c->need.n; i++) {
			*ret_filter = f;
			*ret_link_type = c->need.link_types[i];
			if (programs_lacks_form(c->newest, f, *ret_link_type))
				return E_OK;
		}
	return E_AGAIN;
}

/* As above, or why packets that come can never be judged. */
static int
find_to_judge(const struct collect *c, uint32_t *ret_filter, uint32_t *ret_link_type,
    struct err *err)
{
	for (uint32_t i = 0; i < c->ledger.n_interfaces; i++) {
		const struct collect_interface *iface = &c->interfaces[i];
		int rc;

		if (iface->newest_place != FILTER_CLIENT)
			continue;
		*ret_filter = iface->filter;
		*ret_link_type = iface->link_type;
		rc = programs_prepare(c->newest, iface->filter, iface->link_type, err);
		if (rc != E_OK)
			return rc == E_AGAIN ? E_OK : rc;
	}
	return E_AGAIN;
}

static void
on_form(struct background_work *work, void *arg)
{
	struct collect *c = arg;
	struct err err;
	int rc = programs_work_take_form(compile_of(work)->programs, c->newest, &err);

	drop(work);
	c->is_compiling = false;
	if (c->state >= COLLECT_FLUSHING)
		return;
	if (rc == E_OK)
		collect_compile_missing(c);
	else
		collect_abort(c, &err);
}

static void
go_on(struct collect *c)
{
	if (c->need.n > 0)
		collect_answer_need(c);
	else if (c->out != NULL)
		collect_update_flow(c);
}

void
collect_compile_missing(struct collect *c)
{
	struct programs_work *programs;
	uint32_t filter, link_type;
	struct err err;
	int rc;

	if (c->is_compiling || c->state >= COLLECT_FLUSHING)
		return;
	/* Of the first capture, or of one that begins anew. */
	rc = c->need.n > 0 ? find_needed(c, &filter, &link_type) :
	    find_to_judge(c, &filter, &link_type, &err);
	if (rc == E_AGAIN) {
		go_on(c);
		return;
	}
	if (rc == E_OK) {
		programs = programs_work_new_form(c->newest, filter, link_type, &err);
		rc = programs == NULL ? err.code : start(c, programs, on_form, &err);
	}
	if (rc != E_OK) {
		collect_abort(c, &err);
		return;
	}
	c->is_compiling = true;
	if (c->state != COLLECT_CONNECTING)
		collect_update_flow(c);
}
