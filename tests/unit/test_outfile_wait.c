/* client/outfile: full disks and removed files are waited for; marks. */
#include "outfile_lab.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "common/clock.h"

enum { LIMIT = 10000, FIT = LIMIT / OUTFILE_LAB_BLOCK };

static off_t
size_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

/* --- full --- */

static void
a_full_disk_is_waited_for_and_nothing_lost_or_doubled(void **state)
{
	struct outfile_lab lab;

	(void)state;
	outfile_lab_start(&lab);
	outfile_lab_open(&lab);
	outfile_lab_limit(LIMIT);
	outfile_lab_put(&lab, 100);
	outfile_lab_await(&lab, OUTFILE_EV_STALLED);
	assert_non_null(strstr(lab.stall.what, "x.cap': write: File too large: "));
	assert_int_equal(outfile_blocks_written(lab.out), FIT);
	outfile_lab_assert_holds(&lab, "d/x.cap", FIT);
	/* More room, but not for all: still the same stall. */
	outfile_lab_put(&lab, 30);
	outfile_lab_limit(3 * LIMIT);
	while (size_of(lab.path) != 3 * LIMIT / OUTFILE_LAB_BLOCK * OUTFILE_LAB_BLOCK)
		usleep(10000);
	outfile_lab_limit(0);
	outfile_lab_await(&lab, OUTFILE_EV_RECOVERED);
	assert_false(outfile_is_stalled(lab.out));
	outfile_lab_await_written(&lab);
	outfile_lab_put(&lab, 1);
	assert_int_equal(lab.n_events[OUTFILE_EV_STALLED], 1);
	assert_int_equal(lab.n_events[OUTFILE_EV_RECOVERED], 1);
	assert_int_equal(outfile_close(lab.out, -1, &lab.err), E_OK);
	outfile_lab_assert_holds(&lab, "d/x.cap", 131);
	outfile_lab_finish(&lab);
}

static void
closing_gives_a_full_disk_up_in_time_with_exact_counts(void **state)
{
	struct outfile_lab lab;

	(void)state;
	outfile_lab_start(&lab);
	outfile_lab_open(&lab);
	outfile_lab_limit(LIMIT);
	outfile_lab_put(&lab, 1000);
	outfile_lab_await(&lab, OUTFILE_EV_STALLED);
	assert_int_equal(outfile_stop(lab.out, 10, &lab.err), E_OUTPUT);
	outfile_lab_limit(0);
	assert_non_null(strstr(lab.err.what, "x.cap': write: File too large"));
	assert_int_equal(outfile_blocks_submitted(lab.out), 1000);
	assert_int_equal(outfile_blocks_written(lab.out), FIT);
	outfile_lab_assert_holds(&lab, "d/x.cap", FIT);
	assert_int_equal(outfile_close(lab.out, -1, &lab.err), E_OUTPUT);
	outfile_lab_finish(&lab);
}

static void
closing_tries_once_more_at_once(void **state)
{
	struct mono_ns start;
	struct outfile_lab lab;

	(void)state;
	outfile_lab_start(&lab);
	outfile_lab_open(&lab);
	outfile_lab_limit(LIMIT);
	outfile_lab_put(&lab, 100);
	outfile_lab_await(&lab, OUTFILE_EV_STALLED);
	outfile_lab_limit(0);
	start = clock_mono();
	assert_int_equal(outfile_close(lab.out, -1, &lab.err), E_OK);
	assert_true(mono_diff_ns(clock_mono(), start) < NS_PER_S - NS_PER_S / 10);
	outfile_lab_assert_holds(&lab, "d/x.cap", 100);
	outfile_lab_finish(&lab);
}

/* --- marks and records --- */

static void
assert_recorded(struct outfile_lab *lab, uint64_t blocks, const char *payload)
{
	struct resume_record_state s;
	struct resume_record *r;

	assert_int_equal(resume_record_open(lab->path, RESUME_RECORD_OLD, &r, &lab->err), E_OK);
	assert_int_equal(resume_record_read(r, &s, &lab->err), E_OK);
	assert_int_equal(s.offset, blocks * OUTFILE_LAB_BLOCK);
	assert_int_equal(s.len, strlen(payload));
	assert_memory_equal(s.payload, payload, s.len);
	resume_record_close(r);
}

static void
mark(struct outfile_lab *lab, const char *payload)
{
	assert_int_equal(outfile_mark(lab->out, (uint8_t *)strdup(payload), strlen(payload)),
	    E_OK);
}

