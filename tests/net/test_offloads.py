"""Packets larger than any wire carries: what the stack hands around is what the file has."""
import contextlib
import random
import socket
import struct
import threading
from collections import namedtuple

import pytest

import capfile
import devices
import frames
import witness
from lab import eventually
from test_fidelity import differences

MIB = 1 << 20
IPV4, IPV6, TCP, HOP_BY_HOP = 0x0800, 0x86DD, 6, 0

Segment = namedtuple("Segment", "sequence payload_len payload")


def segment(packet, port):
    """What a packet carries to a TCP port, by its original length; else None."""
    data = packet.data
    ethertype = struct.unpack_from(">H", data, 12)[0]
    if ethertype == IPV4:
        upper, at = data[23], 14 + 4 * (data[14] & 15)
    elif ethertype == IPV6:
        upper, at = data[20], 54
        if upper == HOP_BY_HOP:  # the length of a jumbogram
            upper, at = data[at], at + 8 * (1 + data[at + 1])
    if ethertype not in (IPV4, IPV6) or upper != TCP or \
            struct.unpack_from(">H", data, at + 2)[0] != port:
        return None
    sequence = struct.unpack_from(">I", data, at + 4)[0]
    if data[at + 13] & 0x02:
        sequence += 1  # the SYN
    start = at + 4 * (data[at + 12] >> 4)
    return Segment(sequence & 0xFFFFFFFF, packet.orig_len - start, data[start:])


def lay_out(packets, port):
    """Where each payload lies in the stream: (offset, length, bytes)."""
    found = [s for s in (segment(p, port) for p in packets) if s is not None]
    first = found[0].sequence
    return [((s.sequence - first) & 0xFFFFFFFF, s.payload_len, s.payload) for s in found
            if s.payload_len > 0]


def transfer(net, address, content):
    """content over TCP to the host that has the address; the port."""
    ends = {"::1": (net.sensor, net.sensor), "10.8.0.1": (net.gen, net.sensor),
            "fd00:8::1": (net.gen, net.sensor)}.get(address, (net.sensor, net.gen))
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with net.socket(ends[0], family, socket.SOCK_STREAM) as listener, \
            net.socket(ends[1], family, socket.SOCK_STREAM) as sender:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * MIB)
        listener.bind((address, 0))
        listener.listen()
        port = listener.getsockname()[1]
        got = bytearray()

        def receive():
            with listener.accept()[0] as accepted:
                while piece := accepted.recv(MIB):
                    got.extend(piece)

        receiver = threading.Thread(target=receive)
        receiver.start()
        sender.connect((address, port))
        sender.sendall(content)
        sender.shutdown(socket.SHUT_WR)
        receiver.join(20)
        assert bytes(got) == content
        return port


@contextlib.contextmanager
def addressed_line(net, largest=None):
    """A line with addresses of both families; larger packets than 64 KiB where asked."""
    with devices.line(net, mtu=1500):
        for ns, name, last in ((net.gen, "far1", 1), (net.sensor, "near1", 2)):
            net.sysctl(ns, f"net.ipv6.conf.{name}.disable_ipv6", 0)
            net.ip(ns, "addr", "add", f"10.8.0.{last}/24", "dev", name)
            net.ip(ns, "addr", "add", f"fd00:8::{last}/64", "dev", name, "nodad")
            if largest is not None:
                net.ip(ns, "link", "set", name, "gso_max_size", str(largest), "gro_max_size",
                       str(largest))
        eventually(lambda: net.link(net.sensor, "near1")["operstate"] == "UP", 10, "near1")
        yield "near1"


@contextlib.contextmanager
def wide_loopback(net, largest):
    """Loopback with larger packets than its MTU."""
    sizes = {name: str(net.link(net.sensor, "lo")[name]) for name in
             ("gso_max_size", "gro_max_size")}
    net.ip(net.sensor, "link", "set", "lo", *(w for name in sizes for w in (name, str(largest))))
    try:
        yield "lo"
    finally:
        net.ip(net.sensor, "link", "set", "lo", *(w for pair in sizes.items() for w in pair))


# The line, gso_max_size, the receiver (2: the sensor), what the largest packet exceeds.
KINDS = {
    "TSO over IPv4": (addressed_line, None, "10.8.0.2", 60000),
    "TSO over IPv6": (addressed_line, None, "fd00:8::2", 60000),
    "TSO, sent": (addressed_line, None, "10.8.0.1", 60000),
    "BIG TCP, sent": (addressed_line, 200000, "fd00:8::1", 100000),
    "BIG TCP": (addressed_line, 200000, "fd00:8::2", 100000),
    "BIG TCP beyond the largest snapshot": (addressed_line, 400000, "fd00:8::2", 262200),
    "BIG TCP on loopback": (wide_loopback, 200000, "::1", 140000),
}


