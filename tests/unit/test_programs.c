/* client/programs: each filter in every form that a sensor may need, or judged here. */
#include "tests/unit/bpf_lab.h"

#include <linux/if_packet.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/programs.h"
#include "proto/limits.h"

enum { ETHERNET = 1, PPP = 9, RAW_IP = 101, COOKED = 276 };

/* One interface, one filter. */
static struct options
options_of(struct options_interface *iface, const char *text)
{
	*iface = (struct options_interface){ .name = "eth0", .filter_text = text };
	return (struct options){ .interfaces = iface, .n_interfaces = 1 };
}

static int
init(struct programs *p, const char *text, struct err *err)
{
	struct options_interface iface;
	struct options o = options_of(&iface, text);

	return programs_init(p, &o, err);
}

static const struct msg_program *
find(const struct programs *p, uint32_t link_type)
{
	const struct msg_filter *f = &p->filters[0];

	for (uint32_t i = 0; i < f->n_programs; i++)
		if (f->programs[i].link_type == link_type)
			return &f->programs[i];
	return NULL;
}

static uint32_t
count_insns(const struct programs *p, uint32_t link_type)
{
	const struct msg_program *m = find(p, link_type);

	return m == NULL ? 0 : m->n_insns;
}

static void
no_filter_makes_no_program(void **state)
{
	struct programs p;
	struct err err;

	(void)state;
	assert_int_equal(init(&p, "", &err), E_OK);
	assert_int_equal(p.n, 1);
	assert_int_equal(p.filters[0].n_programs, 0);
	assert_string_equal(p.filters[0].text, "");
	assert_false(p.filters[0].exact_vlan || p.filters[0].at_client);
	programs_fini(&p);
}

static void
a_filter_that_fits_everywhere_comes_in_every_form(void **state)
{
	static const uint32_t types[] = { ETHERNET, RAW_IP, COOKED };
	struct programs p;
	struct err err;

	(void)state;
	assert_int_equal(init(&p, "udp port 53", &err), E_OK);
	assert_int_equal(p.filters[0].n_programs, ARRAY_LEN(types));
	assert_string_equal(p.filters[0].text, "udp port 53");
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		const struct msg_program *m = find(&p, types[i]);

		assert_true(m != NULL &&
		    bpf_prog_check(m->insns, m->n_insns, &err) == E_OK);
	}
	/* Where the IP header begins differs, so the programs do. */
	assert_int_not_equal(count_insns(&p, ETHERNET), count_insns(&p, RAW_IP));
	assert_null(programs_why_at_client(&p, 0));
	programs_fini(&p);
	programs_fini(&p);
}

static void
each_different_filter_is_compiled_once_in_its_place(void **state)
{
	struct options_interface ifaces[] = {
		{ .name = "a", .filter_text = "udp", .filter = 0 },
		{ .name = "b", .filter_text = "vlan 5", .filter = 1 },
		{ .name = "c", .filter_text = "udp", .filter = 0 },
		{ .name = "d", .filter_text = "", .filter = 2 },
	};
	struct options o = { .interfaces = ifaces, .n_interfaces = 4, .exact_filter = true };
	struct programs p;
	struct err err;

	(void)state;
	assert_int_equal(programs_init(&p, &o, &err), E_OK);
	assert_int_equal(p.n, 3);
	assert_string_equal(p.filters[0].text, "udp");
	assert_string_equal(p.filters[1].text, "vlan 5");
	assert_string_equal(p.filters[2].text, "");
	assert_true(p.filters[0].exact_vlan);
	assert_int_equal(p.filters[1].n_programs, 1);	/* tags are Ethernet's */
	programs_fini(&p);
}

/* "port 1 or port 2 or ..": seconds of libpcap's time for each form. */
static void
long_text(char *dst, size_t size, unsigned n)
{
	size_t len = 0;

	for (unsigned i = 0; i < n; i++)
		len += (size_t)snprintf(dst + len, size - len, "%sport %u",
		    i > 0 ? " or " : "", i + 1);
}

