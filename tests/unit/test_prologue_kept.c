/* server/prologue: direction, sampling, headers only, each in its place. */
#include "tests/unit/bpf_lab.h"

#include <linux/if_packet.h>

#include "common/bpf_headers.h"
#include "common/bpf_link.h"
#include "common/bpf_sample.h"
#include "common/bytes.h"
#include "server/prologue.h"
#include "tests/unit/frame_maker.h"

enum { MARK = 0x70636170, SNAPLEN = 200 };

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

/* --- direction --- */

static void
only_packets_of_the_direction_remain(void **state)
{
	struct prologue_config cfg = { .link_type = 1, .snaplen = SNAPLEN };
	struct lab_frame f = lab_ethernet(0);
	struct bpf_prog prog;

	(void)state;
	for (uint8_t type = 0; type < 8; type++) {
		const struct bpf_aux aux = { .packet_type = type };
		bool is_out = type == PACKET_OUTGOING;

		cfg.direction = PROLOGUE_INOUT;
		build(&cfg, &prog);
		assert_int_equal(lab_run(&prog, &f, &aux), SNAPLEN);
		cfg.direction = PROLOGUE_IN;
		build(&cfg, &prog);
		assert_int_equal(lab_run(&prog, &f, &aux), is_out ? 0 : SNAPLEN);
		cfg.direction = PROLOGUE_OUT;
		build(&cfg, &prog);
		assert_int_equal(lab_run(&prog, &f, &aux), is_out ? SNAPLEN : 0);
	}
}

static void
on_loopback_everything_comes_in(void **state)
{
	struct prologue_config cfg = { .link_type = 1, .snaplen = SNAPLEN, .is_loopback = true };
	struct lab_frame f = lab_ethernet(0);
	struct bpf_prog prog;

	(void)state;
	for (uint8_t type = 0; type < 8; type++) {
		const struct bpf_aux aux = { .packet_type = type };

		cfg.direction = PROLOGUE_IN;
		build(&cfg, &prog);
		assert_int_equal(lab_run(&prog, &f, &aux), type == PACKET_OUTGOING ? 0 : SNAPLEN);
		cfg.direction = PROLOGUE_OUT;
		build(&cfg, &prog);
		assert_int_equal(lab_run(&prog, &f, &aux), 0);
	}
}

/* --- sampling --- */

static void
what_is_sampled_is_what_matches(void **state)
{
	struct prologue_config cfg = { .link_type = 1, .snaplen = SNAPLEN, .sample = 10 };
	const struct bpf_aux few = { .random = UINT32_MAX / 10 - 1 };
	const struct bpf_aux many = { .random = UINT32_MAX / 10 + 1 };
	struct lab_frame udp = lab_ethernet(0), tcp = lab_ethernet(1);
	struct bpf_prog filter, prog;

	(void)state;
	lab_compile(LAB_ETHERNET, "udp", &filter);
	cfg.filter = filter.insns;
	cfg.n_filter = filter.n;
	build(&cfg, &prog);
	assert_int_equal(lab_run(&prog, &udp, &few), SNAPLEN);
	assert_int_equal(lab_run(&prog, &udp, &many), 0);
	assert_int_equal(lab_run(&prog, &tcp, &few), 0);
	cfg.sample = 1;
	build(&cfg, &prog);
	assert_int_equal(lab_run(&prog, &udp, &many), SNAPLEN);
}

/* --- all together --- */

