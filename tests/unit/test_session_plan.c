/*
 * server/session_plan, wanted_socket, survey, open_one, plan: which sockets a
 * Start comes to, and what is had instead of what cannot be had.
 */
#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/limits.h"
#include "ring_fake.h"
#include "server/captures.h"
#include "session_lab.h"

static struct bpf_insn_raw everything[] = { { .code = 0x06, .k = 262144 } };

/* A Start for these names, each with the filter of session_lab_start(). */
static struct msg
start_of(const char *const names[], uint32_t n)
{
	struct msg msg = session_lab_start(names[0]);

	msg.start.n_interfaces = n;
	for (uint32_t i = 0; i < n; i++)
		snprintf(msg.start.interfaces[i].name,
		    sizeof(msg.start.interfaces[i].name), "%s", names[i]);
	return msg;
}

#define START(...)	start_of((const char *const []){ __VA_ARGS__ },		\
	sizeof((const char *const []){ __VA_ARGS__ }) / sizeof(char *))

/* Give the Start's only filter a program for this link type. */
static void
set_program(struct msg *msg, struct msg_program *program, uint32_t link_type)
{
	*program = (struct msg_program){ .link_type = link_type,
	    .insns = everything, .n_insns = 1 };
	msg->start.filters[0].n_programs = 1;
	msg->start.filters[0].programs = program;
}

static void
add_interface(struct session_lab *lab, const char *name, uint32_t index,
    uint32_t flags)
{
	struct priv_interface *iface =
	    &lab->boundary.interfaces[lab->boundary.n_interfaces++];

	*iface = (struct priv_interface){ .index = index, .flags = flags,
	    .arphrd = ARPHRD_ETHER, .link_type = LINK_ETHERNET };
	snprintf(iface->name, sizeof(iface->name), "%s", name);
}

static void
add_foreign(struct session_lab *lab)
{
	struct priv_interface *iface = &lab->boundary.foreign[0];

	lab->boundary.n_foreign = 1;
	*iface = (struct priv_interface){ .index = 3, .flags = IFF_UP,
	    .arphrd = ARPHRD_ETHER, .link_type = LINK_ETHERNET,
	    .driver = "veth", .speed_mbps = 10000,
	    .time_stamp_types = PRIV_TIME_HOST };
	snprintf(iface->name, sizeof(iface->name), "blue0");
}

static const struct msg_started *
start(struct session_lab *lab, const struct msg *msg)
{
	session_lab_greet(lab, 0);
	peer_lab_send(lab->client, msg);
	return &peer_lab_take(lab->client, MSG_STARTED)->msg.started;
}

static void
assert_refused(struct session_lab *lab, const struct msg *msg, int code,
    const char *word)
{
	session_lab_greet(lab, 0);
	peer_lab_send(lab->client, msg);
	session_lab_assert_refused(lab, lab->client, code, word);
	peer_lab_close(lab->client);
	session_lab_until_idle(lab);
}

static void
assert_has(const char *text, const char *word)
{
	if (strstr(text, word) == NULL)
		fail_msg("'%s' has no '%s'", text, word);
}

/* --- who wants what --- */

static void
any_is_every_interface_that_is_up(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = START("any");
	const struct msg_started *started = start(lab, &msg);

	assert_int_equal(started->n_interfaces, 2);
	assert_string_equal(started->interfaces[0].name, "lo");
	assert_string_equal(started->interfaces[1].name, "raw9");
	assert_has(started->notes, "down9");
}

static void
each_interface_is_opened_as_its_request_says(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = START("raw9", "any");
	const struct msg_started *started;

	msg.start.interfaces[0].snaplen = 96;
	msg.start.interfaces[0].no_promiscuous = true;
	msg.start.interfaces[1].link_type = LINK_SLL;
	started = start(lab, &msg);
	assert_int_equal(started->n_interfaces, 2);
	assert_int_equal(started->interfaces[0].request, 0);
	assert_int_equal(started->interfaces[0].snaplen, 96);
	assert_int_equal(started->interfaces[0].link_type, LINK_RAW_IP);
	assert_false(started->interfaces[0].is_promiscuous);
	assert_string_equal(started->interfaces[1].name, "lo");
	assert_int_equal(started->interfaces[1].request, 1);
	assert_int_equal(started->interfaces[1].snaplen, 1000);
	assert_int_equal(started->interfaces[1].link_type, LINK_SLL);
	assert_true(started->interfaces[1].is_promiscuous);
}

