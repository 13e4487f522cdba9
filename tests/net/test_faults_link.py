"""Lines that break: what was sent meanwhile is written, counted, or in a hole."""
import time

import pytest

import faults
from faultlab import (ANEW, LONG, LOST, RESUMED, Run, blackhole, client_ports, cut, link_down,
                      nat, none_lost, note, reset, rng_of, stay, thin, wall_ns)
from lab import eventually

# A dead line is noticed soon; the log holds the longest outage at full rate.
ARGS = ("--heartbeat", "1s", "--log-size", "256MiB")
OUTAGES = (1, 10, 50) if LONG else (1, 5)
FLAPS = 20


@pytest.mark.parametrize("seconds", OUTAGES)
def test_a_line_that_is_cut_loses_nothing(lab, agent, seconds):
    def attempt():
        run = Run(lab, *ARGS)
        run.pass_by(10000)
        with cut(lab):
            stay(seconds)
        run.pass_by(10000)
        if seconds > 2:
            run.said(LOST)
            run.said(RESUMED)
        return run.end(name=f"cut for {seconds} s")

    none_lost(attempt)


@pytest.mark.parametrize("seconds", OUTAGES if LONG else (2,))
def test_an_interface_that_is_down_loses_nothing(lab, agent, seconds):
    def attempt():
        run = Run(lab, *ARGS)
        run.pass_by(10000)
        with link_down(lab):
            stay(seconds)
        run.pass_by(10000)
        return run.end(name=f"interface down for {seconds} s")

    none_lost(attempt)


def test_a_line_that_flaps_loses_nothing(lab, agent):
    def attempt():
        rng = rng_of("flaps")
        run = Run(lab, *ARGS)
        for _ in range(FLAPS):
            run.pass_by(rng.randrange(1000, 6000))
            with cut(lab):
                stay(rng.uniform(0.05, 3 if LONG else 0.4))
        run.pass_by(10000)
        return run.end(name=f"{FLAPS} flaps")

    none_lost(attempt)


@pytest.mark.parametrize("end", ["client", "sensor"])
def test_connections_that_are_reset_lose_nothing(lab, agent, end):
    def attempt():
        rng = rng_of(f"reset {end}")
        run = Run(lab, *ARGS)
        for i in range(20 if LONG else 5):
            run.pass_by(rng.randrange(500, 5000))
            eventually(lambda: lab.connections(), 10, "a connection to reset")
            reset(lab, getattr(lab.net, end))
            run.said(LOST, count=i + 1)
            run.said(RESUMED, count=i + 1)
        return run.end(name=f"reset at the {end}")

    none_lost(attempt)


def test_a_connection_in_a_black_hole_is_given_up_and_loses_nothing(lab, agent):
    """No reset, no packet: only silence tells, at both ends."""
    def attempt():
        run = Run(lab, *ARGS)
        run.pass_by(10000)
        port, = client_ports(lab)
        began = time.monotonic()
        with blackhole(lab, port):
            run.said(LOST)
            run.said(RESUMED)
            note(f"  black hole: resumed after {time.monotonic() - began:.1f} s")
            run.pass_by(20000)
            verdict = run.end(name="black hole")
        # The agent, too, holds no corpse.
        eventually(lambda: not lab.connections(), 10, "end of the agent's connection")
        return verdict

    none_lost(attempt)


def test_a_client_whose_port_changes_on_the_way_loses_nothing(lab, agent):
    def attempt():
        with nat(lab, "20000-20099"):
            run = Run(lab, *ARGS)
            run.pass_by(10000)
        # From another port now; the agent still has the old connection.
        run.said(LOST)
        run.said(RESUMED)
        with nat(lab, "30000-30099"):
            reset(lab)
            run.said(LOST, count=2)
            run.said(RESUMED, count=2)
            run.pass_by(10000)
            verdict = run.end(name="NAT")
        return verdict

    none_lost(attempt)


