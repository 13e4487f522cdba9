/*
 * server/batch_log: every batch reaches every reader once, in order, or is in
 * a gap at its place; memory stays inside its bound; the sums are exact.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mutate.h"
#include "server/batch_log.h"

/* A batch of so many packets of 100 bytes, at a time that follows from it. */
static struct batch *
make_batch(uint64_t sequence, uint32_t packets)
{
	struct batch_builder *b = batch_builder_new();
	struct batch *batch;

	for (uint32_t i = 0; i < packets; i++) {
		struct packet_meta meta = { { (int64_t)(sequence * 1000 + i) },
		    100, 100, 0, 0, 0 };

		memset(batch_builder_add(b, &meta), 0, 100);
	}
	batch = batch_builder_seal(b, sequence);
	batch_builder_free(b);
	return batch;
}

/* Every batch of one packet takes this much. */
static size_t
one_batch_bytes(void)
{
	struct batch *batch = make_batch(1, 1);
	size_t bytes = batch->mem_bytes;

	batch_unref(batch);
	return bytes;
}

/* The log holds n batches of one packet. */
static void
assert_held(const struct batch_log *log, size_t n)
{
	assert_int_equal(batch_log_bytes(log), n * one_batch_bytes());
}

static void
append(struct batch_log *log, uint64_t first, uint64_t last, int want)
{
	for (uint64_t s = first; s <= last; s++)
		assert_int_equal(batch_log_append(log, make_batch(s, 1)), want);
}

static void
assert_next_batch(struct log_cursor *c, uint64_t sequence)
{
	struct log_item item;

	assert_true(batch_log_has_next(c));
	assert_int_equal(batch_log_next(c, &item), E_OK);
	assert_non_null(item.batch);
	assert_int_equal(item.batch->sequence, sequence);
	batch_unref(item.batch);
}

static void
assert_next_gap(struct log_cursor *c, uint64_t first, uint64_t last)
{
	struct log_item item;

	assert_true(batch_log_has_next(c));
	assert_int_equal(batch_log_next(c, &item), E_OK);
	assert_null(item.batch);
	assert_int_equal(item.gap.first_sequence, first);
	assert_int_equal(item.gap.last_sequence, last);
	assert_int_equal(item.gap.packets, last - first + 1);
	assert_int_equal(item.gap.bytes, 100 * (last - first + 1));
	assert_int_equal(item.gap.first.ns, first * 1000);
	assert_int_equal(item.gap.last.ns, last * 1000);
	assert_int_equal(item.gap.reason, GAP_LOG_FULL);
}

static void
assert_nothing_next(struct log_cursor *c)
{
	struct log_item item;

	assert_false(batch_log_has_next(c));
	assert_int_equal(batch_log_next(c, &item), E_AGAIN);
}

static struct batch_log *
log_for(size_t batches, enum batch_log_policy policy)
{
	return batch_log_new(batches * one_batch_bytes() + 1, policy);
}

static void
batches_come_in_order_and_stay_until_acknowledged(void **state)
{
	struct batch_log *log = log_for(10, BATCH_LOG_DROP_OLDEST);
	struct log_cursor *c = batch_log_open_cursor(log);

	(void)state;
	assert_nothing_next(c);
	append(log, 1, 3, E_OK);
	assert_next_batch(c, 1);
	assert_next_batch(c, 2);
	assert_held(log, 3);
	assert_int_equal(batch_log_ack(c, 2), E_OK);
	assert_held(log, 1);
	assert_next_batch(c, 3);
	assert_nothing_next(c);
	append(log, 4, 4, E_OK);
	assert_next_batch(c, 4);
	assert_int_equal(batch_log_ack(c, 4), E_OK);
	assert_held(log, 0);
	append(log, 5, 5, E_OK);
	assert_next_batch(c, 5);
	assert_int_equal(batch_log_lost_packets(c), 0);
	batch_log_free(log);
}

static void
an_acknowledgement_of_what_was_not_given_is_refused(void **state)
{
	struct batch_log *log = log_for(10, BATCH_LOG_DROP_OLDEST);
	struct log_cursor *c = batch_log_open_cursor(log);

	(void)state;
	assert_int_equal(batch_log_ack(c, 1), E_STATE);
	assert_int_equal(batch_log_ack(c, 0), E_OK);
	append(log, 1, 3, E_OK);
	assert_next_batch(c, 1);
	assert_int_equal(batch_log_ack(c, 2), E_STATE);
	assert_int_equal(batch_log_ack(c, UINT64_MAX), E_STATE);
	assert_held(log, 3);
	assert_int_equal(batch_log_ack(c, 1), E_OK);
	assert_int_equal(batch_log_ack(c, 0), E_OK);	/* old news */
	assert_held(log, 2);
	batch_log_free(log);
}