static void
a_long_filter_comes_for_ethernet_until_others_are_asked_for(void **state)
{
	static const uint32_t raw_ip = RAW_IP;
	struct options_interface iface;
	char text[2048];
	struct options o;
	struct programs p;
	struct err err;

	(void)state;
	long_text(text, sizeof(text), 90);
	assert_int_equal(init(&p, text, &err), E_OK);
	assert_int_equal(p.filters[0].n_programs, 1);
	assert_non_null(find(&p, ETHERNET));
	assert_int_equal(programs_need(&p, &raw_ip, 1, &err), E_OK);
	assert_non_null(find(&p, RAW_IP));
	programs_fini(&p);
	/* Whatever comes later must find its form there. */
	o = options_of(&iface, text);
	iface.name = "tun*";
	assert_int_equal(programs_init(&p, &o, &err), E_OK);
	assert_int_equal(p.filters[0].n_programs, 3);
	programs_fini(&p);
}

static void
a_filter_that_is_none_is_refused_with_libpcaps_words(void **state)
{
	struct programs p;
	struct err err;

	(void)state;
	assert_int_equal(init(&p, "port and and 53", &err), E_FILTER);
	assert_non_null(strstr(err.what, "port and and 53"));
	assert_non_null(strstr(err.what, "EN10MB"));
	assert_non_null(strstr(err.what, "syntax error"));
	assert_int_equal(p.n, 0);
	programs_fini(&p);
}

static void
a_filter_about_tags_is_marked(void **state)
{
	struct programs p;
	struct err err;

	(void)state;
	assert_int_equal(init(&p, "vlan 100 and udp", &err), E_OK);
	assert_true(p.filters[0].exact_vlan);
	programs_fini(&p);
	assert_int_equal(init(&p, "udp", &err), E_OK);
	assert_false(p.filters[0].exact_vlan);
	programs_fini(&p);
}

static void
further_link_types_are_compiled_when_the_agent_asks(void **state)
{
	static const uint32_t more[] = { PPP }, none[] = { 105 };
	struct programs p;
	struct err err;

	(void)state;
	assert_int_equal(init(&p, "udp", &err), E_OK);
	assert_null(find(&p, PPP));
	assert_int_equal(programs_need(&p, more, 1, &err), E_OK);
	assert_non_null(find(&p, PPP));
	assert_int_equal(programs_need(&p, more, 1, &err), E_STATE);	/* has it */
	programs_fini(&p);

	assert_int_equal(init(&p, "ether broadcast", &err), E_OK);
	assert_int_equal(programs_need(&p, more, 1, &err), E_FILTER);
	assert_non_null(strstr(err.what, "PPP"));
	assert_int_equal(programs_need(&p, none, 1, &err), E_OK);	/* 802.11 has it */
	programs_fini(&p);
}

/* Where the interface is another after all, the agent asks and the reason is told. */
static void
words_of_80211_are_taken_though_no_usual_link_type_knows_them(void **state)
{
	static const uint32_t radiotap[] = { 127 }, ethernet[] = { 1 };
	struct programs p;
	struct err err;

	(void)state;
	assert_int_equal(init(&p, "type mgt subtype beacon", &err), E_OK);
	assert_false(p.filters[0].at_client);
	assert_int_equal(programs_need(&p, radiotap, 1, &err), E_OK);
	assert_non_null(find(&p, 127));
	assert_int_equal(programs_need(&p, ethernet, 1, &err), E_FILTER);
	assert_non_null(strstr(err.what, "EN10MB"));
	programs_fini(&p);
}

/* More instructions than a kernel takes: 3000 different tests. */
static char *
long_filter(void)
{
	enum { TERMS = 3000, TERM_LEN = 20 };
	char *text = malloc(TERMS * TERM_LEN);
	size_t used = 0;

	assert_non_null(text);
	for (int i = 0; i < TERMS; i++)
		used += (size_t)snprintf(text + used, TERM_LEN, "%sip[%d]=%d",
		    i == 0 ? "" : " or ", i % 60, i / 60);
	assert_true(used < PROTO_MAX_FILTER_TEXT);
	return text;
}

static void
assert_only_here(const char *text, const char *why)
{
	struct options_interface iface;
	struct options o = options_of(&iface, text);
	struct programs p;
	struct err err;

	assert_int_equal(programs_init(&p, &o, &err), E_OK);
	assert_true(p.filters[0].at_client);
	assert_int_equal(p.filters[0].n_programs, 0);
	assert_non_null(strstr(programs_why_at_client(&p, 0), why));
	programs_fini(&p);
	o.kernel_only = true;
	assert_int_equal(programs_init(&p, &o, &err), E_FILTER);
	assert_non_null(strstr(err.what, why));
	assert_non_null(strstr(err.what, "--kernel-only"));
	programs_fini(&p);
}

