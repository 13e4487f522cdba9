#include "server/prologue_own.h"

#include <assert.h>
#include <linux/filter.h>
#include <netinet/in.h>

#include "common/bpf_asm.h"
#include "common/bpf_link.h"
#include "common/bytes.h"
#include "common/link_type.h"

enum {
	ETHERNET_LEN = 14,
	TAG_LEN = 4,
	IPV4_LEN = 20,
	IPV6_LEN = 40,
	TCP_LEN = 20,
};

#define LOAD(size, at)		BPF_LD | (size) | BPF_ABS, (at)
#define ANCILLARY(x)		BPF_LD | BPF_W | BPF_ABS, (uint32_t)SKF_AD_OFF + (x)
#define IF_EQUAL(k)		BPF_JMP | BPF_JEQ | BPF_K, (k)
#define IF_AT_LEAST(k)		BPF_JMP | BPF_JGE | BPF_K, (k)

/*
 * Reads at plain offsets, found by the Ethernet type, and not relative to
 * the network header (SKF_NET_OFF): in Linux 6.1 such loads see only the
 * linear part of a packet, and with drivers that leave the headers in
 * fragments every packet would be rejected, because a load that fails ends
 * the program.  For the same reason no load may come before it is known that
 * the packet is long enough.  Plain loads are also compiled in line.
 */
struct own_part {
	struct bpf_asm	*a;
	const struct own_traffic *own;
	uint16_t	 accept, reject;
};

static bool
is_for(const struct own_endpoint *e, int family)
{
	return e->family == family || e->family == AF_UNSPEC;
}

static bool
has_family(const struct own_traffic *own, int family)
{
	for (uint32_t i = 0; i < own->n; i++)
		if (is_for(&own->endpoints[i], family))
			return true;
	return false;
}

/* Does an earlier endpoint of this family have the same port? */
static bool
is_port_repeated(const struct own_traffic *own, int family, uint32_t at)
{
	for (uint32_t i = 0; i < at; i++)
		if (is_for(&own->endpoints[i], family) &&
		    own->endpoints[i].port == own->endpoints[at].port)
			return true;
	return false;
}

static uint32_t
word_of(const struct own_part *p, unsigned i, uint32_t word)
{
	return get_be32(p->own->endpoints[i].addr + 4 * word);
}

/* Those of a set of endpoints (bits) whose address has the same word as the first one's. */
static uint64_t
take_group(const struct own_part *p, uint64_t set, uint32_t word)
{
	uint32_t value = word_of(p, (unsigned)__builtin_ctzll(set), word);
	uint64_t group = 0;

	for (unsigned i = 0; i < p->own->n; i++)
		if ((set >> i & 1) != 0 && word_of(p, i, word) == value)
			group |= 1ULL << i;
	return group;
}

/*
 * Reject if the address at offset is that of an endpoint in the set, else go
 * to other.  Each word is loaded once for all addresses that agree so far,
 * because loads are what makes a program large in the kernel, whose memory
 * for it is little (net.core.optmem_max: 20 KiB in Linux 6.1).
 */
static void
emit_addresses(const struct own_part *p, uint64_t set, uint32_t offset, uint32_t word,
    uint16_t other)
{
	const struct own_endpoint *any = &p->own->endpoints[__builtin_ctzll(set)];
	bool is_last = word + 1 == (any->family == AF_INET ? 1 : 4);
	uint16_t more = bpf_asm_labels(p->a, (size_t)__builtin_popcountll(set));
	uint16_t label = more;
	uint64_t group;

	bpf_asm_insn(p->a, LOAD(BPF_W, offset + 4 * word));
	for (uint64_t rest = set; rest != 0; rest &= ~group) {
		group = take_group(p, rest, word);
		bpf_asm_if(p->a, IF_EQUAL(word_of(p, (unsigned)__builtin_ctzll(group), word)),
		    is_last ? p->reject : label++);
	}
	bpf_asm_jump(p->a, other);
	if (is_last)
		return;
	label = more;
	for (uint64_t rest = set; rest != 0; rest &= ~group) {
		group = take_group(p, rest, word);
		bpf_asm_bind(p->a, label++);
		emit_addresses(p, group, offset, word + 1, other);
	}
}

