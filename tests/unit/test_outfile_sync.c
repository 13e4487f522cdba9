/* client/outfile: with fsync a mark is done when the disk has it, data first. */
#include "outfile_lab.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>

/* What was synced, in order, one letter each; the writer's thread syncs. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char synced[64];
static int n_failures;		/* of the next syncs */
static char failing;		/* of which file */

/* What is to take the place of the file while it is copied. */
static const char *intruder;

int __real_fallocate(int fd, int mode, off_t at, off_t len);
int __wrap_fallocate(int fd, int mode, off_t at, off_t len);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
ssize_t __real_pwrite(int fd, const void *data, size_t len, off_t at);
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t at);

/* d: the data, r: the record, D: a directory. */
static char
letter_of(int fd)
{
	char link[64], path[256];
	struct stat st;
	ssize_t n;

	assert_int_equal(fstat(fd, &st), 0);
	if (S_ISDIR(st.st_mode))
		return 'D';
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	assert_true(n > 0);
	path[n] = '\0';
	return strstr(path, ".resume") != NULL ? 'r' : 'd';
}

static int
note(int fd, int mark_of_failure)
{
	char what = letter_of(fd);
	bool fails;
	size_t n;

	pthread_mutex_lock(&lock);
	fails = n_failures > 0 && what == failing;
	if (fails)
		n_failures--;
	n = strlen(synced);
	assert_true(n < sizeof(synced) - 2);
	if (fails)
		synced[n++] = (char)mark_of_failure;
	synced[n] = what;
	pthread_mutex_unlock(&lock);
	errno = EIO;
	return fails ? -1 : 0;
}

int
__wrap_fdatasync(int fd)
{
	return note(fd, '!') == 0 ? __real_fdatasync(fd) : -1;
}

int
__wrap_fsync(int fd)
{
	return note(fd, '!') == 0 ? __real_fsync(fd) : -1;
}

/* Before the copy. */
int
__wrap_fallocate(int fd, int mode, off_t at, off_t len)
{
	FILE *f;

	if (intruder != NULL) {
		f = fopen(intruder, "w");
		assert_non_null(f);
		fputs("precious", f);
		fclose(f);
		intruder = NULL;
	}
	return __real_fallocate(fd, mode, at, len);
}

/* Pages that are written once more, after a sync that failed. */
ssize_t
__wrap_pwrite(int fd, const void *data, size_t len, off_t at)
{
	size_t n;

	if (letter_of(fd) == 'd') {
		pthread_mutex_lock(&lock);
		n = strlen(synced);
		assert_true(n < sizeof(synced) - 1);
		synced[n] = 'w';
		pthread_mutex_unlock(&lock);
	}
	return __real_pwrite(fd, data, len, at);
}

static void
start(struct outfile_lab *lab, bool syncs)
{
	memset(synced, 0, sizeof(synced));
	outfile_lab_start(lab);
	outfile_lab_record(lab, RESUME_RECORD_NEW);
	lab->cfg.fsync = syncs;
	outfile_lab_open(lab);
}

static void
mark(struct outfile_lab *lab, uint64_t n)
{
	outfile_lab_put(lab, 10);
	assert_int_equal(outfile_mark(lab->out, malloc(1), 1), E_OK);
	outfile_lab_await_marks(lab, n);
}

static void
assert_synced(const char *want)
{
	pthread_mutex_lock(&lock);
	assert_string_equal(synced, want);
	pthread_mutex_unlock(&lock);
}

static void
data_is_synced_before_the_record_and_the_names_once(void **state)
{
	struct outfile_lab lab;

	(void)state;
	start(&lab, true);
	mark(&lab, 1);
	assert_synced("drD");
	mark(&lab, 2);
	assert_synced("drDdr");
	outfile_lab_put(&lab, 1);
	assert_int_equal(outfile_close(lab.out, -1, &lab.err), E_OK);
	assert_synced("drDdrd");
	outfile_lab_finish(&lab);
}

static void
nothing_is_synced_unasked(void **state)
{
	struct outfile_lab lab;

	(void)state;
	start(&lab, false);
	mark(&lab, 1);
	assert_int_equal(outfile_close(lab.out, -1, &lab.err), E_OK);
	assert_synced("");
	outfile_lab_finish(&lab);
}

static void
a_sync_that_fails_is_a_stall_and_its_data_is_written_again(void **state)
{
	static const struct { char failing; const char *want, *text; } cases[] = {
		{ 'd', "!dwdrD", "x.cap': sync: " },
		{ 'r', "d!rdrD", "x.cap.resume': sync: " },
		{ 'D', "dr!DdrD", "x.cap': sync the directory: " },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct outfile_lab lab;

		failing = cases[i].failing;
		n_failures = 1;
		start(&lab, true);
		mark(&lab, 1);
		assert_int_equal(lab.n_events[OUTFILE_EV_STALLED], 1);
		assert_int_equal(lab.n_events[OUTFILE_EV_RECOVERED], 1);
		assert_non_null(strstr(lab.stall.what, cases[i].text));
		assert_synced(cases[i].want);
		assert_int_equal(outfile_close(lab.out, -1, &lab.err), E_OK);
		outfile_lab_assert_holds(&lab, "d/x.cap", 10);
		outfile_lab_finish(&lab);
	}
}

static void
an_end_that_cannot_be_synced_is_an_error(void **state)
{
	struct outfile_lab lab;

	(void)state;
	start(&lab, true);
	mark(&lab, 1);
	failing = 'd';
	n_failures = INT32_MAX;
	outfile_lab_put(&lab, 1);
	assert_int_equal(outfile_close(lab.out, 10, &lab.err), E_OUTPUT);
	assert_non_null(strstr(lab.err.what, "sync"));
	n_failures = 0;
	outfile_lab_finish(&lab);
}

static void
who_comes_while_a_removed_file_is_copied_stays(void **state)
{
	struct outfile_lab lab;

	(void)state;
	start(&lab, false);
	mark(&lab, 1);
	intruder = lab.path;
	outfile_lab_sh(&lab, "rm d/x.cap");
	outfile_lab_await(&lab, OUTFILE_EV_STALLED);
	assert_non_null(strstr(lab.stall.what, "another one is in its place"));
	outfile_lab_sh(&lab, "grep -q precious d/x.cap && rm d/x.cap");
	assert_int_equal(outfile_close(lab.out, -1, &lab.err), E_OK);
	outfile_lab_assert_holds(&lab, "d/x.cap", 10);
	outfile_lab_finish(&lab);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_is_synced_before_the_record_and_the_names_once),
		cmocka_unit_test(nothing_is_synced_unasked),
		cmocka_unit_test(a_sync_that_fails_is_a_stall_and_its_data_is_written_again),
		cmocka_unit_test(an_end_that_cannot_be_synced_is_an_error),
		cmocka_unit_test(who_comes_while_a_removed_file_is_copied_stays),
	};

	signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests_name("client/outfile syncs", tests, NULL, NULL);
}