static void
patterns_that_match_nothing_are_refused_only_when_nothing_is_left(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = START("nosuch*", "raw*");

	assert_int_equal(start(lab, &msg)->n_interfaces, 1);
	peer_lab_close(lab->client);
	session_lab_until_idle(lab);
	msg = START("nosuch*");
	assert_refused(lab, &msg, E_NOIFACE, "nosuch*");
	msg = START("down*");
	assert_refused(lab, &msg, E_IFDOWN, "down*");
}

static void
one_interface_under_two_names_is_refused(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = START("raw9", "9002");

	assert_refused(lab, &msg, E_USAGE, "twice");
	msg = START("raw*", "9002");
	assert_int_equal(start(lab, &msg)->n_interfaces, 1);
}

static void
more_interfaces_than_may_be_are_refused_with_their_number(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = START("any");

	for (uint32_t i = 0; i < 3; i++)
		add_interface(lab, (const char *[]){ "a0", "a1", "a2" }[i], 40 + i,
		    IFF_UP);
	assert_refused(lab, &msg, E_LIMIT, "5 interfaces: max-interfaces is 4");
	assert_int_equal(lab->boundary.n_seen[PRIV_OPEN], 0);
}

static void
an_interface_that_vanishes_before_it_is_opened_is_no_loss_to_a_pattern(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = START("any");
	const struct msg_started *started;

	add_interface(lab, "a0", 40, IFF_UP);
	lab->boundary.refuse_type = PRIV_OPEN;
	lab->boundary.refuse_code = E_NOIFACE;
	lab->boundary.n_to_refuse = 1;
	started = start(lab, &msg);
	assert_int_equal(started->n_interfaces, 2);
	assert_string_equal(started->interfaces[0].name, "raw9");
	assert_string_equal(started->interfaces[1].name, "a0");
	assert_has(started->notes, "as asked");
	peer_lab_close(lab->client);
	session_lab_until_idle(lab);
	/* All of them, or one that was named. */
	lab->boundary.refuse_type = PRIV_OPEN;
	assert_refused(lab, &msg, E_NOIFACE, "as asked");
	msg = START("lo", "any");
	assert_refused(lab, &msg, E_NOIFACE, "as asked");
}

static void
the_rings_memory_is_divided(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = START("any");
	const struct msg_started *started;

	msg.start.ring_bytes = 8 << 20;
	(void)start(lab, &msg);
	assert_int_equal(lab->boundary.last_open.ring_bytes, 4 << 20);
	peer_lab_close(lab->client);
	session_lab_until_idle(lab);
	msg.start.ring_bytes = 3 << 20;
	started = start(lab, &msg);
	assert_int_equal(lab->boundary.last_open.ring_bytes, PRIV_MIN_RING);
	assert_has(started->notes, "raised to 2048 KiB for each");
}

static void
a_cooked_any_is_one_socket_with_what_it_loses_said(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = START("any");
	const struct msg_started *started;
	const struct priv_open *open = &lab->boundary.last_open;

	msg.start.cooked = true;
	started = start(lab, &msg);
	assert_int_equal(started->n_interfaces, 1);
	assert_string_equal(started->interfaces[0].name, "any");
	assert_int_equal(started->interfaces[0].link_type, LINK_SLL2);
	assert_int_equal(open->ifindex, 0);
	assert_int_equal(open->flags, PRIV_OPEN_COOKED);
	assert_has(started->notes, "not promiscuous");
	assert_has(started->notes, "VLAN");
}

