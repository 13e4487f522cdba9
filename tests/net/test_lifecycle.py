"""Interfaces and namespaces that come, go and change while they are captured."""
import contextlib
import os
import subprocess

import pytest

import capfile
import frames
from lab import eventually, holds, run
from test_files import comments

TICKS = os.sysconf("SC_CLK_TCK")


class Line:
    """A line that can be made again: far0 on the generator, NAME on the sensor."""

    def __init__(self, lab, name="near0", far="far0", ns=None):
        self.lab, self.net, self.name, self.far = lab, lab.net, name, far
        self.ns = ns or lab.net.sensor
        self.make()

    def make(self, up=True):
        net = self.net
        net.ip(net.gen, "link", "add", self.far, "type", "veth", "peer", "name", self.name,
               "netns", self.ns)
        for ns, iface in ((net.gen, self.far), (self.ns, self.name)):
            net.sysctl(ns, f"net.ipv6.conf.{iface}.disable_ipv6", 1)
        net.ip(net.gen, "link", "set", self.far, "up")
        if up:
            self.set("up")
            self.wait_carrier()

    def wait_carrier(self):
        eventually(lambda: self.net.link(self.net.gen, self.far)["operstate"] == "UP", 10,
                   f"carrier of {self.far}")

    def set(self, *args):
        self.net.ip(self.ns, "link", "set", self.name, *args)

    def delete(self):
        self.net.ip(self.ns, "link", "del", self.name)

    def send(self, packets):
        sender = self.lab.sender(iface=self.far)
        sender.send(*packets)

    def close(self):
        subprocess.run(["ip", "-n", self.net.gen, "link", "del", self.far], check=False,
                       stderr=subprocess.DEVNULL)


@pytest.fixture
def make_line(lab):
    made = []

    def make(*args, **kwargs):
        made.append(Line(lab, *args, **kwargs))
        return made[-1]

    yield make
    for line in made:
        line.close()


@pytest.fixture
def line(make_line):
    return make_line()


def by_interface(path):
    """Interface number -> numbers of its packets, as far as the file is whole."""
    got = {}
    with contextlib.suppress(capfile.Broken):
        for packet in capfile.read(path).packets:
            got.setdefault(packet.iface, []).append(frames.number_of(packet.data))
    return got


def wait_written(path, iface, count):
    eventually(lambda: len(by_interface(path).get(iface, [])) >= count, 10,
               f"{count} packets of interface {iface}")


def events_of(path):
    """What the file tells: (number of packets before it, text)."""
    got = capfile.read(path)
    said = [(i, text) for i, packet in enumerate(got.packets) for text in comments(packet)]
    return said + [(len(got.packets), text) for _, options in got.stats
                   for text in comments(options)]


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def assert_idle(agent, seconds=3):
    pids = (agent.pid, agent.net_pid)
    before = [cpu_seconds(pid) for pid in pids]

    def is_idle(elapsed):
        for pid, then in zip(pids, before):
            used = cpu_seconds(pid) - then
            assert used <= 0.05 + 0.02 * elapsed, f"{pid}: {used} s of {elapsed:.1f} s"

    holds(is_idle, seconds)


def test_an_interface_made_again_is_captured_again(lab, agent, line):
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "near0", "-i", "cap0", "-w", path)
    line.send(frames.numbered(10))
    wait_written(path, 0, 10)
    line.delete()
    client.err.wait(r"'near0' is gone", 5)
    line.make()
    client.err.wait(r"'near0' was made again: captured as interface 2", 5)
    line.send(frames.numbered(20))
    wait_written(path, 2, 20)
    assert client.interrupt() == 0, client.err.text()
    assert by_interface(path) == {0: list(range(10)), 2: list(range(20))}
    assert client.counts() == {"captured": 30, "received": 30, "dropped": 0}


def test_the_last_interface_may_be_made_again_within_ten_seconds(lab, agent, line):
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "near0", "-w", path)
    for i in range(3):
        line.send(frames.numbered(5))
        wait_written(path, i, 5)
        line.delete()
        client.err.wait(r"'near0' is gone: the capture waits 10 s for it to be made again", 5, count=i + 1)
        line.make(up=False)
        line.set("up")
        client.err.wait(rf"made again: captured as interface {i + 1}$", 5)
        line.wait_carrier()
    line.send(frames.numbered(5))
    wait_written(path, 3, 5)
    assert client.interrupt() == 0, client.err.text()
    assert by_interface(path) == {i: list(range(5)) for i in range(4)}


def test_a_capture_stays_with_an_interface_that_is_renamed(lab, agent, line):
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "near0", "-w", path)
    line.send(frames.numbered(10))
    wait_written(path, 0, 10)
    line.set("name", "lan0")
    line.name = "lan0"
    client.err.wait(r"interface 'near0' was renamed to 'lan0'", 5)
    line.send(frames.numbered(10))
    wait_written(path, 0, 20)
    assert client.interrupt() == 0, client.err.text()
    assert events_of(path) == [(10, "interface 'near0' was renamed to 'lan0'")]


