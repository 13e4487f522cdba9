"""What can be asked of a sensor besides a capture, and interfaces with options of their own."""
import os
import re
import socket

import pytest

import capfile
import frames
from lab import run
from test_interfaces import refused

INSN = re.compile(r"^\((\d{3})\) (\w+) +(.*)$")


def printed(client):
    """The lines of a client that ends well and says nothing else."""
    assert client.wait(20) == 0, client.err.text()
    assert client.err.lines() == []
    return client.out.lines()


def tcpdump_lists(lab, option):
    """tcpdump says it on stderr."""
    return run("ip", "netns", "exec", lab.net.sensor, "sh", "-c",
               f"tcpdump -i cap0 {option} 2>&1").splitlines()


def test_the_program_is_printed_in_tcpdumps_three_forms(lab, agent):
    text = printed(lab.client("-i", "cap0", "-d", "udp", "port", "53"))
    assert [int(INSN.match(line)[1]) for line in text] == list(range(len(text)))
    in_c = printed(lab.client("-i", "cap0", "-dd", "udp", "port", "53"))
    numbers = printed(lab.client("-i", "cap0", "-d", "-d", "-d", "udp", "port", "53"))
    assert int(numbers[0]) == len(text) == len(in_c) == len(numbers) - 1
    for c, decimal in zip(in_c, numbers[1:]):
        code, jt, jf, k = map(int, decimal.split())
        assert c == f"{{ {code:#x}, {jt}, {jf}, 0x{k:08x} }},"
    # The client's part stands in it as tcpdump prints it, but for where jumps go.
    theirs = run("tcpdump", "-i", "lo", "-y", "EN10MB", "-d", "udp port 53").splitlines()
    shapes = [re.sub(r"jt.*|^\(\d+\)|#262144", "", line).strip() for line in text]
    for line in theirs[:-2]:
        assert re.sub(r"jt.*|^\(\d+\)|#262144", "", line).strip() in shapes, line


def test_several_programs_are_named(lab, agent):
    lines = printed(lab.client("-i", "cap0", "-i", "mgmt0", "-d", "udp"))
    assert [line for line in lines if line.startswith("#")] == \
        ["# cap0: EN10MB (Ethernet)", "# mgmt0: EN10MB (Ethernet)"]


def test_a_plan_says_what_would_be_done_and_does_nothing(lab, agent):
    path = lab.file("a.pcapng")
    lines = printed(lab.client("-s", "96", "-i", "cap0", "-i", "mgmt0", "-p", "-f", "vlan 5",
                               "--plan", "-w", path, "udp", "port", "53"))
    text = "\n".join(lines)
    cap0, mgmt0 = text.split("10.9.0.1:mgmt0\n")
    assert cap0.startswith("10.9.0.1:cap0\n")
    for want in (r"link type +EN10MB \(Ethernet\)", r"snapshot length +96 bytes", r"promiscuous +yes",
                 r"kernel ring +\d+ [KM]iB: \d+ blocks of \d+ KiB", r"VLAN tags .*passed over",
                 r"filter +udp port 53", r"filter runs +in the kernel", r"own traffic of the agent:",
                 r"    filter:\n +\(\d+\) "):
        assert re.search(want, cap0), f"{want}\n{cap0}"
    for want in (r"promiscuous +no", r"VLAN tags .*because the filter speaks of tags",
                 r"filter +vlan 5", r"filter, tagged packets:"):
        assert re.search(want, mgmt0), f"{want}\n{mgmt0}"
    assert not os.path.exists(path)
    assert lab.net.promiscuity() == 0


def test_a_plan_of_a_filter_for_the_client_says_why(lab, agent):
    text = "\n".join(printed(lab.client("-i", "cap0", "--plan", "ip6 protochain 17")))
    assert re.search(r"filter runs +here, on arrival: all packets travel, because "
                     r"'protochain' needs a loop", text), text


