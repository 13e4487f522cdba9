"""Filters that the kernel cannot run, or not whole: somebody else judges, and says so."""
import os
import re

import pytest

import capfile
import frames
from lab import eventually


def extension(inner, size=8):
    """An IPv6 destination options header in front of a payload of protocol inner."""
    return bytes((inner, size // 8 - 1, 1, size - 4)) + bytes(size - 4)


# UDP behind an IPv6 extension header, which only protochain finds, among others.
HIDDEN = [frames.ethernet(0x86DD, frames.ipv6(60, extension(17) + frames.udp(bytes((i,)))))
          for i in range(10)]
OTHERS = [frames.ethernet(0x86DD, frames.ipv6(60, extension(6) + frames.tcp(bytes((i,)))))
          for i in range(10)]
PROTOCHAIN = ("ip6", "protochain", "17")


def finish(client, path, count):
    def is_there():
        try:
            return len(capfile.read(path).packets) >= count
        except (capfile.Broken, FileNotFoundError):
            return False

    eventually(is_there, 20, f"{count} packets in the file")
    assert client.interrupt() == 0, client.report()
    return [p.data for p in capfile.read(path).packets]


def filtered_by_client(client):
    return int(re.search(r"(\d+) packets? filtered by client", client.err.text()).group(1))


def test_what_only_the_client_can_judge_it_judges(lab, agent):
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "cap0", "-w", path, *PROTOCHAIN)
    assert client.err.text().count("all packets travel and are filtered here") == 1
    lab.sender().send(*OTHERS, *HIDDEN)
    assert finish(client, path, 10) == HIDDEN
    assert filtered_by_client(client) == 10


def test_a_client_that_judges_counts_and_cuts_too(lab, agent):
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "cap0", "-w", path, "-c", "3", "-s", "58", *PROTOCHAIN)
    lab.sender().send(*OTHERS, *HIDDEN)
    assert client.wait(20) == 0, client.report()
    assert [p.data for p in capfile.read(path).packets] == [f[:58] for f in HIDDEN[:3]]


def test_kernel_only_refuses_instead(lab, agent):
    client = lab.client("-i", "cap0", "--kernel-only", "-w", lab.file("a.pcapng"), *PROTOCHAIN)
    assert client.wait() == 6, client.report()
    assert "kernel" in client.err.text()
    assert not os.path.exists(lab.file("a.pcapng"))
    assert lab.net.promiscuity() == 0


def test_the_plan_says_who_judges(lab, agent):
    client = lab.client("--plan", "-i", "cap0", *PROTOCHAIN)
    assert client.wait() == 0
    assert client.out.text().count("all packets travel") == 1
    assert "here, on arrival: all packets travel, because " in client.out.text()


@pytest.fixture
def small_kernel(lab):
    """An older kernel's room for a filter, in the sensor's namespace only."""
    ns = lab.net.sensor
    lab.net.sysctl(ns, "net.core.optmem_max", 20480)
    yield
    lab.net.sysctl(ns, "net.core.optmem_max", 131072)


def long_filter(tests):
    """Tests that share no load, so that each costs four instructions, and last what matches."""
    return " or ".join(f"ether[{54 + i % 40}:2] = {i + 1} and ether[{94 + i % 39}:4] = {i + 7}"
                       for i in range(tests)) + " or udp port 9"


def test_a_filter_too_large_for_this_kernel_is_judged_behind_it(lab, small_kernel):
    lab.agent()
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "cap0", "-w", path, "--exact-filter", long_filter(900))
    text = client.err.text()
    assert "optmem_max" in text and "filtered by" in text, text
    sent = frames.numbered(10)
    others = frames.numbered(10, dport=7)
    lab.sender().send(*others, *sent)
    assert finish(client, path, 10) == sent


def test_kernel_only_names_the_limit(lab, small_kernel):
    lab.agent()
    client = lab.client("-i", "cap0", "--kernel-only", "-w", lab.file("a.pcapng"),
                        "--exact-filter", long_filter(900))
    assert client.wait() == 6, client.report()
    assert "optmem_max" in client.err.text()


