"""Random filters over random frames: the kernel's verdict through agent and
client is libpcap's.

With --exact-filter, and by default where the expression speaks of tags, the
file holds what pcap_offline_filter() selects from a complete recording.  By
default it holds what a live tcpdump with the same expression writes beside us.

A run prints its seed; CAPTEST_SEED repeats it.
"""
import os
import random
import signal
import time
from collections import Counter, namedtuple

import pytest

import capfile
import exprs
import oddframes
from lab import LONG, eventually

PAIRS = {"exact": 22_000, "live": 6_000}
SECONDS = {"exact": 1080, "live": 120}      # under --long, instead
FRAMES = 1000 if LONG else 110
CAPTURES = {"exact": 12, "live": 6}
AT_LEAST = 200                              # pairs of each construct
RATE = 20_000

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

Sent = namedtuple("Sent", "data made_of is_outgoing")


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

    def __init__(self, lab):
        self.lab = lab
        self.incoming = lab.sender()
        self.outgoing = lab.sender(ns=lab.net.sensor, iface="cap0")

    def make_frames(self, rng):
        """What will be sent; what the kernel shows of it; what it does not, by reason."""
        sent = [Sent(odd.data, odd.made_of, rng.random() < 0.15)
                for odd in oddframes.make(rng, FRAMES)]
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

    def start_witness(self, path, count):
        return self.lab.tcpdump(path, *WITNESS, "-c", str(count))

    def send(self, frames):
        start = time.monotonic()
        for i, frame in enumerate(frames):
            if i % 32 == 0:
                eventually(lambda i=i: time.monotonic() - start >= i / RATE, 10, "time to send")
            (self.outgoing if frame.is_outgoing else self.incoming).send(frame.data)


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

    def __init__(self, line, rng, number):
        self.line, self.lab, self.rng = line, line.lab, rng
        self.number = number
        self.sent, self.shown, self.reasons = line.make_frames(rng)
        self.clients, self.dumps = [], []

    def file(self, name):
        return self.lab.file(f"{self.number}-{name}.pcap")

    def start(self, expr, *options):
        path = self.file(len(self.clients))
        self.clients.append(self.lab.client("-i", "cap0", "-B", "4M", "-q", "-w", path, *options,
                                            "-f", expr.text))

    def start_dump(self, expr):
        path = self.file(f"live{len(self.dumps)}")
        dump = self.lab.tcpdump(path, *WITNESS, "-U", expr.text)
        self.dumps.append((dump, expr))

    def run(self):
        """Send everything; the multiset of frames in each file."""
        for client in self.clients:
            client.wait_listening()
        witness = self.line.start_witness(self.file("all"), len(self.shown))
        self.line.send(self.sent)
        assert witness.wait(30) == 0
        for client in self.clients:
            client.signal(signal.SIGINT)
        for client in self.clients:
            assert client.wait(30) == 0, client.report()
            assert client.counts()["dropped"] == 0
        for dump, expr in self.dumps:
            drained(dump, expr)
        assert captured(self.file("all")) == Counter(frame.data for frame in self.shown)
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
        return time.monotonic() >= end
    covers = min(tally.pairs.values()) >= AT_LEAST
    return tally.all >= PAIRS[kind] * (1 if covers else 3)


def all_constructs(of_filters):
    return [*(f"filter: {name}" for name in of_filters),
            *(f"frame: {name}" for name in oddframes.CONSTRUCTS),
            "frame: incoming", "frame: outgoing"]


def must_haves(rng, names):
    """Every construct in turn, in a new order each time."""
    while True:
        order = list(names)
        rng.shuffle(order)
        yield from order


def compare_all(lab, kind, constructs, terms, start):
    """Batches until it is enough; the tally and what differed."""
    seed, rng = seed_of(kind)
    line, musts = Line(lab), must_haves(rng, constructs)
    tally, reasons, wrong = Tally(all_constructs(constructs)), Counter(), []
    end = time.monotonic() + SECONDS[kind]
    number = 0
    while not is_enough(kind, tally, end) and len(wrong) < 100:
        batch = Batch(line, rng, number)
        number += 1
        sample = [frame.data for frame in batch.shown[:100]]
        chosen = [exprs.choose(rng, next(musts), terms, sample) for _ in range(CAPTURES[kind])]
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
    report = [f"seed {seed}: {tally.text()}"]
    report += [f"  {count} frames not compared: {reason}" for reason, count in reasons.items()]
    return tally, wrong, "\n".join(report)


def check(tally, wrong, report):
    assert not wrong, f"{len(wrong)} mismatches\n" + "\n".join(wrong) + f"\n{report}"
    assert 0.25 <= tally.all_matched / tally.all <= 0.75, report
    assert min(tally.pairs.values()) >= AT_LEAST, report


@pytest.fixture
def say(capsys):
    """Into the log of the run, also when the test passes."""
    def say(text):
        with capsys.disabled():
            print(f"\n{text}")
    return say


def test_the_file_holds_what_an_offline_filter_selects_from_a_complete_recording(lab, agent, say):
    def start(batch, expr):
        # An expression that speaks of tags is exact without being asked.
        options = [] if expr.has_tags and batch.rng.random() < 0.5 else ["--exact-filter"]
        batch.start(expr, *options)

    terms = {**exprs.TERMS, **exprs.TAG_TERMS}
    tally, wrong, report = compare_all(lab, "exact", exprs.CONSTRUCTS, terms, start)
    say(report)
    check(tally, wrong, report)
    assert tally.all >= 20_000


def test_by_default_the_file_is_the_one_a_live_tcpdump_writes(lab, agent, say):
    def start(batch, expr):
        batch.start(expr)
        batch.start_dump(expr)

    terms = {**exprs.TERMS, **exprs.LIVE_TERMS}
    tally, wrong, report = compare_all(lab, "live", exprs.LIVE_CONSTRUCTS, terms, start)
    say(report)
    check(tally, wrong, report)
