/* client/ledger: several captures of the agent, holes, a client that was restarted. */
#include "ledger_lab.h"

#define WALL(seconds)	((struct wall_ns){ (int64_t)(seconds) * NS_PER_S })

/* --- epochs --- */

static void
epochs_add_up_though_the_agent_counts_from_zero(void **state)
{
	const struct msg_interface_stats second[2] = {
		{ .received = 5, .batched = 4, .dropped_kernel = 1, .freezes = 1 },
		{ .received = 2, .batched = 2, .dropped_interface = 9 },
	};
	struct ui_summary s;
	struct ledger l;

	(void)state;
	make_balanced(&l);
	ledger_end_epoch(&l);
	l.rows[0].n.written += 4;
	assert_false(ledger_is_settled(&l));
	tell(&l, second, 2, false);
	l.rows[1].n.written += 2;
	tell(&l, second, 2, true);
	assert_true(ledger_is_settled(&l));
	assert_balanced(&l);
	ledger_summary(&l, &s);
	assert_int_equal(s.captured, 830);
	assert_int_equal(s.received, 1060);
	assert_int_equal(s.dropped_kernel, 101);
	assert_int_equal(s.dropped_interface, 15);
	assert_int_equal(s.freezes, 3);
	ledger_end_epoch(&l);
	assert_balanced(&l);
	ledger_fini(&l);
}

