/* client/capfile_write: whole records, or none of one; the input is safe. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/capfile_write.h"

enum { LONG_RECORD = 600000 };

static char folder[] = "/tmp/capfile_write.XXXXXX";
static char path[64];
static uint8_t record[LONG_RECORD];

static int
setup(void **state)
{
	(void)state;
	memset(record, 0xAB, sizeof(record));
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/out", folder);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(folder);
}

static off_t
size_of_output(void)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_size : -1;
}

static void
nothing_is_touched_before_there_is_something(void **state)
{
	struct capfile_writer *w = capfile_writer_new(path, -1);
	struct err err;

	(void)state;
	assert_int_equal(capfile_writer_close(w, &err), E_OK);
	assert_int_equal(size_of_output(), -1);
	capfile_writer_free(w);
	capfile_writer_free(NULL);
}

static void
records_of_all_lengths_arrive(void **state)
{
	struct capfile_writer *w = capfile_writer_new(path, -1);
	struct err err;
	off_t sum = 0;

	(void)state;
	for (size_t len = 1; len < LONG_RECORD; len = len * 3 + 1) {
		assert_int_equal(capfile_writer_put(w, record, len, &err), E_OK);
		sum += (off_t)len;
	}
	assert_int_equal(capfile_writer_flush(w, &err), E_OK);
	assert_int_equal(size_of_output(), sum);
	assert_int_equal(capfile_writer_put(w, record, 1, &err), E_OK);
	assert_int_equal(capfile_writer_close(w, &err), E_OK);
	assert_int_equal(size_of_output(), sum + 1);
	capfile_writer_free(w);
}

static void
a_longer_file_of_that_name_is_replaced(void **state)
{
	struct capfile_writer *w = capfile_writer_new(path, -1);
	struct err err;

	(void)state;
	assert_int_equal(capfile_writer_put(w, record, 10, &err), E_OK);
	assert_int_equal(capfile_writer_close(w, &err), E_OK);
	assert_int_equal(size_of_output(), 10);
	capfile_writer_free(w);
}

static void
the_input_is_not_written_over(void **state)
{
	int input = open(path, O_RDONLY | O_CLOEXEC);
	struct capfile_writer *w = capfile_writer_new(path, input);
	struct err err;

	(void)state;
	assert_int_equal(capfile_writer_put(w, record, 5, &err), E_OK);
	assert_int_equal(capfile_writer_close(w, &err), E_USAGE);
	assert_int_equal(size_of_output(), 10);
	capfile_writer_free(w);
	close(input);
}

static void
a_failed_write_leaves_whole_records(void **state)
{
	const struct rlimit small = { 100000, RLIM_INFINITY };
	struct rlimit before;
	struct capfile_writer *w = capfile_writer_new(path, -1);
	struct err err;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(capfile_writer_put(w, record, 70000, &err), E_OK);
	assert_int_equal(capfile_writer_flush(w, &err), E_OK);
	assert_int_equal(capfile_writer_put(w, record, LONG_RECORD, &err), E_OUTPUT);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(size_of_output(), 70000);
	assert_non_null(strstr(err.what, "/out': write: File too large"));
	capfile_writer_free(w);
}

static void
what_cannot_be_opened_is_said(void **state)
{
	struct capfile_writer *w = capfile_writer_new("/nonexistent/x", -1);
	struct err err;

	(void)state;
	assert_int_equal(capfile_writer_put(w, record, 5, &err), E_OK);
	assert_int_equal(capfile_writer_flush(w, &err), E_OUTPUT);
	assert_string_equal(err.what, "'/nonexistent/x': open: No such file or directory");
	capfile_writer_free(w);
	w = capfile_writer_new("/dev/full", -1);
	assert_int_equal(capfile_writer_put(w, record, 5, &err), E_OK);
	assert_int_equal(capfile_writer_close(w, &err), E_NOSPACE);
	capfile_writer_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_touched_before_there_is_something),
		cmocka_unit_test(records_of_all_lengths_arrive),
		cmocka_unit_test(a_longer_file_of_that_name_is_replaced),
		cmocka_unit_test(the_input_is_not_written_over),
		cmocka_unit_test(a_failed_write_leaves_whole_records),
		cmocka_unit_test(what_cannot_be_opened_is_said),
	};

	return cmocka_run_group_tests_name("client/capfile_write", tests, setup, teardown);
}
