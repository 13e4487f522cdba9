/*
 * server/batch_log: every batch reaches the reader once, in order, or is in a
 * gap at its place, also when it goes back; memory stays inside its bound; the
 * sums are exact.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mutate.h"
#include "proto/limits.h"
#include "server/batch_log.h"

enum { PACKET_LEN = 4000 };	/* beside it, what the log adds is little */

/*
 * A batch of so many packets of PACKET_LEN bytes, at a time that follows from it,
 * alternately of interfaces 0 and 2.
 */
static struct batch *
make_batch(uint64_t sequence, uint32_t packets)
{
	struct batch_builder *b = batch_builder_new();
	struct batch *batch;

	for (uint32_t i = 0; i < packets; i++) {
		struct packet_meta meta = { { (int64_t)(sequence * 1000 + i) },
		    PACKET_LEN, PACKET_LEN, 2 * (((uint32_t)sequence + i) & 1), 0, 0 };

		memset(batch_builder_add(b, &meta), 0, PACKET_LEN);
	}
	batch = batch_builder_seal(b, sequence);
	batch_builder_free(b);
	return batch;
}

/* What the log counts besides a batch's own memory. */
static size_t
node_bytes(void)
{
	struct batch_log *log = batch_log_new(SIZE_MAX, BATCH_LOG_DROP_NEWEST);
	struct batch *batch = make_batch(1, 1);
	size_t own = batch->mem_bytes, all;

	assert_int_equal(batch_log_append(log, batch, (struct mono_ns){ 0 }), E_OK);
	all = batch_log_bytes(log);
	batch_log_free(log);
	return all - own;
}

/* Every batch of one packet takes this much. */
static size_t
one_batch_bytes(void)
{
	struct batch *batch = make_batch(1, 1);
	size_t bytes = batch->mem_bytes;

	batch_unref(batch);
	return bytes + node_bytes();
}

/* The log holds n batches of one packet, and perhaps some gaps. */
static void
assert_held(const struct batch_log *log, size_t n)
{
	size_t one = one_batch_bytes();

	assert_int_equal((batch_log_bytes(log) + one / 2) / one, n);
}

static int
append_one(struct batch_log *log, uint64_t sequence, uint32_t packets)
{
	return batch_log_append(log, make_batch(sequence, packets),
	    (struct mono_ns){ (int64_t)sequence });
}

static void
append(struct batch_log *log, uint64_t first, uint64_t last, int want)
{
	for (uint64_t s = first; s <= last; s++)
		assert_int_equal(append_one(log, s, 1), want);
}

static void
assert_next_batch(struct batch_log *log, uint64_t sequence)
{
	struct log_item item;

	assert_true(batch_log_has_next(log));
	assert_int_equal(batch_log_next(log, &item), E_OK);
	assert_non_null(item.batch);
	assert_int_equal(item.batch->sequence, sequence);
	batch_log_return(log, item.batch);
}

/* Of batches of one packet: each belongs to interface 0 or 2. */
static void
assert_by_interface(const struct msg_gap *gap)
{
	uint64_t want[3] = { 0 };

	for (uint64_t s = gap->first_sequence; s <= gap->last_sequence; s++)
		want[2 * (s & 1)]++;
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(i < gap->n_interfaces ? gap->by_interface[i] : 0,
		    want[i]);
	assert_true(gap->n_interfaces <= 3);
}

static void
assert_next_gap_for(struct batch_log *log, uint64_t first, uint64_t last,
    enum gap_reason reason)
{
	struct log_item item;

	assert_true(batch_log_has_next(log));
	assert_int_equal(batch_log_next(log, &item), E_OK);
	assert_null(item.batch);
	assert_int_equal(item.gap.first_sequence, first);
	assert_int_equal(item.gap.last_sequence, last);
	assert_int_equal(item.gap.packets, last - first + 1);
	assert_int_equal(item.gap.bytes, PACKET_LEN * (last - first + 1));
	assert_int_equal(item.gap.first.ns, first * 1000);
	assert_int_equal(item.gap.last.ns, last * 1000);
	assert_int_equal(item.gap.reason, reason);
	assert_by_interface(&item.gap);
}

