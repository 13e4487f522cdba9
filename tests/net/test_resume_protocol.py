"""What an agent keeps for a client whose connection broke, spoken by hand."""
import contextlib
import os
import subprocess
import time

import pytest

import frames
import wire
from faultlab import stopped
from lab import LONG, eventually, holds, run
from taker import Pinger, Taker, one, total

GONE = (-23, "capture: resume: not here: it ended, its linger is over, or it is not yours")
SIZE = 1400


@pytest.fixture
def taker(lab, agent, pki):
    return Taker(lab, pki)


class Drop:
    """The line between client and sensor loses everything."""

    def __init__(self, lab):
        self.ns = lab.net.client

    def nft(self, text):
        subprocess.run(["ip", "netns", "exec", self.ns, "nft", "-f", "-"], input=text.encode(),
                       check=True)

    def __enter__(self):
        self.nft("table inet cut {\n"
                 "chain out { type filter hook output priority 0; policy drop; }\n"
                 "chain in { type filter hook input priority 0; policy drop; }\n}\n")
        return self

    def __exit__(self, *_):
        self.nft("delete table inet cut")


def log_lines(agent, word):
    return [line for line in agent.err.lines() if word in line]


@pytest.mark.parametrize("how", ["reset", "closed"])
def test_a_connection_that_breaks_is_resumed_without_a_hole(lab, agent, taker, how):
    sender, all_frames = lab.sender(), frames.numbered(2000)
    taker.start()
    for at in range(0, 2000, 200):
        sender.send(*all_frames[at:at + 100])
        taker.take_until(lambda at=at: len(taker.numbers) >= at + 50)
        if at % 400 == 0:
            taker.ack()
        taker.cut(how)
        sender.send(*all_frames[at + 100:at + 200])
        taker.resume()
    taker.take_until(lambda: len(taker.numbers) >= 2000)
    taker.stop()
    stats = taker.take_end()
    taker.check_all(2000)
    assert taker.gaps == [] and one(stats, 2) == 0
    assert total(stats, 1) == total(stats, 4) == 2000
    taker.close()
    eventually(lambda: lab.net.promiscuity() == 0, 10, "the capture's end")


def test_a_line_that_loses_everything_is_noticed_and_resumed(lab, agent, taker):
    sender, all_frames = lab.sender(), frames.numbered(300)
    taker.start(heartbeat_ms=1000)
    sender.send(*all_frames[:100])
    taker.take_until(lambda: len(taker.numbers) == 100)
    with Drop(lab):
        begun = time.monotonic()
        sender.send(*all_frames[100:200])
        agent.err.wait(r"fell silent for 1\.000 s", 10)
        assert time.monotonic() - begun < 2.5
    taker.cut("closed")
    taker.resume()
    sender.send(*all_frames[200:])
    taker.take_until(lambda: len(taker.numbers) == 300)
    taker.check_all(300)
    taker.close()


@pytest.mark.parametrize("speaks", [True, False], ids=["speaks", "is_silent"])
def test_an_agent_that_was_stopped_does_not_blame_its_client(lab, agent, taker, speaks):
    """For twice the heartbeat: what the client says waits in its socket, or comes now."""
    taker.start(heartbeat_ms=2000)
    taker.ping()
    taker.take_until(lambda: taker.watermark[1] > 0)
    with stopped(agent.net_pid), Pinger(taker) if speaks else contextlib.nullcontext():
        holds(lambda _: None, 4)
    with Pinger(taker):
        lab.sender().send(*frames.numbered(50))
        taker.take_until(lambda: len(taker.numbers) == 50)
        # It has looked since.
        for _ in range(2):
            before = taker.watermark[1]
            taker.take_until(lambda before=before: taker.watermark[1] > before)
    assert log_lines(agent, "fell silent") == []
    taker.close()


def test_a_close_in_order_ends_a_capture_that_would_linger(lab, agent, taker):
    taker.start()
    taker.close()
    agent.err.wait(r"ended: 0 packets", 10)
    assert taker.refused() == GONE
    assert lab.net.promiscuity() == 0


def test_whoever_has_no_right_is_told_the_same(lab, agent, taker, pki):
    if not os.path.exists(pki.path("mallory.pem")):
        pki.capcert("client", "mallory")
    sender = lab.sender()
    taker.start()
    sender.send(*frames.numbered(10))
    taker.take_until(lambda: len(taker.numbers) == 10)
    wrong = bytes([taker.token[0] ^ 1]) + taker.token[1:]
    assert len(taker.token) == 32
    for kwargs in ({"cert": "mallory"}, {"token": wrong}, {"token": bytes(32)},
                   {"capture_id": taker.capture_id ^ 1}, {"sequence": taker.next + 1},
                   {"sequence": 1 << 63}, {"announcements": 1}):
        assert taker.refused(**kwargs) == GONE, kwargs
    for why in ("another identity", "wrong token", "no such capture", "more announcements",
                "not a batch that it has"):
        agent.err.wait("resume refused: .*" + why)
    # Its own connection has not noticed.
    sender.send(*frames.numbered(20)[10:])
    taker.take_until(lambda: len(taker.numbers) == 20)
    taker.ack()
    taker.cut("closed")
    assert taker.refused(sequence=1) == GONE	# acknowledged: perhaps gone
    taker.resume()
    taker.stop()
    taker.take_end()
    taker.check_all(20)
    taker.close()


