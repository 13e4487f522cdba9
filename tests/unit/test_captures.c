/*
 * server/captures and its parts: what becomes of a capture's interfaces and
 * filters while it runs, as capagent and the client see it.
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

#include "loop_lab.h"
#include "ring_fake.h"
#include "server/captures.h"
#include "session_lab.h"

enum { ETH8 = 1008, ETH9 = 1009 };

/* The first of many instructions, then one VLAN as the file has it. */
enum { TAG_LEN = 6, PAD_MAX = 4000 };

struct filter {
	struct bpf_insn_raw insns[PAD_MAX];
	struct msg_program program;
	struct msg_filter filter;
};

static struct filter filters[3];

static const struct msg_filter *
make_filter(struct filter *f, const char *text, uint32_t n_insns)
{
	static const struct bpf_insn_raw tag[TAG_LEN] = {
		{ .code = 0x28, .k = 12 },
		{ .code = 0x15, .jf = 3, .k = 0x8100 },
		{ .code = 0x28, .k = 14 },
		{ .code = 0x15, .jf = 1, .k = 5 },
		{ .code = 0x06, .k = 262144 },
		{ .code = 0x06 },
	};
	static char texts[3][16];
	char *own = texts[f - filters];

	for (uint32_t i = 0; i + TAG_LEN < n_insns; i++)
		f->insns[i] = (struct bpf_insn_raw){ .code = 0x48, .k = 2 };
	f->insns[0] = (struct bpf_insn_raw){ .code = 0x01, .k = 12 };
	memcpy(&f->insns[n_insns - TAG_LEN], tag, sizeof(tag));
	snprintf(own, sizeof(texts[0]), "%s", text);
	f->program = (struct msg_program){ .link_type = LINK_ETHERNET,
	    .n_insns = n_insns, .insns = f->insns };
	f->filter = (struct msg_filter){ .text = own, .exact_vlan = true,
	    .n_programs = 1, .programs = &f->program };
	return &f->filter;
}

static struct priv_interface *
add_interface(struct session_lab *lab, const char *name, uint32_t index, uint32_t flags)
{
	struct priv_interface *iface =
	    &lab->boundary.interfaces[lab->boundary.n_interfaces++];

	*iface = (struct priv_interface){ .index = index, .flags = flags,
	    .arphrd = ARPHRD_ETHER, .link_type = LINK_ETHERNET };
	snprintf(iface->name, sizeof(iface->name), "%s", name);
	return iface;
}

static int
open_lab(void **state)
{
	struct session_lab *lab;

	(void)session_lab_open(state);
	lab = *state;
	lab->boundary.n_interfaces = 0;
	(void)add_interface(lab, "eth8", ETH8, IFF_UP);
	(void)add_interface(lab, "eth9", ETH9, 0);
	lab->net.setup.config.max_captures = 4;
	return 0;
}

static const struct msg_started *
start(struct session_lab *lab, const struct msg *msg)
{
	session_lab_greet(lab, 0);
	peer_lab_send(lab->client, msg);
	return &peer_lab_take(lab->client, MSG_STARTED)->msg.started;
}

/* The kernel tells of eth8 or eth9. */
static void
set_link(struct session_lab *lab, uint32_t index, uint32_t flags, bool is_gone)
{
	struct link_change change = { .ifindex = index, .is_gone = is_gone,
	    .is_up = (flags & IFF_UP) != 0 };

	for (uint32_t i = 0; i < lab->boundary.n_interfaces; i++)
		if (lab->boundary.interfaces[i].index == index) {
			lab->boundary.interfaces[i].flags = is_gone ? 0 : flags;
			memcpy(change.name, lab->boundary.interfaces[i].name,
			    sizeof(change.name));
		}
	captures_link_changed(&change, lab->net.captures);
}

static const struct msg_event *
take_event(struct session_lab *lab, enum capture_event kind, const char *word)
{
	const struct msg_event *event;

	do
		event = &peer_lab_take_main(lab->client, MSG_EVENT)->msg.event;
	while (event->kind != kind);
	if (strstr(event->text, word) == NULL)
		fail_msg("'%s' has no '%s'", event->text, word);
	return event;
}

