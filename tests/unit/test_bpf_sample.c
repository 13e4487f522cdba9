/* common/bpf_sample: one in N, of packets evenly, of flows whole. */
#include "tests/unit/bpf_lab.h"

#include <stdlib.h>

#include "common/bpf_sample.h"
#include "common/bytes.h"
#include "tests/unit/frame_maker.h"

static void
make_flows(uint32_t link_type, uint32_t one_in, struct bpf_prog *ret_prog)
{
	assert_int_equal(bpf_sample_flows(link_type, one_in, ret_prog), E_OK);
	assert_int_equal(bpf_prog_check(ret_prog->insns, ret_prog->n, NULL), E_OK);
}

static bool
is_kept(const struct bpf_prog *prog, const struct lab_frame *f, const struct bpf_aux *aux)
{
	uint32_t answer = lab_run(prog, f, aux);

	assert_true(answer == 0 || answer == UINT32_MAX);
	return answer != 0;
}

/* Five standard deviations: one false alarm in two million, if seeds were not fixed. */
static void
assert_share(unsigned got, unsigned n, uint32_t one_in)
{
	double mean = (double)n / one_in, variance = mean * (1 - 1.0 / one_in);
	double deviation = got - mean;

	if (deviation * deviation > 25 * variance)
		fail_msg("%u of %u kept, of one in %u", got, n, one_in);
}

/* --- packets --- */

static void
one_in_n_packets_is_kept_by_the_random_number(void **state)
{
	static const uint32_t ns[] = { 2, 3, 10, 100, 1000, 1000000, 0x80000001, UINT32_MAX };
	struct lab_frame f = lab_ethernet(0);
	struct bpf_prog prog;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ns); i++) {
		uint32_t limit = (uint32_t)((1ULL << 32) / ns[i]);
		struct bpf_aux aux = { .random = limit - 1 };

		bpf_sample_packets(ns[i], &prog);
		assert_int_equal(bpf_prog_check(prog.insns, prog.n, NULL), E_OK);
		assert_true(is_kept(&prog, &f, &aux));
		aux.random = limit;
		assert_false(is_kept(&prog, &f, &aux));
		aux.random = 0;
		assert_true(is_kept(&prog, &f, &aux));
		aux.random = UINT32_MAX;
		assert_false(is_kept(&prog, &f, &aux));
	}
}

static void
the_kernel_keeps_one_in_n_packets(void **state)
{
	enum { N = 20000, ONE_IN = 10 };
	struct lab_kernel k = lab_kernel_open();
	struct lab_frame f = lab_ethernet(0);
	struct bpf_prog prog;
	unsigned n_kept = 0;

	(void)state;
	bpf_sample_packets(ONE_IN, &prog);
	assert_true(lab_kernel_attach(&k, prog.insns, prog.n));
	for (unsigned i = 0; i < N; i++)
		n_kept += lab_kernel_run(&k, f.data, f.len) != 0;
	lab_kernel_close(&k);
	/* Truly random: ten standard deviations, so that it never fails by chance. */
	assert_in_range(n_kept, 2000 - 424, 2000 + 424);
}

static void
one_in_one_or_zero_keeps_everything(void **state)
{
	const struct bpf_aux aux = { .random = UINT32_MAX };
	struct bpf_prog prog;

	(void)state;
	for (uint32_t one_in = 0; one_in <= 1; one_in++) {
		for (size_t i = 0; i < LAB_N_ETHERNET; i++) {
			struct lab_frame f = lab_ethernet(i);

			bpf_sample_packets(one_in, &prog);
			assert_true(is_kept(&prog, &f, &aux));
			make_flows(1, one_in, &prog);
			assert_true(is_kept(&prog, &f, &aux));
		}
	}
}

/* --- flows: what the number is, computed another way --- */

/* What belongs to a flow: addresses of len bytes, a protocol, perhaps ports. */
struct flow {
	uint32_t	 len;
	uint8_t		 src[16], dst[16];
	uint16_t	 sport, dport;
	bool		 has_ports;
	uint8_t		 protocol;
};

