/* client/resume_state: all of it comes back, and what was damaged does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/resume_state.h"
#include "mutate.h"

static struct resume_row rows[2] = {
	{ .name = "eth0", .link_type = 1, .counters = { .written = 5,
		.gaps = { 0, 7, 0, UINT64_MAX }, .came_before = 3 },
	  .dropped = UINT64_MAX },
	{ .name = "x", .network_namespace = "netns:blue", .link_type = 65535 },
};
static uint32_t map[3] = { 1, 0, 1 };
static struct ledger_hole holes[1] = {
	{ .from = { 1790000000123456789 }, .to = { INT64_MAX },
	  .reason = LEDGER_HOLE_LINGER_OVER, .n = 2 },
};

static char first_remark[] = "7 packets missing here", no_text[] = "";
static char *remarks[SINK_COMMENTS_MAX + 1] = { first_remark, no_text };

static struct resume_state
sample(void)
{
	return (struct resume_state){
		.request = { 1, [31] = 255 }, .about = "sensor1 -i eth0 udp",
		.capture_id = UINT64_MAX, .token = { { 9, [31] = 8 } },
		.has_token = true, .sequence = 77, .announcements = 3,
		.through = { -5 }, .start = { 6 }, .packets = 1000, .bytes = 1 << 30,
		.n_rows = 2, .rows = rows, .n_map = 3, .map = map,
		.rest = { .cut = 4 }, .n_holes = 1, .holes = holes,
		.n_remarks = 2, .remarks = remarks,
	};
}

static void
assert_same(const struct resume_state *a, const struct resume_state *b)
{
	assert_memory_equal(a->request, b->request, sizeof(a->request));
	assert_string_equal(a->about, b->about);
	assert_true(a->capture_id == b->capture_id && a->has_token == b->has_token);
	assert_memory_equal(&a->token, &b->token, sizeof(a->token));
	assert_true(a->sequence == b->sequence);
	assert_true(a->announcements == b->announcements);
	assert_true(a->through.ns == b->through.ns && a->start.ns == b->start.ns);
	assert_true(a->packets == b->packets && a->bytes == b->bytes);
	assert_int_equal(a->n_rows, b->n_rows);
	for (uint32_t i = 0; i < a->n_rows; i++)
		assert_memory_equal(&a->rows[i], &b->rows[i], sizeof(a->rows[i]));
	assert_int_equal(a->n_map, b->n_map);
	assert_memory_equal(a->map, b->map, a->n_map * sizeof(*a->map));
	assert_memory_equal(&a->rest, &b->rest, sizeof(a->rest));
	assert_int_equal(a->n_holes, b->n_holes);
	for (uint32_t i = 0; i < a->n_holes; i++) {
		assert_true(a->holes[i].from.ns == b->holes[i].from.ns);
		assert_true(a->holes[i].to.ns == b->holes[i].to.ns);
		assert_int_equal(a->holes[i].reason, b->holes[i].reason);
		assert_true(a->holes[i].n == b->holes[i].n);
	}
	assert_int_equal(a->n_remarks, b->n_remarks);
	for (uint32_t i = 0; i < a->n_remarks; i++)
		assert_string_equal(a->remarks[i], b->remarks[i]);
}

static void
every_field_comes_back(void **state)
{
	struct resume_state in = sample(), out;
	uint8_t *bytes;
	size_t len;

	(void)state;
	assert_int_equal(resume_state_pack(&in, &bytes, &len), E_OK);
	assert_int_equal(resume_state_unpack(bytes, len, &out), E_OK);
	assert_same(&in, &out);
	resume_state_fini(&out);
	free(bytes);

	in.has_token = false;
	memset(&in.token, 0, sizeof(in.token));
	assert_int_equal(resume_state_pack(&in, &bytes, &len), E_OK);
	assert_int_equal(resume_state_unpack(bytes, len, &out), E_OK);
	assert_same(&in, &out);
	resume_state_fini(&out);
	free(bytes);
}

static int
judge(const struct resume_state *in)
{
	struct resume_state out;
	uint8_t *bytes;
	size_t len;
	int rc;

	assert_int_equal(resume_state_pack(in, &bytes, &len), E_OK);
	rc = resume_state_unpack(bytes, len, &out);
	free(bytes);
	if (rc == E_OK)
		resume_state_fini(&out);
	return rc;
}

static void
what_cannot_be_is_refused(void **state)
{
	struct resume_state s = sample();
	uint32_t bad_map[1] = { 2 };

	(void)state;
	s.map = bad_map;
	s.n_map = 1;
	assert_int_equal(judge(&s), E_BADMSG);
	s = sample();
	s.n_rows = 0;
	s.n_map = 0;
	assert_int_equal(judge(&s), E_BADMSG);
	s = sample();
	s.sequence = UINT64_MAX;
	assert_int_equal(judge(&s), E_BADMSG);
	s = sample();
	for (size_t i = 0; i < ARRAY_LEN(remarks); i++)
		remarks[i] = first_remark;
	s.n_remarks = SINK_COMMENTS_MAX;
	assert_int_equal(judge(&s), E_OK);
	s.n_remarks++;
	assert_int_equal(judge(&s), E_BADMSG);
}

static void
more_than_can_be_read_is_not_written(void **state)
{
	struct resume_row *many = calloc(PROTO_MAX_INTERFACES + 1, sizeof(*many));
	struct resume_state s = sample();
	uint8_t *bytes = NULL;
	size_t len;

	(void)state;
	assert_non_null(many);
	s.rows = many;
	s.n_rows = PROTO_MAX_INTERFACES;
	assert_int_equal(judge(&s), E_OK);
	s.n_rows++;
	assert_int_equal(resume_state_pack(&s, &bytes, &len), E_TOOBIG);
	s.n_rows--;
	for (uint32_t i = 0; i < s.n_rows; i++)
		memset(many[i].name, 'x', sizeof(many[i].name) - 1);
	assert_int_equal(resume_state_pack(&s, &bytes, &len), E_TOOBIG);
	assert_null(bytes);
	free(many);
}

static void
take_mutant(const uint8_t *bytes, size_t len, void *arg)
{
	struct resume_state out;

	(void)arg;
	if (resume_state_unpack(bytes, len, &out) == E_OK)
		resume_state_fini(&out);
}

static void
damage_is_survived(void **state)
{
	struct resume_state in = sample();
	uint8_t *bytes;
	size_t len;

	(void)state;
	assert_int_equal(resume_state_pack(&in, &bytes, &len), E_OK);
	mutate_flip_bits(bytes, len, len, take_mutant, NULL);
	mutate_truncate(bytes, len, take_mutant, NULL);
	mutate_random(bytes, len, 20000, 1, take_mutant, NULL);
	free(bytes);
}

static struct options
options_of(struct options_interface *iface)
{
	*iface = (struct options_interface){ .name = "eth0", .filter_text = "udp",
	    .snaplen = 96 };
	return (struct options){ .sensor = { .host = "sensor1", .port = 9443 },
	    .sensor_text = "sensor1", .interfaces = iface, .n_interfaces = 1 };
}

static void
another_request_has_another_digest(void **state)
{
	struct options_interface iface, other;
	struct options a = options_of(&iface), b = options_of(&other);
	uint8_t first[RESUME_REQUEST_LEN], second[RESUME_REQUEST_LEN];
	char about[RESUME_ABOUT_LEN];

	(void)state;
	resume_request(&a, first, about);
	assert_string_equal(about, "sensor1 -i eth0 udp");
	resume_request(&b, second, about);
	assert_memory_equal(first, second, sizeof(first));
	/* How it ends and what it costs are not what is in the file. */
	b.count = 5;
	b.linger_ms = 7;
	b.json = true;
	resume_request(&b, second, about);
	assert_memory_equal(first, second, sizeof(first));

	other.filter_text = "tcp";
	resume_request(&b, second, about);
	assert_memory_not_equal(first, second, sizeof(first));
	b = options_of(&other);
	b.sensor.port = 9444;
	resume_request(&b, second, about);
	assert_memory_not_equal(first, second, sizeof(first));
	b = options_of(&other);
	b.format = OPTIONS_PCAP;
	resume_request(&b, second, about);
	assert_memory_not_equal(first, second, sizeof(first));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_comes_back),
		cmocka_unit_test(what_cannot_be_is_refused),
		cmocka_unit_test(more_than_can_be_read_is_not_written),
		cmocka_unit_test(damage_is_survived),
		cmocka_unit_test(another_request_has_another_digest),
	};

	return cmocka_run_group_tests_name("client/resume_state", tests, NULL, NULL);
}