static void
assert_next_gap(struct batch_log *log, uint64_t first, uint64_t last)
{
	assert_next_gap_for(log, first, last, GAP_LOG_FULL);
}

static void
assert_nothing_next(struct batch_log *log)
{
	struct log_item item;

	assert_false(batch_log_has_next(log));
	assert_int_equal(batch_log_next(log, &item), E_AGAIN);
}

/* Room for so many batches of one packet, and for what is small beside them. */
static struct batch_log *
log_for(size_t batches, enum batch_log_policy policy)
{
	size_t bytes = batches * one_batch_bytes() + one_batch_bytes() / 2;

	/* An eighth is kept free for the gaps of what is refused. */
	return batch_log_new(policy == BATCH_LOG_DROP_NEWEST ? bytes / 7 * 8 : bytes,
	    policy);
}

static void
batches_come_in_order_and_stay_until_acknowledged(void **state)
{
	struct batch_log *log = log_for(10, BATCH_LOG_DROP_OLDEST);

	(void)state;
	assert_nothing_next(log);
	append(log, 1, 3, E_OK);
	assert_next_batch(log, 1);
	assert_next_batch(log, 2);
	assert_held(log, 3);
	assert_int_equal(batch_log_ack(log, 2), E_OK);
	assert_held(log, 1);
	assert_next_batch(log, 3);
	assert_nothing_next(log);
	append(log, 4, 4, E_OK);
	assert_next_batch(log, 4);
	assert_int_equal(batch_log_ack(log, 4), E_OK);
	assert_held(log, 0);
	append(log, 5, 5, E_OK);
	assert_next_batch(log, 5);
	assert_int_equal(batch_log_lost_packets(log), 0);
	batch_log_free(log);
}

static void
an_acknowledgement_of_what_was_not_given_is_refused(void **state)
{
	struct batch_log *log = log_for(10, BATCH_LOG_DROP_OLDEST);

	(void)state;
	assert_int_equal(batch_log_ack(log, 1), E_STATE);
	assert_int_equal(batch_log_ack(log, 0), E_OK);
	append(log, 1, 3, E_OK);
	assert_next_batch(log, 1);
	assert_int_equal(batch_log_ack(log, 2), E_STATE);
	assert_int_equal(batch_log_ack(log, UINT64_MAX), E_STATE);
	assert_held(log, 3);
	assert_int_equal(batch_log_ack(log, 1), E_OK);
	assert_int_equal(batch_log_ack(log, 0), E_OK);	/* old news */
	assert_held(log, 2);
	batch_log_free(log);
}

static void
a_full_log_drops_the_oldest_and_says_so_in_place(void **state)
{
	struct batch_log *log = log_for(3, BATCH_LOG_DROP_OLDEST);

	(void)state;
	append(log, 1, 5, E_OK);		/* 1 and 2 are gone */
	assert_held(log, 3);
	assert_int_equal(batch_log_lost_packets(log), 2);
	assert_int_equal(batch_log_lost_bytes(log), 2 * PACKET_LEN);
	append(log, 6, 6, E_OK);		/* 3 joins them */
	assert_next_gap(log, 1, 3);
	append(log, 7, 7, E_OK);		/* 4, after the gap was told */
	assert_next_gap(log, 4, 4);
	assert_next_batch(log, 5);
	assert_next_batch(log, 6);
	append(log, 8, 9, E_OK);		/* 5 and 6 were read: no loss */
	assert_next_batch(log, 7);
	assert_next_batch(log, 8);
	assert_next_batch(log, 9);
	assert_nothing_next(log);
	assert_int_equal(batch_log_lost_packets(log), 4);
	batch_log_free(log);
}