/* --- what cannot be had at first --- */

static void
room_that_comes_free_is_used(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = session_lab_start("eth*");
	const struct msg_interface_added *added;

	lab->net.setup.config.max_interfaces = 1;
	assert_int_equal(start(lab, &msg)->n_interfaces, 1);
	set_link(lab, ETH9, IFF_UP, false);
	(void)take_event(lab, CAPTURE_EVENT_NOT_CAPTURED, "max-interfaces");
	set_link(lab, ETH8, 0, true);
	(void)take_event(lab, CAPTURE_EVENT_GONE, "eth8");
	added = &peer_lab_take_main(lab->client, MSG_INTERFACE_ADDED)->msg.interface_added;
	assert_string_equal(added->interface.name, "eth9");
}

static void
memory_that_comes_free_is_used_and_its_want_told_once(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = session_lab_start("eth*");
	const struct msg_interface_added *added;
	unsigned n_told = 0;

	(void)start(lab, &msg);
	lab->boundary.refuse_type = PRIV_OPEN;
	lab->boundary.refuse_code = E_LIMIT;
	set_link(lab, ETH9, IFF_UP, false);
	(void)take_event(lab, CAPTURE_EVENT_NOT_CAPTURED, "as asked");
	/* Others end, and it is still too little. */
	session_lab_greet(lab, 1);
	lab->boundary.refuse_type = 0;
	peer_lab_send(&lab->clients[1], &msg);
	(void)peer_lab_take(&lab->clients[1], MSG_STARTED);
	lab->boundary.refuse_type = PRIV_OPEN;
	peer_lab_close(&lab->clients[1]);
	session_lab_until_seen(lab, PRIV_OPEN, 5);
	lab->boundary.refuse_type = 0;
	set_link(lab, ETH8, 0, true);
	(void)take_event(lab, CAPTURE_EVENT_GONE, "eth8");
	added = &peer_lab_take_main(lab->client, MSG_INTERFACE_ADDED)->msg.interface_added;
	assert_string_equal(added->interface.name, "eth9");
	for (unsigned i = 0; i < lab->client->n_msgs; i++)
		n_told += lab->client->msgs[i].msg.type == MSG_EVENT &&
		    lab->client->msgs[i].msg.event.kind == CAPTURE_EVENT_NOT_CAPTURED;
	assert_int_equal(n_told, 1);
}

static void
a_process_that_had_no_such_interface_is_followed(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = session_lab_start("eth8");
	const struct msg_interface_added *added;

	msg.start.n_interfaces = 2;
	snprintf(msg.start.interfaces[1].name, sizeof(msg.start.interfaces[1].name),
	    "pid:77/blue*");
	assert_int_equal(start(lab, &msg)->n_interfaces, 1);
	assert_int_equal(lab->boundary.n_netns_open, 1);
	lab->boundary.foreign[0] = (struct priv_interface){ .index = 3,
	    .flags = IFF_UP, .arphrd = ARPHRD_ETHER, .link_type = LINK_ETHERNET,
	    .name = "blue0" };
	lab->boundary.n_foreign = 1;
	added = &peer_lab_take_main(lab->client, MSG_INTERFACE_ADDED)->msg.interface_added;
	assert_string_equal(added->interface.name, "blue0");
	assert_string_equal(added->interface.network_namespace, "pid:77");
	assert_int_equal(lab->boundary.n_netns_open, 1);
}

/* --- own traffic --- */

static void
addresses_that_come_while_it_is_opened_are_left_out_too(void **state)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(0x0a000007), .sin_port = htons(9443) };
	struct session_lab *lab = *state;
	struct msg msg = session_lab_start("eth8");
	uint32_t before;

	/* Too long for two copies: the agent judges tagged packets. */
	msg.start.filters[0] = *make_filter(&filters[0], "tag", 1200);
	msg.start.interfaces[0].snaplen = 262144;
	lab->boundary.hold_type = PRIV_OPEN;
	session_lab_greet(lab, 0);
	peer_lab_send(lab->client, &msg);
	session_lab_until_seen(lab, PRIV_OPEN, 1);
	before = lab->boundary.last_open.program.n_insns;
	assert_true(own_traffic_add(&lab->net.own, (struct sockaddr *)&addr));
	lab->net.own_generation++;
	boundary_lab_answer(&lab->boundary);
	assert_int_equal(peer_lab_take(lab->client, MSG_STARTED)->msg.started
	    .interfaces[0].filter_place, FILTER_AGENT);
	session_lab_until_seen(lab, PRIV_FILTER, 1);
	assert_true(lab->boundary.last.filter.program.n_insns > before);
}