static uint32_t
mix(uint32_t h)
{
	h ^= h >> 16;
	h *= 0x7feb352d;
	return h ^ h >> 15;
}

static uint32_t
endpoint_hash(const uint8_t *addr, uint32_t len, bool has_port, uint16_t port)
{
	uint32_t h = 0;

	for (uint32_t i = 0; i < len; i += 4)
		h = mix(h ^ get_be32(addr + i));
	return has_port ? mix(h ^ port) : h;
}

static uint32_t
flow_hash(const struct flow *f)
{
	uint32_t h = endpoint_hash(f->src, f->len, f->has_ports, f->sport) +
	    endpoint_hash(f->dst, f->len, f->has_ports, f->dport);

	h ^= f->protocol;
	h ^= h >> 16;
	h *= 0x85ebca6b;
	h ^= h >> 13;
	h *= 0xc2b2ae35;
	return h ^ h >> 16;
}

/* Ports, if the protocol has them; false when they are not there. */
static bool
find_ports(const struct lab_frame *f, uint32_t at, struct flow *flow)
{
	if (flow->protocol != 6 && flow->protocol != 17 && flow->protocol != 132)
		return true;
	if (at + 4 > f->len)
		return false;
	flow->has_ports = true;
	flow->sport = get_be16(f->data + at);
	flow->dport = get_be16(f->data + at + 2);
	return true;
}

static bool
find_ipv4(const struct lab_frame *f, uint32_t at, struct flow *flow)
{
	const uint8_t *p = f->data + at;

	if (at + 20 > f->len || p[0] < 0x45 || p[0] > 0x4f)
		return false;
	flow->len = 4;
	memcpy(flow->src, p + 12, 4);
	memcpy(flow->dst, p + 16, 4);
	flow->protocol = p[9];
	if ((get_be16(p + 6) & 0x3fff) != 0)
		return true;
	return find_ports(f, at + p[0] % 16 * 4, flow);
}

static bool
find_ipv6(const struct lab_frame *f, uint32_t at, struct flow *flow)
{
	const uint8_t *p = f->data + at;

	if (at + 40 > f->len || p[0] / 16 != 6)
		return false;
	flow->len = 16;
	memcpy(flow->src, p + 8, 16);
	memcpy(flow->dst, p + 24, 16);
	flow->protocol = p[6];
	at += 40;
	for (unsigned passed = 0; passed < 6; passed++) {
		p = f->data + at;
		if (flow->protocol != 0 && flow->protocol != 43 && flow->protocol != 44 &&
		    flow->protocol != 60)
			break;
		if (at + 8 > f->len)
			return false;
		if (flow->protocol == 44 && (get_be16(p + 2) & 0xfff9) != 0)
			return true;
		at += flow->protocol == 44 ? 8 : 8 + 8U * p[1];
		flow->protocol = p[0];
	}
	return find_ports(f, at, flow);
}

/* False: it belongs to no flow. */
static bool
find_flow(const struct lab_frame *f, struct flow *ret_flow)
{
	uint32_t at = 14;
	uint16_t type;

	*ret_flow = (struct flow){ 0 };
	if (f->len < at)
		return false;
	type = get_be16(f->data + 12);
	for (unsigned i = 0; i < 3; i++) {
		if (type != 0x8100 && type != 0x88a8 && type != 0x9100)
			break;
		at += 4;
		if (f->len < at)
			return false;
		type = get_be16(f->data + at - 2);
	}
	if (type == 0x800)
		return find_ipv4(f, at, ret_flow);
	return type == 0x86dd && find_ipv6(f, at, ret_flow);
}

