/* server/prologue: the agent's own connections vanish, and nothing else. */
#include "tests/unit/bpf_lab.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "common/bytes.h"
#include "server/prologue.h"

enum { MARK = 0x70636170, SNAPLEN = 200, PORT = 9443 };

/* --- frames --- */

/* One TCP segment; addresses by their last byte. */
struct segment {
	int		 family;
	uint8_t		 src, dst;
	uint16_t	 sport, dport;
	unsigned	 options;	/* bytes, a multiple of 4 */
	uint16_t	 fragment;	/* IPv4: offset field */
	uint8_t		 proto;
};

static void
put_address(uint8_t *p, int family, uint8_t last)
{
	static const uint8_t ipv4[] = { 10, 0, 0 }, ipv6[] = { 0x20, 1, 0xd, 0xb8 };

	if (family == AF_INET) {
		memcpy(p, ipv4, 3);
		p[3] = last;
	} else {
		memcpy(p, ipv6, 4);
		p[15] = last;
	}
}

static struct lab_frame
make_ip(const struct segment *s)
{
	struct lab_frame f = { .name = s->family == AF_INET ? "IPv4" : "IPv6" };
	uint8_t *p = f.data;
	uint32_t header;

	if (s->family == AF_INET) {
		header = 20 + s->options;
		p[0] = (uint8_t)(0x40 | header / 4);
		put_be16(p + 6, s->fragment);
		p[9] = s->proto;
		put_address(p + 12, AF_INET, s->src);
		put_address(p + 16, AF_INET, s->dst);
		memset(p + 20, 1, s->options);
	} else {
		header = 40;
		p[0] = 0x60;
		p[6] = s->proto;
		put_address(p + 8, AF_INET6, s->src);
		put_address(p + 24, AF_INET6, s->dst);
	}
	put_be16(p + header, s->sport);
	put_be16(p + header + 2, s->dport);
	p[header + 12] = 0x50;
	f.len = header + 20;
	return f;
}

static struct lab_frame
make_ethernet(const struct lab_frame *ip, int family)
{
	struct lab_frame f = { .name = ip->name, .len = ip->len + 14 };

	f.data[0] = 2;
	put_be16(f.data + 12, family == AF_INET ? 0x800 : 0x86dd);
	memcpy(f.data + 14, ip->data, ip->len);
	return f;
}

/* --- configuration --- */

static void
add_endpoint(struct own_traffic *own, int family, uint8_t last, uint16_t port)
{
	uint8_t addr[16] = { 0 };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	put_address(addr, family, last);
	memcpy(&in.sin_addr, addr, 4);
	memcpy(&in6.sin6_addr, addr, 16);
	if (family == AF_INET)
		assert_true(own_traffic_add(own, (const struct sockaddr *)&in));
	else
		assert_true(own_traffic_add(own, (const struct sockaddr *)&in6));
}

/* 10.0.0.1 and .2 at PORT, .1 at 444; 2001:db8::1 and ::2 at PORT; all at 5555. */
static struct own_traffic
make_own(void)
{
	struct own_traffic own;
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(5555) };

	own_traffic_init(&own);
	add_endpoint(&own, AF_INET, 1, PORT);
	add_endpoint(&own, AF_INET6, 1, PORT);
	add_endpoint(&own, AF_INET, 2, PORT);
	add_endpoint(&own, AF_INET, 1, 444);
	add_endpoint(&own, AF_INET6, 2, PORT);
	assert_true(own_traffic_add(&own, (const struct sockaddr *)&any));
	return own;
}

static bool
is_own(int family, uint8_t last, uint16_t port)
{
	return port == 5555 || (port == PORT && (last == 1 || last == 2)) ||
	    (family == AF_INET && port == 444 && last == 1);
}

static void
build(const struct prologue_config *cfg, struct bpf_prog *ret_prog)
{
	static struct prologue built;
	struct err err;

	if (prologue_build(cfg, &built, &err) != E_OK)
		fail_msg("%s", err.what);
	*ret_prog = built.prog;
	assert_int_equal(bpf_prog_check(ret_prog->insns, ret_prog->n, NULL), E_OK);
}

/* --- own traffic --- */

static const uint8_t hosts[] = { 1, 2, 3 };
static const uint16_t ports[] = { PORT, 444, 5555, 40000 };

