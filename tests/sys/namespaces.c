/*
 * Other network namespaces on a real kernel: capagent's side of the boundary
 * serves from behind its sandbox, as in service, and this program asks as
 * capagent-net would.  Needs root and ip(8).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <net/if.h>
#include <linux/if_packet.h>

#include <cmocka.h>

#include "server/drop.h"
#include "server/fdpass.h"
#include "server/priv_netns.h"
#include "server/priv_serve.h"
#include "server/sandbox.h"

static char blue[32], green[32];	/* names nobody else has */

/* $ns in the command is the name. */
static void
run(const char *command, const char *name)
{
	if (setenv("ns", name, 1) != 0 || system(command) != 0)
		fail_msg("failed: %s", command);
}

/* --- the serving process --- */

struct lab {
	pid_t		 pid;
	struct policy	*policy;	/* memory that the service shares */
	int		 fd;		/* our end of the boundary */
	union priv_msg	 request, reply;
	int		 got;		/* descriptor of the last reply */
};

static void
serve(int fd, const struct policy *policy)
{
	static struct priv_mandatory mandatory;
	struct priv_serve_config config = {
		.boundary_fd = fd, .policy = policy, .mandatory = &mandatory,
		.ops = &priv_serve_kernel,
	};
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	struct priv_serve *serving;
	unsigned extra = 0;
	struct err err;
	int ret;

	if ((policy->namespaces & PRIV_NAMESPACES_NAMED) != 0)
		extra |= SANDBOX_NETNS_NAMED;
	if ((policy->namespaces & PRIV_NAMESPACES_PID) != 0)
		extra |= SANDBOX_NETNS_PID;
	priv_mandatory_init(&mandatory);
	ret = priv_list_open(&config.list_fd, &err);
	if (ret == E_OK)
		config.netns = priv_netns_new(policy, config.list_fd, &err);
	serving = config.netns != NULL ? priv_serve_new(&config) : NULL;
	if (serving == NULL)
		_exit(2);
	ret = priv_netns_confine(config.netns, &err);
	if (ret == E_OK)
		ret = drop_to_net_raw(DROP_KEEP_SYS_ADMIN | DROP_KEEP_SYS_PTRACE, &err);
	if (ret == E_OK)
		ret = sandbox_priv_apply(sandbox_mode_default(), extra, &err);
	while (ret == E_OK) {
		(void)poll(&pfd, 1, -1);
		ret = priv_serve_turn(serving, &err);
	}
	if (ret != E_EOF)
		dprintf(STDERR_FILENO, "served: %s\n", err.what);
	priv_serve_free(serving);
	priv_netns_free(config.netns);
	_exit(ret == E_EOF ? 0 : 1);
}

static struct lab *
lab_new(const char *namespaces, const char *interfaces)
{
	struct lab *lab = calloc(1, sizeof(*lab));
	struct err err;
	int pair[2];

	assert_non_null(lab);
	lab->policy = mmap(NULL, sizeof(*lab->policy), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(lab->policy, MAP_FAILED);
	policy_init(lab->policy);
	assert_int_equal(policy_set(lab->policy, "namespaces", namespaces, &err), E_OK);
	assert_int_equal(policy_set(lab->policy, "interfaces", interfaces, &err), E_OK);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
	lab->got = -1;
	lab->fd = pair[0];
	lab->pid = fork();
	assert_int_not_equal(lab->pid, -1);
	if (lab->pid == 0) {
		close(pair[0]);
		serve(pair[1], lab->policy);
	}
	close(pair[1]);
	return lab;
}

/* The service ends as it must: in order, or with a violation. */
static void
lab_free(struct lab *lab, int want_status)
{
	int status = -1;

	if (lab->got != -1)
		close(lab->got);
	close(lab->fd);
	assert_int_equal(waitpid(lab->pid, &status, 0), lab->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), want_status);
	munmap(lab->policy, sizeof(*lab->policy));
	free(lab);
}

static void
make(struct lab *lab, enum priv_msg_type type)
{
	memset(&lab->request, 0, sizeof(lab->request));
	priv_msg_init(&lab->request, type, 1);
}

