/* server/fdpass: a message is whole or absent, and brings at most one fd. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/fdpass.h"

static void
make_pair(int pair[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
	    pair), 0);
}

static void
close_pair(int pair[2])
{
	close(pair[0]);
	close(pair[1]);
}

static unsigned
count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

static void
a_message_arrives_whole_without_a_descriptor(void **state)
{
	int pair[2], fd = 7;
	char buf[16] = "";
	size_t len = 0;
	struct err err;

	(void)state;
	make_pair(pair);
	assert_int_equal(fdpass_send(pair[0], "hello", 5, -1, &err), E_OK);
	assert_int_equal(fdpass_send(pair[0], "you", 3, -1, &err), E_OK);
	assert_int_equal(fdpass_recv(pair[1], buf, sizeof(buf), &len, &fd, &err), E_OK);
	assert_int_equal(len, 5);
	assert_memory_equal(buf, "hello", 5);
	assert_int_equal(fd, -1);
	assert_int_equal(fdpass_recv(pair[1], buf, sizeof(buf), &len, &fd, &err), E_OK);
	assert_int_equal(len, 3);
	assert_int_equal(fdpass_recv(pair[1], buf, sizeof(buf), &len, &fd, &err), E_AGAIN);
	close_pair(pair);
}

static void
a_descriptor_is_the_same_file_and_closes_on_exec(void **state)
{
	int pair[2], pipes[2], fd = -1;
	struct stat sent, got;
	char buf[16];
	size_t len;
	struct err err;

	(void)state;
	make_pair(pair);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(fdpass_send(pair[0], "x", 1, pipes[0], &err), E_OK);
	assert_int_equal(fdpass_recv(pair[1], buf, sizeof(buf), &len, &fd, &err), E_OK);
	assert_int_not_equal(fd, pipes[0]);
	assert_int_equal(fstat(pipes[0], &sent), 0);
	assert_int_equal(fstat(fd, &got), 0);
	assert_int_equal(sent.st_ino, got.st_ino);
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	close(fd);
	close_pair(pipes);
	close_pair(pair);
}

/* Send one byte with n copies of a descriptor. */
static void
send_many(int sock, int fd, size_t n)
{
	union {
		struct cmsghdr	 align;
		char		 bytes[CMSG_SPACE(8 * sizeof(int))];
	} control = { .bytes = { 0 } };
	char byte = 'x';
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = CMSG_SPACE(n * sizeof(int)),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	assert_true(n <= 8);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(n * sizeof(int));
	for (size_t i = 0; i < n; i++)
		memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &fd, sizeof(int));
	assert_int_equal(sendmsg(sock, &msg, 0), 1);
}

static void
more_than_one_descriptor_is_refused_and_none_stays_open(void **state)
{
	(void)state;
	for (size_t n = 2; n <= 8; n++) {
		int pair[2], fd = 77;
		unsigned before;
		char buf[16];
		size_t len = 77;
		struct err err;

		make_pair(pair);
		before = count_fds();
		send_many(pair[0], pair[0], n);
		assert_int_equal(fdpass_recv(pair[1], buf, sizeof(buf), &len, &fd, &err),
		    E_BADMSG);
		assert_int_equal(fd, 77);
		assert_int_equal(len, 77);
		assert_int_equal(count_fds(), before);
		close_pair(pair);
	}
}

static void
a_message_that_is_too_long_is_refused_with_its_descriptor(void **state)
{
	int pair[2], fd = 77;
	unsigned before;
	char buf[4];
	size_t len;
	struct err err;

	(void)state;
	make_pair(pair);
	before = count_fds();
	assert_int_equal(fdpass_send(pair[0], "12345", 5, pair[0], &err), E_OK);
	assert_int_equal(fdpass_recv(pair[1], buf, sizeof(buf), &len, &fd, &err), E_BADMSG);
	assert_int_equal(fd, 77);
	assert_int_equal(count_fds(), before);
	close_pair(pair);
}

static void
an_end_is_told_to_both_sides(void **state)
{
	int pair[2], fd;
	char buf[16];
	size_t len;
	struct err err;

	(void)state;
	make_pair(pair);
	assert_int_equal(fdpass_send(pair[0], "last", 4, -1, &err), E_OK);
	close(pair[0]);
	assert_int_equal(fdpass_recv(pair[1], buf, sizeof(buf), &len, &fd, &err), E_OK);
	assert_int_equal(fdpass_recv(pair[1], buf, sizeof(buf), &len, &fd, &err), E_EOF);
	assert_int_equal(fdpass_send(pair[1], "x", 1, -1, &err), E_PEERGONE);
	assert_int_equal(fdpass_send(pair[1], "x", 1, pair[1], &err), E_PEERGONE);
	close(pair[1]);
}

static void
a_full_socket_says_so(void **state)
{
	static char big[32 << 10];
	int pair[2], ret = E_OK;
	struct err err;

	(void)state;
	make_pair(pair);
	for (int i = 0; i < 10000 && ret == E_OK; i++)
		ret = fdpass_send(pair[0], big, sizeof(big), -1, &err);
	assert_int_equal(ret, E_AGAIN);
	close_pair(pair);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_arrives_whole_without_a_descriptor),
		cmocka_unit_test(a_descriptor_is_the_same_file_and_closes_on_exec),
		cmocka_unit_test(more_than_one_descriptor_is_refused_and_none_stays_open),
		cmocka_unit_test(a_message_that_is_too_long_is_refused_with_its_descriptor),
		cmocka_unit_test(an_end_is_told_to_both_sides),
		cmocka_unit_test(a_full_socket_says_so),
	};

	return cmocka_run_group_tests_name("server/fdpass", tests, NULL, NULL);
}
