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
import socket
import struct
from collections import namedtuple

import pytest

import capfile
import devices
import frames
import offline
import witness
from lab import Proc, eventually
from test_fidelity import differences
from witness import ETHERNET, RAW_IP, SLL, SLL2

COUNT = 300

# make(net): the device; packets(): what is sent; link_type: of our file;
# theirs: of libpcap's; words: options of ours, their_words: of both others.
Case = namedtuple("Case", "name make packets link_type theirs words their_words",
                  defaults=((), ()))


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


def chosen(name, make, packets, link_type, choice):
    return Case(name, make, packets, link_type, link_type, ("-y", choice), ("-y", choice))


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
    # Chosen: what libpcap has by default, and what it offers as well.
    same("CAN", tun_of(280, 0x0C), noise(b"\x01\x02\x03\x84\x08\0\0\0"), 227),
    same("CAN FD", tun_of(280, 0x0D), noise(b"\x01\x02\x03\x84\x40\0\0\0"), 227),
    # With a header that libpcap makes: that of SLL, under names of their own.
    same("netlink", tun_of(824, 0x10), noise(), 253),
    same("IrDA", tun_of(783, 0x17), noise(), 144),
    Case("PPP as SLL", tun_of(512), lambda: devices.ip_packets(COUNT), SLL, SLL,
         ("-y", "LINUX_SLL")),
    chosen("veth as DOCSIS", devices.veth, ethernet(), 143, "DOCSIS"),
    chosen("Fibre Channel as IP", tun_of(784), noise(), 122, "IP_OVER_FC"),
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


def dumpcap(lab, path, iface, *words):
    proc = Proc(lab, "dumpcap", ["dumpcap", "-q", "-i", iface, "-w", path, "-B", "64", *words],
                ns=lab.net.sensor)
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
    words = ("-c", str(count), *case.their_words)
    with case.make(lab.net) as device, contextlib.closing(
            witness.Witness(lab.net, lab.net.sensor, device.name,
                            case.link_type in witness.COOKED)) as plain:
        others = [lab.tcpdump(lab.file("tcpdump"), *words, iface=device.name),
                  dumpcap(lab, lab.file("dumpcap"), device.name, *words)]
        client = lab.capture("-i", device.name, *case.words, "-w", lab.file("ours.pcapng"))
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


def as_sll2(packet, ifindex):
    """Time, interface and payload of a received frame, as libpcap's SLL2 has them."""
    at = 12 + (4 if packet.data[12:14] in (b"\x81\x00", b"\x88\xa8") else 0)
    return (packet.ts_ns, ifindex, packet.data[at + 2:])


def packets_of_sll2(path, ifindexes):
    """What is in the file so far of these interfaces."""
    with open(path, "rb") as f:
        blob = f.read()
    try:
        packets = capfile.parse(blob).packets
    except capfile.Broken:
        return []
    found = [(p.ts_ns, struct.unpack_from(">I", p.data, 4)[0], p.data[20:]) for p in packets]
    return [record for record in found if record[1] in ifindexes]


def test_any_has_what_tcpdump_has_of_any_and_headers_and_tags_too(lab, agent):
    """
    tcpdump's one cooked socket loses link headers and tags.  Here each interface
    has a socket and a block of its own, and nothing is lost; what is common to
    both is equal.  (Not the type in SLL2 of a frame with two tags: since Linux
    6.10 it is that of the innermost payload, which does not follow.)
    """
    path, theirs = lab.file("ours.pcapng"), lab.file("tcpdump")
    sent = [[f.data for f in frames.mixed(COUNT, seed=seed)] for seed in (5, 6)]
    with devices.veth(lab.net) as device:
        lab.tcpdump(theirs, "-U", iface="any")
        client = lab.capture("-i", "any", "-w", path)
        lab.sender().send_paced(sent[0], 2000)
        device.send(sent[1])
        names = {name: lab.net.link(lab.net.sensor, name)["ifindex"] for name in ("cap0", "near1")}
        assert client.interrupt() == 0
        eventually(lambda: len(packets_of_sll2(theirs, names.values())) == 2 * COUNT, 10,
                   "tcpdump's packets")
    ours = capfile.read(path)
    of = {iface: names.get(options[2].decode().split(":")[-1])
          for iface, (_, _, options) in enumerate(ours.interfaces)}
    for name, frames_sent in zip(names, sent):
        assert [p.data for p in ours.packets if of[p.iface] == names[name]] == frames_sent
    expected = [as_sll2(p, of[p.iface]) for p in ours.packets if of[p.iface] is not None]
    assert sorted(expected) == sorted(packets_of_sll2(theirs, names.values()))


