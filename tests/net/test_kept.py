"""What is kept of what matches: direction, headers only, samples, exact filters."""
import struct

import pytest

import capfile
import frames
from lab import run


def captured(lab, *args, send):
    """The packets in the file of a capture with these options."""
    path = lab.file("kept.pcapng")
    client = lab.capture("-i", "cap0", "-w", path, *args)
    lab.sender().send(*send)
    assert client.interrupt() == 0, client.err.text()
    packets = capfile.read(path).packets
    assert client.counts() == {"captured": len(packets), "received": len(packets), "dropped": 0}
    return packets


@pytest.mark.parametrize("frame, kept", [
    (frames.make("udp4", 500, (), bytes(500)), 14 + 20 + 8),
    (frames.make("tcp4", 500, (), bytes(500)), 14 + 20 + 20),
    (frames.make("udp6", 500, (), bytes(500)), 14 + 40 + 8),
    # A tag that the kernel strips and the agent puts back comes on top.
    (frames.make("udp4", 500, (7,), bytes(500)), 18 + 20 + 8),
    (frames.make("tcp6", 500, (7, 9), bytes(500)), 22 + 40 + 20),
    (frames.make("arp", 60, (), bytes(60)), 14 + 28),
    (frames.ethernet(0x88B5, bytes(100)), 14),
])
def test_headers_only_keeps_headers_only(lab, agent, frame, kept):
    packets = captured(lab, "--headers-only", send=[frame] * 10)
    assert [p.data for p in packets] == [frame[:kept]] * 10
    assert {p.orig_len for p in packets} == {len(frame)}


def test_headers_only_stays_within_the_snapshot_length(lab, agent):
    frame = frames.make("tcp4", 500, (), bytes(500))
    packets = captured(lab, "--headers-only", "-s", "40", send=[frame] * 10)
    assert [p.data for p in packets] == [frame[:40]] * 10


def test_a_sample_is_of_what_matches(lab, agent):
    wanted, other = frames.numbered(4000, dport=53), frames.numbered(4000, dport=54)
    mixed = [f for pair in zip(wanted, other) for f in pair]
    packets = captured(lab, "--sample", "1/4", "udp", "port", "53", send=mixed)
    assert {p.data for p in packets} <= set(wanted)
    # Eight standard deviations around a thousand.
    assert 780 < len(packets) < 1220


def test_a_sample_of_flows_keeps_both_directions_of_a_flow_or_none(lab, agent):
    def packet(src, dst, sport, dport):
        body = frames.udp(struct.pack(">I", 1), sport=sport, dport=dport)
        return frames.ethernet(0x0800, frames.ipv4(17, body, src=src, dst=dst))

    a, b = "192.0.2.1", "192.0.2.2"
    flows = [(packet(a, b, port, 53), packet(b, a, 53, port)) for port in range(1000, 1400)]
    packets = captured(lab, "--sample-flows", "1/4", send=[f for flow in flows for f in flow])
    got = {p.data for p in packets}
    kept = [flow for flow in flows if got & set(flow)]
    assert all(set(flow) <= got for flow in kept)
    assert 40 < len(kept) < 180


def test_a_direction_is_the_sensors(lab, agent):
    """The sensor sends on cap0 too: a raw socket there is the other direction."""
    received, sent = frames.numbered(50, dport=53), frames.numbered(50, dport=54)
    for option, want in (("in", received), ("out", sent), ("inout", received + sent)):
        path = lab.file(f"{option}.pcapng")
        client = lab.capture("-i", "cap0", "-w", path, "-Q", option)
        lab.sender().send(*received)
        lab.sender(ns=lab.net.sensor, iface="cap0").send(*sent)
        assert client.interrupt() == 0
        assert sorted(p.data for p in capfile.read(path).packets) == sorted(want), option


def test_an_exact_filter_judges_tags_as_the_file_does(lab, agent):
    plain, tagged = frames.make("udp4", 100, (), bytes(100)), frames.make("udp4", 104, (7,), bytes(104))
    for args, want in ((("udp",), [plain, tagged]), (("--exact-filter", "udp"), [plain]),
                       (("udp", "or", "(vlan", "7", "and", "udp)"), [plain, tagged])):
        assert [p.data for p in captured(lab, *args, send=[plain, tagged])] == want, args


# --- filters that do not fit twice ---

@pytest.fixture
def room(lab):
    """Sets what the sensor's kernel has for a filter, in bytes."""
    before = run("ip", "netns", "exec", lab.net.sensor, "sysctl", "-n",
                 "net.core.optmem_max").strip()
    yield lambda size: lab.net.sysctl(lab.net.sensor, "net.core.optmem_max", size)
    lab.net.sysctl(lab.net.sensor, "net.core.optmem_max", before)


def nets(count):
    return " or ".join(f"net 10.{i % 256}.{7 + i // 256}.0/24" for i in range(count))


def pairs(count):
    return " or ".join(f"(host 10.3.{i}.1 and udp port {1000 + i})" for i in range(count))


def test_a_filter_whose_copies_the_kernel_has_no_room_for_runs_there_as_one(lab, agent, room):
    """A megabyte holds both; in 40 KiB there is room for one."""
    tagged = [frames.make("udp4", 104, (7,), bytes(104)), frames.make("udp4", 104, (8,), bytes(104))]
    args = ("--kernel-only", f"vlan 7 and (udp or {nets(60)})")
    for size in (1 << 20, 40 << 10):
        room(size)
        assert captured_data(lab, *args, send=tagged) == tagged[:1], size
    room(8 << 10)
    client = lab.client("-i", "cap0", "-w", lab.file("none.pcapng"), *args)
    assert client.wait() == 6 and "optmem_max" in client.err.text()


def captured_data(lab, *args, send):
    return [p.data for p in captured(lab, *args, send=send)]


@pytest.mark.parametrize("options, plain_kept, tagged_kept", [
    ((), 200, 204), (("--headers-only",), 42, 46), (("-s", "30"), 30, 30),
    (("-s", "45", "--headers-only"), 42, 45)])
def test_tagged_frames_that_the_agent_judges_are_cut_as_the_kernel_cuts_others(
        lab, agent, room, options, plain_kept, tagged_kept):
    # Byte 100 is behind the snapshot length, and behind the headers.
    room(2 << 20)
    args = ("-v", f"udp or (vlan and (ether[100] = 0 and ether[15] = 7 or {pairs(250)}))")
    plain, tagged = frames.make("udp4", 200, (), bytes(200)), frames.make("udp4", 204, (7,), bytes(204))
    other = frames.make("udp4", 204, (8,), bytes(204))
    refused = lab.client("--kernel-only", "-i", "cap0", "-w", lab.file("no.pcapng"), *args)
    assert refused.wait() == 6 and "more than 4096" in refused.err.text()
    path = lab.file("kept.pcapng")
    client = lab.capture("-i", "cap0", "-w", path, *args, *options)
    assert "by the agent where packets are tagged" in client.err.text()
    lab.sender().send(plain, tagged, other)
    assert client.interrupt() == 0, client.err.text()
    got = capfile.read(path).packets
    assert [(p.data, p.orig_len) for p in got] == [(plain[:plain_kept], 200),
                                                   (tagged[:tagged_kept], 204)]