static void
a_full_log_refuses_the_newest_and_says_so_in_place(void **state)
{
	struct batch_log *log = log_for(2, BATCH_LOG_DROP_NEWEST);

	(void)state;
	append(log, 1, 2, E_OK);
	append(log, 3, 4, E_LIMIT);
	assert_int_equal(batch_log_lost_packets(log), 2);
	assert_next_batch(log, 1);
	assert_int_equal(batch_log_ack(log, 1), E_OK);
	append(log, 5, 5, E_OK);
	append(log, 6, 6, E_LIMIT);
	assert_next_batch(log, 2);
	assert_next_gap(log, 3, 4);
	assert_next_batch(log, 5);
	assert_next_gap(log, 6, 6);
	assert_nothing_next(log);
	append(log, 7, 8, E_LIMIT);		/* at the end already: a gap of its own */
	assert_next_gap(log, 7, 8);
	assert_int_equal(batch_log_ack(log, 8), E_OK);
	append(log, 9, 9, E_OK);
	assert_next_batch(log, 9);
	assert_nothing_next(log);
	assert_int_equal(batch_log_lost_packets(log), 5);
	assert_int_equal(batch_log_lost_bytes(log), 5 * PACKET_LEN);
	batch_log_free(log);
}

static void
a_batch_larger_than_the_log_is_a_gap(void **state)
{
	struct batch_log *log = log_for(2, BATCH_LOG_DROP_OLDEST);
	struct log_item item;

	(void)state;
	append(log, 1, 1, E_OK);
	assert_int_equal(append_one(log, 2, 50), E_LIMIT);
	append(log, 3, 3, E_OK);
	assert_next_batch(log, 1);		/* it took nobody with it */
	assert_int_equal(batch_log_next(log, &item), E_OK);
	assert_null(item.batch);
	assert_int_equal(item.gap.packets, 50);
	assert_int_equal(item.gap.bytes, 50 * PACKET_LEN);
	assert_int_equal(item.gap.first.ns, 2000);
	assert_int_equal(item.gap.last.ns, 2049);
	assert_next_batch(log, 3);
	batch_log_free(log);
}

static void
an_evicted_batch_takes_the_gap_behind_it_along(void **state)
{
	struct batch_log *log = log_for(2, BATCH_LOG_DROP_OLDEST);
	struct log_item item;

	(void)state;
	append(log, 1, 1, E_OK);
	assert_int_equal(append_one(log, 2, 50), E_LIMIT);
	append(log, 3, 5, E_OK);		/* 1 goes, then 3 */
	assert_int_equal(batch_log_lost_packets(log), 52);
	assert_int_equal(batch_log_next(log, &item), E_OK);
	assert_null(item.batch);
	assert_int_equal(item.gap.first_sequence, 1);
	assert_int_equal(item.gap.last_sequence, 3);
	assert_int_equal(item.gap.packets, 52);
	assert_next_batch(log, 4);
	batch_log_free(log);
}

static void
a_sequence_out_of_order_changes_nothing(void **state)
{
	struct batch_log *log = log_for(3, BATCH_LOG_DROP_OLDEST);

	(void)state;
	append(log, 1, 1, E_OK);
	append(log, 1, 1, E_BUG);
	append(log, 3, 3, E_BUG);
	append(log, 2, 2, E_OK);
	assert_next_batch(log, 1);
	assert_next_batch(log, 2);
	assert_nothing_next(log);
	batch_log_free(log);
}

/* --- going back --- */

static void
assert_seek(struct batch_log *log, uint64_t sequence, int want)
{
	assert_int_equal(batch_log_seek(log, sequence), want);
}

