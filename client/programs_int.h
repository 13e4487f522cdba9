/*
 * programs_int - what the files of programs share; see programs.h.
 *
 * programs_filter.c knows one filter and what libpcap makes of it, programs.c
 * all of them, programs_work.c what another thread does for them.
 */
#ifndef CLIENT_PROGRAMS_INT_H
#define CLIENT_PROGRAMS_INT_H

#include "client/filter.h"
#include "client/programs.h"

enum { PROGRAMS_FORMS_MAX = 2 * PROTO_MAX_PROGRAMS };

/* What libpcap made of one expression for one link type. */
struct programs_form {
	uint32_t	 link_type;
	struct filter_code *code;	/* NULL: refused */
	struct err	 refusal;
};

struct programs_filter {
	struct programs_form forms[PROGRAMS_FORMS_MAX];
	uint32_t	 n_forms;
	bool		 is_from_file;
};

/* Room for n filters.  E_NOMEM; programs_fini() in any case. */
int programs_alloc(struct programs *p, uint32_t n) MUST_CHECK;

/* Begin filter number `filter`, which has no programs yet.  E_NOMEM. */
int programs_set_text(struct programs *p, uint32_t filter, const char *text,
    bool is_exact) MUST_CHECK;

/* The form for this link type, if libpcap was asked for it. */
const struct programs_form *programs_find_form(const struct programs *p,
    uint32_t filter, uint32_t link_type);

/*
 * The form for this link type, made if it is not there yet; NULL with E_NOMEM
 * or E_TOOBIG.  What libpcap refuses is a form, too: it is asked once.
 */
const struct programs_form *programs_get_form(struct programs *p, uint32_t filter,
    uint32_t link_type, struct err *err);

/* Does a program for this link type travel? */
bool programs_has(const struct msg_filter *f, uint32_t link_type);

/* Let this form's program travel.  E_TOOBIG, E_NOMEM. */
int programs_add(struct msg_filter *f, const struct programs_form *form,
    struct err *err) MUST_CHECK;

/*
 * Compile for the usual link types; one that it fits is enough.  Unless
 * is_open (interfaces of others may come later), a long one for the first.
 */
int programs_compile_usual(struct programs *p, uint32_t filter, bool is_open,
    struct err *err) MUST_CHECK;

/*
 * Let the filter have what this link type needs: a program, or that it is
 * judged here.  E_AGAIN when it has that already, E_FILTER when libpcap (or
 * --kernel-only) refuses.
 */
int programs_serve(struct programs *p, uint32_t filter, uint32_t link_type,
    struct err *err) MUST_CHECK;

int programs_no_memory(struct err *err);
int programs_too_many(struct err *err);

#endif /* CLIENT_PROGRAMS_INT_H */
