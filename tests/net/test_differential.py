"""Random filters over random frames: the kernel's verdict through agent and
client is libpcap's.

With --exact-filter, and by default where the expression speaks of tags, the
file holds what pcap_offline_filter() selects from a complete recording.  By
default it holds what a live tcpdump with the same expression writes beside us.
The former also on an interface without a link header and on a cooked one.

A run prints its seed; CAPTEST_SEED repeats it.
"""
import contextlib
import os
import random
import select
import signal
import socket
import struct
import time
from collections import Counter, namedtuple

import pytest

import capfile
import devices
import exprs
import oddframes
import offline
import witness
from lab import LONG, eventually, run

# What one test compares: at least so many pairs, and so many of each
# construct; under --long for so many seconds and pairs; captures at a time.
AT_LEAST = 200
Kind = namedtuple("Kind", "name pairs frames seconds captures terms constructs of_frames")


def kind(name, pairs, frames, seconds, captures, terms, shapes, of_frames):
    constructs = (*terms, *shapes)
    return Kind(name, pairs[LONG], 1000 if LONG else frames, seconds, captures, terms, constructs,
                tuple(f"frame: {construct}"
                      for construct in (*of_frames, "incoming", "outgoing")))


EXACT = kind("exact", (22_000, 2_000_000), 110, 900, 12, {**exprs.TERMS, **exprs.TAG_TERMS},
             exprs.SHAPES, oddframes.CONSTRUCTS)
LIVE = kind("live", (6_000, 100_000), 110, 120, 6, {**exprs.TERMS, **exprs.LIVE_TERMS},
            exprs.SHAPES, oddframes.CONSTRUCTS)
RAW = kind("raw IP", (6_000, 100_000), 250, 60, 12, exprs.IP_TERMS, exprs.BARE_SHAPES,
           oddframes.BARE_CONSTRUCTS)
COOKED = kind("cooked", (6_000, 100_000), 250, 60, 12, exprs.COOKED_TERMS, exprs.BARE_SHAPES,
              oddframes.BARE_CONSTRUCTS)

RATE = 20_000
ARPHRD_PPP = 512    # captured cooked

# In immediate mode every slot of tcpdump's ring has the size of the snaplen:
# this one leaves room for a whole batch.
WITNESS = ("--immediate-mode", "-s", "9018", "-B", "16384")

# Frames that the kernel shows to nobody, with the reason.  Each was checked:
# the unfiltered witness must hold exactly the others.
UNSHOWN = {
    "skb_vlan_untag() drops an incoming frame that ends less than 6 bytes behind the type of "
    "its tag, before any capture sees it":
        lambda frame: not frame.is_outgoing and len(frame.data) < 20 and
        oddframes.is_tag(int.from_bytes(frame.data[12:14], "big")),
}

# Frames on which a live tcpdump differs from its own filter, with the reason.
FIRST_JUDGED_IN_USER_SPACE = (
    "libpcap judges the first frame behind a change of filter once more in user space, where "
    "'inbound' and 'outbound' are false and shifts and wrapping offsets are not the kernel's")

# data: as in a file; wire: what is sent, with its Ethernet type on a line without one.
Sent = namedtuple("Sent", "data made_of is_outgoing wire")


class Tally:
    """Pairs, and how many of them matched, for each construct."""

    def __init__(self, constructs):
        self.pairs = Counter({name: 0 for name in constructs})
        self.matched = Counter()
        self.all = self.all_matched = self.captures = 0

    def add(self, expr, frame, is_match):
        names = [f"filter: {name}" for name in expr.made_of]
        names += [f"frame: {name}" for name in frame.made_of]
        names.append("frame: outgoing" if frame.is_outgoing else "frame: incoming")
        self.pairs.update(names)
        if is_match:
            self.matched.update(names)
        self.all += 1
        self.all_matched += is_match

    def text(self):
        share = 100 * self.all_matched / max(self.all, 1)
        lines = [f"{self.all} pairs in {self.captures} captures, {share:.1f} % matched"]
        lines += [f"  {name:<36}{count:>10} pairs{self.matched[name]:>10} matched"
                  for name, count in sorted(self.pairs.items())]
        return "\n".join(lines)


