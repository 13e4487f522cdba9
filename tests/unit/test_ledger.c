/* client/ledger: it adds up, or says where it does not. */
#include "ledger_lab.h"

#include "client/sink.h"

#define WALL(seconds)	((struct wall_ns){ (int64_t)(seconds) * NS_PER_S })

/* --- the balance --- */

static void
a_balanced_ledger_passes(void **state)
{
	struct ledger l;

	(void)state;
	make_balanced(&l);
	assert_true(ledger_is_settled(&l));
	assert_balanced(&l);
	assert_int_equal(ledger_written(&l), 824);
	ledger_end_epoch(&l);
	assert_true(ledger_is_settled(&l));
	assert_balanced(&l);
	ledger_fini(&l);
	ledger_fini(&l);
}

static void
an_empty_capture_is_balanced(void **state)
{
	struct ledger l;

	(void)state;
	make_ledger(&l, 3);
	assert_true(ledger_is_settled(&l));
	assert_balanced(&l);
	ledger_end_epoch(&l);
	assert_balanced(&l);
	ledger_fini(&l);
}

/* One number changed by one: nothing may hide it, in this epoch or an old one. */
static void
each_number_that_is_off_by_one_is_caught(void **state)
{
	enum { NUMBERS = 28 };

	(void)state;
	for (int which = 0; which < NUMBERS; which++)
		for (int by = -1; by <= 1; by += 2) {
			struct ledger l;
			struct ledger_counts *a, *b;

			make_balanced(&l);
			ledger_end_epoch(&l);
			tell(&l, balanced_stats, 2, true);
			l.rows[0].n.written += 890;
			l.rows[1].n.written += 50;
			assert_balanced(&l);
			a = &l.rows[0].n;
			b = &l.rows[1].n;
			uint64_t *numbers[NUMBERS] = {
				&a->now.received, &a->now.dropped_kernel,
				&a->now.dropped_agent, &a->now.dropped_filter_change,
				&a->now.batched, &b->now.received, &b->now.batched,
				&a->past.received, &a->past.dropped_kernel,
				&a->past.dropped_agent, &a->past.dropped_filter_change,
				&a->past.batched, &b->past.received, &b->past.batched,
				&a->written, &b->written, &a->filtered, &a->beyond,
				&b->beyond, &a->not_held, &a->lost_output, &a->lost_queue,
				&a->lost_connection, &a->gaps[GAP_LOG_FULL],
				&b->gaps[GAP_DISCONNECTED], &a->gaps[GAP_INTERRUPTED],
				&l.rest.gaps[GAP_LOG_FULL], &l.rest.told,
			};
			*numbers[which] += (uint64_t)by;
			assert_not_balanced(&l, "");
			ledger_fini(&l);
		}
}

static void
one_interface_does_not_make_up_for_another(void **state)
{
	struct ledger l;

	(void)state;
	make_balanced(&l);
	l.rows[0].n.now.received++;
	l.rows[1].n.now.received--;
	assert_not_balanced(&l, "interface 'eth0': 1004 received");
	l.rows[0].n.now.received--;
	l.rows[1].n.now.received++;
	l.rows[0].n.written--;
	l.rows[1].n.written++;
	assert_not_balanced(&l, "interface 'eth0': the agent sent 890");
	ledger_fini(&l);
}

static void
what_was_cut_or_dropped_before_the_filter_is_no_loss_of_packets(void **state)
{
	struct ledger l;

	(void)state;
	make_balanced(&l);
	l.rest.cut += 100;
	l.rows[0].n.now.dropped_interface += 100;
	l.rows[0].n.now.freezes += 100;
	assert_balanced(&l);
	ledger_fini(&l);
}

static void
an_interface_that_comes_later_counts_from_zero(void **state)
{
	const struct msg_interface_stats stats[3] = {
		balanced_stats[0], balanced_stats[1], { .received = 7, .batched = 7 },
	};
	struct ledger l;

	(void)state;
	make_balanced(&l);
	assert_int_equal(ledger_add_interface(&l, "eth2"), 2);
	assert_int_equal(l.n_interfaces, 3);
	assert_balanced(&l);
	tell(&l, stats, 3, true);
	l.rows[2].n.written = 5;
	assert_not_balanced(&l, "interface 'eth2'");
	l.rows[2].n.filtered = 2;
	assert_balanced(&l);
	ledger_fini(&l);
}

