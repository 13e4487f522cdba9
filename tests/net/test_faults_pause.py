"""Programs that stop for a while under full load: what does not fit is counted, in order."""
import os

import pytest

import faults
from faultlab import LONG, LOST, RESUMED, Run, none_lost, rng_of, stay, stopped, wall_ns
from lab import Proc

SMALL = ("--log-size", "2MiB")


def missing_times(sent, path):
    """When the first and the last packet that is not in the file was sent."""
    runs = list(faults.missing_runs(sent, faults.File(path).packets))
    return sent.times(runs[0][0])[0], sent.times(runs[-1][1])[1]


@pytest.mark.parametrize("policy", ["drop-oldest", "drop-newest"])
@pytest.mark.parametrize("seconds", (4, 30) if LONG else (4,))
def test_a_client_that_stops_loses_what_its_policy_says(lab, agent, policy, seconds):
    """2 MiB are a second of this stream."""
    run = Run(lab, *SMALL, "--on-overflow", policy)
    run.pass_by(10000)
    began = wall_ns()
    with stopped(run.client.pid):
        stay(seconds)
        woke = wall_ns()
    run.pass_by(20000)
    if seconds > 20:
        run.said(RESUMED)
    sent = run.stream.stop()
    status = run.client.interrupt(60)
    verdict = run.judge(sent, status, f"client stopped {seconds} s, {policy}")
    assert verdict.status == faults.LOST and not verdict.holes, verdict
    first, last = missing_times(sent, run.path)
    assert first > began
    if policy == "drop-oldest":
        assert last < woke - faults.SECOND // 4, "the newest are missing"
    else:
        assert last > woke - faults.SECOND // 2, "the newest are there"


class PipedRun(Run):
    """capclient -w - | cat > FILE."""

    def start(self, *more):
        read_fd, write_fd = os.pipe()
        client = self.lab.client("-i", "cap0", "-w", "-", "--json", *self.args, *more,
                                 stdout=write_fd)
        os.close(write_fd)
        with open(self.path, "wb") as f:
            self.reader = Proc(self.lab, "cat", ["cat"], stdin=read_fd, stdout=f)
        os.close(read_fd)
        return client

    def judge(self, sent, status, name=""):
        assert self.reader.wait() == 0
        return super().judge(sent, status, name)


def test_a_reader_that_stops_for_long_costs_no_connection(lab, agent):
    def attempt():
        run = PipedRun(lab, "--heartbeat", "1s", "--log-size", "256MiB")
        run.pass_by(10000)
        with stopped(run.reader.pid):
            stay(30 if LONG else 4)
        run.pass_by(10000)
        assert run.count_said(LOST) == 0, run.client.report()
        return run.end(name="reader of -w - stopped")

    none_lost(attempt)


def test_a_reader_that_stops_for_longer_than_the_log_lasts_is_told_what_it_missed(lab, agent):
    run = PipedRun(lab, "--heartbeat", "1s", *SMALL, size=1000)
    run.pass_by(10000)
    with stopped(run.reader.pid):
        run.pass_by(60000, 60)
    run.pass_by(10000)
    assert run.count_said(LOST) == 0, run.client.report()
    verdict = run.end(name="reader of -w - stopped, small log")
    assert verdict.status == faults.LOST and not verdict.holes, verdict


def test_an_agent_that_does_not_run_for_a_moment_loses_nothing(lab, agent):
    """The ring holds 300 ms at this rate, however its blocks are cut."""
    def attempt():
        rng = rng_of("agent stopped")
        run = Run(lab, rate=2000)
        for _ in range(20 if LONG else 5):
            run.pass_by(rng.randrange(200, 1000))
            with stopped(agent.net_pid):
                stay(0.3)
        run.pass_by(1000)
        return run.end(name="capagent-net stopped for 300 ms")

    none_lost(attempt)


def test_an_agent_that_stops_for_longer_than_its_ring_lasts_counts_what_it_missed(lab, agent):
    run = Run(lab, "-B", "2MiB", size=1000)
    run.pass_by(10000)
    with stopped(agent.net_pid):
        run.pass_by(20000)
    run.pass_by(10000)
    verdict = run.end(name="capagent-net stopped, small ring")
    assert verdict.status == faults.LOST and not verdict.holes, verdict
