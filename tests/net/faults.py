"""The fate of each numbered packet: written once, counted once, or in a hole.

What the sender's journal says was sent is held against the file and against
the client's JSON ledger.  Knows no programs and no network: test_faults_checker.py
gives it doctored files, which it must refuse.
"""
import bisect
import json
import mmap
import os
import re
import struct
from collections import namedtuple
from datetime import datetime, timezone

import capfile

SECOND = 10**9
NUMBER_AT, STAMP_AT = 42, 50
# How much later than the sender's clock the kernel may stamp a frame on this machine.
STAMP_BOUND = 10 * SECOND
# A gap's words begin with their number; a hole has none.
GAP_COMMENT = re.compile(r"^(\d[\d,]*) packets? missing\b", re.M)

COMPLETE, NOT_BALANCED, LOST, HOLE = 0, 10, 8, 11


class Unaccounted(AssertionError):
    """A packet without a fate, or with two; a number that is not true."""


def need(fact, text):
    if not fact:
        raise Unaccounted(text)


# --- what was sent ---

class Sent:
    """The sender's journal: numbers from 0 on, and when each left."""

    def __init__(self, bursts):
        self.first = [b[0] for b in bursts]
        self.bursts = bursts
        self.total = bursts[-1][0] + bursts[-1][1] if bursts else 0

    @classmethod
    def read(cls, path):
        with open(path, encoding="ascii") as f:
            return cls([tuple(map(int, line.split())) for line in f])

    def times(self, number):
        """Wall clock before and after the burst that number left in."""
        _, _, before, after = self.bursts[bisect.bisect_right(self.first, number) - 1]
        return before, after


# --- what the file says ---

# number and time of a packet; gap: packets that its comments call missing
# before it; drops: its drop count or None.
Written = namedtuple("Written", "number ts_ns gap drops")


