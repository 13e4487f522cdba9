/* client/resume_record, client/resume_slot: whole, ours and locked, or refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/resume_record.h"
#include "common/bytes.h"
#include "mutate.h"

enum {
	SLOTS_AT = 4096,
	STRIDE = (RESUME_SLOT_MAX + 4095) & ~4095,
};

struct lab {
	char	 dir[32], output[64], record[80];
	int	 fd;			/* of the output */
	struct err err;
};

static void
start(struct lab *lab)
{
	memset(lab, 0, sizeof(*lab));
	strcpy(lab->dir, "/tmp/capclient-test-XXXXXX");
	assert_non_null(mkdtemp(lab->dir));
	snprintf(lab->output, sizeof(lab->output), "%s/x.pcapng", lab->dir);
	snprintf(lab->record, sizeof(lab->record), "%s.resume", lab->output);
	lab->fd = open(lab->output, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(lab->fd >= 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(write(lab->fd, "0123456789", 10), 10);
}

static void
finish(struct lab *lab)
{
	char command[64];

	close(lab->fd);
	snprintf(command, sizeof(command), "rm -r %s", lab->dir);
	assert_int_equal(system(command), 0);
}

static struct resume_record *
must_open(struct lab *lab, enum resume_record_mode mode)
{
	struct resume_record *r = NULL;

	assert_int_equal(resume_record_open(lab->output, mode, &r, &lab->err), E_OK);
	return r;
}

static void
assert_refused(struct lab *lab, enum resume_record_mode mode, int code)
{
	struct resume_record *r = NULL;

	assert_int_equal(resume_record_open(lab->output, mode, &r, &lab->err), code);
	assert_null(r);
}

static void
put(struct lab *lab, struct resume_record *r, uint64_t offset, const char *text)
{
	assert_int_equal(resume_record_write(r, lab->fd, offset, (const uint8_t *)text,
	    strlen(text), false, &lab->err), E_OK);
}

/* text NULL: it says nothing. */
static void
assert_says(struct lab *lab, struct resume_record *r, uint64_t offset, const char *text)
{
	struct resume_record_state s = { .offset = 77 };

	assert_int_equal(resume_record_read(r, &s, &lab->err), text != NULL ? E_OK : E_GONE);
	if (text == NULL) {
		assert_int_equal(s.offset, 77);
		return;
	}
	assert_int_equal(s.offset, offset);
	assert_int_equal(s.len, strlen(text));
	assert_memory_equal(s.payload, text, s.len);
}

static void
assert_reopened_says(struct lab *lab, uint64_t offset, const char *text)
{
	struct resume_record *r = must_open(lab, RESUME_RECORD_OLD);

	assert_says(lab, r, offset, text);
	resume_record_close(r);
}

/* --- what it keeps --- */

static void
the_newest_state_is_found_again(void **state)
{
	struct resume_record *r;
	struct lab lab;
	struct stat st;

	(void)state;
	start(&lab);
	umask(0);
	r = must_open(&lab, RESUME_RECORD_NEW);
	umask(022);
	assert_says(&lab, r, 0, NULL);
	for (int i = 1; i <= 5; i++) {
		char text[16];

		snprintf(text, sizeof(text), "state %d", i);
		put(&lab, r, (uint64_t)i * 10, text);
		assert_says(&lab, r, (uint64_t)i * 10, text);
	}
	resume_record_close(r);
	assert_int_equal(stat(lab.record, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_reopened_says(&lab, 50, "state 5");

	/* Going on from an old one, in turn. */
	r = must_open(&lab, RESUME_RECORD_OLD);
	put(&lab, r, 60, "");
	put(&lab, r, 70, "state 7");
	resume_record_close(r);
	assert_reopened_says(&lab, 70, "state 7");
	finish(&lab);
}

static void
the_largest_payload_fits_and_no_more(void **state)
{
	static uint8_t big[RESUME_SLOT_PAYLOAD_MAX + 1];
	struct resume_record_state s;
	struct resume_record *r;
	struct lab lab;

	(void)state;
	start(&lab);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 7919 >> 8);
	r = must_open(&lab, RESUME_RECORD_NEW);
	for (int i = 0; i < 3; i++)
		assert_int_equal(resume_record_write(r, lab.fd, 10, big, sizeof(big) - 1,
		    true, &lab.err), E_OK);
	assert_int_equal(resume_record_write(r, lab.fd, 20, big, sizeof(big), true,
	    &lab.err), E_TOOBIG);
	resume_record_close(r);
	r = must_open(&lab, RESUME_RECORD_OLD);
	assert_int_equal(resume_record_read(r, &s, &lab.err), E_OK);
	assert_int_equal(s.offset, 10);
	assert_int_equal(s.len, sizeof(big) - 1);
	assert_memory_equal(s.payload, big, s.len);
	resume_record_close(r);
	finish(&lab);
}

static void
a_new_one_forgets_and_a_removed_one_is_gone(void **state)
{
	struct resume_record *r;
	struct lab lab;

	(void)state;
	start(&lab);
	assert_refused(&lab, RESUME_RECORD_OLD, E_GONE);
	assert_int_not_equal(access(lab.record, F_OK), 0);
	r = must_open(&lab, RESUME_RECORD_NEW);
	put(&lab, r, 10, "old");
	resume_record_close(r);
	r = must_open(&lab, RESUME_RECORD_NEW);
	resume_record_close(r);
	assert_reopened_says(&lab, 0, NULL);
	r = must_open(&lab, RESUME_RECORD_OLD);
	resume_record_remove(r);
	assert_refused(&lab, RESUME_RECORD_OLD, E_GONE);
	finish(&lab);
}

/* --- damage --- */

struct damage {
	struct lab	*lab;
	off_t		 at;
	uint8_t		 whole[RESUME_SLOT_HEAD + 64];	/* the slot, behind it zeros */
	size_t		 len;
	const char	*text;		/* that the other slot says, or NULL */
};

static void
damaged_falls_back(const uint8_t *p, size_t len, void *arg)
{
	const struct damage *d = arg;
	uint8_t bytes[sizeof(d->whole)] = { 0 };
	int fd;

	memcpy(bytes, p, len);
	/* A byte replaced by the same one is no damage. */
	if (memcmp(bytes, d->whole, sizeof(bytes)) == 0)
		return;
	fd = open(d->lab->record, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, sizeof(bytes), d->at), sizeof(bytes));
	close(fd);
	assert_reopened_says(d->lab, 10, d->text);
}

static void
damage_newest(struct damage *d, int slot, const char *newest)
{
	int fd = open(d->lab->record, O_RDONLY | O_CLOEXEC);

	d->at = SLOTS_AT + slot * STRIDE;
	d->len = RESUME_SLOT_HEAD + strlen(newest);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, d->whole, d->len, d->at), d->len);
	close(fd);
	mutate_truncate(d->whole, d->len, damaged_falls_back, d);
	mutate_flip_bits(d->whole, d->len, d->len, damaged_falls_back, d);
	mutate_random(d->whole, d->len, 200, 1, damaged_falls_back, d);
}

