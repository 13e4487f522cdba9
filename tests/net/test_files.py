"""What arrives and how it is written: events, later interfaces, link types, filters here.

Most tests speak to the client as an agent of their own (puppet.py), because
the order of what comes is the point.
"""
import os
import re
import signal
import struct
import subprocess
import time

import pytest

import capfile
import frames
import puppet
import wire
from lab import Proc, eventually, run
from puppet import RAW_IP, SLL2

COMMENT, IF_NAME, IF_FILTER = 1, 2, 11
IFRECV, IFDROP, FILTERACCEPT, OSDROP, USRDELIV = range(4, 9)

UDP = frames.numbered(20)
TCP = [frames.ethernet(0x0800, frames.ipv4(6, frames.tcp(bytes(60)))) for _ in range(20)]


@pytest.fixture
def agent_of_ours(lab, pki):
    made = puppet.Puppet(lab, pki)
    yield made
    made.close()


def raw_comments(packet_or_options):
    text = packet_or_options.comment if hasattr(packet_or_options, "comment") \
        else packet_or_options.get(COMMENT)
    return (text or b"").decode().split("\n") if text else []


def comments(packet_or_options):
    """Without the times of events."""
    return [re.sub(r", at \d\d:\d\d:\d\d\.\d$", "", text)
            for text in raw_comments(packet_or_options)]


def name_of(interface):
    return interface.options[IF_NAME].decode()


def counter(options, code):
    return struct.unpack("<Q", options[code])[0]


def count_of(path):
    """Packets in a file that is being written."""
    try:
        return len(capfile.read(path).packets)
    except capfile.Broken:
        return -1  # a look between two system calls


def begin(lab, puppet_agent, interfaces, *args, path="a.pcapng", snaplen=65535, names=("cap0",)):
    """A client whose capture of these interfaces runs, and its file."""
    path = lab.file(path)
    flags = [word for name in names for word in ("-i", name)]
    client = lab.client(*flags, "-w", path, *args)
    start = puppet_agent.accept()
    puppet_agent.send(puppet.started(interfaces, snaplen))
    client.wait_listening()
    return client, path, start


def finish(client, agent, counters, last, status=0):
    client.signal(signal.SIGINT)
    agent.end(counters, last)
    assert client.wait() == status, client.report()


def all_of(n):
    return {"received": n, "batched": n}


# --- events ---


