/*
 * bpf_lab - what the tests of filters share: frames, libpcap's answer, the
 * kernel's answer, and a generator of random numbers that repeats.
 *
 * The kernel is asked through a pair of AF_UNIX datagram sockets, which takes
 * filters from anybody and runs them while sending.
 */
#ifndef TESTS_UNIT_BPF_LAB_H
#define TESTS_UNIT_BPF_LAB_H

#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/filter.h>
#include <pcap/pcap.h>

#include "common/bpf.h"
#include "common/compiler.h"

/* DLT_ values, which pcap_open_dead() wants; LINKTYPE_RAW is another number. */
enum { LAB_ETHERNET = 1, LAB_RAW = 12, LAB_COOKED = 276, LAB_SLL = 113, LAB_FRAME_MAX = 256 };

struct lab_frame {
	const char	*name;
	uint32_t	 len;
	uint8_t		 data[LAB_FRAME_MAX];
};

static const struct { const char *name, *hex; } lab_ethernet_hex[] UNUSED = {
	{ "udp", "02000000000202000000000108004500002000010000401166ca0a0000010a00000214e9"
	    "0035000c000061626364" },
	{ "tcp", "02000000000202000000000108004500002d00010000400666c80a0000010a0000029c40"
	    "01bb00000001000000025002040000000000474554202f" },
	{ "icmp", "02000000000202000000000108004500001c00010000400166de0a0000010a0000020800"
	    "f7ff00000000" },
	{ "fragment", "020000000002020000000001080045000024000100b94011660d0a0000010a00000200"
	    "000000000000000000000000000000" },
	{ "udp6", "02000000000202000000000186dd60000000000c114020010db80000000000000000000000"
	    "0120010db800000000000000000000000203e80035000c000061626364" },
	{ "arp", "ffffffffffff020000000001080600010800060400010200000000010a00000100000000"
	    "00000a000002" },
	{ "options", "02000000000202000000000108004600003100010000400663c30a0000010a0000020101"
	    "01000001005000000001000000025010040000000000474554202f" },
	{ "multicast", "01005e00000102000000000108004500002000010000401166ca0a0000010a00000214"
	    "e90035000c000061626364" },
};
enum { LAB_N_ETHERNET = 8 };

static inline uint32_t
lab_from_hex(const char *hex, uint8_t *dst)
{
	uint32_t n = 0;
	unsigned byte;

	for (; hex[0] != '\0' && sscanf(hex, "%2x", &byte) == 1; hex += 2)
		dst[n++] = (uint8_t)byte;
	return n;
}

static inline struct lab_frame
lab_ethernet(size_t i)
{
	struct lab_frame f = { .name = lab_ethernet_hex[i].name };

	f.len = lab_from_hex(lab_ethernet_hex[i].hex, f.data);
	return f;
}

/* The frame with a tag in front of its type. */
static inline struct lab_frame
lab_tag(const struct lab_frame *frame, uint16_t tpid, uint16_t tci)
{
	struct lab_frame f = *frame;
	const uint8_t tag[4] = { (uint8_t)(tpid >> 8), (uint8_t)tpid, (uint8_t)(tci >> 8),
	    (uint8_t)tci };

	memmove(f.data + 16, f.data + 12, f.len - 12);
	memcpy(f.data + 12, tag, sizeof(tag));
	f.len += 4;
	return f;
}

/* What a cooked capture makes of an Ethernet frame. */
static inline struct lab_frame
lab_cook(const struct lab_frame *frame, uint32_t ifindex, uint8_t packet_type)
{
	struct lab_frame f = { .name = frame->name, .len = frame->len + 6 };
	const uint8_t header[20] = { frame->data[12], frame->data[13], 0, 0,
	    (uint8_t)(ifindex >> 24), (uint8_t)(ifindex >> 16), (uint8_t)(ifindex >> 8),
	    (uint8_t)ifindex, 0, 1, packet_type, 6, 2, 0, 0, 0, 0, 1, 0, 0 };

	memcpy(f.data, header, sizeof(header));
	memcpy(f.data + 20, frame->data + 14, frame->len - 14);
	return f;
}

/* The same in the older form. */
static inline struct lab_frame
lab_cook_sll(const struct lab_frame *frame, uint8_t packet_type)
{
	struct lab_frame f = { .name = frame->name, .len = frame->len + 2 };
	const uint8_t header[16] = { 0, packet_type, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0,
	    frame->data[12], frame->data[13] };

	memcpy(f.data, header, sizeof(header));
	memcpy(f.data + 16, frame->data + 14, frame->len - 14);
	return f;
}

