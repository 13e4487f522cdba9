/*
 * server/reload and server/reread: both processes enforce the same setup, the
 * old one or the new one, whatever is wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/fdpass.h"
#include "server/reload.h"

/* Real files, the real reading process; the test plays capagent-net. */
struct lab {
	char		 folder[64], conf[128], cert[128], key[128], ca[128];
	struct agent_options options;
	struct drop_user user;
	struct policy	 policy;
	struct priv_mandatory *mandatory;
	int		 program_fd, theirs;
	struct net_child child;
	struct reread	*reread;
	pid_t		 reader;
	struct priv_serve *serve;
	struct reload	*reload;
	union priv_msg	 got;
};

static void
write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, mode);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

/* Those of tests that failed may still be there. */
static pid_t
newest_child(void)
{
	char path[64];
	FILE *f;
	int pid = -1;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	f = fopen(path, "r");
	assert_non_null(f);
	while (fscanf(f, "%d", &pid) == 1)
		;
	fclose(f);
	assert_int_not_equal(pid, -1);
	return pid;
}

static void
lab_files(struct lab *lab)
{
	strcpy(lab->folder, "/tmp/test_reload.XXXXXX");
	assert_non_null(mkdtemp(lab->folder));
	snprintf(lab->conf, sizeof(lab->conf), "%s/conf", lab->folder);
	snprintf(lab->cert, sizeof(lab->cert), "%s/cert", lab->folder);
	snprintf(lab->key, sizeof(lab->key), "%s/key", lab->folder);
	snprintf(lab->ca, sizeof(lab->ca), "%s/ca", lab->folder);
	write_file(lab->conf, "max-captures = 1\n", 0644);
	write_file(lab->cert, "a certificate", 0644);
	write_file(lab->key, "a key", 0600);
	write_file(lab->ca, "an authority", 0644);
	lab->options = (struct agent_options){
		.config = lab->conf, .cert = lab->cert, .key = lab->key, .ca = lab->ca,
		.log_spec = "", .ready_fd = -1, .sandbox = SANDBOX_OFF,
	};
}

static void
lab_boundary(struct lab *lab)
{
	struct priv_serve_config config;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
	    pair), 0);
	lab->child.fd = pair[0];
	lab->theirs = pair[1];
	config = (struct priv_serve_config){
		.boundary_fd = pair[0], .list_fd = -1, .policy = &lab->policy,
		.mandatory = lab->mandatory, .ops = &priv_serve_kernel,
	};
	lab->serve = priv_serve_new(&config);
	assert_non_null(lab->serve);
}

static struct lab *
lab_new(void)
{
	struct lab *lab = calloc(1, sizeof(*lab));
	struct reread_job job;
	struct reload_config config;
	struct err err;

	assert_non_null(lab);
	lab_files(lab);
	assert_int_equal(agent_options_policy(&lab->options, &lab->policy, &err), E_OK);
	lab->mandatory = priv_mandatory_new();
	assert_non_null(lab->mandatory);
	lab->program_fd = open("/bin/true", O_PATH | O_CLOEXEC);
	job = (struct reread_job){
		.options = &lab->options, .user = &lab->user, .program_fd = lab->program_fd,
	};
	if (reread_start(&job, &lab->reread, &err) != E_OK)
		fail_msg("%s", err.what);
	lab->reader = newest_child();
	lab_boundary(lab);
	config = (struct reload_config){
		.reread = lab->reread, .serve = lab->serve, .child = &lab->child,
		.policy = &lab->policy, .mandatory = &lab->mandatory, .log_spec = "",
		.sandbox = SANDBOX_OFF,
	};
	lab->reload = reload_new(&config);
	assert_non_null(lab->reload);
	return lab;
}

static void
lab_free(struct lab *lab)
{
	reload_free(lab->reload);
	priv_serve_free(lab->serve);
	reread_free(lab->reread);
	assert_int_equal(waitpid(lab->reader, NULL, 0), lab->reader);
	priv_mandatory_unref(lab->mandatory);
	close(lab->program_fd);
	close(lab->child.fd);
	close(lab->theirs);
	unlink(lab->conf);
	unlink(lab->cert);
	unlink(lab->key);
	unlink(lab->ca);
	assert_int_equal(rmdir(lab->folder), 0);
	free(lab);
}

/* As supervise does it; ends when there is nothing left to wait for. */
static void
turn(struct lab *lab)
{
	struct err err;

	for (;;) {
		struct pollfd pfds[] = {
			{ .fd = lab->child.fd, .events = POLLIN },
			{ .fd = reload_fd(lab->reload), .events = POLLIN },
		};
		bool waits = pfds[1].fd != -1;

		assert_int_not_equal(poll(pfds, ARRAY_LEN(pfds), waits ? 10000 : 0), -1);
		if (!waits && pfds[0].revents == 0 && !reload_wants_room(lab->reload))
			return;
		if (pfds[0].revents != 0 && priv_serve_turn(lab->serve, &err) != E_OK)
			fail_msg("%s", err.what);
		if (reload_turn(lab->reload, &err) != E_OK)
			fail_msg("%s", err.what);
	}
}