/* --- filters that change --- */

static const struct msg_filter_changed *
take_changed(struct session_lab *lab)
{
	return &peer_lab_take_main(lab->client,
	    MSG_FILTER_CHANGED)->msg.filter_changed;
}

static void
send_update(struct session_lab *lab, uint32_t number, const struct msg_filter *list,
    uint32_t n)
{
	struct msg_filter copy[2];
	struct msg msg = { .type = MSG_UPDATE_FILTER };

	memcpy(copy, list, n * sizeof(*list));
	msg.update_filter.number = number;
	msg.update_filter.n_filters = n;
	msg.update_filter.filters = copy;
	peer_lab_send(lab->client, &msg);
}

static void
a_change_without_room_for_two_copies_has_one(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = session_lab_start("eth8");
	const struct msg_filter_changed *changed;
	uint32_t first;

	msg.start.filters[0] = *make_filter(&filters[0], "tag", 10);
	(void)start(lab, &msg);
	lab->boundary.refuse_type = PRIV_FILTER;
	lab->boundary.refuse_code = E_FILTER;
	lab->boundary.refuse_sys = ENOMEM;
	lab->boundary.n_to_refuse = 1;
	lab->boundary.hold_type = PRIV_FILTER;
	(void)make_filter(&filters[1], "tag2", 100);
	/* One copy is the shorter form while X is free. */
	for (uint32_t i = 0; i < 100 - TAG_LEN; i++)
		filters[1].insns[i] = (struct bpf_insn_raw){ .code = 0x28, .k = 30 };
	send_update(lab, 1, &filters[1].filter, 1);
	session_lab_until_seen(lab, PRIV_FILTER, 1);
	first = lab->boundary.last.filter.program.n_insns;
	boundary_lab_answer(&lab->boundary);
	session_lab_until_seen(lab, PRIV_FILTER, 2);
	assert_true(lab->boundary.last.filter.program.n_insns < first);
	lab->boundary.hold_type = 0;
	boundary_lab_answer(&lab->boundary);
	changed = take_changed(lab);
	assert_int_equal(changed->code, E_OK);
	assert_int_equal(changed->places[0], FILTER_KERNEL);
}

static void
a_program_that_the_kernel_calls_wrong_is_no_want_of_room(void **state)
{
	struct session_lab *lab = *state;
	struct msg msg = session_lab_start("eth8");

	msg.start.interfaces[0].snaplen = 262144;
	msg.start.filters[0] = *make_filter(&filters[0], "tag", 10);
	(void)start(lab, &msg);
	lab->boundary.refuse_type = PRIV_FILTER;
	lab->boundary.refuse_code = E_FILTER;
	lab->boundary.refuse_sys = EINVAL;
	lab->boundary.n_to_refuse = 1;
	send_update(lab, 1, make_filter(&filters[1], "tag2", 12), 1);
	assert_int_equal(take_changed(lab)->code, E_FILTER);
	assert_int_equal(lab->boundary.n_seen[PRIV_FILTER], 1);
}

/* Two interfaces with a filter each; the second one's is the longer. */
static void
start_two(struct session_lab *lab)
{
	struct msg msg = session_lab_start("eth8");
	static struct msg_filter two[2];

	set_link(lab, ETH9, IFF_UP, false);
	two[0] = *make_filter(&filters[0], "short", 10);
	two[1] = *make_filter(&filters[1], "long", 50);
	msg.start.n_filters = 2;
	msg.start.filters = two;
	msg.start.n_interfaces = 2;
	msg.start.interfaces[1].filter = 1;
	snprintf(msg.start.interfaces[1].name, sizeof(msg.start.interfaces[1].name),
	    "eth9");
	assert_int_equal(start(lab, &msg)->n_interfaces, 2);
}