/* The frame without its first n bytes. */
static inline struct lab_frame
lab_strip(const struct lab_frame *frame, uint32_t n)
{
	struct lab_frame f = { .name = frame->name, .len = frame->len - n };

	memcpy(f.data, frame->data + n, f.len);
	return f;
}

static inline void
lab_compile(int dlt, const char *text, struct bpf_prog *ret_prog)
{
	pcap_t *p = pcap_open_dead(dlt, 262144);
	struct bpf_program code;

	assert_non_null(p);
	if (pcap_compile(p, &code, text, 1, PCAP_NETMASK_UNKNOWN) != 0)
		fail_msg("'%s': %s", text, pcap_geterr(p));
	assert_true(code.bf_len <= BPF_PROG_MAX);
	static_assert(sizeof(struct bpf_insn) == sizeof(struct bpf_insn_raw), "one layout");
	ret_prog->n = code.bf_len;
	memcpy(ret_prog->insns, code.bf_insns, code.bf_len * sizeof(code.bf_insns[0]));
	pcap_freecode(&code);
	pcap_close(p);
}

static inline uint32_t
lab_offline(const struct bpf_prog *prog, const struct lab_frame *f, uint32_t caplen)
{
	static struct bpf_insn insns[BPF_PROG_MAX];
	struct bpf_program code = { prog->n, insns };
	struct pcap_pkthdr header = { .caplen = caplen, .len = f->len };

	memcpy(insns, prog->insns, prog->n * sizeof(insns[0]));
	return (uint32_t)pcap_offline_filter(&code, &header, f->data);
}

static inline uint32_t
lab_run(const struct bpf_prog *prog, const struct lab_frame *f, const struct bpf_aux *aux)
{
	return bpf_prog_run(prog->insns, prog->n, f->data, f->len, f->len, aux);
}

/* --- the kernel --- */

struct lab_kernel { int fds[2]; };

static inline struct lab_kernel
lab_kernel_open(void)
{
	struct lab_kernel k;

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, k.fds), 0);
	return k;
}

static inline void
lab_kernel_close(const struct lab_kernel *k)
{
	close(k->fds[0]);
	close(k->fds[1]);
}

/* Does the kernel take the program? */
static inline bool
lab_kernel_attach(const struct lab_kernel *k, const struct bpf_insn_raw *insns, size_t n)
{
	static struct sock_filter code[BPF_PROG_MAX];
	struct sock_fprog fprog = { (unsigned short)n, code };

	memcpy(code, insns, n * sizeof(code[0]));
	return setsockopt(k->fds[1], SOL_SOCKET, SO_ATTACH_FILTER, &fprog, sizeof(fprog)) == 0;
}

/* How many bytes of data the attached program keeps. */
static inline uint32_t
lab_kernel_run(const struct lab_kernel *k, const uint8_t *data, size_t len)
{
	static uint8_t buf[65536];
	ssize_t got;

	assert_int_equal(send(k->fds[0], data, len, 0), len);
	got = recv(k->fds[1], buf, sizeof(buf), 0);
	return got < 0 ? 0 : (uint32_t)got;
}

/* --- numbers --- */

static inline uint32_t
lab_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (uint32_t)(*state >> 16);
}

/* --- programs --- */

/* Every operation. */
static const uint16_t lab_codes[] UNUSED = {
	0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x80, 0x00, 0x60, 0x81, 0xb1, 0x01, 0x61, 0x02,
	0x03, 0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3c, 0x94, 0x9c, 0x54, 0x5c, 0x44,
	0x4c, 0xa4, 0xac, 0x64, 0x6c, 0x74, 0x7c, 0x84, 0x05, 0x15, 0x1d, 0x35, 0x3d, 0x25,
	0x2d, 0x45, 0x4d, 0x06, 0x16, 0x07, 0x87,
};

