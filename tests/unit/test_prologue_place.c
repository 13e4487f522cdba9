/* server/prologue: who judges what, and what the plan says of the program. */
#include "tests/unit/bpf_lab.h"

#include <linux/if_packet.h>

#include "common/bytes.h"
#include "proto/limits.h"
#include "server/prologue.h"
#include "tests/unit/frame_maker.h"

enum { MARK = 0x70636170, SNAPLEN = 200 };

static void
build(const struct prologue_config *cfg, struct prologue *ret)
{
	struct err err;

	if (prologue_build(cfg, ret, &err) != E_OK)
		fail_msg("%s", err.what);
	assert_int_equal(bpf_prog_check(ret->prog.insns, ret->prog.n, NULL), E_OK);
}

static uint32_t
answer_of(const struct bpf_prog *prog, const struct lab_frame *f, const struct bpf_aux *aux)
{
	return bpf_prog_run(prog->insns, prog->n, f->data, f->len, f->len, aux);
}

static bool
passes_check(const struct prologue_check *check, const struct lab_frame *f,
    const struct bpf_aux *aux)
{
	const struct bpf_view view = { .data = f->data, .caplen = f->len, .len = f->len,
	    .aux = aux, .is_offline = check->is_offline };
	bool is_cut;

	return check->prog.n == 0 ||
	    bpf_prog_judge(check->prog.insns, check->prog.n, &view, &is_cut) != 0;
}

/* A frame as the kernel's filter sees it, and as the file has it. */
struct views { struct lab_frame kernel, file; struct bpf_aux aux; };

static struct views
random_views(uint64_t *seed, bool is_tagged)
{
	static const uint32_t tpids[] = { 0x8100, 0x88a8 };
	struct made m;
	struct views v = { .kernel = maker_frame(seed, 1, &m) };

	v.aux = m.aux;
	v.aux.packet_type = (uint8_t)(lab_random(seed) % 5);
	v.aux.has_vlan = is_tagged && v.kernel.len >= 14 && v.kernel.len + 4 <= LAB_FRAME_MAX;
	v.file = v.kernel;
	if (v.aux.has_vlan) {
		v.aux.vlan_tpid = (uint16_t)maker_pick(seed, tpids, 2);
		v.aux.vlan_tci = (uint16_t)(lab_random(seed) % 8);
		v.file = lab_tag(&v.kernel, v.aux.vlan_tpid, v.aux.vlan_tci);
	}
	return v;
}

static const char *const expressions[] = {
	"udp", "not tcp", "vlan", "vlan 5 or ip", "vlan and (tcp or udp)", "greater 60",
	"ether[14:2] & 0xfff = 5 or arp", "ip[8] >> ip[9] > 0 or vlan and 1 << ip[8] < 64",
	"outbound or vlan 3", "ether[12:4] > 0x81000003",
};

/* --- in the agent --- */

static void
assert_shared_work_is_the_kernels(const struct prologue *whole, const struct prologue *shared,
    const struct views *v)
{
	uint32_t want = answer_of(&whole->prog, &v->kernel, &v->aux);
	uint32_t got = answer_of(&shared->prog, &v->kernel, &v->aux);

	if (!v->aux.has_vlan) {
		assert_int_equal(got, want);
		return;
	}
	if (got != 0)
		assert_int_equal(got, UINT32_MAX);
	assert_int_equal(got != 0 && passes_check(&shared->check, &v->file, &v->aux), want != 0);
	if (want != 0 && shared->check.cut.n > 0)
		assert_int_equal(answer_of(&shared->check.cut, &v->kernel, &v->aux), want);
}

