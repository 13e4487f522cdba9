"""Random filter expressions of libpcap's language, over values.py.

Each has the names of what it is made of; of several candidates the one is
taken that splits the frames at hand, for a filter that takes all or nothing
tests little.
"""
from collections import namedtuple

import offline
import values

# made_of: names out of CONSTRUCTS; has_tags: wants the file's answer without
# --exact-filter; filter: its verdict on the bytes of a file.
Expr = namedtuple("Expr", "text made_of has_tags filter")

DEPTH = 3
TRIES = 10

# Of instructions.  The kernel takes 4096, in which a filter that is exact about
# tags is there twice, or chooses at each load (common/bpf_link.h); measured, the
# parts of the agent left out:
#
#                                     two copies fit to    one that chooses to
#   nets, hosts, ports, any list                   4000                   4000
#   the same behind "vlan"                         2480                   4080
#   hosts with ports, behind "vlan"                1160                   1160
#
# Beyond that the agent judges the tagged frames.
LONGEST = 4000
LONG = 1500


def one_of(*words):
    return lambda r: r.choice(words)


def directed(r, qualifiers=("", "", "src ", "dst ", "src or dst ", "src and dst ")):
    return r.choice(qualifiers)


def host(r):
    return r.choice(("", "", "ip ", "arp ")) + directed(r) + "host " + r.choice(values.HOSTS4)


def host6(r):
    return r.choice(("", "ip6 ")) + directed(r) + "host " + r.choice(values.HOSTS6)


def net(r):
    return r.choice(("", "ip ")) + directed(r) + "net " + r.choice(values.NETS4)


def net6(r):
    return directed(r) + "net " + r.choice(values.NETS6)


def transport(r):
    return r.choice(("", "", "tcp ", "udp ", "sctp "))


def port(r):
    return transport(r) + directed(r) + f"port {r.choice(values.PORTS)}"


def portrange(r):
    low, high = sorted((r.choice(values.PORTS), r.choice(values.PORTS)))
    return transport(r) + directed(r) + f"portrange {low}-{high}"


def ether_host(r):
    return r.choice(("ether host ", "ether src ", "ether dst ")) + r.choice(values.MACS)


def vlan_id(r):
    return f"vlan {r.choice(values.VLANS)}"


def mpls_label(r):
    return f"mpls {r.choice(values.LABELS)}"


def pppoe_session(r):
    return f"pppoes {r.choice(values.SESSIONS)}"


def relation(r):
    return r.choice(("=", "!=", "<", ">", "<=", ">="))


def byte_test(r):
    layer, offsets = r.choice((
        ("ip", (0, 1, 2, 6, 8, 9, 12, 16, 20, 24)), ("ip6", (0, 4, 6, 7, 8, 24, 40, 42)),
        ("arp", (6, 7, 14)), ("udp", (0, 2, 4, 8)), ("tcp", (0, 2, 12, 13, 20)),
        ("icmp", (0, 1, 4)), ("sctp", (0, 2)), ("ether", (0, 5, 6, 10))))
    offset = r.choice(offsets)
    size = r.choice((1, 1, 2, 4)) if layer != "ether" else r.choice((1, 2))
    access = f"{layer}[{offset}]" if size == 1 else f"{layer}[{offset}:{size}]"
    if r.random() < 0.4:
        access += f" & {r.choice((1, 2, 0x0F, 0xF0, 0xF, 0x1FFF))}"
    value = r.choice((0, 1, 4, 5, 6, 17, 53, 64, 80, r.randrange(256), r.getrandbits(8 * size)))
    return f"{access} {relation(r)} {value}"


def tcp_flags(r):
    flag = r.choice(("tcp-syn", "tcp-ack", "tcp-fin", "tcp-push", "(tcp-syn|tcp-ack)"))
    return f"tcp[tcpflags] & {flag} {r.choice(('!= 0', '= 0'))}"


