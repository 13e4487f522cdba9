"""Programs that are killed: the file goes on where it was, or a hole says since when."""
import time

import pytest

import faults
from faultlab import (ANEW, LONG, LOST, NOT_CAPTURED, Run, is_readable, kill_agent, none_lost, note,
                      rng_of, wall_ns)
from lab import eventually

ARGS = ("--heartbeat", "1s", "--log-size", "64MiB")
KILLS = 50 if LONG else 8
AGENT_KILLS = 5 if LONG else 1


def test_a_client_killed_at_random_moments_goes_on_without_a_loss(lab, agent):
    def attempt():
        rng = rng_of("kill client")
        run = Run(lab, *ARGS)
        for i in range(KILLS):
            run.pass_by(rng.randrange(0, 8000))
            run.client.kill()
            if i % 4 == 0:
                is_readable(lab, run.path)
            run.resume()
        run.pass_by(5000)
        return run.end(name=f"{KILLS} kills of the client")

    none_lost(attempt)


def test_a_client_killed_while_it_starts_goes_on_without_a_loss(lab, agent):
    """Nothing is waited for: before its hello, its resume, its first write."""
    def attempt():
        rng = rng_of("kill starting client")
        run = Run(lab, *ARGS)
        run.pass_by(5000)
        run.client.kill()
        for _ in range(KILLS):
            run.client = run.start("--resume")
            run.pass_by(rng.randrange(0, 1500))
            run.client.kill()
        is_readable(lab, run.path)
        run.resume()
        run.pass_by(5000)
        return run.end(name=f"{KILLS} kills of a starting client")

    none_lost(attempt)


def test_a_client_that_is_resumed_after_the_linger_has_a_hole(lab, agent):
    run = Run(lab, *ARGS, "--linger", "2s")
    run.pass_by(10000)
    start = wall_ns()
    run.client.kill()
    eventually(lambda: lab.net.promiscuity() == 0, 15, "end of the linger")
    run.pass_by(5000)
    run.resume()
    run.said(NOT_CAPTURED)
    end = wall_ns()
    run.pass_by(5000)
    verdict = run.end(name="client killed for longer than the linger")
    assert verdict.status == faults.HOLE and verdict.counted == 0, verdict
    hole, = verdict.holes
    faults.check_hole(hole, start, end)


@pytest.mark.parametrize("victim", ["capagent", "capagent-net"])
def test_an_agent_that_is_killed_leaves_a_hole_and_nothing_else(lab, victim):
    rng = rng_of(f"kill {victim}")
    agent, outages = lab.agent(), []
    run = Run(lab, *ARGS)
    for i in range(AGENT_KILLS):
        run.pass_by(rng.randrange(2000, 20000))
        start = wall_ns()
        kill_agent(agent, victim)
        run.said(LOST, count=i + 1)
        run.pass_by(rng.randrange(0, 20000))
        agent = lab.agent()
        run.said(ANEW, count=i + 1)
        outages.append((start, wall_ns()))
    run.pass_by(10000)
    verdict = run.end(name=f"{AGENT_KILLS} kills of {victim}")
    assert verdict.status == faults.HOLE and verdict.counted == 0, verdict
    assert len(verdict.holes) == AGENT_KILLS, verdict.holes
    for hole, outage in zip(verdict.holes, outages):
        faults.check_hole(hole, *outage)


def test_both_killed_and_started_again_are_one_file_with_a_hole(lab):
    agent = lab.agent()
    run = Run(lab, *ARGS)
    run.pass_by(10000)
    start = wall_ns()
    run.client.kill()
    kill_agent(agent, "capagent")
    is_readable(lab, run.path)
    lab.agent()
    run.resume()
    run.said(NOT_CAPTURED)
    end = wall_ns()
    run.pass_by(10000)
    verdict = run.end(name="both killed")
    assert verdict.status == faults.HOLE and verdict.counted == 0, verdict
    hole, = verdict.holes
    faults.check_hole(hole, start, end)


def test_a_client_that_is_never_resumed_is_not_waited_for_longer_than_the_linger(lab, agent):
    run = Run(lab, *ARGS, "--linger", "2s", rate=2000)
    run.pass_by(2000)
    run.client.kill()
    began = time.monotonic()
    assert lab.net.promiscuity() == 1, "it does not linger"
    eventually(lambda: lab.net.promiscuity() == 0, 15, "end of the capture")
    note(f"client gone, linger 2 s: capture ended after {time.monotonic() - began:.1f} s")
    assert time.monotonic() - began > 1.5
    sent = run.stream.stop()
    file = is_readable(lab, run.path)
    faults.check_order(sent, file.packets)
    assert faults.count_missing(sent, file.packets[:1], [])[0] > 0


def test_the_file_is_readable_at_any_moment(lab, agent):
    run = Run(lab, *ARGS, rate=5000)
    last = 0
    for _ in range(20 if LONG else 4):
        run.pass_by(1000)
        packets = len(is_readable(lab, run.path).packets)
        assert packets >= last
        last = packets
    assert last > 0
    assert run.end(name="read while written").in_holes == 0