static void
kernel_and_agent_together_answer_as_the_kernel_alone(void **state)
{
	static struct prologue whole, shared;
	const struct own_traffic none = { .n = 0 };
	uint64_t seed = 0x14650fb0739d0383U;

	(void)state;
	for (unsigned round = 0; round < 400; round++) {
		struct bpf_prog filter;
		struct prologue_config cfg = { .link_type = 1, .exact_vlan = true, .own = &none,
		    .mark = MARK, .snaplen = 1 + lab_random(&seed) % SNAPLEN,
		    .direction = lab_random(&seed) % 3, .headers_only = round % 2,
		    .sample_flows = lab_random(&seed) % 3 };

		lab_compile(LAB_ETHERNET, expressions[round % ARRAY_LEN(expressions)], &filter);
		cfg.filter = filter.insns;
		cfg.n_filter = filter.n;
		build(&cfg, &whole);
		assert_int_equal(whole.place, FILTER_KERNEL);
		assert_int_equal(whole.open_snaplen, cfg.snaplen);
		cfg.from = cfg.to = FILTER_AGENT;
		build(&cfg, &shared);
		assert_int_equal(shared.place, FILTER_AGENT);
		assert_int_equal(shared.open_snaplen, PROTO_MAX_SNAPLEN);
		assert_int_equal(shared.ring_snaplen, cfg.snaplen);
		for (unsigned i = 0; i < 40; i++) {
			struct views v = random_views(&seed, i % 2);

			v.aux.mark = lab_random(&seed) % 8 == 0 ? MARK : 0;
			assert_shared_work_is_the_kernels(&whole, &shared, &v);
		}
	}
}

/* For what was captured before a change of filter. */
static void
the_check_answers_for_every_packet_as_the_program_does(void **state)
{
	static const struct { uint32_t link_type; int dlt; } links[] = {
		{ 1, LAB_ETHERNET }, { 101, LAB_RAW }, { 276, LAB_COOKED },
	};
	static struct prologue p;
	uint64_t seed = 0x84222325cbf29ce4U;

	(void)state;
	for (unsigned round = 0; round < 600; round++) {
		size_t l = round % ARRAY_LEN(links);
		struct bpf_prog filter;
		struct prologue_config cfg = { .link_type = links[l].link_type,
		    .is_cooked = links[l].link_type == 276, .exact_vlan = round / 3 % 2,
		    .snaplen = SNAPLEN };

		lab_compile(links[l].dlt, l == 0 ? expressions[round % ARRAY_LEN(expressions)] :
		    round % 4 < 2 ? "udp or ip[8] >> ip[9] > 0" : "not tcp and greater 50", &filter);
		cfg.filter = filter.insns;
		cfg.n_filter = filter.n;
		build(&cfg, &p);
		for (unsigned i = 0; i < 20; i++) {
			struct views v = random_views(&seed, i % 2 && l == 0);
			struct lab_frame file = v.file;

			if (l > 0 && v.kernel.len < 14)
				continue;
			if (l > 0)
				v.aux.protocol = get_be16(v.kernel.data + 12);
			v.aux.hatype = 1;
			if (l == 1)
				file = lab_strip(&v.kernel, 14);
			else if (l == 2)
				file = lab_cook(&v.kernel, v.aux.ifindex, v.aux.packet_type);
			if (l > 0)
				v.kernel = lab_strip(&v.kernel, 14);
			assert_int_equal(passes_check(&p.check,
			    p.check.on_file_bytes ? &file : &v.kernel, &v.aux),
			    answer_of(&p.prog, &v.kernel, &v.aux) != 0);
		}
	}
}

/* --- at the client --- */

static void
at_the_client_only_the_clients_part_is_left_out(void **state)
{
	static struct prologue p;
	const struct own_traffic none = { .n = 0 };
	struct lab_frame f = lab_ethernet(1);
	struct bpf_prog filter;
	struct prologue_config cfg = { .link_type = 1, .snaplen = 60, .own = &none, .mark = MARK,
	    .direction = PROLOGUE_IN, .headers_only = true, .from = FILTER_CLIENT,
	    .to = FILTER_CLIENT };
	const struct bpf_aux marked = { .mark = MARK }, out = { .packet_type = PACKET_OUTGOING };

	(void)state;
	lab_compile(LAB_ETHERNET, "udp", &filter);
	cfg.filter = filter.insns;
	cfg.n_filter = filter.n;
	build(&cfg, &p);
	assert_int_equal(p.place, FILTER_CLIENT);
	assert_int_equal(p.check.prog.n + p.check.cut.n, 0);
	assert_int_equal(p.open_snaplen, PROTO_MAX_SNAPLEN);
	assert_int_equal(p.ring_snaplen, PROTO_MAX_SNAPLEN);
	assert_int_equal(answer_of(&p.prog, &f, NULL), UINT32_MAX);
	assert_int_equal(answer_of(&p.prog, &f, &marked), 0);
	assert_int_equal(answer_of(&p.prog, &f, &out), 0);

	/* A filter of which no program could be sent. */
	cfg.n_filter = 0;
	build(&cfg, &p);
	assert_int_equal(p.place, FILTER_CLIENT);
}