def seed_of(kind):
    seed = os.environ.get("CAPTEST_SEED") or str(random.SystemRandom().getrandbits(32))
    return seed, random.Random(f"{seed} {kind}")


class Line:
    """Both ends of the line under test: frames come in and go out of cap0."""
    name, link = "cap0", offline.ETHERNET

    def __init__(self, lab):
        self.lab = lab
        self.incoming = lab.sender()
        self.outgoing = lab.sender(ns=lab.net.sensor, iface="cap0")

    def make_frames(self, rng, count):
        """What will be sent; what the kernel shows of it; what it does not, by reason."""
        sent = [Sent(odd.data, odd.made_of, rng.random() < 0.15, odd.data)
                for odd in oddframes.make(rng, count)]
        reasons = Counter()
        shown = []
        for frame in sent:
            reason = next((text for text, is_unshown in UNSHOWN.items() if is_unshown(frame)),
                          None)
            if reason is None:
                shown.append(frame)
            else:
                reasons[reason] += 1
        return sent, shown, reasons

    @contextlib.contextmanager
    def witnessed(self, path, shown):
        """What passes meanwhile is exactly this."""
        dump = self.lab.tcpdump(path, *WITNESS, "-c", str(len(shown)))
        yield
        assert dump.wait(30) == 0
        assert captured(path) == Counter(frame.data for frame in shown)

    def send(self, frame):
        (self.outgoing if frame.is_outgoing else self.incoming).send(frame.wire)


class TunLine:
    """A tun device: packets come in and go out without a link header."""

    def __init__(self, lab, device, link):
        self.lab, self.device, self.name, self.link = lab, device, device.name, link
        self.ifindex = lab.net.link(lab.net.sensor, device.name)["ifindex"]
        self.outgoing = lab.net.socket(lab.net.sensor, socket.AF_PACKET, socket.SOCK_RAW, 0)

    def header(self, ethertype, is_outgoing):
        if self.link == offline.RAW_IP:
            return b""
        return struct.pack(">HHIHBB8x", ethertype, 0, self.ifindex, ARPHRD_PPP,
                           witness.OUTGOING if is_outgoing else 0, 0)

    def make_frames(self, rng, count):
        sent = []
        for bare in oddframes.make_bare(rng, count):
            is_outgoing = rng.random() < 0.2
            sent.append(Sent(self.header(bare.type, is_outgoing) + bare.data, bare.made_of,
                             is_outgoing, (bare.type, bare.data)))
        return sent, sent, Counter()

    @contextlib.contextmanager
    def witnessed(self, _path, shown):
        is_cooked = self.link == offline.COOKED
        link_type = witness.SLL2 if is_cooked else witness.RAW_IP
        with contextlib.closing(witness.Witness(self.lab.net, self.lab.net.sensor, self.name,
                                                is_cooked)) as plain:
            yield
            seen = [witness.record(one, link_type, self.ifindex) for one in plain.read(len(shown))]
        assert [data for _, _, data in seen] == [frame.data for frame in shown]

    def send(self, frame):
        ethertype, data = frame.wire
        if not frame.is_outgoing:
            self.device.protocol = ethertype
            self.device.send([data])
            return
        self.outgoing.sendto(data, (self.name, ethertype))
        # Taken off the device, whose queue would fill.
        assert select.select([self.device.fd], [], [], 5)[0]
        os.read(self.device.fd, 1 << 16)


def captured(path):
    """How often each frame is in a file, in the order in which they came."""
    return Counter(packet.data for packet in capfile.read(path).packets)


def is_judged_otherwise(expr):
    """May libpcap's interpreter and the kernel answer differently?"""
    return not expr.made_of.isdisjoint(("direction", "shift", "offset below 0"))