def test_a_capture_that_nobody_comes_back_to_ends(lab, agent, taker):
    taker.start(linger_ms=1000)
    assert one(taker.started, 9) == 1000
    taker.cut("reset")
    agent.err.wait(r"the client did not come back in time", 10)
    eventually(lambda: lab.net.promiscuity() == 0, 10, "the capture's end")
    assert taker.refused() == GONE


def test_the_configuration_bounds_the_wait(lab, pki):
    agent = lab.agent(conf="max-linger = 2s\n")
    taker = Taker(lab, pki)
    taker.start(linger_ms=60000)
    assert one(taker.started, 9) == 2000
    assert b"max-linger" in one(taker.started, 5, b"")
    taker.cut("closed")
    agent.err.wait(r"the client did not come back in time", 10)


def test_an_acknowledgement_from_the_future_ends_a_resumed_capture(lab, agent, taker):
    taker.start()
    lab.sender().send(*frames.numbered(10))
    taker.take_until(lambda: len(taker.numbers) == 10)
    taker.cut("closed")
    taker.resume()
    taker.ack(taker.next)
    number, fields = taker.conn.receive_until(wire.ERROR)
    assert number == wire.ERROR and wire.error_of(fields)[0] == -7
    taker.conn.drain()
    taker.conn.close()
    eventually(lambda: taker.refused() == GONE and lab.net.promiscuity() == 0, 10, "its end")


def test_the_newest_connection_counts_and_gets_all_again(lab, agent, taker):
    sender = lab.sender()
    taker.start()
    sender.send(*frames.numbered(10))
    taker.take_until(lambda: len(taker.numbers) == 10)
    first = taker.conn
    for _ in range(2):
        taker.numbers, taker.next = [], 1
        taker.resume()
        taker.take_until(lambda: len(taker.numbers) == 10)
    first.drain()		# closed by the agent
    sender.send(*frames.numbered(20)[10:])
    taker.take_until(lambda: len(taker.numbers) == 20)
    taker.check_all(20)
    taker.close()


def test_an_end_that_nobody_saw_waits_for_its_client(lab, agent, taker):
    taker.start(options=wire.field(10, 20))		# max_packets
    taker.cut("closed")
    lab.sender().send(*frames.numbered(20))
    eventually(lambda: log_lines(agent, "to come back"), 10, "the loss")
    eventually(lambda: lab.net.promiscuity() == 0, 10, "nothing open that nobody needs")
    for _ in range(2):
        taker.numbers, taker.next, taker.ended = [], 1, None
        taker.resume()
        taker.take_end()
        taker.check_all(20)
        taker.cut("reset")
    taker.resume()
    taker.close()
    eventually(lambda: taker.refused() == GONE, 10, "the capture's end")


def test_a_duration_ends_it(lab, agent, taker):
    begun = time.monotonic()
    taker.start(options=wire.field(21, 1500))
    lab.sender().send(*frames.numbered(20))
    taker.take_end()
    assert 1.4 < time.monotonic() - begun < 4
    assert wire.error_of(taker.ended) == (0, "")
    taker.check_all(20)
    taker.close()


def test_what_a_full_log_lost_without_a_client_adds_up(lab, agent, taker):
    count = 20000
    taker.start(log_bytes=2 << 20)
    taker.cut("closed")
    assert lab.blast(count, SIZE, 20000).wait(30) == 0
    taker.resume()
    taker.stop()
    stats = taker.take_end()
    lost = sum(gap[2] for gap in taker.gaps)
    assert lost > 0 and {gap[3] for gap in taker.gaps} == {3}
    assert [sum(g[4]) for g in taker.gaps] == [g[2] for g in taker.gaps]
    assert one(stats, 2) == total(stats, 8) == lost
    assert len(taker.numbers) + lost == total(stats, 4)
    assert total(stats, 1) == count == total(stats, 2) + total(stats, 4) + total(stats, 5)
    taker.close()


def test_stop_now_is_quick_and_adds_up(lab, agent, taker):
    count = 20000
    taker.start(log_bytes=16 << 20)
    with Pinger(taker):
        assert lab.blast(count, SIZE, 20000).wait(30) == 0
    taker.stop(now=True)
    begun = time.monotonic()
    stats = taker.take_end()
    assert time.monotonic() - begun < 3
    lost = sum(gap[2] for gap in taker.gaps)
    assert taker.gaps[-1][3] == 2 and one(stats, 2) == lost
    assert len(taker.numbers) + lost == total(stats, 4)
    assert total(stats, 1) == count == total(stats, 2) + total(stats, 4) + total(stats, 5)
    taker.close()


def rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(next(line for line in f if line.startswith("VmRSS")).split()[1])


def fds(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_a_client_that_reads_nothing_costs_no_more_than_its_log(lab, agent, taker):
    taker.start(log_bytes=4 << 20, ring_bytes=2 << 20)
    before = rss_kib(agent.net_pid)
    with Pinger(taker):
        assert lab.blast(60000, SIZE, 20000).wait(30) == 0
        # Log 4 MiB, ring 2 MiB, a batch that is built, and what malloc keeps.
        assert rss_kib(agent.net_pid) - before < 12 * 1024
    taker.stop(now=True)
    stats = taker.take_end()
    assert len(taker.numbers) + one(stats, 2) == total(stats, 4)
    taker.close()


def test_a_stream_that_falls_behind_is_told_so(lab, agent, taker):
    taker.start()
    with Pinger(taker):
        assert lab.blast(20000, SIZE, 20000).wait(30) == 0
        agent.err.wait(r"the stream is 1\d s behind", 25)
    taker.stop()
    taker.take_end()
    assert len([text for text in taker.events if " s behind" in text]) == 1
    taker.check_all(20000)
    taker.close()


def test_endless_resumes_leave_nothing(lab, agent, taker):
    sender, all_frames = lab.sender(), frames.numbered(400)
    taker.start()
    seen = {}
    for i in range(400):
        sender.send(all_frames[i])
        taker.cut("reset" if i % 2 else "closed")
        if i % 10 == 0:
            assert taker.refused(token=bytes(32)) == GONE
        taker.resume()
        if i % 5 == 0:
            taker.take_until(lambda i=i: len(taker.numbers) == i + 1)
            taker.ack()
        if i in (100, 399):
            seen[i] = rss_kib(agent.net_pid), fds(agent.net_pid)
    assert seen[399][0] - seen[100][0] < 1024, seen
    assert seen[399][1] <= seen[100][1], seen
    taker.take_until(lambda: len(taker.numbers) == 400)
    taker.check_all(400)
    taker.close()


def test_the_agents_end_does_not_wait_for_those_that_linger(lab, agent, taker):
    taker.start()
    taker.cut("closed")
    eventually(lambda: log_lines(agent, "to come back"), 10, "the loss")
    begun = time.monotonic()
    assert agent.stop() == 0
    assert time.monotonic() - begun < 3
    assert lab.net.promiscuity() == 0


@pytest.mark.parametrize("rate", [0, 2, 20000])
def test_watermarks_follow_the_clock_and_never_lead(lab, agent, taker, rate):
    """No packet that comes later is stamped before one (Taker.keep() sees)."""
    taker.start()
    late = []

    def look():
        late.append(time.time() - taker.watermark[1] / 1e9)
        return len(late) > 600 or time.monotonic() > end

    taker.take_until(lambda: taker.watermark[1] > 0)
    end = time.monotonic() + 4
    if rate > 0:
        lab.blast(rate * 5, SIZE, rate)
    taker.take_until(look)
    assert max(late) < 1.2, max(late)
    # Between two of them, and some for a busy machine.
    assert sorted(late)[len(late) // 2] < 0.7
    taker.close()


def test_events_while_nobody_is_there_come_after_the_resume(lab, agent, taker):
    taker.start()
    taker.cut("closed")
    eventually(lambda: log_lines(agent, "to come back"), 10, "the loss")
    run("ip", "-n", lab.net.sensor, "link", "set", "cap0", "mtu", "8000")
    try:
        agent.err.wait(r"MTU of 'cap0' is 8000 now", 10)
        for _ in range(2):
            taker.events, taker.announced = [], 0
            taker.resume()
            taker.take_until(lambda: taker.events)
            assert taker.events == ["MTU of 'cap0' is 8000 now"]
            taker.cut("closed")
    finally:
        run("ip", "-n", lab.net.sensor, "link", "set", "cap0", "mtu", "9000")


def test_many_captures_share_the_memory_there_is(lab, pki):
    count = 200 if LONG else 40
    agent = lab.agent(conf=f"max-captures = {count}\nlog-memory = {2 * count}MiB\n"
                      "ring-memory = 512MiB\n")
    takers = [Taker(lab, pki) for _ in range(count)]
    for taker in takers:
        taker.start(log_bytes=2 << 20, ring_bytes=1 << 20, heartbeat_ms=600000)
        assert one(taker.started, 4) == 2 << 20
    lab.sender().send(*frames.numbered(50))
    for taker in takers:
        taker.cut("closed")
    for taker in takers:
        taker.resume()
        taker.take_until(lambda taker=taker: len(taker.numbers) == 50)
        taker.check_all(50)
        taker.close()
    eventually(lambda: lab.net.promiscuity() == 0, 20, "the captures' end")
    assert agent.is_running()
