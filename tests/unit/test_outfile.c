/* client/outfile: order, stalled and vanished readers, failed disks. */
#include "output.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

struct watch {
	struct loop	*loop;
	enum outfile_event last;
	unsigned	 n_events;
	uint64_t	 stop_at;	/* bytes written */
};

static void
watch_event(struct outfile *out, enum outfile_event event, void *arg)
{
	struct watch *w = arg;

	w->last = event;
	w->n_events++;
	if (event != OUTFILE_EV_WRITTEN || outfile_written(out) >= w->stop_at)
		loop_stop(w->loop);
}

static struct outfile *
open_watched(struct watch *w, const char *path)
{
	struct outfile *out;
	struct err err;

	memset(w, 0, sizeof(*w));
	w->loop = loop_new(&err);
	assert_non_null(w->loop);
	out = outfile_open(&(struct outfile_config){ .loop = w->loop, .path = path,
	    .fn = watch_event, .arg = w, .on_full = OUTFILE_STOP }, &err);
	assert_non_null(out);
	return out;
}

static void
run(struct watch *w, uint64_t stop_at)
{
	struct err err;

	w->stop_at = stop_at;
	assert_int_equal(loop_run(w->loop, &err), E_OK);
}

static void
put(struct outfile *out, size_t len, uint8_t byte)
{
	uint8_t *p = outfile_reserve(out, len);

	assert_non_null(p);
	memset(p, byte, len);
}

/* A pipe of our own, and the path of its end for writing. */
static void
open_pipe(int fds[2], char path[static 32])
{
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	snprintf(path, 32, "/proc/self/fd/%d", fds[1]);
}

static void
bytes_arrive_complete_and_in_order(void **state)
{
	struct output o;
	size_t total = 0, off = 0;

	(void)state;
	output_open(&o);
	assert_false(outfile_is_pipe(o.out));
	for (size_t i = 0; i < 3000; i++) {
		size_t len = 1 + i * 7919 % 3000;

		put(o.out, len, (uint8_t)i);
		total += len;
		if (i % 97 == 0)
			outfile_flush(o.out);
	}
	assert_int_equal(outfile_submitted(o.out), total);
	output_finish(&o);
	assert_int_equal(o.len, total);
	for (size_t i = 0; i < 3000; i++)
		for (size_t n = 1 + i * 7919 % 3000; n > 0; n--)
			assert_int_equal(o.bytes[off++], (uint8_t)i);
	output_remove(&o);
}

static void
the_largest_reserve_lies_in_one_piece(void **state)
{
	struct output o;

	(void)state;
	output_open(&o);
	put(o.out, 1, 1);
	put(o.out, 1 << 20, 2);
	put(o.out, 1, 3);
	output_finish(&o);
	assert_int_equal(o.len, (1 << 20) + 2);
	assert_int_equal(o.bytes[0], 1);
	assert_int_equal(o.bytes[1 << 20], 2);
	assert_int_equal(o.bytes[(1 << 20) + 1], 3);
	output_remove(&o);
}

static void
a_flush_is_written_and_reported(void **state)
{
	struct watch w;
	struct outfile *out = open_watched(&w, "/dev/null");
	struct err err;

	(void)state;
	put(out, 10, 0);
	outfile_flush(out);
	put(out, 20, 0);
	outfile_flush(out);
	run(&w, 30);
	assert_int_equal(w.last, OUTFILE_EV_WRITTEN);
	assert_int_equal(outfile_written(out), 30);
	assert_int_equal(outfile_error(out)->code, E_OK);
	assert_int_equal(outfile_close(out, -1, &err), E_OK);
	loop_free(w.loop);
}

