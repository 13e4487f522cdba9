/* server/announcements: numbered without a hole, bounded, until safe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/limits.h"
#include "server/announcements.h"

/* What fell out, in order: their sequences. */
struct fallen { uint64_t n, last; };

static void
on_gone(const struct announcement *gone, void *arg)
{
	struct fallen *fallen = arg;

	assert_true(gone->sequence >= fallen->last);
	assert_true(gone->len > 0 && gone->frame != NULL);
	fallen->last = gone->sequence;
	fallen->n++;
}

static void
add_event(struct announcements *all, uint64_t sequence, size_t text_len)
{
	struct msg msg = { .type = MSG_EVENT, .event = { .sequence = sequence,
	    .kind = CAPTURE_EVENT_OTHER } };

	memset(msg.event.text, 'x', text_len);
	assert_int_equal(announcements_add(all, &msg), E_OK);
}

static void
assert_kept(const struct announcements *all, uint64_t gone, uint64_t count)
{
	assert_int_equal(announcements_gone(all), gone);
	assert_int_equal(announcements_count(all), count);
}

static void
they_are_kept_as_they_were_made(void **state)
{
	struct fallen fallen = { 0 };
	struct announcements *all = announcements_new(on_gone, &fallen);
	struct announcement a;
	enum filter_place places[2] = { FILTER_CLIENT, FILTER_AGENT };
	struct msg msg = { .type = MSG_FILTER_CHANGED, .filter_changed = {
	    .number = 3, .sequence = 9, .n_places = 2, .places = places } };

	(void)state;
	assert_kept(all, 0, 0);
	add_event(all, 4, 5);
	assert_int_equal(announcements_add(all, &msg), E_OK);
	assert_kept(all, 0, 2);
	a = announcements_get(all, 0);
	assert_int_equal(a.sequence, 4);
	a = announcements_get(all, 1);
	assert_int_equal(a.sequence, 9);
	/* One byte of length in front. */
	assert_int_equal(codec_unpack(a.frame + 1, a.len - 1, &msg), E_OK);
	assert_int_equal(msg.type, MSG_FILTER_CHANGED);
	assert_int_equal(msg.filter_changed.places[1], FILTER_AGENT);
	msg_free(&msg);
	announcements_free(all);
	announcements_free(NULL);
	assert_int_equal(fallen.n, 0);
}

static void
what_stands_before_a_safe_batch_goes(void **state)
{
	struct fallen fallen = { 0 };
	struct announcements *all = announcements_new(on_gone, &fallen);

	(void)state;
	add_event(all, 1, 1);
	add_event(all, 5, 1);
	add_event(all, 5, 1);
	add_event(all, 6, 1);
	announcements_ack(all, 0);
	assert_kept(all, 0, 4);
	announcements_ack(all, 4);
	assert_kept(all, 1, 4);
	announcements_ack(all, 5);
	assert_kept(all, 3, 4);
	assert_int_equal(announcements_get(all, 3).sequence, 6);
	announcements_ack(all, UINT64_MAX);
	assert_kept(all, 4, 4);
	announcements_ack(all, UINT64_MAX);
	assert_int_equal(fallen.n, 4);
	add_event(all, 7, 1);
	assert_int_equal(announcements_get(all, 4).sequence, 7);
	announcements_free(all);
}

static void
the_oldest_fall_out_by_number_and_by_bytes(void **state)
{
	static const struct { size_t text_len; uint64_t added, least, most; } cases[] = {
		{ 1, 3000, PROTO_MAX_ANNOUNCEMENTS, PROTO_MAX_ANNOUNCEMENTS },
		/* Each is a little more than its text. */
		{ 1000, 1000, 240, PROTO_MAX_ANNOUNCEMENT_BYTES / 1000 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fallen fallen = { 0 };
		struct announcements *all = announcements_new(on_gone, &fallen);
		uint64_t kept;

		for (uint64_t n = 0; n < cases[i].added; n++)
			add_event(all, n + 1, cases[i].text_len);
		assert_int_equal(announcements_count(all), cases[i].added);
		kept = cases[i].added - announcements_gone(all);
		assert_true(kept >= cases[i].least && kept <= cases[i].most);
		assert_int_equal(fallen.n, cases[i].added - kept);
		assert_int_equal(announcements_get(all, cases[i].added - kept).sequence,
		    cases[i].added - kept + 1);
		announcements_free(all);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(they_are_kept_as_they_were_made),
		cmocka_unit_test(what_stands_before_a_safe_batch_goes),
		cmocka_unit_test(the_oldest_fall_out_by_number_and_by_bytes),
	};

	return cmocka_run_group_tests_name("server/announcements", tests, NULL, NULL);
}
