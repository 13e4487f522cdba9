"""A capture never sees the agent's own connections, of no session."""
import socket

import pytest

import capfile
import frames
from lab import LONG, SENSOR4, SENSOR6, holds

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


def own_packets(path):
    return [p for p in capfile.read(path).packets if 9443 in tcp_ports(p.data)]


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