static void
a_full_disk_is_an_error_with_the_name(void **state)
{
	struct watch w;
	struct outfile *out = open_watched(&w, "/dev/full");
	struct err err;

	(void)state;
	put(out, 10, 0);
	outfile_flush(out);
	run(&w, 10);
	assert_int_equal(w.last, OUTFILE_EV_ERROR);
	assert_int_equal(outfile_error(out)->code, E_NOSPACE);
	assert_non_null(strstr(outfile_error(out)->what, "'/dev/full'"));
	assert_int_equal(outfile_written(out), 0);
	put(out, 10, 0);
	outfile_flush(out);
	assert_int_equal(outfile_close(out, -1, &err), E_NOSPACE);
	assert_int_equal(w.n_events, 1);
	loop_free(w.loop);
}

static void
a_failed_file_ends_with_a_whole_block(void **state)
{
	const struct rlimit small = { 10000, RLIM_INFINITY };
	struct rlimit old;
	struct output o;
	struct stat st;
	struct err err;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	output_open(&o);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (int i = 0; i < 100; i++)
		put(o.out, 777, 0);
	assert_int_equal(outfile_close(o.out, -1, &err), E_OUTPUT);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(stat(o.path, &st), 0);
	assert_int_equal(st.st_size, 10000 / 777 * 777);
	loop_free(o.loop);
	output_remove(&o);
}

static void
what_others_append_to_a_failed_file_stays(void **state)
{
	const struct rlimit small = { 10000, RLIM_INFINITY };
	struct rlimit old;
	struct watch w;
	struct outfile *out;
	char path[] = "/tmp/capclient-test-XXXXXX", fd_path[32];
	struct stat st;
	struct err err;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	snprintf(fd_path, sizeof(fd_path), "/proc/self/fd/%d", fd);
	out = open_watched(&w, fd_path);
	/* Somebody else's bytes, behind where ours will end. */
	assert_int_equal(pwrite(fd, "x", 1, 10999), 1);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (int i = 0; i < 100; i++)
		put(out, 777, 0);
	assert_int_equal(outfile_close(out, -1, &err), E_OUTPUT);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 11000);
	loop_free(w.loop);
	close(fd);
	unlink(path);
}

static void
a_reader_that_leaves_an_idle_pipe_is_noticed(void **state)
{
	struct watch w;
	struct outfile *out;
	struct err err;
	char path[32], byte;
	int fds[2];

	(void)state;
	open_pipe(fds, path);
	out = open_watched(&w, path);
	assert_true(outfile_is_pipe(out));
	put(out, 1, 'x');
	outfile_flush(out);
	run(&w, 1);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	close(fds[0]);
	run(&w, UINT64_MAX);
	assert_int_equal(w.last, OUTFILE_EV_CLOSED);
	put(out, 1, 'x');
	outfile_flush(out);
	assert_int_equal(outfile_close(out, -1, &err), E_OK);
	loop_free(w.loop);
	close(fds[1]);
}

static void
a_reader_that_leaves_while_we_write_is_no_error(void **state)
{
	struct watch w;
	struct outfile *out;
	struct err err;
	char path[32], byte;
	int fds[2];

	(void)state;
	open_pipe(fds, path);
	out = open_watched(&w, path);
	put(out, 1 << 20, 'x');
	outfile_flush(out);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	close(fds[0]);
	run(&w, UINT64_MAX);
	assert_int_equal(w.last, OUTFILE_EV_CLOSED);
	assert_int_equal(outfile_error(out)->code, E_OK);
	assert_int_equal(outfile_close(out, -1, &err), E_OK);
	loop_free(w.loop);
	close(fds[1]);
}

static void
closing_does_not_wait_for_a_stalled_reader_for_ever(void **state)
{
	struct watch w;
	struct outfile *out;
	struct err err;
	char path[32];
	int fds[2];

	(void)state;
	open_pipe(fds, path);
	out = open_watched(&w, path);
	for (int i = 0; i < 6; i++)
		put(out, 1 << 20, 'x');
	outfile_flush(out);
	assert_true(outfile_is_full(out));
	assert_int_equal(outfile_close(out, 10, &err), E_TIMEOUT);
	loop_free(w.loop);
	close(fds[0]);
	close(fds[1]);
}

