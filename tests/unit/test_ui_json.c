/*
 * client/ui_json: the lines that programs read.
 *
 * With --print: sample lines on stdout, for ledger_schema.py.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/ui_json.h"

/* 2026-01-31 12:00:00 UTC. */
#define NOON	INT64_C(1769860800000000000)

static const struct ui_json_about running = {
	.event = UI_JSON_STATS, .time = { NOON + 123456789 }, .sensor = "sensor1",
	.output = "-", .state = "running",
};

static const struct ui_json_about ended = {
	.event = UI_JSON_ENDED, .time = { NOON }, .sensor = "sensor1",
	.output = "out.pcapng", .state = "ended", .exit_status = EXIT_HOLE,
};

static void
make_ledger(struct ledger *l, const char *name)
{
	assert_int_equal(ledger_init(l), E_OK);
	assert_int_equal(ledger_add_interface(l, name), 0);
}

/* Each counter another number; adds up. */
static void
make_full(struct ledger *l)
{
	make_ledger(l, "eth0");
	assert_int_equal(ledger_add_interface(l, "netns:blue/eth0"), 1);
	l->rows[0].n = (struct ledger_counts){
		.past = { .received = 20, .dropped_kernel = 9, .dropped_agent = 8,
		    .dropped_filter_change = 3, .dropped_interface = 17, .freezes = 16 },
		.now = { .received = 121, .batched = 121 },
		.written = 15, .filtered = 14, .beyond = 13, .not_held = 12,
		.lost_output = 11, .lost_queue = 10, .lost_connection = 7,
		.gaps = { [GAP_LOG_FULL] = 6, [GAP_INTERRUPTED] = 5, [GAP_DISCONNECTED] = 4 },
	};
	l->rest.gaps[GAP_LOG_FULL] = 24;
	l->rest.cut = 2;
	l->is_final = true;
}

/* --- what is written --- */

/* The line, in a buffer of the caller's. */
static void
print(const struct ledger *l, const struct ui_json_about *about, char *dst, size_t size)
{
	struct err err = { .what = "" };
	int fds[2];
	ssize_t n;

	assert_int_equal(pipe(fds), 0);
	if (ui_json_ledger(fds[1], l, about, &err) != E_OK)
		fail_msg("%s", err.what);
	n = read(fds[0], dst, size - 1);
	assert_true(n > 0);
	dst[n] = '\0';
	close(fds[0]);
	close(fds[1]);
}

#define ZEROS_TO_AGENT	"\"seen\":0,\"dropped_interface\":0,\"dropped_kernel\":0," \
	"\"kernel_ring_freezes\":0,\"dropped_agent\":{\"buffer\":"
#define ZEROS_REST	",\"disconnected\":0,\"filter_change\":0," \
	"\"interrupted\":0,\"other\":0},\"lost_connection\":0,\"after_end\":0," \
	"\"filtered_by_client\":0,\"lost_client\":{\"output\":0,\"queue\":0,\"format\":0}," \
	"\"written\":0"
#define COUNTS(seen, buffer) "\"seen\":" seen ",\"dropped_interface\":17," \
	"\"dropped_kernel\":9,\"kernel_ring_freezes\":16,\"dropped_agent\":{\"buffer\":" \
	buffer ",\"disconnected\":4,\"filter_change\":3,\"interrupted\":5,\"other\":8}," \
	"\"lost_connection\":7,\"after_end\":13,\"filtered_by_client\":14," \
	"\"lost_client\":{\"output\":11,\"queue\":10,\"format\":12},\"written\":15"

static void
each_counter_has_its_place(void **state)
{
	char got[8192];
	struct ledger l;

	(void)state;
	make_full(&l);
	ledger_hole(&l, (struct wall_ns){ NOON - 1 }, (struct wall_ns){ NOON + 2 * NS_PER_S },
	    LEDGER_HOLE_AGENT_RESTARTED);
	print(&l, &ended, got, sizeof(got));
	assert_string_equal(got, "{\"event\":\"ended\","
	    "\"time\":\"2026-01-31T12:00:00.000000000Z\",\"sensor\":\"sensor1\","
	    "\"output\":\"out.pcapng\",\"state\":\"ended\",\"interfaces\":["
	    "{\"name\":\"eth0\"," COUNTS("141", "6") "},"
	    "{\"name\":\"netns:blue/eth0\"," ZEROS_TO_AGENT "0" ZEROS_REST "}],"
	    "\"total\":{" COUNTS("141", "30") ",\"unattributed\":24,\"shortened\":2},"
	    "\"holes\":[{\"from\":\"2026-01-31T11:59:59.999999999Z\","
	    "\"to\":\"2026-01-31T12:00:02.000000000Z\",\"reason\":\"agent_restarted\","
	    "\"text\":\"nothing was captured from 11:59:59.9 to 12:00:02.0: the agent was "
	    "restarted\",\"holes\":1,\"packets\":null}],\"balanced\":true,\"complete\":false,"
	    "\"exit_status\":11}\n");
	ledger_fini(&l);
}

static void
assert_has(const struct ledger *l, const char *word)
{
	char got[8192];

	print(l, &running, got, sizeof(got));
	if (strstr(got, word) == NULL)
		fail_msg("%s is not in %s", word, got);
	assert_null(strstr(got, "exit_status"));
	assert_non_null(strstr(got, "\"event\":\"stats\",\"time\":"
	    "\"2026-01-31T12:00:00.123456789Z\""));
}