static void
a_mark_is_recorded_and_not_held_up_by_what_comes_behind(void **state)
{
	struct outfile_lab lab;
	uint8_t *p;

	(void)state;
	for (int syncs = 0; syncs < 2; syncs++) {
		outfile_lab_start(&lab);
		outfile_lab_record(&lab, RESUME_RECORD_NEW);
		lab.cfg.fsync = syncs != 0;
		outfile_lab_open(&lab);
		outfile_lab_put(&lab, 10);
		mark(&lab, "ten");
		/* Never flushed, so never written before the end. */
		p = outfile_reserve(lab.out, OUTFILE_LAB_BLOCK);
		assert_non_null(p);
		memset(p, 0, OUTFILE_LAB_BLOCK);
		assert_int_equal(outfile_mark(lab.out, malloc(1), 1), E_STATE);
		outfile_lab_await_marks(&lab, 1);
		assert_int_equal(outfile_written(lab.out), 10 * OUTFILE_LAB_BLOCK);
		mark(&lab, "eleven");
		outfile_lab_await_marks(&lab, 2);
		/* Nothing new: a mark is done all the same. */
		mark(&lab, "still eleven");
		assert_int_equal(outfile_close(lab.out, -1, &lab.err), E_OK);
		assert_recorded(&lab, 11, "still eleven");
		outfile_lab_finish(&lab);
	}
}

static void
a_record_that_cannot_be_written_holds_the_mark_up(void **state)
{
	struct outfile_lab lab;

	(void)state;
	outfile_lab_start(&lab);
	outfile_lab_record(&lab, RESUME_RECORD_NEW);
	outfile_lab_open(&lab);
	outfile_lab_limit(3 * OUTFILE_LAB_BLOCK);
	outfile_lab_put(&lab, 2);
	mark(&lab, "two");
	outfile_lab_await(&lab, OUTFILE_EV_STALLED);
	assert_non_null(strstr(lab.stall.what, "x.cap.resume': write: "));
	assert_int_equal(outfile_marks_done(lab.out), 0);
	outfile_lab_put(&lab, 1);
	outfile_lab_limit(0);
	outfile_lab_await(&lab, OUTFILE_EV_RECOVERED);
	outfile_lab_await_marks(&lab, 1);
	assert_int_equal(lab.n_events[OUTFILE_EV_STALLED], 1);
	assert_int_equal(outfile_close(lab.out, -1, &lab.err), E_OK);
	assert_recorded(&lab, 2, "two");
	outfile_lab_assert_holds(&lab, "d/x.cap", 3);
	outfile_lab_finish(&lab);
}

static void
a_pipe_takes_marks_but_no_record(void **state)
{
	struct outfile_lab lab;
	char path[32], bytes[OUTFILE_LAB_BLOCK];
	int fds[2];

	(void)state;
	outfile_lab_start(&lab);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[1]);
	outfile_lab_record(&lab, RESUME_RECORD_NEW);
	lab.cfg.path = path;
	assert_null(outfile_open(&lab.cfg, &lab.err));
	assert_int_equal(lab.err.code, E_OUTPUT);
	outfile_lab_sh(&lab, "! test -e d/x.cap.resume");
	lab.cfg.record = NULL;
	outfile_lab_open(&lab);
	outfile_lab_put(&lab, 1);
	mark(&lab, "x");
	outfile_lab_await_marks(&lab, 1);
	assert_int_equal(read(fds[0], bytes, sizeof(bytes)), sizeof(bytes));
	assert_int_equal(outfile_close(lab.out, -1, &lab.err), E_OK);
	close(fds[0]);
	close(fds[1]);
	outfile_lab_finish(&lab);
}

/* --- going on --- */

static void
a_resumed_file_goes_on_at_its_mark(void **state)
{
	struct outfile_lab lab;

	(void)state;
	outfile_lab_start(&lab);
	outfile_lab_record(&lab, RESUME_RECORD_NEW);
	outfile_lab_open(&lab);
	outfile_lab_put(&lab, 10);
	mark(&lab, "ten");
	outfile_lab_await_marks(&lab, 1);
	outfile_lab_put(&lab, 5);
	assert_int_equal(outfile_close(lab.out, -1, &lab.err), E_OK);
	outfile_lab_sh(&lab, "printf half >> d/x.cap");

	outfile_lab_record(&lab, RESUME_RECORD_OLD);
	assert_int_equal(lab.n_blocks, 10);
	outfile_lab_open(&lab);
	outfile_lab_assert_holds(&lab, "d/x.cap", 10);
	outfile_lab_put(&lab, 3);
	mark(&lab, "thirteen");
	assert_int_equal(outfile_stop(lab.out, -1, &lab.err), E_OK);
	assert_int_equal(outfile_blocks_written(lab.out), 3);
	assert_int_equal(outfile_close(lab.out, -1, &lab.err), E_OK);
	outfile_lab_assert_holds(&lab, "d/x.cap", 13);
	assert_recorded(&lab, 13, "thirteen");

	outfile_lab_record(&lab, RESUME_RECORD_OLD);
	outfile_lab_open(&lab);
	assert_int_equal(outfile_stop(lab.out, -1, &lab.err), E_OK);
	outfile_forget(lab.out);
	assert_int_equal(outfile_close(lab.out, -1, &lab.err), E_OK);
	outfile_lab_sh(&lab, "test -e d/x.cap && ! test -e d/x.cap.resume");
	outfile_lab_finish(&lab);
}