def tag_bytes(r):
    """Loads that reach the bytes at which a tag would be."""
    access, found = r.choice((
        ("ether[12:2]", ("0x8100", "0x88a8", "0x0800", "0x86dd")),
        ("ether[14:2] & 0xfff", ("0", "1", "5", "100")),
        ("ether[12]", ("0x81", "0x88", "8")), ("ether[13]", ("0", "0xa8", "0xdd")),
        ("ether[14]", ("0", "0x45", "0x60", "0xe0")), ("ether[15]", ("0", "1", "5", "100")),
        ("ether[16:2]", ("0x0800", "0x8100", "0x88a8")), ("ether[17]", ("0", "0x40")),
        ("ether[12:4]", ("0x81000064", "0x81000001", "0x88a80005")),
        ("ether[10:4]", ("0x00018100", "0x00020800")), ("ether[11:2]", ("0x0181", "0x0108")),
        ("ether[13:2]", ("0", "0x45")), ("ether[15:2]", ("0x0108", "0x0581")),
        ("ether[14:4]", ("0x00010800", "0x00050800")), ("ether[18:2]", ("100", "0x4500")),
        ("ether[ether[12] & 15 + 8:2]", ("0x8100", "0x0800", "1")),
        ("ether[ether[5]+11]", ("8", "0x81", "0")),
        ("ether[ether[14] & 15:4]", ("1", "0x0800")),
        ("ether[ether[5] - 2:4]", ("0x02000000", "0xffffff02")),
        ("ether[ip[2:2] - 40]", ("8", "1", "0x45")), ("ether[ip[8] - 4:2]", ("0x0800", "0")),
        ("link[12:2]", ("0x8100", "0x0800"))))
    return f"{access} {relation(r)} {r.choice(found)}"


def ether_proto_tag(r):
    return "ether proto " + r.choice(("0x8100", "0x88a8", "0x9100"))


def ether_proto(r):
    return "ether proto " + r.choice(("0x0800", "0x86dd", "0x0806", "0x8847", "0x8864", "\\ip",
                                      "\\arp", "\\ip6", "\\stp", "\\iso"))


def length(r):
    size = r.choice((14, 18, 42, 46, 50, 54, 58, 60, 64, 78, 100, 1514, r.randint(14, 300)))
    return r.choice((f"greater {size}", f"less {size}", f"len {relation(r)} {size}"))


def arithmetic(r):
    """What the compiler turns into X, scratch memory and indirect loads."""
    small, wide = r.choice(values.TTLS), r.choice(values.PORTS)
    return r.choice((
        f"(ip[2:2] - ((ip[0] & 0xf) << 2)) {relation(r)} {r.choice((8, 20, 28, 40))}",
        f"tcp[((tcp[12] & 0xf0) >> 2)] {relation(r)} {r.randrange(256)}",
        f"ip[ip[8] & 31] {relation(r)} {small}",
        f"ip[8] * 4 + ip[1] {relation(r)} {small * 4}",
        f"ip[9] % 3 = {r.randrange(3)}",
        f"len - ip[2:2] {relation(r)} {r.choice((14, 18, 20))}",
        f"len - 14 {relation(r)} {r.choice((46, 60, 100))}",
        f"(ip[8] ^ ip[9]) & 7 {relation(r)} {r.randrange(8)}",
        f"ip[12:4] {relation(r)} ip[16:4]",
        f"udp[0:2] {relation(r)} udp[2:2]",
        f"ip6[4:2] + 40 {relation(r)} len - 14",
        f"ip[2:2] / (ip[8] & 3) {relation(r)} {r.choice((0, 20, 40))}",
        f"tcp[0:2] / 2 {relation(r)} {wide // 2}",
        f"(ip[1] << 4 | ip[8] >> 2) {relation(r)} {r.choice((0, 16, 63, 256))}"))


def shift(r):
    """By what the frame holds, also by 32 and more, which leaves nothing."""
    amount = r.choice(("ip[8]", "(ip[8] & 63)", "tcp[13]", "udp[1]", "ip6[7]", "ether[5]"))
    return r.choice((
        f"1 << {amount} {relation(r)} {r.choice((0, 1, 2, 16))}",
        f"ip[2:2] >> {amount} {relation(r)} {r.choice((0, 1, 2, 20))}",
        f"len << {amount} {relation(r)} {r.choice((0, 60, 480))}"))


def below_zero(r):
    """Offsets that may wrap around below 0."""
    return r.choice((
        f"ip[ip[8] - {r.choice((1, 5, 64))}] {relation(r)} {r.randrange(256)}",
        f"tcp[tcp[12] - 100:2] {relation(r)} {r.choice(values.PORTS)}",
        f"udp[4:2] - udp[udp[1] - 4] {relation(r)} 8"))


def many_ports(r):
    """Jumps farther than the 255 instructions that one can skip."""
    names = r.sample(range(1, 65536), r.choice((20, 40, 60))) + r.sample(values.PORTS, 2)
    r.shuffle(names)
    word = r.choice(("port", "tcp port", "src port"))
    return "(" + " or ".join(f"{word} {name}" for name in names) + ")"


def many_hosts(r):
    names = [f"10.3.{r.randrange(256)}.{r.randrange(256)}" for _ in range(r.choice((30, 60, 90)))]
    names += r.sample(values.HOSTS4, 2)
    r.shuffle(names)
    return "(" + " or ".join(f"host {name}" for name in names) + ")"