def test_an_event_that_overtook_batches_stands_in_its_place(lab, agent_of_ours):
    client, path, _ = begin(lab, agent_of_ours, [puppet.interface("cap0")])
    agent_of_ours.send(puppet.event(3, "interface 'cap0' is down", kind=1, iface=0),
                       puppet.event(3, "interface 'cap0' is up", kind=2, iface=0))
    # People hear of it at once.
    client.err.wait(r"interface 'cap0' is down")
    client.err.wait(r"interface 'cap0' is up")
    for i in range(4):
        agent_of_ours.send(puppet.batch(i + 1, UDP[2 * i:2 * i + 2]))
    finish(client, agent_of_ours, [all_of(8)], 4)
    said = [comments(p) for p in capfile.read(path).packets]
    clock = time.strftime("%H:%M:%S", time.localtime(puppet.NOW // 10**9))
    assert raw_comments(capfile.read(path).packets[4])[0] == \
        f"interface 'cap0' is down, at {clock}.{puppet.NOW // 10**8 % 10}"
    assert said == [[]] * 4 + [["interface 'cap0' is down", "interface 'cap0' is up"]] + [[]] * 3


def test_what_no_packet_follows_stands_beside_the_last_counters(lab, agent_of_ours):
    client, path, _ = begin(lab, agent_of_ours, [puppet.interface("cap0")])
    agent_of_ours.send(puppet.batch(1, UDP[:2]), puppet.gap(2, 3, 7),
                       puppet.event(4, "the clock was set"), puppet.event(9, "gone"))
    client.err.wait(r"the clock was set")
    client.err.wait(r"gone")
    finish(client, agent_of_ours, [all_of(9)], 3, status=8)
    got = capfile.read(path)
    assert [comments(p) for p in got.packets] == [[], []]
    (_, options), = got.stats
    assert re.match(r"7 packets missing here: agent buffer full", comments(options)[0])
    assert comments(options)[1:] == ["the clock was set", "gone"]
    assert counter(options, IFDROP) == 7


def test_a_gap_and_events_share_the_packet_behind_them(lab, agent_of_ours):
    client, path, _ = begin(lab, agent_of_ours, [puppet.interface("cap0")])
    agent_of_ours.send(puppet.batch(1, UDP[:1]), puppet.event(3, "mtu 1400", kind=5, iface=0),
                       puppet.gap(2, 2, 5), puppet.batch(3, UDP[1:2]))
    finish(client, agent_of_ours, [all_of(7)], 3, status=8)
    last = capfile.read(path).packets[-1]
    assert comments(last)[0].startswith("5 packets missing")
    assert comments(last)[1] == "mtu 1400"
    assert last.drops == 5
    shown = run("tshark", "-r", path, "-T", "fields", "-e", "frame.comment", "-e", "frame.number")
    assert "mtu 1400" in shown


def test_counters_without_a_field_of_their_own_are_in_words(lab, agent_of_ours):
    client, path, _ = begin(lab, agent_of_ours, [puppet.interface("cap0")], "-v")
    agent_of_ours.send(puppet.batch(1, UDP[:2]))
    counters = {"received": 9, "dropped_kernel": 4, "dropped_interface": 1, "batched": 2,
                "dropped_filter_change": 3, "freezes": 2}
    finish(client, agent_of_ours, [counters], 1, status=8)
    (_, options), = capfile.read(path).stats
    assert comments(options) == ["kernel ring freezes: 2, packets lost at filter changes: 3"]
    assert counter(options, OSDROP) == 4
    assert counter(options, IFDROP) == 4 + 1 + 3
    assert client.err.wait("^3 packets lost at a filter change$")
    assert client.err.wait("^2 freezes of the kernel's ring$")


# --- interfaces that come later ---


def test_an_interface_that_comes_later_has_its_block_before_its_packets(lab, agent_of_ours):
    client, path, _ = begin(lab, agent_of_ours, [puppet.interface("veth1", 5)], names=("veth*",))
    agent_of_ours.send(puppet.batch(1, UDP[:2]),
                       puppet.interface_added(puppet.interface("veth2", 6), 2),
                       puppet.batch(2, UDP[2:4], iface=1), puppet.batch(3, UDP[4:5]))
    client.err.wait(r"listening on 10.9.0.1:veth2, ")
    finish(client, agent_of_ours, [all_of(3), all_of(2)], 3)
    got = capfile.read(path)
    assert [name_of(i) for i in got.interfaces] == ["10.9.0.1:veth1", "10.9.0.1:veth2"]
    assert [p.iface for p in got.packets] == [0, 0, 1, 1, 0]
    assert {i.snaplen for i in got.interfaces} == {262144}
    assert [(i, counter(o, USRDELIV)) for i, o in got.stats] == [(0, 3), (1, 2)]
    assert client.counts() == {"captured": 5, "received": 5, "dropped": 0}
    # Written whole, in spite of the block between the packets.
    for reader in (["tcpdump", "-n", "-r"], ["tshark", "-n", "-r"]):
        assert len(run(*reader, path).splitlines()) == 5


def test_a_pcap_merges_interfaces_and_counts_what_it_cannot_hold(lab, agent_of_ours):
    client, path, start = begin(lab, agent_of_ours, [puppet.interface("a"), puppet.interface("b")],
                                path="a.pcap", names=("any",))
    agent_of_ours.send(puppet.batch(1, UDP[:2], iface=1))
    agent_of_ours.send(puppet.interface_added(puppet.interface("tun0", 9, RAW_IP), 2),
                       puppet.batch(2, [UDP[0][14:]] * 3, iface=2), puppet.batch(3, UDP[2:3]))
    agent_of_ours.wait_acked(3)
    finish(client, agent_of_ours, [all_of(1), all_of(2), all_of(3)], 3, status=8)
    assert len(capfile.read(path).packets) == 3
    said = [line for line in client.errors() if "pcap" in line]
    assert len(said) == 2, said
    assert "which one a packet came from is not kept: use -w x.pcapng" in said[0]
    assert "'10.9.0.1:tun0'" in said[1]
    client.err.wait("^3 packets not written [(]the file cannot hold their link type[)]$")
    assert start.get(10, [0]) == [0]


def test_a_pcap_of_mixed_types_is_refused_and_nothing_is_written(lab, agent_of_ours):
    path = lab.file("a.pcap")
    client = lab.client("-i", "cap0", "-i", "tun0", "-w", path)
    agent_of_ours.accept()
    agent_of_ours.send(puppet.started([puppet.interface("cap0"),
                                       puppet.interface("tun0", 9, RAW_IP, request=1)]),
                       # Nobody waits for these any more.
                       puppet.event(1, "x"), puppet.stats([{}, {}]), puppet.batch(1, UDP[:1]),
                       puppet.gap(2, 2, 1), puppet.interface_added(puppet.interface("eth7"), 3),
                       puppet.ended([{}, {}, {}], 2))
    assert client.wait() == 7
    assert len(client.errors()) == 1
    assert "-w x.pcapng" in client.err.text() and "--split-by-linktype" in client.err.text()
    assert not os.path.exists(path)


def test_a_pcapng_of_mixed_types_is_noted_once(lab, agent_of_ours):
    mixed = [puppet.interface("cap0"), puppet.interface("tun0", 9, RAW_IP, request=1),
             puppet.interface("gre0", 10, SLL2)]
    client, path, _ = begin(lab, agent_of_ours, mixed, names=("cap0", "tun0"))
    agent_of_ours.send(puppet.batch(1, UDP[:1]), puppet.batch(2, [UDP[0][14:]], iface=1))
    finish(client, agent_of_ours, [all_of(1), all_of(1), {}], 2)
    assert len([line for line in client.errors() if "tcpdump" in line]) == 1
    assert len(run("tshark", "-n", "-r", path).splitlines()) == 2
    refused = subprocess.run(["tcpdump", "-r", path], capture_output=True, check=False)
    assert refused.returncode != 0, "tcpdump reads it: the note is not needed"


@pytest.mark.parametrize("suffix", ["pcapng", "pcap"])
def test_split_files_are_whole_and_tcpdump_reads_each(lab, agent_of_ours, suffix):
    mixed = [puppet.interface("cap0"), puppet.interface("tun0", 9, RAW_IP, request=1)]
    client, path, _ = begin(lab, agent_of_ours, mixed, "--split-by-linktype",
                            path=f"a.{suffix}", names=("cap0", "tun0"))
    agent_of_ours.send(puppet.batch(1, UDP[:2]), puppet.batch(2, [UDP[0][14:]], iface=1))
    agent_of_ours.send(puppet.interface_added(puppet.interface("cap1", 10), 3),
                       puppet.batch(3, UDP[2:4], iface=2))
    finish(client, agent_of_ours, [all_of(2), all_of(1), all_of(2)], 3)
    assert not os.path.exists(path)
    ether = lab.file(f"a.EN10MB.{suffix}")
    raw = lab.file(f"a.RAW.{suffix}")
    assert [p.data for p in capfile.read(ether).packets] == UDP[:4]
    assert [p.data for p in capfile.read(raw).packets] == [UDP[0][14:]]
    for one, count in ((ether, 4), (raw, 1)):
        assert len(run("tcpdump", "-n", "-r", one).splitlines()) == count
    if suffix == "pcapng":
        got = capfile.read(ether)
        assert [name_of(i) for i in got.interfaces] == ["10.9.0.1:cap0", "10.9.0.1:cap1"]
        assert [(i, counter(o, USRDELIV)) for i, o in got.stats] == [(0, 2), (1, 2)]
    assert client.counts()["captured"] == 5


def test_two_raw_interfaces_in_a_pcapng_are_noted_because_libpcap_refuses_them(lab, agent_of_ours):
    two = [puppet.interface("tun0", 8, RAW_IP), puppet.interface("tun1", 9, RAW_IP, request=1)]
    client, path, _ = begin(lab, agent_of_ours, two, names=("tun0", "tun1"))
    agent_of_ours.send(puppet.batch(1, [UDP[0][14:]], iface=1))
    finish(client, agent_of_ours, [{}, all_of(1)], 1)
    assert len([line for line in client.errors() if "tcpdump" in line and "x.pcap" in line]) == 1
    assert len(run("tshark", "-n", "-r", path).splitlines()) == 1
    # libpcap compares the file's number for raw IP with its own.
    refused = subprocess.run(["tcpdump", "-r", path], capture_output=True, check=False)
    assert refused.returncode != 0, "tcpdump reads it: the note is not needed"


def test_interface_blocks_say_how_their_packets_were_chosen(lab, agent_of_ours):
    interfaces = [
        puppet.interface("eth0", netns="netns:blue"),
        puppet.interface("eth1", request=1, place=1, time_stamp_type=1),
        puppet.interface("eth2", request=2),
    ]
    client, path, start = begin(lab, agent_of_ours, interfaces, "-f", "vlan 7 and tcp",
                                names=("netns:blue/eth0", "eth1", "eth2"))
    requests = [wire.parse(r) for r in start[1]]
    filters = [wire.parse(f).get(1, [b""])[0].decode() for f in start[2]]
    assert [r[1][0].decode() for r in requests] == ["netns:blue/eth0", "eth1", "eth2"]
    assert filters[requests[2].get(4, [0])[0]] == "vlan 7 and tcp"
    finish(client, agent_of_ours, [{}, {}, {}], 0)
    got = capfile.read(path).interfaces
    assert name_of(got[0]) == "10.9.0.1:netns:blue/eth0"
    client.err.wait("listening on 10.9.0.1:netns:blue/eth0, ")
    assert got[2].options[IF_FILTER] == b"\0vlan 7 and tcp"
    assert comments(got[2].options) == ["filter: exact: VLAN tags count as in this file"]
    assert IF_FILTER not in got[1].options
    assert comments(got[1].options) == [
        "packets with a VLAN tag filtered by the agent; time stamps: adapter; the host's on "
        "packets it did not stamp, such as outgoing ones"]


def test_a_pipe_carries_later_interfaces_and_events(lab, agent_of_ours):
    read_fd, write_fd = os.pipe()
    client = lab.client("-i", "veth*", "-w", "-", stdout=write_fd)
    os.close(write_fd)
    tshark = Proc(lab, "tshark", ["tshark", "-r", "-", "-l", "-n", "-T", "fields", "-e",
                                  "frame.interface_name", "-e", "frame.comment"], stdin=read_fd)
    os.close(read_fd)
    agent_of_ours.accept()
    agent_of_ours.send(puppet.started([puppet.interface("veth1", 5)]), puppet.batch(1, UDP[:1]))
    tshark.out.wait(r"^10.9.0.1:veth1\t$")
    agent_of_ours.send(puppet.interface_added(puppet.interface("veth2", 6), 2),
                       puppet.event(2, "interface 'veth1' is down", kind=1, iface=0),
                       puppet.batch(2, UDP[1:2], iface=1))
    tshark.out.wait(r"^10.9.0.1:veth2\tinterface 'veth1' is down, at [0-9:.]+$")
    finish(client, agent_of_ours, [all_of(1), all_of(1)], 2)
    assert tshark.wait() == 0


# --- programs and filters ---


def test_programs_that_the_agent_lacks_are_made_and_sent(lab, agent_of_ours):
    client = lab.client("-i", "wlan0", "-w", lab.file("a.pcapng"), "udp")
    first = agent_of_ours.accept()
    known = {wire.parse(p)[1][0] for p in wire.parse(first[2][0])[3]}
    assert 105 not in known
    agent_of_ours.send(puppet.need_programs([105]))
    second = agent_of_ours.expect(wire.START)
    assert {wire.parse(p)[1][0] for p in wire.parse(second[2][0])[3]} == known | {105}
    agent_of_ours.send(puppet.started([puppet.interface("wlan0", link_type=105)]))
    client.wait_listening()
    finish(client, agent_of_ours, [{}], 0)


def test_an_agent_that_asks_for_the_same_program_for_ever_is_left(lab, agent_of_ours):
    client = lab.client("-i", "wlan0", "-w", lab.file("a.pcapng"), "udp")
    agent_of_ours.accept()
    for _ in range(2):
        agent_of_ours.send(puppet.need_programs([1]))
    assert client.wait() == 1


def test_what_the_kernel_cannot_filter_is_filtered_here_and_counted(lab, agent_of_ours):
    client, path, _ = begin(lab, agent_of_ours, [puppet.interface("cap0", place=2, snaplen=50)],
                            "-s", "50", "-f", "udp", snaplen=50)
    client.err.wait("all packets travel")
    both = [f for pair in zip(UDP, TCP) for f in pair]
    agent_of_ours.send(puppet.batch(1, both[:10]))
    agent_of_ours.wait_acked(1)
    # Nothing of the second batch is written, and still it is done with.
    agent_of_ours.send(puppet.batch(2, TCP[:4]))
    agent_of_ours.wait_acked(2)
    finish(client, agent_of_ours, [all_of(14)], 2)
    got = capfile.read(path)
    assert [p.data for p in got.packets] == [f[:50] for f in UDP[:5]]
    assert {p.orig_len for p in got.packets} == {100}
    assert client.counts() == {"captured": 5, "received": 14, "dropped": 0}
    client.err.wait("^9 packets filtered by client$")
    (_, options), = got.stats
    assert (counter(options, IFRECV), counter(options, FILTERACCEPT)) == (14, 5)
    assert counter(options, IFDROP) == 0
    assert comments(options) == ["packets filtered by client: 9"]
    assert "filtered on arrival by capclient" in comments(got.interfaces[0].options)[0]


def test_what_the_agent_explained_is_not_explained_again(lab, agent_of_ours):
    def lines(args, notes):
        client = lab.client("-i", "cap0", "-w", lab.file("a.pcapng"), *args)
        agent_of_ours.accept()
        agent_of_ours.send(puppet.started([puppet.interface("cap0", place=2)], notes=notes))
        client.wait_listening()
        finish(client, agent_of_ours, [{}], 0)
        return [line for line in client.errors() if "all packets travel" in line]

    note = "interface 'cap0': no room: filtered by the client: all packets travel"
    assert lines(["udp"], note) == ["capclient: " + note]
    # The agent does not know what is not in a program.
    (line,) = lines(["ip", "protochain", "17"], "ring made smaller")
    assert "'protochain' needs a loop" in line and "filtered here" in line


def test_a_count_is_of_packets_that_match_here(lab, agent_of_ours):
    text = "ip protochain 17"
    client, path, start = begin(lab, agent_of_ours, [puppet.interface("cap0", place=2)], "-c", "3",
                                "-f", text)
    assert start.get(10, [0]) == [0]
    assert wire.parse(start[2][0])[4] == [1]
    agent_of_ours.send(puppet.batch(1, TCP[:9] + UDP[:2]), puppet.batch(2, TCP[:1] + UDP[2:5]))
    agent_of_ours.end([all_of(15)], 2)
    assert client.wait() == 0
    assert [p.data for p in capfile.read(path).packets] == UDP[:3]


def test_a_filter_for_no_kernel_answers_as_over_a_file(lab, agent):
    expression = "ip protochain 17 or arp"
    everything, path = lab.file("all.pcap"), lab.file("a.pcapng")
    full = lab.tcpdump(everything, "-U")
    client = lab.capture("-i", "cap0", "-w", path, "--exact-filter", "-s", "200", "-f", expression)
    client.err.wait("all packets travel")
    lab.sender().send_paced([f.data for f in frames.mixed(400)], 4000)
    assert client.interrupt() == 0
    eventually(lambda: count_of(everything) == 400, 10, "tcpdump's packets")
    full.signal(signal.SIGTERM)
    full.wait()
    wanted = lab.file("wanted.pcap")
    run("tcpdump", "-r", everything, "-w", wanted, "--time-stamp-precision=nano", expression)
    want = [(p.orig_len, p.data[:200]) for p in capfile.read(wanted).packets]
    got = [(p.orig_len, p.data) for p in capfile.read(path).packets]
    assert got == want
    assert 50 < len(got) < 350
    counts = client.counts()
    assert (counts["captured"], counts["received"]) == (len(got), 400)
    client.err.wait(f"^{400 - len(got)} packets filtered by client$")


def test_kernel_only_refuses_what_would_be_filtered_here(lab, agent):
    path = lab.file("a.pcapng")
    client = lab.client("-i", "cap0", "-w", path, "--kernel-only", "-f", "ip protochain 17")
    assert client.wait() == 6, client.report()
    assert not os.path.exists(path)


def test_one_cooked_socket_says_in_the_file_what_it_loses(lab, agent):
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "any", "--cooked", "-w", path)
    lab.sender().send(*UDP[:3])
    client.err.wait("promiscuous")
    assert client.interrupt() == 0
    got = capfile.read(path)
    (interface,) = got.interfaces
    assert interface.link_type == SLL2
    assert "not promiscuous, no VLAN tags, no link-layer tests in the filter" in \
        comments(interface.options)[0]


# --- live changes ---


def write_filter(path, text):
    with open(path + ".new", "w", encoding="ascii") as f:
        f.write(text)
    os.rename(path + ".new", path)


def test_a_changed_filter_is_said_in_its_place(lab, agent_of_ours):
    expression = lab.file("filter")
    write_filter(expression, "udp")
    client, path, _ = begin(lab, agent_of_ours, [puppet.interface("cap0")], "--filter-file",
                            expression)
    write_filter(expression, "tcp")
    client.signal(signal.SIGUSR2)
    update = agent_of_ours.expect(wire.UPDATE_FILTER)
    assert update[1] == [1] and wire.parse(update[2][0])[1] == [b"tcp"]
    agent_of_ours.send(puppet.filter_changed(1, 2, [0]))
    client.err.wait(r"^capclient: filter changed to 'tcp' at \d\d:\d\d:\d\d\.\d$")
    agent_of_ours.send(puppet.batch(1, UDP[:2]), puppet.batch(2, TCP[:2]))
    finish(client, agent_of_ours, [all_of(4)], 2)
    got = capfile.read(path)
    said = [comments(p) for p in got.packets]
    assert said[0] == said[1] == said[3] == []
    assert re.fullmatch(r"filter changed to 'tcp' at \d\d:\d\d:\d\d\.\d", said[2][0])
    assert comments(got.stats[0][1]) == ["filter changes: 1"]


def test_packets_before_a_change_are_judged_by_the_old_filter(lab, agent_of_ours):
    expression = lab.file("filter")
    write_filter(expression, "udp")
    client, path, _ = begin(lab, agent_of_ours, [puppet.interface("cap0", place=2)],
                            "--filter-file", expression)
    write_filter(expression, "tcp")
    client.signal(signal.SIGUSR2)
    agent_of_ours.expect(wire.UPDATE_FILTER)
    agent_of_ours.send(puppet.filter_changed(1, 3, [2]))
    client.err.wait("filter changed to 'tcp'")
    both = [UDP[0], TCP[0]]
    for i in range(4):
        agent_of_ours.send(puppet.batch(i + 1, both))
    finish(client, agent_of_ours, [all_of(8)], 4)
    assert [p.data for p in capfile.read(path).packets] == [UDP[0]] * 2 + [TCP[0]] * 2


def test_signals_while_a_change_is_under_way_become_one_more(lab, agent_of_ours):
    expression = lab.file("filter")
    write_filter(expression, "udp")
    client, _, _ = begin(lab, agent_of_ours, [puppet.interface("cap0")], "--filter-file",
                         expression)
    write_filter(expression, "port 1")
    client.signal(signal.SIGUSR2)
    agent_of_ours.expect(wire.UPDATE_FILTER)
    for port in range(2, 6):
        write_filter(expression, f"port {port}")
        client.signal(signal.SIGUSR2)
    # The signals have arrived when SIGUSR1, sent behind them, is answered.
    client.signal(signal.SIGUSR1)
    client.err.wait("packets captured, ")
    agent_of_ours.send(puppet.filter_changed(1, 1, [0]))
    update = agent_of_ours.expect(wire.UPDATE_FILTER)
    assert (update[1], wire.parse(update[2][0])[1]) == ([2], [b"port 5"])
    agent_of_ours.send(puppet.filter_changed(2, 1, [0]))
    client.err.wait("filter changed to 'port 5'")
    finish(client, agent_of_ours, [{}], 0)
    assert len([line for line in client.errors() if "filter changed" in line]) == 2


def test_a_bad_file_or_a_refusal_leaves_the_old_filter(lab, agent_of_ours):
    expression = lab.file("filter")
    write_filter(expression, "udp")
    client, path, _ = begin(lab, agent_of_ours, [puppet.interface("cap0", place=2)],
                            "--filter-file", expression)
    write_filter(expression, "udp and and")
    client.signal(signal.SIGUSR2)
    client.err.wait("filter not changed, the old one stays: .*syntax error")
    os.unlink(expression)
    client.signal(signal.SIGUSR2)
    client.err.wait("filter not changed, the old one stays: .*No such file")
    write_filter(expression, "tcp")
    client.signal(signal.SIGUSR2)
    update = agent_of_ours.expect(wire.UPDATE_FILTER)
    assert update[1] == [1]
    agent_of_ours.send(puppet.filter_changed(1, 0, [], code=-11, text="interface 'cap0': no room"))
    client.err.wait("filter not changed, the old one stays: interface 'cap0': no room")
    agent_of_ours.send(puppet.batch(1, [UDP[0], TCP[0]]))
    agent_of_ours.wait_acked(1)
    write_filter(expression, "port 80")
    client.signal(signal.SIGUSR2)
    assert agent_of_ours.expect(wire.UPDATE_FILTER)[1] == [2]
    agent_of_ours.send(puppet.filter_changed(2, 2, [2]), puppet.batch(2, [UDP[1], TCP[1]]))
    finish(client, agent_of_ours, [all_of(4)], 2)
    assert [p.data for p in capfile.read(path).packets] == [UDP[0], TCP[1]]


def test_the_real_agent_changes_filters_from_one_place_to_another(lab, agent):
    expression, path = lab.file("filter"), lab.file("a.pcapng")
    write_filter(expression, "udp port 9")
    client = lab.capture("-i", "cap0", "-s", "0", "-w", path, "--filter-file", expression)
    sender = lab.sender()
    both = [UDP[0], TCP[0]]
    sender.send(*both)
    for count, text in enumerate(("tcp", "ip protochain 17", "tcp port 80"), 1):
        # What is in the sensor's open block still would be judged by the next filter.
        eventually(lambda: count_of(path) == count, 5, "packet in the file")
        write_filter(expression, text)
        client.signal(signal.SIGUSR2)
        client.err.wait(f"filter changed to '{text}' at ")
        sender.send(*both)
    assert client.interrupt() == 0, client.report()
    got = capfile.read(path)
    assert [p.data for p in got.packets] == [UDP[0], TCP[0], UDP[0], TCP[0]]
    assert [" ".join(comments(p))[:20] for p in got.packets] == \
        ["", "filter changed to 't", "filter changed to 'i", "filter changed to 't"]
    client.err.wait("^1 packet filtered by client$")
    assert len([line for line in client.errors() if "all packets travel" in line]) == 1


def test_a_change_too_long_for_a_message_leaves_the_old_filter(lab, agent_of_ours):
    expression, room = lab.file("filter"), 1 << 20
    write_filter(expression, "udp")
    # Texts travel as they are written, blanks and all: almost a message full.
    others = [word for i in range(15)
              for word in ("-i", f"eth{i}", "-f", f"tcp port {i + 1}".ljust(65000))]
    others += ["-i", "eth15", "-f", "tcp port 16".ljust(room - 15 * 65000 - 12000)]
    interfaces = [puppet.interface(f"eth{i}", 10 + i, request=i) for i in range(17)]
    client = lab.client(*others, "-i", "cap0", "-w", lab.file("a.pcapng"), "--filter-file",
                        expression)
    agent_of_ours.accept()
    agent_of_ours.send(puppet.started(interfaces))
    client.wait_listening()
    # A long text that libpcap is done with at once.
    write_filter(expression, "tcp port " + "0" * 60000 + "7")
    client.signal(signal.SIGUSR2)
    client.err.wait("filter not changed, the old one stays: .*than a message", 60)
    # The capture goes on, and so do changes.
    write_filter(expression, "arp")
    client.signal(signal.SIGUSR2)
    update = agent_of_ours.expect(wire.UPDATE_FILTER)
    assert (update[1], wire.parse(update[2][16])[1]) == ([1], [b"arp"])
    agent_of_ours.send(puppet.filter_changed(1, 1, [0] * 17))
    finish(client, agent_of_ours, [{}] * 17, 0)


@pytest.mark.parametrize("first", ["", "tcp", "ip protochain 17"])
def test_a_change_is_made_for_the_link_types_in_use(lab, agent, first):
    expression, path = lab.file("filter"), lab.file("a.pcapng")
    write_filter(expression, first)
    client = lab.capture("-i", "cap0", "-y", "LINUX_SLL", "-w", path, "--filter-file", expression)
    write_filter(expression, "udp")
    client.signal(signal.SIGUSR2)
    client.err.wait("filter (not )?changed")
    assert "filter changed to 'udp'" in client.err.text()
    lab.sender().send(TCP[0], *UDP[:3])
    eventually(lambda: count_of(path) == 3, 10, "packets in the file")
    assert client.interrupt() == 0, client.report()


def endless_file(path):
    """Reading it takes until somebody writes: as libpcap may take, but no longer."""
    if os.path.exists(path):
        os.unlink(path)
    os.mkfifo(path)


def test_packets_and_signals_do_not_wait_for_the_new_filter(lab, agent_of_ours):
    expression = lab.file("filter")
    write_filter(expression, "udp")
    client, path, _ = begin(lab, agent_of_ours, [puppet.interface("cap0")], "--filter-file",
                            expression)
    endless_file(expression)
    client.signal(signal.SIGUSR2)
    # Writing waits for who reads, so that the client is at it.
    with open(expression, "w", encoding="ascii") as f:
        agent_of_ours.send(puppet.batch(1, UDP[:3]))
        agent_of_ours.wait_acked(1)
        agent_of_ours.expect(wire.PING)
        for _ in range(3):
            client.signal(signal.SIGUSR2)
        client.signal(signal.SIGUSR1)
        client.err.wait("3 packets captured, ")
        write_filter(expression, "port 5")
        f.write("tcp")
    update = agent_of_ours.expect(wire.UPDATE_FILTER)
    assert (update[1], wire.parse(update[2][0])[1]) == ([1], [b"tcp"])
    agent_of_ours.send(puppet.filter_changed(1, 2, [0]))
    # All signals meanwhile are one more reading.
    update = agent_of_ours.expect(wire.UPDATE_FILTER)
    assert (update[1], wire.parse(update[2][0])[1]) == ([2], [b"port 5"])
    agent_of_ours.send(puppet.filter_changed(2, 2, [0]))
    client.err.wait("filter changed to 'port 5'")
    finish(client, agent_of_ours, [all_of(3)], 1)
    assert count_of(path) == 3


@pytest.mark.parametrize("build", ["release", "debug"])
def test_a_capture_ends_while_libpcap_is_busy(lab, agent_of_ours, build):
    expression = lab.file("filter")
    write_filter(expression, "udp")
    client = lab.client("-i", "cap0", "-w", lab.file("a.pcapng"), "--filter-file", expression,
                        build=getattr(lab, build))
    agent_of_ours.accept()
    agent_of_ours.send(puppet.started([puppet.interface("cap0")]))
    client.wait_listening()
    # Minutes of it, as the hosts share no bits that its optimizer could use.
    hosts = " or ".join(f"host 10.{i // 250}.{i % 250}.1" for i in range(2000))
    write_filter(expression, hosts)
    client.signal(signal.SIGUSR2)
    agent_of_ours.send(puppet.batch(1, UDP[:3]))
    agent_of_ours.wait_acked(1)
    finish(client, agent_of_ours, [all_of(3)], 1)
    assert not re.search("filter (not )?changed", client.err.text())


def test_packets_of_a_new_link_type_wait_for_their_filter(lab, agent_of_ours):
    # Ethernet is compiled before the capture, raw IP when such an interface comes.
    expression = "ip protochain 17 or (" + " or ".join(f"host 10.0.{i}.1" for i in range(150)) + ")"
    client, path, _ = begin(lab, agent_of_ours, [puppet.interface("cap0", place=2)], "-f",
                            expression, names=("*",))
    agent_of_ours.send(puppet.interface_added(puppet.interface("tun0", 8, RAW_IP, place=2), 1))
    raw = [f[14:] for f in (UDP[0], TCP[0], UDP[1])]
    agent_of_ours.send(puppet.batch(1, raw, iface=1), puppet.batch(2, UDP[2:4] + TCP[:1]))
    finish(client, agent_of_ours, [all_of(3), all_of(3)], 2)
    assert [p.data for p in capfile.read(path).packets] == [raw[0], raw[2], UDP[2], UDP[3]]


def test_a_new_link_type_that_the_filter_does_not_fit_ends_the_capture(lab, agent_of_ours):
    client, path, _ = begin(lab, agent_of_ours, [puppet.interface("cap0", place=2)], "-f",
                            "ether proto 0x800 and ip protochain 17", names=("*",))
    agent_of_ours.send(puppet.batch(1, UDP[:2]))
    agent_of_ours.wait_acked(1)
    agent_of_ours.send(puppet.interface_added(puppet.interface("can0", 8, 227, place=2), 2),
                       puppet.batch(2, UDP[2:4], iface=1))
    assert client.wait() == 6, client.report()
    assert [p.data for p in capfile.read(path).packets] == UDP[:2]


def test_a_thousand_events_are_few_lines(lab, agent_of_ours):
    client, path, _ = begin(lab, agent_of_ours, [puppet.interface("cap0")])
    sent = [puppet.event(i // 10 + 1, f"interface 'cap0': event {i}", kind=1, iface=0)
            for i in range(1000)]
    agent_of_ours.send(*sent)
    agent_of_ours.send(*(puppet.batch(i + 1, UDP[:1]) for i in range(100)))
    agent_of_ours.wait_acked(100)
    finish(client, agent_of_ours, [all_of(100)], 100)
    lines = client.errors()
    shown = [line for line in lines if "event " in line]
    hidden = [int(n) for line in lines for n in re.findall(r"(\d+) more lines about events", line)]
    assert len(shown) + sum(hidden) == 1000
    assert len(shown) <= 40, "more than a few seconds can show"
    said = [text for p in capfile.read(path).packets for text in comments(p)]
    assert len([text for text in said if "event " in text]) == 1000


def test_without_a_filter_file_the_signal_flushes(lab, agent_of_ours):
    client, path, _ = begin(lab, agent_of_ours, [puppet.interface("cap0")])
    agent_of_ours.send(puppet.batch(1, UDP[:3]))
    client.signal(signal.SIGUSR2)
    eventually(lambda: count_of(path) == 3, 5, "packets in the file")
    finish(client, agent_of_ours, [all_of(3)], 1)
    assert client.errors() == []