def test_link_and_time_stamp_types_are_listed_as_tcpdump_does(lab, agent):
    lines = printed(lab.client("-i", "cap0", "-L"))
    theirs = tcpdump_lists(lab, "-L")
    assert "  EN10MB (Ethernet)" in theirs
    # Cooked packets can be had of every interface; of tcpdump only of "any".
    theirs = [line.removesuffix(" (printing not supported)") for line in theirs]
    assert lines == theirs + ["  LINUX_SLL2 (Linux cooked v2)", "  LINUX_SLL (Linux cooked v1)"]
    mine = printed(lab.client("-i", "cap0", "-J"))
    assert mine[0] == tcpdump_lists(lab, "-J")[0]
    assert "  host (Host)" in mine
    refused(lab.client("-i", "nope0", "-L"), 5, "nope0")


def test_the_list_shows_what_interfaces_can(lab, agent):
    lines = printed(lab.client("-D"))
    (cap0,) = [line for line in lines if ".cap0 " in line]
    assert "; speed 10000 Mbit/s" in cap0 and "; driver veth" in cap0
    assert re.search("; link types EN10MB, .*LINUX_SLL2, LINUX_SLL;", cap0)
    assert "; time stamps host" in cap0


def test_each_interface_has_its_own_filter_and_snapshot_length(lab, agent):
    path = lab.file("a.pcapng")
    client = lab.capture("-s", "60", "-f", "udp port 7", "-i", "cap0", "-i", "lo", "-f",
                         "udp port 9", "-s", "0", "-w", path)
    sock = lab.net.socket(lab.net.sensor, socket.AF_INET, socket.SOCK_DGRAM)
    for port in (7, 9, 9):
        sock.sendto(bytes(500), ("127.0.0.1", port))
    lab.sender().send(*frames.numbered(3, size=200), *frames.numbered(3, dport=7, size=200))
    assert client.interrupt() == 0
    got = capfile.read(path)
    assert [(len(p.data), p.orig_len) for p in got.packets if p.iface == 0] == [(60, 200)] * 3
    assert [len(p.data) for p in got.packets if p.iface == 1 and p.data[23] == 17] == \
        [542] * 2
    assert [i.options[11] for i in got.interfaces] == [b"\0udp port 7", b"\0udp port 9"]


# IPv6, eight bytes of hop-by-hop options, UDP.
CHAIN = bytes.fromhex("ffffffffffff020000000001" "86dd" "6000000000200040" + "fd" * 32 +
                      "1100010400000000" "f001f0020018ffff" + "ff" * 16)
LONG = " or ".join(f"ether[{i % 200}] = {1 + i // 200}" for i in range(2600))


@pytest.mark.parametrize("filter_text", ["ip6 protochain 17", LONG], ids=["loop", "long"])
def test_what_no_kernel_can_run_is_filtered_here(lab, agent, filter_text):
    """The long one matches what has 1 to 13 at a place below 200."""
    path, source = lab.file("a.pcapng"), lab.file("filter")
    with open(source, "w", encoding="ascii") as f:
        f.write(filter_text)
    client = lab.capture("-i", "cap0", "--filter-file", source, "-w", path)
    odd = bytes.fromhex("ff" * 12 + "88b5" + "ff" * 50)
    lab.sender().send(odd, CHAIN, odd)
    assert client.interrupt() == 0
    got = capfile.read(path).packets
    assert [p.data for p in got] == [CHAIN]
    assert any("filtered" in line for line in client.err.lines()), client.err.text()


@pytest.mark.parametrize("option,length", [(("--headers-only",), 70), (("-s", "40"), 40)],
                         ids=["headers", "snaplen"])
def test_what_is_filtered_here_is_cut_here(lab, agent, option, length):
    """The filter still sees what is behind the cut."""
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "cap0", *option, "-w", path,
                         "ip6 protochain 17 and ether[85] = 0xff")
    lab.sender().send(CHAIN, CHAIN[:-1] + b"\0")
    assert client.interrupt() == 0
    assert [(p.data, p.orig_len) for p in capfile.read(path).packets] == [
        (CHAIN[:length], len(CHAIN))]