static void
a_damaged_newest_slot_gives_the_other_one(void **state)
{
	struct resume_record *r;
	struct damage d;
	struct lab lab;

	(void)state;
	start(&lab);
	r = must_open(&lab, RESUME_RECORD_NEW);
	put(&lab, r, 10, "first");
	put(&lab, r, 20, "second");
	resume_record_close(r);
	d = (struct damage){ .lab = &lab, .text = "first" };
	damage_newest(&d, 1, "second");
	finish(&lab);
}

static void
a_damaged_only_slot_says_nothing(void **state)
{
	struct resume_record *r;
	struct damage d;
	struct lab lab;

	(void)state;
	start(&lab);
	r = must_open(&lab, RESUME_RECORD_NEW);
	put(&lab, r, 10, "first");
	resume_record_close(r);
	d = (struct damage){ .lab = &lab, .text = NULL };
	damage_newest(&d, 0, "first");
	finish(&lab);
}

static void
a_valid_checksum_makes_no_impossible_field_true(void **state)
{
	static const struct { uint64_t generation, offset; uint32_t tail_len; } cases[] = {
		{ UINT64_MAX, 100, 0 }, { 1, UINT64_MAX, 0 }, { 1, 10, 11 },
	};
	uint8_t bytes[RESUME_SLOT_HEAD + 1];
	struct resume_slot s = { .generation = 1, .offset = 10, .payload_len = 1,
	    .payload = (const uint8_t *)"x" }, got = { .offset = 77 };

	(void)state;
	assert_int_equal(resume_slot_pack(&s, bytes), E_OK);
	assert_int_equal(resume_slot_parse(bytes, sizeof(bytes), &got), E_OK);
	assert_int_equal(got.offset, 10);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		s.generation = cases[i].generation;
		s.offset = cases[i].offset;
		s.tail_len = cases[i].tail_len;
		assert_int_equal(resume_slot_pack(&s, bytes), E_OK);
		assert_int_equal(resume_slot_parse(bytes, sizeof(bytes), &got), E_BADMSG);
	}
	s.tail_len = RESUME_SLOT_TAIL_MAX + 1;
	assert_int_equal(resume_slot_pack(&s, bytes), E_TOOBIG);
}