static void
a_link_type_that_is_no_choice_is_refused_with_the_choices(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = START("raw9");

	msg.start.interfaces[0].link_type = LINK_ETHERNET;
	assert_refused(lab, &msg, E_USAGE, "LINUX_SLL2");
	assert_int_equal(lab->boundary.n_seen[PRIV_OPEN], 0);
}

/* --- programs --- */

static void
missing_programs_are_asked_for_and_the_next_start_is_served(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = START("any");
	struct msg_program program, both[2];
	const struct msg_need_programs *need;

	set_program(&msg, &program, LINK_SLL2);
	session_lab_greet(lab, 0);
	peer_lab_send(lab->client, &msg);
	need = &peer_lab_take(lab->client, MSG_NEED_PROGRAMS)->msg.need_programs;
	assert_int_equal(need->n, 2);
	assert_int_equal(need->link_types[0], LINK_ETHERNET);
	assert_int_equal(need->link_types[1], LINK_RAW_IP);
	assert_int_equal(lab->boundary.n_seen[PRIV_OPEN], 0);
	both[0] = both[1] = program;
	both[0].link_type = LINK_ETHERNET;
	both[1].link_type = LINK_RAW_IP;
	msg.start.filters[0].n_programs = 2;
	msg.start.filters[0].programs = both;
	peer_lab_send(lab->client, &msg);
	assert_int_equal(peer_lab_take(lab->client,
	    MSG_STARTED)->msg.started.n_interfaces, 2);
}

static void
a_client_that_never_sends_them_is_refused(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = START("lo");
	struct msg_program program;

	set_program(&msg, &program, LINK_SLL2);
	session_lab_greet(lab, 0);
	for (int i = 0; i < 3; i++) {
		peer_lab_send(lab->client, &msg);
		(void)peer_lab_take(lab->client, MSG_NEED_PROGRAMS);
	}
	peer_lab_send(lab->client, &msg);
	session_lab_assert_refused(lab, lab->client, E_FILTER, "still");
}

/* --- places --- */

static void
what_no_kernel_program_can_say_the_client_judges(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = START("lo");
	const struct msg_started *started;

	msg.start.filters[0].at_client = true;
	msg.start.kernel_only = true;
	assert_refused(lab, &msg, E_FILTER, "--kernel-only");
	msg.start.kernel_only = false;
	msg.start.interfaces[0].snaplen = 96;
	started = start(lab, &msg);
	assert_int_equal(started->interfaces[0].filter_place, FILTER_CLIENT);
	assert_int_equal(started->interfaces[0].snaplen, 96);
	/* It asked for that: there is nothing to tell. */
	assert_string_equal(started->notes, "");
	/* The filter may look behind the 96 bytes that are kept. */
	assert_int_equal(lab->boundary.last_open.snaplen, PRIV_MAX_SNAPLEN);
}

static void
a_kernel_without_room_for_the_filter_is_asked_for_less(void **state)
{
	static struct bpf_insn_raw ip[] = {
		{ 0x28, 0, 0, 12 }, { 0x15, 0, 1, 0x800 }, { 6, 0, 0, 65535 }, { 6, 0, 0, 0 },
	};
	struct session_lab *lab = *state;
	struct msg msg = START("lo");
	struct msg_program program;
	const struct msg_started *started;

	set_program(&msg, &program, LINK_ETHERNET);
	lab->boundary.refuse_type = PRIV_OPEN;
	lab->boundary.refuse_code = E_FILTER;
	lab->boundary.refuse_sys = ENOMEM;
	lab->boundary.n_to_refuse = 1;
	started = start(lab, &msg);
	assert_int_not_equal(started->interfaces[0].filter_place, FILTER_KERNEL);
	assert_has(started->notes, "as asked");
	assert_has(started->notes, "by the client");
	peer_lab_close(lab->client);
	session_lab_until_idle(lab);
	/* Again and again: only who filters in the end is told. */
	msg.start.filters[0].exact_vlan = true;
	program.insns = ip;
	program.n_insns = ARRAY_LEN(ip);
	lab->boundary.refuse_type = PRIV_OPEN;
	lab->boundary.n_to_refuse = 3;
	started = start(lab, &msg);
	assert_int_equal(started->interfaces[0].filter_place, FILTER_CLIENT);
	assert_has(started->notes, "by the client");
	assert_null(strstr(started->notes, "by the agent"));
	peer_lab_close(lab->client);
	session_lab_until_idle(lab);
	set_program(&msg, &program, LINK_ETHERNET);
	msg.start.filters[0].exact_vlan = false;
	/* Not where the client forbids it, nor for another reason. */
	lab->boundary.refuse_type = PRIV_OPEN;
	msg.start.kernel_only = true;
	assert_refused(lab, &msg, E_FILTER, "as asked");
	msg.start.kernel_only = false;
	lab->boundary.refuse_sys = EINVAL;
	assert_refused(lab, &msg, E_FILTER, "as asked");
}