static void
everything_that_is_not_acknowledged_can_be_had_again(void **state)
{
	struct batch_log *log = log_for(10, BATCH_LOG_DROP_OLDEST);

	(void)state;
	append(log, 1, 6, E_OK);
	for (uint64_t s = 1; s <= 5; s++)
		assert_next_batch(log, s);
	assert_int_equal(batch_log_ack(log, 2), E_OK);
	assert_seek(log, 0, E_GONE);
	assert_seek(log, 2, E_GONE);		/* acknowledged */
	assert_seek(log, 7, E_GONE);		/* not given */
	assert_seek(log, UINT64_MAX, E_GONE);
	for (uint64_t from = 3; from <= 6; from++) {
		assert_seek(log, from, E_OK);
		assert_int_equal(batch_log_given(log), from - 1);
		assert_int_equal(batch_log_ack(log, from), E_STATE);
		for (uint64_t s = from; s <= 6; s++)
			assert_next_batch(log, s);
		assert_nothing_next(log);
	}
	assert_seek(log, 7, E_OK);
	assert_nothing_next(log);
	append(log, 7, 7, E_OK);
	assert_next_batch(log, 7);
	assert_int_equal(batch_log_lost_packets(log), 0);
	batch_log_free(log);
}

static void
a_log_without_a_batch_begins_at_the_first(void **state)
{
	struct batch_log *log = log_for(3, BATCH_LOG_DROP_OLDEST);

	(void)state;
	assert_seek(log, 1, E_OK);
	assert_seek(log, 2, E_GONE);
	append(log, 1, 1, E_OK);
	assert_seek(log, 1, E_OK);
	assert_next_batch(log, 1);
	batch_log_free(log);
}

static void
what_was_given_and_evicted_is_lost_when_it_is_asked_for(void **state)
{
	struct batch_log *log = log_for(3, BATCH_LOG_DROP_OLDEST);

	(void)state;
	append(log, 1, 3, E_OK);
	for (uint64_t s = 1; s <= 3; s++)
		assert_next_batch(log, s);
	append(log, 4, 5, E_OK);		/* in the place of 1 and 2 */
	assert_int_equal(batch_log_lost_packets(log), 0);
	assert_seek(log, 2, E_OK);
	assert_int_equal(batch_log_lost_packets(log), 1);
	assert_int_equal(batch_log_lost_of(log, 0), 1);
	assert_int_equal(batch_log_lost_of(log, 2), 0);
	assert_int_equal(batch_log_lost_of(log, 77), 0);
	assert_next_gap(log, 2, 2);
	assert_next_batch(log, 3);
	assert_seek(log, 1, E_OK);
	assert_int_equal(batch_log_lost_packets(log), 2);
	assert_next_gap(log, 1, 1);		/* as the batches came */
	assert_next_gap(log, 2, 2);
	assert_seek(log, 2, E_OK);		/* lost once, not twice */
	assert_int_equal(batch_log_lost_packets(log), 2);
	assert_int_equal(batch_log_lost_bytes(log), 2 * PACKET_LEN);
	assert_int_equal(batch_log_lost_of(log, 2), 1);
	batch_log_free(log);
}

static void
a_gap_comes_again_within_its_bounds(void **state)
{
	struct batch_log *log = log_for(3, BATCH_LOG_DROP_OLDEST);

	(void)state;
	append(log, 1, 5, E_OK);
	assert_next_gap(log, 1, 2);
	append(log, 6, 8, E_OK);		/* 3 to 5: never given */
	assert_seek(log, 2, E_GONE);		/* inside */
	assert_seek(log, 1, E_OK);
	assert_next_gap(log, 1, 2);
	assert_next_gap(log, 3, 5);
	assert_seek(log, 3, E_OK);
	assert_next_gap(log, 3, 5);
	assert_int_equal(batch_log_lost_packets(log), 5);
	assert_int_equal(batch_log_ack(log, 4), E_OK);	/* half of it */
	assert_seek(log, 4, E_GONE);
	assert_seek(log, 5, E_GONE);
	assert_seek(log, 6, E_OK);
	assert_next_batch(log, 6);
	batch_log_free(log);
}