/* All combinations of sides, in every form that the link type has. */
static void
assert_own_segments_vanish(uint32_t link_type, const struct segment *form)
{
	const struct own_traffic own = make_own();
	const struct prologue_config cfg = { .link_type = link_type,
	    .is_cooked = link_type == 276, .snaplen = SNAPLEN,
	    .mark = MARK, .own = &own };
	struct lab_kernel k = lab_kernel_open();
	struct bpf_prog prog;

	build(&cfg, &prog);
	assert_true(lab_kernel_attach(&k, prog.insns, prog.n));
	for (size_t i = 0; i < 3 * 3 * 4 * 4; i++) {
		struct segment s = *form;
		struct lab_frame f;
		bool is_ours;

		s.src = hosts[i % 3];
		s.dst = hosts[i / 3 % 3];
		s.sport = ports[i / 9 % 4];
		s.dport = ports[i / 36];
		f = make_ip(&s);
		is_ours = s.proto == 6 && s.fragment == 0 &&
		    (is_own(s.family, s.src, s.sport) || is_own(s.family, s.dst, s.dport));
		if (link_type == 1)
			f = make_ethernet(&f, s.family);
		assert_int_equal(lab_run(&prog, &f, NULL), is_ours ? 0 : SNAPLEN);
		assert_int_equal(lab_kernel_run(&k, f.data, f.len), is_ours ? 0 : f.len);
		if (link_type != 1)
			continue;
		f = lab_tag(&f, i % 2 == 0 ? 0x8100 : 0x88a8, 0x4005);
		assert_int_equal(lab_run(&prog, &f, NULL), is_ours ? 0 : SNAPLEN);
		assert_int_equal(lab_kernel_run(&k, f.data, f.len), is_ours ? 0 : f.len);
	}
	lab_kernel_close(&k);
}

static void
segments_to_or_from_own_endpoints_vanish_on_every_link_type(void **state)
{
	static const uint32_t link_types[] = { 1, 101, 276 };
	static const struct segment forms[] = {
		{ .family = AF_INET, .proto = 6 },
		{ .family = AF_INET, .proto = 6, .options = 4 },
		{ .family = AF_INET, .proto = 6, .options = 40 },
		{ .family = AF_INET, .proto = 6, .fragment = 185 },
		{ .family = AF_INET, .proto = 17 },
		{ .family = AF_INET6, .proto = 6 },
		{ .family = AF_INET6, .proto = 17 },
	};

	(void)state;
	for (size_t l = 0; l < ARRAY_LEN(link_types); l++)
		for (size_t i = 0; i < ARRAY_LEN(forms); i++)
			assert_own_segments_vanish(link_types[l], &forms[i]);
}

/* A fragment with "more" and "do not" bits but offset 0 has its ports. */
static void
the_first_fragment_is_judged(void **state)
{
	const struct own_traffic own = make_own();
	const struct prologue_config cfg = { .link_type = 101, .snaplen = 1, .own = &own };
	const struct segment s = { .family = AF_INET, .proto = 6, .src = 9, .dst = 1,
	    .dport = PORT, .fragment = 0x6000 };
	struct lab_frame f = make_ip(&s);
	struct bpf_prog prog;

	(void)state;
	build(&cfg, &prog);
	assert_int_equal(lab_run(&prog, &f, NULL), 0);
}

static void
marked_packets_vanish(void **state)
{
	const struct own_traffic none = { .n = 0 };
	struct prologue_config cfg = { .link_type = 1, .snaplen = SNAPLEN, .mark = MARK,
	    .own = &none };
	struct bpf_aux aux = { .mark = MARK };
	struct lab_frame f = lab_ethernet(0);
	struct bpf_prog prog;

	(void)state;
	build(&cfg, &prog);
	assert_int_equal(lab_run(&prog, &f, &aux), 0);
	aux.mark = 1;
	assert_int_equal(lab_run(&prog, &f, &aux), SNAPLEN);

	/* No mark is not the mark 0. */
	cfg.mark = aux.mark = 0;
	build(&cfg, &prog);
	assert_int_equal(lab_run(&prog, &f, &aux), SNAPLEN);
}

