"""Several interfaces in one capture: any, patterns, requests of their own."""
import contextlib
import os
import re
import socket
import struct
import subprocess

import pytest

import capfile
import frames
from lab import eventually, run

IF_NAME, SLL, SLL2, ETHERNET = 2, 113, 276, 1


@contextlib.contextmanager
def lines(lab, count):
    """Further lines from the generator to the sensor: pe0 - dm0, pe1 - dm1 .."""
    commands = []
    for i in range(count):
        commands += [f"link add dm{i} type veth peer name pe{i} netns {lab.net.gen}",
                     f"link set dm{i} addrgenmode none up"]
    peers = [f"link set pe{i} addrgenmode none up" for i in range(count)]
    try:
        batch(lab.net.sensor, commands)
        batch(lab.net.gen, peers)
        yield [f"dm{i}" for i in range(count)]
    finally:
        batch(lab.net.sensor, [f"link del dm{i}" for i in range(count)], "-force")


def batch(ns, commands, *options):
    subprocess.run(["ip", "-n", ns, *options, "-batch", "-"], check=not options,
                   input="\n".join(commands).encode(), capture_output=bool(options))


def send(lab, i, sent):
    """Over line i of lines()."""
    lab.sender(ns=lab.net.gen, iface=f"pe{i}").send(*sent)


def by_interface(cap):
    """The packets of a pcapng by the interface's name, without the sensor's."""
    names = [i.options[IF_NAME].decode().split(":")[-1] for i in cap.interfaces]
    found = {name: [] for name in names}
    for p in cap.packets:
        found[names[p.iface]].append(p)
    return found


def finish(client, count):
    """Stop when the file has count packets; the file."""
    path = client.argv[client.argv.index("-w") + 1]

    def is_there():
        try:
            return len(capfile.read(path).packets) >= count
        except (capfile.Broken, FileNotFoundError):
            return False

    eventually(is_there, 20, f"{count} packets in the file")
    assert client.interrupt() == 0, client.report()
    cap = capfile.read(path)
    assert client.counts()["dropped"] == 0
    assert len(cap.packets) == count
    return cap


def started(lab, *args):
    return lab.capture("-w", lab.file("a.pcapng"), *args)


def tagged(vid, number):
    return frames.ethernet(0x0800, frames.ipv4(17, frames.udp(struct.pack(">Q", number))), (vid,))


def test_any_is_each_interface_with_its_own_block_and_its_tags(lab, agent):
    with lines(lab, 2):
        client = started(lab, "-i", "any", "udp")
        sent = [tagged(100, i) for i in range(20)]
        lab.sender().send(*sent)
        send(lab, 1, frames.numbered(5))
        found = by_interface(finish(client, 25))
    assert {"lo", "cap0", "mgmt0", "dm0", "dm1"} <= set(found)
    assert [p.data for p in found["cap0"]] == sent
    assert len(found["dm1"]) == 5 and not found["dm0"] and not found["mgmt0"]


def test_any_is_promiscuous_on_each(lab, agent):
    client = started(lab, "-i", "any")
    assert lab.net.promiscuity("cap0") == 1 and lab.net.promiscuity("mgmt0") == 1
    assert client.interrupt() == 0
    eventually(lambda: lab.net.promiscuity("cap0") == 0, what="the end of promiscuous mode")