static void
adapter_time_that_is_not_offered_is_said(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = START("lo");
	const struct msg_started *started;

	msg.start.time_stamp_type = TIME_STAMP_ADAPTER;
	started = start(lab, &msg);
	assert_int_equal(started->interfaces[0].time_stamp_type, TIME_STAMP_HOST);
	assert_has(started->notes, "host's are used");
	assert_int_equal(lab->boundary.last_open.flags & PRIV_OPEN_ADAPTER_TIME, 0);
}

static void
adapter_time_that_is_refused_is_the_hosts(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = START("lo");
	const struct msg_started *started;

	lab->boundary.interfaces[0].time_stamp_types = PRIV_TIME_HOST |
	    PRIV_TIME_ADAPTER;
	msg.start.time_stamp_type = TIME_STAMP_ADAPTER;
	lab->boundary.refuse_type = PRIV_OPEN;
	lab->boundary.refuse_code = E_DENIED;
	lab->boundary.n_to_refuse = 1;
	started = start(lab, &msg);
	assert_int_equal(started->interfaces[0].time_stamp_type, TIME_STAMP_HOST);
	assert_has(started->notes, "host's time stamps are used");
}

/* --- namespaces --- */

static void
an_interface_of_another_namespace_is_captured_there(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = START("lo", "netns:blue/*", "pid:77/blue0");
	const struct msg_started *started;

	add_foreign(lab);
	started = start(lab, &msg);
	assert_int_equal(started->n_interfaces, 3);
	assert_string_equal(started->interfaces[0].network_namespace, "");
	assert_string_equal(started->interfaces[1].network_namespace, "netns:blue");
	assert_string_equal(started->interfaces[1].name, "blue0");
	assert_string_equal(started->interfaces[2].network_namespace, "pid:77");
	assert_int_equal(lab->boundary.last_open.netns, 2);
	/* The handles live as long as the capture does. */
	assert_int_equal(lab->boundary.n_netns_open, 2);
	peer_lab_close(lab->client);
	session_lab_until_idle(lab);
}

static void
a_namespace_that_cannot_be_had_is_refused_by_name(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = START("netns:red/eth0");

	add_foreign(lab);
	assert_refused(lab, &msg, E_NOIFACE, "netns:red");
	msg = START("pid:x/eth0");
	assert_refused(lab, &msg, E_USAGE, "pid:x");
	lab->boundary.refuse_type = PRIV_NETNS;
	lab->boundary.refuse_code = E_DENIED;
	msg = START("netns:blue/eth0");
	assert_refused(lab, &msg, E_DENIED, "netns: as asked");
	lab->boundary.refuse_type = 0;
	assert_refused(lab, &msg, E_NOIFACE, "netns:blue/eth0");
	assert_int_equal(lab->boundary.n_netns_open, 0);
}

