"""A capture never sees the agent's own connections, of no session."""
import contextlib
import ipaddress
import socket
import subprocess
import time

import pytest

import capfile
import frames
from lab import LONG, SENSOR4, SENSOR6, holds, run

SECONDS = 60 if LONG else 10


def tcp_ports(data):
    """The ports of a TCP packet in an Ethernet frame, else nothing."""
    if data[12:14] == b"\x08\x00" and data[23] == 6:
        at = 14 + 4 * (data[14] & 15)
    elif data[12:14] == b"\x86\xdd" and data[20] == 6:
        at = 54
    else:
        return ()
    return int.from_bytes(data[at:at + 2], "big"), int.from_bytes(data[at + 2:at + 4], "big")


def own_packets(path, port=9443):
    return [p for p in capfile.read(path).packets if port in tcp_ports(p.data)]


def contents(path):
    return [p.data for p in capfile.read(path).packets]


@pytest.mark.parametrize("sensor", [SENSOR4, f"[{SENSOR6}]"])
def test_two_captures_of_the_line_that_carries_them_leave_it_silent(lab, agent, sensor):
    def bytes_on_line():
        stats = lab.net.link(lab.net.sensor, "mgmt0")["stats64"]
        return stats["rx"]["bytes"] + stats["tx"]["bytes"]

    files = [lab.file("0.pcapng"), lab.file("1.pcapng")]
    clients = [lab.capture("-i", "mgmt0", "-w", f, sensor=sensor) for f in files]
    before = bytes_on_line()

    # Heartbeats and counters are allowed; an echo would double with every turn.
    def is_silent(elapsed):
        used = bytes_on_line() - before
        assert used < 20000 + 4096 * elapsed, f"{used} bytes in {elapsed:.1f} s"

    holds(is_silent, SECONDS)
    # What is not the agent's is there.
    lab.net.socket(lab.net.client, socket.AF_INET, socket.SOCK_DGRAM).sendto(
        b"not the agent's", (SENSOR4, 9))
    assert [c.interrupt() for c in clients] == [0, 0]
    for path in files:
        assert own_packets(path) == []
        assert any(b"not the agent's" in data for data in contents(path))


@pytest.mark.parametrize("sensor", ["127.0.0.1", "[::1]", SENSOR4])
def test_a_client_on_the_sensor_itself_does_not_see_its_stream_on_lo(lab, agent, sensor):
    clients = [lab.capture("-i", "lo", "-w", lab.file(f"{i}.pcapng"), sensor=sensor,
                           ns=lab.net.sensor) for i in range(2)]
    to = ("127.0.0.1", 9)
    sock = lab.net.socket(lab.net.sensor, socket.AF_INET, socket.SOCK_DGRAM)
    for i in range(50):
        sock.sendto(b"local %d" % i, to)
    assert [c.interrupt() for c in clients] == [0, 0]
    for i in range(2):
        assert own_packets(lab.file(f"{i}.pcapng")) == []


def test_the_same_port_of_somebody_else_is_seen(lab, agent):
    """Only connections to a local address on which the agent listens are its own."""
    def frame(port):
        return frames.ethernet(0x0800, frames.ipv4(6, frames.tcp(b"x" * 40, dport=port)))

    client = lab.capture("-i", "cap0", "-w", lab.file("a.pcapng"))
    lab.sender().send(frame(9443), frame(9444))
    assert client.interrupt() == 0
    assert contents(lab.file("a.pcapng")) == [frame(9443), frame(9444)]


def test_on_lo_each_packet_is_there_once(lab, agent):
    client = lab.capture("-i", "lo", "-w", lab.file("a.pcapng"))
    sock = lab.net.socket(lab.net.sensor, socket.AF_INET, socket.SOCK_DGRAM)
    for i in range(100):
        sock.sendto(b"local %03d" % i, ("127.0.0.1", 9))
    assert client.interrupt() == 0
    udp = [data[42:] for data in contents(lab.file("a.pcapng")) if data[23] == 17]
    assert udp == [b"local %03d" % i for i in range(100)]


def foreign_frames(count):
    """The agent's port, between two hosts that are not the agent's."""
    return [frames.ethernet(0x0800, frames.ipv4(6, frames.tcp(b"%06d" % i * 10, dport=9443)))
            for i in range(count)]