static void
an_epoch_without_its_last_word_has_what_is_known(void **state)
{
	static const struct {
		const char *what;
		struct msg_interface_stats told;
		uint64_t came, in_gap;
		uint64_t want_received, want_lost;
	} cases[] = {
		{ "nothing was told", { .received = 0 }, 7, 3, 10, 0 },
		{ "nothing came", { .received = 9, .batched = 9 }, 0, 0, 9, 9 },
		{ "the word is older", { .received = 8, .batched = 5, .dropped_kernel = 3 },
		    7, 3, 13, 0 },
		{ "the word is newer", { .received = 20, .batched = 18, .dropped_agent = 2 },
		    7, 3, 20, 8 },
		/* What was in the ring lies in the hole. */
		{ "not all was batched", { .received = 90, .batched = 10,
		    .dropped_filter_change = 4 }, 7, 3, 14, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct ui_summary s;
		struct ledger l;

		make_balanced(&l);
		ledger_end_epoch(&l);
		tell(&l, &cases[i].told, 1, false);
		l.rows[0].n.written += cases[i].came;
		gap(&l, GAP_LOG_FULL, cases[i].in_gap, cases[i].in_gap, 0);
		ledger_end_epoch(&l);
		ledger_row_summary(&l, 0, &s);
		if (s.received != 1003 + cases[i].want_received ||
		    s.lost_connection != cases[i].want_lost)
			fail_msg("%s: %d received, %d lost", cases[i].what,
			    (int)s.received - 1003, (int)s.lost_connection);
		assert_true(ledger_is_settled(&l));
		assert_balanced(&l);
		/* And the next epoch begins at zero. */
		tell(&l, balanced_stats, 2, true);
		l.rows[0].n.written += 890;
		l.rows[1].n.written += 50;
		assert_balanced(&l);
		ledger_fini(&l);
	}
}

static void
a_broken_epoch_with_gaps_of_no_interface_loses_nothing_twice(void **state)
{
	static const struct {
		uint64_t batched[2], gap, want_lost, want_received;
	} cases[] = {
		{ { 10, 10 }, 6, 0, 20 },	/* the gap is what is missing */
		{ { 10, 10 }, 4, 2, 20 },	/* and two more */
		{ { 0, 0 }, 6, 0, 20 },		/* the word is older than all */
		{ { 9, 7 }, 6, 0, 20 },		/* than some */
		{ { 30, 7 }, 0, 23, 37 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct msg_interface_stats stats[2] = {
			{ .received = cases[i].batched[0], .batched = cases[i].batched[0] },
			{ .received = cases[i].batched[1], .batched = cases[i].batched[1] },
		};
		struct ui_summary s;
		struct ledger l;

		make_ledger(&l, 2);
		l.rows[0].n.written = 7;
		l.rows[1].n.written = 7;
		tell(&l, stats, 2, false);
		gap(&l, GAP_LOG_FULL, cases[i].gap, 0, 0);
		ledger_summary(&l, &s);
		assert_true(s.received >= 14 + cases[i].gap);
		ledger_end_epoch(&l);
		assert_balanced(&l);
		ledger_summary(&l, &s);
		assert_int_equal(s.lost_connection, cases[i].want_lost);
		assert_int_equal(s.received, cases[i].want_received);
		assert_int_equal(s.received, ui_summary_placed(&s));
		/* Nor when the next epoch has its last word. */
		tell(&l, stats, 0, true);
		ledger_summary(&l, &s);
		assert_int_equal(s.received, cases[i].want_received);
		ledger_fini(&l);
	}
}

static void
a_last_word_that_is_wrong_is_not_forgotten(void **state)
{
	struct ledger l;

	(void)state;
	make_balanced(&l);
	l.rows[0].n.written--;
	ledger_end_epoch(&l);
	assert_not_balanced(&l, "eth0");
	ledger_wrote(&l, 1);
	ledger_end_epoch(&l);
	assert_not_balanced(&l, "eth0");
	ledger_fini(&l);
}

static void
while_it_runs_old_counters_do_not_hide_what_came(void **state)
{
	struct ui_summary s;
	struct ledger l;

	(void)state;
	make_balanced(&l);
	l.is_final = false;
	l.rows[0].n.written += 500;
	assert_false(ledger_is_settled(&l));
	ledger_summary(&l, &s);
	assert_int_equal(s.captured, 1324);
	assert_int_equal(s.received, 1053 + 500);
	/* What is still on its way is not lost. */
	l.rows[0].n.written -= 700;
	ledger_summary(&l, &s);
	assert_int_equal(s.lost_connection, 0);
	assert_int_equal(s.received, 1053);
	ledger_fini(&l);
}

/* --- holes --- */

static void
too_many_holes_become_one_with_a_count(void **state)
{
	const struct ledger_hole *last;
	struct ledger l;

	(void)state;
	make_ledger(&l, 1);
	for (int i = 0; i < LEDGER_MAX_HOLES + 5; i++)
		ledger_hole(&l, WALL(10 * i), WALL(10 * i + 5), LEDGER_HOLE_AGENT_RESTARTED);
	assert_int_equal(l.n_holes, LEDGER_MAX_HOLES);
	last = &l.holes[LEDGER_MAX_HOLES - 1];
	assert_int_equal(l.holes[0].n, 1);
	assert_int_equal(last->n, 6);
	assert_int_equal(last->from.ns, WALL(10 * (LEDGER_MAX_HOLES - 1)).ns);
	assert_int_equal(last->to.ns, WALL(10 * (LEDGER_MAX_HOLES + 4) + 5).ns);
	assert_int_equal(last->reason, LEDGER_HOLE_AGENT_RESTARTED);
	ledger_hole(&l, WALL(1), WALL(2), LEDGER_HOLE_LINGER_OVER);
	assert_int_equal(last->reason, LEDGER_HOLE_SEVERAL);
	assert_int_equal(last->from.ns, WALL(1).ns);
	assert_int_equal(last->n, 7);
	assert_balanced(&l);
	ledger_fini(&l);
}

static void
a_hole_never_ends_before_it_begins(void **state)
{
	struct ledger l;

	(void)state;
	make_ledger(&l, 1);
	ledger_hole(&l, WALL(20), WALL(10), LEDGER_HOLE_NOT_RUNNING);
	assert_int_equal(l.holes[0].from.ns, WALL(20).ns);
	assert_int_equal(l.holes[0].to.ns, WALL(20).ns);
	ledger_fini(&l);
}

/* --- saved and put back --- */

/* A ledger as it was, in another process. */
static void
restore(const struct ledger *old, struct ledger *l)
{
	struct ledger_counts counts;
	struct ledger_rest rest;

	make_ledger(l, old->n_interfaces);
	for (uint32_t i = 0; i < old->n_interfaces; i++) {
		ledger_export(old, i, &counts);
		assert_int_equal(ledger_import(l, i, &counts), E_OK);
	}
	ledger_export_rest(old, &rest);
	assert_int_equal(ledger_import_rest(l, &rest), E_OK);
	for (uint32_t i = 0; i < old->n_holes; i++)
		assert_int_equal(ledger_import_hole(l, &old->holes[i]), E_OK);
}

/* Two epochs, the second one begun, with gaps of no interface in both. */
static void
make_begun(struct ledger *l)
{
	make_balanced(l);
	l->rows[0].n.written -= 2;
	gap(l, GAP_LOG_FULL, 2, 0, 0);
	ledger_end_epoch(l);
	ledger_hole(l, WALL(5), WALL(6), LEDGER_HOLE_AGENT_RESTARTED);
	tell(l, balanced_stats, 2, false);
	l->rows[0].n.written += 300;
	gap(l, GAP_DISCONNECTED, 90, 40, 0);
}

static void
the_check_covers_the_whole_file_after_a_restart_of_the_client(void **state)
{
	struct ledger before, l;

	(void)state;
	make_begun(&before);
	restore(&before, &l);
	assert_int_equal(l.n_holes, 1);
	assert_false(ledger_is_settled(&l));
	/* The capture of the agent goes on. */
	l.rows[0].n.written += 890 - 300 - 40 - 25;
	l.rows[1].n.written += 50 - 25;
	assert_balanced(&l);
	tell(&l, balanced_stats, 2, true);
	assert_balanced(&l);
	l.rows[0].n.written--;
	assert_not_balanced(&l, "");
	ledger_fini(&l);
	/* It is gone. */
	restore(&before, &l);
	ledger_end_epoch(&l);
	assert_balanced(&l);
	tell(&l, balanced_stats, 2, true);
	l.rows[0].n.written += 890;
	l.rows[1].n.written += 50;
	assert_balanced(&l);
	ledger_fini(&l);
	ledger_fini(&before);
}

static void
what_was_broken_stays_so(void **state)
{
	const struct msg_interface_stats stats = { .received = UINT64_MAX };
	struct ledger before, l;

	(void)state;
	make_ledger(&before, 1);
	tell(&before, &stats, 1, false);
	before.is_now_broken = true;
	restore(&before, &l);
	assert_not_balanced(&l, "bounds");
	ledger_fini(&l);
	ledger_fini(&before);
}

static void
numbers_that_no_ledger_had_are_refused(void **state)
{
	static const struct ledger_counts counts[] = {
		{ .written = 1, .came_before = 2 },
		{ .written = UINT64_MAX, .filtered = 1 },
		{ .gaps = { [GAP_LOG_FULL] = UINT64_MAX, [GAP_INTERRUPTED] = UINT64_MAX } },
	};
	static const struct ledger_rest rests[] = {
		{ .before = 1 }, { .told = 1 },
		{ .gaps = { UINT64_MAX, 1 } },
	};
	static const struct ledger_hole holes[] = {
		{ WALL(2), WALL(1), LEDGER_HOLE_NOT_RUNNING, 1 },
		{ WALL(1), WALL(2), LEDGER_HOLE_NOT_RUNNING, 0 },
		{ WALL(1), WALL(2), (enum ledger_hole_reason)0, 1 },
		{ WALL(1), WALL(2), (enum ledger_hole_reason)7, 1 },
	};
	struct ledger l;

	(void)state;
	make_ledger(&l, 1);
	ledger_wrote(&l, 0);
	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		assert_int_equal(ledger_import(&l, 0, &counts[i]), E_BADMSG);
	for (size_t i = 0; i < ARRAY_LEN(rests); i++)
		assert_int_equal(ledger_import_rest(&l, &rests[i]), E_BADMSG);
	for (size_t i = 0; i < ARRAY_LEN(holes); i++)
		assert_int_equal(ledger_import_hole(&l, &holes[i]), E_BADMSG);
	assert_int_equal(l.rows[0].n.written, 1);
	assert_int_equal(l.n_holes, 0);
	ledger_fini(&l);
}

/* --- a random life --- */

enum { SIM_ROWS = 3, SIM_IFACES = 5, SIM_QUEUE = 64 };

/* The agent of one epoch: counters, and batches on their way. */
struct sim_agent {
	uint32_t	 n;
	uint32_t	 map[SIM_IFACES];
	struct msg_interface_stats stats[SIM_IFACES];
	struct { uint32_t iface; uint64_t packets; } queue[SIM_QUEUE];
	uint32_t	 n_queue;
};

static uint32_t
pick(uint64_t *seed, uint32_t n)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*seed >> 33) % n;
}