static void
what_an_adapter_elsewhere_loses_is_told_by_capagent(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = START("netns:blue/blue0");
	const unsigned *n_lists = &lab->boundary.n_seen[PRIV_LIST];
	const struct msg_ended *ended;

	add_foreign(lab);
	lab->boundary.foreign[0].rx_lost = 100;		/* before the capture */
	(void)start(lab, &msg);
	lab->boundary.foreign[0].rx_lost = 107;
	/* The second look begins when the first one is done. */
	session_lab_until_seen(lab, PRIV_LIST, *n_lists + 2);
	peer_lab_send_type(lab->client, MSG_STOP);
	ended = &peer_lab_take_main(lab->client, MSG_ENDED)->msg.ended;
	assert_int_equal(ended->stats.n_interfaces, 1);
	assert_int_equal(ended->stats.interfaces[0].dropped_interface, 7);
	peer_lab_close(lab->client);
	session_lab_until_idle(lab);
}

static void
our_own_namespace_by_another_name_is_just_itself(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = START("netns:blue/raw9", "lo");
	const struct msg_interface_list *list;
	const struct msg_started *started;

	add_foreign(lab);
	lab->boundary.is_blue_own = true;
	started = start(lab, &msg);
	assert_int_equal(started->n_interfaces, 2);
	assert_string_equal(started->interfaces[0].name, "raw9");
	assert_string_equal(started->interfaces[0].network_namespace, "");
	peer_lab_close(lab->client);
	session_lab_until_idle(lab);
	msg = START("netns:blue/lo", "lo");
	assert_refused(lab, &msg, E_USAGE, "twice");
	session_lab_greet(lab, 0);
	peer_lab_send_type(lab->client, MSG_LIST_REQUEST);
	list = &peer_lab_take(lab->client,
	    MSG_INTERFACE_LIST)->msg.interface_list;
	for (uint32_t i = 0; i < list->n; i++)
		assert_string_equal(list->interfaces[i].network_namespace, "");
}

static void
lists_tell_of_devices_and_of_other_namespaces(void **state)
{
	struct session_lab *lab = *state;
	const struct msg_interface_list *list;
	const struct msg_interface *last;

	add_foreign(lab);
	session_lab_greet(lab, 0);
	peer_lab_send_type(lab->client, MSG_LIST_REQUEST);
	list = &peer_lab_take(lab->client,
	    MSG_INTERFACE_LIST)->msg.interface_list;
	last = &list->interfaces[list->n - 1];
	assert_string_equal(last->name, "blue0");
	assert_string_equal(last->network_namespace, "netns:blue");
	assert_string_equal(last->driver, "veth");
	assert_int_equal(last->speed_mbps, 10000);
	assert_int_equal(last->link_types[0], LINK_ETHERNET);
	assert_true(last->n_link_types >= 3);
	for (uint32_t i = 0; i < list->n; i++)
		if (strcmp(list->interfaces[i].name, "lo") == 0)
			assert_true(list->interfaces[i].n_link_types >= 3);
	assert_int_equal(lab->boundary.n_netns_open, 0);
}

/* --- plans --- */

static void
a_plan_tells_and_captures_nothing(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = START("raw9", "lo");
	const struct msg_plan *plan;
	struct msg_program program;

	set_program(&msg, &program, LINK_ETHERNET);
	msg.start.interfaces[0].filter = 0;
	msg.start.plan_only = true;
	session_lab_greet(lab, 0);
	peer_lab_send(lab->client, &msg);
	/* The same answer as to a Start. */
	(void)peer_lab_take(lab->client, MSG_NEED_PROGRAMS);
	msg.start.filters[0].n_programs = 0;
	peer_lab_send(lab->client, &msg);
	plan = &peer_lab_take(lab->client, MSG_PLAN)->msg.plan;
	assert_int_equal(plan->n_interfaces, 2);
	assert_string_equal(plan->interfaces[0].interface.name, "raw9");
	assert_true(plan->interfaces[0].n_insns > 1);
	assert_true(plan->interfaces[0].n_parts >= 1);
	assert_int_equal(plan->interfaces[0].ring_bytes, PRIV_MIN_RING);
	assert_true(plan->interfaces[0].retire_ms > 0);
	assert_true(plan->log_bytes > 0);
	assert_int_equal(lab->boundary.n_seen[PRIV_OPEN], 0);
	/* The connection serves on. */
	msg.start.plan_only = false;
	peer_lab_send(lab->client, &msg);
	(void)peer_lab_take(lab->client, MSG_STARTED);
}