static void
a_named_pipe_without_a_reader_does_not_stop_the_loop(void **state)
{
	char path[] = "/tmp/capclient-test-XXXXXX";
	struct watch w;
	struct outfile *out;
	struct err err;
	char byte;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	out = open_watched(&w, path);
	put(out, 1, 'x');
	assert_int_equal(outfile_close(out, 10, &err), E_TIMEOUT);
	loop_free(w.loop);

	out = open_watched(&w, path);
	put(out, 1, 'y');
	outfile_flush(out);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, &byte, 1), 1);
	assert_int_equal(byte, 'y');
	assert_int_equal(outfile_close(out, -1, &err), E_OK);
	assert_int_equal(read(fd, &byte, 1), 0);
	loop_free(w.loop);
	close(fd);
	unlink(path);
}

struct drain {
	int		 fd;
	uint64_t	 n;
};

static void *
drain_main(void *arg)
{
	struct drain *d = arg;
	char buf[65536];
	ssize_t n;

	while ((n = read(d->fd, buf, sizeof(buf))) > 0)
		d->n += (uint64_t)n;
	return NULL;
}

static void
a_stdout_that_others_made_non_blocking_works_and_stays_so(void **state)
{
	struct watch w;
	struct outfile *out;
	struct drain d = { 0 };
	pthread_t thread;
	struct err err;
	int fds[2], saved = dup(STDOUT_FILENO);

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, 0), 0);
	fflush(stdout);
	dup2(fds[1], STDOUT_FILENO);
	out = open_watched(&w, "-");
	dup2(saved, STDOUT_FILENO);
	assert_true(outfile_is_pipe(out));
	d.fd = fds[0];
	for (int i = 0; i < 6; i++)
		put(out, 1 << 20, 'x');
	outfile_flush(out);
	assert_true(outfile_is_full(out));
	assert_int_equal(pthread_create(&thread, NULL, drain_main, &d), 0);
	run(&w, 6 << 20);
	assert_false(outfile_is_full(out));
	assert_int_equal(outfile_close(out, -1, &err), E_OK);
	assert_true((fcntl(fds[1], F_GETFL) & O_NONBLOCK) != 0);
	close(fds[1]);
	pthread_join(thread, NULL);
	assert_int_equal(d.n, 6 << 20);
	loop_free(w.loop);
	close(fds[0]);
	close(saved);
}

static void
what_cannot_be_opened_is_refused_at_once(void **state)
{
	static const char *const paths[] = { "/nonexistent/x.pcapng", "/tmp" };
	struct loop *loop;
	struct err err;

	(void)state;
	loop = loop_new(&err);
	assert_non_null(loop);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		assert_null(outfile_open(&(struct outfile_config){ .loop = loop,
		    .path = paths[i], .fn = output_ignore }, &err));
		assert_int_equal(err.code, E_OUTPUT);
		assert_non_null(strstr(err.what, paths[i]));
	}
	loop_free(loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_arrive_complete_and_in_order),
		cmocka_unit_test(the_largest_reserve_lies_in_one_piece),
		cmocka_unit_test(a_flush_is_written_and_reported),
		cmocka_unit_test(a_full_disk_is_an_error_with_the_name),
		cmocka_unit_test(a_failed_file_ends_with_a_whole_block),
		cmocka_unit_test(what_others_append_to_a_failed_file_stays),
		cmocka_unit_test(a_reader_that_leaves_an_idle_pipe_is_noticed),
		cmocka_unit_test(a_reader_that_leaves_while_we_write_is_no_error),
		cmocka_unit_test(closing_does_not_wait_for_a_stalled_reader_for_ever),
		cmocka_unit_test(a_named_pipe_without_a_reader_does_not_stop_the_loop),
		cmocka_unit_test(a_stdout_that_others_made_non_blocking_works_and_stays_so),
		cmocka_unit_test(what_cannot_be_opened_is_refused_at_once),
	};

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests_name("client/outfile", tests, NULL, NULL);
}
