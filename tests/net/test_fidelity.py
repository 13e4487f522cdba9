"""What arrives is what was on the wire: tcpdump beside us is the witness."""
import time

import pytest

import capfile
import frames

COUNT = 10000
RATE = 8000


def differences(ours, theirs):
    """Where two lists of records part; empty when they are equal."""
    if ours == theirs:
        return ""
    for i, (a, b) in enumerate(zip(ours, theirs)):
        if a != b:
            return (f"packet {i}: time {a[0]} and {b[0]}, original length {a[1]} and {b[1]}, "
                    f"captured {len(a[2])} and {len(b[2])}, bytes equal: {a[2] == b[2]}\n"
                    f"{a[2][:64].hex()}\n{b[2][:64].hex()}")
    return f"{len(ours)} packets and {len(theirs)}"


def stripped(frame):
    """Length as the kernel's filter sees it: without the outer tag."""
    return len(frame.data) - (4 if frame.tags else 0)


# The second column: which frames a live tcpdump selects, to know when it has
# them all.  It ignores one tag, the outer one, unless the expression asks for it.
FILTERS = {
    "": lambda f: True,
    "udp": lambda f: f.kind in ("udp4", "udp6") and len(f.tags) < 2,
    "ip6 or arp": lambda f: f.kind in ("udp6", "tcp6", "arp") and len(f.tags) < 2,
    "greater 1515": lambda f: stripped(f) >= 1515,
    "vlan": lambda f: f.tags,
    "vlan 100 and udp": lambda f: f.tags == (100,) and f.kind in ("udp4", "udp6"),
    "tcp dst port 80 and src net 192.0.2.0/24":
        lambda f: f.kind == "tcp4" and len(f.tags) < 2,
}
CASES = [(text, "pcapng") for text in FILTERS] + [("", "pcap"), ("vlan", "pcap")]


@pytest.mark.parametrize("text,suffix", CASES,
                         ids=[f"{text or 'everything'}-{suffix}" for text, suffix in CASES])
def test_the_file_is_the_one_tcpdump_writes(lab, agent, text, suffix):
    sent = frames.mixed(COUNT)
    wanted = [f.data for f in sent if FILTERS[text](f)]
    words = [text] if text else []
    witness = lab.tcpdump(lab.file("witness.pcap"), "-c", str(len(wanted)), *words)
    client = lab.capture("-i", "cap0", "-w", lab.file(f"ours.{suffix}"), *words)
    lab.sender().send_paced([f.data for f in sent], RATE)
    assert witness.wait(20) == 0
    assert client.interrupt() == 0
    theirs = capfile.read(lab.file("witness.pcap")).records()
    ours = capfile.read(lab.file(f"ours.{suffix}"))
    assert ours.kind == suffix
    assert [data for _, _, data in theirs] == wanted
    assert differences(ours.records(), theirs) == ""
    assert client.counts() == {"captured": len(wanted), "received": len(wanted), "dropped": 0}


def test_two_clients_agree_to_the_nanosecond_without_a_witness(lab, agent):
    sent = [f.data for f in frames.mixed(COUNT, seed=2)]
    clients = [lab.capture("-i", "cap0", "-w", lab.file(f"{i}.pcapng")) for i in range(2)]
    lab.sender().send_paced(sent, RATE)
    assert [c.interrupt() for c in clients] == [0, 0]
    first, second = (capfile.read(lab.file(f"{i}.pcapng")).records() for i in range(2))
    assert [data for _, _, data in first] == sent
    assert differences(first, second) == ""
    # Whole microseconds throughout would agree as well, by being coarse.
    assert len({ts % 1000 for ts, _, _ in first}) > 100


def test_time_never_runs_backwards_and_is_now(lab, agent):
    before = time.time_ns()
    client = lab.capture("-i", "cap0", "-w", lab.file("a.pcapng"), "-c", "500")
    lab.sender().send(*frames.numbered(500))
    assert client.wait() == 0
    times = [p.ts_ns for p in capfile.read(lab.file("a.pcapng")).packets]
    assert times == sorted(times)
    assert before < times[0] and times[-1] < time.time_ns()


@pytest.mark.parametrize("name", ["a.pcapng", "a.pcap"])
def test_snaplen_cuts_and_the_original_length_stays(lab, agent, name):
    sent = [f.data for f in frames.mixed(500, seed=3)]
    client = lab.capture("-i", "cap0", "-s", "96", "-w", lab.file(name))
    lab.sender().send(*sent)
    assert client.interrupt() == 0
    cap = capfile.read(lab.file(name))
    assert [i.snaplen for i in cap.interfaces] == [96]
    got = cap.packets
    assert [p.orig_len for p in got] == [len(data) for data in sent]
    assert [p.data for p in got] == [data[:96] for data in sent]


def test_directions_are_told(lab, agent):
    """Incoming by its destination, outgoing as such; flags of the packet block."""
    client = lab.capture("-i", "cap0", "-w", lab.file("a.pcapng"), "-c", "3")
    ours, other, all_of_us = (bytes.fromhex(m) for m in
                              ("020000000002", "020000000099", "ffffffffffff"))
    frame = frames.numbered(1)[0][6:]
    incoming = lab.sender()
    incoming.send(ours + frame)
    incoming.send(all_of_us + frame)
    # From the sensor itself.
    lab.sender(ns=lab.net.sensor, iface="cap0").send(other + frame)
    assert client.wait() == 0
    flags = [p.flags & 0x1F for p in capfile.read(lab.file("a.pcapng")).packets]
    # Bits 0-1: 1 in, 2 out; bits 2-4: 1 unicast, 3 broadcast.
    assert [f & 3 for f in flags] == [1, 1, 2]
    assert [f >> 2 for f in flags[:2]] == [1, 3]


def test_without_p_the_interface_is_promiscuous_and_with_it_not(lab, agent):
    client = lab.capture("-i", "cap0", "-w", lab.file("a.pcapng"))
    assert lab.net.promiscuity() == 1
    assert client.interrupt() == 0
    client = lab.capture("-i", "cap0", "-p", "-w", lab.file("b.pcapng"))
    assert lab.net.promiscuity() == 0
    assert client.interrupt() == 0