static void
own_traffic_is_kept_where_it_is_wanted(void **state)
{
	const struct prologue_config cfg = { .link_type = 1, .snaplen = SNAPLEN, .mark = MARK };
	const struct bpf_aux aux = { .mark = MARK };
	struct lab_frame f = lab_ethernet(0);
	struct bpf_prog prog;

	(void)state;
	build(&cfg, &prog);
	assert_int_equal(prog.n, 1);
	assert_int_equal(lab_run(&prog, &f, &aux), SNAPLEN);
}

/* A load outside the packet rejects it: nothing may be lost that way. */
static void
no_packet_vanishes_because_it_is_short_or_odd(void **state)
{
	static const uint32_t link_types[] = { 1, 101, 276, 127 };
	const struct own_traffic own = make_own();
	uint64_t seed = 0xda942042e4dd58b5U;

	(void)state;
	for (unsigned round = 0; round < 40000; round++) {
		const struct prologue_config cfg = { .link_type = link_types[round / 10000],
		    .is_cooked = link_types[round / 10000] == 276,
		    .snaplen = SNAPLEN, .mark = MARK, .own = &own };
		uint32_t ip = cfg.link_type != 1 ? 0 : round % 2 == 0 ? 14 : 18;
		static struct bpf_prog prog;
		struct lab_frame f = { .len = lab_random(&seed) % 90 };
		uint8_t *data;

		if (round % 10000 == 0)
			build(&cfg, &prog);
		/* Ports 0x01.. cannot be ours. */
		for (uint32_t i = 0; i < sizeof(f.data); i++)
			f.data[i] = (uint8_t)(1 + lab_random(&seed) % 2);
		if (ip >= 14)
			put_be16(f.data + ip - 2, round % 4 < 2 ? 0x800 : 0x86dd);
		if (ip == 18)
			put_be16(f.data + 12, 0x8100);
		f.data[ip] = (uint8_t)((round % 4 < 2 ? 0x40 : 0x60) | lab_random(&seed) % 16);
		f.data[ip + 6] = round % 4 < 2 ? 0 : 6;
		f.data[ip + 7] = 0;
		f.data[ip + 9] = 6;
		data = malloc(f.len + 1);
		memcpy(data, f.data, f.len);
		if (bpf_prog_run(prog.insns, prog.n, data, f.len, f.len, NULL) != SNAPLEN)
			fail_msg("round %u, %u bytes", round, f.len);
		free(data);
	}
}

static void
other_packets_cost_few_instructions(void **state)
{
	const struct own_traffic own = make_own();
	const struct prologue_config cfg = { .link_type = 1, .snaplen = SNAPLEN, .mark = MARK,
	    .own = &own };
	struct lab_frame f = lab_ethernet(0);
	struct bpf_prog prog;
	uint32_t n = 0;

	/* Follow a UDP packet, counting: all that runs are loads and "jeq" and "jge". */
	(void)state;
	build(&cfg, &prog);
	for (uint32_t pc = 0, a = 0; BPF_CLASS(prog.insns[pc].code) != BPF_RET; n++) {
		const struct bpf_insn_raw *insn = &prog.insns[pc++];

		if (insn->code == (BPF_JMP | BPF_JA))
			pc += insn->k;
		else if (insn->code == (BPF_JMP | BPF_JEQ | BPF_K))
			pc += a == insn->k ? insn->jt : insn->jf;
		else if (insn->code == (BPF_JMP | BPF_JGE | BPF_K))
			pc += a >= insn->k ? insn->jt : insn->jf;
		else if (insn->code == (BPF_LD | BPF_LEN))
			a = 60;
		else
			a = bpf_prog_run((const struct bpf_insn_raw[]){ *insn,
			    { .code = BPF_RET | BPF_A } }, 2, f.data, f.len, f.len, NULL);
	}
	assert_in_range(n, 1, 8);
}

/* --- the other parts --- */

static void
on_loopback_each_packet_is_seen_once(void **state)
{
	const struct prologue_config cfg = { .link_type = 1, .snaplen = SNAPLEN,
	    .is_loopback = true };
	struct lab_frame f = lab_ethernet(0);
	struct bpf_prog prog;

	(void)state;
	build(&cfg, &prog);
	for (uint8_t type = 0; type < 8; type++) {
		const struct bpf_aux aux = { .packet_type = type };

		assert_int_equal(lab_run(&prog, &f, &aux), type == 4 ? 0 : SNAPLEN);
	}
}