static void
what_no_kernel_can_run_is_left_to_the_client(void **state)
{
	char *text = long_filter();

	(void)state;
	assert_only_here("ip6 protochain 17", "needs a loop");
	assert_only_here(text, "4096 instructions");
	free(text);
}

/* As another thread would. */
static void
add_form(struct programs *p, uint32_t link_type)
{
	struct programs_work *w;
	struct err err;

	w = programs_work_new_form(p, 0, link_type, &err);
	assert_non_null(w);
	programs_work_run(w);
	assert_int_equal(programs_work_take_form(w, p, &err), E_OK);
	programs_work_free(w);
}

static void
a_loop_and_the_kernels_knowledge_exclude_each_other(void **state)
{
	struct programs p;
	struct err err;

	(void)state;
	/* A cooked packet tells its direction itself. */
	assert_int_equal(init(&p, "inbound and ip6 protochain 17", &err), E_OK);
	assert_int_equal(programs_prepare(&p, 0, ETHERNET, &err), E_FILTER);
	add_form(&p, COOKED);
	assert_int_equal(programs_prepare(&p, 0, COOKED, &err), E_OK);
	assert_non_null(strstr(err.what, "not in one expression"));
	programs_fini(&p);
}

/* --- judging here --- */

static struct packet_ref
packet_of(const uint8_t *data, uint32_t len, uint8_t type)
{
	return (struct packet_ref){
		.meta = { .captured_len = len, .original_len = len, .type = type },
		.data = data,
	};
}

static bool
matches(const char *text, bool is_exact, const uint8_t *data, uint32_t len, uint8_t type)
{
	struct options_interface iface;
	struct options o = options_of(&iface, text);
	struct packet_ref packet = packet_of(data, len, type);
	struct programs p;
	struct err err;
	bool is_match;

	o.exact_filter = is_exact;
	assert_int_equal(programs_init(&p, &o, &err), E_OK);
	assert_int_equal(programs_prepare(&p, 0, ETHERNET, &err), E_OK);
	is_match = programs_match(&p, 0, ETHERNET, 7, &packet);
	programs_fini(&p);
	return is_match;
}

/* Ethernet, tag 5, IPv4, UDP 5353 > 53. */
static const uint8_t tagged[] = {
	2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x81, 0, 0, 5, 8, 0,
	0x45, 0, 0, 0x20, 0, 1, 0, 0, 0x40, 0x11, 0x66, 0xca, 10, 0, 0, 1, 10, 0, 0, 2,
	0x14, 0xe9, 0, 0x35, 0, 0xc, 0, 0, 'a', 'b', 'c', 'd',
};

static void
tags_are_passed_over_as_by_the_kernel_unless_they_count(void **state)
{
	const uint8_t in = PACKET_HOST, out = PACKET_OUTGOING;
	uint32_t len = sizeof(tagged);

	(void)state;
	assert_true(matches("udp port 53", false, tagged, len, in));
	assert_false(matches("udp port 53", false, tagged, len, out));
	assert_false(matches("udp port 53", true, tagged, len, in));
	assert_true(matches("vlan 5 and udp port 53", false, tagged, len, in));
	assert_false(matches("vlan 6", false, tagged, len, in));
	assert_true(matches("len = 46", false, tagged, len, in));
	assert_true(matches("len = 50", true, tagged, len, in));
	/* Cut inside the tag, and behind it. */
	assert_true(matches("ether[0] = 2", false, tagged, 14, in));
	assert_false(matches("udp", false, tagged, 17, in));
}

static void
direction_and_ifindex_are_known_from_the_stream(void **state)
{
	const uint8_t in = PACKET_HOST, out = PACKET_OUTGOING;
	uint32_t len = sizeof(tagged);

	(void)state;
	assert_true(matches("inbound", false, tagged, len, in));
	assert_false(matches("inbound", false, tagged, len, out));
	assert_true(matches("outbound and vlan 5 and udp", false, tagged, len, out));
	assert_false(matches("outbound and udp", true, tagged, len, in));
	assert_true(matches("ifindex 7", false, tagged, len, in));
	assert_false(matches("ifindex 8", false, tagged, len, in));
}