static void
sim_capture(struct sim_agent *a, uint64_t *seed)
{
	uint32_t i = pick(seed, a->n);
	uint64_t lost[3] = { pick(seed, 3), pick(seed, 2), pick(seed, 2) };
	uint64_t packets = 1 + pick(seed, 50);
	struct msg_interface_stats *s = &a->stats[i];

	if (a->n_queue == SIM_QUEUE)
		return;
	s->dropped_kernel += lost[0];
	s->dropped_agent += lost[1];
	s->dropped_filter_change += lost[2];
	s->batched += packets;
	s->received += packets + lost[0] + lost[1] + lost[2];
	a->queue[a->n_queue].iface = i;
	a->queue[a->n_queue++].packets = packets;
}

static void
sim_tell(struct ledger *l, struct sim_agent *a, bool is_final)
{
	struct msg_stats stats = { .n_interfaces = a->n, .interfaces = a->stats };

	ledger_set_agent(l, &stats, a->map, a->n, is_final);
}

static void
sim_packets(struct ledger *l, uint32_t row, uint64_t packets, uint64_t *seed)
{
	void (*const fates[])(struct ledger *l, uint32_t row) = {
		ledger_wrote, ledger_wrote, ledger_wrote, ledger_filtered, ledger_beyond,
		ledger_not_held, ledger_lost_output,
	};

	for (uint64_t i = 0; i < packets; i++)
		fates[pick(seed, ARRAY_LEN(fates))](l, row);
}

