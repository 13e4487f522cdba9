"""Two hundred captures at once: memory within its budget, each alone with its losses."""
import contextlib
import re

import pytest

import faults
import frames
import wire
from faultlab import Run, note
from lab import LONG, eventually

CAPTURES, MIB = 200, 1 << 20
E_LIMIT = -12
# A client's address has 64 connections; these many addresses are enough.
SOURCES = [f"10.9.0.{10 + i}" for i in range(4)]
CONF = f"max-captures = 256\nlog-memory = {2 * CAPTURES + 64}MiB\nring-memory = {2 * CAPTURES + 64}MiB\n"


@pytest.fixture
def sources(lab):
    """More addresses of the client, as long as the test runs."""
    net = lab.net
    for source in SOURCES:
        net.ip(net.client, "addr", "add", f"{source}/24", "dev", "mgmt0")
        net.ip(net.sensor, "neigh", "replace", source, "lladdr", "02:00:00:00:01:02", "dev", "mgmt0")
    yield SOURCES
    for source in SOURCES:
        net.ip(net.client, "addr", "del", f"{source}/24", "dev", "mgmt0")
        net.ip(net.sensor, "neigh", "del", source, "dev", "mgmt0")


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return 1024 * int(re.search(r"VmRSS:\s+(\d+) kB", f.read()).group(1))


def hold(lab, stack, source, linger_ms=0):
    """A capture that nobody reads; its connection, and what the agent said."""
    conn = stack.enter_context(wire.Wire(lab, lab.pki, source=source))
    options = wire.lingering(linger_ms, 3600000, 2 * MIB) + wire.field(7, 2 * MIB)
    conn.send(wire.hello(), wire.start_of([wire.request("cap0")], [wire.filter_of()], options))
    return conn, *conn.receive_until(wire.STARTED)


def test_two_hundred_captures_stay_within_the_budget(lab, sources):
    agent = lab.agent(conf=CONF)
    before = resident(agent.net_pid)
    with contextlib.ExitStack() as stack:
        for i in range(CAPTURES):
            _, number, fields = hold(lab, stack, sources[i % len(sources)])
            assert number == wire.STARTED, (i, wire.error_of(fields))
        # Beside them one that is read, and judged.
        run = Run(lab, "--log-size", "16MiB", rate=100 if not LONG else 300, size=1400)
        run.pass_by(1500 if not LONG else 20000, 120)
        most = resident(agent.net_pid)
        note(f"{CAPTURES} captures: {(most - before) // MIB} MiB more")
        # Rings and logs of all, the judged one's, and a quarter of a MiB for each connection.
        budget = (2 + 2) * CAPTURES + 64 + 64 + CAPTURES // 4
        assert most - before < budget * MIB, (most - before) // MIB
        verdict = run.end(name=f"beside {CAPTURES} captures")
        assert verdict.status == faults.COMPLETE, verdict
    eventually(lambda: lab.net.promiscuity() == 0, 30, "end of all captures")


def test_captures_beyond_the_budget_are_refused_and_those_before_go_on(lab, sources):
    agent = lab.agent(conf="max-captures = 256\nlog-memory = 20MiB\nring-memory = 512MiB\n")
    with contextlib.ExitStack() as stack:
        held = []
        for i in range(30):
            conn, number, fields = hold(lab, stack, sources[i % len(sources)])
            if number == wire.ERROR:
                break
            held.append(conn)
        assert 0 < len(held) <= 10
        assert wire.error_of(fields)[0] == E_LIMIT
        lab.sender().send(*frames.numbered(10))
        for conn in held:
            number, fields = conn.receive_until(wire.BATCH)
            assert number == wire.BATCH
        # What one gives back, another may have.
        held.pop().close()
        eventually(lambda: lab.net.promiscuity() == len(held), 10, "end of one")
        _, number, fields = hold(lab, stack, sources[0])
        assert number == wire.STARTED, wire.error_of(fields)
    assert agent.is_running()


def test_captures_that_linger_count_against_the_budget_until_they_end(lab, sources):
    lab.agent(conf="max-captures = 256\nlog-memory = 20MiB\nring-memory = 512MiB\n")
    with contextlib.ExitStack() as stack:
        for _ in range(30):
            conn, number, fields = hold(lab, stack, sources[0], linger_ms=2000)
            if number == wire.ERROR:
                break
            conn.sock.shutdown(2)
        assert wire.error_of(fields)[0] == E_LIMIT
        eventually(lambda: lab.net.promiscuity() == 0, 15, "end of the linger")
        _, number, fields = hold(lab, stack, sources[0])
        assert number == wire.STARTED, wire.error_of(fields)