/* Loads of all kinds around the header's end, arithmetic, some jumps, some on the Ethernet type. */
static inline void
lab_random_program(uint64_t *seed, uint32_t around, struct bpf_prog *ret_prog)
{
	static const uint16_t codes[] = {
		BPF_LD | BPF_W | BPF_ABS, BPF_LD | BPF_H | BPF_ABS, BPF_LD | BPF_B | BPF_ABS,
		BPF_LD | BPF_W | BPF_IND, BPF_LD | BPF_H | BPF_IND, BPF_LD | BPF_B | BPF_IND,
		BPF_LDX | BPF_B | BPF_MSH, BPF_LD | BPF_LEN, BPF_LDX | BPF_LEN, BPF_LDX | BPF_IMM,
		BPF_ST, BPF_STX, BPF_ALU | BPF_ADD | BPF_X, BPF_ALU | BPF_SUB | BPF_K,
		BPF_ALU | BPF_AND | BPF_K, BPF_ALU | BPF_XOR | BPF_X, BPF_ALU | BPF_MUL | BPF_X,
		BPF_ALU | BPF_RSH | BPF_X, BPF_ALU | BPF_LSH | BPF_X,
		BPF_ALU | BPF_RSH | BPF_K, BPF_ALU | BPF_MOD | BPF_K, BPF_MISC | BPF_TAX,
		BPF_MISC | BPF_TXA, BPF_LD | BPF_MEM, BPF_LDX | BPF_MEM,
		BPF_JMP | BPF_JGT | BPF_K, BPF_JMP | BPF_JSET | BPF_X, BPF_JMP | BPF_JA,
	};
	static const uint32_t types[] = { 0x800, 0x8100, 0x86dd, 0x88a8, 0x9100, 1500 };
	uint32_t n = 6 + lab_random(seed) % 20;

	for (uint32_t i = 0; i < n; i++) {
		struct bpf_insn_raw *insn = &ret_prog->insns[i];
		uint32_t left = n - i;

		*insn = (struct bpf_insn_raw){ .code = codes[lab_random(seed) % ARRAY_LEN(codes)],
		    .k = lab_random(seed) % around };
		if (BPF_CLASS(insn->code) == BPF_ST || BPF_CLASS(insn->code) == BPF_STX ||
		    BPF_MODE(insn->code) == BPF_MEM)
			insn->k %= 4;
		else if (BPF_CLASS(insn->code) == BPF_ALU)
			insn->k = 1 + insn->k % 31;
		if (BPF_CLASS(insn->code) == BPF_JMP)
			insn->k %= insn->code == (BPF_JMP | BPF_JA) ? left : 64;
		insn->jt = (uint8_t)(lab_random(seed) % left);
		insn->jf = (uint8_t)(lab_random(seed) % left);
		if (lab_random(seed) % 8 == 0)
			*insn = (struct bpf_insn_raw){ .code = BPF_LD | BPF_H | BPF_ABS, .k = 12 };
		else if (BPF_CLASS(insn->code) == BPF_JMP && insn->code != (BPF_JMP | BPF_JA) &&
		    lab_random(seed) % 2 == 0)
			*insn = (struct bpf_insn_raw){ .code = (uint16_t)(BPF_JMP | BPF_K |
			    (lab_random(seed) % 2 == 0 ? BPF_JEQ : BPF_JGE)), .jt = insn->jt,
			    .jf = insn->jf, .k = types[lab_random(seed) % ARRAY_LEN(types)] };
		/* Offsets that wrap, or that are negative. */
		if (BPF_MODE(insn->code) == BPF_IND && lab_random(seed) % 8 == 0)
			insn->k = 0 - insn->k;
	}
	ret_prog->insns[n] = (struct bpf_insn_raw){ .code = BPF_RET | BPF_A };
	ret_prog->n = n + 1;
}

/* All sixteen scratch words are written before body, and from word first on read behind it. */
static inline struct bpf_prog
lab_crowd(const struct bpf_insn_raw *body, size_t n, uint32_t first)
{
	struct bpf_prog prog = { .n = 0 };

	for (uint32_t i = 0; i < BPF_MEMWORDS; i++)
		prog.insns[prog.n++] = (struct bpf_insn_raw){ .code = BPF_ST, .k = i };
	memcpy(&prog.insns[prog.n], body, n * sizeof(body[0]));
	prog.n += (uint32_t)n;
	for (uint32_t i = first; i < BPF_MEMWORDS; i++) {
		prog.insns[prog.n++] = (struct bpf_insn_raw){ .code = BPF_LDX | BPF_MEM, .k = i };
		prog.insns[prog.n++] = (struct bpf_insn_raw){ .code = BPF_ALU | BPF_ADD | BPF_X, .k = 0 };
	}
	prog.insns[prog.n++] = (struct bpf_insn_raw){ .code = BPF_RET | BPF_A, .k = 0 };
	assert_int_equal(bpf_prog_check(prog.insns, prog.n, NULL), E_OK);
	return prog;
}

#endif /* TESTS_UNIT_BPF_LAB_H */