/* The child writes states and says which one it has written. */
static void
write_for_ever(struct lab *lab, int report)
{
	struct resume_record *r = must_open(lab, RESUME_RECORD_NEW);
	static uint8_t payload[20000];

	for (uint32_t i = 1;; i++) {
		memset(payload, (int)(i & 0xff), sizeof(payload));
		put_le32(payload, i);
		if (resume_record_write(r, lab->fd, i % 1000, payload, sizeof(payload), false,
		    &lab->err) != E_OK || write(report, &i, sizeof(i)) != sizeof(i))
			_exit(1);
	}
}

static void
a_kill_leaves_the_last_state_or_the_one_under_way(void **state)
{
	(void)state;
	for (uint32_t round = 1; round <= 12; round++) {
		struct resume_record_state s;
		struct resume_record *r;
		struct lab lab;
		uint32_t last = 0, i;
		int fds[2], status;
		pid_t pid;

		start(&lab);
		assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			write_for_ever(&lab, fds[1]);
		close(fds[1]);
		while (last < round * 7 && read(fds[0], &i, sizeof(i)) == sizeof(i))
			last = i;
		kill(pid, SIGKILL);
		while (read(fds[0], &i, sizeof(i)) == sizeof(i))
			last = i;
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		close(fds[0]);
		r = must_open(&lab, RESUME_RECORD_OLD);
		assert_int_equal(resume_record_read(r, &s, &lab.err), E_OK);
		assert_int_equal(s.len, 20000);
		i = get_le32(s.payload);
		assert_true(i == last || i == last + 1);
		assert_int_equal(s.offset, i % 1000);
		for (size_t n = 4; n < s.len; n++)
			assert_int_equal(s.payload[n], i & 0xff);
		resume_record_close(r);
		finish(&lab);
	}
}

/* --- whose it is --- */

static void
two_clients_do_not_write_one_file(void **state)
{
	struct resume_record *r;
	char want[256];
	struct lab lab;

	(void)state;
	start(&lab);
	r = must_open(&lab, RESUME_RECORD_NEW);
	put(&lab, r, 10, "mine");
	snprintf(want, sizeof(want), "'%s': resume: another capclient writes it (its record "
	    "'%s' is locked)", lab.output, lab.record);
	assert_refused(&lab, RESUME_RECORD_NEW, E_STATE);
	assert_string_equal(lab.err.what, want);
	assert_refused(&lab, RESUME_RECORD_OLD, E_STATE);
	put(&lab, r, 20, "still mine");
	resume_record_close(r);
	assert_reopened_says(&lab, 20, "still mine");
	finish(&lab);
}

static void
spoil(const struct lab *lab, const char *command)
{
	char line[512];

	snprintf(line, sizeof(line), "cd %s && %s", lab->dir, command);
	assert_int_equal(system(line), 0);
}

