"""Frames to send: mixed, reproducible, each unlike every other."""
import random
import struct
from collections import namedtuple

# data: as on the wire; kind: "udp4" ...; tags: VLAN ids, outermost first.
Frame = namedtuple("Frame", "data kind tags")

KINDS = ("udp4", "udp4", "tcp4", "tcp4", "icmp4", "udp6", "tcp6", "arp")
TAGS = ((), (), (), (), (100,), (200,), (0,), (300, 100))

DST = bytes.fromhex("020000000002")
SRC = bytes.fromhex("020000000001")
LARGEST, SMALLEST = 9000, 60


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def ipv4(proto, payload, src="192.0.2.1", dst="192.0.2.2"):
    def pack(a):
        return bytes(map(int, a.split(".")))
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0x4000, 64, proto, 0)
    head += pack(src) + pack(dst)
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def ipv6(proto, payload):
    net = bytes.fromhex("20010db8") + bytes(11)
    return struct.pack(">IHBB", 6 << 28, len(payload), proto, 64) + \
        net + b"\x01" + net + b"\x02" + payload


def udp(payload, sport=12345, dport=9):
    return struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload


def tcp(payload, sport=12345, dport=80):
    return struct.pack(">HHIIBBHHH", sport, dport, 1, 1, 0x50, 0x18, 8192, 0, 0) + payload


def ethernet(ethertype, payload, tags=()):
    head = DST + SRC
    for i, tag in enumerate(tags):
        inner = i == len(tags) - 1
        head += struct.pack(">HH", 0x8100 if inner else 0x88A8, 0x6000 | tag)
    return head + struct.pack(">H", ethertype) + payload


def make(kind, size, tags, filler):
    """One frame of exactly size bytes, tags included."""
    room = size - 14 - 4 * len(tags)
    if kind == "arp":
        body = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1) + SRC + bytes((192, 0, 2, 1)) + \
            bytes(6) + bytes((192, 0, 2, 2))
        return ethernet(0x0806, body + filler[:room - len(body)], tags)
    if kind.endswith("6"):
        overhead = 40 + (20 if kind == "tcp6" else 8)
        if room < overhead:
            kind = kind[:-1] + "4"
        else:
            body = filler[:room - overhead]
            body = ipv6(6, tcp(body)) if kind == "tcp6" else ipv6(17, udp(body))
            return ethernet(0x86DD, body, tags)
    if kind == "tcp4":
        payload = ipv4(6, tcp(filler[:room - 40]))
    elif kind == "udp4":
        payload = ipv4(17, udp(filler[:room - 28]))
    else:
        icmp = struct.pack(">BBHHH", 8, 0, 0, 1, 1) + filler[:room - 28]
        payload = ipv4(1, icmp)
    return ethernet(0x0800, payload, tags)


def kind_of(data, tags):
    """The kind as a reader sees it: small IPv6 became IPv4."""
    at = 12 + 4 * len(tags)
    ethertype = struct.unpack_from(">H", data, at)[0]
    if ethertype == 0x0806:
        return "arp"
    if ethertype == 0x86DD:
        return {6: "tcp6", 17: "udp6"}[data[at + 8]]
    return {1: "icmp4", 6: "tcp4", 17: "udp4"}[data[at + 11]]


def mixed(count, seed=1):
    rng = random.Random(seed)
    frames = []
    for i in range(count):
        kind, tags = rng.choice(KINDS), rng.choice(TAGS)
        size = rng.choice((SMALLEST, LARGEST, rng.randint(60, 128), rng.randint(60, 1514),
                           rng.randint(60, 1514), rng.randint(1515, LARGEST)))
        if kind == "arp":
            size = SMALLEST
        least = 14 + 4 * len(tags) + 40
        size = max(size, least)
        filler = struct.pack(">I", i) + rng.randbytes(size)
        data = make(kind, size, tags, filler)
        assert len(data) == size
        frames.append(Frame(data, kind_of(data, tags), tags))
    return frames


def numbered(count, size=100, dport=9):
    """Plain UDP frames that carry their number: bytes 42 to 50."""
    return [ethernet(0x0800, ipv4(17, udp(struct.pack(">Q", i).ljust(size - 42, b"."),
                                          dport=dport))) for i in range(count)]


def number_of(data):
    return struct.unpack_from(">Q", data, 42)[0]