@pytest.mark.parametrize("choice,link_type", [("LINUX_SLL", SLL), ("LINUX_SLL2", SLL2)])
def test_a_cooked_capture_of_ethernet_has_no_tags_and_vlan_is_refused(lab, agent, choice,
                                                                      link_type):
    """
    libpcap does not offer the choice; its any puts tags into SLL, not into SLL2.
    Here neither has them, and no filter can ask for them.
    """
    sent = [f.data for f in frames.mixed(COUNT, seed=7)]
    refused = lab.client("-i", "cap0", "-y", choice, "-w", lab.file("b.pcapng"), "vlan")
    assert refused.wait() == 6
    assert "no VLAN support" in refused.err.text()
    with contextlib.closing(witness.Witness(lab.net, lab.net.sensor, "cap0", True)) as plain:
        client = lab.capture("-i", "cap0", "-y", choice, "-w", lab.file("a.pcapng"))
        lab.sender().send_paced(sent, 2000)
        assert client.interrupt() == 0
        expected = [witness.record(s, link_type, plain.ifindex) for s in plain.read(COUNT)]
    assert differences(capfile.read(lab.file("a.pcapng")).records(), expected) == ""


def test_outgoing_can_frames_are_left_to_their_echo(lab, agent):
    """CAN drivers loop back what is sent: as on loopback, each frame would be there twice."""
    frame = struct.pack("=IB3x8s", 0x123, 8, b"incoming")
    with devices.tun(lab.net, 280, 0x0C) as device:
        theirs = lab.tcpdump(lab.file("tcpdump"), "-c", "2", iface=device.name)
        client = lab.capture("-i", device.name, "-w", lab.file("ours.pcapng"))
        sender = lab.net.socket(lab.net.sensor, socket.AF_PACKET, socket.SOCK_RAW, 0)
        with sender:
            sender.bind((device.name, 0x0C))
            device.send([frame])
            sender.send(frame.replace(b"incoming", b"outgoing"))
            device.send([frame])
        assert theirs.wait() == 0
        assert client.interrupt() == 0
    ours = capfile.read(lab.file("ours.pcapng"))
    assert [p.data[8:] for p in ours.packets] == [b"incoming"] * 2
    assert ours.records() == capfile.read(lab.file("tcpdump")).records()
    assert client.counts() == {"captured": 2, "received": 2, "dropped": 0}


def wlan():
    """Management, data and control frames."""
    return [bytes((kind, 0)) + bytes(60) for kind in (0x08, 0x80, 0x40, 0x88, 0xB4)]


def can():
    return [struct.pack("=IB3x8s", number, 8, b"abcdefgh") for number in range(0x120, 0x130)]


# Device, its link type in libpcap's numbers, what is sent, expressions.
FILTERS = {
    "tun": (tun_of(None), offline.RAW_IP, lambda: devices.ip_packets(COUNT),
            ("udp", "tcp port 80", "greater 200")),
    "PPP": (tun_of(512), SLL2, lambda: devices.ip_packets(COUNT), ("udp", "tcp port 80")),
    "netlink": (tun_of(824, 0x10), witness.NETLINK, lambda: devices.ip_packets(COUNT),
                ("link[16] = 0x45", "link[14:2] = 0x10", "link[4:2] = 0")),
    "802.11": (tun_of(801, 4), 105, wlan, ("type mgt", "type data", "type ctl", "subtype beacon")),
    "radiotap": (tun_of(803, 4), 127,
                 lambda: [b"\0\0\x08\0\0\0\0\0" + frame for frame in wlan()],
                 ("type mgt", "type data", "type ctl")),
    # The kernel has the identifier in another byte order than the file.
    "CAN": (tun_of(280, 0x0C), witness.CAN, can,
            ("link[0:4] = 0x123", "link[3] > 0x28", "link[4] = 8", "link[link[4]] = 0x61")),
}


@pytest.mark.parametrize("name", FILTERS)
def test_filters_mean_on_every_link_type_what_they_mean_on_the_file(lab, agent, name):
    make, link, packets, texts = FILTERS[name]
    with make(lab.net) as device:
        paths = [lab.file(f"{i}.pcapng") for i in range(len(texts) + 1)]
        clients = [lab.capture("-i", device.name, "-w", path, *words) for path, words in
                   zip(paths, [(), *(("--exact-filter", text) for text in texts)])]
        device.send(packets())
        assert [client.interrupt() for client in clients] == [0] * len(clients)
    everything, *chosen = [[p.data for p in capfile.read(path).packets] for path in paths]
    for text, got in zip(texts, chosen):
        expression = offline.Filter(text, link)
        assert got == [data for data in everything if expression.matches(data)] != [], text


def test_a_mandatory_filter_that_reads_can_identifiers_refuses_the_interface(lab):
    """It is never judged wrongly, and never by the client."""
    lab.agent(conf="mandatory-filter = link[0:4] != 0x123\n")
    with devices.tun(lab.net, 280, 0x0C) as device:
        client = lab.client("-i", device.name, "-w", lab.file("a.pcapng"))
        assert client.wait() == 4
        assert "mandatory" in client.err.text()