/* --- which place --- */

/* n - 1 loads of a halfword. */
static void
make_long(uint32_t n, uint32_t at, struct bpf_prog *ret)
{
	ret->n = n;
	for (uint32_t i = 0; i + 1 < n; i++)
		ret->insns[i] = (struct bpf_insn_raw){ .code = BPF_LD | BPF_H | BPF_ABS, .k = at };
	ret->insns[n - 1] = (struct bpf_insn_raw){ .code = BPF_RET, .k = 9 };
}

static void
a_program_goes_to_the_first_place_that_can_hold_it(void **state)
{
	static struct bpf_prog filter;
	static struct prologue p, before;
	struct prologue_config cfg = { .link_type = 1, .exact_vlan = true, .snaplen = SNAPLEN,
	    .filter = filter.insns };
	static const struct {
		uint32_t n, at;
		bool	 is_exact;
		enum filter_place want;
	} rows[] = {
		{ 600, 12, true, FILTER_KERNEL }, { 4000, 12, true, FILTER_AGENT },
		{ 4000, 16, true, FILTER_KERNEL },	/* one copy */
		{ 4096, 16, true, FILTER_CLIENT }, { 4096, 12, false, FILTER_KERNEL },
	};
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		make_long(rows[i].n, rows[i].at, &filter);
		cfg.n_filter = rows[i].n;
		cfg.exact_vlan = rows[i].is_exact;
		cfg.to = FILTER_CLIENT;
		build(&cfg, &p);
		assert_int_equal(p.place, rows[i].want);
		if (rows[i].want == FILTER_KERNEL)
			continue;
		cfg.to = (enum filter_place)(rows[i].want - 1);
		before = p;
		assert_int_equal(prologue_build(&cfg, &p, &err), E_FILTER);
		assert_memory_equal(&p, &before, sizeof(p));
	}

	/* No agent's place where no tag is put back: raw IP. */
	make_long(10, 12, &filter);
	cfg = (struct prologue_config){ .link_type = 101, .exact_vlan = true, .snaplen = SNAPLEN,
	    .filter = filter.insns, .n_filter = 10, .from = FILTER_AGENT, .to = FILTER_CLIENT };
	build(&cfg, &p);
	assert_int_equal(p.place, FILTER_CLIENT);

	/* What a cooked socket does not have the client's file has. */
	lab_compile(LAB_COOKED, "link[12] = 2", &filter);
	cfg = (struct prologue_config){ .link_type = 276, .is_cooked = true, .snaplen = SNAPLEN,
	    .filter = filter.insns, .n_filter = filter.n, .to = FILTER_CLIENT };
	build(&cfg, &p);
	assert_int_equal(p.place, FILTER_CLIENT);
}

static void
where_memory_is_little_one_copy_answers_like_two(void **state)
{
	static struct prologue two, one;
	uint64_t seed = 0xb492b66fbe98f273U;
	struct bpf_prog filter;
	struct prologue_config cfg = { .link_type = 1, .exact_vlan = true, .snaplen = SNAPLEN };

	(void)state;
	for (size_t e = 0; e < ARRAY_LEN(expressions); e++) {
		lab_compile(LAB_ETHERNET, expressions[e], &filter);
		cfg.filter = filter.insns;
		cfg.n_filter = filter.n;
		cfg.one_copy = false;
		build(&cfg, &two);
		cfg.one_copy = true;
		build(&cfg, &one);
		assert_int_equal(two.n_parts, 2);
		assert_int_equal(one.n_parts, 1);
		for (unsigned i = 0; i < 100; i++) {
			struct views v = random_views(&seed, i % 2);

			assert_int_equal(answer_of(&one.prog, &v.kernel, &v.aux),
			    answer_of(&two.prog, &v.kernel, &v.aux));
		}
	}
}