static void
a_change_that_fails_half_way_is_undone_and_told(void **state)
{
	struct session_lab *lab = *state;
	struct msg_filter two[2];

	start_two(lab);
	two[0] = *make_filter(&filters[0], "short2", 10);
	two[1] = *make_filter(&filters[1], "long2", 60);
	lab->boundary.refuse_type = PRIV_FILTER;
	lab->boundary.refuse_after = 1;
	lab->boundary.refuse_code = E_NOMEM;
	lab->boundary.n_to_refuse = 1;
	lab->boundary.hold_type = PRIV_FILTER;
	send_update(lab, 1, two, 2);
	session_lab_until_seen(lab, PRIV_FILTER, 1);
	/* What needs most room is first: eth9, the second that was opened. */
	assert_int_equal(lab->boundary.last.filter.handle, 2);
	boundary_lab_answer(&lab->boundary);
	session_lab_until_seen(lab, PRIV_FILTER, 2);
	assert_int_equal(lab->boundary.last.filter.handle, 1);
	boundary_lab_answer(&lab->boundary);
	session_lab_until_seen(lab, PRIV_FILTER, 3);
	assert_int_equal(lab->boundary.last.filter.handle, 2);
	lab->boundary.hold_type = 0;
	boundary_lab_answer(&lab->boundary);
	(void)take_event(lab, CAPTURE_EVENT_OTHER, "half-way");
	assert_int_equal(take_changed(lab)->code, E_NOMEM);
	assert_int_equal(lab->boundary.n_seen[PRIV_FILTER], 3);
}

static void
a_change_that_fails_at_first_has_missed_nothing(void **state)
{
	struct session_lab *lab = *state;
	struct msg_filter two[2];

	start_two(lab);
	two[0] = *make_filter(&filters[0], "short2", 10);
	two[1] = *make_filter(&filters[1], "long2", 60);
	lab->boundary.refuse_type = PRIV_FILTER;
	lab->boundary.refuse_code = E_NOMEM;
	send_update(lab, 1, two, 2);
	assert_int_equal(take_changed(lab)->code, E_NOMEM);
	assert_int_equal(lab->boundary.n_seen[PRIV_FILTER], 1);
}

static void
a_change_that_cannot_be_undone_ends_the_capture(void **state)
{
	struct session_lab *lab = *state;
	struct msg_filter two[2];
	const struct msg_ended *ended;

	start_two(lab);
	two[0] = *make_filter(&filters[0], "short2", 10);
	two[1] = *make_filter(&filters[1], "long2", 60);
	lab->boundary.refuse_type = PRIV_FILTER;
	lab->boundary.refuse_after = 1;
	lab->boundary.refuse_code = E_NOMEM;
	send_update(lab, 1, two, 2);
	assert_int_equal(take_changed(lab)->code, E_NOMEM);
	ended = &peer_lab_take_main(lab->client, MSG_ENDED)->msg.ended;
	assert_int_equal(ended->code, E_NOMEM);
	assert_non_null(strstr(ended->text, "bring the old one back"));
}

int
main(void)
{
#define IN_LAB(test) cmocka_unit_test_setup_teardown(test, open_lab, session_lab_close)
	const struct CMUnitTest tests[] = {
		IN_LAB(room_that_comes_free_is_used),
		IN_LAB(memory_that_comes_free_is_used_and_its_want_told_once),
		IN_LAB(a_process_that_had_no_such_interface_is_followed),
		IN_LAB(addresses_that_come_while_it_is_opened_are_left_out_too),
		IN_LAB(a_change_without_room_for_two_copies_has_one),
		IN_LAB(a_program_that_the_kernel_calls_wrong_is_no_want_of_room),
		IN_LAB(a_change_that_fails_half_way_is_undone_and_told),
		IN_LAB(a_change_that_fails_at_first_has_missed_nothing),
		IN_LAB(a_change_that_cannot_be_undone_ends_the_capture),
	};

	return cmocka_run_group_tests_name("server/captures", tests, NULL, NULL);
}
