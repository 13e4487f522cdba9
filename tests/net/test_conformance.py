"""
The same traffic beside tcpdump, dumpcap and a plain packet socket, on every
kind of interface and link type: packets, order, lengths, nanoseconds.

Where the answer differs on purpose, the case says how:

* What has no usable link header is SLL2 here, in libpcap SLL unless it is
  asked otherwise.  SLL2 has all that SLL has, and the interface's number.
* On loopback each packet is there once, as received; so it is in libpcap.
"""
import contextlib
import random
from collections import namedtuple

import pytest

import capfile
import devices
import frames
import witness
from lab import Proc
from test_fidelity import differences
from witness import ETHERNET, RAW_IP, SLL, SLL2

COUNT = 300

# make(net): the device; packets(): what is sent; link_type: of our file;
# theirs: of libpcap's.
Case = namedtuple("Case", "name make packets link_type theirs")


def ethernet(smallest=60):
    return lambda: [f.data for f in frames.mixed(COUNT) if len(f.data) >= smallest]


def payloads():
    rng = random.Random(2)
    return [rng.randbytes(rng.choice((0, 1, rng.randint(2, 2000), 65507))) for _ in range(COUNT)]


def noise(head=b""):
    """Packets of any content behind a header."""
    def make():
        rng = random.Random(3)
        return [head + rng.randbytes(rng.choice((1, 20, rng.randint(1, 1500), 8000)))
                for _ in range(COUNT)]
    return make


def tun_of(arphrd, protocol=0x0800):
    return lambda net: devices.tun(net, arphrd, protocol)


def same(name, make, packets, link_type):
    return Case(name, make, packets, link_type, link_type)


def cooked(name, arphrd, packets=None, protocol=0x0800):
    """No link header that libpcap or we know."""
    return Case(name, tun_of(arphrd, protocol),
                packets or (lambda: devices.ip_packets(COUNT)), SLL2, SLL)


CASES = [
    same("veth", devices.veth, ethernet(), ETHERNET),
    same("veth outgoing", devices.veth_outgoing, ethernet(), ETHERNET),
    same("loopback", devices.loopback, payloads, ETHERNET),
    same("tap", devices.tap, ethernet(), ETHERNET),
    same("bridge", devices.bridge, ethernet(), ETHERNET),
    same("macvlan", devices.macvlan, ethernet(), ETHERNET),
    same("vxlan", devices.vxlan, ethernet(), ETHERNET),
    same("ifb", devices.ifb, ethernet(), ETHERNET),
    same("tun", tun_of(None), lambda: devices.ip_packets(COUNT), RAW_IP),
    cooked("PPP", 512),
    cooked("GRE", 778),
    cooked("IP6GRE", 823),
    cooked("IPv6 tunnel", 769),
    same("802.11", tun_of(801, 4), noise(b"\x08\x00"), 105),
    same("802.11 with Prism", tun_of(802, 4), noise(b"\0\0\0\x44\0\0\0\x90"), 119),
    same("802.11 with radiotap", tun_of(803, 4), noise(b"\0\0\x08\0\0\0\0\0"), 127),
    same("Cisco HDLC", tun_of(513), noise(b"\x0f\0\x08\0"), 104),
    same("Frame Relay", tun_of(770), noise(b"\x18\x41\x03\xcc"), 107),
    same("FDDI", tun_of(774), noise(b"\x50"), 10),
    same("802.15.4", tun_of(804), noise(b"\x41\x88"), 230),
    same("vsock", tun_of(826), noise(), 271),
    same("Fibre Channel", tun_of(784), noise(), 224),
]


def dumpcap(lab, path, iface, count):
    proc = Proc(lab, "dumpcap", ["dumpcap", "-q", "-i", iface, "-w", path, "-c", str(count),
                                 "-B", "64"], ns=lab.net.sensor)
    proc.err.wait(r"^File: ")
    return proc


def as_theirs(record, case):
    """Our record in the link type of libpcap's file."""
    if case.link_type == case.theirs:
        return record
    ts_ns, orig_len, data = record
    return (ts_ns, orig_len - 4, witness.sll_of_sll2(data))


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_three_programs_and_a_plain_socket_see_the_same(lab, agent, case):
    packets = case.packets()
    count = len(packets)
    with case.make(lab.net) as device, contextlib.closing(
            witness.Witness(lab.net, lab.net.sensor, device.name,
                            case.link_type in witness.COOKED)) as plain:
        others = [lab.tcpdump(lab.file("tcpdump"), "-c", str(count), iface=device.name),
                  dumpcap(lab, lab.file("dumpcap"), device.name, count)]
        client = lab.capture("-i", device.name, "-w", lab.file("ours.pcapng"))
        device.send(packets)
        assert [other.wait(20) for other in others] == [0, 0]
        assert client.interrupt() == 0
        seen = plain.read(count)
    ours = capfile.read(lab.file("ours.pcapng"))
    assert [iface.link_type for iface in ours.interfaces] == [case.link_type]
    assert client.counts() == {"captured": count, "received": count, "dropped": 0}
    expected = [witness.record(s, case.link_type, plain.ifindex) for s in seen]
    assert differences(ours.records(), expected) == ""
    assert [p.flags & 3 for p in ours.packets] == [2 if s.type == 4 else 1 for s in seen]
    for name in ("tcpdump", "dumpcap"):
        theirs = capfile.read(lab.file(name))
        assert theirs.interfaces[0].link_type == case.theirs, name
        assert differences([as_theirs(r, case) for r in ours.records()], theirs.records()) == "", \
            name