/* The code of the reply, which is at the same place in all of them. */
static int
ask(struct lab *lab)
{
	struct err err;
	size_t len;

	if (lab->got != -1)
		close(lab->got);
	lab->got = -1;
	assert_int_equal(fdpass_send(lab->fd, &lab->request,
	    priv_msg_size(lab->request.hdr.type), -1, &err), E_OK);
	if (fdpass_recv(lab->fd, &lab->reply, sizeof(lab->reply), &len, &lab->got, &err) !=
	    E_OK)
		fail_msg("%s", err.what);
	if (priv_msg_check(&lab->reply, len, lab->got != -1, &err) != E_OK)
		fail_msg("%s", err.what);
	return lab->reply.result.code;
}

/* The number of a name in the list; 0 when it is not there. */
static uint32_t
number_of(struct lab *lab, const char *name)
{
	const struct priv_netns_list_reply *reply = &lab->reply.netns_list_reply;
	uint32_t start = 0;

	do {
		make(lab, PRIV_NETNS_LIST);
		lab->request.netns_list.start = start;
		assert_int_equal(ask(lab), E_OK);
		for (uint32_t i = 0; i < reply->n; i++)
			if (strcmp(reply->names[i].name, name) == 0)
				return reply->names[i].number;
		start = reply->next;
	} while (start != 0);
	return 0;
}

static int
enter(struct lab *lab, enum priv_netns_kind kind, uint32_t number, uint32_t *ret_handle)
{
	int ret;

	make(lab, PRIV_NETNS);
	lab->request.netns.kind = kind;
	lab->request.netns.number = number;
	ret = ask(lab);
	*ret_handle = lab->reply.netns_reply.handle;
	return ret;
}

static int
leave(struct lab *lab, uint32_t handle)
{
	make(lab, PRIV_NETNS_CLOSE);
	lab->request.netns_close.handle = handle;
	return ask(lab);
}

/* The index of an interface in a namespace; 0 when there is none. */
static uint32_t
find_interface(struct lab *lab, uint32_t netns, const char *name)
{
	make(lab, PRIV_LIST);
	lab->request.list.netns = netns;
	if (ask(lab) != E_OK)
		fail_msg("%s", lab->reply.list_reply.text);
	for (uint32_t i = 0; i < lab->reply.list_reply.n; i++)
		if (strcmp(lab->reply.list_reply.interfaces[i].name, name) == 0)
			return lab->reply.list_reply.interfaces[i].index;
	return 0;
}

static int
open_capture(struct lab *lab, uint32_t netns, uint32_t ifindex)
{
	make(lab, PRIV_OPEN);
	lab->request.open.capture = 1;
	lab->request.open.netns = netns;
	lab->request.open.ifindex = ifindex;
	lab->request.open.link_type = LINK_ETHERNET;
	lab->request.open.snaplen = 1500;
	lab->request.open.ring_bytes = PRIV_MIN_RING;
	lab->request.open.lanes = 1;
	lab->request.open.program.n_insns = 1;
	lab->request.open.program.insns[0] = (struct bpf_insn_raw){ .code = 6, .k = 262144 };
	return ask(lab);
}

static unsigned
packets_of(int fd)
{
	struct tpacket_stats_v3 stats = { 0 };
	socklen_t len = sizeof(stats);

	assert_int_equal(getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len), 0);
	return stats.tp_packets;
}

static void
send_frame(const char *name)
{
	struct sockaddr_ll addr = {
		.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(name),
	};
	const char frame[60] = { 2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8, (char)0x88, (char)0xb5 };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	assert_int_equal(sendto(fd, frame, sizeof(frame), 0, (struct sockaddr *)&addr,
	    sizeof(addr)), sizeof(frame));
	close(fd);
}

/* --- named ones --- */