@contextlib.contextmanager
def more_addresses(lab, addresses, iface="mgmt0"):
    """Addresses of the sensor for a while; one command for all."""
    def change(verb, flags):
        subprocess.run(["ip", "-n", lab.net.sensor, "-batch", "-"], check=True, text=True,
                       input="".join(f"addr {verb} {a} dev {iface} {flags}\n" for a in addresses))

    change("add", "")
    try:
        yield
    finally:
        change("del", "")


@pytest.mark.parametrize("prefixed,name", [("10.9.0.77/24", "10.9.0.77"),
                                           ("fd00:9::77/64", "[fd00:9::77]")], ids=["v4", "v6"])
def test_an_address_that_came_during_a_capture_is_the_agents_own(lab, agent, prefixed, name):
    """From the first packet on of the first connection to it."""
    path = lab.file("a.pcapng")
    first = lab.capture("-i", "mgmt0", "-w", path)
    with more_addresses(lab, [prefixed]):
        second = lab.capture("-i", "cap0", "-w", lab.file("b.pcapng"), "--server-name", "sensor1",
                             sensor=name)
        lab.sender().send(*frames.numbered(500))
        assert second.interrupt() == 0
        lab.net.socket(lab.net.client, socket.AF_INET, socket.SOCK_DGRAM).sendto(
            b"not the agent's", (SENSOR4, 9))
        assert first.interrupt() == 0
    assert own_packets(path) == []
    assert any(b"not the agent's" in data for data in contents(path))
    assert len(contents(lab.file("b.pcapng"))) == 500


def test_a_host_with_many_addresses_keeps_the_packets_of_others(lab):
    """More than a filter holds: others' packets of the agent's port are still there."""
    start = ipaddress.ip_address("10.9.64.1")
    with more_addresses(lab, [f"{start + i}/32" for i in range(100)]):
        lab.agent()
        files = [lab.file(f"{i}.pcapng") for i in range(3)]
        clients = [lab.capture("-i", "cap0", "-w", files[0])]
        clients += [lab.capture("-i", "mgmt0", "-w", f) for f in files[1:]]
        lab.sender().send(*foreign_frames(50))
        assert [c.interrupt() for c in clients] == [0, 0, 0]
    assert contents(files[0]) == foreign_frames(50)
    for path in files[1:]:
        assert own_packets(path) == []


def test_a_connection_stays_own_when_addresses_become_too_many(lab, agent):
    """Those that are connected are known, however many addresses come later."""
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "mgmt0", "-w", path)
    start = ipaddress.ip_address("10.9.64.1")
    with more_addresses(lab, [f"{start + i}/32" for i in range(100)]):
        agent.err.wait("more than a filter holds")

        def is_capturing(_):
            assert client.is_running()

        # Longer than a client waits between two pings.
        holds(is_capturing, 3)
        assert client.interrupt() == 0
    assert own_packets(path) == []


@pytest.fixture
def redirected(lab):
    """The sensor's port 443 is the agent's."""
    def nft(*args):
        run("ip", "netns", "exec", lab.net.sensor, "nft", *args)

    nft("add table inet captest; add chain inet captest in "
        "{ type nat hook prerouting priority dstnat; }; "
        "add rule inet captest in tcp dport 443 redirect to :9443")
    yield 443
    nft("delete table inet captest")


def test_of_a_redirected_connection_only_the_first_packets_are_seen(lab, agent, redirected):
    """Until it is accepted nothing tells it from others' connections."""
    def connect(path):
        return lab.capture("-i", "cap0", "-w", path, sensor=f"{SENSOR4}:{redirected}")

    path = lab.file("a.pcapng")
    watching = lab.capture("-i", "mgmt0", "-w", path)
    files = [lab.file(f"{i}.pcapng") for i in range(2)]
    clients = [connect(files[0])]
    began_ns = time.time_ns()
    clients.append(connect(files[1]))
    lab.sender().send_paced(frames.numbered(5000, size=1000), 5000)
    assert [c.interrupt() for c in clients] == [0, 0]
    assert watching.interrupt() == 0
    assert [len(contents(f)) for f in files] == [5000, 5000]
    assert own_packets(path) == []
    # Usually SYN, ACK and ClientHello; on a busy machine more of the handshake.
    seen = own_packets(path, redirected)
    assert len({tcp_ports(p.data) for p in seen}) <= 1
    assert all(p.ts_ns < began_ns for p in seen)
    assert len(seen) <= 12