static void
the_verdict_follows_the_ledger(void **state)
{
	struct ledger l;

	(void)state;
	make_ledger(&l, "eth0");
	assert_has(&l, "\"balanced\":true,\"complete\":true");
	ledger_wrote(&l, 0);
	assert_has(&l, "\"balanced\":null,\"complete\":true");
	l.rows[0].n.now.received = 1;
	l.is_final = true;
	assert_has(&l, "\"balanced\":false,\"complete\":false");
	l.rows[0].n.now.batched = 1;
	assert_has(&l, "\"balanced\":true,\"complete\":true");
	l.rows[0].n.now.dropped_interface = 1;
	assert_has(&l, "\"balanced\":true,\"complete\":false");
	l.rows[0].n.now.dropped_interface = 0;
	ledger_hole(&l, running.time, running.time, LEDGER_HOLE_LINGER_OVER);
	assert_has(&l, "\"balanced\":true,\"complete\":false");
	ledger_fini(&l);
}

static void
strings_of_others_stay_strings(void **state)
{
	struct ledger l;

	(void)state;
	make_ledger(&l, "e\"},\n{\xff\033");
	assert_has(&l, "{\"name\":\"e\\\"},\\u000a{\xef\xbf\xbd\\u001b\",\"seen\":0");
	ledger_fini(&l);
}

/* --- how it is written --- */

enum { MANY = 2000 };

static void
make_long(struct ledger *l)
{
	make_ledger(l, "first");
	for (int i = 1; i < MANY; i++)
		assert_int_equal(ledger_add_interface(l, "further"), i);
}

struct drain {
	int		 fd;
	size_t		 total, lines;
};

static void *
drain(void *arg)
{
	struct drain *d = arg;
	char buf[1000];
	ssize_t n;

	while ((n = read(d->fd, buf, sizeof(buf))) > 0) {
		d->total += (size_t)n;
		for (ssize_t i = 0; i < n; i++)
			d->lines += buf[i] == '\n';
	}
	return NULL;
}

static void
a_slow_reader_gets_whole_lines(void **state)
{
	struct drain d = { .fd = -1 };
	struct ledger l;
	struct err err;
	pthread_t thread;
	int fds[2];

	(void)state;
	make_long(&l);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
	d.fd = fds[0];
	assert_int_equal(pthread_create(&thread, NULL, drain, &d), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(ui_json_ledger(fds[1], &l, &running, &err), E_OK);
	close(fds[1]);
	pthread_join(thread, NULL);
	close(fds[0]);
	assert_int_equal(d.lines, 3);
	assert_true(d.total > (size_t)3 * MANY * 300);
	ledger_fini(&l);
}

static void
a_descriptor_that_takes_nothing_is_an_error(void **state)
{
	struct ledger l;
	struct err err;
	int fd = open("/dev/full", O_WRONLY);

	(void)state;
	make_ledger(&l, "eth0");
	assert_true(fd >= 0);
	assert_int_equal(ui_json_ledger(fd, &l, &running, &err), E_NOSPACE);
	close(fd);
	assert_int_equal(ui_json_ledger(fd, &l, &running, &err), E_SYS);
	assert_int_equal(err.sys, EBADF);
	ledger_fini(&l);
}

/* --- samples --- */

static void
print_sample(struct ledger *l)
{
	struct err err;

	if (ui_json_ledger(STDOUT_FILENO, l, &running, &err) != E_OK ||
	    ui_json_ledger(STDOUT_FILENO, l, &ended, &err) != E_OK)
		exit(1);
	ledger_fini(l);
}

static int
print_samples(void)
{
	const struct msg_gap gap = { .packets = UINT64_MAX, .reason = GAP_LOG_FULL };
	struct ledger l;

	if (ledger_init(&l) != E_OK)
		return 1;
	print_sample(&l);
	make_full(&l);
	for (int i = 0; i < LEDGER_MAX_HOLES + 10; i++)
		ledger_hole(&l, (struct wall_ns){ NOON - i }, (struct wall_ns){ NOON + i },
		    (enum ledger_hole_reason)(1 + i % LEDGER_HOLE_SEVERAL));
	print_sample(&l);
	make_ledger(&l, "e\"},\n{\xff\033\\");
	ledger_gap(&l, &gap, NULL, 0);
	ledger_gap(&l, &gap, NULL, 0);
	ledger_hole(&l, (struct wall_ns){ INT64_MIN }, (struct wall_ns){ INT64_MAX },
	    LEDGER_HOLE_NOT_RUNNING);
	print_sample(&l);
	return 0;
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_counter_has_its_place),
		cmocka_unit_test(the_verdict_follows_the_ledger),
		cmocka_unit_test(strings_of_others_stay_strings),
		cmocka_unit_test(a_slow_reader_gets_whole_lines),
		cmocka_unit_test(a_descriptor_that_takes_nothing_is_an_error),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	if (argc == 2 && strcmp(argv[1], "--print") == 0)
		return print_samples();
	return cmocka_run_group_tests_name("client/ui_json", tests, NULL, NULL);
}
