/* server/agent_options: the command line, and what it overrides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/agent_options.h"

/* Parse words, which end with NULL. */
static int
parse(const char *const *words, struct agent_options *o, struct err *err)
{
	static char copies[32][128];
	char *argv[33] = { NULL };
	int argc = 1;

	strcpy(copies[0], "capagent");
	argv[0] = copies[0];
	for (; words[argc - 1] != NULL; argc++) {
		snprintf(copies[argc], sizeof(copies[argc]), "%s", words[argc - 1]);
		argv[argc] = copies[argc];
	}
	return agent_options_parse(argc, argv, o, err);
}

#define PARSE(o, err, ...)	parse((const char *const[]){ __VA_ARGS__, NULL }, (o), (err))

static void
every_option_is_understood(void **state)
{
	struct agent_options o;
	struct err err;
	int fd = dup(STDERR_FILENO);
	char number[16];

	(void)state;
	snprintf(number, sizeof(number), "%d", fd);
	assert_int_equal(PARSE(&o, &err, "--listen", "10.0.0.1", "--listen=[::1]:7", "--cert",
	    "a", "--key", "b", "--ca", "c", "--user", "u", "--config", "f", "--log", "warn",
	    "--ready-fd", number, "--foreground", "--sandbox", "log"), E_OK);
	assert_int_equal(o.action, AGENT_RUN);
	assert_int_equal(o.n_listen, 2);
	assert_string_equal(o.listen[1], "[::1]:7");
	assert_string_equal(o.cert, "a");
	assert_string_equal(o.key, "b");
	assert_string_equal(o.ca, "c");
	assert_string_equal(o.user, "u");
	assert_string_equal(o.config, "f");
	assert_string_equal(o.log_spec, "warn");
	assert_int_equal(o.ready_fd, fd);
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	assert_int_equal(o.sandbox, SANDBOX_LOG);
	close(fd);
	assert_int_equal(PARSE(&o, &err, "-n"), E_OK);
	assert_int_equal(o.action, AGENT_CHECK);
	assert_int_equal(PARSE(&o, &err, "-h"), E_OK);
	assert_int_equal(o.action, AGENT_HELP);
	assert_int_equal(PARSE(&o, &err, "--version", "--verbose"), E_OK);
	assert_int_equal(o.action, AGENT_VERSION);
	assert_true(o.is_verbose);
}

static void
what_is_not_understood_is_a_usage_error_that_names_it(void **state)
{
	static const struct { const char *words[3]; const char *named; } cases[] = {
		{ { "--nonsense" }, "--nonsense" }, { { "-x" }, "-x" },
		{ { "--listen" }, "--listen" }, { { "--listen", "host" }, "host" },
		{ { "eth0" }, "eth0" }, { { "--sandbox", "maybe" }, "maybe" },
		{ { "--log", "loud" }, "loud" }, { { "--ready-fd", "x" }, "x" },
		{ { "--ready-fd", "32000" }, "32000" }, { { "--verbose" }, "--verbose" },
		{ { "--", "-n" }, "-n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct agent_options o = { .ready_fd = 7 };
		struct err err;

		assert_int_equal(parse(cases[i].words, &o, &err), E_USAGE);
		assert_non_null(strstr(err.what, cases[i].named));
		assert_int_equal(o.ready_fd, 7);
	}
}

static void
the_command_line_overrides_the_file_and_the_file_the_defaults(void **state)
{
	static const char text[] = "listen = 10.0.0.1\nlisten = 10.0.0.2\nuser = file\n"
	    "cert = /file/cert\nmax-captures = 3\n";
	char path[] = "/tmp/test_agent_options.XXXXXX", shown[64];
	int fd = mkstemp(path);
	struct agent_options o;
	struct policy p;
	struct err err;

	(void)state;
	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	assert_int_equal(PARSE(&o, &err, "--config", path, "--listen", "10.0.0.9:1", "--user",
	    "line"), E_OK);
	if (agent_options_policy(&o, &p, &err) != E_OK)
		fail_msg("%s", err.what);
	assert_int_equal(p.n_listen, 1);
	listen_address_format(&p.listen[0], shown, sizeof(shown));
	assert_string_equal(shown, "10.0.0.9:1");
	assert_string_equal(p.user, "line");
	assert_string_equal(p.cert, "/file/cert");
	assert_string_equal(p.key, "/etc/capagent/agent.key");
	assert_int_equal(p.max_captures, 3);
	assert_true(p.has_file);
	unlink(path);
	/* Named, so it must be there. */
	assert_int_equal(agent_options_policy(&o, &p, &err), E_CONFIG);
	assert_non_null(strstr(err.what, path));
}

static void
without_an_address_all_are_listened_on(void **state)
{
	char path[] = "/tmp/test_agent_options.XXXXXX", shown[64];
	int fd = mkstemp(path);
	struct agent_options o;
	struct policy p;
	struct err err;

	(void)state;
	assert_int_not_equal(fd, -1);
	close(fd);
	assert_int_equal(PARSE(&o, &err, "--config", path), E_OK);
	assert_int_equal(agent_options_policy(&o, &p, &err), E_OK);
	assert_int_equal(p.n_listen, 2);
	listen_address_format(&p.listen[0], shown, sizeof(shown));
	assert_string_equal(shown, "0.0.0.0:9443");
	listen_address_format(&p.listen[1], shown, sizeof(shown));
	assert_string_equal(shown, "[::]:9443");
	unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_option_is_understood),
		cmocka_unit_test(what_is_not_understood_is_a_usage_error_that_names_it),
		cmocka_unit_test(the_command_line_overrides_the_file_and_the_file_the_defaults),
		cmocka_unit_test(without_an_address_all_are_listened_on),
	};

	return cmocka_run_group_tests_name("server/agent_options", tests, NULL, NULL);
}