static void
a_full_log_drops_the_oldest_and_says_so_in_place(void **state)
{
	struct batch_log *log = log_for(3, BATCH_LOG_DROP_OLDEST);
	struct log_cursor *c = batch_log_open_cursor(log);

	(void)state;
	append(log, 1, 5, E_OK);		/* 1 and 2 are gone */
	assert_held(log, 3);
	assert_int_equal(batch_log_lost_packets(c), 2);
	assert_int_equal(batch_log_lost_bytes(c), 200);
	append(log, 6, 6, E_OK);		/* 3 joins them */
	assert_next_gap(c, 1, 3);
	append(log, 7, 7, E_OK);		/* 4, after the gap was told */
	assert_next_gap(c, 4, 4);
	assert_next_batch(c, 5);
	assert_next_batch(c, 6);
	append(log, 8, 9, E_OK);		/* 5 and 6 were read: no loss */
	assert_next_batch(c, 7);
	assert_next_batch(c, 8);
	assert_next_batch(c, 9);
	assert_nothing_next(c);
	assert_int_equal(batch_log_lost_packets(c), 4);
	batch_log_free(log);
}

static void
a_full_log_refuses_the_newest_and_says_so_in_place(void **state)
{
	struct batch_log *log = log_for(2, BATCH_LOG_DROP_NEWEST);
	struct log_cursor *c = batch_log_open_cursor(log);

	(void)state;
	append(log, 1, 2, E_OK);
	append(log, 3, 4, E_LIMIT);
	assert_int_equal(batch_log_lost_packets(c), 2);
	assert_next_batch(c, 1);
	assert_int_equal(batch_log_ack(c, 1), E_OK);
	append(log, 5, 5, E_OK);
	append(log, 6, 6, E_LIMIT);
	assert_next_batch(c, 2);
	assert_next_gap(c, 3, 4);
	assert_next_batch(c, 5);
	assert_next_gap(c, 6, 6);
	assert_nothing_next(c);
	append(log, 7, 8, E_LIMIT);		/* at the end already: a gap of its own */
	assert_next_gap(c, 7, 8);
	assert_int_equal(batch_log_ack(c, 8), E_OK);
	append(log, 9, 9, E_OK);
	assert_next_batch(c, 9);
	assert_nothing_next(c);
	assert_int_equal(batch_log_lost_packets(c), 5);
	assert_int_equal(batch_log_lost_bytes(c), 500);
	batch_log_free(log);
}

static void
a_batch_larger_than_the_log_is_a_gap(void **state)
{
	struct batch_log *log = log_for(2, BATCH_LOG_DROP_OLDEST);
	struct log_cursor *c = batch_log_open_cursor(log);
	struct log_item item;

	(void)state;
	append(log, 1, 1, E_OK);
	assert_int_equal(batch_log_append(log, make_batch(2, 500)), E_LIMIT);
	append(log, 3, 3, E_OK);
	assert_next_batch(c, 1);		/* it took nobody with it */
	assert_int_equal(batch_log_next(c, &item), E_OK);
	assert_null(item.batch);
	assert_int_equal(item.gap.packets, 500);
	assert_int_equal(item.gap.bytes, 50000);
	assert_int_equal(item.gap.first.ns, 2000);
	assert_int_equal(item.gap.last.ns, 2499);
	assert_next_batch(c, 3);
	batch_log_free(log);
}

static void
an_evicted_batch_takes_the_gap_behind_it_along(void **state)
{
	struct batch_log *log = log_for(2, BATCH_LOG_DROP_OLDEST);
	struct log_cursor *c = batch_log_open_cursor(log);
	struct log_item item;

	(void)state;
	append(log, 1, 1, E_OK);
	assert_int_equal(batch_log_append(log, make_batch(2, 500)), E_LIMIT);
	append(log, 3, 5, E_OK);		/* 1 goes, then 3 */
	assert_int_equal(batch_log_lost_packets(c), 502);
	assert_int_equal(batch_log_next(c, &item), E_OK);
	assert_null(item.batch);
	assert_int_equal(item.gap.first_sequence, 1);
	assert_int_equal(item.gap.last_sequence, 3);
	assert_int_equal(item.gap.packets, 502);
	assert_next_batch(c, 4);
	batch_log_free(log);
}