def drained(dump, expr):
    """Wait until a live tcpdump has written all that its filter let in, and end it."""
    pattern = r"(\d+) packets? captured, (\d+) packets? received by filter, (\d+) packets? dropped"
    lost = {0, 1} if is_judged_otherwise(expr) else {0}
    asked, before = 0, None

    def has_all():
        nonlocal asked, before
        asked, last, before = asked + 1, before, None
        dump.signal(signal.SIGUSR1)
        taken, received, dropped = map(int, dump.err.wait(pattern, count=asked).groups())
        assert dropped == 0
        before = taken
        return received - taken in lost and taken == last

    eventually(has_all, 20, "tcpdump to take what came")
    dump.signal(signal.SIGINT)
    assert dump.wait() == 0


class Batch:
    """Frames, and the captures that run while they pass."""

    def __init__(self, line, rng, number, frames):
        self.line, self.lab, self.rng = line, line.lab, rng
        self.number = number
        self.sent, self.shown, self.reasons = line.make_frames(rng, frames)
        self.clients, self.dumps = [], []

    def file(self, name):
        return self.lab.file(f"{self.number}-{name}.pcap")

    def start(self, expr, *options):
        path = self.file(len(self.clients))
        self.clients.append(self.lab.client("-i", self.line.name, "-B", "4M", "-q", "-w", path,
                                            *options, "-f", expr.text))

    def start_dump(self, expr):
        path = self.file(f"live{len(self.dumps)}")
        dump = self.lab.tcpdump(path, *WITNESS, "-U", expr.text)
        self.dumps.append((dump, expr))

    def run(self):
        """Send everything; the multiset of frames in each file."""
        for client in self.clients:
            client.wait_listening()
        with self.line.witnessed(self.file("all"), self.shown):
            start = time.monotonic()
            for i, frame in enumerate(self.sent):
                if i % 32 == 0:
                    eventually(lambda i=i: time.monotonic() - start >= i / RATE, 10,
                               "time to send")
                self.line.send(frame)
        for client in self.clients:
            client.signal(signal.SIGINT)
        for client in self.clients:
            assert client.wait(30) == 0, client.report()
            assert client.counts()["dropped"] == 0
        for dump, expr in self.dumps:
            drained(dump, expr)
        ours = [captured(self.file(i)) for i in range(len(self.clients))]
        theirs = [captured(self.file(f"live{i}")) for i in range(len(self.dumps))]
        return ours, theirs

    def forget(self):
        """Long runs keep neither files nor ended programs."""
        self.lab.procs = [proc for proc in self.lab.procs if proc.is_running()]
        for name in os.listdir(self.lab.dir):
            if name.startswith(f"{self.number}-"):
                os.unlink(self.lab.file(name))


def mismatches(expr, frames, wanted, got):
    """A line for each frame on which the verdicts differ, the first few."""
    lines = []
    for frame in frames:
        if wanted[frame.data] != got[frame.data]:
            lines.append(f"{expr.text!r}: wanted {wanted[frame.data]}, ours {got[frame.data]}, "
                         f"{'outgoing' if frame.is_outgoing else 'incoming'} "
                         f"{frame.data[:120].hex()} ({len(frame.data)} bytes)")
    unknown = got.keys() - {frame.data for frame in frames}
    lines += [f"{expr.text!r}: ours holds a frame that nobody sent: {data[:120].hex()}"
              for data in unknown]
    return lines[:3]


def is_enough(kind, tally, end):
    if LONG:
        return time.monotonic() >= end and tally.all >= kind.pairs
    covers = min(tally.pairs.values()) >= AT_LEAST
    return tally.all >= kind.pairs * (1 if covers else 4)


def must_haves(rng, names):
    """Every construct in turn, in a new order each time."""
    while True:
        order = list(names)
        rng.shuffle(order)
        yield from order


