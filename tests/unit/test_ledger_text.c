/* client/ledger_text: the closing lines, interfaces and holes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "client/ledger_text.h"

/* 2026-01-31 12:00:00 UTC. */
#define NOON	INT64_C(1769860800000000000)

static struct wall_ns
at_ms(int64_t ms)
{
	return (struct wall_ns){ NOON + ms * NS_PER_MS };
}

static int
set_zone(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	return 0;
}

struct text {
	struct ui_text	 ui;
	char		*got;
	size_t		 len;
};

static void
text_open(struct text *t)
{
	FILE *file = open_memstream(&t->got, &t->len);

	assert_non_null(file);
	t->ui = (struct ui_text){ .out = file };
}

static void
assert_text(struct text *t, const char *want)
{
	fclose(t->ui.out);
	assert_string_equal(t->got, want);
	free(t->got);
}

/* n interfaces; the first has packets, all of them in the output. */
static void
make_ledger(struct ledger *l, uint32_t n)
{
	static const char *const names[] = { "eth0", "x\033[1m", "eth2" };

	assert_int_equal(ledger_init(l), E_OK);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(ledger_add_interface(l, names[i]), i);
	l->rows[0].n.written = 10;
	l->rows[0].n.now = (struct ledger_told){ .received = 10, .batched = 10, .freezes = 1 };
	l->is_final = true;
}

static void
lose_some(struct ledger *l)
{
	l->rows[1].n.now = (struct ledger_told){
		.received = 9, .batched = 7, .dropped_kernel = 2,
	};
	l->rows[1].n.gaps[GAP_DISCONNECTED] = 4;
	l->rest.gaps[GAP_INTERRUPTED] = 3;
}

#define FIRST_OF_ALL	"10 packets captured\n10 packets received by filter\n" \
			"0 packets dropped by kernel\n"
#define LOST_OF_ALL	"10 packets captured\n19 packets received by filter\n" \
			"2 packets dropped by kernel\n" \
			"4 packets lost in the agent (its buffer was full while disconnected)\n" \
			"3 packets left in the agent (interrupted again)\n"
#define ETH0		"eth0: 10 packets captured, 10 packets received by filter, " \
			"0 packets dropped by kernel"
#define ETH1		"x\\x1b[1m: 0 packets captured, 9 packets received by filter, " \
			"2 packets dropped by kernel, 4 packets lost in the agent (its " \
			"buffer was full while disconnected)"
#define ETH2		"eth2: 0 packets captured, 0 packets received by filter, " \
			"0 packets dropped by kernel"
#define FREEZE		"1 freeze of the kernel's ring"
#define REST		"3 packets missing, of which interface is not known"

