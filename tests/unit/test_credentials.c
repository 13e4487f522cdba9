/* server/credentials: the agent's files are opened, or one line says what to do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/credentials.h"

struct folder {
	char		 path[64];
	struct policy	 policy;
};

static void
make_file(const char *path, mode_t mode)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, mode);

	assert_int_not_equal(fd, -1);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

/* All three, as they must be. */
static void
folder_init(struct folder *f)
{
	*f = (struct folder){ .path = "/tmp/test_credentials.XXXXXX" };
	assert_non_null(mkdtemp(f->path));
	policy_init(&f->policy);
	snprintf(f->policy.cert, sizeof(f->policy.cert), "%s/agent.pem", f->path);
	snprintf(f->policy.key, sizeof(f->policy.key), "%s/agent.key", f->path);
	snprintf(f->policy.ca, sizeof(f->policy.ca), "%s/ca.pem", f->path);
	make_file(f->policy.cert, 0644);
	make_file(f->policy.key, 0600);
	make_file(f->policy.ca, 0644);
}

static void
folder_fini(struct folder *f)
{
	unlink(f->policy.cert);
	unlink(f->policy.key);
	unlink(f->policy.ca);
	assert_int_equal(rmdir(f->path), 0);
}

/* Refused, with each of the words in one line. */
static void
assert_refused(const struct folder *f, const char *path, const char *const *words)
{
	struct credentials c = { 7, 7, 7 };
	struct err err;

	assert_int_equal(credentials_open(&f->policy, &c, &err), E_CONFIG);
	assert_int_equal(c.cert_fd, 7);
	assert_non_null(strstr(err.what, path));
	assert_null(strchr(err.what, '\n'));
	for (; *words != NULL; words++)
		if (strstr(err.what, *words) == NULL)
			fail_msg("no '%s' in: %s", *words, err.what);
}

#define REFUSED(f, path, ...) \
	assert_refused((f), (path), (const char *const[]){ __VA_ARGS__, NULL })

static void
all_three_are_opened_and_none_leaks(void **state)
{
	struct credentials c;
	struct folder f;
	struct err err;

	(void)state;
	folder_init(&f);
	if (credentials_open(&f.policy, &c, &err) != E_OK)
		fail_msg("%s", err.what);
	assert_true((fcntl(c.cert_fd, F_GETFD) & FD_CLOEXEC) != 0);
	assert_true((fcntl(c.key_fd, F_GETFD) & FD_CLOEXEC) != 0);
	assert_true((fcntl(c.ca_fd, F_GETFD) & FD_CLOEXEC) != 0);
	credentials_close(&c);
	assert_int_equal(c.key_fd, -1);
	folder_fini(&f);
}

static void
a_missing_file_says_what_makes_it_and_where(void **state)
{
	struct folder f;

	(void)state;
	folder_init(&f);
	unlink(f.policy.ca);
	REFUSED(&f, f.policy.ca, "copy DIR/ca.pem", "the CA's machine", "capcert --dir DIR init");
	unlink(f.policy.key);
	REFUSED(&f, f.policy.key, "capcert --dir DIR agent NAME", "the CA's machine",
	    "copy DIR/NAME.key to /tmp/");
	unlink(f.policy.cert);
	REFUSED(&f, f.policy.cert, "capcert --dir DIR agent NAME", "the CA's machine",
	    "copy DIR/NAME.pem to /tmp/");
	folder_fini(&f);
}

static void
a_key_that_others_can_read_is_refused_with_the_remedy(void **state)
{
	struct folder f;

	(void)state;
	folder_init(&f);
	assert_int_equal(chmod(f.policy.key, 0640), 0);
	REFUSED(&f, f.policy.key, "0640", "chmod 600");
	folder_fini(&f);
}

static void
what_is_no_file_is_refused(void **state)
{
	struct folder f;

	(void)state;
	folder_init(&f);
	unlink(f.policy.ca);
	assert_int_equal(mkfifo(f.policy.ca, 0600), 0);
	REFUSED(&f, f.policy.ca, "not a file");
	folder_fini(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_three_are_opened_and_none_leaks),
		cmocka_unit_test(a_missing_file_says_what_makes_it_and_where),
		cmocka_unit_test(a_key_that_others_can_read_is_refused_with_the_remedy),
		cmocka_unit_test(what_is_no_file_is_refused),
	};

	return cmocka_run_group_tests_name("server/credentials", tests, NULL, NULL);
}