static void
a_ledger_of_a_day_at_line_rate_adds_up(void **state)
{
	enum { RATE = 600000, STEP_S = 2, DAY_S = 24 * 3600 };
	const uint64_t step = (uint64_t)RATE * STEP_S;
	struct msg_interface_stats stats[2] = { { .received = 0 } };
	struct ui_summary s;
	struct ledger l;

	(void)state;
	make_ledger(&l, 2);
	for (int i = 0; i < DAY_S / STEP_S; i++) {
		stats[0].received += step;
		stats[0].dropped_kernel += 7;
		stats[0].batched += step - 7;
		stats[1].received += step;
		stats[1].batched += step;
		/* Stats overtake what is on its way, or come late. */
		l.rows[0].n.written += step - 7 - 100;
		l.rows[1].n.filtered += step / 2;
		tell(&l, stats, 2, false);
		l.rows[1].n.written += step / 2;
		gap(&l, i % 2 == 0 ? GAP_LOG_FULL : GAP_DISCONNECTED, 100, 100, 0);
		if (i % 1000 == 999)
			assert_balanced(&l);
	}
	tell(&l, stats, 2, true);
	assert_balanced(&l);
	ledger_summary(&l, &s);
	assert_int_equal(s.received, UINT64_C(2) * RATE * DAY_S);
	assert_int_equal(s.received, s.captured + s.filtered + s.dropped_kernel +
	    s.lost_buffer + s.lost_disconnected);
	l.rows[1].n.written--;
	assert_not_balanced(&l, "eth1");
	ledger_fini(&l);
}

/* --- gaps and interfaces of the agent --- */

static void
a_map_says_which_row_an_interface_is(void **state)
{
	/* Deleted and made again: the agent's 0 and 2 are one row. */
	const uint32_t map[] = { 1, 0, 1 };
	struct msg_interface_stats stats[3] = {
		{ .received = 10, .batched = 10 }, { .received = 20, .batched = 20 },
		{ .received = 5, .batched = 3, .dropped_kernel = 2 },
	};
	struct msg_stats msg = { .n_interfaces = 3, .interfaces = stats };
	uint64_t by[] = { 1, 2, 3 };
	struct msg_gap g = {
		.packets = 6, .reason = GAP_LOG_FULL, .n_interfaces = 3, .by_interface = by,
	};
	struct ui_summary s;
	struct ledger l;

	(void)state;
	make_ledger(&l, 2);
	ledger_set_agent(&l, &msg, map, 3, true);
	ledger_gap(&l, &g, map, 3);
	l.rows[1].n.written = 9;
	l.rows[0].n.written = 18;
	assert_balanced(&l);
	ledger_row_summary(&l, 1, &s);
	assert_int_equal(s.received, 15);
	assert_int_equal(s.dropped_kernel, 2);
	assert_int_equal(s.lost_buffer, 4);
	assert_int_equal(l.rest.gaps[GAP_LOG_FULL], 0);
	ledger_fini(&l);
}

static void
counters_of_an_interface_without_a_row_do_not_add_up(void **state)
{
	const uint32_t maps[][2] = { { 0, 2 }, { 0, UINT32_MAX } };
	struct msg_interface_stats stats[2] = {
		{ .received = 1, .batched = 1 }, { .received = 1, .batched = 1 },
	};
	struct msg_stats msg = { .n_interfaces = 2, .interfaces = stats };
	struct ledger l;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(maps) + 1; i++) {
		make_ledger(&l, 1);
		ledger_wrote(&l, 0);
		if (i < ARRAY_LEN(maps))
			ledger_set_agent(&l, &msg, maps[i], 2, true);
		else
			ledger_set_agent(&l, &msg, maps[0], 1, true);
		assert_not_balanced(&l, "bounds");
		ledger_end_epoch(&l);
		assert_not_balanced(&l, "bounds");
		ledger_fini(&l);
	}
}

static void
gap_packets_of_no_interface_balance_the_sum_only(void **state)
{
	const struct msg_interface_stats stats[2] = {
		{ .received = 10, .batched = 10 }, { .received = 10, .batched = 10 },
	};
	struct ui_summary s;
	struct ledger l;

	(void)state;
	make_ledger(&l, 2);
	tell(&l, stats, 2, true);
	gap(&l, GAP_LOG_FULL, 7, 1, 2);
	assert_int_equal(l.rest.gaps[GAP_LOG_FULL], 4);
	l.rows[0].n.written = 6;
	l.rows[1].n.written = 7;
	assert_balanced(&l);
	ledger_summary(&l, &s);
	assert_int_equal(s.lost_buffer, 7);
	ledger_rest_summary(&l, &s);
	assert_int_equal(s.lost_buffer, 4);
	/* A row may lack them, but not have too many. */
	l.rows[0].n.written = 5;
	l.rows[1].n.written = 8;
	assert_balanced(&l);
	l.rows[0].n.written = 10;
	l.rows[1].n.written = 3;
	assert_not_balanced(&l, "interface 'eth0'");
	l.rows[0].n.written = 6;
	l.rows[1].n.written = 6;
	assert_not_balanced(&l, "sent 20 packets, but 19");
	ledger_fini(&l);
}