static void
a_batch_being_sent_survives_its_eviction(void **state)
{
	struct batch_log *log = log_for(1, BATCH_LOG_DROP_OLDEST);
	struct log_cursor *c = batch_log_open_cursor(log);
	struct log_item item;

	(void)state;
	append(log, 1, 1, E_OK);
	assert_int_equal(batch_log_next(c, &item), E_OK);
	append(log, 2, 2, E_OK);
	assert_int_equal(item.batch->sequence, 1);
	assert_int_equal(item.batch->frame[item.batch->frame_len - 1], 0);
	batch_unref(item.batch);
	assert_int_equal(batch_log_ack(c, 1), E_OK);
	assert_held(log, 1);
	assert_next_batch(c, 2);
	batch_log_free(log);
}

static void
two_cursors_lose_each_their_own(void **state)
{
	struct batch_log *log = log_for(3, BATCH_LOG_DROP_OLDEST);
	struct log_cursor *fast = batch_log_open_cursor(log);
	struct log_cursor *slow = batch_log_open_cursor(log);

	(void)state;
	for (uint64_t s = 1; s <= 6; s++) {
		append(log, s, s, E_OK);
		assert_next_batch(fast, s);
		assert_int_equal(batch_log_ack(fast, s), E_OK);
		assert_held(log, s < 3 ? s : 3);
	}
	assert_nothing_next(fast);
	assert_int_equal(batch_log_lost_packets(fast), 0);
	assert_int_equal(batch_log_lost_packets(slow), 3);
	assert_next_gap(slow, 1, 3);
	assert_next_batch(slow, 4);
	assert_int_equal(batch_log_ack(slow, 4), E_OK);
	assert_held(log, 2);	/* fast has acknowledged all */
	batch_log_close_cursor(slow);
	assert_held(log, 0);
	batch_log_close_cursor(NULL);
	batch_log_free(log);
}

static void
a_refusal_is_told_to_readers_behind_and_at_the_end(void **state)
{
	struct batch_log *log = log_for(2, BATCH_LOG_DROP_NEWEST);
	struct log_cursor *fast = batch_log_open_cursor(log);
	struct log_cursor *slow = batch_log_open_cursor(log);

	(void)state;
	append(log, 1, 2, E_OK);
	assert_next_batch(fast, 1);
	assert_next_batch(fast, 2);
	append(log, 3, 3, E_LIMIT);
	assert_next_gap(fast, 3, 3);
	append(log, 4, 5, E_LIMIT);
	assert_next_gap(fast, 4, 5);
	assert_next_batch(slow, 1);
	assert_next_batch(slow, 2);
	assert_next_gap(slow, 3, 5);
	assert_nothing_next(slow);
	assert_nothing_next(fast);
	batch_log_free(log);
}

static void
a_late_cursor_begins_at_the_oldest(void **state)
{
	struct batch_log *log = log_for(3, BATCH_LOG_DROP_OLDEST);
	struct log_cursor *c;

	(void)state;
	append(log, 1, 5, E_OK);		/* without any reader */
	c = batch_log_open_cursor(log);
	assert_int_equal(batch_log_ack(c, 2), E_OK);
	assert_int_equal(batch_log_ack(c, 3), E_STATE);
	assert_int_equal(batch_log_lost_packets(c), 0);
	assert_next_batch(c, 3);
	batch_log_close_cursor(c);
	assert_held(log, 3);	/* nobody asked for less */
	batch_log_free(log);

	log = log_for(1, BATCH_LOG_DROP_NEWEST);
	append(log, 1, 1, E_OK);
	append(log, 2, 2, E_LIMIT);
	c = batch_log_open_cursor(log);
	assert_int_equal(batch_log_lost_packets(c), 1);
	assert_next_batch(c, 1);
	assert_next_gap(c, 2, 2);
	batch_log_free(log);
}

static void
a_sequence_out_of_order_changes_nothing(void **state)
{
	struct batch_log *log = log_for(3, BATCH_LOG_DROP_OLDEST);
	struct log_cursor *c = batch_log_open_cursor(log);

	(void)state;
	append(log, 1, 1, E_OK);
	append(log, 1, 1, E_BUG);
	append(log, 3, 3, E_BUG);
	append(log, 2, 2, E_OK);
	assert_next_batch(c, 1);
	assert_next_batch(c, 2);
	assert_nothing_next(c);
	batch_log_free(log);
}

/* --- random work, against sums kept here --- */

enum { N_CURSORS = 2, N_STEPS = 20000, MOST_PACKETS = 4 };

/* What one reader has been told so far. */
struct told {
	struct log_cursor *cursor;
	uint64_t	 next, acked;
	uint64_t	 packets, lost_packets, lost_bytes;
};

static uint32_t
packets_of(uint64_t sequence)
{
	return (uint32_t)(sequence * 7 % MOST_PACKETS + 1);
}

