"""
Corners of AF_PACKET that no other file has a test for.

docs/DESIGN.md lists all of them, with the test that shows each.
"""
import contextlib
import os
import re
import signal

import pytest

import capfile
import devices
import frames
import witness
from lab import ETH_P_ALL, TOP, eventually
from witness import SLL2


FOLDERS = {"unit": ("tests/unit", ".c"), "sys": ("tests/sys", ".c"), "": ("tests/net", ".py")}


def corners():
    """The table's rows: number, its last column."""
    with open(os.path.join(TOP, "docs/DESIGN.md"), encoding="utf-8") as f:
        rows = [line.split("|") for line in f if re.match(r"\| \d+ \|", line)]
    return [(int(row[1]), row[4]) for row in rows]


def test_the_table_of_corners_names_tests_that_exist():
    assert [number for number, _ in corners()] == sorted({number for number, _ in corners()})
    for number, shown_by in corners():
        named = re.findall(r"`(?:(unit|sys)/)?(\w+): (\w+)`", shown_by)
        assert named or shown_by.startswith(" no: "), number
        assert len(named) == shown_by.count(": ") or shown_by.startswith(" no: "), number
        for folder, name, test in named:
            where, suffix = FOLDERS[folder]
            with open(os.path.join(TOP, where, name + suffix), encoding="utf-8") as f:
                assert re.search(rf"^(def )?{test}\(", f.read(), re.M), f"{number}: {name}: {test}"


def numbers(path):
    return [frames.number_of(p.data) for p in capfile.read(path).packets]


@contextlib.contextmanager
def held(*pids):
    """These processes do not run meanwhile."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_a_name_of_full_length_is_taken_and_a_longer_one_never_cut(lab, agent):
    name = "fifteen-letters"
    with devices.line(lab.net, near=name):
        client = lab.capture("-i", name, "-w", lab.file("a.pcapng"))
        assert client.interrupt() == 0
        for longer in (name + "x", name + "-and-many-more" * 10):
            client = lab.client("-i", longer, "-w", lab.file("b.pcapng"))
            assert client.wait() in (2, 5)
            assert "listening" not in client.err.text()
            assert len(client.errors()) == 1, client.err.text()
        assert not os.path.exists(lab.file("b.pcapng"))


def test_captures_of_one_interface_each_have_every_packet(lab, agent):
    """Each is in a fanout group; in one and the same they would share the packets out."""
    other = lab.agent(listen=("0.0.0.0:9444",))
    paths = [lab.file(f"{i}.pcapng") for i in range(4)]
    clients = [lab.capture("-i", "cap0", "-w", path, sensor=f"10.9.0.1:{port}")
               for path, port in zip(paths, (9443, 9443, 9444, 9444))]
    lab.sender().send_paced(frames.numbered(500), 5000)
    assert [client.interrupt() for client in clients] == [0] * 4
    assert [numbers(path) for path in paths] == [list(range(500))] * 4
    assert other.stop() == 0


def test_few_packets_do_not_fill_the_ring_of_a_reader_that_is_held(lab, agent):
    """Each closes a block of its own; with eight large ones the first dozen would be lost."""
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "cap0", "-w", path)
    with held(agent.net_pid):
        lab.sender().send_paced(spread := frames.numbered(100), 5000)
    assert client.interrupt() == 0
    assert [p.data for p in capfile.read(path).packets] == spread
    assert client.counts() == {"captured": 100, "received": 100, "dropped": 0}


def test_a_snapshot_length_saves_room_in_the_ring(lab, agent):
    """Without a filter too: whole, these would be four times what the ring holds."""
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "cap0", "-s", "96", "-B", "2M", "-w", path)
    sent = frames.numbered(1000, size=9000)
    with held(agent.net_pid):
        lab.sender().send(*sent)
    assert client.interrupt() == 0
    got = capfile.read(path).packets
    assert [(p.data, p.orig_len) for p in got] == [(data[:96], 9000) for data in sent]
    assert client.counts() == {"captured": 1000, "received": 1000, "dropped": 0}


def test_the_packet_before_the_interrupt_is_in_the_file(lab, agent):
    """From a block that the kernel would have closed only much later."""
    sender = lab.sender()
    for attempt in range(5):
        path = lab.file(f"{attempt}.pcapng")
        # The smallest ring has the longest retire time.
        client = lab.capture("-i", "cap0", "-s", "262144", "-B", "2M", "-w", path)
        sender.send(*frames.numbered(3))
        assert client.interrupt() == 0
        assert numbers(path) == [0, 1, 2]


@pytest.mark.parametrize("snaplen", [1, 4, 16, 19, 20, 21, 40, 0])
def test_a_cut_inside_a_cooked_header_keeps_both_lengths_right(lab, agent, snaplen):
    packets = devices.ip_packets(20)
    with devices.tun(lab.net, 512) as device, contextlib.closing(
            witness.Witness(lab.net, lab.net.sensor, device.name, is_cooked=True)) as plain:
        client = lab.capture("-i", device.name, "-s", snaplen, "-w", lab.file("a.pcapng"))
        device.send(packets)
        assert client.interrupt() == 0
        whole = [witness.record(s, SLL2, plain.ifindex) for s in plain.read(20)]
    got = capfile.read(lab.file("a.pcapng")).records()
    keep = snaplen or 262144
    assert got == [(ts_ns, orig_len, data[:keep]) for ts_ns, orig_len, data in whole]


def test_promiscuous_mode_is_counted_and_ends_with_killed_processes(lab):
    """Nothing is left to be undone: the membership is the socket's."""
    agent = lab.agent()
    clients = [lab.capture("-i", "cap0", "-w", lab.file(f"{i}.pcapng"), "--linger", "0")
               for i in range(3)]
    assert lab.net.promiscuity() == 3
    # By another program, whose own it stays.
    sock = lab.sender(ns=lab.net.sensor, iface="cap0").sock
    ifindex = lab.net.link(lab.net.sensor, "cap0")["ifindex"]
    sock.setsockopt(witness.SOL_PACKET, 1, ifindex.to_bytes(4, "little") + b"\1\0" + bytes(10))
    assert lab.net.promiscuity() == 4
    assert "PROMISC" not in lab.net.link(lab.net.sensor, "cap0")["flags"]
    clients[0].kill()
    eventually(lambda: lab.net.promiscuity() == 3, 5, "end of one capture")
    for pid in (agent.net_pid, agent.pid):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: lab.net.promiscuity() == 1, 5, "end of the others")