static void
refused_batches_come_again_as_their_gap(void **state)
{
	struct batch_log *log = log_for(2, BATCH_LOG_DROP_NEWEST);

	(void)state;
	append(log, 1, 2, E_OK);
	append(log, 3, 4, E_LIMIT);
	assert_next_batch(log, 1);
	assert_next_batch(log, 2);
	assert_next_gap(log, 3, 4);
	append(log, 5, 5, E_LIMIT);
	assert_next_gap(log, 5, 5);
	assert_seek(log, 2, E_OK);
	assert_next_batch(log, 2);
	assert_next_gap(log, 3, 4);
	assert_next_gap(log, 5, 5);
	assert_nothing_next(log);
	assert_int_equal(batch_log_lost_packets(log), 3);
	batch_log_free(log);
}

/* --- reasons --- */

static void
gaps_of_different_reasons_stay_apart(void **state)
{
	struct batch_log *log = log_for(2, BATCH_LOG_DROP_OLDEST);

	(void)state;
	append(log, 1, 3, E_OK);
	batch_log_set_reason(log, GAP_DISCONNECTED);
	append(log, 4, 5, E_OK);
	batch_log_set_reason(log, GAP_LOG_FULL);
	append(log, 6, 6, E_OK);
	assert_next_gap_for(log, 1, 1, GAP_LOG_FULL);
	assert_next_gap_for(log, 2, 3, GAP_DISCONNECTED);
	assert_next_gap_for(log, 4, 4, GAP_LOG_FULL);
	assert_next_batch(log, 5);
	batch_log_free(log);
}

static void
an_interrupted_log_has_one_gap_for_all_that_was_left(void **state)
{
	struct batch_log *log = log_for(4, BATCH_LOG_DROP_OLDEST);

	(void)state;
	batch_log_interrupt(log);
	assert_nothing_next(log);
	append(log, 1, 4, E_OK);
	assert_next_batch(log, 1);
	batch_log_interrupt(log);
	assert_int_equal(batch_log_lost_packets(log), 3);
	append(log, 5, 5, E_OK);
	batch_log_interrupt(log);
	batch_log_interrupt(log);
	assert_next_gap_for(log, 2, 5, GAP_INTERRUPTED);
	assert_nothing_next(log);
	assert_seek(log, 1, E_OK);		/* what was given is still there */
	assert_next_batch(log, 1);
	assert_next_gap_for(log, 2, 5, GAP_INTERRUPTED);
	assert_int_equal(batch_log_ack(log, 5), E_OK);
	assert_int_equal(batch_log_bytes(log), 0);
	batch_log_free(log);
}

/* --- memory --- */

static void
a_batch_that_is_being_sent_keeps_its_room(void **state)
{
	struct batch_log *log = log_for(2, BATCH_LOG_DROP_OLDEST);
	struct log_item item;

	(void)state;
	append(log, 1, 2, E_OK);
	assert_int_equal(batch_log_next(log, &item), E_OK);
	append(log, 3, 3, E_OK);		/* in the place of 2: 1 gives no room */
	assert_next_gap(log, 2, 2);
	assert_next_batch(log, 3);
	assert_seek(log, 1, E_OK);		/* it was not given up for nothing */
	assert_next_batch(log, 1);
	assert_next_gap(log, 2, 2);
	assert_next_batch(log, 3);
	assert_int_equal(batch_log_ack(log, 3), E_OK);
	assert_true(batch_log_bytes(log) >= item.batch->mem_bytes);
	append(log, 4, 4, E_OK);
	append(log, 5, 5, E_OK);		/* in the place of 4 */
	batch_log_return(log, item.batch);
	assert_true(batch_log_bytes(log) < 2 * one_batch_bytes());
	append(log, 6, 6, E_OK);
	assert_next_gap(log, 4, 4);
	assert_next_batch(log, 5);
	assert_next_batch(log, 6);
	batch_log_free(log);
}