@pytest.mark.parametrize("snaplen", [262144, 96])
@pytest.mark.parametrize("kind", KINDS)
def test_every_byte_of_a_connection_is_in_the_lengths(lab, agent, kind, snaplen):
    """
    Without a filter: "tcp" does not match a jumbogram, whose IPv6 header names
    the hop-by-hop options first.  That is pcap-filter(7)'s answer on a file too.
    """
    make_line, largest, address, exceeds = KINDS[kind]
    content = random.Random(kind).randbytes(16 * MIB)
    path = lab.file("a.pcapng")
    with make_line(lab.net, largest) as iface, contextlib.closing(
            witness.Witness(lab.net, lab.net.sensor, iface)) as plain:
        client = lab.capture("-i", iface, "-s", snaplen, "-w", path)
        port = transfer(lab.net, address, content)
        assert client.interrupt() == 0
        got = [p for p in capfile.read(path).packets if segment(p, port)]
        seen = []
        while len(seen) < len(got):
            seen += [s for s in plain.read(1) if segment(s, port)]
    assert client.counts()["dropped"] == 0
    # What two processors bring at once two sockets may have in either order.
    assert differences(sorted((0, p.orig_len, p.data) for p in got),
                       sorted((0, s.orig_len, s.data[:snaplen]) for s in seen)) == ""
    # What a socket of this machine sends carries its time of departure where
    # the time of arrival would be (Linux 5.18 and later): each reader then
    # stamps for itself, tcpdump beside us too.
    assert abs(sum(p.ts_ns for p in got) - sum(s.ts_ns for s in seen)) / len(got) < 10**7
    laid = lay_out(got, port)
    assert max(p.orig_len for p in got) > exceeds
    # Each byte at its place; a segment that was sent again is there again.
    at = 0
    for offset, length, payload in sorted(laid, key=lambda s: s[0]):
        assert offset <= at, f"{at} to {offset} is in no packet"
        assert content[offset:offset + len(payload)] == payload[:length]
        at = max(at, offset + length)
    assert at == len(content)


@pytest.mark.parametrize("address", ["10.8.0.2", "10.8.0.1"], ids=["received", "sent"])
def test_unfinished_checksums_and_segmentation_are_marked(lab, agent, address):
    """In the packet block's flags, as the kernel told a plain socket too."""
    path = lab.file("a.pcapng")
    with addressed_line(lab.net), contextlib.closing(
            witness.Witness(lab.net, lab.net.sensor, "near1")) as plain:
        client = lab.capture("-i", "near1", "-w", path)
        port = transfer(lab.net, address, bytes(MIB))
        assert client.interrupt() == 0
        got = [p for p in capfile.read(path).packets if segment(p, port)]
        seen = []
        while len(seen) < len(got):
            seen += [s for s in plain.read(1) if segment(s, port)]
    # Bits 9, 10 and 11 of epb_flags; two sockets may see two packets in either order.
    marks = sorted((p.data, p.flags >> 9 & 7) for p in got)
    assert marks == sorted((s.data, flags_of(s.status)) for s in seen)
    assert {mark for _, mark in marks} >= {1, 5}


def flags_of(status):
    """pcapng's: checksum not ready, checksum verified, to be segmented."""
    return (status >> 3 & 1) | (status >> 7 & 1) << 1 | (status >> 8 & 1) << 2


def test_frames_of_every_size_are_whole(lab, agent):
    """From the shortest that the kernel sends to jumbo, each with its own size."""
    sizes = [*range(14, 130), *range(1500, 1530), 2048, 4096, 8191, 8999, 9000, 9014]
    filler = random.Random(4).randbytes(9014)
    sent = [frames.DST + frames.SRC + b"\x88\xb5" + filler[:size - 14] for size in sizes]
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "cap0", "-s", "0", "-w", path)
    lab.sender().send(*sent)
    assert client.interrupt() == 0
    got = capfile.read(path).packets
    assert [p.data for p in got] == sent
    assert [p.orig_len for p in got] == sizes


@pytest.mark.parametrize("snaplen", [0, 96])
def test_the_largest_datagrams_of_loopback_are_whole(lab, agent, snaplen):
    payloads = [bytes((i,)) * 65507 for i in range(20)]
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "lo", "-s", snaplen, "-w", path, "udp")
    with devices.loopback(lab.net) as device:
        device.send(payloads)
    assert client.interrupt() == 0
    got = capfile.read(path).packets
    assert [p.orig_len for p in got] == [42 + 65507] * 20
    keep = snaplen or 262144
    assert [p.data[42:] for p in got] == [payload[:keep - 42] for payload in payloads]