/* The oldest batch comes, or a gap does in its place, of no interface even. */
static void
sim_deliver(struct ledger *l, struct sim_agent *a, bool with_unknown, uint64_t *seed)
{
	uint64_t by[SIM_IFACES] = { 0 };
	struct msg_gap g = {
		.reason = (enum gap_reason)(1 + pick(seed, 3)), .by_interface = by,
	};

	if (a->n_queue == 0)
		return;
	g.packets = a->queue[0].packets;
	by[a->queue[0].iface] = g.packets;
	g.n_interfaces = with_unknown && pick(seed, 2) == 0 ? 0 : a->n;
	if (pick(seed, 3) > 0)
		sim_packets(l, a->map[a->queue[0].iface], g.packets, seed);
	else
		ledger_gap(l, &g, a->map, a->n);
	memmove(a->queue, a->queue + 1, --a->n_queue * sizeof(a->queue[0]));
}

/* Ended in order, or killed; *undelivered counts what never came then. */
static void
sim_epoch(struct ledger *l, bool with_unknown, uint64_t *undelivered, uint64_t *seed)
{
	struct sim_agent a = { .n = 1 + pick(seed, SIM_IFACES) };
	bool is_killed = pick(seed, 2) == 0;

	for (uint32_t i = 0; i < a.n; i++)
		a.map[i] = pick(seed, SIM_ROWS);
	for (int i = 0; i < 200; i++) {
		uint32_t what = pick(seed, 20);

		if (what < 9)
			sim_capture(&a, seed);
		else if (what < 18)
			sim_deliver(l, &a, with_unknown, seed);
		else
			sim_tell(l, &a, false);
	}
	while (!is_killed && a.n_queue > 0)
		sim_deliver(l, &a, with_unknown, seed);
	if (!is_killed)
		sim_tell(l, &a, true);
	for (uint32_t i = 0; i < a.n_queue; i++)
		*undelivered += a.queue[i].packets;
	ledger_end_epoch(l);
	if (is_killed)
		ledger_hole(l, WALL(1), WALL(2), LEDGER_HOLE_AGENT_RESTARTED);
}

static void
sim_life(struct ledger *l, bool with_unknown, uint64_t seed)
{
	uint64_t by_row[SIM_ROWS], undelivered = 0;
	struct ui_summary s;

	make_ledger(l, SIM_ROWS);
	for (int i = 0; i < 6; i++) {
		struct ledger again;

		sim_epoch(l, with_unknown, &undelivered, &seed);
		for (uint32_t k = 0; k < SIM_ROWS; k++)
			by_row[k] = pick(&seed, 100);
		ledger_take_back(l, by_row, SIM_ROWS,
		    pick(&seed, 2) == 0 ? LEDGER_LOST : LEDGER_UNWANTED);
		restore(l, &again);
		ledger_fini(l);
		*l = again;
	}
	ledger_summary(l, &s);
	assert_true(s.lost_connection <= undelivered);
	assert_true(ledger_is_settled(l));
	assert_int_equal(ui_summary_placed(&s), s.received);
}

static void
whatever_happens_it_adds_up(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 400; seed++) {
		struct err err = { .what = "" };
		struct ledger l;

		sim_life(&l, seed % 2 == 1, seed);
		if (ledger_check(&l, &err) != E_OK)
			fail_msg("seed %d: %s", (int)seed, err.what);
		/* And one packet too many, or too few, is seen. */
		l.rows[seed % SIM_ROWS].n.written += seed % 4 < 2 ? 1 : UINT64_MAX;
		assert_not_balanced(&l, "");
		ledger_fini(&l);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(epochs_add_up_though_the_agent_counts_from_zero),
		cmocka_unit_test(an_epoch_without_its_last_word_has_what_is_known),
		cmocka_unit_test(a_broken_epoch_with_gaps_of_no_interface_loses_nothing_twice),
		cmocka_unit_test(a_last_word_that_is_wrong_is_not_forgotten),
		cmocka_unit_test(while_it_runs_old_counters_do_not_hide_what_came),
		cmocka_unit_test(too_many_holes_become_one_with_a_count),
		cmocka_unit_test(a_hole_never_ends_before_it_begins),
		cmocka_unit_test(the_check_covers_the_whole_file_after_a_restart_of_the_client),
		cmocka_unit_test(what_was_broken_stays_so),
		cmocka_unit_test(numbers_that_no_ledger_had_are_refused),
		cmocka_unit_test(whatever_happens_it_adds_up),
	};

	return cmocka_run_group_tests_name("client/ledger epochs", tests, NULL, NULL);
}
