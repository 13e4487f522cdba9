"""Lists of interfaces, filters and arguments: what is taken and what is not."""
import os
import re
import shutil
import socket
import tempfile

import pytest

import capfile
import frames
from lab import SENSOR4, TOP, run


def test_the_list_names_state_and_addresses(lab, agent):
    client = lab.client("-D")
    assert client.wait() == 0
    lines = {name: line for line in client.out.lines()
             for name in ("lo", "cap0", "mgmt0", "down0") if f".{name} " in line + " "}
    assert set(lines) == {"lo", "cap0", "mgmt0", "down0"}, client.out.text()
    assert "Up" in lines["cap0"] and "EN10MB" in lines["cap0"]
    assert "10.9.0.1" in client.out.text() and "fd00:9::1" in client.out.text()
    assert "Up" not in lines["down0"] and "down" in lines["down0"]


def test_a_forbidden_interface_is_listed_with_the_reason(lab):
    lab.agent(conf="interfaces = cap*\n")
    client = lab.client("-D")
    assert client.wait() == 0
    shown = [line for line in client.out.lines() if ".mgmt0" in line]
    assert len(shown) <= 1
    assert all("permit" in line for line in shown)
    assert any(".cap0" in line for line in client.out.lines())


def refused(client, status, *words):
    """Ends with this status, says why in one line, and never listened."""
    got = client.wait(20)
    text = client.err.text()
    assert got == status, f"status {got}\n{text}"
    assert len(client.err.lines()) == 1, text
    assert client.err.lines()[0].startswith("capclient: "), text
    for word in words:
        assert word in text, text
    assert "listening" not in text and "connected" not in text


def test_an_interface_that_does_not_exist(lab, agent):
    refused(lab.client("-i", "nope0", "-w", lab.file("a.pcapng")), 5, "nope0")


def test_an_interface_named_twice_by_name_and_number(lab, agent):
    index = str(lab.net.link(lab.net.sensor, "cap0")["ifindex"])
    refused(lab.client("-i", "cap0", "-i", index, "-w", lab.file("a.pcapng")), 2, index, "twice")


def test_an_interface_that_is_down(lab, agent):
    refused(lab.client("-i", "down0", "-w", lab.file("a.pcapng")), 5, "down0", "down")


def test_an_interface_that_is_not_permitted(lab):
    lab.agent(conf="interfaces = cap*\n")
    refused(lab.client("-i", "mgmt0", "-w", lab.file("a.pcapng")), 4, "mgmt0", "permit")
    ok = lab.capture("-i", "cap0", "-w", lab.file("b.pcapng"))
    assert ok.interrupt() == 0


def test_a_name_that_is_none(lab, agent):
    refused(lab.client("-i", "cap0", "-w", lab.file("a.pcapng"), sensor="nosuch.invalid"), 3,
            "nosuch.invalid")


def test_a_host_that_cannot_be_reached(lab, agent):
    lab.net.ip(lab.net.client, "route", "add", "unreachable", "10.77.0.0/16")
    try:
        refused(lab.client("-i", "cap0", "-w", lab.file("a.pcapng"), sensor="10.77.0.1"), 3,
                "10.77.0.1")
    finally:
        lab.net.ip(lab.net.client, "route", "del", "unreachable", "10.77.0.0/16")


def test_a_port_that_is_closed(lab, agent):
    refused(lab.client("-i", "cap0", "-w", lab.file("a.pcapng"), sensor=f"{SENSOR4}:9"), 3,
            "refused")


def test_an_output_that_cannot_be_written(lab, agent):
    refused(lab.client("-i", "cap0", "-w", lab.file("none/a.pcapng")), 7, "none/a.pcapng")
    refused(lab.client("-i", "cap0", "-w", lab.dir), 7, lab.dir)
    refused(lab.client("-i", "cap0", "-i", "lo", "-w", lab.dir), 7, lab.dir)


@pytest.fixture
def small_disk(lab):
    path = lab.file("small")
    os.mkdir(path)
    run("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", path)
    yield path
    run("umount", path)


@pytest.mark.parametrize("suffix", ["pcapng", "pcap"])
def test_a_full_disk_leaves_whole_packets_and_says_so(lab, agent, small_disk, suffix):
    path = os.path.join(small_disk, f"a.{suffix}")
    client = lab.capture("-i", "cap0", "-w", path, "--on-full", "stop")
    lab.sender().send(*frames.numbered(1000, size=1000))
    assert client.wait(20) == 7
    assert len(client.errors()) == 1, client.err.text()
    assert "No space left" in client.errors()[0] and path in client.errors()[0]
    got = [frames.number_of(p.data) for p in capfile.read(path).packets]
    assert got == list(range(len(got))) and 100 < len(got) < 300
    assert client.counts()["captured"] == len(got)


@pytest.mark.parametrize("text,cause", [
    ("udp and and", "syntax error"), ("port 70000", "illegal port"), ("(tcp", "syntax error"),
    ("ip host 10.0.0.1 and ip6", "rejects all packets"),
])
def test_a_bad_filter_never_opens_a_capture(lab, agent, text, cause):
    refused(lab.client("-i", "cap0", "-w", lab.file("a.pcapng"), "-f", text), 6, cause)
    assert not os.path.exists(lab.file("a.pcapng"))
    assert lab.net.promiscuity() == 0


def test_a_bad_filter_is_known_before_anything_is_sent(lab):
    """No agent runs: a connection would fail with another status."""
    refused(lab.client("-i", "cap0", "-w", lab.file("a.pcapng"), "-f", "udp and and"), 6,
            "syntax error")