static void
loops_and_long_programs_are_run_here(void **state)
{
	/* IPv6, hop-by-hop options, UDP. */
	static const uint8_t chain[] = {
		2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd,
		0x60, 0, 0, 0, 0, 16, 0, 64, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
		0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
		17, 0, 1, 4, 0, 0, 0, 0, 0, 1, 0, 2, 0, 8, 0, 0,
	};
	char *text = long_filter();
	uint8_t ipv4[] = { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 20,
		0, 0, 0, 0, 0xff, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff };

	(void)state;
	assert_true(matches("ip6 protochain 17", false, chain, sizeof(chain), 0));
	assert_false(matches("ip6 protochain 6", false, chain, sizeof(chain), 0));
	/* Its terms ask for 0 to 49 at each place. */
	assert_true(matches(text, false, ipv4, sizeof(ipv4), 0));
	memset(ipv4 + 14, 0xff, sizeof(ipv4) - 14);
	assert_false(matches(text, false, ipv4, sizeof(ipv4), 0));
	free(text);
}

static void
a_form_that_is_missing_matches_nothing_until_it_is_made(void **state)
{
	struct packet_ref packet = packet_of(tagged + 18, sizeof(tagged) - 18, 0);
	struct programs p;
	struct err err;

	(void)state;
	assert_int_equal(init(&p, "ip protochain 17", &err), E_OK);
	assert_int_equal(programs_prepare(&p, 0, RAW_IP, &err), E_AGAIN);
	assert_false(programs_match(&p, 0, RAW_IP, 1, &packet));
	add_form(&p, RAW_IP);
	add_form(&p, RAW_IP);
	assert_int_equal(programs_prepare(&p, 0, RAW_IP, &err), E_OK);
	assert_true(programs_match(&p, 0, RAW_IP, 1, &packet));
	add_form(&p, 9999);
	assert_false(programs_match(&p, 0, 9999, 1, &packet));
	assert_int_equal(programs_prepare(&p, 0, 9999, &err), E_FILTER);
	programs_fini(&p);
}

/* What the agent asks for can be made before, and is not asked for twice. */
static void
a_form_that_was_made_serves_the_agents_question(void **state)
{
	static const uint32_t more[] = { PPP };
	struct programs p;
	struct err err;

	(void)state;
	assert_int_equal(init(&p, "udp", &err), E_OK);
	assert_true(programs_lacks_form(&p, 0, PPP));
	assert_false(programs_lacks_form(&p, 0, ETHERNET));
	add_form(&p, PPP);
	assert_false(programs_lacks_form(&p, 0, PPP));
	assert_null(find(&p, PPP));
	assert_int_equal(programs_need(&p, more, 1, &err), E_OK);
	assert_non_null(find(&p, PPP));
	programs_fini(&p);
	assert_int_equal(init(&p, "ip protochain 17", &err), E_OK);
	assert_false(programs_lacks_form(&p, 0, PPP));	/* no kernel's */
	programs_fini(&p);
}

/* --- --filter-file --- */

static void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static int
reload(const struct programs *p, const struct options *o, uint32_t link_type,
    bool is_open, struct programs *ret_new, struct err *err)
{
	struct programs_work *w;
	int rc;

	w = programs_work_new_file(o, &link_type, link_type != 0, is_open, err);
	if (w == NULL)
		return err->code;
	programs_work_run(w);
	rc = programs_work_take_file(w, p, ret_new, err);
	programs_work_free(w);
	return rc;
}

static void
a_file_read_anew_replaces_its_filter_and_no_other(void **state)
{
	static const uint32_t more[] = { PPP };
	char path[] = "/tmp/test_programs.XXXXXX", file_text[] = "udp";
	struct options_interface ifaces[] = {
		{ .name = "a", .filter_text = file_text, .filter = 0 },
		{ .name = "b", .filter_text = "tcp", .filter = 1 },
	};
	struct options o = { .interfaces = ifaces, .n_interfaces = 2, .filter = file_text,
	    .filter_file = path };
	struct programs p, new = { .n = 77 };
	struct err err;

	(void)state;
	close(mkstemp(path));
	assert_int_equal(programs_init(&p, &o, &err), E_OK);
	assert_int_equal(programs_need(&p, more, 1, &err), E_OK);

	write_file(path, "udp and and");
	assert_int_equal(reload(&p, &o, 0, true, &new, &err), E_FILTER);
	assert_int_equal(new.n, 77);

	write_file(path, "arp");
	assert_int_equal(reload(&p, &o, 0, true, &new, &err), E_OK);
	assert_int_equal(new.n, 2);
	assert_string_equal(new.filters[0].text, "arp");
	assert_string_equal(new.filters[1].text, "tcp");
	assert_int_equal(new.filters[1].n_programs, 4);
	assert_string_equal(p.filters[0].text, "udp");
	assert_int_equal(p.filters[0].n_programs, 4);
	programs_fini(&p);

	/* And once more, from what was read anew; to a filter of everything. */
	write_file(path, "# nothing\n");
	assert_int_equal(reload(&new, &o, 0, true, &p, &err), E_OK);
	assert_int_equal(p.filters[0].n_programs, 0);
	assert_string_equal(p.filters[0].text, "");
	programs_fini(&p);
	unlink(path);
	assert_int_equal(reload(&new, &o, 0, true, &p, &err), E_USAGE);
	o.filter_file = NULL;
	assert_int_equal(reload(&new, &o, 0, true, &p, &err), E_STATE);
	programs_fini(&new);
}