/* The endpoints of this family and port, as bits. */
static uint64_t
endpoints_at(const struct own_traffic *own, int family, uint16_t port)
{
	uint64_t set = 0;

	static_assert(OWN_TRAFFIC_MAX <= 64, "a set is one word");
	for (uint32_t i = 0; i < own->n; i++)
		if (own->endpoints[i].family == family && own->endpoints[i].port == port)
			set |= 1ULL << i;
	return set;
}

/* A is one side's port, offset its address; what is not ours goes to other. */
static void
emit_side(const struct own_part *p, int family, uint32_t offset, uint16_t other)
{
	const struct own_traffic *own = p->own;
	uint16_t found = bpf_asm_labels(p->a, own->n);

	for (uint32_t i = 0; i < own->n; i++) {
		const struct own_endpoint *e = &own->endpoints[i];

		if (is_for(e, family) && !is_port_repeated(own, family, i))
			bpf_asm_if(p->a, IF_EQUAL(e->port),
			    e->family == AF_UNSPEC ? p->reject : (uint16_t)(found + i));
	}
	bpf_asm_jump(p->a, other);
	for (uint32_t i = 0; i < own->n; i++) {
		if (own->endpoints[i].family != family || is_port_repeated(own, family, i))
			continue;
		bpf_asm_bind(p->a, (uint16_t)(found + i));
		emit_addresses(p, endpoints_at(own, family, own->endpoints[i].port), offset, 0,
		    other);
	}
}

/* A is both ports as one word. */
static void
emit_sides(const struct own_part *p, int family, uint32_t src, uint32_t dst)
{
	uint16_t is_dst = bpf_asm_labels(p->a, 1);

	bpf_asm_insn(p->a, BPF_MISC | BPF_TAX, 0);
	bpf_asm_insn(p->a, BPF_ALU | BPF_RSH | BPF_K, 16);
	emit_side(p, family, src, is_dst);
	bpf_asm_bind(p->a, is_dst);
	bpf_asm_insn(p->a, BPF_MISC | BPF_TXA, 0);
	bpf_asm_insn(p->a, BPF_ALU | BPF_AND | BPF_K, 0xffff);
	emit_side(p, family, dst, p->accept);
}

/*
 * An IPv4 packet at ip.  Its header without options is known to be there;
 * what follows is, when the length says so.  Fragments but the first have no
 * ports.
 */
static void
emit_ipv4(const struct own_part *p, uint32_t ip)
{
	bpf_asm_insn(p->a, LOAD(BPF_B, ip + 9));
	bpf_asm_unless(p->a, IF_EQUAL(IPPROTO_TCP), p->accept);
	bpf_asm_insn(p->a, LOAD(BPF_H, ip + 6));
	bpf_asm_if(p->a, BPF_JMP | BPF_JSET | BPF_K, 0x1fff, p->accept);
	bpf_asm_insn(p->a, BPF_LDX | BPF_B | BPF_MSH, ip);
	bpf_asm_insn(p->a, BPF_LD | BPF_LEN, 0);
	bpf_asm_insn(p->a, BPF_ALU | BPF_SUB | BPF_K, ip + 4);
	bpf_asm_unless(p->a, BPF_JMP | BPF_JGE | BPF_X, 0, p->accept);
	bpf_asm_insn(p->a, BPF_LD | BPF_W | BPF_IND, ip);
	emit_sides(p, AF_INET, ip + 12, ip + 16);
}

static void
emit_ipv6(const struct own_part *p, uint32_t ip)
{
	bpf_asm_insn(p->a, LOAD(BPF_B, ip + 6));
	bpf_asm_unless(p->a, IF_EQUAL(IPPROTO_TCP), p->accept);
	bpf_asm_insn(p->a, BPF_LD | BPF_LEN, 0);
	bpf_asm_unless(p->a, IF_AT_LEAST(ip + IPV6_LEN + TCP_LEN), p->accept);
	bpf_asm_insn(p->a, LOAD(BPF_W, ip + IPV6_LEN));
	emit_sides(p, AF_INET6, ip + 8, ip + 24);
}

/*
 * A tells the protocol, by the two numbers given; a packet of a family in
 * which we have an endpoint is judged, everything else goes to other.
 */
