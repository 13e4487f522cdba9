"""Faults on demand: a stream of numbered frames, lines that break, runs that are judged.

A Run is one capture under a stream whose journal says what was sent; its end
is always faults.judge().  Faults are context managers: the line is whole
again behind them, whatever happens.
"""
import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import time

import faults
from lab import CLIENT4, CLIENT6, LONG, SENSOR4, SENSOR6, eventually, holds, run  # noqa: F401

PORT = 9443
RATE, SIZE = 20000, 100
SEED = int(os.environ.get("CAPTEST_SEED") or random.SystemRandom().getrandbits(32))

# What the client says; its exact words are not these tests' business.
LOST = r"^capclient: .*connection (lost|closed).*trying again"
RESUMED = r"^capclient: .*connected again.*\bresumed\b"
NOT_CAPTURED = r"^capclient: nothing was captured from"
ANEW = r"^capclient: .*\banew\b"

notes = []


def note(text):
    """A line of the report at the end: what happened, how long it took."""
    notes.append(text)


def rng_of(name):
    """Reproducible by CAPTEST_SEED, another for each test."""
    return random.Random(f"{SEED} {name}")


def wall_ns():
    return time.clock_gettime_ns(time.CLOCK_REALTIME)


# --- the stream of frames ---

class Stream:
    """Frames from gen0 until stopped; number i is byte 42 on, see blast.c."""

    def __init__(self, lab, rate=RATE, size=SIZE):
        self.lab = lab
        self.journal = lab.file(f"journal-{len(lab.procs)}")
        self.before = self._counters()
        self.proc = lab.blast(0, size, rate, self.journal)

    def _counters(self):
        stats = self.lab.net.link(self.lab.net.sensor, "cap0")["stats64"]["rx"]
        return stats["packets"], stats["dropped"]

    def count(self):
        """How many arrived at the sensor's interface so far."""
        return self._counters()[0] - self.before[0]

    def pass_by(self, packets, timeout=30):
        """Wait until so many more have arrived."""
        until = self.count() + packets
        eventually(lambda: self.count() >= until, timeout, f"{packets} more packets")

    def stop(self):
        """Everything that was sent; the interface has seen exactly that."""
        self.proc.signal(signal.SIGTERM)
        assert self.proc.wait() == 0, self.proc.report()
        sent = faults.Sent.read(self.journal)
        assert self.proc.out.lines() == [str(sent.total)]
        packets, dropped = self._counters()
        assert (packets - self.before[0], dropped - self.before[1]) == (sent.total, 0)
        return sent


# --- lines that break ---

def _nft(ns, rules):
    subprocess.run(["ip", "netns", "exec", ns, "nft", "-f", "-"], input=rules, text=True, check=True)


@contextlib.contextmanager
def _table(ns, family, rules):
    """A table of rules as long as the block runs."""
    _nft(ns, f"table {family} fault {{\n{rules}\n}}\n")
    try:
        yield
    finally:
        _nft(ns, f"delete table {family} fault\n")


def _both_ways(verdict, match=""):
    return "\n".join(f"chain {hook} {{\ntype filter hook {hook} priority 0\n{name} \"mgmt0\" {match} "
                     f"{verdict}\n}}" for hook, name in (("input", "iifname"), ("output", "oifname")))


def cut(lab):
    """Nothing passes, and nobody is told: a cable cut, a firewall that drops."""
    return _table(lab.net.client, "inet", _both_ways("drop"))


def blackhole(lab, port):
    """One connection, by its port at the client, gets no packet through any more."""
    return _table(lab.net.client, "inet", "\n".join(
        f"chain {hook} {{\ntype filter hook {hook} priority 0\ntcp {side} {port} drop\n}}"
        for hook, side in (("input", "dport"), ("output", "sport"))))


def nat(lab, ports):
    """The client's port is another on the way.  Behind the block the way is
    forgotten, as when a router restarts."""
    return _table(lab.net.client, "ip", "chain post {\ntype nat hook postrouting priority 100\n"
                  f"tcp dport {PORT} snat to {CLIENT4}:{ports}\n}}")


@contextlib.contextmanager
def link_down(lab):
    """The client's interface itself goes down: local errors, lost routes."""
    net = lab.net
    net.ip(net.client, "link", "set", "mgmt0", "down")
    try:
        yield
    finally:
        net.ip(net.client, "link", "set", "mgmt0", "up")
        # What went with it on both ends.
        net.ip(net.client, "addr", "replace", f"{CLIENT6}/64", "dev", "mgmt0", "nodad")
        for ns, peers, mac in ((net.client, (SENSOR4, SENSOR6), "02:00:00:00:01:01"),
                               (net.sensor, (CLIENT4, CLIENT6), "02:00:00:00:01:02")):
            for peer in peers:
                net.ip(ns, "neigh", "replace", peer, "lladdr", mac, "dev", "mgmt0")


