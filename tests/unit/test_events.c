/* client/events, client/notes: what waits for its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/events.h"
#include "client/notes.h"

static void
push(struct events *events, uint64_t sequence, const char *text)
{
	assert_int_equal(events_push(events, sequence, text, NULL), E_OK);
}

static void
assert_next(struct events *events, uint64_t sequence, const char *want)
{
	struct events_item *item = events_take(events, sequence);

	if (want == NULL) {
		assert_null(item);
		return;
	}
	assert_non_null(item);
	assert_string_equal(item->text, want);
	free(item);
}

static void
events_wait_for_the_batch_that_they_stand_before(void **state)
{
	struct events events;

	(void)state;
	events_init(&events);
	assert_next(&events, 100, NULL);
	push(&events, 3, "a");
	push(&events, 3, "b");
	push(&events, 7, "c");
	assert_next(&events, 2, NULL);
	assert_next(&events, 3, "a");
	assert_next(&events, 3, "b");
	assert_next(&events, 3, NULL);
	assert_next(&events, 6, NULL);
	push(&events, 7, "d");
	assert_next(&events, 9, "c");
	assert_next(&events, 9, "d");
	assert_next(&events, UINT64_MAX, NULL);
}

static void
events_keep_their_order_even_where_sequences_do_not(void **state)
{
	struct events events;

	(void)state;
	events_init(&events);
	push(&events, 9, "first");
	push(&events, 2, "second");
	assert_next(&events, 5, NULL);
	assert_next(&events, 9, "first");
	assert_next(&events, 9, "second");
}

static void
an_agent_cannot_make_the_queue_grow_without_end(void **state)
{
	struct events events;
	int payload;

	(void)state;
	events_init(&events);
	for (int i = 0; i < EVENTS_MAX; i++)
		push(&events, 5, "");
	assert_int_equal(events_push(&events, 5, "", NULL), E_TOOBIG);
	/* What has consequences comes through. */
	assert_int_equal(events_push(&events, 5, "last", &payload), E_OK);
	for (int i = 0; i < EVENTS_MAX; i++)
		assert_next(&events, 5, "");
	assert_next(&events, 5, "last");
	push(&events, 5, "again");
	assert_next(&events, 5, "again");
}

static void
notes_come_out_in_order_behind_what_is_there(void **state)
{
	struct sink_remarks r = { .n_comments = 1, .comments = { "gap" } };
	struct notes notes = { .n = 0 };
	char text[] = "one";

	(void)state;
	notes_add(&notes, text);
	text[0] = 'X';
	notes_add(&notes, "two");
	notes_put(&notes, &r);
	assert_int_equal(r.n_comments, 3);
	assert_string_equal(r.comments[0], "gap");
	assert_string_equal(r.comments[1], "one");
	assert_string_equal(r.comments[2], "two");
	notes_clear(&notes);
	r.n_comments = 0;
	notes_put(&notes, &r);
	assert_int_equal(r.n_comments, 0);
}

static void
of_too_many_notes_the_rest_is_counted(void **state)
{
	struct sink_remarks r = { .n_comments = 1, .comments = { "gap" } };
	struct notes notes = { .n = 0 };

	(void)state;
	for (int i = 0; i < NOTES_MAX + 3; i++)
		notes_add(&notes, "x");
	notes_put(&notes, &r);
	assert_int_equal(r.n_comments, 1 + NOTES_MAX + 1);
	assert_string_equal(r.comments[NOTES_MAX + 1], "and 3 more events");
	/* One place is left, for the counters' own comment. */
	assert_true(r.n_comments < SINK_COMMENTS_MAX);
	notes_clear(&notes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_wait_for_the_batch_that_they_stand_before),
		cmocka_unit_test(events_keep_their_order_even_where_sequences_do_not),
		cmocka_unit_test(an_agent_cannot_make_the_queue_grow_without_end),
		cmocka_unit_test(notes_come_out_in_order_behind_what_is_there),
		cmocka_unit_test(of_too_many_notes_the_rest_is_counted),
	};

	return cmocka_run_group_tests_name("client/events", tests, NULL, NULL);
}