@pytest.mark.parametrize("text,cause", [
    (" or ".join(f"ether[{i % 200}] = {1 + i // 200}" for i in range(2600)), "4096 instructions"),
    ("ip6 protochain 17", "needs a loop"),
], ids=["long", "loop"])
def test_kernel_only_refuses_what_no_kernel_can_run(lab, text, cause):
    """Again no agent runs."""
    path = lab.file("filter")
    with open(path, "w", encoding="ascii") as f:
        f.write(text)
    refused(lab.client("-i", "cap0", "-w", lab.file("a.pcapng"), "--kernel-only",
                       "--filter-file", path), 6, cause, "--kernel-only")


def test_every_exit_status_is_documented():
    with open(os.path.join(TOP, "docs/man/capclient.1"), encoding="utf-8") as f:
        section = f.read().split("EXIT STATUS")[1].split("\n.SH ")[0].split("\n.Sh ")[0]
    with open(os.path.join(TOP, "client/exit.h"), encoding="utf-8") as f:
        statuses = re.findall(r"EXIT_\w+ = (\d+)", f.read())
    assert len(statuses) == len(set(statuses)) >= 10
    for status in statuses:
        assert re.search(rf"(?<!\d){status}(?!\d)", section), status


def test_filter_words_may_stand_between_options(lab, agent):
    client = lab.capture("-i", "cap0", "udp", "port", "-w", lab.file("a.pcapng"), "7")
    lab.sender().send(frames.numbered(1)[0], frames.numbered(2, dport=7)[1])
    assert client.interrupt() == 0
    assert [frames.number_of(p.data) for p in capfile.read(lab.file("a.pcapng")).packets] == [1]


def test_the_file_names_interface_filter_and_host(lab, agent):
    client = lab.capture("-i", "cap0", "-w", lab.file("a.pcapng"), "-f", "udp port 9")
    lab.sender().send(*frames.numbered(3))
    assert client.interrupt() == 0
    got = capfile.read(lab.file("a.pcapng"))
    (interface,) = got.interfaces
    assert (interface.link_type, interface.snaplen) == (1, 262144)
    assert b"cap0" in interface.options[2]
    assert interface.options[11] == b"\0udp port 9"
    assert interface.options[6] == bytes.fromhex("020000000002")
    assert b"capclient" in got.section[4]
    # One block of statistics, at the end: Wireshark shows drops only then.
    ((number, stats),) = got.stats
    assert number == 0
    assert int.from_bytes(stats[4], "little") == 3 and int.from_bytes(stats[5], "little") == 0


def test_several_interfaces_in_one_file(lab, agent):
    client = lab.capture("-i", "cap0", "-i", "lo", "-w", lab.file("a.pcapng"))
    lab.sender().send(*frames.numbered(3))
    lab.net.socket(lab.net.sensor, socket.AF_INET, socket.SOCK_DGRAM).sendto(
        b"local", ("127.0.0.1", 9))
    assert client.interrupt() == 0
    got = capfile.read(lab.file("a.pcapng"))
    assert len(got.interfaces) == 2
    assert len([p for p in got.packets if p.iface == 0]) == 3
    assert [p.data[42:] for p in got.packets if p.iface == 1 and p.data[23] == 17] == [b"local"]


def test_a_mandatory_filter_cannot_be_left_out(lab):
    lab.agent(conf="mandatory-filter = udp port 7\n")
    client = lab.capture("-i", "cap0", "-w", lab.file("a.pcapng"))
    lab.sender().send(*frames.numbered(5), *frames.numbered(5, dport=7))
    assert client.interrupt() == 0
    got = capfile.read(lab.file("a.pcapng")).packets
    assert [p.data for p in got] == frames.numbered(5, dport=7)


def test_the_largest_snaplen_of_the_file_holds(lab):
    lab.agent(conf="max-snaplen = 64\n")
    client = lab.capture("-i", "cap0", "-w", lab.file("a.pcapng"))
    lab.sender().send(*frames.numbered(5, size=500))
    assert client.interrupt() == 0
    got = capfile.read(lab.file("a.pcapng")).packets
    assert [(len(p.data), p.orig_len) for p in got] == [(64, 500)] * 5


def test_a_client_needs_no_privilege(lab, agent):
    """User 65534 without any capability; its files in its own home."""
    home = tempfile.mkdtemp(prefix="capclient-test-")
    try:
        config = os.path.join(home, ".config/capclient")
        os.makedirs(config)
        for name in ("client.pem", "client.key", "ca.pem"):
            shutil.copy(lab.pki.path(name), config)
        os.mkdir(os.path.join(home, "client"))
        shutil.copy(os.path.join(lab.release, "client/capclient"), os.path.join(home, "client"))
        for folder, _, files in os.walk(home):
            for name in (folder, *(os.path.join(folder, f) for f in files)):
                os.chown(name, 65534, 65534)
        client = lab.capture("-i", "cap0", "-w", os.path.join(home, "a.pcapng"), cert=None,
                             build=home, env={"HOME": home},
                             prefix=("setpriv", "--reuid=65534", "--regid=65534",
                                     "--clear-groups", "--bounding-set=-all", "--no-new-privs"))
        lab.sender().send(*frames.numbered(5))
        assert client.interrupt() == 0
        assert len(capfile.read(os.path.join(home, "a.pcapng")).packets) == 5
    finally:
        shutil.rmtree(home)
