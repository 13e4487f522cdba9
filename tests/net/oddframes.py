"""Random frames as a hostile or merely rich line has them, for filter tests.

Each has the names of what it is made of, so that a run can say what it has
covered.  Addresses, ports and tags are of values.py.
"""
import ipaddress
import struct
from collections import namedtuple

import frames
import values

# data: as on the wire; made_of: names out of CONSTRUCTS.
Odd = namedtuple("Odd", "data made_of")

# The same without a link header, which was of this Ethernet type.
Bare = namedtuple("Bare", "type data made_of")

TYPE_8021Q, TYPE_8021AD = 0x8100, 0x88A8
SMALLEST = 14       # the kernel sends nothing shorter on Ethernet

CONSTRUCTS = ("untagged", "tagged once", "tagged twice", "802.1Q", "802.1ad", "priority tag",
              "IPv4", "IPv4 options", "first fragment", "later fragment", "IPv6",
              "IPv6 extension headers", "IPv6 fragment", "TCP", "UDP", "ICMP", "ICMPv6", "SCTP",
              "ARP", "MPLS", "PPPoE session", "PPPoE discovery", "LLC", "Geneve",
              "shorter than 60", "padded to 60", "longer than 1514", "truncated", "garbage",
              "wrong lengths")
# Those of frames without a link header.
BARE_CONSTRUCTS = tuple(name for name in CONSTRUCTS if name not in (
    "untagged", "tagged once", "tagged twice", "802.1Q", "802.1ad", "priority tag", "LLC"))


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def is_tag(ethertype):
    return ethertype in (TYPE_8021Q, TYPE_8021AD)