static void
the_only_row_has_all_packets_of_a_gap(void **state)
{
	const uint32_t map[] = { 1, 1 };
	struct msg_gap g = { .packets = 4, .reason = GAP_DISCONNECTED };
	struct ledger l;

	(void)state;
	make_ledger(&l, 1);
	ledger_gap(&l, &g, NULL, 0);
	assert_int_equal(l.rows[0].n.gaps[GAP_DISCONNECTED], 4);
	assert_int_equal(ledger_add_interface(&l, "eth1"), 1);
	ledger_gap(&l, &g, map, 2);
	assert_int_equal(l.rows[1].n.gaps[GAP_DISCONNECTED], 4);
	ledger_gap(&l, &g, NULL, 0);
	assert_int_equal(l.rest.gaps[GAP_DISCONNECTED], 4);
	ledger_gap(&l, &g, map, 0);
	assert_int_equal(l.rest.gaps[GAP_DISCONNECTED], 8);
	ledger_fini(&l);
}

/* --- hostile counters --- */

static void
counters_without_bounds_do_not_add_up(void **state)
{
	static const struct msg_interface_stats cases[] = {
		{ .received = UINT64_MAX, .dropped_kernel = UINT64_MAX, .batched = UINT64_MAX },
		{ .received = UINT64_MAX, .dropped_kernel = UINT64_MAX, .batched = 1 },
		{ .received = UINT64_MAX - 1, .dropped_agent = UINT64_MAX,
		    .dropped_filter_change = UINT64_MAX },
		{ .received = UINT64_MAX, .batched = UINT64_MAX },
		{ .batched = UINT64_MAX },
		{ .dropped_kernel = UINT64_MAX, .batched = 1 },
		/* These wrap to what would fit. */
		{ .received = 1, .dropped_kernel = UINT64_MAX, .batched = 2 },
		{ .received = 0, .dropped_agent = UINT64_C(1) << 63,
		    .dropped_filter_change = UINT64_C(1) << 63 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (int is_final = 0; is_final < 2; is_final++) {
			struct msg_interface_stats stats[2] = { cases[i], cases[i] };
			struct ui_summary s;
			struct ledger l;

			make_ledger(&l, 2);
			ledger_wrote(&l, 0);
			tell(&l, stats, 2, is_final);
			assert_not_balanced(&l, "");
			ledger_summary(&l, &s);
			(void)ui_summary_lost(&s);
			(void)ledger_is_settled(&l);
			ledger_end_epoch(&l);
			ledger_summary(&l, &s);
			(void)ui_summary_lost(&s);
			assert_not_balanced(&l, "");
			/* And nothing that comes later heals it. */
			tell(&l, balanced_stats, 0, true);
			assert_not_balanced(&l, "");
			ledger_fini(&l);
		}
}

static void
gaps_without_bounds_do_not_add_up(void **state)
{
	struct ledger l;

	(void)state;
	for (int of_no_row = 0; of_no_row < 2; of_no_row++) {
		make_ledger(&l, 2);
		for (int i = 0; i < 3; i++)
			gap(&l, GAP_LOG_FULL, UINT64_MAX, of_no_row ? 0 : UINT64_MAX, 0);
		assert_not_balanced(&l, "bounds");
		ledger_end_epoch(&l);
		assert_not_balanced(&l, "bounds");
		ledger_fini(&l);
	}
	/* More by interface than in all: never counted twice. */
	make_ledger(&l, 2);
	gap(&l, GAP_LOG_FULL, 5, 4, UINT64_MAX);
	assert_int_equal(l.rows[0].n.gaps[GAP_LOG_FULL], 4);
	assert_int_equal(l.rows[1].n.gaps[GAP_LOG_FULL], 1);
	ledger_fini(&l);
}

/* --- what the output did not take --- */

static void
packets_the_output_did_not_take_change_their_place(void **state)
{
	const uint64_t by_row[] = { 100, 44, 9 };
	struct ui_summary s;
	struct ledger l;

	(void)state;
	make_balanced(&l);
	ledger_end_epoch(&l);
	ledger_take_back(&l, by_row, 1, LEDGER_LOST);
	assert_balanced(&l);
	ledger_take_back(&l, by_row, 3, LEDGER_UNWANTED);
	assert_balanced(&l);
	assert_int_equal(l.rows[0].n.lost_queue, 101);
	ledger_summary(&l, &s);
	assert_int_equal(s.captured, 824 - 100 - 100 - 44);
	assert_int_equal(s.lost_queue, 101);
	assert_int_equal(s.beyond_count, 31 + 144);
	/* Not more than it has. */
	ledger_take_back(&l, by_row, 2, LEDGER_LOST);
	assert_int_equal(l.rows[1].n.written, 0);
	assert_balanced(&l);
	ledger_fini(&l);
}

/* --- sums --- */

static void
the_summary_holds_the_sums_of_all_interfaces(void **state)
{
	struct ui_summary s;
	struct ledger l;

	(void)state;
	make_balanced(&l);
	ledger_summary(&l, &s);
	assert_int_equal(s.captured, 824);
	assert_int_equal(s.received, 1053);
	assert_int_equal(s.dropped_kernel, 100);
	assert_int_equal(s.dropped_interface, 6);
	assert_int_equal(s.lost_buffer, 40);
	assert_int_equal(s.lost_disconnected, 15);
	assert_int_equal(s.lost_interrupted, 5);
	assert_int_equal(s.lost_agent, 10);
	assert_int_equal(s.lost_change, 3);
	assert_int_equal(s.lost_output, 4);
	assert_int_equal(s.lost_queue, 1);
	assert_int_equal(s.lost_format, 4);
	assert_int_equal(s.lost_connection, 0);
	assert_int_equal(s.filtered, 16);
	assert_int_equal(s.beyond_count, 31);
	assert_int_equal(s.freezes, 2);
	assert_int_equal(s.cut, 7);
	assert_int_equal(ui_summary_placed(&s), s.received);
	ledger_fini(&l);
}

static void
the_statistics_block_has_a_row_over_all_epochs(void **state)
{
	struct sink_stats stats = { .start = WALL(1), .end = WALL(2) };
	struct ledger l;

	(void)state;
	make_balanced(&l);
	ledger_end_epoch(&l);
	tell(&l, balanced_stats, 2, false);
	ledger_row_stats(&l, 0, &stats);
	assert_int_equal(stats.received, 2006);
	assert_int_equal(stats.dropped_kernel, 200);
	assert_int_equal(stats.dropped_interface, 10);
	assert_int_equal(stats.written, 780);
	assert_int_equal(stats.filtered, 16);
	assert_int_equal(stats.lost_elsewhere, 20 + 6 + 40 + 12 + 3 + 4 + 1 + 4);
	assert_int_equal(stats.start.ns, WALL(1).ns);
	assert_int_equal(stats.end.ns, WALL(2).ns);
	ledger_fini(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_balanced_ledger_passes),
		cmocka_unit_test(an_empty_capture_is_balanced),
		cmocka_unit_test(each_number_that_is_off_by_one_is_caught),
		cmocka_unit_test(one_interface_does_not_make_up_for_another),
		cmocka_unit_test(what_was_cut_or_dropped_before_the_filter_is_no_loss_of_packets),
		cmocka_unit_test(an_interface_that_comes_later_counts_from_zero),
		cmocka_unit_test(a_ledger_of_a_day_at_line_rate_adds_up),
		cmocka_unit_test(a_map_says_which_row_an_interface_is),
		cmocka_unit_test(counters_of_an_interface_without_a_row_do_not_add_up),
		cmocka_unit_test(gap_packets_of_no_interface_balance_the_sum_only),
		cmocka_unit_test(the_only_row_has_all_packets_of_a_gap),
		cmocka_unit_test(counters_without_bounds_do_not_add_up),
		cmocka_unit_test(gaps_without_bounds_do_not_add_up),
		cmocka_unit_test(packets_the_output_did_not_take_change_their_place),
		cmocka_unit_test(the_summary_holds_the_sums_of_all_interfaces),
		cmocka_unit_test(the_statistics_block_has_a_row_over_all_epochs),
	};

	return cmocka_run_group_tests_name("client/ledger", tests, NULL, NULL);
}
