#include "client/programs.h"

#include <stdlib.h>
#include <string.h>

#include "client/filter.h"

/* In this order: errors are reported for Ethernet. */
static const uint32_t link_types[PROGRAMS_MAX] = { 1, 101, 276 };

static int
add(struct programs *p, uint32_t link_type, const struct bpf_prog *prog)
{
	struct msg_program *m = &p->list[p->n];

	m->insns = malloc(prog->n * sizeof(m->insns[0]));
	if (m->insns == NULL)
		return E_NOMEM;
	memcpy(m->insns, prog->insns, prog->n * sizeof(m->insns[0]));
	m->n_insns = prog->n;
	m->link_type = link_type;
	p->n++;
	return E_OK;
}

static int
compile_all(struct programs *p, const char *text, struct bpf_prog *prog,
    struct err *err)
{
	struct err first = { .code = E_OK };

	for (size_t i = 0; i < PROGRAMS_MAX; i++) {
		int rc = filter_compile(text, link_types[i], prog, err);

		if (rc == E_OK)
			rc = add(p, link_types[i], prog);
		if (rc == E_NOMEM)
			return err_set(err, rc, "filter: compile: out of memory");
		/* Too long for any kernel: a filter that cannot be used. */
		if (rc == E_TOOBIG)
			err->code = E_FILTER;
		if (rc != E_OK && first.code == E_OK)
			first = *err;
		/* What Ethernet cannot hold in 4096 instructions no other can. */
		if (rc == E_TOOBIG)
			break;
	}
	p->missing = first;
	if (p->n == 0) {
		*err = first;
		return first.code;
	}
	return E_OK;
}

int
programs_init(struct programs *p, const char *text, struct err *err)
{
	struct bpf_prog *prog;
	int rc;

	memset(p, 0, sizeof(*p));
	if (text[0] == '\0')
		return E_OK;
	prog = malloc(sizeof(*prog));
	if (prog == NULL)
		return err_set(err, E_NOMEM, "filter: compile: out of memory");
	p->exact_vlan = filter_mentions_tags(text);
	rc = compile_all(p, text, prog, err);
	free(prog);
	if (rc != E_OK)
		programs_fini(p);
	return rc;
}

void
programs_fini(struct programs *p)
{
	for (uint32_t i = 0; i < p->n; i++)
		free(p->list[i].insns);
	memset(p, 0, sizeof(*p));
}