static void
a_capture_in_a_named_namespace_sees_its_packets(void **state)
{
	struct lab *lab = lab_new("all", "*");
	uint32_t handle, handle2, index;
	unsigned n = 0;

	(void)state;
	assert_int_equal(enter(lab, PRIV_NETNS_NAMED, number_of(lab, blue), &handle), E_OK);
	assert_int_not_equal(handle, 0);
	index = find_interface(lab, handle, "inside0");
	assert_int_not_equal(index, 0);
	/* capagent itself has not stayed there. */
	assert_int_equal(find_interface(lab, 0, "inside0"), 0);
	assert_int_equal(find_interface(lab, 0, "outside0") == 0, 0);
	if (open_capture(lab, handle, index) != E_OK)
		fail_msg("%s", lab->reply.open_reply.text);
	assert_string_equal(lab->reply.open_reply.name, "inside0");
	send_frame("outside0");
	for (int i = 0; i < 1000 && n == 0; i++) {
		n = packets_of(lab->got);
		(void)poll(NULL, 0, n == 0 ? 5 : 0);
	}
	assert_in_range(n, 1, 1000);
	/* A namespace is left without ending what was opened in it. */
	assert_int_equal(enter(lab, PRIV_NETNS_NAMED, number_of(lab, blue), &handle2), E_OK);
	assert_int_not_equal(handle2, handle);
	assert_int_equal(leave(lab, handle), E_OK);
	assert_int_equal(leave(lab, handle2), E_OK);
	lab_free(lab, 0);
}

/* A reload changes the policy; what the child holds from before is no way around. */
static void
a_namespace_that_was_forbidden_since_is_refused(void **state)
{
	struct lab *lab = lab_new("all", "*");
	uint32_t number = number_of(lab, blue), handle, other, index;
	struct err err;

	(void)state;
	assert_int_equal(enter(lab, PRIV_NETNS_NAMED, number, &handle), E_OK);
	index = find_interface(lab, handle, "inside0");
	assert_int_equal(open_capture(lab, handle, index), E_OK);
	assert_int_equal(enter(lab, PRIV_NETNS_PID, (uint32_t)getpid(), &other), E_OK);
	assert_int_equal(policy_set(lab->policy, "namespaces", green, &err), E_OK);
	assert_int_equal(open_capture(lab, handle, index), E_DENIED);
	assert_non_null(strstr(lab->reply.open_reply.text, "not permitted"));
	assert_int_equal(enter(lab, PRIV_NETNS_NAMED, number, &other), E_DENIED);
	assert_int_equal(enter(lab, PRIV_NETNS_PID, (uint32_t)getpid(), &other), E_DENIED);
	assert_int_equal(number_of(lab, blue), 0);
	assert_int_equal(leave(lab, handle), E_OK);
	assert_int_equal(policy_set(lab->policy, "namespaces", "all", &err), E_OK);
	assert_int_equal(enter(lab, PRIV_NETNS_NAMED, number, &handle), E_OK);
	assert_int_equal(open_capture(lab, handle, index), E_OK);
	lab_free(lab, 0);
}

static void
names_are_found_when_they_are_made_and_keep_their_numbers(void **state)
{
	struct lab *lab = lab_new("all", "*");
	uint32_t number, handle;

	(void)state;
	assert_int_not_equal(number_of(lab, blue), 0);
	assert_int_equal(number_of(lab, green), 0);
	run("ip netns add $ns", green);
	number = number_of(lab, green);
	assert_int_not_equal(number, 0);
	run("ip netns del $ns", green);
	assert_int_equal(number_of(lab, green), 0);
	assert_int_equal(enter(lab, PRIV_NETNS_NAMED, number, &handle), E_NOIFACE);
	run("ip netns add $ns", green);
	assert_int_equal(number_of(lab, green), number);
	run("ip netns del $ns", green);
	lab_free(lab, 0);
}

static void
a_namespace_whose_name_was_removed_is_gone(void **state)
{
	struct lab *lab = lab_new("all", "*");
	uint32_t handle, index;

	(void)state;
	run("ip netns add $ns && ip -n $ns link set lo up", green);
	assert_int_equal(enter(lab, PRIV_NETNS_NAMED, number_of(lab, green), &handle), E_OK);
	index = find_interface(lab, handle, "lo");
	assert_int_equal(index, 1);
	for (int i = 0; i < 2; i++) {
		run("ip netns del $ns", green);
		make(lab, PRIV_LIST);
		lab->request.list.netns = handle;
		assert_int_equal(ask(lab), E_NOIFACE);
		assert_non_null(strstr(lab->reply.list_reply.text, "is gone"));
		assert_int_equal(open_capture(lab, handle, index), E_NOIFACE);
		/* Another of the same name is another. */
		if (i == 0)
			run("ip netns add $ns", green);
	}
	assert_int_equal(leave(lab, handle), E_OK);
	lab_free(lab, 0);
}