static void
on_all_interfaces_too(void **state)
{
	const struct prologue_config cfg = { .link_type = 276, .snaplen = SNAPLEN,
	    .is_cooked = true, .is_any = true };
	struct lab_frame f = lab_ethernet(0);
	struct bpf_prog prog;

	(void)state;
	build(&cfg, &prog);
	for (uint32_t ifindex = 1; ifindex < 4; ifindex++)
		for (uint8_t type = 0; type < 8; type++) {
			const struct bpf_aux aux = { .packet_type = type,
			    .ifindex = ifindex };

			assert_int_equal(lab_run(&prog, &f, &aux),
			    ifindex == 1 && type == 4 ? 0 : SNAPLEN);
		}
}

static void
the_client_filter_is_translated_for_the_socket(void **state)
{
	const struct own_traffic own = make_own();
	struct prologue_config cfg = { .snaplen = SNAPLEN, .mark = MARK, .own = &own };
	const struct bpf_aux tagged = { .has_vlan = true, .vlan_tpid = 0x8100, .vlan_tci = 5,
	    .protocol = 0x800 };
	struct lab_frame udp = lab_ethernet(0), tcp = lab_ethernet(1), ip;
	struct bpf_prog filter, prog;

	(void)state;
	lab_compile(LAB_ETHERNET, "vlan 5 and udp", &filter);
	cfg.link_type = 1;
	cfg.filter = filter.insns;
	cfg.n_filter = filter.n;
	build(&cfg, &prog);
	assert_int_equal(lab_run(&prog, &udp, &tagged), 0);
	cfg.exact_vlan = true;
	build(&cfg, &prog);
	assert_int_equal(lab_run(&prog, &udp, &tagged), SNAPLEN);
	assert_int_equal(lab_run(&prog, &tcp, &tagged), 0);
	assert_int_equal(lab_run(&prog, &udp, NULL), 0);

	lab_compile(LAB_RAW, "udp", &filter);
	cfg.link_type = 101;
	cfg.n_filter = filter.n;
	build(&cfg, &prog);
	ip = lab_strip(&udp, 14);
	assert_int_equal(lab_run(&prog, &ip, NULL), SNAPLEN);
	ip = lab_strip(&tcp, 14);
	assert_int_equal(lab_run(&prog, &ip, NULL), 0);

	/* The kernel shifts by the low five bits of 64: a file's reader by all. */
	lab_compile(LAB_RAW, "1 << ip[8] >= 1", &filter);
	cfg.n_filter = filter.n;
	ip = lab_strip(&udp, 14);
	assert_int_equal(ip.data[8], 64);
	build(&cfg, &prog);
	assert_int_equal(lab_run(&prog, &ip, NULL), 0);
	cfg.exact_vlan = false;
	build(&cfg, &prog);
	assert_int_equal(lab_run(&prog, &ip, NULL), SNAPLEN);

	lab_compile(LAB_COOKED, "udp port 53", &filter);
	cfg.link_type = 276;
	cfg.is_cooked = true;
	cfg.n_filter = filter.n;
	build(&cfg, &prog);
	ip = lab_strip(&udp, 14);
	assert_int_equal(lab_run(&prog, &ip, &tagged), SNAPLEN);
	ip = lab_strip(&tcp, 14);
	assert_int_equal(lab_run(&prog, &ip, &tagged), 0);
}

static void
what_cannot_be_built_is_refused_with_the_reason(void **state)
{
	static struct bpf_prog filter;
	static struct prologue prog, before;
	struct own_traffic own = make_own();
	struct prologue_config cfg = { .link_type = 276, .is_cooked = true, .snaplen = SNAPLEN,
	    .own = &own, .filter = filter.insns };
	struct err err;

	(void)state;
	memset(&prog, 0x5a, sizeof(prog));
	before = prog;
	lab_compile(LAB_COOKED, "link[12] = 2", &filter);
	cfg.n_filter = filter.n;
	assert_int_equal(prologue_build(&cfg, &prog, &err), E_FILTER);
	assert_non_null(strstr(err.what, "cooked interface"));

	filter.insns[0] = (struct bpf_insn_raw){ .code = 0xffff };
	assert_int_equal(prologue_build(&cfg, &prog, &err), E_FILTER);
	assert_non_null(strstr(err.what, "instruction 0: unknown operation"));

	for (uint32_t i = 0; i < 4090; i++)
		filter.insns[i] = (struct bpf_insn_raw){ .code = BPF_LD | BPF_IMM };
	filter.insns[4090] = (struct bpf_insn_raw){ .code = BPF_RET, .k = 1 };
	cfg.n_filter = 4091;
	cfg.link_type = 1;
	cfg.is_cooked = false;
	assert_int_equal(prologue_build(&cfg, &prog, &err), E_FILTER);
	assert_non_null(strstr(err.what, "4091 instructions: "));
	assert_memory_equal(&prog, &before, sizeof(prog));
}