def test_a_filter_that_fits_this_kernel_stays_there(lab, small_kernel):
    lab.agent()
    client = lab.capture("-i", "cap0", "-w", lab.file("a.pcapng"), long_filter(20))
    assert "filtered by" not in client.err.text()
    assert client.interrupt() == 0


def indirect_filter(tests):
    """The same with loads behind a header whose length varies."""
    return " or ".join(f"udp[{9 + i % 40}:2] = {i + 1} and udp[{49 + i % 39}:4] = {i + 7}"
                       for i in range(tests)) + " or udp port 9"


def test_tagged_packets_that_the_kernel_has_no_room_for_the_agent_judges(lab, agent):
    """Exact about tags a program has two parts: this one fits alone, and not with the other."""
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "cap0", "-w", path, f"vlan 100 and ({indirect_filter(700)})")
    assert "by the agent where packets are tagged" in client.err.text(), client.err.text()
    sent, wanted = [], []
    for i in range(40):
        tags, port = ((), (100,), (200,), (100,))[i % 4], (9, 7)[i // 4 % 2]
        # A load behind a packet's end rejects it: long enough for all of them.
        udp = frames.udp(bytes((i,)) * 150, dport=port)
        frame = frames.ethernet(0x0800, frames.ipv4(17, udp), tags)
        sent.append(frame)
        if port == 9 and tags == (100,):
            wanted.append(frame)
    lab.sender().send(*sent)
    assert finish(client, path, len(wanted)) == wanted
    assert "filtered by client" not in client.err.text()


# --- what the administrator's filter rejects never leaves the sensor ---

SECRET = bytes.fromhex("020000000066")


def secret(frame):
    return frame[:6] + SECRET + frame[12:]


def assert_counts(client, captured, filtered):
    """Nothing else came from the sensor, not even to be thrown away."""
    counts = client.counts()
    assert counts == {"captured": captured, "received": captured + filtered, "dropped": 0}, counts
    assert filtered == 0 or filtered_by_client(client) == filtered


def test_a_mandatory_filter_is_the_kernels_also_where_the_client_judges(lab):
    lab.agent(conf="mandatory-filter = not ether src 02:00:00:00:00:66\n")
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "cap0", "-w", path, *PROTOCHAIN)
    assert "all packets travel" in client.err.text()
    # The client's own filter would take half of them.
    lab.sender().send(*map(secret, HIDDEN + OTHERS), *OTHERS, *HIDDEN)
    assert finish(client, path, 10) == HIDDEN
    assert_counts(client, 10, 10)


def test_a_mandatory_filter_is_the_kernels_also_where_it_cannot_attach_the_clients(
        lab, small_kernel):
    lab.agent(conf="mandatory-filter = not ether src 02:00:00:00:00:66\n")
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "cap0", "-w", path, "--exact-filter", long_filter(900))
    text = client.err.text()
    assert re.search(r"optmem_max.*: filtered by the client: all packets travel$", text, re.M), text
    wanted, others = frames.numbered(10), frames.numbered(10, dport=7)
    lab.sender().send(*map(secret, wanted + others), *others, *wanted)
    assert finish(client, path, 10) == wanted
    assert_counts(client, 10, 10)


def test_a_mandatory_filter_is_the_kernels_also_where_the_agent_judges(lab):
    """By a tag too: the kernel passes every tagged packet but those."""
    lab.agent(conf="mandatory-filter = not ether src 02:00:00:00:00:66 and not vlan 200\n")
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "cap0", "-w", path, f"vlan and ({indirect_filter(700)})")
    assert "by the agent where packets are tagged" in client.err.text(), client.err.text()
    sent, wanted = [], []
    for i in range(80):
        tags, port = ((), (100,), (200,), (100,))[i % 4], (9, 7)[i // 4 % 2]
        udp = frames.udp(bytes((i,)) * 150, dport=port)
        frame = frames.ethernet(0x0800, frames.ipv4(17, udp), tags)
        if i >= 40:
            frame = secret(frame)
        elif port == 9 and tags == (100,):
            wanted.append(frame)
        sent.append(frame)
    lab.sender().send(*reversed(sent))
    assert finish(client, path, len(wanted)) == wanted[::-1]
    assert_counts(client, len(wanted), 0)
