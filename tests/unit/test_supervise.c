/* server/supervise: capagent and its child end together, and in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/fdpass.h"
#include "server/supervise.h"

struct lab {
	struct policy	 policy;
	struct priv_mandatory *mandatory;
	struct priv_serve *serve;
	struct net_child child;
	int		 signal_fd;
};

/* Block until a message comes; its type, 0 for the end. */
static uint32_t
receive(int boundary)
{
	static union priv_msg msg;
	size_t len;
	int fd;

	return fdpass_recv(boundary, &msg, sizeof(msg), &len, &fd, NULL) == E_OK ?
	    msg.hdr.type : 0;
}

static void
end_when_told(int boundary)
{
	_exit(receive(boundary) == PRIV_END ? 0 : 99);
}

static void
end_with_an_error_when_told(int boundary)
{
	(void)receive(boundary);
	_exit(3);
}

static void
crash(int boundary)
{
	(void)boundary;
	raise(SIGKILL);
}

static void
leave(int boundary)
{
	(void)boundary;
	_exit(0);
}

/* Say nonsense, and end when capagent hangs up. */
static void
break_the_rules(int boundary)
{
	(void)!write(boundary, "nonsense", 8);
	(void)receive(boundary);
	_exit(0);
}

static struct lab *
lab_new(void (*child)(int boundary))
{
	struct lab *lab = calloc(1, sizeof(*lab));
	struct priv_serve_config config;
	struct err err;
	int pair[2];

	assert_non_null(lab);
	assert_int_equal(supervise_open_signals(&lab->signal_fd, &err), E_OK);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	lab->child.pid = fork();
	assert_int_not_equal(lab->child.pid, -1);
	if (lab->child.pid == 0) {
		close(pair[0]);
		child(pair[1]);
		_exit(98);
	}
	close(pair[1]);
	assert_int_equal(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
	lab->child.fd = pair[0];
	policy_init(&lab->policy);
	lab->mandatory = calloc(1, sizeof(*lab->mandatory));
	assert_non_null(lab->mandatory);
	priv_mandatory_init(lab->mandatory);
	config = (struct priv_serve_config){
		.boundary_fd = pair[0], .list_fd = -1, .policy = &lab->policy,
		.mandatory = lab->mandatory, .ops = &priv_serve_kernel,
	};
	lab->serve = priv_serve_new(&config);
	assert_non_null(lab->serve);
	return lab;
}

static void
lab_free(struct lab *lab)
{
	/* The child was reaped, its boundary closed. */
	assert_int_equal(waitpid(lab->child.pid, NULL, WNOHANG), -1);
	assert_int_equal(lab->child.fd, -1);
	priv_serve_free(lab->serve);
	close(lab->signal_fd);
	free(lab->mandatory);
	free(lab);
}

static void
a_signal_ends_the_child_by_message(void **state)
{
	static const int signals[] = { SIGTERM, SIGINT };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		struct lab *lab = lab_new(end_when_told);
		struct err err;

		assert_int_equal(kill(getpid(), signals[i]), 0);
		assert_int_equal(supervise_run(lab->serve, &lab->child, lab->signal_fd, NULL,
		    &err), E_OK);
		lab_free(lab);
	}
}

/* It is blocked from the first moment on, whatever nohup wished. */
static void
a_hangup_ends_nothing(void **state)
{
	struct lab *lab;
	struct err err;

	(void)state;
	signal(SIGHUP, SIG_IGN);
	supervise_hold_hangup();
	assert_int_equal(kill(getpid(), SIGHUP), 0);
	lab = lab_new(end_when_told);
	assert_int_equal(kill(getpid(), SIGHUP), 0);
	assert_int_equal(kill(getpid(), SIGTERM), 0);
	assert_int_equal(supervise_run(lab->serve, &lab->child, lab->signal_fd, NULL, &err),
	    E_OK);
	lab_free(lab);
}

static void
a_check_ends_the_child_without_a_signal(void **state)
{
	struct lab *lab = lab_new(end_when_told);
	struct err err;

	(void)state;
	assert_int_equal(supervise_end(lab->serve, &lab->child, lab->signal_fd, &err), E_OK);
	lab_free(lab);
}

/* The run ends with this code and a line that holds this word. */
static void
assert_run_ends(void (*child)(int boundary), int signo, int code, const char *word)
{
	struct lab *lab = lab_new(child);
	struct err err;

	if (signo != 0)
		assert_int_equal(kill(getpid(), signo), 0);
	assert_int_equal(supervise_run(lab->serve, &lab->child, lab->signal_fd, NULL, &err),
	    code);
	if (strstr(err.what, word) == NULL)
		fail_msg("no '%s' in: %s", word, err.what);
	lab_free(lab);
}

static void
a_child_that_ends_by_itself_is_an_error_that_says_how(void **state)
{
	(void)state;
	assert_run_ends(crash, 0, E_PEERGONE, "signal 9");
	assert_run_ends(leave, 0, E_PEERGONE, "exit status 0");
	assert_run_ends(end_with_an_error_when_told, SIGTERM, E_PEERGONE, "exit status 3");
}

static void
a_child_that_breaks_the_rules_ends_both(void **state)
{
	(void)state;
	assert_run_ends(break_the_rules, 0, E_BADMSG, "boundary");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_signal_ends_the_child_by_message),
		cmocka_unit_test(a_hangup_ends_nothing),
		cmocka_unit_test(a_check_ends_the_child_without_a_signal),
		cmocka_unit_test(a_child_that_ends_by_itself_is_an_error_that_says_how),
		cmocka_unit_test(a_child_that_breaks_the_rules_ends_both),
	};

	return cmocka_run_group_tests_name("server/supervise", tests, NULL, NULL);
}