static void
hang_up(struct lab *lab)
{
	struct err err;

	reload_ask(lab->reload);
	assert_int_equal(reload_turn(lab->reload, &err), E_OK);
	turn(lab);
}

/* The next message at the child's end; 0 when there is none. */
static uint32_t
take(struct lab *lab, char *content, size_t size)
{
	struct err err;
	size_t len;
	ssize_t n;
	int fd;

	if (fdpass_recv(lab->theirs, &lab->got, sizeof(lab->got), &len, &fd, &err) != E_OK)
		return 0;
	if (priv_msg_check(&lab->got, len, fd != -1, &err) != E_OK)
		fail_msg("%s", err.what);
	if (fd != -1) {
		n = read(fd, content, size - 1);
		content[n > 0 ? n : 0] = '\0';
		close(fd);
	}
	return lab->got.hdr.type;
}

static void
take_reload(struct lab *lab, uint32_t max_captures, const char *key)
{
	char text[64];

	assert_int_equal(take(lab, text, sizeof(text)), PRIV_RELOAD);
	assert_int_equal(take(lab, text, sizeof(text)), PRIV_SETUP_CONFIG);
	assert_int_equal(lab->got.config.max_captures, max_captures);
	assert_int_equal(take(lab, text, sizeof(text)), PRIV_SETUP_CERT);
	assert_int_equal(take(lab, text, sizeof(text)), PRIV_SETUP_KEY);
	assert_string_equal(text, key);
	assert_string_equal(lab->got.file.name, lab->key);
	assert_int_equal(take(lab, text, sizeof(text)), PRIV_SETUP_CA);
	assert_int_equal(take(lab, text, sizeof(text)), PRIV_SETUP_DONE);
	assert_int_equal(take(lab, text, sizeof(text)), 0);
}

static void
answer(struct lab *lab, enum priv_msg_type type)
{
	struct err err;

	memset(&lab->got, 0, sizeof(lab->got));
	if (type == PRIV_FAILED)
		lab->got.result.code = E_CONFIG;
	priv_msg_init(&lab->got, type, 0);
	assert_int_equal(fdpass_send(lab->theirs, &lab->got, priv_msg_size(type), -1, &err),
	    E_OK);
	turn(lab);
}

static void
a_new_setup_holds_when_the_child_says_so_and_not_before(void **state)
{
	struct lab *lab = lab_new();

	(void)state;
	write_file(lab->conf, "max-captures = 2\n", 0644);
	write_file(lab->key, "another key", 0600);
	hang_up(lab);
	take_reload(lab, 2, "another key");
	assert_int_equal(lab->policy.max_captures, 1);
	answer(lab, PRIV_RELOADED);
	assert_int_equal(lab->policy.max_captures, 2);
	lab_free(lab);
}

static void
what_the_child_refuses_changes_nothing(void **state)
{
	struct lab *lab = lab_new();

	(void)state;
	write_file(lab->conf, "max-captures = 2\n", 0644);
	hang_up(lab);
	take_reload(lab, 2, "a key");
	answer(lab, PRIV_FAILED);
	assert_int_equal(lab->policy.max_captures, 1);
	/* The next one is as good as any. */
	hang_up(lab);
	take_reload(lab, 2, "a key");
	answer(lab, PRIV_RELOADED);
	assert_int_equal(lab->policy.max_captures, 2);
	lab_free(lab);
}

static void
files_that_are_not_right_do_not_reach_the_child(void **state)
{
	struct lab *lab = lab_new();
	char text[64];

	(void)state;
	write_file(lab->conf, "max-captures = 2\nnonsense\n", 0644);
	hang_up(lab);
	assert_int_equal(take(lab, text, sizeof(text)), 0);
	write_file(lab->conf, "max-captures = 2\n", 0644);
	write_file(lab->key, "a key", 0644);
	hang_up(lab);
	assert_int_equal(take(lab, text, sizeof(text)), 0);
	assert_int_equal(unlink(lab->ca), 0);
	write_file(lab->key, "a key", 0600);
	hang_up(lab);
	assert_int_equal(take(lab, text, sizeof(text)), 0);
	assert_int_equal(lab->policy.max_captures, 1);
	lab_free(lab);
}