def test_another_mtu_is_told(lab, agent, line):
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "near0", "-w", path)
    line.set("mtu", "1400")
    client.err.wait(r"MTU of 'near0' is 1400 now", 5)
    line.send(frames.numbered(10))
    wait_written(path, 0, 10)
    line.set("mtu", "9000")
    client.err.wait(r"MTU of 'near0' is 9000 now", 5)
    assert client.interrupt() == 0, client.err.text()
    assert events_of(path) == [(0, "MTU of 'near0' is 1400 now"),
                               (10, "MTU of 'near0' is 9000 now")]


def test_an_interface_that_is_moved_away_is_told(lab, agent, line):
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "near0", "-i", "cap0", "-w", path)
    line.set("netns", lab.net.client)
    client.err.wait(r"'near0' was moved to another network namespace", 5)
    run("ip", "-n", lab.net.client, "link", "set", "near0", "netns", lab.net.sensor)
    line.set("up")
    client.err.wait(r"'near0' was made again: captured as interface 2", 5)
    line.wait_carrier()
    line.send(frames.numbered(10))
    wait_written(path, 2, 10)
    assert client.interrupt() == 0, client.err.text()
    said = dict(reversed(text) for text in events_of(path))
    assert said["interface 'near0' was moved to another network namespace"] == 0
    assert said["interface 'near0' was made again: captured as interface 2"] == 0


def test_any_follows_what_comes_and_goes(lab, agent, make_line):
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "any", "-w", path, "udp port 9")
    lines = [make_line(f"near{i}", f"far{i}") for i in range(3)]
    for i in range(3):
        client.err.wait(rf"interface 'near{i}' came up: captured as interface ", 5)
    for i, one in enumerate(lines):
        one.wait_carrier()
        one.send(frames.numbered(10 + i))
    eventually(lambda: sum(map(len, by_interface(path).values())) == 33, 10, "all packets")
    lines[1].delete()
    client.err.wait(r"'near1' is gone", 5)
    lines[1].make()
    client.err.wait(r"'near1' was made again: captured as interface", 5)
    lines[1].send(frames.numbered(7))
    eventually(lambda: sum(map(len, by_interface(path).values())) == 40, 10, "all packets")
    assert client.interrupt() == 0, client.err.text()
    assert client.counts() == {"captured": 40, "received": 40, "dropped": 0}


def test_a_pattern_waits_for_ever(lab, agent, line):
    client = lab.capture("-i", "nea*", "-w", lab.file("a.pcapng"))
    line.delete()
    client.err.wait(r"'near0' is gone", 5)
    assert_idle(agent, 12)
    assert client.is_running()
    line.make()
    client.err.wait(r"'near0' was made again", 5)
    assert client.interrupt() == 0, client.err.text()


def test_interfaces_beyond_the_limit_are_named_once(lab, make_line):
    lab.agent(conf="max-interfaces = 2\n")
    make_line("near0", "far0")
    client = lab.capture("-i", "near*", "-w", lab.file("a.pcapng"))
    make_line("near1", "far1")
    client.err.wait(r"'near1' came up: captured", 5)
    make_line("near2", "far2")
    client.err.wait(r"'near2' and later ones are not captured: the agent's max-interfaces is 2", 5)
    make_line("near3", "far3")
    assert client.interrupt() == 0, client.err.text()
    assert client.err.text().count("max-interfaces") == 1


def test_many_rounds_leave_nothing_behind(lab, agent, line):
    """Descriptors and memory of both processes, and the interface's promiscuity."""
    client = lab.capture("-i", "near0", "-i", "cap0", "-w", lab.file("a.pcapng"))
    pids = (agent.pid, agent.net_pid)

    def descriptors():
        return [len(os.listdir(f"/proc/{pid}/fd")) for pid in pids]

    # What the capture looks up at its start is over.
    line.set("mtu", "1400")
    client.err.wait(r"MTU of 'near0'", 5)
    before = descriptors()
    for _ in range(20):
        line.delete()
        line.make(up=False)
        line.set("up")
        eventually(lambda: lab.net.promiscuity("near0") == 1, 5, "near0 to be captured again")
    eventually(lambda: descriptors() == before, 5, f"closed descriptors, {before} again")
    assert client.interrupt() == 0, client.err.text()


