"""Random faults for as long as CAPTEST_SOAK says (seconds); then the ledger.

tests/run --soak sets an hour.  Without it this file has nothing to run.
"""
import os
import time

import faults
from faultlab import (ANEW, Run, blackhole, check_snapshot, client_ports, cut, kill_agent,
                      link_down, note, reset, rng_of, snapshot, stay, stopped)

SOAK = int(os.environ.get("CAPTEST_SOAK") or 0)
# An hour at this rate is a file that the checker reads in a minute.
RATE = 5000


class Soak:
    """One capture, and what can happen to it; each fault ends with everything running."""

    def __init__(self, lab):
        self.lab, self.rng = lab, rng_of("soak")
        self.agent = lab.agent()
        self.run = Run(lab, "--heartbeat", "1s", "--log-size", "16MiB", "--linger", "20s", rate=RATE)

    def cut_for_a_while(self):
        with cut(self.lab):
            stay(self.rng.uniform(0.1, 15))

    def cut_for_longer_than_the_linger(self):
        with cut(self.lab):
            stay(self.rng.uniform(25, 35))

    def interface_down(self):
        with link_down(self.lab):
            stay(self.rng.uniform(0.1, 10))

    def reset_at_the_client(self):
        reset(self.lab, self.lab.net.client)

    def reset_at_the_sensor(self):
        reset(self.lab, self.lab.net.sensor)

    def black_hole(self):
        ports = client_ports(self.lab)
        if ports:
            with blackhole(self.lab, ports[0]):
                stay(self.rng.uniform(1, 8))

    def client_stopped(self):
        with stopped(self.run.client.pid):
            stay(self.rng.uniform(0.1, 12))

    def agent_stopped(self):
        with stopped(self.agent.net_pid):
            stay(self.rng.uniform(0.05, 2))

    def client_killed(self):
        self.run.client.kill()
        copy = snapshot(self.lab, self.run.path) if self.rng.random() < 0.1 else None
        stay(self.rng.uniform(0, 3))
        self.run.resume()
        if copy:
            check_snapshot(copy)

    def agent_killed(self):
        anew = self.run.count_said(ANEW)
        kill_agent(self.agent, self.rng.choice(("capagent", "capagent-net")))
        stay(self.rng.uniform(0, 5))
        self.agent = self.lab.agent()
        self.run.said(ANEW, count=anew + 1)

    FAULTS = (cut_for_a_while, cut_for_a_while, cut_for_longer_than_the_linger, interface_down,
              reset_at_the_client, reset_at_the_sensor, black_hole, client_stopped, agent_stopped,
              client_killed, client_killed, client_killed, agent_killed)

    def go_on(self, seconds):
        end = time.monotonic() + seconds
        done = {}
        while time.monotonic() < end:
            stay(self.rng.uniform(0, 4))
            fault = self.rng.choice(self.FAULTS)
            done[fault.__name__] = done.get(fault.__name__, 0) + 1
            fault(self)
            assert self.run.client.is_running(), self.run.client.report()[-4000:]
        note("soak: " + ", ".join(f"{n} {name}" for name, n in sorted(done.items())))


if SOAK:
    def test_random_faults_for_long_and_the_ledger_adds_up(lab):
        soak = Soak(lab)
        soak.go_on(SOAK)
        soak.run.pass_by(20000, 60)
        verdict = soak.run.end(timeout=120, name=f"soak of {SOAK} s")
        assert verdict.status in (faults.COMPLETE, faults.LOST, faults.HOLE)
        assert verdict.written > verdict.sent // 4, verdict
