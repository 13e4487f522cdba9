/* common/link_type: devices and their link types are libpcap's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>
#include <pcap/pcap.h>

#include "common/link_type.h"

static uint32_t
default_of(uint16_t arphrd, const char *name, bool *ret_is_cooked)
{
	struct link_choice choices[LINK_CHOICES_MAX];
	size_t n = link_type_choices(arphrd, name, choices);

	assert_in_range(n, 2, LINK_CHOICES_MAX);
	assert_int_equal(choices[n - 2].link_type, LINK_SLL2);
	assert_int_equal(choices[n - 1].link_type, LINK_SLL);
	*ret_is_cooked = choices[0].is_cooked;
	return choices[0].link_type;
}

static void
the_default_of_every_kind_of_interface_is_known(void **state)
{
	static const struct { uint16_t arphrd; uint32_t link_type; bool is_cooked; } cases[] = {
		{ 1, 1, false }, { 772, 1, false }, { 23, 1, false },
		{ 65534, 101, false }, { 768, 101, false }, { 776, 101, false },
		{ 264, 101, false }, { 518, 101, false }, { 15, 101, false },
		{ 801, 105, false }, { 802, 119, false }, { 803, 127, false },
		{ 804, 230, false }, { 280, 227, false }, { 826, 271, false },
		{ 513, 104, false }, { 784, 224, false }, { 774, 10, false }, { 6, 6, false },
		{ 800, 6, false }, { 824, 253, true }, { 783, 144, true }, { 8445, 177, true },
		/* PPP and ATM differ from driver to driver; the rest nobody knows. */
		{ 512, 276, true }, { 19, 276, true }, { 778, 276, true }, { 823, 276, true },
		{ 769, 276, true }, { 519, 276, true }, { 805, 276, true },
		{ 0xfffd, 276, true }, { 0xffff, 276, true },
	};
	bool is_cooked;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(default_of(cases[i].arphrd, "x0", &is_cooked),
		    cases[i].link_type);
		assert_int_equal(is_cooked, cases[i].is_cooked);
	}
}

static void
ethernet_that_is_none_is_known_by_its_name(void **state)
{
	bool is_cooked;

	(void)state;
	assert_int_equal(default_of(1, "isdn0", &is_cooked), LINK_SLL2);
	assert_true(is_cooked);
	assert_int_equal(default_of(1, "isdY2", &is_cooked), LINK_SLL2);
	assert_int_equal(default_of(1, "cdma_rmnet1", &is_cooked), LINK_RAW_IP);
	assert_false(is_cooked);
	assert_int_equal(default_of(1, "isd0", &is_cooked), LINK_ETHERNET);
	assert_int_equal(default_of(772, "isdn0", &is_cooked), LINK_ETHERNET);
}

static bool
is_in_all(uint32_t link_type)
{
	const uint32_t *all;
	size_t n;

	all = link_type_all(&n);
	for (size_t i = 0; i < n; i++)
		if (all[i] == link_type)
			return true;
	return false;
}

static void
all_link_types_are_exactly_those_of_some_device(void **state)
{
	struct link_choice choices[LINK_CHOICES_MAX];
	bool is_used[UINT16_MAX + 1] = { false };
	const uint32_t *all;
	size_t n_all;

	(void)state;
	for (uint32_t arphrd = 0; arphrd <= UINT16_MAX; arphrd++) {
		size_t n = link_type_choices((uint16_t)arphrd, "x0", choices);

		assert_in_range(n, 2, LINK_CHOICES_MAX);
		for (size_t i = 0; i < n; i++) {
			assert_true(is_in_all(choices[i].link_type));
			assert_int_equal(choices[i].is_cooked,
			    link_type_made_header(choices[i].link_type) > 0);
			is_used[choices[i].link_type] = true;
		}
	}
	all = link_type_all(&n_all);
	for (size_t i = 0; i < n_all; i++)
		assert_true(is_used[all[i]]);
}

static void
only_what_a_device_has_can_be_chosen(void **state)
{
	struct link_choice choice = { .link_type = 7 };

	(void)state;
	assert_true(link_type_choose(1, "eth0", 143, &choice));
	assert_int_equal(choice.link_type, 143);
	assert_false(choice.is_cooked);
	assert_true(link_type_choose(1, "eth0", LINK_SLL, &choice));
	assert_true(choice.is_cooked);
	assert_false(link_type_choose(1, "eth0", LINK_RAW_IP, &choice));
	assert_false(link_type_choose(65534, "tun0", LINK_ETHERNET, &choice));
	assert_int_equal(choice.link_type, LINK_SLL);
	assert_int_equal(link_type_made_header(LINK_SLL2), 20);
	assert_int_equal(link_type_made_header(LINK_SLL), 16);
	assert_int_equal(link_type_made_header(LINK_ETHERNET), 0);
}

/* libpcap numbers differently where BSDs disagree: RAW is the one here. */
static int
dlt_of(uint32_t link_type)
{
	return link_type == LINK_RAW_IP ? DLT_RAW : (int)link_type;
}

static void
names_are_libpcaps_and_lead_back(void **state)
{
	const uint32_t *all;
	unsigned n_known = 0;
	uint32_t back;
	size_t n;

	(void)state;
	all = link_type_all(&n);
	for (size_t i = 0; i < n; i++) {
		const char *theirs = pcap_datalink_val_to_name(dlt_of(all[i]));
		char ours[LINK_TYPE_TEXT_LEN], lower[LINK_TYPE_TEXT_LEN] = "";

		link_type_name(all[i], ours, sizeof(ours));
		/* libpcap has no names for the three oldest. */
		if (theirs != NULL) {
			assert_string_equal(ours, theirs);
			n_known++;
		}
		for (size_t k = 0; ours[k] != '\0'; k++)
			lower[k] = ours[k] >= 'A' && ours[k] <= 'Z' ?
			    (char)(ours[k] + 32) : ours[k];
		assert_true(link_type_from_name(ours, &back));
		assert_int_equal(back, all[i]);
		back = 0;
		assert_true(link_type_from_name(lower, &back));
		assert_int_equal(back, all[i]);
	}
	assert_int_equal(n_known, n - 3);
}

static void
numbers_are_names_too_and_the_rest_is_refused(void **state)
{
	static const char *const wrong[] = {
		"", "x", "-1", "+1", " 1", "1 ", "65536", "99999999999999999999", "EN10", "1x",
	};
	char text[LINK_TYPE_TEXT_LEN];
	uint32_t value = 5;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_false(link_type_from_name(wrong[i], &value));
	assert_int_equal(value, 5);
	assert_true(link_type_from_name("276", &value));
	assert_int_equal(value, LINK_SLL2);
	link_type_text(LINK_ETHERNET, text, sizeof(text));
	assert_string_equal(text, "EN10MB (Ethernet)");
	link_type_text(4711, text, sizeof(text));
	assert_string_equal(text, "4711");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_default_of_every_kind_of_interface_is_known),
		cmocka_unit_test(ethernet_that_is_none_is_known_by_its_name),
		cmocka_unit_test(all_link_types_are_exactly_those_of_some_device),
		cmocka_unit_test(only_what_a_device_has_can_be_chosen),
		cmocka_unit_test(names_are_libpcaps_and_lead_back),
		cmocka_unit_test(numbers_are_names_too_and_the_rest_is_refused),
	};

	return cmocka_run_group_tests_name("common/link_type", tests, NULL, NULL);
}