static void
random_frames_are_kept_as_their_flow_says(void **state)
{
	enum { N = 40000, ONE_IN = 3 };
	uint64_t seed = 0x2545f4914f6cdd1dU;
	struct lab_kernel k = lab_kernel_open();
	struct bpf_prog prog;
	unsigned n_flow = 0, n_other = 0, n_kept = 0;

	(void)state;
	make_flows(1, ONE_IN, &prog);
	assert_true(lab_kernel_attach(&k, prog.insns, prog.n));
	for (unsigned round = 0; round < N; round++) {
		struct made m;
		struct flow flow;
		struct lab_frame f = maker_frame(&seed, 1, &m);
		uint8_t *data = malloc(f.len + (f.len == 0));
		bool is_flow = find_flow(&f, &flow);
		bool want = !is_flow || flow_hash(&flow) < (1ULL << 32) / ONE_IN;
		uint32_t got;

		memcpy(data, f.data, f.len);
		got = bpf_prog_run(prog.insns, prog.n, data, f.len, f.len, &m.aux);
		free(data);
		if (got != (want ? UINT32_MAX : 0))
			fail_msg("round %u, %u bytes: %u", round, f.len, got);
		if (f.len > 0)
			assert_int_equal(lab_kernel_run(&k, f.data, f.len), want ? f.len : 0);
		n_flow += is_flow;
		n_other += !is_flow;
		n_kept += is_flow && want;
	}
	lab_kernel_close(&k);
	assert_true(n_flow > N / 4 && n_other > N / 10);
	assert_share(n_kept, n_flow, ONE_IN);
}

/* --- flows: what they are for --- */

static void
put_flow(const struct flow *flow, uint8_t *p)
{
	uint32_t header = flow->len == 4 ? 20 : 40;

	memset(p, 0, header + 20);
	p[0] = flow->len == 4 ? 0x45 : 0x60;
	p[flow->len == 4 ? 9 : 6] = flow->protocol;
	memcpy(p + (flow->len == 4 ? 12 : 8), flow->src, flow->len);
	memcpy(p + (flow->len == 4 ? 16 : 24), flow->dst, flow->len);
	put_be16(p + header, flow->sport);
	put_be16(p + header + 2, flow->dport);
}

/* The packet as an Ethernet frame. */
static struct lab_frame
frame_of(const struct flow *flow)
{
	struct lab_frame f = { .name = "flow", .len = 14 + (flow->len == 4 ? 40 : 60) };

	f.data[0] = 2;
	put_be16(f.data + 12, flow->len == 4 ? 0x800 : 0x86dd);
	put_flow(flow, f.data + 14);
	return f;
}

static struct flow
turned_round(const struct flow *flow)
{
	struct flow back = *flow;

	memcpy(back.src, flow->dst, flow->len);
	memcpy(back.dst, flow->src, flow->len);
	back.sport = flow->dport;
	back.dport = flow->sport;
	return back;
}

static struct flow
random_flow(uint64_t *seed)
{
	static const uint32_t protocols[] = { 6, 17, 132 };
	struct flow flow = { .len = lab_random(seed) % 2 == 0 ? 4 : 16,
	    .sport = (uint16_t)lab_random(seed), .dport = (uint16_t)lab_random(seed),
	    .protocol = (uint8_t)maker_pick(seed, protocols, ARRAY_LEN(protocols)) };

	for (uint32_t i = 0; i < flow.len; i++) {
		flow.src[i] = (uint8_t)lab_random(seed);
		flow.dst[i] = (uint8_t)lab_random(seed);
	}
	return flow;
}

static void
both_directions_of_a_flow_are_alike_on_every_link_type(void **state)
{
	enum { N = 1000, ONE_IN = 10 };
	uint64_t seed = 0x853c49e6748fea9bU;
	struct bpf_prog ethernet, raw, cooked;
	unsigned n_kept = 0;

	(void)state;
	make_flows(1, ONE_IN, &ethernet);
	make_flows(101, ONE_IN, &raw);
	make_flows(276, ONE_IN, &cooked);
	for (unsigned i = 0; i < N; i++) {
		struct flow flow = random_flow(&seed), back = turned_round(&flow);
		struct lab_frame f = frame_of(&flow), b = frame_of(&back);
		struct lab_frame v = lab_tag(&b, 0x8100, 7);
		struct lab_frame ip = lab_strip(&f, 14);
		struct bpf_aux aux = { .protocol = get_be16(f.data + 12) };
		bool want = is_kept(&ethernet, &f, NULL);

		assert_int_equal(is_kept(&ethernet, &b, NULL), want);
		assert_int_equal(is_kept(&ethernet, &v, NULL), want);
		assert_int_equal(is_kept(&raw, &ip, NULL), want);
		assert_int_equal(is_kept(&cooked, &ip, &aux), want);
		n_kept += want;
	}
	assert_share(n_kept, N, ONE_IN);
}