static bool
has_warning(const struct msg_plan_interface *p, const char *word)
{
	for (uint32_t i = 0; i < p->n_warnings; i++)
		if (strstr(p->warnings[i], word) != NULL)
			return true;
	return false;
}

static void
a_plan_of_a_filter_looks_for_tagged_traffic_and_closes_again(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = START("lo");
	const struct msg_plan *plan;
	struct msg_program program;

	set_program(&msg, &program, LINK_ETHERNET);
	msg.start.plan_only = true;
	session_lab_greet(lab, 0);
	peer_lab_send(lab->client, &msg);
	plan = &peer_lab_take(lab->client, MSG_PLAN)->msg.plan;
	assert_false(has_warning(&plan->interfaces[0], "tagged"));
	assert_int_equal(lab->boundary.n_seen[PRIV_OPEN], 1);
	session_lab_until_seen(lab, PRIV_CLOSE, 1);
	lab->boundary.refuse_type = PRIV_OPEN;
	lab->boundary.refuse_code = E_LIMIT;
	peer_lab_send(lab->client, &msg);
	plan = &peer_lab_take(lab->client, MSG_PLAN)->msg.plan;
	assert_true(has_warning(&plan->interfaces[0], "as asked"));
}

static void
a_client_that_goes_during_a_plan_leaves_nothing_open(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = START("lo");
	struct msg_program program;

	set_program(&msg, &program, LINK_ETHERNET);
	msg.start.plan_only = true;
	session_lab_greet(lab, 0);
	peer_lab_send(lab->client, &msg);
	session_lab_until_seen(lab, PRIV_OPEN, 1);
	peer_lab_close(lab->client);
	session_lab_until_idle(lab);
	assert_int_equal(lab->boundary.n_seen[PRIV_CLOSE], 1);
}

int
main(void)
{
#define IN_LAB(test) cmocka_unit_test_setup_teardown(test, session_lab_open, session_lab_close)
	const struct CMUnitTest tests[] = {
		IN_LAB(any_is_every_interface_that_is_up),
		IN_LAB(each_interface_is_opened_as_its_request_says),
		IN_LAB(patterns_that_match_nothing_are_refused_only_when_nothing_is_left),
		IN_LAB(one_interface_under_two_names_is_refused),
		IN_LAB(more_interfaces_than_may_be_are_refused_with_their_number),
		IN_LAB(an_interface_that_vanishes_before_it_is_opened_is_no_loss_to_a_pattern),
		IN_LAB(the_rings_memory_is_divided),
		IN_LAB(a_cooked_any_is_one_socket_with_what_it_loses_said),
		IN_LAB(a_link_type_that_is_no_choice_is_refused_with_the_choices),
		IN_LAB(missing_programs_are_asked_for_and_the_next_start_is_served),
		IN_LAB(a_client_that_never_sends_them_is_refused),
		IN_LAB(what_no_kernel_program_can_say_the_client_judges),
		IN_LAB(a_kernel_without_room_for_the_filter_is_asked_for_less),
		IN_LAB(adapter_time_that_is_not_offered_is_said),
		IN_LAB(adapter_time_that_is_refused_is_the_hosts),
		IN_LAB(an_interface_of_another_namespace_is_captured_there),
		IN_LAB(a_namespace_that_cannot_be_had_is_refused_by_name),
		IN_LAB(what_an_adapter_elsewhere_loses_is_told_by_capagent),
		IN_LAB(our_own_namespace_by_another_name_is_just_itself),
		IN_LAB(lists_tell_of_devices_and_of_other_namespaces),
		IN_LAB(a_plan_tells_and_captures_nothing),
		IN_LAB(a_plan_of_a_filter_looks_for_tagged_traffic_and_closes_again),
		IN_LAB(a_client_that_goes_during_a_plan_leaves_nothing_open),
	};

	return cmocka_run_group_tests_name("server/session_plan", tests, NULL, NULL);
}