static void
a_log_that_is_all_being_sent_refuses(void **state)
{
	struct batch_log *log = log_for(2, BATCH_LOG_DROP_OLDEST);
	struct log_item items[2];

	(void)state;
	append(log, 1, 2, E_OK);
	assert_int_equal(batch_log_next(log, &items[0]), E_OK);
	assert_int_equal(batch_log_next(log, &items[1]), E_OK);
	append(log, 3, 3, E_LIMIT);
	assert_next_gap(log, 3, 3);
	batch_log_return(log, items[0].batch);
	batch_log_return(log, items[1].batch);
	append(log, 4, 4, E_OK);
	assert_next_batch(log, 4);
	batch_log_free(log);
}

static void
a_reader_that_acknowledges_nothing_is_forgotten_behind(void **state)
{
	const size_t batches = 10, room = 11 * one_batch_bytes();
	struct batch_log *log = log_for(batches, BATCH_LOG_DROP_OLDEST);
	uint64_t s;

	(void)state;
	for (s = 1; s <= 5000; s++) {
		append(log, s, s, E_OK);
		assert_next_batch(log, s);
		assert_true(batch_log_bytes(log) <= room);
	}
	assert_seek(log, 1, E_GONE);
	assert_int_equal(batch_log_lost_packets(log), 0);
	assert_seek(log, 4988, E_OK);
	assert_next_gap(log, 4988, 4988);
	batch_log_free(log);
}

static void
refusals_that_nobody_acknowledges_take_no_more_room(void **state)
{
	struct batch_log *log = log_for(10, BATCH_LOG_DROP_NEWEST);
	uint64_t s, next, packets = 0;
	struct log_item item;

	(void)state;
	append(log, 1, 10, E_OK);
	for (s = 1; s <= 10; s++)
		assert_next_batch(log, s);
	for (; s <= 5000; s++) {
		append(log, s, s, E_LIMIT);
		assert_next_gap(log, s, s);
		assert_true(batch_log_bytes(log) <= 12 * one_batch_bytes());
	}
	assert_int_equal(batch_log_lost_packets(log), 4990);
	assert_seek(log, 11, E_OK);
	for (next = 11; batch_log_next(log, &item) == E_OK; ) {
		assert_int_equal(item.gap.first_sequence, next);
		packets += item.gap.packets;
		next = item.gap.last_sequence + 1;
	}
	assert_int_equal(next, 5001);
	assert_int_equal(packets, 4990);
	batch_log_free(log);
}

static void
what_waits_tells_since_when(void **state)
{
	struct batch_log *log = log_for(3, BATCH_LOG_DROP_OLDEST);
	struct mono_ns since = { 77 };

	(void)state;
	assert_false(batch_log_waits_since(log, &since));
	assert_int_equal(since.ns, 77);
	append(log, 1, 2, E_OK);
	assert_true(batch_log_waits_since(log, &since));
	assert_int_equal(since.ns, 1);
	assert_next_batch(log, 1);
	assert_true(batch_log_waits_since(log, &since));
	assert_int_equal(since.ns, 2);
	assert_next_batch(log, 2);
	assert_false(batch_log_waits_since(log, &since));
	batch_log_free(log);
}

/* A gap has a number for each interface: it can be larger than its batch. */
static struct batch *
make_wide_batch(uint64_t sequence)
{
	const struct packet_meta meta = { { 1 }, 60, 60, PROTO_MAX_INTERFACES - 1, 0, 0 };
	struct batch_builder *b = batch_builder_new();
	struct batch *batch;

	memset(batch_builder_add(b, &meta), 0, 60);
	batch = batch_builder_seal(b, sequence);
	batch_builder_free(b);
	return batch;
}

