"""Exact readers of pcap and pcapng: nothing is rounded, repaired or skipped.

Small on purpose: they accept what the programs under test and tcpdump write
and raise Broken for everything else, also for a file that ends in the middle
of a record.
"""
import struct
from collections import namedtuple

# ts_ns: since the epoch; iface: number of the interface block; flags and
# drops: of the packet block, None where the format has none; several comments
# are joined by newlines.
Packet = namedtuple("Packet", "ts_ns data orig_len iface flags drops comment")

Interface = namedtuple("Interface", "link_type snaplen options")


class Broken(Exception):
    """Not a complete file of this format."""


class Capture:
    """One file: packets in the order of the file, interfaces, statistics."""

    def __init__(self, kind):
        self.kind = kind
        self.packets = []
        self.interfaces = []
        self.stats = []  # (interface, options)

    def records(self):
        """What two captures of the same line must have in common."""
        return [(p.ts_ns, p.orig_len, p.data) for p in self.packets]


def read(path):
    with open(path, "rb") as f:
        return parse(f.read())


def parse(blob):
    if len(blob) < 24:
        raise Broken(f"only {len(blob)} bytes")
    magic = struct.unpack_from("<I", blob)[0]
    if magic == 0x0A0D0D0A:
        return _parse_pcapng(blob)
    if magic in (0xA1B23C4D, 0xA1B2C3D4):
        return _parse_pcap(blob, 1 if magic == 0xA1B23C4D else 1000)
    raise Broken(f"magic {magic:#x}")


def _parse_pcap(blob, unit_ns):
    cap = Capture("pcap")
    major, minor, _, _, snaplen, link_type = struct.unpack_from("<HHiIII", blob, 4)
    if (major, minor) != (2, 4):
        raise Broken(f"version {major}.{minor}")
    cap.interfaces.append(Interface(link_type, snaplen, {}))
    cap.unit_ns = unit_ns
    at = 24
    while at < len(blob):
        if len(blob) - at < 16:
            raise Broken("record header cut short")
        sec, frac, cap_len, orig_len = struct.unpack_from("<IIII", blob, at)
        at += 16
        if len(blob) - at < cap_len:
            raise Broken("record cut short")
        cap.packets.append(Packet(sec * 10**9 + frac * unit_ns, blob[at:at + cap_len],
                                  orig_len, 0, None, None, None))
        at += cap_len
    return cap


def options(body):
    found, at = {}, 0
    while at < len(body):
        if len(body) - at < 4:
            raise Broken("option header cut short")
        code, size = struct.unpack_from("<HH", body, at)
        at += 4
        if code == 0:
            break
        if len(body) - at < size:
            raise Broken("option cut short")
        value = body[at:at + size]
        # The only option that may come more than once and of which all count here.
        found[code] = found[code] + b"\n" + value if code == 1 and code in found else value
        at += (size + 3) & ~3
    return found


def blocks(blob, may_be_cut=False):
    """Each block of a pcapng file as (kind, at, size); the last may be there in part."""
    at = 0
    while at < len(blob):
        left = len(blob) - at
        if may_be_cut and left < 12:
            return
        if left < 12:
            raise Broken("block header cut short")
        kind, size = struct.unpack_from("<II", blob, at)
        if size < 12 or size % 4:
            raise Broken(f"block of {size} bytes")
        if may_be_cut and left < size:
            return
        if left < size:
            raise Broken(f"block of {size} bytes with {left} left")
        if struct.unpack_from("<I", blob, at + size - 4)[0] != size:
            raise Broken("block lengths differ")
        yield kind, at, size
        at += size


def _parse_pcapng(blob):
    cap = Capture("pcapng")
    for kind, at, size in blocks(blob):
        _block(cap, kind, blob[at + 8:at + size - 4], size)
    return cap


def _block(cap, kind, body, size):
    if kind == 0x0A0D0D0A:
        order, major = struct.unpack_from("<IH", body)
        if order != 0x1A2B3C4D or major != 1:
            raise Broken("section header")
        if size > 2048:
            raise Broken("section header is longer than Wireshark's pipe takes")
        cap.section = options(body[16:])
    elif kind == 1:
        link_type, _, snaplen = struct.unpack_from("<HHI", body)
        cap.interfaces.append(Interface(link_type, snaplen, options(body[8:])))
    elif kind == 5:
        iface = struct.unpack_from("<I", body)[0]
        cap.stats.append((iface, options(body[12:])))
    elif kind == 6:
        iface, high, low, cap_len, orig_len = struct.unpack_from("<IIIII", body)
        if iface >= len(cap.interfaces):
            raise Broken(f"packet of unknown interface {iface}")
        if cap.interfaces[iface].options.get(9) != b"\x09":
            raise Broken("not in nanoseconds")
        padded = (cap_len + 3) & ~3
        if len(body) - 20 < padded:
            raise Broken("packet longer than its block")
        opts = options(body[20 + padded:])
        flags = struct.unpack("<I", opts[2])[0] if 2 in opts else None
        drops = struct.unpack("<Q", opts[4])[0] if 4 in opts else None
        cap.packets.append(Packet(high << 32 | low, body[20:20 + cap_len], orig_len,
                                  iface, flags, drops, opts.get(1)))
    else:
        raise Broken(f"block type {kind:#x}")