def compare_all(line, kind, start):
    """Batches until it is enough; the tally and what differed."""
    seed, rng = seed_of(kind.name)
    musts = must_haves(rng, kind.constructs)
    tally = Tally([*(f"filter: {name}" for name in kind.constructs), *kind.of_frames])
    reasons, wrong = Counter(), []
    end = time.monotonic() + kind.seconds
    number = 0
    while not is_enough(kind, tally, end) and len(wrong) < 100:
        batch = Batch(line, rng, number, kind.frames)
        number += 1
        sample = [frame.data for frame in batch.shown[:100]]
        chosen = [exprs.choose(rng, next(musts), kind.terms, sample, line.link)
                  for _ in range(kind.captures)]
        for expr in chosen:
            start(batch, expr)
        ours, theirs = batch.run()
        reasons += batch.reasons
        tally.captures += len(chosen)
        for i, expr in enumerate(chosen):
            wanted = theirs[i] if theirs else Counter(
                frame.data for frame in batch.shown if expr.filter.matches(frame.data))
            if theirs and is_judged_otherwise(expr):
                first = next(iter(ours[i]), None)
                if first in ours[i].keys() - wanted.keys():
                    wanted[first] = 1
                    reasons[FIRST_JUDGED_IN_USER_SPACE] += 1
            wrong += mismatches(expr, batch.shown, wanted, ours[i])
            for frame in batch.shown:
                tally.add(expr, frame, wanted[frame.data] > 0)
        batch.forget()
    report = [f"{kind.name}, seed {seed}: {tally.text()}"]
    report += [f"  {count} frames not compared: {reason}" for reason, count in reasons.items()]
    return tally, wrong, "\n".join(report)


def check(kind, tally, wrong, report):
    assert not wrong, f"{len(wrong)} mismatches\n" + "\n".join(wrong) + f"\n{report}"
    assert 0.25 <= tally.all_matched / tally.all <= 0.75, report
    assert min(tally.pairs.values()) >= AT_LEAST, report
    assert tally.all >= kind.pairs, report


@pytest.fixture
def say(capsys):
    """Into the log of the run, also when the test passes."""
    def say(text):
        with capsys.disabled():
            print(f"\n{text}")
    return say


@pytest.fixture(autouse=True)
def room_for_long_filters(lab):
    """With 131,072 bytes tcpdump judges lists of 200 hosts with ports in user space."""
    ns = lab.net.sensor
    before = run("ip", "netns", "exec", ns, "sysctl", "-n", "net.core.optmem_max").strip()
    lab.net.sysctl(ns, "net.core.optmem_max", 2 << 20)
    yield
    lab.net.sysctl(ns, "net.core.optmem_max", before)


def test_the_file_holds_what_an_offline_filter_selects_from_a_complete_recording(lab, agent, say):
    def start(batch, expr):
        # An expression that speaks of tags is exact without being asked.
        options = [] if expr.has_tags and batch.rng.random() < 0.5 else ["--exact-filter"]
        batch.start(expr, *options)

    tally, wrong, report = compare_all(Line(lab), EXACT, start)
    say(report)
    check(EXACT, tally, wrong, report)


def test_by_default_the_file_is_the_one_a_live_tcpdump_writes(lab, agent, say):
    def start(batch, expr):
        batch.start(expr)
        batch.start_dump(expr)

    tally, wrong, report = compare_all(Line(lab), LIVE, start)
    say(report)
    check(LIVE, tally, wrong, report)


@pytest.mark.parametrize("kind, arphrd, link", [(RAW, None, offline.RAW_IP),
                                                (COOKED, ARPHRD_PPP, offline.COOKED)],
                         ids=lambda value: getattr(value, "name", ""))
def test_without_an_ethernet_header_too_the_file_is_the_offline_filters(lab, agent, say, kind,
                                                                        arphrd, link):
    with devices.tun(lab.net, arphrd) as device:
        line = TunLine(lab, device, link)
        with contextlib.closing(line.outgoing):
            tally, wrong, report = compare_all(
                line, kind, lambda batch, expr: batch.start(expr, "--exact-filter"))
    say(report)
    check(kind, tally, wrong, report)