/* The parts one after the other, run by themselves. */
static uint32_t
run_parts(const struct prologue_config *cfg, const struct lab_frame *f, const struct bpf_aux *aux)
{
	bool is_out = aux->packet_type == PACKET_OUTGOING;
	struct bpf_prog filter = { .n = (uint32_t)cfg->n_filter }, part;
	uint32_t answer = cfg->snaplen;

	if (cfg->own != NULL && aux->mark == cfg->mark)
		return 0;
	if (cfg->direction != PROLOGUE_INOUT && is_out != (cfg->direction == PROLOGUE_OUT))
		return 0;
	memcpy(filter.insns, cfg->filter, cfg->n_filter * sizeof(cfg->filter[0]));
	if (cfg->link_type == 276)
		assert_int_equal(bpf_link_cooked(&filter, 276), E_OK);
	if (lab_run(&filter, f, aux) == 0)
		return 0;
	bpf_sample_packets(cfg->sample, &part);
	if (lab_run(&part, f, aux) == 0)
		return 0;
	assert_int_equal(bpf_sample_flows(cfg->link_type, cfg->sample_flows, &part), E_OK);
	if (lab_run(&part, f, aux) == 0)
		return 0;
	assert_int_equal(bpf_headers_program(cfg->link_type, cfg->snaplen, &part), E_OK);
	if (cfg->headers_only)
		answer = lab_run(&part, f, aux);
	return answer;
}

static void
all_parts_together_answer_as_one_after_the_other(void **state)
{
	static const struct { uint32_t link_type; int dlt; } links[] = {
		{ 1, LAB_ETHERNET }, { 101, LAB_RAW }, { 276, LAB_COOKED },
	};
	const struct own_traffic none = { .n = 0 };
	uint64_t seed = 0xe7037ed1a0b428dbU;
	unsigned n_kept = 0, n_cut = 0;

	(void)state;
	for (unsigned round = 0; round < 30 * 32; round++) {
		size_t l = round % ARRAY_LEN(links);
		struct prologue_config cfg = { .link_type = links[l].link_type,
		    .is_cooked = links[l].link_type == 276,
		    .snaplen = 1 + lab_random(&seed) % 120, .mark = MARK, .own = &none,
		    .direction = lab_random(&seed) % 3, .headers_only = lab_random(&seed) % 2,
		    .sample = lab_random(&seed) % 3, .sample_flows = lab_random(&seed) % 3 };
		struct bpf_prog filter, prog;

		lab_compile(links[l].dlt, round % 2 == 0 ? "ip or ip6" : "not udp", &filter);
		cfg.filter = filter.insns;
		cfg.n_filter = filter.n;
		build(&cfg, &prog);
		for (unsigned i = 0; i < 30; i++) {
			struct made m;
			struct lab_frame f = maker_frame(&seed, cfg.link_type, &m);
			uint32_t want, got;

			m.aux.mark = lab_random(&seed) % 8 == 0 ? MARK : 0;
			m.aux.random = lab_random(&seed);
			want = run_parts(&cfg, &f, &m.aux);
			got = lab_run(&prog, &f, &m.aux);
			if (got != want)
				fail_msg("round %u, frame %u: %u instead of %u", round, i, got,
				    want);
			n_kept += got > 0;
			n_cut += got > 0 && got < f.len && got < cfg.snaplen;
		}
	}
	assert_true(n_kept > 4000 && n_cut > 500);
}

static void
headers_and_flows_are_refused_where_headers_are_not_known(void **state)
{
	static struct bpf_prog prog;
	static struct prologue built, before;
	struct prologue_config cfg = { .link_type = 127, .snaplen = SNAPLEN, .headers_only = true };
	struct err err;

	(void)state;
	memset(&built, 0x5a, sizeof(built));
	before = built;
	assert_int_equal(prologue_build(&cfg, &built, &err), E_FILTER);
	assert_non_null(strstr(err.what, "headers only: "));
	cfg.headers_only = false;
	cfg.sample_flows = 2;
	assert_int_equal(prologue_build(&cfg, &built, &err), E_FILTER);
	assert_non_null(strstr(err.what, "sampling of flows: "));
	assert_memory_equal(&built, &before, sizeof(built));

	/* Packets are packets on every link type. */
	cfg.sample_flows = 1;
	cfg.sample = 2;
	build(&cfg, &prog);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_packets_of_the_direction_remain),
		cmocka_unit_test(on_loopback_everything_comes_in),
		cmocka_unit_test(what_is_sampled_is_what_matches),
		cmocka_unit_test(all_parts_together_answer_as_one_after_the_other),
		cmocka_unit_test(headers_and_flows_are_refused_where_headers_are_not_known),
	};

	return cmocka_run_group_tests_name("server/prologue, what is kept", tests, NULL, NULL);
}