static void
what_is_no_record_is_left_as_it_is(void **state)
{
	static const char *const cases[] = {
		"echo precious > x.pcapng.resume",
		"echo precious > y && ln -s y x.pcapng.resume",
		"ln -s y x.pcapng.resume",
		"printf 'capclient-rsm 1' > x.pcapng.resume",
		"printf 'capclient-rsm 2\\0' > x.pcapng.resume",
		"head -c 100000 /dev/zero > x.pcapng.resume",
		"mkdir x.pcapng.resume",
		"mkfifo x.pcapng.resume",
		"printf 'capclient-rsm 1\\0' > x.pcapng.resume && ln x.pcapng.resume y",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct lab lab;

		start(&lab);
		spoil(&lab, cases[i]);
		spoil(&lab, "tar c . > /tmp/capclient-test-$PPID.tar");
		assert_refused(&lab, RESUME_RECORD_NEW, E_OUTPUT);
		assert_refused(&lab, RESUME_RECORD_OLD, E_OUTPUT);
		assert_non_null(strstr(lab.err.what, lab.record));
		spoil(&lab, "tar c . | cmp - /tmp/capclient-test-$PPID.tar && "
		    "rm /tmp/capclient-test-$PPID.tar");
		finish(&lab);
	}
}

static void
an_empty_file_is_one_that_was_just_made(void **state)
{
	struct resume_record *r;
	struct lab lab;

	(void)state;
	start(&lab);
	spoil(&lab, ": > x.pcapng.resume");
	assert_reopened_says(&lab, 0, NULL);
	r = must_open(&lab, RESUME_RECORD_NEW);
	put(&lab, r, 10, "x");
	resume_record_close(r);
	assert_reopened_says(&lab, 10, "x");
	finish(&lab);
}

static void
another_users_record_is_refused(void **state)
{
	struct resume_record *r;
	struct lab lab;

	(void)state;
	if (geteuid() != 0)
		skip();
	start(&lab);
	r = must_open(&lab, RESUME_RECORD_NEW);
	put(&lab, r, 10, "x");
	resume_record_close(r);
	assert_int_equal(chown(lab.record, 65534, (gid_t)-1), 0);
	assert_refused(&lab, RESUME_RECORD_OLD, E_OUTPUT);
	assert_non_null(strstr(lab.err.what, "another user"));
	finish(&lab);
}