static void
what_cannot_be_resumed_is_refused_and_left_as_it_is(void **state)
{
	static const struct { const char *command, *want; } cases[] = {
		{ "cp d/x.cap z && mv z d/x.cap", "another file" },
		{ "rm d/x.cap", "No such file" },
		{ "truncate -s 7769 d/x.cap", "shorter" },
		{ "printf z | dd of=d/x.cap conv=notrunc status=none", "another format" },
		{ "rm d/x.cap && mkdir d/x.cap", "Is a directory" },
		{ "rm d/x.cap && mkfifo d/x.cap", "only a file" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct outfile_lab lab;

		outfile_lab_start(&lab);
		outfile_lab_record(&lab, RESUME_RECORD_NEW);
		outfile_lab_open(&lab);
		outfile_lab_put(&lab, 10);
		mark(&lab, "ten");
		outfile_lab_await_marks(&lab, 1);
		outfile_lab_put(&lab, 1);
		assert_int_equal(outfile_close(lab.out, -1, &lab.err), E_OK);
		outfile_lab_sh(&lab, cases[i].command);
		outfile_lab_sh(&lab, "tar c d > before.tar");
		outfile_lab_record(&lab, RESUME_RECORD_OLD);
		assert_null(outfile_open(&lab.cfg, &lab.err));
		assert_non_null(strstr(lab.err.what, cases[i].want));
		assert_int_equal(lab.err.code, E_OUTPUT);
		outfile_lab_sh(&lab, "tar c d | cmp - before.tar");
		outfile_lab_finish(&lab);
	}
}

/* --- removed --- */

static void
a_removed_file_is_made_again_with_everything(void **state)
{
	struct outfile_lab lab;
	mode_t mode;
	struct stat st;

	(void)state;
	outfile_lab_start(&lab);
	outfile_lab_record(&lab, RESUME_RECORD_NEW);
	outfile_lab_open(&lab);
	outfile_lab_put(&lab, 1000);
	mark(&lab, "first");
	outfile_lab_await_marks(&lab, 1);
	outfile_lab_sh(&lab, "chmod 640 d/x.cap && rm d/x.cap");
	/* Nothing is written meanwhile: it is noticed all the same. */
	outfile_lab_await(&lab, OUTFILE_EV_STALLED);
	assert_non_null(strstr(lab.stall.what, "x.cap': write: the file was removed"));
	while (outfile_is_stalled(lab.out))
		outfile_lab_await(&lab, OUTFILE_EV_RECOVERED);
	outfile_lab_assert_holds(&lab, "d/x.cap", 1000);
	assert_int_equal(stat(lab.path, &st), 0);
	mode = st.st_mode & 07777;
	assert_int_equal(mode, 0640);
	outfile_lab_sh(&lab, "test $(ls -A d | wc -l) = 2");
	outfile_lab_put(&lab, 10);
	assert_int_equal(outfile_close(lab.out, -1, &lab.err), E_OK);
	outfile_lab_assert_holds(&lab, "d/x.cap", 1010);
	assert_int_equal(lab.n_events[OUTFILE_EV_STALLED], 1);

	/* The record is about the new file. */
	outfile_lab_record(&lab, RESUME_RECORD_OLD);
	outfile_lab_open(&lab);
	assert_int_equal(outfile_close(lab.out, -1, &lab.err), E_OK);
	outfile_lab_assert_holds(&lab, "d/x.cap", 1000);
	outfile_lab_finish(&lab);
}

static void
a_removed_directory_is_waited_for(void **state)
{
	struct outfile_lab lab;

	(void)state;
	outfile_lab_start(&lab);
	outfile_lab_record(&lab, RESUME_RECORD_NEW);
	outfile_lab_open(&lab);
	outfile_lab_put(&lab, 100);
	outfile_lab_await_written(&lab);
	outfile_lab_sh(&lab, "rm -r d");
	outfile_lab_await(&lab, OUTFILE_EV_STALLED);
	assert_non_null(strstr(lab.stall.what, "No such file or directory"));
	outfile_lab_put(&lab, 50);
	mark(&lab, "all");
	outfile_lab_sh(&lab, "mkdir d");
	outfile_lab_await(&lab, OUTFILE_EV_RECOVERED);
	outfile_lab_await_marks(&lab, 1);
	assert_int_equal(lab.n_events[OUTFILE_EV_STALLED], 1);
	assert_int_equal(lab.n_events[OUTFILE_EV_RECOVERED], 1);
	outfile_lab_assert_holds(&lab, "d/x.cap", 150);
	assert_int_equal(outfile_close(lab.out, -1, &lab.err), E_OK);
	assert_recorded(&lab, 150, "all");
	outfile_lab_finish(&lab);
}

static void
another_file_at_the_place_is_not_overwritten(void **state)
{
	struct outfile_lab lab;

	(void)state;
	outfile_lab_start(&lab);
	outfile_lab_open(&lab);
	outfile_lab_put(&lab, 100);
	outfile_lab_await_written(&lab);
	outfile_lab_sh(&lab, "echo precious > z && mv z d/x.cap");
	outfile_lab_await(&lab, OUTFILE_EV_STALLED);
	assert_non_null(strstr(lab.stall.what, "another one is in its place"));
	outfile_lab_sh(&lab, "grep -q precious d/x.cap && test $(ls -A d | wc -l) = 1");
	outfile_lab_put(&lab, 1);
	outfile_lab_sh(&lab, "rm d/x.cap");
	outfile_lab_await(&lab, OUTFILE_EV_RECOVERED);
	assert_int_equal(outfile_close(lab.out, -1, &lab.err), E_OK);
	outfile_lab_assert_holds(&lab, "d/x.cap", 101);
	outfile_lab_finish(&lab);
}

static void
a_renamed_file_is_written_on(void **state)
{
	struct outfile_lab lab;

	(void)state;
	outfile_lab_start(&lab);
	outfile_lab_open(&lab);
	outfile_lab_put(&lab, 100);
	outfile_lab_await_written(&lab);
	outfile_lab_sh(&lab, "mv d/x.cap d/x.cap.1");
	outfile_lab_put(&lab, 100);
	assert_int_equal(outfile_close(lab.out, -1, &lab.err), E_OK);
	outfile_lab_assert_holds(&lab, "d/x.cap.1", 200);
	outfile_lab_sh(&lab, "test $(ls -A d) = x.cap.1");
	assert_int_equal(lab.n_events[OUTFILE_EV_STALLED], 0);
	outfile_lab_finish(&lab);
}

static void
a_file_removed_just_before_the_end_is_there_at_the_end(void **state)
{
	struct outfile_lab lab;

	(void)state;
	outfile_lab_start(&lab);
	outfile_lab_open(&lab);
	outfile_lab_put(&lab, 100);
	outfile_lab_await_written(&lab);
	outfile_lab_sh(&lab, "rm d/x.cap");
	assert_int_equal(outfile_close(lab.out, -1, &lab.err), E_OK);
	outfile_lab_assert_holds(&lab, "d/x.cap", 100);
	outfile_lab_finish(&lab);
}

static void
a_file_that_stays_removed_has_nothing_in_it(void **state)
{
	struct outfile_lab lab;

	(void)state;
	for (int stops = 0; stops < 2; stops++) {
		outfile_lab_start(&lab);
		lab.cfg.on_full = stops ? OUTFILE_STOP : OUTFILE_WAIT;
		outfile_lab_open(&lab);
		outfile_lab_put(&lab, 100);
		outfile_lab_await_written(&lab);
		outfile_lab_sh(&lab, "rm -r d");
		outfile_lab_await(&lab, stops ? OUTFILE_EV_ERROR : OUTFILE_EV_STALLED);
		assert_int_equal(outfile_stop(lab.out, 0, &lab.err), E_OUTPUT);
		assert_non_null(strstr(lab.err.what, "the file was removed"));
		assert_int_equal(outfile_blocks_written(lab.out), 0);
		assert_int_equal(outfile_close(lab.out, -1, &lab.err), E_OUTPUT);
		outfile_lab_finish(&lab);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_disk_is_waited_for_and_nothing_lost_or_doubled),
		cmocka_unit_test(closing_gives_a_full_disk_up_in_time_with_exact_counts),
		cmocka_unit_test(closing_tries_once_more_at_once),
		cmocka_unit_test(a_mark_is_recorded_and_not_held_up_by_what_comes_behind),
		cmocka_unit_test(a_record_that_cannot_be_written_holds_the_mark_up),
		cmocka_unit_test(a_pipe_takes_marks_but_no_record),
		cmocka_unit_test(a_resumed_file_goes_on_at_its_mark),
		cmocka_unit_test(what_cannot_be_resumed_is_refused_and_left_as_it_is),
		cmocka_unit_test(a_removed_file_is_made_again_with_everything),
		cmocka_unit_test(a_removed_directory_is_waited_for),
		cmocka_unit_test(another_file_at_the_place_is_not_overwritten),
		cmocka_unit_test(a_renamed_file_is_written_on),
		cmocka_unit_test(a_file_removed_just_before_the_end_is_there_at_the_end),
		cmocka_unit_test(a_file_that_stays_removed_has_nothing_in_it),
	};

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests_name("client/outfile waits", tests, NULL, NULL);
}