static void
check_gap(const struct msg_gap *gap, struct told *t)
{
	uint64_t packets = 0;

	for (uint64_t s = gap->first_sequence; s <= gap->last_sequence; s++)
		packets += packets_of(s);
	assert_int_equal(gap->packets, packets);
	assert_int_equal(gap->bytes, packets * 100);
	assert_int_equal(gap->first.ns, gap->first_sequence * 1000);
	assert_int_equal(gap->last.ns, gap->last_sequence * 1000 +
	    packets_of(gap->last_sequence) - 1);
	t->lost_packets += packets;
	t->lost_bytes += packets * 100;
}

/* Take one item: exactly what follows the last one.  Was there any? */
static bool
take_one(struct told *t)
{
	struct log_item item;

	if (batch_log_next(t->cursor, &item) != E_OK)
		return false;
	if (item.batch != NULL) {
		assert_int_equal(item.batch->sequence, t->next);
		t->packets += item.batch->n_packets;
		t->next++;
		batch_unref(item.batch);
	} else {
		assert_int_equal(item.gap.first_sequence, t->next);
		check_gap(&item.gap, t);
		t->next = item.gap.last_sequence + 1;
	}
	return true;
}

static void
work_at_random(enum batch_log_policy policy, uint64_t seed)
{
	size_t max_bytes = 20 * one_batch_bytes();
	struct batch_log *log = batch_log_new(max_bytes, policy);
	struct told told[N_CURSORS] = { { .cursor = NULL } }, *t;
	uint64_t sequence = 0, packets = 0, x, k;

	for (size_t i = 0; i < N_CURSORS; i++)
		told[i] = (struct told){ .cursor = batch_log_open_cursor(log),
		    .next = 1 };
	for (unsigned step = 0; step < N_STEPS; step++) {
		x = mutate_next_random(&seed);
		t = &told[(x >> 8) % N_CURSORS];
		if (x % 8 < 3) {
			sequence++;
			packets += packets_of(sequence);
			(void)batch_log_append(log,
			    make_batch(sequence, packets_of(sequence)));
		} else if (x % 8 < 6) {
			for (k = (x >> 16) % 12; k > 0 && take_one(t); k--)
				;
		} else if (t->next > t->acked + 1) {
			t->acked += (x >> 16) % (t->next - t->acked);
			assert_int_equal(batch_log_ack(t->cursor, t->acked), E_OK);
		}
		assert_true(batch_log_bytes(log) <= max_bytes);
	}
	for (size_t i = 0; i < N_CURSORS; i++) {
		t = &told[i];
		while (take_one(t))
			;
		assert_int_equal(t->next, sequence + 1);
		assert_int_equal(t->packets + t->lost_packets, packets);
		assert_int_equal(batch_log_lost_packets(t->cursor),
		    t->lost_packets);
		assert_int_equal(batch_log_lost_bytes(t->cursor), t->lost_bytes);
		assert_true(t->lost_packets > 0);
		assert_true(t->packets > 0);
		assert_int_equal(batch_log_ack(t->cursor, sequence), E_OK);
	}
	assert_held(log, 0);
	batch_log_free(log);
}

static void
sums_are_exact_when_the_oldest_goes(void **state)
{
	(void)state;
	work_at_random(BATCH_LOG_DROP_OLDEST, 1);
	work_at_random(BATCH_LOG_DROP_OLDEST, 2);
}

static void
sums_are_exact_when_the_newest_is_refused(void **state)
{
	(void)state;
	work_at_random(BATCH_LOG_DROP_NEWEST, 3);
	work_at_random(BATCH_LOG_DROP_NEWEST, 4);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batches_come_in_order_and_stay_until_acknowledged),
		cmocka_unit_test(an_acknowledgement_of_what_was_not_given_is_refused),
		cmocka_unit_test(a_full_log_drops_the_oldest_and_says_so_in_place),
		cmocka_unit_test(a_full_log_refuses_the_newest_and_says_so_in_place),
		cmocka_unit_test(a_batch_larger_than_the_log_is_a_gap),
		cmocka_unit_test(an_evicted_batch_takes_the_gap_behind_it_along),
		cmocka_unit_test(a_batch_being_sent_survives_its_eviction),
		cmocka_unit_test(two_cursors_lose_each_their_own),
		cmocka_unit_test(a_refusal_is_told_to_readers_behind_and_at_the_end),
		cmocka_unit_test(a_late_cursor_begins_at_the_oldest),
		cmocka_unit_test(a_sequence_out_of_order_changes_nothing),
		cmocka_unit_test(sums_are_exact_when_the_oldest_goes),
		cmocka_unit_test(sums_are_exact_when_the_newest_is_refused),
	};

	return cmocka_run_group_tests_name("server/batch_log", tests, NULL, NULL);
}