/* Addresses that share no word, in two directions, with and without a tag. */
static void
the_largest_set_of_endpoints_leaves_room_for_a_filter(void **state)
{
	struct own_traffic own = { .n = OWN_TRAFFIC_MAX };
	const struct prologue_config cfg = { .link_type = 1, .snaplen = SNAPLEN, .mark = MARK,
	    .own = &own };
	const struct segment s = { .family = AF_INET6, .proto = 6, .dport = PORT };
	struct lab_frame f = make_ip(&s);
	struct bpf_prog prog;

	(void)state;
	f = make_ethernet(&f, AF_INET6);
	for (uint32_t i = 0; i < OWN_TRAFFIC_MAX; i++) {
		own.endpoints[i] = (struct own_endpoint){ .family = AF_INET6, .port = PORT };
		for (uint32_t word = 0; word < 4; word++)
			put_be32(own.endpoints[i].addr + 4 * word, 1 + 64 * word + i);
	}
	build(&cfg, &prog);
	assert_true(prog.n < 36 * OWN_TRAFFIC_MAX + 64);
	for (uint32_t i = 0; i < OWN_TRAFFIC_MAX; i++) {
		memcpy(f.data + 14 + 24, own.endpoints[i].addr, 16);
		assert_int_equal(lab_run(&prog, &f, NULL), 0);
		for (uint32_t byte = 0; byte < 16; byte++) {
			f.data[14 + 24 + byte] ^= 0x80;
			assert_int_equal(lab_run(&prog, &f, NULL), SNAPLEN);
			f.data[14 + 24 + byte] ^= 0x80;
		}
	}
}

/* Hosts have a prefix or two: a kernel with 20 KiB for filters must take that. */
static void
a_host_with_many_addresses_stays_within_small_kernels(void **state)
{
	struct own_traffic own;
	const struct prologue_config cfg = { .link_type = 1, .snaplen = SNAPLEN, .mark = MARK,
	    .own = &own };
	struct bpf_prog prog;
	unsigned n_loads = 0;

	(void)state;
	own_traffic_init(&own);
	for (uint8_t i = 1; i <= OWN_TRAFFIC_MAX / 2; i++) {
		add_endpoint(&own, AF_INET6, i, PORT);
		add_endpoint(&own, AF_INET, i, PORT);
	}
	build(&cfg, &prog);
	for (uint32_t i = 0; i < prog.n; i++)
		n_loads += BPF_CLASS(prog.insns[i].code) == BPF_LD;
	assert_true(n_loads < 40);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_to_or_from_own_endpoints_vanish_on_every_link_type),
		cmocka_unit_test(the_first_fragment_is_judged),
		cmocka_unit_test(marked_packets_vanish),
		cmocka_unit_test(own_traffic_is_kept_where_it_is_wanted),
		cmocka_unit_test(no_packet_vanishes_because_it_is_short_or_odd),
		cmocka_unit_test(other_packets_cost_few_instructions),
		cmocka_unit_test(on_loopback_each_packet_is_seen_once),
		cmocka_unit_test(on_all_interfaces_too),
		cmocka_unit_test(the_client_filter_is_translated_for_the_socket),
		cmocka_unit_test(what_cannot_be_built_is_refused_with_the_reason),
		cmocka_unit_test(the_largest_set_of_endpoints_leaves_room_for_a_filter),
		cmocka_unit_test(a_host_with_many_addresses_stays_within_small_kernels),
	};

	return cmocka_run_group_tests_name("server/prologue", tests, NULL, NULL);
}
