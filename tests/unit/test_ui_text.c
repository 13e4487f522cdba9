/* client/ui_text: the lines that people and scripts read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/ui_text.h"

struct text {
	struct ui_text	 ui;
	FILE		*file;
	char		*got;
	size_t		 len;
};

static void
text_open(struct text *t)
{
	t->file = open_memstream(&t->got, &t->len);
	assert_non_null(t->file);
	t->ui = (struct ui_text){ .out = t->file };
}

static void
assert_text(struct text *t, const char *want)
{
	fclose(t->file);
	assert_string_equal(t->got, want);
	free(t->got);
}

static void
the_first_line_is_tcpdumps(void **state)
{
	struct text t;

	(void)state;
	text_open(&t);
	ui_text_listening(&t.ui, "sensor1", "eth0", 1, 261120);
	ui_text_listening(&t.ui, "sensor1", "x\033[1m", 12345, 96);
	assert_text(&t, "capclient: listening on sensor1:eth0, link-type EN10MB "
	    "(Ethernet), snapshot length 261120 bytes\n"
	    "capclient: listening on sensor1:x\\x1b[1m, link-type 12345, "
	    "snapshot length 96 bytes\n");
}

static void
the_closing_lines_are_tcpdumps_while_nothing_else_happened(void **state)
{
	const struct ui_summary one = { .captured = 1, .received = 1 };
	const struct ui_summary many = {
		.captured = 10000000000, .received = 10000000002, .dropped_kernel = 2,
	};
	struct text t;

	(void)state;
	text_open(&t);
	ui_text_summary(&t.ui, &one);
	ui_text_summary(&t.ui, &many);
	assert_text(&t,
	    "1 packet captured\n1 packet received by filter\n"
	    "0 packets dropped by kernel\n"
	    "10000000000 packets captured\n10000000002 packets received by filter\n"
	    "2 packets dropped by kernel\n");
}

static void
every_other_loss_has_a_line_of_its_own(void **state)
{
	const struct ui_summary all = {
		.captured = 1, .received = 2, .dropped_kernel = 3,
		.dropped_interface = 4, .lost_buffer = 5, .lost_agent = 6,
		.lost_connection = 7, .lost_output = 8, .beyond_count = 9, .cut = 1,
		.lost_change = 10, .lost_format = 11, .filtered = 12, .freezes = 1,
		.lost_disconnected = 13, .lost_interrupted = 14, .lost_queue = 15,
	};
	struct text t;

	(void)state;
	text_open(&t);
	ui_text_summary(&t.ui, &all);
	assert_text(&t,
	    "1 packet captured\n2 packets received by filter\n"
	    "3 packets dropped by kernel\n4 packets dropped by interface\n"
	    "5 packets lost in the agent (its buffer was full)\n"
	    "13 packets lost in the agent (its buffer was full while disconnected)\n"
	    "14 packets left in the agent (interrupted again)\n"
	    "6 packets lost in the agent (other reasons)\n"
	    "10 packets lost at a filter change\n"
	    "7 packets lost with the connection\n"
	    "23 packets received but not written (output failed)\n"
	    "11 packets not written (the file cannot hold their link type)\n"
	    "12 packets filtered by client\n"
	    "9 packets not written (arrived after the end)\n"
	    "1 packet shortened to fit the reader of the pipe\n"
	    "1 freeze of the kernel's ring\n");
	assert_int_equal(ui_summary_lost(&all), 3 + 4 + 5 + 6 + 7 + 8 + 10 + 11 + 13 + 14 + 15);
	assert_int_equal(ui_summary_placed(&all), ui_summary_lost(&all) - 4 + 1 + 9 + 12);
}

static void
an_interface_has_all_its_counts_in_one_line(void **state)
{
	const struct ui_summary s = {
		.captured = 1, .received = 3, .lost_change = 2, .freezes = 2,
	};
	struct text t;

	(void)state;
	text_open(&t);
	ui_text_counts(&t.ui, "capclient: ", "e\nth0", &s);
	ui_text_line(&t.ui, "as it is\001");
	assert_text(&t, "capclient: e\\x0ath0: 1 packet captured, 3 packets received by "
	    "filter, 0 packets dropped by kernel, 2 packets lost at a filter change, "
	    "2 freezes of the kernel's ring\nas it is\\x01\n");
}

static void
sums_do_not_wrap(void **state)
{
	const struct ui_summary s = {
		.captured = 5, .dropped_kernel = UINT64_MAX, .lost_buffer = 7,
		.lost_output = UINT64_MAX, .lost_queue = 1,
	};
	struct text t;

	(void)state;
	assert_true(ui_summary_lost(&s) == UINT64_MAX);
	assert_true(ui_summary_placed(&s) == UINT64_MAX);
	text_open(&t);
	ui_text_summary(&t.ui, &s);
	fclose(t.file);
	assert_non_null(strstr(t.got, "18446744073709551615 packets received but not"));
	free(t.got);
}

static void
progress_is_one_line_that_is_wiped_before_the_next(void **state)
{
	const struct ui_progress progress = { 1, 999, 0 };
	const struct ui_progress later = { 12345, 1500000, 3 };
	struct text t;

	(void)state;
	text_open(&t);
	t.ui.shows_progress = true;
	ui_text_progress(&t.ui, &progress);
	ui_text_progress(&t.ui, &later);
	ui_text_message(&t.ui, "bad \001 news");
	ui_text_message(&t.ui, "more");
	assert_text(&t, "\r\033[K1 packet, 999 B written, 0 lost"
	    "\r\033[K12345 packets, 1.5 MB written, 3 lost"
	    "\r\033[Kcapclient: bad \\x01 news\ncapclient: more\n");
}

static void
no_progress_off_a_terminal(void **state)
{
	const struct ui_progress progress = { 1, 1, 0 };
	struct ui_text ui;
	FILE *file = tmpfile();

	(void)state;
	assert_non_null(file);
	ui_text_init(&ui, file, false);
	ui_text_progress(&ui, &progress);
	assert_int_equal(ftell(file), 0);
	fclose(file);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_line_is_tcpdumps),
		cmocka_unit_test(the_closing_lines_are_tcpdumps_while_nothing_else_happened),
		cmocka_unit_test(every_other_loss_has_a_line_of_its_own),
		cmocka_unit_test(an_interface_has_all_its_counts_in_one_line),
		cmocka_unit_test(sums_do_not_wrap),
		cmocka_unit_test(progress_is_one_line_that_is_wiped_before_the_next),
		cmocka_unit_test(no_progress_off_a_terminal),
	};

	return cmocka_run_group_tests_name("client/ui_text", tests, NULL, NULL);
}