def test_any_sees_loopback_once_and_never_itself(lab, agent):
    """The capture's own connection runs over mgmt0 all the time."""
    client = started(lab, "-i", "any")
    with lab.net.socket(lab.net.sensor, socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        for _ in range(3):
            sock.sendto(b"to myself", sock.getsockname())
    found = by_interface(finish(client, 3))
    assert len(found["lo"]) == 3 and not found["mgmt0"]


def test_more_interfaces_than_allowed_are_refused_with_the_hint(lab):
    lab.agent(conf="max-interfaces = 4\n")
    with lines(lab, 6):
        client = lab.client("-i", "any", "-w", lab.file("a.pcapng"))
        assert client.wait() == 4, client.report()
        text = client.err.text()
        assert "9 interfaces" in text and "max-interfaces is 4" in text and "pattern" in text
        client = started(lab, "-i", "dm[0-3]")
        assert client.interrupt() == 0


def test_patterns_and_names_each_as_they_say(lab, agent):
    with lines(lab, 3):
        client = started(lab, "-i", "cap0", "-s", "50", "-i", "dm*", "-p")
        client.err.wait("listening on ", count=4)
        assert lab.net.promiscuity("cap0") == 1 and lab.net.promiscuity("dm1") == 0
        lab.sender().send(*frames.numbered(3))
        send(lab, 2, frames.numbered(4))
        found = by_interface(finish(client, 7))
    assert [(len(p.data), p.orig_len) for p in found["cap0"]] == [(50, 100)] * 3
    assert [(len(p.data), p.orig_len) for p in found["dm2"]] == [(100, 100)] * 4


def test_each_interface_has_its_own_filter(lab, agent):
    with lines(lab, 1):
        client = started(lab, "-i", "cap0", "-f", "udp port 9", "-i", "dm0", "-f", "udp port 10")
        sent = frames.numbered(3, dport=9) + frames.numbered(4, dport=10)
        lab.sender().send(*sent)
        send(lab, 0, sent)
        found = by_interface(finish(client, 7))
    assert len(found["cap0"]) == 3 and len(found["dm0"]) == 4


def test_a_pattern_that_matches_nothing_is_refused_by_name(lab, agent):
    client = lab.client("-i", "nosuch*", "-w", lab.file("a.pcapng"))
    assert client.wait() == 5 and "nosuch*" in client.err.text() and "-D" in client.err.text()
    client = lab.client("-i", "down*", "-w", lab.file("a.pcapng"))
    assert client.wait() == 5 and "down" in client.err.text()


def test_a_name_wins_over_a_pattern_wherever_it_stands(lab, agent):
    with lines(lab, 2):
        client = started(lab, "-i", "dm*", "-s", "60", "-i", "dm1", "-s", "1000")
        for i in range(2):
            send(lab, i, [tagged(5, 1).ljust(300, b"\0")])
        cap = finish(client, 2)
    # tcpdump reads a file only when its interfaces agree.
    assert {i.snaplen for i in cap.interfaces} == {1000}
    found = by_interface(cap)
    assert [len(p.data) for p in found["dm0"]] == [60]
    assert [len(p.data) for p in found["dm1"]] == [300]


def test_what_a_pattern_leaves_out_is_said(lab):
    lab.agent(conf="interfaces = cap0\n")
    client = lab.capture("-i", "any", "-w", lab.file("a.pcapng"))
    text = client.err.text()
    assert re.search(r"\d interfaces \(such as '\w+'\) are not permitted by the agent's", text), text
    assert client.interrupt() == 0
    client = lab.capture("-i", "cap0", "-i", "veht*", "-w", lab.file("b.pcapng"))
    assert "no interface for 'veht*' now: those that appear later" in client.err.text()
    assert client.interrupt() == 0


def test_ring_memory_is_divided_and_what_that_raises_is_said(lab, agent):
    with lines(lab, 9):
        client = started(lab, "-i", "dm*", "-B", "9M")
        assert "raised to 2048 KiB for each" in client.err.text()
        assert client.interrupt() == 0


def test_a_hundred_interfaces_are_one_capture(lab, agent):
    with lines(lab, 100) as names:
        client = started(lab, "-i", "dm*")
        for i in range(len(names)):
            send(lab, i, frames.numbered(1))
        found = by_interface(finish(client, 100))
    assert sorted(found) == sorted(names)
    assert all(len(packets) == 1 for packets in found.values())


@pytest.mark.parametrize("asked,link_type,header", [("LINUX_SLL2", SLL2, 20), ("LINUX_SLL", SLL, 16)])
def test_a_link_type_is_chosen(lab, agent, asked, link_type, header):
    client = started(lab, "-i", "cap0", "-y", asked, "udp port 9")
    sent = frames.numbered(5)
    lab.sender().send(*sent)
    cap = finish(client, 5)
    assert [i.link_type for i in cap.interfaces] == [link_type]
    assert [p.data[header:] for p in cap.packets] == [f[14:] for f in sent]


def test_a_link_type_that_is_no_choice_is_refused_with_the_choices(lab, agent):
    client = lab.client("-i", "cap0", "-y", "PPP", "-w", lab.file("a.pcapng"))
    assert client.wait() == 2, client.report()
    assert "EN10MB" in client.err.text() and "LINUX_SLL2" in client.err.text()


def test_cooked_any_is_one_socket_and_says_what_it_loses(lab, agent):
    client = started(lab, "-i", "any", "--cooked", "udp", "port", "9")
    assert "not promiscuous" in client.err.text() and "VLAN" in client.err.text()
    assert lab.net.promiscuity("cap0") == 0
    sent = frames.numbered(5)
    broadcast = [b"\xff" * 6 + f[6:] for f in sent]
    lab.sender().send(*broadcast)
    lab.sender(ns=lab.net.sensor, iface="lo").send(*sent)
    cap = finish(client, 10)
    assert [i.link_type for i in cap.interfaces] == [SLL2]
    # The header names the interface that each came in by.
    index = {name: lab.net.link(lab.net.sensor, name)["ifindex"] for name in ("lo", "cap0")}
    seen = [struct.unpack_from(">I", p.data, 4)[0] for p in cap.packets]
    assert seen.count(index["cap0"]) == 5 and seen.count(index["lo"]) == 5
    assert all(p.data[20:] == f[14:] for p, f in zip(cap.packets, sent + sent))


def test_a_missing_program_costs_one_more_round_and_nothing_else(lab, agent):
    """A radiotap interface is not among what every client compiles for at first."""
    with lines(lab, 1):
        client = started(lab, "-i", "dm0", "-y", "DOCSIS", "less", "2000")
        send(lab, 0, frames.numbered(3))
        cap = finish(client, 3)
    assert [i.link_type for i in cap.interfaces] == [143]


def test_one_socket_for_each_interface_closes_with_the_capture(lab, agent):
    with lines(lab, 20):
        before = len(os.listdir(f"/proc/{agent.net_pid}/fd"))
        client = started(lab, "-i", "any")
        assert client.interrupt() == 0
        eventually(lambda: len(os.listdir(f"/proc/{agent.net_pid}/fd")) <= before,
                   what="sockets to close")
        eventually(lambda: "dm" not in run("ip", "netns", "exec", lab.net.sensor, "ss", "-0Hn"),
                   what="capagent's sockets to close")

