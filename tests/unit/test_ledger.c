/* client/ledger: it adds up, or says where it does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/ledger.h"

/* Two interfaces with every kind of loss; all of it adds up. */
static void
make_balanced(struct ledger *l)
{
	struct msg_interface_stats interfaces[2] = {
		{ .received = 1003, .dropped_kernel = 100, .dropped_agent = 10,
		    .dropped_filter_change = 3, .batched = 890,
		    .dropped_interface = 5, .freezes = 2 },
		{ .received = 50, .batched = 50, .dropped_interface = 1 },
	};
	struct msg_stats stats = { .n_interfaces = 2, .interfaces = interfaces };

	assert_int_equal(ledger_init(l, 2), E_OK);
	ledger_set_agent(l, &stats, true);
	l->written[0] = 780;
	l->filtered[0] = 16;
	l->not_held = 4;
	l->written[1] = 45;
	l->gap_packets = 60;
	l->beyond_count = 30;
	l->lost_output = 5;
	l->cut = 7;
}

static void
a_balanced_ledger_passes(void **state)
{
	struct ledger l;
	struct err err;

	(void)state;
	make_balanced(&l);
	assert_int_equal(ledger_check(&l, &err), E_OK);
	assert_int_equal(ledger_written(&l), 825);
	ledger_fini(&l);
}

static void
an_empty_capture_is_balanced(void **state)
{
	struct ledger l;
	struct err err;

	(void)state;
	assert_int_equal(ledger_init(&l, 3), E_OK);
	assert_int_equal(ledger_check(&l, &err), E_OK);
	ledger_fini(&l);
	ledger_fini(&l);
}

/* One number changed by one: nothing may hide it. */
static void
each_number_that_is_off_by_one_is_caught(void **state)
{
	(void)state;
	for (int which = 0; which < 14; which++)
		for (int by = -1; by <= 1; by += 2) {
			struct ledger l;
			struct err err;
			uint64_t *numbers[14];

			make_balanced(&l);
			numbers[0] = &l.agent[0].received;
			numbers[1] = &l.agent[0].dropped_kernel;
			numbers[2] = &l.agent[0].dropped_agent;
			numbers[3] = &l.agent[0].batched;
			numbers[4] = &l.agent[1].received;
			numbers[5] = &l.agent[1].batched;
			numbers[6] = &l.written[0];
			numbers[7] = &l.written[1];
			numbers[8] = &l.gap_packets;
			numbers[9] = &l.beyond_count;
			numbers[10] = &l.lost_output;
			numbers[11] = &l.agent[0].dropped_filter_change;
			numbers[12] = &l.filtered[1];
			numbers[13] = &l.not_held;
			*numbers[which] += (uint64_t)by;
			assert_int_equal(ledger_check(&l, &err), E_BUG);
			assert_non_null(strstr(err.what, "ledger"));
			assert_int_equal(ledger_check(&l, NULL), E_BUG);
			ledger_fini(&l);
		}
}

static void
one_interface_does_not_make_up_for_another(void **state)
{
	struct ledger l;
	struct err err;

	(void)state;
	make_balanced(&l);
	l.agent[0].received++;
	l.agent[1].received--;
	assert_int_equal(ledger_check(&l, &err), E_BUG);
	assert_non_null(strstr(err.what, "interface 0"));
	assert_non_null(strstr(err.what, "1004"));
	ledger_fini(&l);
}

static void
what_was_cut_or_dropped_before_the_filter_is_no_loss_of_packets(void **state)
{
	struct ledger l;
	struct err err;

	(void)state;
	make_balanced(&l);
	l.cut += 100;
	l.agent[0].dropped_interface += 100;
	assert_int_equal(ledger_check(&l, &err), E_OK);
	ledger_fini(&l);
}

static void
the_summary_holds_the_sums_of_all_interfaces(void **state)
{
	struct ui_summary s;
	struct ledger l;

	(void)state;
	make_balanced(&l);
	ledger_summary(&l, &s);
	assert_int_equal(s.captured, 825);
	assert_int_equal(s.received, 1053);
	assert_int_equal(s.lost_change, 3);
	assert_int_equal(s.lost_format, 4);
	assert_int_equal(s.filtered, 16);
	assert_int_equal(s.freezes, 2);
	assert_int_equal(s.dropped_kernel, 100);
	assert_int_equal(s.dropped_interface, 6);
	assert_int_equal(s.lost_buffer, 60);
	assert_int_equal(s.lost_agent, 10);
	assert_int_equal(s.lost_output, 5);
	assert_int_equal(s.beyond_count, 30);
	assert_int_equal(s.cut, 7);
	assert_int_equal(s.lost_connection, 0);
	ledger_fini(&l);
}

static void
after_a_broken_connection_what_never_came_is_a_loss(void **state)
{
	struct ui_summary s;
	struct ledger l;

	(void)state;
	make_balanced(&l);
	l.is_final = false;
	l.written[0] -= 300;
	ledger_summary(&l, &s);
	assert_int_equal(s.lost_connection, 300);
	assert_int_equal(s.received, 1053);
	ledger_fini(&l);
}

static void
after_a_broken_connection_old_counters_do_not_hide_what_came(void **state)
{
	struct ui_summary s;
	struct ledger l;

	(void)state;
	make_balanced(&l);
	l.is_final = false;
	l.written[0] += 500;
	ledger_summary(&l, &s);
	assert_int_equal(s.lost_connection, 0);
	assert_int_equal(s.captured, 1325);
	assert_true(s.received >= s.captured + s.lost_buffer + s.dropped_kernel);
	ledger_fini(&l);
}

static void
an_interface_that_comes_later_counts_from_zero(void **state)
{
	struct msg_interface_stats interfaces[3] = {
		{ .received = 890, .batched = 890 }, { .received = 50, .batched = 50 },
		{ .received = 7, .batched = 7 },
	};
	struct msg_stats stats = { .n_interfaces = 3, .interfaces = interfaces };
	struct ledger l;
	struct err err;

	(void)state;
	make_balanced(&l);
	assert_int_equal(ledger_add_interface(&l), E_OK);
	assert_int_equal(l.n_interfaces, 3);
	assert_int_equal(ledger_check(&l, &err), E_OK);
	ledger_set_agent(&l, &stats, true);
	l.written[2] = 5;
	assert_int_equal(ledger_check(&l, &err), E_BUG);
	l.filtered[2] = 2;
	assert_int_equal(ledger_check(&l, &err), E_OK);
	ledger_fini(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_balanced_ledger_passes),
		cmocka_unit_test(an_empty_capture_is_balanced),
		cmocka_unit_test(each_number_that_is_off_by_one_is_caught),
		cmocka_unit_test(an_interface_that_comes_later_counts_from_zero),
		cmocka_unit_test(one_interface_does_not_make_up_for_another),
		cmocka_unit_test(what_was_cut_or_dropped_before_the_filter_is_no_loss_of_packets),
		cmocka_unit_test(the_summary_holds_the_sums_of_all_interfaces),
		cmocka_unit_test(after_a_broken_connection_what_never_came_is_a_loss),
		cmocka_unit_test(after_a_broken_connection_old_counters_do_not_hide_what_came),
	};

	return cmocka_run_group_tests_name("client/ledger", tests, NULL, NULL);
}