/* A flow is more than its hosts and more than its ports. */
static void
every_part_of_a_flow_counts(void **state)
{
	enum { N = 2000, ONE_IN = 2 };
	uint64_t seed = 0xc6a4a7935bd1e995U;
	unsigned n_alike[5] = { 0 };
	struct bpf_prog prog;

	(void)state;
	make_flows(1, ONE_IN, &prog);
	for (unsigned i = 0; i < N; i++) {
		struct flow flow = random_flow(&seed), other[5] = { flow, flow, flow, flow, flow };
		struct lab_frame f = frame_of(&flow);
		bool want = is_kept(&prog, &f, NULL);

		other[0].src[lab_random(&seed) % flow.len] ^= 1;
		other[1].dst[lab_random(&seed) % flow.len] ^= 0x80;
		other[2].sport ^= 1;
		other[3].protocol = flow.protocol == 6 ? 17 : 6;
		/* Each port belongs to its address. */
		other[4].sport = flow.dport;
		other[4].dport = flow.sport;
		for (unsigned o = 0; o < ARRAY_LEN(other); o++) {
			f = frame_of(&other[o]);
			n_alike[o] += is_kept(&prog, &f, NULL) == want;
		}
	}
	for (unsigned o = 0; o < ARRAY_LEN(n_alike); o++)
		assert_share(n_alike[o], N, 2);
}

/* Real flows differ in a few bits: ports in a row, hosts in a row. */
static void
flows_that_hardly_differ_are_kept_in_the_same_share(void **state)
{
	enum { N = 10000 };
	static const uint32_t ns[] = { 2, 10, 16, 100 };
	struct bpf_prog prog;

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(ns); n++) {
		unsigned by_port = 0, by_host = 0, by_host6 = 0, by_pair = 0;

		make_flows(1, ns[n], &prog);
		for (unsigned i = 0; i < N; i++) {
			struct flow flow = { .len = 4, .src = { 10, 0, 0, 1 },
			    .dst = { 10, 0, 0, 2 }, .sport = (uint16_t)(32768 + i),
			    .dport = 443, .protocol = 6 };
			struct lab_frame f = frame_of(&flow);

			by_port += is_kept(&prog, &f, NULL);
			flow.sport = 40000;
			put_be16(flow.src + 2, (uint16_t)i);
			f = frame_of(&flow);
			by_host += is_kept(&prog, &f, NULL);
			put_be16(flow.src + 2, (uint16_t)(i % 100));
			put_be16(flow.dst + 2, (uint16_t)(256 + i / 100));
			f = frame_of(&flow);
			by_pair += is_kept(&prog, &f, NULL);
			flow.len = 16;
			put_be16(flow.src + 14, (uint16_t)i);
			f = frame_of(&flow);
			by_host6 += is_kept(&prog, &f, NULL);
		}
		assert_share(by_port, N, ns[n]);
		assert_share(by_host, N, ns[n]);
		assert_share(by_host6, N, ns[n]);
		assert_share(by_pair, N, ns[n]);
	}
}

/* What one sensor keeps of few another keeps of more. */
static void
a_smaller_share_is_part_of_a_larger_one(void **state)
{
	static const uint32_t ns[] = { 2, 3, 10, 100 };
	uint64_t seed = 0x94d049bb133111ebU;
	struct bpf_prog progs[ARRAY_LEN(ns)];

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(ns); n++)
		make_flows(1, ns[n], &progs[n]);
	for (unsigned i = 0; i < 2000; i++) {
		struct flow flow = random_flow(&seed);
		struct lab_frame f = frame_of(&flow);

		for (size_t n = 1; n < ARRAY_LEN(ns); n++)
			assert_true(!is_kept(&progs[n], &f, NULL) ||
			    is_kept(&progs[n - 1], &f, NULL));
	}
}

/* --- fragments --- */