static void
a_record_that_others_may_write_is_closed_to_them(void **state)
{
	struct lab lab;
	struct stat st;

	(void)state;
	start(&lab);
	resume_record_close(must_open(&lab, RESUME_RECORD_NEW));
	assert_int_equal(chmod(lab.record, 0666), 0);
	resume_record_close(must_open(&lab, RESUME_RECORD_OLD));
	assert_int_equal(stat(lab.record, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	finish(&lab);
}

/* --- the output --- */

static void
only_the_output_that_it_is_about_goes_on(void **state)
{
	static const struct { const char *command, *want; } cases[] = {
		{ "true", NULL },
		{ "mv x.pcapng z && mv z x.pcapng", NULL },
		{ "echo more >> x.pcapng", NULL },
		{ "cp x.pcapng z && mv z x.pcapng", "another file" },
		{ "truncate -s 499 x.pcapng", "shorter" },
		{ "printf x | dd of=x.pcapng bs=1 seek=499 conv=notrunc status=none", "content" },
		{ "printf x | dd of=x.pcapng bs=1 seek=436 conv=notrunc status=none", "content" },
		{ "printf x | dd of=x.pcapng bs=1 seek=500 conv=notrunc status=none", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct resume_record *r;
		struct lab lab;
		int fd;

		start(&lab);
		r = must_open(&lab, RESUME_RECORD_NEW);
		assert_int_equal(resume_record_check_output(r, lab.fd, &lab.err), E_GONE);
		put(&lab, r, 500, "x");
		spoil(&lab, cases[i].command);
		fd = open(lab.output, O_RDWR | O_CLOEXEC);
		assert_true(fd >= 0);
		assert_int_equal(resume_record_check_output(r, fd, &lab.err),
		    cases[i].want == NULL ? E_OK : E_OUTPUT);
		if (cases[i].want != NULL)
			assert_non_null(strstr(lab.err.what, cases[i].want));
		close(fd);
		resume_record_close(r);
		finish(&lab);
	}
}

static void
an_output_that_became_another_file_is_known_after_renewal(void **state)
{
	struct resume_record *r;
	struct lab lab;
	int fd;

	(void)state;
	start(&lab);
	r = must_open(&lab, RESUME_RECORD_NEW);
	assert_int_equal(resume_record_renew(r, lab.fd, false, &lab.err), E_OK);
	assert_says(&lab, r, 0, NULL);
	put(&lab, r, 500, "x");
	spoil(&lab, "cp x.pcapng z && mv z x.pcapng");
	fd = open(lab.output, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(resume_record_check_output(r, fd, &lab.err), E_OUTPUT);
	assert_int_equal(resume_record_renew(r, fd, true, &lab.err), E_OK);
	resume_record_close(r);
	r = must_open(&lab, RESUME_RECORD_OLD);
	assert_says(&lab, r, 500, "x");
	assert_int_equal(resume_record_check_output(r, fd, &lab.err), E_OK);
	close(fd);
	resume_record_close(r);
	finish(&lab);
}

/* --- writing goes wrong --- */

static void
a_failed_write_leaves_what_was_and_can_be_repeated(void **state)
{
	const struct rlimit small = { SLOTS_AT + 1, RLIM_INFINITY };
	struct resume_record *r;
	struct rlimit old;
	struct lab lab;

	(void)state;
	start(&lab);
	r = must_open(&lab, RESUME_RECORD_NEW);
	put(&lab, r, 10, "one");
	put(&lab, r, 20, "two");
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(resume_record_write(r, lab.fd, 30, (const uint8_t *)"three",
		    5, false, &lab.err), E_OUTPUT);
		assert_says(&lab, r, 20, "two");
	}
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	put(&lab, r, 30, "three");
	resume_record_close(r);
	assert_reopened_says(&lab, 30, "three");
	finish(&lab);
}

static void
a_removed_record_is_made_again(void **state)
{
	struct resume_record *r;
	struct lab lab;

	(void)state;
	start(&lab);
	r = must_open(&lab, RESUME_RECORD_NEW);
	put(&lab, r, 10, "one");
	spoil(&lab, "rm x.pcapng.resume");
	put(&lab, r, 20, "two");
	assert_refused(&lab, RESUME_RECORD_OLD, E_STATE);
	/* Whatever took its place stays. */
	spoil(&lab, "rm x.pcapng.resume && echo precious > x.pcapng.resume");
	assert_int_equal(resume_record_write(r, lab.fd, 30, NULL, 0, false, &lab.err),
	    E_OUTPUT);
	spoil(&lab, "grep -q precious x.pcapng.resume && rm x.pcapng.resume");
	put(&lab, r, 30, "three");
	resume_record_close(r);
	assert_reopened_says(&lab, 30, "three");
	finish(&lab);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_newest_state_is_found_again),
		cmocka_unit_test(the_largest_payload_fits_and_no_more),
		cmocka_unit_test(a_new_one_forgets_and_a_removed_one_is_gone),
		cmocka_unit_test(a_damaged_newest_slot_gives_the_other_one),
		cmocka_unit_test(a_damaged_only_slot_says_nothing),
		cmocka_unit_test(a_valid_checksum_makes_no_impossible_field_true),
		cmocka_unit_test(a_kill_leaves_the_last_state_or_the_one_under_way),
		cmocka_unit_test(two_clients_do_not_write_one_file),
		cmocka_unit_test(what_is_no_record_is_left_as_it_is),
		cmocka_unit_test(an_empty_file_is_one_that_was_just_made),
		cmocka_unit_test(another_users_record_is_refused),
		cmocka_unit_test(a_record_that_others_may_write_is_closed_to_them),
		cmocka_unit_test(only_the_output_that_it_is_about_goes_on),
		cmocka_unit_test(an_output_that_became_another_file_is_known_after_renewal),
		cmocka_unit_test(a_failed_write_leaves_what_was_and_can_be_repeated),
		cmocka_unit_test(a_removed_record_is_made_again),
	};

	signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests_name("client/resume_record", tests, NULL, NULL);
}