/* Before it: everything, a filter of the client's, or one of other types. */
static void
a_file_read_anew_is_compiled_for_the_types_in_use(void **state)
{
	enum { SLL = 113 };
	char before[][20] = { "", "ip protochain 17", "tcp" };
	char path[] = "/tmp/test_programs.XXXXXX";
	struct options_interface iface;

	(void)state;
	close(mkstemp(path));
	for (size_t i = 0; i < ARRAY_LEN(before); i++) {
		struct options o = options_of(&iface, before[i]);
		struct programs p, new;
		struct err err;

		o.filter = before[i];
		o.filter_file = path;
		assert_int_equal(programs_init(&p, &o, &err), E_OK);
		write_file(path, "udp");
		assert_int_equal(reload(&p, &o, SLL, false, &new, &err), E_OK);
		assert_int_equal(new.filters[0].n_programs, 1);
		assert_non_null(find(&new, SLL));
		programs_fini(&new);
		assert_int_equal(reload(&p, &o, SLL, true, &new, &err), E_OK);
		assert_int_equal(new.filters[0].n_programs, 4);
		programs_fini(&new);

		/* What is judged here can be judged at once. */
		write_file(path, "ip protochain 6");
		assert_int_equal(reload(&p, &o, SLL, true, &new, &err), E_OK);
		assert_true(new.filters[0].at_client);
		assert_int_equal(programs_prepare(&new, 0, SLL, &err), E_OK);
		programs_fini(&new);

		/* What fits another type only is told in libpcap's words. */
		write_file(path, "ether broadcast");
		assert_int_equal(reload(&p, &o, RAW_IP, false, &new, &err), E_FILTER);
		assert_non_null(strstr(err.what, "RAW"));
		assert_int_equal(reload(&p, &o, ETHERNET, false, &new, &err), E_OK);
		programs_fini(&new);
		programs_fini(&p);
	}
	unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_filter_makes_no_program),
		cmocka_unit_test(a_filter_that_fits_everywhere_comes_in_every_form),
		cmocka_unit_test(each_different_filter_is_compiled_once_in_its_place),
		cmocka_unit_test(a_long_filter_comes_for_ethernet_until_others_are_asked_for),
		cmocka_unit_test(a_filter_that_is_none_is_refused_with_libpcaps_words),
		cmocka_unit_test(a_filter_about_tags_is_marked),
		cmocka_unit_test(further_link_types_are_compiled_when_the_agent_asks),
		cmocka_unit_test(words_of_80211_are_taken_though_no_usual_link_type_knows_them),
		cmocka_unit_test(what_no_kernel_can_run_is_left_to_the_client),
		cmocka_unit_test(a_loop_and_the_kernels_knowledge_exclude_each_other),
		cmocka_unit_test(tags_are_passed_over_as_by_the_kernel_unless_they_count),
		cmocka_unit_test(direction_and_ifindex_are_known_from_the_stream),
		cmocka_unit_test(loops_and_long_programs_are_run_here),
		cmocka_unit_test(a_form_that_is_missing_matches_nothing_until_it_is_made),
		cmocka_unit_test(a_form_that_was_made_serves_the_agents_question),
		cmocka_unit_test(a_file_read_anew_replaces_its_filter_and_no_other),
		cmocka_unit_test(a_file_read_anew_is_compiled_for_the_types_in_use),
	};

	return cmocka_run_group_tests_name("client/programs", tests, NULL, NULL);
}