@contextlib.contextmanager
def thin(lab, rate="64kbit"):
    """The sensor sends at a fraction."""
    net = lab.net
    run("tc", "-n", net.sensor, "qdisc", "add", "dev", "mgmt0", "root", "tbf", "rate", rate,
        "burst", "3000", "limit", "30000")
    try:
        yield
    finally:
        run("tc", "-n", net.sensor, "qdisc", "del", "dev", "mgmt0", "root")


def reset(lab, ns=None):
    """Every connection of the capture is reset by the kernel of one end; RST to the other."""
    ns = ns or lab.net.client
    run("ip", "netns", "exec", ns, "ss", "-K", "state", "established",
        f"( dport = :{PORT} or sport = :{PORT} )")


def client_ports(lab):
    """Ports of the client's connections, as the client's host has them."""
    text = run("ip", "netns", "exec", lab.net.client, "ss", "-Htn", "state", "established",
               f"( dport = :{PORT} )")
    return [int(line.split()[2].rsplit(":", 1)[1]) for line in text.splitlines()]


def stay(seconds):
    """An outage is a wait for time itself."""
    holds(lambda _: None, seconds)


# --- programs that stop or die ---

def _is_stopped(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        return f.read().rsplit(")", 1)[1].split()[0] == "T"


@contextlib.contextmanager
def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        eventually(lambda: _is_stopped(pid), 5, "stop")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def kill_agent(agent, victim):
    """kill -9 of one of the two; the other goes too."""
    os.kill(agent.pid if victim == "capagent" else agent.net_pid, signal.SIGKILL)
    # ip netns exec has become capagent: its status is ours to fetch.
    agent.wait(10)
    agent.kill()


# --- what readers of the file see ---

def is_readable(lab, path):
    """tshark and we read a copy of a file that may still be written."""
    copy = lab.file("copy.pcapng")
    shutil.copyfile(path, copy)
    file = faults.File(copy, may_be_cut=True)
    done = subprocess.run(["tshark", "-n", "-r", copy, "-T", "fields", "-e", "frame.number"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, text=True)
    assert done.returncode == 0 or "cut short" in done.stderr, done.stderr
    assert len(done.stdout.splitlines()) == len(file.packets), done.stderr
    os.unlink(copy)
    return file


def check_readers(path, packets):
    """A file that is complete: no word of complaint, the same number of packets."""
    text = run("capinfos", "-Mc", path)
    assert int(re.search(r"Number of packets:\s+(\d+)", text).group(1)) == packets, text
    done = subprocess.run(["tshark", "-n", "-r", path, "-T", "fields", "-e", "frame.number"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, text=True)
    assert done.returncode == 0 and done.stdout.count("\n") == packets, done.stderr


# --- a capture under faults ---

class Run:
    """One capture into one file, and the stream it is judged by."""

    def __init__(self, lab, *args, path=None, rate=RATE, size=SIZE, build=None):
        self.lab, self.args, self.build = lab, args, build
        self.path = path or lab.file(f"run-{len(lab.procs)}.pcapng")
        self.client = self.start()
        self.client.wait_listening()
        self.stream = Stream(lab, rate, size)
        self.began = time.monotonic()

    def start(self, *more):
        return self.lab.client("-i", "cap0", "-w", self.path, "--json", *self.args, *more,
                               build=self.build)

    def resume(self):
        """The client again, after its end, for the same file; it may not be connected yet."""
        self.client = self.start("--resume")
        self.said(r"^capclient: .*goes on behind|listening on")

    def said(self, pattern, timeout=30, count=1):
        return self.client.err.wait(pattern, timeout, count)

    def count_said(self, pattern):
        return sum(1 for line in self.client.err.lines() if re.search(pattern, line))

    def pass_by(self, packets, timeout=30):
        self.stream.pass_by(packets, timeout)

    def end(self, timeout=60, name=""):
        """Stop the stream, then the client; the Verdict."""
        sent = self.stream.stop()
        status = self.client.interrupt(timeout)
        return self.judge(sent, status, name)

    def judge(self, sent, status, name=""):
        ledger = faults.Ledger.of_lines(self.client.err.lines())
        assert status == ledger.status, self.client.report()
        verdict = faults.judge(sent, self.path, ledger)
        check_readers(self.path, verdict.written)
        holes = ", ".join(f"{(h.end - h.start) / 1e9:.2f} s {h.reason}" for h in verdict.holes)
        note(f"{name or os.path.basename(self.path)}: {time.monotonic() - self.began:.1f} s, "
             f"{verdict.sent} sent, {verdict.written} written, {verdict.counted} counted, "
             f"{verdict.in_holes} in holes ({holes or 'none'})")
        return verdict


def none_lost(attempt):
    """attempt() is a Verdict without losses; once more where the machine was slow."""
    verdict = attempt()
    if verdict.counted or verdict.in_holes:
        note(f"  once more: {verdict.counted} counted, {verdict.in_holes} in holes")
        verdict = attempt()
    assert verdict.status == faults.COMPLETE and verdict.written == verdict.sent, verdict
    return verdict