static void
only_permitted_names_and_interfaces_exist(void **state)
{
	struct lab *lab = lab_new("nothing*, else", "outside*");
	uint32_t handle;

	(void)state;
	assert_int_equal(number_of(lab, blue), 0);
	for (uint32_t i = 1; i < 50; i++)
		assert_int_equal(enter(lab, PRIV_NETNS_NAMED, i, &handle), E_NOIFACE);
	assert_int_equal(enter(lab, PRIV_NETNS_PID, (uint32_t)getpid(), &handle), E_DENIED);
	lab_free(lab, 0);

	lab = lab_new("capagent-*", "outside*");
	assert_int_equal(enter(lab, PRIV_NETNS_NAMED, number_of(lab, blue), &handle), E_OK);
	assert_int_equal(find_interface(lab, handle, "inside0"), 0);
	for (uint32_t i = 1; i < 10; i++)
		assert_int_not_equal(open_capture(lab, handle, i), E_OK);
	lab_free(lab, 0);
}

static void
the_agents_own_namespace_has_no_handle_under_any_name(void **state)
{
	struct lab *lab = lab_new("all", "*");
	uint32_t handle = 7;

	(void)state;
	run("ip netns attach $ns $PPID", green);
	assert_int_equal(enter(lab, PRIV_NETNS_NAMED, number_of(lab, green), &handle), E_OK);
	assert_int_equal(handle, 0);
	handle = 7;
	assert_int_equal(enter(lab, PRIV_NETNS_PID, (uint32_t)getpid(), &handle), E_OK);
	assert_int_equal(handle, 0);
	run("ip netns del $ns", green);
	lab_free(lab, 0);
}

static void
what_is_no_namespace_is_named_as_such(void **state)
{
	struct lab *lab = lab_new("all", "*");
	uint32_t handle;

	(void)state;
	run("touch /run/netns/$ns", green);
	assert_int_equal(enter(lab, PRIV_NETNS_NAMED, number_of(lab, green), &handle), E_NOIFACE);
	assert_non_null(strstr(lab->reply.netns_reply.text, "no namespace"));
	run("rm /run/netns/$ns", green);
	lab_free(lab, 0);
}

/* --- those of processes --- */

/* A process in a namespace of its own; write to it, and it moves on. */
static pid_t
start_process(int *ret_fd)
{
	int to[2], from[2];
	char byte = 0;
	pid_t pid;

	assert_int_equal(pipe(to), 0);
	assert_int_equal(pipe(from), 0);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		close(to[1]);
		while (unshare(CLONE_NEWNET) == 0 && system("ip link set lo up") == 0 &&
		    write(from[1], "", 1) == 1 && read(to[0], &byte, 1) == 1)
			;
		_exit(0);
	}
	close(to[0]);
	close(from[1]);
	assert_int_equal(read(from[0], &byte, 1), 1);
	close(from[0]);
	*ret_fd = to[1];
	return pid;
}

static void
a_namespace_lives_as_long_as_its_process(void **state)
{
	struct lab *lab = lab_new("pid", "*");
	uint32_t handle;
	int fd;
	pid_t pid = start_process(&fd);

	(void)state;
	if (enter(lab, PRIV_NETNS_PID, (uint32_t)pid, &handle) != E_OK)
		fail_msg("%s", lab->reply.netns_reply.text);
	assert_int_not_equal(handle, 0);
	assert_int_equal(find_interface(lab, handle, "lo"), 1);
	assert_int_equal(find_interface(lab, handle, "outside0"), 0);
	if (open_capture(lab, handle, 1) != E_OK)
		fail_msg("%s", lab->reply.open_reply.text);
	close(fd);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	make(lab, PRIV_LIST);
	lab->request.list.netns = handle;
	assert_int_equal(ask(lab), E_NOIFACE);
	assert_int_equal(open_capture(lab, handle, 1), E_NOIFACE);
	assert_int_equal(enter(lab, PRIV_NETNS_PID, (uint32_t)pid, &handle), E_NOIFACE);
	/* Nothing in this mode gives names. */
	assert_int_equal(number_of(lab, blue), 0);
	assert_int_equal(enter(lab, PRIV_NETNS_NAMED, 1, &handle), E_DENIED);
	lab_free(lab, 0);
}

