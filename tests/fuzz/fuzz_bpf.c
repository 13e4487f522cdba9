/* A program that passes the check runs to its end on any packet, in every form. */
#include <string.h>

#include "common/bpf.h"
#include "common/bpf_link.h"
#include "tests/fuzz/fuzz.h"

static uint32_t
run(const struct bpf_prog *prog, const uint8_t *data, size_t size, const struct bpf_aux *aux)
{
	if (bpf_prog_check(prog->insns, prog->n, NULL) != E_OK)
		__builtin_trap();
	return bpf_prog_run(prog->insns, prog->n, data, (uint32_t)size, (uint32_t)size, aux);
}

/* Linking keeps a program valid, or refuses; both forms say the same. */
static void
link_all(const struct bpf_prog *prog, const uint8_t *data, size_t size)
{
	static struct bpf_prog two, one, cooked;
	struct bpf_aux aux = { .protocol = 0x800, .vlan_tci = 5, .vlan_tpid = 0x8100,
	    .net_offset = 14 };

	two = one = cooked = *prog;
	if (bpf_link_cooked(&cooked, 276) == E_OK)
		(void)run(&cooked, data, size, &aux);
	if (bpf_link_vlan(&two, NULL) != E_OK || bpf_link_cap(&two, 96) != E_OK ||
	    bpf_link_vlan_short(&one) != E_OK || bpf_link_cap(&one, 96) != E_OK)
		return;
	for (int has_vlan = 0; has_vlan < 2; has_vlan++) {
		aux.has_vlan = has_vlan;
		if (run(&two, data, size, &aux) > 96 ||
		    run(&two, data, size, &aux) != run(&one, data, size, &aux))
			__builtin_trap();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct bpf_prog prog;
	struct bpf_view view = { .data = data, .caplen = (uint32_t)size / 2,
	    .len = (uint32_t)size, .is_offline = true };
	size_t n = size / sizeof(struct bpf_insn_raw);
	bool is_cut;

	if (n == 0 || n > 64)
		return 0;
	prog.n = (uint32_t)n;
	memcpy(prog.insns, data, n * sizeof(prog.insns[0]));
	if (bpf_prog_check(prog.insns, n, NULL) != E_OK)
		return 0;
	if (bpf_prog_judge(prog.insns, n, &view, &is_cut) != 0 && is_cut)
		__builtin_trap();
	link_all(&prog, data, size);
	return 0;
}
