/* A program that passes the check runs to its end on any packet. */
#include <string.h>

#include "common/bpf.h"
#include "common/bpf_link.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct bpf_prog prog;
	struct bpf_aux aux = { .protocol = 0x800, .has_vlan = true,
	    .vlan_tci = 5, .vlan_tpid = 0x8100, .net_offset = 14 };
	size_t n = size / sizeof(struct bpf_insn_raw);

	if (n == 0 || n > 64)
		return 0;
	prog.n = (uint32_t)n;
	memcpy(prog.insns, data, n * sizeof(prog.insns[0]));
	if (bpf_prog_check(prog.insns, n, NULL) != E_OK)
		return 0;
	(void)bpf_prog_run(prog.insns, n, data, (uint32_t)size, (uint32_t)size,
	    &aux);
	/* Linking keeps a program valid, or refuses. */
	if (bpf_link_vlan(&prog, NULL) == E_OK && bpf_link_cap(&prog, 96) == E_OK) {
		if (bpf_prog_check(prog.insns, prog.n, NULL) != E_OK)
			__builtin_trap();
		if (bpf_prog_run(prog.insns, prog.n, data, (uint32_t)size,
		    (uint32_t)size, &aux) > 96)
			__builtin_trap();
	}
	return 0;
}