class File:
    """Of a pcapng file: packets in their order, without their bytes."""

    def __init__(self, path, may_be_cut=False):
        self.packets, self.stats = [], []
        self.n_interfaces = self.gaps_at_end = 0
        self.comments = []
        if os.path.getsize(path) == 0:
            return
        with open(path, "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as blob:
            for kind, at, size in capfile.blocks(blob, may_be_cut):
                self._block(blob, kind, at + 8, at + size - 4)

    def _block(self, blob, kind, at, end):
        if kind == 6:
            need(not self.stats, "a packet behind the statistics")
            self._packet(blob, at, end)
        elif kind == 5:
            options = capfile.options(blob[at + 12:end])
            self.stats.append((struct.unpack_from("<I", blob, at)[0], options))
            self.gaps_at_end += self._gaps(options)
        elif kind == 1:
            self.n_interfaces += 1
        else:
            need(kind == 0x0A0D0D0A and at == 8, f"block type {kind:#x}")

    def _packet(self, blob, at, end):
        iface, high, low, size, _ = struct.unpack_from("<IIIII", blob, at)
        need(iface < self.n_interfaces, f"packet of unknown interface {iface}")
        options = {}
        behind = at + 20 + ((size + 3) & ~3)
        # Flags and the end: what nearly every packet has.
        if end - behind > 12:
            options = capfile.options(blob[behind:end])
        drops = struct.unpack("<Q", options[4])[0] if 4 in options else None
        self.packets.append(Written(struct.unpack_from(">Q", blob, at + 20 + NUMBER_AT)[0],
                                    high << 32 | low, self._gaps(options), drops))

    def _gaps(self, options):
        text = options.get(1, b"").decode()
        self.comments += text.splitlines()
        return sum(int(n.replace(",", "")) for n in GAP_COMMENT.findall(text))


# --- what the ledger says ---

Hole = namedtuple("Hole", "start end reason")
AGENT = ("buffer", "disconnected", "filter_change", "interrupted", "other")
CLIENT = ("output", "queue", "format")


def time_ns(text):
    """RFC 3339 in UTC, to the nanosecond."""
    seconds, fraction = re.fullmatch(r"([^.Z]+)(?:\.(\d{1,9}))?Z", text).groups()
    moment = datetime.fromisoformat(seconds).replace(tzinfo=timezone.utc)
    return int(moment.timestamp()) * SECOND + int((fraction or "").ljust(9, "0"))


class Counters:
    """Of one interface, or of all."""

    def __init__(self, fields):
        self.seen, self.written = fields["seen"], fields["written"]
        agent, client = fields["dropped_agent"], fields["lost_client"]
        need(set(agent) == set(AGENT), f"dropped_agent: {sorted(agent)}")
        need(set(client) == set(CLIENT), f"lost_client: {sorted(client)}")
        self.gaps = agent["buffer"] + agent["disconnected"] + agent["interrupted"]
        self.lost = fields["dropped_kernel"] + sum(agent.values()) + sum(client.values())
        self.unwanted = fields["after_end"] + fields["filtered_by_client"]
        # In batches of an agent that is gone: counted, and in its hole.
        self.in_hole = fields["lost_connection"]
        self.dropped_interface = fields["dropped_interface"]

    def all(self):
        return (self.seen, self.written, self.gaps, self.lost, self.unwanted, self.in_hole,
                self.dropped_interface)

    def check(self, name):
        need(self.seen == self.written + self.lost + self.unwanted + self.in_hole,
             f"{name}: {self.seen} seen, but {self.written} written, {self.lost} lost, "
             f"{self.unwanted} unwanted, {self.in_hole} in a hole")


class Ledger:
    """The "ended" line of --json; balanced by our own sums."""

    def __init__(self, fields):
        self.total = Counters(fields["total"])
        self.interfaces = [Counters(i) for i in fields["interfaces"]]
        self.holes = [Hole(time_ns(h["from"]), time_ns(h["to"]), h["reason"])
                      for h in fields["holes"]]
        self.status = fields["exit_status"]
        self.is_balanced, self.is_complete = fields["balanced"], fields["complete"]
        need(all(h["packets"] is None for h in fields["holes"]), "a hole with a count")
        need(all(h["holes"] == 1 for h in fields["holes"]), "holes that were put together")
        need(fields["total"]["unattributed"] == 0, "packets of no interface")
        need(all(h.start <= h.end and h.reason for h in self.holes), f"holes: {self.holes}")

    @classmethod
    def of_lines(cls, lines):
        events = [json.loads(line) for line in lines if line.startswith("{")]
        ended = [e for e in events if e["event"] == "ended"]
        need(len(ended) == 1, f"{len(ended)} ended lines")
        need(events[-1] is ended[0], "something behind the ended line")
        return cls(ended[0])

    def check(self):
        """What holds for a ledger that adds up."""
        for i, counters in enumerate(self.interfaces):
            counters.check(f"interface {i}")
        self.total.check("total")
        sums = tuple(map(sum, zip(*(c.all() for c in self.interfaces))))
        need(sums == self.total.all(), f"sum of interfaces {sums}, total {self.total.all()}")
        need(self.is_balanced is True, "it says that it is not balanced")
        is_whole = not self.holes and self.total.lost + self.total.dropped_interface == 0
        need(self.is_complete == is_whole,
             f"complete: {self.is_complete}, with {self.total.lost} lost, {self.holes}")


# --- the verdict ---

Verdict = namedtuple("Verdict", "sent written counted in_holes holes status")


def check_order(sent, packets):
    """Each number once, rising, and stamped after it was sent."""
    last = -1
    for p in packets:
        need(p.number < sent.total, f"packet {p.number} of {sent.total} was never sent")
        need(p.number != last, f"packet {p.number} is there twice")
        need(p.number > last, f"packet {p.number} behind {last}")
        last = p.number


def check_times(sent, packets):
    for p in packets[::97] + packets[-1:]:
        before, after = sent.times(p.number)
        need(before <= p.ts_ns <= after + STAMP_BOUND,
             f"packet {p.number}: {p.ts_ns}, sent {before} to {after}")


def check_places(sent, packets, gaps_at_end):
    """Gap comments and drop counts stand where packets are missing, and name no more."""
    last, named = -1, 0
    for p in packets:
        missing = p.number - last - 1
        need(p.gap <= missing,
             f"packet {p.number}: {p.gap} named missing, behind {last}")
        need(p.drops is None or p.drops == p.gap,
             f"packet {p.number}: drop count {p.drops}, comment {p.gap}")
        named += p.gap
        last = p.number
    need(gaps_at_end <= sent.total - 1 - last,
         f"{gaps_at_end} named missing at the end, behind {last} of {sent.total}")
    return named + gaps_at_end


def missing_runs(sent, packets):
    """First and last of what is not in the file, cut at the sender's bursts."""
    at = 0
    edges = [p.number for p in packets] + [sent.total]
    for number in edges:
        while at < number:
            burst = sent.bursts[bisect.bisect_right(sent.first, at) - 1]
            end = min(number, burst[0] + burst[1])
            yield at, end - 1
            at = end
        at = number + 1


def count_missing(sent, packets, holes):
    """Missing packets outside of holes, and those inside."""
    outside = inside = 0
    for first, last in missing_runs(sent, packets):
        before, after = sent.times(first)
        if any(h.start <= after and before <= h.end for h in holes):
            inside += last - first + 1
        else:
            outside += last - first + 1
    return outside, inside


def check_stats(file, ledger):
    """One statistics block for each interface, with the ledger's numbers."""
    numbers = [iface for iface, _ in file.stats]
    need(sorted(numbers) == list(range(file.n_interfaces)),
         f"statistics of {numbers}, {file.n_interfaces} interfaces")
    written = sum(struct.unpack("<Q", options[8])[0] for _, options in file.stats)
    need(written == len(file.packets),
         f"statistics: {written} delivered, {len(file.packets)} in the file")
    seen = sum(struct.unpack("<Q", options[4])[0] for _, options in file.stats)
    need(seen == ledger.total.seen, f"statistics: {seen} received, ledger {ledger.total.seen}")


def check_status(ledger, lost):
    want = (HOLE, LOST) if ledger.holes and lost else (HOLE,) if ledger.holes else \
        (LOST,) if lost else (COMPLETE,)
    need(ledger.status in want, f"exit status {ledger.status}, not {want}")


def judge(sent, path, ledger):
    """Hold the three against each other; the Verdict, or Unaccounted."""
    file = File(path)
    packets = file.packets
    check_order(sent, packets)
    check_times(sent, packets)
    ledger.check()
    need(ledger.total.written == len(packets),
         f"ledger: {ledger.total.written} written, {len(packets)} in the file")
    outside, inside = count_missing(sent, packets, ledger.holes)
    lost = ledger.total.lost + ledger.total.unwanted
    # What was counted may have been sent in a hole's time too: a hole begins
    # with the last watermark, counters are newer.
    need(outside <= lost and lost + ledger.total.in_hole <= outside + inside,
         f"{outside} missing outside of holes, {inside} inside, {lost} counted, "
         f"{ledger.total.in_hole} counted in holes")
    need(ledger.total.seen <= sent.total, f"{ledger.total.seen} seen of {sent.total}")
    need(ledger.holes or ledger.total.seen == sent.total,
         f"{ledger.total.seen} seen of {sent.total}, without a hole")
    named = check_places(sent, packets, file.gaps_at_end)
    need(named == ledger.total.gaps,
         f"comments name {named} missing, the ledger has {ledger.total.gaps} in gaps")
    check_stats(file, ledger)
    check_status(ledger, ledger.total.lost)
    return Verdict(sent.total, len(packets), lost, inside, ledger.holes, ledger.status)


def check_hole(hole, start, end, more=SECOND):
    """A hole covers the outage and is at most so much longer (ns)."""
    need(hole.start <= end and start <= hole.end, f"hole {hole} not in {start} to {end}")
    need(hole.end - hole.start <= end - start + more,
         f"hole of {(hole.end - hole.start) / 1e9:.3f} s, "
         f"outage of {(end - start) / 1e9:.3f} s")
