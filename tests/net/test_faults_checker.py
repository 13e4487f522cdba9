"""The checker of the fault tests refuses what it must: doctored files and ledgers."""
import copy
import json
import struct

import pytest

import capfile
import faults
from faults import SECOND, Unaccounted

START = 1_700_000_000 * SECOND
BURST, BURSTS = 10, 20
COUNT = BURST * BURSTS
# Ten frames each tenth of a second, in a millisecond.
SENT = faults.Sent([(i * BURST, BURST, START + i * SECOND // 10,
                     START + i * SECOND // 10 + SECOND // 1000) for i in range(BURSTS)])


def block(kind, body):
    body += bytes(-len(body) % 4)
    size = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + size + body + size


def option(code, value):
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def packet(number, comment="", drops=None, ts_ns=None):
    before, _ = SENT.times(number)
    ts_ns = before + 1000 if ts_ns is None else ts_ns
    data = bytes(42) + struct.pack(">QQ", number, before) + bytes(6)
    body = struct.pack("<IIIII", 0, ts_ns >> 32, ts_ns & 0xFFFFFFFF, len(data), len(data)) + data
    body += option(2, bytes(4))
    if drops is not None:
        body += option(4, struct.pack("<Q", drops))
    if comment:
        body += option(1, comment.encode())
    return block(6, body + option(0, b""))


def statistics(seen, written, comment=""):
    body = bytes(12) + option(4, struct.pack("<Q", seen)) + option(8, struct.pack("<Q", written))
    return block(5, body + (option(1, comment.encode()) if comment else b""))


HEAD = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)) + \
    block(1, struct.pack("<HHI", 1, 0, 65535) + option(9, b"\x09") + option(0, b""))


class Case:
    """A file and a ledger that agree, for a test to doctor."""

    def __init__(self, missing=(), in_hole=(), hole=None):
        gone = {*missing, *in_hole}
        self.numbers = [n for n in range(COUNT) if n not in gone]
        self.comments, self.drops, self.stamps = {}, {}, {}
        if missing:
            behind = max(missing) + 1
            self.comments[behind] = f"{len(missing)} packets missing here: agent buffer full"
            self.drops[behind] = len(missing)
        self.statistics = None
        self.tail = b""
        counters = {"seen": COUNT - len(in_hole), "written": len(self.numbers),
                    "dropped_interface": 0, "dropped_kernel": 0, "after_end": 0, "lost_connection": 0,
                    "filtered_by_client": 0,
                    "dropped_agent": dict.fromkeys(faults.AGENT, 0),
                    "lost_client": dict.fromkeys(faults.CLIENT, 0)}
        counters["dropped_agent"]["buffer"] = len(missing)
        holes = [] if hole is None else [dict(zip(("from", "to"), hole), reason="agent_restarted",
                                              packets=None, holes=1)]
        total = dict(counters, unattributed=0)
        status = 11 if holes else 8 if missing else 0
        self.ledger = {"event": "ended", "total": total, "interfaces": [copy.deepcopy(counters)],
                       "holes": holes, "balanced": True, "complete": not (missing or holes),
                       "exit_status": status}

    def count(self, *keys, by=1):
        """Change a counter, of the interface and in sum."""
        for counters in (self.ledger["total"], *self.ledger["interfaces"]):
            for key in keys[:-1]:
                counters = counters[key]
            counters[keys[-1]] += by

    def blob(self):
        body = b"".join(packet(n, self.comments.get(n, ""), self.drops.get(n), self.stamps.get(n))
                        for n in self.numbers)
        end = self.statistics
        if end is None:
            end = statistics(self.ledger["total"]["seen"], len(self.numbers))
        return HEAD + body + end + self.tail

    def judge(self, tmp_path):
        path = tmp_path / "a.pcapng"
        path.write_bytes(self.blob())
        ledger = faults.Ledger.of_lines(["capclient: listening on", json.dumps(self.ledger)])
        return faults.judge(SENT, str(path), ledger)


def at(seconds, nanoseconds=0):
    return f"2023-11-14T22:13:{20 + seconds:02}.{nanoseconds:09}Z"


def whole():
    return Case()


def with_gap():
    return Case(missing=range(50, 60))


def with_hole():
    """0.5 to 0.75 s after the start: three bursts."""
    return Case(in_hole=range(50, 80), hole=(at(0, 500_000_000), at(0, 750_000_000)))


def with_both():
    return Case(missing=range(20, 25), in_hole=range(50, 80),
                hole=(at(0, 500_000_000), at(0, 750_000_000)))


@pytest.mark.parametrize("make, want", [
    (whole, (COUNT, COUNT, 0, 0)), (with_gap, (COUNT, COUNT - 10, 10, 0)),
    (with_hole, (COUNT, COUNT - 30, 0, 30)), (with_both, (COUNT, COUNT - 35, 5, 30))])
def test_what_agrees_is_accepted(tmp_path, make, want):
    assert make().judge(tmp_path)[:4] == want


def test_a_large_count_is_read_with_its_commas(tmp_path):
    case = with_gap()
    case.comments[60] = "1,010 packets missing here: agent buffer full"
    with pytest.raises(Unaccounted, match="1010 named missing"):
        case.judge(tmp_path)


def test_what_an_agent_that_is_gone_counted_lies_in_its_hole(tmp_path):
    case = with_hole()
    case.count("lost_connection", by=30)
    case.count("seen", by=30)
    assert case.judge(tmp_path).in_holes == 30


def test_a_gap_that_no_packet_follows_stands_beside_the_statistics(tmp_path):
    case = Case(missing=range(190, COUNT))
    case.comments, case.drops = {}, {}
    case.statistics = statistics(COUNT, 190, "10 packets missing here: agent buffer full")
    assert case.judge(tmp_path).counted == 10


# --- each of these is a lie ---

def a_packet_dropped(case):
    case.numbers.remove(100)


def a_packet_dropped_and_all_sums_made_to_fit(case):
    case.numbers.remove(100)
    case.count("written", by=-1)
    case.count("seen", by=-1)


def a_packet_twice(case):
    case.numbers.insert(100, case.numbers[100])


def a_packet_twice_and_all_sums_made_to_fit(case):
    a_packet_twice(case)
    case.count("written")
    case.count("seen")


def a_pair_swapped(case):
    case.numbers[10], case.numbers[11] = case.numbers[11], case.numbers[10]


def a_stamp_before_it_was_sent(case):
    case.stamps[0] = START - 1


def a_count_too_large(case):
    case.count("dropped_kernel")


def a_count_too_large_and_seen_made_to_fit(case):
    case.count("dropped_kernel")
    case.count("seen")


def a_loss_moved_to_another_reason_that_has_no_place(case):
    case.count("dropped_agent", "buffer", by=1)
    case.count("written", by=-1)


def a_count_of_an_agent_that_is_gone_and_no_hole_for_it(case):
    case.count("lost_connection", by=31)
    case.count("seen", by=31)


def packets_of_no_interface(case):
    case.ledger["total"]["unattributed"] = 1


def a_sum_that_is_not(case):
    case.ledger["total"]["dropped_kernel"] += 1


def not_balanced(case):
    case.ledger["balanced"] = False


def the_other_verdict(case):
    case.ledger["complete"] = not case.ledger["complete"]


def another_status(case):
    case.ledger["exit_status"] = 9


def a_packet_behind_the_statistics(case):
    case.tail = packet(COUNT - 1)


def no_statistics(case):
    case.statistics = b""


def statistics_twice(case):
    case.statistics = statistics(case.ledger["total"]["seen"], len(case.numbers)) * 2


def wrong_statistics(case):
    case.statistics = statistics(case.ledger["total"]["seen"], len(case.numbers) - 1)


def wrong_received(case):
    case.statistics = statistics(case.ledger["total"]["seen"] + 1, len(case.numbers))


EVERYWHERE = (
    a_packet_dropped, a_packet_dropped_and_all_sums_made_to_fit, a_packet_twice,
    a_packet_twice_and_all_sums_made_to_fit, a_pair_swapped, a_stamp_before_it_was_sent,
    a_count_too_large, a_loss_moved_to_another_reason_that_has_no_place,
    a_count_of_an_agent_that_is_gone_and_no_hole_for_it, packets_of_no_interface,
    a_sum_that_is_not, not_balanced, the_other_verdict, another_status,
    a_packet_behind_the_statistics, no_statistics, statistics_twice, wrong_statistics, wrong_received)


@pytest.mark.parametrize("doctor", EVERYWHERE)
@pytest.mark.parametrize("make", [whole, with_gap, with_hole])
def test_what_is_doctored_is_refused(tmp_path, make, doctor):
    case = make()
    doctor(case)
    with pytest.raises((Unaccounted, capfile.Broken)):
        case.judge(tmp_path)


def comment_moved(case):
    case.comments = {150: case.comments[60]}
    case.drops = {150: case.drops[60]}


def comment_gone(case):
    case.comments, case.drops = {}, {}


def comment_too_large(case):
    case.comments[60] = case.comments[60].replace("10", "11")
    case.drops = {}


def comment_and_drops_differ(case):
    case.drops[60] = 9


@pytest.mark.parametrize("doctor", [
    comment_moved, comment_gone, comment_too_large, comment_and_drops_differ,
    a_count_too_large_and_seen_made_to_fit])
def test_a_gap_that_is_told_wrongly_is_refused(tmp_path, doctor):
    case = with_gap()
    doctor(case)
    with pytest.raises(Unaccounted):
        case.judge(tmp_path)


def test_a_count_that_is_too_small_is_refused(tmp_path):
    case = with_gap()
    case.count("dropped_agent", "buffer", by=-1)
    case.count("seen", by=-1)
    case.comments[60] = case.comments[60].replace("10", "9")
    case.drops[60] = 9
    with pytest.raises(Unaccounted, match="10 missing outside"):
        case.judge(tmp_path)


@pytest.mark.parametrize("start, end", [(600_000_000, 750_000_000), (500_000_000, 650_000_000)])
def test_a_hole_that_is_too_short_is_refused(tmp_path, start, end):
    case = Case(in_hole=range(50, 80), hole=(at(0, start), at(0, end)))
    with pytest.raises(Unaccounted, match="10 missing outside"):
        case.judge(tmp_path)


def test_a_hole_with_a_count_or_without_a_reason_is_refused(tmp_path):
    for key, value in (("packets", 30), ("reason", ""), ("holes", 2)):
        case = with_hole()
        case.ledger["holes"][0][key] = value
        with pytest.raises(Unaccounted):
            case.judge(tmp_path)


@pytest.mark.parametrize("start, end, is_good", [
    (1000, 3000, True), (100, 3000, True), (0, 3000, True), (500, 3500, True), (0, 3001, False),
    (3500, 4000, False), (0, 500, False)])
def test_a_hole_lies_at_the_outage_and_is_a_second_longer_at_most(start, end, is_good):
    hole = faults.Hole(start * 10**6, end * 10**6, "x")
    if is_good:
        faults.check_hole(hole, 1000 * 10**6, 3000 * 10**6)
        return
    with pytest.raises(Unaccounted):
        faults.check_hole(hole, 1000 * 10**6, 3000 * 10**6)


def test_a_file_cut_anywhere_is_read_up_to_there(tmp_path):
    blob, path = whole().blob(), tmp_path / "cut.pcapng"
    for size in range(len(HEAD), len(blob), 7):
        path.write_bytes(blob[:size])
        packets = faults.File(str(path), may_be_cut=True).packets
        assert [p.number for p in packets] == list(range(len(packets)))


def test_a_ledger_that_is_not_there_once_is_refused():
    line = json.dumps(whole().ledger)
    for lines in ([], [line, line], [line, '{"event": "stats"}']):
        with pytest.raises(Unaccounted):
            faults.Ledger.of_lines(lines)


def test_times_are_exact():
    assert faults.time_ns("2023-11-14T22:13:20Z") == START
    assert faults.time_ns("2023-11-14T22:13:20.000000001Z") == START + 1
    assert faults.time_ns("2023-11-14T22:13:20.5Z") == START + SECOND // 2