static void
gaps_of_thousands_of_interfaces_stay_within_the_bound(void **state)
{
	enum { BYTES = 2 << 20, WIDE = 33 << 10 };
	const enum batch_log_policy policies[] = {
		BATCH_LOG_DROP_OLDEST, BATCH_LOG_DROP_NEWEST,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(policies); i++) {
		struct batch_log *log = batch_log_new(BYTES, policies[i]);
		struct log_item item;
		size_t most = 0;

		for (uint64_t s = 1; s <= 20000; s++) {
			(void)batch_log_append(log, make_wide_batch(s),
			    (struct mono_ns){ 0 });
			while (batch_log_next(log, &item) == E_OK)
				if (item.batch != NULL)
					batch_log_return(log, item.batch);
			if (s % 9000 == 0)
				assert_int_equal(batch_log_ack(log, s - 7000), E_OK);
			if (batch_log_bytes(log) > most)
				most = batch_log_bytes(log);
		}
		assert_true(most > BYTES / 2);
		assert_true(most <= BYTES + 2 * WIDE);
		batch_log_free(log);
	}
}

/* --- random work, against sums kept here --- */

enum { N_STEPS = 20000, MOST_PACKETS = 4, MAX_ITEMS = 2 * N_STEPS, IFACES = 3 };

/* What the reader has: its items in order; it may lose those at the end. */
struct told {
	struct batch_log *log;
	uint64_t	 acked;
	size_t		 n, n_acked;
	struct {
		bool	 is_gap;
		uint64_t last, packets, by_interface[IFACES];
	}		 items[MAX_ITEMS];
};

static uint32_t
packets_of(uint64_t sequence)
{
	return (uint32_t)(sequence * 7 % MOST_PACKETS + 1);
}

/* Packets of interface 2 (0 has the others) in batch sequence. */
static uint64_t
packets_of_2(uint64_t sequence)
{
	return (packets_of(sequence) + (sequence & 1)) / 2;
}

static uint64_t
next_of(const struct told *t)
{
	return t->n == 0 ? 1 : t->items[t->n - 1].last + 1;
}

static void
check_gap(const struct msg_gap *gap)
{
	uint64_t packets = 0, of_2 = 0;

	for (uint64_t s = gap->first_sequence; s <= gap->last_sequence; s++) {
		packets += packets_of(s);
		of_2 += packets_of_2(s);
	}
	assert_int_equal(gap->packets, packets);
	assert_int_equal(gap->bytes, packets * PACKET_LEN);
	assert_int_equal(gap->first.ns, gap->first_sequence * 1000);
	assert_int_equal(gap->last.ns, gap->last_sequence * 1000 +
	    packets_of(gap->last_sequence) - 1);
	assert_int_equal(gap->n_interfaces > 0 ? gap->by_interface[0] : 0,
	    packets - of_2);
	assert_int_equal(gap->n_interfaces > 2 ? gap->by_interface[2] : 0, of_2);
}

/* Take one item: exactly what follows the last one.  Was there any? */
static bool
take_one(struct told *t)
{
	struct log_item item;
	uint64_t first = next_of(t);

	if (batch_log_next(t->log, &item) != E_OK)
		return false;
	assert_true(t->n < MAX_ITEMS);
	t->items[t->n].is_gap = item.batch == NULL;
	if (item.batch != NULL) {
		assert_int_equal(item.batch->sequence, first);
		t->items[t->n].packets = item.batch->n_packets;
		t->items[t->n].last = first;
		batch_log_return(t->log, item.batch);
	} else {
		assert_int_equal(item.gap.first_sequence, first);
		check_gap(&item.gap);
		t->items[t->n].packets = item.gap.packets;
		t->items[t->n].last = item.gap.last_sequence;
		for (uint32_t i = 0; i < IFACES; i++)
			t->items[t->n].by_interface[i] = i < item.gap.n_interfaces ?
			    item.gap.by_interface[i] : 0;
	}
	t->n++;
	return true;
}