static void
emit_families(const struct own_part *p, uint32_t ipv4, uint32_t ipv6, uint32_t ip,
    uint16_t other)
{
	bool has_ipv4 = has_family(p->own, AF_INET), has_ipv6 = has_family(p->own, AF_INET6);
	uint16_t is_ipv4 = bpf_asm_labels(p->a, 2), is_ipv6 = (uint16_t)(is_ipv4 + 1);

	if (has_ipv4)
		bpf_asm_if(p->a, IF_EQUAL(ipv4), is_ipv4);
	if (has_ipv6)
		bpf_asm_if(p->a, IF_EQUAL(ipv6), is_ipv6);
	bpf_asm_jump(p->a, other);
	if (has_ipv4) {
		bpf_asm_bind(p->a, is_ipv4);
		emit_ipv4(p, ip);
	}
	if (has_ipv6) {
		bpf_asm_bind(p->a, is_ipv6);
		emit_ipv6(p, ip);
	}
}

/*
 * One tag is looked through: what is sent with a tag in line, and what came
 * with two, of which the kernel has taken the outer.
 */
static void
emit_ethernet(const struct own_part *p)
{
	uint16_t is_other = bpf_asm_labels(p->a, 2), is_tagged = (uint16_t)(is_other + 1);

	bpf_asm_insn(p->a, BPF_LD | BPF_LEN, 0);
	bpf_asm_unless(p->a, IF_AT_LEAST(ETHERNET_LEN + IPV4_LEN + TCP_LEN), p->accept);
	bpf_asm_insn(p->a, LOAD(BPF_H, ETHERNET_LEN - 2));
	emit_families(p, 0x0800, 0x86dd, ETHERNET_LEN, is_other);
	bpf_asm_bind(p->a, is_other);
	bpf_asm_if(p->a, IF_EQUAL(0x8100), is_tagged);
	bpf_asm_unless(p->a, IF_EQUAL(0x88a8), p->accept);
	bpf_asm_bind(p->a, is_tagged);
	bpf_asm_insn(p->a, LOAD(BPF_H, ETHERNET_LEN + TAG_LEN - 2));
	emit_families(p, 0x0800, 0x86dd, ETHERNET_LEN + TAG_LEN, p->accept);
}

/*
 * The packet begins at the network header.  Its version tells more than its
 * protocol, which is the tag's for what is sent with a tag in line.
 */
static void
emit_ip(const struct own_part *p)
{
	bpf_asm_insn(p->a, BPF_LD | BPF_LEN, 0);
	bpf_asm_unless(p->a, IF_AT_LEAST(IPV4_LEN + TCP_LEN), p->accept);
	bpf_asm_insn(p->a, LOAD(BPF_B, 0));
	bpf_asm_insn(p->a, BPF_ALU | BPF_RSH | BPF_K, 4);
	emit_families(p, 4, 6, 0, p->accept);
}

int
prologue_own_append(struct bpf_prog *prog, uint32_t link_type, uint32_t mark,
    const struct own_traffic *own)
{
	struct bpf_asm a;
	struct bpf_prog part;
	struct own_part p = { .a = &a, .own = own };
	int code;

	if (mark == 0 && own->n == 0)
		return E_OK;
	bpf_asm_init(&a);
	p.accept = bpf_asm_labels(&a, 2);
	p.reject = (uint16_t)(p.accept + 1);
	if (mark != 0) {
		bpf_asm_insn(&a, ANCILLARY(SKF_AD_MARK));
		bpf_asm_if(&a, IF_EQUAL(mark), p.reject);
	}
	if (own->n > 0 && link_type_is_ethernet(link_type))
		emit_ethernet(&p);
	else if (own->n > 0 && (link_type == LINK_RAW_IP || link_type == LINK_SLL2))
		emit_ip(&p);
	bpf_asm_bind(&a, p.accept);
	bpf_asm_insn(&a, BPF_RET | BPF_K, UINT32_MAX);
	bpf_asm_bind(&a, p.reject);
	bpf_asm_insn(&a, BPF_RET | BPF_K, 0);
	code = bpf_asm_finish(&a, &part);
	if (code != E_OK)
		return code;
	return bpf_link_append(prog, part.insns, part.n);
}