static void
an_invalid_program_has_no_place(void **state)
{
	static struct prologue p;
	const struct bpf_insn_raw filter = { .code = 0xffff };
	const struct prologue_config cfg = { .link_type = 1, .snaplen = SNAPLEN,
	    .filter = &filter, .n_filter = 1, .to = FILTER_CLIENT };
	struct err err;

	(void)state;
	assert_int_equal(prologue_build(&cfg, &p, &err), E_FILTER);
}

/* --- link types --- */

static void
where_headers_are_not_known_programs_run_as_they_came(void **state)
{
	static const uint32_t link_types[] = { 105, 119, 127, 230 };
	static struct prologue p;
	const struct lab_frame f = { .len = 4, .data = { 33, 64, 1, 2 } };
	const struct bpf_insn_raw shift[] = {	/* 1 << the first byte */
		{ .code = BPF_LD | BPF_B | BPF_ABS }, { .code = BPF_MISC | BPF_TAX },
		{ .code = BPF_LD | BPF_IMM, .k = 1 }, { .code = BPF_ALU | BPF_LSH | BPF_X },
		{ .code = BPF_RET | BPF_A },
	};
	struct own_traffic own = { .n = 1 };
	const struct bpf_aux marked = { .mark = MARK };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(link_types); i++) {
		struct prologue_config cfg = { .link_type = link_types[i], .snaplen = SNAPLEN,
		    .own = &own, .mark = MARK, .filter = shift, .n_filter = ARRAY_LEN(shift) };

		build(&cfg, &p);
		assert_int_equal(answer_of(&p.prog, &f, NULL), 2);
		assert_int_equal(answer_of(&p.prog, &f, &marked), 0);
		assert_true(passes_check(&p.check, &f, NULL));
		cfg.exact_vlan = true;
		build(&cfg, &p);
		assert_int_equal(answer_of(&p.prog, &f, NULL), 0);
		assert_false(passes_check(&p.check, &f, NULL));
	}
}

/* The kernel has it in the machine's byte order, a file in the network's. */
static void
a_can_identifier_is_judged_by_the_client(void **state)
{
	static struct prologue p;
	struct bpf_insn_raw load[] = {
		{ .code = BPF_LD | BPF_B | BPF_ABS, .k = 3 }, { .code = BPF_RET | BPF_A },
	};
	struct own_traffic own = { .n = 0 };
	struct prologue_config cfg = { .link_type = 227, .snaplen = SNAPLEN, .own = &own,
	    .filter = load, .n_filter = ARRAY_LEN(load), .to = FILTER_CLIENT };
	struct err err;

	(void)state;
	build(&cfg, &p);
	assert_int_equal(p.place, FILTER_CLIENT);
	cfg.to = FILTER_KERNEL;
	assert_int_equal(prologue_build(&cfg, &p, &err), E_FILTER);
	assert_non_null(strstr(err.what, "CAN identifier"));
	load[0].k = 4;
	build(&cfg, &p);
	assert_int_equal(p.place, FILTER_KERNEL);
	load[0].code = BPF_LD | BPF_B | BPF_IND;
	assert_int_equal(prologue_build(&cfg, &p, &err), E_FILTER);
}

/* --- parts --- */

static void
assert_part_begins(const struct prologue *p, enum plan_part kind, uint16_t code, uint32_t k)
{
	unsigned n_found = 0;

	for (uint32_t i = 0; i < p->n_parts; i++) {
		if (p->parts[i].kind != kind)
			continue;
		n_found++;
		assert_true(p->parts[i].first < p->prog.n);
		assert_int_equal(p->prog.insns[p->parts[i].first].code, code);
		assert_int_equal(p->prog.insns[p->parts[i].first].k, k);
	}
	assert_int_equal(n_found, 1);
}