static void
interfaces_have_lines_when_asked_for_or_something_was_lost(void **state)
{
	static const struct {
		uint32_t n;
		bool is_lossy, is_verbose;
		const char *want;
	} cases[] = {
		{ 1, false, false, FIRST_OF_ALL },
		{ 1, false, true, FIRST_OF_ALL FREEZE "\n" },
		{ 3, false, false, FIRST_OF_ALL },
		{ 3, false, true, FIRST_OF_ALL FREEZE "\n" ETH0 ", " FREEZE "\n"
		    "x\\x1b[1m: 0 packets captured, 0 packets received by filter, "
		    "0 packets dropped by kernel\n" ETH2 "\n" },
		{ 3, true, false, LOST_OF_ALL ETH0 "\n" ETH1 "\n" REST "\n" },
		{ 3, true, true, LOST_OF_ALL FREEZE "\n" ETH0 ", " FREEZE "\n" ETH1 "\n"
		    ETH2 "\n" REST "\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct ledger l;
		struct text t;

		make_ledger(&l, cases[i].n);
		if (cases[i].is_lossy)
			lose_some(&l);
		text_open(&t);
		ledger_text_closing(&l, &t.ui, cases[i].is_verbose);
		assert_text(&t, cases[i].want);
		ledger_fini(&l);
	}
}

static void
each_hole_has_its_line(void **state)
{
	struct ledger l;
	struct text t;

	(void)state;
	make_ledger(&l, 1);
	ledger_hole(&l, at_ms(1299), at_ms(3950), LEDGER_HOLE_AGENT_RESTARTED);
	ledger_hole(&l, at_ms(4000), at_ms(5000), LEDGER_HOLE_NOT_RUNNING);
	text_open(&t);
	ledger_text_closing(&l, &t.ui, false);
	/* It is another day by now. */
	assert_text(&t, FIRST_OF_ALL
	    "nothing was captured from 2026-01-31 12:00:01.2 to 2026-01-31 12:00:03.9: "
	    "the agent was restarted\n"
	    "nothing was captured from 2026-01-31 12:00:04.0 to 2026-01-31 12:00:05.0: "
	    "capclient was not running\n");
	ledger_fini(&l);
}

static void
a_hole_says_when_and_why(void **state)
{
	static const struct {
		enum ledger_hole_reason reason;
		uint64_t n;
		int64_t to_ms;
		const char *want;
	} cases[] = {
		{ LEDGER_HOLE_AGENT_RESTARTED, 1, 3950,
		    "nothing was captured from 12:00:01.2 to 12:00:03.9: the agent was "
		    "restarted" },
		{ LEDGER_HOLE_LINGER_OVER, 1, 3950,
		    "nothing was captured from 12:00:01.2 to 12:00:03.9: no connection for "
		    "longer than the agent kept the capture" },
		{ LEDGER_HOLE_NOT_RUNNING, 1, 86400000,
		    "nothing was captured from 12:00:01.2 to 2026-02-01 12:00:00.0: "
		    "capclient was not running" },
		{ LEDGER_HOLE_INTERRUPTED, 1, 3950,
		    "what was captured from 12:00:01.2 to 12:00:03.9 is missing: ended "
		    "without what the sensor still held" },
		{ LEDGER_HOLE_CONNECTION_LOST, 1, 3950,
		    "what was captured from 12:00:01.2 to 12:00:03.9 is missing: the "
		    "connection was lost and given up" },
		{ LEDGER_HOLE_SEVERAL, 1234, 3950,
		    "nothing was captured 1,234 times from 12:00:01.2 to 12:00:03.9: "
		    "several reasons" },
		/* The longest. */
		{ LEDGER_HOLE_LINGER_OVER, UINT64_MAX, 86400000,
		    "nothing was captured 18,446,744,073,709,551,615 times from 12:00:01.2 to "
		    "2026-02-01 12:00:00.0: no connection for longer than the agent kept the "
		    "capture" },
	};
	char got[LEDGER_TEXT_LEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct ledger_hole hole = {
			at_ms(1299), at_ms(cases[i].to_ms), cases[i].reason, cases[i].n,
		};

		ledger_text_hole(&hole, at_ms(0), got);
		assert_string_equal(got, cases[i].want);
	}
}

static void
the_status_has_all_of_it_in_messages(void **state)
{
	struct ledger l;
	struct text t;

	(void)state;
	make_ledger(&l, 3);
	lose_some(&l);
	ledger_hole(&l, at_ms(1299), at_ms(3950), LEDGER_HOLE_LINGER_OVER);
	text_open(&t);
	ledger_text_status(&l, &t.ui);
	assert_text(&t, "capclient: 10 packets captured, 19 packets received by filter, "
	    "2 packets dropped by kernel\n"
	    "capclient: " ETH0 ", " FREEZE "\ncapclient: " ETH1 "\ncapclient: " ETH2 "\n"
	    "capclient: " REST "\n"
	    "capclient: nothing was captured from 2026-01-31 12:00:01.2 to 2026-01-31 "
	    "12:00:03.9: no connection for longer than the agent kept the capture\n");
	ledger_fini(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(interfaces_have_lines_when_asked_for_or_something_was_lost),
		cmocka_unit_test(each_hole_has_its_line),
		cmocka_unit_test(a_hole_says_when_and_why),
		cmocka_unit_test(the_status_has_all_of_it_in_messages),
	};

	return cmocka_run_group_tests_name("client/ledger_text", tests, set_zone, NULL);
}