/* A fragment of a datagram; what would be ports is data in all but the first. */
static struct lab_frame
fragment_of(const struct flow *flow, uint16_t offset, bool is_more, uint64_t *seed)
{
	struct lab_frame f = frame_of(flow);
	uint8_t *ip = f.data + 14;

	if (flow->len == 4) {
		put_be16(ip + 6, (uint16_t)(offset | (is_more ? 0x2000 : 0)));
		ip += 20;
	} else {
		memmove(ip + 48, ip + 40, 20);
		ip[6] = 44;
		/* RFC 8200: only the first one's next header counts. */
		ip[40] = offset == 0 ? 60 : flow->protocol;
		put_be16(ip + 42, (uint16_t)(offset << 3 | is_more));
		ip += 48;
		f.len += 8;
	}
	if (offset != 0)
		put_be32(ip, lab_random(seed));
	return f;
}

static void
all_fragments_of_a_datagram_are_alike(void **state)
{
	enum { N = 1000, ONE_IN = 4 };
	uint64_t seed = 0xbf58476d1ce4e5b9U;
	struct bpf_prog prog;
	unsigned n_kept = 0;

	(void)state;
	make_flows(1, ONE_IN, &prog);
	for (unsigned i = 0; i < N; i++) {
		struct flow flow = random_flow(&seed), back = turned_round(&flow);
		struct lab_frame f = fragment_of(&flow, 0, true, &seed);
		bool want = is_kept(&prog, &f, NULL);

		for (uint16_t offset = 1; offset < 8; offset++) {
			f = fragment_of(&flow, (uint16_t)(offset * 185), offset < 7, &seed);
			assert_int_equal(is_kept(&prog, &f, NULL), want);
		}
		f = fragment_of(&back, 0, true, &seed);
		assert_int_equal(is_kept(&prog, &f, NULL), want);
		n_kept += want;
	}
	assert_share(n_kept, N, ONE_IN);
}

/* --- what belongs to no flow --- */

static void
what_belongs_to_no_flow_is_kept(void **state)
{
	struct lab_frame arp = lab_ethernet(5), udp = lab_ethernet(0), ip = lab_strip(&udp, 14);
	const struct bpf_aux ppp = { .protocol = 0xc021 };
	struct bpf_prog prog, cooked;

	(void)state;
	make_flows(1, UINT32_MAX, &prog);
	assert_false(is_kept(&prog, &udp, NULL));
	assert_true(is_kept(&prog, &arp, NULL));
	for (udp.len = 0; udp.len < 14 + 20 + 4; udp.len++)
		assert_true(is_kept(&prog, &udp, NULL));
	assert_false(is_kept(&prog, &udp, NULL));
	make_flows(276, UINT32_MAX, &cooked);
	assert_true(is_kept(&cooked, &ip, &ppp));
}

static void
link_types_without_known_headers_are_refused(void **state)
{
	struct bpf_prog prog = { .n = 7 };

	(void)state;
	assert_int_equal(bpf_sample_flows(127, 10, &prog), E_FILTER);
	assert_int_equal(bpf_sample_flows(127, 1, &prog), E_FILTER);
	assert_int_equal(prog.n, 7);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_in_n_packets_is_kept_by_the_random_number),
		cmocka_unit_test(the_kernel_keeps_one_in_n_packets),
		cmocka_unit_test(one_in_one_or_zero_keeps_everything),
		cmocka_unit_test(random_frames_are_kept_as_their_flow_says),
		cmocka_unit_test(both_directions_of_a_flow_are_alike_on_every_link_type),
		cmocka_unit_test(every_part_of_a_flow_counts),
		cmocka_unit_test(flows_that_hardly_differ_are_kept_in_the_same_share),
		cmocka_unit_test(a_smaller_share_is_part_of_a_larger_one),
		cmocka_unit_test(all_fragments_of_a_datagram_are_alike),
		cmocka_unit_test(what_belongs_to_no_flow_is_kept),
		cmocka_unit_test(link_types_without_known_headers_are_refused),
	};

	return cmocka_run_group_tests_name("common/bpf_sample", tests, NULL, NULL);
}