def long_list(r):
    """Programs of LONG instructions and more."""
    kind = r.choice(("nets", "hosts", "ports of hosts"))
    if kind == "nets":
        made = [f"net 10.{r.randrange(256)}.{r.randrange(256)}.0/24"
                for _ in range(r.choice((100, 140, 200)))] + ["net 10.1.0.0/16"]
    elif kind == "hosts":
        made = [f"host 2001:db8::{r.randrange(16, 65536):x}"
                for _ in range(r.choice((90, 140, 200)))] + [host6(r), host(r)]
    else:
        made = [f"(host 10.3.{r.randrange(256)}.{r.randrange(256)} and "
                f"{r.choice(('tcp', 'udp'))} port {r.randrange(1, 65536)})"
                for _ in range(r.choice((110, 150, 200)))] + [f"host {r.choice(values.HOSTS4)}"]
    r.shuffle(made)
    return "(" + " or ".join(made) + ")"


def long_behind_vlan(r):
    return f"(vlan and {long_list(r)})"


def ip_proto(r):
    return r.choice(("ip proto ", "ip6 proto ", "proto ")) + \
        str(r.choice((1, 2, 6, 17, 44, 47, 50, 58, 132)))


def interface(r):
    return f"ifindex {r.randrange(1, 12)}"


def cooked_bytes(r):
    access, found = r.choice((
        ("link[0:2]", ("0x0800", "0x86dd", "0x0806")), ("link[0]", ("8", "0x86", "0x88")),
        ("link[1]", ("0", "6", "0xdd")), ("link[2:2]", ("0", "1")), ("link[4:4]", ("1", "7", "9")),
        ("link[7]", ("1", "7", "9")), ("link[8:2]", ("512", "1", "65534")), ("link[9]", ("0", "1")),
        ("link[10]", ("0", "1", "3", "4")), ("link[3:4]", ("0", "7")), ("link[1:4]", ("0", "0xdd000000")),
        ("link[9:2]", ("0", "4")), ("link[20]", ("0x45", "0x60")), ("link[19 + (ip[0] & 1)]", ("0", "69")),
        ("link[ip[8] & 7]", ("0", "8", "7"))))
    return f"{access} {relation(r)} {r.choice(found)}"


def cooked_address(r):
    access = r.choice(("link[11]", "link[12:4]", "link[10:2]", "link[16:4]", "link[18:4] & 0xff"))
    return f"{access} {relation(r)} {r.choice((0, 1, 4, 0x0400, 0x45))}"


def to_many(r):
    return r.choice(("ip broadcast", "ip multicast", "ip6 multicast", "ether broadcast",
                     "ether multicast", "broadcast", "multicast"))


PROTOCOLS = ("ip", "ip", "ip6", "arp", "rarp", "tcp", "tcp", "udp", "udp", "icmp", "icmp6",
             "sctp", "igmp", "ip6 and udp", "tcp and ip6", "ah", "esp", "pim", "vrrp")
ICMP = ("icmp[icmptype] = icmp-echo", "icmp[icmptype] != icmp-echoreply", "icmp[icmpcode] = 0",
        "icmp6[icmp6type] = icmp6-echo", "icmp6[0] = 135")
LLC = ("stp", "iso", "llc", "ipx", "netbeui", "atalk", "llc u", "decnet", "aarp")
PPPOE = ("pppoes", "pppoed")

TERMS = {
    "protocol": one_of(*PROTOCOLS),
    "protocol number": ip_proto,
    "host": host, "IPv6 host": host6, "net": net, "IPv6 net": net6,
    "port": port, "port range": portrange,
    "Ethernet address": ether_host, "Ethernet type": ether_proto,
    "broadcast, multicast": to_many,
    "byte test": byte_test, "TCP flags": tcp_flags, "ICMP type": one_of(*ICMP),
    "arithmetic": arithmetic, "shift": shift, "offset below 0": below_zero,
    "many ports": many_ports, "many hosts": many_hosts, "very long list": long_list,
    "len, greater, less": length,
    "LLC": one_of(*LLC),
    "MPLS": one_of("mpls"), "MPLS label": mpls_label,
    "PPPoE": one_of(*PPPOE), "PPPoE session": pppoe_session,
    "Geneve": one_of("geneve", "geneve 16", "geneve 100"),
}
# These ask for the file's answer by being there.
TAG_TERMS = {
    "vlan": one_of("vlan"), "vlan with id": vlan_id, "bytes of the tag": tag_bytes,
    "Ethernet type of a tag": ether_proto_tag, "very long list behind vlan": long_behind_vlan,
}
# The bytes of a file do not tell: only a live filter can be asked.
LIVE_TERMS = {"direction": one_of("inbound", "outbound")}
# Without an Ethernet header.
IP_TERMS = {name: make for name, make in TERMS.items() if not name.startswith((
    "Ethernet", "LLC", "MPLS", "PPPoE"))}