static void
the_parts_say_where_each_begins(void **state)
{
	static struct prologue p;
	static char text[4096];
	struct own_traffic own = { .n = 1, .endpoints = { { .port = 9443 } } };
	struct bpf_prog filter;
	struct prologue_config cfg = { .link_type = 1, .exact_vlan = true, .snaplen = SNAPLEN,
	    .own = &own, .mark = MARK, .is_loopback = true, .direction = PROLOGUE_IN,
	    .sample = 3, .sample_flows = 3 };
	size_t len = 0;

	/* So long that jumps are put in, in parts that come before others. */
	(void)state;
	for (unsigned i = 0; i < 80; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%sport %u",
		    i == 0 ? "vlan and (" : " or ", 1000 + 7 * i);
	snprintf(text + len, sizeof(text) - len, ")");
	lab_compile(LAB_ETHERNET, text, &filter);
	cfg.filter = filter.insns;
	cfg.n_filter = filter.n;
	for (int with_headers = 0; with_headers < 2; with_headers++) {
		cfg.headers_only = with_headers;
		build(&cfg, &p);
		assert_int_equal(p.n_parts, 7 + with_headers);
		for (uint32_t i = 1; i < p.n_parts; i++) {
			assert_true(p.parts[i - 1].first < p.parts[i].first);
			assert_true(p.parts[i - 1].kind < p.parts[i].kind);
		}
		assert_int_equal(p.parts[0].first, 0);
		assert_part_begins(&p, PLAN_OWN_TRAFFIC, 0x20, (uint32_t)SKF_AD_OFF + SKF_AD_MARK);
		assert_part_begins(&p, PLAN_LOOPBACK, 0x20, (uint32_t)SKF_AD_OFF + SKF_AD_PKTTYPE);
		assert_part_begins(&p, PLAN_DIRECTION, 0x20, (uint32_t)SKF_AD_OFF + SKF_AD_PKTTYPE);
		assert_part_begins(&p, PLAN_FILTER, 0x30,
		    (uint32_t)SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT);
		assert_part_begins(&p, PLAN_FILTER_TAGGED, 0x20,
		    (uint32_t)SKF_AD_OFF + SKF_AD_VLAN_TPID);
		assert_part_begins(&p, PLAN_SAMPLE, 0x20, (uint32_t)SKF_AD_OFF + SKF_AD_RANDOM);
		assert_part_begins(&p, PLAN_SAMPLE_FLOWS, 0x01, 0);
		if (with_headers)
			assert_part_begins(&p, PLAN_HEADERS, 0x01, 0);
	}
}

static void
a_capture_of_everything_is_its_snaplen(void **state)
{
	static struct prologue p;
	const struct prologue_config cfg = { .link_type = 1, .snaplen = SNAPLEN };

	(void)state;
	build(&cfg, &p);
	assert_int_equal(p.prog.n, 1);
	assert_int_equal(p.prog.insns[0].k, SNAPLEN);
	assert_int_equal(p.n_parts, 1);
	assert_int_equal(p.parts[0].kind, PLAN_CAP);
	assert_int_equal(p.check.prog.n, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernel_and_agent_together_answer_as_the_kernel_alone),
		cmocka_unit_test(the_check_answers_for_every_packet_as_the_program_does),
		cmocka_unit_test(at_the_client_only_the_clients_part_is_left_out),
		cmocka_unit_test(a_program_goes_to_the_first_place_that_can_hold_it),
		cmocka_unit_test(where_memory_is_little_one_copy_answers_like_two),
		cmocka_unit_test(an_invalid_program_has_no_place),
		cmocka_unit_test(where_headers_are_not_known_programs_run_as_they_came),
		cmocka_unit_test(a_can_identifier_is_judged_by_the_client),
		cmocka_unit_test(the_parts_say_where_each_begins),
		cmocka_unit_test(a_capture_of_everything_is_its_snaplen),
	};

	return cmocka_run_group_tests_name("server/prologue, places", tests, NULL, NULL);
}
