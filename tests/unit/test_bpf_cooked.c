/* common/bpf_cooked: programs that answer without the header a file has. */
#include "tests/unit/bpf_lab.h"

#include "common/bpf_link.h"

/* An Ethernet frame as either file has it, and as the socket shows it. */
struct cooked {
	struct lab_frame file, kernel;
	struct bpf_aux	 aux;
};

static const int forms[] = { LAB_COOKED, LAB_SLL };

static struct cooked
cook(const struct lab_frame *f, int form, uint32_t ifindex, uint8_t packet_type)
{
	struct cooked c = { .kernel = lab_strip(f, 14) };

	c.file = form == LAB_SLL ? lab_cook_sll(f, packet_type) :
	    lab_cook(f, ifindex, packet_type);
	c.aux = (struct bpf_aux){ .packet_type = packet_type, .hatype = 1, .ifindex = ifindex,
	    .protocol = (uint16_t)(f->data[12] << 8 | f->data[13]) };
	return c;
}

static void
assert_answers_as_over_a_file(const char *text, int form, const struct bpf_prog *prog,
    const struct bpf_prog *rewritten)
{
	static const struct { uint32_t ifindex; uint8_t type; } rows[] = { { 3, 0 }, { 70000, 4 } };

	for (size_t i = 0; i < LAB_N_ETHERNET * ARRAY_LEN(rows); i++) {
		size_t r = i % ARRAY_LEN(rows);
		struct lab_frame f = lab_ethernet(i / ARRAY_LEN(rows));
		struct cooked c = cook(&f, form, rows[r].ifindex, rows[r].type);
		uint32_t want = lab_offline(prog, &c.file, c.file.len);

		if (lab_run(rewritten, &c.kernel, &c.aux) != want)
			fail_msg("'%s' on %s, form %d, row %zu: not %u", text, f.name, form, r,
			    want);
	}
}

static void
rewrite(const struct bpf_prog *prog, int form, struct bpf_prog *ret)
{
	*ret = *prog;
	assert_int_equal(bpf_link_cooked(ret, (uint32_t)form), E_OK);
	assert_int_equal(bpf_prog_check(ret->insns, ret->n, NULL), E_OK);
}

static void
a_cooked_program_answers_without_the_header(void **state)
{
	static const char *const both[] = {
		"", "udp", "tcp", "arp", "ip6", "inbound", "outbound", "ether proto 0x800",
		"greater 53", "less 66", "len = 52", "len = 48", "host 10.0.0.1", "portrange 50-60",
		"icmp", "ip[ip[0] & 0xf] * 2 - 3 > 5", "tcp[tcpflags] & tcp-syn != 0",
	};
	static const char *const sll2[] = {
		"ifindex 3", "ifindex 70000", "ifindex 3 and udp port 53", "link[10]=4",
		"link[0:2] = 0x86dd", "link[0] = 8 and link[1] = 6", "link[1:2] = 0",
		"link[2:2] = 0", "link[3:4] = 3 << 8", "link[4:4] = 70000", "link[6:2] = 3",
		"link[8:2] = 1", "link[7:2] = 0x300", "link[9:2] = 0x104", "link[ip[9] & 7] = 3",
	};
	static const char *const sll[] = {
		"link[0:2] = 4", "link[1] = 4", "link[1:2] = 0x400", "link[2:2] = 1", "link[3] = 1",
		"link[14:2] = 0x86dd", "link[15] = 6", "link[14:4] = 0x8004500", "link[0:4] = 0x40001",
		"link[ip[9] & 3] = 1",
	};
	static const struct { int form; const char *const *texts; size_t n; } rows[] = {
		{ LAB_COOKED, both, ARRAY_LEN(both) }, { LAB_COOKED, sll2, ARRAY_LEN(sll2) },
		{ LAB_SLL, both, ARRAY_LEN(both) }, { LAB_SLL, sll, ARRAY_LEN(sll) },
	};

	(void)state;
	for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
		for (size_t e = 0; e < rows[r].n; e++) {
			struct bpf_prog prog, rewritten;

			lab_compile(rows[r].form, rows[r].texts[e], &prog);
			rewrite(&prog, rows[r].form, &rewritten);
			assert_answers_as_over_a_file(rows[r].texts[e], rows[r].form, &prog,
			    &rewritten);
		}
	}
}

static void
the_address_in_a_cooked_header_cannot_be_read(void **state)
{
	static const struct { int form; const char *text; } rows[] = {
		{ LAB_COOKED, "link[11] = 6" }, { LAB_COOKED, "link[12:4] = 0x02000000" },
		{ LAB_COOKED, "link[10:2] = 6" }, { LAB_COOKED, "link[8:4] = 0x10006" },
		{ LAB_COOKED, "link[ip[0]] = 2" }, { LAB_COOKED, "link[18:4] = 3" },
		{ LAB_SLL, "link[5] = 6" }, { LAB_SLL, "link[2:4] = 0x10006" },
		{ LAB_SLL, "link[12:4] = 0x800" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct bpf_prog prog, before;

		lab_compile(rows[i].form, rows[i].text, &prog);
		before = prog;
		assert_int_equal(bpf_link_cooked(&prog, (uint32_t)rows[i].form), E_FILTER);
		assert_memory_equal(&prog, &before, sizeof(prog));
	}
}

/* Those that read no address, first made exact. */
static void
random_programs_answer_as_over_a_file(void **state)
{
	uint64_t seed = 0x27d4eb2f165667c5U;
	unsigned n_tried = 0, n_alive = 0;

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		int form = forms[round % ARRAY_LEN(forms)];
		struct bpf_prog prog, rewritten;

		lab_random_program(&seed, 50, &prog);
		if (bpf_prog_check(prog.insns, prog.n, NULL) != E_OK)
			continue;
		rewritten = prog;
		assert_int_equal(bpf_link_offline(&rewritten), E_OK);
		if (bpf_link_cooked(&rewritten, (uint32_t)form) != E_OK)
			continue;
		assert_int_equal(bpf_prog_check(rewritten.insns, rewritten.n, NULL), E_OK);
		n_tried++;
		for (size_t i = 0; i < LAB_N_ETHERNET; i++) {
			struct lab_frame f = lab_ethernet(i);
			struct cooked c = cook(&f, form, lab_random(&seed), (uint8_t)(round % 5));

			n_alive += lab_offline(&prog, &c.file, c.file.len) != 0;
			assert_int_equal(lab_run(&rewritten, &c.kernel, &c.aux),
			    lab_offline(&prog, &c.file, c.file.len));
		}
	}
	assert_true(n_tried > 1000 && n_alive > n_tried);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cooked_program_answers_without_the_header),
		cmocka_unit_test(the_address_in_a_cooked_header_cannot_be_read),
		cmocka_unit_test(random_programs_answer_as_over_a_file),
	};

	return cmocka_run_group_tests_name("common/bpf_cooked", tests, NULL, NULL);
}