def test_any_is_promiscuous_where_a_cooked_socket_could_not_be(lab, agent):
    client = lab.capture("-i", "any", "-w", lab.file("a.pcapng"))
    assert [lab.net.promiscuity(name) for name in ("cap0", "mgmt0")] == [1, 1]
    # To somebody else's address: without promiscuous mode the line would not show it.
    sent = bytes.fromhex("020000000099") + frames.numbered(1)[0][6:]
    lab.sender().send(sent)
    assert client.interrupt() == 0
    assert sent in [p.data for p in capfile.read(lab.file("a.pcapng")).packets]
    eventually(lambda: [lab.net.promiscuity(name) for name in ("cap0", "mgmt0")] == [0, 0], 5,
               "end of promiscuous mode")


def test_another_name_for_ethernet_does_not_echo_either(lab, agent):
    """The line that carries the captures, under a link type without known layers."""
    path = lab.file("a.pcapng")
    watching = lab.capture("-i", "mgmt0", "-y", "DOCSIS", "-w", path)
    client = lab.capture("-i", "cap0", "-w", lab.file("b.pcapng"))
    lab.sender().send_paced(frames.numbered(500), 5000)
    assert [client.interrupt(), watching.interrupt()] == [0, 0]
    assert len(capfile.read(lab.file("b.pcapng")).packets) == 500
    assert capfile.read(path).packets == []


def test_a_buffer_beyond_all_limits_becomes_what_the_agent_has(lab):
    lab.agent(conf="ring-memory = 24MiB\n")
    client = lab.capture("-i", "cap0", "-B", "1024G", "-w", lab.file("a.pcapng"))
    lab.sender().send(*frames.numbered(3))
    assert client.interrupt() == 0
    assert numbers(lab.file("a.pcapng")) == [0, 1, 2]
    assert len(client.errors()) == 1 and "lowered to 24576 KiB" in client.errors()[0], \
        client.err.text()


def test_a_ring_that_was_full_is_counted_as_frozen(lab, agent):
    """Once, however many packets found it so: the two numbers are told apart."""
    path = lab.file("a.pcapng")
    client = lab.capture("-v", "-i", "cap0", "-B", "2M", "-w", path)
    with held(agent.net_pid):
        lab.sender().send(*frames.numbered(1000, size=9000))
    assert client.interrupt() == 8
    assert client.err.wait(r"^1 freeze of the kernel's ring$", 1)
    counts = client.counts()
    assert counts["received"] == 1000 == counts["captured"] + counts["dropped"]
    assert numbers(path) == list(range(counts["captured"])) != []


def test_ring_memory_is_shared_out_until_there_is_none(lab):
    lab.agent(conf="ring-memory = 8MiB\n")
    first = lab.capture("-i", "cap0", "-B", "5M", "-w", lab.file("1.pcapng"))
    second = lab.capture("-i", "cap0", "-B", "5M", "-w", lab.file("2.pcapng"))
    third = lab.client("-i", "cap0", "-B", "5M", "-w", lab.file("3.pcapng"))
    assert third.wait() == 4
    assert "ring-memory" in third.err.text()
    assert first.interrupt() == 0
    # What the first had is free again.
    fourth = lab.capture("-i", "cap0", "-B", "5M", "-w", lab.file("4.pcapng"))
    assert [c.interrupt() for c in (second, fourth)] == [0, 0]


def test_a_foreign_socket_that_reads_counters_does_not_change_ours(lab, agent):
    """Counters start anew with each reading: they are each socket's own."""
    client = lab.capture("-i", "cap0", "-w", lab.file("a.pcapng"))
    other = lab.net.socket(lab.net.sensor, witness.socket.AF_PACKET, witness.socket.SOCK_RAW, 0)
    with other:
        other.bind(("cap0", ETH_P_ALL))
        sender = lab.sender()
        for _ in range(50):
            sender.send(*frames.numbered(10))
            other.getsockopt(witness.SOL_PACKET, 6, 8)
    assert client.interrupt() == 0
    assert client.counts() == {"captured": 500, "received": 500, "dropped": 0}