static void
a_process_that_moved_is_not_followed(void **state)
{
	struct lab *lab = lab_new("all", "*");
	uint32_t handle;
	int fd;
	pid_t pid = start_process(&fd);

	(void)state;
	assert_int_equal(enter(lab, PRIV_NETNS_PID, (uint32_t)pid, &handle), E_OK);
	assert_int_equal(open_capture(lab, handle, 1), E_OK);
	assert_int_equal(write(fd, "x", 1), 1);
	for (int i = 0; i < 1000 && open_capture(lab, handle, 1) == E_OK; i++)
		(void)poll(NULL, 0, 5);
	assert_int_equal(lab->reply.open_reply.code, E_NOIFACE);
	assert_non_null(strstr(lab->reply.open_reply.text, "namespace is gone"));
	close(fd);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	lab_free(lab, 0);
}

/* --- limits --- */

static void
without_the_key_there_are_no_other_namespaces(void **state)
{
	struct lab *lab = lab_new("none", "*");
	uint32_t handle;

	(void)state;
	assert_int_equal(number_of(lab, blue), 0);
	assert_int_equal(enter(lab, PRIV_NETNS_NAMED, 1, &handle), E_DENIED);
	assert_int_equal(enter(lab, PRIV_NETNS_PID, (uint32_t)getpid(), &handle), E_DENIED);
	lab_free(lab, 0);
}

static void
handles_are_bounded_and_unknown_ones_end_the_service(void **state)
{
	struct lab *lab = lab_new("all", "*");
	uint32_t number = number_of(lab, blue), handle, last = 0;
	int n = 0, ret;

	(void)state;
	while ((ret = enter(lab, PRIV_NETNS_NAMED, number, &handle)) == E_OK) {
		assert_true(handle > last);
		last = handle;
		n++;
	}
	assert_int_equal(ret, E_LIMIT);
	assert_in_range(n, 64, 1000);
	assert_int_equal(leave(lab, last), E_OK);
	assert_int_equal(enter(lab, PRIV_NETNS_NAMED, number, &handle), E_OK);
	assert_int_equal(handle, last + 1);
	make(lab, PRIV_LIST);
	lab->request.list.netns = last;
	assert_int_equal(fdpass_send(lab->fd, &lab->request, priv_msg_size(PRIV_LIST), -1,
	    NULL), E_OK);
	lab_free(lab, 1);
}

static int
set_up(void **state)
{
	(void)state;
	snprintf(blue, sizeof(blue), "capagent-b%d", getpid());
	snprintf(green, sizeof(green), "capagent-g%d", getpid());
	if (unshare(CLONE_NEWNET) == -1) {
		perror("network namespace: needs root");
		return -1;
	}
	run("ip netns add $ns && ip link add outside0 type veth peer name inside0 netns $ns && "
	    "ip -n $ns link set inside0 up", blue);
	run("ip link set outside0 up", blue);
	return 0;
}

static int
tear_down(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "ip netns del %s; ip netns del %s 2>/dev/null; true",
	    blue, green);
	return system(command) == 0 ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_capture_in_a_named_namespace_sees_its_packets),
		cmocka_unit_test(a_namespace_that_was_forbidden_since_is_refused),
		cmocka_unit_test(names_are_found_when_they_are_made_and_keep_their_numbers),
		cmocka_unit_test(a_namespace_whose_name_was_removed_is_gone),
		cmocka_unit_test(only_permitted_names_and_interfaces_exist),
		cmocka_unit_test(the_agents_own_namespace_has_no_handle_under_any_name),
		cmocka_unit_test(what_is_no_namespace_is_named_as_such),
		cmocka_unit_test(a_namespace_lives_as_long_as_its_process),
		cmocka_unit_test(a_process_that_moved_is_not_followed),
		cmocka_unit_test(without_the_key_there_are_no_other_namespaces),
		cmocka_unit_test(handles_are_bounded_and_unknown_ones_end_the_service),
	};

	return cmocka_run_group_tests_name("server/priv_netns, real", tests, set_up, tear_down);
}
