/* client/programs: one filter in every form that a sensor may need. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/programs.h"
#include "common/bpf.h"
#include "proto/limits.h"

enum { ETHERNET = 1, RAW_IP = 101, COOKED = 276 };

static const struct msg_program *
find(const struct programs *p, uint32_t link_type)
{
	for (uint32_t i = 0; i < p->n; i++)
		if (p->list[i].link_type == link_type)
			return &p->list[i];
	return NULL;
}

static uint32_t
count_insns(const struct programs *p, uint32_t link_type)
{
	const struct msg_program *m = find(p, link_type);

	return m == NULL ? 0 : m->n_insns;
}

static void
no_filter_makes_no_program(void **state)
{
	struct programs p;
	struct err err;

	(void)state;
	assert_int_equal(programs_init(&p, "", &err), E_OK);
	assert_int_equal(p.n, 0);
	assert_false(p.exact_vlan);
	assert_int_equal(p.missing.code, E_OK);
	programs_fini(&p);
}

static void
a_filter_that_fits_everywhere_comes_in_every_form(void **state)
{
	static const uint32_t types[] = { ETHERNET, RAW_IP, COOKED };
	struct programs p;
	struct err err;

	(void)state;
	assert_int_equal(programs_init(&p, "udp port 53", &err), E_OK);
	assert_int_equal(p.n, PROGRAMS_MAX);
	assert_int_equal(p.missing.code, E_OK);
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		const struct msg_program *m = find(&p, types[i]);

		assert_true(m != NULL &&
		    bpf_prog_check(m->insns, m->n_insns, &err) == E_OK);
	}
	/* Where the IP header begins differs, so the programs do. */
	assert_int_not_equal(count_insns(&p, ETHERNET), count_insns(&p, RAW_IP));
	programs_fini(&p);
	programs_fini(&p);
}

static void
a_filter_that_fits_some_says_why_the_others_are_missing(void **state)
{
	struct programs p;
	struct err err;

	(void)state;
	assert_int_equal(programs_init(&p, "ether host 02:00:00:00:00:01", &err),
	    E_OK);
	assert_non_null(find(&p, ETHERNET));
	assert_null(find(&p, RAW_IP));
	assert_int_equal(p.missing.code, E_FILTER);
	assert_true(strlen(p.missing.what) > 0);
	programs_fini(&p);
}

static void
a_filter_that_is_none_is_refused_with_libpcaps_words(void **state)
{
	struct programs p;
	struct err err;

	(void)state;
	assert_int_equal(programs_init(&p, "port and and 53", &err), E_FILTER);
	assert_non_null(strstr(err.what, "port and and 53"));
	assert_non_null(strstr(err.what, "syntax error"));
	assert_int_equal(p.n, 0);
	programs_fini(&p);
}

static void
a_filter_about_tags_is_marked(void **state)
{
	struct programs p;
	struct err err;

	(void)state;
	assert_int_equal(programs_init(&p, "vlan 100 and udp", &err), E_OK);
	assert_true(p.exact_vlan);
	programs_fini(&p);
	assert_int_equal(programs_init(&p, "udp", &err), E_OK);
	assert_false(p.exact_vlan);
	programs_fini(&p);
}

static void
a_filter_of_too_many_instructions_is_refused_once(void **state)
{
	enum { TERMS = 3000, TERM_LEN = 20 };
	char *text = malloc(TERMS * TERM_LEN);
	size_t used = 0;
	struct programs p;
	struct err err;

	(void)state;
	assert_non_null(text);
	for (int i = 0; i < TERMS; i++)
		used += (size_t)snprintf(text + used, TERM_LEN, "%sip[%d]=%d",
		    i == 0 ? "" : " or ", i % 60, i / 60);
	assert_true(used < PROTO_MAX_FILTER_TEXT);
	assert_int_equal(programs_init(&p, text, &err), E_FILTER);
	assert_int_equal(p.n, 0);
	programs_fini(&p);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_filter_makes_no_program),
		cmocka_unit_test(a_filter_that_fits_everywhere_comes_in_every_form),
		cmocka_unit_test(a_filter_that_fits_some_says_why_the_others_are_missing),
		cmocka_unit_test(a_filter_that_is_none_is_refused_with_libpcaps_words),
		cmocka_unit_test(a_filter_about_tags_is_marked),
		cmocka_unit_test(a_filter_of_too_many_instructions_is_refused_once),
	};

	return cmocka_run_group_tests_name("client/programs", tests, NULL, NULL);
}