/* What cannot change reaches neither process. */
static void
what_needs_a_restart_stays_in_both(void **state)
{
	struct lab *lab = lab_new();
	uint32_t mark = lab->policy.mark;
	char text[64];

	(void)state;
	write_file(lab->conf, "max-captures = 2\nmark = 5\nnamespaces = all\n", 0644);
	hang_up(lab);
	assert_int_equal(take(lab, text, sizeof(text)), PRIV_RELOAD);
	assert_int_equal(take(lab, text, sizeof(text)), PRIV_SETUP_CONFIG);
	assert_int_equal(lab->got.config.mark, mark);
	assert_int_equal(lab->got.config.namespaces, 0);
	while (take(lab, text, sizeof(text)) != 0)
		;
	answer(lab, PRIV_RELOADED);
	assert_int_equal(lab->policy.mark, mark);
	assert_int_equal(lab->policy.namespaces, 0);
	assert_int_equal(lab->policy.max_captures, 2);
	lab_free(lab);
}

static void
whatever_comes_during_a_reload_is_one_more(void **state)
{
	struct lab *lab = lab_new();
	char text[64];

	(void)state;
	hang_up(lab);
	take_reload(lab, 1, "a key");
	write_file(lab->conf, "max-captures = 3\n", 0644);
	for (int i = 0; i < 10000; i++)
		reload_ask(lab->reload);
	turn(lab);
	assert_int_equal(take(lab, text, sizeof(text)), 0);
	answer(lab, PRIV_RELOADED);
	take_reload(lab, 3, "a key");
	answer(lab, PRIV_RELOADED);
	assert_int_equal(lab->policy.max_captures, 3);
	assert_int_equal(take(lab, text, sizeof(text)), 0);
	lab_free(lab);
}

/* One that is refused must not take the waiting one with it. */
static void
one_more_comes_also_behind_a_refusal(void **state)
{
	struct lab *lab = lab_new();

	(void)state;
	write_file(lab->conf, "max-captures = 3\n", 0644);
	hang_up(lab);
	take_reload(lab, 3, "a key");
	reload_ask(lab->reload);
	answer(lab, PRIV_FAILED);
	take_reload(lab, 3, "a key");
	answer(lab, PRIV_RELOADED);
	assert_int_equal(lab->policy.max_captures, 3);
	lab_free(lab);
}

static void
without_the_reading_process_nothing_changes(void **state)
{
	struct lab *lab = lab_new();
	char text[64];

	(void)state;
	assert_int_equal(kill(lab->reader, SIGKILL), 0);
	write_file(lab->conf, "max-captures = 2\n", 0644);
	for (int i = 0; i < 2; i++) {
		hang_up(lab);
		assert_int_equal(take(lab, text, sizeof(text)), 0);
		assert_int_equal(lab->policy.max_captures, 1);
	}
	lab_free(lab);
}

static void
a_child_that_takes_nothing_is_not_waited_for(void **state)
{
	struct lab *lab = lab_new();
	static const char filler[1024];
	char text[64];
	struct err err;

	(void)state;
	while (send(lab->child.fd, filler, sizeof(filler), 0) > 0)
		;
	reload_ask(lab->reload);
	assert_int_equal(reload_turn(lab->reload, &err), E_OK);
	for (int i = 0; i < 1000 && !reload_wants_room(lab->reload); i++) {
		struct pollfd pfd = { .fd = reload_fd(lab->reload), .events = POLLIN };

		(void)poll(&pfd, 1, 10000);
		assert_int_equal(reload_turn(lab->reload, &err), E_OK);
	}
	assert_true(reload_wants_room(lab->reload));
	while (recv(lab->theirs, text, sizeof(text), 0) > 0)
		;
	assert_int_equal(reload_turn(lab->reload, &err), E_OK);
	take_reload(lab, 1, "a key");
	lab_free(lab);
}

static void
an_end_in_the_middle_leaves_no_descriptor(void **state)
{
	int before = open("/dev/null", O_RDONLY | O_CLOEXEC), after;
	char text[64];

	(void)state;
	close(before);
	for (int i = 0; i < 3; i++) {
		struct lab *lab = lab_new();

		if (i > 0)
			hang_up(lab);
		else
			reload_ask(lab->reload);
		while (take(lab, text, sizeof(text)) != 0)
			;
		if (i == 2)
			answer(lab, PRIV_FAILED);
		lab_free(lab);
	}
	after = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(after, before);
	close(after);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_setup_holds_when_the_child_says_so_and_not_before),
		cmocka_unit_test(what_the_child_refuses_changes_nothing),
		cmocka_unit_test(files_that_are_not_right_do_not_reach_the_child),
		cmocka_unit_test(what_needs_a_restart_stays_in_both),
		cmocka_unit_test(whatever_comes_during_a_reload_is_one_more),
		cmocka_unit_test(one_more_comes_also_behind_a_refusal),
		cmocka_unit_test(without_the_reading_process_nothing_changes),
		cmocka_unit_test(a_child_that_takes_nothing_is_not_waited_for),
		cmocka_unit_test(an_end_in_the_middle_leaves_no_descriptor),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("server/reload", tests, NULL, NULL);
}