static void
check_sums(const struct told *t, uint64_t packets)
{
	uint64_t got = 0, lost = 0, lost_of[IFACES] = { 0 };

	for (size_t i = 0; i < t->n; i++) {
		*(t->items[i].is_gap ? &lost : &got) += t->items[i].packets;
		for (uint32_t k = 0; t->items[i].is_gap && k < IFACES; k++)
			lost_of[k] += t->items[i].by_interface[k];
	}
	assert_int_equal(got + lost, packets);
	assert_int_equal(batch_log_lost_packets(t->log), lost);
	assert_int_equal(batch_log_lost_bytes(t->log), lost * PACKET_LEN);
	for (uint32_t k = 0; k < IFACES; k++)
		assert_int_equal(batch_log_lost_of(t->log, k), lost_of[k]);
	assert_true(lost > 0 && got > 0);
}

static void
work_at_random(enum batch_log_policy policy, uint64_t seed)
{
	static struct told told;
	size_t max_bytes = 60 * one_batch_bytes();
	struct batch_log *log = batch_log_new(max_bytes, policy);
	uint64_t sequence = 0, packets = 0, x, k;
	struct told *t = &told;

	t->log = log;
	t->n = t->n_acked = 0;
	for (unsigned step = 0; step < N_STEPS; step++) {
		x = mutate_next_random(&seed);
		if (x % 32 < 14) {
			sequence++;
			packets += packets_of(sequence);
			(void)append_one(log, sequence, packets_of(sequence));
		} else if (x % 32 < 26) {
			for (k = (x >> 16) % 3; k > 0 && take_one(t); k--)
				;
		} else if (x % 32 < 30 && t->n > t->n_acked) {
			t->n_acked += 1 + (x >> 16) % (t->n - t->n_acked);
			assert_int_equal(batch_log_ack(log,
			    t->items[t->n_acked - 1].last), E_OK);
		} else if (x % 32 == 30) {
			/* A connection that breaks: its last items are lacking. */
			t->n = t->n_acked + (x >> 16) % (t->n - t->n_acked + 1);
			assert_seek(log, next_of(t), E_OK);
		} else if (x % 32 == 31)
			batch_log_set_reason(log, (x >> 16) % 2 == 0 ?
			    GAP_LOG_FULL : GAP_DISCONNECTED);
		assert_true(batch_log_bytes(log) <= max_bytes + 1024);
	}
	while (take_one(t))
		;
	assert_int_equal(next_of(t), sequence + 1);
	check_sums(t, packets);
	assert_int_equal(batch_log_ack(log, sequence), E_OK);
	assert_int_equal(batch_log_bytes(log), 0);
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
		cmocka_unit_test(a_sequence_out_of_order_changes_nothing),
		cmocka_unit_test(everything_that_is_not_acknowledged_can_be_had_again),
		cmocka_unit_test(a_log_without_a_batch_begins_at_the_first),
		cmocka_unit_test(what_was_given_and_evicted_is_lost_when_it_is_asked_for),
		cmocka_unit_test(a_gap_comes_again_within_its_bounds),
		cmocka_unit_test(refused_batches_come_again_as_their_gap),
		cmocka_unit_test(gaps_of_different_reasons_stay_apart),
		cmocka_unit_test(an_interrupted_log_has_one_gap_for_all_that_was_left),
		cmocka_unit_test(a_batch_that_is_being_sent_keeps_its_room),
		cmocka_unit_test(a_log_that_is_all_being_sent_refuses),
		cmocka_unit_test(a_reader_that_acknowledges_nothing_is_forgotten_behind),
		cmocka_unit_test(refusals_that_nobody_acknowledges_take_no_more_room),
		cmocka_unit_test(gaps_of_thousands_of_interfaces_stay_within_the_bound),
		cmocka_unit_test(what_waits_tells_since_when),
		cmocka_unit_test(sums_are_exact_when_the_oldest_goes),
		cmocka_unit_test(sums_are_exact_when_the_newest_is_refused),
	};

	return cmocka_run_group_tests_name("server/batch_log", tests, NULL, NULL);
}