@contextlib.contextmanager
def namespace(lab, name):
    run("ip", "netns", "add", name)
    try:
        run("ip", "-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)


def test_a_namespace_that_is_deleted_lets_its_interfaces_go(lab, make_line):
    """Held open by the capture alone, it would never end."""
    name = f"ct{os.getpid()}blue"
    agent = lab.agent(conf="namespaces = all\n")
    with namespace(lab, name):
        make_line("inner0", "far0", ns=name)
        path = lab.file("a.pcapng")
        client = lab.capture("-i", f"netns:{name}/inner0", "-i", "cap0", "-w", path)
        lab.sender(iface="far0").send(*frames.numbered(10))
        wait_written(path, 0, 10)
        run("ip", "netns", "del", name)
        client.err.wait(rf"'netns:{name}/inner0' is gone", 5)
        # Its end of the line went, and with it the other.
        eventually(lambda: "far0" not in lab.net.ip(lab.net.gen, "link"), 10, "end of far0")
    assert_idle(agent)
    lab.sender().send(*frames.numbered(5))
    wait_written(path, 1, 5)
    assert client.interrupt() == 0, client.err.text()
    assert (10, f"interface 'netns:{name}/inner0' is gone") in events_of(path)


def test_interfaces_in_a_namespace_are_followed(lab, make_line):
    name = f"ct{os.getpid()}blue"
    agent = lab.agent(conf="namespaces = all\n")
    with namespace(lab, name):
        line = make_line("inner0", "far0", ns=name)
        path = lab.file("a.pcapng")
        client = lab.capture("-i", f"netns:{name}/inner*", "-w", path)
        line.set("down")
        client.err.wait(rf"'netns:{name}/inner0' is down", 5)
        assert_idle(agent)
        line.set("up")
        client.err.wait(rf"'netns:{name}/inner0' is up again", 5)
        line.delete()
        client.err.wait(rf"'netns:{name}/inner0' is gone", 5)
        line.make()
        client.err.wait(rf"'netns:{name}/inner0' was made again: captured as interface 1", 5)
        line.wait_carrier()
        line.send(frames.numbered(10))
        wait_written(path, 1, 10)
        run("ip", "netns", "del", name)
        client.err.wait(rf"'netns:{name}/inner0' is gone", 5, count=2)
        eventually(lambda: "far0" not in lab.net.ip(lab.net.gen, "link"), 10, "end of far0")
    with namespace(lab, name):
        line.make()
        client.err.wait(rf"'netns:{name}/inner0' was made again: captured as interface 2", 5)
        assert client.interrupt() == 0, client.err.text()


def test_an_interface_made_again_with_the_same_number_is_another_one(lab):
    """Within a second: the lists of a namespace look as before."""
    name = f"ct{os.getpid()}blue"
    lab.agent(conf="namespaces = all\n")
    make = "link add same0 index 77 type veth peer name same1\n" \
        "link set same0 up\nlink set same1 up\n"
    with namespace(lab, name):
        subprocess.run(["ip", "-n", name, "-batch", "-"], input=make.encode(), check=True)
        path = lab.file("a.pcapng")
        client = lab.capture("-i", f"netns:{name}/same0", "-w", path, "udp port 9")
        subprocess.run(["ip", "-n", name, "-batch", "-"], check=True,
                       input=("link del same0\n" + make).encode())
        client.err.wait(rf"'netns:{name}/same0' is gone", 5)
        client.err.wait(rf"'netns:{name}/same0' was made again: captured as interface 1", 5)
        lab.sender(ns=name, iface="same1").send(*frames.numbered(10))
        wait_written(path, 1, 10)
        assert client.interrupt() == 0, client.err.text()


def test_a_pattern_in_a_namespace_where_nothing_matches_yet_is_followed(lab):
    """By its name and by a process in it, which is found only once."""
    name = f"ct{os.getpid()}blue"
    lab.agent(conf="namespaces = all\n")
    with namespace(lab, name):
        with subprocess.Popen(["ip", "netns", "exec", name, "cat"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as process:
            process.stdin.write(b"x\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"x\n"
            for place in (f"pid:{process.pid}", f"netns:{name}"):
                client = lab.capture("-i", "cap0", "-i", f"{place}/late*", "-w",
                                     lab.file("a.pcapng"))
                run("ip", "-n", name, "link", "add", "late0", "type", "bridge")
                run("ip", "-n", name, "link", "set", "late0", "up")
                client.err.wait(rf"'{place}/late0' came up: captured as interface 1", 5)
                run("ip", "-n", name, "link", "del", "late0")
                client.err.wait(rf"'{place}/late0' is gone", 5)
                assert client.interrupt() == 0, client.err.text()
            process.stdin.close()


def test_room_that_comes_free_is_used(lab, make_line):
    lab.agent(conf="max-interfaces = 2\n")
    lines = [make_line(f"near{i}", f"far{i}") for i in range(2)]
    client = lab.capture("-i", "near*", "-w", lab.file("a.pcapng"))
    make_line("near2", "far2")
    client.err.wait(r"'near2' and later ones are not captured", 5)
    lines[0].delete()
    client.err.wait(r"'near2' came up: captured as interface 2", 5)
    assert client.interrupt() == 0, client.err.text()
