/* server/policy_change: what a reload may change, and what stays as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "server/policy_change.h"

static void
set(struct policy *policy, const char *key, const char *value)
{
	struct err err;

	if (policy_set(policy, key, value, &err) != E_OK)
		fail_msg("%s", err.what);
}

/* As after a start without options. */
static void
make(struct policy *policy)
{
	policy_init(policy);
	set(policy, "listen", "0.0.0.0");
	set(policy, "listen", "[::]");
}

static void
judge(const struct policy *first, const struct policy *now, struct policy *next,
    struct policy_change *change)
{
	struct err err;

	if (policy_change_judge(first, now, next, change, &err) != E_OK)
		fail_msg("%s", err.what);
}

static void
what_is_the_same_is_no_change(void **state)
{
	struct policy now, next;
	struct policy_change change;

	(void)state;
	make(&now);
	make(&next);
	/* Leftovers behind a shorter text are nothing. */
	set(&next, "cert", "/a/much/longer/path/than/the/default/one/of/all.pem");
	set(&next, "cert", now.cert);
	judge(&now, &now, &next, &change);
	assert_string_equal(change.changed, "");
	assert_string_equal(change.needs_restart, "");
}

static const struct { const char *key, *value; } free_keys[] = {
	{ "cert", "/x" }, { "key", "/x" }, { "ca", "/x" }, { "interfaces", "eth0" },
	{ "promiscuous", "no" }, { "max-snaplen", "77" }, { "mandatory-filter", "udp" },
	{ "ring-memory", "3MiB" }, { "log-memory", "3MiB" }, { "max-captures", "3" },
	{ "max-interfaces", "3" }, { "max-linger", "3" },
};

static void
every_key_that_can_change_is_named_and_changes(void **state)
{
	struct policy now, next, asked;
	struct policy_change change;

	(void)state;
	make(&now);
	for (size_t i = 0; i < ARRAY_LEN(free_keys); i++) {
		make(&next);
		set(&next, free_keys[i].key, free_keys[i].value);
		asked = next;
		judge(&now, &now, &next, &change);
		assert_string_equal(change.changed, free_keys[i].key);
		assert_string_equal(change.needs_restart, "");
		assert_memory_equal(&next, &asked, sizeof(next));
	}
}

static const struct { const char *key, *value; } fixed_keys[] = {
	{ "listen", "10.0.0.1" }, { "user", "somebody" }, { "mark", "3" },
	{ "namespaces", "blue" }, { "namespaces", "pid" }, { "hardware-timestamps", "yes" },
};

static void
every_key_that_cannot_is_named_and_stays(void **state)
{
	struct policy now, next;
	struct policy_change change;

	(void)state;
	make(&now);
	for (size_t i = 0; i < ARRAY_LEN(fixed_keys); i++) {
		make(&next);
		set(&next, fixed_keys[i].key, fixed_keys[i].value);
		judge(&now, &now, &next, &change);
		assert_string_equal(change.needs_restart, fixed_keys[i].key);
		assert_string_equal(change.changed, "");
		assert_memory_equal(&next, &now, sizeof(next));
	}
}

static void
another_order_of_addresses_needs_a_restart_too(void **state)
{
	struct policy now, next;
	struct policy_change change;

	(void)state;
	make(&now);
	policy_init(&next);
	set(&next, "listen", "[::]");
	set(&next, "listen", "0.0.0.0");
	judge(&now, &now, &next, &change);
	assert_string_equal(change.needs_restart, "listen");
}

static void
rights_of_the_start_can_go_and_come_back(void **state)
{
	struct policy first, now, next;
	struct policy_change change;

	(void)state;
	make(&first);
	set(&first, "namespaces", "all");
	set(&first, "hardware-timestamps", "yes");
	make(&now);
	judge(&first, &first, &now, &change);
	assert_string_equal(change.changed, "namespaces, hardware-timestamps");
	assert_int_equal(now.namespaces, 0);
	next = first;
	judge(&first, &now, &next, &change);
	assert_string_equal(change.changed, "namespaces, hardware-timestamps");
	assert_string_equal(change.needs_restart, "");
	assert_int_equal(next.namespaces, PRIV_NAMESPACES_NAMED | PRIV_NAMESPACES_PID);
	assert_true(next.hardware_timestamps);
	/* Other names of the same kind. */
	make(&next);
	set(&next, "namespaces", "blue");
	judge(&first, &first, &next, &change);
	assert_true(policy_permits_netns(&next, "blue"));
	assert_false(policy_permits_netns(&next, "green"));
}

/* The kinds together: what of it is possible does not happen alone. */
static void
namespaces_of_a_kind_without_rights_leave_the_whole_key(void **state)
{
	struct policy first, next;
	struct policy_change change;

	(void)state;
	make(&first);
	set(&first, "namespaces", "blue");
	make(&next);
	set(&next, "namespaces", "green, pid");
	judge(&first, &first, &next, &change);
	assert_string_equal(change.needs_restart, "namespaces");
	assert_true(policy_permits_netns(&next, "blue"));
	assert_false(policy_permits_netns(&next, "green"));
}

static void
a_configuration_that_is_gone_lifts_nothing(void **state)
{
	struct policy now, next;
	struct policy_change change;
	struct err err;

	(void)state;
	make(&now);
	make(&next);
	next.has_file = true;
	strcpy(next.file, "/etc/new.conf");
	/* One that is new is welcome. */
	judge(&now, &now, &next, &change);
	now.has_file = true;
	strcpy(now.file, "/etc/old.conf");
	next.has_file = false;
	assert_int_equal(policy_change_judge(&now, &now, &next, &change, &err), E_CONFIG);
	assert_non_null(strstr(err.what, "/etc/old.conf"));
}

static void
all_names_together_fit(void **state)
{
	struct policy now, next;
	struct policy_change change;

	(void)state;
	make(&now);
	make(&next);
	for (size_t i = 0; i < ARRAY_LEN(free_keys); i++)
		set(&next, free_keys[i].key, free_keys[i].value);
	for (size_t i = 0; i < ARRAY_LEN(fixed_keys); i++)
		set(&next, fixed_keys[i].key, fixed_keys[i].value);
	judge(&now, &now, &next, &change);
	assert_non_null(strstr(change.changed, "log-memory"));
	assert_true(strlen(change.changed) + strlen(", hardware-timestamps, namespaces") <
	    POLICY_CHANGE_LEN - 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_the_same_is_no_change),
		cmocka_unit_test(every_key_that_can_change_is_named_and_changes),
		cmocka_unit_test(every_key_that_cannot_is_named_and_stays),
		cmocka_unit_test(another_order_of_addresses_needs_a_restart_too),
		cmocka_unit_test(rights_of_the_start_can_go_and_come_back),
		cmocka_unit_test(namespaces_of_a_kind_without_rights_leave_the_whole_key),
		cmocka_unit_test(a_configuration_that_is_gone_lifts_nothing),
		cmocka_unit_test(all_names_together_fit),
	};

	return cmocka_run_group_tests_name("server/policy_change", tests, NULL, NULL);
}