# With Linux's cooked header.  The kernel does not know the address in it.
COOKED_TERMS = {
    **IP_TERMS, "direction": one_of("inbound", "outbound"), "Ethernet type": ether_proto,
    "interface": interface, "bytes of the cooked header": cooked_bytes,
    "address in the cooked header": cooked_address,
}
SLOW = ("many ports", "many hosts")
VERY_SLOW = ("very long list", "very long list behind vlan")
SHAPES = ("and", "or", "not", "three levels", "behind a tag or label")
CONSTRUCTS = (*TERMS, *TAG_TERMS, *SHAPES)
LIVE_CONSTRUCTS = (*TERMS, *LIVE_TERMS, *SHAPES)
PREFIXES = ("vlan", "vlan with id", "MPLS", "MPLS label", "PPPoE", "PPPoE session")
BARE_SHAPES = SHAPES[:-1]


class Writer:
    """One expression; made_of grows with what is put in."""

    def __init__(self, rng, terms):
        self.rng, self.terms = rng, terms
        self.made_of = set()

    def term(self, name=None):
        # What compiles slowly only where it is asked for.
        name = name or self.rng.choice([name for name in self.terms
                                        if name not in SLOW + VERY_SLOW])
        self.made_of.add(name)
        return self.terms[name](self.rng)

    def prefixed(self, depth):
        """What follows a tag or a label is looked for behind it."""
        self.made_of.update(("behind a tag or label", "and"))
        names = [name for name in PREFIXES if name in self.terms]
        prefix = self.term(self.rng.choice(names))
        if prefix.startswith("vlan") and self.rng.random() < 0.3:
            prefix += " and " + self.term(self.rng.choice(names))
        return f"{prefix} and ({self.tree(depth - 1)})"

    def tree(self, depth):
        if depth == 0 or self.rng.random() < 0.3:
            return self.term()
        shape = self.rng.choice(("and", "or", "or", "not", "prefix"))
        if shape == "prefix" and not self.terms.keys().isdisjoint(PREFIXES):
            return self.prefixed(depth)
        shape = shape if shape != "prefix" else "or"
        self.made_of.add(shape)
        if depth == 1:
            self.made_of.add("three levels")
        first = self.tree(depth - 1)
        if shape == "not":
            return f"not ({first})"
        second = self.tree(depth - 1)
        # Without parentheses both bind alike, from the left.
        if self.rng.random() < 0.25:
            return f"{first} {shape} {second}"
        return f"({first}) {shape} ({second})"

    def write(self, must):
        """An expression in which the construct must occurs."""
        if must in self.terms:
            term = self.term(must)
            shape = self.rng.choice(("alone", "and", "or", "not", "left"))
            if shape == "alone":
                return term
            self.made_of.add(shape if shape != "left" else "or")
            if shape == "not":
                return f"not {term} or {self.tree(1)}" if self.rng.random() < 0.3 else \
                    f"not {term}"
            other = self.tree(DEPTH - 1)
            return f"({other}) or ({term})" if shape == "left" else f"({term}) {shape} ({other})"
        if must == "behind a tag or label":
            return self.prefixed(DEPTH)
        return self.tree(DEPTH)


def candidate(rng, terms, must):
    writer = Writer(rng, terms)
    while True:
        text = writer.write(must)
        if must in writer.made_of:
            return text, frozenset(writer.made_of)
        writer = Writer(rng, terms)


def choose(rng, must, terms, sample, link=offline.ETHERNET):
    """
    An expression with the construct must that libpcap compiles and that
    splits the frames of sample, if ten tries find one.
    """
    best, best_share = None, -1
    tries = 0
    # A second or more to compile: take the first.
    most = 1 if must in VERY_SLOW else TRIES
    while tries < most or best is None:
        text, made_of = candidate(rng, terms, must)
        try:
            compiled = offline.Filter(text, link)
        except offline.Refused:
            continue
        if compiled.reads_unwritten() or compiled.size > LONGEST or \
                must in VERY_SLOW and compiled.size < LONG:
            continue
        tries += 1
        matched = sum(compiled.matches(data) for data in sample)
        share = min(matched, len(sample) - matched) / len(sample)
        if share > best_share:
            has_tags = any(name in made_of for name in TAG_TERMS)
            best, best_share = Expr(text, made_of, has_tags, compiled), share
        if share >= 0.15:
            break
    return best