class Maker:
    """One frame; made_of grows with what is put in."""

    def __init__(self, rng, smallest=SMALLEST):
        self.rng, self.smallest = rng, smallest
        self.made_of = set()

    def chance(self, share):
        return self.rng.random() < share

    def note(self, name):
        self.made_of.add(name)

    # --- above IP ---

    def payload(self):
        size = self.rng.choice((0, 1, 4, 8, 20, 40, self.rng.randint(0, 200)))
        return self.rng.randbytes(size)

    def ports(self):
        return (self.rng.choice(values.PORTS), self.rng.choice(values.PORTS))

    def tcp(self):
        self.note("TCP")
        options = self.rng.randbytes(4 * self.rng.choice((0, 0, 1, 3, 10)))
        words = 5 + len(options) // 4
        if self.chance(0.05):
            self.note("wrong lengths")
            words = self.rng.randrange(16)
        flags = self.rng.choice((0x02, 0x12, 0x10, 0x18, 0x11, 0x04, self.rng.randrange(256)))
        return struct.pack(">HHIIBBHHH", *self.ports(), self.rng.getrandbits(32),
                           self.rng.getrandbits(32), words << 4, flags, 8192, 0, 0) + \
            options + self.payload()

    def udp(self):
        self.note("UDP")
        if self.chance(0.1):
            return self.geneve()
        return frames.udp(self.payload(), *self.ports())

    def geneve(self):
        self.note("Geneve")
        options = self.rng.randbytes(4 * self.rng.choice((0, 1, 2)))
        head = struct.pack(">BBHI", len(options) // 4, 0, 0x6558,
                           self.rng.choice(values.LABELS) << 8)
        inner = mac(values.MACS[0]) + mac(values.MACS[1]) + b"\x08\x00" + \
            self.ipv4(depth=1)
        return frames.udp(head + options + inner, self.rng.choice(values.PORTS), 6081)

    def sctp(self):
        self.note("SCTP")
        return struct.pack(">HHII", *self.ports(), 1, 0) + self.payload()

    def icmp(self):
        self.note("ICMP")
        return struct.pack(">BBHHH", self.rng.choice((0, 3, 8, 11)), self.rng.randrange(4), 0,
                           1, 1) + self.payload()

    def icmp6(self):
        self.note("ICMPv6")
        return struct.pack(">BBHHH", self.rng.choice((1, 128, 129, 135)), 0, 0, 1, 1) + \
            self.payload()

    # --- IP ---

    def ipv4(self, depth=0):
        self.note("IPv4")
        upper = [(6, self.tcp), (17, self.udp if depth == 0 else self.sctp), (1, self.icmp),
                 (132, self.sctp), (2, self.payload), (47, self.payload)]
        proto, make = self.rng.choices(upper, (35, 35, 12, 8, 5, 5))[0]
        options = b""
        if self.chance(0.2):
            self.note("IPv4 options")
            options = bytes((1,)) * (4 * self.rng.choice((1, 2, 5, 10)))
        words = 5 + len(options) // 4
        fragment = 0
        if self.chance(0.12):
            self.note("first fragment")
            fragment = 0x2000
        elif self.chance(0.12):
            self.note("later fragment")
            fragment = self.rng.choice((0x2000, 0)) | self.rng.choice((1, 64, 185, 8191))
        elif self.chance(0.5):
            fragment = 0x4000
        body = options + make()
        total = 20 + len(body)
        if self.chance(0.05):
            self.note("wrong lengths")
            words, total = self.rng.randrange(16), self.rng.choice((0, 20, 65535))
        head = struct.pack(">BBHHHBBH", 0x40 | words, self.rng.choice((0, 0x10, 0xB8)), total,
                           self.rng.getrandbits(16), fragment, self.rng.choice(values.TTLS),
                           proto, 0)
        for _ in range(2):
            head += ipaddress.IPv4Address(self.rng.choice(values.HOSTS4)).packed
        return head[:10] + struct.pack(">H", frames.checksum(head)) + head[12:] + body

    def ipv6(self):
        self.note("IPv6")
        upper = ((6, self.tcp), (17, self.udp), (58, self.icmp6), (132, self.sctp),
                 (59, self.payload))
        proto, make = self.rng.choices(upper, (35, 35, 15, 8, 7))[0]
        body = make()
        for _ in range(self.rng.choice((0, 0, 0, 1, 1, 2))):
            kind = self.rng.choice((0, 43, 60, 44, 51))
            if kind == 44:
                self.note("IPv6 fragment")
                where = self.rng.choice((0x0001, 0x0008, 0x0100))
                head = struct.pack(">BBHI", proto, 0, where, self.rng.getrandbits(32))
            elif kind == 51:
                head = struct.pack(">BBHII", proto, 1, 0, 1, 1)
            else:
                head = struct.pack(">BB", proto, 0) + self.rng.randbytes(6)
            self.note("IPv6 extension headers")
            body, proto = head + body, kind
        head = struct.pack(">IHBB", 6 << 28 | self.rng.choice((0, 0x0B800000, 0x12345)),
                           len(body) & 0xFFFF, proto, self.rng.choice(values.TTLS))
        for _ in range(2):
            head += ipaddress.IPv6Address(self.rng.choice(values.HOSTS6)).packed
        return head + body

    # --- below IP ---

    def ip(self):
        if self.chance(0.7):
            return 0x0800, self.ipv4()
        return 0x86DD, self.ipv6()

    def arp(self):
        self.note("ARP")
        senders = [ipaddress.IPv4Address(self.rng.choice(values.HOSTS4)).packed
                   for _ in range(2)]
        body = struct.pack(">HHBBH", 1, 0x0800, 6, 4, self.rng.choice((1, 2))) + \
            mac(self.rng.choice(values.MACS)) + senders[0] + bytes(6) + senders[1]
        return self.rng.choice((0x0806, 0x0806, 0x0806, 0x8035)), body

    def mpls(self):
        self.note("MPLS")
        depth = self.rng.choice((1, 1, 2, 3))
        body = self.ip()[1]
        for i in range(depth):
            label = self.rng.choice(values.LABELS) << 12 | (0x100 if i == 0 else 0) | 64
            body = struct.pack(">I", label) + body
        return self.rng.choice((0x8847, 0x8847, 0x8848)), body

    def pppoe(self):
        if self.chance(0.2):
            self.note("PPPoE discovery")
            return 0x8863, struct.pack(">BBHH", 0x11, self.rng.choice((9, 7, 0x19)), 0, 0) + \
                self.payload()
        self.note("PPPoE session")
        ethertype, body = self.ip()
        ppp = 0x0021 if ethertype == 0x0800 else 0x0057
        return 0x8864, struct.pack(">BBHHH", 0x11, 0, self.rng.choice(values.SESSIONS),
                                   (len(body) + 2) & 0xFFFF, ppp) + body

    def llc(self):
        """An 802.3 frame: a length where the type would be."""
        self.note("LLC")
        body = self.rng.choice((b"\x42\x42\x03", b"\xaa\xaa\x03\x00\x00\x00\x08\x00",
                                b"\xe0\xe0\x03", b"\xfe\xfe\x03\x83")) + self.payload()
        return len(body), body

    def garbage(self):
        self.note("garbage")
        ethertype = self.rng.choice((0x0800, 0x86DD, 0x0806, 0x8847, 0x8864, 0x0000, 0xFFFF,
                                     0x9100, self.rng.getrandbits(16)))
        # Tags are put in where they are counted.
        if is_tag(ethertype):
            ethertype = 0xFFFF
        return ethertype, self.rng.randbytes(self.rng.randint(0, 120))

    def tags(self):
        count = self.rng.choices((0, 1, 2), (45, 38, 17))[0]
        self.note(("untagged", "tagged once", "tagged twice")[count])
        made = b""
        for _ in range(count):
            ethertype = self.rng.choice((TYPE_8021Q, TYPE_8021Q, TYPE_8021AD))
            vid = self.rng.choice(values.VLANS)
            self.note("802.1Q" if ethertype == TYPE_8021Q else "802.1ad")
            if vid == 0:
                self.note("priority tag")
            # A tag of 0 in all its bits is a tag too.
            priority = self.rng.choice((0, 0, 1, 7)) << 13 | self.rng.choice((0, 0x1000))
            made += struct.pack(">HH", ethertype, priority | vid)
        return made

    def cut(self, data):
        choice = self.rng.random()
        if choice < 0.1:
            self.note("truncated")
            data = data[:self.rng.randint(self.smallest, len(data))]
        elif choice < 0.13:
            # In the middle of the headers.
            self.note("truncated")
            data = data[:self.rng.randint(self.smallest, min(len(data), 42))]
        elif choice < 0.18:
            self.note("longer than 1514")
            data += self.rng.randbytes(self.rng.randint(1515, 3000))
        elif choice < 0.6 and len(data) < 60:
            self.note("padded to 60")
            data = data.ljust(60, b"\0")
        if len(data) < 60:
            self.note("shorter than 60")
        return data

    def frame(self):
        kinds = (self.ip, self.arp, self.mpls, self.pppoe, self.llc, self.garbage)
        head = mac(self.rng.choice(values.MACS)) + mac(self.rng.choice(values.MACS[:3]))
        ethertype, body = self.rng.choices(kinds, (62, 8, 10, 10, 5, 5))[0]()
        data = head + self.tags() + struct.pack(">H", ethertype) + body
        return Odd(self.cut(data), frozenset(self.made_of))

    def bare(self):
        kinds = (self.ip, self.arp, self.mpls, self.pppoe, self.garbage)
        ethertype, body = self.rng.choices(kinds, (66, 8, 8, 12, 6))[0]()
        # Sent as 0 or ETH_P_ALL, the kernel guesses the type.
        if ethertype in (0, 3):
            ethertype = 0xFFFF
        return Bare(ethertype, self.cut(body or b"\0"), frozenset(self.made_of))


def unlike(make_one, count):
    """So many, each unlike every other."""
    seen, made = set(), []
    while len(made) < count:
        one = make_one()
        if one.data not in seen:
            seen.add(one.data)
            made.append(one)
    return made


def make(rng, count):
    return unlike(lambda: Maker(rng).frame(), count)


def make_bare(rng, count):
    """Without a link header: what a tun device takes."""
    return unlike(lambda: Maker(rng, 1).bare(), count)