def test_a_client_that_comes_after_the_linger_has_a_hole(lab, agent):
    linger = 20 if LONG else 3
    run = Run(lab, *ARGS, "--linger", f"{linger}s")
    run.pass_by(10000)
    start = wall_ns()
    with cut(lab):
        eventually(lambda: lab.net.promiscuity() == 0, linger + 10, "end of the linger")
        run.pass_by(10000)
    run.said(ANEW)
    end = wall_ns()
    run.pass_by(10000)
    verdict = run.end(name=f"cut for longer than {linger} s of linger")
    assert verdict.status == faults.HOLE and verdict.counted == 0, verdict
    hole, = verdict.holes
    faults.check_hole(hole, start, end)
    assert verdict.in_holes > 10000


def test_an_outage_that_the_log_does_not_hold_is_counted(lab, agent):
    run = Run(lab, "--heartbeat", "1s", "--log-size", "2MiB")
    run.pass_by(10000)
    with cut(lab):
        stay(3)
    run.said(RESUMED)
    run.pass_by(10000)
    verdict = run.end(name="cut, small log")
    assert verdict.status == faults.LOST and verdict.counted > 10000, verdict


def test_a_thin_line_is_alive_and_what_it_does_not_carry_is_counted(lab, agent):
    run = Run(lab, "--heartbeat", "2s", "--log-size", "2MiB", size=1000)
    with thin(lab, "256kbit"):
        run.pass_by(60000 if not LONG else 600000, 60)
        assert run.count_said(LOST) == 0, run.client.report()
    verdict = run.end(name="thin line")
    assert verdict.status == faults.LOST and not verdict.holes, verdict


def test_a_line_of_a_kilobyte_a_second_is_no_dead_one(lab, agent):
    """One record takes longer than the heartbeat there; other captures do not notice."""
    beside = lab.capture("-i", "cap0", "-w", lab.file("beside.pcapng"), "-c", "200000",
                         ns=lab.net.sensor, sensor="127.0.0.1")
    run = Run(lab, "--log-size", "2MiB")
    with thin(lab, "8kbit"):
        run.pass_by(220000 if not LONG else 2000000, 200)
        assert run.count_said(LOST) == 0, run.client.report()
        assert beside.wait(20) == faults.COMPLETE
    verdict = run.end(name="a kilobyte a second")
    assert verdict.status == faults.LOST and not verdict.holes, verdict


def test_without_a_linger_the_capture_ends_with_its_connection(lab, agent):
    run = Run(lab, *ARGS, "--linger", "0")
    run.pass_by(10000)
    start = wall_ns()
    reset(lab)
    run.said(ANEW)
    end = wall_ns()
    run.pass_by(10000)
    verdict = run.end(name="reset, no linger")
    assert verdict.status == faults.HOLE, verdict
    hole, = verdict.holes
    faults.check_hole(hole, start, end)


@pytest.mark.parametrize("limit", ["0", "2s"])
def test_a_client_that_may_not_try_for_longer_ends_and_its_file_is_whole(lab, agent, limit):
    run = Run(lab, *ARGS, "--reconnect", limit, "--linger", "3s")
    run.pass_by(10000)
    start = wall_ns()
    with cut(lab):
        status = run.client.wait(30)
    sent = run.stream.stop()
    assert status == 9, run.client.report()
    ledger = faults.Ledger.of_lines(run.client.err.lines())
    written = faults.File(run.path)
    faults.check_order(sent, written.packets)
    assert ledger.status == 9 and not ledger.is_complete
    # What was on its way when the line was cut is not.
    assert ledger.total.written == len(written.packets) >= 9000
    # All that was sent before the cut and its first watermark is there.
    in_time = sum(count for first, count, _, after in sent.bursts if after < start - faults.SECOND)
    assert [p.number for p in written.packets][:in_time] == list(range(in_time))
    eventually(lambda: lab.net.promiscuity() == 0, 20, "end of the linger")
